//! A mailed link works once, for its user and purpose, until it expires, and only unchanged.

use super::{
    HttpTarget, InProcessServer, PageClient, TenantClient, VALID_PASSWORD, assert_page, assert_password_set,
    form_token, newest_mailed_link, start_with_mail_server,
};
use serde_json::{Value, json};
use std::sync::Barrier;

/// Uses one link ten times concurrently with different passwords; returns the password of the successful use.
fn race_for_link(target: &dyn HttpTarget, link: &str) -> String {
    let start = Barrier::new(10);
    let replies: Vec<_> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..10)
            .map(|n| {
                let start = &start;
                scope.spawn(move || {
                    let mut visitor = PageClient::new(target);
                    let form = form_token(&visitor.get(link));
                    let password = format!("{VALID_PASSWORD} {n}");
                    start.wait();
                    let fields = [("token", form.as_str()), ("new", &password), ("again", &password)];
                    (visitor.post(link, &fields), password)
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().expect("answered")).collect()
    });
    let (won, lost): (Vec<_>, Vec<_>) = replies.into_iter().partition(|(reply, _)| reply.status == 303);
    assert_eq!((won.len(), lost.len()), (1, 9), "{lost:?}");
    for (reply, _) in &lost {
        assert_page(reply, 410);
    }
    assert_password_set(&won[0].0);
    won[0].1.clone()
}

#[test]
fn one_of_ten_concurrent_uses_succeeds() {
    let server = InProcessServer::new();
    let acme = TenantClient::new(&server, "Acme");
    acme.invite("ann@x.y");
    let won = race_for_link(&server, &server.wait_for_link("ann@x.y"));
    for n in 0..10 {
        let password = format!("{VALID_PASSWORD} {n}");
        let reply = acme.sign_in("ann@x.y", &password, None);
        assert_eq!(reply.status, if password == won { 200 } else { 401 }, "{password}: {}", reply.body);
        // So many wrong passwords in a row would be throttled.
        server.advance_clock(301);
    }
}

#[test]
fn one_concurrent_use_succeeds_over_sockets() {
    let (mail_server, server) = start_with_mail_server(&[]);
    let acme = TenantClient::new(&server, "Acme");
    acme.invite("ann@x.y");
    let won = race_for_link(&server, &newest_mailed_link(&mail_server, "ann@x.y"));
    let losing_number = i32::from(won.ends_with('0'));
    assert_eq!(acme.sign_in("ann@x.y", &format!("{VALID_PASSWORD} {losing_number}"), None).status, 401);
    assert_eq!(acme.sign_in("ann@x.y", &won, None).status, 200);
    let reply = PageClient::new(&server).submit(&acme.page_path("sign-in"), &[("user", "ann@x.y"), ("password", &won)]);
    assert_eq!((reply.status, reply.header("location")), (303, Some(acme.page_path("account").as_str())));
}

/// Asserts that viewing and using an invalid link, with the token of a valid form, is rejected and changes nothing.
fn assert_rejected(acme: &TenantClient, link: &str, status: u16) {
    let before = acme.event_count();
    try_links(acme, &[link.to_owned()], status);
    assert_eq!(acme.event_count(), before, "{link}: nothing changed");
}

fn try_links(acme: &TenantClient, links: &[String], status: u16) {
    let mut visitor = PageClient::new(acme.target);
    // A valid form of the same tenant.
    let tenant = links[0].split('/').nth(2).expect("a tenant");
    let form = form_token(&visitor.get(&format!("/t/{tenant}/sign-in")));
    for link in links {
        assert_page(&visitor.get(link), status);
        let fields = [("token", form.as_str()), ("new", VALID_PASSWORD), ("again", VALID_PASSWORD)];
        assert_page(&visitor.post(link, &fields), status);
    }
}

#[test]
fn altered_or_truncated_links_are_rejected() {
    let server = InProcessServer::new();
    let (acme, other) = (TenantClient::new(&server, "Acme"), TenantClient::new(&server, "Other"));
    acme.invite("ann@x.y");
    // The other tenant has a user with the same number.
    other.invite("bob@x.y");
    let link = server.wait_for_link("ann@x.y");
    let (prefix, signed) = link.rsplit_once('/').expect("a path");
    assert!(signed.len() > 40 && signed.is_ascii(), "{signed}");
    let mut bad: Vec<String> = (0..signed.len())
        .map(|at| {
            let new = if &signed[at..=at] == "A" { "B" } else { "A" };
            format!("{prefix}/{}{new}{}", &signed[..at], &signed[at + 1..])
        })
        .collect();
    bad.extend((1..signed.len()).map(|length| format!("{prefix}/{}", &signed[..length])));
    bad.extend([format!("{link}A"), format!("{link}="), format!("{link}%20"), format!("{link}.")]);
    let before = (acme.event_count(), other.event_count());
    try_links(&acme, &bad, 404);
    // Complete, but for another tenant or purpose.
    let elsewhere =
        [link.replacen(&acme.page_path(""), &other.page_path(""), 1), link.replace("/invitation/", "/reset/")];
    assert_ne!(elsewhere[0], link);
    try_links(&acme, &elsewhere[..1], 404);
    try_links(&acme, &elsewhere[1..], 404);
    assert_eq!((acme.event_count(), other.event_count()), before, "nothing changed");
    assert_password_set(&PageClient::new(&server).set_password(&link, VALID_PASSWORD));
}

#[test]
fn viewing_or_a_rejected_password_does_not_consume_a_link() {
    let server = InProcessServer::new();
    let acme = TenantClient::new(&server, "Acme");
    acme.invite("ann@x.y");
    acme.run_json(&["tenant", "set", "--min-password-length", "16"]);
    let link = server.wait_for_link("ann@x.y");
    let before = acme.event_count();
    for _ in 0..50 {
        // Mail scanners follow links, each time without a cookie.
        assert_page(&PageClient::new(&server).get(&link), 200);
    }
    let mut visitor = PageClient::new(&server);
    let form = form_token(&visitor.get(&link));
    for (token, new, again) in [
        (form.as_str(), "fünfzehn zeiche", "fünfzehn zeiche"),
        (&form, VALID_PASSWORD, "vier rote fische im teich?"),
        (&form, "", ""),
        ("", VALID_PASSWORD, VALID_PASSWORD),
        ("x", VALID_PASSWORD, VALID_PASSWORD),
    ] {
        let reply = visitor.post(&link, &[("token", token), ("new", new), ("again", again)]);
        assert!((400..500).contains(&reply.status) || reply.status == 200, "{}: {}", reply.status, reply.body);
        assert!(!reply.body.contains(VALID_PASSWORD), "the page shows no password");
    }
    // A cross-site form has no cookie.
    let fields = [("token", form.as_str()), ("new", VALID_PASSWORD), ("again", VALID_PASSWORD)];
    assert_ne!(PageClient::new(&server).post(&link, &fields).status, 303);
    assert_eq!(acme.event_count(), before, "nothing changed");
    assert_password_set(&visitor.post(&link, &fields));
    assert_rejected(&acme, &link, 410);
    assert_eq!(acme.sign_in("ann@x.y", VALID_PASSWORD, None).status, 200);
}

#[test]
fn invitations_expire() {
    let server = InProcessServer::new();
    let acme = TenantClient::new(&server, "Acme");
    acme.run_json(&["tenant", "set", "--invitation-hours", "1"]);
    for email in ["ann@x.y", "bob@x.y"] {
        acme.invite(email);
    }
    let [ann, bob] = ["ann@x.y", "bob@x.y"].map(|email| server.wait_for_link(email));
    server.advance_clock(3500);
    assert_password_set(&PageClient::new(&server).set_password(&ann, VALID_PASSWORD));
    let mut visitor = PageClient::new(&server);
    let form = form_token(&visitor.get(&bob));
    server.advance_clock(101);
    assert_rejected(&acme, &bob, 410);
    // Also if the page was opened before.
    assert_page(&visitor.post(&bob, &[("token", &form), ("new", VALID_PASSWORD), ("again", VALID_PASSWORD)]), 410);
    assert_eq!(acme.sign_in("bob@x.y", VALID_PASSWORD, None).status, 401);
}

#[test]
fn a_newer_invitation_invalidates_the_older() {
    let server = InProcessServer::new();
    let acme = TenantClient::new(&server, "Acme");
    acme.invite("ann@x.y");
    server.wait_for_link("ann@x.y");
    acme.run_json(&["user", "invite", "ann@x.y"]);
    let links = server.wait_for_links("ann@x.y", 2);
    assert_rejected(&acme, &links[0], 410);
    assert_password_set(&PageClient::new(&server).set_password(&links[1], VALID_PASSWORD));
    assert_rejected(&acme, &links[0], 410);
}

#[test]
fn changes_to_the_user_invalidate_the_link() {
    let server = InProcessServer::new();
    let acme = TenantClient::new(&server, "Acme");
    let none = Value::Null;
    let cases = ["disable", "archive", "suspended", "scim", "delete", "e-mail"];
    // Invite all users first: mails that are queued together are sent together.
    let invited = cases.map(|what| (what, format!("{}@x.y", what.replace('-', "")))).map(|(what, email)| {
        let id = acme.invite(&email);
        (what, email, id)
    });
    let invited = invited.map(|(what, email, id)| {
        let link = server.wait_for_link(&email);
        (what, email, id, link)
    });
    acme.wait_for_mail_outcomes();
    for (what, email, id, link) in invited {
        let off = json!({"Operations": [{"op": "replace", "path": "active", "value": false}]});
        let suspended = json!({"user": {"email": email, "name": {"firstname": "A"}, "status": "suspended"}});
        let reply = match what {
            "suspended" => acme.send_json("PUT", &format!("/api/2/users/{email}"), &suspended),
            "scim" => acme.send_json("PATCH", &format!("/scim/v2/Users/{id}"), &off),
            "delete" => acme.send_onfire("DELETE", json!({"Id": id})),
            "e-mail" => acme.send_onfire("PUT", json!({"Id": id, "Email": "new@x.y"})),
            _ => acme.send_json("POST", &format!("/api/2/users/{email}/{what}"), &none),
        };
        assert!(reply.status == 200, "{what}: {}", reply.body);
        // A new address gets a new invitation.
        acme.wait_for_mail_outcomes();
        assert_rejected(&acme, &link, 410);
        if matches!(what, "disable" | "archive") {
            // The link stays invalid after reactivation.
            let reply = acme.send_json("POST", &format!("/api/2/users/{email}/activate"), &none);
            assert_eq!(reply.status, 200, "{}", reply.body);
            assert_rejected(&acme, &link, 410);
        }
    }
}

#[test]
fn reset_links_are_single_use_and_end_with_a_password_change() {
    let server = InProcessServer::new();
    let acme = TenantClient::new(&server, "Acme");
    acme.create_user("bob@x.y", VALID_PASSWORD);
    let before = acme.event_count();
    let forgot = |user: &str| PageClient::new(&server).submit(&acme.page_path("forgot"), &[("user", user)]);
    let (known, unknown) = (forgot("bob@x.y"), forgot("nobody@x.y"));
    assert_eq!(
        (known.status, &known.body),
        (unknown.status, &unknown.body),
        "the response does not reveal whether the user exists"
    );
    server.wait_for_link("bob@x.y");
    let mailed = acme.event_count();
    forgot("bob@x.y");
    assert_eq!(acme.event_count(), mailed, "repeated requests send no more mails");
    server.advance_clock(300);
    forgot("bob@x.y");
    let links = server.wait_for_links("bob@x.y", 2);
    assert!(links[0].starts_with(&acme.page_path("reset/")), "{links:?}");
    assert!(acme.event_count() > before);
    assert_rejected(&acme, &links[1].replace("/reset/", "/invitation/"), 404);
    // Earlier links stay valid: anyone can request a link, and an attacker could otherwise invalidate every link.
    assert_password_set(&PageClient::new(&server).set_password(&links[0], "fünf blaue vögel am himmel"));
    assert_rejected(&acme, &links[0], 410);
    assert_rejected(&acme, &links[1], 410);
    assert_eq!(acme.sign_in("bob@x.y", VALID_PASSWORD, None).status, 401);
    assert_eq!(acme.sign_in("bob@x.y", "fünf blaue vögel am himmel", None).status, 200);
    // Any other password change invalidates an open link.
    server.advance_clock(300);
    forgot("bob@x.y");
    let link = server.wait_for_links("bob@x.y", 3).remove(2);
    let mut visitor = PageClient::new(&server);
    let reply =
        visitor.submit(&acme.page_path("sign-in"), &[("user", "bob@x.y"), ("password", "fünf blaue vögel am himmel")]);
    assert_eq!(reply.status, 303, "{}", reply.body);
    let fields = [("old", "fünf blaue vögel am himmel"), ("new", VALID_PASSWORD), ("again", VALID_PASSWORD)];
    assert_eq!(visitor.submit(&acme.page_path("password"), &fields).status, 303);
    assert_rejected(&acme, &link, 410);
}
