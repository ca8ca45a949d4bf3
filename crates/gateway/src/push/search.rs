//! Looks for the account of a user in a target.

use super::Run;
use crate::sender::Outcome;
use dialects::kit::{Account, Document, Match, Operation, Verdict};
use directory::{MatchKey, RemoteUser};

/// The result of a search for the account of a user.
pub(super) enum Search {
    None,
    Own(Box<Account>),
    /// Another account has this key, or several have.
    Other(MatchKey),
    /// The target cannot search for any key of the user.
    Impossible,
    Failed(Outcome),
}

impl Run<'_> {
    /// Looks for the user's account by the keys that the target can search for.
    pub(super) async fn search(&mut self, id: &str, document: &Document) -> Search {
        let mut was_asked = false;
        for key in self.context.sender.rules().capabilities.finds_by.clone() {
            let Some(value) = document.key(key) else { continue };
            match self.send(&Operation::Find { key, value }, None).await {
                Outcome::Answered(Verdict::Found(page)) => match page.matching(key, value) {
                    Match::None => was_asked = true,
                    Match::One(account) => {
                        let is_own = key == MatchKey::ExternalId || account.external_id.as_deref() == Some(id);
                        return if is_own { Search::Own(account) } else { Search::Other(key) };
                    }
                    Match::Several => return Search::Other(key),
                    Match::Unusable => {}
                },
                Outcome::Answered(Verdict::Unsupported) => {}
                other => return Search::Failed(other),
            }
        }
        if was_asked { Search::None } else { Search::Impossible }
    }

    /// Whether an account that may have been created can have other keys than those that are searched for.
    pub(super) fn may_have_other_keys(&self, row: &RemoteUser) -> bool {
        let finds_id = self.context.sender.rules().capabilities.finds_by.contains(&MatchKey::ExternalId);
        !finds_id && row.target_position > row.applied_position
    }

    /// Whether the target rejects a second account of a user.
    pub(super) fn rejects_duplicates(&self, document: &Document) -> bool {
        self.context.sender.rules().capabilities.rejects_duplicate.iter().any(|key| document.key(*key).is_some())
    }
}
