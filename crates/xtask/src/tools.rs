//! External tools: `typos` for spelling, `cargo-machete` for unused dependencies and `cargo-cyclonedx` for SBOMs.
//! Missing tools are installed, in the versions below, in a cache outside the target directory, so that `cargo clean`
//! keeps them.

use crate::{print_status, repo_root, run};
use std::path::PathBuf;

/// Pins the version of `typos` and the hashes of its wheels.
const REQUIREMENTS: &str = "crates/xtask/tools/requirements.txt";
const TYPOS: &str = "1.52.0";
const MACHETE: &str = "0.9.2";
const CYCLONEDX: &str = "0.5.9";

/// Installs missing check tools. `cargo xtask test` does this during set-up, to time it apart from the checks.
pub(crate) fn install() -> anyhow::Result<()> {
    if !typos_path().is_file() {
        let folder = typos_dir();
        print_status(&format!("installing typos {TYPOS}"));
        let python = folder.join("bin/python").display().to_string();
        run("python3", &["-m", "venv", "--clear", &folder.display().to_string()])?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"];
        run(&python, &[&pip[..], &["--require-hashes", "--requirement", REQUIREMENTS]].concat())?;
    }
    cargo_tool("cargo-machete", MACHETE).map(|_| ())
}

pub(crate) fn cyclonedx() -> anyhow::Result<PathBuf> {
    cargo_tool("cargo-cyclonedx", CYCLONEDX)
}

/// The path of a tool from crates.io; installs it if it is missing.
fn cargo_tool(name: &str, version: &str) -> anyhow::Result<PathBuf> {
    let folder = cache_dir().join(format!("{name}-{version}"));
    let program = folder.join("bin").join(name);
    if !program.is_file() {
        print_status(&format!("installing {name} {version}"));
        let folder = folder.display().to_string();
        run("cargo", &["install", "--locked", "--quiet", "--version", version, "--root", &folder, name])?;
    }
    Ok(program)
}

/// Checks spelling (`_typos.toml`) and that every dependency is used.
pub(crate) fn check() -> anyhow::Result<()> {
    install()?;
    run(&typos_path().display().to_string(), &[])?;
    // With metadata it recognizes libraries whose name differs from their package, and checks dev-dependencies.
    run(&cargo_tool("cargo-machete", MACHETE)?.display().to_string(), &["--with-metadata", "--skip-target-dir"])
}

/// `muster-tools` in the user's cache folder, or in the target directory if there is none.
fn cache_dir() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(home);
    cache.unwrap_or_else(|| repo_root().join("target")).join("muster-tools")
}

fn typos_dir() -> PathBuf {
    cache_dir().join(format!("typos-{TYPOS}"))
}

fn typos_path() -> PathBuf {
    typos_dir().join("bin/typos")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requirements_pin_the_version_named_here() {
        let text = std::fs::read_to_string(repo_root().join(REQUIREMENTS)).expect("read");
        assert!(text.contains(&format!("typos=={TYPOS} ")), "{text}");
    }
}
