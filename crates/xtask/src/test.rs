//! `cargo xtask test`: formatting, lints and every test, with set-up and the duration of each step.
//!
//! The package `muster` has three kinds of tests. Tests under `no_engine::` open no engine and run once. Tests under
//! [`RUN_ONCE_MODULES`] run on SQLite, and on PostgreSQL only in long runs. All others run on SQLite, on PostgreSQL, and
//! on PostgreSQL with serializable transactions.

use crate::{print_status, run, run_with, setup, target_dir, tools};
use anyhow::{Context, bail};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Modules whose tests choose their stores themselves, or do not depend on them.
const RUN_ONCE_MODULES: [&str; 10] = [
    "outages::",
    "clients::",
    "generated_clients::",
    "browser::",
    "client_packages::",
    "settings::",
    "full_disk::",
    "io_faults::",
    "simulation::",
    "store_files::",
];

/// Tests of `store` that do not use PostgreSQL, so they need no second run with serializable transactions.
const STORE_WITHOUT_POSTGRES: [&str; 5] = [
    "sql_portability::",
    "embedded_engine::",
    "conformance::memory",
    "conformance::sqlite",
    "engine_equivalence::random_changes_give_the_same_on_sqlite",
];

/// Variables that make Cargo lint while it builds: clippy-driver replaces rustc for the workspace's crates. This takes
/// hardly longer than a plain build; a separate `cargo clippy` would analyze everything a second time.
const LINTS: [(&str, &str); 2] = [("RUSTC_WORKSPACE_WRAPPER", "clippy-driver"), ("CLIPPY_ARGS", "--deny=warnings")];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TestScope {
    /// Formatting, lints, unit tests, transcripts, and the store's suite on SQLite.
    Quick,
    /// Every test, with fixed seeds.
    Standard,
    /// Every test on every engine, with longer loops and fresh seeds. Run it before a release.
    Long,
}

impl TestScope {
    pub(crate) fn parse(flag: Option<&str>) -> anyhow::Result<Self> {
        match flag {
            None => Ok(Self::Standard),
            Some("--quick") => Ok(Self::Quick),
            Some("--long") => Ok(Self::Long),
            Some(other) => bail!("unknown option {other} (use --quick or --long)"),
        }
    }
}

pub(crate) fn test(scope: TestScope) -> anyhow::Result<()> {
    let mut times = StepTimes::default();
    times.step("set-up", || {
        if scope != TestScope::Quick {
            setup::prepare(scope == TestScope::Long)?;
        }
        tools::install()
    })?;
    times.step("format, repository rules, spelling", crate::style)?;
    let runner = Runner::find();
    // Build before the first test, to time them apart, and build all targets, to lint those without tests, too.
    let build = ["build", "--quiet", "--workspace", "--all-targets"];
    times.step("build, with lints", || cargo(&build, &[]))?;
    if scope == TestScope::Quick {
        times.step("tests", || run_quick(runner))?;
    } else {
        let server = times.step("PostgreSQL", DatabaseServer::start)?;
        run_all(runner, &server, scope, &mut times)?;
        times.step("stopping PostgreSQL", || {
            drop(server);
            Ok(())
        })?;
        times.step("doc tests", || cargo(&["test", "--quiet", "--workspace", "--doc"], &[]))?;
    }
    times.print();
    Ok(())
}

fn run_quick(runner: Runner) -> anyhow::Result<()> {
    runner.run(&TestFilter { kind: TestKind::Unit, ..TestFilter::default() }, &[])?;
    let muster = TestFilter { package: "muster", kind: TestKind::Integration, ..TestFilter::default() };
    runner.run(&TestFilter { name_contains: "transcripts::", ..muster }, &[])?;
    let store = TestFilter { package: "store", kind: TestKind::Integration, ..TestFilter::default() };
    runner.run(&TestFilter { name_contains: "sqlite_passes_the_suite", ..store }, &[])
}

fn run_all(runner: Runner, server: &DatabaseServer, scope: TestScope, times: &mut StepTimes) -> anyhow::Result<()> {
    let variables = |engine: &str, isolation: &str| {
        let mut variables = vec![
            ("MUSTER_TEST_POSTGRES", PathBuf::from(&server.url)),
            ("MUSTER_TEST_TEMPLATE", PathBuf::from(TEMPLATE)),
            ("MUSTER_TEST_ENGINE", PathBuf::from(engine)),
            ("MUSTER_TEST_ISOLATION", PathBuf::from(isolation)),
        ];
        if scope == TestScope::Long {
            variables.push(("MUSTER_TEST_LONG", PathBuf::from("1")));
        }
        variables
    };
    let read_committed = "";
    let muster = TestFilter { package: "muster", kind: TestKind::Integration, ..TestFilter::default() };
    // Once more, these run with the tests on SQLite, which then find the packages installed.
    times.step("installing third-party clients", || {
        runner.run(&TestFilter { name_contains: "client_packages::", ..muster }, &variables("none", read_committed))
    })?;
    times.step("tests of the other crates", || {
        let tests = TestFilter { exclude: "muster", ..TestFilter::default() };
        runner.run(&tests, &variables("none", read_committed))
    })?;
    times.step("tests without an engine", || {
        runner.run(&TestFilter { name_contains: "no_engine::", ..muster }, &variables("none", read_committed))
    })?;
    times.step("tests on SQLite", || {
        runner.run(&TestFilter { skip_prefixes: &["no_engine::"], ..muster }, &variables("sqlite", read_committed))
    })?;
    let once: &[&str] = if scope == TestScope::Long { &[] } else { &RUN_ONCE_MODULES };
    let without = [&["no_engine::"], once].concat();
    let on_postgres = TestFilter { skip_prefixes: &without, ..muster };
    times.step("tests on PostgreSQL", || runner.run(&on_postgres, &variables("postgres", read_committed)))?;
    times.step("tests on PostgreSQL, serializable", || {
        runner.run(&on_postgres, &variables("postgres", "serializable"))
    })?;
    times.step("tests of the store, serializable", || {
        let store = TestFilter { package: "store", kind: TestKind::Integration, ..TestFilter::default() };
        let tests = TestFilter { skip_prefixes: &STORE_WITHOUT_POSTGRES, ..store };
        runner.run(&tests, &variables("none", "serializable"))
    })
}

/// Selects tests of the workspace. Empty strings select all.
#[derive(Clone, Copy, Default)]
struct TestFilter<'a> {
    package: &'a str,
    exclude: &'a str,
    kind: TestKind,
    name_contains: &'a str,
    skip_prefixes: &'a [&'a str],
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum TestKind {
    #[default]
    All,
    Unit,
    Integration,
}

impl TestFilter<'_> {
    /// As a nextest filter expression.
    fn expression(&self) -> String {
        let mut terms = vec!["all()".to_owned()];
        match self.kind {
            TestKind::All => {}
            TestKind::Unit => terms.push("not kind(test)".into()),
            TestKind::Integration => terms.push("kind(test)".into()),
        }
        if !self.package.is_empty() {
            terms.push(format!("package(={})", self.package));
        }
        if !self.exclude.is_empty() {
            terms.push(format!("not package(={})", self.exclude));
        }
        if !self.name_contains.is_empty() {
            terms.push(format!("test(~{})", self.name_contains));
        }
        terms.extend(self.skip_prefixes.iter().map(|beginning| format!("not test(/^{beginning}/)")));
        terms.join(" & ")
    }

    /// As arguments of `cargo test`.
    fn arguments(&self) -> Vec<&str> {
        let mut arguments = if self.package.is_empty() { vec!["--workspace"] } else { vec!["-p", self.package] };
        if !self.exclude.is_empty() {
            arguments.extend(["--exclude", self.exclude]);
        }
        match self.kind {
            TestKind::All => arguments.extend(["--lib", "--bins", "--tests"]),
            TestKind::Unit => arguments.extend(["--lib", "--bins"]),
            TestKind::Integration => arguments.extend(["--test", "*"]),
        }
        arguments.push("--");
        if !self.name_contains.is_empty() {
            arguments.push(self.name_contains);
        }
        arguments.extend(self.skip_prefixes.iter().flat_map(|beginning| ["--skip", beginning]));
        arguments
    }
}

#[derive(Clone, Copy)]
enum Runner {
    /// Runs each test in its own process, slow ones first.
    Nextest,
    /// The fallback if cargo-nextest is not installed.
    CargoTest,
}

impl Runner {
    fn find() -> Self {
        let version = Command::new("cargo").args(["nextest", "--version"]).stderr(Stdio::null()).output();
        if version.is_ok_and(|output| output.status.success()) {
            return Self::Nextest;
        }
        print_status("cargo-nextest is not installed; using `cargo test`, which is slower");
        Self::CargoTest
    }

    fn run(self, tests: &TestFilter<'_>, variables: &[(&str, PathBuf)]) -> anyhow::Result<()> {
        match self {
            // Always the complete workspace: a subset would rebuild dependencies with other features.
            Self::Nextest => {
                let filter = tests.expression();
                cargo(&["nextest", "run", "--cargo-quiet", "--workspace", "-E", &filter], variables)
            }
            Self::CargoTest => cargo(&[&["test", "--quiet"], &tests.arguments()[..]].concat(), variables),
        }
    }
}

/// Runs Cargo with [`LINTS`].
fn cargo(arguments: &[&str], variables: &[(&str, PathBuf)]) -> anyhow::Result<()> {
    let lints = LINTS.map(|(name, value)| (name, PathBuf::from(value)));
    run_with("cargo", arguments, &[&lints, variables].concat())
}

/// The template of the tests' databases: migrated, empty, and without connections.
const TEMPLATE: &str = "muster_template";

/// One PostgreSQL server for all tests of a run, with the template database. It stops when dropped.
struct DatabaseServer {
    process: Child,
    url: String,
}

impl DatabaseServer {
    fn start() -> anyhow::Result<Self> {
        let programs = target_dir().join("debug");
        let mut process = Command::new(programs.join("test_postgres"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the PostgreSQL server for the tests cannot be started")?;
        let url = first_line(&mut process)?;
        let server = Self { process, url };
        let (base, _) = server.url.rsplit_once('/').context("a URL with a database")?;
        let create = format!("CREATE DATABASE {TEMPLATE}");
        run("psql", &["-X", "-q", "-d", &server.url, "-c", &create])?;
        // Migrations run when a server starts on an empty database.
        let mut muster = Command::new(programs.join("muster"))
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "none"])
            .args(["--json", "--log-level", "error"])
            .args(["--store", &format!("{base}/{TEMPLATE}")])
            .current_dir(std::env::temp_dir())
            .stdout(Stdio::piped())
            .spawn()?;
        first_line(&mut muster)?;
        run("kill", &["-TERM", &muster.id().to_string()])?;
        if !muster.wait()?.success() {
            bail!("migrating the template database failed");
        }
        Ok(server)
    }
}

fn first_line(process: &mut Child) -> anyhow::Result<String> {
    let output = process.stdout.take().context("its output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    if line.is_empty() {
        bail!("the process exited without output");
    }
    Ok(line.trim_end().to_owned())
}

impl Drop for DatabaseServer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        drop(self.process.wait());
    }
}

#[derive(Default)]
struct StepTimes(Vec<(&'static str, Duration)>);

impl StepTimes {
    fn step<T>(&mut self, name: &'static str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let begun = Instant::now();
        let done = work()?;
        self.0.push((name, begun.elapsed()));
        Ok(done)
    }

    fn print(&self) {
        for (name, time) in &self.0 {
            print_status(&format!("{:>7.1} s  {name}", time.as_secs_f64()));
        }
        let total: Duration = self.0.iter().map(|(_, time)| *time).sum();
        print_status(&format!("{:>7.1} s  total", total.as_secs_f64()));
    }
}

#[cfg(test)]
mod tests {
    use super::LINTS;
    use std::io::Write;
    use std::process::{Command, Stdio};

    /// `CLIPPY_ARGS` is undocumented, so a new version of Rust could ignore it and accept warnings.
    #[test]
    fn code_with_clippy_warnings_does_not_compile() {
        let folder = std::env::temp_dir().join(format!("muster-lints-{}", std::process::id()));
        let compiles = |code: &str| {
            let mut compiler = Command::new(LINTS[0].1)
                .args(["rustc", "--crate-type=lib", "--crate-name=lints", "--emit=metadata", "--out-dir"])
                .args([folder.as_os_str(), "-".as_ref()])
                .envs(LINTS)
                .stdin(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            compiler.stdin.take().unwrap().write_all(code.as_bytes()).unwrap();
            compiler.wait().unwrap().success()
        };
        assert!(compiles("pub fn one() -> u8 { 1 }"));
        assert!(!compiles("pub fn one() -> u8 { return 1; }"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
