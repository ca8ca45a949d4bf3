//! `muster target map`: how the attributes of a target's accounts are made.

use super::user_row::find_id;
use super::{TargetRef, find_target, put, rules_of, sources};
use crate::output::{Output, table};
use crate::session::AdminSession;
use anyhow::{Context, bail};
use clap::Args;
use dialects::kit::{AttributeKind, Document, OutgoingUser, OutputValue, TargetClient, json_text};
use directory::{AttributeMapping, Caller, EmptyValue, Target, TargetCapabilities, UserId, UserQuery};
use gateway::{AccountRules, Desired, mapping_variables};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct MapArgs {
    #[command(flatten)]
    target: TargetRef,
    /// Make an attribute of the target by an expression over the user's attributes (repeatable), such as
    /// `jobtitle=title|cut(40)`
    #[arg(long, value_name = "ATTRIBUTE=EXPRESSION")]
    set: Vec<String>,
    /// Restore the default of an attribute (repeatable)
    #[arg(long, value_name = "ATTRIBUTE")]
    unset: Vec<String>,
    /// Replace the whole mapping by that of a TOML file, with `[[mapping]]` tables
    #[arg(long, value_name = "FILE", conflicts_with_all = ["set", "unset"])]
    file: Option<PathBuf>,
    /// Show what a user gets: number, id, email, user name or external id
    #[arg(long)]
    user: Option<String>,
    /// Show the result without storing it
    #[arg(long)]
    dry_run: bool,
}

/// A file with a mapping.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingFile {
    #[serde(default)]
    mapping: Vec<AttributeMapping>,
}

/// Users who are tried when a mapping is set.
const SAMPLE: u32 = 100;

pub(super) fn run(session: &AdminSession, args: &MapArgs, output: Output) -> anyhow::Result<()> {
    let (caller, before) = find_target(session, &args.target)?;
    let mut after = before.clone();
    after.mapping = new_mapping(args, &before)?;
    let (client, rules) = rules_of(&after)?;
    let is_changed = after.mapping != before.mapping;
    let problems = if is_changed { try_users(session, &caller, &after, &rules)? } else { Vec::new() };
    let shown = match &args.user {
        Some(name) => {
            let user = find_id(session, &caller, std::slice::from_ref(&after), name)?;
            Some(document_of(session, &caller, &after, &rules, user)?)
        }
        None => None,
    };
    if is_changed && !args.dry_run {
        put(session, &caller, before, after.clone(), Vec::new())?;
    }
    let rows = rows(&after, client, &rules.capabilities, shown.as_ref());
    let document = json!({"name": after.name, "attributes": rows, "problems": problems});
    output.result(&document, || {
        let mut text = table_text(&rows, shown.is_some());
        for problem in &problems {
            text.push_str(&format!("\n{problem}"));
        }
        text.push_str(match (is_changed, args.dry_run) {
            (false, _) => "",
            (true, true) => "\nNothing was stored.",
            (true, false) => "\nUsers whose accounts are to be different are pushed while a server is running.",
        });
        text
    });
    Ok(())
}

fn new_mapping(args: &MapArgs, target: &Target) -> anyhow::Result<Vec<AttributeMapping>> {
    if let Some(path) = &args.file {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file: MappingFile = toml::from_str(&text).with_context(|| format!("{} is not valid", path.display()))?;
        return Ok(file.mapping);
    }
    let mut mapping = target.mapping.clone();
    for name in &args.unset {
        let count = mapping.len();
        mapping.retain(|row| row.attribute != *name);
        if mapping.len() == count {
            bail!("{name} has no mapping");
        }
    }
    for setting in &args.set {
        let (name, expression) = setting.split_once('=').context("--set needs ATTRIBUTE=EXPRESSION")?;
        let (attribute, expression) = (name.trim().to_owned(), expression.trim().to_owned());
        let row = AttributeMapping { attribute, expression, ..AttributeMapping::default() };
        match mapping.iter_mut().find(|known| known.attribute == row.attribute) {
            Some(known) => *known = row,
            None => mapping.push(row),
        }
    }
    Ok(mapping)
}

/// Why some users would not be pushed, each reason with how many of the first users have it.
fn try_users(
    session: &AdminSession,
    caller: &Caller,
    target: &Target,
    rules: &AccountRules,
) -> anyhow::Result<Vec<String>> {
    let query = UserQuery { limit: SAMPLE, ..UserQuery::default() };
    let users = session.wait(session.directory.find_users(caller, query))?.rows;
    let ids: Vec<UserId> = users.iter().map(|user| user.id).collect();
    let sources = sources(session, caller, (target, rules), &ids)?;
    let (mut total, mut reasons) = (0, std::collections::BTreeMap::<String, usize>::new());
    for source in sources.values() {
        if let Desired::Account { user, is_active: true } = rules.desired(source) {
            total += 1;
            let outgoing = OutgoingUser { user, labels: &source.labels, manager: None, is_active: true };
            if let Err(error) = rules.document(&outgoing) {
                *reasons.entry(error.to_string()).or_default() += 1;
            }
        }
    }
    Ok(reasons
        .into_iter()
        .map(|(reason, count)| format!("{count} of {total} users cannot be pushed: {reason}."))
        .collect())
}

fn document_of(
    session: &AdminSession,
    caller: &Caller,
    target: &Target,
    rules: &AccountRules,
    user: UserId,
) -> anyhow::Result<Document> {
    let sources = sources(session, caller, (target, rules), &[user])?;
    let source = sources.get(&user).context("there is no such user")?;
    let Desired::Account { user, is_active } = rules.desired(source) else {
        bail!("the target is to have no account of this user, or to keep the one it has");
    };
    let manager = source.manager.as_deref();
    Ok(rules.document(&OutgoingUser { user, labels: &source.labels, manager, is_active })?)
}

/// All attributes of the API, with their sources.
fn rows(
    target: &Target,
    client: &'static dyn TargetClient,
    capabilities: &TargetCapabilities,
    shown: Option<&Document>,
) -> Vec<Value> {
    let rows = client.attributes(capabilities).into_iter().map(|attribute| {
        let mapping = target.mapping.iter().find(|row| row.attribute == attribute.name);
        let mut row = json!({
            "attribute": attribute.name,
            "type": match attribute.kind {
                AttributeKind::Text => "text",
                AttributeKind::Integer => "integer",
                AttributeKind::Boolean => "boolean",
                AttributeKind::Complex => "complex",
            },
            "required": attribute.required,
            "maxChars": (attribute.max_chars > 0).then_some(attribute.max_chars),
            "expression": mapping.map(|mapping| &mapping.expression),
            "values": mapping.filter(|mapping| !mapping.values.is_empty()).map(|mapping| &mapping.values),
            "empty": mapping.map(|mapping| match mapping.empty {
                EmptyValue::Clear => "clear",
                EmptyValue::Omit => "omit",
            }),
        });
        if let Some(document) = shown {
            row["value"] = document.value(&attribute.name).map_or(Value::Null, value_json);
        }
        row
    });
    rows.collect()
}

fn value_json(value: &OutputValue) -> Value {
    serde_json::from_str(&json_text(value)).unwrap_or_default()
}

fn table_text(rows: &[Value], has_values: bool) -> String {
    let cells = |row: &Value| {
        let mut kind = row["type"].as_str().unwrap_or_default().to_owned();
        if let Some(max) = row["maxChars"].as_u64() {
            kind.push_str(&format!(", at most {max} characters"));
        }
        if row["required"] == true {
            kind.push_str(", required");
        }
        let mut made = row["expression"].as_str().map_or_else(|| "default".to_owned(), str::to_owned);
        if let Some(values) = row["values"].as_object() {
            let values: Vec<String> =
                values.iter().map(|(from, to)| format!("{from}: {}", to.as_str().unwrap_or_default())).collect();
            made.push_str(&format!(" ({})", values.join(", ")));
        }
        if row["empty"] == "omit" {
            made.push_str(", omitted if empty");
        }
        let mut cells = vec![row["attribute"].as_str().unwrap_or_default().to_owned(), kind, made];
        if has_values {
            cells.push(if row["value"].is_null() { "-".into() } else { row["value"].to_string() });
        }
        cells
    };
    let mut headings = vec!["attribute", "type", "source"];
    if has_values {
        headings.push("value");
    }
    table(&headings, rows.iter().map(cells).collect())
}

/// The attributes of users that expressions can use, for the help.
pub(super) fn variables_help() -> String {
    let names: Vec<&str> = mapping_variables().map(|attribute| attribute.name).collect();
    format!(
        "Expressions are those of Jinja, over the attributes of the user: {}.\n\
         Besides Jinja's filters there are digits, fold, cut(n), before(text) and after(text).",
        names.join(", ")
    )
}
