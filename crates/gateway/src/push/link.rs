//! Finds out which account is that of a user.

use super::search::Search;
use super::{Run, Step, conflict, failed};
use crate::sender::Outcome;
use dialects::kit::{Account, Document, IdProof, Operation, Verdict};
use directory::{MatchKey, PushFault, RemoteState, RemoteUser};

/// Seconds until a search for an account that may have been created is repeated: targets can be eventually consistent.
pub(super) const SEARCH_AGAIN_SECONDS: i64 = 5;
/// Searches without a result, after which an account is taken not to exist.
const MIN_SEARCHES: u32 = 2;

impl Run<'_> {
    /// A search has found the account.
    pub(super) async fn found(&mut self, mut row: RemoteUser, account: &Account) -> Step {
        if !is_usable_id(&account.id) {
            return Step::Ended(Box::new(self.temporary(row, "the target shows an id that cannot be used".into())));
        }
        let user = row.user.to_string();
        row.remote_id = Some(account.id.clone());
        row.digest = None;
        row.attempts = 0;
        if account.external_id.as_deref() == Some(&user) && account.id_proof == IdProof::Same {
            row.state = RemoteState::Linked;
            return Step::Linked(Box::new(row));
        }
        row.state = RemoteState::Unverified;
        self.verify(row, None).await
    }

    /// Finds out whether an account whose creation was not answered is there.
    pub(super) async fn resolve(&mut self, mut row: RemoteUser, id: &str, document: Option<&Document>) -> Step {
        let by_id = by_external_id(id);
        let document = document.unwrap_or(&by_id);
        match self.search(id, document).await {
            Search::Own(account) => self.found(row, &account).await,
            Search::Other(key) => conflict(row, key),
            Search::Failed(outcome) => self.ended_by(row, &outcome),
            Search::None if row.attempts + 1 >= MIN_SEARCHES && self.may_have_other_keys(&row) => {
                let detail = "the response to its creation was lost, and the user has changed since: the target cannot \
                              be searched for the former keys";
                Step::Ended(Box::new(failed(row, PushFault::InDoubt, detail.into(), None)))
            }
            Search::None if row.attempts + 1 >= MIN_SEARCHES => {
                row.state = RemoteState::Absent;
                row.attempts = 0;
                Step::Absent(Box::new(row))
            }
            Search::None => {
                row.attempts += 1;
                row.due = Some(self.context.now.plus_seconds(SEARCH_AGAIN_SECONDS));
                row.fault = PushFault::Temporary;
                row.fault_detail =
                    Some("the response to its creation was lost; the target does not show it yet".into());
                Step::Ended(Box::new(row))
            }
            // Then it is created again: a rejection shows that it is there.
            Search::Impossible
                if self.rejects_duplicates(document)
                    && !self.may_have_other_keys(&row)
                    && self.context.sender.rules().is_to_be_created(self.source) =>
            {
                Step::Absent(Box::new(row))
            }
            Search::Impossible => {
                let detail = "the response to its creation was lost, and the target cannot be searched".into();
                Step::Ended(Box::new(failed(row, PushFault::InDoubt, detail, None)))
            }
        }
    }

    /// Reads an account before its first change, if the response to its creation did not show whose it is.
    pub(super) async fn verify(&mut self, mut row: RemoteUser, document: Option<&Document>) -> Step {
        let by_id = by_external_id(&row.user.to_string());
        let document = document.unwrap_or(&by_id);
        let Some(remote) = row.remote_id.clone() else { return self.in_doubt(row, "its id is unknown", None) };
        match self.send(&Operation::Get { id: &remote }, None).await {
            Outcome::Answered(Verdict::Done(Some(account))) if shows_user(&account, &row, document) => {
                row.state = RemoteState::Linked;
                Step::Linked(Box::new(row))
            }
            // Neither proof nor refutation: the user's keys may have changed since, or the account is another user's.
            Outcome::Answered(Verdict::Done(Some(account))) if account.external_id.is_none() => {
                let detail = "the account shows none of the user's keys".into();
                Step::Ended(Box::new(failed(row, PushFault::Conflict, detail, None)))
            }
            Outcome::Answered(Verdict::Done(_) | Verdict::NotFound | Verdict::OtherAccount) => {
                row.remote_id = None;
                row.digest = None;
                self.in_doubt(row, "the response to its creation had the id of another account", None)
            }
            other => self.ended_by(row, &other),
        }
    }
}

/// Whether an account is that of the user, by its external id, or by its user name or email if the target shows none.
pub(super) fn shows_user(account: &Account, row: &RemoteUser, document: &Document) -> bool {
    match &account.external_id {
        Some(id) => *id == row.user.to_string(),
        None => document.keys.iter().any(|(key, value)| account.has(*key, value)),
    }
}

/// What is known of a user whose document is not.
pub(super) fn by_external_id(id: &str) -> Document {
    Document { attributes: Vec::new(), keys: vec![(MatchKey::ExternalId, id.to_owned())] }
}

/// Ids become part of URLs and of the store.
pub(super) fn is_usable_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= RemoteUser::MAX_REMOTE_ID && !id.chars().any(char::is_control)
}
