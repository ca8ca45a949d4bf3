//! SCIM as clients send it who do not keep to the letter of the standard: taken under every profile but `strict`, where it is a 400.

use super::{CORE, Client, ENTERPRISE, GROUP, PATCH, SEARCH, encode, id, refused, scim, values};
use directory::ClientProfile::{self, Entra, Okta, Rfc, Strict};
use directory::{Command, Field, FieldUpdate, RequestedStatus, UserEdit, UserKey};
use serde_json::{Value, json};

const TOLERANT: [ClientProfile; 3] = [Rfc, Entra, Okta];

/// Asks each tolerant profile with a person of its own, and the strict one.
async fn each(client: &Client, test: impl AsyncFn(&Client, String)) {
    for (n, profile) in TOLERANT.into_iter().enumerate() {
        let with = client.profile(profile).await;
        let person = with.person(&format!("p{n}@x.example")).await;
        test(&with, person).await;
    }
}

async fn strict(client: &Client) -> (Client, String) {
    let strict = client.profile(Strict).await;
    let person = strict.person("strict@x.example").await;
    (strict, person)
}

async fn changed(client: &Client, path: &str, operations: Value) -> Value {
    let (status, body) = client.patch(path, &operations).await;
    assert_eq!(status, 200, "{operations}: {body}");
    body
}

#[test]
fn an_unknown_attribute_does_not_keep_others_from_changing() {
    let unknown = [
        "shoeSize",
        "name.shoeSize",
        "urn:example:2.0:User:badge",
        "shoes[size eq 4].color",
        "emails[badge eq \"x\"].value",
        "emails[type eq \"work\"].badge",
    ];
    scim(async |client| {
        each(&client, async |client, person| {
            for path in unknown {
                for op in ["add", "replace", "remove"] {
                    let operations = json!([
                        {"op": op, "path": path, "value": "x"},
                        {"op": "replace", "path": "active", "value": false},
                    ]);
                    let body = changed(client, &person, operations).await;
                    assert_eq!(body["active"], false, "{op} {path}");
                    changed(client, &person, json!([{"op": "replace", "path": "active", "value": true}]))
                        .await;
                }
            }
            for path in ["shoes[", "a..b", "shoes[size]", "emails[type eq \"work\"].", "1x"] {
                let operations = json!([{"op": "add", "path": path, "value": "x"}]);
                refused(&client.patch(&person, &operations).await, 400, "invalidPath");
            }
            let group = client.group("G", &[&person]).await;
            let operations = json!([
                {"op": "add", "path": "color", "value": "red"},
                {"op": "replace", "path": "displayName", "value": "H"},
            ]);
            assert_eq!(client.patch(&group, &operations).await.0, 204);
            assert_eq!(client.read(&group).await["displayName"], "H");
            assert_eq!(client.members(&group).await, [id(&person)]);
            client.delete(&group).await;
        })
        .await;
        let (strict, person) = strict(&client).await;
        for path in unknown {
            let operations = json!([{"op": "add", "path": path, "value": "x"}]);
            refused(&strict.patch(&person, &operations).await, 400, "invalidPath");
        }
        refused(&strict.post("/Users", &json!({"userName": "u", "shoeSize": 4})).await, 400, "invalidSyntax");
    });
}

#[test]
fn app_roles_of_entra_are_objects_in_a_text() {
    let admin = r#"{"id":"18d14569","value":"Admin","displayName":"Administrator"}"#;
    let user = r#"{"id":"18d14570","value":"User","displayName":"Plain"}"#;
    scim(async |client| {
        each(&client, async |client, person| {
            let add = json!([{"op": "Add", "path": "roles", "value": [{"value": user}]}]);
            let body = changed(client, &person, add).await;
            assert_eq!(body["roles"][0]["value"], "User", "{body}");
            let part = json!([{"op": "Add", "path": "roles[primary eq \"True\"].value", "value": user}]);
            let body = changed(client, &person, part).await;
            assert!(values(&body["roles"]).iter().all(|role| role == "User"), "{body}");
            let text = json!([{"op": "Replace", "path": "roles", "value": [{"value": "not {json}"}]}]);
            assert_eq!(values(&changed(client, &person, text).await["roles"]), ["not {json}"]);
            let made = client
                .post(
                    "/Users",
                    &json!({"userName": format!("{}-r", id(&person)), "roles": [{"value": user}]}),
                )
                .await;
            assert_eq!((made.0, &made.1["roles"][0]["value"]), (201, &json!("User")), "{}", made.1);
        })
        .await;
        // An object in a text grants no more than a text.
        let narrow = client.with("narrow", |new| new.highest_role = 2).await;
        let person = narrow.person("narrow@x.example").await;
        for operation in [
            json!({"op": "Add", "path": "roles", "value": [{"value": admin}]}),
            json!({"op": "Add", "path": "roles[primary eq \"True\"].value", "value": admin}),
            json!({"op": "Add", "path": "roles[primary eq \"True\"]", "value": admin}),
            json!({"op": "Add", "path": "roles.value", "value": admin}),
        ] {
            assert_eq!(narrow.patch(&person, &json!([operation])).await.0, 403, "{operation}");
        }
        let made = narrow.post("/Users", &json!({"userName": "n", "roles": [{"value": admin}]})).await;
        assert_eq!(made.0, 403, "{}", made.1);
        assert_eq!(narrow.read(&person).await["roles"], Value::Null);
        let (strict, person) = strict(&client).await;
        for path in ["roles", "roles.value"] {
            let value = if path == "roles" { json!([{"value": user}]) } else { json!(user) };
            let add = json!([{"op": "add", "path": path, "value": value}]);
            refused(&strict.patch(&person, &add).await, 400, "invalidValue");
        }
    });
}

#[test]
fn a_stored_text_does_not_become_another_role() {
    let inner = r#"{"value":"Admin"}"#;
    let outer = json!({"value": inner}).to_string();
    scim(async |client| {
        let narrow = client.with("narrow", |new| new.highest_role = 2).await;
        for (n, (path, value)) in
            [("roles", json!([{"value": outer}])), ("roles.value", json!(outer))].into_iter().enumerate()
        {
            let person = narrow.person(&format!("n{n}@x.example")).await;
            let body = changed(&narrow, &person, json!([{"op": "add", "path": path, "value": value}])).await;
            assert_eq!(values(&body["roles"]), [inner], "{body}");
            let add = json!([{"op": "add", "path": "roles", "value": [{"value": "viewer"}]}]);
            let body = changed(&client, &person, add).await;
            assert_eq!(values(&body["roles"]), [inner, "viewer"], "{body}");
            // The narrow connection may change the user only if the user got no role above its ceiling.
            changed(&narrow, &person, json!([{"op": "replace", "path": "title", "value": "T"}])).await;
        }
    });
}

#[test]
fn an_entry_without_a_value_moves_no_preference() {
    let nothing = [json!({"primary": true}), json!({"type": "other", "primary": true})];
    scim(async |client| {
        let sent = json!([
            {"value": "a@x.example", "type": "home"},
            {"value": "b@x.example", "type": "work", "primary": true},
        ]);
        let address = json!([
            {"streetAddress": "A", "locality": "Bonn", "type": "work"},
            {"locality": "Bonn", "primary": true},
        ]);
        let user = json!({"userName": "b@x.example", "emails": sent, "addresses": address});
        let (status, before) = client.post("/Users", &user).await;
        assert_eq!((status, &before["emails"], &before["addresses"]), (201, &sent, &address), "{before}");
        let person = format!("/Users/{}", before["id"].as_str().expect("an id"));
        for entry in &nothing {
            for path in ["emails", "addresses"] {
                let body =
                    changed(&client, &person, json!([{"op": "add", "path": path, "value": [entry]}])).await;
                assert_eq!((&body["emails"], &body["addresses"]), (&sent, &address), "{path} {entry}");
            }
            let emails = json!([{"value": "c@x.example"}, {"value": "d@x.example"}, entry]);
            let (_, body) = client.put(&person, &json!({"userName": "b@x.example", "emails": emails})).await;
            assert!(values(&body["emails"]) == ["c@x.example", "d@x.example"], "{body}");
            assert_eq!(body["emails"][0]["primary"], Value::Null, "{body}");
            client.put(&person, &user).await;
        }
    });
}

#[test]
fn many_long_values_are_rejected_at_once() {
    scim(async |client| {
        // One comparison of all with all would take seconds.
        let long = "a".repeat(900);
        let many =
            |count: usize| (0..count).map(|n| json!({"value": format!("{long}{n}")})).collect::<Value>();
        let person = client.person("p@x.example").await;
        for path in ["entitlements", "emails", "photos"] {
            let user = json!({"userName": "many", path: many(1_000)});
            assert_eq!(client.post("/Users", &user).await.0, 400, "{path}");
            for op in ["add", "replace", "remove"] {
                let operations = json!([{"op": op, "path": path, "value": many(1_000)}]);
                refused(&client.patch(&person, &operations).await, 400, "invalidValue");
            }
        }
    });
}

#[test]
fn parts_may_come_before_the_value() {
    scim(async |client| {
        each(&client, async |client, person| {
            for (attribute, value) in
                [("emails", "w@x.example"), ("phoneNumbers", "+1"), ("entitlements", "e"), ("photos", "https://x/p")]
            {
                let value = if attribute == "emails" { format!("{}@x.example", id(&person)) } else { value.into() };
                let path = |part: &str| format!("{attribute}[type eq \"work\"].{part}");
                let operations = json!([
                    {"op": "add", "path": path("primary"), "value": true},
                    {"op": "add", "path": path("display"), "value": "D"},
                    {"op": "add", "path": path("value"), "value": value},
                ]);
                let body = changed(client, &person, operations).await;
                let entry = &body[attribute][0];
                assert_eq!(
                    (&entry["value"], &entry["primary"], &entry["display"], &entry["type"]),
                    (&json!(value), &json!(true), &json!("D"), &json!("work")),
                    "{body}"
                );
                // Without a value it is none, and takes no preference away.
                let other = format!("{attribute}[type eq \"other\"]");
                let operations = json!([
                    {"op": "add", "path": format!("{other}.primary"), "value": true},
                    {"op": "add", "path": format!("{other}.type"), "value": "other"},
                ]);
                let after = changed(client, &person, operations).await;
                assert_eq!(after[attribute], body[attribute]);
            }
            let body = json!({"userName": format!("{}-v", id(&person)), "emails": [{"type": "work"}, {"primary": true}],
                "addresses": [{"type": "work"}]});
            let (status, made) = client.post("/Users", &body).await;
            assert_eq!((status, &made["emails"], &made["addresses"]), (201, &Value::Null, &Value::Null), "{made}");
        })
        .await;
        let (strict, person) = strict(&client).await;
        let operations =
            json!([{"op": "add", "path": "phoneNumbers[type eq \"work\"].primary", "value": true}]);
        refused(&strict.patch(&person, &operations).await, 400, "invalidValue");
        let then = json!([operations[0], {"op": "add", "path": "phoneNumbers[type eq \"work\"].value", "value": "+1"}]);
        refused(&strict.patch(&person, &then).await, 400, "invalidValue");
    });
}

#[test]
fn adding_what_is_there_changes_nothing() {
    scim(async |client| {
        each(&client, async |client, person| {
            let mail = format!("{}@x.example", id(&person));
            let emails = json!([{"value": mail, "type": "work", "primary": true, "display": "D"}]);
            let groups = json!([{"op": "add", "path": "emails", "value": emails},
                {"op": "add", "path": "photos", "value": [{"value": "https://x/P", "type": "photo"}]}]);
            let body = changed(client, &person, groups).await;
            let version = body["meta"]["version"].clone();
            for value in [
                json!([{"value": mail, "type": "work"}]),
                json!([{"value": mail.to_uppercase(), "type": "WORK"}]),
                json!([{"value": mail}]),
                json!({"value": mail, "type": "work", "primary": true}),
                json!([{"value": mail, "type": "work"}, {"value": mail.to_uppercase(), "type": "work"}]),
            ] {
                let after = changed(client, &person, json!([{"op": "add", "path": "emails", "value": value}])).await;
                assert_eq!((&after["emails"], &after["meta"]["version"]), (&body["emails"], &version), "{value}");
            }
            // Case counts for what is caseExact.
            let add = json!([{"op": "add", "path": "photos", "value": [{"value": "https://x/p", "type": "photo"}]}]);
            assert_eq!(values(&changed(client, &person, add).await["photos"]), ["https://x/P", "https://x/p"]);
            let remove = json!([{"op": "remove", "path": "photos", "value": [{"value": "https://x/p"}]}]);
            assert_eq!(values(&changed(client, &person, remove).await["photos"]), ["https://x/P"]);
            let remove = json!([{"op": "remove", "path": "emails", "value": [{"value": mail.to_uppercase()}]}]);
            assert!(!changed(client, &person, remove).await["emails"].to_string().contains(&mail));
            let twice = json!({"userName": format!("{}-t", id(&person)),
                "emails": [{"value": "T@x.example", "type": "work"}, {"value": "t@X.example", "type": "Work", "primary": true}]});
            let (status, made) = client.post("/Users", &twice).await;
            assert_eq!(status, 201, "{made}");
            assert_eq!(made["emails"], json!([{"value": "T@x.example", "type": "work", "primary": true}]));
            client.delete(&format!("/Users/{}", made["id"].as_str().expect("an id"))).await;
        })
        .await;
    });
}

#[test]
fn a_value_path_takes_a_value_in_many_forms() {
    scim(async |client| {
        each(&client, async |client, person| {
            let path = "phoneNumbers[type eq \"work\"]";
            for (n, value) in [
                json!({"value": "+0"}),
                json!([{"value": "+1"}]),
                json!("{\"value\": \"+2\"}"),
                json!("[{\"value\": \"+3\"}]"),
                json!("+4"),
            ]
            .into_iter()
            .enumerate()
            {
                let body =
                    changed(client, &person, json!([{"op": "add", "path": path, "value": value}])).await;
                assert_eq!(values(&body["phoneNumbers"]), [format!("+{n}")], "{value}");
            }
            // A bare value is the value alone, which leaves the type.
            let bare = json!([{"op": "replace", "path": path, "value": "+5"}]);
            let phones = changed(client, &person, bare).await["phoneNumbers"].clone();
            assert_eq!((&phones[0]["value"], &phones[0]["type"]), (&json!("+5"), &json!("work")), "{phones}");
            let two = json!([{"op": "add", "path": path, "value": [{"value": "+5"}, {"value": "+6"}]}]);
            refused(&client.patch(&person, &two).await, 400, "invalidValue");
        })
        .await;
        let (strict, person) = strict(&client).await;
        for value in [json!([{"value": "+1"}]), json!("{\"value\": \"+2\"}"), json!("+4")] {
            let add = json!([{"op": "add", "path": "phoneNumbers[type eq \"work\"]", "value": value}]);
            refused(&strict.patch(&person, &add).await, 400, "invalidValue");
        }
    });
}

#[test]
fn a_text_in_a_filter_needs_no_quotes() {
    scim(async |client| {
        each(&client, async |client, person| {
            let name = client.read(&person).await["userName"].as_str().expect("a name").to_owned();
            let beginning = &name[..4];
            for filter in [
                format!("userName eq {name}"),
                format!("userName sw {beginning} and (userName co {beginning})"),
                format!("id eq {}", id(&person)),
                format!("not (userName ne {name})"),
            ] {
                let (status, body) = client.search(&filter).await;
                assert_eq!(
                    (status, &body["Resources"][0]["userName"]),
                    (200, &json!(name)),
                    "{filter}: {body}"
                );
            }
            for filter in [
                "userName eq ",
                "userName eq a\"b",
                "userName eq a(b)",
                "userName gt abc",
                "meta.created gt x",
            ] {
                refused(&client.search(filter).await, 400, "invalidFilter");
            }
            let path = "emails[type eq work].value";
            let mail = format!("q{}@x.example", id(&person));
            changed(client, &person, json!([{"op": "add", "path": path, "value": mail}])).await;
        })
        .await;
        let (strict, person) = strict(&client).await;
        refused(&strict.search("userName eq abc").await, 400, "invalidFilter");
        let add = json!([{"op": "add", "path": "emails[type eq work].value", "value": "x@x.example"}]);
        refused(&strict.patch(&person, &add).await, 400, "invalidPath");
    });
}

#[test]
fn small_liberties() {
    scim(async |client| {
        let boss = client.person("boss@x.example").await;
        each(&client, async |client, person| {
            let one =
                json!({"schemas": [PATCH], "Operations": {"op": "replace", "path": "title", "value": "T"}});
            let (status, body) = client.plain("PATCH", &person, &one).await;
            assert_eq!((status, &body["title"]), (200, &json!("T")), "{body}");
            for path in ["manager", &format!("{ENTERPRISE}.manager"), &format!("{ENTERPRISE}:manager")] {
                changed(client, &person, json!([{"op": "remove", "path": path}])).await;
                let add = json!([{"op": "add", "path": path, "value": id(&boss)}]);
                let body = changed(client, &person, add).await;
                assert_eq!(body[ENTERPRISE]["manager"]["value"], id(&boss), "{path}");
                let target = body[ENTERPRISE]["manager"]["$ref"].as_str().expect("a reference");
                assert!(target.ends_with(&boss), "{target}");
            }
            let mail = format!("m{}@x.example", id(&person));
            let body = changed(client, &person, json!([{"op": "replace", "value": {"emails": mail}}])).await;
            assert_eq!(values(&body["emails"]), [mail]);
            // A manager of another system is nowhere here.
            let add = json!([{"op": "add", "path": "manager", "value": "E-77"}]);
            let manager = changed(client, &person, add).await[ENTERPRISE]["manager"].clone();
            assert_eq!(manager, json!({"value": "E-77"}));
            for path in ["//Users", "/Users//", &format!("//Users//{}", id(&person))] {
                assert_eq!(client.send("GET", path, &[], "").await.status, 200, "{path}");
            }
            let head = client.send("HEAD", &person, &[], "").await;
            assert_eq!((head.status, head.header("etag").is_empty()), (200, false));
            let (_, body) = client.get(&format!("{person}?attributes=userName&attributes=title")).await;
            assert!(body["userName"].is_string() && body["title"].is_string(), "{body}");
        })
        .await;
        let (strict, person) = strict(&client).await;
        let one = json!({"schemas": [PATCH], "Operations": {"op": "replace", "path": "title", "value": "T"}});
        refused(&strict.plain("PATCH", &person, &one).await, 400, "invalidSyntax");
        let path = format!("{ENTERPRISE}.manager");
        for operation in [
            json!({"op": "add", "path": "manager", "value": {"value": id(&boss)}}),
            json!({"op": "add", "path": path, "value": {"value": id(&boss)}}),
        ] {
            refused(&strict.patch(&person, &json!([operation])).await, 400, "invalidPath");
        }
        let body = json!({"userName": "b", "emails": "x@y.example"});
        refused(&strict.post("/Users", &body).await, 400, "invalidValue");
    });
}

#[test]
fn ten_thousand_members_fit_as_clients_write_them() {
    scim(async |client| {
        let member = |n: u32| {
            let id = format!("01890000-0000-7000-8000-{n:012}");
            json!({"value": id, "type": "User", "display": format!("Somebody With A Long Name {n}"),
                "$ref": format!("https://people.example.com/scim/v2/Users/{id}")})
        };
        let body = json!({"schemas": [GROUP], "displayName": "Huge", "members": (0..10_000).map(member).collect::<Vec<_>>()});
        let size = body.to_string().len();
        assert!((1_500_000..4_194_304).contains(&size), "{size}");
        // None of them exists, so the request was read to its end.
        let answer = client.post("/Groups", &body).await;
        assert_ne!(answer.0, 413, "{}", answer.1);
        let config = client.get("/ServiceProviderConfig").await.1;
        assert_eq!(config["bulk"]["maxPayloadSize"], 4_194_304);
        let (_, schema) = client.get(&format!("/Schemas/{CORE}")).await;
        let emails =
            schema["attributes"].as_array().expect("a list").iter().find(|one| one["name"] == "emails");
        assert_eq!(emails.expect("there")["subAttributes"][0]["uniqueness"], "server");
        // A filter in a body may be longer than one in a query.
        let filter = vec!["userName eq \"nobody@x.example\""; 300].join(" or ");
        assert!(filter.len() > 10_000);
        let (status, found) =
            client.post("/Users/.search", &json!({"schemas": [SEARCH], "filter": filter})).await;
        assert_eq!((status, &found["totalResults"]), (200, &json!(0)), "{found}");
        refused(&client.get(&format!("/Users?filter={}", encode(&filter))).await, 400, "invalidFilter");
    });
}

/// Sets the status of a user as an administrator would.
async fn set(client: &Client, person: &str, status: RequestedStatus) {
    let edit = UserEdit { status: FieldUpdate::Set(status), ..UserEdit::default() };
    let user = UserKey::Id(directory::UserId(uuid::Uuid::try_parse(id(person)).expect("an id")));
    let command = Command::UpdateUser { user, edit: Box::new(edit) };
    client.house.directory().run(&client.caller, command).await.expect("changed");
}

#[test]
fn okta_creates_again_whom_it_has_deactivated() {
    scim(async |client| {
        let okta = client.profile(Okta).await;
        let body = json!({"userName": "o@x.example", "externalId": "00u1", "title": "Old", "password": "Winter-2026-xyz",
            "emails": [{"value": "o@x.example", "primary": true}]});
        let person = okta.add("/Users", &body).await;
        let group = okta.group("G", &[&person]).await;
        let again = json!({"userName": "o@x.example", "externalId": "00u1", "nickName": "New",
            "emails": [{"value": "o@x.example", "primary": true}]});
        let taken = |answer: &(u16, Value)| {
            refused(answer, 409, "uniqueness");
            assert!(answer.1["detail"].as_str().expect("text").contains(id(&person)), "{}", answer.1);
        };
        taken(&okta.post("/Users", &again).await);
        for status in [directory::Status::Suspended, directory::Status::Archived] {
            set(&client, &person, RequestedStatus::Exact(status)).await;
            taken(&okta.post("/Users", &again).await);
        }
        set(&client, &person, RequestedStatus::Active).await;
        set(&client, &person, RequestedStatus::Exact(directory::Status::Inactive)).await;
        for profile in [Rfc, Entra, Strict] {
            taken(&client.profile(profile).await.post("/Users", &again).await);
        }
        assert_eq!(okta.read(&person).await["active"], false);
        let (status, made) = okta.post("/Users", &again).await;
        assert_eq!((status, &made["id"]), (201, &json!(id(&person))), "{made}");
        assert_eq!(
            (&made["active"], &made["nickName"], &made["title"]),
            (&json!(true), &json!("New"), &Value::Null)
        );
        assert!(okta.members(&group).await.is_empty(), "as after a deletion");
        let key = UserKey::ExternalId("00u1".into());
        let user = client.house.directory().user(&client.caller, key).await.expect("there");
        assert_eq!(user.text(Field::ExternalId), Some("00u1"));
        let passwords =
            client.house.directory().password_hashes(&client.caller, (user.number, user.number)).await;
        assert!(passwords.expect("read").is_empty(), "the old password is gone");
        // Nobody above the ceiling comes back.
        let admin =
            json!({"userName": "admin@x.example", "externalId": "00u2", "roles": [{"value": "Admin"}]});
        let admin_path = client.with("high", |new| new.highest_role = 4).await.add("/Users", &admin).await;
        set(&client, &admin_path, RequestedStatus::Exact(directory::Status::Inactive)).await;
        let narrow = client.with("low", |new| (new.highest_role, new.profile) = (2, Okta)).await;
        let again = json!({"userName": "admin@x.example", "externalId": "00u2"});
        assert_eq!(narrow.post("/Users", &again).await.0, 403);
        assert_eq!(okta.read(&admin_path).await["active"], false);
        // Another tenant's user does not exist here.
        let (status, body) = client.stranger().await.post("/Users", &again).await;
        assert_eq!(status, 201, "{body}");
    });
}
