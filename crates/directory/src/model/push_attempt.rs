//! A request to a target and how it was answered, kept for some days to explain what happened.

use crate::{
    ArchiveForm, Column, ColumnKind, Expected, Field, Record, Row, RowError, RowQuery, RowReader, RowWrite, Table,
    TenantNumber, Time, UserId, Value,
};
use uuid::Uuid;

/// It has no values of the user and no secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushAttempt {
    pub id: Uuid,
    pub tenant: TenantNumber,
    pub target: u32,
    pub user: UserId,
    pub at: Time,
    /// Such as `create` or `find`.
    pub action: String,
    /// Such as `done` or `rejected`.
    pub outcome: String,
    /// Of the HTTP response, if there was one.
    pub status: Option<u32>,
    pub milliseconds: u32,
    /// What the target said about an error, and the ids that its operator needs to find the request.
    pub detail: Option<String>,
}

static PUSH_ATTEMPTS: Table = Table {
    name: "push_attempts",
    columns: &[
        Column::new("tenant", ColumnKind::Int),
        Column::new("target", ColumnKind::Int),
        Column::new("user_id", ColumnKind::Uuid),
        Column::new("at", ColumnKind::BigInt),
        Column::new("id", ColumnKind::Uuid),
        Column::new("action", ColumnKind::Text),
        Column::new("outcome", ColumnKind::Text),
        Column::optional("status", ColumnKind::Int),
        Column::new("milliseconds", ColumnKind::Int),
        Column::optional("detail", ColumnKind::Text),
    ],
    key_columns: 5,
    key_field: Field::Id,
    unique: &[],
    archive: ArchiveForm::Rows,
};
const BY_TIME: &[usize] = &[3, 0, 1, 2, 4];

impl PushAttempt {
    /// Attempts for a user, oldest first.
    pub fn of_user((tenant, target): (TenantNumber, u32), user: UserId) -> RowQuery {
        PUSH_ATTEMPTS.all().equal(vec![tenant.0.into(), target.into(), user.0.into()])
    }

    /// Attempts of a target, to delete them with it.
    pub fn of_target((tenant, target): (TenantNumber, u32), limit: u32) -> RowQuery {
        PUSH_ATTEMPTS.all().equal(vec![tenant.0.into(), target.into()]).limit(limit)
    }

    /// Attempts of all tenants up to a time, oldest first.
    pub fn until(time: Time, limit: u32) -> RowQuery {
        PUSH_ATTEMPTS.ordered_by(BY_TIME).up_to(time.0.into()).limit(limit)
    }

    pub fn insert(&self) -> Result<RowWrite, serde_json::Error> {
        Ok(RowWrite::Insert(&PUSH_ATTEMPTS, self.to_row()?))
    }

    pub fn deletion(&self) -> RowWrite {
        let [tenant, target] = [self.tenant.0.into(), self.target.into()];
        let key = vec![tenant, target, self.user.0.into(), self.at.0.into(), self.id.into()];
        RowWrite::Delete { table: &PUSH_ATTEMPTS, key, expected: Expected::Anything }
    }
}

impl Record for PushAttempt {
    fn table() -> &'static Table {
        &PUSH_ATTEMPTS
    }

    fn to_row(&self) -> Result<Row, serde_json::Error> {
        Ok(vec![
            self.tenant.0.into(),
            self.target.into(),
            self.user.0.into(),
            self.at.0.into(),
            self.id.into(),
            self.action.clone().into(),
            self.outcome.clone().into(),
            Value::optional(self.status.map(i64::from)),
            self.milliseconds.into(),
            Value::optional(self.detail.clone()),
        ])
    }

    fn from_row(row: &[Value]) -> Result<Self, RowError> {
        let reader = RowReader::new(&PUSH_ATTEMPTS, row);
        Ok(Self {
            tenant: TenantNumber(reader.unsigned(0)?),
            target: reader.unsigned(1)?,
            user: UserId(reader.uuid(2)?),
            at: Time(reader.integer(3)?.unwrap_or(0)),
            id: reader.uuid(4)?,
            action: reader.text(5)?.to_owned(),
            outcome: reader.text(6)?.to_owned(),
            status: reader.integer(7)?.and_then(|status| u32::try_from(status).ok()),
            milliseconds: reader.unsigned(8)?,
            detail: reader.optional_text(9)?.map(str::to_owned),
        })
    }
}
