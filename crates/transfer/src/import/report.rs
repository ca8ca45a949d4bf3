//! What came of an import.

use crate::column::Kind;
use crate::ignored::Ignored;
use serde::Serialize;

/// So many lines are kept of each sort.
const LINES: usize = 200;
/// And so many stretches of rows.
const STRETCHES: usize = 200;

/// How many rows of a kind came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub struct Tally {
    pub created: u64,
    pub changed: u64,
    pub left: u64,
    pub refused: u64,
}

/// Rows, as stretches, and what is said of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lines {
    /// From one row to another, both included.
    pub rows: Vec<(u64, u64)>,
    /// The first of them, with what there is to say.
    pub first: Vec<Line>,
    /// Rows that are not in either list.
    pub more: u64,
}

/// A row and what is said of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The row, as people count it.
    pub row: u64,
    /// What happened to it.
    pub what: String,
}

impl Lines {
    pub(super) fn row(&mut self, row: u64) {
        let has_room = self.rows.len() < STRETCHES;
        match self.rows.last_mut() {
            Some((_, last)) if *last + 1 == row => *last = row,
            _ if has_room => self.rows.push((row, row)),
            _ => self.more += 1,
        }
    }

    pub(super) fn say(&mut self, row: u64, what: String) {
        if self.first.len() < LINES {
            self.first.push(Line { row, what });
        } else {
            self.more += 1;
        }
    }
}

/// What came of an import, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Rows of people.
    pub people: Tally,
    /// Rows of groups, folders, organisations, roles and departments.
    pub items: Tally,
    /// Groups and folders that people are in and that were made for it.
    pub made: u64,
    /// People who were switched off because they are not in the file.
    pub deactivated: u64,
    /// Rows of those who are new.
    pub created: Lines,
    /// Rows of those who were changed, and in what.
    pub changed: Lines,
    /// Rows of those who were left as they are.
    pub left: Lines,
    /// Rows that were refused, and why.
    pub refusals: Lines,
    /// References to users who are in neither the file nor the directory, and their rows. The rows were imported without them.
    pub missing: Lines,
    /// The number of such references.
    pub missing_references: u64,
    /// What the file contains and is not imported.
    pub ignored: Vec<Ignored>,
    /// What else there is to say.
    pub notes: Vec<String>,
}

/// What came of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Created,
    /// In these columns, where they are known.
    Changed(Vec<&'static str>),
    Left,
    Refused(String),
}

impl Report {
    /// All rows.
    pub(super) fn rows(&self) -> u64 {
        [self.people, self.items]
            .iter()
            .map(|tally| tally.created + tally.changed + tally.left + tally.refused)
            .sum()
    }

    /// Rows that were refused.
    pub fn refused(&self) -> u64 {
        self.people.refused + self.items.refused
    }

    /// Whether everything was imported that the file says of its rows.
    pub fn is_complete(&self) -> bool {
        self.refused() == 0 && self.missing_references == 0
    }

    pub(super) fn missing(&mut self, row: u64, what: String) {
        self.missing_references += 1;
        self.missing.say(row, what);
    }

    pub(super) fn note(&mut self, text: impl Into<String>) {
        if self.notes.len() < LINES {
            self.notes.push(text.into());
        }
    }

    pub(super) fn count(&mut self, kind: Kind, row: u64, outcome: &Outcome) {
        let tally = if kind == Kind::User { &mut self.people } else { &mut self.items };
        match outcome {
            Outcome::Created => {
                tally.created += 1;
                self.created.row(row);
            }
            Outcome::Changed(columns) => {
                tally.changed += 1;
                self.changed.row(row);
                if !columns.is_empty() {
                    self.changed.say(row, columns.join(", "));
                }
            }
            Outcome::Left => {
                tally.left += 1;
                self.left.row(row);
            }
            Outcome::Refused(why) => {
                tally.refused += 1;
                self.refusals.say(row, why.clone());
            }
        }
    }
}
