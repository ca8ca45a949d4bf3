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

/// What a request wants of a status. Dialects that know only "on" and "off" must not turn one kind of off into
/// another by repeating what they read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusWish {
    /// This very status.
    To(Status),
    /// Whatever lets nobody sign in: who is suspended, inactive or archived stays so, all others become inactive.
    Off,
    /// Whatever is not off: who is invited or active stays so, all others become active.
    On,
}

impl StatusWish {
    /// Where the wish leads from a status; `None` is a refusal.
    pub fn from(self, now: Status) -> Option<Status> {
        let is_off = matches!(now, Status::Suspended | Status::Inactive | Status::Archived);
        match self {
            Self::To(to) => now.moved(to),
            Self::Off if is_off => Some(now),
            Self::Off => Some(Status::Inactive),
            Self::On if is_off => Some(Status::Active),
            Self::On => Some(now),
        }
    }
}
