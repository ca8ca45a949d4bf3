//! Backups through pipes: to standard output, from standard input, truncated, damaged, and rejected on a terminal.

use super::{assert_sound, muster_command, run, run_in_terminal, run_json, store_with_users, tenant_digests};
use crate::support::{MUSTER, TestStore};
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// Enough that a backup exceeds the pipe buffer.
const USERS: u32 = 2_500;

fn spawn(store: &str, arguments: &[&str]) -> Child {
    let mut command = muster_command(store, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started")
}

/// Runs a command with `input` on its standard input; the command may read only a part.
fn run_with_input(store: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = spawn(store, arguments);
    let mut stdin = child.stdin.take().expect("input");
    std::thread::scope(|scope| {
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().expect("ended")
    })
}

/// Backs up a store to standard output.
fn backup(store: &str) -> Vec<u8> {
    let output = run(store, &["backup", "-"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The error message of a command that must fail, from its JSON output in `stream`.
fn error_message(output: &Output, stream: &[u8]) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&text));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
    let document: Value = serde_json::from_slice(stream).expect("a JSON document");
    document["error"].as_str().expect("an error").to_owned()
}

fn file_names(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).expect("read").map(|file| file.expect("read").file_name());
    files.map(|name| name.to_string_lossy().into_owned()).collect()
}

#[test]
fn a_backup_goes_through_a_pipe_and_back() {
    let place = store_with_users(50);
    let at = |name: &str| place.folder.path().join(name).display().to_string();
    let wanted = tenant_digests(&run_json(&place.store, &["backup", &at("file")]));
    let output = run(&place.store, &["backup", "-"]);
    let said_of_it: Value = serde_json::from_slice(&output.stderr).expect("one JSON document");
    assert_eq!(tenant_digests(&said_of_it), wanted);
    assert_eq!(said_of_it["file"], "-");
    assert_eq!(said_of_it["bytes"], output.stdout.len());
    assert_eq!(said_of_it["readBack"], false);

    let target = TestStore::new();
    let restored = run_with_input(&target.store, &["restore", "-"], &output.stdout);
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stdout));
    assert_eq!(tenant_digests(&serde_json::from_slice(&restored.stdout).expect("JSON")), wanted);
    assert_sound(&target.store);
    let left: Vec<String> = file_names(target.folder.path());
    assert!(left.iter().all(|name| name.starts_with("muster.db")), "{left:?}");

    // Piped backups and backup files have the same format.
    std::fs::write(at("piped"), &output.stdout).expect("written");
    assert_eq!(tenant_digests(&run_json(&TestStore::new().store, &["restore", &at("piped")])), wanted);
    let file = std::fs::read(at("file")).expect("read");
    assert!(run_with_input(&TestStore::new().store, &["restore", "-"], &file).status.success());
    // A check needs no writable store.
    let checked = run_with_input("/nowhere/at/all.db", &["restore", "-", "--check-only"], &file);
    assert_eq!(tenant_digests(&serde_json::from_slice(&checked.stdout).expect("JSON")), wanted);
}

#[test]
fn messages_go_to_standard_error() {
    let place = store_with_users(5);
    let output = Command::new(MUSTER).args(["--store", &place.store, "backup", "-"]).output().expect("ran");
    assert!(output.status.success() && output.stdout.starts_with(b"MUSTER BACKUP 2\n"));
    let text = String::from_utf8(output.stderr).expect("text");
    assert!(text.contains("checked while it was written") && text.contains("not read back"), "{text}");
    assert!(text.contains("TENANT") && text.contains(&format!("{} bytes", output.stdout.len())), "{text}");
    // So do errors, so that no backup file contains a message.
    for arguments in [&["--json", "--store", "/nowhere/s.db", "backup", "-"][..], &["backup", "-", "--config", "/no"]] {
        let output = Command::new(MUSTER).args(arguments).output().expect("ran");
        assert!(!output.status.success() && output.stdout.is_empty());
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn a_pipe_that_is_closed_early_is_an_error() {
    let place = store_with_users(USERS);
    // Closed during the backup, as with `| head -c 10`.
    let mut child = spawn(&place.store, &["backup", "-"]);
    let mut head = [0; 10];
    child.stdout.take().expect("output").read_exact(&mut head).expect("read");
    assert_eq!(&head, b"MUSTER BAC");
    let output = child.wait_with_output().expect("ended");
    let what = error_message(&output, &output.stderr);
    assert!(what.contains("no complete backup was written") && what.contains("closed the pipe"), "{what}");
    // Closed before the backup.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = muster_command(&place.store, &["backup", "-"]).stdout(writer).output().expect("ran");
    assert!(error_message(&output, &output.stderr).contains("closed the pipe"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_output_device_is_an_error() {
    let place = store_with_users(5);
    let full = File::options().write(true).open("/dev/full").expect("opened");
    let output = muster_command(&place.store, &["backup", "-"]).stdout(full).output().expect("ran");
    assert!(error_message(&output, &output.stderr).contains("No space left"));
}

#[test]
fn a_damaged_stream_changes_nothing() {
    let place = store_with_users(50);
    let whole = backup(&place.store);
    let length = whole.len();
    let mut wrong: Vec<(String, Vec<u8>)> = [0, 10, 16, 40, length / 2, length - 32, length - 1]
        .map(|kept| (format!("truncated to {kept}"), whole[..kept].to_vec()))
        .into();
    for changed in (7..length).step_by(length / 9) {
        let mut bent = whole.clone();
        bent[changed] ^= 1;
        wrong.push((format!("byte {changed}"), bent));
    }
    wrong.push(("extra data at the end".into(), [&whole[..], b"\n"].concat()));
    wrong.push(("twice".into(), [&whole[..], &whole[..]].concat()));
    let target = TestStore::new();
    for (what, stream) in wrong {
        let output = run_with_input(&target.store, &["restore", "-"], &stream);
        let found = error_message(&output, &output.stdout);
        assert!(found.starts_with("cannot use standard input: it is "), "{what}: {found}");
        assert_eq!(file_names(target.folder.path()), [""; 0], "{what}: no file is left");
        assert!(!run(&target.store, &["user", "list"]).status.success(), "{what}: the target is unchanged");
        let output = run_with_input(&target.store, &["restore", "-", "--check-only"], &stream);
        assert_eq!(error_message(&output, &output.stdout), found, "{what}");
    }
    assert!(run_with_input(&target.store, &["restore", "-"], &whole).status.success());
}

#[test]
fn garbage_is_rejected_at_its_first_bytes() {
    let target = TestStore::new();
    for garbage in [&b"email,groups\na@x.y,G\n"[..], b"\0", b"", &[0xff; 10_000]] {
        let output = run_with_input(&target.store, &["restore", "-"], garbage);
        let what = error_message(&output, &output.stdout);
        assert!(what.contains("it is not a Muster backup"), "{what}");
    }
    let output = run_with_input(&target.store, &["restore", "-"], b"MUSTER BACKUP 9\nwhatever");
    assert!(error_message(&output, &output.stdout).contains("newer Muster"));
    // Endless input is rejected early and does not fill the disk.
    let mut child = spawn(&target.store, &["restore", "-"]);
    let mut stdin = child.stdin.take().expect("input");
    while stdin.write_all(&[b'y'; 4096]).is_ok() {}
    let output = child.wait_with_output().expect("ended");
    assert!(error_message(&output, &output.stdout).contains("it is not a Muster backup"));
    assert_eq!(file_names(target.folder.path()), [""; 0]);
}

#[test]
fn terminals_are_rejected() {
    let place = store_with_users(5);
    let (code, text) = run_in_terminal(&[MUSTER, "--store", &place.store, "backup", "-"], "");
    assert!(code == Some(1) && text.contains("not written to a terminal"), "{text}");
    assert!(!text.contains("MUSTER BACKUP"), "{text}");
    let (code, text) = run_in_terminal(&[MUSTER, "--store", &place.store, "restore", "-"], "");
    assert!(code == Some(1) && text.contains("standard input is a terminal"), "{text}");
}

/// Input is stored where no other user can read it, and nothing is left, however the command ends.
#[cfg(target_os = "linux")]
#[test]
fn input_is_spooled_to_a_private_unnamed_file() {
    use std::os::unix::fs::MetadataExt;
    use std::time::{Duration, Instant};

    let whole = backup(&store_with_users(USERS).store);
    let half = &whole[..whole.len() / 2];
    let target = TestStore::new();
    let folder = target.folder.path().canonicalize().expect("a folder");
    let mut command = muster_command(&target.store, &["restore", "-"]);
    // A store in a database has no folder.
    command.env("TMPDIR", &folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("started");
    let mut stdin = child.stdin.take().expect("input");
    stdin.write_all(half).expect("sent");
    let begun = Instant::now();
    let spool = loop {
        let open = std::fs::read_dir(format!("/proc/{}/fd", child.id())).expect("a process");
        let files = open.filter_map(|file| Some(file.ok()?.path()));
        let spool = files.filter(|file| std::fs::read_link(file).is_ok_and(|to| to.starts_with(&folder)));
        let sizes = spool.filter_map(|file| std::fs::metadata(file).ok());
        if let Some(spool) = sizes.into_iter().find(|spool| spool.len() == half.len() as u64) {
            break spool;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "the input is not stored");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!((spool.mode() & 0o777, spool.nlink()), (0o600, 0));
    assert_eq!(file_names(&folder), [""; 0]);
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert_eq!(file_names(&folder), [""; 0], "no file is left");
    drop(stdin);

    let output = muster_command(&target.store, &["restore", "-"])
        .env("TMPDIR", "/nowhere")
        .stdin(File::open("/dev/null").expect("opened"))
        .output()
        .expect("ran");
    let place = if crate::support::is_on_postgres() { "in /nowhere" } else { "it is not a Muster backup" };
    let what = error_message(&output, &output.stdout);
    assert!(what.contains(place), "{what}");
}
