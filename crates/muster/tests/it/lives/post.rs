//! Every mail arrives once in the end, or is shown as failed with its cause, whatever the mail server and the machine do.

use super::{Firm, GOOD, Visitor, assert_chosen, mail_flags, mailed, path, patiently, waiting, with_post};
use crate::support::Server;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use testkit::smtp::{Behaviour, Received, Receiver, Stage};
use testkit::waiting::PATIENCE;

const STAGES: [Stage; 6] =
    [Stage::Greeting, Stage::MailFrom, Stage::RcptTo, Stage::Data, Stage::Body, Stage::End];

/// People who are invited at about the same time.
fn invite_all(firm: &Firm, emails: &[String]) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(email) = emails.get(next.fetch_add(1, Ordering::Relaxed)) {
                    firm.invite(email);
                }
            });
        }
    });
}

/// How often each was written to, and by how many different mails.
fn arrived(mails: &[Received]) -> BTreeMap<String, (usize, usize)> {
    let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for mail in mails {
        assert_eq!(mail.to.len(), 1, "{mail:?}");
        ids.entry(mail.to[0].clone()).or_default().push(mail.header("Message-ID").expect("an id"));
    }
    ids.into_iter().map(|(to, ids)| (to, (ids.len(), ids.iter().collect::<BTreeSet<_>>().len()))).collect()
}

/// Waits until no mail waits.
fn settled(firm: &Firm) {
    patiently("every mail to be sent", || waiting(firm).is_empty().then_some(()));
}

/// Everybody has their one mail, and nothing waits.
fn assert_once(post: &Receiver, firm: &Firm, emails: &[String]) {
    settled(firm);
    assert_arrived(post, emails);
}

/// Everybody has their one mail, and nobody else has any.
fn assert_arrived(post: &Receiver, emails: &[String]) {
    let once: BTreeMap<String, (usize, usize)> = emails.iter().map(|email| (email.clone(), (1, 1))).collect();
    assert_eq!(arrived(&post.mails()), once);
}

fn numbered(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{name}{n}@x.y")).collect()
}

#[test]
fn what_fails_for_now_is_tried_again_until_it_arrives() {
    let (post, server) = with_post(&[]);
    let firm = Firm::new(&server, "Acme");
    let mut faults: Vec<Behaviour> = STAGES.map(|at| Behaviour::Refuse4xx { at }).to_vec();
    faults.extend(STAGES.map(|at| Behaviour::Cut { at }));
    // Each of these takes as long as a mail may.
    faults.extend([Stage::Greeting, Stage::Body, Stage::End].map(|at| Behaviour::Hang { at }));
    for fault in &faults {
        post.behave_next(1, *fault);
    }
    let emails = numbered("p", faults.len());
    invite_all(&firm, &emails);
    patiently("every mail", || (post.mails().len() >= emails.len()).then_some(()));
    assert_once(&post, &firm, &emails);
    assert!(post.sessions() > faults.len(), "all of it has gone wrong: {} sessions", post.sessions());
    let shown = firm.cli(&["user", "show", &emails[0]]);
    assert_eq!(shown["mails"], serde_json::json!([]), "{shown}");
}

#[test]
fn while_the_mail_server_is_down_they_wait_and_say_why() {
    let (post, server) = with_post(&[]);
    let firm = Firm::new(&server, "Acme");
    post.stop_listening();
    let emails = numbered("p", 5);
    invite_all(&firm, &emails);
    let tried = patiently("a second attempt", || {
        let mails = waiting(&firm);
        mails.iter().all(|mail| mail["attempts"].as_u64() >= Some(2)).then_some(mails)
    });
    assert_eq!(tried.len(), 5);
    for mail in &tried {
        assert_eq!(mail["failed"], false, "{mail}");
        assert!(mail["cause"].as_str().is_some_and(|cause| cause.len() > 5), "{mail}");
        assert!(mail["due"].is_string(), "{mail}");
    }
    println!("cause: {}", tried[0]["cause"]);
    let shown = firm.cli(&["user", "show", &emails[0]]);
    assert_eq!(shown["mails"][0]["cause"], tried[0]["cause"], "{shown}");
    post.listen_again();
    // They would come by themselves, and come sooner when they are asked for.
    assert!(firm.cli(&["mail", "retry"])["again"].is_u64());
    patiently("every mail", || (post.mails().len() >= 5).then_some(()));
    assert_once(&post, &firm, &emails);
}

#[test]
fn what_is_refused_for_good_fails_with_its_cause_until_it_is_asked_for_again() {
    let (post, server) = with_post(&[]);
    let firm = Firm::new(&server, "Acme");
    for at in STAGES {
        post.behave_next(1, Behaviour::Refuse5xx { at });
    }
    post.rejecting("nobody@x.y");
    let mut emails = numbered("p", STAGES.len());
    invite_all(&firm, &emails);
    // Who has no mailbox comes after, or might take one of the refusals that are meant for the others.
    patiently("the refusals", || (post.sessions() >= STAGES.len()).then_some(()));
    firm.invite("nobody@x.y");
    // One or the other is well: which of them meets with what is up to chance.
    firm.invite("well@x.y");
    emails.push("well@x.y".into());
    let failed = patiently("what becomes of each mail", || {
        let mails = waiting(&firm);
        let is_over = mails.iter().all(|mail| mail["failed"] == true);
        (is_over && mails.len() + post.mails().len() == emails.len() + 1).then_some(mails)
    });
    let failed: BTreeMap<_, _> =
        failed.iter().map(|mail| (mail["to"].as_str().expect("who"), mail)).collect();
    println!("{} of {} have failed: {failed:?}", failed.len(), emails.len() + 1);
    for (email, mail) in &failed {
        let cause = mail["cause"].as_str().expect("a cause");
        assert!(cause.contains('5') && mail["due"].is_null(), "{mail}");
        assert_eq!(firm.cli(&["user", "show", email])["mails"][0]["cause"], cause);
    }
    assert!(failed.contains_key("nobody@x.y"), "{failed:?}");
    // What else is refused so may be about us, and is tried three times.
    assert!(failed.len() >= 3, "that there is no such mailbox is final: {failed:?}");
    // What has failed is not tried again by itself: it is not due, and a mail that is overtakes it.
    let (arrived, sessions) = (post.mails().len(), post.sessions());
    firm.invite("after@x.y");
    emails.push("after@x.y".into());
    patiently("the mail after them", || (post.mails().len() > arrived).then_some(()));
    patiently("the mail after them to be noted", || (waiting(&firm).len() == failed.len()).then_some(()));
    assert_eq!((post.mails().len(), post.sessions()), (arrived + 1, sessions + 1));
    assert_eq!(firm.cli(&["mail", "retry"])["again"], failed.len());
    patiently("every mail but one", || (post.mails().len() == emails.len()).then_some(()));
    let left = patiently("the one that fails again", || {
        let mails = waiting(&firm);
        (mails.len() == 1 && mails[0]["failed"] == true).then_some(mails)
    });
    assert_eq!(left[0]["to"], "nobody@x.y");
    assert_arrived(&post, &emails);
}

#[test]
fn what_is_refused_for_good_again_and_again_fails_after_three_attempts() {
    let (post, server) = with_post(&[]);
    let firm = Firm::new(&server, "Acme");
    post.behave(Behaviour::Refuse5xx { at: Stage::End });
    firm.invite("ann@x.y");
    let failed = patiently("the failure", || {
        let mails = waiting(&firm);
        (mails.len() == 1 && mails[0]["failed"] == true).then_some(mails)
    });
    assert_eq!((failed[0]["attempts"].as_u64(), post.sessions()), (Some(3), 3), "{failed:?}");
}

/// Starts the server again, and the mail server while it is down: no mail was being sent in between, so that each is sent
/// as the store has it now.
fn again(server: Server, post: &Receiver) -> Server {
    let place = server.kill();
    post.listen_again();
    Server::on(place, &mail_flags(&post.url()))
}

/// Somebody gets another address.
fn moves(firm: &Firm, from: &str, to: &str) {
    let reply = firm.call("GET", &format!("/api/2/users/{from}"), &Value::Null);
    let id = serde_json::from_str::<Value>(&reply.body).expect("JSON")["user"]["id"].clone();
    let known = serde_json::json!({"firstName": "A", "email": to, "roleId": 1});
    assert_eq!(firm.call("PUT", &format!("/request/user/{id}"), &known).status, 200);
}

#[test]
fn a_newer_invitation_takes_the_place_of_one_that_failed() {
    let (post, server) = with_post(&[]);
    let firm = Firm::new(&server, "Acme");
    post.rejecting("nobody@x.y");
    firm.invite("nobody@x.y");
    patiently("the failure", || {
        waiting(&firm).first().is_some_and(|mail| mail["failed"] == true).then_some(())
    });
    // The new address is invited at once: that mail must not be sent before it is replaced.
    post.stop_listening();
    moves(&firm, "nobody@x.y", "somebody@x.y");
    firm.cli(&["user", "invite", "somebody@x.y"]);
    let keys = firm.keys();
    let server = again(server, &post);
    let firm = Firm::of(&server, keys);
    let link = mailed(&post, "somebody@x.y");
    assert_once(&post, &firm, &["somebody@x.y".to_owned()]);
    assert_chosen(&Visitor::new(&server).choose(&link, GOOD));
}

#[test]
fn a_mail_whose_link_is_useless_by_now_is_not_sent() {
    let (post, server) = with_post(&[]);
    let firm = Firm::new(&server, "Acme");
    post.stop_listening();
    let emails = ["again@x.y", "off@x.y", "old@x.y", "gone@x.y", "stays@x.y"];
    let ids = emails.map(|email| firm.invite(email));
    firm.cli(&["user", "invite", "again@x.y"]);
    assert_eq!(firm.call("POST", "/api/2/users/off@x.y/disable", &Value::Null).status, 200);
    moves(&firm, "old@x.y", "new@x.y");
    assert_eq!(firm.onfire("DELETE", serde_json::json!({"Id": ids[3]})).status, 200);
    let keys = firm.keys();
    let server = again(server, &post);
    let firm = Firm::of(&server, keys);
    settled(&firm);
    // Where one had not gone out yet, it may go to the new address, if it is of any use there.
    let mails = post.mails();
    let to: BTreeSet<_> = mails.iter().map(|mail| mail.to[0].as_str()).collect();
    println!("{to:?}");
    assert!(to.contains("again@x.y") && to.contains("stays@x.y") && to.len() == mails.len(), "{to:?}");
    assert!(!to.contains("off@x.y") && !to.contains("old@x.y") && !to.contains("gone@x.y"), "{to:?}");
    for mail in &mails {
        assert_chosen(&Visitor::new(&server).choose(&path(&mail.links()[0]), GOOD));
    }
}

#[test]
fn one_that_was_taken_without_a_word_comes_again_as_the_same_mail() {
    let (post, server) = with_post(&[]);
    let firm = Firm::new(&server, "Acme");
    post.behave_next(1, Behaviour::CutAfterTaking);
    firm.invite("ann@x.y");
    let mails = post.wait_for(2, PATIENCE);
    assert_eq!(arrived(&mails)["ann@x.y"], (2, 1), "two of one id, which mail programs show once");
    assert_eq!(mails[0].links(), mails[1].links());
    settled(&firm);
    assert_chosen(&Visitor::new(&server).choose(&path(&mails[0].links()[0]), GOOD));
}

/// Waits until so many have their mail; whether they do within the time.
fn have_come(post: &Receiver, count: usize) -> bool {
    let begun = Instant::now();
    while arrived(&post.mails()).len() < count {
        if begun.elapsed() > PATIENCE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

#[test]
fn kill_9_loses_no_mail_and_sends_next_to_none_twice() {
    let (post, mut server) = with_post(&["--log-level", "error"]);
    let emails = numbered("p", 200);
    let key = {
        let firm = Firm::new(&server, "Acme");
        let trouble = [
            Behaviour::Refuse4xx { at: Stage::End },
            Behaviour::Accept,
            Behaviour::Cut { at: Stage::Body },
            Behaviour::Accept,
            Behaviour::Hang { at: Stage::End },
        ];
        for n in 0..40 {
            post.behave_next(if n % 2 == 0 { 1 } else { 3 }, trouble[n % trouble.len()]);
        }
        invite_all(&firm, &emails);
        firm.key.clone()
    };
    for count in [30, 80, 140] {
        assert!(have_come(&post, count), "{} mails", post.mails().len());
        let place = server.kill();
        server = Server::on(place, &[&mail_flags(&post.url())[..], &["--log-level", "error"]].concat());
    }
    let begun = Instant::now();
    let is_whole = have_come(&post, emails.len());
    println!("the rest came {:?} after the last kill", begun.elapsed());
    let firm = Firm { door: &server, number: 1, key, asking: String::new() };
    assert!(is_whole, "{} of 200; these wait: {:#?}", arrived(&post.mails()).len(), waiting(&firm));
    settled(&firm);
    let arrived = arrived(&post.mails());
    assert!(arrived.keys().eq(emails.iter().collect::<BTreeSet<_>>()), "{arrived:?}");
    let twice: Vec<_> = arrived.iter().filter(|(_, (times, _))| *times > 1).collect();
    println!("{} of 200 came more than once over three kills: {twice:?}", twice.len());
    assert!(arrived.values().all(|(_, ids)| *ids == 1), "one mail has one id: {arrived:?}");
    // Those that it had in hand, eight at the most, when it was killed: the mail server had taken them, and nobody
    // had written that down yet.
    assert!(twice.len() <= 3 * 8, "{twice:?}");
}

/// A mail server that hangs on the first mail until the session is cut, and a server that waits longer than that.
fn with_post_that_hangs_once() -> (Receiver, Server) {
    let post = Receiver::start();
    let server =
        Server::start(&["--smtp-url", &post.url(), "--smtp-timeout", "600", "--mail-retry-delay", "1"]);
    post.behave_next(1, Behaviour::Hang { at: Stage::End });
    (post, server)
}

#[test]
fn a_mail_on_which_the_server_hangs_delays_no_other() {
    let (post, server) = with_post_that_hangs_once();
    let firm = Firm::new(&server, "Acme");
    firm.invite("hangs@x.y");
    patiently("the first session", || (post.sessions() == 1).then_some(()));
    let mut emails = numbered("p", 20);
    invite_all(&firm, &emails);
    post.wait_for(emails.len(), PATIENCE);
    // Cutting a session before its outcome is recorded would send that mail again.
    patiently("the outcomes to be recorded", || (waiting(&firm).len() == 1).then_some(()));
    post.stop_listening();
    post.listen_again();
    emails.push("hangs@x.y".into());
    assert_once(&post, &firm, &emails);
}

#[test]
fn what_has_arrived_is_written_down_at_once() {
    let (post, server) = with_post_that_hangs_once();
    let firm = Firm::new(&server, "Acme");
    let emails = numbered("p", 12);
    invite_all(&firm, &emails);
    post.wait_for(11, PATIENCE);
    patiently("the others to be known to have arrived", || (waiting(&firm).len() <= 1).then_some(()));
    let left = waiting(&firm);
    assert_eq!(left.len(), 1, "one hangs: {left:#?}");
    post.stop_listening();
    post.listen_again();
    assert_once(&post, &firm, &emails);
}
