//! The row "paging" of the table "Surface", and the rows about `startIndex` and `count` of "What identity providers
//! send": index paging and the cursors of RFC 9865.

use super::{BULK, CORE, Client, SEARCH, encode, listed, names, refused, scim};
use serde_json::{Value, json};

/// Seven people whose user names are in the order of their arrival.
async fn seven(client: &Client) {
    for at in 1..=7 {
        let title = if at % 2 == 0 { "even" } else { "odd" };
        let body = json!({"schemas": [CORE], "userName": format!("{at}@x.example"), "title": title});
        client.add("/Users", &body).await;
    }
}

/// The numbers of the people on a page.
fn numbers(page: &Value) -> String {
    names(page).iter().filter_map(|name| name.chars().next()).collect()
}

/// A page's way on or back.
fn cursor(page: &Value, name: &str) -> String {
    page[name].as_str().unwrap_or_else(|| panic!("no {name}: {page}")).to_owned()
}

#[test]
fn an_index_page_says_where_it_begins_and_how_long_it_is() {
    scim(async |client| {
        seven(&client).await;
        for (query, start, shown) in [
            ("startIndex=1&count=3", 1, "123"),
            ("startIndex=4&count=3", 4, "456"),
            ("startIndex=7&count=3", 7, "7"),
            ("startIndex=2", 2, "234567"),
            ("count=2", 1, "12"),
        ] {
            let answer = client.get(&format!("/Users?sortBy=userName&{query}")).await;
            listed(&answer, 7);
            assert_eq!(answer.1["startIndex"], start, "{query}");
            assert_eq!(answer.1["itemsPerPage"], shown.len(), "{query}");
            assert_eq!(numbers(&answer.1), shown, "{query}");
        }
    });
}

#[test]
fn an_index_beyond_the_end_is_an_empty_page_with_the_total() {
    scim(async |client| {
        seven(&client).await;
        for start in ["8", "1000000", "2147483648", "9223372036854775807"] {
            let answer = client.get(&format!("/Users?startIndex={start}&count=3")).await;
            listed(&answer, 7);
            assert_eq!(names(&answer.1), Vec::<String>::new(), "{start}");
            assert_eq!(answer.1["itemsPerPage"], 0, "{start}");
        }
    });
}

#[test]
fn a_start_index_of_zero_or_less_is_treated_and_echoed_as_one() {
    scim(async |client| {
        seven(&client).await;
        for start in ["0", "-1", "-9223372036854775808"] {
            let page = client.read(&format!("/Users?sortBy=userName&startIndex={start}&count=2")).await;
            assert_eq!((&page["startIndex"], numbers(&page).as_str()), (&json!(1), "12"), "{start}");
        }
        let body = json!({"schemas": [SEARCH], "startIndex": 0, "count": 2, "sortBy": "userName"});
        let (status, page) = client.post("/Users/.search", &body).await;
        assert_eq!((status, &page["startIndex"]), (200, &json!(1)), "{page}");
        assert_eq!(numbers(&page), "12");
    });
}

#[test]
fn a_count_of_zero_or_less_is_the_total_alone() {
    scim(async |client| {
        seven(&client).await;
        for count in ["0", "-1", "-5"] {
            let answer = client.get(&format!("/Users?count={count}")).await;
            listed(&answer, 7);
            assert_eq!(answer.1["itemsPerPage"], 0, "{count}");
            assert_eq!(names(&answer.1), Vec::<String>::new(), "{count}");
        }
        let answer = client.post("/Users/.search", &json!({"schemas": [SEARCH], "count": -1})).await;
        listed(&answer, 7);
        assert_eq!(names(&answer.1), Vec::<String>::new());
    });
}

#[test]
fn a_start_index_or_count_that_is_no_number_is_400() {
    scim(async |client| {
        for query in ["startIndex=first", "count=many", "count=1.5"] {
            let (status, body) = client.get(&format!("/Users?{query}")).await;
            assert_eq!((status, &body["status"]), (400, &json!("400")), "{query}: {body}");
        }
    });
}

#[test]
fn a_page_has_a_hundred_unless_asked_and_a_thousand_at_most() {
    scim(async |client| {
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
        for (query, shown) in
            [("", 100), ("?count=1000", 1000), ("?count=1001", 1000), ("?count=99999", 1000)]
        {
            let answer = client.get(&format!("/Users{query}")).await;
            listed(&answer, 1003);
            assert_eq!(
                (names(&answer.1).len(), &answer.1["itemsPerPage"]),
                (shown, &json!(shown)),
                "{query}"
            );
        }
    });
}

#[test]
fn cursors_walk_over_everything_once_and_the_last_page_has_no_next() {
    scim(async |client| {
        seven(&client).await;
        let mut page = client.read("/Users?cursor&count=3&sortBy=userName").await;
        assert!(page.get("previousCursor").is_none(), "not on the first page: {page}");
        let mut seen = vec![numbers(&page)];
        while let Some(next) = page["nextCursor"].as_str() {
            assert!(next.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)), "{next}");
            page = client.read(&format!("/Users?cursor={next}&count=3&sortBy=userName")).await;
            assert_eq!(page["totalResults"], 7);
            seen.push(numbers(&page));
        }
        assert_eq!(seen, ["123", "456", "7"]);
    });
}

#[test]
fn an_exact_last_page_has_no_next_cursor_and_none_is_needed_for_one_page() {
    scim(async |client| {
        seven(&client).await;
        let page = client.read("/Users?cursor=&count=7").await;
        assert_eq!((names(&page).len(), page.get("nextCursor")), (7, None), "{page}");
        let none = client.read(&format!("/Users?cursor=&count=7&filter={}", encode("title eq \"no\""))).await;
        assert_eq!((&none["totalResults"], none.get("nextCursor")), (&json!(0), None), "{none}");
    });
}

#[test]
fn the_previous_cursor_leads_back() {
    scim(async |client| {
        seven(&client).await;
        let query = "count=3&sortBy=userName&sortOrder=descending";
        let first = client.read(&format!("/Users?cursor=&{query}")).await;
        let go = async |page: &Value, name| {
            client.read(&format!("/Users?cursor={}&{query}", cursor(page, name))).await
        };
        let second = go(&first, "nextCursor").await;
        let third = go(&second, "nextCursor").await;
        assert_eq!((numbers(&second).as_str(), numbers(&third).as_str()), ("432", "1"));
        let back = go(&third, "previousCursor").await;
        assert_eq!(numbers(&back), "432");
        let front = go(&back, "previousCursor").await;
        assert_eq!(numbers(&front), "765");
        assert!(front.get("previousCursor").is_none(), "not on the first page: {front}");
        assert_eq!(numbers(&go(&front, "nextCursor").await), "432");
    });
}

#[test]
fn a_cursor_keeps_its_place_when_people_come_and_go() {
    scim(async |client| {
        seven(&client).await;
        let query = "count=3&sortBy=userName";
        let first = client.read(&format!("/Users?cursor=&{query}")).await;
        for at in [0, 2] {
            let gone = format!("/Users/{}", first["Resources"][at]["id"].as_str().expect("an id"));
            assert_eq!(client.delete(&gone).await.0, 204);
        }
        client.add("/Users", &json!({"schemas": [CORE], "userName": "0@x.example"})).await;
        let second = client.read(&format!("/Users?cursor={}&{query}", cursor(&first, "nextCursor"))).await;
        assert_eq!(numbers(&second), "456", "nobody skipped, nobody twice");
    });
}

#[test]
fn cursors_work_with_filters_in_searches_by_post_and_for_groups() {
    scim(async |client| {
        seven(&client).await;
        let mut body = json!({"schemas": [SEARCH], "cursor": "", "count": 2, "sortBy": "userName",
            "filter": "title eq \"odd\""});
        let (status, first) = client.post("/Users/.search", &body).await;
        assert_eq!((status, &first["totalResults"]), (200, &json!(4)), "{first}");
        assert_eq!(numbers(&first), "13");
        body["cursor"] = json!(cursor(&first, "nextCursor"));
        let (status, second) = client.post("/Users/.search", &body).await;
        assert_eq!(status, 200, "{second}");
        assert_eq!((numbers(&second).as_str(), second.get("nextCursor")), ("57", None), "{second}");
        for name in ["One", "Two", "Three"] {
            client.group(name, &[]).await;
        }
        let first = client.read("/Groups?cursor=&count=2").await;
        let next = cursor(&first, "nextCursor");
        let second = client.read(&format!("/Groups?cursor={next}&count=2")).await;
        assert_eq!(second["Resources"][0]["displayName"], "Three", "{second}");
    });
}

#[test]
fn an_edited_cursor_is_400_invalid_cursor() {
    scim(async |client| {
        seven(&client).await;
        let first = client.read("/Users?cursor=&count=2").await;
        let good = cursor(&first, "nextCursor");
        for at in 0..good.len() {
            let mut bad = good.clone().into_bytes();
            bad[at] = if bad[at] == b'A' { b'g' } else { b'A' };
            let bad = String::from_utf8(bad).expect("text");
            refused(&client.get(&format!("/Users?cursor={bad}&count=2")).await, 400, "invalidCursor");
        }
        for bad in ["nonsense", "%00", "1", &good[..good.len() - 4], &format!("{good}AAAA")] {
            refused(&client.get(&format!("/Users?cursor={bad}&count=2")).await, 400, "invalidCursor");
        }
        assert_eq!(client.get(&format!("/Users?cursor={good}&count=2")).await.0, 200);
    });
}

#[test]
fn another_tenants_cursor_is_400_invalid_cursor() {
    scim(async |client| {
        seven(&client).await;
        let theirs = client.stranger().await;
        seven(&theirs).await;
        let page = theirs.read("/Users?cursor=&count=2").await;
        let target = format!("/Users?cursor={}&count=2", cursor(&page, "nextCursor"));
        refused(&client.get(&target).await, 400, "invalidCursor");
        assert_eq!(theirs.get(&target).await.0, 200);
    });
}

#[test]
fn another_querys_cursor_is_400_invalid_cursor() {
    scim(async |client| {
        seven(&client).await;
        for name in ["One", "Two", "Three"] {
            client.group(name, &[]).await;
        }
        let odd = encode("title eq \"odd\"");
        let page = client.read(&format!("/Users?cursor=&count=2&filter={odd}&sortBy=userName")).await;
        let next = cursor(&page, "nextCursor");
        for query in [
            format!("/Users?cursor={next}&count=2&sortBy=userName"),
            format!("/Users?cursor={next}&count=2&sortBy=userName&filter={}", encode("title pr")),
            format!("/Users?cursor={next}&count=2&filter={odd}"),
            format!("/Users?cursor={next}&count=2&filter={odd}&sortBy=userName&sortOrder=descending"),
        ] {
            refused(&client.get(&query).await, 400, "invalidCursor");
        }
        let page = client.read("/Users?cursor=&count=2").await;
        let target = format!("/Groups?cursor={}&count=2", cursor(&page, "nextCursor"));
        refused(&client.get(&target).await, 400, "invalidCursor");
    });
}

// RFC 9865, 2.1: the count is a number between 0 and the largest page, and the same as in the first request.

#[test]
fn a_count_that_is_no_number_with_a_cursor_is_400_invalid_count() {
    scim(async |client| {
        seven(&client).await;
        let page = client.read("/Users?cursor=&count=2").await;
        for cursor in [String::new(), cursor(&page, "nextCursor")] {
            let target = format!("/Users?cursor={cursor}&count=many");
            refused(&client.get(&target).await, 400, "invalidCount");
        }
    });
}

#[test]
fn a_count_beyond_the_largest_page_with_a_cursor_is_400_invalid_count() {
    scim(async |client| {
        seven(&client).await;
        refused(&client.get("/Users?cursor=&count=1001").await, 400, "invalidCount");
        assert_eq!(client.get("/Users?cursor=&count=1000").await.0, 200);
    });
}

#[test]
fn another_count_than_in_the_first_request_is_400_invalid_count() {
    scim(async |client| {
        seven(&client).await;
        let next = cursor(&client.read("/Users?cursor=&count=2").await, "nextCursor");
        refused(&client.get(&format!("/Users?cursor={next}&count=3")).await, 400, "invalidCount");
        assert_eq!(client.get(&format!("/Users?cursor={next}&count=2")).await.0, 200);
    });
}
