//! A server's I/O fails during an import over HTTP: accepted imports (202) are executed, and no row twice.

use super::injection::{Injection, Sandbox};
use super::is_supported;
use super::process::RunningServer;
use super::search::{Findings, Scenario, run_scenario};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::waiting::wait_for;

/// Users in an import.
const IMPORTED_USERS: u32 = 12;
/// The rejected row of each import.
const REJECTED_ROW: &str = "no-email,G0";

/// An import file of users whose names start with a letter.
fn rows(letter: char) -> String {
    let mut text = String::from("email,groups\n");
    for n in 0..IMPORTED_USERS {
        writeln!(text, "{letter}{n}@x.y,G{}", n % 2).expect("written");
    }
    text + REJECTED_ROW + "\n"
}

struct Client {
    bearer: String,
}

impl Client {
    fn send_request(&self, server: &RunningServer, method: &str, target: &str, body: &str) -> Option<(u16, String)> {
        let headers = [("Authorization", self.bearer.as_str()), ("Content-Type", "text/csv")];
        let reply = server.send_request(method, target, &headers, body.as_bytes())?;
        Some((reply.status, reply.body))
    }

    fn json(&self, server: &RunningServer, method: &str, target: &str, body: &str) -> Option<(u16, Value)> {
        let (status, text) = self.send_request(server, method, target, body)?;
        Some((status, serde_json::from_str(&text).unwrap_or_default()))
    }

    /// An import as the server shows it.
    fn import(&self, server: &RunningServer, id: &str) -> Option<Value> {
        let (status, import) = self.json(server, "GET", &format!("/v1/imports/{id}"), "")?;
        (status == 200).then_some(import)
    }

    fn wait_until_ended(&self, server: &RunningServer, id: &str) -> Value {
        let is_over = |import: &Value| !import["ended"].is_null();
        wait_for("an import to end", || self.import(server, id).filter(is_over))
    }
}

/// The imported users by the first letter of their names.
fn users(stage: &Sandbox, letter: char) -> BTreeSet<String> {
    let listed = stage.json(&stage.store(), &["user", "list", "--limit", "1000"]);
    let users = listed["users"].as_array().expect("a list").iter();
    let emails = users.filter_map(|user| user["email"].as_str().map(str::to_owned));
    emails.filter(|email| email.starts_with(letter)).collect()
}

/// The outcome of an import while calls could fail.
#[derive(Default)]
struct SentImport {
    /// Set if the import was accepted (202).
    id: Option<String>,
    /// The server reported it as done.
    is_done: bool,
}

fn send_import(client: &Client, server: &mut RunningServer, stage: &Sandbox, findings: &mut Findings) -> SentImport {
    let answer = client.json(server, "POST", "/v1/imports", &rows('a'));
    let has_ended = answer.is_none() && server.has_ended();
    let is_clear = matches!(answer, Some((202 | 503 | 507, _))) || has_ended;
    findings.check(is_clear, "an import got neither 202 nor 503", || format!("{answer:?}; {}", stage.warnings()));
    let Some((202, import)) = answer else { return SentImport::default() };
    let id = import["id"].as_str().expect("an id").to_owned();
    let begun = Instant::now();
    let is_done = loop {
        let import = client.import(server, &id);
        let status = import.as_ref().and_then(|import| import["status"].as_str());
        if status == Some("done") {
            break true;
        }
        findings.check(status != Some("failed"), "an accepted import failed after a fault", || {
            format!("{import:?}; {}", stage.warnings())
        });
        if status == Some("failed") || begun.elapsed() > Duration::from_secs(2) {
            break false;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    SentImport { id: Some(id), is_done }
}

/// Checks the state after a restart without faults, and after another import.
fn verify(stage: &Sandbox, client: &Client, sent: &SentImport, findings: &mut Findings) {
    let store = stage.store();
    stage.check_store(&store, findings);
    if sent.is_done {
        let there = users(stage, 'a').len();
        let is_complete = there == IMPORTED_USERS as usize;
        findings.check(is_complete, "an import was reported as done and is not", || format!("{there} users"));
        stage.json(&store, &["user", "delete", "a0@x.y"]);
    }
    let Ok(server) = RunningServer::start(stage, Injection::Nothing) else {
        return findings.check(false, "the server does not restart", || stage.warnings());
    };
    let posted = client.json(&server, "POST", "/v1/imports", &rows('b'));
    let Some((202, second)) = posted else {
        return findings.check(false, "no import is possible after a fault", || format!("{posted:?}"));
    };
    if let Some(id) = &sent.id {
        if client.import(&server, id).is_none() {
            let said = || format!("seen as done: {}; {}", sent.is_done, stage.warnings());
            findings.check(false, "an accepted import is missing", said);
        } else {
            let first = client.wait_until_ended(&server, id);
            let is_right = first["status"] == "done" && first["report"]["people"]["refused"] == 1;
            findings.check(is_right, "an accepted import is not done", || first.to_string());
            let rejected = client.send_request(&server, "GET", &format!("/v1/imports/{id}/refused"), "");
            let is_there = rejected.as_ref().is_some_and(|(_, text)| text.contains(REJECTED_ROW));
            // If they could not be written, the report notes it and names the rows.
            let is_reported = rejected.as_ref().is_some_and(|(status, _)| *status == 404)
                && first["report"]["notes"].to_string().contains("could not be written")
                && !first["report"]["refusals"]["first"].as_array().is_none_or(Vec::is_empty);
            let is_known = is_there || is_reported;
            findings.check(is_known, "the rejected rows of an import are missing", || format!("{rejected:?}"));
        }
    }
    // Imports of a tenant are executed in order of arrival.
    let second = client.wait_until_ended(&server, second["id"].as_str().expect("an id"));
    findings.check(second["status"] == "done", "the next import is not done", || second.to_string());
    let code = server.stop().code();
    findings.check(code == Some(0), "the server does not exit cleanly without faults", || format!("{code:?}"));
    let there = users(stage, 'a');
    let is_right = match &sent.id {
        Some(_) if sent.is_done => !there.contains("a0@x.y") && there.len() == IMPORTED_USERS as usize - 1,
        Some(_) => there.len() == IMPORTED_USERS as usize,
        None => there.is_empty() || there.len() == IMPORTED_USERS as usize,
    };
    findings.check(is_right, "an import is lost, incomplete or duplicated", || {
        format!("acknowledged: {}, seen as done: {}, {there:?}", sent.id.is_some(), sent.is_done)
    });
    findings.check(users(stage, 'b').len() == IMPORTED_USERS as usize, "the next import is not complete", String::new);
    let folder = std::fs::read_dir(stage.data().join("imports")).expect("read").flatten();
    let data = folder.filter(|file| file.path().extension().is_some_and(|ending| ending == "data")).count();
    findings.check(sent.id.is_none() || data == 0, "files of ended imports remain", || format!("{data}"));
}

fn run(
    (folder, part): (&Path, &'static str),
    client: &Client,
    injected: Injection,
    findings: &mut Findings,
) -> Sandbox {
    let stage = Sandbox::with_part(folder, part);
    let mut sent = SentImport::default();
    match RunningServer::start(&stage, injected) {
        Err(status) => stage.check_failed_start(status, findings),
        Ok(mut server) => {
            sent = send_import(client, &mut server, &stage, findings);
            let is_expected = sent.is_done || stage.has_failed();
            findings.check(is_expected, "an import is not done without a fault", || stage.warnings());
            stage.check_stop(server, findings);
        }
    }
    verify(&stage, client, &sent, findings);
    stage
}

#[test]
fn acknowledged_imports_survive_io_faults() {
    if !is_supported() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let stage = Sandbox::new(folder.path());
    let store = stage.store();
    stage.json(&store, &["tenant", "add", "Acme"]);
    let added = stage.json(&store, &["connection", "add", "c", "--tenant", "1", "--dialect", "transfer"]);
    let client = Client { bearer: format!("Bearer {}", added["key"].as_str().expect("a key")) };
    std::fs::copy(&store, folder.path().join("muster.db")).expect("copied");
    let on = |part: &'static str| {
        let (folder, client) = (folder.path(), &client);
        move |injected: Injection, findings: &mut Findings| run((folder, part), client, injected, findings)
    };
    let all = run_scenario(&Scenario { name: "imports", time: Duration::from_secs(3), run: &on("") });
    // Few of the calls above are for the data and state files of imports.
    let files = run_scenario(&Scenario { name: "import files", time: Duration::from_secs(4), run: &on("imports") });
    let found: Vec<String> = [all, files].into_iter().filter_map(Result::err).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}
