//! What may become of a person.

use super::{Decision, Known, Stamp, account, ceiling, places, refuse_if_any, set};
use crate::{
    AccountEdit, Edit, Entry, Fault, Field, Given, ItemId, ItemKey, ItemKind, Link, LinkKind, Refusal, Rule,
    Status, StatusMove, StatusWish, User, UserEdit, UserId, identifier_key, rules,
};
use secrecy::ExposeSecret;
use std::collections::HashSet;

pub(super) fn create(edit: &UserEdit, known: &Known, stamp: &Stamp<'_>) -> Result<Decision, Refusal> {
    let id = edit.id.unwrap_or_else(|| UserId(stamp.ids.next()));
    let mut user = User::blank(id, stamp.now);
    if let Given::Value(wish) = edit.status {
        user.status = match wish {
            StatusWish::To(status) => status,
            StatusWish::Off => Status::Inactive,
            StatusWish::On => Status::Active,
        };
    }
    let mut decision = apply(&mut user, None, edit, known, stamp)?;
    let mut account = AccountEdit { password: edit.password_hash.clone(), ..AccountEdit::default() };
    let mut mail = None;
    if edit.invite && user.do_not_email != Some(true) && account::can_be_invited(&user) {
        let mut sign_ins = crate::SignIns::default();
        mail = Some(account::make_link(&mut user, &mut sign_ins, crate::Purpose::Invitation, stamp));
        account.sign_ins = Some(sign_ins);
    }
    match &known.tombstone {
        // Whoever makes somebody again whom they know by the same key means the same person.
        Some(before) => {
            (user.id, user.number) = (before.user.id, before.user.number);
            (user.created, user.version) = (before.user.created, before.user.version + 1);
            if let Some(mail) = &mut mail {
                mail.user = user.id;
            }
            ceiling::check_user(&before.user, known, stamp)?;
            decision.edits.push(Edit::RestoreUser {
                before: Box::new(before.clone()),
                user: Box::new(user),
                account,
                keeps_password: false,
            });
        }
        None => decision.edits.push(Edit::AddUser { user: Box::new(user), account }),
    }
    decision.edits.extend(mail.map(|mail| Edit::AddMail(Box::new(mail))));
    Ok(decision)
}

/// Somebody who was deleted is back as they were. What they belonged to and is gone meanwhile, they belong to no more.
pub(super) fn restore(known: &Known, stamp: &Stamp<'_>) -> Result<Decision, Refusal> {
    let before = known.tombstone.as_ref().filter(|stone| stone.is_restorable(stamp.now));
    let before = before.ok_or(Refusal::NoSuchUser)?;
    ceiling::check_user(&before.user, known, stamp)?;
    let mut user = before.user.clone();
    let is_there = |kind: ItemKind, id: &ItemId| known.referred.contains_key(&(kind, ItemKey::Id(*id)));
    user.groups.retain(|id| is_there(ItemKind::Group, id));
    user.folders.retain(|id| is_there(ItemKind::Folder, id));
    user.organisation = user.organisation.filter(|id| is_there(ItemKind::Organisation, id));
    user.version += 1;
    user.updated = stamp.now;
    let edit = Edit::RestoreUser {
        before: Box::new(before.clone()),
        user: Box::new(user),
        account: AccountEdit::default(),
        keeps_password: true,
    };
    Ok(Decision { edits: vec![edit], ..Decision::default() })
}

/// Purges a deleted user who can no longer be restored, or whose tenant is removed.
pub(super) fn purge(known: &Known, stamp: &Stamp<'_>) -> Result<Decision, Refusal> {
    let before = known.tombstone.as_ref().ok_or(Refusal::NoSuchUser)?;
    let is_removed = known.tenant.as_ref().is_some_and(|tenant| tenant.removed.is_some());
    if before.is_restorable(stamp.now) && !is_removed {
        return Err(Refusal::WrongStatus);
    }
    let mut edits = account::withdrawn(known.mails.iter());
    edits.push(Edit::PurgeUser(Box::new(before.clone())));
    Ok(Decision { edits, ..Decision::default() })
}

/// Whether what an edit says keeps the rules for single values, whoever it is about. References are not looked up, so
/// they are not found wanting either.
pub(crate) fn check(edit: &UserEdit) -> Result<(), Refusal> {
    let (mut user, mut faults) = (User::blank(UserId(uuid::Uuid::nil()), crate::Time(0)), Vec::new());
    user.user_name.push('-');
    let known = Known::default();
    let before = user.clone();
    apply_texts(&mut user, Some(&before), edit, &mut faults);
    apply_plurals(&mut user, edit, &known, &mut faults);
    apply_lists(
        &mut user,
        &UserEdit { groups: Given::Absent, folders: Given::Absent, ..edit.clone() },
        &known,
        &mut faults,
    );
    if let Given::Value(crate::DepartmentRef::Name(name)) = &edit.department {
        rules::check_text(Field::Department, name, &mut faults);
    }
    if let Some(password) = &edit.password {
        faults.extend(check_password(password.expose_secret()));
    }
    // What is not there yet may still come.
    faults.retain(|fault| fault.rule != Rule::Missing);
    refuse_if_any(faults)
}

pub(super) fn update(edit: &UserEdit, known: &Known, stamp: &Stamp<'_>) -> Result<Decision, Refusal> {
    let before = addressed(known)?;
    let mut after = before.clone();
    let mut decision = apply(&mut after, Some(before), edit, known, stamp)?;
    let has_new_password =
        decision.password.is_some() || edit.password_hash.is_some() || edit.forgets_password;
    if has_new_password || ceiling::is_guarded(before, &after) {
        ceiling::check_user(before, known, stamp)?;
    }
    if let Some(former) = known.tombstone.as_ref().filter(|_| after.external_id != before.external_id) {
        // The next import would take this user for the one who was deleted.
        ceiling::check_user(&former.user, known, stamp)?;
    }
    // Whoever is signed in with what is no longer good is out, and so are links that went to another address.
    let has_moved = after.email().map(identifier_key) != before.email().map(identifier_key);
    let is_shut = after.status.is_off() && !before.status.is_off();
    let mut account = if has_moved || is_shut || has_new_password {
        AccountEdit::ended(stamp.now)
    } else {
        AccountEdit::default()
    };
    account.password.clone_from(&edit.password_hash);
    if edit.forgets_password && account.password.is_none() {
        account.password = Some(crate::StoredPassword::none());
    }
    let mut mail = None;
    if has_moved && before.invited.is_some() && account::can_be_invited(&after) {
        let sign_ins = account.sign_ins.get_or_insert_default();
        mail = Some(account::make_link(&mut after, sign_ins, crate::Purpose::Invitation, stamp));
    }
    decision.change_user(before, after, account, stamp);
    decision.edits.extend(mail.map(|mail| Edit::AddMail(Box::new(mail))));
    Ok(decision)
}

pub(super) fn delete(known: &Known, stamp: &Stamp<'_>) -> Result<Decision, Refusal> {
    let user = addressed(known)?.clone();
    ceiling::check_user(&user, known, stamp)?;
    Ok(Decision { edits: vec![Edit::RemoveUser(Box::new(user))], ..Decision::default() })
}

pub(super) fn move_all(step: &StatusMove, known: &Known, stamp: &Stamp<'_>) -> Result<Decision, Refusal> {
    let mut decision = Decision::default();
    let mut seen = HashSet::new();
    for user in &known.users {
        let before = user.as_ref().ok_or(Refusal::NoSuchUser)?;
        if !seen.insert(before.id) {
            continue;
        }
        ceiling::check_user(before, known, stamp)?;
        if step.only_from.is_some_and(|only| only != before.status) {
            return Err(Refusal::WrongStatus);
        }
        let status = before.status.moved(step.to).ok_or(Refusal::field(Field::Status, Rule::NotAllowed))?;
        let is_shut = status.is_off() && !before.status.is_off();
        let account = if is_shut { AccountEdit::ended(stamp.now) } else { AccountEdit::default() };
        decision.change_user(before, User { status, status_unsaid: false, ..before.clone() }, account, stamp);
    }
    Ok(decision)
}

pub(super) fn addressed(known: &Known) -> Result<&User, Refusal> {
    known.users.first().and_then(Option::as_ref).ok_or(Refusal::NoSuchUser)
}

/// Puts everything the edit says on the user. Side edits (a new organisation or department) come first in the
/// decision, since the user refers to them.
fn apply(
    user: &mut User,
    before: Option<&User>,
    edit: &UserEdit,
    known: &Known,
    stamp: &Stamp<'_>,
) -> Result<Decision, Refusal> {
    let mut faults = Vec::new();
    let mut decision = Decision::default();
    apply_texts(user, before, edit, &mut faults);
    apply_plurals(user, edit, known, &mut faults);
    apply_lists(user, edit, known, &mut faults);
    places::department(user, &edit.department, known, stamp, &mut decision, &mut faults);
    places::organisation(
        user,
        before.is_none(),
        &edit.organisation,
        known,
        stamp,
        &mut decision,
        &mut faults,
    );
    places::role(user, &edit.role, known, &mut faults);
    match edit.office {
        Given::Absent => {}
        Given::Cleared => user.office = None,
        Given::Value(number) => user.office = Some(number),
    }
    set_flag(&mut user.do_not_email, &edit.do_not_email);
    set_flag(&mut user.force_password_change, &edit.force_password_change);
    apply_status(user, before, edit, &mut faults);
    rules::check_identifiers(before, user, &mut faults);
    if let Some(password) = &edit.password {
        faults.extend(check_password(password.expose_secret()));
        decision.password = Some(password.clone());
    }
    refuse_if_any(faults)?;
    ceiling::check_granted(before, user, known, stamp)?;
    Ok(decision)
}

/// Where the person stands. A client that takes the status away switches the person off, and says no more of it.
fn apply_status(user: &mut User, before: Option<&User>, edit: &UserEdit, faults: &mut Vec<Fault>) {
    let wish = match edit.status {
        Given::Absent => return,
        Given::Cleared => StatusWish::Off,
        Given::Value(wish) => wish,
    };
    user.status_unsaid = edit.status == Given::Cleared;
    // A new person's was set when they were made.
    let from = before.map_or(user.status, |before| before.status);
    match wish.from(from) {
        Some(status) => user.status = status,
        None => faults.push(Fault { field: Field::Status, rule: Rule::NotAllowed }),
    }
}

fn set_flag(slot: &mut Option<bool>, given: &Given<bool>) {
    match given {
        Given::Absent => {}
        Given::Cleared => *slot = None,
        Given::Value(on) => *slot = Some(*on),
    }
}

fn apply_texts(user: &mut User, before: Option<&User>, edit: &UserEdit, faults: &mut Vec<Fault>) {
    for (field, given) in edit.texts.iter().filter(|(field, _)| *field != Field::UserName) {
        match given {
            Given::Absent => {}
            Given::Value(text) if !text.is_empty() => {
                rules::check_text(*field, text, faults);
                user.set_text(*field, Some(text.clone()));
            }
            Given::Cleared | Given::Value(_) => user.set_text(*field, None),
        }
    }
    if let Some(Given::Value(name)) = edit.said(Field::UserName) {
        rules::check_text(Field::UserName, name, faults);
        user.user_name.clone_from(name);
    } else if let Some(email) = user.email().map(str::to_owned) {
        // The user name is the e-mail until somebody gives another.
        let follows = before
            .is_none_or(|b| b.email().is_some_and(|e| identifier_key(e) == identifier_key(&b.user_name)));
        if follows {
            user.user_name = email;
        }
    }
    if user.user_name.is_empty() {
        faults.push(Fault { field: Field::Email, rule: Rule::Missing });
    }
}

/// Puts whole plurals where they belong; what was the catalogue's role among the roles becomes the person's.
fn apply_plurals(user: &mut User, edit: &UserEdit, known: &Known, faults: &mut Vec<Fault>) {
    for (field, given) in &edit.plurals {
        if !given.is_mentioned() {
            continue;
        }
        let entries: &[Entry] = given.value().map_or(&[], Vec::as_slice);
        if too_many(*field, entries.len(), rules::MAX_LIST, faults) {
            continue;
        }
        if entries.iter().filter(|entry| entry.is_preferred()).count() > 1 {
            faults.push(Fault { field: *field, rule: Rule::Malformed });
        }
        // An e-mail or photo in a list keeps the rules of a single one.
        let rule = match field {
            Field::Emails => Field::Email,
            Field::Phones => Field::WorkPhone,
            Field::Photos => Field::Photo,
            other => *other,
        };
        for entry in entries {
            if entry.value.is_empty() {
                faults.push(Fault { field: *field, rule: Rule::Missing });
            }
            rules::check_text(rule, &entry.value, faults);
            rules::check_text(Field::Kind, entry.kind.as_deref().unwrap_or_default(), faults);
            rules::check_text(Field::Display, entry.display.as_deref().unwrap_or_default(), faults);
        }
        let entries = entries.to_vec();
        match field {
            Field::Emails => user.emails = entries,
            Field::Phones => user.phones = entries,
            Field::Photos => user.photos = entries,
            Field::Entitlements => user.entitlements = entries,
            Field::Certificates => user.certificates = entries,
            Field::Roles => places::roles(user, entries, known),
            Field::MessagingLinks => {
                user.links.retain(|link| link.kind != LinkKind::Messaging);
                user.links.extend(entries.into_iter().map(|Entry { value, kind, display, primary }| Link {
                    display,
                    primary,
                    ..Link::new(LinkKind::Messaging, kind.unwrap_or_default(), value)
                }));
            }
            _ => {}
        }
    }
    if let Given::Value(addresses) = &edit.addresses
        && !too_many(Field::PostalAddresses, addresses.len(), rules::MAX_LIST, faults)
    {
        if addresses.iter().filter(|address| address.primary == Some(true)).count() > 1 {
            faults.push(Fault { field: Field::PostalAddresses, rule: Rule::Malformed });
        }
        for address in addresses {
            let lines = [
                (Field::AddressLine1, &address.line1),
                (Field::AddressLine2, &address.line2),
                (Field::City, &address.city),
                (Field::Region, &address.region),
                (Field::PostalCode, &address.postal_code),
                (Field::Country, &address.country),
                (Field::Formatted, &address.formatted),
                (Field::Kind, &address.kind),
            ];
            for (field, line) in lines {
                rules::check_text(field, line.as_deref().unwrap_or_default(), faults);
            }
        }
    }
    set(&mut user.addresses, &edit.addresses);
    weigh(user, edit, faults);
}

/// Refuses more of a person's plurals in all than there may be; the one that was said is to blame.
fn weigh(user: &User, edit: &UserEdit, faults: &mut Vec<Fault>) {
    let grown = edit.plurals.iter().find(|(_, given)| given.value().is_some()).map(|(field, _)| *field);
    let grown = grown.or(edit.addresses.value().map(|_| Field::PostalAddresses));
    if let Some(field) = grown
        && user.plural_bytes() > rules::MAX_PLURAL_BYTES
    {
        faults.push(Fault { field, rule: Rule::TooLong(rules::MAX_PLURAL_BYTES) });
    }
}

fn apply_lists(user: &mut User, edit: &UserEdit, known: &Known, faults: &mut Vec<Fault>) {
    for (kind, given) in &edit.links {
        let field = match kind {
            LinkKind::Social => Field::SocialLinks,
            LinkKind::Custom => Field::CustomLinks,
            LinkKind::Messaging => Field::MessagingLinks,
        };
        let mut gone = Vec::new();
        if given.is_mentioned() {
            gone = user.links.extract_if(.., |link| link.kind == *kind).collect();
        }
        let links: &[Link] = given.value().map_or(&[], Vec::as_slice);
        if too_many(field, links.len(), rules::MAX_LIST, faults) {
            return;
        }
        for link in links {
            rules::check_text(field, &link.name, faults);
            rules::check_text(field, &link.value, faults);
        }
        // Whoever sends these knows names and values alone; what else was said of the same link stays.
        let same = |new: &Link, old: &&Link| (&old.name, &old.value) == (&new.name, &new.value);
        let known = |new: &Link| gone.iter().find(|old| same(new, old)).unwrap_or(new).clone();
        user.links.extend(links.iter().map(known));
    }
    user.links.sort_by_key(|link| link.kind as u8);
    set(&mut user.metadata, &edit.metadata);
    if too_many(Field::Metadata, user.metadata.len(), rules::MAX_LIST, faults) {
        return;
    }
    for pair in edit.metadata.value().into_iter().flatten() {
        rules::check_text(Field::Metadata, &pair.key, faults);
        rules::check_text(Field::Metadata, &pair.value, faults);
    }
    refer(&mut user.groups, ItemKind::Group, Field::Groups, &edit.groups, known, faults);
    refer(&mut user.folders, ItemKind::Folder, Field::Folders, &edit.folders, known, faults);
}

fn refer(
    slot: &mut Vec<ItemId>,
    kind: ItemKind,
    field: Field,
    given: &Given<Vec<ItemKey>>,
    known: &Known,
    faults: &mut Vec<Fault>,
) {
    if !given.is_mentioned() {
        return;
    }
    let keys: &[ItemKey] = given.value().map_or(&[], Vec::as_slice);
    if too_many(field, keys.len(), rules::MAX_REFERENCES, faults) {
        return;
    }
    slot.clear();
    for key in keys {
        let Some(id) = known.referred.get(&(kind, key.clone())) else {
            faults.push(Fault { field, rule: Rule::Unknown });
            break;
        };
        slot.push(*id);
    }
    slot.sort_unstable();
    slot.dedup();
}

/// Whether a list is too long; then that is the one fault of it.
fn too_many(field: Field, count: usize, max: usize, faults: &mut Vec<Fault>) -> bool {
    if count > max {
        faults.push(Fault { field, rule: Rule::TooLong(max) });
    }
    count > max
}

pub(super) fn check_password(password: &str) -> Option<Fault> {
    let rule = if password.len() > rules::MAX_PASSWORD_BYTES {
        Rule::TooLong(rules::MAX_PASSWORD_BYTES)
    } else if password.chars().count() < rules::MIN_PASSWORD_CHARS {
        Rule::TooShort(rules::MIN_PASSWORD_CHARS)
    } else {
        return None;
    };
    Some(Fault { field: Field::Password, rule })
}
