//! An import as it is kept beside its file.

use directory::{Caller, ClientProfile, ConnectionId, TenantNumber, Time, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use transfer::formats::{Format, private_file};
use uuid::Uuid;

/// Where an import stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Status {
    /// Its file is still on its way; nobody was told of it.
    Arriving,
    /// It waits.
    Queued,
    /// It is being carried out.
    Running,
    Done,
    Failed,
    CalledOff,
}

/// On whose behalf.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Whose {
    pub(super) tenant: u32,
    connection: Option<ConnectionId>,
    who: String,
    highest_role: u32,
    profile: ClientProfile,
    user: Option<UserId>,
    #[serde(default)]
    dialect: Option<String>,
}

/// An import.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) id: Uuid,
    pub(super) caller: Whose,
    format: String,
    pub(super) wishes: Vec<(String, String)>,
    pub(super) status: Status,
    pub(super) created: Time,
    pub(super) ended: Option<Time>,
    pub(super) rows: Option<u64>,
    pub(super) rows_done: u64,
    /// How often it was begun and not ended.
    #[serde(default)]
    pub(super) cut_off: u32,
    pub(super) error: Option<String>,
    pub(super) report: Option<Value>,
}

impl Job {
    pub(super) fn new(
        id: Uuid,
        caller: &Caller,
        format: Format,
        wishes: Vec<(String, String)>,
        now: Time,
    ) -> Self {
        let Caller { tenant, connection, who, highest_role, profile, user, dialect, request: _ } =
            caller.clone();
        Self {
            id,
            caller: Whose { tenant: tenant.0, connection, who, highest_role, profile, user, dialect },
            format: format.word().into(),
            wishes,
            status: Status::Arriving,
            created: now,
            ended: None,
            rows: None,
            rows_done: 0,
            cut_off: 0,
            error: None,
            report: None,
        }
    }

    pub(super) fn caller(&self) -> Caller {
        let Whose { tenant, connection, who, highest_role, profile, user, dialect } = self.caller.clone();
        let request = String::new();
        let tenant = TenantNumber(tenant);
        Caller { tenant, connection, who, highest_role, profile, user, dialect, request }
    }

    pub(super) fn format(&self) -> Format {
        Format::named(&self.format).unwrap_or(Format::Csv)
    }

    /// What was written; nothing, where there is none or it is not whole.
    pub(super) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }

    /// Writes it as one: whoever reads sees it as it was or as it is.
    pub(super) fn write(&self, path: &Path) -> std::io::Result<()> {
        let part = path.with_extension("json.part");
        let mut file = private_file(&part, true)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        std::fs::rename(&part, path)?;
        match path.parent() {
            Some(folder) => std::fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    /// As clients see it.
    pub(super) fn resource(&self) -> Value {
        let moment = |time: Time| dialects::kit::rfc3339(time);
        let is_preview =
            self.wishes.iter().any(|(name, value)| name == "dryRun" && super::flag(name, value) == Ok(true));
        json!({
            "id": self.id.to_string(),
            "status": self.status,
            "format": self.format,
            "created": moment(self.created),
            "ended": self.ended.map(moment),
            "dryRun": is_preview,
            "rows": self.rows,
            "rowsDone": self.rows_done,
            "error": self.error,
            "report": self.report,
        })
    }
}
