//! Simulated clients: requests with unique markers, random commands, and polling for modified users.

use super::SimulatedClock;
use super::imports::{self, Import};
use super::replay::ReplayedState;
use bytes::Bytes;
use directory::{
    Action, AttributeValue, Caller, Command, CompareOp, Comparison, DirectoryError, EntitySnapshot, Event, EventNote,
    Field, FieldUpdate, Filter, GroupEdit, ItemId, ItemKey, Labels, MemberEdit, Time, UserEdit, UserId, UserKey,
    UserPredicate, UserQuery,
};
use http::Request;
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use serde_json::{Value, json};
use server::App;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use testkit::generators::{Rng, random_command};

/// Steps of each client over all server restarts.
const STEPS: u32 = 25;
/// Ids that random commands name.
const IDS: u64 = 40;

/// The outcome of a change, as its client knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteOutcome {
    Acknowledged,
    Rejected,
    InDoubt,
}

/// A requested change.
#[derive(Clone, Debug)]
pub(super) struct SentChange {
    /// A value that only this change writes.
    pub(super) marker: String,
    action: Action,
    outcome: WriteOutcome,
}

struct State {
    rng: Rng,
    step: u32,
    sent: Vec<SentChange>,
    imports: Vec<Import>,
    /// The modification time of each user as seen by polling, and the newest of these. A sign-in is not a modification.
    polled: BTreeMap<UserId, Time>,
    newest: Time,
}

/// The state that all clients share.
pub(super) struct Shared {
    pub(super) caller: Caller,
    pub(super) key: String,
    pub(super) groups: Vec<ItemId>,
    /// Users whose create was acknowledged.
    pub(super) users: Mutex<Vec<UserId>>,
    /// Whether a month passes during each downtime.
    pub(super) time_jumps: bool,
    pub(super) crashes: AtomicU64,
}

/// A client, which survives crashes of the server.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) number: u64,
    shared: Arc<Shared>,
    state: Arc<Mutex<State>>,
}

impl Client {
    pub(super) fn new(number: u64, shared: &Arc<Shared>, seed: u64) -> Self {
        let rng = Rng::new(seed.wrapping_mul(31).wrapping_add(number));
        let state =
            State { rng, step: 0, sent: Vec::new(), imports: Vec::new(), polled: BTreeMap::new(), newest: Time(0) };
        Self { number, shared: Arc::clone(shared), state: Arc::new(Mutex::new(state)) }
    }

    pub(super) fn sent(&self) -> Vec<SentChange> {
        self.state.lock().sent.clone()
    }

    pub(super) fn crashes(&self) -> u64 {
        self.shared.crashes.load(Ordering::Relaxed)
    }

    pub(super) fn imports(&self) -> Vec<Import> {
        self.state.lock().imports.clone()
    }

    /// Records an accepted import.
    pub(super) fn record_import(&self, import: Import) {
        self.state.lock().imports.push(import);
    }

    /// Records the result of an import.
    pub(super) fn record_import_end(&self, place: usize, state: Option<Value>) {
        self.state.lock().imports[place].ended = state;
    }

    pub(super) fn random(&self, sides: u64) -> u64 {
        self.state.lock().rng.below(sides)
    }

    /// Continues until all steps are sent.
    pub(super) async fn run(self, app: Arc<App>, clock: Arc<SimulatedClock>) -> Result<(), String> {
        loop {
            let step = {
                let mut state = self.state.lock();
                state.step += 1;
                state.step
            };
            if step > STEPS {
                break;
            }
            let micros = i64::try_from(self.random(2_000_000)).unwrap_or_default();
            clock.0.fetch_add(micros, Ordering::Relaxed);
            let patience = if self.random(10) == 0 { self.random(80) } else { 600_000 };
            let asked = async {
                match self.random(14) {
                    0..=2 => self.create(&app, step).await,
                    3 | 4 => self.rename(&app, step).await,
                    5 => drop(self.poll(&app).await),
                    6..=8 => {
                        let command = random_command(&mut self.state.lock().rng, IDS);
                        drop(app.directory.run(&self.shared.caller, command).await);
                    }
                    9 if step % 3 == 0 => imports::send_import(&self, &app, step).await,
                    _ => {
                        let Some(command) = self.shared_user_command() else { return };
                        drop(app.directory.run(&self.shared.caller, command).await);
                    }
                }
            };
            // Some clients disconnect early.
            drop(tokio::time::timeout(Duration::from_millis(patience), asked).await);
        }
        imports::wait_for_imports(&self, &app).await?;
        // Poll until the store answers, to see the last modifications.
        while !self.poll(&app).await {}
        Ok(())
    }

    pub(super) fn shared_user(&self) -> Option<UserId> {
        let users = self.shared.users.lock();
        let mut state = self.state.lock();
        (!users.is_empty()).then(|| *state.rng.choose(&users))
    }

    /// A random command on the few users and groups that all clients share.
    fn shared_user_command(&self) -> Option<Command> {
        let user = UserKey::Id(self.shared_user()?);
        let mut state = self.state.lock();
        let group = *state.rng.choose(&self.shared.groups);
        Some(match state.rng.below(8) {
            0..=3 => {
                let (join, leave) = if state.rng.below(2) == 0 { (vec![user], vec![]) } else { (vec![], vec![user]) };
                let members = Some(MemberEdit::Change { add: join, remove: leave });
                let edit = GroupEdit { members, ..GroupEdit::default() };
                Command::UpdateGroup { group: ItemKey::Id(group), edit }
            }
            4 | 5 => {
                let groups = FieldUpdate::Set(vec![ItemKey::Id(group)]);
                Command::UpdateUser { user, edit: Box::new(UserEdit { groups, ..UserEdit::default() }) }
            }
            6 => Command::DeleteUser(user),
            _ => Command::RestoreUser(user),
        })
    }

    async fn send_json(&self, app: &App, method: &str, target: &str, body: &Value) -> (u16, Value) {
        self.send(app, (method, target), ("application/json", body.to_string())).await
    }

    pub(super) async fn send(
        &self,
        app: &App,
        (method, target): (&str, &str),
        (media, body): (&str, String),
    ) -> (u16, Value) {
        let mut target = target.to_owned();
        let mut request = Request::builder().method(method).header("host", "example.com");
        request = request.header("content-type", media);
        if target.starts_with("/api/v2") {
            target = format!(
                "{target}?format=json&CompanyId={}&IntegrationKey={}",
                self.shared.caller.tenant, self.shared.key
            );
        } else {
            request = request.header("authorization", format!("Bearer {}", self.shared.key));
        }
        let request = request.uri(target).body(Full::new(Bytes::from(body))).expect("a request");
        let address: std::net::IpAddr = "127.0.0.1".parse().expect("an address");
        let answer = app.service.handle(request, address.into()).await;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.map(http_body_util::Collected::to_bytes);
        (status, body.ok().and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default())
    }

    /// Records a change before the request; returns the index for its outcome.
    pub(super) fn record_change(&self, mark: String, action: Action) -> usize {
        let mut state = self.state.lock();
        state.sent.push(SentChange { marker: mark, action, outcome: WriteOutcome::InDoubt });
        state.sent.len() - 1
    }

    fn record_outcome(&self, place: usize, status: u16) {
        self.state.lock().sent[place].outcome = match status {
            200..300 => WriteOutcome::Acknowledged,
            400..500 => WriteOutcome::Rejected,
            _ => WriteOutcome::InDoubt,
        };
    }

    async fn create(&self, app: &App, step: u32) {
        let mark = format!("c{}s{step}", self.number);
        let email = format!("{mark}@simulation.example");
        let place = self.record_change(mark.clone(), Action::Created);
        let (target, body) = match self.random(4) {
            0 => ("/scim/v2/Users", json!({"userName": email, "emails": [{"value": email, "type": "work"}]})),
            1 => ("/request/user", json!({"firstName": "Ann", "email": email, "roleId": 2})),
            2 => ("/api/2/users", json!({"user": {"name": {"firstname": "Ann"}, "email": email}})),
            _ => ("/api/v2/user", json!({"FirstName": "Ann", "LastName": "Lee", "Email": email})),
        };
        let (status, _) = self.send_json(app, "POST", target, &body).await;
        self.record_outcome(place, status);
        if !(200..300).contains(&status) {
            return;
        }
        // A write is readable at once over any dialect, unless another client has deleted the user meanwhile.
        let filter = format!("/scim/v2/Users?filter=emails.value%20eq%20%22{email}%22");
        let (status, found) = self.send_json(app, "GET", &filter, &Value::Null).await;
        let id = found["Resources"][0]["id"].as_str().and_then(|id| id.parse().ok());
        if let (200, Some(id)) = (status, id) {
            self.shared.users.lock().push(UserId(id));
        }
    }

    async fn rename(&self, app: &App, step: u32) {
        let Some(id) = self.shared_user() else { return };
        let mark = format!("c{}s{step}", self.number);
        let place = self.record_change(mark.clone(), Action::Updated);
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "path": "displayName", "value": mark}],
        });
        let (status, _) = self.send_json(app, "PATCH", &format!("/scim/v2/Users/{id}"), &body).await;
        self.record_outcome(place, status);
    }

    /// Reads users modified since the newest seen time; returns whether the store has answered.
    async fn poll(&self, app: &App) -> bool {
        let newest = self.state.lock().newest;
        let test =
            Comparison::new(Field::Updated, None, CompareOp::GreaterOrEqual, AttributeValue::Time(newest), false);
        let tests = vec![UserPredicate::Filter(Arc::new(Filter::Comparison(test)), Arc::new(Labels::default()))];
        let query = UserQuery { predicates: tests, limit: 10_000, ..UserQuery::default() };
        match app.directory.find_users(&self.shared.caller, query).await {
            Ok(page) => {
                let mut state = self.state.lock();
                for user in page.rows {
                    state.newest = state.newest.max(user.updated);
                    state.polled.insert(user.id, user.updated);
                }
                true
            }
            Err(DirectoryError::Unavailable(_)) => false,
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// Checks that acknowledged changes are in the history once, rejected ones are not, and others at most once.
pub(super) fn check(events: &[Event], clients: &[Client]) -> Result<(), String> {
    let mut found: BTreeMap<(&str, bool), u32> = BTreeMap::new();
    for event in events {
        let what = &event.data;
        let Some(EntitySnapshot::User(after)) = &what.after else { continue };
        if what.action == Action::Created && !what.notes.contains(&EventNote::Restored) {
            let mark = after.email().and_then(|email| email.strip_suffix("@simulation.example"));
            *found.entry((mark.unwrap_or_default(), true)).or_default() += 1;
        }
        if let Some(EntitySnapshot::User(before)) = &what.before
            && before.profile.display_name != after.profile.display_name
        {
            *found.entry((after.profile.display_name.as_deref().unwrap_or_default(), false)).or_default() += 1;
        }
    }
    for client in clients {
        let sent = client.sent();
        check_sent(&sent, &found)?;
        for import in client.imports() {
            import.check(&sent, &found, (client.shared.time_jumps, client.crashes()))?;
        }
    }
    Ok(())
}

fn check_sent(sent: &[SentChange], found: &BTreeMap<(&str, bool), u32>) -> Result<(), String> {
    for SentChange { marker: mark, action, outcome } in sent {
        let times = found.get(&(mark.as_str(), *action == Action::Created)).copied().unwrap_or_default();
        let is_right = match outcome {
            WriteOutcome::Acknowledged => times == 1,
            WriteOutcome::Rejected => times == 0,
            WriteOutcome::InDoubt => times <= 1,
        };
        if !is_right {
            return Err(format!("{mark}: {action:?} was {outcome:?} and occurs {times} times in the history"));
        }
    }
    Ok(())
}

/// Checks that polling clients have seen every modified user, in the version with the newest modification time.
pub(super) fn check_pollers(clients: &[Client], replayed: &ReplayedState) -> Result<(), String> {
    for client in clients {
        let state = client.state.lock();
        // Ignore changes after the last poll.
        for user in replayed.users.values().filter(|user| user.updated < state.newest) {
            if !state.polled.contains_key(&user.id) {
                return Err(format!("client {} has missed user {}", client.number, user.number));
            }
            if state.polled[&user.id] != user.updated {
                return Err(format!("client {} has missed a change of user {}", client.number, user.number));
            }
        }
    }
    Ok(())
}
