//! What a target has of one user.

use crate::session::AdminSession;
use crate::users::{find_user, lookup_keys};
use anyhow::bail;
use directory::{Caller, DirectoryError, RemoteUser, RowWrite, Target, Time, UserId};

/// Finds deleted users, too; permanently deleted ones by their id, if one of the targets may have their account.
pub(super) fn find_id(
    session: &AdminSession,
    caller: &Caller,
    targets: &[Target],
    text: &str,
) -> anyhow::Result<UserId> {
    let error = match find_user(session, caller, text) {
        Ok(user) => return Ok(user.id),
        Err(error) => error,
    };
    let deleted = session.runtime.block_on(session.directory.deleted_user(caller, &lookup_keys(text)));
    if let Ok(tombstone) = deleted {
        return Ok(tombstone.user.id);
    }
    let Ok(id) = text.parse().map(UserId) else { return Err(error) };
    for target in targets {
        if !session.wait(session.directory.remote_users(caller, target.number, &[id]))?.is_empty() {
            return Ok(id);
        }
    }
    Err(error)
}

/// Writes the row of a user, again if the server changes it meanwhile. Returns whether there was something to write.
pub(super) fn change_row(
    session: &AdminSession,
    caller: &Caller,
    target: &Target,
    user: UserId,
    write: impl Fn(Option<&RemoteUser>, Time) -> anyhow::Result<Option<RowWrite>>,
) -> anyhow::Result<bool> {
    for _ in 0..5 {
        let rows = session.wait(session.directory.remote_users(caller, target.number, &[user]))?;
        let Some(write) = write(rows.get(&user), session.directory.now())? else { return Ok(false) };
        match session.runtime.block_on(session.directory.commit_task_rows(caller, vec![write])) {
            Ok(()) => return Ok(true),
            Err(DirectoryError::Conflict | DirectoryError::Invalid(_)) => {}
            Err(error) => return Err(crate::session::directory_error(error)),
        }
    }
    bail!("the server keeps changing this user; try again")
}
