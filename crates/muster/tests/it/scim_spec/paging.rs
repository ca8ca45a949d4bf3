//! The row "paging" of the table "Surface", and the rows about `startIndex` and `count` of "What identity providers
//! send": index pagination and the cursors of RFC 9865.

use super::{BULK, CORE, Client, SEARCH, assert_error, assert_total, percent_encode, run_test, user_names};
use serde_json::{Value, json};

/// Creates seven users whose user names are in creation order.
async fn create_seven_users(client: &Client) {
    for at in 1..=7 {
        let title = if at % 2 == 0 { "even" } else { "odd" };
        let body = json!({"schemas": [CORE], "userName": format!("{at}@x.example"), "title": title});
        client.create("/Users", &body).await;
    }
}

/// The numbers of the users on a page.
fn user_numbers(page: &Value) -> String {
    user_names(page).iter().filter_map(|name| name.chars().next()).collect()
}

/// The next or previous cursor of a page.
fn cursor(page: &Value, name: &str) -> String {
    page[name].as_str().unwrap_or_else(|| panic!("no {name}: {page}")).to_owned()
}

#[test]
fn index_pages_report_start_and_size() {
    run_test(async |client| {
        create_seven_users(&client).await;
        for (query, start, shown) in [
            ("startIndex=1&count=3", 1, "123"),
            ("startIndex=4&count=3", 4, "456"),
            ("startIndex=7&count=3", 7, "7"),
            ("startIndex=2", 2, "234567"),
            ("count=2", 1, "12"),
        ] {
            let answer = client.get(&format!("/Users?sortBy=userName&{query}")).await;
            assert_total(&answer, 7);
            assert_eq!(answer.1["startIndex"], start, "{query}");
            assert_eq!(answer.1["itemsPerPage"], shown.len(), "{query}");
            assert_eq!(user_numbers(&answer.1), shown, "{query}");
        }
    });
}

#[test]
fn an_index_beyond_the_end_is_an_empty_page_with_the_total() {
    run_test(async |client| {
        create_seven_users(&client).await;
        for start in ["8", "1000000", "2147483648", "9223372036854775807"] {
            let answer = client.get(&format!("/Users?startIndex={start}&count=3")).await;
            assert_total(&answer, 7);
            assert_eq!(user_names(&answer.1), Vec::<String>::new(), "{start}");
            assert_eq!(answer.1["itemsPerPage"], 0, "{start}");
        }
    });
}

#[test]
fn a_start_index_of_zero_or_less_is_treated_and_echoed_as_one() {
    run_test(async |client| {
        create_seven_users(&client).await;
        for start in ["0", "-1", "-9223372036854775808"] {
            let page = client.get_ok(&format!("/Users?sortBy=userName&startIndex={start}&count=2")).await;
            assert_eq!((&page["startIndex"], user_numbers(&page).as_str()), (&json!(1), "12"), "{start}");
        }
        let body = json!({"schemas": [SEARCH], "startIndex": 0, "count": 2, "sortBy": "userName"});
        let (status, page) = client.post("/Users/.search", &body).await;
        assert_eq!((status, &page["startIndex"]), (200, &json!(1)), "{page}");
        assert_eq!(user_numbers(&page), "12");
    });
}

#[test]
fn a_count_of_zero_or_less_is_the_total_alone() {
    run_test(async |client| {
        create_seven_users(&client).await;
        for count in ["0", "-1", "-5"] {
            let answer = client.get(&format!("/Users?count={count}")).await;
            assert_total(&answer, 7);
            assert_eq!(answer.1["itemsPerPage"], 0, "{count}");
            assert_eq!(user_names(&answer.1), Vec::<String>::new(), "{count}");
        }
        let answer = client.post("/Users/.search", &json!({"schemas": [SEARCH], "count": -1})).await;
        assert_total(&answer, 7);
        assert_eq!(user_names(&answer.1), Vec::<String>::new());
    });
}

#[test]
fn a_start_index_or_count_that_is_no_number_is_400() {
    run_test(async |client| {
        for query in ["startIndex=first", "count=many", "count=1.5"] {
            let (status, body) = client.get(&format!("/Users?{query}")).await;
            assert_eq!((status, &body["status"]), (400, &json!("400")), "{query}: {body}");
        }
    });
}

#[test]
fn the_page_size_defaults_to_100_and_is_at_most_1000() {
    run_test(async |client| {
        let add = |from: u32, to: u32| {
            let each = |at| {
                json!({"method": "POST", "path": "/Users", "bulkId": format!("{at}"),
                    "data": {"schemas": [CORE], "userName": format!("{at}@x.example")}})
            };
            json!({"schemas": [BULK], "Operations": (from..to).map(each).collect::<Vec<_>>()})
        };
        for (from, to) in [(0, 1000), (1000, 1003)] {
            assert_eq!(client.post("/Bulk", &add(from, to)).await.0, 200, "a thousand are allowed");
        }
        for (query, shown) in [("", 100), ("?count=1000", 1000), ("?count=1001", 1000), ("?count=99999", 1000)] {
            let answer = client.get(&format!("/Users{query}")).await;
            assert_total(&answer, 1003);
            assert_eq!((user_names(&answer.1).len(), &answer.1["itemsPerPage"]), (shown, &json!(shown)), "{query}");
        }
    });
}

#[test]
fn cursors_visit_everything_once() {
    run_test(async |client| {
        create_seven_users(&client).await;
        let mut page = client.get_ok("/Users?cursor&count=3&sortBy=userName").await;
        assert!(page.get("previousCursor").is_none(), "not on the first page: {page}");
        let mut seen = vec![user_numbers(&page)];
        while let Some(next) = page["nextCursor"].as_str() {
            assert!(next.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)), "{next}");
            page = client.get_ok(&format!("/Users?cursor={next}&count=3&sortBy=userName")).await;
            assert_eq!(page["totalResults"], 7);
            seen.push(user_numbers(&page));
        }
        assert_eq!(seen, ["123", "456", "7"]);
    });
}

#[test]
fn a_full_last_page_has_no_next_cursor() {
    run_test(async |client| {
        create_seven_users(&client).await;
        let page = client.get_ok("/Users?cursor=&count=7").await;
        assert_eq!((user_names(&page).len(), page.get("nextCursor")), (7, None), "{page}");
        let none = client.get_ok(&format!("/Users?cursor=&count=7&filter={}", percent_encode("title eq \"no\""))).await;
        assert_eq!((&none["totalResults"], none.get("nextCursor")), (&json!(0), None), "{none}");
    });
}

#[test]
fn the_previous_cursor_leads_back() {
    run_test(async |client| {
        create_seven_users(&client).await;
        let query = "count=3&sortBy=userName&sortOrder=descending";
        let first = client.get_ok(&format!("/Users?cursor=&{query}")).await;
        let go =
            async |page: &Value, name| client.get_ok(&format!("/Users?cursor={}&{query}", cursor(page, name))).await;
        let second = go(&first, "nextCursor").await;
        let third = go(&second, "nextCursor").await;
        assert_eq!((user_numbers(&second).as_str(), user_numbers(&third).as_str()), ("432", "1"));
        let back = go(&third, "previousCursor").await;
        assert_eq!(user_numbers(&back), "432");
        let front = go(&back, "previousCursor").await;
        assert_eq!(user_numbers(&front), "765");
        assert!(front.get("previousCursor").is_none(), "not on the first page: {front}");
        assert_eq!(user_numbers(&go(&front, "nextCursor").await), "432");
    });
}

#[test]
fn a_cursor_keeps_its_position_when_users_change() {
    run_test(async |client| {
        create_seven_users(&client).await;
        let query = "count=3&sortBy=userName";
        let first = client.get_ok(&format!("/Users?cursor=&{query}")).await;
        for at in [0, 2] {
            let gone = format!("/Users/{}", first["Resources"][at]["id"].as_str().expect("an id"));
            assert_eq!(client.delete(&gone).await.0, 204);
        }
        client.create("/Users", &json!({"schemas": [CORE], "userName": "0@x.example"})).await;
        let second = client.get_ok(&format!("/Users?cursor={}&{query}", cursor(&first, "nextCursor"))).await;
        assert_eq!(user_numbers(&second), "456", "no user skipped or repeated");
    });
}

#[test]
fn cursors_work_with_filters_in_searches_by_post_and_for_groups() {
    run_test(async |client| {
        create_seven_users(&client).await;
        let mut body = json!({"schemas": [SEARCH], "cursor": "", "count": 2, "sortBy": "userName",
            "filter": "title eq \"odd\""});
        let (status, first) = client.post("/Users/.search", &body).await;
        assert_eq!((status, &first["totalResults"]), (200, &json!(4)), "{first}");
        assert_eq!(user_numbers(&first), "13");
        body["cursor"] = json!(cursor(&first, "nextCursor"));
        let (status, second) = client.post("/Users/.search", &body).await;
        assert_eq!(status, 200, "{second}");
        assert_eq!((user_numbers(&second).as_str(), second.get("nextCursor")), ("57", None), "{second}");
        for name in ["One", "Two", "Three"] {
            client.create_group(name, &[]).await;
        }
        let first = client.get_ok("/Groups?cursor=&count=2").await;
        let next = cursor(&first, "nextCursor");
        let second = client.get_ok(&format!("/Groups?cursor={next}&count=2")).await;
        assert_eq!(second["Resources"][0]["displayName"], "Three", "{second}");
    });
}

#[test]
fn an_edited_cursor_is_400_invalid_cursor() {
    run_test(async |client| {
        create_seven_users(&client).await;
        let first = client.get_ok("/Users?cursor=&count=2").await;
        let good = cursor(&first, "nextCursor");
        for at in 0..good.len() {
            let mut bad = good.clone().into_bytes();
            bad[at] = if bad[at] == b'A' { b'g' } else { b'A' };
            let bad = String::from_utf8(bad).expect("text");
            assert_error(&client.get(&format!("/Users?cursor={bad}&count=2")).await, 400, "invalidCursor");
        }
        for bad in ["nonsense", "%00", "1", &good[..good.len() - 4], &format!("{good}AAAA")] {
            assert_error(&client.get(&format!("/Users?cursor={bad}&count=2")).await, 400, "invalidCursor");
        }
        assert_eq!(client.get(&format!("/Users?cursor={good}&count=2")).await.0, 200);
    });
}

#[test]
fn another_tenants_cursor_is_400_invalid_cursor() {
    run_test(async |client| {
        create_seven_users(&client).await;
        let theirs = client.of_other_tenant().await;
        create_seven_users(&theirs).await;
        let page = theirs.get_ok("/Users?cursor=&count=2").await;
        let target = format!("/Users?cursor={}&count=2", cursor(&page, "nextCursor"));
        assert_error(&client.get(&target).await, 400, "invalidCursor");
        assert_eq!(theirs.get(&target).await.0, 200);
    });
}

#[test]
fn another_querys_cursor_is_400_invalid_cursor() {
    run_test(async |client| {
        create_seven_users(&client).await;
        for name in ["One", "Two", "Three"] {
            client.create_group(name, &[]).await;
        }
        let odd = percent_encode("title eq \"odd\"");
        let page = client.get_ok(&format!("/Users?cursor=&count=2&filter={odd}&sortBy=userName")).await;
        let next = cursor(&page, "nextCursor");
        for query in [
            format!("/Users?cursor={next}&count=2&sortBy=userName"),
            format!("/Users?cursor={next}&count=2&sortBy=userName&filter={}", percent_encode("title pr")),
            format!("/Users?cursor={next}&count=2&filter={odd}"),
            format!("/Users?cursor={next}&count=2&filter={odd}&sortBy=userName&sortOrder=descending"),
        ] {
            assert_error(&client.get(&query).await, 400, "invalidCursor");
        }
        let page = client.get_ok("/Users?cursor=&count=2").await;
        let target = format!("/Groups?cursor={}&count=2", cursor(&page, "nextCursor"));
        assert_error(&client.get(&target).await, 400, "invalidCursor");
    });
}

// RFC 9865 §2.1: the count is a number between 0 and the maximum page size, and the same as in the first request.

#[test]
fn a_count_that_is_no_number_with_a_cursor_is_400_invalid_count() {
    run_test(async |client| {
        create_seven_users(&client).await;
        let page = client.get_ok("/Users?cursor=&count=2").await;
        for cursor in [String::new(), cursor(&page, "nextCursor")] {
            let target = format!("/Users?cursor={cursor}&count=many");
            assert_error(&client.get(&target).await, 400, "invalidCount");
        }
    });
}

#[test]
fn a_count_beyond_the_largest_page_with_a_cursor_is_400_invalid_count() {
    run_test(async |client| {
        create_seven_users(&client).await;
        assert_error(&client.get("/Users?cursor=&count=1001").await, 400, "invalidCount");
        assert_eq!(client.get("/Users?cursor=&count=1000").await.0, 200);
    });
}

#[test]
fn another_count_than_in_the_first_request_is_400_invalid_count() {
    run_test(async |client| {
        create_seven_users(&client).await;
        let next = cursor(&client.get_ok("/Users?cursor=&count=2").await, "nextCursor");
        assert_error(&client.get(&format!("/Users?cursor={next}&count=3")).await, 400, "invalidCount");
        assert_eq!(client.get(&format!("/Users?cursor={next}&count=2")).await.0, 200);
    });
}
