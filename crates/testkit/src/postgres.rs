//! Real PostgreSQL servers for tests, each with its own folder and port, that can be killed, restarted, replicated and
//! promoted. The binaries must be installed.

mod pgbouncer;
mod pgpool;
mod process_guard;

pub use pgbouncer::PgBouncer;
pub use pgpool::Pgpool;
pub use process_guard::free_port;

use process_guard::{ProcessGuard, STARTUP_TIMEOUT};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The `application_name` of standbys.
const STANDBY: &str = "standby";

/// A PostgreSQL server on a free loopback port. It stops when dropped, and also when the process that started it dies.
pub struct Cluster {
    guard: ProcessGuard,
    port: u16,
}

impl Cluster {
    /// A new, empty server. `settings` are additional lines of `postgresql.conf` that override the defaults. `fsync` is
    /// off by default: it costs time, and only a real power failure needs it.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        Self::initialize(ProcessGuard::new(), settings)
    }

    fn initialize(keeper: ProcessGuard, settings: &[(&str, &str)]) -> Self {
        let user = ["-D", "data", "-U", "muster", "-A", "trust"];
        let form = ["-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"];
        keeper.run(&binary_path("initdb"), &[&user[..], &form].concat());
        let ours = [
            ("listen_addresses", "'127.0.0.1'"),
            ("max_connections", "300"),
            ("synchronous_commit", "on"),
            ("fsync", "off"),
            // Files in the folder, because a killed server would leave system shared memory behind.
            ("dynamic_shared_memory_type", "mmap"),
        ];
        let file = keeper.folder().join("data/postgresql.conf");
        let mut text = std::fs::read_to_string(&file).expect("made by initdb");
        for (name, value) in ours.iter().chain(settings) {
            text.push_str(&format!("{name} = {value}\n"));
        }
        std::fs::write(&file, text).expect("written");
        Self::start_on_free_port(keeper)
    }

    /// A new server with TLS, and the path of its certificate. The certificate and the key are in PEM.
    pub fn with_tls(certificate: &str, key: &str) -> (Self, PathBuf) {
        let keeper = ProcessGuard::new();
        let files = ["server.crt", "server.key"].map(|name| keeper.folder().join(name));
        for (file, text) in files.iter().zip([certificate, key]) {
            std::fs::write(file, text).expect("written");
            keeper.give_to_server_user(file);
        }
        let quoted = files.each_ref().map(|file| format!("'{}'", file.display()));
        let settings = [("ssl", "on"), ("ssl_cert_file", &quoted[0]), ("ssl_key_file", &quoted[1])];
        let [certificate, _] = files;
        (Self::initialize(keeper, &settings), certificate)
    }

    /// Starts a server on an initialized folder. Retries with another port if another process takes it first.
    fn start_on_free_port(keeper: ProcessGuard) -> Self {
        let mut cluster = Self { guard: keeper, port: 0 };
        for _ in 0..5 {
            cluster.port = free_port();
            if cluster.start_server() {
                return cluster;
            }
        }
        panic!("the server does not start: {}", cluster.log());
    }

    fn start_server(&self) -> bool {
        let port = self.port.to_string();
        let folder = self.guard.folder().to_str().expect("a path in UTF-8");
        let arguments = ["-D", "data", "-p", &port, "-k", folder];
        let answers = || {
            let mut ready = Command::new(binary_path("pg_isready"));
            ready.args(["-q", "-h", "127.0.0.1", "-p", &port]).status().is_ok_and(|status| status.success())
        };
        self.guard.start(&binary_path("postgres"), &arguments, answers)
    }

    /// Creates an empty database and returns its URL.
    pub fn create_database(&self) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("muster_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.run_sql(&format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// The URL of the database `name`.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://muster@127.0.0.1:{}/{name}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts a synchronous standby and waits until it has caught up. From then on, commits wait for the standby.
    #[must_use]
    pub fn standby(&self) -> Self {
        let keeper = ProcessGuard::new();
        let source = format!("host=127.0.0.1 port={} user=muster application_name={STANDBY}", self.port);
        let arguments = ["-D", "data", "-d", &source, "-R", "-X", "stream", "-c", "fast", "--no-sync"];
        keeper.run(&binary_path("pg_basebackup"), &arguments);
        let standby = Self::start_on_free_port(keeper);
        self.run_sql(&format!("ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'"));
        self.run_sql("SELECT pg_reload_conf()");
        let in_step = format!(
            "SELECT count(*) FROM pg_stat_replication WHERE application_name = '{STANDBY}' AND sync_state = 'sync'"
        );
        let begun = Instant::now();
        while self.run_sql(&in_step) != "1" {
            assert!(begun.elapsed() < STARTUP_TIMEOUT, "the standby does not catch up: {}", standby.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        standby
    }

    /// Sends SIGKILL to the server and all its processes, as in a power failure.
    pub fn kill(&self) {
        self.guard.kill_all();
    }

    /// Fast shutdown (SIGINT), which does not wait for clients.
    pub fn stop(&self) {
        self.guard.stop("INT");
    }

    /// Sends SIGSTOP to the server and all its processes.
    pub fn suspend(&self) {
        self.guard.signal("STOP");
    }

    /// Sends SIGCONT to the server and all its processes.
    pub fn resume(&self) {
        self.guard.signal("CONT");
    }

    /// Starts the server again with the same folder and port.
    pub fn restart(&self) {
        assert!(self.start_server(), "the server does not restart: {}", self.log());
    }

    /// Promotes a standby; returns when it accepts writes.
    pub fn promote(&self) {
        assert_eq!(self.run_sql("SELECT pg_promote(true, 60)"), "t", "promoted: {}", self.log());
    }

    pub fn log(&self) -> String {
        self.guard.log()
    }

    /// The folder with the data directory and the log.
    pub fn folder(&self) -> &Path {
        self.guard.folder()
    }

    fn run_sql(&self, statement: &str) -> String {
        query(&self.url("postgres"), statement)
    }
}

/// Runs a statement and returns its rows as lines, with columns separated by `|`.
pub fn query(url: &str, statement: &str) -> String {
    run_statements(url, &[statement.to_owned()])
}

/// Like [`query`], for several statements, each in its own transaction.
fn run_statements(url: &str, statements: &[String]) -> String {
    let mut psql = Command::new(binary_path("psql"));
    psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url]);
    let output = psql.args(statements.iter().flat_map(|one| ["-c", one])).output().expect("psql");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{statements:?}: {error}");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// Runs an SQL file, such as the output of `pg_dump`.
pub fn load_dump(url: &str, file: &Path) {
    let mut command = Command::new(binary_path("psql"));
    command.args(["-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "--single-transaction", "-d", url, "-f"]);
    let output = command.arg(file).output().expect("psql");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {error}", file.display());
}

/// The cluster that all tests of this process share, started on first use. `MUSTER_TEST_ISOLATION`, if set, is the
/// default isolation level of its transactions, such as `serializable`.
pub fn shared_cluster() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| {
        let isolation = default_isolation().map(|level| format!("'{level}'"));
        let settings: Vec<_> =
            isolation.iter().map(|level| ("default_transaction_isolation", level.as_str())).collect();
        Cluster::start(&settings)
    })
}

/// Creates an empty database and returns its URL. It is on the shared cluster or, if `MUSTER_TEST_POSTGRES` is the URL
/// of a database whose user may create others, on that server; `cargo xtask test` starts one for all test processes.
pub fn create_database() -> String {
    create_from_template("template1")
}

/// Creates a database with the current schema: a copy of the migrated database that `MUSTER_TEST_TEMPLATE` names. If
/// the variable is not set, the database is empty and is migrated when a store opens it.
pub fn create_migrated_database() -> String {
    let template = std::env::var("MUSTER_TEST_TEMPLATE").ok().filter(|name| !name.is_empty());
    create_from_template(template.as_deref().unwrap_or("template1"))
}

fn create_from_template(template: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let Ok(url) = std::env::var("MUSTER_TEST_POSTGRES") else { return shared_cluster().create_database() };
    // Not the process id: one server outlives many test processes, so process ids repeat.
    let chance = RandomState::new().hash_one(NEXT.fetch_add(1, Ordering::Relaxed));
    let name = format!("muster_test_{chance:016x}");
    let mut statements = vec![format!("CREATE DATABASE {name} TEMPLATE {template}")];
    if let Some(level) = default_isolation() {
        statements.push(format!("ALTER DATABASE {name} SET default_transaction_isolation = '{level}'"));
    }
    run_statements(&url, &statements);
    let (base, parameters) = url.split_once('?').map_or((url.as_str(), None), |(base, rest)| (base, Some(rest)));
    let server = base.rsplit_once('/').map_or(base, |(server, _)| server);
    parameters.map_or_else(|| format!("{server}/{name}"), |rest| format!("{server}/{name}?{rest}"))
}

fn default_isolation() -> Option<String> {
    std::env::var("MUSTER_TEST_ISOLATION").ok().filter(|level| !level.is_empty())
}

/// The path of a PostgreSQL program. Distributions install the server programs per version, outside `PATH`.
fn binary_path(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = Command::new("pg_config").arg("--bindir").output().ok();
        let folder = folder.and_then(|output| String::from_utf8(output.stdout).ok());
        let folder = folder.map(|text| PathBuf::from(text.trim())).filter(|path| path.join("initdb").exists());
        folder.or_else(newest_bin_dir).unwrap_or_default()
    });
    folder.join(name)
}

/// The folder of the newest of several installed versions.
fn newest_bin_dir() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok);
    let versions = versions.filter(|version| version.path().join("bin/initdb").exists());
    let number = |entry: &std::fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    Some(versions.max_by_key(number)?.path().join("bin"))
}
