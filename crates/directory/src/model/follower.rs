//! Followers of events: tasks that carry out something for each event, once.

use crate::{
    ArchiveForm, Column, ColumnKind, EventPosition, Expected, Field, Record, Row, RowError, RowReader, RowWrite, Table,
};

/// A follower, and the last event that it has handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    pub name: String,
    pub position: EventPosition,
}

static FOLLOWERS: Table = Table {
    name: "followers",
    columns: &[Column::new("name", ColumnKind::Text), Column::new("position", ColumnKind::BigInt)],
    key_columns: 1,
    key_field: Field::Name,
    unique: &[],
    // Positions of another store mean nothing.
    archive: ArchiveForm::Omitted,
};

impl Follower {
    /// Fails the change that includes it if the position has changed.
    pub fn guard(&self) -> RowWrite {
        self.advance_to(self.position)
    }

    /// Stores a new position. Fails if another process has stored one.
    pub(crate) fn advance_to(&self, position: EventPosition) -> RowWrite {
        let stored = |position: EventPosition| i64::try_from(position.0).unwrap_or(i64::MAX).into();
        let (key, expected) = (vec![self.name.clone().into()], Expected::Row(vec![(1, stored(self.position))]));
        RowWrite::Update { table: &FOLLOWERS, key, values: vec![(1, stored(position))], expected }
    }
}

impl Record for Follower {
    fn table() -> &'static Table {
        &FOLLOWERS
    }

    fn to_row(&self) -> Result<Row, serde_json::Error> {
        let position = i64::try_from(self.position.0).unwrap_or(i64::MAX);
        Ok(vec![self.name.clone().into(), position.into()])
    }

    fn from_row(row: &[crate::Value]) -> Result<Self, RowError> {
        let reader = RowReader::new(&FOLLOWERS, row);
        let position = u64::try_from(reader.integer(1)?.unwrap_or(0)).unwrap_or(0);
        Ok(Self { name: reader.text(0)?.to_owned(), position: EventPosition(position) })
    }
}
