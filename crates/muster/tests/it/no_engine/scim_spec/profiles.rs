//! The section "Compatibility profile" of `spec/scim.md`: requests that `strict` rejects and the other profiles accept,
//! and that nothing else depends on the profile.

use super::{CORE, Client, ENTERPRISE, GROUP, MUSTER_EXTENSION, assert_error, email_of_type, id_of, scim};
use directory::ClientProfile::{Entra, Okta, Rfc, Strict};
use serde_json::{Value, json};

/// Bodies with unknown attributes in different places.
fn unknown_attributes(name: &str) -> [Value; 3] {
    let plain = json!({"schemas": [CORE], "userName": name, "shoeSize": 43});
    let below = json!({"schemas": [CORE], "userName": name, "name": {"givenName": "A", "nope": "x"}});
    let mut extension = json!({"schemas": [CORE, ENTERPRISE], "userName": name});
    extension[ENTERPRISE] = json!({"nope": "x"});
    [plain, below, extension]
}

#[test]
fn strict_rejects_patch_without_a_path() {
    scim(async |client| {
        let strict = client.with_profile(Strict).await;
        let (user, group) = (client.create_user("a@x.example").await, client.create_group("Tours", &[]).await);
        let before = (client.get_ok(&user).await, client.get_ok(&group).await, client.event_count().await);
        for target in [&user, &group] {
            for op in ["add", "replace"] {
                let operations = json!([{"op": op, "value": {"displayName": "New"}}]);
                assert_error(&strict.patch(target, &operations).await, 400, "invalidSyntax");
            }
        }
        assert_eq!((client.get_ok(&user).await, client.get_ok(&group).await, client.event_count().await), before);
    });
}

#[test]
fn strict_rejects_unknown_attributes() {
    scim(async |client| {
        let strict = client.with_profile(Strict).await;
        let user = client.create_user("a@x.example").await;
        let before = client.event_count().await;
        for body in unknown_attributes("b@x.example") {
            assert_error(&strict.post("/Users", &body).await, 400, "invalidSyntax");
            assert_error(&strict.put(&user, &body).await, 400, "invalidSyntax");
        }
        let body = json!({"schemas": [GROUP], "displayName": "Tours", "colour": "red"});
        assert_error(&strict.post("/Groups", &body).await, 400, "invalidSyntax");
        let name = json!([{"op": "replace", "path": "name", "value": {"givenName": "A", "nope": "x"}}]);
        assert_error(&strict.patch(&user, &name).await, 400, "invalidSyntax");
        assert_eq!(client.event_count().await, before, "nothing changed");
    });
}

#[test]
fn the_other_profiles_accept_patch_without_a_path() {
    scim(async |client| {
        let user = client.create_user("a@x.example").await;
        for profile in [Rfc, Entra, Okta] {
            let with = client.with_profile(profile).await;
            let title = format!("{profile:?}");
            let (status, body) = with.patch(&user, &json!([{"op": "replace", "value": {"title": title}}])).await;
            assert_eq!((status, &body["title"]), (200, &json!(title)), "{body}");
        }
    });
}

#[test]
fn the_other_profiles_accept_unknown_attributes_and_keep_the_known_ones() {
    scim(async |client| {
        for profile in [Rfc, Entra, Okta] {
            let with = client.with_profile(profile).await;
            for (at, body) in unknown_attributes("x").into_iter().enumerate() {
                let mut body = body;
                body["userName"] = json!(format!("{profile:?}{at}@x.example"));
                let path = with.create("/Users", &body).await;
                let user = with.get_ok(&path).await;
                assert_eq!(user["userName"], body["userName"]);
                assert!(user.get("shoeSize").is_none(), "{user}");
                assert_eq!(with.put(&path, &body).await.0, 200);
            }
        }
    });
}

#[test]
fn rfc_is_the_default() {
    scim(async |client| {
        let user = client.create_user("a@x.example").await;
        let plain = client.with_new_key("plain", |_| {}).await;
        let (status, body) = plain.patch(&user, &json!([{"op": "Replace", "value": {"title": "T"}}])).await;
        assert_eq!((status, &body["title"]), (200, &json!("T")), "{body}");
        assert_eq!(directory::ClientProfile::default(), Rfc);
    });
}

/// Sends requests that all profiles answer equally; returns the responses without values that differ between runs.
async fn run_requests(client: &Client) -> Vec<String> {
    let boss = client.create_user("boss@x.example").await;
    let user = client.create_user("a@x.example").await;
    let group = client.create_group("Tours", &[&user]).await;
    let manager = format!("{ENTERPRISE}:manager");
    let mut whole =
        json!({"schemas": [CORE, ENTERPRISE, MUSTER_EXTENSION], "userName": "a@x.example", "active": "False"});
    whole[MUSTER_EXTENSION] = json!({"metadata": "a=1"});
    let emails = "emails[type eq \"work\"].value";
    let answers = [
        client.put(&user, &whole).await,
        client.patch(&user, &json!([{"op": "Replace", "path": "active", "value": "True"}])).await,
        client.patch(&user, &json!([{"op": "Add", "path": emails, "value": "w@x.example"}])).await,
        client.patch(&user, &json!([{"op": "add", "path": manager, "value": {"value": id_of(&boss)}}])).await,
        client.patch(&user, &json!([{"op": "add", "path": "nope[", "value": 1}])).await,
        client.patch(&group, &json!([{"op": "Remove", "path": "members", "value": [{"value": id_of(&user)}]}])).await,
        client
            .patch(&group, &json!([{"op": "remove", "path": format!("members[value eq \"{}\"]", id_of(&user))}]))
            .await,
        client.get(&group).await,
        client.get("/Users?startIndex=0&count=1&sortBy=userName").await,
        client.search("nope eq \"x\"").await,
        client.search("userName eq \"nobody\"").await,
        client.post("/Users", &json!({"schemas": [CORE], "userName": "A@x.example"})).await,
        client.delete(&user).await,
        client.delete(&user).await,
    ];
    let id_of = |text: String| {
        [(&user, "USER"), (&group, "GROUP"), (&boss, "BOSS")]
            .into_iter()
            .fold(text, |text, (path, name)| text.replace(id_of(path), name))
    };
    let mut said = Vec::new();
    for (status, mut body) in answers {
        remove_times(&mut body);
        said.push(id_of(format!("{status} {body}")));
    }
    client.delete(&boss).await;
    client.delete(&group).await;
    said
}

fn remove_times(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for name in ["created", "lastModified", "version"] {
                members.remove(name);
            }
            members.values_mut().for_each(remove_times);
        }
        Value::Array(all) => all.iter_mut().for_each(remove_times),
        _ => {}
    }
}

#[test]
fn the_profile_changes_nothing_else() {
    scim(async |client| {
        let plain = run_requests(&client).await;
        assert!(plain.iter().all(|said| !said.starts_with('5')), "{plain:?}");
        for profile in [Rfc, Entra, Okta, Strict] {
            let with = client.with_profile(profile).await;
            assert_eq!(run_requests(&with).await, plain, "{profile:?}");
        }
    });
}

#[test]
fn strict_accepts_known_attributes_with_a_path() {
    scim(async |client| {
        let strict = client.with_profile(Strict).await;
        let path = strict.create_user("a@x.example").await;
        let operations = json!([
            {"op": "Replace", "path": "active", "value": "False"},
            {"op": "Add", "path": "emails[type eq \"home\"].value", "value": "h@x.example"},
            {"op": "Add", "path": format!("{ENTERPRISE}:department"), "value": "Sales"},
        ]);
        let (status, body) = strict.patch(&path, &operations).await;
        assert_eq!((status, &body["active"]), (200, &json!(false)), "{body}");
        let user = client.get_ok(&path).await;
        assert_eq!(
            (email_of_type(&user, "home"), &user[ENTERPRISE]["department"]),
            (&json!("h@x.example"), &json!("Sales"))
        );
    });
}
