//! Decisions about accounts, links and mails.

use super::{Decision, DecisionContext, DecisionInput, role_ceiling};
use crate::text::validation;
use crate::{
    Account, AccountAction, AccountEdit, DeliveryOutcome, DirectoryError, EventNote, Field, FieldError, FieldErrorKind,
    KeyHash, LinkPurpose, Mail, Mutation, PasswordHash, PasswordLink, PasswordProof, SignInError, SignInState, Status,
    TenantSettings, Time, User,
};
use secrecy::{ExposeSecret, SecretString};
use std::collections::HashSet;
use std::net::IpAddr;

/// A link requested again within this time is not sent, because the first is on its way.
const LINK_RESEND_SECONDS: i64 = 120;

const INVALID_CREDENTIALS: DirectoryError = DirectoryError::SignIn(SignInError::InvalidCredentials);

/// Whether an invitation can be sent: the user has not signed in yet and has an email address.
pub(super) fn can_be_invited(user: &User) -> bool {
    user.status == Status::Invited && user.email().is_some()
}

/// Adds a link and returns the mail that carries it.
pub(super) fn create_link(
    user: &mut User,
    sign_ins: &mut SignInState,
    purpose: LinkPurpose,
    context: &DecisionContext<'_>,
) -> Mail {
    let id = context.ids.next_id();
    sign_ins.add_link(id, purpose, context.now);
    if purpose == LinkPurpose::Invitation {
        user.invited = Some(context.now);
    }
    Mail::new(id, context.tenant, user.id, purpose, context.now)
}

/// Sends invitations to all users or to none, also repeatedly. The users must be allowed to sign in and have no
/// password yet; a client may have activated them already. `do_not_email` does not apply, because the users are
/// named explicitly.
pub(super) fn invite(input: &DecisionInput, context: &DecisionContext<'_>) -> Result<Decision, DirectoryError> {
    let mut decision = Decision::default();
    let mut seen = HashSet::new();
    for user in &input.users {
        let before = user.as_ref().ok_or(DirectoryError::NoSuchUser)?;
        if !seen.insert(before.id) {
            continue;
        }
        role_ceiling::check_user(before, input, context)?;
        let has_signed_in = before.status != Status::Invited && account_of(input, before)?.password_hash.is_some();
        if before.status.blocks_sign_in() || has_signed_in {
            return Err(DirectoryError::WrongStatus);
        }
        if before.email().is_none() {
            return Err(DirectoryError::for_field(Field::Email, FieldErrorKind::Missing));
        }
        send_link(before, input, LinkPurpose::Invitation, context, &mut decision)?;
    }
    Ok(decision)
}

fn send_link(
    before: &User,
    input: &DecisionInput,
    purpose: LinkPurpose,
    context: &DecisionContext<'_>,
    decision: &mut Decision,
) -> Result<(), DirectoryError> {
    let mut sign_ins = account_of(input, before)?.sign_in_state.clone();
    let mut after = before.clone();
    let mail = create_link(&mut after, &mut sign_ins, purpose, context);
    let edit = AccountEdit { sign_in_state: Some(sign_ins), ..AccountEdit::default() };
    decision.push_user_change(before, after, edit, vec![EventNote::LinkMade]);
    // The new mail replaces older ones.
    let is_older = |other: &&Mail| other.user == before.id && other.purpose == purpose && !other.is_claimed;
    decision.mutations.extend(withdraw_mails(input.mails.iter().filter(is_older)));
    decision.mutations.push(Mutation::AddMail(Box::new(mail)));
    Ok(())
}

pub(super) fn withdraw_mails<'a>(mails: impl Iterator<Item = &'a Mail>) -> Vec<Mutation> {
    mails
        .map(|mail| {
            let outcome = Some(DeliveryOutcome::Withdrawn);
            Mutation::RemoveMail(Box::new(Mail { outcome, ..mail.clone() }))
        })
        .collect()
}

pub(super) fn apply_action(
    action: &AccountAction,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    let before = input.users.first().and_then(Option::as_ref).ok_or(INVALID_CREDENTIALS)?;
    let account = account_of(input, before)?;
    let mut decision = Decision::default();
    match action {
        AccountAction::SignIn { verified_hash: shown, session_key: session, rehashed, client_ip: address } => {
            let edit = sign_in(before, account, (shown, *session, *address), context)?;
            let mut after = before.clone();
            after.last_activity = Some(context.now);
            if before.status == Status::Invited {
                (after.status, after.updated) = (Status::Active, context.now);
            }
            let edit = AccountEdit { password_hash: rehashed.clone(), is_rehash: true, ..edit };
            decision.push_user_change(before, after, edit, vec![EventNote::SignedIn]);
        }
        AccountAction::SignOut(key) => {
            let mut sign_ins = account.sign_in_state.clone();
            sign_ins.sessions.retain(|session| session.key_hash != *key);
            if sign_ins == account.sign_in_state {
                decision.unchanged_users.push(before.clone());
            } else {
                let edit = AccountEdit { sign_in_state: Some(sign_ins), ..AccountEdit::default() };
                decision.push_user_change(before, before.clone(), edit, vec![EventNote::SignedOut]);
            }
        }
        AccountAction::SignOutEverywhere => {
            decision.push_user_change(
                before,
                before.clone(),
                AccountEdit::sign_out_everywhere(context.now),
                vec![EventNote::SignInsEnded],
            );
        }
        AccountAction::SetPassword { password, proof: by, keep_session: keep, address } => {
            let mut sign_ins = SignInState::cleared(context.now);
            sign_ins
                .sessions
                .extend(account.sign_in_state.sessions.iter().filter(|s| Some(s.key_hash) == *keep).cloned());
            if let Some(address) = address {
                sign_ins.add_network(*address, context.now);
            }
            set_password(before, input, (password, by, sign_ins), context, &mut decision)?;
        }
        AccountAction::RequestPasswordReset => return request_password_reset(before, account, input, context),
    }
    Ok(decision)
}

/// Adds the session, and the network if it is new.
fn sign_in(
    before: &User,
    account: &Account,
    (shown, session, address): (&PasswordHash, Option<KeyHash>, Option<IpAddr>),
    context: &DecisionContext<'_>,
) -> Result<AccountEdit, DirectoryError> {
    if before.status.blocks_sign_in() || !is_current_hash(account, shown) {
        return Err(INVALID_CREDENTIALS);
    }
    let mut sign_ins = account.sign_in_state.clone();
    let is_new_network = address.is_some_and(|address| sign_ins.add_network(address, context.now));
    if let Some(key) = session {
        sign_ins.add_session(key, context.now);
    }
    let sign_ins = (session.is_some() || is_new_network).then_some(sign_ins);
    Ok(AccountEdit { sign_in_state: sign_ins, ..AccountEdit::default() })
}

fn set_password(
    before: &User,
    input: &DecisionInput,
    (password, by, sign_ins): (&SecretString, &PasswordProof, SignInState),
    context: &DecisionContext<'_>,
    decision: &mut Decision,
) -> Result<(), DirectoryError> {
    let account = account_of(input, before)?;
    let tenant = input.tenant.as_ref().ok_or(INVALID_CREDENTIALS)?;
    let mut notes = Vec::new();
    match by {
        PasswordProof::Link(link) => {
            check_link(before, account, &tenant.settings, link, context.now)?;
            notes.push(EventNote::LinkUsed);
        }
        PasswordProof::CurrentPassword(verified_hash)
            if before.status.blocks_sign_in() || !is_current_hash(account, verified_hash) =>
        {
            return Err(INVALID_CREDENTIALS);
        }
        PasswordProof::CurrentPassword(_) => {}
    }
    let errors = validation::check_chosen_password(password.expose_secret(), before, tenant);
    if let Some(rule) = errors {
        return Err(DirectoryError::Invalid(vec![FieldError { field: Field::Password, kind: rule }]));
    }
    decision.password = Some(password.clone());
    notes.push(EventNote::SignInsEnded);
    let mut after = before.clone();
    if after.force_password_change == Some(true) {
        after.force_password_change = Some(false);
    }
    after.updated = context.now;
    let edit = AccountEdit { sign_in_state: Some(sign_ins), ..AccountEdit::default() };
    decision.push_user_change(before, after, edit, notes);
    Ok(())
}

pub(crate) fn check_link(
    user: &User,
    account: &Account,
    settings: &TenantSettings,
    link: &PasswordLink,
    now: Time,
) -> Result<(), DirectoryError> {
    let link = account.sign_in_state.link(link.id, link.purpose).filter(|_| !user.status.blocks_sign_in());
    let link = link.ok_or(DirectoryError::SignIn(SignInError::LinkInvalid))?;
    if now >= link.created.plus_seconds(settings.link_lifetime_seconds(link.purpose)) {
        return Err(DirectoryError::SignIn(SignInError::LinkExpired));
    }
    Ok(())
}

/// Sends a link to a user who has forgotten the password. Users who may not sign in get none, and the result is the
/// same.
fn request_password_reset(
    before: &User,
    account: &Account,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    let purpose = match before.status {
        // Users who have set a password but never signed in already used their invitation.
        Status::Invited if account.password_hash.is_none() => LinkPurpose::Invitation,
        Status::Invited | Status::Active => LinkPurpose::Reset,
        Status::Suspended | Status::Inactive | Status::Archived => return Ok(Decision::default()),
    };
    let is_recent = |since: Time| context.now < since.plus_seconds(LINK_RESEND_SECONDS);
    let was_sent_recently =
        account.sign_in_state.links.iter().any(|link| link.purpose == purpose && is_recent(link.created));
    if was_sent_recently || before.email().is_none() {
        return Ok(Decision::default());
    }
    let mut decision = Decision::default();
    send_link(before, input, purpose, context, &mut decision)?;
    Ok(decision)
}

pub(super) fn update_mail(
    mail: &Mail,
    due: Option<Time>,
    outcome: Option<DeliveryOutcome>,
    is_attempt: bool,
) -> Decision {
    let mut after = mail.with_outcome(due, outcome);
    after.attempts += u32::from(is_attempt);
    after.is_claimed = is_attempt;
    let is_over = matches!(after.outcome, Some(DeliveryOutcome::Sent | DeliveryOutcome::Withdrawn));
    let edit = if is_over {
        Mutation::RemoveMail(Box::new(Mail { version: mail.version, ..after }))
    } else {
        Mutation::ChangeMail { before: Box::new(mail.clone()), after: Box::new(after) }
    };
    Decision { mutations: vec![edit], ..Decision::default() }
}

fn account_of<'a>(input: &'a DecisionInput, user: &User) -> Result<&'a Account, DirectoryError> {
    input.accounts.get(&user.id).ok_or(DirectoryError::NoSuchUser)
}

/// The password may have been changed while it was verified.
fn is_current_hash(account: &Account, verified_hash: &PasswordHash) -> bool {
    account.password_hash.as_ref().is_some_and(|stored| stored.0.expose_secret() == verified_hash.0.expose_secret())
}
