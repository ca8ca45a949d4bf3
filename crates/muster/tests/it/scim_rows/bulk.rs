//! The row "/Bulk" of the table "Surface": references in any order and in circles, `failOnErrors`, and the limits.

use super::{BULK, CORE, Client, ENTERPRISE, GROUP, id, listed, names, refused, scim};
use serde_json::{Value, json};

/// Sends operations; the answers to them.
async fn bulk(client: &Client, operations: Value, fail_on_errors: Option<u32>) -> Vec<Value> {
    let mut body = json!({"schemas": [BULK], "Operations": operations});
    if let Some(number) = fail_on_errors {
        body["failOnErrors"] = json!(number);
    }
    let (status, answer) = client.post("/Bulk", &body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:BulkResponse"]));
    answer["Operations"].as_array().expect("operations").clone()
}

fn person(bulk_id: &str, name: &str) -> Value {
    json!({"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": {"schemas": [CORE], "userName": name}})
}

/// Somebody whose manager is somebody of the same request.
fn managed(bulk_id: &str, name: &str, manager: &str) -> Value {
    let mut operation = person(bulk_id, name);
    operation["data"]["schemas"] = json!([CORE, ENTERPRISE]);
    operation["data"][ENTERPRISE] = json!({"manager": {"value": format!("bulkId:{manager}")}});
    operation
}

fn statuses(answers: &[Value]) -> Vec<&str> {
    answers.iter().map(|each| each["status"].as_str().expect("a text")).collect()
}

/// The path within the dialect of what an operation made.
fn made(answers: &[Value], bulk_id: &str) -> String {
    let answer = answers.iter().find(|each| each["bulkId"] == bulk_id).expect("an answer");
    let location = answer["location"].as_str().unwrap_or_else(|| panic!("a place: {answer}"));
    location.split("/scim/v2").nth(1).expect("a path").to_owned()
}

#[test]
fn bulk_does_every_kind_of_operation_and_answers_each() {
    scim(async |client| {
        let (put, patch, gone) = (
            client.person("put@x.example").await,
            client.person("patch@x.example").await,
            client.person("gone@x.example").await,
        );
        let operations = json!([
            person("new", "new@x.example"),
            {"method": "PUT", "path": put, "data": {"schemas": [CORE], "userName": "put@x.example", "title": "T"}},
            {"method": "PATCH", "path": patch,
                "data": {"Operations": [{"op": "add", "path": "nickName", "value": "N"}]}},
            {"method": "DELETE", "path": gone},
        ]);
        let answers = bulk(&client, operations, None).await;
        assert_eq!(statuses(&answers)[0], "201");
        assert_eq!(statuses(&answers)[3], "204");
        assert!(statuses(&answers)[1..3].iter().all(|status| *status == "200"), "{answers:?}");
        assert_eq!((&answers[0]["method"], &answers[0]["bulkId"]), (&json!("POST"), &json!("new")));
        let new = made(&answers, "new");
        assert_eq!(client.read(&new).await["userName"], "new@x.example");
        assert_eq!(client.read(&new).await["meta"]["version"], answers[0]["version"]);
        assert_eq!(client.read(&put).await["title"], "T");
        assert_eq!(client.read(&patch).await["nickName"], "N");
        assert_eq!(client.get(&gone).await.0, 404);
    });
}

#[test]
fn a_bulk_id_may_be_referred_to_after_it_was_made() {
    scim(async |client| {
        let group = json!({"method": "POST", "path": "/Groups", "bulkId": "g",
            "data": {"schemas": [GROUP], "displayName": "Tours", "members": [{"value": "bulkId:a"}]}});
        let answers = bulk(&client, json!([person("a", "a@x.example"), group]), None).await;
        assert_eq!(statuses(&answers), ["201", "201"], "{answers:?}");
        assert_eq!(client.members(&made(&answers, "g")).await, [id(&made(&answers, "a"))]);
    });
}

#[test]
fn a_bulk_id_may_be_referred_to_before_it_is_made() {
    scim(async |client| {
        let group = json!({"method": "POST", "path": "/Groups", "bulkId": "g",
            "data": {"schemas": [GROUP], "displayName": "Tours",
                "members": [{"value": "bulkId:a"}, {"value": "bulkId:b"}]}});
        let operations = json!([group, person("a", "a@x.example"), managed("b", "b@x.example", "a")]);
        let answers = bulk(&client, operations, None).await;
        assert_eq!(statuses(&answers), ["201", "201", "201"], "{answers:?}");
        let (a, b) = (made(&answers, "a"), made(&answers, "b"));
        assert_eq!(client.members(&made(&answers, "g")).await, super::ids(&[&a, &b]));
        assert_eq!(client.read(&b).await[ENTERPRISE]["manager"]["value"], id(&a));
    });
}

#[test]
fn bulk_ids_may_refer_to_each_other_in_a_circle() {
    scim(async |client| {
        let operations = json!([
            managed("a", "a@x.example", "b"),
            managed("b", "b@x.example", "c"),
            managed("c", "c@x.example", "a"),
        ]);
        let answers = bulk(&client, operations, None).await;
        assert_eq!(statuses(&answers), ["201", "201", "201"], "{answers:?}");
        for (one, manager) in [("a", "b"), ("b", "c"), ("c", "a")] {
            let user = client.read(&made(&answers, one)).await;
            assert_eq!(user[ENTERPRISE]["manager"]["value"], id(&made(&answers, manager)), "{one}");
        }
    });
}

#[test]
fn a_bulk_id_may_stand_in_a_patch() {
    scim(async |client| {
        let group = client.group("Tours", &[]).await;
        let patch = json!({"method": "PATCH", "path": group,
            "data": {"Operations": [{"op": "add", "path": "members", "value": [{"value": "bulkId:a"}]}]}});
        let answers = bulk(&client, json!([patch, person("a", "a@x.example")]), None).await;
        assert!(
            answers.iter().all(|each| each["status"].as_str().is_some_and(|s| s.starts_with('2'))),
            "{answers:?}"
        );
        assert_eq!(client.members(&group).await, [id(&made(&answers, "a"))]);
    });
}

#[test]
fn a_reference_to_what_is_not_made_fails_that_operation_alone() {
    scim(async |client| {
        client.person("taken@x.example").await;
        let operations = json!([
            managed("a", "a@x.example", "nowhere"),
            person("b", "taken@x.example"),
            managed("c", "c@x.example", "b"),
            person("d", "d@x.example"),
        ]);
        let answers = bulk(&client, operations, None).await;
        let all = statuses(&answers);
        assert!(all[0].starts_with('4') && all[2].starts_with('4'), "{answers:?}");
        assert_eq!((all[1], all[3]), ("409", "201"), "{answers:?}");
        assert_eq!(names(&client.read("/Users?sortBy=userName").await), ["d@x.example", "taken@x.example"]);
    });
}

#[test]
fn an_operation_that_fails_says_why_and_the_others_are_done() {
    scim(async |client| {
        client.person("taken@x.example").await;
        let operations = json!([
            person("a", "a@x.example"),
            person("b", "taken@x.example"),
            {"method": "DELETE", "path": format!("/Users/{}", super::NOBODY)},
            {"method": "POST", "path": "/Nope", "bulkId": "n", "data": {}},
            person("c", "c@x.example"),
        ]);
        let answers = bulk(&client, operations, None).await;
        assert_eq!(statuses(&answers)[..3], ["201", "409", "404"], "{answers:?}");
        assert!(statuses(&answers)[3].starts_with('4'), "{answers:?}");
        assert_eq!(statuses(&answers)[4..], ["201"], "{answers:?}");
        refused(&(409, answers[1]["response"].clone()), 409, "uniqueness");
        assert!(answers[1].get("location").is_none(), "a POST that failed has no place: {}", answers[1]);
        refused(&(404, answers[2]["response"].clone()), 404, "");
        listed(&client.get("/Users").await, 3);
    });
}

#[test]
fn a_post_without_a_bulk_id_is_refused_and_creates_nothing() {
    scim(async |client| {
        let operation = json!({"method": "POST", "path": "/Users", "data": {"schemas": [CORE], "userName": "a@x.example"}});
        let body = json!({"schemas": [BULK], "Operations": [operation]});
        let (status, answer) = client.post("/Bulk", &body).await;
        // RFC 7644, 3.7, requires the bulkId; it leaves open whether the operation or the whole request fails.
        let said = if status == 200 { &answer["Operations"][0]["status"] } else { &answer["status"] };
        assert_eq!(said, "400", "{answer}");
        listed(&client.get("/Users").await, 0);
    });
}

#[test]
fn a_patch_may_be_a_bare_list_as_the_rfc_prints_it() {
    scim(async |client| {
        let path = client.person("a@x.example").await;
        client.patch(&path, &json!([{"op": "add", "path": "nickName", "value": "N"}])).await;
        // RFC 7644, 3.7.3, the first example.
        let data =
            json!([{"op": "remove", "path": "nickName"}, {"op": "add", "path": "userName", "value": "Dave"}]);
        let answers = bulk(&client, json!([{"method": "PATCH", "path": path, "data": data}]), None).await;
        assert_eq!(statuses(&answers), ["200"], "{answers:?}");
        let user = client.read(&path).await;
        assert_eq!((&user["userName"], user.get("nickName")), (&json!("Dave"), None), "{user}");
    });
}

#[test]
fn a_reference_to_what_fails_later_leaves_nothing_behind() {
    scim(async |client| {
        client.person("taken@x.example").await;
        let group = json!({"method": "POST", "path": "/Groups", "bulkId": "g",
            "data": {"schemas": [GROUP], "displayName": "Tours", "members": [{"value": "bulkId:b"}]}});
        let operations = json!([managed("a", "a@x.example", "b"), group, person("b", "taken@x.example")]);
        let answers = bulk(&client, operations, None).await;
        assert!(statuses(&answers).iter().all(|status| status.starts_with('4')), "{answers:?}");
        // What is answered with an error was not done, as after any POST.
        listed(&client.get("/Users").await, 1);
        listed(&client.get("/Groups").await, 0);
        assert!(answers.iter().all(|each| each.get("location").is_none()), "{answers:?}");
    });
}

#[test]
fn a_circle_in_which_somebody_fails_leaves_nothing_behind() {
    scim(async |client| {
        client.person("taken@x.example").await;
        let operations = json!([managed("a", "a@x.example", "b"), managed("b", "taken@x.example", "a")]);
        let answers = bulk(&client, operations, None).await;
        assert!(statuses(&answers).iter().all(|status| status.starts_with('4')), "{answers:?}");
        // Otherwise who is told of a failure and sends the same again is told that the name is taken.
        assert_eq!(names(&client.read("/Users").await), ["taken@x.example"]);
    });
}

#[test]
fn groups_in_a_circle_are_made_whole_or_not_at_all() {
    scim(async |client| {
        let group = |bulk_id: &str, name: &str, other: &str| {
            json!({"method": "POST", "path": "/Groups", "bulkId": bulk_id, "data": {"schemas": [GROUP],
                "displayName": name, "members": [{"type": "Group", "value": format!("bulkId:{other}")}]}})
        };
        // RFC 7644, 3.7.1, prints this; RFC 7643 does not ask for groups in groups, so they may be refused.
        let operations = json!([group("qwerty", "Group A", "ytrewq"), group("ytrewq", "Group B", "qwerty")]);
        let answers = bulk(&client, operations, None).await;
        let all = statuses(&answers);
        if all == ["201", "201"] {
            for (one, other) in [("qwerty", "ytrewq"), ("ytrewq", "qwerty")] {
                assert_eq!(client.members(&made(&answers, one)).await, [id(&made(&answers, other))]);
            }
        } else {
            assert!(all.iter().all(|status| status.starts_with('4')), "{answers:?}");
            listed(&client.get("/Groups").await, 0);
        }
    });
}

#[test]
fn fail_on_errors_stops_after_that_many() {
    for (limit, done, left) in [(1, 2, "a"), (2, 4, "ac"), (3, 5, "ace")] {
        scim(async |client| {
            client.person("taken@x.example").await;
            let operations = json!([
                person("a", "a@x.example"),
                person("b", "taken@x.example"),
                person("c", "c@x.example"),
                person("d", "taken@x.example"),
                person("e", "e@x.example"),
            ]);
            let answers = bulk(&client, operations, Some(limit)).await;
            assert_eq!(answers.len(), done, "{limit}: {answers:?}");
            let there = client.found("not (userName sw \"taken\")").await;
            assert_eq!(there, left, "{limit}: what came before stays, what follows is not done");
        });
    }
}

#[test]
fn without_fail_on_errors_everything_is_tried() {
    scim(async |client| {
        client.person("taken@x.example").await;
        let mut operations: Vec<Value> =
            (0..5).map(|at| person(&at.to_string(), "taken@x.example")).collect();
        operations.push(person("a", "a@x.example"));
        let answers = bulk(&client, json!(operations), None).await;
        assert_eq!(statuses(&answers), ["409", "409", "409", "409", "409", "201"]);
    });
}

#[test]
fn an_old_version_in_an_operation_is_412() {
    scim(async |client| {
        let path = client.person("a@x.example").await;
        let old = client.read(&path).await["meta"]["version"].clone();
        client.patch(&path, &json!([{"op": "add", "path": "title", "value": "T"}])).await;
        let answers = bulk(&client, json!([{"method": "DELETE", "path": path, "version": old}]), None).await;
        assert_eq!(statuses(&answers), ["412"], "{answers:?}");
        assert_eq!(client.read(&path).await["title"], "T");
    });
}

#[test]
fn more_operations_than_announced_are_400_too_many_and_none_is_done() {
    scim(async |client| {
        let all: Vec<Value> =
            (0..1001).map(|at| person(&at.to_string(), &format!("{at}@x.example"))).collect();
        let body = json!({"schemas": [BULK], "Operations": all});
        refused(&client.post("/Bulk", &body).await, 400, "tooMany");
        listed(&client.get("/Users").await, 0);
    });
}

#[test]
fn as_many_operations_as_announced_are_done() {
    scim(async |client| {
        let all = (0..1000).map(|at| person(&at.to_string(), &format!("{at}@x.example"))).collect();
        let answers = bulk(&client, all, None).await;
        assert_eq!(answers.len(), 1000);
        assert!(statuses(&answers).iter().all(|status| *status == "201"), "{answers:?}");
        assert_eq!(client.read("/Users?count=1").await["totalResults"], 1000);
    });
}

#[test]
fn a_body_larger_than_announced_is_413_and_nothing_is_done() {
    scim(async |client| {
        let mut operation = person("a", "a@x.example");
        operation["data"]["title"] = json!("t".repeat(4_194_304));
        let body = json!({"schemas": [BULK], "Operations": [operation]});
        refused(&client.post("/Bulk", &body).await, 413, "");
        listed(&client.get("/Users").await, 0);
    });
}

#[test]
fn a_body_as_large_as_announced_is_read() {
    scim(async |client| {
        let body = json!({"schemas": [BULK], "Operations": [person("a", "a@x.example")]}).to_string();
        // White space is as good as anything for filling up.
        let full = format!("{body}{}", " ".repeat(4_194_304 - body.len()));
        let answer = client.send("POST", "/Bulk", &[], &full).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let answer = client.send("POST", "/Bulk", &[], &format!("{full} ")).await;
        refused(&(answer.status, answer.json()), 413, "");
        listed(&client.get("/Users").await, 1);
    });
}
