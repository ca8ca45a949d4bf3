//! What writers of users and groups need to know, apart from what they write.

use crate::kit::Format;
use directory::TenantNumber;

/// Writers take it instead of a request, so that they can write what Muster sends to other systems, too.
#[derive(Clone, Debug)]
pub struct WriteContext {
    pub format: Format,
    /// Scheme and host of links, and the path before that of the API, such as `http://example.com/context`.
    pub base_url: String,
    pub tenant: TenantNumber,
    /// The highest role of the client.
    pub highest_role: u32,
}
