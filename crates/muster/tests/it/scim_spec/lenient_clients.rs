//! Requests of clients that deviate from the standard: accepted under every profile except `strict`, which answers 400.

use super::{
    CORE, Client, ENTERPRISE, GROUP, PATCH, SEARCH, assert_error, entry_values, id_of, percent_encode, run_test,
};
use directory::ClientProfile::{self, Entra, Okta, Rfc, Strict};
use directory::{Command, Field, FieldUpdate, RequestedStatus, UserEdit, UserKey};
use serde_json::{Value, json};

const TOLERANT_PROFILES: [ClientProfile; 3] = [Rfc, Entra, Okta];

/// Runs a test under each tolerant profile, with its own user.
async fn with_tolerant_profiles(client: &Client, test: impl AsyncFn(&Client, String)) {
    for (n, profile) in TOLERANT_PROFILES.into_iter().enumerate() {
        let with = client.with_profile(profile).await;
        let person = with.create_user(&format!("p{n}@x.example")).await;
        test(&with, person).await;
    }
}

async fn strict_client(client: &Client) -> (Client, String) {
    let strict = client.with_profile(Strict).await;
    let person = strict.create_user("strict@x.example").await;
    (strict, person)
}

async fn patch_ok(client: &Client, path: &str, operations: Value) -> Value {
    let (status, body) = client.patch(path, &operations).await;
    assert_eq!(status, 200, "{operations}: {body}");
    body
}

#[test]
fn unknown_attributes_are_ignored() {
    let unknown = [
        "shoeSize",
        "name.shoeSize",
        "urn:example:2.0:User:badge",
        "shoes[size eq 4].color",
        "emails[badge eq \"x\"].value",
        "emails[type eq \"work\"].badge",
    ];
    run_test(async |client| {
        with_tolerant_profiles(&client, async |client, person| {
            for path in unknown {
                for op in ["add", "replace", "remove"] {
                    let operations = json!([
                        {"op": op, "path": path, "value": "x"},
                        {"op": "replace", "path": "active", "value": false},
                    ]);
                    let body = patch_ok(client, &person, operations).await;
                    assert_eq!(body["active"], false, "{op} {path}");
                    patch_ok(client, &person, json!([{"op": "replace", "path": "active", "value": true}])).await;
                }
            }
            for path in ["shoes[", "a..b", "shoes[size]", "emails[type eq \"work\"].", "1x"] {
                let operations = json!([{"op": "add", "path": path, "value": "x"}]);
                assert_error(&client.patch(&person, &operations).await, 400, "invalidPath");
            }
            let group = client.create_group("G", &[&person]).await;
            let operations = json!([
                {"op": "add", "path": "color", "value": "red"},
                {"op": "replace", "path": "displayName", "value": "H"},
            ]);
            assert_eq!(client.patch(&group, &operations).await.0, 204);
            assert_eq!(client.get_ok(&group).await["displayName"], "H");
            assert_eq!(client.members(&group).await, [id_of(&person)]);
            client.delete(&group).await;
        })
        .await;
        let (strict, person) = strict_client(&client).await;
        for path in unknown {
            let operations = json!([{"op": "add", "path": path, "value": "x"}]);
            assert_error(&strict.patch(&person, &operations).await, 400, "invalidPath");
        }
        assert_error(&strict.post("/Users", &json!({"userName": "u", "shoeSize": 4})).await, 400, "invalidSyntax");
    });
}

#[test]
fn entra_app_roles_are_json_in_strings() {
    let admin = r#"{"id":"18d14569","value":"Admin","displayName":"Administrator"}"#;
    let user = r#"{"id":"18d14570","value":"User","displayName":"Plain"}"#;
    run_test(async |client| {
        with_tolerant_profiles(&client, async |client, person| {
            let add = json!([{"op": "Add", "path": "roles", "value": [{"value": user}]}]);
            let body = patch_ok(client, &person, add).await;
            assert_eq!(body["roles"][0]["value"], "User", "{body}");
            let part = json!([{"op": "Add", "path": "roles[primary eq \"True\"].value", "value": user}]);
            let body = patch_ok(client, &person, part).await;
            assert!(entry_values(&body["roles"]).iter().all(|role| role == "User"), "{body}");
            let text = json!([{"op": "Replace", "path": "roles", "value": [{"value": "not {json}"}]}]);
            assert_eq!(entry_values(&patch_ok(client, &person, text).await["roles"]), ["not {json}"]);
            let made = client
                .post("/Users", &json!({"userName": format!("{}-r", id_of(&person)), "roles": [{"value": user}]}))
                .await;
            assert_eq!((made.0, &made.1["roles"][0]["value"]), (201, &json!("User")), "{}", made.1);
        })
        .await;
        // JSON in a string grants no more than a plain string.
        let narrow = client.with_new_key("narrow", |new| new.highest_role = 2).await;
        let person = narrow.create_user("narrow@x.example").await;
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
        assert_eq!(narrow.get_ok(&person).await["roles"], Value::Null);
        let (strict, person) = strict_client(&client).await;
        for path in ["roles", "roles.value"] {
            let value = if path == "roles" { json!([{"value": user}]) } else { json!(user) };
            let add = json!([{"op": "add", "path": path, "value": value}]);
            assert_error(&strict.patch(&person, &add).await, 400, "invalidValue");
        }
    });
}

#[test]
fn a_stored_text_does_not_become_another_role() {
    let inner = r#"{"value":"Admin"}"#;
    let outer = json!({"value": inner}).to_string();
    run_test(async |client| {
        let narrow = client.with_new_key("narrow", |new| new.highest_role = 2).await;
        for (n, (path, value)) in
            [("roles", json!([{"value": outer}])), ("roles.value", json!(outer))].into_iter().enumerate()
        {
            let person = narrow.create_user(&format!("n{n}@x.example")).await;
            let body = patch_ok(&narrow, &person, json!([{"op": "add", "path": path, "value": value}])).await;
            assert_eq!(entry_values(&body["roles"]), [inner], "{body}");
            let add = json!([{"op": "add", "path": "roles", "value": [{"value": "viewer"}]}]);
            let body = patch_ok(&client, &person, add).await;
            assert_eq!(entry_values(&body["roles"]), [inner, "viewer"], "{body}");
            // The limited connection can change the user only if the user has no role above its ceiling.
            patch_ok(&narrow, &person, json!([{"op": "replace", "path": "title", "value": "T"}])).await;
        }
    });
}

#[test]
fn an_entry_without_value_does_not_change_the_primary() {
    let nothing = [json!({"primary": true}), json!({"type": "other", "primary": true})];
    run_test(async |client| {
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
                let body = patch_ok(&client, &person, json!([{"op": "add", "path": path, "value": [entry]}])).await;
                assert_eq!((&body["emails"], &body["addresses"]), (&sent, &address), "{path} {entry}");
            }
            let emails = json!([{"value": "c@x.example"}, {"value": "d@x.example"}, entry]);
            let (_, body) = client.put(&person, &json!({"userName": "b@x.example", "emails": emails})).await;
            assert!(entry_values(&body["emails"]) == ["c@x.example", "d@x.example"], "{body}");
            assert_eq!(body["emails"][0]["primary"], Value::Null, "{body}");
            client.put(&person, &user).await;
        }
    });
}

#[test]
fn many_long_values_are_rejected_at_once() {
    run_test(async |client| {
        // A quadratic comparison would take seconds.
        let long = "a".repeat(900);
        let many = |count: usize| (0..count).map(|n| json!({"value": format!("{long}{n}")})).collect::<Value>();
        let person = client.create_user("p@x.example").await;
        for path in ["entitlements", "emails", "photos"] {
            let user = json!({"userName": "many", path: many(1_000)});
            assert_eq!(client.post("/Users", &user).await.0, 400, "{path}");
            for op in ["add", "replace", "remove"] {
                let operations = json!([{"op": op, "path": path, "value": many(1_000)}]);
                assert_error(&client.patch(&person, &operations).await, 400, "invalidValue");
            }
        }
    });
}

#[test]
fn sub_attributes_can_be_set_before_the_value() {
    run_test(async |client| {
        with_tolerant_profiles(&client, async |client, person| {
            for (attribute, value) in
                [("emails", "w@x.example"), ("phoneNumbers", "+1"), ("entitlements", "e"), ("photos", "https://x/p")]
            {
                let value = if attribute == "emails" { format!("{}@x.example", id_of(&person)) } else { value.into() };
                let path = |part: &str| format!("{attribute}[type eq \"work\"].{part}");
                let operations = json!([
                    {"op": "add", "path": path("primary"), "value": true},
                    {"op": "add", "path": path("display"), "value": "D"},
                    {"op": "add", "path": path("value"), "value": value},
                ]);
                let body = patch_ok(client, &person, operations).await;
                let entry = &body[attribute][0];
                assert_eq!(
                    (&entry["value"], &entry["primary"], &entry["display"], &entry["type"]),
                    (&json!(value), &json!(true), &json!("D"), &json!("work")),
                    "{body}"
                );
                // An entry without a value is ignored and does not change the primary one.
                let other = format!("{attribute}[type eq \"other\"]");
                let operations = json!([
                    {"op": "add", "path": format!("{other}.primary"), "value": true},
                    {"op": "add", "path": format!("{other}.type"), "value": "other"},
                ]);
                let after = patch_ok(client, &person, operations).await;
                assert_eq!(after[attribute], body[attribute]);
            }
            let body = json!({"userName": format!("{}-v", id_of(&person)), "emails": [{"type": "work"}, {"primary": true}],
                "addresses": [{"type": "work"}]});
            let (status, made) = client.post("/Users", &body).await;
            assert_eq!((status, &made["emails"], &made["addresses"]), (201, &Value::Null, &Value::Null), "{made}");
        })
        .await;
        let (strict, person) = strict_client(&client).await;
        let operations = json!([{"op": "add", "path": "phoneNumbers[type eq \"work\"].primary", "value": true}]);
        assert_error(&strict.patch(&person, &operations).await, 400, "invalidValue");
        let then = json!([operations[0], {"op": "add", "path": "phoneNumbers[type eq \"work\"].value", "value": "+1"}]);
        assert_error(&strict.patch(&person, &then).await, 400, "invalidValue");
    });
}

#[test]
fn adding_an_existing_value_changes_nothing() {
    run_test(async |client| {
        with_tolerant_profiles(&client, async |client, person| {
            let mail = format!("{}@x.example", id_of(&person));
            let emails = json!([{"value": mail, "type": "work", "primary": true, "display": "D"}]);
            let groups = json!([{"op": "add", "path": "emails", "value": emails},
                {"op": "add", "path": "photos", "value": [{"value": "https://x/P", "type": "photo"}]}]);
            let body = patch_ok(client, &person, groups).await;
            let version = body["meta"]["version"].clone();
            for value in [
                json!([{"value": mail, "type": "work"}]),
                json!([{"value": mail.to_uppercase(), "type": "WORK"}]),
                json!([{"value": mail}]),
                json!({"value": mail, "type": "work", "primary": true}),
                json!([{"value": mail, "type": "work"}, {"value": mail.to_uppercase(), "type": "work"}]),
            ] {
                let after = patch_ok(client, &person, json!([{"op": "add", "path": "emails", "value": value}])).await;
                assert_eq!((&after["emails"], &after["meta"]["version"]), (&body["emails"], &version), "{value}");
            }
            // caseExact attributes are case-sensitive.
            let add = json!([{"op": "add", "path": "photos", "value": [{"value": "https://x/p", "type": "photo"}]}]);
            assert_eq!(entry_values(&patch_ok(client, &person, add).await["photos"]), ["https://x/P", "https://x/p"]);
            let remove = json!([{"op": "remove", "path": "photos", "value": [{"value": "https://x/p"}]}]);
            assert_eq!(entry_values(&patch_ok(client, &person, remove).await["photos"]), ["https://x/P"]);
            let remove = json!([{"op": "remove", "path": "emails", "value": [{"value": mail.to_uppercase()}]}]);
            assert!(!patch_ok(client, &person, remove).await["emails"].to_string().contains(&mail));
            let twice = json!({"userName": format!("{}-t", id_of(&person)),
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
fn a_value_path_accepts_values_in_many_forms() {
    run_test(async |client| {
        with_tolerant_profiles(&client, async |client, person| {
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
                let body = patch_ok(client, &person, json!([{"op": "add", "path": path, "value": value}])).await;
                assert_eq!(entry_values(&body["phoneNumbers"]), [format!("+{n}")], "{value}");
            }
            // A plain string sets only the value and keeps the type.
            let bare = json!([{"op": "replace", "path": path, "value": "+5"}]);
            let phones = patch_ok(client, &person, bare).await["phoneNumbers"].clone();
            assert_eq!((&phones[0]["value"], &phones[0]["type"]), (&json!("+5"), &json!("work")), "{phones}");
            let two = json!([{"op": "add", "path": path, "value": [{"value": "+5"}, {"value": "+6"}]}]);
            assert_error(&client.patch(&person, &two).await, 400, "invalidValue");
        })
        .await;
        let (strict, person) = strict_client(&client).await;
        for value in [json!([{"value": "+1"}]), json!("{\"value\": \"+2\"}"), json!("+4")] {
            let add = json!([{"op": "add", "path": "phoneNumbers[type eq \"work\"]", "value": value}]);
            assert_error(&strict.patch(&person, &add).await, 400, "invalidValue");
        }
    });
}

#[test]
fn filter_strings_can_be_unquoted() {
    run_test(async |client| {
        with_tolerant_profiles(&client, async |client, person| {
            let name = client.get_ok(&person).await["userName"].as_str().expect("a name").to_owned();
            let beginning = &name[..4];
            for filter in [
                format!("userName eq {name}"),
                format!("userName sw {beginning} and (userName co {beginning})"),
                format!("id eq {}", id_of(&person)),
                format!("not (userName ne {name})"),
            ] {
                let (status, body) = client.search(&filter).await;
                assert_eq!((status, &body["Resources"][0]["userName"]), (200, &json!(name)), "{filter}: {body}");
            }
            for filter in
                ["userName eq ", "userName eq a\"b", "userName eq a(b)", "userName gt abc", "meta.created gt x"]
            {
                assert_error(&client.search(filter).await, 400, "invalidFilter");
            }
            let path = "emails[type eq work].value";
            let mail = format!("q{}@x.example", id_of(&person));
            patch_ok(client, &person, json!([{"op": "add", "path": path, "value": mail}])).await;
        })
        .await;
        let (strict, person) = strict_client(&client).await;
        assert_error(&strict.search("userName eq abc").await, 400, "invalidFilter");
        let add = json!([{"op": "add", "path": "emails[type eq work].value", "value": "x@x.example"}]);
        assert_error(&strict.patch(&person, &add).await, 400, "invalidPath");
    });
}

#[test]
fn minor_deviations_are_tolerated() {
    run_test(async |client| {
        let boss = client.create_user("boss@x.example").await;
        with_tolerant_profiles(&client, async |client, person| {
            let one = json!({"schemas": [PATCH], "Operations": {"op": "replace", "path": "title", "value": "T"}});
            let (status, body) = client.send_json("PATCH", &person, &one).await;
            assert_eq!((status, &body["title"]), (200, &json!("T")), "{body}");
            for path in ["manager", &format!("{ENTERPRISE}.manager"), &format!("{ENTERPRISE}:manager")] {
                patch_ok(client, &person, json!([{"op": "remove", "path": path}])).await;
                let add = json!([{"op": "add", "path": path, "value": id_of(&boss)}]);
                let body = patch_ok(client, &person, add).await;
                assert_eq!(body[ENTERPRISE]["manager"]["value"], id_of(&boss), "{path}");
                let target = body[ENTERPRISE]["manager"]["$ref"].as_str().expect("a reference");
                assert!(target.ends_with(&boss), "{target}");
            }
            let mail = format!("m{}@x.example", id_of(&person));
            let body = patch_ok(client, &person, json!([{"op": "replace", "value": {"emails": mail}}])).await;
            assert_eq!(entry_values(&body["emails"]), [mail]);
            // A manager id of another system does not exist.
            let add = json!([{"op": "add", "path": "manager", "value": "E-77"}]);
            let manager = patch_ok(client, &person, add).await[ENTERPRISE]["manager"].clone();
            assert_eq!(manager, json!({"value": "E-77"}));
            for path in ["//Users", "/Users//", &format!("//Users//{}", id_of(&person))] {
                assert_eq!(client.send("GET", path, &[], "").await.status, 200, "{path}");
            }
            let head = client.send("HEAD", &person, &[], "").await;
            assert_eq!((head.status, head.header("etag").is_empty()), (200, false));
            let (_, body) = client.get(&format!("{person}?attributes=userName&attributes=title")).await;
            assert!(body["userName"].is_string() && body["title"].is_string(), "{body}");
        })
        .await;
        let (strict, person) = strict_client(&client).await;
        let one = json!({"schemas": [PATCH], "Operations": {"op": "replace", "path": "title", "value": "T"}});
        assert_error(&strict.send_json("PATCH", &person, &one).await, 400, "invalidSyntax");
        let path = format!("{ENTERPRISE}.manager");
        for operation in [
            json!({"op": "add", "path": "manager", "value": {"value": id_of(&boss)}}),
            json!({"op": "add", "path": path, "value": {"value": id_of(&boss)}}),
        ] {
            assert_error(&strict.patch(&person, &json!([operation])).await, 400, "invalidPath");
        }
        let body = json!({"userName": "b", "emails": "x@y.example"});
        assert_error(&strict.post("/Users", &body).await, 400, "invalidValue");
    });
}

#[test]
fn ten_thousand_verbose_members_fit() {
    run_test(async |client| {
        let member = |n: u32| {
            let id = format!("01890000-0000-7000-8000-{n:012}");
            json!({"value": id, "type": "User", "display": format!("Somebody With A Long Name {n}"),
                "$ref": format!("https://people.example.com/scim/v2/Users/{id}")})
        };
        let body =
            json!({"schemas": [GROUP], "displayName": "Huge", "members": (0..10_000).map(member).collect::<Vec<_>>()});
        let size = body.to_string().len();
        assert!((1_500_000..4_194_304).contains(&size), "{size}");
        // The error about missing members shows that the request was read completely.
        let answer = client.post("/Groups", &body).await;
        assert_ne!(answer.0, 413, "{}", answer.1);
        let config = client.get("/ServiceProviderConfig").await.1;
        assert_eq!(config["bulk"]["maxPayloadSize"], 4_194_304);
        let (_, schema) = client.get(&format!("/Schemas/{CORE}")).await;
        let emails = schema["attributes"].as_array().expect("a list").iter().find(|one| one["name"] == "emails");
        assert_eq!(emails.expect("found")["subAttributes"][0]["uniqueness"], "server");
        // A filter in a body may be longer than in a query.
        let filter = vec!["userName eq \"nobody@x.example\""; 300].join(" or ");
        assert!(filter.len() > 10_000);
        let (status, found) = client.post("/Users/.search", &json!({"schemas": [SEARCH], "filter": filter})).await;
        assert_eq!((status, &found["totalResults"]), (200, &json!(0)), "{found}");
        assert_error(&client.get(&format!("/Users?filter={}", percent_encode(&filter))).await, 400, "invalidFilter");
    });
}

/// Sets the status of a user as an administrator would.
async fn set_status(client: &Client, person: &str, status: RequestedStatus) {
    let edit = UserEdit { status: FieldUpdate::Set(status), ..UserEdit::default() };
    let user = UserKey::Id(directory::UserId(uuid::Uuid::try_parse(id_of(person)).expect("an id")));
    let command = Command::UpdateUser { user, edit: Box::new(edit) };
    client.app.directory().run(&client.caller, command).await.expect("changed");
}

#[test]
fn okta_recreates_deactivated_users() {
    run_test(async |client| {
        let okta = client.with_profile(Okta).await;
        let body = json!({"userName": "o@x.example", "externalId": "00u1", "title": "Old", "password": "Winter-2026-xyz",
            "emails": [{"value": "o@x.example", "primary": true}]});
        let person = okta.create("/Users", &body).await;
        let group = okta.create_group("G", &[&person]).await;
        let again = json!({"userName": "o@x.example", "externalId": "00u1", "nickName": "New",
            "emails": [{"value": "o@x.example", "primary": true}]});
        let taken = |answer: &(u16, Value)| {
            assert_error(answer, 409, "uniqueness");
            assert!(answer.1["detail"].as_str().expect("text").contains(id_of(&person)), "{}", answer.1);
        };
        taken(&okta.post("/Users", &again).await);
        for status in [directory::Status::Suspended, directory::Status::Archived] {
            set_status(&client, &person, RequestedStatus::Exact(status)).await;
            taken(&okta.post("/Users", &again).await);
        }
        set_status(&client, &person, RequestedStatus::Active).await;
        set_status(&client, &person, RequestedStatus::Exact(directory::Status::Inactive)).await;
        for profile in [Rfc, Entra, Strict] {
            taken(&client.with_profile(profile).await.post("/Users", &again).await);
        }
        assert_eq!(okta.get_ok(&person).await["active"], false);
        let (status, made) = okta.post("/Users", &again).await;
        assert_eq!((status, &made["id"]), (201, &json!(id_of(&person))), "{made}");
        assert_eq!((&made["active"], &made["nickName"], &made["title"]), (&json!(true), &json!("New"), &Value::Null));
        assert!(okta.members(&group).await.is_empty(), "as after a deletion");
        let key = UserKey::ExternalId("00u1".into());
        let user = client.app.directory().user(&client.caller, key).await.expect("found");
        assert_eq!(user.text(Field::ExternalId), Some("00u1"));
        let passwords = client.app.directory().password_hashes(&client.caller, user.number..=user.number).await;
        assert!(passwords.expect("read").is_empty(), "the old password is removed");
        // Users above the ceiling are not restored.
        let admin = json!({"userName": "admin@x.example", "externalId": "00u2", "roles": [{"value": "Admin"}]});
        let admin_path = client.with_new_key("high", |new| new.highest_role = 4).await.create("/Users", &admin).await;
        set_status(&client, &admin_path, RequestedStatus::Exact(directory::Status::Inactive)).await;
        let narrow = client.with_new_key("low", |new| (new.highest_role, new.profile) = (2, Okta)).await;
        let again = json!({"userName": "admin@x.example", "externalId": "00u2"});
        assert_eq!(narrow.post("/Users", &again).await.0, 403);
        assert_eq!(okta.get_ok(&admin_path).await["active"], false);
        // Another tenant's user does not exist here.
        let (status, body) = client.of_other_tenant().await.post("/Users", &again).await;
        assert_eq!(status, 201, "{body}");
    });
}
