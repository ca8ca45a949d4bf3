//! A file that gets its name when it is complete, and never takes the place of another.

use std::fs::{File, Permissions};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::{Builder, NamedTempFile};

/// A file that is being written. It has a temporary name beside the final one, and is removed if it is not completed.
pub(crate) struct NewFile {
    part: NamedTempFile,
    path: PathBuf,
}

impl NewFile {
    /// Creates the file, which its owner alone can read.
    ///
    /// # Errors
    /// The name is taken, or the folder cannot be written.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        if path.symlink_metadata().is_ok() {
            return Err(taken());
        }
        let name = path.file_name().ok_or_else(|| Error::from(ErrorKind::InvalidInput))?;
        let mut prefix = name.to_owned();
        prefix.push(".");
        let part = Builder::new()
            .prefix(&prefix)
            .suffix(".part")
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(folder(path))?;
        Ok(Self { part, path: path.into() })
    }

    pub(crate) fn file(&self) -> &File {
        self.part.as_file()
    }

    /// Where it is until it gets its name.
    pub(crate) fn part(&self) -> &Path {
        self.part.path()
    }

    /// Gives the file its name, once its content is on the disk.
    ///
    /// # Errors
    /// The name was taken meanwhile, or something could not be written.
    pub(crate) fn publish(self) -> Result<()> {
        self.part.as_file().sync_all()?;
        self.part.persist_noclobber(&self.path).map_err(|error| match error.error.kind() {
            ErrorKind::AlreadyExists => taken(),
            _ => error.error,
        })?;
        // A name is as safe as what it names.
        File::open(folder(&self.path))?.sync_all()
    }
}

fn taken() -> Error {
    Error::new(ErrorKind::AlreadyExists, "the file is there already; choose another name")
}

fn folder(path: &Path) -> &Path {
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
}
