//! Where a person belongs: department, organisation and office, role. These come from catalogues that may grow
//! on the way.

use super::{Decision, Known, Stamp};
use crate::{
    Department, DepartmentRef, Edit, Entry, Fault, Field, Given, Item, ItemId, Organisation, OrganisationRef,
    OrganisationStatus, Refusal, RoleRef, Rule, User, role_numbered, roles, rules,
};

/// A department by number or name; entered in the catalogue on first use.
pub(super) fn department(
    user: &mut User,
    given: &Given<DepartmentRef>,
    known: &Known,
    stamp: &Stamp<'_>,
    decision: &mut Decision,
    faults: &mut Vec<Fault>,
) {
    let (number, name) = match given {
        Given::Absent => return,
        Given::Cleared => {
            user.department = None;
            return;
        }
        Given::Value(DepartmentRef::NoNumber) => {
            let shown = |name: &String| known.departments.iter().any(|(_, n)| n == name);
            user.department = user.department.take().filter(|name| !shown(name));
            return;
        }
        Given::Value(DepartmentRef::Number(number)) => {
            let number = u32::from(*number);
            if let Some((_, name)) = known.departments.iter().find(|(n, _)| *n == number) {
                user.department = Some(name.clone());
                return;
            }
            (Some(number), unused_name(number, known))
        }
        Given::Value(DepartmentRef::Name(name)) => {
            rules::check_text(Field::Department, name, faults);
            if name.trim().is_empty() || known.departments.iter().any(|(_, n)| n == name) {
                user.department = Some(name.clone()).filter(|name| !name.trim().is_empty());
                return;
            }
            (free_number(known), name.clone())
        }
    };
    user.department = Some(name.clone());
    // A catalogue of 256 that is full takes no more; the person keeps the name all the same.
    if let Some(number) = number {
        decision.edits.push(entered(number, name, stamp));
    }
}

/// A department of its own accord.
pub(super) fn add_department(
    name: &str,
    number: Option<u8>,
    known: &Known,
    stamp: &Stamp<'_>,
) -> Result<Decision, Refusal> {
    let mut faults = Vec::new();
    rules::check_text(Field::Name, name, &mut faults);
    if name.trim().is_empty() {
        faults.push(Fault { field: Field::Name, rule: Rule::Missing });
    }
    let number = number.map(u32::from);
    let taken = |(used, named): &(u32, String)| Some(*used) == number || named == name;
    if known.departments.iter().any(taken) {
        faults.push(Fault { field: Field::Name, rule: Rule::Taken });
    }
    super::refuse_if_any(faults)?;
    let full = Refusal::field(Field::Number, Rule::TooLong(DEPARTMENTS));
    let number = number.or_else(|| free_number(known)).ok_or(full)?;
    Ok(Decision { edits: vec![entered(number, name.to_owned(), stamp)], ..Decision::default() })
}

/// A department as it is entered in the catalogue.
fn entered(number: u32, name: String, stamp: &Stamp<'_>) -> Edit {
    let id = ItemId(stamp.ids.next());
    let new = Department { id, number, version: 1, name, created: stamp.now, updated: stamp.now };
    Edit::AddItem { item: Box::new(Item::Department(new)), members: Vec::new() }
}

/// How many departments a catalogue may have.
const DEPARTMENTS: usize = 256;

fn unused_name(number: u32, known: &Known) -> String {
    let mut name = format!("Department {number}");
    while known.departments.iter().any(|(_, n)| *n == name) {
        name.push('\'');
    }
    name
}

fn free_number(known: &Known) -> Option<u32> {
    (1..=255).chain(std::iter::once(0)).find(|n| !known.departments.iter().any(|(used, _)| used == n))
}

/// An organisation by number, else by name; created with its name when there is none (decision 18), found by
/// the e-mail's domain when a new person comes without one.
pub(super) fn organisation(
    user: &mut User,
    is_new: bool,
    given: &Given<OrganisationRef>,
    known: &Known,
    stamp: &Stamp<'_>,
    decision: &mut Decision,
    faults: &mut Vec<Fault>,
) {
    let wanted = match given {
        Given::Absent => {
            if is_new {
                user.organisation = known.by_domain.as_ref().map(|o| o.id);
            }
            return;
        }
        Given::Cleared => {
            (user.organisation, user.office) = (None, None);
            return;
        }
        Given::Value(wanted) => wanted,
    };
    let name = wanted.name.as_deref().filter(|name| !name.trim().is_empty());
    let found = match (wanted.number, name) {
        (Some(_), _) if known.by_number.is_some() => known.by_number.as_ref(),
        (_, Some(_)) => known.by_name.as_ref(),
        (Some(_), None) => {
            faults.push(Fault { field: Field::Organisation, rule: Rule::Unknown });
            return;
        }
        (None, None) => known.by_address.as_ref(),
    };
    let mut organisation = match (found, name) {
        (Some(found), _) => found.clone(),
        // Numbers are given up to the same end.
        (None, Some(_)) if wanted.number.is_some_and(|number| i32::try_from(number).is_err()) => {
            faults.push(Fault { field: Field::Organisation, rule: Rule::Malformed });
            return;
        }
        (None, Some(name)) => {
            rules::check_text(Field::Organisation, name, faults);
            blank_organisation(wanted.number.unwrap_or(0), name, stamp)
        }
        (None, None) => {
            faults.push(Fault { field: Field::Organisation, rule: Rule::Unknown });
            return;
        }
    };
    user.organisation = Some(organisation.id);
    user.office = wanted.address;
    let taken_by = known.by_address.as_ref().map(|o| o.id);
    match wanted.address {
        // Its wished numbers are a new organisation's where they are free (decision 18).
        Some(_) if taken_by.is_some() && found.is_none() => user.office = None,
        Some(_) if taken_by.is_some_and(|other| other != organisation.id) => {
            faults.push(Fault { field: Field::Office, rule: Rule::Taken });
        }
        Some(_) if taken_by.is_none() && organisation.addresses.len() >= rules::MAX_BULK => {
            faults.push(Fault { field: Field::Office, rule: Rule::TooLong(rules::MAX_BULK) });
        }
        Some(address) if taken_by.is_none() => organisation.addresses.push(address),
        _ => {}
    }
    match found {
        None => decision
            .edits
            .push(Edit::AddItem { item: Box::new(Item::Organisation(organisation)), members: Vec::new() }),
        Some(before) => {
            let (before, after) = (Item::Organisation(before.clone()), Item::Organisation(organisation));
            decision.change_side(&before, after, stamp);
        }
    }
}

pub(super) fn blank_organisation(number: u32, name: &str, stamp: &Stamp<'_>) -> Organisation {
    Organisation {
        id: ItemId(stamp.ids.next()),
        number,
        version: 1,
        name: name.to_owned(),
        status: OrganisationStatus::Active,
        domains: Vec::new(),
        addresses: Vec::new(),
        url: None,
        photo: None,
        auto_login: false,
        homepage: None,
        guid: None,
        industry: None,
        category: None,
        key_contacts: Vec::new(),
        created: stamp.now,
        updated: stamp.now,
    }
}

/// Roles as a client lists them: the first that the catalogue knows, the preferred one before others, is the
/// person's; all others are kept as they are. One that says no more than its name needs no keeping.
pub(super) fn roles(user: &mut User, mut entries: Vec<Entry>, known: &Known) {
    let number = |entry: &Entry| roles::number(&entry.value, &known.roles);
    let preferred = entries.iter().position(|entry| entry.is_preferred() && number(entry).is_some());
    let place = preferred.or_else(|| entries.iter().position(|entry| number(entry).is_some()));
    user.role = place.and_then(|place| number(&entries[place]));
    if let Some(place) = place {
        let others_prefer = entries.iter().enumerate().any(|(n, entry)| n != place && entry.is_preferred());
        let entry = &entries[place];
        let as_shown = (!others_prefer).then_some(true);
        let says_more = entry.kind.is_some() || entry.display.is_some() || entry.primary != as_shown;
        if !says_more && place == 0 {
            entries.remove(place);
        }
    }
    user.other_roles = entries;
}

/// A role of the catalogue: built in, or the tenant's own.
pub(super) fn role(user: &mut User, given: &Given<RoleRef>, known: &Known, faults: &mut Vec<Fault>) {
    if given.is_mentioned() {
        // What else was said of the role before is not said of this one.
        let was = user.role;
        user.other_roles.retain(|entry| was.is_none() || roles::number(&entry.value, &known.roles) != was);
    }
    let found = match given {
        Given::Absent => return,
        Given::Cleared => {
            user.role = None;
            return;
        }
        Given::Value(RoleRef::Number(number)) => role_numbered(*number)
            .map(|_| *number)
            .or_else(|| known.roles.iter().find(|role| role.number == *number).map(|role| role.number)),
        Given::Value(RoleRef::Name(name)) => roles::number(name, &known.roles),
    };
    match found {
        Some(number) => user.role = Some(number),
        None => faults.push(Fault { field: Field::Role, rule: Rule::Unknown }),
    }
}
