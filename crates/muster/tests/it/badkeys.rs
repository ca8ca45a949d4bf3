//! An address that keeps bringing bad keys is slowed down; a good key from there still works.

use crate::support::{Server, send};

#[test]
fn bad_keys_are_slowed_down_and_good_ones_are_not() {
    let server = Server::start(&["--bad-keys", "5"]);
    let (_, key) = server.tenant(&[]);
    let get = |key: &str| {
        send(&server.address, "GET", "/request/role", &[("Authorization", &format!("Bearer {key}"))], b"")
    };
    let replies: Vec<_> = (0..8).map(|n| get(&format!("guess-{n}"))).collect();
    assert_eq!(replies.iter().filter(|reply| reply.status == 401).count(), 5);
    let slowed: Vec<_> = replies.iter().filter(|reply| reply.status == 429).collect();
    assert_eq!(slowed.len(), 3);
    let wait: u32 = slowed[0].header("retry-after").expect("how long").parse().expect("seconds");
    assert!((1..=60).contains(&wait));
    assert_eq!(get(&key).status, 200);
}
