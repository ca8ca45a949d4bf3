//! Users that could not be provisioned.

use super::user_row::{change_row, find_id};
use super::{TargetRef, find_target};
use crate::output::Output;
use crate::session::{AdminSession, TenantArg, format_timestamp};
use anyhow::bail;
use clap::{Args, Subcommand};
use directory::{
    Caller, DirectoryError, PushFault, PushPriority, RemoteUser, RowWrite, Target, Time, User, UserId, UserKey,
};
use serde_json::{Value, json};

#[derive(Args)]
pub(crate) struct IssuesArgs {
    /// Name of the target (default: all targets)
    name: Option<String>,
    #[command(flatten)]
    tenant: TenantArg,
    /// Only this cause: rejected, conflict, in-doubt, unsupported, incomplete, temporary or excluded
    #[arg(long, value_parser = parse_cause)]
    cause: Option<PushFault>,
    /// Maximum number of users to show
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

#[derive(Subcommand)]
pub(crate) enum IssueCommand {
    /// Push users again
    Retry(SelectArgs),
    /// Do not push users any more, until they are retried
    Exclude(SelectArgs),
}

#[derive(Args)]
pub(crate) struct SelectArgs {
    #[command(flatten)]
    target: TargetRef,
    /// User: number, id, email, user name or external id (repeatable)
    #[arg(long = "user", value_name = "USER", required_unless_present_any = ["cause", "all"])]
    users: Vec<String>,
    /// All users with this cause
    #[arg(long, value_parser = parse_cause, conflicts_with = "users")]
    cause: Option<PushFault>,
    /// All users that need an administrator (not temporary or excluded ones)
    #[arg(long, conflicts_with_all = ["users", "cause"])]
    all: bool,
}

/// Rows that are read or changed at a time.
const BATCH: u32 = 250;

fn parse_cause(text: &str) -> Result<PushFault, String> {
    let known = || PushFault::ALL.into_iter().filter(|fault| *fault != PushFault::None);
    known()
        .find(|fault| fault.as_str() == text)
        .ok_or_else(|| format!("must be one of: {}", known().map(PushFault::as_str).collect::<Vec<_>>().join(", ")))
}

/// What an administrator can do.
fn advice(fault: PushFault) -> &'static str {
    match fault {
        PushFault::None => "",
        PushFault::Rejected => "change the user, or what the target accepts, and retry",
        PushFault::Conflict => "change or delete the other account in the target, and retry",
        PushFault::InDoubt => "look for the account in the target, and retry",
        PushFault::Unsupported => "change the target, and test it again",
        PushFault::Incomplete => "complete the user, or map the attribute (`muster target map`)",
        PushFault::Excluded => "retry to include the user again",
        PushFault::Temporary => "repeated automatically",
    }
}

/// Rows with a fault, up to a limit.
fn rows_with(
    session: &AdminSession,
    caller: &Caller,
    target: &Target,
    fault: PushFault,
    max: usize,
) -> anyhow::Result<Vec<RemoteUser>> {
    let mut query = RemoteUser::with_fault((target.tenant, target.number), fault, BATCH);
    let mut all: Vec<RemoteUser> = Vec::new();
    while all.len() < max {
        let page: Vec<RemoteUser> = session.wait(session.directory.target_records(caller, query))?;
        let Some(last) = page.last() else { break };
        query = last.after_same_fault(BATCH);
        all.extend(page);
    }
    all.truncate(max);
    Ok(all)
}

pub(super) fn list(session: &AdminSession, args: &IssuesArgs, output: Output) -> anyhow::Result<()> {
    let caller = session.caller_in_tenant(args.tenant)?;
    let targets = match &args.name {
        Some(name) => vec![find_target(session, &TargetRef { name: name.clone(), tenant: args.tenant })?.1],
        None => session.wait(session.directory.targets(&caller))?,
    };
    let causes: Vec<PushFault> = match args.cause {
        Some(cause) => vec![cause],
        None => PushFault::ALL.into_iter().filter(|fault| fault.is_issue()).collect(),
    };
    let (mut documents, mut rows): (Vec<Value>, Vec<Vec<String>>) = (Vec::new(), Vec::new());
    for target in &targets {
        for cause in &causes {
            let found = rows_with(session, &caller, target, *cause, args.limit.saturating_sub(rows.len()))?;
            let ids: Vec<UserKey> = found.iter().map(|row| UserKey::Id(row.user)).collect();
            let users = session.wait(session.directory.users(&caller, ids))?;
            for (row, user) in found.iter().zip(users) {
                documents.push(issue_json(target, row, user.as_ref()));
                let since = row.first_failed.map_or_else(|| "-".into(), format_timestamp);
                let name = user.map_or_else(|| row.user.to_string(), |user| user.user_name);
                let detail = row.fault_detail.clone().unwrap_or_default();
                rows.push(vec![target.name.clone(), name, cause.as_str().into(), since, detail, advice(*cause).into()]);
            }
        }
    }
    let headings = ["target", "user", "cause", "since", "detail", "what to do"];
    let is_cut = rows.len() >= args.limit;
    output.rows(&documents.into(), &headings, rows, "No issues.");
    for target in &targets {
        if let Some(text) = super::show::obstacle(session, &caller, target)? {
            output.line(&format!("{}: {text}", target.name));
        }
    }
    if is_cut {
        output.line(&format!("Only the first {} are listed (--limit).", args.limit));
    }
    Ok(())
}

fn issue_json(target: &Target, row: &RemoteUser, user: Option<&User>) -> Value {
    json!({
        "target": target.name,
        "user": row.user.to_string(),
        "userName": user.map(|user| &user.user_name),
        "cause": row.fault.as_str(),
        "detail": row.fault_detail,
        "attempts": row.attempts,
        "since": row.first_failed.map(format_timestamp),
        "due": row.due.map(format_timestamp),
    })
}

pub(super) fn run(session: &AdminSession, command: IssueCommand, output: Output) -> anyhow::Result<()> {
    let (args, is_retry) = match command {
        IssueCommand::Retry(args) => (args, true),
        IssueCommand::Exclude(args) => (args, false),
    };
    let (caller, target) = find_target(session, &args.target)?;
    let causes: Vec<PushFault> = match (args.cause, args.all) {
        (Some(cause), _) => vec![cause],
        (None, true) => PushFault::ALL.into_iter().filter(|fault| fault.is_issue()).collect(),
        (None, false) => Vec::new(),
    };
    let mut count = 0;
    for cause in causes {
        let rows = rows_with(session, &caller, &target, cause, usize::MAX)?;
        count += change(session, &caller, &rows, is_retry)?;
    }
    for name in &args.users {
        let user = find_id(session, &caller, std::slice::from_ref(&target), name)?;
        if !change_one(session, &caller, &target, user, is_retry)? {
            bail!("{name} was not pushed to {} yet (see `muster explain`)", target.name);
        }
        count += 1;
    }
    let word = if is_retry { "retried" } else { "excluded" };
    output.result(&json!({"target": target.name, word: count}), || {
        if is_retry {
            format!("{count} users are pushed again.")
        } else {
            format!("Excluded {count} users: nothing is sent for them, not even a deactivation.")
        }
    });
    Ok(())
}

/// Makes all rows with a fault due.
pub(super) fn wake(
    session: &AdminSession,
    caller: &Caller,
    target: &Target,
    fault: PushFault,
) -> anyhow::Result<usize> {
    let rows = rows_with(session, caller, target, fault, usize::MAX)?;
    change(session, caller, &rows, true)
}

/// Retries or excludes a user. Returns false if there is nothing to retry; a user can be excluded before the first push.
fn change_one(
    session: &AdminSession,
    caller: &Caller,
    target: &Target,
    user: UserId,
    is_retry: bool,
) -> anyhow::Result<bool> {
    change_row(session, caller, target, user, |row, now| match row {
        Some(row) => Ok(Some(changed(row, is_retry, now).replace(row)?)),
        None if is_retry => Ok(None),
        None => {
            let shard = gateway::shard_of(user, target.limits.shards);
            Ok(Some(changed(&RemoteUser::new((caller.tenant, target.number), user, shard), false, now).insert()?))
        }
    })
}

/// Retries or excludes. Rows that get another fault meanwhile are left to the server.
fn change(session: &AdminSession, caller: &Caller, rows: &[RemoteUser], is_retry: bool) -> anyhow::Result<usize> {
    let now = session.directory.now();
    let mut count = 0;
    for part in rows.chunks(BATCH as usize) {
        let mut rows: Vec<RemoteUser> = part.to_vec();
        for _ in 0..5 {
            let writes: Result<Vec<RowWrite>, _> =
                rows.iter().map(|row| changed(row, is_retry, now).replace(row)).collect();
            match session.runtime.block_on(session.directory.commit_task_rows(caller, writes?)) {
                Ok(()) => {
                    count += rows.len();
                    break;
                }
                Err(DirectoryError::Conflict) => {
                    let users: Vec<UserId> = rows.iter().map(|row| row.user).collect();
                    let Some(target) = rows.first().map(|row| row.target) else { break };
                    let fresh = session.wait(session.directory.remote_users(caller, target, &users))?;
                    let fault = |user: &UserId| part.iter().find(|row| row.user == *user).map(|row| row.fault);
                    rows = fresh.into_values().filter(|row| fault(&row.user) == Some(row.fault)).collect();
                }
                Err(error) => return Err(crate::session::directory_error(error)),
            }
        }
    }
    Ok(count)
}

fn changed(row: &RemoteUser, is_retry: bool, now: Time) -> RemoteUser {
    let mut changed = row.clone();
    if is_retry {
        if row.fault == PushFault::InDoubt {
            // The administrator has looked for an account with former keys.
            changed.applied_position = row.target_position;
        }
        changed.fault = PushFault::None;
        changed.attempts = 0;
        changed.due = None;
        changed.mark(row.target_position, PushPriority::OnDemand, now);
        if row.in_flight_until.is_some_and(|until| now < until) {
            changed.due = row.due;
        }
    } else {
        changed.fault = PushFault::Excluded;
        changed.fault_detail = None;
        changed.due = None;
    }
    changed
}
