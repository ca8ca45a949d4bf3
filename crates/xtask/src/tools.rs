//! Tools that check the repository and are not crates of this workspace: `typos` for spelling and `cargo-machete` for
//! unused dependencies. Missing ones are installed in the versions named here, in a cache outside the target directory, so
//! that `cargo clean` leaves them.

use crate::{root, run, say};
use std::path::PathBuf;

/// Pins the version of `typos` and the hashes of its wheels.
const REQUIREMENTS: &str = "crates/xtask/tools/requirements.txt";
const TYPOS: &str = "1.52.0";
const MACHETE: &str = "0.9.2";

/// Installs the tools that are missing, so that a later check does not spend its time on it.
pub(crate) fn install() -> anyhow::Result<()> {
    if !typos().is_file() {
        let folder = typos_folder();
        say(&format!("installing typos {TYPOS}"));
        let python = folder.join("bin/python").display().to_string();
        run("python3", &["-m", "venv", "--clear", &folder.display().to_string()])?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"];
        run(&python, &[&pip[..], &["--require-hashes", "--requirement", REQUIREMENTS]].concat())?;
    }
    if !machete().is_file() {
        say(&format!("installing cargo-machete {MACHETE}"));
        let folder = machete_folder().display().to_string();
        let arguments = ["install", "--locked", "--quiet", "--version", MACHETE, "--root", &folder];
        run("cargo", &[&arguments[..], &["cargo-machete"]].concat())?;
    }
    Ok(())
}

/// Checks spelling (`_typos.toml`) and that every dependency is used.
pub(crate) fn check() -> anyhow::Result<()> {
    install()?;
    run(&typos().display().to_string(), &[])?;
    // With metadata it knows libraries that are not called as their packages, and looks at what only tests need.
    run(&machete().display().to_string(), &["--with-metadata", "--skip-target-dir"])
}

/// `muster-tools` in the user's cache folder, or in the target directory where there is none.
fn folder() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(home);
    cache.unwrap_or_else(|| root().join("target")).join("muster-tools")
}

fn typos_folder() -> PathBuf {
    folder().join(format!("typos-{TYPOS}"))
}

fn typos() -> PathBuf {
    typos_folder().join("bin/typos")
}

fn machete_folder() -> PathBuf {
    folder().join(format!("cargo-machete-{MACHETE}"))
}

fn machete() -> PathBuf {
    machete_folder().join("bin/cargo-machete")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requirements_pin_the_version_named_here() {
        let text = std::fs::read_to_string(root().join(REQUIREMENTS)).expect("read");
        assert!(text.contains(&format!("typos=={TYPOS} ")), "{text}");
    }
}
