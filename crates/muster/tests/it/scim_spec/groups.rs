//! The section "Groups at scale" of `spec/scim.md`, except its timing: membership in groups and users, one PATCH with
//! thousands of members, and large groups read completely, partly or in pages.

use super::{
    BULK, CORE, Client, GROUP, assert_error, assert_total, entry_values, id_of, ids, percent_encode, run_test,
};
use serde_json::{Value, json};

/// More members than a page.
const MEMBERS: usize = 3000;

/// Creates `number` users; returns their ids, sorted.
async fn create_users(client: &Client, number: usize) -> Vec<String> {
    let all: Vec<usize> = (0..number).collect();
    let mut requests = tokio::task::JoinSet::new();
    // Concurrent requests, so that their changes share commits.
    for part in all.chunks(100) {
        let each = |at: &usize| {
            json!({"method": "POST", "path": "/Users", "bulkId": at.to_string(),
                "data": {"schemas": [CORE], "userName": format!("p{at}@x.example")}})
        };
        let body = json!({"schemas": [BULK], "Operations": part.iter().map(each).collect::<Vec<_>>()});
        let client = client.clone();
        requests.spawn(async move { client.post("/Bulk", &body).await });
    }
    let mut found = Vec::new();
    for (status, answer) in requests.join_all().await {
        assert_eq!(status, 200, "{answer}");
        for operation in answer["Operations"].as_array().expect("operations") {
            found.push(id_of(operation["location"].as_str().expect("a place")).to_owned());
        }
    }
    found.sort_unstable();
    found
}

fn member_values(ids: &[String]) -> Vec<Value> {
    ids.iter().map(|id| json!({"value": id})).collect()
}

#[test]
fn membership_is_visible_from_groups_and_users() {
    run_test(async |client| {
        let (a, b) = (client.create_user("a@x.example").await, client.create_user("b@x.example").await);
        let group = client.create_group("Tours", &[&a]).await;
        let add = json!([{"op": "add", "path": "members", "value": [{"value": id_of(&b)}]}]);
        assert_eq!(client.patch(&group, &add).await, (204, Value::Null));
        let body = client.get_ok(&group).await;
        for member in body["members"].as_array().expect("members") {
            let place = member["$ref"].as_str().expect("a place");
            assert!(place.ends_with(&format!("/Users/{}", member["value"].as_str().expect("an id"))), "{place}");
        }
        for person in [&a, &b] {
            let user = client.get_ok(person).await;
            assert_eq!(entry_values(&user["groups"]), [id_of(&group)], "{user}");
            assert_eq!(user["groups"][0]["display"], "Tours", "{user}");
        }
        client.delete(&b).await;
        assert_eq!(client.members(&group).await, ids(&[&a]), "deleted users are not members");
        client.delete(&group).await;
        assert_eq!(client.get_ok(&a).await.get("groups"), None);
    });
}

#[test]
fn adding_and_removing_one_member_leaves_the_others() {
    run_test(async |client| {
        let people = create_users(&client, 20).await;
        let group = client.create_group("Tours", &[]).await;
        let all = json!([{"op": "add", "path": "members", "value": member_values(&people[..19])}]);
        assert_eq!(client.patch(&group, &all).await.0, 204);
        let one = json!([{"op": "add", "path": "members", "value": [{"value": people[19]}]}]);
        assert_eq!(client.patch(&group, &one).await.0, 204);
        assert_eq!(client.members(&group).await, people);
        let one = json!([{"op": "remove", "path": format!("members[value eq \"{}\"]", people[0])}]);
        assert_eq!(client.patch(&group, &one).await.0, 204);
        assert_eq!(client.members(&group).await, people[1..]);
    });
}

#[test]
fn a_member_that_one_operation_removes_and_a_later_one_adds_stays() {
    run_test(async |client| {
        let person = client.create_user("a@x.example").await;
        let group = client.create_group("Tours", &[&person]).await;
        let by_condition = format!("members[value eq \"{}\"]", id_of(&person));
        for add in [
            json!({"op": "add", "path": by_condition, "value": {"value": id_of(&person)}}),
            json!({"op": "add", "path": "members", "value": [{"value": id_of(&person)}]}),
        ] {
            client.patch(&group, &json!([{"op": "remove", "path": by_condition}, add])).await;
            assert_eq!(client.members(&group).await, [id_of(&person)], "{add}");
        }
    });
}

#[test]
fn adding_a_member_twice_is_once() {
    run_test(async |client| {
        let a = client.create_user("a@x.example").await;
        let group = client.create_group("Tours", &[&a]).await;
        let again = json!([{"op": "add", "path": "members", "value": [{"value": id_of(&a)}, {"value": id_of(&a)}]}]);
        assert_eq!(client.patch(&group, &again).await.0, 204);
        assert_eq!(client.members(&group).await, ids(&[&a]));
    });
}

#[test]
fn a_members_filter_is_in_any_spelling() {
    run_test(async |client| {
        let people = create_users(&client, 3).await;
        let body = json!({"schemas": [GROUP], "displayName": "Tours", "members": member_values(&people)});
        let group = client.create("/Groups", &body).await;
        for (at, path) in
            [format!("Members[Value EQ \"{}\"]", people[0]), format!("{GROUP}:members[ value eq \"{}\" ]", people[1])]
                .into_iter()
                .enumerate()
        {
            let answer = client.patch(&group, &json!([{"op": "Remove", "path": path}])).await;
            assert_eq!(answer, (204, Value::Null), "{path}");
            assert_eq!(client.members(&group).await, people[at + 1..]);
        }
    });
}

#[test]
fn a_members_filter_may_name_several() {
    run_test(async |client| {
        let people = create_users(&client, 4).await;
        let body = json!({"schemas": [GROUP], "displayName": "Tours", "members": member_values(&people)});
        let group = client.create("/Groups", &body).await;
        // RFC 7644 §3.5.2.2: every matching value is removed, whatever the filter.
        let both = format!("members[value eq \"{}\" or value eq \"{}\"]", people[0], people[3]);
        let answer = client.patch(&group, &json!([{"op": "remove", "path": both}])).await;
        assert_eq!(answer, (204, Value::Null), "{both}");
        assert_eq!(client.members(&group).await, people[1..3]);
    });
}

#[test]
fn a_members_filter_can_use_ne() {
    run_test(async |client| {
        let people = create_users(&client, 3).await;
        let body = json!({"schemas": [GROUP], "displayName": "Tours", "members": member_values(&people)});
        let group = client.create("/Groups", &body).await;
        let others = format!("members[value ne \"{}\"]", people[1]);
        let answer = client.patch(&group, &json!([{"op": "remove", "path": others}])).await;
        assert_eq!(answer, (204, Value::Null), "{others}");
        assert_eq!(client.members(&group).await, people[1..2]);
    });
}

#[test]
fn replacing_members_leaves_only_the_new_ones() {
    run_test(async |client| {
        let (a, b) = (client.create_user("a@x.example").await, client.create_user("b@x.example").await);
        let group = client.create_group("Tours", &[&a]).await;
        let replace = json!([{"op": "replace", "path": "members", "value": [{"value": id_of(&b)}]}]);
        assert_eq!(client.patch(&group, &replace).await.0, 204);
        assert_eq!(client.members(&group).await, ids(&[&b]));
        let replace = json!([{"op": "replace", "value": {"members": [{"value": id_of(&a)}]}}]);
        assert_eq!(client.patch(&group, &replace).await.0, 204);
        assert_eq!(client.members(&group).await, ids(&[&a]));
        let whole = json!({"schemas": [GROUP], "displayName": "Tours", "members": [{"value": id_of(&b)}]});
        assert_eq!(client.put(&group, &whole).await.0, 200);
        assert_eq!(client.members(&group).await, ids(&[&b]));
    });
}

#[test]
fn an_unknown_member_is_400_invalid_value_and_adds_nobody() {
    run_test(async |client| {
        let a = client.create_user("a@x.example").await;
        let group = client.create_group("Tours", &[]).await;
        let before = client.event_count().await;
        for stranger in [super::UNKNOWN_ID, "not-an-id"] {
            let members = json!([{"value": id_of(&a)}, {"value": stranger}]);
            let add = json!([{"op": "add", "path": "members", "value": members}]);
            assert_error(&client.patch(&group, &add).await, 400, "invalidValue");
            let body = json!({"schemas": [GROUP], "displayName": "Other", "members": members});
            assert_error(&client.post("/Groups", &body).await, 400, "invalidValue");
            assert_error(&client.put(&group, &body).await, 400, "invalidValue");
        }
        assert!(client.members(&group).await.is_empty());
        assert_eq!(client.event_count().await, before, "nothing changed");
        assert_total(&client.get("/Groups").await, 1);
    });
}

#[test]
fn patch_of_a_group_answers_204_unless_attributes_are_requested() {
    run_test(async |client| {
        let a = client.create_user("a@x.example").await;
        let group = client.create_group("Tours", &[]).await;
        let add = json!([{"op": "add", "path": "members", "value": [{"value": id_of(&a)}]}]);
        let answer = client.patch(&format!("{group}?attributes=members"), &add).await;
        assert_eq!((answer.0, entry_values(&answer.1["members"])), (200, vec![id_of(&a).to_owned()]));
        assert!(answer.1.get("displayName").is_none(), "{}", answer.1);
        assert_eq!(client.patch(&group, &add).await, (204, Value::Null));
    });
}

#[test]
fn one_patch_adds_thousands_of_members() {
    run_test(async |client| {
        let people = create_users(&client, MEMBERS).await;
        let group = client.create_group("Everybody", &[]).await;
        let all = json!([{"op": "add", "path": "members", "value": member_values(&people)}]);
        assert_eq!(client.patch(&group, &all).await, (204, Value::Null));
        assert_eq!(client.members(&group).await, people);
        let half = json!([{"op": "remove", "path": "members", "value": member_values(&people[..MEMBERS / 2])}]);
        assert_eq!(client.patch(&group, &half).await.0, 204);
        assert_eq!(client.members(&group).await, people[MEMBERS / 2..]);
        let swap = json!([{"op": "replace", "path": "members", "value": member_values(&people[..MEMBERS / 2])}]);
        assert_eq!(client.patch(&group, &swap).await.0, 204);
        assert_eq!(client.members(&group).await, people[..MEMBERS / 2]);
        assert_eq!(client.delete(&group).await.0, 204);
        assert_total(&client.get("/Users?count=0").await, MEMBERS);
    });
}

#[test]
fn thousands_of_operations_in_one_patch_are_applied() {
    run_test(async |client| {
        let people = create_users(&client, 1500).await;
        let group = client.create_group("Everybody", &[]).await;
        // Some providers send one operation per member.
        let add = |id: &String| json!({"op": "add", "path": "members", "value": [{"value": id}]});
        let all: Vec<Value> = people.iter().map(add).collect();
        assert_eq!(client.patch(&group, &json!(all)).await.0, 204);
        assert_eq!(client.members(&group).await, people);
        let remove = |id: &String| json!({"op": "remove", "path": format!("members[value eq \"{id}\"]")});
        let most: Vec<Value> = people[1..].iter().map(remove).collect();
        assert_eq!(client.patch(&group, &json!(most)).await.0, 204);
        assert_eq!(client.members(&group).await, people[..1]);
    });
}

#[test]
fn members_of_a_large_group_can_be_excluded() {
    run_test(async |client| {
        let people = create_users(&client, 200).await;
        let body = json!({"schemas": [GROUP], "displayName": "Many", "members": member_values(&people)});
        let (status, group) = client.post("/Groups?excludedAttributes=members", &body).await;
        assert_eq!((status, group.get("members")), (201, None), "{group}");
        let path = format!("/Groups/{}", group["id"].as_str().expect("an id"));
        for target in [format!("{path}?excludedAttributes=members"), format!("{path}?attributes=displayName")] {
            let group = client.get_ok(&target).await;
            assert_eq!((&group["displayName"], group.get("members")), (&json!("Many"), None), "{group}");
        }
        let (status, group) = client.put(&format!("{path}?excludedAttributes=members"), &body).await;
        assert_eq!((status, group.get("members")), (200, None), "{group}");
        assert_eq!(client.members(&path).await, people);
    });
}

#[test]
fn large_groups_can_be_paged_through_users() {
    run_test(async |client| {
        let people = create_users(&client, 250).await;
        let outsider = client.create_user("outsider@x.example").await;
        let body = json!({"schemas": [GROUP], "displayName": "Many", "members": member_values(&people)});
        let group = client.create("/Groups", &body).await;
        let filter = percent_encode(&format!("groups.value eq \"{}\"", id_of(&group)));
        let mut found = Vec::new();
        for start in [1, 101, 201] {
            let target = format!("/Users?filter={filter}&startIndex={start}&count=100&attributes=userName");
            let answer = client.get(&target).await;
            assert_total(&answer, 250);
            for user in answer.1["Resources"].as_array().expect("users") {
                found.push(user["id"].as_str().expect("an id").to_owned());
            }
        }
        found.sort_unstable();
        assert_eq!(found, people);
        assert!(!found.contains(&id_of(&outsider).to_owned()));
    });
}
