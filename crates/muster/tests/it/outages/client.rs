//! A client that speaks every dialect to one process, and knows a clear answer from none.

pub(super) mod change;

use super::fleet::Door;
use crate::support::{Reply, try_send};
use serde_json::{Value, json};

/// A way to reach people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tongue {
    Publisher,
    Ccs,
    OnfireV1,
    OnfireV2,
    Scim,
}

impl Tongue {
    pub(super) const ALL: [Self; 5] =
        [Self::Publisher, Self::Ccs, Self::OnfireV2, Self::Scim, Self::OnfireV1];
    /// Those that know external ids.
    pub(super) const EXTERNAL: [Self; 4] = [Self::Publisher, Self::OnfireV2, Self::Scim, Self::OnfireV1];

    pub(super) fn is_onfire(self) -> bool {
        matches!(self, Self::OnfireV1 | Self::OnfireV2)
    }

    /// Where people are made.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Publisher => "/api/2/users",
            Self::Ccs => "/request/user",
            Self::OnfireV1 => "/api/v1/suser",
            Self::OnfireV2 => "/api/v2/user",
            Self::Scim => "/scim/v2/Users",
        }
    }

    /// What holds the person in an answer.
    fn root(self) -> &'static str {
        match self {
            Self::Publisher => "user",
            Self::OnfireV1 => "SUser",
            Self::OnfireV2 => "User",
            Self::Ccs | Self::Scim => "",
        }
    }
}

/// A person as these tests know one.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) email: String,
    pub(super) external: String,
    pub(super) first: String,
}

/// A person as a dialect shows one.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// What this dialect calls them.
    pub(super) key: String,
    pub(super) email: String,
    pub(super) first: String,
    /// `None` where the dialect does not show it.
    pub(super) external: Option<String>,
    /// The groups they are in, as the dialect names these.
    pub(super) groups: Vec<String>,
}

/// What came of a request.
pub(super) type Answer<T> = Result<T, Not>;

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Not {
    /// A clear no: taken when creating, not there otherwise.
    Possible,
    /// A clear not now.
    Now,
    /// Nothing whole was answered: nobody knows what was done.
    Known,
}

/// One process, as a client with a key reaches it.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) address: String,
    pub(super) door: Door,
}

impl Client {
    /// One request in a dialect's JSON, with the key where the dialect carries it. `None` without a whole answer.
    pub(super) fn ask(
        &self,
        tongue: Tongue,
        method: &str,
        target: &str,
        body: Option<&Value>,
    ) -> Option<Reply> {
        let bearer = format!("Bearer {}", self.door.key);
        let mut target = target.to_owned();
        let mut headers = vec![("Content-Type", "application/json")];
        if tongue.is_onfire() {
            let join = if target.contains('?') { '&' } else { '?' };
            let (tenant, key) = (self.door.tenant, &self.door.key);
            target.push_str(&format!("{join}format=json&CompanyId={tenant}&IntegrationKey={key}"));
        } else {
            headers.push(("Authorization", &bearer));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let reply = try_send(&self.address, method, &target, &headers, body.as_bytes())?;
        // A process that was killed may have said only half of it.
        let length = reply.header("Content-Length").map_or(0, |text| text.parse().expect("a number"));
        (reply.body.len() >= length).then_some(reply)
    }

    /// The same, understood: what is neither done nor a clear refusal fails the test.
    fn answer(
        &self,
        tongue: Tongue,
        method: &str,
        target: &str,
        body: Option<&Value>,
        is_no: impl Fn(u16, &Value) -> bool,
    ) -> Answer<Value> {
        let Some(reply) = self.ask(tongue, method, target, body) else { return Err(Not::Known) };
        let said = serde_json::from_str(&reply.body).unwrap_or_default();
        match reply.status {
            200..300 => Ok(said),
            status if is_no(status, &said) => Err(Not::Possible),
            503 | 409 => Err(Not::Now),
            status => panic!("{method} {target} {body:?}\n{status} {}", reply.body),
        }
    }

    /// Adds a person.
    pub(super) fn create(&self, tongue: Tongue, person: &Person) -> Answer<()> {
        let Person { email, external, first } = person;
        let body = match tongue {
            Tongue::Publisher => {
                json!({"user": {"name": {"firstname": first}, "email": email, "externalid": external}})
            }
            Tongue::Ccs => json!({"firstName": first, "email": email, "roleId": 2}),
            Tongue::OnfireV1 | Tongue::OnfireV2 => {
                json!({"Email": email, "FirstName": first, "LastName": "L", "ExternalId": external})
            }
            Tongue::Scim => json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": email, "active": true,
                "externalId": external, "name": {"givenName": first},
                "emails": [{"value": email, "type": "work", "primary": true}],
            }),
        };
        let is_taken = |status: u16, said: &Value| match tongue {
            Tongue::Publisher => [103, 105].contains(&said["error"]["ref"].as_u64().unwrap_or_default()),
            Tongue::Ccs => {
                status == 400 && said["message"].as_str().is_some_and(|text| text.contains("already exists"))
            }
            Tongue::OnfireV1 | Tongue::OnfireV2 => said["ResponseStatus"]["ErrorCode"] == "AlreadyExists",
            Tongue::Scim => said["scimType"] == "uniqueness",
        };
        self.answer(tongue, "POST", tongue.path(), Some(&body), is_taken).map(drop)
    }

    /// Reads a person, by their e-mail where the dialect can.
    pub(super) fn read(&self, tongue: Tongue, email: &str) -> Answer<Seen> {
        let path = tongue.path();
        let target = match tongue {
            Tongue::Publisher => format!("{path}/{email}"),
            // It knows numbers only; another dialect tells which.
            Tongue::Ccs => format!("{path}/{}", self.read(Tongue::Publisher, email)?.key),
            Tongue::OnfireV1 | Tongue::OnfireV2 => format!("{path}?Email={email}"),
            Tongue::Scim => format!("{path}?filter=emails.value%20eq%20%22{email}%22"),
        };
        let is_absent = |status: u16, said: &Value| match tongue {
            Tongue::Publisher | Tongue::Ccs | Tongue::Scim => status == 404,
            Tongue::OnfireV1 | Tongue::OnfireV2 => said["ResponseStatus"]["ErrorCode"] == "NotFound",
        };
        let said = self.answer(tongue, "GET", &target, None, is_absent)?;
        if tongue != Tongue::Scim {
            return Ok(seen(tongue, &said));
        }
        match said["Resources"].as_array().map(Vec::as_slice) {
            None | Some([]) => Err(Not::Possible),
            Some([one]) => Ok(seen(tongue, one)),
            Some(several) => panic!("{email} is there more than once: {several:?}"),
        }
    }

    /// How many people have an e-mail, says a search.
    pub(super) fn count(&self, email: &str) -> u64 {
        let target = format!("/api/v2/user/search?Email={email}");
        let answer = self.answer(Tongue::OnfireV2, "GET", &target, None, |_, _| false);
        let Ok(said) = answer else { panic!("a search is answered: {answer:?}") };
        said["TotalRows"].as_u64().expect("a number")
    }

    /// How many people there are.
    pub(super) fn total(&self) -> u64 {
        let answer = self.answer(Tongue::Publisher, "GET", "/api/2/users?limit=0", None, |_, _| false);
        let Ok(said) = answer else { panic!("a list is answered: {answer:?}") };
        said["users"]["totalcount"].as_u64().expect("a number")
    }
}

fn seen(tongue: Tongue, said: &Value) -> Seen {
    let root = tongue.root();
    let person = if root.is_empty() { said } else { &said[root] };
    let text = |value: &Value| match value {
        Value::Number(number) => number.to_string(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    let external = |name: &str| Some(text(&person[name])).filter(|id| !id.is_empty());
    let list = |name: &str| person[name].as_array().cloned().unwrap_or_default();
    let (key, email, first, external, groups) = match tongue {
        Tongue::Publisher => {
            ("id", "email", &person["name"]["firstname"], external("externalid"), Vec::new())
        }
        Tongue::Ccs => ("id", "email", &person["firstName"], None, Vec::new()),
        Tongue::OnfireV1 | Tongue::OnfireV2 => {
            let groups = list("Groups").iter().map(text).collect();
            ("Id", "Email", &person["FirstName"], external("ExternalId"), groups)
        }
        Tongue::Scim => {
            let groups = list("groups").iter().map(|group| text(&group["value"]).replace('-', "")).collect();
            ("id", "userName", &person["name"]["givenName"], external("externalId"), groups)
        }
    };
    Seen { key: text(&person[key]), email: text(&person[email]), first: text(first), external, groups }
}
