//! What a careless server loses: members behind a list it could not read, parts nobody spoke of, a version nobody
//! looked at, people behind a walk from the end.

use super::{BULK, CORE, ENTERPRISE, GROUP, PATCH, encode, id, names, refused, scim, values};
use serde_json::{Value, json};

#[test]
fn an_unreadable_list_of_members_empties_no_group() {
    scim(async |client| {
        let ann = client.person("ann@x.example").await;
        let group = client.group("Staff", &[&ann]).await;
        for value in
            [json!([{"display": "Bob"}]), json!([{"value": ""}]), json!([null]), json!({}), json!("")]
        {
            for op in ["remove", "replace", "add"] {
                let operation = json!([{"op": op, "path": "members", "value": value}]);
                let (status, answer) = client.patch(&group, &operation).await;
                assert_eq!((status, &answer["scimType"]), (400, &json!("invalidValue")), "{op} {value}");
            }
            let whole = json!({"schemas": [GROUP], "displayName": "Staff", "members": value});
            assert_eq!(client.put(&group, &whole).await.0, 400, "{value}");
            assert_eq!(client.members(&group).await, [id(&ann)]);
        }
        for value in [json!([]), Value::Null] {
            let (status, _) =
                client.patch(&group, &json!([{"op": "replace", "path": "members", "value": value}])).await;
            assert_eq!((status, client.members(&group).await.len()), (204, 0));
            client
                .patch(&group, &json!([{"op": "add", "path": "members", "value": [{"value": id(&ann)}]}]))
                .await;
        }
    });
}

#[test]
fn parts_that_are_not_named_stay_and_those_sent_as_empty_go() {
    scim(async |client| {
        let name = json!({"givenName": "Ann", "middleName": "M", "familyName": "Lee"});
        let body = json!({"schemas": [CORE], "userName": "ann@x.example", "name": name});
        let ann = client.add("/Users", &body).await;
        for value in [json!(null), json!("")] {
            for operation in [
                json!({"op": "replace", "value": {"name": {"middleName": value}}}),
                json!({"op": "replace", "path": "name", "value": {"middleName": value}}),
                json!({"op": "add", "path": "name", "value": {"givenName": "Ann", "middleName": value}}),
            ] {
                client.patch(&ann, &json!([{"op": "add", "path": "name.middleName", "value": "M"}])).await;
                assert_eq!(client.patch(&ann, &json!([operation])).await.0, 200);
                let left = &client.read(&ann).await["name"];
                assert_eq!((&left["givenName"], &left["familyName"]), (&json!("Ann"), &json!("Lee")));
                assert_eq!(left["middleName"], Value::Null, "{operation}");
            }
        }
    });
}

#[test]
fn a_bare_value_removes_just_that_one() {
    scim(async |client| {
        let emails =
            json!([{"value": "a@x.example", "type": "work"}, {"value": "b@x.example", "type": "home"}]);
        let body = json!({"schemas": [CORE], "userName": "ann@x.example", "emails": emails});
        let ann = client.add("/Users", &body).await;
        client.patch(&ann, &json!([{"op": "remove", "path": "emails", "value": "b@x.example"}])).await;
        assert_eq!(values(&client.read(&ann).await["emails"]), ["a@x.example"]);
        client.patch(&ann, &json!([{"op": "remove", "path": "emails"}])).await;
        assert_eq!(client.read(&ann).await["emails"], Value::Null);
    });
}

#[test]
fn an_entry_may_get_its_value_after_its_other_parts_or_is_dropped() {
    scim(async |client| {
        let ann = client.person("ann@x.example").await;
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
fn of_two_changes_to_members_of_one_version_one_wins() {
    scim(async |client| {
        let people = [client.person("a@x.example").await, client.person("b@x.example").await];
        for n in 0..20 {
            let group = client.group(&format!("Race {n}"), &[]).await;
            let version =
                client.read(&group).await["meta"]["version"].as_str().expect("a version").to_owned();
            let change = async |person: &String| {
                let add = json!([{"op": "add", "path": "members", "value": [{"value": id(person)}]}]);
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
fn a_group_has_a_new_version_when_its_members_change_from_their_side() {
    scim(async |client| {
        let ann = client.person("ann@x.example").await;
        let group = client.group("Staff", &[&ann]).await;
        let old = client.read(&group).await["meta"]["version"].as_str().expect("a version").to_owned();
        assert_eq!(client.send("GET", &group, &[("if-none-match", &old)], "").await.status, 304);
        client.delete(&ann).await;
        let answer = client.send("GET", &group, &[("if-none-match", &old)], "").await;
        assert_eq!((answer.status, &answer.json()["members"]), (200, &json!([])));
    });
}

#[test]
fn a_version_that_cannot_be_read_guards_all_the_same() {
    scim(async |client| {
        let ann = client.person("ann@x.example").await;
        let data = json!({"Operations": [{"op": "add", "path": "title", "value": "T"}]});
        for version in [json!(7), json!("W/\"9\"\n"), json!({})] {
            let body = json!({"schemas": [BULK], "Operations": [
                {"method": "PATCH", "path": ann, "version": version, "data": data}]});
            refused(&client.post("/Bulk", &body).await, 400, "invalidSyntax");
        }
        let body = json!({"schemas": [PATCH], "Operations": data["Operations"]}).to_string();
        let stale =
            client.send("PATCH", &ann, &[("if-match", "W/\"9\""), ("if-match", "\"10\"")], &body).await;
        assert_eq!(stale.status, 412);
        assert_eq!(client.read(&ann).await["title"], Value::Null);
    });
}

#[test]
fn a_circle_in_a_bulk_undoes_nothing_of_its_other_operations() {
    scim(async |client| {
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
            let (_, answer) =
                client.post("/Bulk", &json!({"schemas": [BULK], "Operations": operations})).await;
            let places: Vec<String> = ["a", "b"]
                .map(|bulk_id| {
                    let answers = answer["Operations"].as_array().expect("answers");
                    let made = answers.iter().find(|each| each["bulkId"] == bulk_id).expect("made");
                    made["location"]
                        .as_str()
                        .expect("a place")
                        .split("/scim/v2")
                        .nth(1)
                        .expect("a path")
                        .to_owned()
                })
                .into();
            let a = client.read(&places[0]).await;
            assert_eq!(a["title"], "Boss", "{order:?}");
            assert_eq!(a[ENTERPRISE]["manager"]["value"], id(&places[1]));
            assert_eq!(client.read(&places[1]).await[ENTERPRISE]["manager"]["value"], id(&places[0]));
            for place in places {
                client.delete(&place).await;
            }
        }
    });
}

#[test]
fn a_walk_from_the_end_misses_nobody_when_another_has_gone_ahead() {
    scim(async |client| {
        let mut people = Vec::new();
        for n in 10..40 {
            people.push(client.person(&format!("p{n}@x.example")).await);
        }
        let page = async |start: usize| {
            let target = format!("/Users?sortBy=id&sortOrder=descending&count=10&startIndex={start}");
            names(&client.read(&target).await)
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
fn parts_of_members_are_chosen_like_any_others() {
    scim(async |client| {
        let ann = client.person("ann@x.example").await;
        let group = client.group("Staff", &[&ann]).await;
        let members =
            async |query: &str| client.read(&format!("{group}?{query}")).await["members"][0].clone();
        assert_eq!(members("attributes=members.value").await, json!({"value": id(&ann)}));
        let rest = members("excludedAttributes=members.type").await;
        assert_eq!((&rest["value"], &rest["type"]), (&json!(id(&ann)), &Value::Null));
        assert_eq!(members("excludedAttributes=members").await, Value::Null);
    });
}

#[test]
fn a_cursor_keeps_the_size_of_its_pages() {
    scim(async |client| {
        for n in 0..5 {
            client.person(&format!("p{n}@x.example")).await;
        }
        let first = client.read("/Users?cursor=&count=2").await;
        let next = encode(first["nextCursor"].as_str().expect("a cursor"));
        let second = client.read(&format!("/Users?cursor={next}")).await;
        assert_eq!(names(&second).len(), 2);
        let next = encode(second["nextCursor"].as_str().expect("a cursor"));
        assert_eq!(names(&client.read(&format!("/Users?cursor={next}&count=2")).await).len(), 1);
    });
}

#[test]
fn sorting_by_organisation_sorts_and_by_what_has_no_order_is_refused() {
    scim(async |client| {
        for (name, organisation) in [("a", "Zeta"), ("b", "Alpha"), ("c", "")] {
            let body = json!({"schemas": [CORE, ENTERPRISE], "userName": format!("{name}@x.example"),
                ENTERPRISE: {"organization": organisation}});
            client.add("/Users", &body).await;
        }
        let sorted =
            client.read(&format!("/Users?sortBy={}", encode(&format!("{ENTERPRISE}:organization")))).await;
        assert_eq!(names(&sorted), ["b@x.example", "a@x.example", "c@x.example"]);
        refused(&client.get("/Users?sortBy=password").await, 400, "invalidPath");
    });
}

#[test]
fn a_person_has_a_most_that_their_values_weigh() {
    scim(async |client| {
        let ann = client.person("ann@x.example").await;
        let certificates: Vec<Value> =
            (0..5).map(|n| json!({"value": format!("{n}{}", "A".repeat(16_000))})).collect();
        let operation = json!([{"op": "add", "path": "x509Certificates", "value": certificates}]);
        refused(&client.patch(&ann, &operation).await, 400, "invalidValue");
        let operation = json!([{"op": "add", "path": "x509Certificates", "value": certificates[..4]}]);
        let (status, answer) = client.patch(&ann, &operation).await;
        assert_eq!(status, 200, "{answer}");
        let many: Vec<Value> =
            (0..501).map(|n| json!({"op": "add", "path": "title", "value": format!("{n}")})).collect();
        refused(&client.patch(&ann, &json!(many)).await, 400, "tooMany");
    });
}
