//! The developer's commands: `cargo xtask test | check | tidy | fuzz | bench`.

mod cycles;
mod dependencies;
mod fuzz;
mod setup;
mod test;
mod tidy;
mod tools;

use anyhow::{Context, bail};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

const HELP: &str = "cargo xtask COMMAND

  test    every check and every test, with all the set-up they need
          `test --quick`: format, lints, unit tests, transcripts, the store's suite on SQLite
          `test --long`: every test on every engine, longer loops, fresh seeds; before a release
  check   formatting, lints and house rules only
  tidy    house rules only
  fuzz    a fuzz target for a while: `fuzz NAME [SECONDS]`; without a name it lists them
  bench   the benchmark, on a build of the profile dist; writes bench-results/
          `bench scim`: the standard dialect, up to a million people; `bench sign-in`: sign-ins beside creates;
          `bench audit`: proving a million events; `bench import`: files in and out, backups, on both engines
          `bench --store postgres`: both engines side by side, at 100,000 and a million people";

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let done = match task.as_str() {
        "test" => test::TestScope::parse(std::env::args().nth(2).as_deref()).and_then(test::test),
        "check" => check(),
        "tidy" => tidy::run(&repo_root()),
        "fuzz" => fuzz::fuzz(&std::env::args().skip(2).collect::<Vec<_>>()),
        "bench" => bench(),
        _ => Err(anyhow::anyhow!("{HELP}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_status(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The root of the repository that cargo was called in. What was there at compile time may be another clone's, where
/// several share what they have built.
fn repo_root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(here).join("../..")
}

#[expect(clippy::print_stderr, reason = "this is the developer's terminal")]
fn print_status(text: &str) {
    eprintln!("{text}");
}

/// Where cargo puts what it builds: this program is in a folder of it.
fn target_dir() -> PathBuf {
    let here = std::env::current_exe().unwrap_or_default();
    here.ancestors().nth(2).map_or_else(|| repo_root().join("target"), PathBuf::from)
}

/// Runs a command in the repository and shows it; an error when it fails.
fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    run_with(program, arguments, &[])
}

/// The same with variables.
fn run_with(program: &str, arguments: &[&str], variables: &[(&str, PathBuf)]) -> anyhow::Result<()> {
    print_status(&format!("+ {program} {}", arguments.join(" ")));
    let mut command = Command::new(program);
    // `cargo run` describes this package in variables that build scripts of dependencies watch: left in, Cargo would rebuild
    // half of the tree whenever `cargo xtask test` follows a `cargo test` by hand, and the other way round.
    let is_of_this_package = |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|p| name.starts_with(p));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_of_this_package)) {
        command.env_remove(name);
    }
    let variables = variables.iter().map(|(name, value)| (*name, value.as_os_str()));
    let status = command.args(arguments).envs(variables).current_dir(repo_root()).status();
    let status = status.with_context(|| format!("{program} cannot be run"))?;
    if status.success() { Ok(()) } else { bail!("{program} {} failed", arguments.join(" ")) }
}

/// Style and lints, without tests.
fn check() -> anyhow::Result<()> {
    style()?;
    run("cargo", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"])
}

/// What needs no compiler: formatting, house rules, spelling, unused dependencies.
fn style() -> anyhow::Result<()> {
    run("cargo", &["fmt", "--all", "--check"])?;
    tidy::run(&repo_root())?;
    tools::check()
}

fn bench() -> anyhow::Result<()> {
    run("cargo", &["build", "--profile", "dist", "--package", "muster"])?;
    let mut arguments = vec!["run", "--profile", "dist", "--package", "bench", "--quiet", "--"];
    // `--store postgres` and `postgres` are the same.
    let which = std::env::args().skip(2).find(|argument| argument != "--store");
    arguments.extend(which.as_deref());
    run("cargo", &arguments)
}
