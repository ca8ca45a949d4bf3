//! Security events (failed sign-ins, invalid keys, rejected requests, exports and downloads), counted by minute. They are not part of the
//! history: an attacker could fill it.

use crate::{
    ArchiveForm, Column, ColumnKind, Field, Record, Row, RowError, RowQuery, RowReader, RowWrite, Table, TenantNumber,
    Time, UserId, Value,
};
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, strum::EnumIter)]
pub enum SecurityKind {
    /// A failed sign-in.
    SignIn,
    /// A key that is missing, unknown, expired, revoked or of another tenant.
    InvalidKey,
    /// A request that its connection may not send, or too many of them.
    Rejected,
    /// An export that was started.
    Export,
    /// Another file that was downloaded.
    Download,
}

impl SecurityKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::InvalidKey => "invalid-key",
            Self::Rejected => "rejected",
            Self::Export => "export",
            Self::Download => "download",
        }
    }

    fn code(self) -> u32 {
        match self {
            Self::SignIn => 1,
            Self::InvalidKey => 2,
            Self::Rejected => 3,
            Self::Export => 4,
            Self::Download => 5,
        }
    }

    fn from_code(code: i64) -> Option<Self> {
        [Self::SignIn, Self::InvalidKey, Self::Rejected, Self::Export, Self::Download]
            .into_iter()
            .find(|kind| i64::from(kind.code()) == code)
    }
}

/// What happened, without when and how often.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecurityEvent {
    /// [`crate::Caller::NO_TENANT`] if the request has none.
    pub tenant: TenantNumber,
    pub kind: SecurityKind,
    /// Name of the connection, or address of the client; empty for the sum of many.
    pub source: String,
    pub reason: String,
    /// The user whose login was typed. What was typed is not stored: people type passwords into the wrong field.
    pub user: Option<UserId>,
}

/// How often something happened in one minute in one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityRecord {
    pub id: Uuid,
    /// The start of the minute.
    pub minute: Time,
    pub event: SecurityEvent,
    pub count: u32,
}

static SECURITY_RECORDS: Table = Table {
    name: "security_records",
    columns: &[
        Column::new("tenant", ColumnKind::Int),
        Column::new("minute", ColumnKind::BigInt),
        Column::new("id", ColumnKind::Uuid),
        Column::new("kind", ColumnKind::Int),
        Column::new("source", ColumnKind::Text),
        Column::new("reason", ColumnKind::Text),
        Column::optional("user_id", ColumnKind::Uuid),
        Column::new("count", ColumnKind::Int),
    ],
    key_columns: 3,
    key_field: Field::Id,
    unique: &[],
    archive: ArchiveForm::Rows,
};
const RECORDS_BY_MINUTE: &[usize] = &[1, 0, 2];

impl SecurityRecord {
    /// Records of a tenant from a time on, oldest first.
    pub fn since(tenant: TenantNumber, start: Time, limit: u32) -> RowQuery {
        let after = vec![(start.0 - 1).into(), Value::Uuid(Uuid::max())];
        SECURITY_RECORDS.all().equal(vec![tenant.0.into()]).after(after).limit(limit)
    }

    /// Records of a tenant after another one.
    pub fn after(&self, limit: u32) -> RowQuery {
        let after = vec![self.minute.0.into(), self.id.into()];
        SECURITY_RECORDS.all().equal(vec![self.event.tenant.0.into()]).after(after).limit(limit)
    }

    /// Records of all tenants up to a time, oldest first.
    pub fn until(time: Time, limit: u32) -> RowQuery {
        SECURITY_RECORDS.ordered_by(RECORDS_BY_MINUTE).up_to(time.0.into()).limit(limit)
    }

    /// Deletes the row.
    pub fn deletion(&self) -> RowWrite {
        let key = vec![self.event.tenant.0.into(), self.minute.0.into(), self.id.into()];
        RowWrite::Delete { table: &SECURITY_RECORDS, key, expected: crate::Expected::Anything }
    }
}

impl Record for SecurityRecord {
    fn table() -> &'static Table {
        &SECURITY_RECORDS
    }

    fn to_row(&self) -> Result<Row, serde_json::Error> {
        let SecurityEvent { tenant, kind, source, reason, user } = &self.event;
        Ok(vec![
            tenant.0.into(),
            self.minute.0.into(),
            self.id.into(),
            kind.code().into(),
            source.clone().into(),
            reason.clone().into(),
            Value::optional(user.map(|user| user.0)),
            self.count.into(),
        ])
    }

    fn from_row(row: &[Value]) -> Result<Self, RowError> {
        let reader = RowReader::new(&SECURITY_RECORDS, row);
        let number = |column| Ok::<_, RowError>(reader.integer(column)?.unwrap_or(0));
        let unsigned = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
        let event = SecurityEvent {
            tenant: TenantNumber(unsigned(number(0)?)),
            kind: SecurityKind::from_code(number(3)?).unwrap_or(SecurityKind::Rejected),
            source: reader.text(4)?.to_owned(),
            reason: reader.text(5)?.to_owned(),
            user: if reader.is_null(6) { None } else { Some(UserId(reader.uuid(6)?)) },
        };
        Ok(Self { id: reader.uuid(2)?, minute: Time(number(1)?), event, count: unsigned(number(7)?) })
    }
}
