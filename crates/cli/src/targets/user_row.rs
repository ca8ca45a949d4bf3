//! What a target has of one user.

use crate::session::AdminSession;
use crate::users::{find_user, lookup_keys};
use anyhow::bail;
use directory::{Caller, DirectoryError, RemoteUser, RowWrite, Target, Time, UserId};

/// Finds deleted users, too; permanently deleted ones by their id.
pub(super) fn find_id(session: &AdminSession, caller: &Caller, text: &str) -> anyhow::Result<UserId> {
    match find_user(session, caller, text) {
        Ok(user) => Ok(user.id),
        Err(error) => {
            let deleted = session.runtime.block_on(session.directory.deleted_user(caller, &lookup_keys(text)));
            let id = deleted.ok().map(|tombstone| tombstone.user.id);
            id.or_else(|| text.parse().ok().map(UserId)).ok_or(error)
        }
    }
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
