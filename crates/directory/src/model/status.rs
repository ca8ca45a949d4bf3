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
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Inactive => "inactive",
            Self::Archived => "archived",
        }
    }

    /// The moves there are, and what each is called. Whoever is asked to be what they are already stays so; what is not
    /// here is refused: nobody is put back to `invited`.
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
        (Self::Archived, Self::Active, "brought back from the archive"),
        (Self::Archived, Self::Suspended, "suspended"),
        (Self::Archived, Self::Inactive, "deactivated"),
    ];

    /// What the move from here to there is called; `None` when there is no such move.
    pub fn transition_name(self, to: Self) -> Option<&'static str> {
        Self::TRANSITIONS.iter().find(|(a, b, _)| (*a, *b) == (self, to)).map(|(.., word)| *word)
    }

    /// Where asking for `to` leads; `None` is a refusal.
    pub fn transition_to(self, to: Self) -> Option<Self> {
        (self == to || self.transition_name(to).is_some()).then_some(to)
    }

    /// Whether somebody of this status may not sign in, whatever they know.
    pub fn blocks_sign_in(self) -> bool {
        matches!(self, Self::Suspended | Self::Inactive | Self::Archived)
    }
}

/// What a request wants of a status. Dialects that know only "on" and "off" must not turn one kind of off into
/// another by repeating what they read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedStatus {
    /// This very status.
    Exact(Status),
    /// Whatever lets nobody sign in: who is suspended, inactive or archived stays so, all others become inactive.
    Inactive,
    /// Whatever is not off: who is invited or active stays so, all others become active.
    Active,
}

impl RequestedStatus {
    /// Where the wish leads from a status; `None` is a refusal.
    pub fn apply_to(self, now: Status) -> Option<Status> {
        match self {
            Self::Exact(to) => now.transition_to(to),
            Self::Inactive if now.blocks_sign_in() => Some(now),
            Self::Inactive => Some(Status::Inactive),
            Self::Active if now.blocks_sign_in() => Some(Status::Active),
            Self::Active => Some(now),
        }
    }
}
