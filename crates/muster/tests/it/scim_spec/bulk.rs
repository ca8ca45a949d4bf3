//! The row "/Bulk" of the table "Surface": references in any order, circular references, `failOnErrors`, and limits.

use super::{BULK, CORE, Client, ENTERPRISE, GROUP, assert_error, assert_total, id_of, run_test, user_names};
use serde_json::{Value, json};

/// Sends operations; returns their responses.
async fn send_bulk(client: &Client, operations: Value, fail_on_errors: Option<u32>) -> Vec<Value> {
    let mut body = json!({"schemas": [BULK], "Operations": operations});
    if let Some(number) = fail_on_errors {
        body["failOnErrors"] = json!(number);
    }
    let (status, answer) = client.post("/Bulk", &body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:BulkResponse"]));
    answer["Operations"].as_array().expect("operations").clone()
}

fn create_operation(bulk_id: &str, name: &str) -> Value {
    json!({"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": {"schemas": [CORE], "userName": name}})
}

/// Creates a user whose manager is created in the same request.
fn create_with_manager(bulk_id: &str, name: &str, manager: &str) -> Value {
    let mut operation = create_operation(bulk_id, name);
    operation["data"]["schemas"] = json!([CORE, ENTERPRISE]);
    operation["data"][ENTERPRISE] = json!({"manager": {"value": format!("bulkId:{manager}")}});
    operation
}

fn statuses(answers: &[Value]) -> Vec<&str> {
    answers.iter().map(|each| each["status"].as_str().expect("a text")).collect()
}

/// The path of the resource that an operation created.
fn location_of(answers: &[Value], bulk_id: &str) -> String {
    let answer = answers.iter().find(|each| each["bulkId"] == bulk_id).expect("an answer");
    let location = answer["location"].as_str().unwrap_or_else(|| panic!("a place: {answer}"));
    location.split("/scim/v2").nth(1).expect("a path").to_owned()
}

#[test]
fn bulk_performs_and_answers_every_kind_of_operation() {
    run_test(async |client| {
        let (put, patch, gone) = (
            client.create_user("put@x.example").await,
            client.create_user("patch@x.example").await,
            client.create_user("gone@x.example").await,
        );
        let operations = json!([
            create_operation("new", "new@x.example"),
            {"method": "PUT", "path": put, "data": {"schemas": [CORE], "userName": "put@x.example", "title": "T"}},
            {"method": "PATCH", "path": patch,
                "data": {"Operations": [{"op": "add", "path": "nickName", "value": "N"}]}},
            {"method": "DELETE", "path": gone},
        ]);
        let answers = send_bulk(&client, operations, None).await;
        assert_eq!(statuses(&answers)[0], "201");
        assert_eq!(statuses(&answers)[3], "204");
        assert!(statuses(&answers)[1..3].iter().all(|status| *status == "200"), "{answers:?}");
        assert_eq!((&answers[0]["method"], &answers[0]["bulkId"]), (&json!("POST"), &json!("new")));
        let new = location_of(&answers, "new");
        assert_eq!(client.get_ok(&new).await["userName"], "new@x.example");
        assert_eq!(client.get_ok(&new).await["meta"]["version"], answers[0]["version"]);
        assert_eq!(client.get_ok(&put).await["title"], "T");
        assert_eq!(client.get_ok(&patch).await["nickName"], "N");
        assert_eq!(client.get(&gone).await.0, 404);
    });
}

#[test]
fn a_bulk_id_can_be_used_after_its_creation() {
    run_test(async |client| {
        let group = json!({"method": "POST", "path": "/Groups", "bulkId": "g",
            "data": {"schemas": [GROUP], "displayName": "Tours", "members": [{"value": "bulkId:a"}]}});
        let answers = send_bulk(&client, json!([create_operation("a", "a@x.example"), group]), None).await;
        assert_eq!(statuses(&answers), ["201", "201"], "{answers:?}");
        assert_eq!(client.members(&location_of(&answers, "g")).await, [id_of(&location_of(&answers, "a"))]);
    });
}

#[test]
fn a_bulk_id_can_be_used_before_its_creation() {
    run_test(async |client| {
        let group = json!({"method": "POST", "path": "/Groups", "bulkId": "g",
            "data": {"schemas": [GROUP], "displayName": "Tours",
                "members": [{"value": "bulkId:a"}, {"value": "bulkId:b"}]}});
        let operations =
            json!([group, create_operation("a", "a@x.example"), create_with_manager("b", "b@x.example", "a")]);
        let answers = send_bulk(&client, operations, None).await;
        assert_eq!(statuses(&answers), ["201", "201", "201"], "{answers:?}");
        let (a, b) = (location_of(&answers, "a"), location_of(&answers, "b"));
        assert_eq!(client.members(&location_of(&answers, "g")).await, super::ids(&[&a, &b]));
        assert_eq!(client.get_ok(&b).await[ENTERPRISE]["manager"]["value"], id_of(&a));
    });
}

#[test]
fn bulk_ids_can_be_circular() {
    run_test(async |client| {
        let operations = json!([
            create_with_manager("a", "a@x.example", "b"),
            create_with_manager("b", "b@x.example", "c"),
            create_with_manager("c", "c@x.example", "a"),
        ]);
        let answers = send_bulk(&client, operations, None).await;
        assert_eq!(statuses(&answers), ["201", "201", "201"], "{answers:?}");
        for (one, manager) in [("a", "b"), ("b", "c"), ("c", "a")] {
            let user = client.get_ok(&location_of(&answers, one)).await;
            assert_eq!(user[ENTERPRISE]["manager"]["value"], id_of(&location_of(&answers, manager)), "{one}");
        }
    });
}

#[test]
fn a_bulk_id_can_be_used_in_a_patch() {
    run_test(async |client| {
        let group = client.create_group("Tours", &[]).await;
        let patch = json!({"method": "PATCH", "path": group,
            "data": {"Operations": [{"op": "add", "path": "members", "value": [{"value": "bulkId:a"}]}]}});
        let answers = send_bulk(&client, json!([patch, create_operation("a", "a@x.example")]), None).await;
        assert!(answers.iter().all(|each| each["status"].as_str().is_some_and(|s| s.starts_with('2'))), "{answers:?}");
        assert_eq!(client.members(&group).await, [id_of(&location_of(&answers, "a"))]);
    });
}

#[test]
fn an_unresolved_bulk_id_fails_only_its_operation() {
    run_test(async |client| {
        client.create_user("taken@x.example").await;
        let operations = json!([
            create_with_manager("a", "a@x.example", "nowhere"),
            create_operation("b", "taken@x.example"),
            create_with_manager("c", "c@x.example", "b"),
            create_operation("d", "d@x.example"),
        ]);
        let answers = send_bulk(&client, operations, None).await;
        let all = statuses(&answers);
        assert!(all[0].starts_with('4') && all[2].starts_with('4'), "{answers:?}");
        assert_eq!((all[1], all[3]), ("409", "201"), "{answers:?}");
        assert_eq!(user_names(&client.get_ok("/Users?sortBy=userName").await), ["d@x.example", "taken@x.example"]);
    });
}

#[test]
fn failed_operations_report_errors_and_others_succeed() {
    run_test(async |client| {
        client.create_user("taken@x.example").await;
        let operations = json!([
            create_operation("a", "a@x.example"),
            create_operation("b", "taken@x.example"),
            {"method": "DELETE", "path": format!("/Users/{}", super::UNKNOWN_ID)},
            {"method": "POST", "path": "/Nope", "bulkId": "n", "data": {}},
            create_operation("c", "c@x.example"),
        ]);
        let answers = send_bulk(&client, operations, None).await;
        assert_eq!(statuses(&answers)[..3], ["201", "409", "404"], "{answers:?}");
        assert!(statuses(&answers)[3].starts_with('4'), "{answers:?}");
        assert_eq!(statuses(&answers)[4..], ["201"], "{answers:?}");
        assert_error(&(409, answers[1]["response"].clone()), 409, "uniqueness");
        assert!(answers[1].get("location").is_none(), "a failed POST has no location: {}", answers[1]);
        assert_error(&(404, answers[2]["response"].clone()), 404, "");
        assert_total(&client.get("/Users").await, 3);
    });
}

#[test]
fn a_post_without_a_bulk_id_is_rejected_and_creates_nothing() {
    run_test(async |client| {
        let operation =
            json!({"method": "POST", "path": "/Users", "data": {"schemas": [CORE], "userName": "a@x.example"}});
        let body = json!({"schemas": [BULK], "Operations": [operation]});
        let (status, answer) = client.post("/Bulk", &body).await;
        // RFC 7644 §3.7 requires the bulkId, but not whether the operation or the whole request fails.
        let said = if status == 200 { &answer["Operations"][0]["status"] } else { &answer["status"] };
        assert_eq!(said, "400", "{answer}");
        assert_total(&client.get("/Users").await, 0);
    });
}

#[test]
fn a_patch_can_be_a_bare_list() {
    run_test(async |client| {
        let path = client.create_user("a@x.example").await;
        client.patch(&path, &json!([{"op": "add", "path": "nickName", "value": "N"}])).await;
        // RFC 7644 §3.7.3, the first example.
        let data = json!([{"op": "remove", "path": "nickName"}, {"op": "add", "path": "userName", "value": "Dave"}]);
        let answers = send_bulk(&client, json!([{"method": "PATCH", "path": path, "data": data}]), None).await;
        assert_eq!(statuses(&answers), ["200"], "{answers:?}");
        let user = client.get_ok(&path).await;
        assert_eq!((&user["userName"], user.get("nickName")), (&json!("Dave"), None), "{user}");
    });
}

#[test]
fn a_reference_to_a_failing_operation_changes_nothing() {
    run_test(async |client| {
        client.create_user("taken@x.example").await;
        let group = json!({"method": "POST", "path": "/Groups", "bulkId": "g",
            "data": {"schemas": [GROUP], "displayName": "Tours", "members": [{"value": "bulkId:b"}]}});
        let operations =
            json!([create_with_manager("a", "a@x.example", "b"), group, create_operation("b", "taken@x.example")]);
        let answers = send_bulk(&client, operations, None).await;
        assert!(statuses(&answers).iter().all(|status| status.starts_with('4')), "{answers:?}");
        // An operation with an error has no effect, as with any POST.
        assert_total(&client.get("/Users").await, 1);
        assert_total(&client.get("/Groups").await, 0);
        assert!(answers.iter().all(|each| each.get("location").is_none()), "{answers:?}");
    });
}

#[test]
fn a_failing_circular_reference_changes_nothing() {
    run_test(async |client| {
        client.create_user("taken@x.example").await;
        let operations =
            json!([create_with_manager("a", "a@x.example", "b"), create_with_manager("b", "taken@x.example", "a")]);
        let answers = send_bulk(&client, operations, None).await;
        assert!(statuses(&answers).iter().all(|status| status.starts_with('4')), "{answers:?}");
        // Otherwise a client that retries after this error gets a conflict.
        assert_eq!(user_names(&client.get_ok("/Users").await), ["taken@x.example"]);
    });
}

#[test]
fn circular_groups_are_atomic() {
    run_test(async |client| {
        let group = |bulk_id: &str, name: &str, other: &str| {
            json!({"method": "POST", "path": "/Groups", "bulkId": bulk_id, "data": {"schemas": [GROUP],
                "displayName": name, "members": [{"type": "Group", "value": format!("bulkId:{other}")}]}})
        };
        // An example of RFC 7644 §3.7.1. RFC 7643 does not require nested groups, so they may be rejected.
        let operations = json!([group("qwerty", "Group A", "ytrewq"), group("ytrewq", "Group B", "qwerty")]);
        let answers = send_bulk(&client, operations, None).await;
        let all = statuses(&answers);
        if all == ["201", "201"] {
            for (one, other) in [("qwerty", "ytrewq"), ("ytrewq", "qwerty")] {
                assert_eq!(client.members(&location_of(&answers, one)).await, [id_of(&location_of(&answers, other))]);
            }
        } else {
            assert!(all.iter().all(|status| status.starts_with('4')), "{answers:?}");
            assert_total(&client.get("/Groups").await, 0);
        }
    });
}

#[test]
fn fail_on_errors_stops_after_that_many() {
    for (limit, done, left) in [(1, 2, "a"), (2, 4, "ac"), (3, 5, "ace")] {
        run_test(async |client| {
            client.create_user("taken@x.example").await;
            let operations = json!([
                create_operation("a", "a@x.example"),
                create_operation("b", "taken@x.example"),
                create_operation("c", "c@x.example"),
                create_operation("d", "taken@x.example"),
                create_operation("e", "e@x.example"),
            ]);
            let answers = send_bulk(&client, operations, Some(limit)).await;
            assert_eq!(answers.len(), done, "{limit}: {answers:?}");
            let there = client.found_initials("not (userName sw \"taken\")").await;
            assert_eq!(there, left, "{limit}: earlier operations are kept, later ones are not executed");
        });
    }
}

#[test]
fn without_fail_on_errors_all_operations_run() {
    run_test(async |client| {
        client.create_user("taken@x.example").await;
        let mut operations: Vec<Value> =
            (0..5).map(|at| create_operation(&at.to_string(), "taken@x.example")).collect();
        operations.push(create_operation("a", "a@x.example"));
        let answers = send_bulk(&client, json!(operations), None).await;
        assert_eq!(statuses(&answers), ["409", "409", "409", "409", "409", "201"]);
    });
}

#[test]
fn an_old_version_in_an_operation_is_412() {
    run_test(async |client| {
        let path = client.create_user("a@x.example").await;
        let old = client.get_ok(&path).await["meta"]["version"].clone();
        client.patch(&path, &json!([{"op": "add", "path": "title", "value": "T"}])).await;
        let answers = send_bulk(&client, json!([{"method": "DELETE", "path": path, "version": old}]), None).await;
        assert_eq!(statuses(&answers), ["412"], "{answers:?}");
        assert_eq!(client.get_ok(&path).await["title"], "T");
    });
}

#[test]
fn too_many_operations_are_400_too_many() {
    run_test(async |client| {
        let all: Vec<Value> =
            (0..1001).map(|at| create_operation(&at.to_string(), &format!("{at}@x.example"))).collect();
        let body = json!({"schemas": [BULK], "Operations": all});
        assert_error(&client.post("/Bulk", &body).await, 400, "tooMany");
        assert_total(&client.get("/Users").await, 0);
    });
}

#[test]
fn the_maximum_number_of_operations_is_accepted() {
    run_test(async |client| {
        let all = (0..1000).map(|at| create_operation(&at.to_string(), &format!("{at}@x.example"))).collect();
        let answers = send_bulk(&client, all, None).await;
        assert_eq!(answers.len(), 1000);
        assert!(statuses(&answers).iter().all(|status| *status == "201"), "{answers:?}");
        assert_eq!(client.get_ok("/Users?count=1").await["totalResults"], 1000);
    });
}

#[test]
fn an_oversized_body_is_413() {
    run_test(async |client| {
        let mut operation = create_operation("a", "a@x.example");
        operation["data"]["title"] = json!("t".repeat(4_194_304));
        let body = json!({"schemas": [BULK], "Operations": [operation]});
        assert_error(&client.post("/Bulk", &body).await, 413, "");
        assert_total(&client.get("/Users").await, 0);
    });
}

#[test]
fn a_body_of_the_maximum_size_is_accepted() {
    run_test(async |client| {
        let body = json!({"schemas": [BULK], "Operations": [create_operation("a", "a@x.example")]}).to_string();
        // Fill up with white space.
        let full = format!("{body}{}", " ".repeat(4_194_304 - body.len()));
        let answer = client.send("POST", "/Bulk", &[], &full).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let answer = client.send("POST", "/Bulk", &[], &format!("{full} ")).await;
        assert_error(&(answer.status, answer.json()), 413, "");
        assert_total(&client.get("/Users").await, 1);
    });
}
