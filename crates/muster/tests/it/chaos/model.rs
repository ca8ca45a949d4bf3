//! The state that a client knows of its users: the last acknowledged one, and the one after a change in doubt.

use super::dialect::{Dialect, UserView};
use std::time::Instant;

/// The attributes of a user that clients write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) email: String,
    pub(super) first: String,
    pub(super) is_active: bool,
    /// In the client's group.
    pub(super) is_member: bool,
}

/// A change whose request got 503 or no response.
#[derive(Clone, Debug)]
pub(super) struct InDoubt {
    /// The user after the change; `None` after a deletion.
    pub(super) state_after: Option<State>,
    /// The end of the request.
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
    /// The deleting dialect, and the user's identifier in it.
    pub(super) deleted: Option<(Dialect, String)>,
    /// All emails that the user may have had.
    pub(super) emails: Vec<String>,
    /// Changed since the last complete comparison.
    pub(super) changed_since_check: bool,
    /// A violation was reported; others would only repeat it.
    pub(super) violation_reported: bool,
}

/// The known state that matches a user as read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// The acknowledged state.
    Before,
    /// The state after the change in doubt.
    After,
    /// Both, because the dialect does not show the difference.
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

    /// Whether the user exists and has no change in doubt.
    pub(super) fn is_certain(&self) -> bool {
        self.acknowledged.is_some() && self.in_doubt.is_none() && !self.violation_reported
    }

    /// The emails that the user may currently have.
    pub(super) fn possible_emails(&self) -> Vec<String> {
        let doubted = self.in_doubt.as_ref().and_then(|doubt| doubt.state_after.as_ref());
        let mut emails: Vec<String> =
            self.acknowledged.iter().chain(doubted).map(|state| state.email.clone()).collect();
        emails.dedup();
        if emails.is_empty() {
            // Deleted or never created: none of these may exist.
            emails.clone_from(&self.emails);
        }
        emails
    }

    /// Compares a user as read with the known state.
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

    /// Updates the known state from a user as read; returns whether it matches. `is_settled`: the change in doubt is
    /// either committed or never will be.
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
