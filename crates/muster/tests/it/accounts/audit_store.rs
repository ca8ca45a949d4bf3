//! A store whose history tests tamper with; each change is reverted before the next.

use super::audit_history::record_history;
use super::{HttpTarget, InProcessServer, TenantClient, run_command};
use crate::support::is_on_postgres;
use directory::{Caller, TenantNumber};
use rusqlite::types::Value;
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Runs a statement on the store; returns its result.
pub(super) fn run_sql(store: &str, statement: &str) -> String {
    if is_on_postgres() {
        return testkit::postgres::query(store, statement);
    }
    let db = rusqlite::Connection::open(store).expect("opened");
    db.busy_timeout(std::time::Duration::from_secs(10)).expect("set");
    if !statement.starts_with("SELECT") {
        let whole = format!("BEGIN IMMEDIATE; {statement}; COMMIT");
        db.execute_batch(&whole).unwrap_or_else(|error| panic!("{statement}: {error}"));
        return String::new();
    }
    let mut asked = db.prepare(statement).expect("a question");
    let text = |row: &rusqlite::Row| {
        Ok(match row.get(0)? {
            Value::Integer(number) => number.to_string(),
            Value::Text(text) => text,
            _ => String::new(),
        })
    };
    let rows = asked.query_map([], text).expect("queried").collect::<rusqlite::Result<Vec<String>>>();
    rows.expect("rows").join("\n")
}

/// One psql process for many statements, because starting one for each takes too long.
struct Psql {
    child: RefCell<Child>,
    output: RefCell<Lines<BufReader<ChildStdout>>>,
}

impl Psql {
    fn start(url: &str) -> Self {
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url]);
        let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("psql");
        let said = BufReader::new(child.stdout.take().expect("output")).lines();
        Self { child: RefCell::new(child), output: RefCell::new(said) }
    }

    /// Runs a statement in a transaction and waits for its end.
    fn execute(&self, statement: &str) {
        let mut child = self.child.borrow_mut();
        let input = child.stdin.as_mut().expect("input");
        writeln!(input, "BEGIN; {statement}; COMMIT;\n\\echo it is done").expect("sent");
        let is_done = self.output.borrow_mut().by_ref().map_while(Result::ok).any(|line| line == "it is done");
        assert!(is_done, "it is not done: {statement}");
    }
}

impl Drop for Psql {
    fn drop(&mut self) {
        let mut child = self.child.borrow_mut();
        drop(child.stdin.take());
        drop(child.wait());
    }
}

/// A store with a history to tamper with.
pub(super) struct AuditStore {
    server: InProcessServer,
    pub(super) tenant: u32,
    pub(super) other: u32,
    pub(super) other_first_position: u64,
    psql: Option<Psql>,
    /// The positions of the tenant's events.
    pub(super) positions: Vec<u64>,
}

impl AuditStore {
    pub(super) fn new() -> Self {
        let home = InProcessServer::new();
        let (tenant, other, positions, others) = {
            let (acme, other, _) = record_history(&home);
            let positions = |acme: &TenantClient| -> Vec<u64> {
                let (_, export) = run_command(home.store(), &["audit", "export", "--tenant", &acme.number.to_string()]);
                let events = export.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
                events.map(|event| event["position"].as_u64().expect("a position")).collect()
            };
            let number = |acme: &TenantClient| u32::try_from(acme.number).expect("small");
            (number(&acme), number(&other), positions(&acme), positions(&other))
        };
        for table in history_tables() {
            run_sql(home.store(), &format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}"));
        }
        let psql = is_on_postgres().then(|| Psql::start(home.store()));
        Self { server: home, tenant, other, other_first_position: others[0], psql, positions }
    }

    pub(super) fn store(&self) -> &str {
        self.server.store()
    }

    /// Reverts the previous change and runs a statement.
    pub(super) fn tamper(&self, what: &str) {
        let mut statement = String::new();
        for table in history_tables() {
            statement.push_str(&format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table}; "));
        }
        statement.push_str(what);
        match &self.psql {
            Some(psql) => psql.execute(&statement),
            None => drop(run_sql(self.server.store(), &statement)),
        }
    }

    /// The first position at which verification of a tenant's history fails.
    pub(super) fn first_broken_position(&self, tenant: u32) -> Option<u64> {
        let caller = Caller::operator(TenantNumber(tenant));
        let verified = self.server.app.directory().verify_chain(&caller);
        let chain = self.server.runtime.block_on(verified).expect("verified");
        chain.get(&TenantNumber(tenant)).and_then(|chain| chain.broken_at).map(|position| position.0)
    }

    /// Runs `audit verify` for the tenant; returns whether it succeeds, and its output.
    pub(super) fn verify_command(&self) -> (bool, String) {
        run_command(self.server.store(), &["audit", "verify", "--tenant", &self.tenant.to_string()])
    }

    /// Whether verification detects a missing event: the next event does not match, or is missing, too.
    pub(super) fn detects_missing(&self, position: u64, is_missing: bool) -> bool {
        let next = self.positions.iter().find(|next| **next > position).unwrap_or(&position);
        // On PostgreSQL, events written together share one link, which is identified by its first event.
        let least = position - u64::from(is_on_postgres());
        !is_missing || self.first_broken_position(self.tenant).is_some_and(|broken| (least..=*next).contains(&broken))
    }

    pub(super) fn assert_intact(&self) {
        self.tamper("SELECT 1");
        let (is_well, said) = self.verify_command();
        assert!(is_well && said.contains("complete"), "{said}");
        assert_eq!((self.first_broken_position(self.tenant), self.first_broken_position(self.other)), (None, None));
    }
}

/// The tables that contain events.
fn history_tables() -> &'static [&'static str] {
    if is_on_postgres() { &["events", "batches", "links", "chains"] } else { &["events", "chains"] }
}
