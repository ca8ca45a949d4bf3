//! Imports that clients send, and checks of their results.

use super::client::{Client, SentChange};
use directory::Action;
use serde_json::Value;
use server::App;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;
use std::time::Duration;

/// The time limit for imports after all clients are done.
const IMPORT_TIMEOUT: Duration = Duration::from_hours(2);

/// An accepted import.
#[derive(Clone, Debug)]
pub(super) struct Import {
    id: String,
    /// The range of the client's changes that are creates of this import's rows.
    created: Range<usize>,
    /// The number of server crashes before it.
    crashes: u64,
    /// The result; `None` if its retention has ended.
    pub(super) ended: Option<Value>,
}

/// Sends a file with new users and one user that other clients also change.
pub(super) async fn send_import(client: &Client, app: &App, step: u32) {
    let name = format!("c{}s{step}", client.number);
    let mut file = String::from("id,email,display name,groups\n");
    let first = client.sent().len();
    let many = 1 + client.random(4);
    for row in 0..many {
        let mark = format!("{name}r{row}");
        client.record_change(mark.clone(), Action::Created);
        let group = ["", "Red", "Blue; Green"][usize::try_from(client.random(3)).unwrap_or_default()];
        let written = writeln!(file, ",{mark}@simulation.example,{mark},{group}");
        written.expect("written");
    }
    let created = first..client.sent().len();
    if let Some(user) = client.shared_user() {
        client.record_change(name.clone(), Action::Updated);
        writeln!(file, "{user},,{name},").expect("written");
    }
    let (status, import) = client.send(app, ("POST", "/v1/imports?update=true"), ("text/csv", file)).await;
    if let (202, Some(id)) = (status, import["id"].as_str()) {
        let crashes = client.crashes();
        client.record_import(Import { id: id.to_owned(), created, crashes, ended: None });
    }
}

/// Waits until all accepted imports have ended.
pub(super) async fn wait_for_imports(client: &Client, app: &App) -> Result<(), String> {
    for (place, import) in client.imports().into_iter().enumerate() {
        let target = format!("/v1/imports/{}", import.id);
        let ended = async {
            loop {
                let (status, state) = client.send(app, ("GET", &target), ("application/json", String::new())).await;
                match status {
                    200 if state["ended"].is_string() => return Some(state),
                    404 => return None,
                    _ => tokio::time::sleep(Duration::from_secs(1)).await,
                }
            }
        };
        let ended = tokio::time::timeout(IMPORT_TIMEOUT, ended).await;
        client.record_import_end(place, ended.map_err(|_| format!("import {} has not ended", import.id))?);
    }
    Ok(())
}

impl Import {
    /// Checks that the accepted import was executed and its report agrees with the history. Results are kept for seven
    /// days, so they may be missing if a month passes with each crash.
    pub(super) fn check(
        &self,
        sent: &[SentChange],
        found: &BTreeMap<(&str, bool), u32>,
        (has_months, crashes): (bool, u64),
    ) -> Result<(), String> {
        let Some(state) = &self.ended else {
            return if has_months && self.crashes < crashes {
                Ok(())
            } else {
                Err(format!("import {} is lost", self.id))
            };
        };
        let count = |what: &str| state["report"]["people"][what].as_u64();
        let (Some(created), Some(rejected)) = (count("created"), count("refused")) else {
            return Err(format!("an import has failed: {state}"));
        };
        let is_there = |sent: &&SentChange| found.contains_key(&(sent.marker.as_str(), true));
        let marks = &sent[self.created.clone()];
        let there = marks.iter().filter(is_there).count() as u64;
        let is_right = state["status"] == "done" && created <= there && there <= created + rejected;
        if is_right { Ok(()) } else { Err(format!("the history has {there} rows of {}: {state}", marks.len())) }
    }
}
