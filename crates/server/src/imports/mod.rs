//! Imports and exports over HTTP. Each import is three files in a directory: the upload, its state, and the rejected
//! rows. An acknowledged import is executed even after a restart, also by another process that shares the directory;
//! each tenant's imports run one at a time.

mod download;
mod job;
mod keys;
mod options;
mod receive;
mod storage;
#[cfg(test)]
mod tests;

pub(crate) use receive::receive;
pub use storage::StorageLimits;

use dialects::kit::transfers::{CreatedImport, FileBody, Params, Rejected, Transfers};
use directory::{Caller, Directory};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use job::{Job, JobStatus};
use options::{parse_format, parse_options};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use transfer::InvalidOption;
use transfer::formats::{Format, create_private_file};
use transfer::import::{ImportError, ImportOptions, Scan, is_small_file, run, scan};
use uuid::Uuid;

/// The largest upload, in bytes.
const MAX_FILE_SIZE: u64 = 4 << 30;
const UPLOAD_TIMEOUT: Duration = Duration::from_hours(1);
const MAX_PENDING_PER_TENANT: usize = 20;
/// How long results of imports are kept, in seconds.
const RETENTION_SECONDS: i64 = 7 * 24 * 60 * 60;
/// How often progress is recorded.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);
/// How often the process may end during an import before the import fails.
const MAX_INTERRUPTIONS: u32 = 10;
/// How often an import may panic before it fails.
const MAX_PANICS: u32 = 2;
/// Messages of 507 responses.
const TENANT_STORAGE_FULL: &str =
    "The tenant's import files have reached their storage limit (see --imports-quota-mib)";
const DISK_FULL: &str = "The server's disk is almost full (see --min-free-disk-mib)";
/// The extension of the file that marks an import as canceled.
const CANCEL_EXTENSION: &str = "off";
/// How often imports of other processes are looked for.
const POLL_INTERVAL: Duration = Duration::from_secs(10);
/// Tenants whose imports run concurrently.
const MAX_CONCURRENT_TENANTS: usize = 4;

/// A finished import, and the lock on its file that keeps other processes from executing it.
struct FinishedJob {
    job: Job,
    _lock: Option<File>,
}

/// Manages imports and their directory.
pub struct Imports {
    dir: PathBuf,
    directory: Arc<Directory>,
    wake: Notify,
    storage: StorageLimits,
    /// Imports that are being uploaded.
    uploading: Mutex<HashSet<Uuid>>,
    /// Finished imports whose result could not be recorded yet. They must not be executed again.
    unrecorded: Mutex<HashMap<Uuid, FinishedJob>>,
}

impl Imports {
    /// Creates the directory when it is needed.
    pub fn new(folder: impl Into<PathBuf>, storage: StorageLimits, directory: Arc<Directory>) -> Self {
        Self {
            dir: folder.into(),
            directory,
            wake: Notify::new(),
            storage,
            uploading: Mutex::default(),
            unrecorded: Mutex::default(),
        }
    }

    /// The part of the tenant's quota that its other imports leave for this one, in bytes.
    pub(crate) fn quota_for(&self, id: Uuid) -> u64 {
        let jobs = self.jobs();
        let tenant = jobs.iter().find(|job| job.id == id).map(|job| job.caller.tenant);
        let others = jobs.iter().filter(|job| Some(job.caller.tenant) == tenant && job.id != id);
        self.storage.tenant_quota.saturating_sub(others.map(|job| self.files_size(job)).sum())
    }

    /// Size of an import's files, in bytes.
    fn files_size(&self, job: &Job) -> u64 {
        let files = ["data".to_owned(), rejected_extension(job.format())];
        let sizes = files.iter().filter_map(|extension| std::fs::metadata(self.path(job.id, extension)).ok());
        sizes.map(|file| file.len()).sum()
    }

    pub(crate) fn check_disk(&self) -> anyhow::Result<()> {
        storage::check_disk(&self.dir, self.storage)
    }

    fn path(&self, id: Uuid, extension: &str) -> PathBuf {
        self.dir.join(format!("{id}.{extension}"))
    }

    /// Creates the file for an upload.
    pub(crate) fn create_data_file(&self, id: Uuid) -> std::io::Result<File> {
        create_private_file(&self.path(id, "data"), true)
    }

    pub(crate) fn remove_files(&self, id: Uuid) {
        for extension in ["json", "data", CANCEL_EXTENSION, job::RESERVED_EXTENSION] {
            drop(std::fs::remove_file(self.path(id, extension)));
        }
        self.uploading.lock().remove(&id);
    }

    fn jobs(&self) -> Vec<Job> {
        let Ok(entries) = std::fs::read_dir(&self.dir) else { return Vec::new() };
        let paths = entries.flatten().map(|entry| entry.path());
        let mut jobs: Vec<Job> = paths
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .filter_map(|path| Job::read(&path))
            .collect();
        jobs.sort_by_key(|job| (job.created, job.id));
        jobs
    }

    fn find_job(&self, caller: &Caller, id: Uuid) -> Option<Job> {
        let job = Job::read(&self.path(id, "json"))?;
        // An import of another tenant must look like a nonexistent one.
        (job.caller.tenant == caller.tenant.0 && job.status != JobStatus::Uploading).then_some(job)
    }

    /// Runs imports until `stop`. Imports of a tenant run one after the other, those of different tenants
    /// concurrently and in turn.
    pub(crate) async fn run(self: Arc<Self>, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let (mut tasks, mut busy) = (FuturesUnordered::new(), HashSet::new());
        let (mut last_turns, mut turn) = (HashMap::new(), 0_u64);
        loop {
            self.record_unrecorded();
            for job in self.next_jobs(&last_turns) {
                let tenant = job.caller.tenant;
                if busy.len() < MAX_CONCURRENT_TENANTS && busy.insert(tenant) {
                    turn += 1;
                    last_turns.insert(tenant, turn);
                    tasks.push(self.run_job(job));
                }
            }
            tokio::select! {
                biased;
                () = &mut stop => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(POLL_INTERVAL) => {}
                Some(tenant) = tasks.next() => drop(busy.remove(&tenant)),
            }
        }
    }

    /// The next import of each tenant; tenants that have waited longest come first. Deletes expired imports and
    /// abandoned uploads.
    fn next_jobs(&self, last_turns: &HashMap<u32, u64>) -> Vec<Job> {
        let now = self.directory.now();
        let (mut ready, mut tenants) = (Vec::new(), HashSet::new());
        for job in self.jobs() {
            match job.status {
                JobStatus::Uploading => {
                    // The process that received it has ended, and the client's connection with it.
                    let is_uploading_here = self.uploading.lock().contains(&job.id);
                    let is_abandoned = job.created.plus_seconds(2 * 3600) < now;
                    if !is_uploading_here && is_abandoned {
                        self.remove_files(job.id);
                    }
                }
                // Imports run in their order, so that an older one cannot undo a newer one.
                JobStatus::Queued | JobStatus::Running => {
                    if self.unrecorded.lock().contains_key(&job.id) {
                        continue;
                    }
                    if tenants.insert(job.caller.tenant) {
                        ready.push(job);
                    }
                }
                JobStatus::Done | JobStatus::Failed | JobStatus::Canceled => {
                    if job.ended.is_some_and(|ended| ended.plus_seconds(RETENTION_SECONDS) < now) {
                        self.delete_expired(&job);
                    } else if self.path(job.id, "data").exists() && !self.unrecorded.lock().contains_key(&job.id) {
                        // The process ended after it recorded the result and before it removed the files.
                        self.record_end(FinishedJob { job, _lock: None });
                    }
                }
            }
        }
        ready.sort_by_key(|job| last_turns.get(&job.caller.tenant).copied().unwrap_or_default());
        ready
    }

    /// Runs an import and returns its tenant. If the import is unfinished, because the store is unavailable or another
    /// process runs it, waits before the tenant's next turn.
    async fn run_job(&self, job: Job) -> u32 {
        self.execute(&job).await;
        let state = Job::read(&self.path(job.id, "json"));
        if state.is_some_and(|job| job.ended.is_none()) {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        job.caller.tenant
    }

    fn delete_expired(&self, job: &Job) {
        drop(std::fs::remove_file(self.path(job.id, &rejected_extension(job.format()))));
        self.remove_key(job);
        self.remove_files(job.id);
    }

    /// Locks the file of an import: the process that has the lock executes it. `None` if another process has it, or
    /// the file cannot be opened at the moment.
    ///
    /// # Errors
    /// A reason why the import can never be executed.
    fn lock_data(&self, id: Uuid) -> anyhow::Result<Option<File>> {
        let data = match File::open(self.path(id, "data")) {
            Ok(data) => data,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                anyhow::bail!("the uploaded file was lost: upload it again");
            }
            Err(error) => {
                tracing::warn!(%error, import = %id, "cannot open the file of an import");
                return Ok(None);
            }
        };
        match data.try_lock() {
            Ok(()) => Ok(Some(data)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => anyhow::bail!(
                "cannot lock the uploaded file ({error}): set --imports-dir to a directory whose file system supports file locks"
            ),
        }
    }

    async fn execute(&self, job: &Job) {
        let state = self.path(job.id, "json");
        let locked = match self.lock_data(job.id) {
            Ok(Some(data)) => Ok(data),
            Ok(None) => return,
            Err(reason) => Err(reason),
        };
        // The previous holder of the lock may have finished it.
        let Some(mut job) = Job::read(&state).filter(|job| job.ended.is_none()) else { return };
        if let Some(job) = Job::read_unrecorded_end(&state) {
            return self.record_end(FinishedJob { job, _lock: locked.ok() });
        }
        let data = match locked {
            Ok(data) => data,
            Err(reason) => {
                tracing::error!(%reason, import = %job.id, "import failed");
                // A repeat of the request is a new import.
                self.remove_key(&job);
                job.status = JobStatus::Failed;
                job.error = Some(reason.to_string());
                return self.finish(job, None);
            }
        };
        // It was interrupted, perhaps because of its content.
        job.interruptions += u32::from(job.status == JobStatus::Running);
        job.status = JobStatus::Running;
        job.started = job.started.or(Some(self.directory.now()));
        // Do not start an import whose result could not be recorded.
        if let Err(error) = Job::reserve_end(&state).and_then(|()| job.write(&state)) {
            return tracing::warn!(%error, "cannot start an import");
        }
        let result = if job.interruptions > MAX_INTERRUPTIONS {
            Err(import_error(format!("the server stopped {MAX_INTERRUPTIONS} times during this import; see its log")))
        } else {
            let import = AssertUnwindSafe(self.run_import(&mut job, &state)).catch_unwind().await;
            match import {
                Ok(result) => result,
                Err(_) => return self.handle_panic(job, data),
            }
        };
        job.apply_result(result);
        if job.status == JobStatus::Queued {
            if let Err(error) = job.write(&state) {
                tracing::warn!(%error, "cannot record the state of an import");
            }
        } else {
            self.finish(job, Some(data));
        }
    }

    /// Retries an import that panicked, until it has panicked [`MAX_PANICS`] times.
    fn handle_panic(&self, mut job: Job, data: File) {
        job.panics += 1;
        tracing::error!(import = %job.id, panics = job.panics, "import panicked");
        if job.panics >= MAX_PANICS {
            job.status = JobStatus::Failed;
            job.error = Some(format!("internal server error, twice (see the server log for import {})", job.id));
            return self.finish(job, Some(data));
        }
        job.status = JobStatus::Queued;
        if let Err(error) = job.write(&self.path(job.id, "json")) {
            tracing::warn!(%error, "cannot record the state of an import");
        }
    }

    /// Retries to record the results of finished imports.
    fn record_unrecorded(&self) {
        let ended = std::mem::take(&mut *self.unrecorded.lock());
        for ended in ended.into_values() {
            self.record_end(ended);
        }
    }

    /// Records the result of an import and deletes the uploaded file, which can contain passwords.
    fn finish(&self, mut job: Job, data: Option<File>) {
        job.ended = Some(self.directory.now());
        self.record_end(FinishedJob { job, _lock: data });
    }

    fn record_end(&self, ended: FinishedJob) {
        let job = &ended.job;
        if let Err(error) = job.write_end(&self.path(job.id, "json")) {
            tracing::warn!(%error, import = %job.id, "cannot record the result of an import yet");
            self.unrecorded.lock().insert(job.id, ended);
            return;
        }
        for extension in ["data", CANCEL_EXTENSION] {
            drop(std::fs::remove_file(self.path(job.id, extension)));
        }
    }

    async fn run_import(&self, job: &mut Job, state: &Path) -> Result<transfer::import::ImportReport, ImportError> {
        let caller = job.caller();
        let cancel_marker = self.path(job.id, CANCEL_EXTENSION);
        if cancel_marker.exists() {
            return Err(ImportError::Canceled);
        }
        let mut options =
            parse_options(&self.path(job.id, "data"), &job.params).map_err(|error| import_error(error.0))?;
        options.format = job.format();
        options.rejected_file = (!options.dry_run).then(|| self.path(job.id, &rejected_extension(job.format())));
        options.request = format!("import {}", job.id);
        // Only an import that was started before can find users that it created itself.
        options.first_started = job.started.filter(|_| job.interruptions > 0 || job.panics > 0 || job.rows.is_some());
        let scan_result = scan_file(&options).await?;
        job.rows = Some(scan_result.rows);
        let mut last_progress = Instant::now();
        let mut progress = job.clone();
        let mut on_rows = |more| {
            progress.rows_done += more;
            if last_progress.elapsed() < PROGRESS_INTERVAL {
                return true;
            }
            last_progress = Instant::now();
            // Failures do not matter: progress is written again soon.
            drop(progress.write(state));
            !cancel_marker.exists()
        };
        let report = Box::pin(run(&self.directory, &caller, &options, &scan_result, &mut on_rows)).await;
        job.rows_done = progress.rows_done;
        report
    }
}

/// Scans the file of an import without blocking other imports.
async fn scan_file(options: &ImportOptions) -> Result<Scan, ImportError> {
    if is_small_file(options) {
        return Ok(scan(options)?);
    }
    let options = options.clone();
    #[expect(clippy::disallowed_methods, reason = "a few imports at a time")]
    let scan_result = tokio::task::spawn_blocking(move || scan(&options)).await;
    let broken = |error: tokio::task::JoinError| {
        tracing::error!(%error, "scanning an uploaded file panicked");
        import_error("the file cannot be read".into())
    };
    Ok(scan_result.map_err(broken)??)
}

/// An error with a message for the client.
fn import_error(what: String) -> ImportError {
    transfer::FileError { row: None, column: None, message: what }.into()
}

fn invalid_request(error: InvalidOption) -> Rejected {
    Rejected::InvalidRequest(error.0)
}

fn rejected_extension(format: Format) -> String {
    format!("refused.{}", format.as_str())
}

impl Transfers for Imports {
    fn create_import(&self, caller: &Caller, media: Option<&str>, params: &Params) -> Result<CreatedImport, Rejected> {
        let format = parse_format(media, params).map_err(invalid_request)?;
        let options = parse_options(Path::new(""), params).map_err(invalid_request)?;
        options.read_options.check(format).map_err(invalid_request)?;
        let is_open = |job: &&Job| job.caller.tenant == caller.tenant.0 && job.ended.is_none();
        if self.jobs().iter().filter(is_open).count() >= MAX_PENDING_PER_TENANT {
            return Err(Rejected::Temporary(format!(
                "The tenant already has {MAX_PENDING_PER_TENANT} unfinished imports; wait, or cancel one"
            )));
        }
        let unavailable =
            |error: &dyn std::fmt::Display| Rejected::Temporary(format!("The import cannot be stored: {error}"));
        storage::create_dir(&self.dir).map_err(|error| unavailable(&error))?;
        let used = self
            .jobs()
            .iter()
            .filter(|job| job.caller.tenant == caller.tenant.0)
            .map(|job| self.files_size(job))
            .sum::<u64>();
        if used >= self.storage.tenant_quota {
            return Err(Rejected::InsufficientStorage(TENANT_STORAGE_FULL));
        }
        if let Err(reason) = self.check_disk() {
            tracing::error!(%reason, "import rejected: the disk is almost full");
            return Err(Rejected::InsufficientStorage(DISK_FULL));
        }
        let id = storage::new_id().map_err(|error| unavailable(&error))?;
        let only_connections = || Rejected::InvalidRequest("Only a connection can import files".into());
        let job = Job::new(id, caller, format, params.clone(), self.directory.now()).ok_or_else(only_connections)?;
        job.write(&self.path(id, "json")).map_err(|error| unavailable(&error))?;
        self.uploading.lock().insert(id);
        let mut response_job = job;
        response_job.status = JobStatus::Queued;
        Ok(CreatedImport { id, resource: response_job.to_json() })
    }

    fn list_imports(&self, caller: &Caller) -> Vec<Value> {
        let is_own = |job: &Job| job.caller.tenant == caller.tenant.0 && job.status != JobStatus::Uploading;
        self.jobs().into_iter().rev().filter(is_own).map(|job| job.to_json()).collect()
    }

    fn get_import(&self, caller: &Caller, id: Uuid) -> Option<Value> {
        self.find_job(caller, id).map(|job| job.to_json())
    }

    fn cancel_import(&self, caller: &Caller, id: Uuid) -> Result<(), Rejected> {
        let job = self.find_job(caller, id).ok_or(Rejected::NotFound)?;
        if job.ended.is_some() {
            return Ok(());
        }
        // The process that runs the import sees this file, even if it is another one or was restarted.
        create_private_file(&self.path(id, CANCEL_EXTENSION), true)
            .and_then(|mark| mark.sync_all())
            .map_err(|error| Rejected::Temporary(format!("The import cannot be canceled: {error}")))?;
        // If no process runs it, it ends at once.
        if let Ok(data) = File::open(self.path(id, "data"))
            && data.try_lock().is_ok()
            && let Some(mut job) = self.find_job(caller, id).filter(|job| job.ended.is_none())
        {
            job.status = JobStatus::Canceled;
            self.finish(job, Some(data));
        }
        Ok(())
    }

    fn rejected_rows(&self, caller: &Caller, id: Uuid) -> Option<FileBody> {
        let job = self.find_job(caller, id)?;
        let file = File::open(self.path(id, &rejected_extension(job.format()))).ok()?;
        Some(FileBody { media_type: job.format().media_type(), content: download::file_content(file) })
    }

    fn export(&self, caller: &Caller, file: &str, params: &Params) -> Result<FileBody, Rejected> {
        download::export(&self.directory, caller, file, params).map_err(invalid_request)
    }
}
