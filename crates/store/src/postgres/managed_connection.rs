//! A connection to the database: made anew when it was lost, with statements that are prepared once.
//!
//! Futures that are polled together on one connection are sent together and answered in order, so one connection
//! serves many requests at a time.

use super::database_url::{CONNECT_TIMEOUT, DatabaseUrl};
use super::param::Param;
use super::pg_error::PgError;
use super::retry::RETRY_TIMEOUT;
use crate::sql;
use backon::{ConstantBuilder, Retryable};
use directory::StoreError;
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, SimpleQueryMessage, Statement};

/// How long an idle connection is kept for the next line that needs one. It serves the first requests of a store; later,
/// its server may have failed over.
const SPARE_LIFETIME: Duration = Duration::from_secs(10);

/// How often a new session is asked where its reads go.
const LOAD_BALANCING_PROBES: usize = 2;

/// How connections are made, and whether statements may be kept on them.
pub(super) struct Connector {
    address: DatabaseUrl,
    /// What keeps connections going runs here, whoever asked for them.
    runtime: Handle,
    /// Prepared statements have names on the server. Behind a pooler that hands out another server with each
    /// transaction the names mean nothing; then each statement goes along unnamed.
    named_statements: Arc<AtomicBool>,
    /// Whether a pooler in front sends reads to a standby, which may be behind. Then they are marked to go to the primary.
    is_load_balanced: Arc<AtomicBool>,
    /// Whether a standby will do.
    allow_standby: bool,
    /// Open connections that no line has taken yet: those that opening the store took.
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
            spare: Mutex::default(),
        }
    }

    /// Keeps an idle connection for the next line that needs one.
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

    /// Closes the connections that no line has taken.
    pub(super) fn close_spare(&self) {
        self.spare.lock().clear();
    }

    /// Uses no named statements from here on.
    pub(super) fn disable_named_statements(&self) {
        if self.named_statements.swap(false, Ordering::Relaxed) {
            tracing::warn!("the database forgets prepared statements; from here on they are sent each time");
        }
    }

    /// A spare connection, or else a new one.
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

    /// Whether reads would go to a standby without a mark.
    pub(super) fn is_load_balanced(&self) -> bool {
        self.is_load_balanced.load(Ordering::Relaxed)
    }

    /// Finds out where reads of a session that is in no transaction go: some poolers choose a server for each session, others
    /// for each statement. Pgpool-II would send volatile functions to the primary, but no `SHOW`.
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
                        "a pooler sends reads to a standby, which may be behind; from here on they are marked to go to the primary"
                    );
                }
                return Ok(());
            }
        }
        Ok(())
    }

    /// A new connection with the server's own settings.
    async fn open(self: &Arc<Self>) -> Result<Arc<Session>, PgError> {
        let target = Arc::clone(self);
        let connecting =
            self.runtime.spawn(async move { tokio::time::timeout(CONNECT_TIMEOUT, target.address.connect()).await });
        let (client, task) = match connecting.await {
            Ok(Ok(client)) => client?,
            Ok(Err(_)) => return Err(PgError::Unavailable("connecting took too long".into())),
            Err(_) => return Err(PgError::Unavailable("the store is closed".into())),
        };
        let (names, is_balanced) = (Arc::clone(&self.named_statements), Arc::clone(&self.is_load_balanced));
        let session = Arc::new(Session {
            client,
            task,
            named_statements: names,
            is_load_balanced: is_balanced,
            statements: Mutex::default(),
        });
        self.detect_load_balancing(&session).await?;
        Ok(session)
    }
}

/// A place for one connection.
pub(super) struct ManagedConnection {
    connector: Arc<Connector>,
    current: tokio::sync::Mutex<Option<Arc<Session>>>,
}

impl ManagedConnection {
    pub(super) fn new(target: Arc<Connector>) -> Self {
        Self { connector: target, current: tokio::sync::Mutex::default() }
    }

    /// The connection, a new one where there is none.
    pub(super) async fn session(&self) -> Result<Arc<Session>, PgError> {
        let mut current = self.current.lock().await;
        if let Some(session) = current.as_ref().filter(|session| !session.is_closed()) {
            return Ok(Arc::clone(session));
        }
        let session = self.connector.connect().await?;
        *current = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Lets a connection go that is of no use any more, unless another has taken its place. It ends when the last
    /// one who uses it has done so.
    pub(super) async fn discard(&self, session: &Arc<Session>, trouble: &PgError) {
        if matches!(trouble, PgError::StaleStatement(_)) {
            self.connector.disable_named_statements();
        }
        if matches!(trouble, PgError::Unavailable(_)) {
            // What is not answered would keep the connection, and the server's side of it, for as long as it takes.
            session.task.abort();
        }
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|held| Arc::ptr_eq(held, session)) {
            *current = None;
        }
    }

    /// Whether the database answers, within two seconds, and where its reads go; whether it is being filled or moved.
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

    /// Whether reads would go to a standby without a mark.
    pub(super) fn is_load_balanced(&self) -> bool {
        self.connector.is_load_balanced()
    }

    /// Lets the connection go, whatever it is at.
    pub(super) async fn abort(&self) {
        if let Some(session) = self.current.lock().await.take() {
            session.task.abort();
        }
    }
}

/// The first session of a store that opens; the database may be starting. Detects a pooler that assigns a server process
/// per transaction: its prepared statements would be those of other clients too, so names are given up before any is used.
pub(super) async fn first_session(target: &Arc<Connector>) -> Result<Arc<Session>, PgError> {
    let begun = Instant::now();
    let delays = ConstantBuilder::new().with_delay(Duration::from_millis(200)).without_max_times();
    let may_pass = |trouble: &PgError| {
        // Wrong passwords and names do not get better by waiting.
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
        // Only a pooler keeps the second of two transactions waiting.
        Err(_) => target.disable_named_statements(),
        Ok(Err(trouble)) => tracing::debug!(%trouble, "whether there is a pooler was not found out"),
    }
    // The first session may be within a transaction, which would occupy the only connection of a small pool.
    drop(first);
    target.connect().await
}

/// Two connections in transactions at once end them in one order and the other: behind a pooler, one of them then goes
/// on with another server process.
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

/// One connection.
pub(super) struct Session {
    client: Client,
    /// What keeps it going.
    task: AbortHandle,
    /// Whether prepared statements are kept by name; all sessions of a store share this.
    named_statements: Arc<AtomicBool>,
    is_load_balanced: Arc<AtomicBool>,
    statements: Mutex<HashMap<Box<str>, Statement>>,
}

impl Session {
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    fn uses_named_statements(&self) -> bool {
        self.named_statements.load(Ordering::Relaxed)
    }

    /// A prepared statement keeps the plan that was best when it was planned: on a new store, whose tables are small and were
    /// never analyzed, a sequential scan, which is then used for a million users. Every look-up here has an index.
    /// The price that the server then puts on a scan without an alternative would have it compile the plan, so that is off, too.
    /// Without names a statement is planned each time it is sent, by the size its tables have then; behind a pooler,
    /// a setting would stay with the server process for other clients.
    async fn prefer_indexes(&self) -> Result<(), PgError> {
        match self.batch_execute(sql::PREFER_INDEXES.postgres).await {
            // Other engines that speak the protocol may not have the setting.
            Err(PgError::Other(text)) => {
                tracing::debug!(text, "plans are the engine's own");
                Ok(())
            }
            done => done,
        }
    }

    /// Whether the answer is yes.
    async fn query_bool(&self, sql: &str) -> Result<bool, PgError> {
        match self.client.simple_query(sql).await.map_err(PgError::from) {
            Ok(messages) => Ok(messages.iter().any(
                |message| matches!(message, SimpleQueryMessage::Row(row) if matches!(row.get(0), Some("on" | "t"))),
            )),
            // Other engines that speak the protocol may not have the setting.
            Err(PgError::Other(text)) => {
                tracing::debug!(text, "whether there is a standby was not found out");
                Ok(false)
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// The statement, marked where a pooler might send it to a standby: also what is read within a transaction before it
    /// has written anything.
    fn route_to_primary<'a>(&self, sql: &'a str) -> Cow<'a, str> {
        if self.is_load_balanced.load(Ordering::Relaxed) { Cow::Owned(no_load_balance(sql)) } else { sql.into() }
    }

    /// Asks for rows.
    pub(super) async fn query(&self, sql: &str, params: &[&dyn Param]) -> Result<Vec<Row>, PgError> {
        let sql = &*self.route_to_primary(sql);
        if self.uses_named_statements() {
            let statement = self.prepared(sql, params).await?;
            Ok(self.client.query(&statement, &untyped_params(params)).await?)
        } else {
            Ok(self.client.query_typed(sql, &typed_params(params)).await?)
        }
    }

    /// The server's process behind this connection, asked without a name.
    async fn backend_pid(&self) -> Result<i32, PgError> {
        let rows = self.client.query_typed(sql::BACKEND_PID.postgres, &[]).await?;
        Ok(rows.first().map_or(Ok(0), |row| row.try_get(0))?)
    }

    /// Asks for one row at the most.
    pub(super) async fn query_opt(&self, sql: &str, params: &[&dyn Param]) -> Result<Option<Row>, PgError> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// Changes rows; how many.
    pub(super) async fn execute(&self, sql: &str, params: &[&dyn Param]) -> Result<u64, PgError> {
        let sql = &*self.route_to_primary(sql);
        if self.uses_named_statements() {
            let statement = self.prepared(sql, params).await?;
            Ok(self.client.execute(&statement, &untyped_params(params)).await?)
        } else {
            Ok(self.client.execute_typed(sql, &typed_params(params)).await?)
        }
    }

    /// Says something that has neither parameters nor rows.
    pub(super) async fn batch_execute(&self, sql: &str) -> Result<(), PgError> {
        Ok(self.client.batch_execute(sql).await?)
    }

    /// Prepares a statement now, so that it is sent at once when its turn comes.
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

/// A read that poolers send to the primary: Pgpool-II does so with every statement that begins with a comment, and with this
/// one where comments are allowed (its documentation, `allow_sql_comments`).
fn no_load_balance(sql: &str) -> String {
    format!("/*NO LOAD BALANCE*/ {sql}")
}

fn untyped_params<'a>(params: &'a [&'a dyn Param]) -> Vec<&'a (dyn ToSql + Sync)> {
    params.iter().map(|param| *param as &(dyn ToSql + Sync)).collect()
}

fn typed_params<'a>(params: &'a [&'a dyn Param]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    params.iter().map(|param| (*param as &(dyn ToSql + Sync), param.sql_type())).collect()
}
