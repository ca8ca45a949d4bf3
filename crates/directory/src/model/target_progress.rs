//! What the gateway remembers of a target between requests.

use crate::{
    ArchiveForm, Column, ColumnKind, Expected, Field, Record, Row, RowError, RowReader, RowWrite, Table, TenantNumber,
    Time, Value,
};

/// How far the first synchronization has come, and whether the target is quarantined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetProgress {
    pub tenant: TenantNumber,
    pub target: u32,
    /// Users up to this number were considered; [`crate::RemoteUser`] rows exist for those that the target has or is to
    /// have.
    pub scanned: u32,
    /// Whether the target had no accounts before the first synchronization; `None` before that was checked.
    pub was_empty: Option<bool>,
    /// Since when nothing but probes is sent, because requests fail whatever their content.
    pub quarantined: Option<Time>,
    /// Why.
    pub reason: Option<String>,
    /// Users up to this number, of those that were considered, were considered again after a change of the target's
    /// settings; `None` if all were.
    pub reconsidered: Option<u32>,
}

static TARGET_PROGRESS: Table = Table {
    name: "target_progress",
    columns: &[
        Column::new("tenant", ColumnKind::Int),
        Column::new("target", ColumnKind::Int),
        Column::new("scanned", ColumnKind::Int),
        Column::optional("was_empty", ColumnKind::Int),
        Column::optional("quarantined", ColumnKind::BigInt),
        Column::optional("reason", ColumnKind::Text),
        Column::optional("reconsidered", ColumnKind::Int),
    ],
    key_columns: 2,
    key_field: Field::Id,
    unique: &[],
    archive: ArchiveForm::Rows,
};

impl TargetProgress {
    pub fn new(tenant: TenantNumber, target: u32) -> Self {
        Self { tenant, target, scanned: 0, was_empty: None, quarantined: None, reason: None, reconsidered: None }
    }

    pub fn key(&self) -> Row {
        vec![self.tenant.0.into(), self.target.into()]
    }

    /// Stores how far the scan has come. Fails if another process has moved it.
    pub fn advance_scan(&self, scanned: u32) -> RowWrite {
        let expected = Expected::Row(vec![(2, self.scanned.into())]);
        RowWrite::Update { table: &TARGET_PROGRESS, key: self.key(), values: vec![(2, scanned.into())], expected }
    }

    /// Fails the change that includes it if the scan has been moved.
    pub fn guard_scan(&self) -> RowWrite {
        self.advance_scan(self.scanned)
    }

    /// What a change of the target's settings requires: another place may have accounts, and with another content, the
    /// users that were considered are considered again.
    pub fn after_change(&self, is_other_place: bool, is_other_content: bool) -> Option<RowWrite> {
        let was_empty = is_other_place.then(|| (3, Value::Int(false.into())));
        let reconsidered = is_other_content.then_some((6, Value::Int(0)));
        let values: Vec<_> = was_empty.into_iter().chain(reconsidered).collect();
        (!values.is_empty()).then(|| self.update(values))
    }

    /// Stores how far they were considered again. Fails if that has begun anew, or another process has moved it.
    pub fn advance_reconsidered(&self, next: Option<u32>) -> RowWrite {
        let expected =
            Expected::Row(vec![(2, self.scanned.into()), (6, Value::optional(self.reconsidered.map(i64::from)))]);
        let values = vec![(6, Value::optional(next.map(i64::from)))];
        RowWrite::Update { table: &TARGET_PROGRESS, key: self.key(), values, expected }
    }

    /// Stores whether the target was empty.
    pub fn set_was_empty(&self, was_empty: bool) -> RowWrite {
        self.update(vec![(3, Value::Int(was_empty.into()))])
    }

    pub fn set_quarantine(&self, quarantined: Option<(Time, String)>) -> RowWrite {
        let (since, reason) = quarantined.unzip();
        self.update(vec![(4, Value::optional(since.map(|time| time.0))), (5, Value::optional(reason))])
    }

    /// Lets the scan begin again. The target has accounts.
    pub fn begin_again(&self) -> RowWrite {
        self.update(vec![(2, Value::Int(0)), (3, Value::Int(false.into()))])
    }

    fn update(&self, values: Vec<(usize, Value)>) -> RowWrite {
        RowWrite::Update { table: &TARGET_PROGRESS, key: self.key(), values, expected: Expected::Anything }
    }

    pub fn deletion(&self) -> RowWrite {
        RowWrite::Delete { table: &TARGET_PROGRESS, key: self.key(), expected: Expected::Anything }
    }
}

impl Record for TargetProgress {
    fn table() -> &'static Table {
        &TARGET_PROGRESS
    }

    fn to_row(&self) -> Result<Row, serde_json::Error> {
        Ok(vec![
            self.tenant.0.into(),
            self.target.into(),
            self.scanned.into(),
            Value::optional(self.was_empty.map(i64::from)),
            Value::optional(self.quarantined.map(|time| time.0)),
            Value::optional(self.reason.clone()),
            Value::optional(self.reconsidered.map(i64::from)),
        ])
    }

    fn from_row(row: &[Value]) -> Result<Self, RowError> {
        let reader = RowReader::new(&TARGET_PROGRESS, row);
        Ok(Self {
            tenant: TenantNumber(reader.unsigned(0)?),
            target: reader.unsigned(1)?,
            scanned: reader.unsigned(2)?,
            was_empty: reader.integer(3)?.map(|flag| flag != 0),
            quarantined: reader.integer(4)?.map(Time),
            reason: reader.optional_text(5)?.map(str::to_owned),
            reconsidered: reader.integer(6)?.map(u32::try_from).transpose().unwrap_or(None),
        })
    }
}
