//! Names of what an event refers to, so that a history stays readable after those were renamed or deleted.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// As they were when the change was decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventLabels {
    /// Names of groups, folders and organizations, and user names, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<Uuid, String>,
    /// Names of custom roles, by number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<u32, String>,
}

impl EventLabels {
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.roles.is_empty()
    }
}
