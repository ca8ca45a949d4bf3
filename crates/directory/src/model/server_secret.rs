//! A secret of the installation, such as the key that signs its tokens. All processes on a store share it.

use crate::{ArchiveForm, Column, ColumnKind, Field, Record, Row, RowError, RowReader, Table, Value};

#[derive(Clone, PartialEq, Eq)]
pub struct ServerSecret {
    pub name: String,
    pub bytes: [u8; 32],
}

impl std::fmt::Debug for ServerSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServerSecret({})", self.name)
    }
}

static SECRETS: Table = Table {
    name: "secrets",
    columns: &[Column::new("name", ColumnKind::Text), Column::new("bytes", ColumnKind::Bytes)],
    key_columns: 1,
    key_field: Field::Name,
    unique: &[],
    archive: ArchiveForm::Entries,
};

impl Record for ServerSecret {
    fn table() -> &'static Table {
        &SECRETS
    }

    fn to_row(&self) -> Result<Row, serde_json::Error> {
        Ok(vec![self.name.clone().into(), self.bytes.to_vec().into()])
    }

    fn from_row(row: &[Value]) -> Result<Self, RowError> {
        let reader = RowReader::new(&SECRETS, row);
        Ok(Self { name: reader.text(0)?.to_owned(), bytes: reader.array(1)? })
    }
}
