//! A connection: an API client, its keys and what it may do.

use crate::{
    ArchiveForm, Column, ColumnKind, ConnectionId, Field, Permission, Record, Row, RowError, RowQuery, RowReader,
    Table, TenantNumber, Time, UserId, Value, fold,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// SHA-256 of a key. Keys have 128 random bits, so a plain hash cannot be reversed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyHash(pub [u8; 32]);

impl std::fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

impl KeyHash {
    /// The four bytes by which stores find a key.
    pub fn prefix(&self) -> [u8; 4] {
        [self.0[0], self.0[1], self.0[2], self.0[3]]
    }
}

/// A client of one or more dialects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    pub id: ConnectionId,
    /// The only tenant that its keys give access to.
    pub tenant: TenantNumber,
    /// Unique among the tenant's connections that are not revoked.
    pub name: String,
    /// Names of the APIs it may use; none if empty.
    #[serde(default)]
    pub dialects: Vec<String>,
    /// Whether it may change anything. Without `permissions`, also which ones it has ([`Access::permissions`]).
    pub access: Access,
    /// Explicit permissions; `None`: those of `access`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<Permission>>,
    /// The highest role it may grant.
    pub highest_role: u32,
    /// The kind of client, where clients of one API differ in what they expect.
    #[serde(default)]
    pub profile: ClientProfile,
    /// The user whose own client it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Public keys in PEM with which the client may authenticate instead of with its key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub public_keys: Vec<String>,
    /// Oldest first, at most two. The keys of a revoked connection are invalid.
    pub keys: Vec<ApiKey>,
    /// The time from which its requests are rejected.
    #[serde(default)]
    pub expires: Option<Time>,
    #[serde(default)]
    pub revoked: bool,
    pub created: Time,
    /// Time of the last request, to the minute.
    #[serde(default)]
    pub last_use: Option<Time>,
}

/// How a client interprets the standard of its API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientProfile {
    /// As the standard says; deviations are accepted.
    #[default]
    Rfc,
    /// As Microsoft Entra ID does.
    Entra,
    /// As Okta does.
    Okta,
    /// As the standard says; deviations are rejected.
    Strict,
}

impl ClientProfile {
    pub const ALL: [Self; 4] = [Self::Rfc, Self::Entra, Self::Okta, Self::Strict];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rfc => "rfc",
            Self::Entra => "entra",
            Self::Okta => "okta",
            Self::Strict => "strict",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    ReadOnly,
    ReadWrite,
}

impl Access {
    pub fn permissions(self) -> &'static [Permission] {
        match self {
            Self::ReadOnly => &[Permission::ReadUsers],
            Self::ReadWrite => {
                &[Permission::ReadUsers, Permission::WriteUsers, Permission::Credentials, Permission::Groups]
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    pub hash: KeyHash,
    pub created: Time,
    /// Time of the last request with the key or with a token issued for it, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_use: Option<Time>,
}

impl ApiKey {
    pub fn new(hash: KeyHash, created: Time) -> Self {
        Self { hash, created, last_use: None }
    }

    /// The name under which a store records the last use of the key: the start of its hash, which cannot be used to
    /// sign in.
    pub fn id(&self) -> String {
        format!("k{:08x}", u32::from_be_bytes(self.hash.prefix()))
    }
}

impl Connection {
    /// The key under which a store keeps the name of a revoked connection, so that another can take the name. Names
    /// have no control characters, so it is never a name itself.
    pub fn revoked_name_key(&self) -> String {
        format!("{}\u{1F}{}", fold(&self.name), self.id)
    }

    /// The permissions that a connection can have.
    pub const PERMISSIONS: [Permission; 4] =
        [Permission::ReadUsers, Permission::WriteUsers, Permission::Credentials, Permission::Groups];

    pub fn permissions(&self) -> Vec<Permission> {
        self.permissions.clone().unwrap_or_else(|| self.access.permissions().to_vec())
    }

    /// Sets explicit permissions. Every connection may read users, since every response shows them.
    pub fn set_permissions(&mut self, mut permissions: Vec<Permission>) {
        permissions.push(Permission::ReadUsers);
        permissions.sort_unstable();
        permissions.dedup();
        self.access = if permissions == [Permission::ReadUsers] { Access::ReadOnly } else { Access::ReadWrite };
        self.permissions = Some(permissions);
    }

    /// Two keys, so that they can be rotated without downtime.
    pub const MAX_KEYS: usize = 2;

    /// The default for new connections: `User`.
    pub const DEFAULT_HIGHEST_ROLE: u32 = 2;

    /// Neither revoked nor expired.
    pub fn is_live(&self, now: Time) -> bool {
        !self.revoked && self.expires.is_none_or(|end| now < end)
    }

    /// Ignores when the connection was used.
    pub fn is_unchanged_since(&self, before: &Self) -> bool {
        self.without_uses() == before.without_uses()
    }

    fn without_uses(&self) -> Self {
        let keys = self.keys.iter().map(|key| ApiKey { last_use: None, ..key.clone() }).collect();
        Self { last_use: None, keys, ..self.clone() }
    }

    /// When its keys were last used, by [`ApiKey::id`], in microseconds since 1970; `used` counts as used now.
    pub fn key_uses(&self, used: Option<&ApiKey>, now: Time) -> BTreeMap<String, i64> {
        let last = |key: &ApiKey| {
            if used.is_some_and(|used| used.hash == key.hash) { Some(now) } else { key.last_use }
        };
        self.keys.iter().filter_map(|key| Some((key.id(), last(key)?.0))).collect()
    }

    /// Takes over the newer times of a [`Connection::key_uses`].
    pub fn apply_key_uses(&mut self, uses: &BTreeMap<String, i64>) {
        for key in &mut self.keys {
            key.last_use = key.last_use.max(uses.get(&key.id()).map(|time| Time(*time)));
        }
    }

    pub fn allows_dialect(&self, dialect: &str) -> bool {
        self.dialects.iter().any(|d| d == dialect)
    }
}

static CONNECTIONS: Table = Table {
    name: "connections",
    columns: &[
        Column::new("id", ColumnKind::Uuid),
        Column::new("tenant", ColumnKind::Int),
        Column::new("name_key", ColumnKind::Key),
        Column::new("created", ColumnKind::BigInt),
        Column::optional("last_use", ColumnKind::BigInt),
        Column::new("doc", ColumnKind::Text),
        Column::optional("key_uses", ColumnKind::Text),
    ],
    key_columns: 1,
    key_field: Field::Id,
    unique: &[(CONNECTIONS_BY_NAME, Field::Name)],
    archive: ArchiveForm::Entries,
};
const CONNECTIONS_BY_NAME: &[usize] = &[1, 2];
const CONNECTIONS_OF_TENANT: &[usize] = &[1, 3, 0];
const CONNECTIONS_BY_CREATED: &[usize] = &[3, 0];

impl Connection {
    pub const NAME_COLUMN: usize = 2;
    pub const LAST_USE_COLUMN: usize = 4;
    pub const DOC_COLUMN: usize = 5;
    pub const KEY_USES_COLUMN: usize = 6;

    /// Of one tenant or of all, in the order they were added.
    pub fn listed(tenant: Option<TenantNumber>) -> RowQuery {
        match tenant {
            Some(tenant) => CONNECTIONS.ordered_by(CONNECTIONS_OF_TENANT).equal(vec![tenant.0.into()]),
            None => CONNECTIONS.ordered_by(CONNECTIONS_BY_CREATED),
        }
    }

    /// The connection whose name is taken by this folded name.
    pub fn by_name(tenant: TenantNumber, name: String) -> RowQuery {
        CONNECTIONS.ordered_by(CONNECTIONS_BY_NAME).equal(vec![tenant.0.into(), name.into()]).limit(1)
    }
}

impl Record for Connection {
    fn table() -> &'static Table {
        &CONNECTIONS
    }

    /// Without the last uses, which are columns of their own.
    fn to_row(&self) -> Result<Row, serde_json::Error> {
        let [id, tenant, created] = [self.id.0.into(), self.tenant.0.into(), self.created.0.into()];
        let (name, doc) = (fold(&self.name).into(), serde_json::to_string(self)?.into());
        Ok(vec![id, tenant, name, created, Value::optional(self.last_use.map(|time| time.0)), doc, Value::Null])
    }

    fn from_row(row: &[Value]) -> Result<Self, RowError> {
        let reader = RowReader::new(&CONNECTIONS, row);
        let mut connection: Self = reader.json(Self::DOC_COLUMN)?;
        connection.last_use = reader.integer(Self::LAST_USE_COLUMN)?.map(Time);
        if !reader.is_null(Self::KEY_USES_COLUMN) {
            connection.apply_key_uses(&reader.json(Self::KEY_USES_COLUMN)?);
        }
        Ok(connection)
    }
}

/// By which connections are found by the start of a key's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionKey {
    pub prefix: [u8; 4],
    pub connection: ConnectionId,
}

static KEYS: Table = Table {
    name: "keys",
    columns: &[Column::new("prefix", ColumnKind::Bytes), Column::new("connection", ColumnKind::Uuid)],
    key_columns: 2,
    key_field: Field::Id,
    unique: &[],
    archive: ArchiveForm::Omitted,
};

impl ConnectionKey {
    pub fn all_of(connection: &Connection) -> impl Iterator<Item = Self> {
        let id = connection.id;
        connection.keys.iter().map(move |key| Self { prefix: key.hash.prefix(), connection: id })
    }

    /// Limited, since keys hardly ever have the same prefix.
    pub fn with_prefix(prefix: [u8; 4]) -> RowQuery {
        KEYS.all().equal(vec![prefix.to_vec().into()]).limit(RowQuery::FEW)
    }
}

impl Record for ConnectionKey {
    fn table() -> &'static Table {
        &KEYS
    }

    fn to_row(&self) -> Result<Row, serde_json::Error> {
        Ok(vec![self.prefix.to_vec().into(), self.connection.0.into()])
    }

    fn from_row(row: &[Value]) -> Result<Self, RowError> {
        let reader = RowReader::new(&KEYS, row);
        Ok(Self { prefix: reader.array(0)?, connection: ConnectionId(reader.uuid(1)?) })
    }
}
