//! The exit codes of all commands; `docs/commands.md` has the same table.

/// It did not work; the message says why, and what was done.
pub(crate) const FAILED: u8 = 1;
/// The import left something out: rows were rejected, or references are missing.
pub(crate) const PARTIAL: u8 = 3;
/// The check found something: a damaged store, or a break in the history.
pub(crate) const FINDINGS: u8 = 4;
/// Nobody reads the output any more: 128 and the number of SIGPIPE, as shells say it.
pub(crate) const BROKEN_PIPE: u8 = 141;

/// The exit codes in words, for the help. 2 is clap's own.
pub(crate) const HELP: &str = "Exit codes:
  0    done
  1    failed; the message says why
  2    wrong usage
  3    imported in part: rows were rejected, or references are missing
  4    found something: a damaged store (check), or a break in the history (audit verify)
  141  nobody reads the output any more";
