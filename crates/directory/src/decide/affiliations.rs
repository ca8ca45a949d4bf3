//! Decisions about a user's department, organization, office and role. A change of a user can add departments and
//! organizations to their catalogs.

use super::{Decision, DecisionContext, DecisionInput};
use crate::model::roles;
use crate::text::validation;
use crate::{
    Department, DepartmentRef, DirectoryError, Field, FieldError, FieldErrorKind, FieldUpdate, Item, ItemId, Mutation,
    Organization, OrganizationRef, OrganizationStatus, RoleRef, TypedValue, User, builtin_role_name,
};

/// A department by number or name, which is added to the catalog on first use.
pub(super) fn set_department(
    user: &mut User,
    update: &FieldUpdate<DepartmentRef>,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
    decision: &mut Decision,
    errors: &mut Vec<FieldError>,
) {
    let (number, name) = match update {
        FieldUpdate::Keep => return,
        FieldUpdate::Clear => {
            user.department = None;
            return;
        }
        FieldUpdate::Set(DepartmentRef::NoNumber) => {
            let has_number = |name: &String| input.departments.iter().any(|(_, n)| n == name);
            user.department = user.department.take().filter(|name| !has_number(name));
            return;
        }
        FieldUpdate::Set(DepartmentRef::Number(number)) => {
            let number = u32::from(*number);
            if let Some((_, name)) = input.departments.iter().find(|(n, _)| *n == number) {
                user.department = Some(name.clone());
                return;
            }
            (Some(number), unused_department_name(number, input))
        }
        FieldUpdate::Set(DepartmentRef::Name(name)) => {
            validation::check_text(Field::Department, name, errors);
            if name.trim().is_empty() || input.departments.iter().any(|(_, n)| n == name) {
                user.department = Some(name.clone()).filter(|name| !name.trim().is_empty());
                return;
            }
            (free_department_number(input), name.clone())
        }
    };
    user.department = Some(name.clone());
    // A full catalog gets no new entry, but the user still keeps the name.
    if let Some(number) = number {
        decision.mutations.push(add_department_mutation(number, name, context));
    }
}

/// Adds a department without a user.
pub(super) fn add_department(
    name: &str,
    number: Option<u8>,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    let mut errors = Vec::new();
    validation::check_text(Field::Name, name, &mut errors);
    if name.trim().is_empty() {
        errors.push(FieldError { field: Field::Name, kind: FieldErrorKind::Missing });
    }
    let number = number.map(u32::from);
    let taken = |(used, named): &(u32, String)| Some(*used) == number || named == name;
    if input.departments.iter().any(taken) {
        errors.push(FieldError { field: Field::Name, kind: FieldErrorKind::Taken });
    }
    super::reject_if_any(errors)?;
    let full = DirectoryError::for_field(Field::Number, FieldErrorKind::TooLong(MAX_DEPARTMENTS));
    let number = number.or_else(|| free_department_number(input)).ok_or(full)?;
    Ok(Decision { mutations: vec![add_department_mutation(number, name.to_owned(), context)], ..Decision::default() })
}

fn add_department_mutation(number: u32, name: String, context: &DecisionContext<'_>) -> Mutation {
    let id = ItemId(context.ids.next_id());
    let new = Department { id, number, version: 1, name, created: context.now, updated: context.now };
    Mutation::AddItem { item: Box::new(Item::Department(new)), members: Vec::new() }
}

const MAX_DEPARTMENTS: usize = 256;

fn unused_department_name(number: u32, input: &DecisionInput) -> String {
    let mut name = format!("Department {number}");
    while input.departments.iter().any(|(_, n)| *n == name) {
        name.push('\'');
    }
    name
}

fn free_department_number(input: &DecisionInput) -> Option<u32> {
    (1..=255).chain(std::iter::once(0)).find(|n| !input.departments.iter().any(|(used, _)| used == n))
}

/// An organization by number, else by name. If no organization has the name, one is created. A new user
/// without an organization gets the one that has the domain of the email.
pub(super) fn set_organization(
    user: &mut User,
    is_new: bool,
    update: &FieldUpdate<OrganizationRef>,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
    decision: &mut Decision,
    errors: &mut Vec<FieldError>,
) {
    let reference = match update {
        FieldUpdate::Keep => {
            if is_new {
                user.organization = input.organization_by_domain.as_ref().map(|o| o.id);
            }
            return;
        }
        FieldUpdate::Clear => {
            (user.organization, user.office) = (None, None);
            return;
        }
        FieldUpdate::Set(reference) => reference,
    };
    let name = reference.name.as_deref().filter(|name| !name.trim().is_empty());
    let existing = match (reference.number, name) {
        (Some(_), _) if input.organization_by_number.is_some() => input.organization_by_number.as_ref(),
        (_, Some(_)) => input.organization_by_name.as_ref(),
        (Some(_), None) => {
            errors.push(FieldError { field: Field::Organization, kind: FieldErrorKind::NotFound });
            return;
        }
        (None, None) => input.organization_by_office.as_ref(),
    };
    let mut organization = match (existing, name) {
        (Some(existing), _) => existing.clone(),
        // The store assigns numbers up to the same limit.
        (None, Some(_)) if reference.number.is_some_and(|number| i32::try_from(number).is_err()) => {
            errors.push(FieldError { field: Field::Organization, kind: FieldErrorKind::Malformed });
            return;
        }
        (None, Some(name)) => {
            validation::check_text(Field::Organization, name, errors);
            new_organization(reference.number.unwrap_or(0), name, context)
        }
        (None, None) => {
            errors.push(FieldError { field: Field::Organization, kind: FieldErrorKind::NotFound });
            return;
        }
    };
    user.organization = Some(organization.id);
    user.office = reference.office_number;
    let office_owner = input.organization_by_office.as_ref().map(|o| o.id);
    match reference.office_number {
        // A new organization gets the requested office number only if it is free.
        Some(_) if office_owner.is_some() && existing.is_none() => user.office = None,
        Some(_) if office_owner.is_some_and(|other| other != organization.id) => {
            errors.push(FieldError { field: Field::Office, kind: FieldErrorKind::Taken });
        }
        Some(_) if office_owner.is_none() && organization.office_numbers.len() >= validation::MAX_BULK_ITEMS => {
            errors.push(FieldError { field: Field::Office, kind: FieldErrorKind::TooLong(validation::MAX_BULK_ITEMS) });
        }
        Some(address) if office_owner.is_none() => organization.office_numbers.push(address),
        _ => {}
    }
    match existing {
        None => decision
            .mutations
            .push(Mutation::AddItem { item: Box::new(Item::Organization(organization)), members: Vec::new() }),
        Some(before) => {
            let (before, after) = (Item::Organization(before.clone()), Item::Organization(organization));
            decision.change_related_item(&before, after, context);
        }
    }
}

pub(super) fn new_organization(number: u32, name: &str, context: &DecisionContext<'_>) -> Organization {
    Organization {
        id: ItemId(context.ids.next_id()),
        number,
        version: 1,
        name: name.to_owned(),
        status: OrganizationStatus::Active,
        domains: Vec::new(),
        office_numbers: Vec::new(),
        url: None,
        photo: None,
        auto_login: false,
        homepage: None,
        guid: None,
        industry: None,
        category: None,
        key_contacts: Vec::new(),
        created: context.now,
        updated: context.now,
    }
}

/// Sets the roles that a client lists: the primary one, else the first, of those that the tenant knows becomes the
/// effective role. All others are stored as sent, and so is the effective one if its entry has details.
pub(super) fn set_listed_roles(user: &mut User, mut entries: Vec<TypedValue>, input: &DecisionInput) {
    let number = |entry: &TypedValue| roles::role_number(&entry.value, &input.custom_roles);
    let preferred = entries.iter().position(|entry| entry.is_primary() && number(entry).is_some());
    let index = preferred.or_else(|| entries.iter().position(|entry| number(entry).is_some()));
    user.role = index.and_then(|index| number(&entries[index]));
    if let Some(index) = index {
        let another_is_primary = entries.iter().enumerate().any(|(n, entry)| n != index && entry.is_primary());
        let entry = &entries[index];
        let default_primary = (!another_is_primary).then_some(true);
        let has_details = entry.kind.is_some() || entry.display.is_some() || entry.primary != default_primary;
        // One that is not listed first keeps its entry, so that the order stays.
        if !has_details && index == 0 {
            entries.remove(index);
        }
    }
    user.other_roles = entries;
}

pub(super) fn set_role(
    user: &mut User,
    update: &FieldUpdate<RoleRef>,
    input: &DecisionInput,
    errors: &mut Vec<FieldError>,
) {
    if update.is_change() {
        // Details of the previous role do not apply to the new one.
        let previous = user.role;
        user.other_roles
            .retain(|entry| previous.is_none() || roles::role_number(&entry.value, &input.custom_roles) != previous);
    }
    let existing = match update {
        FieldUpdate::Keep => return,
        FieldUpdate::Clear => {
            user.role = None;
            return;
        }
        FieldUpdate::Set(RoleRef::Number(number)) => builtin_role_name(*number)
            .map(|_| *number)
            .or_else(|| input.custom_roles.iter().find(|role| role.number == *number).map(|role| role.number)),
        FieldUpdate::Set(RoleRef::Name(name)) => roles::role_number(name, &input.custom_roles),
    };
    match existing {
        Some(number) => user.role = Some(number),
        None => errors.push(FieldError { field: Field::Role, kind: FieldErrorKind::NotFound }),
    }
}
