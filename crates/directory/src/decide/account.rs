//! What may become of how a person signs in, and of the mails that go to them.

use super::{Decision, Known, Stamp, ceiling};
use crate::{
    Account, AccountEdit, AccountStep, Edit, Fault, Field, KeyHash, LinkKey, Mail, Note, Outcome, Proof,
    Purpose, Refusal, Rule, SignInFault, SignIns, Status, StoredPassword, TenantSettings, Time, User, rules,
};
use secrecy::{ExposeSecret, SecretString};
use std::collections::HashSet;
use std::net::IpAddr;

/// Whoever asks for a link again within so many seconds has one on its way.
const LINK_AGAIN_SECONDS: i64 = 120;

const REFUSED: Refusal = Refusal::SignIn(SignInFault::Refused);

/// Whether a mail can ask the person in: they have not been in, and it can reach them.
pub(super) fn can_be_invited(user: &User) -> bool {
    user.status == Status::Invited && user.email().is_some()
}

/// A new link for a person, and the mail that takes it to them.
pub(super) fn make_link(
    user: &mut User,
    sign_ins: &mut SignIns,
    purpose: Purpose,
    stamp: &Stamp<'_>,
) -> Mail {
    let id = stamp.ids.next();
    sign_ins.open(id, purpose, stamp.now);
    if purpose == Purpose::Invitation {
        user.invited = Some(stamp.now);
    }
    Mail::new(id, stamp.tenant, user.id, purpose, stamp.now)
}

/// Sends invitations, again if there were some, to all or to none: to whoever may sign in and has no password yet, also
/// where a client has made them active at once. Whoever is asked in by name may want no mails otherwise.
pub(super) fn invite(known: &Known, stamp: &Stamp<'_>) -> Result<Decision, Refusal> {
    let mut decision = Decision::default();
    let mut seen = HashSet::new();
    for user in &known.users {
        let before = user.as_ref().ok_or(Refusal::NoSuchUser)?;
        if !seen.insert(before.id) {
            continue;
        }
        ceiling::check_user(before, known, stamp)?;
        let has_been_in = before.status != Status::Invited && account(known, before)?.password.is_some();
        if before.status.is_off() || has_been_in {
            return Err(Refusal::WrongStatus);
        }
        if before.email().is_none() {
            return Err(Refusal::field(Field::Email, Rule::Missing));
        }
        send_link(before, known, Purpose::Invitation, stamp, &mut decision)?;
    }
    Ok(decision)
}

fn send_link(
    before: &User,
    known: &Known,
    purpose: Purpose,
    stamp: &Stamp<'_>,
    decision: &mut Decision,
) -> Result<(), Refusal> {
    let mut sign_ins = account(known, before)?.sign_ins.clone();
    let mut after = before.clone();
    let mail = make_link(&mut after, &mut sign_ins, purpose, stamp);
    let edit = AccountEdit { sign_ins: Some(sign_ins), ..AccountEdit::default() };
    decision.push_user(before, after, edit, vec![Note::LinkMade]);
    // What an older one would say is not so any more.
    let is_older = |other: &&Mail| other.user == before.id && other.purpose == purpose && !other.is_taken;
    decision.edits.extend(withdrawn(known.mails.iter().filter(is_older)));
    decision.edits.push(Edit::AddMail(Box::new(mail)));
    Ok(())
}

/// Mails that nobody needs any more.
pub(super) fn withdrawn<'a>(mails: impl Iterator<Item = &'a Mail>) -> Vec<Edit> {
    mails
        .map(|mail| {
            let outcome = Some(Outcome::Withdrawn);
            Edit::RemoveMail(Box::new(Mail { outcome, ..mail.clone() }))
        })
        .collect()
}

/// One step of somebody with their own account.
pub(super) fn step(step: &AccountStep, known: &Known, stamp: &Stamp<'_>) -> Result<Decision, Refusal> {
    let before = known.users.first().and_then(Option::as_ref).ok_or(REFUSED)?;
    let account = account(known, before)?;
    let mut decision = Decision::default();
    match step {
        AccountStep::SignIn { shown, session, rehashed, address } => {
            let edit = sign_in(before, account, (shown, *session, *address), stamp)?;
            let mut after = before.clone();
            after.last_activity = Some(stamp.now);
            if before.status == Status::Invited {
                (after.status, after.updated) = (Status::Active, stamp.now);
            }
            let edit = AccountEdit { password: rehashed.clone(), is_same_password: true, ..edit };
            decision.push_user(before, after, edit, vec![Note::SignedIn]);
        }
        AccountStep::SignOut(key) => {
            let mut sign_ins = account.sign_ins.clone();
            sign_ins.sessions.retain(|session| session.key != *key);
            if sign_ins == account.sign_ins {
                decision.unchanged_users.push(before.clone());
            } else {
                let edit = AccountEdit { sign_ins: Some(sign_ins), ..AccountEdit::default() };
                decision.push_user(before, before.clone(), edit, vec![Note::SignedOut]);
            }
        }
        AccountStep::SignOutEverywhere => {
            decision.push_user(
                before,
                before.clone(),
                AccountEdit::ended(stamp.now),
                vec![Note::SignInsEnded],
            );
        }
        AccountStep::ChoosePassword { password, by, keep, address } => {
            let mut sign_ins = SignIns::ended(stamp.now);
            sign_ins
                .sessions
                .extend(account.sign_ins.sessions.iter().filter(|s| Some(s.key) == *keep).cloned());
            if let Some(address) = address {
                sign_ins.add_network(*address, stamp.now);
            }
            choose_password(before, known, (password, by, sign_ins), stamp, &mut decision)?;
        }
        AccountStep::Forgot => return forgot(before, account, known, stamp),
    }
    Ok(decision)
}

/// What a sign-in adds to an account: a session, and where it came from, where that is news.
fn sign_in(
    before: &User,
    account: &Account,
    (shown, session, address): (&StoredPassword, Option<KeyHash>, Option<IpAddr>),
    stamp: &Stamp<'_>,
) -> Result<AccountEdit, Refusal> {
    if before.status.is_off() || !is_stored(account, shown) {
        return Err(REFUSED);
    }
    let mut sign_ins = account.sign_ins.clone();
    let is_new_network = address.is_some_and(|address| sign_ins.add_network(address, stamp.now));
    if let Some(key) = session {
        sign_ins.sign_in(key, stamp.now);
    }
    let sign_ins = (session.is_some() || is_new_network).then_some(sign_ins);
    Ok(AccountEdit { sign_ins, ..AccountEdit::default() })
}

fn choose_password(
    before: &User,
    known: &Known,
    (password, by, sign_ins): (&SecretString, &Proof, SignIns),
    stamp: &Stamp<'_>,
    decision: &mut Decision,
) -> Result<(), Refusal> {
    let account = account(known, before)?;
    let tenant = known.tenant.as_ref().ok_or(REFUSED)?;
    let mut notes = Vec::new();
    match by {
        Proof::Link(link) => {
            check_link(before, account, &tenant.settings, link, stamp.now)?;
            notes.push(Note::LinkUsed);
        }
        Proof::Password(shown) if before.status.is_off() || !is_stored(account, shown) => {
            return Err(REFUSED);
        }
        Proof::Password(_) => {}
    }
    let faults = rules::check_chosen_password(password.expose_secret(), before, tenant);
    if let Some(rule) = faults {
        return Err(Refusal::Invalid(vec![Fault { field: Field::Password, rule }]));
    }
    decision.password = Some(password.clone());
    notes.push(Note::SignInsEnded);
    let mut after = before.clone();
    if after.force_password_change == Some(true) {
        after.force_password_change = Some(false);
    }
    after.updated = stamp.now;
    let edit = AccountEdit { sign_ins: Some(sign_ins), ..AccountEdit::default() };
    decision.push_user(before, after, edit, notes);
    Ok(())
}

/// Whether a link can be used now.
pub(crate) fn check_link(
    user: &User,
    account: &Account,
    settings: &TenantSettings,
    link: &LinkKey,
    now: Time,
) -> Result<(), Refusal> {
    let open = account.sign_ins.link(link.id, link.purpose).filter(|_| !user.status.is_off());
    let open = open.ok_or(Refusal::SignIn(SignInFault::LinkGone))?;
    if now >= open.since.plus_seconds(settings.lifetime(link.purpose)) {
        return Err(Refusal::SignIn(SignInFault::LinkExpired));
    }
    Ok(())
}

/// A link for somebody who has forgotten their password. Whoever cannot sign in gets none, and is told nothing.
fn forgot(before: &User, account: &Account, known: &Known, stamp: &Stamp<'_>) -> Result<Decision, Refusal> {
    let purpose = match before.status {
        // Who has chosen a password and not been in yet has been asked in already.
        Status::Invited if account.password.is_none() => Purpose::Invitation,
        Status::Invited | Status::Active => Purpose::Reset,
        Status::Suspended | Status::Inactive | Status::Archived => return Ok(Decision::default()),
    };
    let is_recent = |since: Time| stamp.now < since.plus_seconds(LINK_AGAIN_SECONDS);
    let is_on_its_way =
        account.sign_ins.links.iter().any(|link| link.purpose == purpose && is_recent(link.since));
    if is_on_its_way || before.email().is_none() {
        return Ok(Decision::default());
    }
    let mut decision = Decision::default();
    send_link(before, known, purpose, stamp, &mut decision)?;
    Ok(decision)
}

/// What has become of a mail.
pub(super) fn move_mail(
    mail: &Mail,
    due: Option<Time>,
    outcome: Option<Outcome>,
    is_attempt: bool,
) -> Decision {
    let mut after = mail.moved(due, outcome);
    after.attempts += u32::from(is_attempt);
    after.is_taken = is_attempt;
    let is_over = matches!(after.outcome, Some(Outcome::Sent | Outcome::Withdrawn));
    let edit = if is_over {
        Edit::RemoveMail(Box::new(Mail { version: mail.version, ..after }))
    } else {
        Edit::ChangeMail { before: Box::new(mail.clone()), after: Box::new(after) }
    };
    Decision { edits: vec![edit], ..Decision::default() }
}

fn account<'a>(known: &'a Known, user: &User) -> Result<&'a Account, Refusal> {
    known.accounts.get(&user.id).ok_or(Refusal::NoSuchUser)
}

/// Whether this is still the person's password: it may have been changed while it was compared.
fn is_stored(account: &Account, shown: &StoredPassword) -> bool {
    account.password.as_ref().is_some_and(|stored| stored.0.expose_secret() == shown.0.expose_secret())
}
