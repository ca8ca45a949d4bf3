//! An application with users, and clients of every dialect.

use super::Dialect;
use super::user_generator::GeneratedUser;
use crate::support::{TestApp, build_request};
use directory::{Caller, Command, FieldUpdate, FolderEdit, GroupEdit, ItemId, User, UserKey};
use serde_json::{Value, json};

/// An application with a tenant, a key, a group and a folder.
pub(super) struct Fixture {
    pub(super) app: TestApp,
    pub(super) caller: Caller,
    key: String,
    pub(super) group: ItemId,
    pub(super) folder: ItemId,
}

impl Fixture {
    pub(super) async fn new() -> Self {
        let test_app = TestApp::new();
        let caller = test_app.create_tenant("T").await;
        let key = test_app.create_key(&caller, "c", |_| {}).await;
        let name = || FieldUpdate::Set("Staff".to_owned());
        let group = Command::CreateGroup(GroupEdit { name: name(), ..GroupEdit::default() });
        let folder = Command::CreateFolder(FolderEdit { name: name(), ..FolderEdit::default() });
        let group = test_app.directory().run(&caller, group).await.expect("added").items[0].id();
        let folder = test_app.directory().run(&caller, folder).await.expect("added").items[0].id();
        Self { app: test_app, caller, key, group, folder }
    }

    pub(super) async fn stored_user(&self, number: u32) -> User {
        self.app.directory().user(&self.caller, UserKey::Number(number)).await.expect("found")
    }

    /// Sends a JSON request with the dialect's form of credentials.
    async fn send_request(&self, api: Dialect, method: &str, target: &str, body: Option<Value>) -> Value {
        let bearer = format!("Bearer {}", self.key);
        let mut target = target.to_owned();
        let mut headers = vec![("content-type", "application/json")];
        if matches!(api, Dialect::OnfireV1 | Dialect::OnfireV2) {
            let join = if target.contains('?') { '&' } else { '?' };
            target.push_str(&format!("{join}format=json&CompanyId={}&IntegrationKey={}", self.caller.tenant, self.key));
        } else {
            headers.push(("authorization", &bearer));
        }
        let body = body.map_or_else(String::new, |body| body.to_string());
        let (status, answer) = self.app.send_request(build_request(method, &target, &headers, &body)).await;
        let done = if api == Dialect::Scim && method == "POST" { 201 } else { 200 };
        assert_eq!(status, done, "{method} {target} {body}\n{answer}");
        serde_json::from_str(&answer).expect("JSON")
    }

    fn path(api: Dialect, user: Option<&User>) -> String {
        match (api, user) {
            (Dialect::OnfireV2, None) => "/api/v2/user".into(),
            (Dialect::OnfireV2, Some(user)) => format!("/api/v2/user?Id={}", user.id.0.simple()),
            (Dialect::OnfireV1, None) => "/api/v1/suser".into(),
            (Dialect::OnfireV1, Some(user)) => format!("/api/v1/suser?Id={}", user.id.0.simple()),
            (Dialect::Ccs, None) => "/request/user".into(),
            (Dialect::Ccs, Some(user)) => format!("/request/user/{}", user.number),
            (Dialect::Scim, None) => "/scim/v2/Users".into(),
            (Dialect::Scim, Some(user)) => format!("/scim/v2/Users/{}", user.id),
            (Dialect::Publisher, None) => "/api/2/users".into(),
            (Dialect::Publisher, Some(user)) => format!("/api/2/users/{}", user.number),
        }
    }

    pub(super) async fn read(&self, api: Dialect, user: &User) -> Value {
        let answer = self.send_request(api, "GET", &Self::path(api, Some(user)), None).await;
        match api {
            Dialect::OnfireV2 => answer["User"].clone(),
            Dialect::OnfireV1 => answer["SUser"].clone(),
            Dialect::Ccs | Dialect::Scim => answer,
            Dialect::Publisher => answer["user"].clone(),
        }
    }

    /// Creates the user over a dialect; returns the stored user.
    pub(super) async fn create(&self, api: Dialect, person: &GeneratedUser, email: &str) -> User {
        let body = self.request_body(api, person, email);
        let answer = self.send_request(api, "POST", &Self::path(api, None), Some(body)).await;
        let key = match api {
            Dialect::OnfireV2 | Dialect::OnfireV1 | Dialect::Scim => UserKey::Email(email.to_owned()),
            Dialect::Ccs => UserKey::Number(u32::try_from(answer["id"].as_u64().expect("a number")).expect("small")),
            Dialect::Publisher => {
                UserKey::Number(u32::try_from(answer["user"]["id"].as_u64().expect("a number")).expect("small"))
            }
        };
        self.app.directory().user(&self.caller, key).await.expect("made")
    }

    pub(super) async fn assert_view(&self, api: Dialect, user: &User) {
        let (read, wanted) = (self.read(api, user).await, self.expected_view(api, user).await);
        for (name, value) in wanted.as_object().expect("an object") {
            assert_eq!(read.get(name).unwrap_or(&Value::Null), value, "{api:?} {name} in {read}");
        }
    }

    /// Changes the first name as clients do: read, change, send back.
    pub(super) async fn rename(&self, api: Dialect, user: &User, name: &str) {
        let mut body = self.read(api, user).await;
        match api {
            Dialect::OnfireV2 | Dialect::OnfireV1 => body["FirstName"] = json!(name),
            Dialect::Ccs => {
                body["firstName"] = json!(name);
                if body["roleId"].is_null() {
                    body["roleId"] = json!(1);
                }
            }
            Dialect::Scim => body["name"]["givenName"] = json!(name),
            Dialect::Publisher => body = json!({"user": {"name": {}, "x": 0}}).with_first_name(&body, name),
        }
        let path = match api {
            Dialect::OnfireV2 | Dialect::OnfireV1 => Self::path(api, None),
            _ => Self::path(api, Some(user)),
        };
        self.send_request(api, "PUT", &path, Some(body)).await;
    }
}
/// The publisher's PUT requires the complete object under its root.
trait WithFirstName {
    fn with_first_name(self, read: &Value, name: &str) -> Value;
}
impl WithFirstName for Value {
    fn with_first_name(mut self, read: &Value, name: &str) -> Value {
        self["user"] = read.clone();
        self["user"]["name"]["firstname"] = json!(name);
        self
    }
}
