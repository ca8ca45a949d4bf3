//! Shows targets and what they have.

use super::{TargetRef, find_target};
use crate::output::{Output, table};
use crate::progress::Progress;
use crate::session::{AdminSession, TenantArg, format_timestamp};
use anyhow::bail;
use clap::Args;
use directory::{
    Caller, CredentialKind, MatchKey, PageBoundary, PushFault, PushPriority, Record, RemoteState, RemoteUser,
    SealedSecret, SortPosition, Target, TargetCapabilities, TargetProgress, TargetState, Time, UserQuery,
};
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    target: TargetRef,
    /// Wait until no user is due any more, with a progress bar; users that have failed are not waited for
    #[arg(long)]
    wait: bool,
}

const WAIT_INTERVAL: Duration = Duration::from_millis(500);
/// How often nothing can be pushed before waiting ends: a server needs some seconds to begin, and a target to recover.
const MAX_CHECKS: u32 = 40;
const NOT_RUNNING: &str = "no process pushes this tenant's changes: start `muster serve`, or see its log";

pub(super) fn list(session: &AdminSession, tenant: TenantArg, output: Output) -> anyhow::Result<()> {
    let caller = session.caller_in_tenant(tenant)?;
    let targets = session.wait(session.directory.targets(&caller))?;
    let document: Vec<Value> = targets.iter().map(target_json).collect();
    let mut rows = Vec::new();
    for target in &targets {
        let tested = target.capabilities.as_ref().map_or_else(|| "no".into(), |it| format_timestamp(it.tested));
        let progress = progress_of(session, &caller, target)?;
        let state = match progress.quarantined.and(progress.reason) {
            Some(reason) if target.is_active() => format!("quarantined: {reason}"),
            _ => state_text(target),
        };
        rows.push(vec![target.name.clone(), target.dialect.clone(), target.url.clone(), state, tested]);
    }
    let headings = ["name", "dialect", "url", "state", "tested"];
    let empty = "No targets yet. Add one with `muster target add NAME --dialect DIALECT --url URL --key-file FILE`.";
    output.rows(&document.into(), &headings, rows, empty);
    Ok(())
}

fn state_text(target: &Target) -> String {
    match &target.state {
        TargetState::Active => "active".into(),
        TargetState::Paused { reason } => format!("paused: {reason}"),
        TargetState::Removed => "removed".into(),
    }
}

/// A code such as `in-doubt` as a name in JSON.
fn camel_case(code: &str) -> String {
    let mut words = code.split([' ', '-']);
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (start, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        name + &start.to_uppercase() + rest
    })
}

fn credential_text(kind: &CredentialKind) -> String {
    match kind {
        CredentialKind::Bearer => "bearer token".into(),
        CredentialKind::Key => "key in the body or query".into(),
        CredentialKind::Basic { user } => format!("password of {user}"),
        CredentialKind::ClientCredentials { client_id, has_private_key: true, .. } => {
            format!("private key of OAuth client {client_id}")
        }
        CredentialKind::ClientCredentials { client_id, .. } => format!("secret of OAuth client {client_id}"),
    }
}

fn target_json(target: &Target) -> Value {
    json!({
        "name": target.name,
        "number": target.number,
        "dialect": target.dialect,
        "url": target.url,
        "company": target.account,
        "state": match &target.state {
            TargetState::Active => "active",
            TargetState::Paused { .. } => "paused",
            TargetState::Removed => "removed",
        },
        "pauseReason": match &target.state {
            TargetState::Paused { reason } => Some(reason),
            TargetState::Active | TargetState::Removed => None,
        },
        "credential": credential_text(&target.credential),
        "scope": target.scope,
        "onDeactivate": target.deprovisioning.on_deactivate.as_str(),
        "outOfScope": target.deprovisioning.out_of_scope.as_str(),
        "onDelete": target.deprovisioning.on_delete.as_str(),
        "requestsPerMinute": target.limits.requests_per_minute,
        "concurrency": target.limits.concurrency,
        "timeoutSeconds": target.limits.timeout_seconds,
        "passwords": target.passwords.as_str(),
        "mapping": target.mapping,
        "dialAllow": target.allowed_addresses,
        "created": format_timestamp(target.created),
        "capabilities": target.capabilities.as_ref().map(capabilities_json),
    })
}

pub(super) fn capabilities_json(capabilities: &TargetCapabilities) -> Value {
    let keys = |keys: &[MatchKey]| keys.iter().map(|key| camel_case(key.as_str())).collect::<Vec<_>>();
    json!({
        "tested": format_timestamp(capabilities.tested),
        "createsOnly": capabilities.creates_only,
        "patch": capabilities.patch,
        "findsBy": keys(&capabilities.finds_by),
        "listsAll": capabilities.lists_all,
        "pageSize": capabilities.page_size,
        "rejectsDuplicate": keys(&capabilities.rejects_duplicate),
        "bulkOperations": capabilities.bulk_operations,
        "deactivates": capabilities.deactivates,
        "deletes": capabilities.deletes,
        "extensions": capabilities.extensions,
        "evidence": capabilities.evidence,
    })
}

pub(super) fn capabilities_text(capabilities: &TargetCapabilities) -> String {
    let yes_no = |flag: bool| if flag { "yes" } else { "no" }.to_owned();
    let keys = |keys: &[MatchKey]| match keys {
        [] => "none".into(),
        keys => keys.iter().map(|key| key.as_str()).collect::<Vec<_>>().join(", "),
    };
    let rows = [
        ("tested", format_timestamp(capabilities.tested)),
        ("can only create accounts", yes_no(capabilities.creates_only)),
        ("changes single attributes", yes_no(capabilities.patch)),
        ("finds accounts by", keys(&capabilities.finds_by)),
        ("rejects a second account with the same", keys(&capabilities.rejects_duplicate)),
        ("lists all accounts", yes_no(capabilities.lists_all)),
        ("accounts in a page", capabilities.page_size.to_string()),
        ("operations of a bulk request", capabilities.bulk_operations.to_string()),
        ("deactivates", yes_no(capabilities.deactivates)),
        ("deletes, or archives", yes_no(capabilities.deletes)),
    ];
    let rows = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    table(&["capability", "value"], rows)
}

pub(super) fn show(session: &AdminSession, target: &TargetRef, output: Output) -> anyhow::Result<()> {
    let (caller, target) = find_target(session, target)?;
    let query = SealedSecret::of_owner(target.tenant, target.secret_owner());
    let secrets: Vec<SealedSecret> = session.wait(session.directory.target_records(&caller, query))?;
    let mut document = target_json(&target);
    document["credentials"] = secrets
        .iter()
        .map(|secret| {
            json!({
                "use": secret.use_.as_str(), "created": format_timestamp(secret.created),
                "expires": secret.expires.map(format_timestamp), "masterKey": secret.key_id,
            })
        })
        .collect();
    output.result(&document, || {
        let limits = target.limits;
        let rate = match limits.requests_per_minute {
            0 => "no limit".into(),
            rate if rate % 60 == 0 => format!("{} per second", rate / 60),
            rate => format!("{:.2} per second", f64::from(rate) / 60.0),
        };
        let mut rows =
            vec![("name", target.name.clone()), ("dialect", target.dialect.clone()), ("url", target.url.clone())];
        rows.extend(target.account.clone().map(|account| ("company", account)));
        rows.extend([
            ("state", state_text(&target)),
            ("credential", credential_text(&target.credential)),
            ("requests", format!("{rate}, {} at the same time, {} s each", limits.concurrency, limits.timeout_seconds)),
        ]);
        let policies = target.deprovisioning;
        rows.extend([
            ("scope", target.scope.clone().unwrap_or_else(|| "all users".into())),
            ("suspended, inactive and archived users", policies.on_deactivate.as_str().into()),
            ("users out of scope", policies.out_of_scope.as_str().into()),
            ("deleted users", policies.on_delete.as_str().into()),
            ("passwords of new accounts", target.passwords.as_str().into()),
        ]);
        if !target.mapping.is_empty() {
            let names: Vec<&str> = target.mapping.iter().map(|row| row.attribute.as_str()).collect();
            rows.push(("mapped attributes", names.join(", ")));
        }
        if let CredentialKind::ClientCredentials { token_url, .. } = &target.credential {
            rows.push(("token url", token_url.clone()));
        }
        if target.ca_certificates.is_some() {
            rows.push(("root certificates", "further ones (--ca-file)".into()));
        }
        if !target.allowed_addresses.is_empty() {
            rows.push(("allowed addresses", target.allowed_addresses.join(", ")));
        }
        for secret in &secrets {
            let expires =
                secret.expires.map_or_else(String::new, |time| format!(", expires {}", format_timestamp(time)));
            rows.push(("stored credential", format!("{}{expires}", secret.use_.as_str())));
        }
        let rows = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
        let settings = table(&["setting", "value"], rows);
        match &target.capabilities {
            Some(capabilities) => format!("{settings}\n\n{}", capabilities_text(capabilities)),
            None => format!("{settings}\n\nNot tested yet (`muster target test {}`).", target.name),
        }
    });
    Ok(())
}

/// How many users of a target are in which state: each is counted once.
struct Counts {
    /// They have an account, and everything was sent.
    linked: u64,
    /// They are to be pushed.
    waiting: u64,
    failed: Vec<(PushFault, u64)>,
    excluded: u64,
}

/// Whether a target has, or may have, accounts of users.
pub(super) fn may_have_accounts(session: &AdminSession, caller: &Caller, target: &Target) -> anyhow::Result<bool> {
    let query = RemoteUser::counts((target.tenant, target.number));
    let rows = session.wait(session.directory.count_target_records(caller, query, RemoteUser::COUNTED))?;
    let states = rows.iter().filter_map(|(values, _)| RemoteUser::counted(values));
    Ok(states.into_iter().any(|(_, state)| state != RemoteState::Absent))
}

fn counts(session: &AdminSession, caller: &Caller, target: &Target) -> anyhow::Result<Counts> {
    let query = RemoteUser::counts((target.tenant, target.number));
    let rows = session.wait(session.directory.count_target_records(caller, query, RemoteUser::COUNTED))?;
    let mut counts = Counts { linked: 0, waiting: 0, failed: Vec::new(), excluded: 0 };
    // Of users with an account, changes may be due.
    for (shard, priority) in (0..target.limits.shards).flat_map(|shard| PushPriority::ALL.map(|it| (shard, it))) {
        let key = (target.tenant, target.number);
        let query = RemoteUser::due(key, shard, priority, Time(i64::MAX), u32::MAX);
        let due = session.wait(session.directory.count_target_records(caller, query, RemoteUser::COUNTED))?;
        for (values, count) in due {
            if is_linked(&values) {
                counts.waiting += count;
            }
        }
    }
    let due = counts.waiting;
    for (values, count) in rows {
        match RemoteUser::counted(&values) {
            Some(_) if is_linked(&values) => counts.linked += count,
            Some((PushFault::None | PushFault::Temporary, _)) => counts.waiting += count,
            Some((PushFault::Excluded, _)) => counts.excluded += count,
            Some((fault, _)) => match counts.failed.iter_mut().find(|(known, _)| *known == fault) {
                Some((_, total)) => *total += count,
                None => counts.failed.push((fault, count)),
            },
            None => {}
        }
    }
    counts.linked = counts.linked.saturating_sub(due);
    Ok(counts)
}

/// Whether counted rows have an account and no fault.
fn is_linked(values: &[directory::Value]) -> bool {
    let counted = RemoteUser::counted(values);
    matches!(counted, Some((PushFault::None, RemoteState::Linked | RemoteState::Unverified | RemoteState::Assumed)))
}

/// How long the oldest due row of each priority has waited, in seconds.
fn lag(session: &AdminSession, caller: &Caller, target: &Target) -> anyhow::Result<Vec<(PushPriority, i64)>> {
    let now = session.directory.now();
    let mut lags = Vec::new();
    for priority in PushPriority::ALL {
        let mut oldest: Option<Time> = None;
        for shard in 0..target.limits.shards {
            let query = RemoteUser::next_due((target.tenant, target.number), shard, priority);
            let rows: Vec<RemoteUser> = session.wait(session.directory.target_records(caller, query))?;
            oldest = rows.first().and_then(|row| row.due).into_iter().chain(oldest).min();
        }
        if let Some(oldest) = oldest.filter(|oldest| *oldest <= now) {
            lags.push((priority, (now.0 - oldest.0) / 1_000_000));
        }
    }
    Ok(lags)
}

/// Waits until all users were processed and none is due or being pushed.
fn wait_until_idle(session: &AdminSession, caller: &Caller, target: &TargetRef, output: Output) -> anyhow::Result<()> {
    let users = session.wait(session.directory.find_users(caller, UserQuery { limit: 1, ..UserQuery::default() }))?;
    let mut progress = Progress::new(output, "users", Some(users.total));
    let (mut shown, mut idle, mut not_running, mut quarantined) = (0, 0, 0, 0);
    // The second time, changes that were made before the first one were followed.
    while idle < 2 {
        let (_, found) = find_target(session, target)?;
        if !found.is_active() {
            bail!("target {} is {}, so that waiting users are not pushed", found.name, state_text(&found));
        }
        not_running = if session.wait(session.directory.is_gateway_running(caller))? { 0 } else { not_running + 1 };
        if not_running > MAX_CHECKS {
            bail!(NOT_RUNNING);
        }
        if not_running > 0 {
            std::thread::sleep(WAIT_INTERVAL);
            continue;
        }
        let counts = counts(session, caller, &found)?;
        let arrived = counts.linked + counts.excluded + counts.failed.iter().map(|(_, count)| count).sum::<u64>();
        progress.add(arrived.saturating_sub(shown));
        shown = shown.max(arrived);
        let TargetProgress { scanned, reconsidered, quarantined: since, .. } = progress_of(session, caller, &found)?;
        quarantined = if since.is_some() { quarantined + 1 } else { 0 };
        if quarantined > MAX_CHECKS {
            let obstacle = obstacle(session, caller, &found)?.unwrap_or_default();
            bail!("{obstacle} Waiting users are pushed once it has recovered");
        }
        let boundary = PageBoundary::After(SortPosition { number: scanned, ..SortPosition::default() });
        let next = UserQuery { boundary: Some(boundary), limit: 1, ..UserQuery::default() };
        let has_more = !session.wait(session.directory.find_users(caller, next))?.rows.is_empty();
        let has_more = has_more || reconsidered.is_some();
        idle = if counts.waiting == 0 && !has_more { idle + 1 } else { 0 };
        std::thread::sleep(WAIT_INTERVAL);
    }
    progress.finish();
    Ok(())
}

fn progress_of(session: &AdminSession, caller: &Caller, target: &Target) -> anyhow::Result<TargetProgress> {
    let query = TargetProgress::table().row(target.key());
    let progress: Vec<TargetProgress> = session.wait(session.directory.target_records(caller, query))?;
    Ok(progress.into_iter().next().unwrap_or_else(|| TargetProgress::new(target.tenant, target.number)))
}

/// Why nothing is sent to a target now, if that is so.
pub(super) fn obstacle(session: &AdminSession, caller: &Caller, target: &Target) -> anyhow::Result<Option<String>> {
    if !target.is_active() {
        return Ok(Some(format!("The target is {}.", state_text(target))));
    }
    if !session.wait(session.directory.is_gateway_running(caller))? {
        return Ok(Some(format!("Now {NOT_RUNNING}.")));
    }
    let progress = progress_of(session, caller, target)?;
    let reason = progress.reason.unwrap_or_default();
    Ok(progress
        .quarantined
        .map(|since| format!("The target is quarantined since {}: {reason}.", format_timestamp(since))))
}

pub(super) fn status(session: &AdminSession, args: &StatusArgs, output: Output) -> anyhow::Result<()> {
    let (caller, target) = find_target(session, &args.target)?;
    if args.wait {
        wait_until_idle(session, &caller, &args.target, output)?;
    }
    let counts = counts(session, &caller, &target)?;
    let progress = progress_of(session, &caller, &target)?;
    let lags = lag(session, &caller, &target)?;
    let is_running = session.wait(session.directory.is_gateway_running(&caller))?;
    let failed: serde_json::Map<String, Value> =
        counts.failed.iter().map(|(fault, count)| (camel_case(fault.as_str()), json!(count))).collect();
    let lag_json: serde_json::Map<String, Value> =
        lags.iter().map(|(priority, seconds)| (camel_case(priority.as_str()), json!(seconds))).collect();
    let document = json!({
        "name": target.name,
        "state": target_json(&target)["state"],
        "pauseReason": target_json(&target)["pauseReason"],
        "gatewayRunning": is_running,
        "linked": counts.linked,
        "waiting": counts.waiting,
        "failed": failed,
        "excluded": counts.excluded,
        "lagSeconds": lag_json,
        "lastProcessedUser": progress.scanned,
        "quarantinedSince": progress.quarantined.map(format_timestamp),
        "quarantineReason": progress.reason,
    });
    output.result(&document, || {
        let mut rows = vec![("state".to_owned(), state_text(&target))];
        if !is_running {
            rows.push(("gateway".into(), NOT_RUNNING.into()));
        }
        if let Some(since) = progress.quarantined {
            let reason = progress.reason.clone().unwrap_or_default();
            rows.push(("quarantined".into(), format!("since {}: {reason}", format_timestamp(since))));
        }
        rows.push(("linked".into(), counts.linked.to_string()));
        rows.push(("waiting".into(), counts.waiting.to_string()));
        rows.extend(
            counts.failed.iter().map(|(fault, count)| (format!("failed: {}", fault.as_str()), count.to_string())),
        );
        if counts.excluded > 0 {
            rows.push(("excluded".into(), counts.excluded.to_string()));
        }
        rows.extend(
            lags.iter().map(|(priority, seconds)| (format!("lag of {}", priority.as_str()), format!("{seconds} s"))),
        );
        rows.insert(0, ("target".into(), target.name.clone()));
        let table = table(&["field", "value"], rows.into_iter().map(|(a, b)| vec![a, b]).collect());
        if counts.failed.is_empty() {
            table
        } else {
            format!("{table}\n\nFor the failed users, see `muster target issues {}`.", target.name)
        }
    });
    Ok(())
}
