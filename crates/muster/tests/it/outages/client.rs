//! A client of one process in every dialect, which classifies responses.

pub(super) mod changes;

use super::nodes::Credentials;
use crate::support::{HttpResponse, try_send};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Publisher,
    Ccs,
    OnfireV1,
    OnfireV2,
    Scim,
}

impl Dialect {
    pub(super) const ALL: [Self; 5] = [Self::Publisher, Self::Ccs, Self::OnfireV2, Self::Scim, Self::OnfireV1];
    /// Dialects with external ids.
    pub(super) const WITH_EXTERNAL_ID: [Self; 4] = [Self::Publisher, Self::OnfireV2, Self::Scim, Self::OnfireV1];

    pub(super) fn is_onfire(self) -> bool {
        matches!(self, Self::OnfireV1 | Self::OnfireV2)
    }

    /// The path for creating users.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Publisher => "/api/2/users",
            Self::Ccs => "/request/user",
            Self::OnfireV1 => "/api/v1/suser",
            Self::OnfireV2 => "/api/v2/user",
            Self::Scim => "/scim/v2/Users",
        }
    }

    /// The member that contains the user in a response.
    fn root(self) -> &'static str {
        match self {
            Self::Publisher => "user",
            Self::OnfireV1 => "SUser",
            Self::OnfireV2 => "User",
            Self::Ccs | Self::Scim => "",
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct TestUser {
    pub(super) email: String,
    pub(super) external_id: String,
    pub(super) first_name: String,
}

/// A user as shown by a dialect.
#[derive(Clone, Debug)]
pub(super) struct UserView {
    /// The user's identifier in this dialect.
    pub(super) key: String,
    pub(super) email: String,
    pub(super) first: String,
    /// `None` if the dialect does not show it.
    pub(super) external: Option<String>,
    /// The user's groups, by the dialect's identifiers.
    pub(super) groups: Vec<String>,
}

pub(super) type ClientResult<T> = Result<T, Failure>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// A conflict for a create, not found for other requests.
    Rejected,
    /// 503.
    Unavailable,
    /// No complete response: the change may have been made.
    InDoubt,
}

/// A client of one process, with a key.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) address: String,
    pub(super) credentials: Credentials,
}

impl Client {
    /// Sends a JSON request with the dialect's form of credentials. `None` without a complete response.
    pub(super) fn send_request(
        &self,
        api: Dialect,
        method: &str,
        target: &str,
        body: Option<&Value>,
    ) -> Option<HttpResponse> {
        let bearer = format!("Bearer {}", self.credentials.key);
        let mut target = target.to_owned();
        let mut headers = vec![("Content-Type", "application/json")];
        if api.is_onfire() {
            let join = if target.contains('?') { '&' } else { '?' };
            let (tenant, key) = (self.credentials.tenant, &self.credentials.key);
            target.push_str(&format!("{join}format=json&CompanyId={tenant}&IntegrationKey={key}"));
        } else {
            headers.push(("Authorization", &bearer));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let reply = try_send(&self.address, method, &target, &headers, body.as_bytes())?;
        // A killed process may have sent only a part.
        let length = reply.header("Content-Length").map_or(0, |text| text.parse().expect("a number"));
        (reply.body.len() >= length).then_some(reply)
    }

    /// Sends a request and classifies the response; panics on unexpected responses.
    fn send_and_classify(
        &self,
        api: Dialect,
        method: &str,
        target: &str,
        body: Option<&Value>,
        is_no: impl Fn(u16, &Value) -> bool,
    ) -> ClientResult<Value> {
        let Some(reply) = self.send_request(api, method, target, body) else {
            return Err(Failure::InDoubt);
        };
        let said = serde_json::from_str(&reply.body).unwrap_or_default();
        match reply.status {
            200..300 => Ok(said),
            status if is_no(status, &said) => Err(Failure::Rejected),
            503 | 409 => Err(Failure::Unavailable),
            status => panic!("{method} {target} {body:?}\n{status} {}", reply.body),
        }
    }

    pub(super) fn create(&self, api: Dialect, person: &TestUser) -> ClientResult<()> {
        let TestUser { email, external_id: external, first_name: first } = person;
        let body = match api {
            Dialect::Publisher => {
                json!({"user": {"name": {"firstname": first}, "email": email, "externalid": external}})
            }
            Dialect::Ccs => json!({"firstName": first, "email": email, "roleId": 2}),
            Dialect::OnfireV1 | Dialect::OnfireV2 => {
                json!({"Email": email, "FirstName": first, "LastName": "L", "ExternalId": external})
            }
            Dialect::Scim => json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": email, "active": true,
                "externalId": external, "name": {"givenName": first},
                "emails": [{"value": email, "type": "work", "primary": true}],
            }),
        };
        let is_taken = |status: u16, said: &Value| match api {
            Dialect::Publisher => [103, 105].contains(&said["error"]["ref"].as_u64().unwrap_or_default()),
            Dialect::Ccs => {
                status == 400 && said["message"].as_str().is_some_and(|text| text.contains("already exists"))
            }
            Dialect::OnfireV1 | Dialect::OnfireV2 => said["ResponseStatus"]["ErrorCode"] == "AlreadyExists",
            Dialect::Scim => said["scimType"] == "uniqueness",
        };
        self.send_and_classify(api, "POST", api.path(), Some(&body), is_taken).map(drop)
    }

    /// Reads a user, by email if the dialect supports it.
    pub(super) fn read(&self, api: Dialect, email: &str) -> ClientResult<UserView> {
        let path = api.path();
        let target = match api {
            Dialect::Publisher => format!("{path}/{email}"),
            // ccs reads by number only; publisher returns the number.
            Dialect::Ccs => format!("{path}/{}", self.read(Dialect::Publisher, email)?.key),
            Dialect::OnfireV1 | Dialect::OnfireV2 => format!("{path}?Email={email}"),
            Dialect::Scim => format!("{path}?filter=emails.value%20eq%20%22{email}%22"),
        };
        let is_absent = |status: u16, said: &Value| match api {
            Dialect::Publisher | Dialect::Ccs | Dialect::Scim => status == 404,
            Dialect::OnfireV1 | Dialect::OnfireV2 => said["ResponseStatus"]["ErrorCode"] == "NotFound",
        };
        let said = self.send_and_classify(api, "GET", &target, None, is_absent)?;
        if api != Dialect::Scim {
            return Ok(parse_user(api, &said));
        }
        match said["Resources"].as_array().map(Vec::as_slice) {
            None | Some([]) => Err(Failure::Rejected),
            Some([one]) => Ok(parse_user(api, one)),
            Some(several) => panic!("{email} exists more than once: {several:?}"),
        }
    }

    /// The number of users with an email, by search.
    pub(super) fn count(&self, email: &str) -> u64 {
        let target = format!("/api/v2/user/search?Email={email}");
        let answer = self.send_and_classify(Dialect::OnfireV2, "GET", &target, None, |_, _| false);
        let Ok(said) = answer else { panic!("the search failed: {answer:?}") };
        said["TotalRows"].as_u64().expect("a number")
    }

    /// The number of users.
    pub(super) fn total(&self) -> u64 {
        let answer = self.send_and_classify(Dialect::Publisher, "GET", "/api/2/users?limit=0", None, |_, _| false);
        let Ok(said) = answer else { panic!("the list failed: {answer:?}") };
        said["users"]["totalcount"].as_u64().expect("a number")
    }
}

fn parse_user(api: Dialect, said: &Value) -> UserView {
    let root = api.root();
    let person = if root.is_empty() { said } else { &said[root] };
    let text = |value: &Value| match value {
        Value::Number(number) => number.to_string(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    let external = |name: &str| Some(text(&person[name])).filter(|id| !id.is_empty());
    let list = |name: &str| person[name].as_array().cloned().unwrap_or_default();
    let (key, email, first, external, groups) = match api {
        Dialect::Publisher => ("id", "email", &person["name"]["firstname"], external("externalid"), Vec::new()),
        Dialect::Ccs => ("id", "email", &person["firstName"], None, Vec::new()),
        Dialect::OnfireV1 | Dialect::OnfireV2 => {
            let groups = list("Groups").iter().map(text).collect();
            ("Id", "Email", &person["FirstName"], external("ExternalId"), groups)
        }
        Dialect::Scim => {
            let groups = list("groups").iter().map(|group| text(&group["value"]).replace('-', "")).collect();
            ("id", "userName", &person["name"]["givenName"], external("externalId"), groups)
        }
    };
    UserView { key: text(&person[key]), email: text(&person[email]), first: text(first), external, groups }
}
