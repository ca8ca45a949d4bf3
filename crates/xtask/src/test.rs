//! `cargo xtask test`: formatting, lints and every test, with all the set-up they need, and where the time went.
//!
//! Tests of the package `muster` come in three kinds. Those under `neutral::` open no engine and run once. Those under
//! [`ONCE`] start servers or clients, or choose stores, of their own and run once, on SQLite. All others reach the store and run on SQLite,
//! on PostgreSQL, and on PostgreSQL where every transaction is serializable.

use crate::{run, run_with, say, setup, target, tools};
use anyhow::{Context, bail};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Modules whose tests run on one engine only, unless the run is long.
const ONCE: [&str; 4] = ["outages::", "clients::", "browser::", "own_stores::"];

/// Tests of `store` that open no database, and need no second run with serializable transactions.
const STORE_WITHOUT_POSTGRES: [&str; 4] =
    ["embedded::", "suite::memory", "suite::sqlite", "agree::random_changes_give_the_same_on_sqlite"];

/// How much is tested.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Formatting, lints, unit tests, transcripts, and the store's suite on SQLite.
    Quick,
    /// Every test, with fixed seeds.
    Standard,
    /// Every test on every engine, with longer loops and fresh seeds: before a release.
    Long,
}

impl Extent {
    /// From the command line.
    pub(crate) fn parse(flag: Option<&str>) -> anyhow::Result<Self> {
        match flag {
            None => Ok(Self::Standard),
            Some("--quick") => Ok(Self::Quick),
            Some("--long") => Ok(Self::Long),
            Some(other) => bail!("unknown option {other}; there are --quick and --long"),
        }
    }
}

/// Runs the tests.
pub(crate) fn test(extent: Extent) -> anyhow::Result<()> {
    let mut times = Times::default();
    times.step("set-up", || {
        if extent != Extent::Quick {
            setup::prepare()?;
        }
        tools::install()
    })?;
    times.step("format, tidy, lints", crate::check)?;
    let runner = Runner::find();
    if extent == Extent::Quick {
        times.step("tests", || quick(runner))?;
    } else {
        times.step("build", || runner.build())?;
        let server = times.step("PostgreSQL", DatabaseServer::start)?;
        everything(runner, &server, extent, &mut times)?;
        drop(server);
        times.step("doc tests", || run("cargo", &["test", "--quiet", "--workspace", "--doc"]))?;
    }
    times.print();
    Ok(())
}

fn quick(runner: Runner) -> anyhow::Result<()> {
    let none: [(&str, PathBuf); 0] = [];
    runner.run(&["--workspace", "--lib", "--bins"], &Filter::default(), &none)?;
    runner.run(&["--package", "muster", "--test", "it"], &Filter::only("transcripts::"), &none)?;
    runner.run(&["--package", "store", "--test", "it"], &Filter::only("sqlite_passes_the_suite"), &none)
}

fn everything(
    runner: Runner,
    server: &DatabaseServer,
    extent: Extent,
    times: &mut Times,
) -> anyhow::Result<()> {
    let muster = ["--package", "muster", "--test", "it"];
    let with = |engine: &str, isolation: &str| {
        let mut variables = vec![
            ("MUSTER_TEST_POSTGRES", PathBuf::from(&server.url)),
            ("MUSTER_TEST_TEMPLATE", PathBuf::from(TEMPLATE)),
            ("MUSTER_TEST_ENGINE", PathBuf::from(engine)),
            ("MUSTER_TEST_ISOLATION", PathBuf::from(isolation)),
        ];
        if extent == Extent::Long {
            variables.push(("MUSTER_TEST_LONG", PathBuf::from("1")));
        }
        variables
    };
    let read_committed = "";
    times.step("tests of the other crates", || {
        let arguments = ["--workspace", "--exclude", "muster"];
        runner.run(&arguments, &Filter::default(), &with("none", read_committed))
    })?;
    times.step("tests without an engine", || {
        runner.run(
            &["--package", "muster", "--bins", "--test", "it"],
            &Filter::only("neutral::"),
            &with("none", read_committed),
        )
    })?;
    times.step("tests on SQLite", || {
        runner.run(&muster, &Filter::without(&["neutral::"]), &with("sqlite", read_committed))
    })?;
    let others: &[&str] = if extent == Extent::Long { &[] } else { &ONCE };
    let on_postgres = Filter::without(&[&["neutral::"], others].concat());
    times.step("tests on PostgreSQL", || {
        runner.run(&muster, &on_postgres, &with("postgres", read_committed))
    })?;
    times.step("tests on PostgreSQL, serializable", || {
        runner.run(&muster, &on_postgres, &with("postgres", "serializable"))
    })?;
    times.step("the store's tests, serializable", || {
        let arguments = ["--package", "store", "--test", "it"];
        runner.run(&arguments, &Filter::without(&STORE_WITHOUT_POSTGRES), &with("none", "serializable"))
    })
}

/// Tests by the beginning of their name, or a part of it for `only`.
#[derive(Default)]
struct Filter {
    only: Option<&'static str>,
    without: Vec<&'static str>,
}

impl Filter {
    fn only(part: &'static str) -> Self {
        Self { only: Some(part), without: Vec::new() }
    }

    fn without(beginnings: &[&'static str]) -> Self {
        Self { only: None, without: beginnings.to_vec() }
    }
}

/// What runs the tests.
#[derive(Clone, Copy)]
enum Runner {
    /// cargo-nextest: a process for each test, heavy ones first.
    Nextest,
    /// Where that is not installed.
    CargoTest,
}

impl Runner {
    fn find() -> Self {
        let version = Command::new("cargo").args(["nextest", "--version"]).stderr(Stdio::null()).output();
        if version.is_ok_and(|output| output.status.success()) {
            return Self::Nextest;
        }
        say("cargo-nextest is not installed: `cargo test` runs the tests instead, more slowly");
        Self::CargoTest
    }

    /// Builds everything before the first test, so that the two are timed apart.
    fn build(self) -> anyhow::Result<()> {
        match self {
            Self::Nextest => run("cargo", &["nextest", "run", "--workspace", "--no-run", "--cargo-quiet"]),
            Self::CargoTest => run("cargo", &["test", "--quiet", "--workspace", "--no-run"]),
        }
    }

    fn run(self, arguments: &[&str], filter: &Filter, variables: &[(&str, PathBuf)]) -> anyhow::Result<()> {
        match self {
            Self::Nextest => {
                let mut expression =
                    filter.only.map_or_else(|| "all()".to_owned(), |part| format!("test(~{part})"));
                for beginning in &filter.without {
                    expression.push_str(&format!(" - test(/^{beginning}/)"));
                }
                let all = [&["nextest", "run", "--cargo-quiet", "-E", &expression], arguments].concat();
                run_with("cargo", &all, variables)
            }
            Self::CargoTest => {
                let mut all = [&["test", "--quiet"], arguments, &["--"]].concat();
                all.extend(filter.only);
                all.extend(filter.without.iter().flat_map(|beginning| ["--skip", beginning]));
                run_with("cargo", &all, variables)
            }
        }
    }
}

/// The database that each test's own is a copy of: migrated, empty, and nobody connected to it.
const TEMPLATE: &str = "muster_template";

/// One PostgreSQL server for all tests of a run, with the template database. It ends when this is dropped.
struct DatabaseServer {
    process: Child,
    url: String,
}

impl DatabaseServer {
    fn start() -> anyhow::Result<Self> {
        let programs = target().join("debug");
        let mut process = Command::new(programs.join("cluster"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the PostgreSQL server for the tests does not start")?;
        let url = first_line(&mut process)?;
        let server = Self { process, url };
        let (base, _) = server.url.rsplit_once('/').context("a URL with a database")?;
        let create = format!("CREATE DATABASE {TEMPLATE}");
        run("psql", &["-X", "-q", "-d", &server.url, "-c", &create])?;
        // Migrations run when a server starts on an empty database.
        let mut muster = Command::new(programs.join("muster"))
            .args(["serve", "--listen", "127.0.0.1:0", "--json", "--log-level", "error"])
            .args(["--store", &format!("{base}/{TEMPLATE}")])
            .current_dir(std::env::temp_dir())
            .stdout(Stdio::piped())
            .spawn()?;
        first_line(&mut muster)?;
        run("kill", &["-TERM", &muster.id().to_string()])?;
        if !muster.wait()?.success() {
            bail!("the template database cannot be migrated");
        }
        Ok(server)
    }
}

fn first_line(process: &mut Child) -> anyhow::Result<String> {
    let output = process.stdout.take().context("its output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    if line.is_empty() {
        bail!("it ended without a word");
    }
    Ok(line.trim_end().to_owned())
}

impl Drop for DatabaseServer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        drop(self.process.wait());
    }
}

/// How long each step took.
#[derive(Default)]
struct Times(Vec<(&'static str, Duration)>);

impl Times {
    fn step<T>(&mut self, name: &'static str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let begun = Instant::now();
        let done = work()?;
        self.0.push((name, begun.elapsed()));
        Ok(done)
    }

    fn print(&self) {
        for (name, time) in &self.0 {
            say(&format!("{:>7.1} s  {name}", time.as_secs_f64()));
        }
        let total: Duration = self.0.iter().map(|(_, time)| *time).sum();
        say(&format!("{:>7.1} s  in all", total.as_secs_f64()));
    }
}
