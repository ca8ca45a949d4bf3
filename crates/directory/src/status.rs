//! The status of a person and how it may move.

use serde::{Deserialize, Serialize};

/// Where a person stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Known, and has not signed in yet.
    Invited,
    /// May sign in.
    Active,
    /// Stopped for a while.
    Suspended,
    /// Switched off.
    Inactive,
    /// Kept for the record only.
    Archived,
}

impl Status {
    /// Every status, in the order of a life.
    pub const ALL: [Self; 5] = [Self::Invited, Self::Active, Self::Suspended, Self::Inactive, Self::Archived];

    /// Its canonical word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Inactive => "inactive",
            Self::Archived => "archived",
        }
    }

    /// Where asking for `to` leads: every move is allowed, except that nobody is put back to `invited`.
    /// `None` is a refusal; an invited person who is asked to be invited stays so.
    pub fn moved(self, to: Self) -> Option<Self> {
        match (self, to) {
            (from, Self::Invited) if from != Self::Invited => None,
            (_, to) => Some(to),
        }
    }
}
