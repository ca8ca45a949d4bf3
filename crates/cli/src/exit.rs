//! The exit codes of all commands; `docs/commands.md` has the same table.

/// An error; see its message.
pub(crate) const FAILED: u8 = 1;
/// A partial import: rows were rejected, or references are missing.
pub(crate) const PARTIAL: u8 = 3;
/// A check found a damaged store or a broken history.
pub(crate) const FINDINGS: u8 = 4;
/// Standard output was closed: 128 plus the number of SIGPIPE, as shells report it.
pub(crate) const BROKEN_PIPE: u8 = 141;

/// For the help. 2 is clap's own exit code.
pub(crate) const HELP: &str = "Exit codes:
  0    success
  1    error; see the message
  2    invalid command, option or value
  3    partial import: rows were rejected, or references are missing
  4    check failed: the store is damaged (check) or the history was changed (audit verify)
  141  standard output was closed";
