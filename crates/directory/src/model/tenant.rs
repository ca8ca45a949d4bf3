//! A tenant: one customer's directory, isolated from all others.

use crate::{
    ArchiveForm, Column, ColumnKind, Field, LinkPurpose, Record, Row, RowError, RowReader, Table, TenantNumber, Time,
    Value,
};
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

static TENANTS: Table = Table {
    name: "tenants",
    columns: &[
        Column::new("number", ColumnKind::Int),
        Column::new("doc", ColumnKind::Text),
        Column::new("version", ColumnKind::Int),
    ],
    key_columns: 1,
    key_field: Field::Number,
    unique: &[],
    archive: ArchiveForm::Entries,
};

impl Tenant {
    pub const VERSION_COLUMN: usize = 2;
}

impl Record for Tenant {
    fn table() -> &'static Table {
        &TENANTS
    }

    fn to_row(&self) -> Result<Row, serde_json::Error> {
        Ok(vec![self.number.0.into(), serde_json::to_string(self)?.into(), self.version.into()])
    }

    fn from_row(row: &[Value]) -> Result<Self, RowError> {
        RowReader::new(&TENANTS, row).json(1)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_zero(version: &u32) -> bool {
    *version == 0
}

fn is_default(settings: &TenantSettings) -> bool {
    *settings == TenantSettings::default()
}
