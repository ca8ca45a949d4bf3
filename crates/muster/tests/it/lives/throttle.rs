//! Whoever guesses a password is slowed down; nobody else is, and nobody is locked out for ever.

use super::{Door, Firm, GOOD, Home, Visitor};
use crate::support::Reply;

/// How long somebody is told to wait.
fn wait_of(reply: &Reply) -> i64 {
    assert_eq!(reply.status, 429, "{}", reply.body);
    reply.header("retry-after").and_then(|value| value.parse().ok()).expect("seconds")
}

#[test]
fn a_thousand_guesses_come_to_nothing() {
    let home = Home::still();
    let firm = Firm::new(&home, "Acme");
    firm.person("ann@x.y", GOOD);
    firm.person("bob@x.y", GOOD);
    let mut slowed = 0;
    for n in 0..1000 {
        // From ever new addresses, and under both of her names: it is counted per person, more loosely than from one.
        let address = format!("10.1.{}.{}", n / 250, n % 250);
        let user = if n % 2 == 0 { "ann@x.y" } else { "ANN@X.Y" };
        match firm.sign_in(user, &format!("guess number {n}"), Some(&address)).status {
            429 => slowed += 1,
            401 => {}
            other => panic!("guess {n}: {other}"),
        }
    }
    println!("{slowed} of 1000 guesses were not looked at");
    assert!(slowed >= 940, "{slowed}");
    // The clock goes on, so what follows is asked when there is time enough for it.
    while firm.sign_in("ann@x.y", "wrong", None).header("retry-after").is_none_or(|wait| wait.len() < 2) {
        home.wait(1);
    }
    let wait = wait_of(&firm.sign_in("ann@x.y", GOOD, Some("10.9.9.9")));
    assert!((1..=300).contains(&wait), "{wait}");
    let reply = page(&home, &firm, "ann@x.y", GOOD);
    assert_eq!(reply.status, 429, "the right one must wait on the page, too: {}", reply.body);
    assert!(reply.header("retry-after").is_some(), "{}", reply.head);
    assert_eq!(firm.sign_in("bob@x.y", GOOD, Some("10.9.9.9")).status, 200, "another person is not slowed");
    home.wait(wait);
    assert_eq!(firm.sign_in("ann@x.y", GOOD, Some("10.9.9.9")).status, 200);
    assert_eq!(page(&home, &firm, "ann@x.y", GOOD).status, 303);
    let looked_at = (0..1000)
        .filter(|n| firm.sign_in("cat@x.y", &format!("guess number {n}"), Some("10.8.8.8")).status == 401);
    assert!(looked_at.count() <= 10, "from one address it is far fewer");
}

fn page(door: &dyn Door, firm: &Firm, user: &str, password: &str) -> Reply {
    Visitor::new(door).submit(&firm.page("sign-in"), &[("user", user), ("password", password)])
}

#[test]
fn the_wait_doubles_up_to_five_minutes_and_a_right_one_ends_it() {
    let home = Home::still();
    let firm = Firm::new(&home, "Acme");
    firm.person("ann@x.y", GOOD);
    let sign_in = |password: &str| firm.sign_in("ann@x.y", password, None);
    let mut waits = Vec::new();
    for _ in 0..5 {
        assert_eq!(sign_in("wrong").status, 401, "five are free");
    }
    for _ in 0..12 {
        let wait = match sign_in("wrong") {
            reply if reply.status == 401 => wait_of(&sign_in("wrong")),
            reply => wait_of(&reply),
        };
        waits.push(wait);
        assert_eq!(wait_of(&sign_in(GOOD)), wait, "asking again does not make it longer");
        home.wait(wait);
    }
    println!("waits {waits:?}");
    assert!(waits.windows(2).all(|two| two[1] >= two[0] && two[1] <= two[0] * 2 + 1), "{waits:?}");
    assert_eq!(waits.last(), Some(&300), "{waits:?}");
    // Whoever guesses for a day does not lock her out.
    for _ in 0..288 {
        sign_in("wrong");
        home.wait(300);
    }
    assert_eq!(sign_in(GOOD).status, 200);
    for _ in 0..5 {
        assert_eq!(sign_in("wrong").status, 401, "after a right one, five are free again");
    }
}

#[test]
fn an_address_that_tries_many_people_is_slowed_and_others_are_not() {
    let home = Home::still();
    let firm = Firm::new(&home, "Acme");
    firm.person("ann@x.y", GOOD);
    let statuses: Vec<u16> =
        (0..200).map(|n| firm.sign_in(&format!("p{n}@x.y"), "wrong", Some("10.1.1.1")).status).collect();
    assert!(statuses.iter().all(|status| matches!(status, 401 | 429)), "{statuses:?}");
    let looked_at = statuses.iter().filter(|status| **status == 401).count();
    assert!((50..60).contains(&looked_at), "{looked_at}");
    let wait = wait_of(&firm.sign_in("ann@x.y", GOOD, Some("10.1.1.1")));
    assert_eq!(firm.sign_in("ann@x.y", GOOD, Some("10.1.1.2")).status, 200);
    home.wait(wait);
    assert_eq!(firm.sign_in("ann@x.y", GOOD, Some("10.1.1.1")).status, 200);
}
