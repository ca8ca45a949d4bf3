//! An import that was interrupted and is executed again. What others have changed since it was begun first is newer than its
//! file, so it is not undone.

use super::report::Outcome;
use super::rows::Job;
use crate::person::Said;
use directory::{Caller, Directory, Position, Refusal, Time, User, identifier_key};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

/// Deleted users that are read at a time.
const PAGE: u32 = 1_000;

/// What has happened since an import was begun first.
pub(super) struct Resumed {
    begun: Time,
    deleted: HashSet<Identifier>,
    /// Users who were changed by others.
    pub(super) left: AtomicU64,
}

/// What a deleted user was known by.
#[derive(PartialEq, Eq, Hash)]
enum Identifier {
    Id(directory::UserId),
    ExternalId(String),
    /// An email or user name, as it is compared.
    Name(String),
}

impl Resumed {
    pub(super) async fn load(directory: &Directory, caller: &Caller, begun: Time) -> Result<Self, Refusal> {
        let (mut deleted, mut after) = (HashSet::new(), 0);
        loop {
            let page = directory.all_deleted(caller, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.user.number;
            for user in page.into_iter().filter(|stone| stone.deleted >= begun).map(|stone| stone.user) {
                deleted.extend(user.email().map(|email| Identifier::Name(identifier_key(email))));
                deleted.insert(Identifier::Name(identifier_key(&user.user_name)));
                deleted.insert(Identifier::Id(user.id));
                deleted.extend(user.external_id.map(Identifier::ExternalId));
            }
        }
        Ok(Self { begun, deleted, left: AtomicU64::new(0) })
    }

    /// Whether something happened after the import was begun first.
    pub(super) fn is_since(&self, time: Time) -> bool {
        time >= self.begun
    }

    /// Whether a row is about a user who was deleted since.
    pub(super) fn is_deleted(&self, said: &Said) -> bool {
        let names = [&said.email, &said.user_name].into_iter().flatten();
        let mut identifiers = names.map(|name| Identifier::Name(identifier_key(name)));
        identifiers.any(|name| self.deleted.contains(&name))
            || said.id.is_some_and(|id| self.deleted.contains(&Identifier::Id(id)))
            || said.external_id.clone().is_some_and(|id| self.deleted.contains(&Identifier::ExternalId(id)))
    }

    /// What came of the row of a user who was changed since: it was executed already, or others have changed them, who are
    /// not overruled. Nothing if the row is still to be executed.
    pub(super) async fn outcome(&self, job: &Job<'_>, user: &User) -> Result<Option<Outcome>, Refusal> {
        if !self.is_since(user.updated) {
            return Ok(None);
        }
        let mut after = Some(Position(0));
        while let Some(from) = after {
            let (events, next) = job.directory.history(job.caller, user.id, from).await?;
            let is_own = |event: &directory::Event| {
                self.is_since(event.what.at) && event.what.request == job.caller.request
            };
            if events.iter().any(is_own) {
                let is_new = self.is_since(user.created);
                return Ok(Some(if is_new { Outcome::Created } else { Outcome::Changed(Vec::new()) }));
            }
            after = next;
        }
        self.left.fetch_add(1, Ordering::Relaxed);
        Ok(Some(Outcome::Left))
    }
}
