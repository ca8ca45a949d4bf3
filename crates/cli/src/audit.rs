//! `muster audit`: what happened, in words and as data, and whether anybody has changed it since.

use crate::admin::{Desk, moment, refused};
use crate::output::Output;
use crate::people;
use crate::settings::Settings;
use clap::Subcommand;
use directory::{
    Action, Caller, Chain, Event, EventDraft, Item, Mail, Outcome, Position, Record, TenantNumber, User,
    UserId,
};
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;
use store::hex;

#[derive(Subcommand)]
pub(crate) enum AuditTask {
    /// Prove that nobody has changed what happened, or name the first place where it was changed
    Verify {
        /// Only this tenant; all when left out
        #[arg(long)]
        tenant: Option<u32>,
        /// An end of the tenant's chain that was printed and kept, as `POSITION:LINK`: it must still be part of it
        #[arg(long, value_name = "END", value_parser = end, requires = "tenant")]
        expect: Option<(u64, String)>,
    },
    /// What happened to a person, in words
    Show {
        /// Number, e-mail, id or external id; also of somebody who was deleted
        #[arg(long)]
        user: String,
        /// The tenant; may be left out when there is just one
        #[arg(long)]
        tenant: Option<u32>,
    },
    /// Everything that happened, as one JSON document a line
    Export {
        /// The tenant; may be left out when there is just one
        #[arg(long)]
        tenant: Option<u32>,
        /// Only what came after this position
        #[arg(long, default_value_t = 0)]
        after: u64,
    },
}

pub(crate) fn run(settings: &Settings, task: AuditTask, output: Output) -> anyhow::Result<ExitCode> {
    let desk = Desk::open(settings)?;
    match task {
        AuditTask::Verify { tenant, expect } => verify(&desk, tenant, expect, output),
        AuditTask::Show { user, tenant } => {
            let caller = desk.tenant(tenant)?;
            show(&desk, &caller, &user, output)?;
            Ok(ExitCode::SUCCESS)
        }
        AuditTask::Export { tenant, after } => {
            export(&desk, &desk.tenant(tenant)?, after)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The end of a chain as it was printed.
fn end(text: &str) -> Result<(u64, String), String> {
    let wrong = || "say it as it was printed: the position, a colon, and 64 digits".to_owned();
    let (position, link) = text.trim().split_once(':').ok_or_else(wrong)?;
    let is_link = link.len() == 64 && link.chars().all(|c| c.is_ascii_hexdigit());
    match position.parse() {
        Ok(position) if is_link => Ok((position, link.to_ascii_lowercase())),
        _ => Err(wrong()),
    }
}

fn verify(
    desk: &Desk,
    tenant: Option<u32>,
    expect: Option<(u64, String)>,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let only = tenant.map(|_| desk.tenant(tenant).map(|caller| caller.tenant)).transpose()?;
    let chains = desk.runtime.block_on(desk.directory.verify(only)).map_err(refused)?;
    let kept = match (only, expect) {
        (Some(tenant), Some((position, link))) => {
            let there = desk.directory.link_at(tenant, Position(position));
            let there = desk.runtime.block_on(there).map_err(refused)?;
            Some((position, there.is_some_and(|there| hex(&there) == link)))
        }
        _ => None,
    };
    let (mut documents, mut lines, mut is_whole) = (Vec::new(), Vec::new(), true);
    for (tenant, chain) in chains {
        is_whole &= chain.broken.is_none();
        lines.push(words(tenant, &chain));
        documents.push(json!({
            "tenant": tenant.0,
            "events": chain.events,
            "older": chain.older,
            "last": chain.last.0,
            "head": chain.head.map(|head| hex(&head)),
            "broken": chain.broken.map(|position| position.0),
        }));
    }
    if let Some((position, is_there)) = kept {
        is_whole &= is_there;
        lines.push(if is_there {
            format!("  The end that was kept is part of it, at position {position}.")
        } else {
            format!("  The end that was kept is NOT part of it: nothing up to position {position} can be believed.")
        });
    }
    let kept = kept.map(|(_, is_there)| is_there);
    output.result(&json!({"whole": is_whole, "tenants": documents, "kept": kept}), || lines.join("\n"));
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn words(tenant: TenantNumber, chain: &Chain) -> String {
    let head = chain.head.map_or_else(|| "-".into(), |head| hex(&head));
    let mut text = match chain.broken {
        None => format!(
            "Tenant {tenant}: the chain of {} events is whole.\n  Its end, to be kept elsewhere: {}:{head}",
            chain.events, chain.last.0
        ),
        Some(position) => format!(
            "Tenant {tenant}: BROKEN at position {}. The {} events before it are as they were written; what stands there was changed, or is missing.",
            position.0, chain.events
        ),
    };
    if chain.older > 0 {
        text.push_str(&format!(
            "\n  {} events are from before events were chained; nothing can be said of them.",
            chain.older
        ));
    }
    text
}

fn show(desk: &Desk, caller: &Caller, who: &str, output: Output) -> anyhow::Result<()> {
    let user = known_or_gone(desk, caller, who)?;
    let (mut rows, mut documents, mut after) = (Vec::new(), Vec::new(), Position(0));
    loop {
        let page = desk.runtime.block_on(desk.directory.history(caller, user, after)).map_err(refused)?;
        for event in &page.0 {
            let what = told(event, user).join("; ");
            documents.push(json!({
                "position": event.position.0, "at": moment(event.what.at), "who": event.what.who, "what": what,
            }));
            rows.push(vec![
                event.position.0.to_string(),
                moment(event.what.at),
                event.what.who.clone(),
                what,
            ]);
        }
        match page.1 {
            Some(next) => after = next,
            None => break,
        }
    }
    output.rows(&documents.into(), &["position", "when", "who", "what"], rows, "Nothing is known of them.");
    Ok(())
}

/// Somebody who is there, or was.
fn known_or_gone(desk: &Desk, caller: &Caller, who: &str) -> anyhow::Result<UserId> {
    let not_here = match people::find(desk, caller, who) {
        Ok(user) => return Ok(user.id),
        Err(error) => error,
    };
    if let Ok(stone) = desk.runtime.block_on(desk.directory.deleted(caller, &people::keys(who))) {
        return Ok(stone.user.id);
    }
    // Who is gone for good is still in the history, by id alone.
    uuid::Uuid::try_parse(who).map(UserId).map_err(|_| not_here)
}

/// What an event says of a person, in words.
fn told(event: &Event, user: UserId) -> Vec<String> {
    let what = &event.what;
    let mut words = Vec::new();
    match (&what.before, &what.after) {
        (before, Some(Record::User(after))) if after.id == user => {
            of_person(what, before.as_ref(), after, &mut words);
        }
        (Some(Record::User(before)), None) if before.id == user && what.notes.is_empty() => {
            words.push("deleted".into());
        }
        (Some(Record::User(before)), None) if before.id == user => {
            let is_purge = what.notes.contains(&directory::Note::Purged);
            words.push(if is_purge { "gone for good" } else { "deleted; all sign-ins ended" }.into());
        }
        (_, Some(Record::Mail(mail))) | (Some(Record::Mail(mail)), None) => {
            words.push(of_mail(what.action, mail));
        }
        (_, Some(Record::Item(item))) | (Some(Record::Item(item)), None) => {
            of_item(what, item, user, &mut words);
        }
        (_, Some(Record::Connection(connection))) => {
            words.push(format!("connection {} is theirs", connection.name));
        }
        _ => {}
    }
    if words.is_empty() {
        words.push("changed".into());
    }
    words
}

fn of_person(what: &EventDraft, before: Option<&Record>, after: &User, words: &mut Vec<String>) {
    let before = before.and_then(|record| match record {
        Record::User(user) => Some(user),
        _ => None,
    });
    match before {
        None if what.notes.is_empty() => words.push(format!("created, {}", after.status.word())),
        None => words.push("restored".into()),
        Some(before) => {
            if let Some(moved) = before.status.move_to(after.status) {
                words.push(moved.to_owned());
            }
            let changed = changed(before, after);
            if !changed.is_empty() {
                words.push(format!("changed: {}", changed.join(", ")));
            }
        }
    }
    if what.password_set {
        words.push("password set".into());
    }
    if before.is_some() {
        words.extend(what.notes.iter().map(|note| note.words().to_owned()));
    }
}

/// The names of what is different, less what every change moves on.
fn changed(before: &User, after: &User) -> Vec<String> {
    let fields = |user: &User| match serde_json::to_value(user) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (before, after) = (fields(before), fields(after));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let silent = ["version", "updated", "status", "last_activity", "invited"];
    let is_told = |name: &&String| !silent.contains(&name.as_str()) && before.get(*name) != after.get(*name);
    names.into_iter().filter(is_told).map(|name| name.replace('_', " ")).collect()
}

fn of_mail(action: Action, mail: &Mail) -> String {
    let kind = mail.purpose.word();
    match (action, &mail.outcome) {
        (Action::Created, _) => format!("{kind} mail queued"),
        (_, Some(Outcome::Failed(cause))) => format!("{kind} mail failed: {cause}"),
        (_, Some(Outcome::Sent)) => format!("{kind} mail sent"),
        (_, Some(Outcome::Withdrawn)) => format!("{kind} mail withdrawn: its link was no longer open"),
        _ => format!("{kind} mail changed"),
    }
}

fn of_item(what: &EventDraft, item: &Item, user: UserId, words: &mut Vec<String>) {
    let named = format!("{} {}", item.kind().word(), item.name());
    if what.joined.contains(&user) {
        words.push(format!("joined {named}"));
    }
    if what.left.contains(&user) {
        words.push(format!("left {named}"));
    }
}

fn export(desk: &Desk, caller: &Caller, after: u64) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut after = Position(after);
    loop {
        let events = desk.runtime.block_on(desk.directory.events(after, 1000)).map_err(refused)?;
        let Some(last) = events.last() else { break };
        after = last.position;
        for event in events.iter().filter(|event| event.what.tenant == caller.tenant) {
            writeln!(out, "{}", document(event)?)?;
        }
    }
    Ok(out.flush()?)
}

fn document(event: &Event) -> anyhow::Result<Value> {
    let what = &event.what;
    let ids = |people: &[UserId]| people.iter().map(ToString::to_string).collect::<Vec<_>>();
    Ok(json!({
        "position": event.position.0,
        "tenant": what.tenant.0,
        "at": moment(what.at),
        "who": what.who,
        "connection": what.connection.map(|connection| connection.to_string()),
        "request": what.request,
        "action": what.action.word(),
        "before": serde_json::to_value(&what.before)?,
        "after": serde_json::to_value(&what.after)?,
        "joined": ids(&what.joined),
        "left": ids(&what.left),
        "password_set": what.password_set,
        "notes": serde_json::to_value(&what.notes)?,
    }))
}
