//! The state of an import, stored next to its file.

use directory::{Actor, Caller, Client, ClientProfile, ConnectionId, DirectoryError, TenantNumber, Time, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use transfer::formats::{Format, create_private_file};
use transfer::import::{ImportError, ImportReport};
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum JobStatus {
    /// The upload is not complete; the import is not acknowledged yet.
    #[serde(rename = "arriving")]
    Uploading,
    Queued,
    Running,
    Done,
    Failed,
    #[serde(rename = "calledOff")]
    Canceled,
}

/// The connection that an import runs as.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct JobCaller {
    pub(super) tenant: u32,
    pub(super) connection: ConnectionId,
    #[serde(rename = "who")]
    actor: String,
    highest_role: u32,
    profile: ClientProfile,
    user: Option<UserId>,
    #[serde(default)]
    dialect: String,
}

impl JobCaller {
    /// `None` unless it is a connection.
    fn of(caller: &Caller) -> Option<Self> {
        let Actor::Connection(client) = &caller.actor else { return None };
        let Client { id, name, highest_role, user, dialect } = client.clone();
        let (tenant, profile) = (caller.tenant.0, caller.profile);
        Some(Self { tenant, connection: id, actor: name, highest_role, profile, user, dialect })
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) id: Uuid,
    pub(super) caller: JobCaller,
    format: String,
    #[serde(rename = "wishes")]
    pub(super) params: Vec<(String, String)>,
    pub(super) status: JobStatus,
    pub(super) created: Time,
    pub(super) ended: Option<Time>,
    pub(super) rows: Option<u64>,
    pub(super) rows_done: u64,
    /// How often the process ended while it ran.
    #[serde(default)]
    #[serde(rename = "cut_off")]
    pub(super) interruptions: u32,
    #[serde(default)]
    pub(super) panics: u32,
    /// The first start.
    #[serde(default)]
    #[serde(rename = "begun")]
    pub(super) started: Option<Time>,
    pub(super) error: Option<String>,
    pub(super) report: Option<Value>,
    /// The file of its `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<Uuid>,
}

impl Job {
    /// `None` unless the caller is a connection.
    pub(super) fn new(
        id: Uuid,
        caller: &Caller,
        format: Format,
        params: Vec<(String, String)>,
        now: Time,
    ) -> Option<Self> {
        let caller = JobCaller::of(caller)?;
        Some(Self {
            id,
            caller,
            format: format.as_str().into(),
            params,
            status: JobStatus::Uploading,
            created: now,
            ended: None,
            rows: None,
            rows_done: 0,
            interruptions: 0,
            panics: 0,
            started: None,
            error: None,
            report: None,
            key: None,
        })
    }

    pub(super) fn caller(&self) -> Caller {
        let JobCaller { tenant, connection, actor: name, highest_role, profile, user, dialect } = self.caller.clone();
        let client = Client { id: connection, name, highest_role, user, dialect };
        Caller { profile, ..Caller::new(TenantNumber(tenant), Actor::Connection(client)) }
    }

    /// The job as it was when it was queued.
    pub(super) fn as_queued(&self) -> Self {
        Self {
            status: JobStatus::Queued,
            ended: None,
            rows: None,
            rows_done: 0,
            error: None,
            report: None,
            ..self.clone()
        }
    }

    pub(super) fn format(&self) -> Format {
        Format::from_name(&self.format).unwrap_or(Format::Csv)
    }

    /// Reads a state; `None` if there is none or it is incomplete.
    pub(super) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Replaces the state atomically.
    pub(super) fn write(&self, path: &Path) -> std::io::Result<()> {
        let temp_path = path.with_extension("json.part");
        let mut file = create_private_file(&temp_path, true)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        std::fs::rename(&temp_path, path)?;
        sync_parent_dir(path)
    }

    /// Reserves disk space for [`Job::write_end`], so that the result can be recorded even on a full disk.
    pub(super) fn reserve_end(path: &Path) -> std::io::Result<()> {
        let mut file = create_private_file(&path.with_extension(RESERVED_EXTENSION), true)?;
        file.write_all(&vec![b' '; RESERVED_SIZE])?;
        file.sync_all()
    }

    /// A result that was written but did not replace the state, because the process ended in between.
    pub(super) fn read_unrecorded_end(path: &Path) -> Option<Self> {
        Self::read(&path.with_extension(RESERVED_EXTENSION)).filter(|job| job.ended.is_some())
    }

    /// Writes the result into the reserved space.
    pub(super) fn write_end(&self, path: &Path) -> std::io::Result<()> {
        let reserved = path.with_extension(RESERVED_EXTENSION);
        let Ok(file) = File::options().write(true).open(&reserved) else { return self.write(path) };
        let mut text = serde_json::to_vec(self)?;
        if text.len() > RESERVED_SIZE {
            // Keep the counts, which matter most.
            text = serde_json::to_vec(&Self { report: self.report.as_ref().map(without_lines), ..self.clone() })?;
        }
        file.write_all_at(&text, 0)?;
        // Trailing spaces are harmless.
        drop(file.set_len(text.len() as u64));
        file.sync_all()?;
        std::fs::rename(&reserved, path)?;
        sync_parent_dir(path)
    }

    pub(super) fn apply_result(&mut self, result: Result<ImportReport, ImportError>) {
        match result {
            Ok(report) => {
                self.status = JobStatus::Done;
                self.rows_done = self.rows.unwrap_or(self.rows_done);
                self.report = serde_json::to_value(report).ok();
            }
            // The import resumes later.
            Err(ImportError::Stopped {
                error: error @ (DirectoryError::Unavailable(_) | DirectoryError::Busy { .. }),
                ..
            }) => {
                tracing::warn!(
                    detail = transfer::error_message(&error),
                    "import paused: the store is unavailable or busy"
                );
                self.status = JobStatus::Queued;
            }
            Err(ImportError::Canceled) => self.status = JobStatus::Canceled,
            Err(ImportError::Stopped {
                row,
                error: error @ (DirectoryError::ConnectionEnded | DirectoryError::Forbidden),
            }) => {
                let detail = transfer::error_message(&error);
                tracing::warn!(detail, row, import = %self.id, "import stopped: its connection ended or lacks a permission");
                self.status = JobStatus::Failed;
                self.error = Some(format!("{detail}; changes made before that are kept"));
            }
            Err(ImportError::Stopped { row, error }) => {
                tracing::error!(detail = transfer::error_message(&error), row, import = %self.id, "import failed");
                self.status = JobStatus::Failed;
                self.error =
                    Some(format!("internal server error at row {row} (see the server log for import {})", self.id));
            }
            Err(error) => {
                self.status = JobStatus::Failed;
                self.error = Some(error.to_string());
            }
        }
    }

    /// The representation for clients.
    pub(super) fn to_json(&self) -> Value {
        let timestamp = |time: Time| dialects::kit::rfc3339(time);
        let is_preview = self
            .params
            .iter()
            .any(|(name, value)| name == "dryRun" && super::options::parse_bool(name, value) == Ok(true));
        json!({
            "id": self.id.to_string(),
            "status": self.status,
            "format": self.format,
            "created": timestamp(self.created),
            "ended": self.ended.map(timestamp),
            "dryRun": is_preview,
            "rows": self.rows,
            "rowsDone": self.rows_done,
            "error": self.error,
            "report": self.report,
        })
    }
}

/// The extension of the file that reserves disk space.
pub(super) const RESERVED_EXTENSION: &str = "end";
/// In bytes. A report with the maximum number of lines is usually smaller.
const RESERVED_SIZE: usize = 256 << 10;

/// A report with its counts only.
fn without_lines(report: &Value) -> Value {
    let Value::Object(members) = report else { return Value::Null };
    let is_count = |value: &Value| {
        value.is_number() || value.as_object().is_some_and(|tally| tally.values().all(Value::is_number))
    };
    Value::Object(
        members
            .iter()
            .filter(|(_, value)| is_count(value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}

fn sync_parent_dir(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_fits_into_the_room_that_was_reserved() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("1.json");
        let client = Client {
            id: ConnectionId(Uuid::nil()),
            name: "client".into(),
            highest_role: 2,
            user: None,
            dialect: "files".into(),
        };
        let caller = Caller::new(TenantNumber(1), Actor::Connection(client));
        for lines in [1, 100_000] {
            Job::reserve_end(&path).expect("reserved");
            let mut job = Job::new(Uuid::nil(), &caller, Format::Csv, Vec::new(), Time(1)).expect("a connection");
            let what = vec!["wrong"; lines];
            job.report = Some(json!({"people": {"created": 3, "left": 1}, "made": 2, "refusals": {"first": what}}));
            job.status = JobStatus::Done;
            job.write_end(&path).expect("written");
            let read = Job::read(&path).expect("read");
            let report = read.report.expect("a report");
            assert_eq!((&report["people"]["created"], &report["made"]), (&json!(3), &json!(2)));
            assert_eq!(report["refusals"].is_object(), lines == 1, "lines that do not fit are left out");
            assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 1);
        }
    }
}
