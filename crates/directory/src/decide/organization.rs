//! Decisions about organizations.

use super::{
    Decision, DecisionContext, DecisionInput, affiliations::new_organization, reject_if_any, set_name, set_or_default,
    set_text,
};
use crate::text::validation;
use crate::{
    DirectoryError, Field, FieldError, FieldErrorKind, FieldUpdate, Item, ItemKind, Mutation, Organization,
    OrganizationEdit,
};
use std::collections::HashSet;

pub(super) fn create(edit: &OrganizationEdit, context: &DecisionContext<'_>) -> Result<Decision, DirectoryError> {
    if edit.number.is_some_and(|number| number == 0 || i32::try_from(number).is_err()) {
        return Err(DirectoryError::for_field(Field::Number, FieldErrorKind::Malformed));
    }
    let mut organization = new_organization(edit.number.unwrap_or(0), "", context);
    organization.id = edit.id.unwrap_or(organization.id);
    apply(&mut organization, edit)?;
    let item = Box::new(Item::Organization(organization));
    Ok(Decision { mutations: vec![Mutation::AddItem { item, members: Vec::new() }], ..Decision::default() })
}

pub(super) fn update_all(
    edit: &OrganizationEdit,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    let mut decision = Decision::default();
    let mut seen = HashSet::new();
    for item in &input.items {
        let Some(item @ Item::Organization(before)) = item else {
            return Err(DirectoryError::NoSuchItem(ItemKind::Organization));
        };
        if !seen.insert(before.id) {
            continue;
        }
        let mut after = before.clone();
        apply(&mut after, edit)?;
        decision.change_item(item, Item::Organization(after), (Vec::new(), Vec::new()), context);
    }
    Ok(decision)
}

fn apply(organization: &mut Organization, edit: &OrganizationEdit) -> Result<(), DirectoryError> {
    reject_if_any(oversized_lists(edit))?;
    let mut errors = Vec::new();
    set_name(&mut organization.name, &edit.name, &mut errors);
    if let Some(status) = edit.status {
        organization.status = status;
    }
    apply_domains(organization, edit, &mut errors);
    if let FieldUpdate::Set(addresses) = &edit.office_numbers {
        organization.office_numbers.clear();
        for address in addresses {
            if !organization.office_numbers.contains(address) {
                organization.office_numbers.push(*address);
            }
        }
    } else if edit.office_numbers.is_change() {
        organization.office_numbers.clear();
    }
    set_text(&mut organization.url, Field::Url, &edit.url, &mut errors);
    set_text(&mut organization.photo, Field::Photo, &edit.photo, &mut errors);
    set_or_default(&mut organization.auto_login, &edit.auto_login);
    set_optional(&mut organization.homepage, &edit.homepage);
    set_optional(&mut organization.guid, &edit.guid);
    set_optional(&mut organization.industry, &edit.industry);
    set_optional(&mut organization.category, &edit.category);
    set_or_default(&mut organization.key_contacts, &edit.key_contacts);
    reject_if_any(errors)
}

/// Lists that are too long, reported before any entries are compared.
fn oversized_lists(edit: &OrganizationEdit) -> Vec<FieldError> {
    let count = |list: &FieldUpdate<Vec<u32>>| list.value().map_or(0, Vec::len);
    let domains = edit.domains.value().map_or(0, Vec::len) + edit.add_domains.len();
    let lists = [
        (Field::Domains, domains),
        (Field::OfficeNumbers, count(&edit.office_numbers)),
        (Field::Members, count(&edit.key_contacts)),
    ];
    let rule = FieldErrorKind::TooLong(validation::MAX_BULK_ITEMS);
    lists
        .into_iter()
        .filter(|(_, count)| *count > validation::MAX_BULK_ITEMS)
        .map(|(field, _)| FieldError { field, kind: rule })
        .collect()
}

fn apply_domains(organization: &mut Organization, edit: &OrganizationEdit, errors: &mut Vec<FieldError>) {
    let before = organization.domains.clone();
    match &edit.domains {
        FieldUpdate::Keep => {}
        FieldUpdate::Clear | FieldUpdate::Set(_) => organization.domains.clear(),
    }
    let wanted = edit.domains.value().into_iter().flatten().chain(&edit.add_domains);
    for domain in wanted {
        let domain = domain.trim().to_lowercase();
        let is_forbidden = !validation::is_visible_identifier(&domain) && !before.contains(&domain);
        let is_same = |other: &String| crate::domain_key(other) == crate::domain_key(&domain);
        if is_forbidden
            || domain.is_empty()
            || domain.len() > 253
            || domain.contains(|c: char| c == '@' || c.is_whitespace())
        {
            errors.push(FieldError { field: Field::Domains, kind: FieldErrorKind::Malformed });
        } else if !organization.domains.iter().any(is_same) {
            validation::check_text(Field::Domains, &domain, errors);
            organization.domains.push(domain);
        }
    }
}

fn set_optional(slot: &mut Option<u32>, update: &FieldUpdate<u32>) {
    match update {
        FieldUpdate::Keep => {}
        FieldUpdate::Clear => *slot = None,
        FieldUpdate::Set(number) => *slot = Some(*number),
    }
}
