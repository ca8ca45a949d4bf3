//! A rejection does not reveal whether a user exists, neither by its status nor by its text. That it takes as long for
//! unknown users is checked by counting what is computed (`testkit::lives`, `adapters/passwords.rs`) and measured by
//! `cargo xtask bench sign-in`.

use super::{Firm, GOOD, Home, Visitor, token};
use crate::support::{Reply, Server};
use serde_json::json;

/// Somebody active, somebody suspended, and somebody without any password.
fn furnish(firm: &Firm) {
    for email in ["ann@x.y", "sus@x.y"] {
        firm.person(email, GOOD);
    }
    let suspended = json!({"user": {"email": "sus@x.y", "name": {"firstname": "S"}, "status": "suspended"}});
    assert_eq!(firm.call("PUT", "/api/2/users/sus@x.y", &suspended).status, 200);
    firm.invite_with("new@x.y", &json!({"DoNotEmail": true}));
}

/// Who must not be told apart.
const REFUSED: [(&str, &str); 4] =
    [("nobody@x.y", GOOD), ("ann@x.y", "not her password"), ("sus@x.y", GOOD), ("new@x.y", GOOD)];

/// An answer without what differs from one request to the next.
fn plain(reply: &Reply, typed: &str, form: Option<&str>) -> (u16, Vec<String>, String) {
    let mut body = reply.body.replace(typed, "TYPED");
    if form.is_some() {
        body = body.replace(&token(reply), "TOKEN");
    }
    let changing = ["date:", "x-request-id:", "content-length:", "set-cookie:"];
    let is_same = |line: &&str| !changing.iter().any(|name| line.to_ascii_lowercase().starts_with(name));
    (reply.status, reply.head.lines().filter(is_same).map(str::to_owned).collect(), body)
}

#[test]
fn a_refusal_is_the_same_for_everybody() {
    let server = Server::start(&[]);
    let firm = Firm::new(&server, "Acme");
    furnish(&firm);
    let asked = |user: &str, password: &str| firm.sign_in(user, password, None);
    let typed = |user: &str, password: &str| {
        Visitor::new(&server).submit(&firm.page("sign-in"), &[("user", user), ("password", password)])
    };
    assert_eq!(asked("ann@x.y", GOOD).status, 200);
    let answers: Vec<_> = REFUSED.map(|(user, password)| plain(&asked(user, password), user, None)).to_vec();
    assert_eq!(answers[0].0, 401);
    assert!(answers[0].2.contains("\"sign_in_refused\""), "{}", answers[0].2);
    let pages: Vec<_> = REFUSED
        .map(|(user, password)| {
            let reply = typed(user, password);
            assert!(
                !reply.body.contains(GOOD) && !reply.body.contains("not her"),
                "a page shows no password"
            );
            plain(&reply, user, Some("form"))
        })
        .to_vec();
    assert!(pages[0].0 < 500 && pages[0].0 != 303, "{pages:?}");
    for replies in [answers, pages] {
        for (reply, who) in replies.iter().zip(REFUSED) {
            assert_eq!(*reply, replies[0], "{who:?}");
        }
    }
}

#[test]
fn being_slowed_down_says_nothing_either() {
    let home = Home::still();
    let firm = Firm::new(&home, "Acme");
    furnish(&firm);
    let rounds = REFUSED.map(|(user, password)| {
        let address = format!("10.0.0.{}", user.len());
        let statuses: Vec<u16> =
            (0..8).map(|_| firm.sign_in(user, password, Some(&address)).status).collect();
        let last = firm.sign_in(user, password, Some(&address));
        (statuses, plain(&last, user, None))
    });
    assert!(rounds[0].0.contains(&401) && rounds[0].1.0 == 429, "{rounds:?}");
    for (round, who) in rounds.iter().zip(REFUSED) {
        // A second more or less to wait depends on when it was asked.
        let free = |statuses: &[u16]| statuses.iter().take_while(|status| **status == 401).count();
        assert_eq!(free(&round.0), free(&rounds[0].0), "{who:?}");
        assert_eq!((round.1.0, &round.1.2), (rounds[0].1.0, &rounds[0].1.2), "{who:?}");
    }
}

/// Who counts numbers up must not learn who the tenants are.
#[test]
fn a_number_tells_neither_whose_it_is_nor_whether_it_is_anybodys() {
    let home = Home::still();
    let firm = Firm::new(&home, "Acme Rockets");
    firm.person("ann@x.y", GOOD);
    firm.invite("bob@x.y");
    // What a page of a number says, and what it says to somebody who fills in its form.
    let seen = |number: u64, page: &str, fields: &[(&str, &str)]| {
        let (path, mut visitor) = (format!("/t/{number}/{page}"), Visitor::new(&home));
        let looked = visitor.get(&path);
        let has_form = looked.status == 200;
        let sent = has_form.then(|| visitor.submit(&path, fields));
        [
            Some((looked, has_form)),
            sent.map(|sent| {
                let again = sent.body.contains("name=\"token\"");
                (sent, again)
            }),
        ]
        .into_iter()
        .flatten()
        .map(|(reply, has_form)| {
            let (status, head, body) = plain(&reply, "nobody@x.y", has_form.then_some("form"));
            let (number, escaped) = (format!("/t/{number}"), format!("&#x2f;t&#x2f;{number}"));
            let head: Vec<String> = head.iter().map(|line| line.replace(&number, "/t/N")).collect();
            (status, head, body.replace(&number, "/t/N").replace(&escaped, "/t/N"))
        })
        .collect::<Vec<_>>()
    };
    let whole = format!("invitation/{}", "A".repeat(65));
    for (page, fields) in [
        ("sign-in", &[("user", "nobody@x.y"), ("password", GOOD)][..]),
        ("forgot", &[("user", "nobody@x.y")]),
        ("account", &[]),
        ("", &[]),
        ("password", &[]),
        (&whole, &[]),
        ("nowhere", &[]),
    ] {
        let (there, not_there) = (seen(firm.number, page, fields), seen(4711, page, fields));
        assert_eq!(there, not_there, "{page}");
        assert!(there.iter().all(|(.., body)| !body.contains("Rockets")), "{page}: {there:?}");
    }
    let door = Visitor::new(&home).get("/sign-in?tenant=4711");
    assert!(door.status == 303, "{door:?}");
    // Whoever has a link, is signed in, or deals with a tenant that wants it, sees the name.
    let link = home.link("bob@x.y");
    assert!(Visitor::new(&home).get(&link).body.contains("Acme Rockets"));
    let mut ann = Visitor::new(&home);
    assert_eq!(ann.submit(&firm.page("sign-in"), &[("user", "ann@x.y"), ("password", GOOD)]).status, 303);
    assert!(ann.get(&firm.page("account")).body.contains("Acme Rockets"));
    assert_eq!(firm.cli(&["tenant", "set", "--public-name", "true"])["publicName"], true);
    assert!(Visitor::new(&home).get(&firm.page("sign-in")).body.contains("Acme Rockets"));
}
