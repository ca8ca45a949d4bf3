//! A rejection does not reveal whether a user exists, neither by status nor by text. Equal duration for unknown users
//! is tested by counting hash computations (`testkit::account_conformance`, `adapters/src/hashing.rs`) and measured
//! by `cargo xtask bench sign-in`.

use super::{InProcessServer, PageClient, TenantClient, VALID_PASSWORD, form_token};
use crate::support::{HttpResponse, Server};
use serde_json::json;

/// Creates an active user, a suspended user and a user without a password.
fn create_users(acme: &TenantClient) {
    for email in ["ann@x.y", "sus@x.y"] {
        acme.create_user(email, VALID_PASSWORD);
    }
    let suspended = json!({"user": {"email": "sus@x.y", "name": {"firstname": "S"}, "status": "suspended"}});
    assert_eq!(acme.send_json("PUT", "/api/2/users/sus@x.y", &suspended).status, 200);
    acme.invite_with("new@x.y", &json!({"DoNotEmail": true}));
}

/// Sign-ins whose rejections must be indistinguishable.
const REJECTED_SIGN_INS: [(&str, &str); 4] = [
    ("nobody@x.y", VALID_PASSWORD),
    ("ann@x.y", "not her password"),
    ("sus@x.y", VALID_PASSWORD),
    ("new@x.y", VALID_PASSWORD),
];

/// A response without values that differ between requests.
fn comparable(reply: &HttpResponse, typed: &str, form: Option<&str>) -> (u16, Vec<String>, String) {
    let mut body = reply.body.replace(typed, "TYPED");
    if form.is_some() {
        body = body.replace(&form_token(reply), "TOKEN");
    }
    let changing = ["date:", "x-request-id:", "content-length:", "set-cookie:"];
    let is_same = |line: &&str| !changing.iter().any(|name| line.to_ascii_lowercase().starts_with(name));
    (reply.status, reply.head.lines().filter(is_same).map(str::to_owned).collect(), body)
}

#[test]
fn rejections_are_identical_for_all_users() {
    let server = Server::start(&[]);
    let acme = TenantClient::new(&server, "Acme");
    create_users(&acme);
    let asked = |user: &str, password: &str| acme.sign_in(user, password, None);
    let typed = |user: &str, password: &str| {
        PageClient::new(&server).submit(&acme.page_path("sign-in"), &[("user", user), ("password", password)])
    };
    assert_eq!(asked("ann@x.y", VALID_PASSWORD).status, 200);
    let answers: Vec<_> =
        REJECTED_SIGN_INS.map(|(user, password)| comparable(&asked(user, password), user, None)).to_vec();
    assert_eq!(answers[0].0, 401);
    assert!(answers[0].2.contains("\"sign_in_refused\""), "{}", answers[0].2);
    let pages: Vec<_> = REJECTED_SIGN_INS
        .map(|(user, password)| {
            let reply = typed(user, password);
            assert!(
                !reply.body.contains(VALID_PASSWORD) && !reply.body.contains("not her"),
                "the page shows no password"
            );
            comparable(&reply, user, Some("form"))
        })
        .to_vec();
    assert!(pages[0].0 < 500 && pages[0].0 != 303, "{pages:?}");
    for replies in [answers, pages] {
        for (reply, who) in replies.iter().zip(REJECTED_SIGN_INS) {
            assert_eq!(*reply, replies[0], "{who:?}");
        }
    }
}

#[test]
fn throttling_reveals_nothing() {
    let home = InProcessServer::with_manual_clock();
    let acme = TenantClient::new(&home, "Acme");
    create_users(&acme);
    let rounds = REJECTED_SIGN_INS.map(|(user, password)| {
        let address = format!("10.0.0.{}", user.len());
        let statuses: Vec<u16> = (0..8).map(|_| acme.sign_in(user, password, Some(&address)).status).collect();
        let last = acme.sign_in(user, password, Some(&address));
        (statuses, comparable(&last, user, None))
    });
    assert!(rounds[0].0.contains(&401) && rounds[0].1.0 == 429, "{rounds:?}");
    for (round, who) in rounds.iter().zip(REJECTED_SIGN_INS) {
        // The waiting time may differ by a second, so compare only the statuses.
        let free = |statuses: &[u16]| statuses.iter().take_while(|status| **status == 401).count();
        assert_eq!(free(&round.0), free(&rounds[0].0), "{who:?}");
        assert_eq!((round.1.0, &round.1.2), (rounds[0].1.0, &rounds[0].1.2), "{who:?}");
    }
}

/// Trying tenant numbers must not reveal tenants.
#[test]
fn tenant_numbers_reveal_nothing() {
    let home = InProcessServer::with_manual_clock();
    let acme = TenantClient::new(&home, "Acme Rockets");
    acme.create_user("ann@x.y", VALID_PASSWORD);
    acme.invite("bob@x.y");
    // A page of a tenant number, and the response to its form.
    let seen = |number: u64, page: &str, fields: &[(&str, &str)]| {
        let (path, mut visitor) = (format!("/t/{number}/{page}"), PageClient::new(&home));
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
            let (status, head, body) = comparable(&reply, "nobody@x.y", has_form.then_some("form"));
            let (number, escaped) = (format!("/t/{number}"), format!("&#x2f;t&#x2f;{number}"));
            let head: Vec<String> = head.iter().map(|line| line.replace(&number, "/t/N")).collect();
            (status, head, body.replace(&number, "/t/N").replace(&escaped, "/t/N"))
        })
        .collect::<Vec<_>>()
    };
    let whole = format!("invitation/{}", "A".repeat(65));
    for (page, fields) in [
        ("sign-in", &[("user", "nobody@x.y"), ("password", VALID_PASSWORD)][..]),
        ("forgot", &[("user", "nobody@x.y")]),
        ("account", &[]),
        ("", &[]),
        ("password", &[]),
        (&whole, &[]),
        ("nowhere", &[]),
    ] {
        let (there, not_there) = (seen(acme.number, page, fields), seen(4711, page, fields));
        assert_eq!(there, not_there, "{page}");
        assert!(there.iter().all(|(.., body)| !body.contains("Rockets")), "{page}: {there:?}");
    }
    let door = PageClient::new(&home).get("/sign-in?tenant=4711");
    assert!(door.status == 303, "{door:?}");
    // Users with a link, signed-in users, and all users of tenants with a public name see the tenant's name.
    let link = home.wait_for_link("bob@x.y");
    assert!(PageClient::new(&home).get(&link).body.contains("Acme Rockets"));
    let mut ann = PageClient::new(&home);
    assert_eq!(
        ann.submit(&acme.page_path("sign-in"), &[("user", "ann@x.y"), ("password", VALID_PASSWORD)]).status,
        303
    );
    assert!(ann.get(&acme.page_path("account")).body.contains("Acme Rockets"));
    assert_eq!(acme.run_json(&["tenant", "set", "--public-name", "true"])["publicName"], true);
    assert!(PageClient::new(&home).get(&acme.page_path("sign-in")).body.contains("Acme Rockets"));
}
