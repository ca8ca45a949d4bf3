//! How an attribute of a target's accounts is made from a user, where it differs from the default of the target's API.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AttributeMapping {
    /// The name in the target's API; for SCIM, the path (RFC 7644 section 3.10).
    pub attribute: String,
    /// An expression over the attributes of the user.
    pub expression: String,
    #[serde(default)]
    pub empty: EmptyValue,
    /// What replaces each result of the expression; `*` stands for all others. Without any, results stay as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
}

impl AttributeMapping {
    /// Rows of one target.
    pub const MAX_ROWS: usize = 200;
    /// Of all texts of one row, in bytes.
    pub const MAX_BYTES: usize = 16_384;

    pub(crate) fn bytes(&self) -> usize {
        let values: usize = self.values.iter().map(|(from, to)| from.len() + to.len()).sum();
        self.attribute.len() + self.expression.len() + values
    }
}

/// What happens if the expression has no value for a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmptyValue {
    /// The target is to have no value.
    #[default]
    Clear,
    /// The attribute is left out of requests.
    Omit,
}
