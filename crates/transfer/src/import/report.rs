//! What came of an import.

use crate::column::RecordKind;
use crate::ignored::Ignored;
use serde::Serialize;

/// So many lines are kept of each sort.
const MAX_MESSAGES: usize = 200;
/// And so many stretches of rows.
const MAX_RANGES: usize = 200;

/// How many rows of a kind came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub struct RowCounts {
    pub created: u64,
    pub changed: u64,
    #[serde(rename = "left")]
    pub unchanged: u64,
    #[serde(rename = "refused")]
    pub rejected: u64,
}

/// Rows, as stretches, and what is said of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReportRows {
    /// From one row to another, both included.
    #[serde(rename = "rows")]
    pub ranges: Vec<(u64, u64)>,
    /// The first of them, with what there is to say.
    #[serde(rename = "first")]
    pub messages: Vec<RowMessage>,
    /// Rows that are not in either list.
    #[serde(rename = "more")]
    pub omitted: u64,
}

/// A row and what is said of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowMessage {
    /// The row, as people count it.
    pub row: u64,
    /// What happened to it.
    #[serde(rename = "what")]
    pub message: String,
}

impl ReportRows {
    pub(super) fn add_row(&mut self, row: u64) {
        let has_room = self.ranges.len() < MAX_RANGES;
        match self.ranges.last_mut() {
            Some((_, last)) if *last + 1 == row => *last = row,
            _ if has_room => self.ranges.push((row, row)),
            _ => self.omitted += 1,
        }
    }

    pub(super) fn add_message(&mut self, row: u64, message: String) {
        if self.messages.len() < MAX_MESSAGES {
            self.messages.push(RowMessage { row, message });
        } else {
            self.omitted += 1;
        }
    }
}

/// What came of an import, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportReport {
    /// Rows of people.
    #[serde(rename = "people")]
    pub users: RowCounts,
    /// Rows of groups, folders, organisations, roles and departments.
    pub items: RowCounts,
    /// Groups and folders that people are in and that were made for it.
    #[serde(rename = "made")]
    pub created_items: u64,
    /// People who were switched off because they are not in the file.
    pub deactivated: u64,
    /// Rows of those who are new.
    pub created: ReportRows,
    /// Rows of those who were changed, and in what.
    pub changed: ReportRows,
    /// Rows of those who were left as they are.
    #[serde(rename = "left")]
    pub unchanged: ReportRows,
    /// Rows that were refused, and why.
    #[serde(rename = "refusals")]
    pub rejected: ReportRows,
    /// References to users who are in neither the file nor the directory, and their rows. The rows were imported without them.
    #[serde(rename = "missing")]
    pub missing_references: ReportRows,
    /// The number of such references.
    #[serde(rename = "missingReferences")]
    pub missing_reference_count: u64,
    /// What the file contains and is not imported.
    pub ignored: Vec<Ignored>,
    /// What else there is to say.
    pub notes: Vec<String>,
}

/// What came of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RowOutcome {
    Created,
    /// In these columns, where they are known.
    Changed(Vec<&'static str>),
    Unchanged,
    Rejected(String),
}

impl ImportReport {
    /// All rows.
    pub(super) fn row_count(&self) -> u64 {
        [self.users, self.items]
            .iter()
            .map(|counts| counts.created + counts.changed + counts.unchanged + counts.rejected)
            .sum()
    }

    /// Rows that were refused.
    pub fn rejected_count(&self) -> u64 {
        self.users.rejected + self.items.rejected
    }

    /// Whether everything was imported that the file says of its rows.
    pub fn is_complete(&self) -> bool {
        self.rejected_count() == 0 && self.missing_reference_count == 0
    }

    pub(super) fn add_missing_reference(&mut self, row: u64, message: String) {
        self.missing_reference_count += 1;
        self.missing_references.add_message(row, message);
    }

    pub(super) fn add_note(&mut self, text: impl Into<String>) {
        if self.notes.len() < MAX_MESSAGES {
            self.notes.push(text.into());
        }
    }

    pub(super) fn add_outcome(&mut self, kind: RecordKind, row: u64, outcome: &RowOutcome) {
        let counts = if kind == RecordKind::User { &mut self.users } else { &mut self.items };
        match outcome {
            RowOutcome::Created => {
                counts.created += 1;
                self.created.add_row(row);
            }
            RowOutcome::Changed(columns) => {
                counts.changed += 1;
                self.changed.add_row(row);
                if !columns.is_empty() {
                    self.changed.add_message(row, columns.join(", "));
                }
            }
            RowOutcome::Unchanged => {
                counts.unchanged += 1;
                self.unchanged.add_row(row);
            }
            RowOutcome::Rejected(reason) => {
                counts.rejected += 1;
                self.rejected.add_message(row, reason.clone());
            }
        }
    }
}
