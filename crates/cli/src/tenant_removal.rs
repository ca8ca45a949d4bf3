//! `muster tenant delete`: deletes a tenant and all its data, except its history and its revoked connections.
//!
//! The tenant is marked first, so that commands and pages no longer find it; the rest is deleted in steps. An
//! interrupted removal resumes when the command is run again.

use crate::output::Output;
use crate::session::{AdminSession, directory_error, operator_caller};
use anyhow::{Context, bail};
use directory::{
    Caller, Command, Directory, DirectoryError, ItemKey, ItemKind, ItemQuery, TenantEdit, TenantNumber, UserKey,
    UserQuery,
};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Concurrent commands, which share commits.
const MAX_CONCURRENT: u32 = 256;
/// Time until all servers know that a connection is revoked.
const REVOCATION_DELAY: Duration = Duration::from_millis(1_500);

pub(crate) fn remove(session: &AdminSession, number: u32, confirmed: bool, output: Output) -> anyhow::Result<()> {
    let caller = operator_caller(TenantNumber(number));
    let found = session.runtime.block_on(session.directory.tenant_or_removed(&caller));
    let tenant = match found {
        Err(DirectoryError::NoSuchTenant) => bail!("there is no tenant {number} (see `muster tenant list`)"),
        found => found.map_err(directory_error)?,
    };
    if !confirmed {
        let query = UserQuery { limit: 1, ..UserQuery::default() };
        let users = session.wait(session.directory.find_users(&caller, query))?.total;
        bail!(
            "this would permanently delete tenant {number} ({}) with its users ({users}) and groups, and revoke its connections; to confirm, add --yes",
            tenant.name
        );
    }
    let removed = session.wait(remove_all(&session.directory, &caller));
    let Removed { users, items, revoked_connections } =
        removed.context("the deletion is incomplete; run the command again")?;
    let document = json!({
        "number": number, "name": tenant.name, "removed": true, "users": users, "items": items,
        "connections": revoked_connections,
    });
    output.result(&document, || {
        format!(
            "Deleted tenant {number} ({}): users {users}, groups and other items {items}, revoked \
             connections {revoked_connections}. Its history remains (`muster audit show --tenant {number}`).",
            tenant.name
        )
    });
    Ok(())
}

/// Numbers of deleted or revoked records.
#[derive(Default)]
struct Removed {
    users: u64,
    items: u64,
    revoked_connections: u64,
}

/// Deletes everything. Repeats until a pass finds nothing, since requests in progress can create more.
async fn remove_all(directory: &Arc<Directory>, caller: &Caller) -> Result<Removed, DirectoryError> {
    directory.run(caller, Command::UpdateTenant(TenantEdit { remove: true, ..TenantEdit::default() })).await?;
    let mut removed = Removed::default();
    for pass in 1.. {
        let connections = directory.connections(caller).await?;
        let active_ids = connections.iter().filter(|connection| !connection.revoked).map(|connection| connection.id);
        let revoked = run_concurrently(directory, caller, active_ids.map(Command::RevokeConnection)).await?;
        if pass == 1 {
            tokio::time::sleep(REVOCATION_DELAY).await;
        }
        let users = delete_users(directory, caller).await?;
        let mut items = 0;
        for kind in ItemKind::ALL {
            items += self::delete_items(directory, caller, kind).await?;
        }
        let purged = purge_deleted_users(directory, caller).await?;
        let rows = directory.delete_rows_of_tenant(caller.tenant).await?;
        removed.users += users;
        removed.items += items;
        removed.revoked_connections += revoked;
        if revoked + users + items + purged + rows == 0 {
            break;
        }
    }
    Ok(removed)
}

async fn purge_deleted_users(directory: &Arc<Directory>, caller: &Caller) -> Result<u64, DirectoryError> {
    let mut count = 0;
    loop {
        let page = directory.deleted_users(caller, 0, MAX_CONCURRENT).await?;
        let numbers = page.iter().map(|deleted| UserKey::Number(deleted.user.number));
        match run_page(directory, caller, numbers.map(Command::PurgeUser)).await? {
            0 => return Ok(count),
            purged => count += purged,
        }
    }
}

async fn delete_users(directory: &Arc<Directory>, caller: &Caller) -> Result<u64, DirectoryError> {
    let mut count = 0;
    loop {
        let query = UserQuery { limit: MAX_CONCURRENT, ..UserQuery::default() };
        let page = directory.find_users(caller, query).await?;
        let ids = page.rows.iter().map(|user| UserKey::Id(user.id));
        match run_page(directory, caller, ids.map(Command::DeleteUser)).await? {
            0 => return Ok(count),
            deleted => count += deleted,
        }
    }
}

async fn delete_items(directory: &Arc<Directory>, caller: &Caller, kind: ItemKind) -> Result<u64, DirectoryError> {
    let mut count = 0;
    loop {
        let query = ItemQuery { limit: MAX_CONCURRENT, ..ItemQuery::all(kind) };
        let page = directory.find_items(caller, query).await?;
        let keys = page.rows.iter().map(|item| ItemKey::Id(item.id()));
        match run_page(directory, caller, keys.map(|item| Command::DeleteItem { kind, item })).await? {
            0 => return Ok(count),
            deleted => count += deleted,
        }
    }
}

/// Runs the commands of a page and returns how many succeeded: 0 only for an empty page. Returns the first error, and
/// [`DirectoryError::Conflict`] if no command succeeded.
async fn run_page(
    directory: &Arc<Directory>,
    caller: &Caller,
    commands: impl Iterator<Item = Command>,
) -> Result<u64, DirectoryError> {
    let mut commands = commands.peekable();
    let is_empty = commands.peek().is_none();
    match run_concurrently(directory, caller, commands).await? {
        0 if !is_empty => Err(DirectoryError::Conflict),
        done => Ok(done),
    }
}

/// Runs commands concurrently and returns how many succeeded.
async fn run_concurrently(
    directory: &Arc<Directory>,
    caller: &Caller,
    commands: impl Iterator<Item = Command>,
) -> Result<u64, DirectoryError> {
    let mut tasks = JoinSet::new();
    for command in commands {
        let (directory, caller) = (Arc::clone(directory), caller.clone());
        tasks.spawn(async move { directory.run(&caller, command).await });
    }
    let mut succeeded = 0;
    while let Some(result) = tasks.join_next().await {
        match result {
            Ok(Ok(_)) => succeeded += 1,
            // Another process did it, or the next page does.
            Ok(Err(
                DirectoryError::Conflict
                | DirectoryError::NoSuchUser
                | DirectoryError::NoSuchItem(_)
                | DirectoryError::NoSuchConnection,
            )) => {}
            Ok(Err(refusal)) => return Err(refusal),
            Err(error) => return Err(DirectoryError::Internal(error.to_string())),
        }
    }
    Ok(succeeded)
}
