//! The result of an import.

use crate::column::RecordKind;
use crate::ignored::Ignored;
use serde::Serialize;

/// Messages kept in each list.
const MAX_MESSAGES: usize = 200;
/// Row ranges kept in each list.
const MAX_RANGES: usize = 200;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RowCounts {
    pub created: u64,
    pub changed: u64,
    #[serde(rename = "left")]
    pub unchanged: u64,
    #[serde(rename = "refused")]
    pub rejected: u64,
}

/// Rows with one outcome, as ranges, and messages for the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReportRows {
    /// Inclusive.
    #[serde(rename = "rows")]
    pub ranges: Vec<(u64, u64)>,
    #[serde(rename = "first")]
    pub messages: Vec<RowMessage>,
    /// Rows in neither list.
    #[serde(rename = "more")]
    pub omitted: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowMessage {
    /// As in [`crate::FileError`].
    pub row: u64,
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

/// The result of an import or a dry run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportReport {
    #[serde(rename = "people")]
    pub users: RowCounts,
    /// Counts of rows of groups, folders, organizations, roles and departments.
    pub items: RowCounts,
    /// Groups and folders that were created because rows of users name them.
    #[serde(rename = "made")]
    pub created_items: u64,
    /// Users who were deactivated because they are not in the file.
    pub deactivated: u64,
    pub created: ReportRows,
    /// Messages name the changed columns.
    pub changed: ReportRows,
    #[serde(rename = "left")]
    pub unchanged: ReportRows,
    /// Messages give the reasons.
    #[serde(rename = "refusals")]
    pub rejected: ReportRows,
    /// References to users who are in neither the file nor the directory. Their rows were imported without them.
    #[serde(rename = "missing")]
    pub missing_references: ReportRows,
    #[serde(rename = "missingReferences")]
    pub missing_reference_count: u64,
    /// Parts of the file that were not imported.
    pub ignored: Vec<Ignored>,
    pub notes: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum RowOutcome {
    Created,
    /// With the changed columns, if known.
    Changed(Vec<&'static str>),
    Unchanged,
    Rejected(String),
}

impl ImportReport {
    pub(super) fn row_count(&self) -> u64 {
        [self.users, self.items]
            .iter()
            .map(|counts| counts.created + counts.changed + counts.unchanged + counts.rejected)
            .sum()
    }

    pub fn rejected_count(&self) -> u64 {
        self.users.rejected + self.items.rejected
    }

    /// Whether all rows and references were imported.
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
