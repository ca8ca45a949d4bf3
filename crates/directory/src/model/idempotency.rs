//! What is stored of requests with an `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07): the commands
//! that were committed, each in its own transaction, and the response.

use crate::{
    ArchiveForm, Column, ColumnKind, ConnectionId, Field, ItemId, ItemKind, Record, Row, RowError, RowQuery, RowReader,
    RowWrite, Table, TenantNumber, Time, UserId,
};
use serde::{Deserialize, Serialize};

/// A key that a connection has sent, and what it was sent with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    pub tenant: TenantNumber,
    pub connection: ConnectionId,
    /// SHA-256 of the key.
    pub key_hash: [u8; 32],
    /// A keyed hash of the request, since bodies hold passwords.
    pub fingerprint: [u8; 32],
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyRecord {
    pub key: IdempotencyKey,
    pub step: u32,
    pub created: Time,
    pub content: RecordedStep,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RecordedStep {
    /// A committed command and what it has returned.
    Command {
        users: Vec<UserId>,
        items: Vec<(ItemKind, ItemId)>,
    },
    Response(RecordedResponse),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedResponse {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

static IDEMPOTENCY_RECORDS: Table = Table {
    name: "idempotency_records",
    columns: &[
        Column::new("tenant", ColumnKind::Int),
        Column::new("connection", ColumnKind::Uuid),
        Column::new("key_hash", ColumnKind::Bytes),
        Column::new("step", ColumnKind::Int),
        Column::new("created", ColumnKind::BigInt),
        Column::new("fingerprint", ColumnKind::Bytes),
        Column::new("doc", ColumnKind::Text),
    ],
    key_columns: 4,
    key_field: Field::IdempotencyKey,
    unique: &[],
    archive: ArchiveForm::Omitted,
};
const RECORDS_BY_CREATED: &[usize] = &[4, 0, 1, 2, 3];

impl IdempotencyRecord {
    /// How long a response is kept, in seconds.
    pub const LIFETIME_SECONDS: i64 = 24 * 3600;
    /// Larger bodies are not stored, in bytes.
    pub const MAX_BODY: usize = 64 * 1024;
    /// The step of the response.
    pub const RESPONSE_STEP: u32 = i32::MAX.unsigned_abs();

    /// The rows of a key.
    pub fn of_key(key: &IdempotencyKey) -> RowQuery {
        let IdempotencyKey { tenant, connection, key_hash, .. } = key;
        IDEMPOTENCY_RECORDS.all().equal(vec![tenant.0.into(), connection.0.into(), key_hash.to_vec().into()])
    }

    /// Rows of all tenants up to a time, oldest first.
    pub fn until(time: Time, limit: u32) -> RowQuery {
        IDEMPOTENCY_RECORDS.ordered_by(RECORDS_BY_CREATED).up_to(time.0.into()).limit(limit)
    }

    pub fn is_expired(&self, now: Time) -> bool {
        now >= self.created.plus_seconds(Self::LIFETIME_SECONDS)
    }

    /// Deletes the row unless another one has replaced it.
    pub fn deletion(&self) -> RowWrite {
        let IdempotencyKey { tenant, connection, key_hash, .. } = &self.key;
        let key = vec![tenant.0.into(), connection.0.into(), key_hash.to_vec().into(), self.step.into()];
        RowWrite::Delete {
            table: &IDEMPOTENCY_RECORDS,
            key,
            expected: crate::Expected::Row(vec![(4, self.created.0.into())]),
        }
    }
}

impl Record for IdempotencyRecord {
    fn table() -> &'static Table {
        &IDEMPOTENCY_RECORDS
    }

    fn to_row(&self) -> Result<Row, serde_json::Error> {
        let IdempotencyKey { tenant, connection, key_hash, fingerprint } = &self.key;
        Ok(vec![
            tenant.0.into(),
            connection.0.into(),
            key_hash.to_vec().into(),
            self.step.into(),
            self.created.0.into(),
            fingerprint.to_vec().into(),
            serde_json::to_string(&self.content)?.into(),
        ])
    }

    fn from_row(row: &[crate::Value]) -> Result<Self, RowError> {
        let reader = RowReader::new(&IDEMPOTENCY_RECORDS, row);
        let number = |column| Ok::<_, RowError>(reader.integer(column)?.unwrap_or(0));
        let unsigned = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
        let key = IdempotencyKey {
            tenant: TenantNumber(unsigned(number(0)?)),
            connection: ConnectionId(reader.uuid(1)?),
            key_hash: reader.array(2)?,
            fingerprint: reader.array(5)?,
        };
        Ok(Self { key, step: unsigned(number(3)?), created: Time(number(4)?), content: reader.json(6)? })
    }
}
