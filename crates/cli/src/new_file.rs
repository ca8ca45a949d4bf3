//! A file that gets its name when it is complete and never replaces another.

use std::fs::{File, Permissions};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::{Builder, NamedTempFile};

const TEMP_SUFFIX: &str = ".part";
/// Random characters of the temporary name.
const RANDOM_CHARS: usize = 6;
/// An unlocked temporary file that was not written for this long belongs to a killed process.
const ABANDONED_AFTER: Duration = Duration::from_mins(1);

/// A file that is being written. It has a temporary name in the same directory and is locked. Unless published, it is
/// removed on drop.
pub(crate) struct NewFile {
    temp: NamedTempFile,
    path: PathBuf,
}

impl NewFile {
    /// Creates the file with mode 0600. Fails if the name exists.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        if path.symlink_metadata().is_ok() {
            return Err(already_exists());
        }
        let name = path.file_name().ok_or_else(|| Error::from(ErrorKind::InvalidInput))?;
        let mut prefix = name.to_owned();
        prefix.push(".");
        remove_abandoned(parent_dir(path), prefix.as_encoded_bytes());
        let part = Builder::new()
            .prefix(&prefix)
            .suffix(TEMP_SUFFIX)
            .rand_bytes(RANDOM_CHARS)
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(parent_dir(path))?;
        // May fail on file systems without locks. There, `remove_abandoned` removes nothing, since it needs locks, too.
        drop(part.as_file().try_lock());
        Ok(Self { temp: part, path: path.into() })
    }

    pub(crate) fn file(&self) -> &File {
        self.temp.as_file()
    }

    /// The path until the file is published.
    pub(crate) fn temp_path(&self) -> &Path {
        self.temp.path()
    }

    /// Gives the file its final name, after its content is on disk. Fails if the name exists by now.
    pub(crate) fn publish(self) -> Result<()> {
        self.temp.as_file().sync_all()?;
        if let Err(error) = self.temp.persist_noclobber(&self.path) {
            match error.error.kind() {
                ErrorKind::AlreadyExists => return Err(already_exists()),
                // The file system supports neither links nor a rename that does not replace.
                ErrorKind::Unsupported | ErrorKind::InvalidInput | ErrorKind::PermissionDenied => {
                    replace_empty(error.file, &self.path)?;
                }
                _ => return Err(error.error),
            }
        }
        // Make the name durable, too.
        match File::open(parent_dir(&self.path)).and_then(|folder| folder.sync_all()) {
            // The directory is not readable, or its file system does not support this.
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput) => Ok(()),
            done => done,
        }
    }
}

/// Reserves the name with an empty file, then replaces it.
fn replace_empty(part: NamedTempFile, path: &Path) -> Result<()> {
    File::create_new(path)
        .map_err(|error| if error.kind() == ErrorKind::AlreadyExists { already_exists() } else { error })?;
    part.persist(path).map(|_| ()).map_err(|error| {
        drop(std::fs::remove_file(path));
        error.error
    })
}

/// Removes temporary files of killed processes that wrote the same file.
fn remove_abandoned(folder: &Path, prefix: &[u8]) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let is_part = name.starts_with(prefix)
            && name.ends_with(TEMP_SUFFIX.as_bytes())
            && name.len() == prefix.len() + RANDOM_CHARS + TEMP_SUFFIX.len();
        let file = entry.metadata().ok().filter(|file| is_part && file.is_file());
        let age = file.and_then(|file| file.modified().ok()?.elapsed().ok());
        if age.is_some_and(|age| age > ABANDONED_AFTER)
            && File::open(entry.path()).is_ok_and(|part| part.try_lock().is_ok())
        {
            drop(std::fs::remove_file(entry.path()));
        }
    }
}

fn already_exists() -> Error {
    Error::new(ErrorKind::AlreadyExists, "the file already exists; choose another name")
}

fn parent_dir(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_first_to_end_gets_the_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("b.bak");
        let [one, two] = ["one", "two"].map(|text| {
            let new = NewFile::create(&path).expect("created");
            new.file().write_all(text.as_bytes()).expect("written");
            new
        });
        one.publish().expect("published");
        assert_eq!(two.publish().expect_err("taken").kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "one");
        assert!(NewFile::create(&path).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 1, "no part is left");
    }

    #[test]
    fn what_a_killed_process_left_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let names =
            ["b.bak.aaaaaa.part", "b.bak.bbbbbb.part", "b.bak.cccccc.part", "c.bak.aaaaaa.part", "b.bak.2.part"];
        let [_, locked, recent, ..] = names.map(|name| {
            let file = File::create(folder.path().join(name)).expect("created");
            let now = file.metadata().and_then(|file| file.modified()).expect("a time");
            file.set_modified(now - Duration::from_mins(2)).expect("set");
            (file, now)
        });
        locked.0.lock().expect("locked");
        recent.0.set_modified(recent.1).expect("set");
        drop(NewFile::create(&folder.path().join("b.bak")).expect("created"));
        let left = names.map(|name| folder.path().join(name).exists());
        assert_eq!(left, [false, true, true, true, true]);
    }
}
