//! Sign-in throttling slows down password guessing, affects no other users, and locks no user out permanently.

use super::{HttpTarget, InProcessServer, PageClient, TenantClient, VALID_PASSWORD};
use crate::support::HttpResponse;

/// The value of Retry-After in seconds.
fn retry_after(reply: &HttpResponse) -> i64 {
    assert_eq!(reply.status, 429, "{}", reply.body);
    reply.header("retry-after").and_then(|value| value.parse().ok()).expect("seconds")
}

#[test]
fn a_thousand_guesses_are_throttled() {
    let home = InProcessServer::with_manual_clock();
    let acme = TenantClient::new(&home, "Acme");
    acme.create_user("ann@x.y", VALID_PASSWORD);
    acme.create_user("bob@x.y", VALID_PASSWORD);
    let mut slowed = 0;
    for n in 0..1000 {
        // From many addresses and under both logins: the limit per user is higher than the limit per address.
        let address = format!("10.1.{}.{}", n / 250, n % 250);
        let user = if n % 2 == 0 { "ann@x.y" } else { "ANN@X.Y" };
        match acme.sign_in(user, &format!("guess number {n}"), Some(&address)).status {
            429 => slowed += 1,
            401 => {}
            other => panic!("guess {n}: {other}"),
        }
    }
    println!("{slowed} of 1000 guesses were throttled");
    assert!(slowed >= 940, "{slowed}");
    // The clock is running, so wait for a delay that is long enough for the next requests.
    while acme.sign_in("ann@x.y", "wrong", None).header("retry-after").is_none_or(|wait| wait.len() < 2) {
        home.advance_clock(1);
    }
    let wait = retry_after(&acme.sign_in("ann@x.y", VALID_PASSWORD, Some("10.9.9.9")));
    assert!((1..=300).contains(&wait), "{wait}");
    let reply = submit_sign_in(&home, &acme, "ann@x.y", VALID_PASSWORD);
    assert_eq!(reply.status, 429, "the page throttles the right password, too: {}", reply.body);
    assert!(reply.header("retry-after").is_some(), "{}", reply.head);
    assert_eq!(acme.sign_in("bob@x.y", VALID_PASSWORD, Some("10.9.9.9")).status, 200, "another user is not throttled");
    home.advance_clock(wait);
    assert_eq!(acme.sign_in("ann@x.y", VALID_PASSWORD, Some("10.9.9.9")).status, 200);
    assert_eq!(submit_sign_in(&home, &acme, "ann@x.y", VALID_PASSWORD).status, 303);
    let looked_at =
        (0..1000).filter(|n| acme.sign_in("cat@x.y", &format!("guess number {n}"), Some("10.8.8.8")).status == 401);
    assert!(looked_at.count() <= 10, "the limit per address is lower");
}

fn submit_sign_in(door: &dyn HttpTarget, acme: &TenantClient, user: &str, password: &str) -> HttpResponse {
    PageClient::new(door).submit(&acme.page_path("sign-in"), &[("user", user), ("password", password)])
}

#[test]
fn the_delay_doubles_up_to_five_minutes_and_resets_on_success() {
    let home = InProcessServer::with_manual_clock();
    let acme = TenantClient::new(&home, "Acme");
    acme.create_user("ann@x.y", VALID_PASSWORD);
    let sign_in = |password: &str| acme.sign_in("ann@x.y", password, None);
    let mut waits = Vec::new();
    for _ in 0..5 {
        assert_eq!(sign_in("wrong").status, 401, "five attempts are free");
    }
    for _ in 0..12 {
        let wait = match sign_in("wrong") {
            reply if reply.status == 401 => retry_after(&sign_in("wrong")),
            reply => retry_after(&reply),
        };
        waits.push(wait);
        assert_eq!(retry_after(&sign_in(VALID_PASSWORD)), wait, "further attempts do not extend the delay");
        home.advance_clock(wait);
    }
    println!("waits {waits:?}");
    assert!(waits.windows(2).all(|two| two[1] >= two[0] && two[1] <= two[0] * 2 + 1), "{waits:?}");
    assert_eq!(waits.last(), Some(&300), "{waits:?}");
    // Guessing for a day does not lock the user out.
    for _ in 0..288 {
        sign_in("wrong");
        home.advance_clock(300);
    }
    assert_eq!(sign_in(VALID_PASSWORD).status, 200);
    for _ in 0..5 {
        assert_eq!(sign_in("wrong").status, 401, "after a success, five attempts are free again");
    }
}

#[test]
fn an_address_guessing_many_users_is_throttled() {
    let home = InProcessServer::with_manual_clock();
    let acme = TenantClient::new(&home, "Acme");
    acme.create_user("ann@x.y", VALID_PASSWORD);
    let statuses: Vec<u16> =
        (0..200).map(|n| acme.sign_in(&format!("p{n}@x.y"), "wrong", Some("10.1.1.1")).status).collect();
    assert!(statuses.iter().all(|status| matches!(status, 401 | 429)), "{statuses:?}");
    let looked_at = statuses.iter().filter(|status| **status == 401).count();
    assert!((50..60).contains(&looked_at), "{looked_at}");
    let wait = retry_after(&acme.sign_in("ann@x.y", VALID_PASSWORD, Some("10.1.1.1")));
    assert_eq!(acme.sign_in("ann@x.y", VALID_PASSWORD, Some("10.1.1.2")).status, 200);
    home.advance_clock(wait);
    assert_eq!(acme.sign_in("ann@x.y", VALID_PASSWORD, Some("10.1.1.1")).status, 200);
}

/// Guesses from many addresses, until unknown addresses are throttled.
fn attack(acme: &TenantClient, user: &str) {
    attack_with(acme, user, VALID_PASSWORD);
}

fn attack_with(acme: &TenantClient, user: &str, right: &str) {
    for n in 0..120 {
        let reply = acme.sign_in(user, &format!("guess number {n}"), Some(&format!("10.2.{n}.1")));
        assert!(matches!(reply.status, 401 | 429), "{}", reply.body);
    }
    assert_eq!(acme.sign_in(user, right, Some("10.9.9.9")).status, 429, "an unknown address");
}

#[test]
fn known_networks_are_not_locked_out() {
    let home = InProcessServer::with_manual_clock();
    let acme = TenantClient::new(&home, "Acme");
    acme.create_user("ann@x.y", VALID_PASSWORD);
    for address in ["192.0.2.7", "2001:db8:1:2::3"] {
        assert_eq!(acme.sign_in("ann@x.y", VALID_PASSWORD, Some(address)).status, 200);
    }
    attack(&acme, "ann@x.y");
    for _ in 0..15 {
        for address in ["192.0.2.7", "192.0.2.250", "2001:db8:1:ffff::1"] {
            assert_eq!(acme.sign_in("ann@x.y", VALID_PASSWORD, Some(address)).status, 200, "{address}");
        }
    }
    for address in ["192.0.3.7", "2001:db8:2::1"] {
        assert_eq!(acme.sign_in("ann@x.y", VALID_PASSWORD, Some(address)).status, 429, "{address}");
    }
    // Guesses from a known network are counted, too.
    let guesses = (0..20).map(|_| acme.sign_in("ann@x.y", "wrong", Some("192.0.2.8")).status);
    assert!(guesses.filter(|status| *status == 401).count() <= 6);
    // Known networks expire, and only eight are kept.
    home.advance_clock(91 * 24 * 3600);
    attack(&acme, "ann@x.y");
    assert_eq!(acme.sign_in("ann@x.y", VALID_PASSWORD, Some("192.0.2.7")).status, 429);
    home.advance_clock(3600);
    for n in 0..9 {
        assert_eq!(acme.sign_in("ann@x.y", VALID_PASSWORD, Some(&format!("198.51.{n}.1"))).status, 200);
    }
    attack(&acme, "ann@x.y");
    assert_eq!(acme.sign_in("ann@x.y", VALID_PASSWORD, Some("198.51.0.1")).status, 429);
    assert_eq!(acme.sign_in("ann@x.y", VALID_PASSWORD, Some("198.51.1.1")).status, 200);
}

#[test]
fn known_browsers_are_not_locked_out() {
    let home = InProcessServer::with_manual_clock();
    let acme = TenantClient::new(&home, "Acme");
    let other = TenantClient::new(&home, "Other");
    for acme in [&acme, &other] {
        acme.create_user("ann@x.y", VALID_PASSWORD);
        acme.create_user("bob@x.y", VALID_PASSWORD);
    }
    let mut browser = PageClient::new(&home);
    let mut sign_in = |acme: &TenantClient, user: &str| {
        browser.submit(&acme.page_path("sign-in"), &[("user", user), ("password", VALID_PASSWORD)]).status
    };
    assert_eq!(sign_in(&acme, "ann@x.y"), 303);
    // By then, the network is no longer known, but the browser is.
    home.advance_clock(91 * 24 * 3600);
    for (acme, user) in [(&acme, "ann@x.y"), (&acme, "bob@x.y"), (&other, "ann@x.y")] {
        attack(acme, user);
    }
    assert_eq!(submit_sign_in(&home, &acme, "ann@x.y", VALID_PASSWORD).status, 429, "another browser");
    assert_eq!(sign_in(&acme, "bob@x.y"), 429, "another user");
    assert_eq!(sign_in(&other, "ann@x.y"), 429, "another tenant");
    assert_eq!(sign_in(&acme, "ann@x.y"), 303);
    // Let the network expire again, to test only the browser.
    home.advance_clock(91 * 24 * 3600);
    let mut guess = |password: &str| {
        browser.submit(&acme.page_path("sign-in"), &[("user", "ann@x.y"), ("password", password)]).status
    };
    let looked_at = (0..20).filter(|_| guess("wrong") == 403).count();
    assert!(looked_at <= 6, "guesses from a known browser are counted, too: {looked_at}");
    home.advance_clock(3600);
    attack(&acme, "ann@x.y");
    assert_eq!(guess(VALID_PASSWORD), 303);
    // A password change or sign-out everywhere resets known browsers.
    let changed =
        serde_json::json!({"firstName": "Ann", "email": "ann@x.y", "roleId": 1, "password": "blaue fische im see"});
    assert_eq!(acme.send_json("PUT", "/request/user/1", &changed).status, 200);
    home.advance_clock(3600);
    attack_with(&acme, "ann@x.y", "blaue fische im see");
    assert_eq!(guess("blaue fische im see"), 429);
}

#[test]
fn throttling_does_not_link_logins_of_one_user() {
    let home = InProcessServer::with_manual_clock();
    let acme = TenantClient::new(&home, "Acme");
    let body = serde_json::json!({"userName": "annie", "emails": [{"value": "ann@x.y"}], "password": VALID_PASSWORD});
    assert_eq!(acme.send_json("POST", "/scim/v2/Users", &body).status, 201);
    for n in 0..200 {
        acme.sign_in("ann@x.y", "wrong", Some(&format!("10.3.{n}.1")));
        acme.sign_in("nobody@x.y", "wrong", Some(&format!("10.3.{n}.1")));
    }
    let statuses =
        ["ann@x.y", "nobody@x.y", "annie", "noone"].map(|user| acme.sign_in(user, "wrong", Some("10.9.9.9")).status);
    assert_eq!(statuses, [429, 429, 401, 401]);
}
