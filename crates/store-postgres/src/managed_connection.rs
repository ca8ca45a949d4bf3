//! A connection that reopens when it is lost and prepares each statement once.
//!
//! Futures that are polled together on one connection are sent together and answered in order, so one
//! connection serves many requests at a time (pipelining).

use super::database_url::{CONNECT_TIMEOUT, DatabaseUrl};
use super::param::Param;
use super::pg_error::PgError;
use super::retry::RETRY_TIMEOUT;
use backon::{ConstantBuilder, Retryable};
use directory::StoreError;
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use store::sql;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, SimpleQueryMessage, Statement};

/// Lifetime of a spare connection. It serves the first requests of a store; later, its server may have failed over.
const SPARE_LIFETIME: Duration = Duration::from_secs(10);

const LOAD_BALANCING_PROBES: usize = 2;

/// Opens connections, and holds what all of them share.
pub(super) struct Connector {
    address: DatabaseUrl,
    /// Drives the connections, independently of the runtimes of callers.
    runtime: Handle,
    /// Whether prepared statements have names on the server. A pooler that assigns a server process per
    /// transaction makes names useless; then statements are sent unnamed.
    named_statements: Arc<AtomicBool>,
    /// Whether a pooler sends reads to a standby, which may lag behind. Then reads are marked to go to the primary.
    is_load_balanced: Arc<AtomicBool>,
    allow_standby: bool,
    /// SQL statements executed on its connections.
    statement_count: Arc<AtomicU64>,
    /// Open connections not in use yet: those that opening the store needed.
    spare: Mutex<Vec<Arc<Session>>>,
}

impl Connector {
    pub(super) fn new(address: DatabaseUrl, runtime: Handle, names: bool, may_be_standby: bool) -> Self {
        let names = Arc::new(AtomicBool::new(names));
        Self {
            address,
            runtime,
            named_statements: names,
            is_load_balanced: Arc::default(),
            allow_standby: may_be_standby,
            statement_count: Arc::default(),
            spare: Mutex::default(),
        }
    }

    /// For connections whose statements do not count as those of requests.
    pub(super) fn for_background(&self) -> Self {
        Self {
            address: self.address.clone(),
            runtime: self.runtime.clone(),
            named_statements: Arc::clone(&self.named_statements),
            is_load_balanced: Arc::clone(&self.is_load_balanced),
            allow_standby: self.allow_standby,
            statement_count: Arc::default(),
            spare: Mutex::default(),
        }
    }

    pub(super) fn statement_count(&self) -> u64 {
        self.statement_count.load(Ordering::Relaxed)
    }

    pub(super) fn keep_spare(self: &Arc<Self>, session: Arc<Session>) {
        self.spare.lock().push(session);
        let target = Arc::downgrade(self);
        self.runtime.spawn(async move {
            tokio::time::sleep(SPARE_LIFETIME).await;
            if let Some(target) = target.upgrade() {
                target.close_spare();
            }
        });
    }

    pub(super) fn close_spare(&self) {
        self.spare.lock().clear();
    }

    pub(super) fn disable_named_statements(&self) {
        if self.named_statements.swap(false, Ordering::Relaxed) {
            tracing::warn!("the database or a pooler loses prepared statements; statements are now sent unnamed");
        }
    }

    /// Returns a spare connection or opens one.
    pub(super) async fn connect(self: &Arc<Self>) -> Result<Arc<Session>, PgError> {
        let spare = {
            let mut spare = self.spare.lock();
            spare.retain(|session| !session.is_closed());
            spare.pop()
        };
        if let Some(session) = spare {
            return Ok(session);
        }
        let session = self.open().await?;
        if session.uses_named_statements() {
            session.prefer_indexes().await?;
        }
        Ok(session)
    }

    pub(super) fn is_load_balanced(&self) -> bool {
        self.is_load_balanced.load(Ordering::Relaxed)
    }

    /// Detects where reads outside a transaction go: some poolers choose a server per session, others per
    /// statement. Uses `SHOW`, because Pgpool-II sends volatile functions to the primary.
    pub(super) async fn detect_load_balancing(&self, session: &Session) -> Result<(), PgError> {
        if self.is_load_balanced() {
            return Ok(());
        }
        for _ in 0..LOAD_BALANCING_PROBES {
            if session.query_bool(sql::SHOW_READ_ONLY.postgres).await? {
                if session.query_bool(&no_load_balance(sql::IN_RECOVERY.postgres)).await? {
                    if self.allow_standby {
                        return Ok(());
                    }
                    return Err(PgError::Unavailable("the database is a standby".into()));
                }
                if !self.is_load_balanced.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        "a pooler sends reads to a standby, which may lag; reads are now marked to go to the primary"
                    );
                }
                return Ok(());
            }
        }
        Ok(())
    }

    /// Opens a connection and leaves the server's settings as they are.
    pub(super) async fn open(self: &Arc<Self>) -> Result<Arc<Session>, PgError> {
        let target = Arc::clone(self);
        let connecting =
            self.runtime.spawn(async move { tokio::time::timeout(CONNECT_TIMEOUT, target.address.connect()).await });
        let (client, task) = match connecting.await {
            Ok(Ok(client)) => client?,
            Ok(Err(_)) => return Err(PgError::Unavailable("connecting to the database timed out".into())),
            Err(_) => return Err(PgError::Unavailable("the store is closed".into())),
        };
        let (names, is_balanced) = (Arc::clone(&self.named_statements), Arc::clone(&self.is_load_balanced));
        let session = Arc::new(Session {
            client,
            task,
            named_statements: names,
            is_load_balanced: is_balanced,
            statement_count: Arc::clone(&self.statement_count),
            statements: Mutex::default(),
        });
        self.detect_load_balancing(&session).await?;
        Ok(session)
    }
}

/// At most one open connection, replaced when it is lost.
pub(super) struct ManagedConnection {
    connector: Arc<Connector>,
    current: tokio::sync::Mutex<Option<Arc<Session>>>,
}

impl ManagedConnection {
    pub(super) fn new(target: Arc<Connector>) -> Self {
        Self { connector: target, current: tokio::sync::Mutex::default() }
    }

    pub(super) async fn session(&self) -> Result<Arc<Session>, PgError> {
        let mut current = self.current.lock().await;
        if let Some(session) = current.as_ref().filter(|session| !session.is_closed()) {
            return Ok(Arc::clone(session));
        }
        let session = self.connector.connect().await?;
        *current = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Drops an unusable connection unless it was replaced already. It closes when its last user is done.
    pub(super) async fn discard(&self, session: &Arc<Session>, trouble: &PgError) {
        if matches!(trouble, PgError::StaleStatement(_)) {
            self.connector.disable_named_statements();
        }
        if matches!(trouble, PgError::Unavailable(_)) {
            // An unanswered query would keep the connection and its server process until it ends.
            session.task.abort();
        }
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|held| Arc::ptr_eq(held, session)) {
            *current = None;
        }
    }

    /// Checks that the database answers within 2 s, and where its reads go. Returns whether a restore or move
    /// blocks writes.
    pub(super) async fn check_health(&self) -> Result<bool, StoreError> {
        let asked = async {
            let session = self.session().await?;
            let ping = async {
                self.connector.detect_load_balancing(&session).await?;
                session.query_opt(sql::PING.postgres, &[]).await?;
                session.query_opt(sql::WRITE_BLOCKERS.postgres, &[]).await.map(|closed| closed.is_some())
            };
            let answer = ping.await;
            if let Err(trouble) = &answer {
                self.discard(&session, trouble).await;
            }
            answer
        };
        if let Ok(answer) = tokio::time::timeout(Duration::from_secs(2), asked).await {
            return Ok(answer?);
        }
        self.abort().await;
        Err(StoreError::Unavailable("the database does not answer".into()))
    }

    pub(super) fn is_load_balanced(&self) -> bool {
        self.connector.is_load_balanced()
    }

    /// Closes the connection, even during a query.
    pub(super) async fn abort(&self) {
        if let Some(session) = self.current.lock().await.take() {
            session.task.abort();
        }
    }
}

/// Opens the first session of a store, retrying while the database starts. Detects a pooler that assigns a
/// server process per transaction: prepared statements would collide with those of other clients, so names are
/// disabled before any is used.
pub(super) async fn first_session(target: &Arc<Connector>) -> Result<Arc<Session>, PgError> {
    let begun = Instant::now();
    let delays = ConstantBuilder::new().with_delay(Duration::from_millis(200)).without_max_times();
    let may_pass = |trouble: &PgError| {
        // A wrong password or database name stays wrong.
        begun.elapsed() < RETRY_TIMEOUT && !["28", "3D"].iter().any(|code| trouble.message().starts_with(code))
    };
    let first = (|| target.open()).retry(delays).when(may_pass).await?;
    if !target.named_statements.load(Ordering::Relaxed) {
        return Ok(first);
    }
    let check = async {
        let second = target.open().await?;
        Ok::<_, PgError>((is_pooled(&first, &second).await?, second))
    };
    match tokio::time::timeout(Duration::from_secs(2), check).await {
        Ok(Ok((is_pooled, second))) => {
            if is_pooled {
                target.disable_named_statements();
            } else {
                first.prefer_indexes().await?;
                second.prefer_indexes().await?;
            }
            target.keep_spare(second);
            return Ok(first);
        }
        // Only a pooler makes the second of two transactions wait.
        Err(_) => target.disable_named_statements(),
        Ok(Err(trouble)) => tracing::debug!(%trouble, "cannot detect whether there is a pooler"),
    }
    // The first session may be in a transaction and occupy the only connection of a small pool.
    drop(first);
    target.connect().await
}

/// Ends overlapping transactions of two connections in both orders. Behind a pooler, one of them then continues
/// on another server process.
async fn is_pooled(a: &Session, b: &Session) -> Result<bool, PgError> {
    for is_swapped in [false, true, false] {
        let (first, second) = if is_swapped { (b, a) } else { (a, b) };
        first.batch_execute(sql::BEGIN_BATCH.postgres).await?;
        let before = first.backend_pid().await?;
        second.batch_execute(sql::BEGIN_BATCH.postgres).await?;
        first.batch_execute(sql::COMMIT.postgres).await?;
        second.batch_execute(sql::COMMIT.postgres).await?;
        first.batch_execute(sql::BEGIN_BATCH.postgres).await?;
        let after = first.backend_pid().await?;
        first.batch_execute(sql::COMMIT.postgres).await?;
        if before != after {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) struct Session {
    client: Client,
    /// Drives the connection.
    task: AbortHandle,
    /// Shared by all sessions of a store.
    named_statements: Arc<AtomicBool>,
    is_load_balanced: Arc<AtomicBool>,
    statement_count: Arc<AtomicU64>,
    statements: Mutex<HashMap<Box<str>, Statement>>,
}

impl Session {
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    fn uses_named_statements(&self) -> bool {
        self.named_statements.load(Ordering::Relaxed)
    }

    /// Disables sequential scans. A prepared statement keeps its plan: on a new store with small, never
    /// analyzed tables a sequential scan, which would then be used for a million users. Every lookup here has
    /// an index. JIT is off, too: the cost penalty of an unavoidable scan would trigger it.
    ///
    /// Unnamed statements do not need this, as they are planned each time. Behind a pooler, the settings would
    /// stay on the server process for other clients.
    async fn prefer_indexes(&self) -> Result<(), PgError> {
        match self.batch_execute(sql::PREFER_INDEXES.postgres).await {
            // Other engines that speak the protocol may not have the setting.
            Err(PgError::Other(text)) => {
                tracing::debug!(text, "the database has no setting to avoid sequential scans");
                Ok(())
            }
            done => done,
        }
    }

    async fn query_bool(&self, sql: &str) -> Result<bool, PgError> {
        match self.client.simple_query(sql).await.map_err(PgError::from) {
            Ok(messages) => Ok(messages.iter().any(
                |message| matches!(message, SimpleQueryMessage::Row(row) if matches!(row.get(0), Some("on" | "t"))),
            )),
            // Other engines that speak the protocol may not have the setting.
            Err(PgError::Other(text)) => {
                tracing::debug!(text, "cannot detect whether reads go to a standby");
                Ok(false)
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Marks a statement that a pooler might send to a standby, including reads in a transaction that has not
    /// written yet.
    fn route_to_primary<'a>(&self, sql: &'a str) -> Cow<'a, str> {
        if self.is_load_balanced.load(Ordering::Relaxed) { Cow::Owned(no_load_balance(sql)) } else { sql.into() }
    }

    pub(super) async fn query(&self, sql: &str, params: &[&dyn Param]) -> Result<Vec<Row>, PgError> {
        self.statement_count.fetch_add(1, Ordering::Relaxed);
        let sql = &*self.route_to_primary(sql);
        if self.uses_named_statements() {
            let statement = self.prepared(sql, params).await?;
            Ok(self.client.query(&statement, &untyped_params(params)).await?)
        } else {
            Ok(self.client.query_typed(sql, &typed_params(params)).await?)
        }
    }

    /// The server process behind this connection, queried without a named statement.
    async fn backend_pid(&self) -> Result<i32, PgError> {
        let rows = self.client.query_typed(sql::BACKEND_PID.postgres, &[]).await?;
        Ok(rows.first().map_or(Ok(0), |row| row.try_get(0))?)
    }

    pub(super) async fn query_opt(&self, sql: &str, params: &[&dyn Param]) -> Result<Option<Row>, PgError> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// Returns the number of changed rows.
    pub(super) async fn execute(&self, sql: &str, params: &[&dyn Param]) -> Result<u64, PgError> {
        self.statement_count.fetch_add(1, Ordering::Relaxed);
        let sql = &*self.route_to_primary(sql);
        if self.uses_named_statements() {
            let statement = self.prepared(sql, params).await?;
            Ok(self.client.execute(&statement, &untyped_params(params)).await?)
        } else {
            Ok(self.client.execute_typed(sql, &typed_params(params)).await?)
        }
    }

    pub(super) async fn batch_execute(&self, sql: &str) -> Result<(), PgError> {
        self.statement_count.fetch_add(1, Ordering::Relaxed);
        Ok(self.client.batch_execute(sql).await?)
    }

    /// Prepares a statement in advance, so that a pipeline does not wait for it.
    pub(super) async fn prepare(&self, sql: &str, params: &[&dyn Param]) -> Result<(), PgError> {
        let sql = &*self.route_to_primary(sql);
        if self.uses_named_statements() { self.prepared(sql, params).await.map(|_| ()) } else { Ok(()) }
    }

    async fn prepared(&self, sql: &str, params: &[&dyn Param]) -> Result<Statement, PgError> {
        let known = self.statements.lock().get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let types: Vec<Type> = params.iter().map(|param| param.sql_type()).collect();
        let statement = self.client.prepare_typed(sql, &types).await?;
        let mut statements = self.statements.lock();
        Ok(statements.entry(sql.into()).or_insert(statement).clone())
    }
}

/// Marks a read for the primary. Pgpool-II sends every statement there that begins with a comment; where it
/// allows comments, only with this one (`allow_sql_comments` in its manual).
fn no_load_balance(sql: &str) -> String {
    format!("/*NO LOAD BALANCE*/ {sql}")
}

fn untyped_params<'a>(params: &'a [&'a dyn Param]) -> Vec<&'a (dyn ToSql + Sync)> {
    params.iter().map(|param| *param as &(dyn ToSql + Sync)).collect()
}

fn typed_params<'a>(params: &'a [&'a dyn Param]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    params.iter().map(|param| (*param as &(dyn ToSql + Sync), param.sql_type())).collect()
}
