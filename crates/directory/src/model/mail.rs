//! A queued mail: durable together with the change that caused it, until it was sent or failed permanently.

use crate::{LinkPurpose, TenantNumber, Time, UserId};
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
