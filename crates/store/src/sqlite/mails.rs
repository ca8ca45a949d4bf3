//! Mails as rows.

use super::apply_error::{ApplyResult, STALE, map_constraint_error};
use crate::event_row::{EncodedEvent, mail_event, to_json};
use crate::sql;
use directory::{Field, Mail};
use rusqlite::{Connection as Db, params};

pub(super) fn add(db: &Db, mail: &Mail) -> ApplyResult<Option<EncodedEvent>> {
    let added = db.prepare_cached(sql::ADD_MAIL.sqlite)?.execute(params![
        mail.id.as_bytes(),
        mail.tenant.0,
        mail.user.0.as_bytes(),
        mail.due.map(|due| due.0),
        mail.queued.0,
        mail.version,
        to_json(mail)?
    ]);
    map_constraint_error(added.map(|_| 0), Field::Id)?;
    Ok(mail_event(None, Some(mail))?)
}

pub(super) fn change(db: &Db, before: &Mail, after: &Mail) -> ApplyResult<Option<EncodedEvent>> {
    let changed = db.prepare_cached(sql::CHANGE_MAIL.sqlite)?.execute(params![
        after.due.map(|due| due.0),
        after.version,
        to_json(after)?,
        before.id.as_bytes(),
        before.version
    ])?;
    if changed == 0 { Err(STALE) } else { Ok(mail_event(Some(before), Some(after))?) }
}

pub(super) fn remove(db: &Db, mail: &Mail) -> ApplyResult<Option<EncodedEvent>> {
    let key = params![mail.id.as_bytes(), mail.version];
    let removed = db.prepare_cached(sql::REMOVE_MAIL.sqlite)?.execute(key)?;
    if removed == 0 { Err(STALE) } else { Ok(mail_event(Some(mail), None)?) }
}
