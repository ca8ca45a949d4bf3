//! Invalid keys are rate-limited by address; valid keys from the same address still work.

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
        // Five at once, and one more for every 12 seconds.
        assert!(refused <= 5 + begun.elapsed().as_secs() / 12, "{refused} keys were checked");
    };
    assert!(refused >= 5, "{refused} keys were checked");
    let wait: u32 = slowed.header("retry-after").expect("a Retry-After header").parse().expect("seconds");
    assert!((1..=60).contains(&wait));
    assert_eq!(get(&key).status, 200);
}
