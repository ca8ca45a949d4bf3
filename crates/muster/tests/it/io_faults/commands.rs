//! The I/O of commands fails: reported results are complete, remaining files are complete or recognizably incomplete,
//! and running the command again without faults succeeds.

use super::injection::{Injection, Sandbox};
use super::is_supported;
use super::process::CommandRun;
use super::search::{Findings, Run, Scenario, run_scenario};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// Users in the store.
const USERS: u64 = 12;
/// Users in the import file.
const IMPORTED: u64 = 25;
/// The invalid row in the import file.
const REJECTED_ROW: &str = "no-email,Nobody";
/// The time for the sample of one command.
const TIME: Duration = Duration::from_millis(900);

/// Creates a store, its backup and an import file; returns the tenants in the backup's output.
fn template(folder: &Path) -> Value {
    let stage = Sandbox::new(folder);
    let store = stage.store();
    stage.json(&store, &["tenant", "add", "Acme"]);
    std::fs::write(stage.outside_path("first.csv"), rows("u", USERS)).expect("written");
    stage.json(&store, &["import", &stage.outside_path("first.csv").display().to_string()]);
    let backup = folder.join("backup");
    let made = stage.json(&store, &["backup", &backup.display().to_string()]);
    std::fs::copy(&store, folder.join("muster.db")).expect("copied");
    let log = std::fs::metadata(format!("{store}-wal")).map_or(0, |file| file.len());
    assert_eq!(log, 0, "the log is empty");
    std::fs::write(folder.join("users.csv"), format!("{}{REJECTED_ROW},\n", rows("i", IMPORTED))).expect("written");
    made["tenants"].clone()
}

fn rows(name: &str, many: u64) -> String {
    let mut text = String::from("email,first name,groups\n");
    for n in 0..many {
        writeln!(text, "{name}{n}@x.y,F{n},G{}", n % 3).expect("written");
    }
    text
}

/// Checks that an error has an exit code and a message.
fn check_exit(ran: &CommandRun, stage: &Sandbox, findings: &mut Findings) {
    findings.check(ran.code.is_some(), "a command was ended by a signal", || ran.text.clone());
    let is_panic = ran.text.contains("panicked");
    findings.check(!is_panic, "a command panics", || ran.text.clone());
    let is_said = ran.code == Some(0) || !ran.text.is_empty();
    findings.check(is_said, "a command fails without a message", || ran.text.clone());
    let is_expected = matches!(ran.code, Some(0 | 3)) || stage.has_failed();
    findings.check(is_expected, "a command fails without a fault", || ran.text.clone());
}

/// Runs a command without faults, which must succeed.
fn run_expecting(stage: &Sandbox, store: &str, arguments: &[&str], code: i32, findings: &mut Findings) -> CommandRun {
    let ran = stage.run(Injection::Nothing, store, arguments);
    findings.check(ran.code == Some(code), "running the command again does not succeed", || {
        format!("{arguments:?}: {:?} {}", ran.code, ran.text)
    });
    ran
}

fn total(stage: &Sandbox, store: &str) -> Option<u64> {
    stage.run(Injection::Nothing, store, &["user", "list", "--limit", "1"]).output_json["total"].as_u64()
}

/// Whether a backup can be restored and is complete.
fn is_backup(stage: &Sandbox, file: &str, wanted: &Value) -> bool {
    let ran = stage.run(Injection::Nothing, &stage.path("nowhere.db"), &["restore", file, "--check-only"]);
    ran.code == Some(0) && ran.output_json["tenants"] == *wanted
}

fn backup(folder: &Path, wanted: &Value, injected: Injection, findings: &mut Findings) -> Sandbox {
    let stage = Sandbox::new(folder);
    let (store, file) = (stage.store(), stage.path("new.bak"));
    let ran = stage.run(injected, &store, &["backup", &file]);
    check_exit(&ran, &stage, findings);
    let is_there = Path::new(&file).exists();
    findings.check(is_there || ran.code != Some(0), "a backup was reported and does not exist", || ran.text.clone());
    if is_there {
        let is_whole = is_backup(&stage, &file, wanted);
        findings.check(is_whole, "an incomplete backup has its final name", || ran.text.clone());
        std::fs::remove_file(&file).expect("removed");
    }
    run_expecting(&stage, &store, &["backup", &file], 0, findings);
    findings.check(is_backup(&stage, &file, wanted), "the next backup is not complete", String::new);
    let left = std::fs::read_dir(stage.data()).expect("read").flatten().map(|file| file.file_name());
    let left: Vec<String> = left.map(|name| name.to_string_lossy().into_owned()).collect();
    let is_tidy = left.iter().all(|name| !name.contains(".part"));
    findings.check(is_tidy, "a partial backup remains after the next one", || format!("{left:?}"));
    stage.check_store(&store, findings);
    stage
}

/// A backup to standard output, which is a file.
fn backup_to_a_pipe(folder: &Path, wanted: &Value, injected: Injection, findings: &mut Findings) -> Sandbox {
    let stage = Sandbox::new(folder);
    let (store, file) = (stage.store(), stage.path("new.bak"));
    let output = File::create(&file).expect("made");
    let ran = stage.run_with(injected, &store, &["backup", "-"], (Stdio::null(), output.into()));
    check_exit(&ran, &stage, findings);
    let is_whole = is_backup(&stage, &file, wanted);
    findings
        .check(is_whole || ran.code != Some(0), "an incomplete backup was reported as complete", || ran.text.clone());
    stage.check_store(&store, findings);
    stage
}

fn export(folder: &Path, injected: Injection, findings: &mut Findings) -> Sandbox {
    let stage = Sandbox::new(folder);
    let (store, file) = (stage.store(), stage.path("new.csv"));
    let ran = stage.run(injected, &store, &["export", &file, "--kind", "user"]);
    check_exit(&ran, &stage, findings);
    let lines = |file: &str| std::fs::read_to_string(file).ok().map(|text| text.lines().count() as u64);
    let is_there = lines(&file);
    let is_right = is_there == Some(USERS + 1) || (is_there.is_none() && ran.code != Some(0));
    findings.check(is_right, "an export is missing, or incomplete under its final name", || {
        format!("{is_there:?} lines, {:?} {}", ran.code, ran.text)
    });
    if is_there.is_some() {
        std::fs::remove_file(&file).expect("removed");
    }
    run_expecting(&stage, &store, &["export", &file, "--kind", "user"], 0, findings);
    findings.check(lines(&file) == Some(USERS + 1), "the next export is not complete", String::new);
    stage
}

/// Runs a command that fills a store.
type FillCommand<'a> = &'a dyn Fn(&Sandbox, Injection, &str) -> CommandRun;

fn fill(folder: &Path, wanted: &Value, fill: FillCommand<'_>, injected: Injection, findings: &mut Findings) -> Sandbox {
    let stage = Sandbox::new(folder);
    let target = stage.path("target.db");
    let ran = fill(&stage, injected, &target);
    check_exit(&ran, &stage, findings);
    let there = total(&stage, &target);
    let is_right = if ran.code == Some(0) { there == Some(USERS) } else { there.is_none_or(|n| n == USERS) };
    findings.check(is_right, "a partly filled store can be used, or a filled store cannot", || {
        format!("{there:?} users after {:?} {}", ran.code, ran.text)
    });
    let next = fill(&stage, Injection::Nothing, &target);
    let is_filled = next.code == Some(0) || (there == Some(USERS) && next.text.contains("is not empty"));
    findings.check(is_filled, "filling the store does not resume when run again", || {
        format!("{:?} {}, after {:?} {}", next.code, next.text, ran.code, ran.text)
    });
    let file = stage.outside_path("after.bak").display().to_string();
    let after = stage.run(Injection::Nothing, &target, &["backup", &file]);
    findings.check(after.output_json["tenants"] == *wanted, "the filled store differs from the backup", || {
        after.text.clone()
    });
    stage.check_store(&target, findings);
    stage
}

fn restore(stage: &Sandbox, injected: Injection, target: &str) -> CommandRun {
    stage.run(injected, target, &["restore", &stage.path("backup")])
}

fn restore_from_a_pipe(stage: &Sandbox, injected: Injection, target: &str) -> CommandRun {
    let input = File::open(stage.path("backup")).expect("opened");
    stage.run_with(injected, target, &["restore", "-"], (input.into(), Stdio::piped()))
}

fn move_store(stage: &Sandbox, injected: Injection, target: &str) -> CommandRun {
    stage.run(injected, target, &["move", "--from", &stage.store(), "--to", target])
}

fn import(folder: &Path, injected: Injection, findings: &mut Findings) -> Sandbox {
    let stage = Sandbox::new(folder);
    let (store, file) = (stage.store(), stage.path("users.csv"));
    // The file of rejected rows is complete, or the report notes that it could not be written.
    let rejected = |ran: &CommandRun| match ran.output_json["rejectedFile"].as_str() {
        Some(file) => {
            std::fs::read_to_string(file).is_ok_and(|text| text.contains(REJECTED_ROW) && text.lines().count() == 2)
        }
        None => ran.output_json["notes"].to_string().contains("rejected rows could not be written"),
    };
    let ran = stage.run(injected, &store, &["import", &file]);
    check_exit(&ran, &stage, findings);
    let there = total(&stage, &store);
    let is_right = match ran.code {
        Some(3) => there == Some(USERS + IMPORTED) && rejected(&ran),
        Some(0) => false,
        _ => there.is_some_and(|there| (USERS..=USERS + IMPORTED).contains(&there)),
    };
    findings.check(is_right, "an import is less complete than reported", || {
        format!("{there:?} users, {:?} {}", ran.code, ran.text)
    });
    stage.check_store(&store, findings);
    let next = run_expecting(&stage, &store, &["import", &file], 3, findings);
    let is_right = total(&stage, &store) == Some(USERS + IMPORTED) && rejected(&next);
    findings.check(is_right, "a repeated import is not complete", || next.text.clone());
    stage.check_store(&store, findings);
    stage
}

fn add_user(folder: &Path, injected: Injection, findings: &mut Findings) -> Sandbox {
    let stage = Sandbox::new(folder);
    let store = stage.store();
    let ran = stage.run(injected, &store, &["user", "add", "new@x.y"]);
    check_exit(&ran, &stage, findings);
    stage.check_store(&store, findings);
    let there = total(&stage, &store);
    let is_right = there == Some(USERS + 1) || (there == Some(USERS) && ran.code != Some(0));
    let said = || format!("{there:?} users, {:?} {}", ran.code, ran.text);
    findings.check(is_right, "a user was reported as added and does not exist", said);
    let code = i32::from(there == Some(USERS + 1));
    run_expecting(&stage, &store, &["user", "add", "new@x.y"], code, findings);
    findings.check(total(&stage, &store) == Some(USERS + 1), "the user does not exist at the end", String::new);
    stage
}

/// Adds a tenant, which also creates the store.
fn add_tenant(folder: &Path, injected: Injection, findings: &mut Findings) -> Sandbox {
    let stage = Sandbox::new(folder);
    let store = stage.path("new.db");
    let ran = stage.run(injected, &store, &["tenant", "add", "First"]);
    check_exit(&ran, &stage, findings);
    let tenants = |stage: &Sandbox| {
        let ran = stage.run(Injection::Nothing, &store, &["tenant", "list"]);
        ran.output_json.as_array().map_or(0, Vec::len)
    };
    let before = tenants(&stage);
    let is_right = before == 1 || (before == 0 && ran.code != Some(0));
    let said = || format!("{before} tenants, {:?} {}", ran.code, ran.text);
    findings.check(is_right, "a tenant was reported as added and does not exist", said);
    run_expecting(&stage, &store, &["tenant", "add", "Second"], 0, findings);
    findings.check(tenants(&stage) == before + 1, "the next tenant does not exist", said);
    stage.check_store(&store, findings);
    stage
}

#[test]
fn commands_succeed_or_report_failure() {
    if !is_supported() {
        return;
    }
    let template_folder = tempfile::tempdir().expect("a folder");
    let folder = template_folder.path();
    let wanted = template(folder);
    let runs: [(&'static str, &Run<'_>); 9] = [
        ("backup", &|injected, findings| backup(folder, &wanted, injected, findings)),
        ("backup -", &|injected, findings| backup_to_a_pipe(folder, &wanted, injected, findings)),
        ("import", &|injected, findings| import(folder, injected, findings)),
        ("user add", &|injected, findings| add_user(folder, injected, findings)),
        ("tenant add", &|injected, findings| add_tenant(folder, injected, findings)),
        ("export", &|injected, findings| export(folder, injected, findings)),
        ("restore", &|injected, findings| fill(folder, &wanted, &restore, injected, findings)),
        ("restore -", &|injected, findings| fill(folder, &wanted, &restore_from_a_pipe, injected, findings)),
        ("move", &|injected, findings| fill(folder, &wanted, &move_store, injected, findings)),
    ];
    let mut failures = Vec::new();
    for (name, run) in runs {
        failures.extend(run_scenario(&Scenario { name, time: TIME, run }).err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
