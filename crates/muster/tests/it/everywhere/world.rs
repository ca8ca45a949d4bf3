//! A house with people in it, reached over every dialect as a client of it would.

use super::Tongue;
use super::person::Person;
use crate::support::{House, request};
use directory::{Caller, Command, FieldUpdate, FolderEdit, GroupEdit, ItemId, User, UserKey};
use serde_json::{Value, json};

/// A house with a tenant, a key, a group and a folder.
pub(super) struct World {
    pub(super) house: House,
    pub(super) caller: Caller,
    key: String,
    pub(super) group: ItemId,
    pub(super) folder: ItemId,
}

impl World {
    pub(super) async fn new() -> Self {
        let house = House::new();
        let caller = house.tenant("T").await;
        let key = house.key(&caller, "c", |_| {}).await;
        let name = || FieldUpdate::Set("Staff".to_owned());
        let group = Command::CreateGroup(GroupEdit { name: name(), ..GroupEdit::default() });
        let folder = Command::CreateFolder(FolderEdit { name: name(), ..FolderEdit::default() });
        let group = house.directory().run(&caller, group).await.expect("added").items[0].id();
        let folder = house.directory().run(&caller, folder).await.expect("added").items[0].id();
        Self { house, caller, key, group, folder }
    }

    pub(super) async fn truth(&self, number: u32) -> User {
        self.house.directory().user(&self.caller, UserKey::Number(number)).await.expect("there")
    }

    /// One request in a dialect's JSON; credentials as it carries them.
    async fn ask(&self, tongue: Tongue, method: &str, target: &str, body: Option<Value>) -> Value {
        let bearer = format!("Bearer {}", self.key);
        let mut target = target.to_owned();
        let mut headers = vec![("content-type", "application/json")];
        if matches!(tongue, Tongue::OnfireV1 | Tongue::OnfireV2) {
            let join = if target.contains('?') { '&' } else { '?' };
            target.push_str(&format!(
                "{join}format=json&CompanyId={}&IntegrationKey={}",
                self.caller.tenant, self.key
            ));
        } else {
            headers.push(("authorization", &bearer));
        }
        let body = body.map_or_else(String::new, |body| body.to_string());
        let (status, answer) = self.house.call(request(method, &target, &headers, &body)).await;
        let done = if tongue == Tongue::Scim && method == "POST" { 201 } else { 200 };
        assert_eq!(status, done, "{method} {target} {body}\n{answer}");
        serde_json::from_str(&answer).expect("JSON")
    }

    fn path(tongue: Tongue, user: Option<&User>) -> String {
        match (tongue, user) {
            (Tongue::OnfireV2, None) => "/api/v2/user".into(),
            (Tongue::OnfireV2, Some(user)) => format!("/api/v2/user?Id={}", user.id.0.simple()),
            (Tongue::OnfireV1, None) => "/api/v1/suser".into(),
            (Tongue::OnfireV1, Some(user)) => format!("/api/v1/suser?Id={}", user.id.0.simple()),
            (Tongue::Ccs, None) => "/request/user".into(),
            (Tongue::Ccs, Some(user)) => format!("/request/user/{}", user.number),
            (Tongue::Scim, None) => "/scim/v2/Users".into(),
            (Tongue::Scim, Some(user)) => format!("/scim/v2/Users/{}", user.id),
            (Tongue::Publisher, None) => "/api/2/users".into(),
            (Tongue::Publisher, Some(user)) => format!("/api/2/users/{}", user.number),
        }
    }

    pub(super) async fn read(&self, tongue: Tongue, user: &User) -> Value {
        let answer = self.ask(tongue, "GET", &Self::path(tongue, Some(user)), None).await;
        match tongue {
            Tongue::OnfireV2 => answer["User"].clone(),
            Tongue::OnfireV1 => answer["SUser"].clone(),
            Tongue::Ccs | Tongue::Scim => answer,
            Tongue::Publisher => answer["user"].clone(),
        }
    }

    /// Creates the person over a dialect; what it can say of it.
    pub(super) async fn create(&self, tongue: Tongue, person: &Person, email: &str) -> User {
        let body = self.body(tongue, person, email);
        let answer = self.ask(tongue, "POST", &Self::path(tongue, None), Some(body)).await;
        let key = match tongue {
            Tongue::OnfireV2 | Tongue::OnfireV1 | Tongue::Scim => UserKey::Email(email.to_owned()),
            Tongue::Ccs => {
                UserKey::Number(u32::try_from(answer["id"].as_u64().expect("a number")).expect("small"))
            }
            Tongue::Publisher => UserKey::Number(
                u32::try_from(answer["user"]["id"].as_u64().expect("a number")).expect("small"),
            ),
        };
        self.house.directory().user(&self.caller, key).await.expect("made")
    }

    pub(super) async fn check_shown(&self, tongue: Tongue, user: &User) {
        let (read, wanted) = (self.read(tongue, user).await, self.shown(tongue, user).await);
        for (name, value) in wanted.as_object().expect("an object") {
            assert_eq!(read.get(name).unwrap_or(&Value::Null), value, "{tongue:?} {name} in {read}");
        }
    }

    /// Changes the first name the way a client does: read, change, send back.
    pub(super) async fn rename(&self, tongue: Tongue, user: &User, name: &str) {
        let mut body = self.read(tongue, user).await;
        match tongue {
            Tongue::OnfireV2 | Tongue::OnfireV1 => body["FirstName"] = json!(name),
            Tongue::Ccs => {
                body["firstName"] = json!(name);
                if body["roleId"].is_null() {
                    body["roleId"] = json!(1);
                }
            }
            Tongue::Scim => body["name"]["givenName"] = json!(name),
            Tongue::Publisher => body = json!({"user": {"name": {}, "x": 0}}).merged(&body, name),
        }
        let path = match tongue {
            Tongue::OnfireV2 | Tongue::OnfireV1 => Self::path(tongue, None),
            _ => Self::path(tongue, Some(user)),
        };
        self.ask(tongue, "PUT", &path, Some(body)).await;
    }
}
/// The publisher's PUT takes the whole object under its root.
trait Merged {
    fn merged(self, read: &Value, name: &str) -> Value;
}
impl Merged for Value {
    fn merged(mut self, read: &Value, name: &str) -> Value {
        self["user"] = read.clone();
        self["user"]["name"]["firstname"] = json!(name);
        self
    }
}
