//! Updates, deletions and group changes in each dialect.

use super::{Client, ClientResult, Dialect, Failure, TestUser, UserView};
use crate::support::try_send;
use serde_json::{Value, json};

/// A group with its identifiers.
#[derive(Clone, Debug)]
pub(in crate::outages) struct Group {
    /// In `scim`.
    pub(in crate::outages) id: String,
    /// In `publisher`.
    pub(in crate::outages) number: u64,
}

impl Client {
    /// Changes the first name.
    pub(in crate::outages) fn rename(&self, api: Dialect, person: &TestUser, first: &str) -> ClientResult<()> {
        let TestUser { email, external_id: external, .. } = person;
        let path = api.path();
        let (method, target, body) = match api {
            Dialect::Publisher => {
                let name = json!({"firstname": first});
                let body = json!({"user": {"name": name, "email": email, "externalid": external}});
                ("PUT", format!("{path}/{email}"), body)
            }
            Dialect::Ccs => {
                let key = self.read(api, email)?.key;
                ("PUT", format!("{path}/{key}"), json!({"firstName": first, "email": email, "roleId": 2}))
            }
            Dialect::OnfireV1 | Dialect::OnfireV2 => {
                ("PUT", path.to_owned(), json!({"Email": email, "FirstName": first}))
            }
            Dialect::Scim => {
                let key = self.read(api, email)?.key;
                let change = json!({"op": "replace", "path": "name.givenName", "value": first});
                ("PATCH", format!("{path}/{key}"), json!({"Operations": [change]}))
            }
        };
        self.send_and_classify(api, method, &target, Some(&body), |status, _| status == 404).map(drop)
    }

    /// Deletes a user that was just read over this dialect. `publisher` does not support this.
    pub(in crate::outages) fn delete(&self, api: Dialect, seen: &UserView) -> ClientResult<()> {
        let path = api.path();
        let target = if api.is_onfire() { format!("{path}?Id={}", seen.key) } else { format!("{path}/{}", seen.key) };
        self.send_and_classify(api, "DELETE", &target, None, |status, _| status == 404).map(drop)
    }

    /// Creates an empty group.
    pub(in crate::outages) fn create_group(&self, name: &str) -> Group {
        let body = json!({"displayName": name});
        let made = self.send_and_classify(Dialect::Scim, "POST", "/scim/v2/Groups", Some(&body), |_, _| false);
        let target = format!("/api/2/groups?search={name}");
        let found = self.send_and_classify(Dialect::Publisher, "GET", &target, None, |_, _| false);
        let (Ok(made), Ok(found)) = (made, found) else { panic!("a group {name}") };
        let id = made["id"].as_str().expect("an id").to_owned();
        Group { id, number: found["groups"]["groups"][0]["id"].as_u64().expect("a number") }
    }

    /// Adds a user to a group; over `publisher`, the user must be active.
    pub(in crate::outages) fn add_to_group(&self, api: Dialect, group: &Group, email: &str) -> ClientResult<()> {
        if api == Dialect::Publisher {
            let (target, body) =
                (format!("/api/2/groups/{}/users", group.number), json!({"group": {"users": [email]}}));
            return self.send_and_classify(api, "PUT", &target, Some(&body), |_, _| false).map(drop);
        }
        let key = self.read(Dialect::Scim, email)?.key;
        self.patch_members(group, &json!({"op": "add", "path": "members", "value": [{"value": key}]}))
    }

    /// Removes a user from a group.
    pub(in crate::outages) fn remove_from_group(&self, group: &Group, email: &str) -> ClientResult<()> {
        let key = self.read(Dialect::Scim, email)?.key;
        self.patch_members(group, &json!({"op": "remove", "path": format!("members[value eq \"{key}\"]")}))
    }

    fn patch_members(&self, group: &Group, change: &Value) -> ClientResult<()> {
        let target = format!("/scim/v2/Groups/{}", group.id);
        let body = json!({"Operations": [change]});
        self.send_and_classify(Dialect::Scim, "PATCH", &target, Some(&body), |_, _| false).map(drop)
    }

    /// Whether a user is in a group, according to a dialect.
    pub(in crate::outages) fn is_member(&self, api: Dialect, group: &Group, email: &str) -> ClientResult<bool> {
        let seen = self.read(api, email)?;
        if matches!(api, Dialect::OnfireV1 | Dialect::OnfireV2 | Dialect::Scim) {
            return Ok(seen.groups.contains(&group.id.replace('-', "")));
        }
        let target = format!("/api/2/users?fields=id&usergroups={}&limit=1000", group.number);
        let said = self.send_and_classify(Dialect::Publisher, "GET", &target, None, |_, _| false)?;
        let listed = said["users"]["users"].as_array().expect("a list").iter();
        Ok(listed.filter_map(|user| user["id"].as_u64()).any(|id| id.to_string() == seen.key))
    }

    /// Requests an access token for the connection.
    pub(in crate::outages) fn request_token(&self) -> ClientResult<String> {
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}",
            self.credentials.id, self.credentials.key
        );
        let kind = [("Content-Type", "application/x-www-form-urlencoded")];
        let reply = try_send(&self.address, "POST", "/oauth2/token", &kind, form.as_bytes());
        let Some(reply) = reply else { return Err(Failure::InDoubt) };
        if reply.status == 503 {
            return Err(Failure::Unavailable);
        }
        let Ok(said) = serde_json::from_str::<Value>(&reply.body) else { return Err(Failure::InDoubt) };
        assert_eq!(reply.status, 200, "{}", reply.body);
        Ok(said["access_token"].as_str().expect("a token").to_owned())
    }
}
