//! Edge cases that can lose data: invalid member lists, omitted sub-attributes, unparsable versions, and descending
//! pagination.

use super::{
    BULK, CORE, ENTERPRISE, GROUP, PATCH, assert_error, entry_values, id_of, percent_encode, run_test, user_names,
};
use serde_json::{Value, json};

#[test]
fn an_invalid_member_list_does_not_empty_a_group() {
    run_test(async |client| {
        let ann = client.create_user("ann@x.example").await;
        let group = client.create_group("Staff", &[&ann]).await;
        for value in [json!([{"display": "Bob"}]), json!([{"value": ""}]), json!([null]), json!({}), json!("")] {
            for op in ["remove", "replace", "add"] {
                let operation = json!([{"op": op, "path": "members", "value": value}]);
                let (status, answer) = client.patch(&group, &operation).await;
                assert_eq!((status, &answer["scimType"]), (400, &json!("invalidValue")), "{op} {value}");
            }
            let whole = json!({"schemas": [GROUP], "displayName": "Staff", "members": value});
            assert_eq!(client.put(&group, &whole).await.0, 400, "{value}");
            assert_eq!(client.members(&group).await, [id_of(&ann)]);
        }
        for value in [json!([]), Value::Null] {
            let (status, _) =
                client.patch(&group, &json!([{"op": "replace", "path": "members", "value": value}])).await;
            assert_eq!((status, client.members(&group).await.len()), (204, 0));
            client.patch(&group, &json!([{"op": "add", "path": "members", "value": [{"value": id_of(&ann)}]}])).await;
        }
    });
}

#[test]
fn unmentioned_sub_attributes_stay_and_empty_ones_are_cleared() {
    run_test(async |client| {
        let name = json!({"givenName": "Ann", "middleName": "M", "familyName": "Lee"});
        let body = json!({"schemas": [CORE], "userName": "ann@x.example", "name": name});
        let ann = client.create("/Users", &body).await;
        for value in [json!(null), json!("")] {
            for operation in [
                json!({"op": "replace", "value": {"name": {"middleName": value}}}),
                json!({"op": "replace", "path": "name", "value": {"middleName": value}}),
                json!({"op": "add", "path": "name", "value": {"givenName": "Ann", "middleName": value}}),
            ] {
                client.patch(&ann, &json!([{"op": "add", "path": "name.middleName", "value": "M"}])).await;
                assert_eq!(client.patch(&ann, &json!([operation])).await.0, 200);
                let left = &client.get_ok(&ann).await["name"];
                assert_eq!((&left["givenName"], &left["familyName"]), (&json!("Ann"), &json!("Lee")));
                assert_eq!(left["middleName"], Value::Null, "{operation}");
            }
        }
    });
}

#[test]
fn a_bare_value_removes_only_that_value() {
    run_test(async |client| {
        let emails = json!([{"value": "a@x.example", "type": "work"}, {"value": "b@x.example", "type": "home"}]);
        let body = json!({"schemas": [CORE], "userName": "ann@x.example", "emails": emails});
        let ann = client.create("/Users", &body).await;
        client.patch(&ann, &json!([{"op": "remove", "path": "emails", "value": "b@x.example"}])).await;
        assert_eq!(entry_values(&client.get_ok(&ann).await["emails"]), ["a@x.example"]);
        client.patch(&ann, &json!([{"op": "remove", "path": "emails"}])).await;
        assert_eq!(client.get_ok(&ann).await["emails"], Value::Null);
    });
}

#[test]
fn an_entry_without_value_is_dropped_unless_set_later() {
    run_test(async |client| {
        let ann = client.create_user("ann@x.example").await;
        let display = json!({"op": "add", "path": "roles[primary eq \"True\"].display", "value": "Chief"});
        let value = json!({"op": "add", "path": "roles[primary eq \"True\"].value", "value": "chief"});
        let (status, answer) = client.patch(&ann, &json!([display])).await;
        assert_eq!((status, &answer["roles"]), (200, &Value::Null), "{answer}");
        let (status, answer) = client.patch(&ann, &json!([display, value])).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["roles"], json!([{"value": "chief", "display": "Chief", "primary": true}]));
    });
}

#[test]
fn one_of_two_conditional_member_changes_wins() {
    run_test(async |client| {
        let people = [client.create_user("a@x.example").await, client.create_user("b@x.example").await];
        for n in 0..20 {
            let group = client.create_group(&format!("Race {n}"), &[]).await;
            let version = client.get_ok(&group).await["meta"]["version"].as_str().expect("a version").to_owned();
            let change = async |person: &String| {
                let add = json!([{"op": "add", "path": "members", "value": [{"value": id_of(person)}]}]);
                let body = json!({"schemas": [PATCH], "Operations": add}).to_string();
                client.send("PATCH", &group, &[("if-match", &version)], &body).await.status
            };
            let (one, other) = tokio::join!(change(&people[0]), change(&people[1]));
            let mut both = [one, other];
            both.sort_unstable();
            assert_eq!(both, [204, 412]);
            assert_eq!(client.members(&group).await.len(), 1);
        }
    });
}

#[test]
fn deleting_a_member_changes_the_groups_version() {
    run_test(async |client| {
        let ann = client.create_user("ann@x.example").await;
        let group = client.create_group("Staff", &[&ann]).await;
        let old = client.get_ok(&group).await["meta"]["version"].as_str().expect("a version").to_owned();
        assert_eq!(client.send("GET", &group, &[("if-none-match", &old)], "").await.status, 304);
        client.delete(&ann).await;
        let answer = client.send("GET", &group, &[("if-none-match", &old)], "").await;
        assert_eq!((answer.status, &answer.json()["members"]), (200, &json!([])));
    });
}

#[test]
fn an_unparsable_version_still_guards() {
    run_test(async |client| {
        let ann = client.create_user("ann@x.example").await;
        let data = json!({"Operations": [{"op": "add", "path": "title", "value": "T"}]});
        for version in [json!(7), json!("W/\"9\"\n"), json!({})] {
            let body = json!({"schemas": [BULK], "Operations": [
                {"method": "PATCH", "path": ann, "version": version, "data": data}]});
            assert_error(&client.post("/Bulk", &body).await, 400, "invalidSyntax");
        }
        let body = json!({"schemas": [PATCH], "Operations": data["Operations"]}).to_string();
        let stale = client.send("PATCH", &ann, &[("if-match", "W/\"9\""), ("if-match", "\"10\"")], &body).await;
        assert_eq!(stale.status, 412);
        assert_eq!(client.get_ok(&ann).await["title"], Value::Null);
    });
}

#[test]
fn a_circular_bulk_keeps_other_operations() {
    run_test(async |client| {
        let person = |own: &str, other: &str| {
            json!({"method": "POST", "path": "/Users", "bulkId": own, "data": {"schemas": [CORE, ENTERPRISE],
                "userName": format!("{own}@x.example"),
                ENTERPRISE: {"manager": {"value": format!("bulkId:{other}")}}}})
        };
        let title = json!({"method": "PATCH", "path": "/Users/bulkId:a",
            "data": {"Operations": [{"op": "add", "path": "title", "value": "Boss"}]}});
        for order in [[0, 1, 2], [0, 2, 1], [2, 0, 1]] {
            let all = [person("a", "b"), person("b", "a"), title.clone()];
            let operations: Vec<&Value> = order.iter().map(|n| &all[*n]).collect();
            let (_, answer) = client.post("/Bulk", &json!({"schemas": [BULK], "Operations": operations})).await;
            let places: Vec<String> = ["a", "b"]
                .map(|bulk_id| {
                    let answers = answer["Operations"].as_array().expect("answers");
                    let made = answers.iter().find(|each| each["bulkId"] == bulk_id).expect("made");
                    made["location"].as_str().expect("a place").split("/scim/v2").nth(1).expect("a path").to_owned()
                })
                .into();
            let a = client.get_ok(&places[0]).await;
            assert_eq!(a["title"], "Boss", "{order:?}");
            assert_eq!(a[ENTERPRISE]["manager"]["value"], id_of(&places[1]));
            assert_eq!(client.get_ok(&places[1]).await[ENTERPRISE]["manager"]["value"], id_of(&places[0]));
            for place in places {
                client.delete(&place).await;
            }
        }
    });
}

#[test]
fn descending_paging_misses_no_user_after_deletions() {
    run_test(async |client| {
        let mut people = Vec::new();
        for n in 10..40 {
            people.push(client.create_user(&format!("p{n}@x.example")).await);
        }
        let page = async |start: usize| {
            let target = format!("/Users?sortBy=id&sortOrder=descending&count=10&startIndex={start}");
            user_names(&client.get_ok(&target).await)
        };
        let mut seen = page(1).await;
        for person in &people[25..] {
            client.delete(person).await;
        }
        page(1).await;
        seen.extend(page(11).await);
        seen.extend(page(21).await);
        for n in 10..35 {
            assert!(seen.contains(&format!("p{n}@x.example")), "p{n} of {seen:?}");
        }
    });
}

#[test]
fn member_sub_attributes_can_be_selected() {
    run_test(async |client| {
        let ann = client.create_user("ann@x.example").await;
        let group = client.create_group("Staff", &[&ann]).await;
        let members = async |query: &str| client.get_ok(&format!("{group}?{query}")).await["members"][0].clone();
        assert_eq!(members("attributes=members.value").await, json!({"value": id_of(&ann)}));
        let rest = members("excludedAttributes=members.type").await;
        assert_eq!((&rest["value"], &rest["type"]), (&json!(id_of(&ann)), &Value::Null));
        assert_eq!(members("excludedAttributes=members").await, Value::Null);
    });
}

#[test]
fn a_cursor_keeps_its_page_size() {
    run_test(async |client| {
        for n in 0..5 {
            client.create_user(&format!("p{n}@x.example")).await;
        }
        let first = client.get_ok("/Users?cursor=&count=2").await;
        let next = percent_encode(first["nextCursor"].as_str().expect("a cursor"));
        let second = client.get_ok(&format!("/Users?cursor={next}")).await;
        assert_eq!(user_names(&second).len(), 2);
        let next = percent_encode(second["nextCursor"].as_str().expect("a cursor"));
        assert_eq!(user_names(&client.get_ok(&format!("/Users?cursor={next}&count=2")).await).len(), 1);
    });
}

#[test]
fn sorting_by_organization_works_and_by_unsortable_attributes_is_rejected() {
    run_test(async |client| {
        for (name, organisation) in [("a", "Zeta"), ("b", "Alpha"), ("c", "")] {
            let body = json!({"schemas": [CORE, ENTERPRISE], "userName": format!("{name}@x.example"),
                ENTERPRISE: {"organization": organisation}});
            client.create("/Users", &body).await;
        }
        let sorted =
            client.get_ok(&format!("/Users?sortBy={}", percent_encode(&format!("{ENTERPRISE}:organization")))).await;
        assert_eq!(user_names(&sorted), ["b@x.example", "a@x.example", "c@x.example"]);
        assert_error(&client.get("/Users?sortBy=password").await, 400, "invalidPath");
    });
}

#[test]
fn the_total_size_of_values_is_limited() {
    run_test(async |client| {
        let ann = client.create_user("ann@x.example").await;
        let certificates: Vec<Value> = (0..5).map(|n| json!({"value": format!("{n}{}", "A".repeat(16_000))})).collect();
        let operation = json!([{"op": "add", "path": "x509Certificates", "value": certificates}]);
        assert_error(&client.patch(&ann, &operation).await, 400, "invalidValue");
        let operation = json!([{"op": "add", "path": "x509Certificates", "value": certificates[..4]}]);
        let (status, answer) = client.patch(&ann, &operation).await;
        assert_eq!(status, 200, "{answer}");
        let many: Vec<Value> =
            (0..501).map(|n| json!({"op": "add", "path": "title", "value": format!("{n}")})).collect();
        assert_error(&client.patch(&ann, &json!(many)).await, 400, "tooMany");
    });
}
