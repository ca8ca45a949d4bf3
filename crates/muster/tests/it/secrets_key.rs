//! The master key of servers and commands in tests.

use crate::support::is_on_postgres;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The variable that names the master key; on PostgreSQL there is no file to put it beside.
pub(crate) fn secrets_key() -> Option<(&'static str, PathBuf)> {
    if !is_on_postgres() {
        return None;
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("master-key");
    if let Ok(mut file) = File::options().write(true).create_new(true).mode(0o600).open(&path) {
        file.write_all("5c".repeat(32).as_bytes()).expect("written");
    }
    Some(("MUSTER_SECRETS_KEY", path))
}
