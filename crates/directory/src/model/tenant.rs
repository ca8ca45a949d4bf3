//! A tenant: one customer's directory, closed to every other.

use crate::{LinkPurpose, TenantNumber, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its number, which clients of some dialects send along.
    pub number: TenantNumber,
    /// What people call it; up to 100 characters.
    pub name: String,
    /// When it was added.
    pub created: Time,
    /// Grows by one with each change of its settings.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub version: u32,
    /// What it has settled for its people.
    #[serde(default, skip_serializing_if = "is_default")]
    pub settings: TenantSettings,
    /// When it was removed. Its number is never used again, since its history keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Time>,
}

/// What a tenant settles for its people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantSettings {
    /// How long an invitation can be accepted, in hours.
    pub invitation_hours: u32,
    /// The fewest characters of a password that somebody chooses on a page.
    #[serde(rename = "min_password")]
    pub min_password_chars: u32,
    /// In whose name mails are sent; the tenant's own, when there is nothing here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_name: Option<String>,
    /// Where all mails go instead of to the people themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "mails_to")]
    pub redirect_mails_to: Option<String>,
    /// Whether pages show the name before sign-in.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "public_name")]
    pub show_name_before_sign_in: bool,
    /// Templates of mails besides the built-in ones, by name.
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
    /// How long a link that resets a password can be used, in seconds.
    pub const RESET_LINK_SECONDS: i64 = 60 * 60;
    /// The longest that an invitation may last, in hours.
    pub const MAX_INVITATION_HOURS: u32 = 90 * 24;
    /// The most bytes that a template may hold.
    pub const MAX_TEMPLATE_BYTES: usize = 64 * 1024;

    /// How long a link can be used, in seconds.
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
