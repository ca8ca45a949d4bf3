//! Output of commands: tables and text, or one JSON document and nothing else.

use crate::exit::BROKEN_PIPE;
use crate::settings::EffectiveSetting;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};
use std::io::{ErrorKind, Write};

#[derive(Clone, Copy)]
pub struct Output {
    /// Print one JSON document.
    pub json: bool,
    /// Standard output carries data, so everything else goes to standard error.
    pub stdout_is_data: bool,
}

impl Output {
    /// Prints a result: `document` with `--json`, else `text`.
    pub fn result(self, document: &Value, text: impl FnOnce() -> String) {
        let text = if self.json { document.to_string() } else { text() };
        if self.stdout_is_data {
            print_stderr(&text);
        } else {
            print(&text);
        }
    }

    /// Like [`Self::result`], for commands that must clean up: fails if standard output is closed.
    pub fn try_result(self, document: &Value, text: impl FnOnce() -> String) -> std::io::Result<()> {
        self.try_line(&if self.json { document.to_string() } else { text() })
    }

    pub fn try_line(self, text: &str) -> std::io::Result<()> {
        let mut stdout = std::io::stdout();
        writeln!(stdout, "{text}").and_then(|()| stdout.flush())
    }

    /// Prints a table, or `if_empty` without rows.
    pub fn rows(self, document: &Value, headings: &[&str], rows: Vec<Vec<String>>, if_empty: &str) {
        self.result(document, || if rows.is_empty() { if_empty.to_owned() } else { table(headings, rows) });
    }

    pub fn settings(self, rows: &[EffectiveSetting]) {
        let document: Value = rows
            .iter()
            .map(|row| (row.name.clone(), json!({"value": row.value, "from": row.source})))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let cells = rows.iter().map(|row| vec![row.name.clone(), row.value.clone(), row.source.clone()]).collect();
        self.rows(&document, &["setting", "value", "from"], cells, "");
        self.line("\nFor meanings, units and further defaults, see `muster serve --help`.");
    }

    /// Prints a line, except with `--json`.
    pub fn line(self, text: &str) {
        if !self.json {
            print(text);
        }
    }

    /// Prints an error with its causes.
    pub fn error(self, error: &anyhow::Error) {
        let document = || json!({ "error": format!("{error:#}") });
        match (self.json, self.stdout_is_data) {
            (true, false) => print(&document().to_string()),
            (true, true) => print_stderr(&document().to_string()),
            (false, _) => print_stderr(&format!("muster: {error:#}")),
        }
    }
}

/// Standard output. If it is closed, the process exits silently, as system commands do.
pub(crate) struct StdoutWriter(std::io::Stdout);

impl StdoutWriter {
    pub(crate) fn new() -> Self {
        Self(std::io::stdout())
    }
}

impl Write for StdoutWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes).inspect_err(exit_on_broken_pipe)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush().inspect_err(exit_on_broken_pipe)
    }
}

fn exit_on_broken_pipe(error: &std::io::Error) {
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(i32::from(BROKEN_PIPE));
    }
}

fn print(text: &str) {
    let mut stdout = StdoutWriter::new();
    drop(writeln!(stdout, "{text}").and_then(|()| stdout.flush()));
}

/// Prints to standard error. Failures are ignored: the data on standard output is still valid.
fn print_stderr(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// Formats a table for the width of the terminal.
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
