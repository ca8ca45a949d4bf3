//! `muster audit`: shows, exports and verifies the history.

use crate::event_text;
use crate::output::Output;
use crate::session::{AdminSession, TenantArg, format_timestamp, operator_caller};
use crate::settings::Settings;
use crate::users;
use anyhow::Context;
use clap::{Args, Subcommand};
use directory::{
    Caller, ChainReport, ConnectionId, Event, EventPosition, SecurityEvent, SecurityKind, TenantNumber, Time, UserId,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use store::hex;
use strum::IntoEnumIterator;

#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// Verify that the history was not changed, or report the first change
    Verify {
        /// Only this tenant (default: all tenants)
        #[arg(long)]
        tenant: Option<u32>,
        /// Chain end of an earlier run, as `POSITION:HASH`; fails if the history lacks it (requires --tenant)
        #[arg(long, value_name = "END", value_parser = parse_chain_end, requires = "tenant")]
        expect: Option<(u64, String)>,
    },
    /// Show events with old and new values
    Show(ShowArgs),
    /// Show failed sign-ins, invalid keys, rejected requests, exports and downloads, counted by minute
    Failures(FailuresArgs),
    /// Export all events, one JSON document per line (with or without --json)
    Export {
        #[command(flatten)]
        tenant: TenantArg,
        /// Only events after this position
        #[arg(long, default_value_t = 0)]
        after: u64,
    },
}

#[derive(Args)]
pub(crate) struct ShowArgs {
    /// Only events of this user, who may be deleted: number, id, email, user name or external id
    #[arg(long)]
    user: Option<String>,
    /// Only events about this kind: user, group, folder, organisation, role, department, tenant, connection or mail
    #[arg(long, value_parser = event_text::RECORD_KINDS)]
    kind: Option<String>,
    /// Only events by actors whose name, as listed, contains this (case-insensitive)
    #[arg(long)]
    actor: Option<String>,
    /// Only changes that were made through this connection: name or id
    #[arg(long)]
    connection: Option<String>,
    /// Only events at or after this date or time (UTC): 2026-11-28 or 2026-11-28T09:30:00Z
    #[arg(long, value_parser = parse_timestamp)]
    since: Option<Time>,
    /// Only events before this date or time (UTC)
    #[arg(long, value_parser = parse_timestamp)]
    until: Option<Time>,
    #[command(flatten)]
    tenant: TenantArg,
}

#[derive(Args)]
pub(crate) struct FailuresArgs {
    /// Only this kind: sign-in, invalid-key, rejected, export or download
    #[arg(long, value_parser = parse_security_kind)]
    kind: Option<SecurityKind>,
    /// Only records at or after this date or time (UTC): 2026-11-28 or 2026-11-28T09:30:00Z (default: the last 24 hours)
    #[arg(long, value_parser = parse_timestamp)]
    since: Option<Time>,
    /// Tenant number (default: the only tenant); 0 for requests that name none, such as those with an unknown key
    #[arg(long)]
    tenant: Option<u32>,
}

fn parse_security_kind(text: &str) -> Result<SecurityKind, String> {
    let names: Vec<&str> = SecurityKind::iter().map(SecurityKind::as_str).collect();
    let known = SecurityKind::iter().find(|kind| kind.as_str() == text);
    known.ok_or_else(|| format!("must be one of {}", names.join(", ")))
}

impl ShowArgs {
    fn matches(&self, event: &Event, connection: Option<ConnectionId>) -> bool {
        let what = &event.data;
        let is_by = |actor: &String| directory::fold(&what.actor).contains(&directory::fold(actor));
        self.kind.as_deref().is_none_or(|kind| kind == event_text::record_kind(event))
            && self.actor.as_ref().is_none_or(is_by)
            && connection.is_none_or(|connection| what.connection == Some(connection))
            && self.since.is_none_or(|since| since <= what.at)
            && self.until.is_none_or(|until| what.at < until)
    }
}

fn parse_timestamp(text: &str) -> Result<Time, String> {
    dialects::kit::parse_time(text)
        .ok_or_else(|| "must be a date or time such as 2026-11-28 or 2026-11-28T09:30:00Z".into())
}

pub(crate) fn run(settings: &Settings, task: AuditCommand, output: Output) -> anyhow::Result<ExitCode> {
    let session = AdminSession::open_read_only(settings)?;
    match task {
        AuditCommand::Verify { tenant, expect } => verify(&session, tenant, expect, output),
        AuditCommand::Show(filter) => {
            let caller = session.caller_in_tenant_or_removed(filter.tenant)?;
            show(&session, &caller, &filter, output)?;
            Ok(ExitCode::SUCCESS)
        }
        AuditCommand::Failures(filter) => {
            failures(&session, &filter, output)?;
            Ok(ExitCode::SUCCESS)
        }
        AuditCommand::Export { tenant, after } => {
            export(&session, &session.caller_in_tenant_or_removed(tenant)?, after)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn failures(session: &AdminSession, filter: &FailuresArgs, output: Output) -> anyhow::Result<()> {
    let caller = match filter.tenant {
        Some(0) => operator_caller(Caller::NO_TENANT),
        tenant => session.caller_in_tenant(TenantArg { tenant })?,
    };
    let since = filter.since.unwrap_or_else(|| session.directory.now().plus_seconds(-24 * 3600));
    // Each process stores its own counts; add them up.
    let mut counts: BTreeMap<(Time, SecurityEvent), u64> = BTreeMap::new();
    for record in session.wait(session.directory.security_records(&caller, since, filter.kind))? {
        *counts.entry((record.minute, record.event)).or_default() += u64::from(record.count);
    }
    let documents: Vec<Value> = counts
        .iter()
        .map(|((minute, event), count)| {
            json!({
                "minute": format_timestamp(*minute),
                "kind": event.kind.as_str(),
                "source": event.source,
                "reason": event.reason,
                "user": event.user.map(|user| user.to_string()),
                "count": count,
            })
        })
        .collect();
    let cell = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let rows = documents
        .iter()
        .map(|document| {
            let or_dash = |name: &str| Some(cell(&document[name])).filter(|text| !matches!(text.as_str(), "" | "null"));
            let columns = ["minute", "kind", "source", "reason", "user", "count"];
            columns.map(|name| or_dash(name).unwrap_or_else(|| "-".into())).to_vec()
        })
        .collect();
    let headings = ["minute", "kind", "source", "reason", "user", "count"];
    output.rows(&documents.clone().into(), &headings, rows, "No failures, exports or downloads.");
    Ok(())
}

fn parse_chain_end(text: &str) -> Result<(u64, String), String> {
    let wrong =
        || "must be POSITION:HASH as `audit verify` prints it: a number, a colon and 64 hexadecimal digits".to_owned();
    let (position, hash) = text.trim().split_once(':').ok_or_else(wrong)?;
    let is_hash = hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit());
    match position.parse() {
        Ok(position) if is_hash => Ok((position, hash.to_ascii_lowercase())),
        _ => Err(wrong()),
    }
}

fn verify(
    session: &AdminSession,
    tenant: Option<u32>,
    expect: Option<(u64, String)>,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let caller = match tenant {
        Some(_) => session.caller_in_tenant_or_removed(TenantArg { tenant })?,
        None => operator_caller(Caller::NO_TENANT),
    };
    let chains = session.wait(session.directory.verify_chain(&caller))?;
    let expected_end = match (tenant, expect) {
        (Some(_), Some((position, expected))) => {
            let hash = session.directory.chain_hash_at(&caller, EventPosition(position));
            let hash = session.wait(hash)?;
            Some((position, hash.is_some_and(|hash| hex(&hash) == expected)))
        }
        _ => None,
    };
    let (mut documents, mut lines, mut is_intact) = (Vec::new(), Vec::new(), true);
    for (tenant, chain) in chains {
        is_intact &= chain.broken_at.is_none();
        lines.push(chain_text(tenant, &chain));
        documents.push(json!({
            "tenant": tenant.0,
            "events": chain.verified_events,
            "older": chain.unchained_events,
            "last": chain.last_position.0,
            "head": chain.head_hash.map(|head| hex(&head)),
            "broken": chain.broken_at.map(|position| position.0),
        }));
    }
    if let Some((position, is_there)) = expected_end {
        is_intact &= is_there;
        lines.push(if is_there {
            format!("  The expected end is part of the chain, at position {position}.")
        } else {
            format!("  The expected end is NOT part of the chain: events up to position {position} cannot be trusted; compare them with a backup.")
        });
    }
    let expected_end = expected_end.map(|(_, is_there)| is_there);
    output.result(&json!({"whole": is_intact, "tenants": documents, "kept": expected_end}), || lines.join("\n"));
    Ok(if is_intact { ExitCode::SUCCESS } else { ExitCode::from(crate::exit::FINDINGS) })
}

fn chain_text(tenant: TenantNumber, chain: &ChainReport) -> String {
    let head = chain.head_hash.map_or_else(|| "-".into(), |head| hex(&head));
    let mut text = match chain.broken_at {
        None => format!(
            "Tenant {tenant}: verified, the chain of {} events is complete.\n  Chain end, to store elsewhere and pass to --expect: {}:{head}",
            chain.verified_events, chain.last_position.0
        ),
        Some(position) => format!(
            "Tenant {tenant}: BROKEN at position {}. The {} events before it are unchanged; the event there was changed or is missing; compare it with a backup.",
            position.0, chain.verified_events
        ),
    };
    if chain.unchained_events > 0 {
        text.push_str(&format!(
            "\n  {} events are older than the chain and cannot be verified.",
            chain.unchained_events
        ));
    }
    text
}

fn show(session: &AdminSession, caller: &Caller, filter: &ShowArgs, output: Output) -> anyhow::Result<()> {
    let user = filter.user.as_deref().map(|user_ref| find_user_or_deleted(session, caller, user_ref)).transpose()?;
    let connection = filter.connection.as_deref().map(|name| find_connection_id(session, caller, name)).transpose()?;
    let (mut rows, mut documents, mut after) = (Vec::new(), Vec::new(), EventPosition(0));
    loop {
        let (events, next) = events_page(session, caller, user, after)?;
        for event in events.iter().filter(|event| filter.matches(event, connection)) {
            let text = user.map_or_else(
                || event_text::event_text(event),
                |user| event_text::user_event_text(event, user).join("; "),
            );
            let (at, actor) = (format_timestamp(event.data.at), &event.data.actor);
            documents.push(json!({
                "position": event.position.0, "at": at, "who": actor, "kind": event_text::record_kind(event), "what": text,
            }));
            rows.push(vec![event.position.0.to_string(), at, actor.clone(), text]);
        }
        match next {
            Some(next) => after = next,
            None => break,
        }
    }
    output.rows(&documents.into(), &["position", "time", "actor", "event"], rows, "No event matches.");
    Ok(())
}

/// A page of events of a user or of the whole tenant, and the position after which the next page starts.
fn events_page(
    session: &AdminSession,
    caller: &Caller,
    user: Option<UserId>,
    after: EventPosition,
) -> anyhow::Result<(Vec<Event>, Option<EventPosition>)> {
    if let Some(user) = user {
        return session.wait(session.directory.user_history(caller, user, after));
    }
    let events = session.wait(session.directory.events(caller, after, 1000))?;
    let next = events.last().map(|last| last.position);
    Ok((events, next))
}

/// Finds a connection by name; any id is accepted without a lookup.
fn find_connection_id(session: &AdminSession, caller: &Caller, name: &str) -> anyhow::Result<ConnectionId> {
    let all = session.wait(session.directory.connections(caller))?;
    let key = directory::fold(name);
    let found = all.iter().find(|connection| directory::fold(&connection.name) == key);
    let id = found.map(|connection| connection.id);
    id.or_else(|| uuid::Uuid::try_parse(name).ok().map(ConnectionId))
        .with_context(|| format!("there is no connection {name} in tenant {}", caller.tenant))
}

fn find_user_or_deleted(session: &AdminSession, caller: &Caller, user_ref: &str) -> anyhow::Result<UserId> {
    let not_found = match users::find_user(session, caller, user_ref) {
        Ok(user) => return Ok(user.id),
        Err(error) => error,
    };
    if let Ok(tombstone) =
        session.runtime.block_on(session.directory.deleted_user(caller, &users::lookup_keys(user_ref)))
    {
        return Ok(tombstone.user.id);
    }
    // Permanently deleted users are still in the history, by id.
    uuid::Uuid::try_parse(user_ref).map(UserId).map_err(|_| not_found)
}

fn export(session: &AdminSession, caller: &Caller, after: u64) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut after = EventPosition(after);
    loop {
        let events = session.wait(session.directory.events(caller, after, 1000))?;
        let Some(last) = events.last() else { break };
        after = last.position;
        for event in &events {
            writeln!(out, "{}", event_json(event)?)?;
        }
    }
    Ok(out.flush()?)
}

fn event_json(event: &Event) -> anyhow::Result<Value> {
    let what = &event.data;
    let ids = |people: &[UserId]| people.iter().map(ToString::to_string).collect::<Vec<_>>();
    Ok(json!({
        "position": event.position.0,
        "tenant": what.tenant.0,
        "at": format_timestamp(what.at),
        "who": what.actor,
        "connection": what.connection.map(|connection| connection.to_string()),
        "request": what.request_id,
        "action": what.action.as_str(),
        "before": serde_json::to_value(&what.before)?,
        "after": serde_json::to_value(&what.after)?,
        "joined": ids(&what.members_added),
        "left": ids(&what.members_removed),
        "passwordSet": what.password_set,
        "notes": serde_json::to_value(&what.notes)?,
        "labels": serde_json::to_value(&what.labels)?,
    }))
}
