//! Runs commands: decides each from stored data and commits it; decides again if that data has changed.

use super::event_labels::References;
use super::{Caller, Directory, RETRY_AFTER_SECONDS, commit_error};
use crate::decide::{DecisionContext, ResolvedReferences, decide};
use crate::{
    Change, Command, CommitError, Committing, DirectoryError, EventLabels, Field, ItemKey, ItemKind, Mutation,
    PasswordHash, Receipt,
};
use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::task::Poll;

/// Attempts to commit a command while others change the same data. In each round at least one of the
/// conflicting commands commits, so up to this many can conflict without an error.
const MAX_ATTEMPTS: usize = 100;

impl Directory {
    /// Carries out a command atomically. An acknowledged change is on disk.
    pub async fn run(&self, caller: &Caller, command: Command) -> Result<Receipt, DirectoryError> {
        if let Some(receipt) = self.committed_receipt(caller).await? {
            return Ok(receipt);
        }
        let mut hashed: Option<PasswordHash> = None;
        for attempt in 0..MAX_ATTEMPTS {
            let none = ResolvedReferences::default();
            let mut decided = self.decide(caller, &command, (attempt > 0, &none), &mut hashed).await?;
            let committing = decided.change.take().map(|change| self.store.commit(change));
            match self.finish(caller, &command, decided, committing).await {
                Ok(receipt) => return Ok(receipt),
                Err(CommitFailure::Outdated) => {}
                Err(CommitFailure::Rejected(error)) => return Err(error),
            }
        }
        Err(DirectoryError::Conflict)
    }

    /// Carries out commands of one tenant that do not depend on each other, each atomically. Their look-ups and their commit
    /// are shared. Of two that want the same unique value, one gets it. Commands that set a password should be run one by
    /// one: hashing is slow, and too many at once fail with [`DirectoryError::Busy`].
    pub async fn run_all(&self, commands: Vec<(&Caller, Command)>) -> Vec<Result<Receipt, DirectoryError>> {
        let Some(tenant) = commands.first().map(|(caller, _)| caller.tenant) else { return Vec::new() };
        let shared = match self.load_shared_references(tenant, commands.iter().map(|(_, command)| command)).await {
            Ok(shared) => shared,
            Err(error) => return commands.iter().map(|_| Err(error.clone())).collect(),
        };
        let decisions = commands.iter().map(|(caller, command)| async {
            if let Some(receipt) = self.committed_receipt(caller).await? {
                return Ok(Decided::committed(receipt));
            }
            let mut hashed = None;
            self.decide(caller, command, (false, &shared), &mut hashed).await
        });
        let decisions = join_in_order(decisions).await;
        let (mut changes, mut decided) = (Vec::new(), Vec::new());
        for decision in decisions {
            decided.push(decision.map(|mut decision| {
                let change = decision.change.take();
                let is_committed = change.is_some();
                changes.extend(change);
                (decision, is_committed)
            }));
        }
        let mut committing = self.store.commit_all(changes).into_iter();
        let results = commands.iter().zip(decided).map(|((caller, command), decided)| {
            let started = decided.map(|(decided, is_committed)| {
                let committing = if is_committed { committing.next() } else { None };
                self.finish(caller, command, decided, committing)
            });
            async {
                match started {
                    Ok(finish) => finish.await,
                    Err(error) => Err(CommitFailure::Rejected(error)),
                }
            }
        });
        let results = join_in_order(results).await;
        let mut receipts = Vec::with_capacity(results.len());
        for ((caller, command), result) in commands.into_iter().zip(results) {
            receipts.push(match result {
                Ok(receipt) => Ok(receipt),
                Err(CommitFailure::Outdated) => self.run(caller, command).await,
                Err(CommitFailure::Rejected(error)) => Err(error),
            });
        }
        receipts
    }

    async fn decide(
        &self,
        caller: &Caller,
        command: &Command,
        (is_retry, shared): (bool, &ResolvedReferences),
        hashed: &mut Option<PasswordHash>,
    ) -> Result<Decided, DirectoryError> {
        self.check_password_hash(command)?;
        let authority = self.authority(caller).await?;
        // Boxed, so that the future of every command stays small.
        let input = Box::new(self.load_input(caller, &authority, command, (is_retry, shared)).await?);
        let now = self.clock.now();
        let (ids, tenant) = (self.ids.as_ref(), caller.tenant);
        let context = DecisionContext { now, ids, authority: &authority, tenant };
        let mut decision = decide(command, &input, &context)?;
        if let Some(password) = decision.password.take() {
            if hashed.is_none() {
                let busy = |_| DirectoryError::Busy { retry_after: RETRY_AFTER_SECONDS };
                *hashed = Some(self.hasher.hash(tenant, password).await.map_err(busy)?);
            }
            set_password_hash(&mut decision.mutations, hashed.as_ref());
        }
        let mut references = References::of(&decision.mutations);
        let mut labels = EventLabels::default();
        if !references.is_empty() {
            labels = references.take_loaded(&input, &decision.mutations);
        }
        if !references.is_empty() {
            labels.names.extend(self.names_of(tenant, references).await?);
        }
        let adds_items = decision.mutations.iter().any(Mutation::adds_or_changes_item);
        let assumed_absent = input.assumed_absent.clone();
        let unchanged = Receipt { users: decision.unchanged_users, items: decision.unchanged_items, tenant: None };
        if let (Some(scope), false) = (&caller.idempotency, decision.mutations.is_empty()) {
            decision.mutations.insert(0, scope.record(&decision.mutations, &unchanged, now)?);
        }
        let change = (!decision.mutations.is_empty()).then(|| Change {
            tenant: caller.tenant,
            at: now,
            connection: caller.actor.connection(),
            actor: caller.actor.to_string(),
            request_id: caller.request_id.clone(),
            assumed_absent: input.assumed_absent,
            assumed_not_deleted: input.assumed_not_deleted,
            labels,
            mutations: decision.mutations,
        });
        Ok(Decided { change, adds_items, assumed_absent, unchanged })
    }

    /// Waits for the change of a command, if there is one.
    async fn finish(
        &self,
        caller: &Caller,
        command: &Command,
        decided: Decided,
        committing: Option<Committing<'_>>,
    ) -> Result<Receipt, CommitFailure> {
        let mut receipt = Receipt::default();
        if let Some(committing) = committing {
            match committing.await {
                Ok(done) => {
                    self.unwritable_since.store(0, Ordering::Relaxed);
                    receipt = done;
                    if let Some(scope) = &caller.idempotency {
                        scope.count_commit();
                    }
                    if decided.adds_items {
                        self.negative_cache.clear_tenant(caller.tenant);
                    }
                }
                Err(error) if must_retry(command, &error) => {
                    self.negative_cache.remove_all(caller.tenant, &decided.assumed_absent);
                    return Err(CommitFailure::Outdated);
                }
                Err(error) => {
                    if matches!(error, CommitError::Unavailable(_)) {
                        self.unwritable_since.store(self.clock.now().0, Ordering::Relaxed);
                    }
                    return Err(CommitFailure::Rejected(commit_error(error)));
                }
            }
        }
        receipt.users.extend(decided.unchanged.users);
        receipt.items.extend(decided.unchanged.items);
        Ok(receipt)
    }
}

/// A command after its decision.
struct Decided {
    /// `None` if there is nothing to change.
    change: Option<Change>,
    adds_items: bool,
    assumed_absent: Vec<(ItemKind, ItemKey)>,
    /// What the command leaves as it is, and returns.
    unchanged: Receipt,
}

impl Decided {
    /// A command that an earlier attempt has committed.
    fn committed(receipt: Receipt) -> Self {
        Self { change: None, adds_items: false, assumed_absent: Vec::new(), unchanged: receipt }
    }
}

/// Why a decided command was not carried out.
enum CommitFailure {
    /// It was decided from outdated data: decide again.
    Outdated,
    Rejected(DirectoryError),
}

/// Waits for tasks that run at the same time. All are polled in their order.
async fn join_in_order<T>(tasks: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut tasks: Vec<_> = tasks.map(|task| (Box::pin(task), None)).collect();
    poll_fn(|context| {
        for (task, done) in tasks.iter_mut().filter(|(_, done)| done.is_none()) {
            if let Poll::Ready(result) = task.as_mut().poll(context) {
                *done = Some(result);
            }
        }
        if tasks.iter().all(|(_, done)| done.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    tasks.into_iter().filter_map(|(_, done)| done).collect()
}

/// Whether a decision is outdated: something has changed meanwhile, or another request was first to create a
/// department or organization that this one creates together with a user.
fn must_retry(command: &Command, error: &CommitError) -> bool {
    let command = command.split_version().0;
    let adds_affiliations = matches!(command, Command::CreateUser(_) | Command::UpdateUser { .. });
    let has_client_id = matches!(command, Command::CreateUser(edit) if edit.id.is_some());
    match error {
        // Another process is working on the mail.
        CommitError::Stale => !matches!(command, Command::UpdateMail { .. }),
        CommitError::Taken(Field::IdempotencyKey) => false,
        CommitError::Taken(Field::Id) if has_client_id => false,
        CommitError::Taken(field) => {
            adds_affiliations && !matches!(field, Field::Email | Field::UserName | Field::ExternalId)
        }
        _ => false,
    }
}

fn set_password_hash(mutations: &mut [Mutation], hashed: Option<&PasswordHash>) {
    for mutation in mutations {
        if let Mutation::AddUser { account, .. }
        | Mutation::ChangeUser { account, .. }
        | Mutation::RestoreUser { account, .. } = mutation
        {
            account.password_hash = hashed.cloned();
        }
    }
}
