//! `muster import` and `muster export`.

use crate::new_file::NewFile;
use crate::output::{Output, table};
use crate::progress::Progress;
use crate::session::{AdminSession, TenantArg};
use crate::settings::Settings;
use anyhow::{Context, bail};
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
    /// File to import
    #[arg(required_unless_present = "list_columns")]
    file: Option<PathBuf>,
    #[command(flatten)]
    tenant: TenantArg,
    /// File format: csv, ndjson, xlsx or ldif (default: by the file's name)
    #[arg(long, value_parser = parse_format)]
    format: Option<Format>,
    /// Map a header to a column: HEADER=COLUMN, or HEADER= to ignore it (repeatable)
    #[arg(long, value_name = "HEADER=COLUMN")]
    map: Vec<String>,
    /// Keys that identify existing users, most reliable first: id, external-id, email or user-name
    #[arg(long = "match", value_name = "KEYS", value_delimiter = ',', default_value = "id,external-id,email", value_parser = parse_match_key)]
    match_by: Vec<MatchKey>,
    /// Update existing users; without it, they stay unchanged
    #[arg(long)]
    update: bool,
    /// Leave existing users unchanged (default)
    #[arg(long, conflicts_with_all = ["update", "deactivate_missing"])]
    create_only: bool,
    /// Deactivate active users who are not in the file; users in rejected rows are not deactivated
    #[arg(long)]
    deactivate_missing: bool,
    /// Maximum percentage of active users to deactivate; if more are missing, nothing is imported
    #[arg(long, value_name = "PERCENT", default_value_t = 10, requires = "deactivate_missing",
          value_parser = clap::value_parser!(u8).range(0..=100))]
    deactivation_limit: u8,
    /// With --deactivate-missing: deactivate even if a rejected row matches no user (it may belong to one of the missing users)
    #[arg(long, requires = "deactivate_missing", alias = "yes-really")]
    force: bool,
    /// Show what would happen, without any change
    #[arg(long)]
    dry_run: bool,
    /// Invite new users by email; without it, they are active at once
    #[arg(long)]
    invite: bool,
    /// Delimiter of a CSV file: , ; | or tab (default: detected)
    #[arg(long, value_parser = parse_delimiter)]
    delimiter: Option<u8>,
    /// Encoding of a text file, such as utf-8, utf-16le or windows-1252 (default: detected)
    #[arg(long)]
    encoding: Option<String>,
    /// Sheet of a workbook (default: the sheets named Users, Groups, …, else the first)
    #[arg(long)]
    sheet: Option<String>,
    /// Clear stored values for empty cells; without it, empty cells are ignored
    #[arg(long, alias = "empty-clears")]
    clear_empty_fields: bool,
    /// File for rejected rows, to correct and import again (default: users.rejected.csv for users.csv)
    #[arg(long, value_name = "FILE", alias = "refused")]
    rejected_file: Option<PathBuf>,
    /// List the available columns and exit
    #[arg(long)]
    list_columns: bool,
}

#[derive(Args)]
pub(crate) struct ExportArgs {
    /// File to create, which must not exist; - is standard output
    file: PathBuf,
    #[command(flatten)]
    tenant: TenantArg,
    /// File format: csv, ndjson, xlsx or ldif (default: by the file's name)
    #[arg(long, value_parser = parse_format)]
    format: Option<Format>,
    /// Only this kind: user, group, folder, organisation, department or role (repeatable; default: all)
    #[arg(long = "kind", value_parser = parse_kind)]
    kinds: Vec<RecordKind>,
    /// Only these columns, in this order, separated by commas
    #[arg(long, value_delimiter = ',', value_parser = parse_column)]
    columns: Vec<&'static Column>,
    /// Include password hashes; anyone with the file can try to guess the passwords
    #[arg(long)]
    with_password_hashes: bool,
    /// Write CSV for Excel in locales with decimal commas: with a byte order mark and semicolons
    #[arg(long)]
    excel: bool,
}

fn parse_format(text: &str) -> Result<Format, String> {
    Format::from_name(text).ok_or_else(|| "must be csv, ndjson, xlsx or ldif".into())
}

fn parse_match_key(text: &str) -> Result<MatchKey, String> {
    MatchKey::from_name(text).ok_or_else(|| "must be id, external-id, email or user-name".into())
}

fn parse_kind(text: &str) -> Result<RecordKind, String> {
    let known = || RecordKind::ALL.map(RecordKind::as_str).join(", ");
    RecordKind::from_word(text).ok_or_else(|| format!("must be one of {}", known()))
}

fn parse_column(text: &str) -> Result<&'static Column, String> {
    column_by_name(text).ok_or_else(|| format!("unknown column {text} (see `muster import --list-columns`)"))
}

fn parse_delimiter(text: &str) -> Result<u8, String> {
    match text {
        "tab" | "\\t" => Ok(b'\t'),
        text if text.len() == 1 && text.is_ascii() => Ok(text.as_bytes()[0]),
        _ => Err("must be one character, or tab".into()),
    }
}

/// Recognizes headers by Muster's own names and those of every dialect.
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
    let caller = session.caller_in_tenant(args.tenant)?;
    let scan_result = scan(&options).with_context(|| format!("{path_text} was not imported"))?;
    let mut progress = Progress::new(output, "rows", Some(scan_result.rows));
    let mut on_rows = |more| {
        progress.add(more);
        true
    };
    let result = session.runtime.block_on(run(&session.directory, &caller, &options, &scan_result, &mut on_rows));
    progress.finish();
    let report = result.with_context(|| format!("{path_text} was not completely imported"))?;
    // A file that could not be written was removed; the report mentions it.
    let rejected_file = options.rejected_file.filter(|file| !report.is_complete() && file.exists());
    let mut document = serde_json::to_value(&report)?;
    document["rows"] = json!(scan_result.rows);
    document["dryRun"] = json!(args.dry_run);
    document["rejectedFile"] = json!(rejected_file);
    output.result(&document, || report_text(&report, args.dry_run, rejected_file.as_deref()));
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::from(crate::exit::PARTIAL) })
}

fn format_of(requested: Option<Format>, path: &Path) -> anyhow::Result<Format> {
    let unknown =
        || format!("cannot detect the format of {}: set --format to csv, ndjson, xlsx or ldif", path.display());
    requested.or_else(|| Format::from_path(path)).with_context(unknown)
}

fn import_options(path: &Path, args: &ImportArgs) -> anyhow::Result<ImportOptions> {
    let format = format_of(args.format, path)?;
    let mut columns = columns();
    for map in &args.map {
        let (header, column) = map.rsplit_once('=').context("--map must have the form HEADER=COLUMN")?;
        columns.map_header(header, column.trim())?;
    }
    if let Some(file) = args.rejected_file.as_deref().filter(|file| file.exists()) {
        bail!("{} already exists; choose another --rejected-file", file.display());
    }
    let rejected_file = || args.rejected_file.clone().unwrap_or_else(|| rejected_rows_path(path, format));
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let reading = ReadOptions {
        delimiter: args.delimiter,
        encoding: args.encoding.clone(),
        sheet: args.sheet.clone(),
        empty_clears: args.clear_empty_fields,
    };
    reading.check(format)?;
    Ok(ImportOptions {
        read_options: reading,
        match_by: args.match_by.clone(),
        update: args.update,
        deactivate_missing: args.deactivate_missing,
        deactivation_limit: args.deactivation_limit,
        deactivate_despite_rejected_rows: args.force,
        invite: args.invite,
        dry_run: args.dry_run,
        rejected_file: (!args.dry_run).then(rejected_file),
        request: format!("import {name}"),
        ..ImportOptions::new(path, format, columns)
    })
}

/// `users.rejected.csv` for `users.csv`. If that exists, as when it is imported itself, `users.rejected.2.csv`.
/// Version 0.1.0 wrote `users.refused.csv`.
fn rejected_rows_path(path: &Path, format: Format) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let suffix = stem.split_once(".rejected").or_else(|| stem.split_once(".refused"));
    let stem = suffix.map_or(stem.as_str(), |(first, _)| first);
    let named = |number: String| path.with_file_name(format!("{stem}.rejected{number}.{}", format.as_str()));
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
    output.rows(&document.into(), &["column", "kinds", "description"], rows, "");
}

fn report_text(report: &ImportReport, is_preview: bool, rejected_file: Option<&Path>) -> String {
    let would = |word: &str| if is_preview { format!("would be {word}") } else { word.to_owned() };
    let row = |what: &str, tally: &RowCounts| {
        let RowCounts { created, changed, unchanged: left, rejected } = *tally;
        std::iter::once(what.to_owned()).chain([created, changed, left, rejected].map(|n| n.to_string())).collect()
    };
    let mut rows: Vec<Vec<String>> = vec![row("users", &report.users)];
    if report.items != RowCounts::default() {
        rows.push(row("groups and other records", &report.items));
    }
    let mut text = table(&["", &would("created"), &would("changed"), &would("unchanged"), &would("rejected")], rows);
    if report.created_items > 0 {
        text += &format!("\n\nNew groups and folders: {} {}.", report.created_items, would("created"));
    }
    if report.deactivated > 0 {
        text += &format!("\n\nUsers who are not in the file, {}: {}.", would("deactivated"), report.deactivated);
    }
    let sections = [("created", &report.created), ("changed", &report.changed), ("unchanged", &report.unchanged)];
    for (word, lines) in sections.into_iter().filter(|(_, lines)| is_preview && !lines.ranges.is_empty()) {
        text += &format!("\n\nWould be {word}: {}{}", row_ranges(lines), lines_text(lines));
    }
    if !report.rejected.messages.is_empty() {
        let heading = if is_preview { "Would be rejected" } else { "Rejected" };
        text += &format!("\n\n{heading}:{}", lines_text(&report.rejected));
    }
    if report.missing_reference_count > 0 {
        let (count, rows) = (report.missing_reference_count, lines_text(&report.missing_references));
        text += &format!("\n\nMissing references, whose rows are imported without them: {count}{rows}");
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
            text += " Add --update to set missing managers.";
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
    let noun = if matches!(lines.ranges[..], [(from, to)] if from == to) { "row" } else { "rows" };
    format!("{noun} {}", lines.ranges.iter().map(one).collect::<Vec<_>>().join(", "))
}

pub(crate) fn export(settings: &Settings, args: ExportArgs, output: Output) -> anyhow::Result<()> {
    let is_stdout = args.file.as_os_str() == "-";
    let format = format_of(args.format, &args.file)?;
    let kinds = if args.kinds.is_empty() { RecordKind::ALL.to_vec() } else { args.kinds };
    let options = transfer::export::ExportOptions {
        format,
        kinds,
        columns: (!args.columns.is_empty()).then_some(args.columns),
        with_password_hashes: args.with_password_hashes,
    };
    if args.with_password_hashes {
        warn("the export contains password hashes: anyone with the file can try to guess the passwords");
    }
    let writing =
        WriteOptions { excel_compatible: args.excel, escaping: CellEscaping::Reversible, ..WriteOptions::default() };
    writing.check(format)?;
    let session = AdminSession::open_read_only(settings)?;
    let caller = session.caller_in_tenant(args.tenant)?;
    if is_stdout {
        let to: Box<dyn Write + Send> = Box::new(std::io::BufWriter::new(crate::output::StdoutWriter::new()));
        write_export(&session, &caller, &options, to, writing, None)?;
        return Ok(());
    }
    let file = NewFile::create(&args.file).with_context(|| format!("cannot create {}", args.file.display()))?;
    let counts = write_export(&session, &caller, &options, Box::new(file.file().try_clone()?), writing, Some(output))?;
    file.publish().with_context(|| format!("cannot create {}", args.file.display()))?;
    let document: serde_json::Map<_, _> =
        counts.iter().map(|(kind, count)| (kind.as_str().to_owned(), json!(count))).collect();
    output.result(&document.into(), || {
        let rows = counts.iter().map(|(kind, count)| vec![kind.as_str().into(), count.to_string()]).collect();
        format!("{}\n\nExported to {}", table(&["kind", "rows"], rows), args.file.display())
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
    let total = session.wait(total)?;
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
