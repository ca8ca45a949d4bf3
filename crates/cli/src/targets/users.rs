//! `muster push` and `muster explain`: single users in targets.

use super::user_row::{change_row, find_id};
use super::{TargetRef, find_target, rules_of, sources};
use crate::output::{Output, table};
use crate::session::{AdminSession, TenantArg, format_timestamp};
use crate::settings::Settings;
use clap::Args;
use dialects::kit::{Endpoint, Operation, OutgoingUser, TargetClient};
use directory::{Caller, PushAttempt, PushFault, PushPriority, RemoteState, RemoteUser, Target, UserId};
use gateway::{AccountRules, Desired, SourceUser};
use serde_json::{Value, json};

#[derive(Args)]
pub(crate) struct PushArgs {
    /// Users: number, id, email, user name or external id
    #[arg(required = true, value_name = "USER")]
    users: Vec<String>,
    /// Name of the target (default: all targets)
    #[arg(long)]
    target: Option<String>,
    #[command(flatten)]
    tenant: TenantArg,
}

#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// User: number, id, email, user name or external id
    user: String,
    /// Name of the target
    target: String,
    #[command(flatten)]
    tenant: TenantArg,
}

/// How many attempts are shown.
const ATTEMPTS: usize = 10;

/// Pushes users before others, whether or not they have changed.
pub(crate) fn push(settings: &Settings, args: &PushArgs, output: Output) -> anyhow::Result<()> {
    let session = AdminSession::open(settings)?;
    let caller = session.caller_in_tenant(args.tenant)?;
    let targets = match &args.target {
        Some(name) => vec![find_target(&session, &TargetRef { name: name.clone(), tenant: args.tenant })?.1],
        None => session.wait(session.directory.targets(&caller))?,
    };
    let mut pushed = 0;
    for name in &args.users {
        let user = find_id(&session, &caller, &targets, name)?;
        for target in &targets {
            pushed += usize::from(mark(&session, &caller, target, user)?);
        }
    }
    output.result(&json!({"marked": pushed}), || {
        format!("{pushed} pushes are queued; excluded users are not pushed. See `muster explain USER TARGET` for their results.")
    });
    Ok(())
}

/// Returns whether the user is pushed, which excluded users are not.
fn mark(session: &AdminSession, caller: &Caller, target: &Target, user: UserId) -> anyhow::Result<bool> {
    change_row(session, caller, target, user, |row, now| {
        let Some(row) = row else {
            let key = (caller.tenant, target.number);
            let mut new = RemoteUser::new(key, user, gateway::shard_of(user, target.limits.shards));
            new.mark(new.target_position, PushPriority::OnDemand, now);
            return Ok(Some(new.insert()?));
        };
        if row.fault == PushFault::Excluded {
            return Ok(None);
        }
        // Without a digest everything is sent.
        let mut marked = RemoteUser { digest: None, ..row.clone() };
        if marked.fault == PushFault::Temporary {
            marked.fault = PushFault::None;
        }
        marked.mark(row.target_position, PushPriority::OnDemand, now);
        Ok(Some(marked.replace(row)?))
    })
}

/// Shows the desired account of a user in a target, what is there, and what happened.
pub(crate) fn explain(settings: &Settings, args: &ExplainArgs, output: Output) -> anyhow::Result<()> {
    let session = AdminSession::open_read_only(settings)?;
    let (caller, target) = find_target(&session, &TargetRef { name: args.target.clone(), tenant: args.tenant })?;
    let user = find_id(&session, &caller, std::slice::from_ref(&target), &args.user)?;
    let (client, rules) = rules_of(&target)?;
    let sources = sources(&session, &caller, (&target, &rules), &[user])?;
    let row = session.wait(session.directory.remote_users(&caller, target.number, &[user]))?.remove(&user);
    let query = PushAttempt::of_user((caller.tenant, target.number), user);
    let mut attempts: Vec<PushAttempt> = session.wait(session.directory.target_records(&caller, query))?;
    attempts.drain(..attempts.len().saturating_sub(ATTEMPTS));
    let source = sources.get(&user);
    let (summary, request) = match source {
        Some(source) => {
            let obstacle = super::show::obstacle(&session, &caller, &target)?;
            let summary = summary(&rules, source, row.as_ref());
            (
                summary + &obstacle.map_or(String::new(), |text| format!(" {text}")),
                requests_text(&target, (client, &rules), source, row.as_ref()),
            )
        }
        None => ("There is no such user.".into(), None),
    };
    let document = json!({
        "user": user.to_string(),
        "target": target.name,
        "summary": summary,
        "state": row.as_ref().map(|row| row.state.as_str()),
        "remoteId": row.as_ref().and_then(|row| row.remote_id.clone()),
        "cause": row.as_ref().map(|row| row.fault.as_str()),
        "detail": row.as_ref().and_then(|row| row.fault_detail.clone()),
        "due": row.as_ref().and_then(|row| row.due).map(format_timestamp),
        "targetPosition": row.as_ref().map(|row| row.target_position.0),
        "appliedPosition": row.as_ref().map(|row| row.applied_position.0),
        "waitsFor": row.as_ref().and_then(|row| row.waits_for).map(|user| user.to_string()),
        "request": request,
        "attempts": attempts.iter().map(attempt_json).collect::<Vec<_>>(),
    });
    output.result(&document, || {
        let mut text = summary.clone();
        if let Some(row) = &row {
            text.push_str(&format!("\n\n{}", row_table(row)));
        }
        if let Some(request) = &request {
            text.push_str(&format!(
                "\n\nThe requests for the complete desired account (the credential is hidden):\n\n{request}"
            ));
        }
        if !attempts.is_empty() {
            text.push_str(&format!("\n\nLast requests:\n\n{}", attempts_table(&attempts)));
        }
        text
    });
    Ok(())
}

fn summary(rules: &AccountRules, source: &SourceUser, row: Option<&RemoteUser>) -> String {
    let reason = match &source.user {
        None => "was permanently deleted".to_owned(),
        Some(user) if !rules.has_in_scope(user, &source.labels) => "is not in the scope of the target".into(),
        Some(_) if source.is_deleted => "was deleted".into(),
        Some(user) => format!("is {}", user.status.as_str()),
    };
    let account = match rules.desired(source) {
        Desired::Account { is_active: true, .. } => "an active account",
        Desired::Unchanged => "the account is left unchanged",
        Desired::Account { .. } if row.is_some() => "an inactive account",
        Desired::Account { .. } | Desired::Nothing => "no account",
    };
    let desired = format!("Desired: {account}, since the user {reason}.");
    let state = match row {
        None if rules.is_to_be_created(source) => "Not processed yet.".to_owned(),
        None => "Nothing to do.".to_owned(),
        Some(row) => {
            let has = match row.state {
                RemoteState::Absent => "The target has none.",
                RemoteState::Creating if row.fault == PushFault::None => {
                    "Its creation waits to be sent, or is being sent."
                }
                RemoteState::Creating => "The target may have one: the response to its creation was lost.",
                RemoteState::Linked | RemoteState::Unverified => "The target has one.",
                RemoteState::Assumed => "The target has one, whose id is unknown: it has rejected a second one.",
            };
            let next = match (row.fault, row.due) {
                (PushFault::None, None) => "Everything was sent.".to_owned(),
                (PushFault::None, Some(_)) => "A change waits to be sent.".to_owned(),
                (PushFault::Excluded, _) => "The user is excluded (`muster target issue retry`).".to_owned(),
                (fault, due) => {
                    let detail = row.fault_detail.clone().unwrap_or_default();
                    let next = due.map_or_else(
                        || "It waits for a change or `muster target issue retry`.".into(),
                        |due| format!("The next attempt is at {}.", format_timestamp(due)),
                    );
                    format!("The last push failed ({}): {detail}. {next}", fault.as_str())
                }
            };
            format!("{has} {next}")
        }
    };
    format!("{desired} {state}")
}

/// The requests that would give the target everything, without the credential.
fn requests_text(
    target: &Target,
    (client, rules): (&'static dyn TargetClient, &AccountRules),
    source: &SourceUser,
    row: Option<&RemoteUser>,
) -> Option<String> {
    let Desired::Account { user, is_active } = rules.desired(source) else { return None };
    let outgoing = OutgoingUser { user, labels: &source.labels, manager: source.manager.as_deref(), is_active };
    let document = match rules.document(&outgoing) {
        Ok(document) => document,
        Err(error) => return Some(error.to_string()),
    };
    let account = target.account.as_deref().unwrap_or_default();
    let endpoint = Endpoint { url: &target.url, account, key: "…" };
    let all: Vec<usize> = (0..document.attributes.len()).collect();
    let text = |operation: &Operation<'_>| {
        let request = client.request(&endpoint, operation).ok()?;
        let body = String::from_utf8_lossy(request.body());
        Some(format!("{} {}\n{body}", request.method(), request.uri()).trim_end().to_owned())
    };
    let Some(id) = row.and_then(|row| row.remote_id.as_deref()) else { return text(&Operation::Create(&document)) };
    let parts = client.requests_of_update(&document, &all);
    let updates =
        parts.iter().map(|changed| text(&Operation::Update { id, document: &document, changed, patch: false }));
    updates.collect::<Option<Vec<_>>>().map(|texts| texts.join("\n"))
}

fn row_table(row: &RemoteUser) -> String {
    let mut rows = vec![("state", row.state.as_str().to_owned())];
    rows.extend(row.remote_id.clone().map(|id| ("id in the target", id)));
    rows.push(("cause", row.fault.as_str().to_owned()));
    rows.extend(row.fault_detail.clone().map(|detail| ("detail", detail)));
    rows.extend(row.due.map(|due| ("next attempt", format_timestamp(due))));
    rows.extend(row.waits_for.map(|user| ("waits for the account of", user.to_string())));
    rows.push(("last change", row.target_position.0.to_string()));
    if row.state != RemoteState::Absent {
        rows.push(("last change sent", row.applied_position.0.to_string()));
    }
    table(&["field", "value"], rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect())
}

fn attempt_json(attempt: &PushAttempt) -> Value {
    json!({
        "at": format_timestamp(attempt.at), "action": attempt.action, "outcome": attempt.outcome,
        "status": attempt.status, "milliseconds": attempt.milliseconds, "detail": attempt.detail,
        "requestId": attempt.id.to_string(),
    })
}

fn attempts_table(attempts: &[PushAttempt]) -> String {
    let row = |attempt: &PushAttempt| {
        let status = attempt.status.map_or_else(|| "-".into(), |status| status.to_string());
        let detail = attempt.detail.clone().unwrap_or_default();
        let (time, id) = (format!("{} ms", attempt.milliseconds), attempt.id.to_string());
        vec![format_timestamp(attempt.at), attempt.action.clone(), attempt.outcome.clone(), status, time, detail, id]
    };
    let headings = ["time", "action", "outcome", "status", "duration", "detail", "request"];
    table(&headings, attempts.iter().map(row).collect())
}
