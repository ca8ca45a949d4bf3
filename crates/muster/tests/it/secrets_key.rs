//! The master key of servers and commands in tests.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The variable that names the master key of servers and commands.
pub(crate) fn secrets_key() -> (&'static str, PathBuf) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("master-key");
    if let Ok(mut file) = File::options().write(true).create_new(true).mode(0o600).open(&path) {
        file.write_all("5c".repeat(32).as_bytes()).expect("written");
    }
    ("MUSTER_SECRETS_KEY", path)
}
