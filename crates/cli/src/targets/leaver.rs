//! `muster leaver`: which targets have confirmed that a user has no active account any more.

use super::user_row::find_id;
use super::{rules_of, sources};
use crate::output::{Output, table};
use crate::session::{AdminSession, TenantArg, format_timestamp};
use crate::settings::Settings;
use clap::Args;
use directory::{Caller, PushAttempt, PushFault, RemoteState, RemoteUser, Target, UserId};
use gateway::Desired;
use serde_json::{Value, json};

#[derive(Args)]
pub(crate) struct LeaverArgs {
    /// User: number, id, email, user name or external id
    user: String,
    #[command(flatten)]
    tenant: TenantArg,
}

/// What is known of the user's account in a target.
enum Confirmation {
    /// It is to be active.
    Active,
    None,
    Deactivated,
    Deleted,
    /// It was left as it was, as the target is configured.
    Left,
    Waiting,
    Failed(PushFault),
}

impl Confirmation {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::None => "no-account",
            Self::Deactivated => "deactivated",
            Self::Deleted => "deleted",
            Self::Left => "left",
            Self::Waiting => "waiting",
            Self::Failed(_) => "failed",
        }
    }

    /// Whether a request has led to it, or is to.
    fn has_request(&self) -> bool {
        !matches!(self, Self::None | Self::Left)
    }

    /// Whether the user can still have an active account that is not to be there.
    fn is_open(&self) -> bool {
        matches!(self, Self::Waiting | Self::Failed(_))
    }
}

pub(crate) fn leaver(settings: &Settings, args: &LeaverArgs, output: Output) -> anyhow::Result<()> {
    let session = AdminSession::open_read_only(settings)?;
    let caller = session.caller_in_tenant(args.tenant)?;
    let targets = session.wait(session.directory.targets(&caller))?;
    let user = find_id(&session, &caller, &targets, &args.user)?;
    let (mut documents, mut rows): (Vec<Value>, Vec<Vec<String>>) = (Vec::new(), Vec::new());
    let mut open = 0;
    for target in &targets {
        let (confirmation, attempt, detail) = confirmation(&session, &caller, target, user)?;
        open += usize::from(confirmation.is_open());
        let cause = match confirmation {
            Confirmation::Failed(fault) => Some(fault.as_str()),
            _ => None,
        };
        // What confirms it, or the last request.
        let at = attempt.as_ref().map(|attempt| format_timestamp(attempt.at));
        let request = attempt.as_ref().map(|attempt| attempt.id.to_string());
        documents.push(json!({
            "target": target.name, "account": confirmation.as_str(), "cause": cause, "detail": detail, "at": at,
            "requestId": request,
        }));
        let account = cause.map_or_else(|| confirmation.as_str().to_owned(), |cause| format!("failed: {cause}"));
        let cell = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        rows.push(vec![target.name.clone(), account, cell(at), cell(detail), cell(request)]);
    }
    let document = json!({"user": user.to_string(), "open": open, "targets": documents});
    output.result(&document, || {
        let table = table(&["target", "account", "last request", "detail", "request"], rows);
        let end = match open {
            0 => "No account waits to be deactivated or deleted.".to_owned(),
            1 => "1 target has not confirmed it: the account may still be active (see `muster explain`).".to_owned(),
            count => {
                format!(
                    "{count} targets have not confirmed it: the accounts may still be active (see `muster explain`)."
                )
            }
        };
        format!("{table}\n{end}")
    });
    Ok(())
}

fn confirmation(
    session: &AdminSession,
    caller: &Caller,
    target: &Target,
    user: UserId,
) -> anyhow::Result<(Confirmation, Option<PushAttempt>, Option<String>)> {
    let (_, rules) = rules_of(target)?;
    let sources = sources(session, caller, (target, &rules), &[user])?;
    let row = session.wait(session.directory.remote_users(caller, target.number, &[user]))?.remove(&user);
    let query = PushAttempt::of_user((caller.tenant, target.number), user);
    let attempts: Vec<PushAttempt> = session.wait(session.directory.target_records(caller, query))?;
    let source = sources.get(&user);
    let desired = source.map_or(Desired::Nothing, |source| rules.desired(source));
    // A change that was made just now may not have been followed yet.
    let is_accepted = source.zip(row.as_ref()).is_some_and(|(source, row)| rules.has_accepted(source, row));
    let confirmation = confirmation_of(desired, row.as_ref(), is_accepted, &attempts);
    let is_wanted = |attempt: &&PushAttempt| confirmation.is_open() || is_write(attempt);
    let last = attempts.iter().rev().find(is_wanted).filter(|_| confirmation.has_request()).cloned();
    let detail = row.and_then(|row| row.fault_detail).filter(|_| confirmation.is_open());
    Ok((confirmation, last, detail))
}

fn confirmation_of(
    desired: Desired<'_>,
    row: Option<&RemoteUser>,
    is_accepted: bool,
    attempts: &[PushAttempt],
) -> Confirmation {
    if matches!(desired, Desired::Account { is_active: true, .. }) {
        return Confirmation::Active;
    }
    let Some(row) = row else {
        let last = attempts.iter().rev().find(|attempt| is_write(attempt));
        return match last.map(|attempt| attempt.action.as_str()) {
            Some("delete") => Confirmation::Deleted,
            // Muster has forgotten the account of the deleted user.
            Some(_) if desired == Desired::Unchanged => Confirmation::Left,
            _ => Confirmation::None,
        };
    };
    match (row.fault, row.due, desired) {
        (PushFault::None, None, Desired::Unchanged) => Confirmation::Left,
        (PushFault::None, None, Desired::Account { .. }) if is_accepted => Confirmation::Deactivated,
        (PushFault::None, None, _) if row.state == RemoteState::Absent => Confirmation::None,
        (PushFault::None, ..) => Confirmation::Waiting,
        (fault, ..) => Confirmation::Failed(fault),
    }
}

/// Whether it is a change that the target has confirmed.
fn is_write(attempt: &PushAttempt) -> bool {
    attempt.outcome == "done" && matches!(attempt.action.as_str(), "create" | "update" | "delete")
}
