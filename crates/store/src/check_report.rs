//! The result of a consistency check of a whole store.

use crate::query_plan::active_code;
use crate::unique_keys::{self, UniqueKey};
use directory::{Field, Item, ItemId, Role, Tenant, User, UserId, forbidden_identifiers, roles_above_effective};
use std::collections::BTreeSet;

/// Findings as sentences that identify users by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Contradictions in the stored data.
    pub errors: Vec<String>,
    /// Consistent data that should be reviewed.
    pub warnings: Vec<String>,
}

impl CheckReport {
    /// Warns about values that a new user could not have; `own` are the custom roles of the tenant.
    pub(crate) fn warn_about_user(&mut self, tenant: u32, user: &User, own: &[Role]) {
        for name in roles_above_effective(user, own) {
            self.warnings.push(format!(
                "tenant {tenant}: the role list of user {} contains {name:?}, which ranks above the effective role",
                user.number
            ));
        }
        for field in forbidden_identifiers(user) {
            let field = field_label(field);
            self.warnings.push(format!(
                "tenant {tenant}: the {field} of user {} has invisible characters or surrounding spaces, which \
                 new values must not have",
                user.number
            ));
        }
    }

    /// Warns about a key that two users or items have; lookups find the older one.
    pub(crate) fn warn_shared_key(&mut self, tenant: u32, key: &UniqueKey, younger: u32, older: u32) {
        let (owners, field) = (key.owner_label(), field_label(key.field));
        self.warnings.push(format!(
            "tenant {tenant}: {owners} {older} and {younger} have the same {field}. Lookups find {older}, the \
             older one: change that of {younger}"
        ));
    }
}

/// What the stored JSON of a tenant's users and items implies for other rows, to compare with those rows.
pub(crate) struct TenantChecker {
    tenant: u32,
    /// The highest number that a user or deleted user has.
    max_number: u32,
    /// The number of the row before; users and deleted users come in order.
    last_number: Option<u32>,
    secondary_emails: BTreeSet<(u32, String)>,
    organization_members: BTreeSet<(u32, ItemId)>,
}

impl TenantChecker {
    pub(crate) fn new(tenant: u32) -> Self {
        let (secondary_emails, organization_members) = Default::default();
        Self { tenant, max_number: 0, last_number: None, secondary_emails, organization_members }
    }

    /// Columns: number, id, version, active, updated.
    pub(crate) fn check_user(&mut self, user: &User, columns: (u32, UserId, u32, u8, i64), report: &mut CheckReport) {
        if columns != (user.number, user.id, user.version, active_code(user), user.updated.0) {
            self.report(&format!("the columns of user {} differ from its stored document", columns.0), report);
        }
        if !user.groups.is_empty() || !user.folders.is_empty() {
            self.report(&format!("the document of user {} contains memberships", user.number), report);
        }
        self.check_number(columns.0, report);
        self.secondary_emails.extend(unique_keys::secondary_emails(user).into_iter().map(|text| (user.number, text)));
        self.organization_members.extend(user.organization.map(|organization| (user.number, organization)));
    }

    /// Columns: number, id, name key.
    pub(crate) fn check_item(&self, item: &Item, columns: &(u32, ItemId, String), report: &mut CheckReport) {
        if *columns != (item.number(), item.id(), Item::name_key(item.kind(), item.name())) {
            let kind = format!("{:?}", item.kind()).to_lowercase();
            self.report(&format!("the columns of {kind} {} differ from its stored document", columns.0), report);
        }
    }

    /// Columns: number, id, key of the external id.
    pub(crate) fn check_tombstone(
        &mut self,
        user: &User,
        columns: &(u32, UserId, Option<String>),
        report: &mut CheckReport,
    ) {
        let key = user.external_id.as_deref().map(unique_keys::external_id_key);
        if *columns != (user.number, user.id, key) {
            self.report(&format!("the columns of deleted user {} differ from its stored document", columns.0), report);
        }
        self.check_number(columns.0, report);
    }

    fn check_number(&mut self, number: u32, report: &mut CheckReport) {
        if self.last_number.replace(number) == Some(number) {
            self.report(&format!("number {number} belongs to a user and to a deleted user"), report);
        }
        self.max_number = self.max_number.max(number);
    }

    /// Compares the rows of secondary emails and organization members, and the last allocated number.
    pub(crate) fn check_related_rows(
        &self,
        indexed_emails: &BTreeSet<(u32, String)>,
        organization_members: &BTreeSet<(u32, ItemId)>,
        last_number: u32,
        report: &mut CheckReport,
    ) {
        for (number, _) in self.secondary_emails.symmetric_difference(indexed_emails) {
            let text = format!("the indexed secondary emails of user {number} differ from its stored document");
            self.report(&text, report);
        }
        for (number, _) in self.organization_members.symmetric_difference(organization_members) {
            self.report(&format!("the indexed organization of user {number} differs from its stored document"), report);
        }
        if last_number < self.max_number {
            self.report(
                &format!("the number of user {} is above the last allocated one ({last_number})", self.max_number),
                report,
            );
        }
    }

    pub(crate) fn tenant(&self) -> u32 {
        self.tenant
    }

    fn report(&self, what: &str, report: &mut CheckReport) {
        report.errors.push(format!("tenant {}: {what}", self.tenant));
    }
}

impl CheckReport {
    pub(crate) fn truncate_errors(&mut self) {
        const MAX_ERRORS: usize = 100;
        if self.errors.len() > MAX_ERRORS {
            let more = self.errors.len() - MAX_ERRORS;
            self.errors.truncate(MAX_ERRORS);
            self.errors.push(format!("and {more} more"));
        }
    }

    /// Columns: number, version.
    pub(crate) fn check_tenant(&mut self, tenant: &Tenant, columns: (i64, i64)) {
        if columns != (i64::from(tenant.number.0), i64::from(tenant.version)) {
            self.errors
                .push(format!("tenant {}: the columns of the tenant differ from its stored document", columns.0));
        }
    }
}

fn field_label(field: Field) -> &'static str {
    match field {
        Field::Email => "email",
        Field::ExternalId => "external id",
        Field::Domains => "domain",
        Field::OfficeNumbers => "office number",
        Field::UserName => "user name",
        _ => "name",
    }
}

pub(crate) fn filter_roles(items: impl IntoIterator<Item = Item>) -> Vec<Role> {
    let role = |item| if let Item::Role(role) = item { Some(role) } else { None };
    items.into_iter().filter_map(role).collect()
}
