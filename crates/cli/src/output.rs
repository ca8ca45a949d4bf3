//! What the person at the terminal sees: tables and plain words, or one JSON document and nothing else.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};
use std::io::Write;

/// Where output goes.
#[derive(Clone, Copy)]
pub struct Output {
    /// Whether output is one JSON document.
    pub json: bool,
    /// Standard output carries data, so everything else goes to standard error.
    pub is_piped: bool,
}

impl Output {
    /// One result: `document` for programs, `words` for people.
    #[expect(clippy::print_stdout, reason = "this is the terminal")]
    pub fn result(self, document: &Value, words: impl FnOnce() -> String) {
        let text = if self.json { document.to_string() } else { words() };
        if self.is_piped {
            beside_data(&text);
        } else {
            println!("{text}");
        }
    }

    /// Rows under headings; `empty` is said when there are none.
    pub fn rows(self, document: &Value, headings: &[&str], rows: Vec<Vec<String>>, empty: &str) {
        self.result(document, || if rows.is_empty() { empty.to_owned() } else { table(headings, rows) });
    }

    /// The settings.
    pub fn settings(self, rows: &[(String, String, String)]) {
        let document: Value = rows
            .iter()
            .map(|(name, value, from)| (name.clone(), json!({"value": value, "from": from})))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let cells =
            rows.iter().map(|(name, value, from)| vec![name.clone(), value.clone(), from.clone()]).collect();
        self.rows(&document, &["setting", "value", "from"], cells, "");
    }

    /// A line for people only.
    #[expect(clippy::print_stdout, reason = "this is the terminal")]
    pub fn line(self, text: &str) {
        if !self.json {
            println!("{text}");
        }
    }

    /// What went wrong, with its causes.
    #[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the terminal")]
    pub fn failure(self, error: &anyhow::Error) {
        let document = || json!({ "error": format!("{error:#}") });
        match (self.json, self.is_piped) {
            (true, false) => println!("{}", document()),
            (true, true) => beside_data(&document().to_string()),
            (false, _) => eprintln!("muster: {error:#}"),
        }
    }
}

/// A line on standard error. If nobody reads it, the data on standard output is still good.
fn beside_data(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// Rows under headings, as wide as the terminal allows.
pub(crate) fn table(headings: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
    for row in rows {
        table.add_row(row);
    }
    let lines = table.to_string();
    lines.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}
