//! One test for each row of the table "What identity providers send" of `spec/scim.md`. The rows about `startIndex` and
//! `count` are in `paging.rs`; the row about `members` with a list of values is also in `groups.rs`.

use super::{
    CORE, Client, ENTERPRISE, GROUP, MUSTER_EXTENSION, PATCH, SEARCH, assert_error, assert_total, email_of_type,
    entry_values, id_of, ids, percent_encode, scim, value_of_type,
};
use serde_json::{Value, json};

#[test]
fn a_query_that_matches_nothing_is_200_with_total_0() {
    scim(async |client| {
        for target in ["/Users", "/Groups"] {
            assert_total(&client.get(target).await, 0);
            let attribute = if target == "/Users" { "userName" } else { "displayName" };
            let filter = percent_encode(&format!("{attribute} eq \"no-such-one@x.example\""));
            let answer = client.get(&format!("{target}?filter={filter}")).await;
            assert_total(&answer, 0);
            let rows = &answer.1["Resources"];
            assert!(rows.is_null() || rows == &json!([]), "{rows}");
            assert_eq!(answer.1["itemsPerPage"], 0, "{}", answer.1);
        }
    });
}

#[test]
fn a_user_name_that_differs_only_in_case_is_the_same_user() {
    scim(async |client| {
        client.create_user("Babs@X.example").await;
        let before = client.event_count().await;
        let answer = client.post("/Users", &json!({"schemas": [CORE], "userName": "bABS@x.EXAMPLE"})).await;
        assert_error(&answer, 409, "uniqueness");
        assert_eq!(client.event_count().await, before, "nothing changed");
        let (_, list) = client.search("userName eq \"babs@x.example\"").await;
        assert_eq!(super::user_names(&list), ["Babs@X.example"], "the original case is kept");
    });
}

#[test]
fn active_as_a_text_is_a_boolean_in_patch() {
    scim(async |client| {
        let path = client.create_user("a@x.example").await;
        for (text, wanted) in [("False", false), ("True", true), ("false", false), ("true", true)] {
            let operations = json!([{"op": "replace", "path": "active", "value": text}]);
            let (status, user) = client.patch(&path, &operations).await;
            assert_eq!((status, &user["active"]), (200, &json!(wanted)), "{text}: {user}");
            let operations = json!([{"op": "replace", "value": {"active": text}}]);
            let (status, user) = client.patch(&path, &operations).await;
            assert_eq!((status, &user["active"]), (200, &json!(wanted)), "without path, {text}: {user}");
            assert_eq!(client.get_ok(&path).await["active"], wanted);
        }
    });
}

#[test]
fn active_as_a_text_is_a_boolean_in_put_and_post() {
    scim(async |client| {
        let body = |active: &str| json!({"schemas": [CORE], "userName": "a@x.example", "active": active});
        let path = client.create("/Users", &body("False")).await;
        assert_eq!(client.get_ok(&path).await["active"], false);
        for (text, wanted) in [("True", true), ("False", false)] {
            let (status, user) = client.put(&path, &body(text)).await;
            assert_eq!((status, &user["active"]), (200, &json!(wanted)), "{user}");
            assert_eq!(client.get_ok(&path).await["active"], wanted);
        }
    });
}

#[test]
fn patch_without_path_with_dotted_keys_sets_those_attributes() {
    scim(async |client| {
        let path = client.create_user("a@x.example").await;
        client.patch(&path, &json!([{"op": "add", "path": "name.familyName", "value": "Lee"}])).await;
        let operations = json!([{"op": "replace", "value": {
            "displayName": "Ann", "name.givenName": "Ann", "emails[type eq \"work\"].value": "ann@x.example"}}]);
        let (status, user) = client.patch(&path, &operations).await;
        assert_eq!(status, 200, "{user}");
        let user = client.get_ok(&path).await;
        assert_eq!(user["displayName"], "Ann");
        assert_eq!((&user["name"]["givenName"], &user["name"]["familyName"]), (&json!("Ann"), &json!("Lee")));
        assert_eq!(email_of_type(&user, "work"), "ann@x.example");
        assert_eq!(entry_values(&user["emails"]).len(), 1, "{user}");
    });
}

#[test]
fn patch_without_path_with_urn_keys_sets_those_attributes() {
    scim(async |client| {
        let path = client.create_user("a@x.example").await;
        let mut value = json!({});
        value[format!("{ENTERPRISE}:department")] = json!("Sales");
        value[format!("{MUSTER_EXTENSION}:metadata")] = json!("a=1");
        value[format!("{CORE}:title")] = json!("Guide");
        let (status, user) = client.patch(&path, &json!([{"op": "Add", "value": value}])).await;
        assert_eq!(status, 200, "{user}");
        let mut value = json!({});
        value[ENTERPRISE] = json!({"costCenter": "4130"});
        let (status, user) = client.patch(&path, &json!([{"op": "Add", "value": value}])).await;
        assert_eq!(status, 200, "{user}");
        let user = client.get_ok(&path).await;
        assert_eq!(user[ENTERPRISE], json!({"department": "Sales", "costCenter": "4130"}), "{user}");
        assert_eq!((&user[MUSTER_EXTENSION]["metadata"], &user["title"]), (&json!("a=1"), &json!("Guide")), "{user}");
    });
}

#[test]
fn patch_op_in_any_case_is_accepted() {
    scim(async |client| {
        let path = client.create_user("a@x.example").await;
        for (op, value) in [("Add", "1"), ("ADD", "2"), ("Replace", "3"), ("rEPLACE", "4")] {
            let operations = json!([{"op": op, "path": "title", "value": value}]);
            let (status, user) = client.patch(&path, &operations).await;
            assert_eq!((status, &user["title"]), (200, &json!(value)), "{op}: {user}");
        }
        let (status, user) = client.patch(&path, &json!([{"op": "Remove", "path": "title"}])).await;
        assert_eq!((status, user.get("title")), (200, None), "{user}");
        let (status, body) = client.patch(&path, &json!([{"op": "Nope", "path": "title"}])).await;
        assert_eq!(status, 400, "{body}");
    });
}

#[test]
fn patch_add_on_a_value_path_without_such_a_value_creates_it() {
    scim(async |client| {
        let path = client.create("/Users", &json!({"schemas": [CORE], "userName": "a@x.example"})).await;
        let operations = json!([
            {"op": "add", "path": "emails[type eq \"work\"].value", "value": "work@x.example"},
            {"op": "add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "+44 20 7946 0000"},
            {"op": "add", "path": "addresses[type eq \"work\"].locality", "value": "London"},
        ]);
        let (status, user) = client.patch(&path, &operations).await;
        assert_eq!(status, 200, "{user}");
        let user = client.get_ok(&path).await;
        assert_eq!(email_of_type(&user, "work"), "work@x.example");
        assert_eq!(value_of_type(&user["phoneNumbers"], "mobile"), "+44 20 7946 0000");
        assert_eq!(
            (&user["addresses"][0]["type"], &user["addresses"][0]["locality"]),
            (&json!("work"), &json!("London"))
        );
    });
}

#[test]
fn patch_replace_on_a_value_path_without_such_a_value_creates_it() {
    scim(async |client| {
        let body = json!({"schemas": [CORE], "userName": "a@x.example",
            "emails": [{"type": "home", "value": "home@x.example", "primary": true}]});
        let path = client.create("/Users", &body).await;
        let operations = json!([
            {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "work@x.example"}]);
        let (status, user) = client.patch(&path, &operations).await;
        assert_eq!(status, 200, "{user}");
        let user = client.get_ok(&path).await;
        assert_eq!(email_of_type(&user, "work"), "work@x.example");
        assert_eq!(email_of_type(&user, "home"), "home@x.example", "the other value is unchanged");
        // An existing value is changed.
        let operations = json!([
            {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "new@x.example"}]);
        client.patch(&path, &operations).await;
        let user = client.get_ok(&path).await;
        assert_eq!(
            (email_of_type(&user, "work"), entry_values(&user["emails"]).len()),
            (&json!("new@x.example"), 2),
            "{user}"
        );
    });
}

/// Creates a group of three users; returns its path and theirs.
async fn create_group_of_three(client: &Client) -> (String, [String; 3]) {
    let people = [
        client.create_user("a@x.example").await,
        client.create_user("b@x.example").await,
        client.create_user("c@x.example").await,
    ];
    let group = client.create_group("Tours", &people.each_ref()).await;
    (group, people)
}

#[test]
fn patch_remove_of_members_with_a_value_list_removes_those_only() {
    scim(async |client| {
        let (group, [a, b, c]) = create_group_of_three(&client).await;
        let operations = json!([
            {"op": "Remove", "path": "members", "value": [{"value": id_of(&a)}, {"value": id_of(&c)}]}]);
        assert_eq!(client.patch(&group, &operations).await.0, 204);
        assert_eq!(client.members(&group).await, ids(&[&b]));
        // Without a list, all members are removed.
        assert_eq!(client.patch(&group, &json!([{"op": "remove", "path": "members"}])).await.0, 204);
        assert!(client.members(&group).await.is_empty());
    });
}

#[test]
fn patch_remove_of_one_member_by_filter_removes_that_member() {
    scim(async |client| {
        let (group, [a, b, c]) = create_group_of_three(&client).await;
        let remove = |path: &str| json!([{"op": "remove", "path": format!("members[value eq \"{}\"]", id_of(path))}]);
        assert_eq!(client.patch(&group, &remove(&b)).await.0, 204);
        assert_eq!(client.members(&group).await, ids(&[&a, &c]));
    });
}

#[test]
fn patch_remove_of_a_non_member_is_no_error() {
    scim(async |client| {
        let (group, [a, b, c]) = create_group_of_three(&client).await;
        let outsider = client.create_user("d@x.example").await;
        for nobody in [id_of(&outsider), super::UNKNOWN_ID, "not-an-id"] {
            let operations = json!([{"op": "remove", "path": format!("members[value eq \"{nobody}\"]")}]);
            let (status, body) = client.patch(&group, &operations).await;
            assert!(status == 204 || status == 200, "{nobody}: {status} {body}");
        }
        let operations = json!([{"op": "remove", "path": "members", "value": [{"value": id_of(&outsider)}]}]);
        let (status, body) = client.patch(&group, &operations).await;
        assert!(status == 204 || status == 200, "{status} {body}");
        assert_eq!(client.members(&group).await, ids(&[&a, &b, &c]));
    });
}

#[test]
fn enterprise_manager_as_a_bare_string_is_the_managers_id() {
    scim(async |client| {
        let (path, boss) = (client.create_user("a@x.example").await, client.create_user("boss@x.example").await);
        let other = client.create_user("other@x.example").await;
        let manager = async || client.get_ok(&path).await[ENTERPRISE]["manager"]["value"].clone();
        let target = format!("{ENTERPRISE}:manager");
        let operations = json!([{"op": "Add", "path": target, "value": id_of(&boss)}]);
        assert_eq!(client.patch(&path, &operations).await.0, 200);
        assert_eq!(manager().await, id_of(&boss));
        let operations = json!([{"op": "Replace", "path": target, "value": id_of(&other)}]);
        assert_eq!(client.patch(&path, &operations).await.0, 200);
        assert_eq!(manager().await, id_of(&other));
        let mut body = json!({"schemas": [CORE, ENTERPRISE], "userName": "a@x.example"});
        body[ENTERPRISE] = json!({"manager": id_of(&boss)});
        let (status, user) = client.put(&path, &body).await;
        assert_eq!(status, 200, "{user}");
        assert_eq!(manager().await, id_of(&boss));
        let operations = json!([{"op": "Remove", "path": target}]);
        assert_eq!(client.patch(&path, &operations).await.0, 200);
        assert_eq!(manager().await, Value::Null);
    });
}

#[test]
fn a_garbage_path_is_400_invalid_path_and_nothing_changes() {
    scim(async |client| {
        let (user, group) = (client.create_user("a@x.example").await, client.create_group("Tours", &[]).await);
        let before = (client.get_ok(&user).await, client.get_ok(&group).await, client.event_count().await);
        for target in [&user, &group] {
            for garbage in
                ["nope[", "emails[type eq", "emails[type eq \"work\"", "name..familyName", "[", "a b", "members]"]
            {
                for op in ["add", "replace", "remove"] {
                    let operations = json!([{"op": op, "path": garbage, "value": "x"}]);
                    assert_error(&client.patch(target, &operations).await, 400, "invalidPath");
                }
            }
        }
        assert_eq!((client.get_ok(&user).await, client.get_ok(&group).await, client.event_count().await), before);
    });
}

#[test]
fn one_invalid_operation_makes_the_patch_change_nothing() {
    scim(async |client| {
        let (group, [a, ..]) = create_group_of_three(&client).await;
        let outsider = client.create_user("d@x.example").await;
        let before = (client.get_ok(&a).await, client.get_ok(&group).await, client.event_count().await);
        let good = json!({"op": "add", "path": "displayName", "value": "New"});
        for bad in [
            json!({"op": "add", "path": "nope[", "value": "x"}),
            json!({"op": "jump", "path": "displayName", "value": "x"}),
            json!({"op": "replace", "path": "id", "value": super::UNKNOWN_ID}),
            json!({"op": "remove"}),
        ] {
            for target in [&a, &group] {
                for operations in [json!([good, bad]), json!([bad, good]), json!([good, bad, good])] {
                    let (status, body) = client.patch(target, &operations).await;
                    assert_eq!(status, 400, "{operations}: {body}");
                }
            }
        }
        let members = json!({"op": "add", "path": "members", "value": [{"value": id_of(&outsider)}]});
        let (status, _) = client.patch(&group, &json!([members, {"op": "add", "path": "nope[", "value": 1}])).await;
        assert_eq!(status, 400);
        let taken = json!({"op": "replace", "path": "userName", "value": "b@x.example"});
        assert_error(&client.patch(&a, &json!([good, taken])).await, 409, "uniqueness");
        assert_eq!((client.get_ok(&a).await, client.get_ok(&group).await, client.event_count().await), before);
    });
}

#[test]
fn a_deleted_user_with_the_same_names_can_be_created_again() {
    scim(async |client| {
        let body = json!({"schemas": [CORE], "userName": "a@x.example", "externalId": "e-1",
            "emails": [{"type": "work", "value": "a@x.example", "primary": true}]});
        for again in [
            body.clone(),
            json!({"schemas": [CORE], "userName": "A@X.example"}),
            json!({"schemas": [CORE], "userName": "b@x.example", "externalId": "e-1"}),
            body.clone(),
        ] {
            let path = client.create("/Users", &body).await;
            assert_eq!(client.delete(&path).await.0, 204);
            let path = client.create("/Users", &again).await;
            let user = client.get_ok(&path).await;
            assert_eq!((&user["userName"], &user["active"]), (&again["userName"], &json!(true)), "{user}");
            assert_total(&client.get("/Users").await, 1);
            assert_eq!(client.delete(&path).await.0, 204);
            assert_eq!(client.get(&path).await.0, 404);
        }
    });
}

#[test]
fn excluded_members_are_omitted_from_groups() {
    scim(async |client| {
        let (group, people) = create_group_of_three(&client).await;
        for target in [
            format!("{group}?excludedAttributes=members"),
            format!("{group}?excludedAttributes=Members"),
            format!("{group}?excludedAttributes={GROUP}:members"),
        ] {
            let body = client.get_ok(&target).await;
            assert!(body.get("members").is_none(), "{body}");
            assert_eq!(body["displayName"], "Tours");
        }
        let list = client.get_ok("/Groups?excludedAttributes=members").await;
        assert!(list["Resources"][0].get("members").is_none(), "{list}");
        let search = json!({"schemas": [SEARCH], "excludedAttributes": ["members"]});
        let (_, list) = client.post("/Groups/.search", &search).await;
        assert_eq!((&list["totalResults"], list["Resources"][0].get("members")), (&json!(1), None), "{list}");
        assert_eq!(client.members(&group).await, ids(&people.each_ref()), "the members are unchanged");
    });
}

#[test]
fn a_password_is_never_returned() {
    scim(async |client| {
        let secret = "correct horse battery";
        let body = json!({"schemas": [CORE], "userName": "a@x.example", "password": secret});
        let (status, user) = client.post("/Users?attributes=password", &body).await;
        assert_eq!(status, 201, "{user}");
        let path = format!("/Users/{}", user["id"].as_str().expect("an id"));
        let patch = json!([{"op": "replace", "path": "password", "value": "another secret phrase"}]);
        let search = json!({"schemas": [SEARCH], "attributes": ["password", "userName"]});
        for (status, body) in [
            (201, user),
            client.put(&path, &body).await,
            client.patch(&path, &patch).await,
            client.get(&path).await,
            client.get(&format!("{path}?attributes=password")).await,
            client.get(&format!("/Users?attributes=password,{CORE}:password")).await,
            client.post("/Users/.search", &search).await,
        ] {
            assert!(status == 200 || status == 201, "{body}");
            let text = body.to_string();
            assert!(!text.contains("password") && !text.contains("horse") && !text.contains("argon"), "{text}");
            assert!(!text.contains("phrase"), "{text}");
        }
    });
}

#[test]
fn a_password_is_never_filterable() {
    scim(async |client| {
        let body = json!({"schemas": [CORE], "userName": "a@x.example", "password": "correct horse"});
        client.create("/Users", &body).await;
        for filter in
            ["password pr", "password eq \"correct horse\"", "not (password pr)", "title pr or PassWord sw \"c\""]
        {
            assert_error(&client.search(filter).await, 400, "invalidFilter");
        }
        assert_error(&client.search(&format!("{CORE}:password pr")).await, 400, "invalidFilter");
    });
}

#[test]
fn put_without_an_id_or_with_another_meta_is_accepted() {
    scim(async |client| {
        let path = client.create_user("a@x.example").await;
        let before = client.get_ok(&path).await;
        let mut body = json!({"schemas": [CORE], "userName": "a@x.example", "title": "One"});
        let (status, user) = client.put(&path, &body).await;
        assert_eq!((status, &user["title"], &user["id"]), (200, &json!("One"), &json!(id_of(&path))), "{user}");
        body["title"] = json!("Two");
        body["meta"] = json!({"resourceType": "Nope", "created": "1999-01-01T00:00:00Z", "version": "W/\"0\"",
            "location": "https://elsewhere.example/Users/1", "lastModified": "1999-01-01T00:00:00Z"});
        body["groups"] = json!([{"value": super::UNKNOWN_ID}]);
        let (status, user) = client.put(&path, &body).await;
        assert_eq!((status, &user["title"]), (200, &json!("Two")), "{user}");
        for part in ["resourceType", "created", "location"] {
            assert_eq!(user["meta"][part], before["meta"][part], "{part} is set by the server");
        }
        // RFC 7644 §3.5.1: values of readOnly attributes are ignored.
        body["id"] = json!(super::UNKNOWN_ID);
        let (status, user) = client.put(&path, &body).await;
        assert_eq!((status, &user["id"]), (200, &json!(id_of(&path))), "{user}");
        let group = client.create_group("Tours", &[]).await;
        let body = json!({"schemas": [GROUP], "displayName": "Trips", "meta": {"version": "W/\"0\""}});
        assert_eq!(client.put(&group, &body).await.0, 200);
        assert_eq!(client.get_ok(&group).await["displayName"], "Trips");
    });
}

#[test]
fn malformed_json_is_400_invalid_syntax() {
    scim(async |client| {
        let (user, group) = (client.create_user("a@x.example").await, client.create_group("Tours", &[]).await);
        let before = client.event_count().await;
        for (method, target) in [
            ("POST", "/Users"),
            ("POST", "/Groups"),
            ("PUT", &user),
            ("PATCH", &user),
            ("PUT", &group),
            ("PATCH", &group),
            ("POST", "/Bulk"),
            ("POST", "/Users/.search"),
            ("POST", "/.search"),
        ] {
            for body in ["{\"schemas\": [", "{\"userName\": \"b@x.example\"", "nonsense", "[]", "\"text\"", "{} {}"] {
                let answer = client.send(method, target, &[], body).await;
                assert_eq!(answer.status, 400, "{method} {target} {body}: {}", answer.text);
                assert_error(&(answer.status, answer.json()), 400, "invalidSyntax");
            }
        }
        let no_operations = json!({"schemas": [PATCH]});
        let answer = client.send("PATCH", &user, &[], &no_operations.to_string()).await;
        assert_error(&(answer.status, answer.json()), 400, "invalidSyntax");
        assert_eq!(client.event_count().await, before, "nothing changed");
    });
}
