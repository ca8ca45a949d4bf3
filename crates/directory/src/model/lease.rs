//! Leases: a task that must run in one process at a time runs in the process that holds its lease.

use crate::{
    ArchiveForm, Column, ColumnKind, Expected, Field, Record, Row, RowError, RowReader, RowWrite, Table, Time,
};
use uuid::Uuid;

/// The right of a process to carry out a task, until a time.
///
/// By the clock of the process, so the clocks of all processes must agree to a fraction of the duration. A holder may
/// not notice at once that its lease has expired. Writes that include [`Lease::guard`] fail as soon as another process
/// has acquired it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub name: String,
    pub holder: Uuid,
    /// Grows with each acquisition that is not a renewal.
    pub epoch: u32,
    pub until: Time,
}

static LEASES: Table = Table {
    name: "task_leases",
    columns: &[
        Column::new("name", ColumnKind::Text),
        Column::new("holder", ColumnKind::Uuid),
        Column::new("epoch", ColumnKind::Int),
        Column::new("until", ColumnKind::BigInt),
    ],
    key_columns: 1,
    key_field: Field::Name,
    unique: &[],
    archive: ArchiveForm::Omitted,
};
/// How far the clocks of two processes may differ.
const MAX_CLOCK_DIFFERENCE_SECONDS: i64 = 2 * 60;

const HOLDER: usize = 1;
const EPOCH: usize = 2;
const UNTIL: usize = 3;

impl Lease {
    pub fn is_held(&self, now: Time) -> bool {
        now < self.until
    }

    /// The lease after the holder has renewed it for some seconds, or another process has taken it over; `None` if another
    /// process holds it.
    pub(crate) fn next(stored: Option<&Self>, name: &str, holder: Uuid, now: Time, seconds: i64) -> Option<Self> {
        let until = now.plus_seconds(seconds);
        // A lease that ends later was acquired by a process whose clock was wrong.
        let is_held =
            |lease: &Self| lease.is_held(now) && lease.until <= until.plus_seconds(MAX_CLOCK_DIFFERENCE_SECONDS);
        let epoch = match stored {
            None => 1,
            Some(lease) if is_held(lease) && lease.holder == holder => lease.epoch,
            Some(lease) if is_held(lease) => return None,
            Some(lease) => lease.epoch.saturating_add(1),
        };
        Some(Self { name: name.to_owned(), holder, epoch, until })
    }

    /// Writes this lease in place of the stored one. Fails if another process was first.
    pub(crate) fn replace(&self, stored: Option<&Self>) -> Result<RowWrite, serde_json::Error> {
        let Some(stored) = stored else { return Ok(RowWrite::Insert(&LEASES, self.to_row()?)) };
        let values = vec![(HOLDER, self.holder.into()), (EPOCH, self.epoch.into()), (UNTIL, self.until.0.into())];
        let expected = Expected::Row(vec![(EPOCH, stored.epoch.into()), (UNTIL, stored.until.0.into())]);
        Ok(RowWrite::Update { table: &LEASES, key: vec![self.name.clone().into()], values, expected })
    }

    pub(crate) fn delete(&self) -> RowWrite {
        let expected = Expected::Row(vec![(EPOCH, self.epoch.into()), (UNTIL, self.until.0.into())]);
        RowWrite::Delete { table: &LEASES, key: vec![self.name.clone().into()], expected }
    }

    /// Fails the change that includes it if another process has taken the lease over.
    pub fn guard(&self) -> RowWrite {
        let values = vec![(HOLDER, self.holder.into())];
        let expected = Expected::Row(vec![(EPOCH, self.epoch.into()), (HOLDER, self.holder.into())]);
        RowWrite::Update { table: &LEASES, key: vec![self.name.clone().into()], values, expected }
    }
}

impl Record for Lease {
    fn table() -> &'static Table {
        &LEASES
    }

    fn to_row(&self) -> Result<Row, serde_json::Error> {
        Ok(vec![self.name.clone().into(), self.holder.into(), self.epoch.into(), self.until.0.into()])
    }

    fn from_row(row: &[crate::Value]) -> Result<Self, RowError> {
        let reader = RowReader::new(&LEASES, row);
        let number = |column| Ok::<_, RowError>(reader.integer(column)?.unwrap_or(0));
        Ok(Self {
            name: reader.text(0)?.to_owned(),
            holder: reader.uuid(HOLDER)?,
            epoch: u32::try_from(number(EPOCH)?).unwrap_or(0),
            until: Time(number(UNTIL)?),
        })
    }
}
