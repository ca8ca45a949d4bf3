//! One push: the requests that lead to the desired account of a user in a target, and what is known afterwards.
//!
//! A create is sent only if it cannot make a second account: a search has not found one, the target was empty before
//! Muster wrote to it, or it rejects duplicates. After a response that does not show whether the account was created, it
//! is searched for, at least twice, before it is created again.

mod link;
mod search;

use crate::account_rules::{Desired, DocumentError};
use crate::digest::{changed, digest};
use crate::sender::{Exchange, Outcome, Sender};
use crate::source_user::SourceUser;
use dialects::kit::{Document, IdProof, Operation, OutgoingUser, Verdict};
use directory::{MatchKey, PushFault, RemoteState, RemoteUser, Time, User};
use link::{SEARCH_AGAIN_SECONDS, by_external_id, is_usable_id, shows_user};
use outbound::RetryPolicy;
use search::Search;
use std::time::{Duration, Instant};

/// What is known after a push.
pub(crate) struct Pushed {
    /// `None`: there is no account, and there is to be none.
    pub(crate) row: Option<RemoteUser>,
    pub(crate) exchanges: Vec<Exchange>,
}

/// What a push needs besides the row and the user.
pub(crate) struct PushContext<'a> {
    pub(crate) sender: &'a Sender,
    /// Whether the target may have accounts that Muster has not created.
    pub(crate) must_search: bool,
    pub(crate) now: Time,
    /// No request may still be carried out after this time.
    pub(crate) deadline: Instant,
    /// For delays.
    pub(crate) jitter: u8,
}

/// Delays after a temporary fault, in seconds.
const TEMPORARY: RetryPolicy = RetryPolicy { initial_delay: 5, max_delay: MAX_DELAY_SECONDS };
const MAX_DELAY_SECONDS: i64 = 3600;
/// Delays after the target has rejected a user, in seconds. After the last one, the row waits for a change.
const REJECTED_DELAYS: [i64; 3] = [60, 600, 3600];

/// How a step ended: with the row as it is then, or with an id to go on with.
enum Step {
    Ended(Box<RemoteUser>),
    /// No account, and none is to be there.
    Forgotten,
    /// The account is known: go on with an update or deletion.
    Linked(Box<RemoteUser>),
    /// There is no account: go on with its creation.
    Absent(Box<RemoteUser>),
}

pub(crate) async fn push(context: &PushContext<'_>, row: RemoteUser, source: &SourceUser) -> Pushed {
    let mut run = Run { context, source, exchanges: Vec::new() };
    let row = run.run(row).await.map(|row| {
        let since = row.first_failed.or(Some(context.now)).filter(|_| row.fault != PushFault::None);
        RemoteUser { first_failed: since, ..row }
    });
    Pushed { row, exchanges: run.exchanges }
}

/// The result of a push for which nothing needs to be sent.
pub(crate) fn unchanged(context: &PushContext<'_>, row: &RemoteUser, source: &SourceUser) -> Option<Pushed> {
    let run = Run { context, source, exchanges: Vec::new() };
    let rules = context.sender.rules();
    let row = match (row.state, rules.desired(source)) {
        (RemoteState::Absent, _) if !rules.is_to_be_created(source) => None,
        (_, Desired::Unchanged) => run.left(row.clone()),
        (
            RemoteState::Linked | RemoteState::Unverified | RemoteState::Assumed,
            Desired::Account { user, is_active },
        ) => {
            let document = run.document(user, is_active).ok()?;
            if !changed(&document, row.digest.as_deref()).is_empty() {
                return None;
            }
            Some(run.accepted(row.clone(), &document))
        }
        _ => return None,
    };
    Some(Pushed { row, exchanges: Vec::new() })
}

struct Run<'a> {
    context: &'a PushContext<'a>,
    source: &'a SourceUser,
    exchanges: Vec<Exchange>,
}

impl Run<'_> {
    async fn run(&mut self, mut row: RemoteUser) -> Option<RemoteUser> {
        row.in_flight_until = None;
        let rules = self.context.sender.rules();
        let document = match rules.desired(self.source) {
            Desired::Unchanged => return self.left(row),
            Desired::Account { user, is_active } => match self.document(user, is_active) {
                Ok(document) => Some(document),
                Err(error) => return Some(failed(row, PushFault::Incomplete, error.to_string(), None)),
            },
            Desired::Nothing => None,
        };
        let id = row.user.to_string();
        // The account of a deleted user is searched for by the keys that the user had.
        let last = || self.source.user.as_ref().and_then(|user| self.document(user, false).ok());
        let keys = document.clone().or_else(last);
        let mut step = match row.state {
            // `Creating` before anything was sent: the worker has stored it as the intent.
            RemoteState::Absent => Step::Absent(Box::new(row)),
            RemoteState::Creating => self.resolve(row, &id, keys.as_ref()).await,
            RemoteState::Linked | RemoteState::Unverified | RemoteState::Assumed
                if self.context.sender.rules().capabilities.creates_only =>
            {
                self.unchangeable(row, document.as_ref())
            }
            RemoteState::Linked => Step::Linked(Box::new(row)),
            RemoteState::Assumed => Step::Ended(Box::new(failed(
                row,
                PushFault::InDoubt,
                "the target has the account, but its id is unknown".into(),
                None,
            ))),
            RemoteState::Unverified => self.verify(row, keys.as_ref()).await,
        };
        // Absent, linked, and once more if the account has vanished.
        for _ in 0..4 {
            step = match (step, &document) {
                (Step::Ended(row), _) => return Some(*row),
                (Step::Forgotten, _) => return None,
                (Step::Absent(row), Some(document)) if rules.is_to_be_created(self.source) => {
                    self.create(*row, document).await
                }
                (Step::Absent(_), _) => Step::Forgotten,
                (Step::Linked(row), Some(document)) => self.update(*row, document).await,
                (Step::Linked(row), None) => self.delete(*row, keys.as_ref()).await,
            };
        }
        match step {
            Step::Ended(row) => Some(*row),
            Step::Forgotten => None,
            Step::Linked(row) | Step::Absent(row) => {
                Some(self.temporary(*row, "the account appears and disappears".into()))
            }
        }
    }

    fn document(&self, user: &User, is_active: bool) -> Result<Document, DocumentError> {
        let outgoing =
            OutgoingUser { user, labels: &self.source.labels, manager: self.source.manager.as_deref(), is_active };
        self.context.sender.rules().document(&outgoing)
    }

    async fn send(&mut self, operation: &Operation<'_>, idempotency_key: Option<&str>) -> Outcome {
        let deadline = Some(self.context.deadline);
        let mut exchange = self.context.sender.send_until(operation, idempotency_key, deadline).await;
        if matches!(exchange.outcome, Outcome::TooLate) {
            // That says nothing about the target.
            return exchange.outcome;
        }
        let summary = exchange.outcome.summary();
        let outcome = std::mem::replace(&mut exchange.outcome, summary);
        self.exchanges.push(exchange);
        outcome
    }

    async fn create(&mut self, mut row: RemoteUser, document: &Document) -> Step {
        if self.context.must_search && row.state == RemoteState::Absent {
            match self.search(&row.user.to_string(), document).await {
                Search::None => {}
                Search::Impossible if self.rejects_duplicates(document) => {}
                Search::Impossible => {
                    let detail = "the target may have an account of this user, and cannot be searched".into();
                    return Step::Ended(Box::new(failed(row, PushFault::InDoubt, detail, None)));
                }
                Search::Own(account) => return self.found(row, &account).await,
                Search::Other(key) => return conflict(row, key),
                Search::Failed(outcome) => return self.ended_by(row, &outcome),
            }
        }
        // A create whose response was lost, in a target that cannot be searched but rejects duplicates.
        let is_repeated = row.state == RemoteState::Creating;
        // Unless it shows more, the response leaves open whether the first one was carried out.
        let unchanged_state = if is_repeated { RemoteState::Creating } else { RemoteState::Absent };
        row.state = RemoteState::Creating;
        row.applied_position = row.target_position;
        let key = format!("{}-{}-{}", self.context.sender.target().id, row.user, row.target_position.0);
        let created = match self.context.sender.rules().with_password(document) {
            // A repeated request has another password: its key would be that of another request.
            Ok(Some(with_password)) => self.send(&Operation::Create(&with_password), None).await,
            Ok(None) => self.send(&Operation::Create(document), Some(&key)).await,
            Err(error) => Outcome::Unsent(error.to_string()),
        };
        match created {
            Outcome::Answered(Verdict::Done(Some(account))) => {
                let is_other = account.external_id.as_deref().is_some_and(|id| id != row.user.to_string())
                    || account.id_proof == IdProof::Different
                    || !is_usable_id(&account.id);
                if is_other {
                    return self.in_doubt(row, "the response shows another account", None);
                }
                let is_proven = shows_user(&account, &row, document) && account.id_proof == IdProof::Same;
                row.state = if is_proven { RemoteState::Linked } else { RemoteState::Unverified };
                row.remote_id = Some(account.id.clone());
                let rules = self.context.sender.rules();
                if !is_proven && !rules.creates_show_user() && !rules.capabilities.creates_only {
                    row.digest = Some(digest(document));
                    return self.verify(row, Some(document)).await;
                }
                Step::Ended(Box::new(self.accepted(row, document)))
            }
            Outcome::Answered(Verdict::Duplicate(key)) => {
                row.state = RemoteState::Absent;
                self.rejected_as_duplicate(row, document, key, is_repeated).await
            }
            Outcome::Answered(Verdict::Unavailable { retry_after, is_uncertain: false }) => {
                row.state = unchanged_state;
                Step::Ended(Box::new(self.later(row, retry_after, "the target is rate-limiting requests".into())))
            }
            Outcome::Answered(Verdict::Unavailable { retry_after, .. }) => {
                self.in_doubt(row, "the target has failed", retry_after)
            }
            Outcome::Answered(Verdict::InvalidResponse(reason)) => {
                self.in_doubt(row, &format!("the response is {reason}"), None)
            }
            Outcome::Answered(Verdict::Done(None) | Verdict::Found(_) | Verdict::NotFound) => {
                self.in_doubt(row, "the response does not show the account", None)
            }
            Outcome::Lost(reason) => self.in_doubt(row, &reason, None),
            other => {
                row.state = unchanged_state;
                self.ended_by(row, &other)
            }
        }
    }

    /// A create was rejected, since there is an account with a key of the user.
    async fn rejected_as_duplicate(
        &mut self,
        mut row: RemoteUser,
        document: &Document,
        key: Option<MatchKey>,
        is_repeated: bool,
    ) -> Step {
        match self.search(&row.user.to_string(), document).await {
            Search::Impossible if is_repeated => {
                row.state = RemoteState::Assumed;
                Step::Ended(Box::new(self.accepted(row, document)))
            }
            Search::Own(account) => self.found(row, &account).await,
            Search::Other(key) => conflict(row, key),
            Search::Failed(outcome) => self.ended_by(row, &outcome),
            Search::None | Search::Impossible => {
                let what = key.map_or("a key of the user", MatchKey::as_str);
                let detail = format!("the target reports a duplicate {what}, but a search does not find the account");
                Step::Ended(Box::new(failed(row, PushFault::Conflict, detail, None)))
            }
        }
    }

    async fn update(&mut self, mut row: RemoteUser, document: &Document) -> Step {
        let changed = changed(document, row.digest.as_deref());
        if changed.is_empty() {
            return Step::Ended(Box::new(self.accepted(row, document)));
        }
        let Some(id) = row.remote_id.clone() else { return self.in_doubt(row, "its id is unknown", None) };
        // What the target has is unknown without a digest: PATCH could leave old values.
        let patch = self.context.sender.rules().capabilities.patch && row.digest.is_some();
        for part in self.context.sender.dialect().requests_of_update(document, &changed) {
            let operation = Operation::Update { id: &id, document, changed: &part, patch };
            match self.send(&operation, None).await {
                // If a later request fails, the account has neither the old nor the new state.
                Outcome::Answered(Verdict::Done(_)) => row.digest = None,
                outcome => return self.not_updated(row, document, &outcome).await,
            }
        }
        Step::Ended(Box::new(self.accepted(row, document)))
    }

    /// A request of an update was not successful.
    async fn not_updated(&mut self, row: RemoteUser, document: &Document, outcome: &Outcome) -> Step {
        match outcome {
            Outcome::Answered(Verdict::NotFound) => self.vanished(row, document).await,
            Outcome::Answered(Verdict::Duplicate(key)) => {
                let detail = format!("another account has {}", key.map_or("a key of the user", MatchKey::as_str));
                Step::Ended(Box::new(failed(row, PushFault::Conflict, detail, None)))
            }
            outcome => self.write_ended_by(row, outcome),
        }
    }

    /// The account cannot be changed. It stays as it was created.
    fn unchangeable(&self, row: RemoteUser, document: Option<&Document>) -> Step {
        let is_same = document.is_some_and(|document| changed(document, row.digest.as_deref()).is_empty());
        let row = match document.filter(|_| is_same) {
            Some(document) => self.accepted(row, document),
            None => failed(row, PushFault::Unsupported, "the target can only create accounts".into(), None),
        };
        Step::Ended(Box::new(row))
    }

    /// The target does not know the account any more. That must be confirmed by a search: a wrong URL looks the same.
    async fn vanished(&mut self, mut row: RemoteUser, document: &Document) -> Step {
        row.digest = None;
        match self.search(&row.user.to_string(), document).await {
            Search::Own(account) if Some(&account.id) == row.remote_id.as_ref() => Step::Ended(Box::new(
                self.temporary(row, "the target lists the account, but does not change it".into()),
            )),
            Search::Own(account) => self.found(row, &account).await,
            Search::Other(key) => conflict(row, key),
            Search::None => {
                row.remote_id = None;
                row.state = RemoteState::Absent;
                Step::Absent(Box::new(row))
            }
            Search::Impossible => {
                let detail = "the target does not know the account any more".into();
                Step::Ended(Box::new(failed(row, PushFault::InDoubt, detail, None)))
            }
            Search::Failed(outcome) => self.ended_by(row, &outcome),
        }
    }

    async fn delete(&mut self, mut row: RemoteUser, keys: Option<&Document>) -> Step {
        if !self.context.sender.rules().capabilities.deletes {
            return Step::Ended(Box::new(failed(row, PushFault::Unsupported, "the target cannot delete".into(), None)));
        }
        let Some(id) = row.remote_id.clone() else { return self.in_doubt(row, "its id is unknown", None) };
        match self.send(&Operation::Delete { id: &id }, None).await {
            Outcome::Answered(Verdict::Done(_)) => Step::Forgotten,
            // As for changes: a wrong URL looks the same.
            Outcome::Answered(Verdict::NotFound) => {
                row.digest = None;
                let user = row.user.to_string();
                let by_id = by_external_id(&user);
                match self.search(&user, keys.unwrap_or(&by_id)).await {
                    Search::None => Step::Forgotten,
                    Search::Own(_) | Search::Other(_) => Step::Ended(Box::new(
                        self.temporary(row, "the target lists the account, but does not delete it".into()),
                    )),
                    Search::Impossible => {
                        let detail = "the target does not know the account any more".into();
                        Step::Ended(Box::new(failed(row, PushFault::InDoubt, detail, None)))
                    }
                    Search::Failed(outcome) => self.ended_by(row, &outcome),
                }
            }
            other => self.write_ended_by(row, &other),
        }
    }

    /// The account stays as it is. That of a deleted user is forgotten: otherwise, it would be deleted with the user.
    fn left(&self, row: RemoteUser) -> Option<RemoteUser> {
        if self.source.is_deleted || self.source.user.is_none() {
            return None;
        }
        let applied_position = row.target_position;
        let row = RemoteUser { applied_position, attempts: 0, first_failed: None, in_flight_until: None, ..row };
        Some(RemoteUser { due: None, fault: PushFault::None, fault_detail: None, ..row })
    }

    /// The target has accepted everything.
    fn accepted(&self, mut row: RemoteUser, document: &Document) -> RemoteUser {
        row.digest = Some(digest(document));
        row.applied_position = row.target_position;
        row.due = None;
        row.fault = PushFault::None;
        row.fault_detail = None;
        row.attempts = 0;
        row.first_failed = None;
        row.waits_for = self.source.awaited_manager;
        let desired = self.context.sender.rules().desired(self.source);
        if matches!(desired, Desired::Account { is_active: false, .. })
            && !self.context.sender.rules().capabilities.deactivates
        {
            let detail = "the target does not deactivate accounts".into();
            // It is sent again once the target can do it.
            row.digest = row.digest.filter(|_| self.context.sender.rules().capabilities.creates_only);
            return failed(row, PushFault::Unsupported, detail, None);
        }
        row
    }

    fn in_doubt(&self, mut row: RemoteUser, reason: &str, retry_after: Option<Duration>) -> Step {
        row.state = RemoteState::Creating;
        row.attempts = 0;
        Step::Ended(Box::new(self.later(row, retry_after, reason.to_owned())))
    }

    /// The row after a fault of the target.
    fn temporary(&self, row: RemoteUser, detail: String) -> RemoteUser {
        self.later(row, None, detail)
    }

    fn later(&self, mut row: RemoteUser, retry_after: Option<Duration>, detail: String) -> RemoteUser {
        let backoff = if row.state == RemoteState::Creating {
            // Attempts count the searches for the account.
            let failing = row.first_failed.map_or(0, |since| self.context.now.0.saturating_sub(since.0) / 1_000_000);
            (failing / 4).clamp(SEARCH_AGAIN_SECONDS, MAX_DELAY_SECONDS)
        } else {
            row.attempts = row.attempts.saturating_add(1);
            TEMPORARY.delay(row.attempts, self.context.jitter)
        };
        let asked = retry_after.map_or(0, |wait| i64::try_from(wait.as_secs()).unwrap_or(i64::MAX));
        row.due = Some(self.context.now.plus_seconds(if retry_after.is_some() { asked } else { backoff }));
        row.fault = PushFault::Temporary;
        row.fault_detail = Some(detail);
        row.first_failed = row.first_failed.or(Some(self.context.now));
        row
    }

    /// The row after an outcome that means the same for every request.
    fn ended_by(&self, row: RemoteUser, outcome: &Outcome) -> Step {
        let detail = |text: &str| text.to_owned();
        let row = match outcome {
            Outcome::Unsent(text) | Outcome::Forbidden(text) | Outcome::Lost(text) => self.temporary(row, text.clone()),
            Outcome::NoCredential(error) => self.temporary(row, error.to_string()),
            Outcome::TooLate => self.temporary(row, detail("the time for this push is over")),
            Outcome::Answered(verdict) => match verdict {
                // Attempts count the searches for the account.
                Verdict::Rejected(text) | Verdict::NotAllowed(text) if row.state == RemoteState::Creating => {
                    self.temporary(row, text.clone())
                }
                Verdict::Rejected(text) | Verdict::NotAllowed(text) => {
                    let attempts = if row.fault == PushFault::Rejected { row.attempts } else { 0 };
                    let delay = REJECTED_DELAYS.get(usize::try_from(attempts).unwrap_or(usize::MAX));
                    // The permissions of the credential can change at any time.
                    let is_endless = matches!(verdict, Verdict::NotAllowed(_));
                    let delay = delay.or(REJECTED_DELAYS.last().filter(|_| is_endless));
                    let due = delay.map(|delay| self.context.now.plus_seconds(*delay));
                    let row = RemoteUser { attempts: attempts.saturating_add(1), ..row };
                    failed(row, PushFault::Rejected, text.clone(), due)
                }
                Verdict::Unsupported => failed(row, PushFault::Unsupported, detail("the target cannot do it"), None),
                Verdict::Unavailable { retry_after, .. } => {
                    self.later(row, *retry_after, detail("the target is rate-limiting requests or is unavailable"))
                }
                Verdict::Denied => self.temporary(row, detail("the target rejects the credential")),
                Verdict::OtherAccount => self.temporary(row, detail("the response shows another account")),
                Verdict::InvalidResponse(reason) => self.temporary(row, format!("the response is {reason}")),
                Verdict::Done(_) | Verdict::Found(_) | Verdict::NotFound | Verdict::Duplicate(_) => {
                    self.temporary(row, detail("the response is not one to this request"))
                }
            },
        };
        let first_failed = row.first_failed.or(Some(self.context.now));
        Step::Ended(Box::new(RemoteUser { first_failed, ..row }))
    }

    /// The same for a request that changes or deletes the account.
    fn write_ended_by(&self, mut row: RemoteUser, outcome: &Outcome) -> Step {
        if outcome.may_be_carried_out() {
            // It gets everything again.
            row.digest = None;
        }
        self.ended_by(row, outcome)
    }
}

/// The row with a fault that is retried at `due`, or never by itself.
fn failed(mut row: RemoteUser, fault: PushFault, detail: String, due: Option<Time>) -> RemoteUser {
    row.fault = fault;
    row.fault_detail = Some(detail);
    row.due = due;
    row
}

fn conflict(row: RemoteUser, key: MatchKey) -> Step {
    let detail = format!("the target has another account with this {}", key.as_str());
    Step::Ended(Box::new(failed(row, PushFault::Conflict, detail, None)))
}
