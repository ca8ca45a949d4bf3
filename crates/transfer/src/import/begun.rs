//! What a row says, before anything is asked of the directory, and how it is called in the file.

use super::Scan;
use super::file::{About, Header};
use super::keys::keys_of;
use super::report::Outcome;
use crate::column::Cell;
use crate::column::{Kind, What};
use crate::formats::Row;
use crate::person::CellFault;
use crate::words::in_words;
use directory::{Field, FieldUpdate, ItemKind, Time, User, UserId};
use std::collections::HashMap;

/// A row that was read.
pub(super) struct Begun {
    pub(super) kind: Kind,
    pub(super) row: Row,
    pub(super) said: Said,
}

/// What a row says.
pub(super) enum Said {
    Person(Box<crate::person::Said>),
    /// Of somebody who is there.
    Known(Box<crate::person::Said>, Box<User>),
    /// It is not executed again: its outcome, its user, and the manager who is still to be set.
    Skipped(Outcome, (u32, UserId), Option<String>),
    Item(ItemKind, Box<crate::thing::Said>),
    /// Nothing that could be done.
    Nothing(String),
}

/// Rows in stretches of one kind; roles one by one.
pub(super) fn of_one_kind(rows: Vec<Begun>) -> Vec<Vec<Begun>> {
    let mut all: Vec<Vec<Begun>> = Vec::new();
    for begun in rows {
        let is_role = begun.kind == Kind::Item(ItemKind::Role);
        match all.last_mut() {
            Some(last) if last[0].kind == begun.kind && !is_role => last.push(begun),
            _ => all.push(vec![begun]),
        }
    }
    all
}

/// Reads a row; `None` is an entry of a directory that is not imported.
pub(super) fn begin(
    scan: &Scan,
    twice: &mut HashMap<u64, Option<u64>>,
    row: Row,
    (now, ignores_roles): (Time, bool),
) -> Option<Begun> {
    let kind = match scan.about(&row) {
        About::Kind(kind) => kind,
        About::Other(_) => return None,
        About::Unknown(word) => {
            let said = Said::Nothing(format!("'{word}' is not a kind of row"));
            return Some(Begun { kind: Kind::User, row, said });
        }
    };
    let cells = scan.cells(&row, kind, &mut |_, _, _| {});
    let said = match wrong_columns(kind, &cells).or_else(|| again(kind, &cells, row.number, twice)) {
        Some(why) => Said::Nothing(why),
        None => said(scan, kind, &cells, now),
    };
    let said = match said {
        // Our own exports have the manager as it is stored, which may be a text of another system.
        Said::Person(mut person) if scan.is_own(&row, &cells) => {
            person.keep_manager();
            Said::Person(person)
        }
        said => said,
    };
    let said = match said {
        Said::Person(mut person) if ignores_roles => {
            person.edit.role = FieldUpdate::Keep;
            Said::Person(person)
        }
        said => said,
    };
    drop(cells);
    Some(Begun { kind, row, said })
}

fn said(scan: &Scan, kind: Kind, cells: &[Cell<'_>], now: Time) -> Said {
    match kind {
        Kind::User => match crate::person::read(cells, now) {
            // Nothing is made for somebody who is refused anyway.
            Ok(mut said) => match directory::validate_user_edit(&said.edit) {
                Ok(()) => Said::Person(Box::new(said)),
                Err(refusal) if said.loses_password(&refusal) => Said::Person(Box::new(said)),
                Err(refusal) => Said::Nothing(in_words(&refusal, |field| scan.called(field))),
            },
            Err(faults) => Said::Nothing(scan.said(&faults)),
        },
        Kind::Item(kind) => match crate::thing::read(cells) {
            Ok(said) => Said::Item(kind, Box::new(said)),
            Err(faults) => Said::Nothing(scan.said(&faults)),
        },
    }
}

/// Two columns that mean the same in one row leave open which of them counts.
fn wrong_columns(kind: Kind, cells: &[Cell<'_>]) -> Option<String> {
    for (place, (column, _)) in cells.iter().enumerate() {
        // Of several statements about an account the most restrictive counts.
        if !matches!(column.what, What::Ignored | What::Status | What::State(_))
            && cells[..place].iter().any(|(other, _)| std::ptr::eq(*other, *column))
        {
            return Some(format!("more than one of its cells says {}", column.name));
        }
    }
    let strange = cells.iter().find(|(column, _)| {
        !column.is_of(kind) && kind != Kind::User && column.what != What::Kind && column.what != What::Ignored
    });
    strange
        .filter(|(_, value)| !value.is_null())
        .map(|(column, _)| format!("a {} has no {}", kind.word(), column.name))
}

/// A row that is about somebody of an earlier row.
fn again(kind: Kind, cells: &[Cell<'_>], row: u64, twice: &mut HashMap<u64, Option<u64>>) -> Option<String> {
    let mut why = None;
    for (what, key) in keys_of(kind, cells) {
        match twice.get_mut(&key) {
            Some(Some(before)) => why = why.or(Some(format!("it has the same {what} as row {before}"))),
            Some(first @ None) => *first = Some(row),
            None => {}
        }
    }
    why
}

impl Scan {
    /// What a field is called in the file.
    pub(super) fn called(&self, field: Field) -> String {
        let is_it = |what: What| match what {
            What::Text(of) | What::Entries(of) | What::Moment(of) => of == field,
            What::Links(_) => {
                matches!(field, Field::SocialLinks | Field::CustomLinks | Field::MessagingLinks)
            }
            What::Department => field == Field::Department,
            What::Organisation => field == Field::Organization,
            What::Office => field == Field::Office,
            What::Role => field == Field::Role,
            What::Roles => field == Field::Roles,
            What::Groups => field == Field::Groups,
            What::Folders => field == Field::Folders,
            What::Status => field == Field::Status,
            What::Password | What::PasswordHash | What::LdapPassword => field == Field::Password,
            What::Name => field == Field::Name,
            What::Id => field == Field::Id,
            What::Number => field == Field::Number,
            What::Metadata => field == Field::Metadata,
            What::PostalAddresses => field == Field::PostalAddresses,
            What::Domains => field == Field::Domains,
            What::Offices => field == Field::Addresses,
            What::Entries4Folder => field == Field::Entries,
            What::RestrictedTo => field == Field::RestrictedTo,
            _ => false,
        };
        // The e-mail is needed where there is neither that nor a user name.
        let found = self.header_of(is_it).map(str::to_owned);
        found.unwrap_or_else(|| {
            crate::column::COLUMNS
                .iter()
                .find(|column| is_it(column.what))
                .map_or_else(|| format!("{field:?}"), |column| column.name.to_owned())
        })
    }

    /// A cell's fault, with what its column is called in the file.
    pub(super) fn said(&self, faults: &[CellFault]) -> String {
        let said = |(column, wrong): &CellFault| {
            let is_it = |header: &&Header| header.column.is_some_and(|other| other.what == column.what);
            let headers: Vec<&str> = self.headers.iter().filter(is_it).map(|header| &*header.name).collect();
            let name = if headers.is_empty() { column.name.to_owned() } else { headers.join(" or ") };
            // The file may not mean what its header means here.
            let hint = match (column.what, headers.first()) {
                (What::State(_) | What::Status, Some(header)) => {
                    format!(" (--map '{header}=' ignores the column)")
                }
                _ => String::new(),
            };
            format!("{name} {}{hint}", wrong.0)
        };
        faults.iter().map(said).collect::<Vec<_>>().join("; ")
    }
}
