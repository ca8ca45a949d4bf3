//! The picture of the README: the terminal after a dry run of `docs/images/users.csv`.

use crate::no_engine::golden::check;
use crate::support::{MUSTER, TestStore, repo_root};
use std::fmt::Write as _;
use std::process::Command;

/// Sizes of the picture in pixels.
const LINE_HEIGHT: usize = 20;
const CHARACTER_WIDTH: usize = 9;
const MARGIN: usize = 20;

#[test]
fn the_picture_shows_what_a_dry_run_prints() {
    let place = TestStore::new();
    let run = |arguments: &[&str]| {
        let images = repo_root().join("docs/images");
        let output =
            Command::new(MUSTER).args(arguments).env("MUSTER_STORE", &place.store).current_dir(images).output();
        String::from_utf8(output.expect("ran").stdout).expect("text")
    };
    run(&["tenant", "add", "Example Ltd"]);
    run(&["user", "add", "ann@example.com", "--first-name", "Ann", "--last-name", "Lee"]);
    let command = ["import", "users.csv", "--update", "--dry-run"];
    let text = format!("$ muster {}\n{}", command.join(" "), run(&command));
    let images = repo_root().join("docs/images");
    check(&images, [("import-dry-run.svg".to_owned(), svg(text.trim_end()))].into());
}

fn svg(text: &str) -> String {
    let columns = text.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    let (width, height) = (columns * CHARACTER_WIDTH + 2 * MARGIN, (text.lines().count() + 1) * LINE_HEIGHT + MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#1e1e2e\"/>\n\
         <g font-family=\"ui-monospace, DejaVu Sans Mono, monospace\" font-size=\"15\" fill=\"#cdd6f4\">\n"
    );
    for (number, line) in (1..).zip(text.lines()) {
        // Browsers collapse ordinary spaces.
        let line = line.replace('&', "&amp;").replace('<', "&lt;").replace(' ', "\u{a0}");
        let y = number * LINE_HEIGHT + MARGIN / 2;
        let color = if number == 1 { " fill=\"#a6e3a1\"" } else { "" };
        writeln!(svg, "<text x=\"{MARGIN}\" y=\"{y}\"{color}>{line}</text>").expect("a string");
    }
    svg + "</g>\n</svg>\n"
}
