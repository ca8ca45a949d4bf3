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
