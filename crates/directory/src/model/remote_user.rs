//! The account of one user in one target: what is there, what is to be there, and why it is not there yet.

use crate::{
    ArchiveForm, Column, ColumnKind, EventPosition, Expected, Field, Record, Row, RowError, RowQuery, RowReader,
    RowWrite, Table, TenantNumber, Time, UserId, Value,
};
use uuid::Uuid;

/// One row per target and user. It stands for any number of changes of the user: what is sent is always the user as it
/// is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteUser {
    pub tenant: TenantNumber,
    pub target: u32,
    pub user: UserId,
    /// Which of the target's leases covers it.
    pub shard: u32,
    pub priority: PushPriority,
    /// When it is to be pushed; `None` if nothing is to be done.
    pub due: Option<Time>,
    pub state: RemoteState,
    /// Why the last push did not succeed.
    pub fault: PushFault,
    /// The id of the account in the target.
    pub remote_id: Option<String>,
    /// The last change that the target is to have.
    pub target_position: EventPosition,
    /// The last change that the target has.
    pub applied_position: EventPosition,
    /// A request may still be carried out until then.
    pub in_flight_until: Option<Time>,
    /// Since the last success.
    pub attempts: u32,
    pub first_failed: Option<Time>,
    /// What the target has answered, or what is missing. Never a value of the user.
    pub fault_detail: Option<String>,
    /// Hashes of what the target has accepted, see `gateway::digest`.
    pub digest: Option<Vec<u8>>,
    /// The user, such as the manager, whose account is needed for an attribute that was left out.
    pub waits_for: Option<UserId>,
    /// Incremented by each change.
    pub version: u32,
}

/// Lower values are pushed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PushPriority {
    /// Deactivations and deletions.
    Removal,
    OnDemand,
    Change,
    /// First synchronization and repair.
    Sync,
}

impl PushPriority {
    pub const ALL: [Self; 4] = [Self::Removal, Self::OnDemand, Self::Change, Self::Sync];

    pub fn code(self) -> u32 {
        match self {
            Self::Removal => 1,
            Self::OnDemand => 2,
            Self::Change => 3,
            Self::Sync => 4,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Removal => "removal",
            Self::OnDemand => "on-demand",
            Self::Change => "change",
            Self::Sync => "sync",
        }
    }

    fn from_code(code: u32) -> Self {
        Self::ALL.into_iter().find(|priority| priority.code() == code).unwrap_or(Self::Sync)
    }
}

/// What is known of the account in the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RemoteState {
    /// There is none.
    Absent,
    /// A request to create it was or may have been sent, without a usable answer. It is not created again before a read
    /// of the target has shown that it is not there.
    Creating,
    /// Its id is known.
    Linked,
    /// Its id is known from the answer to its creation, which did not show whose account it is. It is read before it is
    /// changed.
    Unverified,
    /// The answer to its creation was lost, and the target rejected a second one. Its id is not known.
    Assumed,
}

impl RemoteState {
    pub const ALL: [Self; 5] = [Self::Absent, Self::Creating, Self::Linked, Self::Unverified, Self::Assumed];

    pub fn code(self) -> u32 {
        match self {
            Self::Absent => 0,
            Self::Creating => 1,
            Self::Linked => 2,
            Self::Unverified => 3,
            Self::Assumed => 4,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Creating => "creating",
            Self::Linked | Self::Unverified | Self::Assumed => "linked",
        }
    }

    fn from_code(code: u32) -> Self {
        Self::ALL.into_iter().find(|state| state.code() == code).unwrap_or(Self::Creating)
    }
}

/// Why a user does not arrive in a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PushFault {
    None,
    /// The target rejects the user's data.
    Rejected,
    /// The target has another account with one of the user's keys, or several.
    Conflict,
    /// The answer to a create was lost, and the target cannot be asked whether the account is there.
    InDoubt,
    /// The target's API cannot do it.
    Unsupported,
    /// The user lacks what the target requires.
    Incomplete,
    /// An administrator has excluded the user.
    Excluded,
    /// A request failed in a way that says nothing about the user. It is repeated.
    Temporary,
}

impl PushFault {
    pub const ALL: [Self; 8] = [
        Self::None,
        Self::Rejected,
        Self::Conflict,
        Self::InDoubt,
        Self::Unsupported,
        Self::Incomplete,
        Self::Excluded,
        Self::Temporary,
    ];

    /// `None` without a fault, so that an index has only the rows with one.
    pub fn code(self) -> Option<u32> {
        match self {
            Self::None => None,
            Self::Rejected => Some(1),
            Self::Conflict => Some(2),
            Self::InDoubt => Some(3),
            Self::Unsupported => Some(4),
            Self::Incomplete => Some(5),
            Self::Excluded => Some(6),
            Self::Temporary => Some(7),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Rejected => "rejected",
            Self::Conflict => "conflict",
            Self::InDoubt => "in-doubt",
            Self::Unsupported => "unsupported",
            Self::Incomplete => "incomplete",
            Self::Excluded => "excluded",
            Self::Temporary => "temporary",
        }
    }

    /// Whether it needs an operator.
    pub fn is_issue(self) -> bool {
        !matches!(self, Self::None | Self::Temporary | Self::Excluded)
    }

    fn from_code(code: Option<u32>) -> Self {
        Self::ALL.into_iter().find(|fault| fault.code() == code).unwrap_or(Self::Rejected)
    }
}

const VERSION: usize = 17;
const SHARD: usize = 3;
const PRIORITY: usize = 4;
const DUE: usize = 5;
const STATE: usize = 6;
const FAULT: usize = 7;
const REMOTE_ID: usize = 8;
const WAITS_FOR: usize = 16;

static REMOTE_USERS: Table = Table {
    name: "remote_users",
    columns: &[
        Column::new("tenant", ColumnKind::Int),
        Column::new("target", ColumnKind::Int),
        Column::new("user_id", ColumnKind::Uuid),
        Column::new("shard", ColumnKind::Int),
        Column::new("priority", ColumnKind::Int),
        Column::optional("due", ColumnKind::BigInt),
        Column::new("state", ColumnKind::Int),
        Column::optional("fault", ColumnKind::Int),
        Column::optional("remote_id", ColumnKind::Key),
        Column::new("target_position", ColumnKind::BigInt),
        Column::new("applied_position", ColumnKind::BigInt),
        Column::optional("in_flight_until", ColumnKind::BigInt),
        Column::new("attempts", ColumnKind::Int),
        Column::optional("first_failed", ColumnKind::BigInt),
        Column::optional("fault_detail", ColumnKind::Text),
        Column::optional("digest", ColumnKind::Bytes),
        Column::optional("waits_for", ColumnKind::Uuid),
        Column::new("version", ColumnKind::Int),
    ],
    key_columns: 3,
    key_field: Field::Id,
    // One account belongs to one user.
    unique: &[(BY_REMOTE_ID, Field::ExternalId)],
    archive: ArchiveForm::Rows,
};
const BY_REMOTE_ID: &[usize] = &[0, 1, REMOTE_ID];
const BY_DUE: &[usize] = &[0, 1, SHARD, PRIORITY, DUE];
const BY_FAULT: &[usize] = &[0, 1, FAULT, STATE, 2];
const BY_AWAITED: &[usize] = &[0, 1, WAITS_FOR, 2];

/// Which rows to read.
impl RemoteUser {
    /// The longest id of an account, in bytes.
    pub const MAX_REMOTE_ID: usize = 255;

    /// The columns of a target, to count rows of one.
    pub const BY_TARGET: &'static [usize] = &[0, 1];

    /// The columns by which [`Self::counts`] groups: fault and state.
    pub const COUNTED: &'static [usize] = &[FAULT, STATE];

    pub fn new(target: (TenantNumber, u32), user: UserId, shard: u32) -> Self {
        Self {
            tenant: target.0,
            target: target.1,
            user,
            shard,
            priority: PushPriority::Sync,
            due: None,
            state: RemoteState::Absent,
            fault: PushFault::None,
            remote_id: None,
            target_position: EventPosition(0),
            applied_position: EventPosition(0),
            in_flight_until: None,
            attempts: 0,
            first_failed: None,
            fault_detail: None,
            digest: None,
            waits_for: None,
            version: 0,
        }
    }

    pub fn key_of((tenant, target): (TenantNumber, u32), user: UserId) -> Row {
        vec![tenant.0.into(), target.into(), user.0.into()]
    }

    pub fn key(&self) -> Row {
        Self::key_of((self.tenant, self.target), self.user)
    }

    /// Rows of a shard that are due, earliest first.
    pub fn due(
        (tenant, target): (TenantNumber, u32),
        shard: u32,
        priority: PushPriority,
        now: Time,
        limit: u32,
    ) -> RowQuery {
        let equal = vec![tenant.0.into(), target.into(), shard.into(), priority.code().into()];
        REMOTE_USERS.ordered_by(BY_DUE).equal(equal).up_to(now.0.into()).limit(limit)
    }

    /// Rows of a shard and priority that are due after a time, in the order of their times.
    pub fn due_after(
        (tenant, target): (TenantNumber, u32),
        shard: u32,
        priority: PushPriority,
        after: Time,
        limit: u32,
    ) -> RowQuery {
        let equal = vec![tenant.0.into(), target.into(), shard.into(), priority.code().into()];
        REMOTE_USERS.ordered_by(BY_DUE).equal(equal).after(vec![after.0.into()]).limit(limit)
    }

    /// The row of a shard and priority that is due next.
    pub fn next_due((tenant, target): (TenantNumber, u32), shard: u32, priority: PushPriority) -> RowQuery {
        Self::due((tenant, target), shard, priority, Time(i64::MAX), 1)
    }

    /// Rows with a fault, of a target.
    pub fn with_fault((tenant, target): (TenantNumber, u32), fault: PushFault, limit: u32) -> RowQuery {
        let equal = vec![tenant.0.into(), target.into(), Value::optional(fault.code())];
        REMOTE_USERS.ordered_by(BY_FAULT).equal(equal).limit(limit)
    }

    /// The next rows with this row's fault.
    pub fn after_same_fault(&self, limit: u32) -> RowQuery {
        let after = vec![self.state.code().into(), self.user.0.into()];
        Self::with_fault((self.tenant, self.target), self.fault, limit).after(after)
    }

    /// Rows that wait for the account of another user.
    pub fn waiting((tenant, target): (TenantNumber, u32), limit: u32) -> RowQuery {
        let last = Value::Uuid(Uuid::max());
        REMOTE_USERS.ordered_by(BY_AWAITED).equal(vec![tenant.0.into(), target.into()]).up_to(last).limit(limit)
    }

    /// The row with this account.
    pub fn with_remote_id((tenant, target): (TenantNumber, u32), id: String) -> RowQuery {
        REMOTE_USERS.ordered_by(BY_REMOTE_ID).equal(vec![tenant.0.into(), target.into(), id.into()]).limit(1)
    }

    /// The next rows that wait.
    pub fn after_waiting(&self, limit: u32) -> RowQuery {
        let awaited = Value::optional(self.waits_for.map(|user| user.0));
        let query = Self::waiting((self.tenant, self.target), limit);
        query.after(vec![awaited, self.user.0.into()])
    }

    /// Rows of a target, in the order of the users' ids.
    pub fn of_target((tenant, target): (TenantNumber, u32), after: Option<UserId>, limit: u32) -> RowQuery {
        let query = REMOTE_USERS.all().equal(vec![tenant.0.into(), target.into()]).limit(limit);
        match after {
            Some(user) => query.after(vec![user.0.into()]),
            None => query,
        }
    }

    /// All rows of a target, to count them by [`Self::COUNTED`].
    pub fn counts((tenant, target): (TenantNumber, u32)) -> RowQuery {
        REMOTE_USERS.all().equal(vec![tenant.0.into(), target.into()])
    }

    /// What a counted row stands for.
    pub fn counted(values: &[Value]) -> Option<(PushFault, RemoteState)> {
        let code = |value: Option<&Value>| match value {
            Some(Value::Int(code)) => u32::try_from(*code).ok(),
            _ => None,
        };
        Some((PushFault::from_code(code(values.first())), RemoteState::from_code(code(values.get(1))?)))
    }
}

/// Writes. All fail if another process has changed the row since it was read.
impl RemoteUser {
    pub fn insert(&self) -> Result<RowWrite, serde_json::Error> {
        Ok(RowWrite::Insert(&REMOTE_USERS, Self { version: 1, ..self.clone() }.to_row()?))
    }

    /// Stores `self` in place of what was read.
    pub fn replace(&self, read: &Self) -> Result<RowWrite, serde_json::Error> {
        let row = Self { version: read.next_version(), ..self.clone() }.to_row()?;
        let values = row.into_iter().enumerate().skip(REMOTE_USERS.key_columns).collect();
        Ok(RowWrite::Update { table: &REMOTE_USERS, key: self.key(), values, expected: read.expected() })
    }

    /// The version after the next change.
    pub fn next_version(&self) -> u32 {
        self.version.wrapping_add(1) & 0x7fff_ffff
    }

    pub fn delete(&self) -> RowWrite {
        RowWrite::Delete { table: &REMOTE_USERS, key: self.key(), expected: self.expected() }
    }

    fn expected(&self) -> Expected {
        Expected::Row(vec![(VERSION, self.version.into())])
    }

    /// Marks a change that the target does not have yet.
    pub fn mark(&mut self, position: EventPosition, priority: PushPriority, now: Time) {
        let is_waiting = self.due.is_some();
        self.target_position = self.target_position.max(position);
        self.priority = if is_waiting { self.priority.min(priority) } else { priority };
        if self.fault == PushFault::Excluded {
            return;
        }
        // What the target has rejected may be accepted now.
        if self.fault != PushFault::Temporary {
            self.fault = PushFault::None;
            self.fault_detail = None;
            self.attempts = 0;
        }
        // Some time must pass between two searches for an account that may have been created.
        let is_searched = self.state == RemoteState::Creating && is_waiting;
        // The worker that is pushing it notices the mark when it stores the result.
        let is_in_flight = is_waiting && self.in_flight_until.is_some_and(|until| now < until);
        if !is_searched && !is_in_flight {
            self.due = Some(self.due.map_or(now, |due| due.min(now)));
        }
    }
}

impl Record for RemoteUser {
    fn table() -> &'static Table {
        &REMOTE_USERS
    }

    fn to_row(&self) -> Result<Row, serde_json::Error> {
        let position = |position: EventPosition| i64::try_from(position.0).unwrap_or(i64::MAX).into();
        let time = |time: Option<Time>| Value::optional(time.map(|time| time.0));
        Ok(vec![
            self.tenant.0.into(),
            self.target.into(),
            self.user.0.into(),
            self.shard.into(),
            self.priority.code().into(),
            time(self.due),
            self.state.code().into(),
            Value::optional(self.fault.code()),
            Value::optional(self.remote_id.clone()),
            position(self.target_position),
            position(self.applied_position),
            time(self.in_flight_until),
            self.attempts.into(),
            time(self.first_failed),
            Value::optional(self.fault_detail.clone()),
            Value::optional(self.digest.clone()),
            Value::optional(self.waits_for.map(|user| user.0)),
            self.version.into(),
        ])
    }

    fn from_row(row: &[Value]) -> Result<Self, RowError> {
        let reader = RowReader::new(&REMOTE_USERS, row);
        let position = |column| {
            let stored = reader.integer(column)?.unwrap_or(0);
            Ok::<_, RowError>(EventPosition(u64::try_from(stored).unwrap_or(0)))
        };
        let time = |column| Ok::<_, RowError>(reader.integer(column)?.map(Time));
        let optional_id = |column| if reader.is_null(column) { Ok(None) } else { reader.uuid(column).map(Some) };
        let id: Option<Uuid> = optional_id(WAITS_FOR)?;
        Ok(Self {
            tenant: TenantNumber(reader.unsigned(0)?),
            target: reader.unsigned(1)?,
            user: UserId(reader.uuid(2)?),
            shard: reader.unsigned(SHARD)?,
            priority: PushPriority::from_code(reader.unsigned(PRIORITY)?),
            due: time(DUE)?,
            state: RemoteState::from_code(reader.unsigned(STATE)?),
            fault: PushFault::from_code(if reader.is_null(FAULT) { None } else { Some(reader.unsigned(FAULT)?) }),
            remote_id: reader.optional_text(REMOTE_ID)?.map(str::to_owned),
            target_position: position(9)?,
            applied_position: position(10)?,
            in_flight_until: time(11)?,
            attempts: reader.unsigned(12)?,
            first_failed: time(13)?,
            fault_detail: reader.optional_text(14)?.map(str::to_owned),
            digest: if reader.is_null(15) { None } else { Some(reader.bytes(15)?.to_vec()) },
            waits_for: id.map(UserId),
            version: reader.unsigned(VERSION)?,
        })
    }
}
