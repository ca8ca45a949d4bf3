//! More sign-ins than can be hashed beside creates that need no password: what becomes of either, and of the memory.
//! Creates are measured alone and beside sign-ins by turns, so that what else the machine does meets both.

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
const SECONDS: Duration = Duration::from_secs(8);
/// Sign-ins that are asked for in a second, whatever becomes of those before; the last are more than can be hashed.
const SIGN_INS_PER_SECOND: [u64; 3] = [0, 50, 200];
/// People who sign in: so many that no one of them has more attempts under way than the throttle lets wait (429).
const USERS: u64 = 400;
const PREFIXES: [[&str; ROUNDS]; 3] = [["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"]];

/// What came of the sign-ins.
#[derive(Default)]
struct SignInCounts {
    sent: AtomicU64,
    signed_in: AtomicU64,
    rejected: AtomicU64,
    /// Refused without a word of when to come again, or anything else: as it came.
    unexpected: Mutex<Vec<String>>,
}

/// Runs it all.
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
    let refusals = crate::sign_in_timing::measure(&muster.address, &app)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (mut rows, mut rates) = (Vec::new(), [[0.0; ROUNDS]; 3]);
    let outcomes = SIGN_INS_PER_SECOND.map(|_| Arc::new(SignInCounts::default()));
    let idle = muster.resident_mib();
    let mut peaks = [0.0_f64; 3];
    for turn in 0..ROUNDS {
        for (beside, a_second) in SIGN_INS_PER_SECOND.into_iter().enumerate() {
            let name = format!("create, beside {a_second} sign-ins a second");
            let load = Load::create_json(tenant, &key, PREFIXES[beside][turn], SECONDS);
            let stop = Arc::new(AtomicBool::new(false));
            let asking = (a_second > 0).then(|| {
                let (address, app) = (muster.address.clone(), app.clone());
                let (outcome, stop) = (Arc::clone(&outcomes[beside]), Arc::clone(&stop));
                std::thread::spawn(move || send_sign_ins((&address, &app), a_second, &outcome, &stop))
            });
            let figures = runtime.block_on(drive(&muster.address, CONNECTIONS, load, || muster.cpu_seconds()))?;
            peaks[beside] = peaks[beside].max(muster.resident_mib());
            stop.store(true, Ordering::Relaxed);
            if let Some(asking) = asking {
                asking.join().map_err(|_| anyhow::anyhow!("the sign-ins ended in a panic"))?;
            }
            rates[beside][turn] = figures.requests_per_second();
            rows.push(Row::new(&name, &figures, None));
        }
    }
    let rates = rates.map(|mut rates| median(&mut rates));
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let mut facts = json!({
        "refusals": refusals,
        "creates_alone": rates[0].round(),
        "resident_mib_before": idle.round(),
        "resident_mib_after_creates_alone": peaks[0].round(),
    });
    for (beside, a_second) in SIGN_INS_PER_SECOND.into_iter().enumerate().skip(1) {
        let outcome = &outcomes[beside];
        let wrong = outcome.unexpected.lock();
        ensure!(
            wrong.is_empty(),
            "{} sign-ins were neither answered nor told when to come again: {:?}",
            wrong.len(),
            wrong.first()
        );
        facts[format!("beside_{a_second}_sign-ins_a_second")] = json!({
            "creates": rates[beside].round(),
            "share_that_is_kept": (rates[beside] / rates[0] * 100.0).round() / 100.0,
            "asked": load(&outcome.sent),
            "signed_in": load(&outcome.signed_in),
            "refused_with_503_and_Retry-After": load(&outcome.rejected),
            "resident_mib": peaks[beside].round(),
        });
    }
    Ok((rows, facts))
}

/// Asks for sign-ins at a fixed rate until it is told to stop, and waits for all answers.
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
