//! Measures throughput and memory when more sign-ins arrive than can be hashed, next to creates without passwords.
//! Creates alone and creates next to sign-ins alternate, so that other load on the machine affects both.

use crate::load::{Load, drive, request, send_for_status, send_once};
use crate::report::Row;
use crate::{CONNECTIONS, Process, median};
use anyhow::{Context, ensure};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ROUNDS: usize = 3;
const ROUND_DURATION: Duration = Duration::from_secs(8);
/// Sign-in requests per second, sent without waiting for earlier responses. The last rate exceeds the hashing capacity.
const SIGN_INS_PER_SECOND: [u64; 3] = [0, 50, 200];
/// Users who sign in: enough that no user exceeds the limit of concurrent attempts (429).
const USERS: u64 = 400;
/// By rate and round, so that no email is created twice.
const EMAIL_PREFIXES: [[&str; ROUNDS]; 3] = [["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"]];

#[derive(Default)]
struct SignInCounts {
    sent: AtomicU64,
    signed_in: AtomicU64,
    rejected: AtomicU64,
    /// All other responses, for example 503 without `Retry-After`.
    unexpected: Mutex<Vec<String>>,
}

pub(super) fn measure(folder: &Path) -> anyhow::Result<(Vec<Row>, Value)> {
    let store = folder.join("muster.db").display().to_string();
    let muster = Process::muster(&store)?;
    let (tenant, key) = muster.credentials.clone().context("credentials")?;
    let (said, _) = Process::run_command(&store, &["connection", "add", "app", "--dialect", "sign-in"])?;
    let app = said["key"].as_str().context("a key")?.to_owned();
    for n in 0..USERS {
        let body = format!(
            "{{\"CompanyId\":{tenant},\"IntegrationKey\":\"{key}\",\"Email\":\"who{n}@example.com\",\
             \"FirstName\":\"Who\",\"LastName\":\"Ever\",\"Password\":\"vier rote fische\",\"DoNotEmail\":true}}"
        );
        let headers = "Content-Type: application/json\r\nConnection: close\r\n";
        let said = send_once(&muster.address, &request("POST", "/api/v2/user?format=json", headers, &body))?;
        ensure!(said.contains("\"Id\""), "not created: {said}");
    }
    let rejection_times = crate::sign_in_timing::measure(&muster.address, &app)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (mut rows, mut rates) = (Vec::new(), [[0.0; ROUNDS]; 3]);
    let outcomes = SIGN_INS_PER_SECOND.map(|_| Arc::new(SignInCounts::default()));
    let idle = muster.resident_mib();
    let mut peaks = [0.0_f64; 3];
    for turn in 0..ROUNDS {
        for (rate_index, a_second) in SIGN_INS_PER_SECOND.into_iter().enumerate() {
            let name = format!("create, with {a_second} sign-ins per second");
            let load = Load::create_json(tenant, &key, EMAIL_PREFIXES[rate_index][turn], ROUND_DURATION);
            let stop = Arc::new(AtomicBool::new(false));
            let asking = (a_second > 0).then(|| {
                let (address, app) = (muster.address.clone(), app.clone());
                let (outcome, stop) = (Arc::clone(&outcomes[rate_index]), Arc::clone(&stop));
                std::thread::spawn(move || send_sign_ins((&address, &app), a_second, &outcome, &stop))
            });
            let stats = runtime.block_on(drive(&muster.address, CONNECTIONS, load, || muster.cpu_seconds()))?;
            peaks[rate_index] = peaks[rate_index].max(muster.resident_mib());
            stop.store(true, Ordering::Relaxed);
            if let Some(asking) = asking {
                asking.join().map_err(|_| anyhow::anyhow!("the sign-in thread panicked"))?;
            }
            rates[rate_index][turn] = stats.requests_per_second();
            rows.push(Row::new(&name, &stats, None));
        }
    }
    let rates = rates.map(|mut rates| median(&mut rates));
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let mut facts = json!({
        "rejection_times": rejection_times,
        "creates_alone": rates[0].round(),
        "resident_mib_before": idle.round(),
        "resident_mib_after_creates_alone": peaks[0].round(),
    });
    for (rate_index, a_second) in SIGN_INS_PER_SECOND.into_iter().enumerate().skip(1) {
        let outcome = &outcomes[rate_index];
        let wrong = outcome.unexpected.lock();
        ensure!(
            wrong.is_empty(),
            "{} sign-ins got neither 200 nor 503 with Retry-After, for example {:?}",
            wrong.len(),
            wrong.first()
        );
        facts[format!("beside_{a_second}_sign-ins_a_second")] = json!({
            "creates": rates[rate_index].round(),
            "share_that_is_kept": (rates[rate_index] / rates[0] * 100.0).round() / 100.0,
            "asked": load(&outcome.sent),
            "signed_in": load(&outcome.signed_in),
            "refused_with_503_and_Retry-After": load(&outcome.rejected),
            "resident_mib": peaks[rate_index].round(),
        });
    }
    Ok((rows, facts))
}

/// Sends sign-ins at a fixed rate until `stop` is set, and waits for all responses.
fn send_sign_ins((address, key): (&str, &str), a_second: u64, outcome: &Arc<SignInCounts>, stop: &AtomicBool) {
    let begun = Instant::now();
    let mut waiting = Vec::new();
    for n in 0_u32.. {
        let due = begun + Duration::from_millis(1000 / a_second) * n;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let who = u64::from(n) % USERS;
        let body = format!("{{\"user\":\"who{who}@example.com\",\"password\":\"vier rote fische\"}}");
        let headers = format!("Content-Type: application/json\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n");
        let bytes = request("POST", "/v1/sign-in", &headers, &body);
        let (address, outcome) = (address.to_owned(), Arc::clone(outcome));
        outcome.sent.fetch_add(1, Ordering::Relaxed);
        waiting.push(std::thread::spawn(move || {
            let counted = match send_for_status(&address, &bytes) {
                Ok((200, _)) => &outcome.signed_in,
                Ok((503, true)) => &outcome.rejected,
                other => {
                    let mut wrong = outcome.unexpected.lock();
                    return wrong.push(format!("{other:?}"));
                }
            };
            counted.fetch_add(1, Ordering::Relaxed);
        }));
    }
    for one in waiting {
        drop(one.join());
    }
}
