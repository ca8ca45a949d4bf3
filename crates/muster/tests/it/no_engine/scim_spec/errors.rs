//! The rows "versions", "errors" and "media types" of the table "Surface", wrong methods, and that another tenant's
//! resources are indistinguishable from unknown ones.

use super::{CORE, Client, ERROR, GROUP, PATCH, UNKNOWN_ID, assert_error, assert_total, id_of, percent_encode, scim};
use crate::support::build_request;
use serde_json::{Value, json};

#[test]
fn a_wrong_method_is_405_with_allow() {
    scim(async |client| {
        let user = client.create_user("a@x.example").await;
        let group = client.create_group("Tours", &[]).await;
        let table: [(&str, &str, &[&str]); 13] = [
            ("PUT", "/Users", &["GET", "POST"]),
            ("DELETE", "/Users", &["GET", "POST"]),
            ("PATCH", "/Groups", &["GET", "POST"]),
            ("POST", &user, &["GET", "PUT", "PATCH", "DELETE"]),
            ("POST", &group, &["GET", "PUT", "PATCH", "DELETE"]),
            ("GET", "/Users/.search", &["POST"]),
            ("DELETE", "/Groups/.search", &["POST"]),
            ("GET", "/.search", &["POST"]),
            ("GET", "/Bulk", &["POST"]),
            ("POST", "/ServiceProviderConfig", &["GET"]),
            ("DELETE", "/Schemas", &["GET"]),
            ("PUT", "/ResourceTypes", &["GET"]),
            ("PATCH", "/ResourceTypes/User", &["GET"]),
        ];
        for (method, target, allowed) in table {
            let body = if method == "GET" || method == "DELETE" { "" } else { "{}" };
            let answer = client.send(method, target, &[], body).await;
            assert_eq!(answer.status, 405, "{method} {target}: {}", answer.text);
            let said = answer.header("allow");
            let words: Vec<&str> = said.split(',').map(str::trim).collect();
            assert!(allowed.iter().all(|word| words.contains(word)), "{method} {target}: {said}");
            assert!(!words.contains(&method), "{method} {target}: {said}");
            assert_error(&(answer.status, answer.json()), 405, "");
        }
        assert_eq!(client.get(&user).await.0, 200);
    });
}

#[test]
fn an_invalid_token_is_401_with_a_challenge() {
    scim(async |client| {
        client.create_user("a@x.example").await;
        for (headers, is_invalid) in [(vec![], false), (vec![("authorization", "Bearer nope")], true)] {
            let answer = client.app.respond(build_request("GET", "/scim/v2/Users", &headers, "")).await;
            assert_eq!(answer.status(), 401);
            let challenge = answer.headers()["www-authenticate"].to_str().expect("text").to_owned();
            assert!(challenge.starts_with("Bearer realm="), "{challenge}");
            // `invalid_token` requires a token in the request (RFC 6750 §3.1).
            assert_eq!(challenge.contains("error=\"invalid_token\""), is_invalid, "{challenge}");
            let (status, body) = client.app.send_request(build_request("GET", "/scim/v2/Users", &headers, "")).await;
            assert_error(&(status, serde_json::from_str(&body).expect("an error")), 401, "");
            assert!(!body.contains("a@x.example"), "{body}");
        }
    });
}

#[test]
fn a_version_is_a_weak_etag_that_changes_with_the_resource() {
    scim(async |client| {
        for path in [client.create_user("a@x.example").await, client.create_group("Tours", &[]).await] {
            let first = client.send("GET", &path, &[], "").await;
            let version = first.header("etag").to_owned();
            assert!(version.starts_with("W/\"") && version.ends_with('"'), "{version}");
            assert_eq!(first.json()["meta"]["version"], version.as_str());
            assert_eq!(client.send("GET", &path, &[], "").await.header("etag"), version, "the same");
            client.patch(&path, &json!([{"op": "replace", "path": "displayName", "value": "New"}])).await;
            let second = client.send("GET", &path, &[], "").await;
            assert_ne!(second.header("etag"), version, "{path}");
            assert_eq!(second.json()["meta"]["version"], second.header("etag"));
        }
    });
}

#[test]
fn if_match_with_an_old_version_is_412_and_changes_nothing() {
    scim(async |client| {
        for path in [client.create_user("a@x.example").await, client.create_group("Tours", &[]).await] {
            let old = client.send("GET", &path, &[], "").await.header("etag").to_owned();
            let rename = json!([{"op": "replace", "path": "displayName", "value": "New"}]);
            client.patch(&path, &rename).await;
            let before = (client.get_ok(&path).await, client.event_count().await);
            let patch = json!({"schemas": [PATCH], "Operations":
                [{"op": "replace", "path": "displayName", "value": "Newer"}]});
            let whole = json!({"schemas": [CORE], "userName": "a@x.example", "displayName": "Newer"});
            let bodies = [("PATCH", patch.to_string()), ("PUT", whole.to_string()), ("DELETE", String::new())];
            for (method, body) in bodies {
                let answer = client.send(method, &path, &[("if-match", &old)], &body).await;
                assert_error(&(answer.status, answer.json()), 412, "");
            }
            assert_eq!((client.get_ok(&path).await, client.event_count().await), before, "nothing changed");
        }
    });
}

#[test]
fn if_match_with_the_current_version_or_a_star_succeeds() {
    scim(async |client| {
        let path = client.create_user("a@x.example").await;
        let current = client.send("GET", &path, &[], "").await.header("etag").to_owned();
        let patch = |title: &str| {
            json!({"schemas": [PATCH], "Operations": [{"op": "add", "path": "title", "value": title}]}).to_string()
        };
        let list = format!("W/\"other\", {current}");
        let answer = client.send("PATCH", &path, &[("if-match", &list)], &patch("One")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let answer = client.send("PATCH", &path, &[("if-match", "*")], &patch("Two")).await;
        assert_eq!((answer.status, &answer.json()["title"]), (200, &json!("Two")));
        let current = answer.header("etag").to_owned();
        let answer = client.send("DELETE", &path, &[("if-match", &current)], "").await;
        assert_eq!(answer.status, 204);
        assert_eq!(client.get(&path).await.0, 404);
    });
}

#[test]
fn if_none_match_with_the_current_version_is_304_without_a_body() {
    scim(async |client| {
        for path in [client.create_user("a@x.example").await, client.create_group("Tours", &[]).await] {
            let current = client.send("GET", &path, &[], "").await.header("etag").to_owned();
            let same = client.send("GET", &path, &[("if-none-match", &current)], "").await;
            assert_eq!((same.status, same.text.as_str()), (304, ""));
            assert_eq!(same.header("etag"), current);
            client.patch(&path, &json!([{"op": "replace", "path": "displayName", "value": "New"}])).await;
            let newer = client.send("GET", &path, &[("if-none-match", &current)], "").await;
            assert_eq!((newer.status, &newer.json()["displayName"]), (200, &json!("New")));
        }
    });
}

#[test]
fn errors_are_scim_errors_with_a_text_status() {
    scim(async |client| {
        let answer = client.send("GET", &format!("/Users/{UNKNOWN_ID}"), &[], "").await;
        assert_eq!(answer.status, 404);
        assert_eq!(answer.header("content-type"), "application/scim+json");
        let body = answer.json();
        super::assert_members_among(&body, &["schemas", "status", "scimType", "detail"]);
        assert_eq!((&body["schemas"], &body["status"]), (&json!([ERROR]), &json!("404")));
        assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
        assert_error(&client.get("/Users/not-an-id").await, 404, "");
        assert_error(&client.get("/Nope").await, 404, "");
    });
}

#[test]
fn a_taken_name_is_409_uniqueness_and_creates_nothing() {
    scim(async |client| {
        let first = json!({"schemas": [CORE], "userName": "a@x.example", "externalId": "1"});
        client.create("/Users", &first).await;
        client.create_user("b@x.example").await;
        let before = client.event_count().await;
        let same_id = json!({"schemas": [CORE], "userName": "c@x.example", "externalId": "1"});
        let email = json!({"schemas": [CORE], "userName": "d@x.example",
            "emails": [{"value": "b@x.example", "primary": true}]});
        for body in [first, same_id, email] {
            assert_error(&client.post("/Users", &body).await, 409, "uniqueness");
        }
        let second = client.get_ok("/Users?sortBy=userName").await["Resources"][1].clone();
        let path = format!("/Users/{}", second["id"].as_str().expect("an id"));
        let taken = json!([{"op": "replace", "path": "userName", "value": "A@x.example"}]);
        assert_error(&client.patch(&path, &taken).await, 409, "uniqueness");
        assert_error(
            &client.put(&path, &json!({"schemas": [CORE], "userName": "a@x.example"})).await,
            409,
            "uniqueness",
        );
        assert_eq!(client.event_count().await, before, "nothing changed");
        assert_total(&client.get("/Users").await, 2);
    });
}

#[test]
fn a_missing_or_wrong_value_is_400_invalid_value() {
    scim(async |client| {
        let path = client.create_user("a@x.example").await;
        let before = client.event_count().await;
        for body in [
            json!({"schemas": [CORE], "displayName": "nameless"}),
            json!({"schemas": [CORE], "userName": ""}),
            json!({"schemas": [CORE], "userName": {"a": 1}}),
            json!({"schemas": [CORE], "userName": "b@x.example", "active": "maybe"}),
        ] {
            assert_error(&client.post("/Users", &body).await, 400, "invalidValue");
        }
        assert_error(&client.post("/Groups", &json!({"schemas": [GROUP]})).await, 400, "invalidValue");
        let operations = json!([{"op": "replace", "path": "active", "value": "maybe"}]);
        assert_error(&client.patch(&path, &operations).await, 400, "invalidValue");
        assert_eq!(client.event_count().await, before, "nothing changed");
    });
}

#[test]
fn changing_the_id_or_removing_the_user_name_is_400_mutability_or_invalid_value() {
    scim(async |client| {
        let path = client.create_user("a@x.example").await;
        let before = client.get_ok(&path).await;
        let id = json!([{"op": "replace", "path": "id", "value": UNKNOWN_ID}]);
        assert_error(&client.patch(&path, &id).await, 400, "mutability");
        let groups = json!([{"op": "add", "path": "groups", "value": [{"value": UNKNOWN_ID}]}]);
        assert_error(&client.patch(&path, &groups).await, 400, "mutability");
        // For a required attribute, RFC 7644 §3.5.2.2 requires `mutability`; §3.12 also allows `invalidValue`.
        let (status, body) = client.patch(&path, &json!([{"op": "remove", "path": "userName"}])).await;
        assert_eq!(status, 400, "{body}");
        assert!(["mutability", "invalidValue"].contains(&body["scimType"].as_str().unwrap_or("")), "{body}");
        assert_eq!(client.get_ok(&path).await, before);
    });
}

#[test]
fn a_path_without_target_is_400_no_target() {
    scim(async |client| {
        let path = client.create_user("a@x.example").await;
        let before = client.get_ok(&path).await;
        // No entry can be created from a `co` filter, so there is no target.
        let replace = json!([{"op": "replace", "path": "emails[value co \"zzz\"].display", "value": "x"}]);
        assert_error(&client.patch(&path, &replace).await, 400, "noTarget");
        assert_error(&client.patch(&path, &json!([{"op": "remove"}])).await, 400, "noTarget");
        assert_eq!(client.get_ok(&path).await, before);
    });
}

#[test]
fn responses_are_scim_json_unless_json_is_accepted() {
    scim(async |client| {
        let path = client.create_user("a@x.example").await;
        for (accept, wanted) in [
            ("application/scim+json", "application/scim+json"),
            ("*/*", "application/scim+json"),
            ("application/json", "application/json"),
            ("application/scim+json, application/json", "application/scim+json"),
        ] {
            for target in [&path, "/Users", "/ServiceProviderConfig", "/Users/nope"] {
                let answer = client.send("GET", target, &[("accept", accept)], "").await;
                let media = answer.header("content-type").split(';').next().expect("a type").to_owned();
                assert_eq!(media, wanted, "{accept} {target}");
            }
        }
        let answer = client.send("GET", &path, &[], "").await;
        assert!(answer.header("content-type").starts_with("application/scim+json"));
    });
}

#[test]
fn both_media_types_are_accepted() {
    scim(async |client| {
        for (at, media) in [
            "application/scim+json",
            "application/json",
            "application/scim+json; charset=utf-8",
            "Application/JSON;charset=UTF-8",
        ]
        .iter()
        .enumerate()
        {
            let body = json!({"schemas": [CORE], "userName": format!("{at}@x.example")}).to_string();
            let answer = client.send("POST", "/Users", &[("content-type", media)], &body).await;
            assert_eq!(answer.status, 201, "{media}: {}", answer.text);
        }
        assert_total(&client.get("/Users").await, 4);
    });
}

/// Sends the same requests for an id; returns the responses without the id.
async fn send_all(client: &Client, kind: &str, id: &str, body: &Value) -> Vec<(u16, String)> {
    let path = format!("/{kind}/{id}");
    let patch = json!([{"op": "replace", "path": "displayName", "value": "mine now"}]);
    let bulk = json!({"schemas": [super::BULK], "Operations": [{"method": "DELETE", "path": path}]});
    let answers = [
        client.get(&path).await,
        client.get(&format!("{path}?attributes=displayName")).await,
        client.put(&path, body).await,
        client.patch(&path, &patch).await,
        client.delete(&path).await,
        client.get(&format!("/{kind}?filter={}", percent_encode(&format!("id eq \"{id}\"")))).await,
        client.post("/Bulk", &bulk).await,
    ];
    answers.into_iter().map(|(status, body)| (status, body.to_string().replace(id, "ID"))).collect()
}

#[test]
fn another_tenants_user_is_exactly_like_an_unknown_one() {
    scim(async |client| {
        let theirs = client.of_other_tenant().await;
        let path = theirs.create_user("secret@x.example").await;
        let before = (theirs.get_ok(&path).await, theirs.event_count().await);
        let body = json!({"schemas": [CORE], "userName": "mine@x.example"});
        let foreign = send_all(&client, "Users", id_of(&path), &body).await;
        let unknown = send_all(&client, "Users", UNKNOWN_ID, &body).await;
        assert_eq!(foreign, unknown);
        assert_eq!(foreign[0].0, 404);
        assert_eq!((theirs.get_ok(&path).await, theirs.event_count().await), before, "nothing changed");
        assert_eq!(client.found_initials("userName eq \"secret@x.example\"").await, "");
        client.create_user("secret@x.example").await;
    });
}

#[test]
fn another_tenants_group_is_exactly_like_an_unknown_one() {
    scim(async |client| {
        let theirs = client.of_other_tenant().await;
        let path = theirs.create_group("Secret", &[]).await;
        let before = (theirs.get_ok(&path).await, theirs.event_count().await);
        let body = json!({"schemas": [GROUP], "displayName": "Mine"});
        let foreign = send_all(&client, "Groups", id_of(&path), &body).await;
        let unknown = send_all(&client, "Groups", UNKNOWN_ID, &body).await;
        assert_eq!(foreign, unknown);
        assert_eq!(foreign[0].0, 404);
        assert_eq!((theirs.get_ok(&path).await, theirs.event_count().await), before, "nothing changed");
    });
}

#[test]
fn another_tenants_user_as_member_or_manager_is_exactly_like_an_unknown_one() {
    scim(async |client| {
        let theirs = client.of_other_tenant().await;
        let person = theirs.create_user("secret@x.example").await;
        let (group, own) = (client.create_group("Tours", &[]).await, client.create_user("a@x.example").await);
        let mut seen = Vec::new();
        for id in [id_of(&person), UNKNOWN_ID] {
            let member = json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
            let manager = format!("{}:manager", super::ENTERPRISE);
            let manager = json!([{"op": "add", "path": manager, "value": id}]);
            let answers = [client.patch(&group, &member).await, client.patch(&own, &manager).await];
            let read =
                [client.get_ok(&group).await["members"].clone(), client.get_ok(&own).await[super::ENTERPRISE].clone()];
            let clean = |body: &Value| {
                let mut body = body.clone();
                // Times and versions differ between requests.
                if let Some(object) = body.as_object_mut() {
                    object.remove("meta");
                }
                body.to_string().replace(id, "ID")
            };
            seen.push((answers.map(|(status, body)| (status, clean(&body))), read.map(|body| clean(&body))));
        }
        assert_eq!(seen[0], seen[1]);
        assert!(client.members(&group).await.is_empty(), "no member was added");
        assert_eq!(theirs.get_ok(&person).await.get("groups"), None, "the other tenant's user is unchanged");
    });
}
