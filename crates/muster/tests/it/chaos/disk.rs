//! A disk that can be filled: a tmpfs if this user may mount one, otherwise a size limit on the server's files, which
//! has nearly the same effect on a store.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Mounts, waits for the end of its input, and unmounts, however the test ends.
const SCRIPT: &str = "if mount -t tmpfs -o size=4g,mode=700 muster-test \"$1\" 2>/dev/null; then echo mounted; cat >/dev/null; \
    umount -l \"$1\"; else echo no; fi";

/// The file size limit in bytes that simulates a full disk: a log of a few transactions fits.
const FULL_DISK_FILE_LIMIT: &str = "65536";

/// A folder for a store. Unmounted when dropped.
pub(super) struct Disk {
    mount: Option<Child>,
    folder: tempfile::TempDir,
}

impl Disk {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "sh"]).arg(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        // Ctrl-C must reach only the test.
        let mut child = command.process_group(0).spawn().expect("a shell");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("output")).read_line(&mut line).expect("a line");
        let mount = if line.trim() == "mounted" {
            Some(child)
        } else {
            child.wait().expect("ended");
            None
        };
        Self { mount, folder }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }

    /// Leaves no free space to a process.
    pub(super) fn fill(&self, process: u32) {
        if self.mount.is_none() {
            set_file_size_limit(process, FULL_DISK_FILE_LIMIT);
            return;
        }
        let begun = Instant::now();
        // Retry: the used space may grow in between.
        while !remount(self.folder.path(), &used_bytes(self.folder.path()).to_string()) {
            assert!(begun.elapsed() < Duration::from_secs(10), "the file system cannot be made smaller");
        }
    }

    /// Frees the space.
    pub(super) fn free_space(&self, process: u32) {
        if self.mount.is_none() {
            set_file_size_limit(process, "unlimited");
            return;
        }
        assert!(remount(self.folder.path(), "4g"), "the file system cannot be made larger");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(mount) = &mut self.mount {
            drop(mount.stdin.take());
            drop(mount.wait());
        }
    }
}

/// Sets the soft limit, which the process's owner may raise again.
fn set_file_size_limit(process: u32, bytes: &str) {
    let limit = [format!("--pid={process}"), format!("--fsize={bytes}:")];
    let is_set = Command::new("prlimit").args(limit).status().is_ok_and(|status| status.success());
    assert!(is_set, "prlimit (util-linux) failed");
}

fn remount(folder: &Path, size: &str) -> bool {
    let mut command = Command::new("mount");
    command.args(["-o", &format!("remount,size={size}")]).arg(folder).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Bytes in use.
fn used_bytes(folder: &Path) -> u64 {
    let output = Command::new("df").args(["--output=used", "-B1"]).arg(folder).output().expect("df");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().nth(1).and_then(|line| line.trim().parse().ok()).expect("a number")
}
