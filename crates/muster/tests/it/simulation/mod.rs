//! Deterministic simulation of the server, from requests in five dialects to the store, with its background tasks:
//! imports, mails and purges. A seed determines time, task order, faults of the store and the mail server, client
//! disconnects and crashes.
//!
//! A run has one thread and a clock that advances only when all tasks wait, so the same seed gives the same run.
//! Clients concurrently send requests with unique markers and random commands. At the end, the store must satisfy:
//!
//! 1. each event starts from the result of the events before it, and the final result is stored ([`replay`]);
//! 2. acknowledged changes are in the history once, rejected ones are not, and others at most once;
//! 3. clients that kept asking for users changed since the newest `updated` they had seen have missed none;
//! 4. every accepted import has ended, and its report agrees with the history ([`imports`]);
//! 5. every mail recorded as sent was handed over, and no task has panicked ([`workers`]);
//! 6. the chain verifies, and `check` finds nothing.
//!
//! `MUSTER_TEST_SEEDS` is the number of seeds to try; `MUSTER_SEED` selects one.

mod client;
mod imports;
mod regressions;
mod replay;
mod unreliable_store;
mod workers;

use ::store::Memory;
use ::store::OpenStore;
use client::{Client, Shared};
use directory::{Clock, Command, Event, EventPosition, FieldUpdate, GroupEdit, NewConnection, Store, Time};
use parking_lot::Mutex;
use regressions::REGRESSIONS;
use server::{App, Limits, Ports, PublicConfig, StorageLimits, hash_key};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use store_sqlite::{Sqlite, SqliteOptions};
use testkit::fakes::{CountingIds, PlainHasher};
use testkit::generators::Rng;
use tokio::task::LocalSet;
use workers::{BackgroundTasks, MailServer};

/// The number of seeds in the standard suite.
const SEEDS: u64 = 400;
const SEEDS_ON_SQLITE: u64 = 40;
const CLIENTS: u64 = 4;
/// The longest time between two crashes.
const MAX_UPTIME_MILLIS: u64 = 3_000;
const CRASHES: u64 = 2;
/// Microseconds after which deleted users and import results are no longer kept.
const MONTH: i64 = 31 * 24 * 60 * 60 * 1_000_000;

/// Time advances manually, and a little with each reading.
pub(super) struct SimulatedClock(AtomicI64);

impl Clock for SimulatedClock {
    fn now(&self) -> Time {
        Time(self.0.fetch_add(7, Ordering::Relaxed))
    }
}

/// The storage that survives crashes.
enum Storage {
    Memory(Arc<Memory>),
    Sqlite { folder: tempfile::TempDir, generation: u32, open: Option<Arc<Sqlite>> },
}

impl Storage {
    fn sqlite() -> Self {
        let mut storage = Self::Sqlite { folder: temp_dir(), generation: 0, open: None };
        storage.open();
        storage
    }

    fn path(folder: &Path, generation: u32) -> PathBuf {
        folder.join(format!("{generation}.db"))
    }

    fn open(&mut self) {
        if let Self::Sqlite { folder, generation, open } = self {
            let store = Sqlite::open(&Self::path(folder.path(), *generation), &SqliteOptions::default());
            *open = Some(Arc::new(store.expect("a store")));
        }
    }

    fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(memory) => Arc::clone(memory) as _,
            Self::Sqlite { open, .. } => Arc::clone(open.as_ref().expect("an open store")) as _,
        }
    }

    /// Simulates a killed process: files lose unwritten data, the in-memory store loses nothing.
    fn crash(&mut self) {
        if let Self::Sqlite { folder, generation, .. } = self {
            let (from, to) = (Self::path(folder.path(), *generation), Self::path(folder.path(), *generation + 1));
            for ending in ["", "-wal"] {
                let name = |path: &Path| PathBuf::from(format!("{}{ending}", path.display()));
                if name(&from).exists() {
                    std::fs::copy(name(&from), name(&to)).expect("copied");
                }
            }
            *generation += 1;
            self.open();
        }
    }

    fn check(self) -> Vec<String> {
        match self {
            Self::Memory(_) => Vec::new(),
            Self::Sqlite { folder, generation, open } => {
                open.expect("an open store").close();
                Sqlite::check(&Self::path(folder.path(), generation)).expect("checked").errors
            }
        }
    }
}

/// Starts a server on the store.
fn start_server(
    storage: &Storage,
    imports: &Path,
    clock: &Arc<SimulatedClock>,
    rng: &Arc<Mutex<Rng>>,
    last_id: u64,
) -> Arc<App> {
    let unreliable = unreliable_store::UnreliableStore::new(storage.store(), Arc::clone(rng));
    let parts = Ports {
        store: Arc::new(unreliable),
        clock: Arc::clone(clock) as _,
        ids: Arc::new(CountingIds::after(last_id)),
        hasher: Some(Arc::new(PlainHasher)),
    };
    let import_storage = StorageLimits { min_free: 0, ..StorageLimits::default() };
    let limits = Limits { hash_threads: 1, import_storage, ..Limits::default() };
    let public_config = PublicConfig { imports_dir: Some(imports.to_owned()), ..PublicConfig::default() };
    Arc::new(server::build_app(parts, limits, public_config).expect("an app"))
}

/// Runs a seed; returns the history.
async fn simulate(seed: u64, mut storage: Storage) -> Result<Vec<Event>, String> {
    let rng = Arc::new(Mutex::new(Rng::new(seed)));
    let clock = Arc::new(SimulatedClock(AtomicI64::new(1_600_000_000_000_000)));
    let time_jumps = rng.lock().below(4) == 0;
    let shared = Arc::new(create_tenant_data(storage.store(), &clock, time_jumps).await);
    let (imports, mail_server) = (temp_dir(), MailServer::new(&rng));
    let clients: Vec<Client> = (0..CLIENTS).map(|number| Client::new(number, &shared, seed)).collect();
    for crash in 0..=CRASHES {
        let app = start_server(&storage, imports.path(), &clock, &rng, 10 + 1_000 * crash);
        let workers = BackgroundTasks::start(&app, &mail_server);
        let uptime = Duration::from_millis(rng.lock().below(MAX_UPTIME_MILLIS));
        let running: Vec<_> = clients
            .iter()
            .map(|client| tokio::spawn(client.clone().run(Arc::clone(&app), Arc::clone(&clock))))
            .collect();
        if crash < CRASHES {
            tokio::time::sleep(uptime).await;
            // Requests without a response stay in doubt.
            running.iter().for_each(tokio::task::JoinHandle::abort);
        }
        for client in running {
            match client.await {
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => {}
                Ok(done) => done?,
            }
        }
        workers.kill(&app).await?;
        if crash < CRASHES {
            drop(app);
            storage.crash();
            shared.crashes.fetch_add(1, Ordering::Relaxed);
            if shared.time_jumps {
                clock.0.fetch_add(MONTH, Ordering::Relaxed);
            }
        }
    }
    let store = storage.store();
    let replayed = replay::replay(&*store, shared.caller.tenant).await?;
    let events = store
        .events(directory::EventFilter::default(), EventPosition(0), 1_000_000)
        .await
        .map_err(|error| error.to_string())?;
    client::check(&events, &clients)?;
    mail_server.check(&*store, shared.caller.tenant, &events).await?;
    client::check_pollers(&clients, &replayed)?;
    let chains = store.verify_chain(None).await.map_err(|error| error.to_string())?;
    if let Some((tenant, chain)) = chains.iter().find(|(_, chain)| chain.broken_at.is_some()) {
        return Err(format!("the chain of tenant {tenant} is broken: {chain:?}"));
    }
    drop(store);
    let damage = storage.check();
    if damage.is_empty() { Ok(events) } else { Err(damage.join("\n")) }
}

/// A temporary folder, in memory if possible, because nothing needs to survive a power failure.
fn temp_dir() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder")
}

/// Creates a tenant, a key for all dialects, and groups.
async fn create_tenant_data(store: Arc<dyn Store>, clock: &Arc<SimulatedClock>, time_jumps: bool) -> Shared {
    // Use the store without faults, because the preparation must not fail.
    let directory = directory::Directory::new(
        store,
        Arc::clone(clock) as _,
        Arc::new(CountingIds::default()),
        Arc::new(testkit::fakes::PlainHasher),
    );
    let caller = testkit::conformance::create_tenant(&directory, "One").await;
    let key = "key of the simulation, long enough".replace([' ', ','], "-");
    let names = dialects::USER_APIS.iter().map(|dialect| dialect.name).chain(["transfer"]);
    let dialects = names.map(str::to_owned).collect();
    let mut new = NewConnection::new("main", dialects, hash_key(&key));
    new.highest_role = 6;
    directory.run(&caller, Command::AddConnection(new)).await.expect("added");
    let mut groups = Vec::new();
    for name in ["Red", "Blue", "Green"] {
        let edit = GroupEdit { name: FieldUpdate::Set(name.into()), ..GroupEdit::default() };
        let receipt = directory.run(&caller, Command::CreateGroup(edit)).await.expect("added");
        groups.extend(receipt.items.iter().map(directory::Item::id));
    }
    Shared { caller, key, groups, users: Mutex::default(), time_jumps, crashes: AtomicU64::new(0) }
}

fn seeds(standard: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("MUSTER_SEED") {
        return vec![seed];
    }
    let is_long = std::env::var_os("MUSTER_TEST_LONG").is_some();
    let many = number("MUSTER_TEST_SEEDS").unwrap_or(if is_long { 20 * standard } else { standard });
    let first = number("MUSTER_TEST_FIRST_SEED").unwrap_or(1);
    REGRESSIONS.into_iter().chain(first..first + many).collect()
}

fn run(seed: u64, storage: Storage) -> Result<Vec<Event>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    LocalSet::new().block_on(&runtime.expect("a runtime"), simulate(seed, storage))
}

fn run_seeds(standard: u64, storage: impl Fn() -> Storage) {
    let mut failed = Vec::new();
    for seed in seeds(standard) {
        if let Err(what) = run(seed, storage()) {
            failed.push(format!("MUSTER_SEED={seed}: {what}"));
        }
    }
    assert!(failed.is_empty(), "{} seeds failed:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn invariants_hold_in_memory() {
    run_seeds(SEEDS, || Storage::Memory(Arc::new(Memory::new())));
}

#[test]
fn invariants_hold_on_sqlite() {
    run_seeds(SEEDS_ON_SQLITE, Storage::sqlite);
}

#[test]
fn runs_are_deterministic() {
    for seed in 1..=20 {
        let history = || -> Vec<_> {
            let events = run(seed, Storage::Memory(Arc::new(Memory::new()))).expect("simulated");
            // Ignore the request: it contains the import's id, which is random.
            let fields = |event: Event| (event.data.at, event.data.action, event.data.members_added, event.data.notes);
            events.into_iter().map(fields).collect()
        };
        assert!(history() == history(), "seed {seed}");
    }
}
