//! Content, recipients and senders of mails; and that mails, logs, events and the store contain no secrets.

use super::{
    PageClient, TenantClient, VALID_PASSWORD, assert_password_set, form_token, newest_mailed_link,
    start_with_mail_server, url_path, wait_for,
};
use crate::secret_leaks::store_bytes;
use crate::support::Server;
use serde_json::json;
use testkit::smtp::{ReceivedMail, SmtpServer};

fn wait_for_mail(post: &SmtpServer, email: &str) -> ReceivedMail {
    wait_for(&format!("a mail to {email}"), || {
        post.mails().into_iter().find(|mail| mail.to.iter().any(|to| to == email))
    })
}

#[test]
fn users_without_mail_can_be_invited_later() {
    let (post, server) = start_with_mail_server(&[]);
    let acme = TenantClient::new(&server, "Acme");
    acme.invite_with("quiet@x.y", &json!({"DoNotEmail": true}));
    acme.run_json(&["user", "add", "terminal@x.y", "--first-name", "T"]);
    acme.create_user("bob@x.y", VALID_PASSWORD);
    acme.run_json(&["user", "add", "asked@x.y", "--first-name", "T", "--invite"]);
    wait_for_mail(&post, "asked@x.y");
    // No mail is queued for the others, either.
    let is_empty = || acme.run_json(&["mail", "list"]).as_array().is_some_and(Vec::is_empty).then_some(());
    wait_for("an empty mail queue", is_empty);
    assert_eq!(post.mails().len(), 1, "{:#?}", post.mails());
    assert_eq!(acme.run_json(&["user", "show", "quiet@x.y"])["status"], "invited");
    acme.run_json(&["user", "invite", "quiet@x.y"]);
    assert_password_set(
        &PageClient::new(&server).set_password(&newest_mailed_link(&post, "quiet@x.y"), VALID_PASSWORD),
    );
    assert_eq!(acme.sign_in("quiet@x.y", VALID_PASSWORD, None).status, 200);
    assert_eq!(acme.run_json(&["user", "show", "quiet@x.y"])["status"], "active");
}

#[test]
fn tenants_have_their_own_sender_templates_and_recipient() {
    let (post, server) = start_with_mail_server(&[]);
    let (acme, other) = (TenantClient::new(&server, "Acme"), TenantClient::new(&server, "Other"));
    acme.run_json(&[
        "tenant",
        "set",
        "--sender-name",
        "Zoë from \"Acme\", Ltd",
        "--redirect-mails-to",
        "desk@acme.org",
    ]);
    let folder = tempfile::tempdir().expect("a folder");
    let text = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("written");
        acme.run_json(&["tenant", "template", name, file.to_str().expect("text")])
    };
    text("invitation.subject.txt", "Komm zu {{ tenant }}, {{ name }} 🎈");
    text("invitation.txt", "Hallo {{ name }}: {{ link }} gilt {{ lasts }}.");
    text("invitation.html", "<p>Hallo {{ name }}: <a href=\"{{ link }}\">hier</a></p>");
    for bad in ["{{ name", "{{ password }}", "no link at all", "{% for x in y %}"] {
        let said = text("invitation.txt", bad);
        println!("{bad:?}: {said}");
        assert!(said["error"].is_string(), "{bad:?} is not a valid template: {said}");
    }
    acme.invite_with("ann@x.y", &json!({"FirstName": "<b>Ann & Co</b>"}));
    let mail = wait_for_mail(&post, "desk@acme.org");
    assert_eq!((mail.from.as_str(), mail.to.len()), ("people@example.com", 1));
    let from = mail.header("From").expect("a sender");
    assert!(from.contains("Zoë from") && from.contains("<people@example.com>"), "{from}");
    assert_eq!(mail.header("Subject").expect("a subject"), "Komm zu Acme, <b>Ann & Co</b> Lee 🎈");
    assert!(mail.text().starts_with("Hallo <b>Ann & Co</b> Lee: http://"), "{}", mail.text());
    assert!(mail.html().contains("Hallo &lt;b&gt;Ann &amp; Co&lt;"), "user input is escaped: {}", mail.html());
    let link = url_path(&mail.links()[0]);
    assert_password_set(&PageClient::new(&server).set_password(&link, VALID_PASSWORD));
    // It does not affect other tenants, and it can be reset.
    other.invite("bob@x.y");
    let mail = wait_for_mail(&post, "bob@x.y");
    assert!(mail.header("From").expect("a sender").contains("Other"), "{mail:?}");
    assert!(mail.text().starts_with("Hello Ann Lee"), "{}", mail.text());
    for name in ["invitation.txt", "invitation.html", "invitation.subject.txt"] {
        assert!(acme.run_json(&["tenant", "template", name])["error"].is_null());
    }
    acme.run_json(&["tenant", "set", "--sender-name", "", "--redirect-mails-to", ""]);
    acme.invite("cid@x.y");
    let mail = wait_for_mail(&post, "cid@x.y");
    assert!(mail.header("From").expect("a sender").contains("Acme"), "{mail:?}");
    assert!(mail.text().starts_with("Hello Ann Lee"), "{}", mail.text());
}

#[test]
fn user_names_cannot_inject_headers() {
    let (post, server) = start_with_mail_server(&[]);
    let acme = TenantClient::new(&server, "Acme");
    acme.invite_with("ann@x.y", &json!({"FirstName": "A\r\nBcc: spy@x.y", "LastName": "B\r\n\r\n.\r\nQUIT"}));
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "For {{ name }}").expect("written");
    acme.run_json(&["tenant", "template", "invitation.subject.txt", file.path().to_str().expect("text")]);
    acme.invite_with("bob@x.y", &json!({"FirstName": "A\r\nBcc: spy@x.y"}));
    for email in ["ann@x.y", "bob@x.y"] {
        let mail = wait_for_mail(&post, email);
        assert_eq!((mail.to.len(), mail.header("Bcc")), (1, None), "{}", mail.raw);
    }
}

#[test]
fn tenant_names_cannot_inject_headers_or_block_other_mails() {
    for bad in ["Acme\r\nBcc: spy@x.y", "Acme\nLtd", "Acme\u{0}", "Acme\u{7f}\t"] {
        let (post, server) = start_with_mail_server(&[]);
        let (acme, other) = (TenantClient::new(&server, "Acme"), TenantClient::new(&server, "Other"));
        // It may also be rejected.
        acme.run_json(&["tenant", "set", &format!("--sender-name={}", bad.replace('\0', "\u{1}"))]);
        acme.run_json(&["tenant", "set", &format!("--name={}", bad.replace('\0', "\u{1}"))]);
        acme.invite("ann@x.y");
        other.invite("bob@x.y");
        for email in ["bob@x.y", "ann@x.y"] {
            let mail = wait_for_mail(&post, email);
            assert_eq!((mail.to.len(), mail.header("Bcc")), (1, None), "{}", mail.raw);
        }
    }
}

/// Uses every page and returns the secrets that must not appear anywhere, including every typed password.
fn collect_secrets(post: &SmtpServer, server: &Server, acme: &TenantClient) -> Vec<String> {
    let mut secrets = vec![acme.key.clone(), acme.sign_in_key.clone()];
    let mut keep = |secret: &str| secrets.push(secret.to_owned());
    acme.invite("ann@x.y");
    let link = newest_mailed_link(post, "ann@x.y");
    keep(link.rsplit('/').next().expect("a link"));
    let mut visitor = PageClient::new(server);
    keep(&form_token(&visitor.get(&link)));
    visitor.set_password(&link, "kurz-geheim");
    assert_password_set(&visitor.set_password(&link, "geheim-nummer-eins"));
    visitor.get(&link);
    let sign_in = acme.page_path("sign-in");
    keep(&visitor.cookies.remove("muster-session").expect("signed in"));
    visitor.submit(&sign_in, &[("user", "ann@x.y"), ("password", "geheim-falsch-geraten")]);
    let reply = visitor.submit(&sign_in, &[("user", "ann@x.y"), ("password", "geheim-nummer-eins")]);
    assert_eq!(reply.status, 303, "{}", reply.body);
    assert_eq!(visitor.get(&acme.page_path("account")).status, 200);
    let fields = [("old", "geheim-nummer-eins"), ("new", "geheim-nummer-zwei"), ("again", "geheim-nummer-zwei")];
    assert_eq!(visitor.submit(&acme.page_path("password"), &fields).status, 303);
    visitor.submit(&acme.page_path("forgot"), &[("user", "ann@x.y")]);
    let reset = wait_for("a new mail", || Some(newest_mailed_link(post, "ann@x.y")).filter(|new| *new != link));
    keep(reset.rsplit('/').next().expect("a link"));
    assert_password_set(&visitor.set_password(&reset, "geheim-nummer-drei"));
    assert_eq!(acme.sign_in("ann@x.y", "geheim-nummer-drei", Some("10.0.0.1")).status, 200);
    acme.sign_in("ann@x.y", "geheim-nummer-vier", Some("10.0.0.1"));
    // A password typed in the user name field.
    acme.sign_in("geheim-am-falschen-ort", "x", Some("10.0.0.1"));
    for cookie in visitor.cookies.values().filter(|cookie| cookie.len() > 20) {
        keep(cookie);
    }
    secrets.extend(["kurz-geheim", "geheim-nummer", "geheim-falsch", "geheim-am"].map(str::to_owned));
    secrets
}

#[test]
fn secrets_do_not_leak_into_mails_logs_events_or_the_store() {
    let (post, mut server) = start_with_mail_server(&["--log-level", "debug", "--log-format", "json"]);
    let secrets = {
        let acme = TenantClient::new(&server, "Acme");
        collect_secrets(&post, &server, &acme)
    };
    assert!(secrets.len() >= 8, "{secrets:?}");
    let (_, events) = super::run_command(server.store(), &["audit", "export", "--tenant", "1"]);
    let (_, shown) = super::run_command(server.store(), &["audit", "show", "--tenant", "1", "--user", "ann@x.y"]);
    assert!(server.stop());
    let log = server.log();
    assert!(log.lines().count() > 20, "requests are not logged: {log}");
    let store = String::from_utf8_lossy(&store_bytes(server.store())).into_owned();
    let mails: String = post.mails().iter().map(|mail| mail.text() + &mail.html()).collect();
    let sent: Vec<String> = post.mails().iter().flat_map(ReceivedMail::links).collect();
    let places =
        [("the log", &log), ("an event", &events), ("the history", &shown), ("the store", &store), ("a mail", &mails)];
    for secret in &secrets {
        for (place, text) in places {
            // Mails must contain the link.
            let is_link = place == "a mail" && sent.iter().any(|link| link.ends_with(secret.as_str()));
            assert!(is_link || !text.contains(secret.as_str()), "{secret} is in {place}");
        }
    }
    assert!(!log.contains("$argon2") && !events.contains("$argon2") && !mails.contains("$argon2"));
}
