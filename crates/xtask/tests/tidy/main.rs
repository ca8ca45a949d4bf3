//! The rules of the repository that no compiler checks; `cargo xtask tidy` runs them.

mod cycles;
mod dependencies;
mod words;

use std::path::{Path, PathBuf};

/// The crates of the workspace that a crate may depend on, dev-dependencies not counted.
const ALLOWED_DEPENDENCIES: [(&str, &[&str]); 17] = [
    ("directory", &[]),
    ("store", &["directory"]),
    ("store-sqlite", &["directory", "store"]),
    ("store-postgres", &["directory", "store"]),
    ("dialects", &["directory"]),
    ("outbound", &[]),
    ("portal", &["directory", "outbound"]),
    ("transfer", &["directory"]),
    ("testkit", &["directory"]),
    ("adapters", &["directory", "store", "store-sqlite", "store-postgres"]),
    ("gateway", &["directory", "dialects", "outbound"]),
    ("simulator", &["dialects"]),
    ("server", &["directory", "dialects", "outbound", "gateway", "portal", "transfer", "adapters"]),
    ("cli", &["directory", "store", "dialects", "gateway", "portal", "transfer", "adapters"]),
    ("muster", &["directory", "dialects", "outbound", "gateway", "portal", "adapters", "server", "cli", "simulator"]),
    ("bench", &["directory", "adapters", "server", "testkit"]),
    ("xtask", &[]),
];
const LIBRARY_CRATES: [&str; 14] = [
    "directory",
    "store",
    "store-sqlite",
    "store-postgres",
    "dialects",
    "outbound",
    "gateway",
    "simulator",
    "portal",
    "transfer",
    "adapters",
    "server",
    "cli",
    "testkit",
];

const FORBIDDEN_IN_CORE: [&str; 7] = ["http", "hyper", "axum", "tokio", "rusqlite", "quick-xml", "jiff"];

const DIALECT_FILES: [&str; 10] = [
    "mod.rs",
    "wire.rs",
    "read.rs",
    "write.rs",
    "errors.rs",
    "routes.rs",
    "examples.rs",
    "README.md",
    "transcripts",
    "openapi.json",
];

const MAX_FILE_LINES: usize = 500;
const MAX_DIALECT_MOD_LINES: usize = 110;

type Problems = anyhow::Result<Vec<String>>;

fn repo_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn assert_none(problems: Problems) {
    let problems = problems.expect("the repository can be read");
    assert!(problems.is_empty(), "{} problems:\n  {}", problems.len(), problems.join("\n  "));
}

fn source_files() -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    collect(&repo_root().join("crates"), &mut files)?;
    Ok(files)
}

#[test]
fn crates_depend_on_allowed_crates_only() {
    assert_none(check_dependencies(&repo_root()));
}

#[test]
fn dialects_have_their_files_and_do_not_use_each_other() {
    assert_none(check_dialects(&repo_root()));
}

#[test]
fn files_are_documented_finished_and_not_too_long() {
    let check = || {
        let mut problems = Vec::new();
        for path in source_files()? {
            let name = path.strip_prefix(repo_root())?.display().to_string();
            check_file(&name, &std::fs::read_to_string(&path)?, &mut problems);
        }
        Ok(problems)
    };
    assert_none(check());
}

#[test]
fn modules_do_not_import_each_other_in_cycles() {
    assert_none(source_files().and_then(|files| cycles::find(&repo_root(), &files)));
}

#[test]
fn texts_and_names_use_standard_terms() {
    assert_none(words::find(&repo_root()));
}

#[test]
fn licenses_duplicates_and_pinned_versions_are_as_listed() {
    assert_none(dependencies::check(&repo_root()));
}

fn check_file(name: &str, text: &str, found: &mut Vec<String>) {
    let lines = text.lines().count();
    if lines > MAX_FILE_LINES {
        found.push(format!("{name}: {lines} lines, more than {MAX_FILE_LINES}"));
    }
    if !text.starts_with("//!") {
        found.push(format!("{name}: no module docs"));
    }
    // Split, so that this file does not match.
    let unfinished =
        [concat!("todo", "!("), concat!("unimple", "mented!("), concat!("FIX", "ME"), concat!("#[ign", "ore")];
    for (number, line) in (1..).zip(text.lines()) {
        if line.ends_with(' ') {
            found.push(format!("{name}:{number}: trailing space"));
        }
        if unfinished.iter().any(|word| line.contains(word)) {
            found.push(format!("{name}:{number}: unfinished"));
        }
    }
    let is_dialect = name.contains("dialects/src/") && !name.contains("/kit/");
    if is_dialect && (text.contains("axum::") || text.contains("rusqlite")) {
        found.push(format!("{name}: dialects must not use axum or an engine"));
    }
    // `store` and the engines.
    let is_engine = name.contains("crates/store") && name.contains("/src/") && !name.contains("store/src/sql/");
    if is_engine {
        for word in ["\"SELECT ", "\"INSERT ", "\"UPDATE ", "\"DELETE "] {
            if text.split("#[cfg(test)]").next().unwrap_or_default().contains(word) {
                found.push(format!("{name}: SQL statements belong to store/src/sql"));
            }
        }
    }
    let neutral_folders = [
        "dialects/src/kit/",
        "directory/src/",
        "crates/store",
        "adapters/src/",
        "server/src/",
        "cli/src/",
        "muster/src/",
    ];
    if neutral_folders.iter().any(|folder| name.contains(folder)) {
        for word in ["onfire", "publisher", "CompanyId", "ProviderId", "IntegrationKey", "request/user"] {
            if text.contains(word) {
                found.push(format!("{name}: {word} belongs to a dialect"));
            }
        }
    }
}

fn check_dependencies(root: &Path) -> Problems {
    let mut found = Vec::new();
    for (name, allowed) in ALLOWED_DEPENDENCIES {
        let manifest = std::fs::read_to_string(root.join("crates").join(name).join("Cargo.toml"))?;
        let needs = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let needs = needs.split("\n[").next().unwrap_or_default();
        let needs = needs.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
        for need in needs.filter(|need| !need.is_empty()) {
            if LIBRARY_CRATES.contains(&need) && !allowed.contains(&need) {
                found.push(format!("{name} must not depend on {need}"));
            }
            if name == "directory" && FORBIDDEN_IN_CORE.contains(&need) {
                found.push(format!("directory must not depend on {need}"));
            }
        }
    }
    Ok(found)
}

fn check_dialects(root: &Path) -> Problems {
    let mut found = Vec::new();
    let folder = root.join("crates/dialects/src");
    let list = std::fs::read_to_string(folder.join("lib.rs"))?;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() && name != "kit" {
            names.push(name);
        }
    }
    for name in &names {
        if !list.contains(&format!("&{name}::DIALECT")) && !list.lines().any(|line| line.trim() == format!("{name},")) {
            found.push(format!("dialect {name} is not in user_apis!"));
        }
        for file in DIALECT_FILES.iter().filter(|file| !folder.join(name).join(file).exists()) {
            found.push(format!("dialect {name} has no {file}"));
        }
        let opening = std::fs::read_to_string(folder.join(name).join("mod.rs")).unwrap_or_default();
        if opening.lines().count() > MAX_DIALECT_MOD_LINES {
            found.push(format!("dialect {name}: mod.rs is too long"));
        }
        let mut files = Vec::new();
        collect(&folder.join(name), &mut files)?;
        for path in files {
            let text = std::fs::read_to_string(&path)?;
            for other in names.iter().filter(|other| *other != name) {
                if text.contains(&format!("crate::{other}")) {
                    found.push(format!("{}: dialects must not use each other", path.display()));
                }
            }
        }
    }
    Ok(found)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
