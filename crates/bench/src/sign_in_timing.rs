//! Compares the duration of rejected sign-ins for unknown users and for wrong passwords: a difference would reveal
//! which users exist.

use crate::load::{pseudorandom, request, send_for_status};
use crate::median;
use anyhow::ensure;
use serde_json::{Value, json};
use std::time::Instant;

/// Attempts of each kind.
const ATTEMPTS: u64 = 400;

/// The medians and their ratio. Requires the users `who0@example.com` and so on, at least [`ATTEMPTS`].
pub(super) fn measure(address: &str, key: &str) -> anyhow::Result<Value> {
    let mut times = [Vec::new(), Vec::new()];
    for n in 0..ATTEMPTS {
        // In random order: one thread of the password pool is faster than the others, and in a fixed order it could
        // always get the same kind.
        let first = usize::from(pseudorandom(n, 2) == 1);
        for kind in [first, 1 - first] {
            let name = ["nobody", "who"][kind];
            let body = format!("{{\"user\":\"{name}{n}@example.com\",\"password\":\"not the password\"}}");
            let headers =
                format!("Content-Type: application/json\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n");
            let request = request("POST", "/v1/sign-in", &headers, &body);
            let begun = Instant::now();
            let (status, _) = send_for_status(address, &request)?;
            times[kind].push(begun.elapsed().as_secs_f64() * 1000.0);
            ensure!(status == 401, "the rejection of {name}{n} has status {status}");
        }
    }
    let [unknown, wrong] = times.map(|mut times| median(&mut times));
    let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
    Ok(json!({
        "unknown_user_ms": rounded(unknown),
        "wrong_password_ms": rounded(wrong),
        "ratio": rounded(unknown / wrong),
    }))
}
