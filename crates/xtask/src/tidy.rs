//! The house rules that no compiler checks: which crate may know which, what a dialect's folder holds, how long
//! files are, that modules say what they are for, and that nothing is left half done.

use anyhow::bail;
use std::path::{Path, PathBuf};

/// Which of our crates a crate may depend on, tests not counted.
const ALLOWED_DEPENDENCIES: [(&str, &[&str]); 12] = [
    ("directory", &[]),
    ("store", &["directory"]),
    ("dialects", &["directory"]),
    ("portal", &["directory"]),
    ("transfer", &["directory"]),
    ("testkit", &["directory"]),
    ("adapters", &["directory", "store"]),
    ("server", &["directory", "dialects", "portal", "transfer", "adapters"]),
    ("cli", &["directory", "store", "dialects", "portal", "transfer", "adapters"]),
    ("muster", &["directory", "dialects", "portal", "adapters", "server", "cli"]),
    ("bench", &["directory", "adapters", "server", "testkit"]),
    ("xtask", &[]),
];
const WORKSPACE_CRATES: [&str; 9] =
    ["directory", "store", "dialects", "portal", "transfer", "adapters", "server", "cli", "testkit"];

/// Crates the core must not know.
const FORBIDDEN_IN_CORE: [&str; 8] = ["http", "hyper", "axum", "tokio", "rusqlite", "serde_json", "quick-xml", "jiff"];

/// What every dialect's folder holds.
const DIALECT_FILES: [&str; 6] = ["mod.rs", "wire.rs", "read.rs", "write.rs", "errors.rs", "routes.rs"];

const MAX_FILE_LINES: usize = 500;
const MAX_DIALECT_MOD_LINES: usize = 110;

/// Checks the house; an error that lists everything found.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let mut found = Vec::new();
    check_dependencies(root, &mut found)?;
    check_dialects(root, &mut found)?;
    crate::dependencies::check(root, &mut found)?;
    let mut files = Vec::new();
    collect(&root.join("crates"), &mut files)?;
    let mut lengths = Vec::new();
    for path in &files {
        let text = std::fs::read_to_string(path)?;
        let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
        lengths.push(text.lines().count());
        check_file(&name, &text, &mut found);
    }
    crate::cycles::check(root, &files, &mut found)?;
    crate::words::check(root, &mut found)?;
    lengths.sort_unstable();
    let (median, nine_tenths) = (lengths[lengths.len() / 2], lengths[lengths.len() * 9 / 10]);
    crate::print_status(&format!(
        "tidy: {} files, median {median} lines, nine tenths within {nine_tenths}",
        lengths.len()
    ));
    if found.is_empty() { Ok(()) } else { bail!("tidy found:\n  {}", found.join("\n  ")) }
}

fn check_file(name: &str, text: &str, found: &mut Vec<String>) {
    let lines = text.lines().count();
    if lines > MAX_FILE_LINES {
        found.push(format!("{name}: {lines} lines; is there a second thing in it?"));
    }
    if !text.starts_with("//!") {
        found.push(format!("{name}: does not begin by saying what it is for"));
    }
    // Spelled apart, so that this file does not find itself.
    let unfinished =
        [concat!("todo", "!("), concat!("unimple", "mented!("), concat!("FIX", "ME"), concat!("#[ign", "ore")];
    for (number, line) in (1..).zip(text.lines()) {
        if line.ends_with(' ') {
            found.push(format!("{name}:{number}: blank at the end"));
        }
        if unfinished.iter().any(|word| line.contains(word)) {
            found.push(format!("{name}:{number}: unfinished"));
        }
    }
    let is_dialect = name.contains("dialects/src/") && !name.contains("/kit/");
    if is_dialect && (text.contains("axum::") || text.contains("rusqlite")) {
        found.push(format!("{name}: a dialect knows neither axum nor an engine"));
    }
    // Statements stand side by side in one place.
    let is_engine = name.contains("store/src/") && !name.contains("store/src/sql/");
    if is_engine {
        for word in ["\"SELECT ", "\"INSERT ", "\"UPDATE ", "\"DELETE "] {
            if text.split("#[cfg(test)]").next().unwrap_or_default().contains(word) {
                found.push(format!("{name}: statements are in store/src/sql"));
            }
        }
    }
    // What no room but a dialect's own folder may say.
    let is_neutral = [
        "dialects/src/kit/",
        "directory/src/",
        "store/src/",
        "adapters/src/",
        "server/src/",
        "cli/src/",
        "muster/src/",
    ];
    if is_neutral.iter().any(|room| name.contains(room)) {
        for word in ["onfire", "publisher", "CompanyId", "ProviderId", "IntegrationKey", "request/user"] {
            if text.contains(word) {
                found.push(format!("{name}: {word} is a dialect's word"));
            }
        }
    }
}

fn check_dependencies(root: &Path, found: &mut Vec<String>) -> anyhow::Result<()> {
    for (name, allowed) in ALLOWED_DEPENDENCIES {
        let manifest = std::fs::read_to_string(root.join("crates").join(name).join("Cargo.toml"))?;
        let needs = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let needs = needs.split("\n[").next().unwrap_or_default();
        let needs = needs.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
        for need in needs.filter(|need| !need.is_empty()) {
            if WORKSPACE_CRATES.contains(&need) && !allowed.contains(&need) {
                found.push(format!("crates/{name} must not know {need}"));
            }
            if name == "directory" && FORBIDDEN_IN_CORE.contains(&need) {
                found.push(format!("the core must not know {need}"));
            }
        }
    }
    Ok(())
}

fn check_dialects(root: &Path, found: &mut Vec<String>) -> anyhow::Result<()> {
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
        if !list.contains(&format!("&{name}::DIALECT")) {
            found.push(format!("dialect {name} is not in ALL"));
        }
        for file in DIALECT_FILES.iter().filter(|file| !folder.join(name).join(file).is_file()) {
            found.push(format!("dialect {name} has no {file}"));
        }
        let opening = std::fs::read_to_string(folder.join(name).join("mod.rs")).unwrap_or_default();
        if opening.lines().count() > MAX_DIALECT_MOD_LINES {
            found.push(format!("dialect {name}: mod.rs says what it is and no more"));
        }
        for page in [format!("docs/dialects/{name}.md"), format!("transcripts/{name}")] {
            if !root.join(&page).exists() {
                found.push(format!("dialect {name} has no {page}"));
            }
        }
        let mut files = Vec::new();
        collect(&folder.join(name), &mut files)?;
        for path in files {
            let text = std::fs::read_to_string(&path)?;
            for other in names.iter().filter(|other| *other != name) {
                if text.contains(&format!("crate::{other}")) {
                    found.push(format!("{}: dialects do not know one another", path.display()));
                }
            }
        }
    }
    Ok(())
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
