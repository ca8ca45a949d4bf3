//! Baselines measured in the same run: the disk's flush rate, a server with a constant response, and Muster on a store
//! that keeps only connections.

use anyhow::Context;
use bytes::Bytes;
use directory::{
    Account, BoxFuture, Caller, ChainReport, Change, Command, CommitError, ConnectionKey, Event, EventPosition, Health,
    Item, ItemId, ItemKey, ItemKind, ItemQuery, Members, Mutation, NewConnection, Page, PasswordHash, Receipt, Record,
    Row, RowQuery, Store, StoreError, Table, Tenant, TenantNumber, TenantSettings, TenantSnapshot, Tombstone, User,
    UserId, UserKey, UserQuery,
};
use http_body_util::Full;
use hyper::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use server::{ConnectionLimits, Limits, Listener, ListenerKind, PublicConfig};
use std::collections::{BTreeMap, HashMap};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// The rate at which 4 KiB of a file can be overwritten and flushed.
pub(crate) fn syncs_per_second(folder: &Path) -> anyhow::Result<f64> {
    let mut file = std::fs::File::create(folder.join("flush"))?;
    file.write_all(&[0; 4096])?;
    file.sync_data()?;
    let begun = Instant::now();
    let mut syncs = 0_u32;
    while begun.elapsed() < Duration::from_secs(2) {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&[1; 4096])?;
        file.sync_data()?;
        syncs += 1;
    }
    Ok(f64::from(syncs) / begun.elapsed().as_secs_f64())
}

/// Runs a baseline server until it is killed.
pub(crate) fn serve(name: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match name {
        "hello" => runtime.block_on(serve_hello()),
        "discard" => runtime.block_on(serve_null_store()),
        _ => anyhow::bail!("unknown baseline {name} (use hello or discard)"),
    }
}

#[expect(clippy::print_stdout, reason = "the benchmark reads the address from it")]
fn announce(text: &str) {
    println!("{text}");
}

async fn serve_hello() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(&format!("{{\"listening\":\"http://{}\"}}", listener.local_addr()?));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let service = service_fn(|_| async {
                Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from_static(b"hello world"))))
            });
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

async fn serve_null_store() -> anyhow::Result<()> {
    // Log as `muster serve` does, so that the costs are comparable.
    server::start_text_log(tracing::Level::INFO);
    let store = NullStore::default();
    store.keep(&Tenant {
        number: TenantNumber(1),
        name: "Bench".into(),
        created: directory::Time::default(),
        version: 0,
        settings: TenantSettings::default(),
        removed: None,
    });
    let parts = server::Ports::new(Arc::new(store), Arc::new(adapters::TimeOrderedIds));
    let app = server::build_app(parts, Limits::default(), PublicConfig::default())?;
    let key = adapters::generate_api_key()?;
    let new = NewConnection::new("bench", vec!["onfire".into()], server::hash_key(&key));
    let caller = Caller::operator(TenantNumber(1));
    let added = app.directory.run(&caller, Command::AddConnection(new)).await;
    added.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let listener = Listener {
        socket,
        tls: None,
        kind: ListenerKind::Public,
        connections: ConnectionLimits { total: 1024, per_address: 1024, trusted_proxies: Vec::new() },
        header_timeout: Duration::from_secs(15),
        write_timeout: Duration::from_secs(30),
        drain_timeout: Duration::from_secs(1),
    };
    let address = listener.address().context("an address")?;
    announce(&format!("{{\"listening\":\"http://{address}\",\"tenant\":1,\"key\":\"{key}\"}}"));
    listener.serve(app.service, app.metrics, std::future::pending()).await;
    Ok(())
}

/// A store that acknowledges every change and keeps only tenants, connections and secrets.
#[derive(Default)]
struct NullStore {
    /// With the name of the table.
    rows: Mutex<Vec<(&'static str, Row)>>,
}

impl NullStore {
    fn keep<T: Record>(&self, record: &T) {
        if let Ok(row) = record.to_row() {
            self.rows.lock().push((T::table().name, row));
        }
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

type StoreResult<T> = Result<T, StoreError>;

impl Store for NullStore {
    fn users(&self, _: TenantNumber, keys: Vec<UserKey>) -> BoxFuture<'_, StoreResult<Vec<Option<User>>>> {
        ready(Ok(vec![None; keys.len()]))
    }
    fn find_users(&self, _: TenantNumber, _: UserQuery) -> BoxFuture<'_, StoreResult<Page<User>>> {
        ready(Ok(Page { rows: Vec::new(), total: 0, offset: 0 }))
    }
    fn items(&self, _: TenantNumber, keys: Vec<(ItemKind, ItemKey)>) -> BoxFuture<'_, StoreResult<Vec<Option<Item>>>> {
        ready(Ok(vec![None; keys.len()]))
    }
    fn find_items(&self, _: TenantNumber, _: ItemQuery) -> BoxFuture<'_, StoreResult<Page<Item>>> {
        ready(Ok(Page { rows: Vec::new(), total: 0, offset: 0 }))
    }
    fn members_of(&self, _: TenantNumber, _: Vec<ItemId>) -> BoxFuture<'_, StoreResult<Members>> {
        ready(Ok(Members::new()))
    }
    fn tenant_snapshot(&self, _: TenantNumber) -> BoxFuture<'_, StoreResult<Box<dyn TenantSnapshot>>> {
        ready(Err(StoreError::Unavailable("nothing is stored".into())))
    }
    fn members_after(
        &self,
        _: TenantNumber,
        _: ItemId,
        _: u32,
        _: u32,
    ) -> BoxFuture<'_, StoreResult<Vec<(UserId, u32)>>> {
        ready(Ok(Vec::new()))
    }
    fn wait_for_events(&self, _: EventPosition) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
    fn last_event_position(&self) -> BoxFuture<'_, StoreResult<EventPosition>> {
        ready(Ok(EventPosition(0)))
    }
    fn rows(&self, query: RowQuery) -> BoxFuture<'_, StoreResult<Vec<Row>>> {
        let stored = self.rows.lock();
        let own = stored.iter().filter(|(table, row)| *table == query.table.name && query.matches(row));
        ready(Ok(own.map(|(_, row)| row.clone()).collect()))
    }
    fn rows_with_keys(&self, _: &'static Table, _: Vec<Row>) -> BoxFuture<'_, StoreResult<Vec<Row>>> {
        ready(Ok(Vec::new()))
    }
    fn count_rows(&self, _: RowQuery, _: &'static [usize]) -> BoxFuture<'_, StoreResult<Vec<(Row, u64)>>> {
        ready(Ok(Vec::new()))
    }
    fn commit(&self, change: Change) -> BoxFuture<'_, Result<Receipt, CommitError>> {
        let mut receipt = Receipt::default();
        for edit in change.mutations {
            match edit {
                Mutation::AddUser { user, .. } => receipt.users.push(*user),
                Mutation::AddTenant(tenant) => self.keep(&tenant),
                Mutation::AddSecret(secret) => self.keep(&secret),
                Mutation::AddConnection(new) => {
                    self.keep(&*new);
                    ConnectionKey::all_of(&new).for_each(|key| self.keep(&key));
                }
                _ => {}
            }
        }
        ready(Ok(receipt))
    }
    fn events(&self, _: directory::EventFilter, _: EventPosition, _: u32) -> BoxFuture<'_, StoreResult<Vec<Event>>> {
        ready(Ok(Vec::new()))
    }
    fn accounts(&self, _: TenantNumber, _: Vec<UserId>) -> BoxFuture<'_, StoreResult<HashMap<UserId, Account>>> {
        ready(Ok(HashMap::new()))
    }
    fn password_hashes(
        &self,
        _: TenantNumber,
        _: std::ops::RangeInclusive<u32>,
    ) -> BoxFuture<'_, Result<Vec<(u32, PasswordHash)>, StoreError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn tombstone(&self, _: TenantNumber, _: UserKey) -> BoxFuture<'_, StoreResult<Option<Tombstone>>> {
        ready(Ok(None))
    }
    fn tombstones(&self, _: TenantNumber, _: u32, _: u32) -> BoxFuture<'_, StoreResult<Vec<Tombstone>>> {
        ready(Ok(Vec::new()))
    }
    fn tombstones_between(
        &self,
        _: (directory::Time, directory::Time),
        _: u32,
    ) -> BoxFuture<'_, StoreResult<Vec<(TenantNumber, Tombstone)>>> {
        ready(Ok(Vec::new()))
    }
    fn chain_hash_at(&self, _: TenantNumber, _: EventPosition) -> BoxFuture<'_, StoreResult<Option<[u8; 32]>>> {
        ready(Ok(None))
    }
    fn verify_chain(&self, _: Option<TenantNumber>) -> BoxFuture<'_, StoreResult<BTreeMap<TenantNumber, ChainReport>>> {
        ready(Ok(BTreeMap::new()))
    }
    fn health(&self) -> BoxFuture<'_, StoreResult<Health>> {
        ready(Ok(Health::default()))
    }
}
