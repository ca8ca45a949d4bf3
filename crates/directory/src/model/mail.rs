//! A mail that is on its way: durable from the moment that made it, until it was taken in or has failed for good.

use crate::{LinkPurpose, TenantNumber, Time, UserId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A mail to a person, with a link of that name in it. Whom it goes to and what it says is settled when it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// What it is known by; its link has the same.
    pub id: Uuid,
    /// In whose directory.
    pub tenant: TenantNumber,
    /// To whom.
    pub user: UserId,
    /// What its link is for.
    pub purpose: LinkPurpose,
    /// Since when it waits.
    pub queued: Time,
    /// When it is tried next; never again, when there is nothing here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Time>,
    /// Whether somebody has it in hand; until it is due, nobody else takes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "is_taken")]
    pub is_claimed: bool,
    /// How often it was tried.
    #[serde(default)]
    pub attempts: u32,
    /// Grows by one with each change.
    #[serde(default)]
    pub version: u32,
    /// What came of it, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<DeliveryOutcome>,
}

/// What came of a mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryOutcome {
    /// The next server has taken it in.
    Sent,
    /// Nobody needs it any more: its link was used, replaced or closed.
    Withdrawn,
    /// It could not be delivered lately and is tried again.
    Delayed(String),
    /// It could not be delivered and is not tried again, for this reason.
    Failed(String),
}

impl Mail {
    /// A new one.
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

    /// The same one step on.
    #[must_use]
    pub fn with_outcome(&self, due: Option<Time>, outcome: Option<DeliveryOutcome>) -> Self {
        Self { due, outcome, is_claimed: false, version: self.version + 1, ..self.clone() }
    }

    /// Whether it is not tried again.
    pub fn has_failed(&self) -> bool {
        matches!(self.outcome, Some(DeliveryOutcome::Failed(_)))
    }
}
