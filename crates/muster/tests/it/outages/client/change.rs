//! Changes, ends and groups, as a client of each dialect says them.

use super::{Answer, Client, Not, Person, Seen, Tongue};
use crate::support::try_send;
use serde_json::{Value, json};

/// A group under both its names.
#[derive(Clone, Debug)]
pub(in crate::outages) struct Group {
    /// Over `scim`.
    pub(in crate::outages) id: String,
    /// Over `publisher`.
    pub(in crate::outages) number: u64,
}

impl Client {
    /// Gives a person another first name.
    pub(in crate::outages) fn rename(&self, tongue: Tongue, person: &Person, first: &str) -> Answer<()> {
        let Person { email, external, .. } = person;
        let path = tongue.path();
        let (method, target, body) = match tongue {
            Tongue::Publisher => {
                let name = json!({"firstname": first});
                let body = json!({"user": {"name": name, "email": email, "externalid": external}});
                ("PUT", format!("{path}/{email}"), body)
            }
            Tongue::Ccs => {
                let key = self.read(tongue, email)?.key;
                ("PUT", format!("{path}/{key}"), json!({"firstName": first, "email": email, "roleId": 2}))
            }
            Tongue::OnfireV1 | Tongue::OnfireV2 => {
                ("PUT", path.to_owned(), json!({"Email": email, "FirstName": first}))
            }
            Tongue::Scim => {
                let key = self.read(tongue, email)?.key;
                let change = json!({"op": "replace", "path": "name.givenName", "value": first});
                ("PATCH", format!("{path}/{key}"), json!({"Operations": [change]}))
            }
        };
        self.answer(tongue, method, &target, Some(&body), |status, _| status == 404).map(drop)
    }

    /// Deletes a person whom the dialect has just shown. There is no such call over `publisher`.
    pub(in crate::outages) fn delete(&self, tongue: Tongue, seen: &Seen) -> Answer<()> {
        let path = tongue.path();
        let target = if tongue.is_onfire() {
            format!("{path}?Id={}", seen.key)
        } else {
            format!("{path}/{}", seen.key)
        };
        self.answer(tongue, "DELETE", &target, None, |status, _| status == 404).map(drop)
    }

    /// A new, empty group.
    pub(in crate::outages) fn group(&self, name: &str) -> Group {
        let body = json!({"displayName": name});
        let made = self.answer(Tongue::Scim, "POST", "/scim/v2/Groups", Some(&body), |_, _| false);
        let target = format!("/api/2/groups?search={name}");
        let found = self.answer(Tongue::Publisher, "GET", &target, None, |_, _| false);
        let (Ok(made), Ok(found)) = (made, found) else { panic!("a group {name}") };
        let id = made["id"].as_str().expect("an id").to_owned();
        Group { id, number: found["groups"]["groups"][0]["id"].as_u64().expect("a number") }
    }

    /// Puts a person into a group; over `publisher` only who is active.
    pub(in crate::outages) fn join(&self, tongue: Tongue, group: &Group, email: &str) -> Answer<()> {
        if tongue == Tongue::Publisher {
            let (target, body) =
                (format!("/api/2/groups/{}/users", group.number), json!({"group": {"users": [email]}}));
            return self.answer(tongue, "PUT", &target, Some(&body), |_, _| false).map(drop);
        }
        let key = self.read(Tongue::Scim, email)?.key;
        self.members(group, &json!({"op": "add", "path": "members", "value": [{"value": key}]}))
    }

    /// Takes a person out of a group.
    pub(in crate::outages) fn leave(&self, group: &Group, email: &str) -> Answer<()> {
        let key = self.read(Tongue::Scim, email)?.key;
        self.members(group, &json!({"op": "remove", "path": format!("members[value eq \"{key}\"]")}))
    }

    fn members(&self, group: &Group, change: &Value) -> Answer<()> {
        let target = format!("/scim/v2/Groups/{}", group.id);
        let body = json!({"Operations": [change]});
        self.answer(Tongue::Scim, "PATCH", &target, Some(&body), |_, _| false).map(drop)
    }

    /// Whether a person is in a group, says a dialect.
    pub(in crate::outages) fn is_in(&self, tongue: Tongue, group: &Group, email: &str) -> Answer<bool> {
        let seen = self.read(tongue, email)?;
        if matches!(tongue, Tongue::OnfireV1 | Tongue::OnfireV2 | Tongue::Scim) {
            return Ok(seen.groups.contains(&group.id.replace('-', "")));
        }
        let target = format!("/api/2/users?fields=id&usergroups={}&limit=1000", group.number);
        let said = self.answer(Tongue::Publisher, "GET", &target, None, |_, _| false)?;
        let listed = said["users"]["users"].as_array().expect("a list").iter();
        Ok(listed.filter_map(|user| user["id"].as_u64()).any(|id| id.to_string() == seen.key))
    }

    /// An access token for the connection.
    pub(in crate::outages) fn token(&self) -> Answer<String> {
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}",
            self.door.id, self.door.key
        );
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        let reply = try_send(&self.address, "POST", "/oauth2/token", &kind, form.as_bytes());
        let Some(reply) = reply else { return Err(Not::Known) };
        if reply.status == 503 {
            return Err(Not::Now);
        }
        let Ok(said) = serde_json::from_str::<Value>(&reply.body) else { return Err(Not::Known) };
        assert_eq!(reply.status, 200, "{}", reply.body);
        Ok(said["access_token"].as_str().expect("a token").to_owned())
    }
}
