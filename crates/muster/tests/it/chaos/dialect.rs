//! Clients of the four dialects: requests, responses, and the attributes that each shows.

use super::model::State;
use super::shared_state::Endpoint;
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Scim,
    Ccs,
    Publisher,
    Onfire,
}

impl Dialect {
    pub(super) const ALL: [Self; 4] = [Self::Scim, Self::Ccs, Self::Publisher, Self::Onfire];
    /// The dialects that show all attributes that these clients write.
    pub(super) const SHOWS_ALL_FIELDS: [Self; 2] = [Self::Scim, Self::Onfire];
    pub(super) const WITH_STATUS: [Self; 3] = [Self::Scim, Self::Publisher, Self::Onfire];
    pub(super) const WITH_DELETE: [Self; 3] = [Self::Scim, Self::Ccs, Self::Onfire];

    fn path(self) -> &'static str {
        match self {
            Self::Scim => "/scim/v2/Users",
            Self::Ccs => "/request/user",
            Self::Publisher => "/api/2/users",
            Self::Onfire => "/api/v2/user",
        }
    }
}

/// A user as shown by a dialect; `None` for attributes that it does not show.
#[derive(Clone, Debug)]
pub(super) struct UserView {
    pub(super) dialect: Dialect,
    /// The user's identifier in this dialect.
    pub(super) key: String,
    pub(super) email: String,
    pub(super) first_name: String,
    pub(super) external_id: Option<String>,
    pub(super) is_active: Option<bool>,
    /// Group ids without dashes.
    pub(super) groups: Option<Vec<String>>,
    /// `meta.lastModified`; only over `scim`.
    pub(super) modified: String,
    /// The id of the client's group, without dashes.
    group: String,
}

impl UserView {
    /// The same user, for clients of another group.
    pub(super) fn for_group(self, group: &str) -> Self {
        Self { group: group.to_owned(), ..self }
    }

    /// Whether this is the user in that state, as far as the dialect shows it.
    pub(super) fn matches(&self, state: &State, external: Option<&str>) -> bool {
        self.email == state.email
            && self.first_name == state.first
            && (self.dialect == Dialect::Ccs || self.external_id.as_deref() == external)
            && self.is_active.is_none_or(|shown| shown == state.is_active)
            && self.groups.as_ref().is_none_or(|groups| groups.contains(&self.group) == state.is_member)
    }
}

/// A group with its identifiers in the dialects.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) number: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// Any status except success and 503.
    Rejected(u16, String),
    /// 503 or no complete response: the change may have been made.
    InDoubt,
}

pub(super) type ClientResult<T> = Result<T, Failure>;

/// Whether a response reports that an email or external id is in use.
pub(super) fn is_conflict(dialect: Dialect, status: u16, body: &str) -> bool {
    let said: Value = serde_json::from_str(body).unwrap_or_default();
    match dialect {
        Dialect::Scim => status == 409 && said["scimType"] == "uniqueness",
        Dialect::Ccs => status == 400 && said["message"].as_str().is_some_and(|text| text.contains("already exists")),
        Dialect::Publisher => status == 400 && [103, 105].contains(&said["error"]["ref"].as_u64().unwrap_or_default()),
        Dialect::Onfire => status == 400 && said["ResponseStatus"]["ErrorCode"] == "AlreadyExists",
    }
}

/// Whether a response reports that the user does not exist.
pub(super) fn is_not_found(dialect: Dialect, status: u16, body: &str) -> bool {
    if dialect == Dialect::Onfire {
        let said: Value = serde_json::from_str(body).unwrap_or_default();
        return status == 400 && said["ResponseStatus"]["ErrorCode"] == "NotFound";
    }
    status == 404
}

impl Endpoint<'_> {
    pub(super) fn create(&self, dialect: Dialect, state: &State, external: Option<&str>) -> ClientResult<()> {
        let State { email, first, .. } = state;
        let body = match dialect {
            Dialect::Scim => json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": email, "active": true,
                "externalId": external, "name": {"givenName": first},
                "emails": [{"value": email, "type": "work", "primary": true}],
            }),
            Dialect::Ccs => json!({"firstName": first, "email": email, "roleId": 2}),
            Dialect::Publisher => {
                json!({"user": {"name": {"firstname": first}, "email": email, "externalid": external}})
            }
            Dialect::Onfire => json!({
                "Email": email, "FirstName": first, "LastName": "L", "ExternalId": external, "DoNotEmail": true,
            }),
        };
        self.write(dialect, "POST", dialect.path(), Some(&body)).map(drop)
    }

    /// Sets first name and email of a user that was just read over this dialect.
    pub(super) fn update_user(&self, seen: &UserView, state: &State, external: Option<&str>) -> ClientResult<()> {
        let State { email, first, .. } = state;
        let (dialect, key) = (seen.dialect, &seen.key);
        let path = dialect.path();
        let (method, target, body) = match dialect {
            Dialect::Scim => {
                let mut changes = vec![json!({"op": "replace", "path": "name.givenName", "value": first})];
                if *email != seen.email {
                    changes.push(json!({"op": "replace", "path": "userName", "value": email}));
                    let path = "emails[type eq \"work\"].value";
                    changes.push(json!({"op": "replace", "path": path, "value": email}));
                }
                ("PATCH", format!("{path}/{key}"), json!({"Operations": changes}))
            }
            Dialect::Ccs => ("PUT", format!("{path}/{key}"), json!({"firstName": first, "email": email, "roleId": 2})),
            Dialect::Publisher => {
                let mut user = json!({"name": {"firstname": first}, "email": email});
                if let Some(external) = external {
                    user["externalid"] = json!(external);
                }
                ("PUT", format!("{path}/{key}"), json!({"user": user}))
            }
            Dialect::Onfire => ("PUT", path.to_owned(), json!({"Id": key, "Email": email, "FirstName": first})),
        };
        self.write(dialect, method, &target, Some(&body)).map(drop)
    }

    pub(super) fn set_active(&self, seen: &UserView, is_active: bool) -> ClientResult<()> {
        let (dialect, key) = (seen.dialect, &seen.key);
        let path = dialect.path();
        let (method, target, body) = match dialect {
            Dialect::Scim => {
                let change = json!({"op": "replace", "path": "active", "value": is_active});
                ("PATCH", format!("{path}/{key}"), json!({"Operations": [change]}))
            }
            Dialect::Publisher => {
                let action = if is_active { "activate" } else { "disable" };
                ("POST", format!("{path}/{key}/{action}"), json!({}))
            }
            Dialect::Onfire => {
                let status = if is_active { "Active" } else { "Inactive" };
                ("PUT", path.to_owned(), json!({"Id": key, "Status": status}))
            }
            Dialect::Ccs => panic!("this dialect has no status"),
        };
        self.write(dialect, method, &target, Some(&body)).map(drop)
    }

    /// Adds a user to the client's group or removes it.
    pub(super) fn set_member(&self, seen: &UserView, group: &Group, is_member: bool) -> ClientResult<()> {
        let key = &seen.key;
        let (method, target, body) = match seen.dialect {
            Dialect::Scim => {
                let change = if is_member {
                    json!({"op": "add", "path": "members", "value": [{"value": key}]})
                } else {
                    json!({"op": "remove", "path": format!("members[value eq \"{key}\"]")})
                };
                ("PATCH", format!("/scim/v2/Groups/{}", group.id), json!({"Operations": [change]}))
            }
            Dialect::Onfire => {
                let groups = if is_member { vec![group.id.replace('-', "")] } else { Vec::new() };
                ("PUT", seen.dialect.path().to_owned(), json!({"Id": key, "Groups": groups}))
            }
            Dialect::Ccs | Dialect::Publisher => panic!("not used over this dialect"),
        };
        self.write(seen.dialect, method, &target, Some(&body)).map(drop)
    }

    pub(super) fn delete(&self, dialect: Dialect, key: &str) -> ClientResult<()> {
        let path = dialect.path();
        let target = match dialect {
            Dialect::Onfire => format!("{path}?Id={key}"),
            _ => format!("{path}/{key}"),
        };
        self.write(dialect, "DELETE", &target, None).map(drop)
    }

    /// The user with an email.
    pub(super) fn read(&self, dialect: Dialect, email: &str) -> ClientResult<Option<UserView>> {
        let path = dialect.path();
        let target = match dialect {
            Dialect::Scim => format!("{path}?filter=emails.value%20eq%20%22{email}%22"),
            // ccs reads by number only; publisher returns the number.
            Dialect::Ccs => match self.read(Dialect::Publisher, email)? {
                Some(seen) => format!("{path}/{}", seen.key),
                None => return Ok(None),
            },
            Dialect::Publisher => format!("{path}/{email}"),
            Dialect::Onfire => format!("{path}?Email={email}"),
        };
        let said = match self.query(dialect, &target) {
            Err(Failure::Rejected(status, body)) if is_not_found(dialect, status, &body) => return Ok(None),
            other => other?,
        };
        if dialect != Dialect::Scim {
            let root = match dialect {
                Dialect::Publisher => &said["user"],
                Dialect::Onfire => &said["User"],
                Dialect::Scim | Dialect::Ccs => &said,
            };
            return Ok(Some(self.parse_user(dialect, root)));
        }
        let found = said["Resources"].as_array().cloned().unwrap_or_default();
        if found.len() > 1 {
            self.shared.violation(&format!("{email} exists {} times over scim: {said}", found.len()));
        }
        Ok(found.first().map(|user| self.parse_user(dialect, user)))
    }

    /// All users, over `scim` by cursor or over `publisher` by offset.
    pub(super) fn list(&self, dialect: Dialect) -> ClientResult<Vec<UserView>> {
        if dialect == Dialect::Scim {
            return self.list_filtered("");
        }
        let mut all = Vec::new();
        self.for_each_page("/api/2/users?fields=all", |user| {
            all.push(self.parse_user(Dialect::Publisher, user));
        })?;
        Ok(all)
    }

    /// The users changed at or after a time, over `scim`.
    pub(super) fn list_changed(&self, since: &str) -> ClientResult<Vec<UserView>> {
        self.list_filtered(&format!("&filter=meta.lastModified%20ge%20%22{since}%22"))
    }

    fn list_filtered(&self, filter: &str) -> ClientResult<Vec<UserView>> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let target = format!("/scim/v2/Users?count=1000&cursor={cursor}{filter}");
            let said = self.query(Dialect::Scim, &target)?;
            let users = said["Resources"].as_array().cloned().unwrap_or_default();
            all.extend(users.iter().map(|user| self.parse_user(Dialect::Scim, user)));
            match said["nextCursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => return Ok(all),
            }
        }
    }

    /// The emails of a group's members, over `publisher`.
    pub(super) fn members(&self, group: &Group) -> ClientResult<Vec<String>> {
        let mut emails = Vec::new();
        let target = format!("/api/2/users?fields=all&usergroups={}", group.number);
        self.for_each_page(&target, |user| {
            emails.push(user["email"].as_str().unwrap_or_default().to_owned());
        })?;
        Ok(emails)
    }

    fn for_each_page(&self, target: &str, mut push: impl FnMut(&Value)) -> ClientResult<()> {
        for page in 0.. {
            let target = format!("{target}&limit=1000&offset={}", page * 1000);
            let said = self.query(Dialect::Publisher, &target)?;
            let users = said["users"]["users"].as_array().cloned().unwrap_or_default();
            users.iter().for_each(&mut push);
            if users.len() < 1000 {
                break;
            }
        }
        Ok(())
    }

    /// Creates an empty group.
    pub(super) fn create_group(&self, name: &str) -> Group {
        let body = json!({"displayName": name});
        let made = self.write(Dialect::Scim, "POST", "/scim/v2/Groups", Some(&body)).expect("a group");
        let found = self.query(Dialect::Publisher, &format!("/api/2/groups?search={name}")).expect("found");
        let id = made["id"].as_str().expect("an id").to_owned();
        Group { id, number: found["groups"]["groups"][0]["id"].as_u64().expect("a number") }
    }

    fn parse_user(&self, dialect: Dialect, user: &Value) -> UserView {
        let text = |value: &Value| match value {
            Value::Number(number) => number.to_string(),
            other => other.as_str().unwrap_or_default().to_owned(),
        };
        let optional = |value: &Value| Some(text(value)).filter(|text| !text.is_empty());
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let ids = |groups: Vec<String>| Some(groups.iter().map(|id| id.replace('-', "")).collect());
        let (key, email, first) = match dialect {
            Dialect::Scim => (&user["id"], &user["emails"][0]["value"], &user["name"]["givenName"]),
            Dialect::Ccs => (&user["id"], &user["email"], &user["firstName"]),
            Dialect::Publisher => (&user["id"], &user["email"], &user["name"]["firstname"]),
            Dialect::Onfire => (&user["Id"], &user["Email"], &user["FirstName"]),
        };
        let (external, is_active, groups) = match dialect {
            Dialect::Scim => (
                optional(&user["externalId"]),
                user["active"].as_bool(),
                ids(list(&user["groups"]).iter().map(|group| text(&group["value"])).collect()),
            ),
            Dialect::Ccs => (None, None, None),
            Dialect::Publisher => {
                let is_active = ["active", "pending"].contains(&text(&user["status"]).as_str());
                (optional(&user["externalid"]), Some(is_active), None)
            }
            Dialect::Onfire => {
                let is_active = ["Active", "Invited"].contains(&text(&user["Status"]).as_str());
                let groups = ids(list(&user["Groups"]).iter().map(text).collect());
                (optional(&user["ExternalId"]), Some(is_active), groups)
            }
        };
        let [key, email, first] = [key, email, first].map(text);
        let (modified, group) = (text(&user["meta"]["lastModified"]), self.group.replace('-', ""));
        UserView { dialect, key, email, first_name: first, external_id: external, is_active, groups, modified, group }
    }
}
