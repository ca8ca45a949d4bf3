//! The state that all threads share: server addresses, sent changes, observations, and violations.

use super::change_poller::PolledChanges;
use super::dialect::{ClientResult, Dialect, Failure, Group};
use super::http::{Request, send_request};
use super::model::TrackedUser;
use super::print;
use super::readiness::{Probe, Write, WriteOutcome};
use crate::support::HttpResponse;
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// After the store's file is replaced, reads may still be answered from the open file for this time. Changes must not
/// be acknowledged.
const REPLACEMENT_GRACE: Duration = Duration::from_secs(1);
/// The client's response timeout.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// This long after its request and the last fault, a change in doubt is either committed or never will be.
pub(super) const SETTLE_TIME: Duration = Duration::from_secs(3);

/// A tenant and a key for it.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) tenant: u64,
    pub(super) key: String,
}

#[derive(Default)]
pub(super) struct Server {
    /// `None` while the server is not running.
    pub(super) address: RwLock<Option<String>>,
    pub(super) admin: RwLock<Option<String>>,
    /// The time at which the store's file was replaced.
    pub(super) replaced_since: Mutex<Option<Instant>>,
}

/// A user that is created once and never changed, by the steady writer or an import.
#[derive(Clone, Debug)]
pub(super) struct CreateOnlyUser {
    pub(super) first: String,
    /// `None`: in doubt.
    pub(super) exists: Option<bool>,
}

/// An injected fault.
#[derive(Clone, Debug)]
pub(super) struct FaultPeriod {
    pub(super) kind: &'static str,
    pub(super) started_at: Instant,
    /// `None` while it lasts.
    pub(super) ended_at: Option<Instant>,
}

pub(super) struct SharedState {
    pub(super) started_at: Instant,
    access: Credentials,
    pub(super) servers: Vec<Server>,
    pub(super) groups: OnceLock<Vec<Group>>,
    pub(super) models: Vec<Mutex<Vec<TrackedUser>>>,
    pub(super) create_only_users: Mutex<BTreeMap<String, CreateOnlyUser>>,
    pub(super) faults: Mutex<Vec<FaultPeriod>>,
    pub(super) probes: Mutex<Vec<Probe>>,
    pub(super) writes: Mutex<Vec<Write>>,
    /// Start and end of the steady writer's pauses.
    pub(super) pauses: Mutex<Vec<(Instant, Option<Instant>)>>,
    pub(super) polled_changes: PolledChanges,
    pub(super) pending_steady_writes: AtomicUsize,
    pub(super) is_over: AtomicBool,
    pub(super) counters: Mutex<BTreeMap<String, u64>>,
    /// Requests served after the store's file was replaced.
    served_after_replacement: Mutex<Vec<String>>,
    violations: Mutex<Vec<String>>,
}

impl SharedState {
    pub(super) fn new(access: Credentials, servers: usize, clients: usize) -> Self {
        Self {
            started_at: Instant::now(),
            access,
            servers: (0..servers).map(|_| Server::default()).collect(),
            groups: OnceLock::new(),
            models: (0..clients).map(|_| Mutex::default()).collect(),
            create_only_users: Mutex::default(),
            faults: Mutex::default(),
            probes: Mutex::default(),
            writes: Mutex::default(),
            pauses: Mutex::default(),
            polled_changes: PolledChanges::default(),
            pending_steady_writes: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            counters: Mutex::default(),
            served_after_replacement: Mutex::default(),
            violations: Mutex::default(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    pub(super) fn count(&self, what: &str) {
        *self.counters.lock().entry(what.to_owned()).or_default() += 1;
    }

    /// Reports a violation. The test continues, to show all violations in one run, and fails at its end.
    pub(super) fn violation(&self, text: &str) {
        let text = format!("[{:.2}s] {text}", self.started_at.elapsed().as_secs_f32());
        let mut violations = self.violations.lock();
        // Limit the output if much data is lost.
        if violations.len() < 200 {
            print(&format!("VIOLATION {text}"));
            violations.push(text);
        }
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.violations.lock().clone()
    }

    /// Records the start of a fault.
    pub(super) fn begin_fault(&self, kind: &'static str) {
        self.begin_fault_at(kind, Instant::now());
    }

    /// Records the start of a fault at an earlier time.
    pub(super) fn begin_fault_at(&self, kind: &'static str, begun: Instant) {
        print(&format!("[{:.2}s] {kind}", self.started_at.elapsed().as_secs_f32()));
        self.count(&format!("fault: {kind}"));
        self.faults.lock().push(FaultPeriod { kind, started_at: begun, ended_at: None });
    }

    /// Records the end of the fault; the servers may need a moment to notice.
    pub(super) fn end_fault(&self) {
        if let Some(fault) = self.faults.lock().last_mut() {
            fault.ended_at = Some(Instant::now());
        }
    }

    /// Whether a change in doubt whose request ended at `ended` can no longer be committed.
    pub(super) fn has_settled(&self, ended: Instant) -> bool {
        let faults = self.faults.lock();
        let last = faults.last().map(|fault| fault.ended_at);
        let since = match last {
            Some(None) => return false,
            Some(Some(fault)) => fault.max(ended),
            None => ended,
        };
        since.elapsed() >= SETTLE_TIME
    }

    /// A running server: the one with this number, or the next.
    pub(super) fn endpoint(&self, number: u64, client: usize) -> Option<Endpoint<'_>> {
        let count = self.servers.len();
        let first = usize::try_from(number % count as u64).ok()?;
        (first..first + count).find_map(|server| self.endpoint_of(server % count, client))
    }

    /// One server, if it is running.
    pub(super) fn endpoint_of(&self, server: usize, client: usize) -> Option<Endpoint<'_>> {
        let address = self.servers[server].address.read().clone()?;
        let group = self.groups.get().map(|groups| groups[client % groups.len()].id.clone());
        Some(Endpoint { shared: self, server, address, group: group.unwrap_or_default() })
    }

    pub(super) fn group_of(&self, client: usize) -> &Group {
        let groups = self.groups.get().expect("created at the start");
        &groups[client % groups.len()]
    }

    /// Reports all requests served from a replaced file as one violation.
    pub(super) fn report_served_after_replacement(&self) {
        let served = std::mem::take(&mut *self.served_after_replacement.lock());
        if let (Some(first), Some(last)) = (served.first(), served.last()) {
            self.violation(&format!(
                "{} requests were not answered with 503 after the store's file was replaced: {first}; …; {last}",
                served.len(),
            ));
        }
    }

    /// Whether the server's store file is not replaced.
    pub(super) fn is_intact(&self, server: usize) -> bool {
        self.servers[server].replaced_since.lock().is_none()
    }
}

/// One server, for one client.
pub(super) struct Endpoint<'a> {
    pub(super) shared: &'a SharedState,
    pub(super) server: usize,
    address: String,
    pub(super) group: String,
}

impl Endpoint<'_> {
    /// A request that changes something.
    pub(super) fn write(
        &self,
        dialect: Dialect,
        method: &str,
        target: &str,
        body: Option<&Value>,
    ) -> ClientResult<Value> {
        let begun = Instant::now();
        let reply = self.send_request(dialect, method, target, body);
        let outcome = match &reply {
            None => WriteOutcome::InDoubt,
            Some(reply) => match reply.status {
                200..300 => WriteOutcome::Acknowledged,
                503 => WriteOutcome::InDoubt,
                _ => WriteOutcome::Rejected,
            },
        };
        let write = Write { server: self.server, started_at: begun, ended_at: Instant::now(), outcome };
        self.shared.writes.lock().push(write);
        self.interpret(method, target, begun, reply)
    }

    /// A request that reads.
    pub(super) fn query(&self, dialect: Dialect, target: &str) -> ClientResult<Value> {
        let begun = Instant::now();
        let reply = self.send_request(dialect, "GET", target, None);
        self.interpret("GET", target, begun, reply)
    }

    fn send_request(&self, dialect: Dialect, method: &str, target: &str, body: Option<&Value>) -> Option<HttpResponse> {
        let bearer = format!("Bearer {}", self.shared.access.key);
        let mut headers = vec![("Content-Type", "application/json")];
        let mut full = target.to_owned();
        if dialect == Dialect::Onfire {
            let join = if target.contains('?') { '&' } else { '?' };
            let Credentials { tenant, key } = &self.shared.access;
            full.push_str(&format!("{join}format=json&CompanyId={tenant}&IntegrationKey={key}"));
        } else {
            headers.push(("Authorization", &bearer));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = Request { method, target: &full, headers: &headers, body: &body };
        send_request(&self.address, &request, REQUEST_TIMEOUT)
    }

    /// Interprets a response, which counts as in doubt while the server's file is replaced.
    fn interpret(
        &self,
        method: &str,
        target: &str,
        begun: Instant,
        reply: Option<HttpResponse>,
    ) -> ClientResult<Value> {
        let reply = reply.ok_or(Failure::InDoubt)?;
        let replaced = *self.shared.servers[self.server].replaced_since.lock();
        if let Some(since) = replaced.filter(|since| *since < begun) {
            self.shared.count("requests after the file was replaced");
            let after = begun.duration_since(since);
            let is_unnoticed = after < REPLACEMENT_GRACE && (method == "GET" || (400..500).contains(&reply.status));
            if reply.status != 503 && !is_unnoticed {
                self.shared
                    .served_after_replacement
                    .lock()
                    .push(format!("{method} {target} after {after:.3?}: {}", reply.status));
            }
            return Err(Failure::InDoubt);
        }
        match reply.status {
            200..300 => Ok(serde_json::from_str(&reply.body).unwrap_or_default()),
            503 => Err(Failure::InDoubt),
            status => Err(Failure::Rejected(status, reply.body)),
        }
    }
}
