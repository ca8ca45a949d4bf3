//! Provisioning workflows of Entra ID and Okta, with requests taken from their documentation, from the connection
//! test to the return of a deleted user. Each step checks what the provider checks. After deactivation and
//! activation, another dialect must show the same status.

use crate::scim_spec::{
    CORE, Client, ENTERPRISE, GROUP, PATCH, ScimResponse, assert_error, assert_total, email_of_type, entry_values,
    percent_encode, run_test, value_of_type,
};
use crate::support::build_request;
use directory::ClientProfile;
use serde_json::{Value, json};

/// Sends requests with a provider's media type.
struct Provider {
    client: Client,
    media: &'static str,
}

impl Provider {
    async fn send_request(&self, method: &str, target: &str, body: &Value) -> (u16, Value) {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let headers = [("content-type", self.media), ("accept", "application/scim+json")];
        let answer: ScimResponse = self.client.send(method, target, &headers, &text).await;
        (answer.status, answer.json())
    }

    async fn get(&self, target: &str) -> (u16, Value) {
        self.send_request("GET", target, &Value::Null).await
    }

    async fn patch(&self, target: &str, operations: Value) -> (u16, Value) {
        self.send_request("PATCH", target, &json!({"schemas": [PATCH], "Operations": operations})).await
    }

    /// A PATCH that must succeed; returns the user.
    async fn patch_ok(&self, target: &str, operations: Value) -> Value {
        let (status, body) = self.patch(target, operations).await;
        assert!(status == 200 || status == 204, "{status} {body}");
        self.get_ok(target).await
    }

    async fn get_ok(&self, target: &str) -> Value {
        let (status, body) = self.get(target).await;
        assert_eq!(status, 200, "{target}: {body}");
        body
    }

    /// Searches with a filter.
    async fn find(&self, kind: &str, filter: &str, more: &str) -> (u16, Value) {
        self.get(&format!("/{kind}?filter={}{more}", percent_encode(filter))).await
    }

    /// The user's status in another dialect, with the same key.
    async fn status_elsewhere(&self, email: &str) -> String {
        let headers = [("authorization", self.client.bearer.as_str()), ("accept", "application/json")];
        let target = format!("/api/2/users/{}", percent_encode(email));
        let (status, body) = self.client.app.send_request(build_request("GET", &target, &headers, "")).await;
        assert_eq!(status, 200, "{body}");
        let body: Value = serde_json::from_str(&body).expect("a document");
        body["user"]["status"].as_str().expect("a status").to_owned()
    }
}

fn member(id: &str) -> Value {
    json!({"$ref": null, "value": id})
}

fn id_of(body: &Value) -> String {
    body["id"].as_str().expect("an id").to_owned()
}

/// A user as Entra ID creates it.
fn entra_user() -> Value {
    let mut body = json!({
        "schemas": [CORE, ENTERPRISE],
        "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
        "userName": "Test_User_ab6490ee@contoso.example",
        "active": true,
        "displayName": "lennay",
        "emails": [{"primary": true, "type": "work", "value": "Test_User_fd0ea19b@contoso.example"}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": "Adrian Lennay", "familyName": "Lennay", "givenName": "Adrian"},
        "roles": [],
    });
    body[ENTERPRISE] = json!({"department": "Bob", "employeeNumber": "701984"});
    body
}

#[test]
fn entra_provisions_users_and_groups() {
    run_test(async |client| {
        let client = client.with_profile(ClientProfile::Entra).await;
        let entra = Provider { client, media: "application/scim+json; charset=utf-8" };
        let user = entra_creates_a_user(&entra).await;
        entra_changes(&entra, &user).await;
        entra_pushes_a_group(&entra, &user).await;
        entra_disables_and_deletes(&entra, &user).await;
    });
}

async fn entra_creates_a_user(entra: &Provider) -> String {
    // The connection test searches for a user who cannot exist and expects an empty list.
    let nobody = "userName eq \"1f2d4a9e-6a2c-4f39-9c9f-6f8f2f7d2a55\"";
    assert_total(&entra.find("Users", nobody, "").await, 0);
    assert_total(&entra.find("Users", "userName eq \"Test_User_ab6490ee@contoso.example\"", "").await, 0);
    let (status, made) = entra.send_request("POST", "/Users", &entra_user()).await;
    assert_eq!(status, 201, "{made}");
    assert!(made["meta"]["location"].is_string() && made["active"] == true, "{made}");
    for name in ["externalId", "userName", "displayName"] {
        assert_eq!(made[name], entra_user()[name], "{made}");
    }
    assert_eq!(made[ENTERPRISE]["employeeNumber"], "701984", "{made}");
    let found = entra.find("Users", "userName eq \"test_user_AB6490ee@contoso.example\"", "").await;
    assert_total(&found, 1);
    assert_eq!(found.1["Resources"][0]["id"], made["id"]);
    let found = entra.find("Users", "externalId eq \"0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef\"", "").await;
    assert_total(&found, 1);
    let work = "emails[type eq \"work\"].value eq \"Test_User_fd0ea19b@contoso.example\"";
    assert_total(&entra.find("Users", work, "").await, 1);
    assert_error(&entra.send_request("POST", "/Users", &entra_user()).await, 409, "uniqueness");
    format!("/Users/{}", id_of(&made))
}

async fn entra_changes(entra: &Provider, user: &str) {
    let boss = json!({"schemas": [CORE], "userName": "boss@contoso.example"});
    let (_, boss) = entra.send_request("POST", "/Users", &boss).await;
    let changes = json!([
        {"op": "Replace", "path": "displayName", "value": "Adrian L."},
        {"op": "Replace", "path": "name.familyName", "value": "Lennay-Smith"},
        {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "adrian@contoso.example"},
        {"op": "Add", "path": "phoneNumbers[type eq \"work\"].value", "value": "+1 425 555 0100"},
        {"op": "Add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "+1 425 555 0199"},
        {"op": "Add", "path": "addresses[type eq \"work\"].streetAddress", "value": "1 Microsoft Way"},
        {"op": "Add", "path": "addresses[type eq \"work\"].country", "value": "US"},
        {"op": "Add", "path": format!("{ENTERPRISE}:department"), "value": "Sales"},
        {"op": "Add", "path": format!("{ENTERPRISE}:manager"), "value": boss["id"]},
    ]);
    let now = entra.patch_ok(user, changes).await;
    assert_eq!(now["displayName"], "Adrian L.");
    assert_eq!(now["name"]["familyName"], "Lennay-Smith", "{now}");
    assert_eq!(now["name"]["givenName"], "Adrian", "omitted attributes are unchanged: {now}");
    assert_eq!(
        (email_of_type(&now, "work"), entry_values(&now["emails"]).len()),
        (&json!("adrian@contoso.example"), 1)
    );
    assert_eq!(value_of_type(&now["phoneNumbers"], "work"), "+1 425 555 0100");
    assert_eq!(value_of_type(&now["phoneNumbers"], "mobile"), "+1 425 555 0199");
    let home = &now["addresses"][0];
    assert_eq!(now["addresses"].as_array().map(Vec::len), Some(1), "{now}");
    assert_eq!((&home["streetAddress"], &home["country"]), (&json!("1 Microsoft Way"), &json!("US")), "{now}");
    assert_eq!(now[ENTERPRISE]["department"], "Sales");
    assert_eq!(now[ENTERPRISE]["manager"]["value"], boss["id"]);
    let changes = json!([
        {"op": "Remove", "path": "phoneNumbers[type eq \"mobile\"].value"},
        {"op": "Remove", "path": format!("{ENTERPRISE}:manager")},
        {"op": "Replace", "path": "userName", "value": "adrian@contoso.example"},
    ]);
    let now = entra.patch_ok(user, changes).await;
    assert!(value_of_type(&now["phoneNumbers"], "mobile").is_null(), "{now}");
    assert!(now[ENTERPRISE].get("manager").is_none(), "{now}");
    assert_eq!(now["userName"], "adrian@contoso.example");
}

async fn entra_pushes_a_group(entra: &Provider, user: &str) {
    let person = user.rsplit('/').next().expect("an id");
    let (_, other) =
        entra.send_request("POST", "/Users", &json!({"schemas": [CORE], "userName": "o@contoso.example"})).await;
    let other = id_of(&other);
    let without = "&excludedAttributes=members";
    assert_total(&entra.find("Groups", "displayName eq \"displayName\"", without).await, 0);
    let body = json!({"schemas": [GROUP, "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
        "externalId": "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159", "displayName": "displayName",
        "meta": {"resourceType": "Group"}});
    let (status, made) = entra.send_request("POST", "/Groups", &body).await;
    assert_eq!((status, &made["displayName"]), (201, &json!("displayName")), "{made}");
    assert_eq!(made["externalId"], body["externalId"], "{made}");
    let group = format!("/Groups/{}", id_of(&made));
    let found = entra.find("Groups", "displayName eq \"displayName\"", without).await;
    assert_total(&found, 1);
    let add = json!([{"op": "Add", "path": "members", "value": [member(person), member(&other)]}]);
    assert_eq!(entra.patch(&group, add).await.0, 204);
    let read = entra.get_ok(&format!("{group}?excludedAttributes=members")).await;
    assert_eq!((&read["id"], read.get("members")), (&made["id"], None), "{read}");
    assert_eq!(entry_values(&entra.get_ok(&group).await["members"]).len(), 2);
    // Entra checks memberships with this filter.
    let asked = format!("id eq \"{}\" and members eq \"{other}\"", id_of(&made));
    assert_total(&entra.find("Groups", &asked, "&attributes=id").await, 1);
    let by_filter = json!([{"op": "Remove", "path": format!("members[value eq \"{person}\"]")}]);
    assert_eq!(entra.patch(&group, by_filter).await.0, 204);
    assert_eq!(entry_values(&entra.get_ok(&group).await["members"]), [other.as_str()]);
    let by_list = json!([{"op": "Remove", "path": "members", "value": [member(&other)]}]);
    assert_eq!(entra.patch(&group, by_list).await.0, 204);
    assert!(entry_values(&entra.get_ok(&group).await["members"]).is_empty());
    assert_total(&entra.find("Groups", &asked, "&attributes=id").await, 0);
    let rename = json!([{"op": "Replace", "path": "displayName", "value": "1879db59-3bdf-4490-ad68-ab880a269474"}]);
    assert_eq!(entra.patch(&group, rename).await.0, 204);
    assert_eq!(entra.get_ok(&group).await["displayName"], "1879db59-3bdf-4490-ad68-ab880a269474");
    assert_eq!(entra.send_request("DELETE", &group, &Value::Null).await, (204, Value::Null));
    assert_error(&entra.get(&group).await, 404, "");
}

async fn entra_disables_and_deletes(entra: &Provider, user: &str) {
    for (text, wanted, elsewhere) in
        [("False", false, "disable"), ("True", true, "active"), ("False", false, "disable")]
    {
        let now = entra.patch_ok(user, json!([{"op": "Replace", "path": "active", "value": text}])).await;
        assert_eq!(now["active"], wanted, "{now}");
        assert_eq!(entra.status_elsewhere("adrian@contoso.example").await, elsewhere);
    }
    let found = entra.find("Users", "userName eq \"adrian@contoso.example\"", "").await;
    assert_total(&found, 1);
    assert_eq!(found.1["Resources"][0]["active"], false, "inactive users are still found");
    assert_eq!(entra.send_request("DELETE", user, &Value::Null).await, (204, Value::Null));
    assert_error(&entra.get(user).await, 404, "");
    assert_error(&entra.send_request("DELETE", user, &Value::Null).await, 404, "");
    assert_total(&entra.find("Users", "externalId eq \"0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef\"", "").await, 0);
    let mut body = entra_user();
    body["userName"] = json!("adrian@contoso.example");
    let (status, made) = entra.send_request("POST", "/Users", &body).await;
    assert_eq!((status, &made["active"]), (201, &json!(true)), "{made}");
    assert_eq!(made["externalId"], body["externalId"]);
    assert_eq!(entra.status_elsewhere("Test_User_fd0ea19b@contoso.example").await, "active");
}

/// A user as Okta creates it.
fn okta_user() -> Value {
    json!({
        "schemas": [CORE],
        "userName": "test.user@okta.local",
        "name": {"givenName": "Test", "familyName": "User"},
        "emails": [{"primary": true, "value": "test.user@okta.local", "type": "work"}],
        "displayName": "Test User",
        "locale": "en-US",
        "externalId": "00ujl29u0le5T6Aj10h7",
        "groups": [],
        "password": "1mz050nq",
        "active": true,
    })
}

#[test]
fn okta_provisions_users_and_groups() {
    run_test(async |client| {
        let okta = Provider { client: client.with_profile(ClientProfile::Okta).await, media: "application/scim+json" };
        let user = okta_creates_a_user(&okta).await;
        okta_changes(&okta, &user).await;
        okta_pushes_a_group(&okta, &user).await;
        okta_disables_and_deletes(&okta, &user).await;
    });
}

async fn okta_creates_a_user(okta: &Provider) -> String {
    let page = "&startIndex=1&count=100";
    // The connection test reads the first users.
    let (status, first) = okta.get("/Users?startIndex=1&count=2").await;
    assert_eq!((status, &first["totalResults"], &first["startIndex"]), (200, &json!(0), &json!(1)), "{first}");
    assert_total(&okta.find("Users", "userName eq \"wlkq3v@invalid.okta.local\"", page).await, 0);
    let who = "userName eq \"test.user@okta.local\"";
    assert_total(&okta.find("Users", who, page).await, 0);
    let (status, made) = okta.send_request("POST", "/Users", &okta_user()).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!((&made["userName"], &made["active"]), (&okta_user()["userName"], &json!(true)), "{made}");
    assert!(made.get("password").is_none() && !made.to_string().contains("1mz050nq"), "{made}");
    let user = format!("/Users/{}", id_of(&made));
    let found = okta.find("Users", who, page).await;
    assert_total(&found, 1);
    assert_eq!((&found.1["Resources"][0]["id"], &found.1["itemsPerPage"]), (&made["id"], &json!(1)));
    assert_eq!(okta.get_ok(&user).await["name"], json!({"givenName": "Test", "familyName": "User"}));
    assert_error(&okta.send_request("POST", "/Users", &okta_user()).await, 409, "uniqueness");
    user
}

async fn okta_changes(okta: &Provider, user: &str) {
    // Okta reads the user, changes the attributes it knows and sends all of them back.
    let mut whole = okta.get_ok(user).await;
    whole["name"] = json!({"givenName": "Another", "familyName": "User", "middleName": "Excited"});
    whole["title"] = json!("Engineer");
    let (status, now) = okta.send_request("PUT", user, &whole).await;
    assert_eq!(status, 200, "{now}");
    assert_eq!((&now["id"], &now["title"]), (&whole["id"], &json!("Engineer")), "{now}");
    assert_eq!((&now["name"]["givenName"], &now["name"]["middleName"]), (&json!("Another"), &json!("Excited")));
    assert_eq!(okta.get_ok(user).await["emails"], whole["emails"]);
    whole.as_object_mut().expect("an object").remove("title");
    let (_, now) = okta.send_request("PUT", user, &whole).await;
    assert!(now.get("title").is_none(), "a PUT clears omitted attributes: {now}");
    let operations = json!([{"op": "replace", "value": {"displayName": "Another User", "nickName": "A"}}]);
    let now = okta.patch_ok(user, operations).await;
    assert_eq!((&now["displayName"], &now["nickName"]), (&json!("Another User"), &json!("A")), "{now}");
    assert_eq!(email_of_type(&now, "work"), "test.user@okta.local", "{now}");
    // Only a new password, as after a password change at Okta.
    let now = okta.patch_ok(user, json!([{"op": "replace", "value": {"password": "7elqwerty"}}])).await;
    assert!(now.get("password").is_none(), "{now}");
}

async fn okta_pushes_a_group(okta: &Provider, user: &str) {
    let person = user.rsplit('/').next().expect("an id");
    let (_, other) =
        okta.send_request("POST", "/Users", &json!({"schemas": [CORE], "userName": "other@okta.local"})).await;
    let other = id_of(&other);
    assert_total(&okta.find("Groups", "displayName eq \"Test SCIMv2\"", "&startIndex=1&count=100").await, 0);
    let body = json!({"schemas": [GROUP], "displayName": "Test SCIMv2", "members": []});
    let (status, made) = okta.send_request("POST", "/Groups", &body).await;
    assert_eq!((status, &made["displayName"]), (201, &json!("Test SCIMv2")), "{made}");
    let group = format!("/Groups/{}", id_of(&made));
    for id in [person, &other] {
        let value = json!([{"value": id, "display": "somebody@okta.local"}]);
        let (status, body) = okta.patch(&group, json!([{"op": "add", "path": "members", "value": value}])).await;
        assert!(status == 200 || status == 204, "{status} {body}");
    }
    let read = okta.get_ok(&format!("{group}?excludedAttributes=members")).await;
    assert_eq!((&read["displayName"], read.get("members")), (&json!("Test SCIMv2"), None), "{read}");
    assert_eq!(entry_values(&okta.get_ok(&group).await["members"]).len(), 2);
    assert_eq!(entry_values(&okta.get_ok(user).await["groups"]), [id_of(&made)]);
    // Okta removes one member and adds another in one request, and replaces all on a push.
    let operations = json!([
        {"op": "remove", "path": format!("members[value eq \"{person}\"]")},
        {"op": "add", "path": "members", "value": [{"value": other, "display": "other@okta.local"}]},
    ]);
    okta.patch_ok(&group, operations).await;
    assert_eq!(entry_values(&okta.get_ok(&group).await["members"]), [other.as_str()]);
    let operations = json!([{"op": "replace", "path": "members", "value": [{"value": person}, {"value": other}]}]);
    let now = okta.patch_ok(&group, operations).await;
    assert_eq!(entry_values(&now["members"]).len(), 2, "{now}");
    let operations = json!([{"op": "remove", "path": "members", "value": [{"value": person}]}]);
    let now = okta.patch_ok(&group, operations).await;
    assert_eq!(entry_values(&now["members"]), [other.as_str()], "{now}");
    // The operation has no path, and its value contains the group's id.
    let rename = json!([{"op": "replace", "value": {"id": made["id"], "displayName": "Renamed SCIMv2"}}]);
    let now = okta.patch_ok(&group, rename).await;
    assert_eq!((&now["displayName"], &now["id"]), (&json!("Renamed SCIMv2"), &made["id"]), "{now}");
    assert_eq!(entry_values(&now["members"]), [other.as_str()], "{now}");
    assert_eq!(okta.send_request("DELETE", &group, &Value::Null).await, (204, Value::Null));
    assert_error(&okta.get(&group).await, 404, "");
}

async fn okta_disables_and_deletes(okta: &Provider, user: &str) {
    let who = "test.user@okta.local";
    for (active, elsewhere) in [(false, "disable"), (true, "active"), (false, "disable")] {
        let (status, now) = okta.patch(user, json!([{"op": "replace", "value": {"active": active}}])).await;
        assert_eq!((status, &now["active"]), (200, &json!(active)), "{now}");
        assert_eq!(okta.get_ok(user).await["active"], active);
        assert_eq!(okta.status_elsewhere(who).await, elsewhere);
    }
    // When a user is assigned again, Okta searches, updates and activates it.
    assert_total(&okta.find("Users", "userName eq \"test.user@okta.local\"", "").await, 1);
    let mut whole = okta.get_ok(user).await;
    whole["active"] = json!(true);
    let (status, now) = okta.send_request("PUT", user, &whole).await;
    assert_eq!((status, &now["active"]), (200, &json!(true)), "{now}");
    assert_eq!(okta.status_elsewhere(who).await, "active");
    assert_eq!(okta.send_request("DELETE", user, &Value::Null).await, (204, Value::Null));
    assert_error(&okta.get(user).await, 404, "");
    assert_total(&okta.find("Users", "userName eq \"test.user@okta.local\"", "").await, 0);
    let (status, made) = okta.send_request("POST", "/Users", &okta_user()).await;
    assert_eq!((status, &made["active"]), (201, &json!(true)), "{made}");
    assert_eq!(okta.status_elsewhere(who).await, "active");
}
