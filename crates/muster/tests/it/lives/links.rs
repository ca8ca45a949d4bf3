//! A link of a mail works once, for whom it was meant, as long as it was meant to, and only as it was sent.

use super::{Door, Firm, GOOD, Home, Visitor, assert_chosen, assert_page, mailed, token, with_post};
use serde_json::{Value, json};
use std::sync::Barrier;

/// Ten who use one link at once, each with a password of their own; the one that was taken.
fn race(door: &dyn Door, link: &str) -> String {
    let start = Barrier::new(10);
    let replies: Vec<_> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..10)
            .map(|n| {
                let start = &start;
                scope.spawn(move || {
                    let mut visitor = Visitor::new(door);
                    let form = token(&visitor.get(link));
                    let password = format!("{GOOD} {n}");
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
    assert_chosen(&won[0].0);
    won[0].1.clone()
}

#[test]
fn of_ten_at_once_exactly_one_gets_through() {
    let home = Home::new();
    let firm = Firm::new(&home, "Acme");
    firm.invite("ann@x.y");
    let won = race(&home, &home.link("ann@x.y"));
    for n in 0..10 {
        let password = format!("{GOOD} {n}");
        let reply = firm.sign_in("ann@x.y", &password, None);
        assert_eq!(reply.status, if password == won { 200 } else { 401 }, "{password}: {}", reply.body);
        // So many wrong ones in a row would slow her down.
        home.wait(301);
    }
}

#[test]
fn also_over_sockets_and_with_real_hashes() {
    let (post, server) = with_post(&[]);
    let firm = Firm::new(&server, "Acme");
    firm.invite("ann@x.y");
    let won = race(&server, &mailed(&post, "ann@x.y"));
    let lost = i32::from(won.ends_with('0'));
    assert_eq!(firm.sign_in("ann@x.y", &format!("{GOOD} {lost}"), None).status, 401);
    assert_eq!(firm.sign_in("ann@x.y", &won, None).status, 200);
    let reply =
        Visitor::new(&server).submit(&firm.page("sign-in"), &[("user", "ann@x.y"), ("password", &won)]);
    assert_eq!((reply.status, reply.header("location")), (303, Some(firm.page("account").as_str())));
}

/// Looks at a link that is not good and tries to use it, with the token of a form that is; nothing happens.
fn is_useless(firm: &Firm, link: &str, status: u16) {
    let before = firm.events();
    tries(firm, &[link.to_owned()], status);
    assert_eq!(firm.events(), before, "{link}: nothing happens");
}

fn tries(firm: &Firm, links: &[String], status: u16) {
    let mut visitor = Visitor::new(firm.door);
    // A form of the tenant whose pages they are.
    let tenant = links[0].split('/').nth(2).expect("a tenant");
    let form = token(&visitor.get(&format!("/t/{tenant}/sign-in")));
    for link in links {
        assert_page(&visitor.get(link), status);
        let fields = [("token", form.as_str()), ("new", GOOD), ("again", GOOD)];
        assert_page(&visitor.post(link, &fields), status);
    }
}

#[test]
fn an_altered_or_cut_link_is_none() {
    let home = Home::new();
    let (firm, other) = (Firm::new(&home, "Acme"), Firm::new(&home, "Other"));
    firm.invite("ann@x.y");
    // Also somebody there, so that the other has people with the same numbers.
    other.invite("bob@x.y");
    let link = home.link("ann@x.y");
    let (folder, sealed) = link.rsplit_once('/').expect("a path");
    assert!(sealed.len() > 40 && sealed.is_ascii(), "{sealed}");
    let mut bad: Vec<String> = (0..sealed.len())
        .map(|at| {
            let new = if &sealed[at..=at] == "A" { "B" } else { "A" };
            format!("{folder}/{}{new}{}", &sealed[..at], &sealed[at + 1..])
        })
        .collect();
    bad.extend((1..sealed.len()).map(|length| format!("{folder}/{}", &sealed[..length])));
    bad.extend([format!("{link}A"), format!("{link}="), format!("{link}%20"), format!("{link}.")]);
    let before = (firm.events(), other.events());
    tries(&firm, &bad, 404);
    // Whole, but for another tenant, or for another use.
    let elsewhere =
        [link.replacen(&firm.page(""), &other.page(""), 1), link.replace("/invitation/", "/reset/")];
    assert_ne!(elsewhere[0], link);
    tries(&firm, &elsewhere[..1], 404);
    tries(&firm, &elsewhere[1..], 404);
    assert_eq!((firm.events(), other.events()), before, "nothing happens");
    assert_chosen(&Visitor::new(&home).choose(&link, GOOD));
}

#[test]
fn looking_changes_nothing_and_a_bad_choice_does_not_use_it_up() {
    let home = Home::new();
    let firm = Firm::new(&home, "Acme");
    firm.invite("ann@x.y");
    firm.cli(&["tenant", "set", "--min-password-length", "16"]);
    let link = home.link("ann@x.y");
    let before = firm.events();
    for _ in 0..50 {
        // Scanners of mails follow links, each time without a cookie.
        assert_page(&Visitor::new(&home).get(&link), 200);
    }
    let mut visitor = Visitor::new(&home);
    let form = token(&visitor.get(&link));
    for (token, new, again) in [
        (form.as_str(), "fünfzehn zeiche", "fünfzehn zeiche"),
        (&form, GOOD, "vier rote fische im teich?"),
        (&form, "", ""),
        ("", GOOD, GOOD),
        ("x", GOOD, GOOD),
    ] {
        let reply = visitor.post(&link, &[("token", token), ("new", new), ("again", again)]);
        assert!(
            (400..500).contains(&reply.status) || reply.status == 200,
            "{}: {}",
            reply.status,
            reply.body
        );
        assert!(!reply.body.contains(GOOD), "a page shows no password");
    }
    // A form from elsewhere has no cookie of ours.
    let fields = [("token", form.as_str()), ("new", GOOD), ("again", GOOD)];
    assert_ne!(Visitor::new(&home).post(&link, &fields).status, 303);
    assert_eq!(firm.events(), before, "nothing happens");
    assert_chosen(&visitor.post(&link, &fields));
    is_useless(&firm, &link, 410);
    assert_eq!(firm.sign_in("ann@x.y", GOOD, None).status, 200);
}

#[test]
fn an_invitation_ends_with_its_time() {
    let home = Home::new();
    let firm = Firm::new(&home, "Acme");
    firm.cli(&["tenant", "set", "--invitation-hours", "1"]);
    for email in ["ann@x.y", "bob@x.y"] {
        firm.invite(email);
    }
    let [ann, bob] = ["ann@x.y", "bob@x.y"].map(|email| home.link(email));
    home.wait(3500);
    assert_chosen(&Visitor::new(&home).choose(&ann, GOOD));
    let mut visitor = Visitor::new(&home);
    let form = token(&visitor.get(&bob));
    home.wait(101);
    is_useless(&firm, &bob, 410);
    // Also for somebody who has had the page open since.
    assert_page(&visitor.post(&bob, &[("token", &form), ("new", GOOD), ("again", GOOD)]), 410);
    assert_eq!(firm.sign_in("bob@x.y", GOOD, None).status, 401);
}

#[test]
fn a_newer_invitation_makes_the_older_useless() {
    let home = Home::new();
    let firm = Firm::new(&home, "Acme");
    firm.invite("ann@x.y");
    home.link("ann@x.y");
    firm.cli(&["user", "invite", "ann@x.y"]);
    let links = home.links("ann@x.y", 2);
    is_useless(&firm, &links[0], 410);
    assert_chosen(&Visitor::new(&home).choose(&links[1], GOOD));
    is_useless(&firm, &links[0], 410);
}

#[test]
fn what_happens_to_the_person_makes_it_useless() {
    let home = Home::new();
    let firm = Firm::new(&home, "Acme");
    let none = Value::Null;
    let cases = ["disable", "archive", "suspended", "scim", "delete", "e-mail"];
    // All are invited first: mails that are queued together are sent together.
    let invited = cases.map(|what| (what, format!("{}@x.y", what.replace('-', "")))).map(|(what, email)| {
        let id = firm.invite(&email);
        (what, email, id)
    });
    let invited = invited.map(|(what, email, id)| {
        let link = home.link(&email);
        (what, email, id, link)
    });
    firm.wait_for_outcomes();
    for (what, email, id, link) in invited {
        let off = json!({"Operations": [{"op": "replace", "path": "active", "value": false}]});
        let suspended = json!({"user": {"email": email, "name": {"firstname": "A"}, "status": "suspended"}});
        let reply = match what {
            "suspended" => firm.call("PUT", &format!("/api/2/users/{email}"), &suspended),
            "scim" => firm.call("PATCH", &format!("/scim/v2/Users/{id}"), &off),
            "delete" => firm.onfire("DELETE", json!({"Id": id})),
            "e-mail" => firm.onfire("PUT", json!({"Id": id, "Email": "new@x.y"})),
            _ => firm.call("POST", &format!("/api/2/users/{email}/{what}"), &none),
        };
        assert!(reply.status == 200, "{what}: {}", reply.body);
        // A new address is sent a new invitation.
        firm.wait_for_outcomes();
        is_useless(&firm, &link, 410);
        if matches!(what, "disable" | "archive") {
            // What was taken back stays so: whoever has the mail may not come in later by it.
            let reply = firm.call("POST", &format!("/api/2/users/{email}/activate"), &none);
            assert_eq!(reply.status, 200, "{}", reply.body);
            is_useless(&firm, &link, 410);
        }
    }
}

#[test]
fn a_link_to_a_new_password_is_no_better() {
    let home = Home::new();
    let firm = Firm::new(&home, "Acme");
    firm.person("bob@x.y", GOOD);
    let before = firm.events();
    let forgot = |user: &str| Visitor::new(&home).submit(&firm.page("forgot"), &[("user", user)]);
    let (known, unknown) = (forgot("bob@x.y"), forgot("nobody@x.y"));
    assert_eq!((known.status, &known.body), (unknown.status, &unknown.body), "it tells nobody who is there");
    home.link("bob@x.y");
    let mailed = firm.events();
    forgot("bob@x.y");
    assert_eq!(firm.events(), mailed, "nobody is buried under mails");
    home.wait(300);
    forgot("bob@x.y");
    let links = home.links("bob@x.y", 2);
    assert!(links[0].starts_with(&firm.page("reset/")), "{links:?}");
    assert!(firm.events() > before);
    is_useless(&firm, &links[1].replace("/reset/", "/invitation/"), 404);
    // Anybody can ask for a link, so the one before stays good, or strangers could keep every link from working.
    assert_chosen(&Visitor::new(&home).choose(&links[0], "fünf blaue vögel am himmel"));
    is_useless(&firm, &links[0], 410);
    is_useless(&firm, &links[1], 410);
    assert_eq!(firm.sign_in("bob@x.y", GOOD, None).status, 401);
    assert_eq!(firm.sign_in("bob@x.y", "fünf blaue vögel am himmel", None).status, 200);
    // A password that came another way ends a link that is still open.
    home.wait(300);
    forgot("bob@x.y");
    let link = home.links("bob@x.y", 3).remove(2);
    let mut visitor = Visitor::new(&home);
    let reply = visitor
        .submit(&firm.page("sign-in"), &[("user", "bob@x.y"), ("password", "fünf blaue vögel am himmel")]);
    assert_eq!(reply.status, 303, "{}", reply.body);
    let fields = [("old", "fünf blaue vögel am himmel"), ("new", GOOD), ("again", GOOD)];
    assert_eq!(visitor.submit(&firm.page("password"), &fields).status, 303);
    is_useless(&firm, &link, 410);
}
