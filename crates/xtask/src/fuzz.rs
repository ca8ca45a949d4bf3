//! `cargo xtask fuzz NAME [SECONDS]`: builds a fuzz target and runs it with libFuzzer.
//!
//! It works with stable Rust: libFuzzer's coverage instrumentation is an LLVM pass that rustc can run by name.

use crate::setup::is_available;
use crate::{print_status, repo_root, run, run_with, target_dir};
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiler arguments: counters for every edge, their PC table, and callbacks at comparisons.
const RUSTFLAGS: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// The default duration.
const SECONDS: u32 = 300;

/// `NAME [SECONDS]` runs a target. `NAME merge` adds inputs of earlier runs to the repository's corpus if they reach
/// new code. Without arguments, lists the targets.
pub(crate) fn fuzz(arguments: &[String]) -> anyhow::Result<()> {
    let folder = repo_root().join("fuzz").canonicalize().context("the folder fuzz is missing")?;
    let targets = targets(&folder)?;
    let Some(name) = arguments.first() else {
        print_status(&format!("usage: cargo xtask fuzz NAME [SECONDS | merge]\ntargets: {}", targets.join(", ")));
        return Ok(());
    };
    if !targets.contains(name) {
        bail!("unknown fuzz target {name} (targets: {})", targets.join(", "));
    }
    let program = build(&folder, name)?;
    let (corpus, found) = (folder.join("corpus").join(name), target_dir().join("fuzz/found").join(name));
    let artifacts = folder.join("artifacts").join(name);
    for folder in [&corpus, &found, &artifacts] {
        std::fs::create_dir_all(folder)?;
    }
    let path = |path: &Path| path.display().to_string();
    let mut call = vec!["-timeout=10".to_owned(), "-rss_limit_mb=1024".into()];
    call.push(format!("-artifact_prefix={}/", path(&artifacts)));
    match arguments.get(1).map(String::as_str) {
        Some("merge") => call.extend(["-set_cover_merge=1".into(), path(&corpus), path(&found)]),
        seconds => {
            let seconds = seconds.map_or(Ok(SECONDS), str::parse).context("SECONDS must be a number")?;
            call.push(format!("-max_total_time={seconds}"));
            call.push("-print_final_stats=1".into());
            let words = folder.join("words").join(name);
            call.extend(words.is_file().then(|| format!("-dict={}", path(&words))));
            // libFuzzer writes new inputs to the first folder.
            call.extend([path(&found), path(&corpus)]);
        }
    }
    let call: Vec<&str> = call.iter().map(String::as_str).collect();
    run(&path(&program), &call)
}

fn targets(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.join("targets"))? {
        names.extend(entry?.path().file_stem().and_then(|name| name.to_str()).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Builds a target and returns the path of its program.
fn build(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    if !is_available("c++", &["--version"]) {
        bail!("libFuzzer needs a C++ compiler (install g++)");
    }
    let about = Command::new("rustc").arg("-vV").output().context("rustc cannot be run")?;
    let about = String::from_utf8_lossy(&about.stdout);
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc reports no host")?;
    let (manifest, built) = (folder.join("Cargo.toml"), target_dir().join("fuzz"));
    // With `--target`, RUSTFLAGS do not apply to build scripts and macros.
    let arguments = ["build", "--release", "--locked", "--target", host, "--bin", name, "--manifest-path"];
    let manifest = manifest.display().to_string();
    let arguments = [&arguments[..], &[manifest.as_str()]].concat();
    run_with("cargo", &arguments, &[("RUSTFLAGS", RUSTFLAGS.into()), ("CARGO_TARGET_DIR", built.clone())])?;
    Ok(built.join(host).join("release").join(name))
}
