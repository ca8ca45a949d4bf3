//! The section "Filters" of `spec/scim.md`: every operator, form and limit. Results are the first letters of the four
//! users' user names.

use super::{CORE, Client, ENTERPRISE, GROUP, MUSTER_EXTENSION, assert_error, id_of, run_test};
use serde_json::{Value, json};

/// Creates four users; returns the paths of Anna, Bert, Cleo and Dora.
async fn create_users(client: &Client) -> [String; 4] {
    let with = |mut body: Value, department: &str| {
        body["schemas"] = json!([CORE, ENTERPRISE]);
        body[ENTERPRISE] = json!({"department": department});
        body
    };
    let anna = json!({"userName": "Anna@example.com", "externalId": "Ext-1", "displayName": "Anna Adler",
        "name": {"givenName": "Anna", "familyName": "Adler"}, "title": "Tour Guide", "active": true,
        "emails": [{"type": "work", "value": "a@work.example", "primary": true},
            {"type": "home", "value": "a@home.example"}]});
    let bert = json!({"userName": "bert@example.com", "externalId": "ext-1", "displayName": "Bert Bauer",
        "name": {"givenName": "Bert", "familyName": "Bauer"}, "title": "tour operator", "active": false,
        "emails": [{"type": "work", "value": "b@work.example", "primary": true}]});
    let cleo = json!({"userName": "cleo@example.net", "externalId": "ext-3", "displayName": "Cleo Cole",
        "title": "Director", "emails": [{"type": "home", "value": "c@home.example", "primary": true}]});
    let dora = json!({"schemas": [CORE], "userName": "dora@example.net", "displayName": "\"Dot\" Döring"});
    [
        client.create("/Users", &with(anna, "Research")).await,
        client.create("/Users", &with(bert, "Sales")).await,
        client.create("/Users", &with(cleo, "Legal")).await,
        client.create("/Users", &dora).await,
    ]
}

/// Asserts that each filter finds exactly these users.
fn assert_finds(cases: &[(&str, &str)]) {
    run_test(async |client| {
        create_users(&client).await;
        for (filter, found) in cases {
            assert_eq!(client.found_initials(filter).await, *found, "{filter}");
        }
    });
}

/// Asserts that each filter is rejected and does not return an empty list.
fn assert_rejected(filters: &[&str]) {
    run_test(async |client| {
        create_users(&client).await;
        for filter in filters {
            let answer = client.search(filter).await;
            assert_eq!(answer.0, 400, "{filter}: {}", answer.1);
            assert_error(&answer, 400, "invalidFilter");
        }
    });
}

#[test]
fn eq_compares_whole_values() {
    assert_finds(&[("title eq \"Director\"", "c"), ("title eq \"Direct\"", ""), ("name.familyName eq \"Bauer\"", "b")]);
}

#[test]
fn ne_matches_other_values() {
    assert_finds(&[("userName ne \"bert@example.com\"", "acd"), ("active ne true", "b")]);
}

#[test]
fn co_matches_substrings() {
    assert_finds(&[("displayName co \"er\"", "ab"), ("displayName co \"xyz\"", "")]);
}

#[test]
fn sw_matches_prefixes() {
    assert_finds(&[("userName sw \"anna\"", "a"), ("userName sw \"example\"", ""), ("title sw \"tour\"", "ab")]);
}

#[test]
fn ew_matches_suffixes() {
    assert_finds(&[("userName ew \".net\"", "cd"), ("userName ew \"cleo\"", "")]);
}

#[test]
fn gt_is_greater() {
    assert_finds(&[("userName gt \"bert@example.com\"", "cd")]);
}

#[test]
fn ge_is_greater_or_equal() {
    assert_finds(&[("userName ge \"bert@example.com\"", "bcd")]);
}

#[test]
fn lt_is_less() {
    assert_finds(&[("userName lt \"bert@example.com\"", "a")]);
}

#[test]
fn le_is_less_or_equal() {
    assert_finds(&[("userName le \"bert@example.com\"", "ab")]);
}

#[test]
fn pr_is_present() {
    assert_finds(&[
        ("title pr", "abc"),
        ("externalId pr", "abc"),
        ("emails pr", "abc"),
        ("name.familyName pr", "ab"),
        ("name pr", "ab"),
        ("nickName pr", ""),
        ("id pr", "abcd"),
    ]);
}

#[test]
fn null_means_unassigned() {
    // RFC 7643 §2.5: unassigned and null are equivalent.
    assert_finds(&[("title eq null", "d"), ("title ne null", "abc")]);
}

#[test]
fn and_is_both() {
    assert_finds(&[("title pr and active eq true", "ac"), ("title pr and active eq true and title co \"i\"", "ac")]);
}

#[test]
fn or_is_either() {
    assert_finds(&[
        ("userName sw \"a\" or userName sw \"d\"", "ad"),
        ("title eq \"Director\" or active eq false", "bc"),
    ]);
}

#[test]
fn and_binds_closer_than_or() {
    assert_finds(&[
        ("userName sw \"a\" or userName sw \"b\" and active eq false", "ab"),
        ("active eq false and userName sw \"b\" or userName sw \"a\"", "ab"),
    ]);
}

#[test]
fn not_negates() {
    assert_finds(&[
        ("not (active eq true)", "b"),
        ("not (title pr)", "d"),
        ("active eq true and not (title pr)", "d"),
        ("not (userName sw \"a\" or userName sw \"b\")", "cd"),
        ("not (not (title pr))", "abc"),
    ]);
}

#[test]
fn parentheses_group() {
    assert_finds(&[
        ("(userName sw \"a\" or userName sw \"b\") and active eq false", "b"),
        ("active eq true and (title sw \"tour\" or title eq \"director\")", "ac"),
        ("((title pr))", "abc"),
    ]);
}

#[test]
fn a_value_path_tests_a_single_value() {
    assert_finds(&[
        ("emails[type eq \"work\" and value eq \"a@work.example\"]", "a"),
        ("emails[type eq \"home\" and value eq \"a@work.example\"]", ""),
        ("emails[type eq \"work\"]", "ab"),
        ("emails[not (type eq \"work\")]", "ac"),
        ("emails[type eq \"work\" or type eq \"home\"]", "abc"),
        ("emails[type eq \"home\"] and title eq \"Director\"", "c"),
        ("not (emails[type eq \"work\"])", "cd"),
    ]);
}

#[test]
fn a_sub_attribute_after_a_value_path_belongs_to_that_value() {
    assert_finds(&[
        ("emails[type eq \"work\"].value eq \"a@work.example\"", "a"),
        ("emails[type eq \"work\"].value eq \"a@home.example\"", ""),
        ("emails[type eq \"work\"].value ew \"@work.example\"", "ab"),
        ("emails[type eq \"work\"].value pr and active eq false", "b"),
    ]);
}

#[test]
fn a_multi_valued_attribute_without_sub_attribute_means_value() {
    // RFC 7644 §3.4.2.2 contains the example `emails co "example.com"`.
    assert_finds(&[("emails co \"work.example\"", "ab"), ("emails.type eq \"home\"", "ac")]);
}

#[test]
fn full_urns_name_attributes_of_any_schema() {
    run_test(async |client| {
        create_users(&client).await;
        for (filter, found) in [
            (format!("{CORE}:userName eq \"bert@example.com\""), "b"),
            (format!("{CORE}:name.familyName eq \"Adler\""), "a"),
            (format!("{CORE}:emails[type eq \"work\"]"), "ab"),
            (format!("{ENTERPRISE}:department eq \"Sales\""), "b"),
            (format!("{ENTERPRISE}:department pr and active eq true"), "ac"),
            (format!("{MUSTER_EXTENSION}:number eq 3"), "c"),
            (format!("schemas eq \"{ENTERPRISE}\""), "abc"),
        ] {
            assert_eq!(client.found_initials(&filter).await, found, "{filter}");
        }
    });
}

#[test]
fn attribute_names_are_in_any_case() {
    run_test(async |client| {
        create_users(&client).await;
        for (filter, found) in [
            ("USERNAME eq \"bert@example.com\"".to_owned(), "b"),
            ("Name.FAMILYNAME eq \"Adler\"".to_owned(), "a"),
            ("Emails[TYPE eq \"work\"].VALUE sw \"a\"".to_owned(), "a"),
            ("META.lastmodified pr".to_owned(), "abcd"),
            (format!("{}:Department eq \"Sales\"", ENTERPRISE.to_uppercase()), "b"),
        ] {
            assert_eq!(client.found_initials(&filter).await, found, "{filter}");
        }
    });
}

#[test]
fn operators_are_in_any_case() {
    assert_finds(&[
        ("title Eq \"Director\"", "c"),
        ("title PR AND active EQ true", "ac"),
        ("userName SW \"a\" Or NOT (userName Ew \".com\")", "acd"),
        ("userName GE \"bert@example.com\"", "bcd"),
    ]);
}

#[test]
fn case_exact_is_honored_per_attribute() {
    run_test(async |client| {
        let [anna, ..] = create_users(&client).await;
        let upper = id_of(&anna).to_uppercase();
        assert_ne!(upper, id_of(&anna));
        for (filter, found) in [
            ("userName eq \"ANNA@EXAMPLE.COM\"".to_owned(), "a"),
            ("title sw \"TOUR\"".to_owned(), "ab"),
            ("displayName ew \"DÖRING\"".to_owned(), "d"),
            ("externalId eq \"Ext-1\"".to_owned(), "a"),
            ("externalId eq \"ext-1\"".to_owned(), "b"),
            ("externalId sw \"ext-\"".to_owned(), "bc"),
            ("externalId eq \"EXT-1\"".to_owned(), ""),
            (format!("id eq \"{}\"", id_of(&anna)), "a"),
            (format!("id eq \"{upper}\""), ""),
        ] {
            assert_eq!(client.found_initials(&filter).await, found, "{filter}");
        }
    });
}

#[test]
fn dates_are_compared_as_times() {
    run_test(async |client| {
        let [anna, ..] = create_users(&client).await;
        let text = client.get_ok(&anna).await["meta"]["created"].as_str().expect("a time").to_owned();
        let hour: u32 = text[11..13].parse().expect("an hour");
        // The same time in another zone, on the same day.
        let (local, zone) = if hour < 12 { (hour + 2, "+02:00") } else { (hour - 2, "-02:00") };
        let other = format!("{}{local:02}{}{zone}", &text[..11], text[13..].trim_end_matches('Z'));
        for (filter, found) in [
            (format!("meta.created eq \"{text}\""), "a"),
            (format!("meta.created eq \"{other}\""), "a"),
            (format!("meta.created gt \"{other}\""), "bcd"),
            (format!("meta.created le \"{other}\""), "a"),
            ("meta.created gt \"2000-01-01T00:00:00Z\"".to_owned(), "abcd"),
            ("meta.created lt \"2000-01-01T00:00:00.5-11:00\"".to_owned(), ""),
        ] {
            assert_eq!(client.found_initials(&filter).await, found, "{filter}");
        }
        assert_error(&client.search("meta.created gt \"yesterday\"").await, 400, "invalidFilter");
    });
}

#[test]
fn texts_are_escaped_as_in_json() {
    assert_finds(&[
        ("displayName co \"\\\"Dot\\\"\"", "d"),
        ("displayName ew \"D\\u00f6ring\"", "d"),
        ("displayName eq \"a ) or ( b\"", ""),
    ]);
}

#[test]
fn a_filter_of_2048_characters_is_read_and_a_longer_one_is_rejected() {
    run_test(async |client| {
        create_users(&client).await;
        let filter = |length: usize| format!("title eq \"{}\"", "x".repeat(length - 11));
        assert_eq!(filter(2048).len(), 2048);
        assert_eq!(client.found_initials(&filter(2048)).await, "");
        assert_error(&client.search(&filter(2049)).await, 400, "invalidFilter");
    });
}

#[test]
fn a_filter_nested_deeper_than_ten_is_rejected() {
    run_test(async |client| {
        create_users(&client).await;
        let nested = |depth: usize| format!("{}title pr{}", "(".repeat(depth), ")".repeat(depth));
        let denied = |depth: usize| format!("{}title pr{}", "not (".repeat(depth), ")".repeat(depth));
        // The specification does not say whether the inner expression counts, so skip the two depths at the limit.
        assert_eq!(client.found_initials(&nested(9)).await, "abc");
        assert_eq!(client.found_initials(&denied(8)).await, "abc");
        for filter in [nested(12), denied(12), nested(900)] {
            assert_error(&client.search(&filter).await, 400, "invalidFilter");
        }
        let broad = vec!["title pr"; 100].join(" and ");
        assert_eq!(client.found_initials(&broad).await, "abc", "a long filter is not deep");
    });
}

#[test]
fn an_unknown_attribute_is_400_invalid_filter() {
    assert_rejected(&[
        "nope eq \"x\"",
        "nope pr",
        "name.nope eq \"x\"",
        "emails.nope eq \"x\"",
        "emails[nope eq \"x\"]",
        "emails[type eq \"work\"].nope eq \"x\"",
        "nope[type eq \"work\"]",
        "userName.nope eq \"x\"",
        "urn:x:y:userName eq \"x\"",
        "urn:ietf:params:scim:schemas:core:2.0:User:nope eq \"x\"",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:nope eq \"x\"",
        "title pr or nope pr",
        "displayName eq \"nobody\" and nope pr",
    ]);
}

#[test]
fn an_invalid_filter_is_400_invalid_filter() {
    assert_rejected(&[
        "userName",
        "userName eq",
        "userName eq \"x",
        "userName eq x(",
        "userName = \"x\"",
        "userName xx \"x\"",
        "userName eq \"x\" and",
        "userName eq \"x\" title pr",
        "and userName eq \"x\"",
        "(userName pr",
        "userName pr)",
        "()",
        "not",
        "not ()",
        "emails[type eq \"work\"",
        "emails[]",
        "emails]",
        "eq \"x\"",
        "userName eq \"\\q\"",
        "userName eq \"x\";",
    ]);
}

#[test]
fn ordering_booleans_or_wrong_types_is_400_invalid_filter() {
    assert_rejected(&["active gt true", "active ge true", "active lt true", "active le false", "active eq \"maybe\""]);
}

#[test]
fn a_filter_on_user_name_finds_in_any_case_and_with_others() {
    assert_finds(&[
        ("userName eq \"CLEO@example.net\"", "c"),
        ("userName eq \"nobody@example.net\"", ""),
        ("userName eq \"cleo@example.net\" and active eq false", ""),
    ]);
}

#[test]
fn a_filter_on_external_id_finds() {
    assert_finds(&[("externalId eq \"ext-3\"", "c"), ("externalId eq \"ext-3\" or externalId eq \"ext-1\"", "bc")]);
}

#[test]
fn a_filter_on_emails_value_finds_primary_and_other_addresses_in_any_case() {
    assert_finds(&[
        ("emails.value eq \"b@work.example\"", "b"),
        ("emails.value eq \"A@HOME.example\"", "a"),
        ("emails.value eq \"x@home.example\"", ""),
    ]);
}

#[test]
fn a_filter_on_id_finds() {
    run_test(async |client| {
        let [_, bert, cleo, _] = create_users(&client).await;
        let (bert, cleo) = (id_of(&bert), id_of(&cleo));
        assert_eq!(client.found_initials(&format!("id eq \"{bert}\"")).await, "b");
        assert_eq!(client.found_initials(&format!("id eq \"{bert}\" or id eq \"{cleo}\"")).await, "bc");
        assert_eq!(client.found_initials(&format!("id ne \"{bert}\"")).await, "acd");
        assert_eq!(client.found_initials("id eq \"not an id\"").await, "");
    });
}

#[test]
fn a_filter_on_last_modified_finds_later_changes() {
    run_test(async |client| {
        let [anna, .., dora] = create_users(&client).await;
        let last = client.get_ok(&dora).await["meta"]["lastModified"].as_str().expect("a time").to_owned();
        assert_eq!(client.found_initials(&format!("meta.lastModified gt \"{last}\"")).await, "");
        client.patch(&anna, &json!([{"op": "add", "path": "nickName", "value": "A"}])).await;
        assert_eq!(client.found_initials(&format!("meta.lastModified gt \"{last}\"")).await, "a");
        assert_eq!(client.found_initials(&format!("meta.lastModified ge \"{last}\"")).await, "ad");
    });
}

#[test]
fn a_filter_on_active_finds() {
    assert_finds(&[("active eq true", "acd"), ("active eq false", "b")]);
}

#[test]
fn groups_are_filtered_by_name_and_by_member() {
    run_test(async |client| {
        let [anna, bert, ..] = create_users(&client).await;
        client.create_group("Tours", &[&anna, &bert]).await;
        client.create_group("Sales", &[&bert]).await;
        let anna = id_of(&anna);
        for (filter, found) in [
            ("displayName eq \"tours\"".to_owned(), vec!["Tours"]),
            ("displayName pr".to_owned(), vec!["Sales", "Tours"]),
            (format!("{GROUP}:displayName sw \"S\""), vec!["Sales"]),
            (format!("members.value eq \"{anna}\""), vec!["Tours"]),
            (format!("members[value eq \"{anna}\"]"), vec!["Tours"]),
            (format!("id eq \"{anna}\""), vec![]),
        ] {
            let target = format!("/Groups?sortBy=displayName&filter={}", super::percent_encode(&filter));
            let list = client.get_ok(&target).await;
            let names = super::strings(&list["Resources"], "displayName");
            assert_eq!(names, found, "{filter}");
        }
        assert_error(&client.get("/Groups?filter=userName%20pr").await, 400, "invalidFilter");
    });
}
