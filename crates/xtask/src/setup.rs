//! What the tests need besides Rust and a C compiler: curl, Node.js with npm, Python with venv, Chromium with a font,
//! PostgreSQL's server and PgBouncer, which the tests start by themselves, and age. On Debian what is missing is
//! installed; elsewhere it is said.

use crate::{print_status, run};
use anyhow::bail;
use std::path::Path;
use std::process::{Command, Stdio};

/// A program the tests run, how to see that it works, and the Debian package it is in.
const REQUIRED_PROGRAMS: [(&str, &[&str], &str); 11] = [
    ("curl", &["--version"], "curl"),
    ("node", &["--version"], "nodejs"),
    ("npm", &["--version"], "npm"),
    ("python3", &["--version"], "python3"),
    ("python3", &["-c", "import venv, ensurepip"], "python3-venv"),
    // Distributions keep the server's own programs off the path.
    ("sh", &["-c", "PATH=\"$PATH:$(echo /usr/lib/postgresql/*/bin | tr ' ' ':')\" initdb --version"], "postgresql"),
    ("sh", &["-c", "PATH=\"$PATH:/usr/sbin\" pgbouncer --version"], "pgbouncer"),
    // Without a user interface it needs half the processor time; outside Debian any Chromium will do.
    (
        "sh",
        &["-c", "chromium-headless-shell --version || { ! test -e /etc/debian_version && chromium --version; }"],
        "chromium-headless-shell",
    ),
    // Pages without a font are hard to look at.
    (
        "sh",
        &["-c", "find /usr/share/fonts /System/Library/Fonts -name '*.tt[fc]' | grep --quiet ."],
        "fonts-dejavu-core",
    ),
    // Backups go through it.
    ("age", &["--version"], "age"),
    ("sh", &["-c", "command -v ps && command -v pgrep"], "procps"),
];

/// What long runs need, too.
const REQUIRED_FOR_LONG_RUNS: [(&str, &[&str], &str); 1] =
    [("sh", &["-c", "PATH=\"$PATH:/usr/sbin\" pgpool --version"], "pgpool2")];

/// Makes sure everything is there.
pub(crate) fn prepare(is_long: bool) -> anyhow::Result<()> {
    let longer = REQUIRED_FOR_LONG_RUNS.iter().filter(|_| is_long);
    let missing: Vec<&str> = REQUIRED_PROGRAMS
        .iter()
        .chain(longer)
        .filter(|(p, a, _)| !is_available(p, a))
        .map(|(_, _, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !Path::new("/etc/debian_version").exists() {
        bail!("the tests need {}: please install them and run this again", missing.join(", "));
    }
    print_status(&format!("installing {}", missing.join(", ")));
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    let apt = |arguments: &[&str]| {
        if is_root { run("apt-get", arguments) } else { run("sudo", &[&["apt-get"], arguments].concat()) }
    };
    apt(&["update", "--quiet"])?;
    apt(&[&["install", "--yes", "--quiet", "--no-install-recommends"], missing.as_slice()].concat())
}

pub(crate) fn is_available(program: &str, arguments: &[&str]) -> bool {
    let quiet = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}
