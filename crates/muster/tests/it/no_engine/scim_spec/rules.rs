//! Rules of RFC 7643 and RFC 7644 behind the rows of `spec/scim.md`, and of the Muster extension: PATCH of one of
//! several values, read-only attributes, and read-only keys.

use super::{
    CORE, Client, ENTERPRISE, MUSTER_EXTENSION, SEARCH, assert_error, assert_members_among, assert_total,
    email_of_type, entry_values, id_of, scim, user_names,
};
use directory::Access;
use serde_json::{Value, json};

/// Creates a user with two emails, the first of them primary.
async fn user_with_two_emails(client: &Client) -> String {
    let body = json!({"schemas": [CORE], "userName": "a@x.example", "emails": [
        {"type": "work", "value": "work@x.example", "primary": true},
        {"type": "home", "value": "home@x.example"}]});
    client.create("/Users", &body).await
}

/// The values of the primary entries.
fn primary_values(plural: &Value) -> Vec<String> {
    let all = plural.as_array().expect("a list").iter().filter(|each| each["primary"] == true);
    all.map(|each| each["value"].as_str().expect("a text").to_owned()).collect()
}

#[test]
fn a_new_primary_value_takes_over_from_the_old_one() {
    scim(async |client| {
        let path = user_with_two_emails(&client).await;
        let value = json!([{"type": "other", "value": "new@x.example", "primary": true}]);
        client.patch(&path, &json!([{"op": "add", "path": "emails", "value": value}])).await;
        let user = client.get_ok(&path).await;
        assert_eq!(entry_values(&user["emails"]).len(), 3, "{user}");
        assert_eq!(primary_values(&user["emails"]), ["new@x.example"], "{user}");
        let operations = json!([{"op": "replace", "path": "emails[type eq \"home\"].primary", "value": true}]);
        client.patch(&path, &operations).await;
        assert_eq!(primary_values(&client.get_ok(&path).await["emails"]), ["home@x.example"]);
    });
}

#[test]
fn adding_an_existing_value_changes_nothing() {
    scim(async |client| {
        let path = user_with_two_emails(&client).await;
        let before = client.get_ok(&path).await;
        for operations in [
            json!([{"op": "add", "path": "emails", "value": [{"type": "home", "value": "home@x.example"}]}]),
            json!([{"op": "add", "path": "userName", "value": "a@x.example"}]),
            json!([{"op": "replace", "path": "active", "value": true}]),
        ] {
            let (status, body) = client.patch(&path, &operations).await;
            assert_eq!(status, 200, "{body}");
            // RFC 7644 §3.5.2.1: neither a second value nor a new modification time.
            assert_eq!(client.get_ok(&path).await, before, "{operations}");
        }
    });
}

#[test]
fn a_value_path_replaces_and_removes_whole_values() {
    scim(async |client| {
        let path = user_with_two_emails(&client).await;
        let value = json!({"type": "home", "value": "h2@x.example", "display": "At home"});
        let operations = json!([{"op": "replace", "path": "emails[type eq \"home\"]", "value": value}]);
        assert_eq!(client.patch(&path, &operations).await.0, 200);
        let user = client.get_ok(&path).await;
        assert_eq!(
            (email_of_type(&user, "home"), email_of_type(&user, "work")),
            (&json!("h2@x.example"), &json!("work@x.example"))
        );
        let operations = json!([{"op": "remove", "path": "emails[type eq \"home\" and value ew \"x.example\"]"}]);
        assert_eq!(client.patch(&path, &operations).await.0, 200);
        assert_eq!(entry_values(&client.get_ok(&path).await["emails"]), ["work@x.example"]);
    });
}

#[test]
fn operations_see_earlier_operations() {
    scim(async |client| {
        let path = client.create("/Users", &json!({"schemas": [CORE], "userName": "a@x.example"})).await;
        let operations = json!([
            {"op": "add", "path": "emails", "value": [{"type": "work", "value": "one@x.example"}]},
            {"op": "replace", "path": "emails[type eq \"work\"].value", "value": "two@x.example"},
            {"op": "add", "path": "title", "value": "One"},
            {"op": "remove", "path": "title"},
        ]);
        let (status, user) = client.patch(&path, &operations).await;
        assert_eq!(
            (status, email_of_type(&user, "work"), user.get("title")),
            (200, &json!("two@x.example"), None),
            "{user}"
        );
    });
}

#[test]
fn attribute_names_in_bodies_and_paths_are_in_any_case() {
    scim(async |client| {
        let body = json!({"schemas": [CORE], "USERNAME": "a@x.example", "Name": {"GIVENNAME": "Ann"}});
        let path = client.create("/Users", &body).await;
        let user = client.get_ok(&path).await;
        assert_eq!((&user["userName"], &user["name"]["givenName"]), (&json!("a@x.example"), &json!("Ann")), "{user}");
        let target = format!("{}:DEPARTMENT", ENTERPRISE.to_uppercase());
        let operations = json!([
            {"op": "add", "path": "NAME.FamilyName", "value": "Lee"},
            {"op": "add", "path": target, "value": "Sales"},
            {"op": "add", "value": {"TITLE": "Guide"}},
        ]);
        let (status, user) = client.patch(&path, &operations).await;
        assert_eq!(
            (status, &user["title"], &user["name"]["familyName"]),
            (200, &json!("Guide"), &json!("Lee")),
            "{user}"
        );
        assert_eq!(user[ENTERPRISE]["department"], "Sales", "{user}");
    });
}

#[test]
fn a_full_urn_is_a_path() {
    scim(async |client| {
        let path = user_with_two_emails(&client).await;
        let operations = json!([
            {"op": "add", "path": format!("{CORE}:name.familyName"), "value": "Lee"},
            {"op": "replace", "path": format!("{CORE}:emails[type eq \"home\"].value"), "value": "h2@x.example"},
            {"op": "add", "path": ENTERPRISE, "value": {"department": "Sales", "costCenter": "1"}},
        ]);
        let (status, user) = client.patch(&path, &operations).await;
        assert_eq!((status, &user["name"]["familyName"]), (200, &json!("Lee")), "{user}");
        assert_eq!(email_of_type(&user, "home"), "h2@x.example", "{user}");
        assert_eq!(user[ENTERPRISE], json!({"department": "Sales", "costCenter": "1"}));
        let (_, user) = client.patch(&path, &json!([{"op": "remove", "path": ENTERPRISE}])).await;
        assert!(user.get(ENTERPRISE).is_none(), "{user}");
        assert!(!user["schemas"].as_array().expect("schemas").contains(&json!(ENTERPRISE)), "{user}");
    });
}

#[test]
fn removing_active_deactivates_and_unassigns() {
    scim(async |client| {
        let path = client.create_user("a@x.example").await;
        let (status, user) = client.patch(&path, &json!([{"op": "remove", "path": "active"}])).await;
        assert_eq!((status, user.get("active")), (200, None), "{user}");
        let asked = client.get_ok(&format!("{path}?attributes={MUSTER_EXTENSION}:status")).await;
        assert_ne!(asked[MUSTER_EXTENSION]["status"], "active", "{asked}");
        let (_, user) = client.patch(&path, &json!([{"op": "add", "path": "active", "value": true}])).await;
        assert_eq!(user["active"], true);
    });
}

#[test]
fn folders_and_numbers_are_read_only() {
    scim(async |client| {
        let path = client.create_user("a@x.example").await;
        let before = client.event_count().await;
        for name in ["folders", "number"] {
            let value = if name == "number" { json!(99) } else { json!([{"value": "Inbox"}]) };
            let operations = json!([{"op": "add", "path": format!("{MUSTER_EXTENSION}:{name}"), "value": value}]);
            assert_error(&client.patch(&path, &operations).await, 400, "mutability");
        }
        assert_eq!(client.event_count().await, before, "nothing changed");
        let mut body = json!({"schemas": [CORE, MUSTER_EXTENSION], "userName": "a@x.example"});
        body[MUSTER_EXTENSION] = json!({"number": 99});
        assert_eq!(client.put(&path, &body).await.0, 200, "ignored in a PUT");
        let asked = client.get_ok(&format!("{path}?attributes={MUSTER_EXTENSION}:number")).await;
        assert_eq!(asked[MUSTER_EXTENSION], json!({"number": 1}));
    });
}

#[test]
fn put_clears_unmentioned_attributes() {
    scim(async |client| {
        let mut body = json!({"schemas": [CORE, ENTERPRISE, MUSTER_EXTENSION], "userName": "a@x.example", "title": "T",
            "externalId": "e", "active": false,
            "emails": [{"type": "work", "value": "w@x.example"}]});
        body[ENTERPRISE] = json!({"department": "Sales"});
        body[MUSTER_EXTENSION] = json!({"metadata": "a=1", "customLinks": "Home=https://x.example/"});
        let path = client.create("/Users", &body).await;
        // The specification is ambiguous about omitted extensions, so include it.
        let mut whole = json!({"schemas": [CORE, MUSTER_EXTENSION], "userName": "b@x.example"});
        whole[MUSTER_EXTENSION] = json!({"metadata": "b=2"});
        let (status, user) = client.put(&path, &whole).await;
        assert_eq!(status, 200, "{user}");
        for name in ["title", "externalId", "emails", ENTERPRISE] {
            assert!(user.get(name).is_none(), "{name}: {user}");
        }
        assert_eq!(user[MUSTER_EXTENSION], json!({"metadata": "b=2"}), "{user}");
        assert_eq!(user["userName"], "b@x.example");
    });
}

#[test]
fn a_read_only_key_can_search_and_changes_nothing() {
    scim(async |client| {
        let path = client.create_user("a@x.example").await;
        let reader = client.with_new_key("reader", |new| new.access = Access::ReadOnly).await;
        let before = client.event_count().await;
        assert_eq!(reader.get(&path).await.0, 200);
        let found = reader.post("/Users/.search", &json!({"schemas": [SEARCH]})).await;
        assert_total(&found, 1);
        assert_eq!(user_names(&found.1), ["a@x.example"]);
        let bulk = json!({"schemas": [super::BULK], "Operations": [{"method": "DELETE", "path": path}]});
        let operations = json!([{"op": "add", "path": "title", "value": "T"}]);
        let body = json!({"schemas": [CORE], "userName": "b@x.example"});
        for answer in [
            reader.post("/Users", &body).await,
            reader.put(&path, &body).await,
            reader.patch(&path, &operations).await,
            reader.delete(&path).await,
            reader.post("/Bulk", &bulk).await,
        ] {
            assert_error(&answer, 403, "");
        }
        assert_eq!(client.event_count().await, before, "nothing changed");
    });
}

#[test]
fn a_manager_is_shown_by_id_and_reference() {
    scim(async |client| {
        let (path, boss) = (client.create_user("a@x.example").await, client.create_user("boss@x.example").await);
        let manager = json!({"value": id_of(&boss)});
        let operations = json!([{"op": "add", "path": format!("{ENTERPRISE}:manager"), "value": manager}]);
        assert_eq!(client.patch(&path, &operations).await.0, 200);
        let shown = client.get_ok(&path).await[ENTERPRISE]["manager"].clone();
        assert_members_among(&shown, &["value", "$ref", "displayName"]);
        assert_eq!(shown["value"], id_of(&boss));
        assert!(shown["$ref"].as_str().is_none_or(|place| place.ends_with(&boss)), "{shown}");
        assert_eq!(client.found_initials(&format!("{ENTERPRISE}:manager.value eq \"{}\"", id_of(&boss))).await, "a");
    });
}
