//! Each meddling of the proxy does what it says, to the client and to the database.

use std::time::{Duration, Instant};
use testkit::postgres::{query, shared};
use testkit::proxy::{Meddling, Proxy};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, NoTls};

const SOON: Duration = testkit::waiting::PATIENCE;

/// A database with one table, and a proxy in front of it that does the same to all commits.
struct World {
    direct: String,
    proxy: Proxy,
}

impl World {
    fn new(meddling: Meddling) -> Self {
        let direct = shared().database();
        query(&direct, "CREATE TABLE t (n int)");
        let proxy = Proxy::start(&format!("127.0.0.1:{}", shared().port()), move |_| meddling);
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

/// Inserts a row as the engine would: simple queries around an extended one.
async fn insert(client: &Client) -> Result<(), Error> {
    client.batch_execute("BEGIN").await?;
    let changed = client.execute("INSERT INTO t VALUES ($1)", &[&7]).await?;
    assert_eq!(changed, 1);
    client.batch_execute("COMMIT").await
}

#[tokio::test]
async fn nothing_is_done_to_what_passes() {
    let world = World::new(Meddling::Pass);
    let client = world.client().await.expect("connected");
    insert(&client).await.expect("committed");
    // Many in flight on one connection keep their order.
    let both = tokio::join!(client.query_one("SELECT 1", &[]), client.query_one("SELECT 2", &[]));
    assert_eq!((both.0.expect("a row").get::<_, i32>(0), both.1.expect("a row").get::<_, i32>(0)), (1, 2));
    let long = "x".repeat(3_000_000);
    let back: String = client.query_one("SELECT $1::text", &[&long]).await.expect("a row").get(0);
    assert_eq!(back, long);
    assert_eq!((world.rows(), world.proxy.commits()), ("1".to_owned(), 1));
    assert_eq!(world.proxy.counts().get("passed"), Some(&1));
}

#[tokio::test]
async fn failures_of_the_servers_own_are_rollbacks() {
    let cases = [
        (Meddling::SerializationFailure, SqlState::T_R_SERIALIZATION_FAILURE),
        (Meddling::Deadlock, SqlState::T_R_DEADLOCK_DETECTED),
    ];
    for (meddling, state) in cases {
        let world = World::new(meddling);
        let client = world.client().await.expect("connected");
        for _ in 0..2 {
            let error = insert(&client).await.expect_err("not committed");
            assert_eq!(error.code(), Some(&state), "{meddling:?}");
        }
        assert_eq!(client.query_one("SELECT 3", &[]).await.expect("goes on").get::<_, i32>(0), 3);
        assert_eq!((world.rows(), world.proxy.commits()), ("0".to_owned(), 2));
        assert_eq!(world.proxy.counts().get(meddling.name()), Some(&2));
    }
}

#[tokio::test]
async fn a_cut_before_loses_the_commit_and_a_cut_after_only_its_answer() {
    for (meddling, rows) in [(Meddling::CutBefore, "0"), (Meddling::CutAfter, "1")] {
        let world = World::new(meddling);
        let client = world.client().await.expect("connected");
        let error = insert(&client).await.expect_err("nobody answers");
        assert!(error.code().is_none() && error.is_closed(), "{meddling:?}: {error}");
        assert_eq!(world.rows(), rows, "{meddling:?}");
        world.client().await.expect("another connection is fine");
    }
}

#[tokio::test]
async fn a_commit_may_be_in_flight_when_its_client_is_gone() {
    // Long enough for somebody to look before it.
    let later = Duration::from_secs(2);
    let world = World::new(Meddling::CutThenCommit(later));
    let client = world.client().await.expect("connected");
    let begun = Instant::now();
    insert(&client).await.expect_err("nobody answers");
    assert_eq!(world.rows(), "0", "the client was cut at once, and it is not committed yet");
    while world.rows() == "0" {
        assert!(begun.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(begun.elapsed() >= later);
}

#[tokio::test]
async fn an_answer_may_be_late() {
    let world = World::new(Meddling::Delay(Duration::from_millis(500)));
    let client = world.client().await.expect("connected");
    let begun = Instant::now();
    insert(&client).await.expect("committed");
    assert!(begun.elapsed() >= Duration::from_millis(500));
    assert_eq!(world.rows(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_can_be_cut_and_refused_until_resumed() {
    let world = World::new(Meddling::Pass);
    let client = world.client().await.expect("connected");
    world.proxy.cut_all();
    let gone = timeout(SOON, client.query_one("SELECT 1", &[])).await.expect("at once");
    assert!(gone.is_err_and(|error| error.code().is_none()));
    let refused = timeout(SOON, world.client()).await.expect("at once");
    assert!(refused.is_err_and(|error| error.to_string().contains("connecting")));
    world.proxy.resume();
    let client = timeout(SOON, world.client()).await.expect("at once").expect("connected");
    insert(&client).await.expect("committed");
    assert_eq!(world.rows(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_can_hang_until_resumed() {
    let world = World::new(Meddling::Pass);
    let client = world.client().await.expect("connected");
    world.proxy.hang();
    let shortly = Duration::from_millis(300);
    let frozen = client.query_one("SELECT 4", &[]);
    tokio::pin!(frozen);
    assert!(timeout(shortly, &mut frozen).await.is_err(), "no answer");
    assert!(timeout(shortly, world.client()).await.is_err(), "no new ones either");
    world.proxy.resume();
    let row = timeout(SOON, frozen).await.expect("at once").expect("a row");
    assert_eq!(row.get::<_, i32>(0), 4);
    timeout(SOON, world.client()).await.expect("at once").expect("connected");
    // Hanging and then cutting leaves nobody waiting.
    world.proxy.hang();
    let frozen = client.query_one("SELECT 4", &[]);
    tokio::pin!(frozen);
    assert!(timeout(shortly, &mut frozen).await.is_err(), "no answer");
    world.proxy.cut_all();
    timeout(SOON, frozen).await.expect("at once").expect_err("cut");
}
