//! An address that keeps bringing bad keys is slowed down; a good key from there still works.

use crate::support::{Server, send};
use std::time::Instant;

#[test]
fn invalid_keys_are_rate_limited_and_valid_keys_are_not() {
    let server = Server::start(&["--invalid-keys-per-minute", "5"]);
    let (_, key) = server.create_tenant(&[]);
    let get =
        |key: &str| send(&server.address, "GET", "/request/role", &[("Authorization", &format!("Bearer {key}"))], b"");
    let (begun, mut refused) = (Instant::now(), 0);
    let slowed = loop {
        let reply = get(&format!("guess-{refused}"));
        if reply.status == 429 {
            break reply;
        }
        assert_eq!(reply.status, 401);
        refused += 1;
        // Five a minute, and one more in each twelve seconds that this has taken.
        assert!(refused <= 5 + begun.elapsed().as_secs() / 12, "{refused} were looked at");
    };
    assert!(refused >= 5, "{refused} were looked at");
    let wait: u32 = slowed.header("retry-after").expect("how long").parse().expect("seconds");
    assert!((1..=60).contains(&wait));
    assert_eq!(get(&key).status, 200);
}
