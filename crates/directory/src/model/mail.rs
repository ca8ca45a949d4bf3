//! A queued mail: durable together with the change that caused it, until it was sent or failed permanently.

use crate::{
    ArchiveForm, Column, ColumnKind, Field, LinkPurpose, Record, Row, RowError, RowQuery, RowReader, Table,
    TenantNumber, Time, UserId, Value,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A mail to a user with a link. Its recipient and content are determined when it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The link has the same id.
    pub id: Uuid,
    pub tenant: TenantNumber,
    pub user: UserId,
    pub purpose: LinkPurpose,
    pub queued: Time,
    /// Time of the next attempt; `None` if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Time>,
    /// Whether a process is sending it; until `due`, no other process takes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "is_taken")]
    pub is_claimed: bool,
    #[serde(default)]
    pub attempts: u32,
    /// Incremented by each change.
    #[serde(default)]
    pub version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<DeliveryOutcome>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryOutcome {
    /// The next mail server has accepted it.
    Sent,
    /// Not needed any more: its link was used, replaced or closed.
    Withdrawn,
    /// The last attempt failed for this reason; there will be another.
    Delayed(String),
    /// Failed permanently, for this reason.
    Failed(String),
}

impl Mail {
    pub fn new(id: Uuid, tenant: TenantNumber, user: UserId, purpose: LinkPurpose, now: Time) -> Self {
        Self {
            id,
            tenant,
            user,
            purpose,
            queued: now,
            due: Some(now),
            is_claimed: false,
            attempts: 0,
            version: 1,
            outcome: None,
        }
    }

    /// The next version, which no process is sending.
    #[must_use]
    pub fn with_outcome(&self, due: Option<Time>, outcome: Option<DeliveryOutcome>) -> Self {
        Self { due, outcome, is_claimed: false, version: self.version + 1, ..self.clone() }
    }

    pub fn has_failed(&self) -> bool {
        matches!(self.outcome, Some(DeliveryOutcome::Failed(_)))
    }
}

static MAILS: Table = Table {
    name: "outgoing_mails",
    columns: &[
        Column::new("tenant", ColumnKind::Int),
        Column::new("id", ColumnKind::Uuid),
        Column::new("user_id", ColumnKind::Uuid),
        Column::optional("due", ColumnKind::BigInt),
        Column::new("queued", ColumnKind::BigInt),
        Column::new("version", ColumnKind::Int),
        Column::new("doc", ColumnKind::Text),
    ],
    key_columns: 2,
    key_field: Field::Id,
    unique: &[],
    archive: ArchiveForm::Entries,
};
const MAILS_BY_DUE: &[usize] = &[3, 1];
const MAILS_BY_QUEUED: &[usize] = &[0, 4, 1];
const MAILS_OF_USER: &[usize] = &[0, 2, 4, 1];

impl Mail {
    pub const VERSION_COLUMN: usize = 5;
    pub const DOC_COLUMN: usize = 6;

    pub fn key(&self) -> Row {
        vec![self.tenant.0.into(), self.id.into()]
    }

    /// Mails of all tenants that are due by `now`; those that have waited longest come first.
    pub fn due_by(now: Time, limit: u32) -> RowQuery {
        MAILS.ordered_by(MAILS_BY_DUE).up_to(now.0.into()).limit(limit)
    }

    /// Waiting and failed mails of a tenant after the mail with this time and id, oldest first.
    pub fn of_tenant(tenant: TenantNumber, (queued, id): (Time, Uuid), limit: u32) -> RowQuery {
        let after = vec![queued.0.into(), id.into()];
        MAILS.ordered_by(MAILS_BY_QUEUED).equal(vec![tenant.0.into()]).after(after).limit(limit)
    }

    /// All mails of a tenant, by id.
    pub fn all_of_tenant(tenant: TenantNumber) -> RowQuery {
        MAILS.all().equal(vec![tenant.0.into()])
    }

    /// Waiting and failed mails of a user, oldest first.
    pub fn of_user(tenant: TenantNumber, user: UserId, limit: u32) -> RowQuery {
        MAILS.ordered_by(MAILS_OF_USER).equal(vec![tenant.0.into(), user.0.into()]).limit(limit)
    }
}

impl Record for Mail {
    fn table() -> &'static Table {
        &MAILS
    }

    fn to_row(&self) -> Result<Row, serde_json::Error> {
        let [tenant, id] = [self.tenant.0.into(), self.id.into()];
        let due = Value::optional(self.due.map(|due| due.0));
        let doc = serde_json::to_string(self)?.into();
        Ok(vec![tenant, id, self.user.0.into(), due, self.queued.0.into(), self.version.into(), doc])
    }

    fn from_row(row: &[Value]) -> Result<Self, RowError> {
        RowReader::new(&MAILS, row).json(Self::DOC_COLUMN)
    }
}
