//! The table "Surface" of `spec/scim.md`: discovery, resources, schemas, searches, `/Me`, versions and media types.
//! Errors are in `errors.rs`, paging in `paging.rs`, `/Bulk` in `bulk.rs`.

use super::{
    CORE, Client, ENTERPRISE, GROUP, LIST, MUSTER_EXTENSION, SEARCH, assert_error, assert_members_among, assert_total,
    email_of_type, entry_values, id_of, percent_encode, scim, user_names,
};
use crate::support::build_request;
use directory::UserKey;
use serde_json::{Value, json};

/// Reads without a token.
async fn get_without_token(client: &Client, target: &str) -> Value {
    let (status, body) = client.app.send_request(build_request("GET", &format!("/scim/v2{target}"), &[], "")).await;
    assert_eq!(status, 200, "{target}: {body}");
    serde_json::from_str(&body).expect("a document")
}

#[test]
fn service_provider_config_is_public_and_complete() {
    scim(async |client| {
        let config = get_without_token(&client, "/ServiceProviderConfig").await;
        assert_eq!(config["schemas"], json!(["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"]));
        for part in ["patch", "bulk", "filter", "sort", "etag", "changePassword"] {
            assert_eq!(config[part]["supported"], true, "{part}: {config}");
        }
        assert_eq!(config["bulk"]["maxOperations"], 1000);
        assert_eq!(config["bulk"]["maxPayloadSize"], 4_194_304);
        assert_eq!(config["filter"]["maxResults"], 1000);
        let paging = &config["pagination"];
        assert_eq!((&paging["cursor"], &paging["index"]), (&json!(true), &json!(true)), "{paging}");
        assert_eq!(paging["defaultPaginationMethod"], "index", "{paging}");
        assert_eq!((&paging["defaultPageSize"], &paging["maxPageSize"]), (&json!(100), &json!(1000)));
        assert_eq!(paging["cursorTimeout"], 3600, "{paging}");
        assert!(!config["authenticationSchemes"].as_array().expect("schemes").is_empty());
    });
}

#[test]
fn service_provider_config_has_only_standard_members() {
    scim(async |client| {
        let config = get_without_token(&client, "/ServiceProviderConfig").await;
        let members = [
            "schemas",
            "documentationUri",
            "patch",
            "bulk",
            "filter",
            "changePassword",
            "sort",
            "etag",
            "pagination",
            "authenticationSchemes",
            "meta",
        ];
        assert_members_among(&config, &members);
        for part in ["patch", "changePassword", "sort", "etag"] {
            assert_members_among(&config[part], &["supported"]);
        }
        assert_members_among(&config["bulk"], &["supported", "maxOperations", "maxPayloadSize"]);
        assert_members_among(&config["filter"], &["supported", "maxResults"]);
        let paging = ["cursor", "index", "defaultPaginationMethod", "defaultPageSize", "maxPageSize", "cursorTimeout"];
        assert_members_among(&config["pagination"], &paging);
        for scheme in config["authenticationSchemes"].as_array().expect("schemes") {
            assert_members_among(scheme, &["type", "name", "description", "specUri", "documentationUri", "primary"]);
        }
        assert_members_among(&config["meta"], &["resourceType", "created", "lastModified", "version", "location"]);
    });
}

#[test]
fn resource_types_are_listed_and_read_by_id_without_a_token() {
    scim(async |client| {
        let list = get_without_token(&client, "/ResourceTypes").await;
        assert_eq!((&list["schemas"], &list["totalResults"]), (&json!([LIST]), &json!(2)), "{list}");
        for (name, endpoint, schema) in [("User", "/Users", CORE), ("Group", "/Groups", GROUP)] {
            let one = get_without_token(&client, &format!("/ResourceTypes/{name}")).await;
            assert!(list["Resources"].as_array().expect("a list").contains(&one), "the same: {one}");
            let endpoint_said = one["endpoint"].as_str().expect("an endpoint");
            assert!(endpoint_said.ends_with(endpoint), "{one}");
            assert_eq!((&one["name"], &one["schema"]), (&json!(name), &json!(schema)), "{one}");
            assert_members_among(
                &one,
                &["schemas", "id", "name", "endpoint", "description", "schema", "schemaExtensions", "meta"],
            );
        }
        let user = get_without_token(&client, "/ResourceTypes/User").await;
        let extensions: Vec<&str> = user["schemaExtensions"]
            .as_array()
            .expect("extensions")
            .iter()
            .map(|each| {
                assert_members_among(each, &["schema", "required"]);
                assert_eq!(each["required"], false, "{each}");
                each["schema"].as_str().expect("a name")
            })
            .collect();
        assert!(extensions.contains(&ENTERPRISE) && extensions.contains(&MUSTER_EXTENSION), "{extensions:?}");
        assert_error(&client.get("/ResourceTypes/Nope").await, 404, "");
    });
}

#[test]
fn schemas_are_listed_and_read_by_id_without_a_token() {
    scim(async |client| {
        let list = get_without_token(&client, "/Schemas").await;
        assert_eq!(list["schemas"], json!([LIST]));
        for schema in [CORE, GROUP, ENTERPRISE, MUSTER_EXTENSION] {
            let one = get_without_token(&client, &format!("/Schemas/{schema}")).await;
            assert_eq!(one["id"], schema, "{one}");
            assert!(list["Resources"].as_array().expect("a list").contains(&one), "the same: {schema}");
        }
        assert_error(&client.get("/Schemas/urn:nope").await, 404, "");
    });
}

#[test]
fn schemas_have_only_standard_members() {
    fn check(attribute: &Value) {
        let allowed = [
            "name",
            "type",
            "subAttributes",
            "multiValued",
            "description",
            "required",
            "canonicalValues",
            "caseExact",
            "mutability",
            "returned",
            "uniqueness",
            "referenceTypes",
        ];
        assert_members_among(attribute, &allowed);
        for name in ["name", "type", "multiValued", "mutability", "returned"] {
            assert!(!attribute[name].is_null(), "{name}: {attribute}");
        }
        for sub in attribute["subAttributes"].as_array().into_iter().flatten() {
            check(sub);
        }
    }
    scim(async |client| {
        let list = get_without_token(&client, "/Schemas").await;
        assert_members_among(&list, &["schemas", "totalResults", "startIndex", "itemsPerPage", "Resources"]);
        let mut attributes = 0;
        for schema in list["Resources"].as_array().expect("a list") {
            assert_members_among(schema, &["schemas", "id", "name", "description", "attributes", "meta"]);
            for attribute in schema["attributes"].as_array().expect("attributes") {
                check(attribute);
                attributes += 1;
            }
        }
        assert!(attributes > 30, "{attributes}");
    });
}

#[test]
fn a_filter_on_discovery_is_403() {
    scim(async |client| {
        // RFC 7644 §4: clients must not mistake an unfiltered response for a filtered one.
        for part in ["ResourceTypes", "Schemas", "ServiceProviderConfig"] {
            let target = format!("/{part}?filter={}", percent_encode("id eq \"User\""));
            assert_error(&client.get(&target).await, 403, "");
        }
    });
}

#[test]
fn a_user_is_created_read_replaced_changed_and_deleted() {
    scim(async |client| {
        let body = json!({"schemas": [CORE], "userName": "babs@example.com", "title": "Guide",
            "name": {"givenName": "Barbara", "familyName": "Jensen"}});
        let made = client.send("POST", "/Users", &[], &body.to_string()).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let user = made.json();
        assert_eq!(made.header("location"), user["meta"]["location"], "{user}");
        assert_eq!(made.header("etag"), user["meta"]["version"], "{user}");
        assert_eq!(user["meta"]["resourceType"], "User");
        assert_eq!(user["active"], true, "new users are active");
        let path = format!("/Users/{}", user["id"].as_str().expect("an id"));
        assert!(made.header("location").ends_with(&format!("/scim/v2{path}")), "{user}");
        assert_eq!(client.get_ok(&path).await, user);
        let whole = json!({"schemas": [CORE], "userName": "babs@example.com", "displayName": "Babs"});
        let (status, replaced) = client.put(&path, &whole).await;
        assert_eq!((status, &replaced["displayName"]), (200, &json!("Babs")), "{replaced}");
        assert!(replaced.get("title").is_none() && replaced.get("name").is_none(), "cleared: {replaced}");
        let operations = json!([{"op": "add", "path": "nickName", "value": "B"}]);
        let (status, changed) = client.patch(&path, &operations).await;
        assert_eq!((status, &changed["nickName"]), (200, &json!("B")), "{changed}");
        assert_eq!(client.get_ok(&path).await, changed);
        assert_eq!(client.delete(&path).await, (204, Value::Null));
        assert_error(&client.get(&path).await, 404, "");
        assert_error(&client.delete(&path).await, 404, "");
        assert_error(&client.put(&path, &whole).await, 404, "");
        assert_error(&client.patch(&path, &operations).await, 404, "");
    });
}

#[test]
fn a_group_is_created_read_replaced_changed_and_deleted() {
    scim(async |client| {
        let person = client.create_user("a@x.example").await;
        let body = json!({"schemas": [GROUP], "displayName": "Tours", "members": [{"value": id_of(&person)}]});
        let made = client.send("POST", "/Groups", &[], &body.to_string()).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let group = made.json();
        assert_eq!(made.header("location"), group["meta"]["location"], "{group}");
        assert_eq!(group["meta"]["resourceType"], "Group");
        let path = format!("/Groups/{}", group["id"].as_str().expect("an id"));
        assert_eq!(client.members(&path).await, [id_of(&person)]);
        let (status, replaced) = client.put(&path, &json!({"schemas": [GROUP], "displayName": "Guides"})).await;
        assert_eq!((status, &replaced["displayName"]), (200, &json!("Guides")), "{replaced}");
        assert!(client.members(&path).await.is_empty(), "omitted members are removed");
        let rename = json!([{"op": "replace", "path": "displayName", "value": "Trips"}]);
        assert_eq!(client.patch(&path, &rename).await, (204, Value::Null));
        assert_eq!(client.get_ok(&path).await["displayName"], "Trips");
        assert_eq!(client.delete(&path).await, (204, Value::Null));
        assert_error(&client.get(&path).await, 404, "");
        assert_eq!(client.get(&person).await.0, 200, "its members still exist");
    });
}

#[test]
fn extension_attributes_are_writable_and_the_number_is_returned_on_request() {
    scim(async |client| {
        let mut body = json!({"schemas": [CORE, MUSTER_EXTENSION], "userName": "a@x.example"});
        body[MUSTER_EXTENSION] = json!({"metadata": "a=1\nb=two", "customLinks": "Home=https://x.example/"});
        let path = client.create("/Users", &body).await;
        let user = client.get_ok(&path).await;
        assert_eq!(user[MUSTER_EXTENSION]["metadata"], "a=1\nb=two", "{user}");
        assert_eq!(user[MUSTER_EXTENSION]["customLinks"], "Home=https://x.example/", "{user}");
        assert!(
            user[MUSTER_EXTENSION].get("number").is_none() && user[MUSTER_EXTENSION].get("status").is_none(),
            "{user}"
        );
        assert!(user["schemas"].as_array().expect("schemas").contains(&json!(MUSTER_EXTENSION)), "{user}");
        let asked = client
            .get_ok(&format!("{path}?attributes={MUSTER_EXTENSION}:number,{MUSTER_EXTENSION}:status"))
            .await[MUSTER_EXTENSION]
            .clone();
        assert_eq!((&asked["number"], &asked["status"]), (&json!(1), &json!("active")), "{asked}");
        assert!(asked.get("metadata").is_none(), "{asked}");
    });
}

/// Creates three users who are identified by their titles.
async fn create_users(client: &Client) {
    for (name, title) in [("a@x.example", "Guide"), ("b@x.example", "Driver"), ("c@x.example", "Guide")] {
        let body = json!({"schemas": [CORE], "userName": name, "title": title, "displayName": name});
        client.create("/Users", &body).await;
    }
    client.create_group("Tours", &[]).await;
}

#[test]
fn a_get_takes_filter_sorting_index_and_attributes_together() {
    scim(async |client| {
        create_users(&client).await;
        let filter = percent_encode("title eq \"Guide\"");
        let target = format!(
            "/Users?filter={filter}&sortBy=userName&sortOrder=descending&startIndex=2&count=1&attributes=title"
        );
        let answer = client.get(&target).await;
        assert_total(&answer, 2);
        let page = answer.1;
        assert_eq!((&page["startIndex"], &page["itemsPerPage"]), (&json!(2), &json!(1)), "{page}");
        let one = &page["Resources"][0];
        assert_eq!(one["title"], "Guide");
        assert!(one["id"].is_string() && one.get("userName").is_none(), "{one}");
        let who = client.get_ok(&format!("/Users/{}", one["id"].as_str().expect("an id"))).await;
        assert_eq!(who["userName"], "a@x.example", "the second in descending order");
        let page = client.get_ok("/Users?excludedAttributes=title,meta").await;
        let one = &page["Resources"][0];
        assert!(one["userName"].is_string(), "{one}");
        assert!(one.get("title").is_none() && one.get("meta").is_none(), "{one}");
    });
}

#[test]
fn sorting_is_ascending_by_default_and_case_insensitive() {
    scim(async |client| {
        for (name, title) in [("B@x.example", Some("y")), ("a@x.example", None), ("c@x.example", Some("X"))] {
            let mut body = json!({"schemas": [CORE], "userName": name});
            body["title"] = json!(title);
            client.create("/Users", &body).await;
        }
        let order = async |query: &str| user_names(&client.get_ok(&format!("/Users?{query}")).await).join(" ");
        assert_eq!(order("sortBy=userName").await, "a@x.example B@x.example c@x.example");
        let descending = order("sortBy=userName&sortOrder=descending").await;
        assert_eq!(descending, "c@x.example B@x.example a@x.example");
    });
}

#[test]
fn missing_values_sort_last_ascending_and_first_descending() {
    scim(async |client| {
        for (name, title) in [("a@x.example", None), ("b@x.example", Some("y")), ("c@x.example", Some("X"))] {
            let mut body = json!({"schemas": [CORE], "userName": name});
            body["title"] = json!(title);
            client.create("/Users", &body).await;
        }
        // RFC 7644 §3.4.2.3.
        let order = async |query: &str| user_names(&client.get_ok(&format!("/Users?{query}")).await).join(" ");
        assert_eq!(order("sortBy=title").await, "c@x.example b@x.example a@x.example");
        let descending = order("sortBy=title&sortOrder=descending").await;
        assert_eq!(descending, "a@x.example b@x.example c@x.example");
    });
}

#[test]
fn users_are_searched_by_post() {
    scim(async |client| {
        create_users(&client).await;
        let body = json!({"schemas": [SEARCH], "filter": "title eq \"Guide\"", "sortBy": "userName",
            "sortOrder": "descending", "startIndex": 1, "count": 1, "attributes": ["userName"]});
        let answer = client.post("/Users/.search", &body).await;
        assert_total(&answer, 2);
        assert_eq!(user_names(&answer.1), ["c@x.example"]);
        assert!(answer.1["Resources"][0].get("title").is_none(), "{}", answer.1);
        let body = json!({"schemas": [SEARCH], "excludedAttributes": ["title"], "filter": "title pr"});
        let answer = client.post("/Users/.search", &body).await;
        assert_total(&answer, 3);
        assert!(!answer.1.to_string().contains("Guide"), "{}", answer.1);
        let bad = json!({"schemas": [SEARCH], "filter": "nope pr"});
        assert_error(&client.post("/Users/.search", &bad).await, 400, "invalidFilter");
    });
}

#[test]
fn groups_are_searched_by_post() {
    scim(async |client| {
        create_users(&client).await;
        client.create_group("Other", &[]).await;
        let body = json!({"schemas": [SEARCH], "filter": "displayName sw \"tour\""});
        let answer = client.post("/Groups/.search", &body).await;
        assert_total(&answer, 1);
        assert_eq!(answer.1["Resources"][0]["displayName"], "Tours");
    });
}

#[test]
fn everything_is_searched_by_post_at_the_root() {
    scim(async |client| {
        create_users(&client).await;
        let all = client.post("/.search", &json!({"schemas": [SEARCH]})).await;
        assert_total(&all, 4);
        let kinds: Vec<&Value> =
            all.1["Resources"].as_array().expect("a list").iter().map(|each| &each["meta"]["resourceType"]).collect();
        assert_eq!(kinds.iter().filter(|kind| ***kind == "User").count(), 3, "{kinds:?}");
        assert_eq!(kinds.iter().filter(|kind| ***kind == "Group").count(), 1, "{kinds:?}");
        // Users and groups both have a display name.
        let filter = "displayName sw \"tour\" or displayName sw \"a@\"";
        let both = client.post("/.search", &json!({"schemas": [SEARCH], "filter": filter})).await;
        assert_total(&both, 2);
    });
}

#[test]
fn me_is_the_user_of_the_key() {
    scim(async |client| {
        let path = client.create_user("a@x.example").await;
        let own = client.with_new_key("own", |new| new.user = Some(UserKey::Login("a@x.example".into()))).await;
        let me = own.send("GET", "/Me", &[], "").await;
        assert_eq!(me.status, 200, "{}", me.text);
        assert_eq!(me.json()["id"], id_of(&path));
        let location = me.json()["meta"]["location"].as_str().expect("a place").to_owned();
        assert!(location.ends_with(&format!("/scim/v2{path}")), "the user's permanent URI: {location}");
        let (status, body) = own.patch("/Me", &json!([{"op": "add", "path": "title", "value": "Guide"}])).await;
        assert_eq!((status, &body["title"]), (200, &json!("Guide")), "{body}");
        assert_eq!(client.get_ok(&path).await["title"], "Guide");
    });
}

#[test]
fn me_is_501_for_a_key_without_user() {
    scim(async |client| {
        for method in ["GET", "DELETE"] {
            let answer = client.send(method, "/Me", &[], "").await;
            assert_error(&(answer.status, answer.json()), 501, "");
        }
    });
}

#[test]
fn attributes_names_what_is_returned_in_any_case_and_with_sub_attributes() {
    scim(async |client| {
        let mut body = json!({"schemas": [CORE, ENTERPRISE], "userName": "a@x.example", "title": "Guide",
            "name": {"givenName": "Ann", "familyName": "Lee"},
            "emails": [{"type": "work", "value": "a@x.example", "primary": true}]});
        body[ENTERPRISE] = json!({"department": "Tours", "costCenter": "4130"});
        let path = client.create("/Users", &body).await;
        let user = client.get_ok(&format!("{path}?attributes=USERNAME,name.familyName,emails.value")).await;
        assert_members_among(&user, &["schemas", "id", "userName", "name", "emails"]);
        assert_eq!(user["id"], id_of(&path), "the id is always returned");
        assert_eq!(user["name"], json!({"familyName": "Lee"}));
        assert_eq!(user["emails"], json!([{"value": "a@x.example"}]));
        let user = client.get_ok(&format!("{path}?attributes={ENTERPRISE}:department,{CORE}:title")).await;
        assert_members_among(&user, &["schemas", "id", "title", ENTERPRISE]);
        assert_eq!((&user["title"], &user[ENTERPRISE]), (&json!("Guide"), &json!({"department": "Tours"})));
        let user = client.get_ok(&format!("{path}?attributes={ENTERPRISE}")).await;
        assert_members_among(&user, &["schemas", "id", ENTERPRISE]);
        assert_eq!(user[ENTERPRISE], json!({"department": "Tours", "costCenter": "4130"}));
    });
}

#[test]
fn excluded_attributes_omit_sub_attributes_and_extensions_but_never_the_id() {
    scim(async |client| {
        let mut body = json!({"schemas": [CORE, ENTERPRISE], "userName": "a@x.example",
            "name": {"givenName": "Ann", "familyName": "Lee"},
            "emails": [{"type": "work", "value": "a@x.example", "primary": true}]});
        body[ENTERPRISE] = json!({"department": "Tours", "costCenter": "4130"});
        let path = client.create("/Users", &body).await;
        let target = format!("{path}?excludedAttributes=id,Name.GivenName,{ENTERPRISE}:department");
        let user = client.get_ok(&target).await;
        assert_eq!(user["id"], id_of(&path));
        assert!(user["name"].get("givenName").is_none(), "{user}");
        assert_eq!(user["name"]["familyName"], "Lee");
        assert_eq!(user[ENTERPRISE], json!({"costCenter": "4130"}));
        let user = client.get_ok(&format!("{path}?excludedAttributes={ENTERPRISE},emails")).await;
        assert!(user.get(ENTERPRISE).is_none() && user.get("emails").is_none(), "{user}");
        assert_eq!(user["userName"], "a@x.example");
    });
}

#[test]
fn attributes_apply_to_responses_of_changes() {
    scim(async |client| {
        let body = json!({"schemas": [CORE], "userName": "a@x.example", "title": "Guide",
            "emails": [{"type": "work", "value": "a@x.example"}]});
        let (status, user) = client.post("/Users?attributes=title", &body).await;
        assert_eq!(status, 201, "{user}");
        assert_members_among(&user, &["schemas", "id", "title"]);
        let path = format!("/Users/{}", user["id"].as_str().expect("an id"));
        let (status, user) = client.put(&format!("{path}?excludedAttributes=emails"), &body).await;
        assert_eq!(status, 200, "{user}");
        assert!(user.get("emails").is_none() && user["userName"].is_string(), "{user}");
        let operations = json!([{"op": "replace", "path": "title", "value": "Driver"}]);
        let (status, user) = client.patch(&format!("{path}?attributes=title"), &operations).await;
        assert_eq!((status, &user["title"]), (200, &json!("Driver")), "{user}");
        assert_members_among(&user, &["schemas", "id", "title"]);
        assert_eq!(email_of_type(&client.get_ok(&path).await, "work"), "a@x.example", "no attribute was lost");
        assert_eq!(entry_values(&client.get_ok(&path).await["emails"]).len(), 1);
    });
}
