//! npm and `PyPI` packages of the clients. Each set is installed once into the user's cache folder, under a key derived
//! from its lock file and the interpreter's version, and is never changed afterwards.

use crate::clients::run_ok;
use crate::support::repo_root;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `muster-tools` in the user's cache folder, or in the target directory if there is none. xtask keeps its tools there.
fn cache_dir() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let folder = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(home);
    folder.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into()).join("muster-tools")
}

/// The folder for `client`, which `install` fills if it is missing. Only a complete folder gets its final name, so an
/// interrupted installation is repeated, and of two concurrent installations the second uses the result of the first.
fn installed(client: &str, lock_file: &str, interpreter: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let lock = std::fs::read(repo_root().join("clients").join(client).join(lock_file)).expect("a lock file");
    let digest = ring::digest::digest(&ring::digest::SHA256, &[interpreter.as_bytes(), b"\0", &lock].concat());
    let key = store::hex(&digest.as_ref()[..8]);
    let folder = cache_dir().join(format!("{client}-{key}"));
    if !folder.is_dir() {
        std::fs::create_dir_all(cache_dir()).expect("the cache folder");
        let incomplete =
            tempfile::Builder::new().prefix("incomplete-").tempdir_in(cache_dir()).expect("a temporary folder");
        install(incomplete.path());
        if let Err(error) = std::fs::rename(incomplete.path().join("packages"), &folder) {
            assert!(folder.is_dir(), "{}: {error}", folder.display());
        }
    }
    folder
}

/// `node_modules` of a client.
pub(crate) fn npm(client: &str) -> PathBuf {
    let version = ["-p", "[process.version, process.platform, process.arch].join()"];
    let interpreter = run_ok(Command::new("node").args(version));
    let folder = installed(client, "package-lock.json", &interpreter, |incomplete| {
        let packages = incomplete.join("packages");
        std::fs::create_dir(&packages).expect("a folder");
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(repo_root().join("clients").join(client).join(file), packages.join(file)).expect("copied");
        }
        run_ok(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(packages));
    });
    folder.join("node_modules")
}

/// The modules and programs of a client. The virtual environment only provides pip, because it cannot be moved after
/// creation.
pub(crate) fn pypi(client: &str) -> PathBuf {
    let version = ["-c", "import sys, sysconfig; print(sys.version, sysconfig.get_platform())"];
    let interpreter = run_ok(Command::new("python3").args(version));
    installed(client, "requirements.txt", &interpreter, |incomplete| {
        run_ok(Command::new("python3").args(["-m", "venv", "env"]).current_dir(incomplete));
        let requirements = repo_root().join("clients").join(client).join("requirements.txt");
        let requirements = requirements.canonicalize().expect("requirements");
        run_ok(
            Command::new(incomplete.join("env/bin/python"))
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", "packages"])
                .arg("-r")
                .arg(requirements)
                .current_dir(incomplete),
        );
    })
}

/// `cargo xtask test` runs this first, so that no other test waits for an installation.
#[test]
fn every_client_is_installed() {
    for client in ["browser", "openapi-ts", "scimmy", "servicestack-js"] {
        assert!(npm(client).is_dir(), "{client}");
    }
    for client in ["openapi-python", "schemathesis", "scim2-py", "scim2-server", "servicestack-py"] {
        assert!(pypi(client).is_dir(), "{client}");
    }
}
