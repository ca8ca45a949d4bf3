//! PATCH requests that must be rejected without any change.

use super::Fixture;
use super::resource::{CORE, comparable};
use crate::support::runtime;
use serde_json::{Value, json};

pub(super) fn patch_request(operations: &[Value]) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations})
}

pub(super) fn new_user(number: usize) -> Value {
    json!({
        "schemas": [CORE],
        "userName": format!("Newcomer.{number}"),
        "name": {"givenName": "New", "familyName": "Comer"},
        "emails": [
            {"value": format!("Newcomer.{number}@example.com"), "type": "work", "primary": true},
            {"value": format!("Home.{number}@example.com"), "type": "home"},
        ],
        "active": true,
    })
}

/// Operations that must be rejected with 400 for every user.
pub(super) fn invalid_operations() -> Vec<Value> {
    vec![
        json!({"op": "replace", "path": "nope[", "value": "x"}),
        json!({"op": "replace", "path": "emails[type eq \"work\"", "value": {"value": "a@b.example"}}),
        json!({"op": "replace", "path": "emails[type zz \"work\"].value", "value": "a@b.example"}),
        json!({"op": "replace", "path": "emails[value co \"nowhere\"].display", "value": "x"}),
        json!({"op": "replace", "path": "phoneNumbers[value co \"nowhere\"]", "value": {"value": "x"}}),
        json!({"op": "frobnicate", "path": "title", "value": "x"}),
        json!({"op": "remove"}),
        json!({"op": "remove", "path": "userName"}),
        json!({"op": "replace", "path": "userName", "value": null}),
        json!({"op": "add", "path": "title"}),
        json!({"op": "replace", "path": "active", "value": "perhaps"}),
        json!({"op": "replace", "path": "emails", "value": [{"value": "no at sign", "type": "work"}]}),
        json!({"op": "add", "path": "name.givenName", "value": {"a": 1}}),
        json!({"op": "add", "path": "name", "value": "Ann"}),
        json!({"op": "replace", "path": "id", "value": "another"}),
        json!({"path": "title", "value": "x"}),
    ]
}

/// Sends invalid requests; returns those that were accepted or changed something.
async fn accepted_requests(requests: Vec<Vec<Value>>) -> Vec<String> {
    let world = Fixture::new().await;
    let mut taken = Vec::new();
    for (number, operations) in requests.into_iter().enumerate() {
        let made = world.add(&new_user(number)).await;
        let target = format!("/Users/{}", made["id"].as_str().expect("an id"));
        let body = patch_request(&operations);
        let (status, answer) = world.send_request("PATCH", &target, Some(&body)).await;
        let (_, read) = world.send_request("GET", &target, None).await;
        if status != 400 || comparable(&read) != comparable(&made) {
            taken.push(format!("{} gave {status} {answer}", body["Operations"]));
        }
    }
    taken
}

#[test]
fn invalid_operations_are_rejected_and_change_nothing() {
    let good = json!({"op": "add", "path": "nickName", "value": "Nick"});
    let alone = invalid_operations().into_iter().map(|bad| vec![bad]);
    let after_a_good_one = invalid_operations().into_iter().map(|bad| vec![good.clone(), bad]);
    let taken = runtime().block_on(accepted_requests(alone.chain(after_a_good_one).collect()));
    assert!(taken.is_empty(), "{taken:#?}");
}

/// RFC 7644 §3.5.2: one invalid operation makes the whole request fail.
#[test]
fn a_later_operation_does_not_fix_an_invalid_one() {
    let good = json!({"op": "remove", "path": "emails"});
    let fixed = invalid_operations().into_iter().map(|bad| vec![bad, good.clone()]);
    let taken = runtime().block_on(accepted_requests(fixed.collect()));
    assert!(taken.is_empty(), "{taken:#?}");
}
