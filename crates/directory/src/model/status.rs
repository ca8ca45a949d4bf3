//! The status of a user and its transitions.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Has not signed in yet.
    Invited,
    /// May sign in.
    Active,
    /// Blocked temporarily.
    Suspended,
    /// Deactivated.
    Inactive,
    /// Kept only as a record.
    Archived,
}

impl Status {
    /// In the order of a user's lifecycle.
    pub const ALL: [Self; 5] = [Self::Invited, Self::Active, Self::Suspended, Self::Inactive, Self::Archived];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Inactive => "inactive",
            Self::Archived => "archived",
        }
    }

    /// All transitions and their names. Requesting the current status changes nothing. Everything else is rejected:
    /// no user becomes `Invited` again.
    const TRANSITIONS: [(Self, Self, &'static str); 16] = [
        (Self::Invited, Self::Active, "activated"),
        (Self::Invited, Self::Suspended, "suspended"),
        (Self::Invited, Self::Inactive, "deactivated"),
        (Self::Invited, Self::Archived, "archived"),
        (Self::Active, Self::Suspended, "suspended"),
        (Self::Active, Self::Inactive, "deactivated"),
        (Self::Active, Self::Archived, "archived"),
        (Self::Suspended, Self::Active, "reinstated"),
        (Self::Suspended, Self::Inactive, "deactivated"),
        (Self::Suspended, Self::Archived, "archived"),
        (Self::Inactive, Self::Active, "reactivated"),
        (Self::Inactive, Self::Suspended, "suspended"),
        (Self::Inactive, Self::Archived, "archived"),
        (Self::Archived, Self::Active, "restored from the archive"),
        (Self::Archived, Self::Suspended, "suspended"),
        (Self::Archived, Self::Inactive, "deactivated"),
    ];

    /// `None` if there is no such transition.
    pub fn transition_name(self, to: Self) -> Option<&'static str> {
        Self::TRANSITIONS.iter().find(|(a, b, _)| (*a, *b) == (self, to)).map(|(.., word)| *word)
    }

    /// The status after a request for `to`; `None` if the request is rejected.
    pub fn transition_to(self, to: Self) -> Option<Self> {
        (self == to || self.transition_name(to).is_some()).then_some(to)
    }

    pub fn blocks_sign_in(self) -> bool {
        matches!(self, Self::Suspended | Self::Inactive | Self::Archived)
    }
}

/// The status that a request asks for. Dialects that only know active and inactive must not turn one inactive
/// status into another by sending back what they read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedStatus {
    Exact(Status),
    /// Users who may not sign in (suspended, inactive, archived) keep their status; all others become inactive.
    Inactive,
    /// Invited and active users keep their status; all others become active.
    Active,
}

impl RequestedStatus {
    /// The status after the request; `None` if the request is rejected.
    pub fn apply_to(self, current: Status) -> Option<Status> {
        match self {
            Self::Exact(to) => current.transition_to(to),
            Self::Inactive if current.blocks_sign_in() => Some(current),
            Self::Inactive => Some(Status::Inactive),
            Self::Active if current.blocks_sign_in() => Some(Status::Active),
            Self::Active => Some(current),
        }
    }
}
