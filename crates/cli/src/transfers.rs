//! `muster import`, `muster export`: people in and out in files.

use crate::new_file::NewFile;
use crate::output::{Output, table};
use crate::progress::Progress;
use crate::session::{AdminSession, directory_error};
use crate::settings::Settings;
use anyhow::{Context, anyhow, bail};
use clap::Args;
use directory::Caller;
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use transfer::column::{COLUMNS, Column, ColumnMapping, RecordKind, column_by_name};
use transfer::formats::{CellEscaping, Format, ReadOptions, WriteOptions, create_writer};
use transfer::import::{ImportOptions, ImportReport, MatchKey, ReportRows, RowCounts, run, scan};

#[derive(Args)]
pub(crate) struct ImportArgs {
    /// The file
    #[arg(required_unless_present = "list_columns")]
    file: Option<PathBuf>,
    /// The tenant; may be left out when there is just one
    #[arg(long)]
    tenant: Option<u32>,
    /// csv, ndjson, xlsx or ldif; seen from the file's name when not said
    #[arg(long, value_parser = parse_format)]
    format: Option<Format>,
    /// Say what a header means: HEADER=COLUMN, or HEADER= to pass it over; repeat for several
    #[arg(long, value_name = "HEADER=COLUMN")]
    map: Vec<String>,
    /// What people are known by, the surest first
    #[arg(long = "match", value_name = "KEYS", value_delimiter = ',', default_value = "id,external-id,email", value_parser = parse_match_key)]
    match_by: Vec<MatchKey>,
    /// Change those who are there, too; without it they are left as they are
    #[arg(long)]
    update: bool,
    /// Leave those who are there as they are, which is what happens when nothing is said
    #[arg(long, conflicts_with_all = ["update", "deactivate_missing"])]
    create_only: bool,
    /// Deactivate active users who are not in the file; users of rejected rows count as in the file
    #[arg(long)]
    deactivate_missing: bool,
    /// The most users to deactivate, in percent of the active ones; if more are missing, nothing is done
    #[arg(long, value_name = "PERCENT", default_value_t = 10, requires = "deactivate_missing",
          value_parser = clap::value_parser!(u8).range(0..=100))]
    deactivation_limit: u8,
    /// Deactivate missing users although rejected rows name no user who exists
    #[arg(long, requires = "deactivate_missing", alias = "yes-really")]
    force: bool,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Ask new people in by mail; without it they are active at once
    #[arg(long)]
    invite: bool,
    /// What stands between the cells of a CSV file, where it is not seen: , ; | or tab
    #[arg(long, value_parser = parse_delimiter)]
    delimiter: Option<u8>,
    /// The encoding of a text file, where it is not seen: utf-8, utf-16le, windows-1252, …
    #[arg(long)]
    encoding: Option<String>,
    /// The sheet of a workbook; those named after kinds (Users, Groups, …), else the first, when not said
    #[arg(long)]
    sheet: Option<String>,
    /// An empty cell clears what is stored; without it, it says nothing
    #[arg(long, alias = "empty-clears")]
    clear_empty_fields: bool,
    /// Where refused rows go, to be mended and brought in again; FILE.refused.… when not said
    #[arg(long, value_name = "FILE", alias = "refused")]
    rejected_file: Option<PathBuf>,
    /// Tell the columns there are, and do nothing
    #[arg(long)]
    list_columns: bool,
}

#[derive(Args)]
pub(crate) struct ExportArgs {
    /// The file to make, which must not be there yet; - is standard output
    file: PathBuf,
    /// The tenant; may be left out when there is just one
    #[arg(long)]
    tenant: Option<u32>,
    /// csv, ndjson, xlsx or ldif; seen from the file's name when not said
    #[arg(long, value_parser = parse_format)]
    format: Option<Format>,
    /// Only this: user, group, folder, organisation, department or role; repeat for several
    #[arg(long = "kind", value_parser = parse_kind)]
    kinds: Vec<RecordKind>,
    /// Only these columns, in this order
    #[arg(long, value_delimiter = ',', value_parser = parse_column)]
    columns: Vec<&'static Column>,
    /// Write stored passwords, too; whoever gets the file can try to guess from it
    #[arg(long)]
    with_password_hashes: bool,
    /// CSV as Excel opens it where commas are decimal: with a byte order mark and semicolons
    #[arg(long)]
    excel: bool,
}

fn parse_format(text: &str) -> Result<Format, String> {
    Format::from_name(text).ok_or_else(|| "the formats are csv, ndjson, xlsx and ldif".into())
}

fn parse_match_key(text: &str) -> Result<MatchKey, String> {
    MatchKey::from_name(text).ok_or_else(|| "people are known by id, external-id, email or user-name".into())
}

fn parse_kind(text: &str) -> Result<RecordKind, String> {
    let known = || RecordKind::ALL.map(RecordKind::as_str).join(", ");
    RecordKind::from_word(text).ok_or_else(|| format!("the kinds are {}", known()))
}

fn parse_column(text: &str) -> Result<&'static Column, String> {
    column_by_name(text).ok_or_else(|| format!("there is no column {text}; `muster import --list-columns` tells them"))
}

fn parse_delimiter(text: &str) -> Result<u8, String> {
    match text {
        "tab" | "\\t" => Ok(b'\t'),
        text if text.len() == 1 && text.is_ascii() => Ok(text.as_bytes()[0]),
        _ => Err("say one character, or tab".into()),
    }
}

/// How headers are told: by this program's own names, and by every dialect's.
fn columns() -> ColumnMapping {
    ColumnMapping::new(dialects::kit::field_aliases())
}

pub(crate) fn import(settings: &Settings, args: &ImportArgs, output: Output) -> anyhow::Result<ExitCode> {
    let Some(path) = args.file.clone().filter(|_| !args.list_columns) else {
        list_columns(output);
        return Ok(ExitCode::SUCCESS);
    };
    let options = import_options(&path, args)?;
    let path_text = path.display();
    let session = AdminSession::open(settings)?;
    let caller = session.resolve_tenant(args.tenant)?;
    let scan_result = scan(&options).with_context(|| format!("{path_text} was not brought in"))?;
    let mut progress = Progress::new(output, "rows", Some(scan_result.rows));
    let mut on_rows = |more| {
        progress.add(more);
        true
    };
    let result = session.runtime.block_on(run(&session.directory, &caller, &options, &scan_result, &mut on_rows));
    progress.finish();
    let report = result.with_context(|| format!("{path_text} was not brought in whole"))?;
    // A file that could not be written was removed; the report says so.
    let rejected_file = options.rejected_file.filter(|file| !report.is_complete() && file.exists());
    let mut document = serde_json::to_value(&report)?;
    document["rows"] = json!(scan_result.rows);
    document["dryRun"] = json!(args.dry_run);
    document["rejectedFile"] = json!(rejected_file);
    output.result(&document, || report_text(&report, args.dry_run, rejected_file.as_deref()));
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::from(crate::exit::PARTIAL) })
}

fn import_options(path: &Path, args: &ImportArgs) -> anyhow::Result<ImportOptions> {
    let format = args.format.or_else(|| Format::from_path(path));
    let format = format
        .with_context(|| format!("{} does not say by its name what it is; say it with --format", path.display()))?;
    let mut columns = columns();
    for map in &args.map {
        let (header, column) = map.rsplit_once('=').context("--map takes HEADER=COLUMN")?;
        columns.map_header(header, column.trim()).map_err(|what| anyhow!(what))?;
    }
    if let Some(file) = args.rejected_file.as_deref().filter(|file| file.exists()) {
        bail!("{} is there already", file.display());
    }
    let rejected_file = || args.rejected_file.clone().unwrap_or_else(|| rejected_rows_path(path, format));
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let reading = ReadOptions {
        delimiter: args.delimiter,
        encoding: args.encoding.clone(),
        sheet: args.sheet.clone(),
        empty_clears: args.clear_empty_fields,
    };
    reading.check(format).map_err(|what| anyhow!(what))?;
    Ok(ImportOptions {
        read_options: reading,
        match_by: args.match_by.clone(),
        update: args.update,
        deactivate_missing: args.deactivate_missing,
        deactivation_limit: args.deactivation_limit,
        yes_really: args.force,
        invite: args.invite,
        dry_run: args.dry_run,
        rejected_file: (!args.dry_run).then(rejected_file),
        request: format!("import {name}"),
        ..ImportOptions::new(path, format, columns)
    })
}

/// `people.csv` leaves `people.refused.csv`, and where that is there already, as it is when that is brought in again,
/// `people.refused.2.csv`.
fn rejected_rows_path(path: &Path, format: Format) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let stem = stem.split_once(".refused").map_or(stem.as_str(), |(first, _)| first);
    let named = |number: String| path.with_file_name(format!("{stem}.refused{number}.{}", format.as_str()));
    let all = std::iter::once(String::new()).chain((2_u64..).map(|number| format!(".{number}")));
    all.map(named).find(|file| !file.exists()).unwrap_or_else(|| named(String::new()))
}

fn list_columns(output: Output) {
    let kinds = |column: &Column| {
        let kinds = RecordKind::ALL.into_iter().rev().filter(|kind| column.applies_to(*kind));
        kinds.map(RecordKind::as_str).collect::<Vec<_>>().join(", ")
    };
    let document: Vec<_> = COLUMNS
        .iter()
        .map(|column| json!({"column": column.name, "of": kinds(column), "about": column.description}))
        .collect();
    let rows =
        COLUMNS.iter().map(|column| vec![column.name.into(), kinds(column), column.description.into()]).collect();
    output.rows(&document.into(), &["column", "of", "what it is"], rows, "");
}

/// What came of it, for people.
fn report_text(report: &ImportReport, is_preview: bool, rejected_file: Option<&Path>) -> String {
    let would = |word: &str| if is_preview { format!("would be {word}") } else { word.to_owned() };
    let row = |what: &str, tally: &RowCounts| {
        let RowCounts { created, changed, unchanged: left, rejected: refused } = *tally;
        std::iter::once(what.to_owned()).chain([created, changed, left, refused].map(|n| n.to_string())).collect()
    };
    let mut rows: Vec<Vec<String>> = vec![row("people", &report.users)];
    if report.items != RowCounts::default() {
        rows.push(row("groups and other things", &report.items));
    }
    let unchanged = if is_preview { "would be left as they are".into() } else { "left as they are".to_owned() };
    let mut text = table(&["", &would("created"), &would("changed"), &unchanged, &would("refused")], rows);
    if report.created_items > 0 {
        text += &format!("\n\nGroups and folders that nobody had: {} {}.", report.created_items, would("made"));
    }
    if report.deactivated > 0 {
        text += &format!("\n\nNot in the file and {}: {}.", would("switched off"), report.deactivated);
    }
    let sections = [("created", &report.created), ("changed", &report.changed), ("left", &report.unchanged)];
    for (word, lines) in sections.into_iter().filter(|(_, lines)| is_preview && !lines.ranges.is_empty()) {
        text += &format!("\n\n{}: rows {}", would(word), row_ranges(lines));
        text += &lines_text(lines);
    }
    if !report.rejected.messages.is_empty() {
        text += &format!("\n\n{}:{}", would("refused"), lines_text(&report.rejected));
    }
    if report.missing_reference_count > 0 {
        let many = report.missing_reference_count;
        text += &format!(
            "\n\nMissing references, whose rows are imported without them: {many}{}",
            lines_text(&report.missing_references)
        );
    }
    if !report.ignored.is_empty() {
        text += "\n\nNot imported:";
        for ignored in &report.ignored {
            text += &format!("\n  {ignored}");
        }
    }
    for note in &report.notes {
        text += &format!("\n\n{note}");
    }
    if let Some(path) = rejected_file {
        text += &format!("\n\nThe rejected rows are in {}: correct them there and import that file.", path.display());
        if report.missing_reference_count > 0 {
            text += " Missing managers are set with --update.";
        }
    }
    text
}

fn lines_text(lines: &ReportRows) -> String {
    let mut text = String::new();
    for line in &lines.messages {
        text += &format!("\n  row {}: {}", line.row, line.message);
    }
    if lines.omitted > 0 {
        text += &format!("\n  and {} more", lines.omitted);
    }
    text
}

fn row_ranges(lines: &ReportRows) -> String {
    let one = |(from, to): &(u64, u64)| if from == to { from.to_string() } else { format!("{from}-{to}") };
    lines.ranges.iter().map(one).collect::<Vec<_>>().join(", ")
}

pub(crate) fn export(settings: &Settings, args: ExportArgs, output: Output) -> anyhow::Result<()> {
    let is_stdout = args.file.as_os_str() == "-";
    let format = args.format.or_else(|| Format::from_path(&args.file));
    let format = format.with_context(|| {
        format!("{} does not say by its name what it is to be; say it with --format", args.file.display())
    })?;
    let kinds = if args.kinds.is_empty() { RecordKind::ALL.to_vec() } else { args.kinds };
    let options = transfer::export::ExportOptions {
        format,
        kinds,
        columns: (!args.columns.is_empty()).then_some(args.columns),
        with_password_hashes: args.with_password_hashes,
    };
    if args.with_password_hashes {
        warn("passwords go along as they are stored; whoever gets the file can try to guess them from it");
    }
    let writing =
        WriteOptions { excel_compatible: args.excel, escaping: CellEscaping::Reversible, ..WriteOptions::default() };
    writing.check(format).map_err(|what| anyhow!(what))?;
    let session = AdminSession::open_read_only(settings)?;
    let caller = session.resolve_tenant(args.tenant)?;
    if is_stdout {
        let to: Box<dyn Write + Send> = Box::new(std::io::BufWriter::new(crate::output::StdoutWriter::new()));
        write_export(&session, &caller, &options, to, writing, None)?;
        return Ok(());
    }
    let file = NewFile::create(&args.file).with_context(|| format!("cannot make {}", args.file.display()))?;
    let counts = write_export(&session, &caller, &options, Box::new(file.file().try_clone()?), writing, Some(output))?;
    file.publish().with_context(|| format!("cannot make {}", args.file.display()))?;
    let document: serde_json::Map<_, _> =
        counts.iter().map(|(kind, count)| (kind.as_str().to_owned(), json!(count))).collect();
    output.result(&document.into(), || {
        let rows = counts.iter().map(|(kind, count)| vec![kind.as_str().into(), count.to_string()]).collect();
        format!("{}\n\nwritten to {}", table(&["kind", "rows"], rows), args.file.display())
    });
    Ok(())
}

fn write_export(
    session: &AdminSession,
    caller: &Caller,
    options: &transfer::export::ExportOptions,
    to: Box<dyn Write + Send>,
    writing: WriteOptions,
    output: Option<Output>,
) -> anyhow::Result<Vec<(RecordKind, u64)>> {
    let total = transfer::export::estimate_rows(&session.directory, caller, &options.kinds);
    let total = session.runtime.block_on(total).map_err(directory_error)?;
    let mut progress = output.map(|output| Progress::new(output, "rows", Some(total)));
    let to = create_writer(options.format, to, writing)?;
    let on_rows = |more| {
        if let Some(progress) = &mut progress {
            progress.add(more);
        }
    };
    let counts = session.runtime.block_on(transfer::export::run(&session.directory, caller, options, to, on_rows));
    if let Some(progress) = progress {
        progress.finish();
    }
    Ok(counts?)
}

#[expect(clippy::print_stderr, reason = "this is the terminal")]
fn warn(text: &str) {
    eprintln!("muster: {text}");
}
