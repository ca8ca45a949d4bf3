//! Developer commands: `cargo xtask test | check | fmt | tidy | fuzz | bench | dist`.

mod fuzz;
mod setup;
mod test;
mod tools;

use anyhow::{Context, bail};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

const HELP: &str = "cargo xtask COMMAND

  test    Run every check and every test, with set-up
          `test --quick`: format, lints, unit tests, transcripts, the store's suite on SQLite
          `test --long`: every test on every engine, longer loops, fresh seeds; before a release
  check   Check formatting, lints and repository rules
  fmt     Format every source file (`cargo fmt` does not find the dialects)
  tidy    Check repository rules
  fuzz    Run a fuzz target: `fuzz NAME [SECONDS]`; list targets without a name
  bench   Run a benchmark on a build of the profile dist; writes bench-results/
          `bench scim`: SCIM with up to a million users; `bench sign-in`: sign-ins and creates;
          `bench fairness`: one tenant under another tenant's load; `bench audit`: verification of a million events;
          `bench import`: imports, exports and backups on both engines; `bench members`: members added to a group;
          `bench gateway`: pushes to simulated targets on both engines;
          `bench --store postgres`: both engines compared, at 100,000 and a million users
  dist    Build what a release publishes, in target/distrib";

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let done = match task.as_str() {
        "test" => test::TestScope::parse(std::env::args().nth(2).as_deref()).and_then(test::test),
        "check" => check(),
        "fmt" => format(&[]),
        "tidy" => tidy(),
        "fuzz" => fuzz::fuzz(&std::env::args().skip(2).collect::<Vec<_>>()),
        "dist" => dist(),
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

/// The root of the repository that cargo runs in. The path at compile time may belong to another clone that shares the
/// target directory.
fn repo_root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(here).join("../..")
}

#[expect(clippy::print_stderr, reason = "a command-line program")]
fn print_status(text: &str) {
    eprintln!("{text}");
}

/// Cargo's target directory, derived from the path of this program.
fn target_dir() -> PathBuf {
    let here = std::env::current_exe().unwrap_or_default();
    here.ancestors().nth(2).map_or_else(|| repo_root().join("target"), PathBuf::from)
}

/// Prints a command and runs it in the repository.
fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    run_with(program, arguments, &[])
}

/// Like [`run`], with environment variables.
fn run_with(program: &str, arguments: &[&str], variables: &[(&str, PathBuf)]) -> anyhow::Result<()> {
    print_status(&format!("+ {program} {}", arguments.join(" ")));
    let mut command = Command::new(program);
    // `cargo run` sets variables of this package that build scripts of dependencies watch. Without removing them, Cargo
    // would rebuild half of the tree whenever `cargo xtask test` and a manual `cargo test` alternate.
    let is_of_this_package = |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|p| name.starts_with(p));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_of_this_package)) {
        command.env_remove(name);
    }
    let variables = variables.iter().map(|(name, value)| (*name, value.as_os_str()));
    let status = command.args(arguments).envs(variables).current_dir(repo_root()).status();
    let status = status.with_context(|| format!("{program} cannot be run"))?;
    if status.success() { Ok(()) } else { bail!("{program} {} failed", arguments.join(" ")) }
}

fn check() -> anyhow::Result<()> {
    style()?;
    run("cargo", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"])
}

/// The checks that do not compile the workspace: formatting, repository rules, spelling, unused dependencies.
fn style() -> anyhow::Result<()> {
    format(&["--check"])?;
    tidy()?;
    tools::check()
}

/// Formats the files that Cargo's targets declare, and the dialects, which a macro declares.
fn format(options: &[&str]) -> anyhow::Result<()> {
    let sources = repo_root().join("crates/dialects/src");
    let mut files = Vec::new();
    for folder in std::fs::read_dir(&sources)? {
        let file = folder?.path().join("mod.rs");
        if file.is_file() {
            files.push(file.display().to_string());
        }
    }
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    run("cargo", &[&["fmt", "--all", "--"], options, &files].concat())
}

/// The rules of the repository are tests of this package.
fn tidy() -> anyhow::Result<()> {
    run("cargo", &["test", "--quiet", "--package", "xtask", "--test", "tidy"])
}

fn bench() -> anyhow::Result<()> {
    run("cargo", &["build", "--profile", "dist", "--package", "muster"])?;
    let mut arguments = vec!["run", "--profile", "dist", "--package", "bench", "--quiet", "--"];
    // `--store postgres` means `postgres`.
    let which = std::env::args().skip(2).find(|argument| argument != "--store");
    arguments.extend(which.as_deref());
    run("cargo", &arguments)
}

/// Builds what a release publishes.
fn dist() -> anyhow::Result<()> {
    let [target, cyclonedx] = [target_dir(), tools::cyclonedx()?].map(|path| path.display().to_string());
    run("sh", &["crates/xtask/tools/dist.sh", &target, &cyclonedx])
}
