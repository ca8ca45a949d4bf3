//! What the simulators answer to a client that is written by hand.

use super::support::{Simulator, server};
use crate::support::{HttpResponse, try_send};
use serde_json::{Value, json};

/// Sends a JSON request with the simulator's key.
fn request(simulator: &Simulator, method: &str, path: &str, body: &Value) -> HttpResponse {
    let key = std::fs::read_to_string(simulator.key_path()).expect("the key");
    let bearer = format!("Bearer {}", key.trim());
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    try_send(&simulator.address, method, path, &headers, body.to_string().as_bytes()).expect("an answer")
}

fn json_of(response: &HttpResponse) -> Value {
    serde_json::from_str(&response.body).unwrap_or_else(|error| panic!("{error}: {}", response.body))
}

#[test]
fn groups_of_scim_have_a_limit_of_members() {
    let simulator = Simulator::start("scim", "max-members = 2");
    let group = json!({"displayName": "Staff", "members": [{"value": "1"}]});
    let made = request(&simulator, "POST", "/scim/v2/Groups", &group);
    assert_eq!(made.status, 201, "{}", made.body);
    let path = format!("/scim/v2/Groups/{}", json_of(&made)["id"].as_str().expect("an id"));
    let add = |ids: &[&str]| {
        let members: Vec<Value> = ids.iter().map(|id| json!({"value": id})).collect();
        let patch = json!({"Operations": [{"op": "add", "path": "members", "value": members}]});
        request(&simulator, "PATCH", &path, &patch).status
    };
    assert_eq!((add(&["1", "2"]), add(&["3"])), (200, 400));
    let remove = json!({"Operations": [{"op": "remove", "path": "members[value eq \"1\"]"}]});
    assert_eq!(request(&simulator, "PATCH", &path, &remove).status, 200);
    assert_eq!(add(&["3"]), 200);
    let found = request(&simulator, "GET", "/scim/v2/Groups?filter=displayName%20eq%20%22Staff%22", &Value::Null);
    let members = json_of(&found)["Resources"][0]["members"].clone();
    assert_eq!(members, json!([{"value": "2"}, {"value": "3"}]));
    assert_eq!(request(&simulator, "DELETE", &path, &Value::Null).status, 204);
    assert_eq!(request(&simulator, "GET", &path, &Value::Null).status, 404);
}

#[test]
fn publisher_and_ccs_keep_what_they_get() {
    let simulator = Simulator::start("publisher", "");
    let user = json!({"user": {"email": "ann@example.com", "name": {"firstname": "Ann", "lastname": "Lee"}}});
    assert_eq!(request(&simulator, "POST", "/api/2/users", &user).status, 200);
    let again = request(&simulator, "POST", "/api/2/users", &user);
    assert!(again.status >= 400, "{}", again.body);
    assert_eq!(request(&simulator, "POST", "/api/2/users/ann@example.com/disable", &json!({})).status, 200);
    assert_eq!(simulator.accounts().len(), 1);

    // The vendor's API can only create; Muster's can do the rest.
    for (api, read) in [("ccs", 405), ("ccs-muster", 200)] {
        let simulator = Simulator::start(api, "");
        let user =
            json!({"title": "Ms", "firstName": "Ann", "lastName": "Lee", "email": "ann@example.com", "roleId": 1});
        let made = request(&simulator, "POST", "/request/user", &user);
        assert!(made.status < 300, "{api}: {} {}", made.status, made.body);
        assert_eq!(request(&simulator, "GET", "/request/user", &Value::Null).status, read, "{api}");
        assert_eq!(simulator.accounts().len(), 1, "{api}");
        let incomplete = request(&simulator, "POST", "/request/user", &json!({"firstName": "Bob"}));
        assert_eq!(incomplete.status, 400, "{api}: {}", incomplete.body);
    }
}

#[test]
fn a_publisher_target_is_tested() {
    let server = server();
    let simulator = Simulator::start("publisher", "");
    simulator.add_to(server.store(), "target", &[]);
    let tested = server.run_json(&["target", "test", "target", "--tenant", "1"]);
    let found = &tested["capabilities"];
    assert_eq!(found["findsBy"], json!(["externalId", "email"]), "{tested}");
    assert_eq!(found["rejectsDuplicate"], json!(["email"]), "{tested}");
    assert_eq!((&found["deactivates"], &found["deletes"]), (&json!(true), &json!(true)), "{tested}");
    assert!(found["evidence"].as_array().is_some_and(|lines| lines.contains(&json!("archive: done"))), "{tested}");
    let accounts = simulator.accounts();
    assert!(!accounts.is_empty() && accounts.iter().all(|it| it["fields"]["status"] == "archive"), "{accounts:?}");
}
