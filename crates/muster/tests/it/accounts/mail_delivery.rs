//! Every mail is delivered once or listed as failed with its cause, whatever the mail server and the machine do.

use super::{
    PageClient, TenantClient, VALID_PASSWORD, assert_password_set, mail_flags, newest_mailed_link, queued_mails,
    start_with_mail_server, url_path, wait_for,
};
use crate::support::Server;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use testkit::smtp::{Behavior, ReceivedMail, SmtpServer, Stage};
use testkit::waiting::TIMEOUT;

const STAGES: [Stage; 6] =
    [Stage::Greeting, Stage::MailFrom, Stage::RcptTo, Stage::Data, Stage::Body, Stage::EndOfData];

/// Invites users concurrently.
fn invite_all(acme: &TenantClient, emails: &[String]) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(email) = emails.get(next.fetch_add(1, Ordering::Relaxed)) {
                    acme.invite(email);
                }
            });
        }
    });
}

/// For each recipient, the number of deliveries and of distinct mails.
fn deliveries_by_recipient(mails: &[ReceivedMail]) -> BTreeMap<String, (usize, usize)> {
    let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for mail in mails {
        assert_eq!(mail.to.len(), 1, "{mail:?}");
        ids.entry(mail.to[0].clone()).or_default().push(mail.header("Message-ID").expect("an id"));
    }
    ids.into_iter().map(|(to, ids)| (to, (ids.len(), ids.iter().collect::<BTreeSet<_>>().len()))).collect()
}

/// Waits until no mail is queued.
fn wait_until_queue_empty(acme: &TenantClient) {
    wait_for("every mail to be sent", || queued_mails(acme).is_empty().then_some(()));
}

/// Asserts that every recipient has one mail, and none is queued.
fn assert_delivered_once(post: &SmtpServer, acme: &TenantClient, emails: &[String]) {
    wait_until_queue_empty(acme);
    assert_deliveries(post, emails);
}

/// Asserts that these recipients, and no others, have one mail each.
fn assert_deliveries(post: &SmtpServer, emails: &[String]) {
    let once: BTreeMap<String, (usize, usize)> = emails.iter().map(|email| (email.clone(), (1, 1))).collect();
    assert_eq!(deliveries_by_recipient(&post.mails()), once);
}

fn numbered_emails(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{name}{n}@x.y")).collect()
}

#[test]
fn temporary_failures_are_retried_until_delivery() {
    let (post, server) = start_with_mail_server(&[]);
    let acme = TenantClient::new(&server, "Acme");
    let mut faults: Vec<Behavior> = STAGES.map(|at| Behavior::Reject4xx { at }).to_vec();
    faults.extend(STAGES.map(|at| Behavior::Disconnect { at }));
    // Each of these takes as long as the timeout.
    faults.extend([Stage::Greeting, Stage::Body, Stage::EndOfData].map(|at| Behavior::Hang { at }));
    for fault in &faults {
        post.queue_behavior(1, *fault);
    }
    let emails = numbered_emails("p", faults.len());
    invite_all(&acme, &emails);
    wait_for("every mail", || (post.mails().len() >= emails.len()).then_some(()));
    assert_delivered_once(&post, &acme, &emails);
    assert!(post.session_count() > faults.len(), "not every fault occurred: {} sessions", post.session_count());
    let shown = acme.run_json(&["user", "show", &emails[0]]);
    assert_eq!(shown["mails"], serde_json::json!([]), "{shown}");
}

#[test]
fn mails_wait_with_a_cause_while_the_mail_server_is_down() {
    let (post, server) = start_with_mail_server(&[]);
    let acme = TenantClient::new(&server, "Acme");
    post.stop_listening();
    let emails = numbered_emails("p", 5);
    invite_all(&acme, &emails);
    let tried = wait_for("a second attempt", || {
        let mails = queued_mails(&acme);
        mails.iter().all(|mail| mail["attempts"].as_u64() >= Some(2)).then_some(mails)
    });
    assert_eq!(tried.len(), 5);
    for mail in &tried {
        assert_eq!(mail["failed"], false, "{mail}");
        assert!(mail["cause"].as_str().is_some_and(|cause| cause.len() > 5), "{mail}");
        assert!(mail["due"].is_string(), "{mail}");
    }
    println!("cause: {}", tried[0]["cause"]);
    let shown = acme.run_json(&["user", "show", &emails[0]]);
    assert_eq!(shown["mails"][0]["cause"], tried[0]["cause"], "{shown}");
    post.resume_listening();
    // They would be retried anyway; `mail retry` is faster.
    assert!(acme.run_json(&["mail", "retry"])["again"].is_u64());
    wait_for("every mail", || (post.mails().len() >= 5).then_some(()));
    assert_delivered_once(&post, &acme, &emails);
}

#[test]
fn permanent_failures_keep_their_cause_until_retried() {
    let (post, server) = start_with_mail_server(&[]);
    let acme = TenantClient::new(&server, "Acme");
    for at in STAGES {
        post.queue_behavior(1, Behavior::Reject5xx { at });
    }
    post.reject_recipient("nobody@x.y");
    let mut emails = numbered_emails("p", STAGES.len());
    invite_all(&acme, &emails);
    // Invite the unknown recipient later, or its mail might consume one of the rejections queued for the others.
    wait_for("the rejections", || (post.session_count() >= STAGES.len()).then_some(()));
    acme.invite("nobody@x.y");
    // Which mail gets which rejection is random; some are delivered.
    acme.invite("well@x.y");
    emails.push("well@x.y".into());
    let failed = wait_for("the outcome of each mail", || {
        let mails = queued_mails(&acme);
        let is_over = mails.iter().all(|mail| mail["failed"] == true);
        (is_over && mails.len() + post.mails().len() == emails.len() + 1).then_some(mails)
    });
    let failed: BTreeMap<_, _> = failed.iter().map(|mail| (mail["to"].as_str().expect("a recipient"), mail)).collect();
    println!("{} of {} have failed: {failed:?}", failed.len(), emails.len() + 1);
    for (email, mail) in &failed {
        let cause = mail["cause"].as_str().expect("a cause");
        assert!(cause.contains('5') && mail["due"].is_null(), "{mail}");
        assert_eq!(acme.run_json(&["user", "show", email])["mails"][0]["cause"], cause);
    }
    assert!(failed.contains_key("nobody@x.y"), "{failed:?}");
    // Other permanent rejections may concern the sender and are retried three times.
    assert!(failed.len() >= 3, "an unknown mailbox is final: {failed:?}");
    // Failed mails are not retried automatically: they are not due, and later mails overtake them.
    let (arrived, sessions) = (post.mails().len(), post.session_count());
    acme.invite("after@x.y");
    emails.push("after@x.y".into());
    wait_for("the later mail", || (post.mails().len() > arrived).then_some(()));
    wait_for("the later mail to be recorded", || (queued_mails(&acme).len() == failed.len()).then_some(()));
    assert_eq!((post.mails().len(), post.session_count()), (arrived + 1, sessions + 1));
    assert_eq!(acme.run_json(&["mail", "retry"])["again"], failed.len());
    wait_for("all mails but one", || (post.mails().len() == emails.len()).then_some(()));
    let left = wait_for("the mail that fails again", || {
        let mails = queued_mails(&acme);
        (mails.len() == 1 && mails[0]["failed"] == true).then_some(mails)
    });
    assert_eq!(left[0]["to"], "nobody@x.y");
    assert_deliveries(&post, &emails);
}

#[test]
fn permanent_failures_stop_after_three_attempts() {
    let (post, server) = start_with_mail_server(&[]);
    let acme = TenantClient::new(&server, "Acme");
    post.set_behavior(Behavior::Reject5xx { at: Stage::EndOfData });
    acme.invite("ann@x.y");
    let failed = wait_for("the failure", || {
        let mails = queued_mails(&acme);
        (mails.len() == 1 && mails[0]["failed"] == true).then_some(mails)
    });
    assert_eq!((failed[0]["attempts"].as_u64(), post.session_count()), (Some(3), 3), "{failed:?}");
}

/// Restarts the server, and the mail server while it is down, so that no mail is in progress and each is sent in its
/// current state.
fn restart(server: Server, post: &SmtpServer) -> Server {
    let place = server.kill();
    post.resume_listening();
    Server::start_on(place, &mail_flags(&post.url()))
}

fn change_email(acme: &TenantClient, from: &str, to: &str) {
    let reply = acme.send_json("GET", &format!("/api/2/users/{from}"), &Value::Null);
    let id = serde_json::from_str::<Value>(&reply.body).expect("JSON")["user"]["id"].clone();
    let known = serde_json::json!({"firstName": "A", "email": to, "roleId": 1});
    assert_eq!(acme.send_json("PUT", &format!("/request/user/{id}"), &known).status, 200);
}

#[test]
fn a_newer_invitation_replaces_a_failed_one() {
    let (post, server) = start_with_mail_server(&[]);
    let acme = TenantClient::new(&server, "Acme");
    post.reject_recipient("nobody@x.y");
    acme.invite("nobody@x.y");
    wait_for("the failure", || queued_mails(&acme).first().is_some_and(|mail| mail["failed"] == true).then_some(()));
    // The new address is invited at once; that mail must not be sent before it is replaced.
    post.stop_listening();
    change_email(&acme, "nobody@x.y", "somebody@x.y");
    acme.run_json(&["user", "invite", "somebody@x.y"]);
    let keys = acme.keys();
    let server = restart(server, &post);
    let acme = TenantClient::from_keys(&server, keys);
    let link = newest_mailed_link(&post, "somebody@x.y");
    assert_delivered_once(&post, &acme, &["somebody@x.y".to_owned()]);
    assert_password_set(&PageClient::new(&server).set_password(&link, VALID_PASSWORD));
}

#[test]
fn mails_with_invalidated_links_are_not_sent() {
    let (post, server) = start_with_mail_server(&[]);
    let acme = TenantClient::new(&server, "Acme");
    post.stop_listening();
    let emails = ["again@x.y", "off@x.y", "old@x.y", "gone@x.y", "stays@x.y"];
    let ids = emails.map(|email| acme.invite(email));
    acme.run_json(&["user", "invite", "again@x.y"]);
    assert_eq!(acme.send_json("POST", "/api/2/users/off@x.y/disable", &Value::Null).status, 200);
    change_email(&acme, "old@x.y", "new@x.y");
    assert_eq!(acme.send_onfire("DELETE", serde_json::json!({"Id": ids[3]})).status, 200);
    let keys = acme.keys();
    let server = restart(server, &post);
    let acme = TenantClient::from_keys(&server, keys);
    wait_until_queue_empty(&acme);
    // A mail that was not sent yet may go to the new address if its link is valid.
    let mails = post.mails();
    let to: BTreeSet<_> = mails.iter().map(|mail| mail.to[0].as_str()).collect();
    println!("{to:?}");
    assert!(to.contains("again@x.y") && to.contains("stays@x.y") && to.len() == mails.len(), "{to:?}");
    assert!(!to.contains("off@x.y") && !to.contains("old@x.y") && !to.contains("gone@x.y"), "{to:?}");
    for mail in &mails {
        assert_password_set(&PageClient::new(&server).set_password(&url_path(&mail.links()[0]), VALID_PASSWORD));
    }
}

#[test]
fn an_unacknowledged_mail_is_resent_with_the_same_id() {
    let (post, server) = start_with_mail_server(&[]);
    let acme = TenantClient::new(&server, "Acme");
    post.queue_behavior(1, Behavior::DisconnectAfterAccept);
    acme.invite("ann@x.y");
    let mails = post.wait_for_mails(2, TIMEOUT);
    assert_eq!(deliveries_by_recipient(&mails)["ann@x.y"], (2, 1), "two with one id, which mail programs show once");
    assert_eq!(mails[0].links(), mails[1].links());
    wait_until_queue_empty(&acme);
    assert_password_set(&PageClient::new(&server).set_password(&url_path(&mails[0].links()[0]), VALID_PASSWORD));
}

/// Waits until `count` recipients have their mail; returns false on timeout.
fn wait_for_deliveries(post: &SmtpServer, count: usize) -> bool {
    let begun = Instant::now();
    while deliveries_by_recipient(&post.mails()).len() < count {
        if begun.elapsed() > TIMEOUT {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

#[test]
fn kill_9_loses_no_mail_and_rarely_duplicates() {
    let (post, mut server) = start_with_mail_server(&["--log-level", "error"]);
    let emails = numbered_emails("p", 200);
    let key = {
        let acme = TenantClient::new(&server, "Acme");
        let trouble = [
            Behavior::Reject4xx { at: Stage::EndOfData },
            Behavior::Accept,
            Behavior::Disconnect { at: Stage::Body },
            Behavior::Accept,
            Behavior::Hang { at: Stage::EndOfData },
        ];
        for n in 0..40 {
            post.queue_behavior(if n % 2 == 0 { 1 } else { 3 }, trouble[n % trouble.len()]);
        }
        invite_all(&acme, &emails);
        acme.key.clone()
    };
    for count in [30, 80, 140] {
        assert!(wait_for_deliveries(&post, count), "{} mails", post.mails().len());
        let place = server.kill();
        server = Server::start_on(place, &[&mail_flags(&post.url())[..], &["--log-level", "error"]].concat());
    }
    let begun = Instant::now();
    let is_whole = wait_for_deliveries(&post, emails.len());
    println!("the last mails arrived {:?} after the last kill", begun.elapsed());
    let acme = TenantClient { target: &server, number: 1, key, sign_in_key: String::new() };
    assert!(is_whole, "{} of 200; queued: {:#?}", deliveries_by_recipient(&post.mails()).len(), queued_mails(&acme));
    wait_until_queue_empty(&acme);
    let arrived = deliveries_by_recipient(&post.mails());
    assert!(arrived.keys().eq(emails.iter().collect::<BTreeSet<_>>()), "{arrived:?}");
    let twice: Vec<_> = arrived.iter().filter(|(_, (times, _))| *times > 1).collect();
    println!("{} of 200 arrived more than once over three kills: {twice:?}", twice.len());
    assert!(arrived.values().all(|(_, ids)| *ids == 1), "duplicates have the same id: {arrived:?}");
    // At most the eight mails in progress at each kill: the mail server had accepted them, and this was not recorded
    // yet.
    assert!(twice.len() <= 3 * 8, "{twice:?}");
}

/// Starts a mail server that hangs on the first mail until the session is closed, and a server with a longer timeout.
fn start_with_hanging_mail_server() -> (SmtpServer, Server) {
    let post = SmtpServer::start();
    let server = Server::start(&["--smtp-url", &post.url(), "--smtp-timeout", "600", "--mail-retry-delay", "1"]);
    post.queue_behavior(1, Behavior::Hang { at: Stage::EndOfData });
    (post, server)
}

#[test]
fn a_hanging_mail_delays_no_other() {
    let (post, server) = start_with_hanging_mail_server();
    let acme = TenantClient::new(&server, "Acme");
    acme.invite("hangs@x.y");
    wait_for("the first session", || (post.session_count() == 1).then_some(()));
    let mut emails = numbered_emails("p", 20);
    invite_all(&acme, &emails);
    post.wait_for_mails(emails.len(), TIMEOUT);
    // Closing a session before its outcome is recorded would send that mail again.
    wait_for("the outcomes to be recorded", || (queued_mails(&acme).len() == 1).then_some(()));
    post.stop_listening();
    post.resume_listening();
    emails.push("hangs@x.y".into());
    assert_delivered_once(&post, &acme, &emails);
}

#[test]
fn deliveries_are_recorded_immediately() {
    let (post, server) = start_with_hanging_mail_server();
    let acme = TenantClient::new(&server, "Acme");
    let emails = numbered_emails("p", 12);
    invite_all(&acme, &emails);
    post.wait_for_mails(11, TIMEOUT);
    wait_for("the other deliveries to be recorded", || (queued_mails(&acme).len() <= 1).then_some(()));
    let left = queued_mails(&acme);
    assert_eq!(left.len(), 1, "one mail hangs: {left:#?}");
    post.stop_listening();
    post.resume_listening();
    assert_delivered_once(&post, &acme, &emails);
}
