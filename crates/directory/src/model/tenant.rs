//! A tenant: one customer's directory, isolated from all others.

use crate::{LinkPurpose, TenantNumber, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Clients of some dialects send it.
    pub number: TenantNumber,
    /// Up to 100 characters.
    pub name: String,
    pub created: Time,
    /// Incremented by each change of the settings.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub version: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub settings: TenantSettings,
    /// When it was removed. Its number is never reused, because the history keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantSettings {
    /// Lifetime of an invitation.
    pub invitation_hours: u32,
    /// For passwords that users choose on a page.
    #[serde(rename = "min_password")]
    pub min_password_chars: u32,
    /// The sender name of mails; the tenant's name if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_name: Option<String>,
    /// Sends all mails to this address instead of to the users.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "mails_to")]
    pub redirect_mails_to: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "public_name")]
    pub show_name_before_sign_in: bool,
    /// Mail templates that override the built-in ones, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub templates: BTreeMap<String, String>,
}

impl Default for TenantSettings {
    fn default() -> Self {
        Self {
            invitation_hours: 7 * 24,
            min_password_chars: 12,
            sender_name: None,
            redirect_mails_to: None,
            show_name_before_sign_in: false,
            templates: BTreeMap::new(),
        }
    }
}

impl TenantSettings {
    /// Lifetime of a link that resets a password.
    pub const RESET_LINK_SECONDS: i64 = 60 * 60;
    pub const MAX_INVITATION_HOURS: u32 = 90 * 24;
    pub const MAX_TEMPLATE_BYTES: usize = 64 * 1024;

    /// How long a link can be used.
    pub fn link_lifetime_seconds(&self, purpose: LinkPurpose) -> i64 {
        match purpose {
            LinkPurpose::Invitation => i64::from(self.invitation_hours) * 60 * 60,
            LinkPurpose::Reset => Self::RESET_LINK_SECONDS,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_zero(version: &u32) -> bool {
    *version == 0
}

fn is_default(settings: &TenantSettings) -> bool {
    *settings == TenantSettings::default()
}
