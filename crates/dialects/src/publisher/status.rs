//! Status names of users and organizations.

use directory::{OrganizationStatus, Status};

/// By word or digit, in any case, including common variants.
pub(super) fn parse_user_status(word: &str) -> Option<Status> {
    Some(match word.trim().to_ascii_lowercase().as_str() {
        "active" | "1" => Status::Active,
        "archive" | "archived" | "2" => Status::Archived,
        "disable" | "disabled" | "0" => Status::Inactive,
        "suspended" | "suspend" | "3" => Status::Suspended,
        "pending" => Status::Invited,
        _ => return None,
    })
}

pub(super) fn user_status_name(status: Status) -> &'static str {
    match status {
        Status::Invited => "pending",
        Status::Active => "active",
        Status::Suspended => "suspended",
        Status::Inactive => "disable",
        Status::Archived => "archive",
    }
}

pub(super) fn parse_organization_status(word: &str) -> Option<OrganizationStatus> {
    Some(match word.trim().to_ascii_lowercase().as_str() {
        "active" => OrganizationStatus::Active,
        "archive" | "archived" => OrganizationStatus::Archived,
        "disable" | "disabled" => OrganizationStatus::Disabled,
        "suspended" | "suspend" => OrganizationStatus::Suspended,
        _ => return None,
    })
}

pub(super) fn organization_status_name(status: OrganizationStatus) -> &'static str {
    match status {
        OrganizationStatus::Active => "Active",
        OrganizationStatus::Disabled => "Disabled",
        OrganizationStatus::Suspended => "Suspended",
        OrganizationStatus::Archived => "Archived",
    }
}
