//! A target: a system that Muster provisions with the users of a tenant, in that system's own API.

use crate::{
    ArchiveForm, AttributeMapping, Column, ColumnKind, Expected, Field, Record, Row, RowError, RowQuery, RowReader,
    RowWrite, Table, TenantNumber, Time, fold,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// Without its credential, which is a [`crate::SealedSecret`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    pub id: Uuid,
    pub tenant: TenantNumber,
    /// Unique within the tenant and never reused.
    pub number: u32,
    /// Incremented by each change.
    pub version: u32,
    /// Unique among the tenant's targets that are not removed.
    pub name: String,
    /// The API that it has, such as `scim`.
    pub dialect: String,
    /// Where its API begins, such as `https://example.com/scim/v2`. Without a slash at the end.
    pub url: String,
    /// The account in the target, if its API has a number or name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    pub credential: CredentialKind,
    pub state: TargetState,
    /// Which users it gets, as a SCIM filter (RFC 7644 section 3.4.2.2); `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    #[serde(default)]
    pub deprovisioning: Deprovisioning,
    #[serde(default)]
    pub passwords: PasswordPolicy,
    pub limits: TargetLimits,
    /// Attributes that are made otherwise than its API says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mapping: Vec<AttributeMapping>,
    /// Addresses that the operator allows in addition to public ones, such as `10.1.0.0/16` or `forms.local:8443`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_addresses: Vec<String>,
    /// Root certificates in PEM that are trusted in addition to those of the operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_certificates: Option<String>,
    /// `None` until it was tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<TargetCapabilities>,
    pub created: Time,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetState {
    Active,
    /// Nothing is sent.
    Paused {
        reason: String,
    },
    /// Its rows are deleted. It is kept so that its number is not reused.
    Removed,
}

/// How requests prove that they may be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialKind {
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer,
    /// In the body or query, as the API of the target requires.
    Key,
    /// `Authorization: Basic …` (RFC 7617).
    Basic { user: String },
    /// OAuth 2.0 client credentials (RFC 6749 section 4.4). The credential is the client's secret, or with
    /// `has_private_key` its private key in PEM (`private_key_jwt`, RFC 7523).
    #[serde(rename_all = "camelCase")]
    ClientCredentials {
        token_url: String,
        client_id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
        has_private_key: bool,
    },
}

/// What happens to the accounts of users who are not to have an active one any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Deprovisioning {
    /// Suspended, inactive and archived users.
    pub on_deactivate: DeprovisionPolicy,
    /// Users who are not in the scope of the target any more.
    pub out_of_scope: DeprovisionPolicy,
    pub on_delete: DeprovisionPolicy,
}

/// Which passwords new accounts get. Those of users are never sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PasswordPolicy {
    #[default]
    None,
    /// A random one that nobody knows, for targets that require a password.
    RandomOnce,
}

impl PasswordPolicy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::RandomOnce => "random-once",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeprovisionPolicy {
    /// The account is deactivated. That of a deleted user is deleted when the user is permanently deleted, after 30 days.
    #[default]
    Deactivate,
    /// It is deleted at once.
    Delete,
    /// It stays as it is.
    Leave,
}

impl DeprovisionPolicy {
    pub const ALL: [Self; 3] = [Self::Deactivate, Self::Delete, Self::Leave];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deactivate => "deactivate",
            Self::Delete => "delete",
            Self::Leave => "leave",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetLimits {
    /// Requests per minute; 0 for no limit.
    pub requests_per_minute: u32,
    /// Requests at the same time.
    pub concurrency: u32,
    /// Of one request, in seconds.
    pub timeout_seconds: u32,
    /// Workers that share the users, each with a lease of its own.
    pub shards: u32,
}

impl TargetLimits {
    pub const MAX_SHARDS: u32 = 16;
    pub const MAX_TIMEOUT_SECONDS: u32 = 60;

    /// How long some requests take at least.
    pub fn shortest_time(&self, requests: u32) -> Duration {
        match self.requests_per_minute {
            0 => Duration::ZERO,
            rate => Duration::from_mins(1) * requests / rate,
        }
    }
}

impl Default for TargetLimits {
    fn default() -> Self {
        Self { requests_per_minute: 600, concurrency: 4, timeout_seconds: 10, shards: 1 }
    }
}

/// What a target was found to be able to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetCapabilities {
    pub tested: Time,
    /// Whether it can only create accounts: neither read, change, nor delete them.
    #[serde(default)]
    pub creates_only: bool,
    /// Whether PATCH changes single attributes; otherwise PUT replaces or changes the account.
    pub patch: bool,
    /// By which keys it finds an account, best first.
    pub finds_by: Vec<MatchKey>,
    /// Whether its list has all accounts.
    pub lists_all: bool,
    /// Accounts in a page of its list.
    pub page_size: u32,
    /// The keys by which it rejects a second account.
    pub rejects_duplicate: Vec<MatchKey>,
    /// Operations of one bulk request; 0 if there are none.
    pub bulk_operations: u32,
    pub deactivates: bool,
    pub deletes: bool,
    /// Schemas or attributes beyond the standard of its API, such as URNs of SCIM extensions.
    #[serde(default)]
    pub extensions: Vec<String>,
    /// What was sent and answered, one line per finding.
    #[serde(default)]
    pub evidence: Vec<String>,
}

impl TargetCapabilities {
    /// What a target is assumed to be able to do before it is tested. Its dialect adds what the API says.
    pub fn untested(finds_by: Vec<MatchKey>, rejects_duplicate: MatchKey, page_size: u32) -> Self {
        Self {
            tested: Time(0),
            creates_only: false,
            patch: false,
            finds_by,
            lists_all: true,
            page_size,
            rejects_duplicate: vec![rejects_duplicate],
            bulk_operations: 0,
            deactivates: true,
            deletes: true,
            extensions: Vec::new(),
            evidence: Vec::new(),
        }
    }
}

/// A key by which an account is recognized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MatchKey {
    /// The id that Muster sets in the target.
    ExternalId,
    UserName,
    Email,
}

impl MatchKey {
    pub const ALL: [Self; 3] = [Self::ExternalId, Self::UserName, Self::Email];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExternalId => "external id",
            Self::UserName => "user name",
            Self::Email => "email",
        }
    }
}

impl Target {
    pub const MAX_PER_TENANT: usize = 1_000;
    pub const DOC_COLUMN: usize = 4;
    pub const VERSION_COLUMN: usize = 3;

    pub fn is_active(&self) -> bool {
        self.state == TargetState::Active
    }

    pub fn is_removed(&self) -> bool {
        self.state == TargetState::Removed
    }

    pub fn key(&self) -> Row {
        vec![self.tenant.0.into(), self.number.into()]
    }

    /// Targets of one tenant or of all, with removed ones.
    pub fn listed(tenant: Option<TenantNumber>) -> RowQuery {
        TARGETS.all().equal(tenant.map(|tenant| tenant.0.into()).into_iter().collect())
    }

    /// Whether its users are to have other accounts than before a change, or others are to have some.
    pub(crate) fn has_other_accounts(&self, before: &Self) -> bool {
        let abilities = |target: &Self| {
            let capabilities = target.capabilities.as_ref()?;
            let TargetCapabilities { creates_only, deactivates, deletes, extensions, .. } = capabilities;
            Some((*creates_only, *deactivates, *deletes, extensions.clone()))
        };
        let rules = |target: &Self| (target.mapping.clone(), target.scope.clone(), target.deprovisioning);
        rules(self) != rules(before) || abilities(self) != abilities(before)
    }

    /// Fails the change that includes it if the target was changed.
    pub fn guard(&self) -> RowWrite {
        let version = || vec![(Self::VERSION_COLUMN, self.version.into())];
        RowWrite::Update { table: &TARGETS, key: self.key(), values: version(), expected: Expected::Row(version()) }
    }

    /// The owner of its secrets.
    pub fn secret_owner(&self) -> String {
        format!("target/{}", self.id)
    }
}

static TARGETS: Table = Table {
    name: "targets",
    columns: &[
        Column::new("tenant", ColumnKind::Int),
        Column::new("number", ColumnKind::Int),
        Column::new("name_key", ColumnKind::Key),
        Column::new("version", ColumnKind::Int),
        Column::new("doc", ColumnKind::Text),
    ],
    key_columns: 2,
    key_field: Field::Id,
    unique: &[(&[0, 2], Field::Name)],
    archive: ArchiveForm::Rows,
};

impl Record for Target {
    fn table() -> &'static Table {
        &TARGETS
    }

    fn to_row(&self) -> Result<Row, serde_json::Error> {
        let name = fold(&self.name);
        // Names have no control characters, so that of a removed target is never a name itself.
        let name = if self.is_removed() { format!("{name}\u{1F}{}", self.number) } else { name };
        let doc = serde_json::to_string(self)?;
        Ok(vec![self.tenant.0.into(), self.number.into(), name.into(), self.version.into(), doc.into()])
    }

    fn from_row(row: &[crate::Value]) -> Result<Self, RowError> {
        RowReader::new(&TARGETS, row).json(Self::DOC_COLUMN)
    }
}
