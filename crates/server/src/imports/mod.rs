//! Imports and exports over HTTP. What was taken in is a folder's matter: the file as it came, a state beside it, and the
//! rows that were refused. An import that was acknowledged is carried out, also after a restart, and also by another process
//! that shares the folder; one at a time in each.

mod arrival;
mod download;
mod job;
mod options;
mod storage;
#[cfg(test)]
mod tests;

pub(crate) use arrival::receive;
pub use storage::StorageLimits;

use anyhow::Context;
use dialects::kit::ResponseBody;
use dialects::kit::transfers::{Params, Rejected, Transfers};
use directory::{Caller, Directory};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use job::{Job, Status};
use options::{format, options};
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
use transfer::formats::{Format, create_private_file};
use transfer::import::{ImportError, ImportOptions, Scan, is_small_file, run, scan};
use uuid::Uuid;

/// The largest file, in bytes.
const LARGEST: u64 = 4 << 30;
/// How long a file may take to arrive.
const ARRIVAL_TIME: Duration = Duration::from_hours(1);
/// Imports of a tenant that have not ended.
const AT_ONCE: usize = 20;
/// How long what came of an import is kept, in seconds.
const KEPT_SECONDS: i64 = 7 * 24 * 60 * 60;
/// How often it is noted how far an import is.
const SAID_EVERY: Duration = Duration::from_millis(500);
/// How often an import may be cut off by the end of the process that is at it.
const MOST_CUTS: u32 = 10;
/// How often an import may panic before it is set aside.
const MOST_PANICS: u32 = 2;
/// Messages of a 507.
const TENANT_STORAGE_FULL: &str =
    "The tenant's import files have reached their storage limit (see --imports-mib)";
const DISK_FULL: &str = "The server's disk is nearly full";
/// The ending of the mark on an import that is called off.
const OFF: &str = "off";
/// How often others are looked for.
const LOOK: Duration = Duration::from_secs(10);
/// Tenants whose imports are carried out at the same time.
const TENANTS_AT_ONCE: usize = 4;

/// An import that has ended, and the lock on its file, which keeps other processes from executing it.
struct Ended {
    job: Job,
    _data: Option<File>,
}

/// Imports, and where they are kept.
pub struct Imports {
    folder: PathBuf,
    directory: Arc<Directory>,
    news: Notify,
    storage: StorageLimits,
    /// Imports whose files are still arriving.
    arriving: Mutex<HashSet<Uuid>>,
    /// Imports that have ended and whose end could not be recorded yet. They are not to be executed again.
    unrecorded: Mutex<HashMap<Uuid, Ended>>,
}

impl Imports {
    /// In a folder, which is made when it is needed.
    pub fn new(folder: impl Into<PathBuf>, storage: StorageLimits, directory: Arc<Directory>) -> Self {
        Self {
            folder: folder.into(),
            directory,
            news: Notify::new(),
            storage,
            arriving: Mutex::default(),
            unrecorded: Mutex::default(),
        }
    }

    /// The tenant's quota that its other imports leave for this one, in bytes.
    pub(crate) fn quota_for(&self, id: Uuid) -> u64 {
        let jobs = self.jobs();
        let tenant = jobs.iter().find(|job| job.id == id).map(|job| job.caller.tenant);
        let others = jobs.iter().filter(|job| Some(job.caller.tenant) == tenant && job.id != id);
        self.storage.per_tenant.saturating_sub(others.map(|job| self.size(job)).sum())
    }

    /// Size of an import's files, in bytes.
    fn size(&self, job: &Job) -> u64 {
        let files = ["data".to_owned(), refused(job.format())];
        let sizes = files.iter().filter_map(|ending| std::fs::metadata(self.path(job.id, ending)).ok());
        sizes.map(|file| file.len()).sum()
    }

    /// Checks the free disk space.
    pub(crate) fn check_disk(&self) -> Result<(), String> {
        storage::check_disk(&self.folder, self.storage)
    }

    fn path(&self, id: Uuid, ending: &str) -> PathBuf {
        self.folder.join(format!("{id}.{ending}"))
    }

    /// The file that an import's content goes into as it arrives.
    pub(crate) fn file(&self, id: Uuid) -> std::io::Result<File> {
        create_private_file(&self.path(id, "data"), true)
    }

    /// All of an import's file is there: it is as good as done.
    pub(crate) fn arrived(&self, id: Uuid) -> anyhow::Result<()> {
        let mut job = Job::read(&self.path(id, "json")).context("an import is gone")?;
        File::open(self.path(id, "data"))?.sync_all()?;
        job.status = Status::Queued;
        job.write(&self.path(id, "json"))?;
        self.arriving.lock().remove(&id);
        self.news.notify_one();
        Ok(())
    }

    /// An import's file did not arrive: there never was one.
    pub(crate) fn discard(&self, id: Uuid) {
        for ending in ["json", "data", OFF, job::RESERVED] {
            drop(std::fs::remove_file(self.path(id, ending)));
        }
        self.arriving.lock().remove(&id);
    }

    fn jobs(&self) -> Vec<Job> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let paths = entries.flatten().map(|entry| entry.path());
        let mut jobs: Vec<Job> = paths
            .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
            .filter_map(|path| Job::read(&path))
            .collect();
        jobs.sort_by_key(|job| (job.created, job.id));
        jobs
    }

    fn of(&self, caller: &Caller, id: Uuid) -> Option<Job> {
        let job = Job::read(&self.path(id, "json"))?;
        // Another tenant's import looks like none.
        (job.caller.tenant == caller.tenant.0 && job.status != Status::Arriving).then_some(job)
    }

    /// Carries imports out until it is told to stop: those of a tenant one after the other, tenants beside one another and in
    /// turn.
    pub(crate) async fn work(self: Arc<Self>, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let (mut tasks, mut busy) = (FuturesUnordered::new(), HashSet::new());
        let (mut turns, mut turn) = (HashMap::new(), 0_u64);
        loop {
            self.record_ends();
            for job in self.next(&turns) {
                let tenant = job.caller.tenant;
                if busy.len() < TENANTS_AT_ONCE && busy.insert(tenant) {
                    turn += 1;
                    turns.insert(tenant, turn);
                    tasks.push(self.take_turn(job));
                }
            }
            tokio::select! {
                biased;
                () = &mut stop => return,
                () = self.news.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
                Some(tenant) = tasks.next() => drop(busy.remove(&tenant)),
            }
        }
    }

    /// The next import of each tenant; tenants that have waited longest come first. Deletes expired imports and abandoned
    /// uploads.
    fn next(&self, turns: &HashMap<u32, u64>) -> Vec<Job> {
        let now = self.directory.now();
        let (mut first, mut seen) = (Vec::new(), HashSet::new());
        for job in self.jobs() {
            match job.status {
                Status::Arriving => {
                    // Whoever was sending it has gone with the process that took it in.
                    let is_ours = self.arriving.lock().contains(&job.id);
                    let is_old = job.created.plus_seconds(2 * 3600) < now;
                    if !is_ours && is_old {
                        self.discard(job.id);
                    }
                }
                // What comes later is not to be undone by what came before it.
                Status::Queued | Status::Running => {
                    if self.unrecorded.lock().contains_key(&job.id) {
                        continue;
                    }
                    if seen.insert(job.caller.tenant) {
                        first.push(job);
                    }
                }
                Status::Done | Status::Failed | Status::CalledOff => {
                    if job.ended.is_some_and(|ended| ended.plus_seconds(KEPT_SECONDS) < now) {
                        self.forget(&job);
                    } else if self.path(job.id, "data").exists()
                        && !self.unrecorded.lock().contains_key(&job.id)
                    {
                        // A process ended between recording the end and removing the files.
                        self.record_end(Ended { job, _data: None });
                    }
                }
            }
        }
        first.sort_by_key(|job| turns.get(&job.caller.tenant).copied().unwrap_or_default());
        first
    }

    /// Runs an import and returns its tenant. If the import has not ended, because the store is unavailable or another process
    /// runs it, waits before the tenant's next turn.
    async fn take_turn(&self, job: Job) -> u32 {
        self.carry_out(&job).await;
        let state = Job::read(&self.path(job.id, "json"));
        if state.is_some_and(|job| job.ended.is_none()) {
            tokio::time::sleep(LOOK).await;
        }
        job.caller.tenant
    }

    fn forget(&self, job: &Job) {
        drop(std::fs::remove_file(self.path(job.id, &refused(job.format()))));
        self.discard(job.id);
    }

    /// Locks the file of an import: the process that has the lock executes it. `None` if that is another one, or the file cannot be opened at the moment.
    ///
    /// # Errors
    /// It cannot ever be executed.
    fn hold(&self, id: Uuid) -> Result<Option<File>, String> {
        let data = match File::open(self.path(id, "data")) {
            Ok(data) => data,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err("its file is lost: send it again".into());
            }
            Err(error) => {
                tracing::warn!(%error, import = %id, "the file of an import cannot be opened");
                return Ok(None);
            }
        };
        match data.try_lock() {
            Ok(()) => Ok(Some(data)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(format!(
                "its file cannot be locked ({error}): keep imports in a folder on a local disk (--imports)"
            )),
        }
    }

    async fn carry_out(&self, job: &Job) {
        let state = self.path(job.id, "json");
        let held = match self.hold(job.id) {
            Ok(Some(data)) => Ok(data),
            Ok(None) => return,
            Err(why) => Err(why),
        };
        // Whoever held it before may have ended it.
        let Some(mut job) = Job::read(&state).filter(|job| job.ended.is_none()) else { return };
        if let Some(job) = Job::unrecorded(&state) {
            return self.record_end(Ended { job, _data: held.ok() });
        }
        let data = match held {
            Ok(data) => data,
            Err(why) => {
                tracing::error!(why, import = %job.id, "an import has failed");
                job.status = Status::Failed;
                job.error = Some(why);
                return self.end(job, None);
            }
        };
        // It was cut off in the middle, perhaps by what is in it.
        job.cut_off += u32::from(job.status == Status::Running);
        job.status = Status::Running;
        job.begun = job.begun.or(Some(self.directory.now()));
        // What cannot be recorded when it has ended is not begun.
        if let Err(error) = Job::reserve_end(&state).and_then(|()| job.write(&state)) {
            return tracing::warn!(%error, "an import cannot be begun");
        }
        let done = if job.cut_off > MOST_CUTS {
            Err(failed(format!("it was cut off {MOST_CUTS} times; the log may say by what")))
        } else {
            let import = AssertUnwindSafe(self.import(&mut job, &state)).catch_unwind().await;
            match import {
                Ok(done) => done,
                Err(_) => return self.panicked(job, data),
            }
        };
        job.note(done);
        if job.status == Status::Queued {
            if let Err(error) = job.write(&state) {
                tracing::warn!(%error, "what came of an import cannot be noted");
            }
        } else {
            self.end(job, Some(data));
        }
    }

    /// An import has panicked. It is tried once more, and then set aside.
    fn panicked(&self, mut job: Job, data: File) {
        job.panics += 1;
        tracing::error!(import = %job.id, panics = job.panics, "an import has panicked");
        if job.panics >= MOST_PANICS {
            job.status = Status::Failed;
            job.error =
                Some(format!("something went wrong on our side, twice; it is logged under {}", job.id));
            return self.end(job, Some(data));
        }
        job.status = Status::Queued;
        if let Err(error) = job.write(&self.path(job.id, "json")) {
            tracing::warn!(%error, "what came of an import cannot be noted");
        }
    }

    /// Records the ends of imports that could not be recorded when they ended.
    fn record_ends(&self) {
        let ended = std::mem::take(&mut *self.unrecorded.lock());
        for ended in ended.into_values() {
            self.record_end(ended);
        }
    }

    /// Notes what came of an import. What was sent is nobody's business any more.
    fn end(&self, mut job: Job, data: Option<File>) {
        job.ended = Some(self.directory.now());
        self.record_end(Ended { job, _data: data });
    }

    fn record_end(&self, ended: Ended) {
        let job = &ended.job;
        if let Err(error) = job.write_end(&self.path(job.id, "json")) {
            tracing::warn!(%error, import = %job.id, "the end of an import cannot be recorded yet");
            self.unrecorded.lock().insert(job.id, ended);
            return;
        }
        for ending in ["data", OFF] {
            drop(std::fs::remove_file(self.path(job.id, ending)));
        }
    }

    async fn import(
        &self,
        job: &mut Job,
        state: &Path,
    ) -> Result<transfer::import::ImportReport, ImportError> {
        let caller = job.caller();
        let off = self.path(job.id, OFF);
        if off.exists() {
            return Err(ImportError::Canceled);
        }
        let mut options = options(&self.path(job.id, "data"), &job.wishes).map_err(failed)?;
        options.format = job.format();
        options.rejected_file = (!options.dry_run).then(|| self.path(job.id, &refused(job.format())));
        options.request = format!("import {}", job.id);
        // Only what was begun before can find what it has created itself.
        options.first_started = job.begun.filter(|_| job.cut_off > 0 || job.panics > 0 || job.rows.is_some());
        let found = scan_file(&options).await?;
        job.rows = Some(found.rows);
        let mut said = Instant::now();
        let mut progress = job.clone();
        let mut seen = |more| {
            progress.rows_done += more;
            if said.elapsed() < SAID_EVERY {
                return true;
            }
            said = Instant::now();
            // Only how far it is; the next word of it comes soon.
            drop(progress.write(state));
            !off.exists()
        };
        let report = Box::pin(run(&self.directory, &caller, &options, &found, &mut seen)).await;
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
    let found = tokio::task::spawn_blocking(move || scan(&options)).await;
    let broken = |error: tokio::task::JoinError| {
        tracing::error!(%error, "a file could not be looked at");
        failed("it cannot be read".into())
    };
    Ok(found.map_err(broken)??)
}

/// Why an import failed, for those who sent it.
fn failed(what: String) -> ImportError {
    transfer::FileError { row: None, column: None, message: what }.into()
}

fn refused(format: Format) -> String {
    format!("refused.{}", format.as_str())
}

impl Transfers for Imports {
    fn create_import(
        &self,
        caller: &Caller,
        media: Option<&str>,
        wishes: &Params,
    ) -> Result<(Uuid, Value), Rejected> {
        let format = format(media, wishes)?;
        options(Path::new(""), wishes)?.read_options.check(format)?;
        let is_open = |job: &&Job| job.caller.tenant == caller.tenant.0 && job.ended.is_none();
        if self.jobs().iter().filter(is_open).count() >= AT_ONCE {
            return Err(Rejected::Temporary(format!("{AT_ONCE} imports of the tenant have not ended")));
        }
        let unkept =
            |error: &dyn std::fmt::Display| Rejected::Temporary(format!("an import cannot be kept: {error}"));
        storage::make_folder(&self.folder).map_err(|error| unkept(&error))?;
        let own = self
            .jobs()
            .iter()
            .filter(|job| job.caller.tenant == caller.tenant.0)
            .map(|job| self.size(job))
            .sum::<u64>();
        if own >= self.storage.per_tenant {
            return Err(Rejected::InsufficientStorage(TENANT_STORAGE_FULL));
        }
        if let Err(why) = self.check_disk() {
            tracing::error!(why, "import rejected: the disk is nearly full");
            return Err(Rejected::InsufficientStorage(DISK_FULL));
        }
        let id = storage::new_id().map_err(|error| unkept(&error))?;
        let job = Job::new(id, caller, format, wishes.clone(), self.directory.now());
        job.write(&self.path(id, "json")).map_err(|error| unkept(&error))?;
        self.arriving.lock().insert(id);
        let mut shown = job;
        shown.status = Status::Queued;
        Ok((id, shown.resource()))
    }

    fn list_imports(&self, caller: &Caller) -> Vec<Value> {
        let own = |job: &Job| job.caller.tenant == caller.tenant.0 && job.status != Status::Arriving;
        self.jobs().into_iter().rev().filter(own).map(|job| job.resource()).collect()
    }

    fn get_import(&self, caller: &Caller, id: Uuid) -> Option<Value> {
        self.of(caller, id).map(|job| job.resource())
    }

    fn cancel_import(&self, caller: &Caller, id: Uuid) -> Result<bool, Rejected> {
        let Some(job) = self.of(caller, id) else { return Ok(false) };
        if job.ended.is_some() {
            return Ok(true);
        }
        // Whoever is at it sees the mark, also another process, and also after a restart.
        create_private_file(&self.path(id, OFF), true)
            .and_then(|mark| mark.sync_all())
            .map_err(|error| Rejected::Temporary(format!("an import cannot be called off: {error}")))?;
        // Nobody is at it yet: it is over at once.
        if let Ok(data) = File::open(self.path(id, "data"))
            && data.try_lock().is_ok()
            && let Some(mut job) = self.of(caller, id).filter(|job| job.ended.is_none())
        {
            job.status = Status::CalledOff;
            self.end(job, Some(data));
        }
        Ok(true)
    }

    fn rejected_rows(&self, caller: &Caller, id: Uuid) -> Option<(&'static str, ResponseBody)> {
        let job = self.of(caller, id)?;
        let file = File::open(self.path(id, &refused(job.format()))).ok()?;
        Some((job.format().media_type(), download::file(file)))
    }

    fn export(
        &self,
        caller: &Caller,
        file: &str,
        wishes: &Params,
    ) -> Result<(&'static str, ResponseBody), Rejected> {
        Ok(download::export(&self.directory, caller, file, wishes)?)
    }
}
