//! What may become of an organisation.

use super::{Decision, Known, Stamp, places::blank_organisation, refuse_if_any, set, set_name, set_text};
use crate::{
    Edit, Fault, Field, Given, Item, ItemKind, Organisation, OrganisationEdit, Refusal, Rule, rules,
};
use std::collections::HashSet;

pub(super) fn create(edit: &OrganisationEdit, stamp: &Stamp<'_>) -> Result<Decision, Refusal> {
    if edit.number.is_some_and(|number| number == 0 || i32::try_from(number).is_err()) {
        return Err(Refusal::field(Field::Number, Rule::Malformed));
    }
    let mut organisation = blank_organisation(edit.number.unwrap_or(0), "", stamp);
    organisation.id = edit.id.unwrap_or(organisation.id);
    apply(&mut organisation, edit)?;
    let item = Box::new(Item::Organisation(organisation));
    Ok(Decision { edits: vec![Edit::AddItem { item, members: Vec::new() }], ..Decision::default() })
}

pub(super) fn update_all(
    edit: &OrganisationEdit,
    known: &Known,
    stamp: &Stamp<'_>,
) -> Result<Decision, Refusal> {
    let mut decision = Decision::default();
    let mut seen = HashSet::new();
    for item in &known.items {
        let Some(item @ Item::Organisation(before)) = item else {
            return Err(Refusal::NoSuchItem(ItemKind::Organisation));
        };
        if !seen.insert(before.id) {
            continue;
        }
        let mut after = before.clone();
        apply(&mut after, edit)?;
        decision.change_item(item, Item::Organisation(after), (Vec::new(), Vec::new()), stamp);
    }
    Ok(decision)
}

fn apply(organisation: &mut Organisation, edit: &OrganisationEdit) -> Result<(), Refusal> {
    refuse_if_any(too_long(edit))?;
    let mut faults = Vec::new();
    set_name(&mut organisation.name, &edit.name, &mut faults);
    if let Some(status) = edit.status {
        organisation.status = status;
    }
    apply_domains(organisation, edit, &mut faults);
    if let Given::Value(addresses) = &edit.addresses {
        organisation.addresses.clear();
        for address in addresses {
            if !organisation.addresses.contains(address) {
                organisation.addresses.push(*address);
            }
        }
    } else if edit.addresses.is_mentioned() {
        organisation.addresses.clear();
    }
    set_text(&mut organisation.url, Field::Url, &edit.url, &mut faults);
    set_text(&mut organisation.photo, Field::Photo, &edit.photo, &mut faults);
    set(&mut organisation.auto_login, &edit.auto_login);
    set_number(&mut organisation.homepage, &edit.homepage);
    set_number(&mut organisation.guid, &edit.guid);
    set_number(&mut organisation.industry, &edit.industry);
    set_number(&mut organisation.category, &edit.category);
    set(&mut organisation.key_contacts, &edit.key_contacts);
    refuse_if_any(faults)
}

/// The lists that are too long, told before anything is compared with anything.
fn too_long(edit: &OrganisationEdit) -> Vec<Fault> {
    let count = |list: &Given<Vec<u32>>| list.value().map_or(0, Vec::len);
    let domains = edit.domains.value().map_or(0, Vec::len) + edit.more_domains.len();
    let lists = [
        (Field::Domains, domains),
        (Field::Addresses, count(&edit.addresses)),
        (Field::Members, count(&edit.key_contacts)),
    ];
    let rule = Rule::TooLong(rules::MAX_BULK);
    lists
        .into_iter()
        .filter(|(_, count)| *count > rules::MAX_BULK)
        .map(|(field, _)| Fault { field, rule })
        .collect()
}

fn apply_domains(organisation: &mut Organisation, edit: &OrganisationEdit, faults: &mut Vec<Fault>) {
    let before = organisation.domains.clone();
    match &edit.domains {
        Given::Absent => {}
        Given::Cleared | Given::Value(_) => organisation.domains.clear(),
    }
    let wanted = edit.domains.value().into_iter().flatten().chain(&edit.more_domains);
    for domain in wanted {
        let domain = domain.trim().to_lowercase();
        let is_forbidden = !rules::is_identifier(&domain) && !before.contains(&domain);
        let is_same = |other: &String| crate::domain_key(other) == crate::domain_key(&domain);
        if is_forbidden
            || domain.is_empty()
            || domain.len() > 253
            || domain.contains(|c: char| c == '@' || c.is_whitespace())
        {
            faults.push(Fault { field: Field::Domains, rule: Rule::Malformed });
        } else if !organisation.domains.iter().any(is_same) {
            rules::check_text(Field::Domains, &domain, faults);
            organisation.domains.push(domain);
        }
    }
}

fn set_number(slot: &mut Option<u32>, given: &Given<u32>) {
    match given {
        Given::Absent => {}
        Given::Cleared => *slot = None,
        Given::Value(number) => *slot = Some(*number),
    }
}
