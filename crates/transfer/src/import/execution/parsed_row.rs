//! Rows before the directory is queried, and the names of fields in the file.

use crate::column::{ColumnCell, ColumnKind, RecordKind};
use crate::formats::Row;
use crate::import::Scan;
use crate::import::report::RowOutcome;
use crate::import::scan::keys::row_keys;
use crate::import::scan::{Header, RowSubject};
use crate::messages::error_message_with;
use crate::user_row::InvalidCell;
use directory::{Field, FieldUpdate, ItemKind, Time, User, UserId};
use std::collections::HashMap;

pub(crate) struct ParsedRow {
    pub(crate) kind: RecordKind,
    pub(crate) row: Row,
    pub(crate) content: RowContent,
}

pub(crate) enum RowContent {
    User(Box<crate::user_row::UserRow>),
    /// A row that matches an existing user.
    ExistingUser(Box<crate::user_row::UserRow>, Box<User>),
    /// Not executed again: the outcome, the user, and a manager that is still to be set.
    Skipped(RowOutcome, (u32, UserId), Option<String>),
    Item(ItemKind, Box<crate::item_row::ItemRow>),
    Rejected(String),
}

/// Groups consecutive rows of one kind. Each role is a group of its own.
pub(crate) fn group_by_kind(rows: Vec<ParsedRow>) -> Vec<Vec<ParsedRow>> {
    let mut all: Vec<Vec<ParsedRow>> = Vec::new();
    for row in rows {
        let is_role = row.kind == RecordKind::Item(ItemKind::Role);
        match all.last_mut() {
            Some(last) if last[0].kind == row.kind && !is_role => last.push(row),
            _ => all.push(vec![row]),
        }
    }
    all
}

/// Parses a row; `None` for LDAP entries that are not imported.
pub(crate) fn parse_row(
    scan: &Scan,
    duplicate_keys: &mut HashMap<u64, Option<u64>>,
    row: Row,
    (now, ignores_roles): (Time, bool),
) -> Option<ParsedRow> {
    let kind = match scan.subject(&row) {
        RowSubject::Kind(kind) => kind,
        RowSubject::NotImported(_) => return None,
        RowSubject::Unknown(word) => {
            let reason = format!("'{word}' is not a kind (user, group, folder, organisation, department or role)");
            let content = RowContent::Rejected(reason);
            return Some(ParsedRow { kind: RecordKind::User, row, content });
        }
    };
    let cells = scan.cells(&row, kind, &mut |_, _, _| {});
    let content =
        match check_columns(kind, &cells).or_else(|| check_duplicate(kind, &cells, row.number, duplicate_keys)) {
            Some(reason) => RowContent::Rejected(reason),
            None => parse_content(scan, kind, &cells, now),
        };
    let content = match content {
        // Exports of Muster have the stored manager, which may be a text of another system.
        RowContent::User(mut user) if scan.is_exported_user(&row, &cells) => {
            user.set_manager_verbatim();
            RowContent::User(user)
        }
        content => content,
    };
    let content = match content {
        RowContent::User(mut user) if ignores_roles => {
            user.edit.role = FieldUpdate::Keep;
            RowContent::User(user)
        }
        content => content,
    };
    drop(cells);
    Some(ParsedRow { kind, row, content })
}

fn parse_content(scan: &Scan, kind: RecordKind, cells: &[ColumnCell<'_>], now: Time) -> RowContent {
    match kind {
        RecordKind::User => match crate::user_row::parse(cells, now) {
            // Validate early, so that no items are created for a row that is rejected anyway.
            Ok(mut content) => match directory::validate_user_edit(&content.edit) {
                Ok(()) => RowContent::User(Box::new(content)),
                Err(error) if content.drop_rejected_password(&error) => RowContent::User(Box::new(content)),
                Err(error) => RowContent::Rejected(error_message_with(&error, |field| scan.header_of_field(field))),
            },
            Err(errors) => RowContent::Rejected(scan.describe_invalid_cells(&errors)),
        },
        RecordKind::Item(kind) => match crate::item_row::parse(cells) {
            Ok(content) => RowContent::Item(kind, Box::new(content)),
            Err(errors) => RowContent::Rejected(scan.describe_invalid_cells(&errors)),
        },
    }
}

/// Rejects rows with several values for one column, or with a value for a column of another kind.
fn check_columns(kind: RecordKind, cells: &[ColumnCell<'_>]) -> Option<String> {
    for (place, (column, _)) in cells.iter().enumerate() {
        // Of several states of an account, the most restrictive applies.
        if !matches!(column.kind, ColumnKind::Ignored | ColumnKind::Status | ColumnKind::AccountState(_))
            && cells[..place].iter().any(|(other, _)| std::ptr::eq(*other, *column))
        {
            return Some(format!("the row has several values for '{}'", column.name));
        }
    }
    let other_column = cells.iter().find(|(column, _)| {
        !column.applies_to(kind)
            && kind != RecordKind::User
            && column.kind != ColumnKind::RecordKind
            && column.kind != ColumnKind::Ignored
    });
    other_column
        .filter(|(_, value)| !value.is_null())
        .map(|(column, _)| format!("rows of kind '{}' have no '{}'", kind.as_str(), column.name))
}

/// Rejects a row that has a key of an earlier row.
fn check_duplicate(
    kind: RecordKind,
    cells: &[ColumnCell<'_>],
    row: u64,
    duplicate_keys: &mut HashMap<u64, Option<u64>>,
) -> Option<String> {
    let mut reason = None;
    for (column_kind, key) in row_keys(kind, cells) {
        match duplicate_keys.get_mut(&key) {
            Some(Some(before)) => {
                reason = reason.or(Some(format!("same {column_kind} as row {before}")));
            }
            Some(first @ None) => *first = Some(row),
            None => {}
        }
    }
    reason
}

impl Scan {
    /// The header of a field in the file, or the name of its column.
    pub(crate) fn header_of_field(&self, field: Field) -> String {
        let found = self.header_name(|kind: ColumnKind| kind.holds(field)).map(str::to_owned);
        found.unwrap_or_else(|| crate::column::column_of_field(field))
    }

    /// The text of invalid cells, with their headers in the file.
    pub(crate) fn describe_invalid_cells(&self, errors: &[InvalidCell]) -> String {
        let content = |(column, wrong): &InvalidCell| {
            let matches_field = |header: &&Header| header.column.is_some_and(|other| other.kind == column.kind);
            let headers: Vec<&str> = self.headers.iter().filter(matches_field).map(|header| &*header.name).collect();
            let name = if headers.is_empty() { column.name.to_owned() } else { headers.join("' or '") };
            // The header may have another meaning in this file.
            let hint = match (column.kind, headers.first()) {
                (ColumnKind::AccountState(_) | ColumnKind::Status, Some(header)) => {
                    format!(" (--map '{header}=' ignores the column)")
                }
                _ => String::new(),
            };
            format!("'{name}' {}{hint}", wrong.0)
        };
        errors.iter().map(content).collect::<Vec<_>>().join("; ")
    }
}
