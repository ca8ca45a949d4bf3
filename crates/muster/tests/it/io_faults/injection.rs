//! Runs the program with a library that makes selected I/O calls fail (`faults.c`, loaded with `LD_PRELOAD`).

use crate::support::{MUSTER, repo_root};
use std::fmt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::sync::OnceLock;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CallKind {
    Write,
    Sync,
    Rename,
    Truncate,
    Mmap,
}

impl CallKind {
    pub(super) const ALL: [Self; 5] = [Self::Write, Self::Sync, Self::Rename, Self::Truncate, Self::Mmap];

    /// The ways in which a call of this kind can fail.
    fn errors(self) -> &'static [&'static str] {
        match self {
            Self::Write => &["EIO", "ENOSPC", "short", "torn"],
            Self::Sync | Self::Rename | Self::Truncate => &["EIO", "ENOSPC"],
            Self::Mmap => &["ENOMEM"],
        }
    }

    fn name(self) -> &'static str {
        ["write", "sync", "rename", "truncate", "mmap"][self as usize]
    }
}

/// The failing call, or the first of all failing calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IoFault {
    pub(super) kind: CallKind,
    /// The ordinal among calls of this kind, from 1.
    pub(super) at: u64,
    /// One of the kind's errors.
    error: &'static str,
    /// Whether all later calls also fail.
    pub(super) is_persistent: bool,
}

impl IoFault {
    /// All faults for `calls` calls of a kind.
    pub(super) fn all(kind: CallKind, calls: u64) -> impl Iterator<Item = Self> {
        let errors = move |at| kind.errors().iter().map(move |error| (at, *error));
        (1..=calls).flat_map(errors).flat_map(move |(at, error)| {
            [false, true].map(|is_lasting| Self { kind, at, error, is_persistent: is_lasting })
        })
    }

    /// The value of `FAULT_ERROR`: an errno or a word.
    fn error_code(&self) -> &'static str {
        match self.error {
            "EIO" => "5",
            "ENOMEM" => "12",
            "ENOSPC" => "28",
            word => word,
        }
    }

    fn duration_word(&self) -> &'static str {
        if self.is_persistent { "always" } else { "once" }
    }
}

impl fmt::Display for IoFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.kind.name(), self.at, self.error, self.duration_word())
    }
}

impl FromStr for IoFault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [kind, at, error, lasts] = parts[..] else { return Err(format!("invalid fault {text}")) };
        let kind = CallKind::ALL.into_iter().find(|one| one.name() == kind).ok_or("unknown kind")?;
        let at = at.parse().map_err(|_| "invalid ordinal")?;
        let error = kind.errors().iter().find(|one| **one == error).ok_or("unknown error")?;
        Ok(Self { kind, at, error, is_persistent: lasts == "always" })
    }
}

/// A folder with fault injection, and files outside of it without: the log, and the library's record.
pub(super) struct Sandbox {
    folder: tempfile::TempDir,
    /// The subfolder with fault injection; empty for all files.
    subfolder: &'static str,
}

/// The size of the library's record: seven numbers and a file name.
const RECORD_BYTES: u64 = 256;
/// The offsets of the number that stops all faults, and of the file name.
const STOPPED_OFFSET: u64 = 48;
const FILE_OFFSET: usize = 56;

impl Sandbox {
    /// Copies the files of a folder.
    pub(super) fn new(template: &Path) -> Self {
        Self::with_part(template, "")
    }

    /// Copies the files of a folder, with fault injection only in one of its subfolders.
    pub(super) fn with_part(template: &Path, part: &'static str) -> Self {
        let stage = Self { folder: tempfile::tempdir().expect("a folder"), subfolder: part };
        std::fs::create_dir(stage.folder.path().join("data")).expect("made");
        for file in std::fs::read_dir(template).expect("read").flatten() {
            std::fs::copy(file.path(), stage.data().join(file.file_name())).expect("copied");
        }
        let record = std::fs::File::create(stage.record()).expect("a file");
        record.set_len(RECORD_BYTES).expect("extended");
        stage
    }

    /// The folder of the program's files, without symbolic links.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().canonicalize().expect("a path").join("data")
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.data().join(name).display().to_string()
    }

    pub(super) fn store(&self) -> String {
        self.path("muster.db")
    }

    /// A file outside the folder.
    pub(super) fn outside_path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn record(&self) -> PathBuf {
        self.outside_path("record")
    }

    /// The program. The library is loaded for faults and for counting only.
    pub(super) fn program(&self, injected: Injection) -> Command {
        let mut command = Command::new(MUSTER);
        // Tests must not depend on free space of the machine's disk.
        command.current_dir(self.folder.path()).env("MUSTER_MIN_FREE_DISK_MIB", "0");
        let fault = match injected {
            Injection::Nothing => return command,
            Injection::Counting => None,
            Injection::Fault(fault) => Some(fault),
        };
        // Joining an empty name would add a slash.
        let folder = if self.subfolder.is_empty() { self.data() } else { self.data().join(self.subfolder) };
        command.env("LD_PRELOAD", library()).env("FAULT_FOLDER", folder).env("FAULT_RECORD", self.record());
        if let Some(fault) = fault {
            let at = fault.at.to_string();
            let settings = [
                ("KIND", fault.kind.name()),
                ("AT", &at),
                ("ERROR", fault.error_code()),
                ("LASTS", fault.duration_word()),
            ];
            command.envs(settings.map(|(name, value)| (format!("FAULT_{name}"), value)));
        }
        command
    }

    fn counters(&self) -> Vec<u64> {
        let bytes = std::fs::read(self.record()).expect("read");
        bytes[..FILE_OFFSET].chunks_exact(8).map(|number| u64::from_le_bytes(number.try_into().expect("8"))).collect()
    }

    /// The number of calls of a kind so far.
    pub(super) fn calls(&self, kind: CallKind) -> u64 {
        self.counters()[kind as usize]
    }

    /// Whether a call has failed so far.
    pub(super) fn has_failed(&self) -> bool {
        self.counters()[CallKind::ALL.len()] > 0
    }

    /// The file of the first failed call.
    pub(super) fn failed_file(&self) -> String {
        let bytes = std::fs::read(self.record()).expect("read");
        let name = String::from_utf8_lossy(&bytes[FILE_OFFSET..]).trim_end_matches('\0').to_owned();
        name.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// Stops all faults.
    pub(super) fn stop_faults(&self) {
        let record = std::fs::File::options().write(true).open(self.record()).expect("opened");
        record.write_all_at(&1_u64.to_le_bytes(), STOPPED_OFFSET).expect("written");
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Injection {
    Nothing,
    Counting,
    Fault(IoFault),
}

impl Injection {
    pub(super) fn fault(self) -> Option<IoFault> {
        match self {
            Self::Fault(fault) => Some(fault),
            Self::Nothing | Self::Counting => None,
        }
    }
}

/// The path of the library, which is compiled once per process. Other processes may compile it concurrently.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        std::fs::create_dir_all(folder).expect("made");
        let (own, path) = (folder.join(format!("faults-{}.so", std::process::id())), folder.join("faults.so"));
        let source = repo_root().join("crates/muster/tests/it/io_faults/faults.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&own).arg(source);
        let output = compiler.output().expect("a C compiler");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::rename(own, &path).expect("named");
        path
    })
}
