//! A server's I/O fails while it accepts changes over two dialects, sends a mail and checkpoints its log.

use super::injection::{Injection, Sandbox};
use super::is_supported;
use super::process::RunningServer;
use super::search::{Findings, Scenario, is_single_fault_run, run_scenario};
use crate::outages::print;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use testkit::seeds::is_long_run;
use testkit::waiting::wait_for;

/// The size of the template's log in bytes. SQLite checkpoints at 4,000 pages, which therefore happens during the load.
const LOG_SIZE: u64 = 3_935 * 4_120;

/// Rejected changes.
static REJECTED: AtomicUsize = AtomicUsize::new(0);

/// A tenant and a key.
struct Client {
    bearer: String,
}

/// For each user or group by name, all states that may be stored. `None`: it does not exist.
type PossibleStates = BTreeMap<String, BTreeSet<Option<String>>>;

impl Client {
    fn send_request(
        &self,
        server: &RunningServer,
        method: &str,
        target: &str,
        body: Option<&Value>,
    ) -> Option<(u16, Value)> {
        let headers = [("Authorization", self.bearer.as_str()), ("Content-Type", "application/json")];
        let body = body.map(Value::to_string).unwrap_or_default();
        let reply = server.send_request(method, target, &headers, body.as_bytes())?;
        Some((reply.status, serde_json::from_str(&reply.body).unwrap_or_default()))
    }

    /// The id of a user or group over `scim`, if it exists and the server answers.
    fn id(&self, server: &RunningServer, kind: &str, attribute: &str, name: &str) -> Option<String> {
        let target = format!("/scim/v2/{kind}?filter={attribute}%20eq%20%22{name}%22");
        let (_, said) = self.send_request(server, "GET", &target, None)?;
        said["Resources"][0]["id"].as_str().map(str::to_owned)
    }

    /// All stored states, in the form of [`PossibleStates`].
    fn all_states(&self, server: &RunningServer) -> BTreeMap<String, String> {
        let list = |kind: &str| {
            let target = format!("/scim/v2/{kind}?count=200");
            let (status, said) = self.send_request(server, "GET", &target, None).expect("an answer");
            assert_eq!(status, 200, "{said}");
            let found = said["Resources"].as_array().cloned().unwrap_or_default();
            assert_eq!(said["totalResults"], found.len(), "totalResults equals the number of resources");
            found
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let users = list("Users").into_iter().map(|user| {
            let groups = user["groups"].as_array().cloned().unwrap_or_default();
            let groups: Vec<String> = groups.iter().map(|group| text(&group["display"])).collect();
            let (first, external) = (text(&user["name"]["givenName"]), text(&user["externalId"]));
            (text(&user["userName"]), state(&first, &external, &groups.join(" ")))
        });
        let groups = list("Groups").into_iter().map(|group| (text(&group["displayName"]), String::new()));
        users.chain(groups).collect()
    }
}

fn state(first: &str, external: &str, groups: &str) -> String {
    format!("{first}/{external}/{groups}")
}

/// One load and its results.
struct Load<'a> {
    client: &'a Client,
    sandbox: &'a Sandbox,
    server: RunningServer,
    possible_states: PossibleStates,
    findings: &'a mut Findings,
    is_counting: bool,
}

impl Load<'_> {
    /// Sends a change that leads to a state if it is committed; returns whether it was acknowledged.
    fn change(
        &mut self,
        (method, target, body): (&str, &str, Option<&Value>),
        name: &str,
        after: Option<&str>,
    ) -> bool {
        let answer = self.client.send_request(&self.server, method, target, body);
        let after = after.map(str::to_owned);
        let possible = self.possible_states.entry(name.to_owned()).or_insert_with(|| [None].into());
        let status = answer.as_ref().map(|(status, _)| *status);
        let before = possible.clone();
        match status {
            Some(200..300) => *possible = [after.clone()].into(),
            // An earlier create that got 503 was not committed.
            Some(404) if before.contains(&None) => return false,
            _ => drop(possible.insert(after.clone())),
        }
        let has_ended = answer.is_none() && self.server.has_ended();
        let is_clear = matches!(status, Some(200..300 | 503)) || has_ended;
        let is_allowed = is_clear && (status != Some(503) || self.sandbox.has_failed());
        self.findings.check(is_allowed, "a change got neither 2xx nor 503", || {
            format!("{method} {target} {answer:?}; {}", self.sandbox.warnings())
        });
        let is_done = matches!(status, Some(200..300));
        REJECTED.fetch_add(usize::from(status == Some(503)), Ordering::Relaxed);
        if is_done && name.contains('@') {
            self.read(name, after.as_deref());
        }
        is_done
    }

    /// Reads a user with an acknowledged change over the other dialect.
    fn read(&mut self, email: &str, wanted: Option<&str>) {
        let answer = self.client.send_request(&self.server, "GET", &format!("/api/2/users/{email}"), None);
        let first = wanted.map(|state| state.split('/').next().unwrap_or_default());
        let is_right = match &answer {
            Some((200, said)) => said["user"]["name"]["firstname"].as_str() == first,
            Some((404, _)) => first.is_none(),
            Some((503, _)) => self.sandbox.has_failed(),
            _ => false,
        };
        let complaints = || format!("{email} {answer:?}; {}", self.sandbox.warnings());
        self.findings.check(is_right, "a read after a change returns another state", complaints);
    }

    fn create_over_scim(&mut self, n: u32) {
        let (email, first, external) = (format!("s{n}@x.y"), format!("S{n}"), format!("e{n}"));
        let body = json!({"userName": email, "externalId": external, "name": {"givenName": first},
            "emails": [{"value": email, "primary": true}]});
        self.change(("POST", "/scim/v2/Users", Some(&body)), &email, Some(&state(&first, &external, "")));
    }

    fn write_over_publisher(&mut self, n: u32, method: &str, first: &str) -> bool {
        let (email, external) = (format!("p{n}@x.y"), format!("f{n}"));
        let body = json!({"user": {"name": {"firstname": first}, "email": email, "externalid": external}});
        let target = if method == "PUT" { format!("/api/2/users/{email}") } else { "/api/2/users".into() };
        self.change((method, &target, Some(&body)), &email, Some(&state(first, &external, "")))
    }

    /// Creates, changes and deletes users and groups sequentially.
    fn run(&mut self) {
        for n in 0..3 {
            self.create_over_scim(n);
            self.write_over_publisher(n, "POST", &format!("P{n}"));
        }
        for name in ["G0", "G1"] {
            let body = json!({"displayName": name});
            self.change(("POST", "/scim/v2/Groups", Some(&body)), name, Some(""));
        }
        self.write_over_publisher(0, "PUT", "Q0");
        let user = |load: &Self, n: u32| load.client.id(&load.server, "Users", "userName", &format!("s{n}@x.y"));
        let group = |load: &Self, name: &str| load.client.id(&load.server, "Groups", "displayName", name);
        if let Some(id) = user(self, 1) {
            let change = json!({"op": "replace", "path": "name.givenName", "value": "T1"});
            let body = json!({"Operations": [change]});
            let target = format!("/scim/v2/Users/{id}");
            self.change(("PATCH", &target, Some(&body)), "s1@x.y", Some(&state("T1", "e1", "")));
        }
        if let (Some(user), Some(group)) = (user(self, 0), group(self, "G0")) {
            let change = json!({"op": "add", "path": "members", "value": [{"value": user}]});
            let body = json!({"Operations": [change]});
            let target = format!("/scim/v2/Groups/{group}");
            self.change(("PATCH", &target, Some(&body)), "s0@x.y", Some(&state("S0", "e0", "G0")));
        }
        if let Some(id) = user(self, 2) {
            self.change(("DELETE", &format!("/scim/v2/Users/{id}"), None), "s2@x.y", None);
        }
        if let Some(id) = group(self, "G1") {
            self.change(("DELETE", &format!("/scim/v2/Groups/{id}"), None), "G1", None);
        }
        self.write_over_publisher(3, "POST", "P3");
    }

    /// Checks that the server is ready exactly when it accepts changes.
    fn check_readiness(&mut self, injected: Injection) {
        if !self.sandbox.has_failed() || self.server.has_ended() {
            return;
        }
        let fault = injected.fault().expect("a fault");
        if fault.is_persistent {
            let is_done = self.write_over_publisher(4, "POST", "P4");
            let is_right = if is_done {
                self.server.wait_until_ready(Duration::from_secs(5))
            } else {
                self.server.readiness().0 == 503
            };
            let summary = if is_done {
                "changes are accepted and /readyz does not answer 200"
            } else {
                "changes are rejected and /readyz does not answer 503"
            };
            let said = || format!("{:?}; {}", self.server.readiness(), self.sandbox.warnings());
            self.findings.check(is_right, summary, said);
            // In a long run, every other fault lasts until the server has stopped, which can take 20 s.
            if is_long_run() && !fault.at.is_multiple_of(2) {
                return;
            }
            self.sandbox.stop_faults();
        }
        let is_ready = self.server.wait_until_ready(Duration::from_secs(15));
        let works = is_ready && self.write_over_publisher(5, "POST", "P5");
        let is_said = self.sandbox.warnings().contains("restart");
        self.findings.check(works || is_said, "the server does not recover after the fault", || {
            format!("ready: {is_ready}, {:?}; {}", self.server.readiness(), self.sandbox.warnings())
        });
    }

    /// Waits for the mail or for a fault, so that the sequence of calls is the same in every run.
    fn wait_for_mail(&self) {
        let begun = Instant::now();
        while mails(self.sandbox).is_empty() && begun.elapsed() < Duration::from_secs(3) {
            if self.sandbox.has_failed() && begun.elapsed() > Duration::from_millis(200) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(!self.is_counting || !mails(self.sandbox).is_empty(), "a mail: {}", self.sandbox.warnings());
        // Until the outcome is recorded.
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn mails(stage: &Sandbox) -> Vec<String> {
    let files = std::fs::read_dir(stage.data().join("mail")).into_iter().flatten().flatten();
    let mails = files.filter(|file| file.path().extension().is_some_and(|ending| ending == "eml"));
    mails.map(|file| std::fs::read_to_string(file.path()).expect("read")).collect()
}

/// Whether a mail is complete up to the end of its last part.
fn is_complete(mail: &str) -> bool {
    let boundary = mail.split("boundary=\"").nth(1).and_then(|rest| rest.split('"').next());
    mail.contains("To: m@x.y") && boundary.is_some_and(|boundary| mail.trim_end().ends_with(&format!("--{boundary}--")))
}

/// Creates a store whose log is nearly due for a checkpoint, with a waiting invitation.
fn template(folder: &Path) -> Client {
    let stage = Sandbox::new(folder);
    let store = stage.store();
    stage.json(&store, &["tenant", "add", "Acme"]);
    let added = stage.json(
        &store,
        &["connection", "add", "c", "--tenant", "1", "--dialect", "all", "--highest-role", "EnterpriseAdmin"],
    );
    let key = added["key"].as_str().expect("a key");
    let client = Client { bearer: format!("Bearer {key}") };
    let server = RunningServer::start(&stage, Injection::Nothing).expect("started");
    let ask = |method: &str, target: &str, body: &Value| {
        let (status, said) = client.send_request(&server, method, target, Some(body)).expect("an answer");
        assert!(matches!(status, 200..300), "{said}");
        said
    };
    let made = ask("POST", "/scim/v2/Users", &json!({"userName": "filler", "externalId": "f"}));
    let target = format!("/scim/v2/Users/{}", made["id"].as_str().expect("an id"));
    let log = stage.data().join("muster.db-wal");
    while std::fs::metadata(&log).expect("a file").len() < LOG_SIZE {
        let change = json!({"op": "replace", "path": "name.givenName", "value": "F"});
        let back = json!({"op": "replace", "path": "name.givenName", "value": "E"});
        ask("PATCH", &target, &json!({"Operations": [change]}));
        ask("PATCH", &target, &json!({"Operations": [back]}));
    }
    let mut invited = String::from("/api/v2/user?format=json&CompanyId=1");
    write!(invited, "&IntegrationKey={key}").expect("written");
    let user = json!({"Email": "m@x.y", "FirstName": "M", "LastName": "L", "ExternalId": "m"});
    ask("POST", &invited, &user);
    // Kill the server before the mail is sent, which also keeps the log.
    drop(server);
    assert!(mails(&stage).is_empty(), "the mail is not sent yet");
    for ending in ["", "-wal"] {
        std::fs::copy(format!("{store}{ending}"), folder.join(format!("muster.db{ending}"))).expect("copied");
    }
    client
}

/// Checks the stored state without faults.
fn verify(stage: &Sandbox, client: &Client, known: &PossibleStates, findings: &mut Findings) {
    stage.check_store(&stage.store(), findings);
    let Ok(server) = RunningServer::start(stage, Injection::Nothing) else {
        return findings.check(false, "the server does not restart", || stage.warnings());
    };
    let there = client.all_states(&server);
    let mut wrong = Vec::new();
    for (name, possible) in known {
        let state = there.get(name).cloned();
        if !possible.contains(&state) {
            wrong.push(format!("{name}: {state:?} instead of {possible:?}"));
        }
    }
    findings.check(wrong.is_empty(), "a user or group is not as acknowledged", || wrong.join(", "));
    let unknown: Vec<&String> = there.keys().filter(|name| !known.contains_key(*name)).collect();
    findings.check(unknown.is_empty(), "a resource was never sent", || format!("{unknown:?}"));
    let sent = wait_for("the mail to be sent", || Some(mails(stage)).filter(|mails| !mails.is_empty()));
    let is_once = sent.len() == 1 && sent.iter().all(|mail| is_complete(mail));
    findings.check(is_once, "the mail is incomplete, missing or duplicated", || {
        let sizes: Vec<usize> = sent.iter().map(String::len).collect();
        format!("sizes in bytes: {sizes:?}")
    });
    let code = server.stop().code();
    findings.check(code == Some(0), "the server does not exit cleanly without faults", || format!("{code:?}"));
}

fn run(
    (folder, part): (&Path, &'static str),
    client: &Client,
    injected: Injection,
    findings: &mut Findings,
) -> Sandbox {
    let stage = Sandbox::with_part(folder, part);
    let mut known = PossibleStates::from([
        ("filler".into(), [Some(state("E", "f", ""))].into()),
        ("m@x.y".into(), [Some(state("M", "m", ""))].into()),
    ]);
    match RunningServer::start(&stage, injected) {
        Err(status) => {
            stage.check_failed_start(status, findings);
        }
        Ok(server) => {
            let is_counting = injected.fault().is_none();
            let mut load = Load { client, sandbox: &stage, server, possible_states: known, findings, is_counting };
            load.wait_for_mail();
            load.run();
            load.check_readiness(injected);
            let Load { server, possible_states: after, .. } = load;
            known = after;
            // Kill some servers: without a final checkpoint, the remains of a failed commit stay in the log.
            if injected.fault().is_some_and(|fault| fault.at.is_multiple_of(3)) {
                server.kill();
            } else {
                stage.check_stop(server, findings);
            }
        }
    }
    verify(&stage, client, &known, findings);
    stage
}

#[test]
fn acknowledged_changes_survive_io_faults() {
    if !is_supported() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let client = template(folder.path());
    let all = |injected: Injection, findings: &mut Findings| run((folder.path(), ""), &client, injected, findings);
    let found = run_scenario(&Scenario { name: "changes", time: Duration::from_secs(7), run: &all });
    print(&format!("{} changes were rejected", REJECTED.load(Ordering::Relaxed)));
    assert!(found.is_ok(), "{}", found.unwrap_err());
    assert!(is_single_fault_run() || REJECTED.load(Ordering::Relaxed) > 0, "no fault made the server reject changes");
}

/// Few calls of the test above are for mails.
#[test]
fn mails_are_complete_despite_io_faults() {
    if !is_supported() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let client = template(folder.path());
    let run = |injected: Injection, findings: &mut Findings| run((folder.path(), "mail"), &client, injected, findings);
    let found = run_scenario(&Scenario { name: "mails", time: Duration::from_secs(4), run: &run });
    assert!(found.is_ok(), "{}", found.unwrap_err());
}
