//! Shared test support: the program as a process, the application without a listener, and a raw HTTP client.

pub(crate) use crate::raw_http::{HttpResponse, send, try_send};
use crate::secrets_key::secrets_key;
use adapters::{Argon2Cost, OpenMode, OpenStore, StoreSettings};
use bytes::Bytes;
use dialects::kit::{ResponseBody, hash_key};
use directory::{Caller, Clock, Command, Directory, NewConnection, TenantNumber};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use server::{App, Limits, Ports};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

pub(crate) const MUSTER: &str = env!("CARGO_BIN_EXE_muster");

pub(crate) fn repo_root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&here).join("../..")
}

/// A temporary store: a file, or a database if `MUSTER_TEST_ENGINE` is `postgres`.
pub(crate) struct TestStore {
    pub(crate) folder: tempfile::TempDir,
    /// The value for `--store`.
    pub(crate) store: String,
}

impl TestStore {
    /// An empty store on the engine under test.
    pub(crate) fn new() -> Self {
        Self::on(testkit::postgres::create_migrated_database)
    }

    /// A store without tables, to load a dump into.
    pub(crate) fn without_tables() -> Self {
        Self::on(testkit::postgres::create_database)
    }

    /// A store that is restored from a backup.
    pub(crate) fn restored_from(backup: &str) -> Self {
        let store = Self::without_tables();
        let restored = run_json(&store.store, &["restore", backup]);
        assert!(restored["error"].is_null(), "{restored}");
        store
    }

    fn on(database: fn() -> String) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = if is_on_postgres() { database() } else { folder.path().join("muster.db").display().to_string() };
        Self { folder, store }
    }
}

/// Whether these tests run on PostgreSQL. Panics in tests under `no_engine`, which run without an engine.
pub(crate) fn is_on_postgres() -> bool {
    match std::env::var("MUSTER_TEST_ENGINE").as_deref() {
        Err(_) | Ok("sqlite") => false,
        Ok("postgres") => true,
        Ok("none") => {
            panic!("a test under `no_engine` opens an engine (move it out, so that it runs on every engine)")
        }
        Ok(other) => panic!("unknown engine {other}"),
    }
}

/// A running server on its own store. It is killed when dropped.
pub(crate) struct Server {
    test_store: Option<TestStore>,
    store: String,
    log: PathBuf,
    pub(crate) address: String,
    /// The address of the admin listener; empty if there is none.
    pub(crate) admin: String,
    child: Child,
}

impl Server {
    /// Starts a server on a new store.
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::start_on(TestStore::new(), flags)
    }

    pub(crate) fn start_on(place: TestStore, flags: &[&str]) -> Self {
        let launched = launch(Path::new(MUSTER), place.folder.path(), &place.store, flags);
        Self::from_launched(place, launched)
    }

    fn from_launched(place: TestStore, launched: Launched) -> Self {
        let Launched { child, address, admin } = launched;
        let (store, log) = (place.store.clone(), place.folder.path().join("log"));
        Self { test_store: Some(place), store, log, address, admin, child }
    }

    /// Starts a server with the default admin address.
    pub(crate) fn start_with_default_ports(flags: &[&str]) -> Self {
        let place = TestStore::new();
        let launched = launch_with_flags(Path::new(MUSTER), place.folder.path(), &place.store, flags);
        Self::from_launched(place, launched)
    }

    pub(crate) fn store(&self) -> &str {
        &self.store
    }

    /// The folder with its log, mails and imports.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.log.parent().map(Path::to_path_buf).unwrap_or_default()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("the log")
    }

    /// Runs a command on the server's store; returns its JSON output.
    pub(crate) fn run_json(&self, arguments: &[&str]) -> serde_json::Value {
        run_json(&self.store, arguments)
    }

    /// Creates a tenant with a connection; returns its number and the key.
    pub(crate) fn create_tenant(&self, flags: &[&str]) -> (u64, String) {
        let number =
            self.run_json(&["tenant", "add", "Acme", "--allow-duplicate"])["number"].as_u64().expect("a number");
        (number, self.create_connection(number, "main", flags))
    }

    /// Creates a connection and returns its key: for all dialects and roles up to `EnterpriseAdmin`, unless the flags
    /// say otherwise.
    pub(crate) fn create_connection(&self, tenant: u64, name: &str, flags: &[&str]) -> String {
        let tenant = tenant.to_string();
        let mut arguments = vec!["connection", "add", name, "--tenant", &tenant];
        for (flag, value) in [("--dialect", "all"), ("--highest-role", "EnterpriseAdmin")] {
            if !flags.contains(&flag) {
                arguments.extend([flag, value]);
            }
        }
        arguments.extend(flags);
        self.run_json(&arguments)["key"].as_str().expect("a key").to_owned()
    }

    /// Imports `many` users of 10 kB each.
    pub(crate) fn import_large_users(&self, many: u32) {
        let (bio, mut rows) = ("x".repeat(10_000), String::new());
        for n in 0..many {
            writeln!(rows, "{{\"email\":\"u{n}@example.com\",\"givenName\":\"U\",\"bio\":\"{bio}\"}}")
                .expect("written");
        }
        let file = self.data_dir().join("users.ndjson");
        std::fs::write(&file, rows).expect("written");
        self.run_json(&["import", file.to_str().expect("text"), "--tenant", "1"]);
        let list = self.run_json(&["user", "list", "--limit", "1", "--tenant", "1"]);
        assert_eq!(list["total"], many);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills the process as a power failure would; returns the store.
    pub(crate) fn kill(mut self) -> TestStore {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
        self.test_store.take().expect("a store")
    }

    /// Stops the server; returns whether it exited successfully.
    pub(crate) fn stop(&mut self) -> bool {
        terminate(self.child.id());
        self.child.wait().expect("ended").success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Sends SIGTERM.
pub(crate) fn terminate(pid: u32) {
    signal(pid, "TERM");
}

pub(crate) fn signal(pid: u32, name: &str) {
    Process::new("kill").args([format!("-{name}"), pid.to_string()]).status().expect("sent");
}

/// A process and the addresses it listens on.
pub(crate) struct Launched {
    pub(crate) child: Child,
    pub(crate) address: String,
    /// The address of the admin listener; empty if there is none.
    pub(crate) admin: String,
}

/// Starts a server on a store, with its log in a folder, on free ports unless the flags name others.
pub(crate) fn launch(program: &Path, folder: &Path, store: impl AsRef<OsStr>, flags: &[&str]) -> Launched {
    let ports = ["--listen", "--admin-listen"].into_iter().filter(|flag| !flags.contains(flag));
    let flags: Vec<&str> = ports.flat_map(|flag| [flag, "127.0.0.1:0"]).chain(flags.iter().copied()).collect();
    launch_with_flags(program, folder, store, &flags)
}

fn launch_with_flags(program: &Path, folder: &Path, store: impl AsRef<OsStr>, flags: &[&str]) -> Launched {
    let log = File::options().create(true).append(true).open(folder.join("log")).expect("a log");
    let mut child = Process::new(program)
        .arg("serve")
        .args(["--json", "--store"])
        .arg(store.as_ref())
        .args(flags)
        .env("MUSTER_MAIL_SPOOL_DIR", folder.join("mail"))
        .env("MUSTER_IMPORTS_DIR", folder.join("imports"))
        .envs([secrets_key()])
        // Tests must not depend on free space of the machine's disk.
        .env("MUSTER_MIN_FREE_DISK_MIB", "0")
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("started");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("output")).read_line(&mut line).expect("a line");
    let said: serde_json::Value = serde_json::from_str(&line).expect("the address it listens on");
    let at = |name: &str| said[name].as_str().unwrap_or_default().replace("http://", "").replace("https://", "");
    Launched { child, address: at("listening"), admin: at("admin") }
}

/// The output of a command with `--json`, whether or not it succeeds.
pub(crate) fn run_output(store: impl AsRef<OsStr>, arguments: &[&str]) -> std::process::Output {
    let mut command = std::process::Command::new(MUSTER);
    command.args(["--json", "--store"]).arg(store).args(arguments).envs([crate::secrets_key::secrets_key()]);
    command.output().expect("ran")
}

/// Runs a command on a store; returns its JSON output.
pub(crate) fn run_json(store: impl AsRef<OsStr>, arguments: &[&str]) -> serde_json::Value {
    let output = Process::new(MUSTER)
        .arg("--store")
        .arg(store.as_ref())
        .arg("--json")
        .args(arguments)
        .envs([secrets_key()])
        .output()
        .expect("ran");
    let text = String::from_utf8(output.stdout).expect("text");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
}

/// The system clock plus an offset, or a fixed time that advances by a microsecond with each reading.
#[derive(Default)]
struct TestClock {
    offset_seconds: AtomicI64,
    /// Set if the clock is fixed.
    fixed_micros: Option<AtomicI64>,
}

impl Clock for TestClock {
    fn now(&self) -> directory::Time {
        let now = match &self.fixed_micros {
            None => adapters::SystemClock.now(),
            Some(still) => directory::Time(still.fetch_add(1, Ordering::Relaxed)),
        };
        now.plus_seconds(self.offset_seconds.load(Ordering::Relaxed))
    }
}

/// The application without a listener, on a store of the engine under test, with the cheapest password hashing and no
/// limit on invalid keys.
pub(crate) struct TestApp {
    pub(crate) app: App,
    test_clock: Arc<TestClock>,
    /// `None` in memory.
    backing_store: Option<(Arc<dyn OpenStore>, TestStore)>,
}

impl TestApp {
    pub(crate) fn new() -> Self {
        Self::on_store(TestStore::new(), server::PublicConfig::default())
    }

    /// Time advances only with [`TestApp::advance_clock`], however slow the machine is.
    pub(crate) fn with_manual_clock() -> Self {
        let still = Some(AtomicI64::new(adapters::SystemClock.now().0));
        Self::build_on_store(
            TestStore::new(),
            server::PublicConfig::default(),
            TestClock { fixed_micros: still, ..TestClock::default() },
        )
    }

    /// Uses a store that may contain data.
    pub(crate) fn on_store(place: TestStore, face: server::PublicConfig) -> Self {
        Self::build_on_store(place, face, TestClock::default())
    }

    /// Uses the in-memory store, for tests that do not depend on the engine.
    pub(crate) fn in_memory() -> Self {
        Self::build(Arc::new(store::Memory::new()), server::PublicConfig::default(), TestClock::default())
    }

    /// Uses the in-memory store and accepts imports.
    pub(crate) fn in_memory_with_imports(folder: &Path) -> Self {
        let face = server::PublicConfig { imports_dir: Some(folder.to_path_buf()), ..server::PublicConfig::default() };
        Self::build(Arc::new(store::Memory::new()), face, TestClock::default())
    }

    fn build_on_store(place: TestStore, face: server::PublicConfig, ahead: TestClock) -> Self {
        let engine = StoreSettings::new(&place.store).engine().expect("an engine");
        let store = engine.open(OpenMode::Create).expect("a store");
        let mut test_app = Self::build(Arc::clone(&store) as _, face, ahead);
        test_app.backing_store = Some((store, place));
        test_app
    }

    fn build(store: Arc<dyn directory::Store>, face: server::PublicConfig, ahead: TestClock) -> Self {
        // Long enough for a thousand concurrent users on a busy machine.
        let answer_time = Duration::from_mins(5);
        let bad_keys = NonZeroU32::MAX;
        let storage = server::StorageLimits { min_free: 0, ..server::StorageLimits::default() };
        let limits = Limits {
            hash_cost: Argon2Cost::FOR_TESTS,
            invalid_keys_per_minute: bad_keys,
            response_timeout: answer_time,
            import_storage: storage,
            ..Limits::default()
        };
        let ahead = Arc::new(ahead);
        let clock = Arc::clone(&ahead) as _;
        let parts = Ports { store, clock, ids: Arc::new(adapters::TimeOrderedIds), hasher: None };
        let app = server::build_app(parts, limits, face);
        Self { app: app.expect("an app"), test_clock: ahead, backing_store: None }
    }

    /// The value for `--store`.
    pub(crate) fn store(&self) -> &str {
        let (_, place) = self.backing_store.as_ref().expect("a store that other processes can open");
        &place.store
    }

    /// Sets the clock, in seconds since 1970; it continues from there.
    pub(crate) fn set_clock(&self, seconds: i64) {
        let now = adapters::SystemClock.now().0 / 1_000_000;
        self.test_clock.offset_seconds.store(seconds - now, Ordering::Relaxed);
    }

    pub(crate) fn advance_clock(&self, seconds: i64) {
        self.test_clock.offset_seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(crate) fn directory(&self) -> &Arc<Directory> {
        &self.app.directory
    }

    /// Creates a tenant and returns a caller in it.
    pub(crate) async fn create_tenant(&self, name: &str) -> Caller {
        testkit::conformance::create_tenant(self.directory(), name).await
    }

    /// Creates a connection and returns its key.
    pub(crate) async fn create_key(
        &self,
        caller: &Caller,
        name: &str,
        change: impl FnOnce(&mut NewConnection),
    ) -> String {
        let key = adapters::generate_api_key().expect("a key");
        let dialects = dialects::USER_APIS.iter().map(|dialect| dialect.name.to_owned()).collect();
        let mut new = NewConnection::new(name, dialects, hash_key(&key));
        new.highest_role = 6;
        change(&mut new);
        self.directory().run(caller, Command::AddConnection(new)).await.expect("added");
        key
    }

    /// Sends a request; returns status and body.
    pub(crate) async fn send_request(&self, request: Request<Vec<u8>>) -> (u16, String) {
        let (method, target) = (request.method().to_string(), request.uri().to_string());
        let answer = self.respond(request).await;
        let status = answer.status().as_u16();
        let media = answer.headers().get("content-type").map(|media| media.to_str().expect("text").to_owned());
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        let body = String::from_utf8(body.to_vec()).expect("text");
        crate::openapi_conformance::assert_documented(&method, &target, status, media.as_deref(), &body);
        (status, body)
    }

    pub(crate) async fn respond(&self, mut request: Request<Vec<u8>>) -> Response<ResponseBody> {
        let host = http::HeaderValue::from_static("example.com");
        request.headers_mut().entry(http::header::HOST).or_insert(host);
        let address: std::net::IpAddr = "127.0.0.1".parse().expect("an address");
        self.app.service.handle(request.map(|body| Full::new(Bytes::from(body))), address.into()).await
    }

    /// The position of the newest event after `seen`, if there is one.
    pub(crate) async fn newest_event_after(&self, seen: directory::EventPosition) -> Option<directory::EventPosition> {
        let events = self.directory().events(&Caller::installation(), seen, 1000).await.expect("read");
        events.last().map(|event| event.position)
    }

    /// The number of events of a tenant.
    pub(crate) async fn event_count(&self, tenant: TenantNumber) -> usize {
        let events = self
            .directory()
            .events(&Caller::installation(), directory::EventPosition(0), u32::MAX)
            .await
            .expect("read");
        events.iter().filter(|event| event.data.tenant == tenant).count()
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if let Some((store, _)) = &self.backing_store {
            store.close();
        }
    }
}

pub(crate) fn build_request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Request<Vec<u8>> {
    let mut builder = Request::builder().method(method).uri(target);
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        builder = builder.header("host", "example.com");
    }
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body.as_bytes().to_vec()).expect("a request")
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}
