//! A secret that was encrypted under a key outside the store.

use crate::{
    ArchiveForm, Column, ColumnKind, Expected, Field, Record, Row, RowError, RowQuery, RowReader, RowWrite, Table,
    TenantNumber, Time, Value,
};

/// A credential of a target.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret {
    pub tenant: TenantNumber,
    /// Such as `target/` and its id.
    pub owner: String,
    pub use_: SecretUse,
    /// Grows with each new credential of the owner.
    pub version: u32,
    /// Which master key encrypts it.
    pub key_id: String,
    pub sealed: Vec<u8>,
    pub created: Time,
    pub expires: Option<Time>,
    /// When a request with it last succeeded.
    pub last_success: Option<Time>,
}

/// A new credential is tested before it replaces the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretUse {
    Current,
    Next,
    /// Kept for a day after it was replaced.
    Previous,
}

impl SecretUse {
    pub const ALL: [Self; 3] = [Self::Current, Self::Next, Self::Previous];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Next => "next",
            Self::Previous => "previous",
        }
    }
}

impl std::fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedSecret({} of {})", self.use_.as_str(), self.owner)
    }
}

static SEALED_SECRETS: Table = Table {
    name: "sealed_secrets",
    columns: &[
        Column::new("tenant", ColumnKind::Int),
        Column::new("owner", ColumnKind::Key),
        Column::new("secret_use", ColumnKind::Key),
        Column::new("version", ColumnKind::Int),
        Column::new("key_id", ColumnKind::Text),
        Column::new("sealed", ColumnKind::Bytes),
        Column::new("created", ColumnKind::BigInt),
        Column::optional("expires", ColumnKind::BigInt),
        Column::optional("last_success", ColumnKind::BigInt),
    ],
    key_columns: 3,
    key_field: Field::Id,
    unique: &[],
    archive: ArchiveForm::Rows,
};

const VERSION: usize = 3;

impl SealedSecret {
    pub fn of_owner(tenant: TenantNumber, owner: String) -> RowQuery {
        SEALED_SECRETS.all().equal(vec![tenant.0.into(), owner.into()])
    }

    pub fn put(&self) -> Result<RowWrite, serde_json::Error> {
        Ok(RowWrite::Put(&SEALED_SECRETS, self.to_row()?))
    }

    /// Fails the change that includes it if another credential was stored with this use.
    pub fn guard(&self) -> RowWrite {
        let (key, version) = (self.key(), vec![(VERSION, self.version.into())]);
        let expected = Expected::Row(version.clone());
        RowWrite::Update { table: &SEALED_SECRETS, key, values: version, expected }
    }

    /// Deletes it. Fails if another credential was stored with this use.
    pub fn deletion(&self) -> RowWrite {
        let expected = Expected::Row(vec![(VERSION, self.version.into())]);
        RowWrite::Delete { table: &SEALED_SECRETS, key: self.key(), expected }
    }

    /// Deletes the secret with this use, if there is one.
    pub fn deletion_of(tenant: TenantNumber, owner: String, use_: SecretUse) -> RowWrite {
        let key = vec![tenant.0.into(), owner.into(), use_.as_str().to_owned().into()];
        RowWrite::Delete { table: &SEALED_SECRETS, key, expected: Expected::Anything }
    }

    fn key(&self) -> Row {
        vec![self.tenant.0.into(), self.owner.clone().into(), self.use_.as_str().to_owned().into()]
    }
}

impl Record for SealedSecret {
    fn table() -> &'static Table {
        &SEALED_SECRETS
    }

    fn to_row(&self) -> Result<Row, serde_json::Error> {
        let mut row = self.key();
        row.extend([
            self.version.into(),
            self.key_id.clone().into(),
            self.sealed.clone().into(),
            self.created.0.into(),
            Value::optional(self.expires.map(|time| time.0)),
            Value::optional(self.last_success.map(|time| time.0)),
        ]);
        Ok(row)
    }

    fn from_row(row: &[Value]) -> Result<Self, RowError> {
        let reader = RowReader::new(&SEALED_SECRETS, row);
        let word = reader.text(2)?;
        Ok(Self {
            tenant: TenantNumber(reader.unsigned(0)?),
            owner: reader.text(1)?.to_owned(),
            use_: SecretUse::ALL.into_iter().find(|known| known.as_str() == word).unwrap_or(SecretUse::Previous),
            version: reader.unsigned(VERSION)?,
            key_id: reader.text(4)?.to_owned(),
            sealed: reader.bytes(5)?.to_vec(),
            created: Time(reader.integer(6)?.unwrap_or(0)),
            expires: reader.integer(7)?.map(Time),
            last_success: reader.integer(8)?.map(Time),
        })
    }
}
