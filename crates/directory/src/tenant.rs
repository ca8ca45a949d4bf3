//! A tenant: one customer's directory, closed to every other.

use crate::{TenantNumber, Time};
use serde::{Deserialize, Serialize};

/// One customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its number, which clients of some dialects send along.
    pub number: TenantNumber,
    /// What people call it; up to 100 characters.
    pub name: String,
    /// When it was added.
    pub created: Time,
}
