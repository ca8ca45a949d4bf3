//! What a client knows of its users: the last acknowledged state of each, and the one that a request in doubt may have
//! brought about.

use super::dialect::{Dialect, UserView};
use std::time::Instant;

/// A user as the clients of this test write one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) email: String,
    pub(super) first: String,
    pub(super) is_active: bool,
    /// Whether the user is in the client's group.
    pub(super) is_member: bool,
}

/// A change whose request was answered with 503 or not at all.
#[derive(Clone, Debug)]
pub(super) struct InDoubt {
    /// The user after the change; `None` after a deletion.
    pub(super) state_after: Option<State>,
    /// When the request ended.
    pub(super) ended: Instant,
}

/// One user that was sent.
#[derive(Clone, Debug)]
pub(super) struct TrackedUser {
    pub(super) created_over: Dialect,
    pub(super) external: Option<String>,
    /// `None`: not created yet, or deleted.
    pub(super) acknowledged: Option<State>,
    pub(super) in_doubt: Option<InDoubt>,
    /// The dialect of the last change.
    pub(super) last_writer: Dialect,
    /// Who deleted it, and what the dialect called the user.
    pub(super) deleted: Option<(Dialect, String)>,
    /// Every e-mail that the user may have had.
    pub(super) emails: Vec<String>,
    /// Changed since the last comparison of everything.
    pub(super) changed_since_check: bool,
    /// A violation was reported; further ones would only repeat it.
    pub(super) violation_reported: bool,
}

/// How a user that was read fits what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// As acknowledged.
    Before,
    /// As after the change in doubt.
    After,
    /// As both, since the dialect does not show the difference.
    Either,
    Neither,
}

impl TrackedUser {
    pub(super) fn new(maker: Dialect, external: Option<String>) -> Self {
        Self {
            created_over: maker,
            external,
            acknowledged: None,
            in_doubt: None,
            last_writer: maker,
            deleted: None,
            emails: Vec::new(),
            changed_since_check: true,
            violation_reported: false,
        }
    }

    /// Whether the user is there, and nothing about it is in doubt.
    pub(super) fn is_certain(&self) -> bool {
        self.acknowledged.is_some() && self.in_doubt.is_none() && !self.violation_reported
    }

    /// The e-mails that the user may have at the moment.
    pub(super) fn possible_emails(&self) -> Vec<String> {
        let doubted = self.in_doubt.as_ref().and_then(|doubt| doubt.state_after.as_ref());
        let mut emails: Vec<String> =
            self.acknowledged.iter().chain(doubted).map(|state| state.email.clone()).collect();
        emails.dedup();
        if emails.is_empty() {
            // Deleted or never created: nothing may be under any of these.
            emails.clone_from(&self.emails);
        }
        emails
    }

    /// Compares what was read with what is known.
    pub(super) fn compare(&self, seen: Option<&UserView>) -> Match {
        let is = |state: Option<&State>| match (state, seen) {
            (None, None) => true,
            (Some(state), Some(seen)) => seen.matches(state, self.external.as_deref()),
            _ => false,
        };
        let before = is(self.acknowledged.as_ref());
        let after = self.in_doubt.as_ref().is_some_and(|doubt| is(doubt.state_after.as_ref()));
        match (before, after) {
            (true, true) => Match::Either,
            (true, false) => Match::Before,
            (false, true) => Match::After,
            (false, false) => Match::Neither,
        }
    }

    /// Takes what was read for what is: `is_settled` says that the change in doubt can no longer happen. Whether it fits.
    pub(super) fn observe(&mut self, seen: Option<&UserView>, is_settled: bool) -> bool {
        match self.compare(seen) {
            Match::Neither => return false,
            Match::After => {
                if let Some(doubt) = self.in_doubt.take() {
                    self.acknowledged = doubt.state_after;
                }
            }
            Match::Before if is_settled => self.in_doubt = None,
            Match::Before | Match::Either => {}
        }
        true
    }
}
