//! Finds the words of `words.txt` in the files that git tracks.

use anyhow::Context;
use std::path::Path;
use std::process::Command;

/// Files that are not ours to word: data of tests, recorded output of older versions, lists of packages.
const SKIPPED: [&str; 9] = [
    "transcripts/",
    "crates/muster/tests/data/",
    "crates/transfer/tests/files/",
    "fuzz/",
    "Cargo.lock",
    "package-lock",
    "assets/swagger-ui",
    ".gz",
    "LICENSE",
];

/// Returns each word found, with its place.
pub(crate) fn find(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    let list = std::fs::read_to_string(root.join("crates/xtask/tests/tidy/words.txt"))?;
    let lines: Vec<&str> = list.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let mut parts = lines.split(|line| *line == "---");
    let (phrases, names) = (parts.next().context("phrases")?, parts.next().context("names")?);
    let allowed = parts.next().context("exceptions")?;
    let listing = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()?;
    for file in
        String::from_utf8(listing.stdout)?.lines().filter(|file| !SKIPPED.iter().any(|part| file.contains(part)))
    {
        let Ok(text) = std::fs::read_to_string(root.join(file)) else { continue };
        let is_allowed = |word: &str| {
            allowed
                .iter()
                .filter_map(|line| line.split_once(": "))
                .any(|(prefix, what)| file.starts_with(prefix) && ["*", word].contains(&what))
        };
        for (number, line) in (1..).zip(text.lines()) {
            let lower = line.to_lowercase();
            for phrase in phrases {
                let (word, instead) = phrase.split_once(" = ").context("a phrase without a replacement")?;
                if contains(&lower, word) && !is_allowed(word) {
                    problems.push(format!("{file}:{number}: \"{word}\": write {instead}"));
                }
            }
            for name in names.iter().filter(|name| {
                Path::new(file).extension().is_some_and(|extension| extension == "rs")
                    && contains(line, name)
                    && !is_allowed(name)
            }) {
                problems
                    .push(format!("{file}:{number}: {name} is on the list of private words (words.txt): use another"));
            }
        }
    }
    Ok(problems)
}

/// Whether a line has this word or phrase as whole words; a `*` at its end stands for any ending.
fn contains(line: &str, word: &str) -> bool {
    let (stem, is_open) = word.strip_suffix('*').map_or((word, false), |stem| (stem, true));
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(stem).any(|(at, _)| {
        !is_part(line[..at].chars().next_back()) && (is_open || !is_part(line[at + stem.len()..].chars().next()))
    })
}

#[cfg(test)]
mod tests {
    use super::contains;

    #[test]
    fn words_are_found_whole_and_with_any_ending_after_a_star() {
        assert!(contains("who told you", "told") && !contains("untold, toldo", "told"));
        assert!(contains("it clashes", "clash*") && !contains("eyelash", "clash*"));
        assert!(contains("are asked in by mail", "asked in"));
    }
}
