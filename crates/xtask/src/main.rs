//! The developer's commands: `cargo xtask test | check | tidy | bench`.

#[cfg(feature = "bench")]
mod bench;
mod setup;
mod tidy;

use anyhow::{Context, bail};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

const HELP: &str = "cargo xtask COMMAND

  test    every check and every test, with all the set-up they need
  check   formatting, lints and house rules only
  tidy    house rules only
  bench   the benchmark, on a release build; writes bench-results/";

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let done = match task.as_str() {
        "test" => test(),
        "check" => check(),
        "tidy" => tidy::run(&root()),
        "bench" => bench_on_release(),
        #[cfg(feature = "bench")]
        "bench-run" => bench::run(&root()),
        #[cfg(feature = "bench")]
        "bench-serve" => bench::yardsticks::serve(),
        _ => Err(anyhow::anyhow!("{HELP}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The repository's root.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[expect(clippy::print_stderr, reason = "this is the developer's terminal")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// Runs a command in the repository and shows it; an error when it fails.
fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    say(&format!("+ {program} {}", arguments.join(" ")));
    let status = Command::new(program).args(arguments).current_dir(root()).status();
    let status = status.with_context(|| format!("{program} cannot be run"))?;
    if status.success() { Ok(()) } else { bail!("{program} {} failed", arguments.join(" ")) }
}

fn check() -> anyhow::Result<()> {
    run("cargo", &["fmt", "--all", "--check"])?;
    tidy::run(&root())?;
    run("cargo", &["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"])?;
    let bench =
        ["clippy", "--package", "xtask", "--features", "bench", "--quiet", "--", "--deny", "warnings"];
    run("cargo", &bench)
}

fn test() -> anyhow::Result<()> {
    setup::prepare()?;
    check()?;
    run("cargo", &["test", "--workspace"])
}

fn bench_on_release() -> anyhow::Result<()> {
    run("cargo", &["build", "--release", "--package", "muster"])?;
    run(
        "cargo",
        &["run", "--release", "--package", "xtask", "--features", "bench", "--quiet", "--", "bench-run"],
    )
}
