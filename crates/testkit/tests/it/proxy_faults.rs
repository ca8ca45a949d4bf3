//! Each fault of the proxy has the documented effect on the client and the database.

use std::time::{Duration, Instant};
use testkit::postgres::{query, shared_cluster};
use testkit::proxy::{Fault, Proxy};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, NoTls};

const TIMEOUT: Duration = testkit::waiting::TIMEOUT;

/// A database with one table behind a proxy that injects the same fault into all commits.
struct Fixture {
    direct: String,
    proxy: Proxy,
}

impl Fixture {
    fn new(fault: Fault) -> Self {
        let direct = shared_cluster().create_database();
        query(&direct, "CREATE TABLE t (n int)");
        let proxy = Proxy::start(&format!("127.0.0.1:{}", shared_cluster().port()), move |_| fault);
        Self { direct, proxy }
    }

    async fn client(&self) -> Result<Client, Error> {
        let (client, connection) = tokio_postgres::connect(&self.proxy.url(&self.direct), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    fn rows(&self) -> String {
        query(&self.direct, "SELECT count(*) FROM t")
    }
}

/// Inserts a row as the engine does: simple queries around an extended query.
async fn insert(client: &Client) -> Result<(), Error> {
    client.batch_execute("BEGIN").await?;
    let changed = client.execute("INSERT INTO t VALUES ($1)", &[&7]).await?;
    assert_eq!(changed, 1);
    client.batch_execute("COMMIT").await
}

#[tokio::test]
async fn commits_pass_unchanged() {
    let fixture = Fixture::new(Fault::Pass);
    let client = fixture.client().await.expect("connected");
    insert(&client).await.expect("committed");
    // Pipelined queries keep their order.
    let both = tokio::join!(client.query_one("SELECT 1", &[]), client.query_one("SELECT 2", &[]));
    assert_eq!((both.0.expect("a row").get::<_, i32>(0), both.1.expect("a row").get::<_, i32>(0)), (1, 2));
    let long = "x".repeat(3_000_000);
    let back: String = client.query_one("SELECT $1::text", &[&long]).await.expect("a row").get(0);
    assert_eq!(back, long);
    assert_eq!((fixture.rows(), fixture.proxy.commits()), ("1".to_owned(), 1));
    assert_eq!(fixture.proxy.counts().get("passed"), Some(&1));
}

#[tokio::test]
async fn server_failures_roll_back() {
    let cases = [
        (Fault::SerializationFailure, SqlState::T_R_SERIALIZATION_FAILURE),
        (Fault::Deadlock, SqlState::T_R_DEADLOCK_DETECTED),
    ];
    for (fault, state) in cases {
        let fixture = Fixture::new(fault);
        let client = fixture.client().await.expect("connected");
        for _ in 0..2 {
            let error = insert(&client).await.expect_err("not committed");
            assert_eq!(error.code(), Some(&state), "{fault:?}");
        }
        assert_eq!(client.query_one("SELECT 3", &[]).await.expect("the connection still works").get::<_, i32>(0), 3);
        assert_eq!((fixture.rows(), fixture.proxy.commits()), ("0".to_owned(), 2));
        assert_eq!(fixture.proxy.counts().get(fault.name()), Some(&2));
    }
}

#[tokio::test]
async fn disconnect_before_loses_the_commit_and_after_only_the_reply() {
    for (fault, rows) in [(Fault::DisconnectBefore, "0"), (Fault::DisconnectAfter, "1")] {
        let fixture = Fixture::new(fault);
        let client = fixture.client().await.expect("connected");
        let error = insert(&client).await.expect_err("no reply");
        assert!(error.code().is_none() && error.is_closed(), "{fault:?}: {error}");
        assert_eq!(fixture.rows(), rows, "{fault:?}");
        fixture.client().await.expect("a new connection works");
    }
}

#[tokio::test]
async fn a_commit_can_complete_after_its_client_disconnects() {
    // Long enough to query before it.
    let later = Duration::from_secs(2);
    let fixture = Fixture::new(Fault::DisconnectThenCommit(later));
    let client = fixture.client().await.expect("connected");
    let begun = Instant::now();
    insert(&client).await.expect_err("no reply");
    assert_eq!(fixture.rows(), "0", "the client was disconnected before the commit");
    while fixture.rows() == "0" {
        assert!(begun.elapsed() < TIMEOUT);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(begun.elapsed() >= later);
}

#[tokio::test]
async fn a_reply_can_be_delayed() {
    let fixture = Fixture::new(Fault::Delay(Duration::from_millis(500)));
    let client = fixture.client().await.expect("connected");
    let begun = Instant::now();
    insert(&client).await.expect("committed");
    assert!(begun.elapsed() >= Duration::from_millis(500));
    assert_eq!(fixture.rows(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnect_all_refuses_connections_until_resumed() {
    let fixture = Fixture::new(Fault::Pass);
    let client = fixture.client().await.expect("connected");
    fixture.proxy.disconnect_all();
    let gone = timeout(TIMEOUT, client.query_one("SELECT 1", &[])).await.expect("at once");
    assert!(gone.is_err_and(|error| error.code().is_none()));
    let refused = timeout(TIMEOUT, fixture.client()).await.expect("at once");
    assert!(refused.is_err_and(|error| error.to_string().contains("connecting")));
    fixture.proxy.resume();
    let client = timeout(TIMEOUT, fixture.client()).await.expect("at once").expect("connected");
    insert(&client).await.expect("committed");
    assert_eq!(fixture.rows(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn stall_blocks_all_connections_until_resumed() {
    let fixture = Fixture::new(Fault::Pass);
    let client = fixture.client().await.expect("connected");
    fixture.proxy.stall();
    let shortly = Duration::from_millis(300);
    let frozen = client.query_one("SELECT 4", &[]);
    tokio::pin!(frozen);
    assert!(timeout(shortly, &mut frozen).await.is_err(), "no answer");
    assert!(timeout(shortly, fixture.client()).await.is_err(), "new connections also wait");
    fixture.proxy.resume();
    let row = timeout(TIMEOUT, frozen).await.expect("at once").expect("a row");
    assert_eq!(row.get::<_, i32>(0), 4);
    timeout(TIMEOUT, fixture.client()).await.expect("at once").expect("connected");
    // Disconnecting after a stall ends all waiting clients.
    fixture.proxy.stall();
    let frozen = client.query_one("SELECT 4", &[]);
    tokio::pin!(frozen);
    assert!(timeout(shortly, &mut frozen).await.is_err(), "no answer");
    fixture.proxy.disconnect_all();
    timeout(TIMEOUT, frozen).await.expect("at once").expect_err("disconnected");
}
