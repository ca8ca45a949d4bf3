//! Programs that the tests need besides Rust and a C compiler: curl, Node.js with npm, Python with venv, Chromium
//! with a font, the PostgreSQL server, PgBouncer, and age. Missing ones are installed on Debian and listed elsewhere.

use crate::{print_status, run};
use anyhow::bail;
use std::path::Path;
use std::process::{Command, Stdio};

/// A program, arguments that succeed if it works, and its Debian package.
const REQUIRED_PROGRAMS: [(&str, &[&str], &str); 11] = [
    ("curl", &["--version"], "curl"),
    ("node", &["--version"], "nodejs"),
    ("npm", &["--version"], "npm"),
    ("python3", &["--version"], "python3"),
    ("python3", &["-c", "import venv, ensurepip"], "python3-venv"),
    // Distributions install the server programs outside `PATH`.
    ("sh", &["-c", "PATH=\"$PATH:$(echo /usr/lib/postgresql/*/bin | tr ' ' ':')\" initdb --version"], "postgresql"),
    ("sh", &["-c", "PATH=\"$PATH:/usr/sbin\" pgbouncer --version"], "pgbouncer"),
    // The headless shell needs half the CPU time. Outside Debian, any Chromium works.
    (
        "sh",
        &["-c", "chromium-headless-shell --version || { ! test -e /etc/debian_version && chromium --version; }"],
        "chromium-headless-shell",
    ),
    // Chromium renders no text without a font.
    (
        "sh",
        &["-c", "find /usr/share/fonts /System/Library/Fonts -name '*.tt[fc]' | grep --quiet ."],
        "fonts-dejavu-core",
    ),
    // Encrypted backups are piped through age.
    ("age", &["--version"], "age"),
    ("sh", &["-c", "command -v ps && command -v pgrep"], "procps"),
];

const REQUIRED_FOR_LONG_RUNS: [(&str, &[&str], &str); 1] =
    [("sh", &["-c", "PATH=\"$PATH:/usr/sbin\" pgpool --version"], "pgpool2")];

/// Installs missing programs.
///
/// # Errors
/// If programs are missing and this is not Debian.
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
        bail!("the tests need {} (install them and run this again)", missing.join(", "));
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
