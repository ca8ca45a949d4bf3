//! Tools that check the repository and are not crates of this workspace: `typos` for spelling and `cargo-machete` for
//! unused dependencies. Missing ones are installed in the versions named here, in a cache outside the target directory, so
//! that `cargo clean` leaves them.

use crate::{print_status, repo_root, run};
use std::path::PathBuf;

/// Pins the version of `typos` and the hashes of its wheels.
const REQUIREMENTS: &str = "crates/xtask/tools/requirements.txt";
const TYPOS: &str = "1.52.0";
const MACHETE: &str = "0.9.2";

/// Installs the tools that are missing, so that a later check does not spend its time on it.
pub(crate) fn install() -> anyhow::Result<()> {
    if !typos_path().is_file() {
        let folder = typos_dir();
        print_status(&format!("installing typos {TYPOS}"));
        let python = folder.join("bin/python").display().to_string();
        run("python3", &["-m", "venv", "--clear", &folder.display().to_string()])?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"];
        run(&python, &[&pip[..], &["--require-hashes", "--requirement", REQUIREMENTS]].concat())?;
    }
    if !machete_path().is_file() {
        print_status(&format!("installing cargo-machete {MACHETE}"));
        let folder = machete_dir().display().to_string();
        let arguments = ["install", "--locked", "--quiet", "--version", MACHETE, "--root", &folder];
        run("cargo", &[&arguments[..], &["cargo-machete"]].concat())?;
    }
    Ok(())
}

/// Checks spelling (`_typos.toml`) and that every dependency is used.
pub(crate) fn check() -> anyhow::Result<()> {
    install()?;
    run(&typos_path().display().to_string(), &[])?;
    // With metadata it knows libraries that are not called as their packages, and looks at what only tests need.
    run(&machete_path().display().to_string(), &["--with-metadata", "--skip-target-dir"])
}

/// `muster-tools` in the user's cache folder, or in the target directory where there is none.
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

fn machete_dir() -> PathBuf {
    cache_dir().join(format!("cargo-machete-{MACHETE}"))
}

fn machete_path() -> PathBuf {
    machete_dir().join("bin/cargo-machete")
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
