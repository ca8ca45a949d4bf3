//! Import of files into a directory. A file is scanned to its end first, so that an invalid one changes nothing; then
//! each row becomes a directory command. Rows match what they created before, so an interrupted import can be rerun.

mod execution;
mod options;
mod report;
mod scan;

pub use options::{ImportError, ImportOptions, MatchKey};
pub use report::{ImportReport, ReportRows, RowCounts, RowMessage};
pub use scan::Scan;
pub use scan::row_stream::is_small_file;
pub use scan::scanner::scan;

use crate::FileError;
use crate::ignored::IgnoredReason;
use directory::{Caller, Directory};
use std::sync::Arc;

/// Imports a scanned file. `on_progress` gets the number of newly finished rows and returns whether to continue.
pub async fn run(
    directory: &Arc<Directory>,
    caller: &Caller,
    options: &ImportOptions,
    scan: &Scan,
    on_progress: &mut (dyn FnMut(u64) -> bool + Send),
) -> Result<ImportReport, ImportError> {
    let caller = Caller { request_id: options.request.clone(), ..caller.clone() };
    let no_user = || {
        FileError::new(
            "the file contains no users, so --deactivate-missing would deactivate all users; nothing was changed",
        )
    };
    if options.deactivate_missing && scan.users == 0 {
        return Err(no_user().into());
    }
    if !options.deactivate_missing {
        return Ok(Box::pin(execution::executor::import_rows(directory, &caller, options, scan, on_progress)).await?.0);
    }
    // A dry run finds out whether too many users are missing before anything changes.
    let dry_run_options = ImportOptions { dry_run: true, rejected_file: None, ..options.clone() };
    let (preview, present) =
        Box::pin(execution::executor::import_rows(directory, &caller, &dry_run_options, scan, &mut |_| on_progress(0)))
            .await?;
    let deleted = preview.ignored.iter().filter(|ignored| ignored.reason == IgnoredReason::Deleted);
    if deleted.map(|ignored| ignored.count).sum::<u64>() == scan.users {
        return Err(no_user().into());
    }
    let limit = options.deactivation_limit;
    let missing =
        execution::deactivate_missing::count_missing(directory, &caller, &present.users, options.first_started).await?;
    if missing.exceeds(limit) {
        return Err(ImportError::TooManyMissing { missing: missing.count, total: missing.active_users, limit });
    }
    if options.dry_run {
        let mut preview = preview;
        if !note_if_unmatched(&present, options, &mut preview) {
            preview.deactivated = missing.count;
        }
        return Ok(preview);
    }
    let (mut report, present) =
        Box::pin(execution::executor::import_rows(directory, &caller, options, scan, on_progress)).await?;
    // Count again: others may have deactivated or deleted users in the meantime.
    let missing_now =
        execution::deactivate_missing::count_missing(directory, &caller, &present.users, options.first_started).await?;
    if missing_now.exceeds(limit) {
        report.add_note(format!(
            "Missing users were not deactivated: they are now more than {limit}% of the active users (raise the limit \
            with --deactivation-limit PERCENT)."
        ));
    } else if !note_if_unmatched(&present, options, &mut report) {
        let max_number = missing.max_number;
        execution::deactivate_missing::deactivate(
            directory,
            &caller,
            (&present.users, options.first_started),
            max_number,
            &mut report,
            on_progress,
        )
        .await?;
    }
    Ok(report)
}

/// Whether rejected rows without an existing user prevent the deactivation of missing users; adds a note if so.
fn note_if_unmatched(
    present: &execution::executor::PresentUsers,
    options: &ImportOptions,
    report: &mut ImportReport,
) -> bool {
    let is_blocked = present.unmatched_rows > 0 && !options.deactivate_despite_rejected_rows;
    if is_blocked {
        report.add_note(format!(
            "Missing users are not deactivated: {} of the rejected rows match no existing user, so users in the file \
             could look missing (--force deactivates anyway).",
            present.unmatched_rows
        ));
    }
    is_blocked
}
