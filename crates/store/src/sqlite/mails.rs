//! Mails as rows: made, tried, done with.

use super::failure::{Done, STALE, unique};
use crate::sql;
use crate::told::{Told, encode, of_mail};
use directory::{Field, Mail};
use rusqlite::{Connection as Db, params};

pub(super) fn add(db: &Db, mail: &Mail) -> Done<Option<Told>> {
    let added = db.prepare_cached(sql::ADD_MAIL.sqlite)?.execute(params![
        mail.id.as_bytes(),
        mail.tenant.0,
        mail.user.0.as_bytes(),
        mail.due.map(|due| due.0),
        mail.queued.0,
        mail.version,
        encode(mail)?
    ]);
    unique(added.map(|_| 0), Field::Id)?;
    Ok(of_mail(None, Some(mail))?)
}

pub(super) fn change(db: &Db, before: &Mail, after: &Mail) -> Done<Option<Told>> {
    let changed = db.prepare_cached(sql::CHANGE_MAIL.sqlite)?.execute(params![
        after.due.map(|due| due.0),
        after.version,
        encode(after)?,
        before.id.as_bytes(),
        before.version
    ])?;
    if changed == 0 { Err(STALE) } else { Ok(of_mail(Some(before), Some(after))?) }
}

pub(super) fn remove(db: &Db, mail: &Mail) -> Done<Option<Told>> {
    let key = params![mail.id.as_bytes(), mail.version];
    let removed = db.prepare_cached(sql::REMOVE_MAIL.sqlite)?.execute(key)?;
    if removed == 0 { Err(STALE) } else { Ok(of_mail(Some(mail), None)?) }
}
