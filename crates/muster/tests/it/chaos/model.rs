//! What a client knows of its users: the last acknowledged state of each, and the one that a request in doubt may have
//! brought about.

use super::dialect::{Dialect, Seen};
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
    pub(super) then: Option<State>,
    /// When the request ended.
    pub(super) ended: Instant,
}

/// One user that was sent.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) maker: Dialect,
    pub(super) external: Option<String>,
    /// `None`: not created yet, or deleted.
    pub(super) now: Option<State>,
    pub(super) in_doubt: Option<InDoubt>,
    /// The dialect of the last change.
    pub(super) writer: Dialect,
    /// Who deleted it, and what the dialect called the user.
    pub(super) deleted: Option<(Dialect, String)>,
    /// Every e-mail that the user may have had.
    pub(super) emails: Vec<String>,
    /// Changed since the last comparison of everything.
    pub(super) is_fresh: bool,
    /// A violation was reported; further ones would only repeat it.
    pub(super) is_wrong: bool,
}

/// How a user that was read fits what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// As acknowledged.
    Before,
    /// As after the change in doubt.
    After,
    /// As both, since the dialect does not show the difference.
    Either,
    Neither,
}

impl Known {
    pub(super) fn new(maker: Dialect, external: Option<String>) -> Self {
        Self {
            maker,
            external,
            now: None,
            in_doubt: None,
            writer: maker,
            deleted: None,
            emails: Vec::new(),
            is_fresh: true,
            is_wrong: false,
        }
    }

    /// Whether the user is there, and nothing about it is in doubt.
    pub(super) fn is_certain(&self) -> bool {
        self.now.is_some() && self.in_doubt.is_none() && !self.is_wrong
    }

    /// The e-mails that the user may have at the moment.
    pub(super) fn possible_emails(&self) -> Vec<String> {
        let doubted = self.in_doubt.as_ref().and_then(|doubt| doubt.then.as_ref());
        let mut emails: Vec<String> =
            self.now.iter().chain(doubted).map(|state| state.email.clone()).collect();
        emails.dedup();
        if emails.is_empty() {
            // Deleted or never created: nothing may be under any of these.
            emails.clone_from(&self.emails);
        }
        emails
    }

    /// Compares what was read with what is known.
    pub(super) fn fit(&self, seen: Option<&Seen>) -> Fit {
        let is = |state: Option<&State>| match (state, seen) {
            (None, None) => true,
            (Some(state), Some(seen)) => seen.shows(state, self.external.as_deref()),
            _ => false,
        };
        let before = is(self.now.as_ref());
        let after = self.in_doubt.as_ref().is_some_and(|doubt| is(doubt.then.as_ref()));
        match (before, after) {
            (true, true) => Fit::Either,
            (true, false) => Fit::Before,
            (false, true) => Fit::After,
            (false, false) => Fit::Neither,
        }
    }

    /// Takes what was read for what is: `is_settled` says that the change in doubt can no longer happen. Whether it fits.
    pub(super) fn learn(&mut self, seen: Option<&Seen>, is_settled: bool) -> bool {
        match self.fit(seen) {
            Fit::Neither => return false,
            Fit::After => {
                if let Some(doubt) = self.in_doubt.take() {
                    self.now = doubt.then;
                }
            }
            Fit::Before if is_settled => self.in_doubt = None,
            Fit::Before | Fit::Either => {}
        }
        true
    }
}
