//! Parses the query parameters of an import.

use dialects::kit::transfers::Params;
use std::path::Path;
use transfer::InvalidOption;
use transfer::formats::{Format, ReadOptions};
use transfer::import::{ImportOptions, MatchKey};

pub(super) fn parse_format(media: Option<&str>, params: &Params) -> Result<Format, InvalidOption> {
    let unknown = || "Unknown file format: set Content-Type, or 'format' to csv, ndjson, xlsx or ldif".into();
    if let Some((_, name)) = params.iter().find(|(name, _)| name == "format") {
        return Format::from_name(name).ok_or_else(unknown);
    }
    let media = media.ok_or_else(unknown)?;
    let known = Format::ALL.into_iter().find(|format| format.media_type().split(';').next() == Some(media));
    known.or((media == "application/ldif").then_some(Format::Ldif)).ok_or_else(unknown)
}

pub(super) fn parse_bool(name: &str, value: &str) -> Result<bool, InvalidOption> {
    match value.to_ascii_lowercase().as_str() {
        "" | "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(format!("'{name}' must be true or false").into()),
    }
}

pub(super) fn parse_options(path: &Path, params: &Params) -> Result<ImportOptions, InvalidOption> {
    let mut options =
        ImportOptions::new(path, Format::Csv, transfer::ColumnMapping::new(dialects::kit::field_aliases()));
    let mut reading = ReadOptions::default();
    for (name, value) in params {
        match name.as_str() {
            "update" => options.update = parse_bool(name, value)?,
            "dryRun" => options.dry_run = parse_bool(name, value)?,
            "invite" => options.invite = parse_bool(name, value)?,
            "deactivateMissing" => options.deactivate_missing = parse_bool(name, value)?,
            "deactivationLimit" => {
                let percent = value.parse().ok().filter(|percent| *percent <= 100);
                options.deactivation_limit = percent.ok_or("'deactivationLimit' must be a number from 0 to 100")?;
            }
            "yesReally" => options.deactivate_despite_rejected_rows = parse_bool(name, value)?,
            "emptyClears" => reading.empty_clears = parse_bool(name, value)?,
            "match" => {
                let keys = value.split(',').map(MatchKey::from_name).collect::<Option<Vec<MatchKey>>>();
                options.match_by = keys.ok_or("'match' must be a list of id, external-id, email and user-name")?;
            }
            "map" => {
                let (header, column) = value.rsplit_once('=').ok_or("'map' must have the form HEADER=COLUMN")?;
                options.column_mapping.map_header(header, column.trim())?;
            }
            "delimiter" => {
                let byte = match value.as_bytes() {
                    b"tab" => b'\t',
                    [byte] if byte.is_ascii() => *byte,
                    _ => return Err("'delimiter' must be one character, or tab".into()),
                };
                reading.delimiter = Some(byte);
            }
            "encoding" => reading.encoding = Some(value.clone()),
            "sheet" => reading.sheet = Some(value.clone()),
            _ => {}
        }
    }
    options.read_options = reading;
    Ok(options)
}
