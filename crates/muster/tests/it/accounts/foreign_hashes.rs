//! Password hashes of other systems work and are rehashed after the first sign-in. Concurrent sign-ins need bounded
//! memory.

use super::{TenantClient, VALID_PASSWORD, start_with_mail_server};
use crate::support::{Server, is_on_postgres};
use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use testkit::waiting::wait_until;

/// Hashes of one password in other systems' formats.
const FOREIGN_HASHES: &[&str] = include!("../../../../adapters/tests/data/foreign_hashes.rs.in");
const PASSWORD: &str = "pässword 1";

/// The stored hash of a user, by number.
fn stored_hash(store: &str, number: u64) -> String {
    let question = format!("SELECT password FROM users WHERE number = {number}");
    if is_on_postgres() {
        return testkit::postgres::query(store, &question);
    }
    let db = rusqlite::Connection::open(store).expect("opened");
    db.query_row(&question, [], |row| row.get(0)).expect("a hash")
}

/// Adds a user with a password hash.
fn add_user_with_hash(acme: &TenantClient, email: &str, hash: &str) -> serde_json::Value {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), hash).expect("written");
    let file = file.path().to_str().expect("text").to_owned();
    acme.run_json(&["user", "add", email, "--first-name", "P", "--password-hash-file", &file])
}

#[test]
fn foreign_hashes_sign_in_and_are_rehashed() {
    let server = Server::start(&[]);
    let acme = TenantClient::new(&server, "Acme");
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(stored) = FOREIGN_HASHES.get(n) else { return };
                    check_rehashed(&acme, &format!("p{n}@x.y"), stored);
                }
            });
        }
    });
}

/// A new user with an imported hash signs in, and the hash is replaced by Muster's own.
fn check_rehashed(acme: &TenantClient, email: &str, stored: &str) {
    let store = acme.target.store();
    let number = add_user_with_hash(acme, email, &format!("{stored}\n"))["number"].as_u64().expect("added");
    assert_eq!(stored_hash(store, number), stored, "the hash is unchanged until the first sign-in");
    assert_eq!(acme.sign_in(email, "password 1", None).status, 401, "{stored}");
    assert_eq!(stored_hash(store, number), stored, "a wrong password changes nothing");
    for _ in 0..2 {
        let reply = acme.sign_in(email, PASSWORD, None);
        assert_eq!(reply.status, 200, "{stored}: {}", reply.body);
        let ours = stored_hash(store, number);
        assert!(ours.starts_with("$argon2id$v=19$m=19456,t=2"), "{stored}: {ours}");
    }
    assert_eq!(acme.sign_in(email, "password 1", None).status, 401, "{stored}");
}

#[test]
fn invalid_hashes_are_rejected() {
    let server = Server::start(&[]);
    let acme = TenantClient::new(&server, "Acme");
    let argon2 = "$Cbg6Q22354oZpIKMANcBZw$ESx/wDc2YDIwpasQUIEsP8rOFABPW2yvjgO+CYCCP7k";
    let pbkdf2 = "$MDEyMzQ1Njc4OWFiY2RlZg$+FL+McA9nAb1E3e1Q6wLp+pW6uC20N1iWXD1DCdnA/E";
    let scrypt = "$MDEyMzQ1Njc4OWFiY2RlZg$Ws+EMA53dfkcXDSWeQEwawxnFnuxhHhv4rghHhOMzzc";
    let bcrypt = "$OAKYDP4vAEDyRD1432OhQeq2GcBvlGrAxAbFU.t/DLiqj21emQnU.";
    let absurd = [
        String::new(),
        VALID_PASSWORD.to_owned(),
        "5f4dcc3b5aa765d61d8327deb882cf99".to_owned(),
        "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/".to_owned(),
        format!("$argon2id$v=19$m=4294967295,t=2,p=1{argon2}"),
        format!("$argon2id$v=19$m=19456,t=4294967295,p=1{argon2}"),
        format!("$argon2id$v=19$m=19456,t=2,p=0{argon2}"),
        format!("$argon2id$v=19$m=1,t=2,p=1{argon2}"),
        "$argon2id$v=19$m=19456,t=2,p=1$Cbg6Q22354oZpIKMANcBZw".to_owned(),
        format!("$pbkdf2-sha256$i=4294967295,l=32{pbkdf2}"),
        format!("$pbkdf2-sha256$i=0,l=32{pbkdf2}"),
        format!("$scrypt$ln=40,r=8,p=1{scrypt}"),
        format!("$scrypt$ln=10,r=4294967295,p=1{scrypt}"),
        format!("$2b$31{bcrypt}"),
        format!("$2b$99{bcrypt}"),
        format!("$2b$05{}", &bcrypt[..20]),
        format!("{}\n{}", FOREIGN_HASHES[0], FOREIGN_HASHES[1]),
        "x".repeat(100_000),
    ];
    let before = acme.event_count();
    for hash in &absurd {
        let said = add_user_with_hash(&acme, "p@x.y", hash);
        assert!(said["error"].as_str().is_some_and(|why| why.len() > 10), "{hash:.80}: {said}");
        assert!(hash.is_empty() || !said.to_string().contains(hash.as_str()), "{said}");
    }
    assert_eq!(acme.run_json(&["user", "list"])["total"], 0);
    assert_eq!(acme.event_count(), before);
}

/// A memory value of a process from /proc, in MiB.
fn memory_mib(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with(name)).expect("a figure");
    line.split_ascii_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("KiB") / 1024
}

/// Three hundred concurrent sign-ins of different users.
#[test]
fn a_flood_of_sign_ins_is_answered_in_bounded_memory() {
    let (_post, server) = start_with_mail_server(&["--log-level", "error"]);
    let acme = TenantClient::new(&server, "Acme");
    for n in 0..30 {
        acme.create_user(&format!("p{n}@x.y"), VALID_PASSWORD);
    }
    assert_eq!(acme.sign_in("p0@x.y", VALID_PASSWORD, None).status, 200);
    let before = memory_mib(server.pid(), "VmRSS:");
    let start = Barrier::new(300);
    let replies: Vec<_> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..300)
            .map(|n| {
                let (acme, start) = (&acme, &start);
                scope.spawn(move || {
                    let password = if n % 3 == 0 { "not the password" } else { VALID_PASSWORD };
                    let address = format!("10.0.{}.{}", n / 20, n % 20);
                    start.wait();
                    acme.sign_in(&format!("p{}@x.y", n % 30), password, Some(&address))
                })
            })
            .collect();
        asking.into_iter().map(|one| one.join().expect("answered")).collect()
    });
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    for reply in &replies {
        *counts.entry(reply.status).or_default() += 1;
        assert!(matches!(reply.status, 200 | 401 | 429 | 503), "{reply:?}");
        if matches!(reply.status, 429 | 503) {
            let wait = reply.header("retry-after").and_then(|value| value.parse::<u32>().ok());
            assert!(wait.is_some_and(|wait| (1..=300).contains(&wait)), "{reply:?}");
        }
    }
    let most = memory_mib(server.pid(), "VmHWM:");
    println!("{counts:?}; memory {before} MiB before, at most {most} MiB");
    assert!(counts.get(&200) > Some(&10) && counts.contains_key(&503), "{counts:?}");
    assert!(most < before + 150, "{before} MiB before, at most {most} MiB");
    // After the flood, sign-ins work again.
    acme.create_user("late@x.y", VALID_PASSWORD);
    wait_until("a sign-in after the flood", || match acme.sign_in("late@x.y", VALID_PASSWORD, None).status {
        200 => true,
        // The last sign-ins of the flood may still be queued.
        503 => false,
        other => panic!("{other}"),
    });
}
