//! One test for each row of `spec/scim.md` that depends on the store, written from the specification alone; the
//! others are in `no_engine::scim_spec`. This module has the shared client and assertions.

mod bulk;
mod edge_cases;
mod filters;
mod groups;
mod lenient_clients;
mod paging;

use crate::support::{TestApp, build_request, runtime};
use directory::{Caller, ClientProfile, NewConnection};
use http::HeaderMap;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) const CORE: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub(crate) const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub(crate) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
pub(crate) const MUSTER_EXTENSION: &str = "urn:muster:params:scim:schemas:extension:2.0:User";
pub(crate) const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
pub(crate) const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
pub(crate) const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
pub(crate) const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
pub(crate) const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// An id of no resource.
pub(crate) const UNKNOWN_ID: &str = "01890000-0000-7000-8000-000000000000";

/// A complete response.
#[derive(Debug)]
pub(crate) struct ScimResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl ScimResponse {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The body; null if it is empty.
    pub(crate) fn json(&self) -> Value {
        if self.text.is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

/// A client with a key to one tenant's directory.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) app: Arc<TestApp>,
    pub(crate) caller: Caller,
    pub(crate) bearer: String,
}

impl Client {
    /// A client of a new application.
    pub(crate) async fn new() -> Self {
        Self::on_app(TestApp::new()).await
    }

    /// A client of a new tenant.
    pub(crate) async fn on_app(test_app: TestApp) -> Self {
        let test_app = Arc::new(test_app);
        let caller = test_app.create_tenant("Alpha").await;
        let bearer = format!("Bearer {}", test_app.create_key(&caller, "first", |_| {}).await);
        Self { app: test_app, caller, bearer }
    }

    /// A client of another tenant of the same application.
    pub(crate) async fn of_other_tenant(&self) -> Self {
        let caller = self.app.create_tenant("Beta").await;
        let bearer = format!("Bearer {}", self.app.create_key(&caller, "theirs", |_| {}).await);
        Self { app: Arc::clone(&self.app), caller, bearer }
    }

    /// A client with another key to the same tenant.
    pub(crate) async fn with_new_key(&self, name: &str, change: impl FnOnce(&mut NewConnection)) -> Self {
        let bearer = format!("Bearer {}", self.app.create_key(&self.caller, name, change).await);
        Self { bearer, ..self.clone() }
    }

    pub(crate) async fn with_profile(&self, profile: ClientProfile) -> Self {
        self.with_new_key(&format!("{profile:?}"), |new| new.profile = profile).await
    }

    /// Sends a request; the target is relative to `/scim/v2`.
    pub(crate) async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> ScimResponse {
        let mut all = vec![("authorization", self.bearer.as_str())];
        if !headers.iter().any(|(name, _)| *name == "content-type") && !body.is_empty() {
            all.push(("content-type", "application/scim+json"));
        }
        all.extend_from_slice(headers);
        let answer = self.app.respond(build_request(method, &format!("/scim/v2{target}"), &all, body)).await;
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        ScimResponse { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    pub(crate) async fn send_json(&self, method: &str, target: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.send(method, target, &[], &body).await;
        (answer.status, answer.json())
    }

    pub(crate) async fn get(&self, target: &str) -> (u16, Value) {
        self.send_json("GET", target, &Value::Null).await
    }

    pub(crate) async fn post(&self, target: &str, body: &Value) -> (u16, Value) {
        self.send_json("POST", target, body).await
    }

    pub(crate) async fn put(&self, target: &str, body: &Value) -> (u16, Value) {
        self.send_json("PUT", target, body).await
    }

    pub(crate) async fn delete(&self, target: &str) -> (u16, Value) {
        self.send_json("DELETE", target, &Value::Null).await
    }

    pub(crate) async fn patch(&self, target: &str, operations: &Value) -> (u16, Value) {
        self.send_json("PATCH", target, &json!({"schemas": [PATCH], "Operations": operations})).await
    }

    /// A GET that must succeed; returns the body.
    pub(crate) async fn get_ok(&self, target: &str) -> Value {
        let (status, body) = self.get(target).await;
        assert_eq!(status, 200, "{target}: {body}");
        body
    }

    /// Creates a user with a work email; returns the path.
    pub(crate) async fn create_user(&self, name: &str) -> String {
        let body = json!({"schemas": [CORE], "userName": name,
            "emails": [{"type": "work", "value": name, "primary": true}]});
        self.create("/Users", &body).await
    }

    /// Creates a group with these members; returns the path.
    pub(crate) async fn create_group(&self, name: &str, people: &[&String]) -> String {
        let members: Vec<Value> = people.iter().map(|path| json!({"value": id_of(path)})).collect();
        self.create("/Groups", &json!({"schemas": [GROUP], "displayName": name, "members": members})).await
    }

    /// Creates a resource; returns the path.
    pub(crate) async fn create(&self, target: &str, body: &Value) -> String {
        let (status, answer) = self.post(target, body).await;
        assert_eq!(status, 201, "{body}: {answer}");
        format!("{target}/{}", answer["id"].as_str().expect("an id"))
    }

    /// Searches users.
    pub(crate) async fn search(&self, filter: &str) -> (u16, Value) {
        self.get(&format!("/Users?filter={}", percent_encode(filter))).await
    }

    /// The first letters of the found users' user names, sorted.
    pub(crate) async fn found_initials(&self, filter: &str) -> String {
        let (status, body) = self.search(filter).await;
        assert_eq!(status, 200, "{filter}: {body}");
        let mut letters: Vec<char> = user_names(&body).iter().filter_map(|name| name.chars().next()).collect();
        letters.sort_unstable();
        assert_eq!(body["totalResults"], letters.len(), "{filter}: {body}");
        letters.into_iter().collect::<String>().to_lowercase()
    }

    /// The number of events of the tenant: an equal number means that nothing changed.
    pub(crate) async fn event_count(&self) -> usize {
        self.app.event_count(self.caller.tenant).await
    }

    /// The ids of a group's members, sorted.
    pub(crate) async fn members(&self, group: &str) -> Vec<String> {
        let body = self.get_ok(group).await;
        let mut ids = entry_values(&body["members"]);
        ids.sort_unstable();
        ids
    }
}

/// Runs a test with a client of a new application.
pub(crate) fn run_test(test: impl AsyncFnOnce(Client)) {
    runtime().block_on(async { test(Client::new().await).await });
}

/// The id in a path.
pub(crate) fn id_of(path: &str) -> &str {
    path.rsplit('/').next().expect("an id")
}

/// The ids in these paths, sorted.
pub(crate) fn ids(paths: &[&String]) -> Vec<String> {
    let mut ids: Vec<String> = paths.iter().map(|path| id_of(path).to_owned()).collect();
    ids.sort_unstable();
    ids
}

/// The user names of a list, in its order.
pub(crate) fn user_names(list: &Value) -> Vec<String> {
    strings(&list["Resources"], "userName")
}

/// The values of a multi-valued attribute, in its order.
pub(crate) fn entry_values(plural: &Value) -> Vec<String> {
    strings(plural, "value")
}

fn strings(array: &Value, name: &str) -> Vec<String> {
    let Some(array) = array.as_array() else { return Vec::new() };
    array.iter().map(|each| each[name].as_str().expect("a text").to_owned()).collect()
}

/// The value of a user's email of a type.
pub(crate) fn email_of_type<'a>(user: &'a Value, kind: &str) -> &'a Value {
    value_of_type(&user["emails"], kind)
}

/// The value of the entry of a type in a multi-valued attribute; null if there is none.
pub(crate) fn value_of_type<'a>(plural: &'a Value, kind: &str) -> &'a Value {
    let found = plural.as_array().and_then(|all| all.iter().find(|each| each["type"] == kind));
    found.map_or(&Value::Null, |each| &each["value"])
}

/// Asserts that the response is a SCIM error with this status and type.
#[track_caller]
pub(crate) fn assert_error(answer: &(u16, Value), status: u16, kind: &str) {
    let (got, body) = answer;
    assert_eq!(*got, status, "{body}");
    assert_eq!(body["schemas"], json!([ERROR]), "{body}");
    assert_eq!(body["status"], status.to_string(), "a text: {body}");
    let wanted = if kind.is_empty() { Value::Null } else { json!(kind) };
    assert_eq!(body["scimType"], wanted, "{body}");
}

/// Asserts that the response is a list with this total.
#[track_caller]
pub(crate) fn assert_total(answer: &(u16, Value), total: usize) {
    assert_eq!(answer.0, 200, "{}", answer.1);
    assert_eq!(answer.1["schemas"], json!([LIST]), "{}", answer.1);
    assert_eq!(answer.1["totalResults"], total, "{}", answer.1);
}

/// Asserts that an object has only these members.
#[track_caller]
pub(crate) fn assert_members_among(object: &Value, allowed: &[&str]) {
    for name in object.as_object().expect("an object").keys() {
        assert!(allowed.contains(&name.as_str()), "{name} is not a standard member: {object}");
    }
}

/// Percent-encodes everything except unreserved characters.
pub(crate) fn percent_encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}
