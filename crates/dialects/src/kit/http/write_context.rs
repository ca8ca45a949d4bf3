//! What a written user or group depends on besides its data.

use crate::kit::Format;
use directory::TenantNumber;

/// Independent of a request, so that users can also be written without one.
#[derive(Clone, Debug)]
pub struct WriteContext {
    pub format: Format,
    /// Scheme and host of links, and the path before that of the API, such as `http://example.com/context`.
    pub base_url: String,
    pub tenant: TenantNumber,
    /// The role ceiling of the client; 0 if the caller is not a connection.
    pub highest_role: u32,
}
