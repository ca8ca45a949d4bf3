//! Clusters start, restart, fail over and clean up.

use std::path::Path;
use std::process::Command;
use testkit::postgres::{Cluster, PgBouncer, query, shared_cluster};
use testkit::waiting::{TIMEOUT, wait_until};

/// The number of processes with this path in their command line.
fn processes(folder: &Path) -> usize {
    let output = Command::new("pgrep").arg("-f").arg(folder).output().expect("pgrep");
    String::from_utf8_lossy(&output.stdout).lines().count()
}

#[test]
fn databases_are_isolated() {
    let (one, two) = (shared_cluster().create_database(), shared_cluster().create_database());
    query(&one, "CREATE TABLE t (n int)");
    query(&two, "CREATE TABLE t (n int)");
    query(&one, "INSERT INTO t VALUES (1)");
    assert_eq!(query(&one, "SELECT n FROM t"), "1");
    assert_eq!(query(&two, "SELECT n FROM t"), "");
    assert_eq!(query(&two, "SHOW server_encoding"), "UTF8");
    let expected = std::env::var("MUSTER_TEST_ISOLATION").ok().filter(|level| !level.is_empty());
    let expected = expected.unwrap_or_else(|| "read committed".to_owned());
    assert_eq!(query(&two, "SHOW default_transaction_isolation"), expected);
}

#[test]
fn settings_override_defaults() {
    let cluster = Cluster::start(&[("fsync", "on"), ("default_transaction_isolation", "'serializable'")]);
    let url = cluster.create_database();
    assert_eq!(query(&url, "SHOW fsync"), "on");
    assert_eq!(query(&url, "SHOW default_transaction_isolation"), "serializable");
}

#[test]
fn data_survives_kill_and_stop() {
    let cluster = Cluster::start(&[]);
    let url = cluster.create_database();
    query(&url, "CREATE TABLE t AS SELECT 7 AS n");
    cluster.kill();
    assert_eq!(processes(cluster.folder()), 0, "no process is left");
    cluster.restart();
    assert_eq!(query(&url, "SELECT n FROM t"), "7");
    cluster.stop();
    assert_eq!(processes(cluster.folder()), 0);
    cluster.restart();
    assert_eq!(query(&url, "SELECT n FROM t"), "7");
}

#[test]
fn a_promoted_standby_has_all_acknowledged_commits() {
    let primary = Cluster::start(&[]);
    let url = primary.create_database();
    query(&url, "CREATE TABLE t (n int)");
    let standby = primary.standby();
    query(&url, "INSERT INTO t VALUES (42)");
    primary.kill();
    standby.promote();
    let name = url.rsplit('/').next().expect("a name");
    let url = standby.url(name);
    assert_eq!(query(&url, "SELECT n FROM t"), "42");
    query(&url, "INSERT INTO t VALUES (43)");
}

#[test]
fn drop_removes_processes_and_folder() {
    let cluster = Cluster::start(&[]);
    let folder = cluster.folder().to_owned();
    assert!(folder.exists() && processes(&folder) > 0);
    drop(cluster);
    assert!(!folder.exists() && processes(&folder) == 0);
}

#[test]
fn a_killed_test_leaves_nothing_behind() {
    // Run this program again, with only the test that waits.
    let this = std::env::current_exe().expect("a path");
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut child = Command::new(this)
        .args(["--exact", "clusters::a_cluster_that_waits"])
        .env("MUSTER_TEST_WAITS", file.path())
        .spawn()
        .expect("started");
    let written = || std::fs::read_to_string(file.path()).expect("read");
    while written().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let folder = Path::new(&written()).to_owned();
    assert!(folder.exists() && processes(&folder) > 0);
    child.kill().expect("killed");
    child.wait().expect("ended");
    wait_until("the processes and the folder to be removed", || !folder.exists() && processes(&folder) == 0);
}

/// Does nothing unless the test above has started it.
#[test]
fn a_cluster_that_waits() {
    let Some(file) = std::env::var_os("MUSTER_TEST_WAITS") else { return };
    std::fs::write(file, shared_cluster().folder().to_str().expect("text")).expect("written");
    std::thread::sleep(TIMEOUT);
}

#[test]
fn pgbouncer_forwards_queries() {
    let url = shared_cluster().create_database();
    let bouncer = PgBouncer::start(shared_cluster(), &url);
    assert_eq!(query(&bouncer.url(), "SELECT current_user"), "muster");
    query(&bouncer.url(), "CREATE TABLE t AS SELECT 5 AS n");
    assert_eq!(query(&url, "SELECT n FROM t"), "5");
}
