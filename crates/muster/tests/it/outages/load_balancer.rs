//! Behind a pooler that sends reads to a lagging standby, acknowledged changes are still read, also after a failover.
//! Runs only in long runs, because no other test needs Pgpool-II.

use super::client::{Client, Dialect, TestUser};
use super::nodes::{self, Credentials, Node};
use crate::support::try_send;
use testkit::postgres::{Cluster, Pgpool, query};
use testkit::seeds::is_long_run;
use testkit::waiting::wait_until;

#[test]
fn a_balancing_pooler_gives_no_stale_reads() {
    if !is_long_run() {
        return;
    }
    let primary = Cluster::start(&[("synchronous_commit", "on")]);
    let direct = primary.create_database();
    let name = direct.rsplit('/').next().expect("a name");
    let standby = primary.standby();
    let balancer = Pgpool::start(&primary, &standby);
    wait_until("reads to go to the standby", || balancer.reads_from_standby(name));
    // From here on, the standby lags behind all writes, even those that create the tables.
    query(&standby.url(name), "SELECT pg_wal_replay_pause()");
    let url = balancer.url(name);
    let door = Credentials::create(&url);
    let node = Node::start(&url);
    assert!(node.log().contains("a pooler sends reads to a standby"), "{}", node.log());
    let client = node.client(&door);
    create_and_find(&client, "before");
    let ready = try_send(&node.address, "GET", "/readyz", &[], b"").expect("an answer").body;
    assert!(ready.contains("marked to go to the primary"), "{ready}");
    nodes::assert_sound(&url);
    primary.kill();
    standby.promote();
    wait_until("a create after the failover", || client.create(Dialect::Scim, &test_user("first")).is_ok());
    create_and_find(&client, "after");
    for n in 0..40 {
        let before = test_user(&format!("before{n}"));
        assert!(
            client.read(Dialect::Publisher, &before.email).is_ok(),
            "{before:?} was acknowledged but is missing: {}",
            balancer.log()
        );
    }
}

fn test_user(name: &str) -> TestUser {
    TestUser { email: format!("{name}@load.example"), external_id: format!("e-{name}"), first_name: name.to_owned() }
}

/// Creates users and finds them at once over every dialect.
fn create_and_find(client: &Client, name: &str) {
    for n in 0..40 {
        let person = test_user(&format!("{name}{n}"));
        let api = super::choose(&Dialect::ALL, n);
        client.create(api, &person).unwrap_or_else(|_| panic!("{person:?} was not created"));
        for api in Dialect::ALL {
            let found = client.read(api, &person.email);
            assert!(found.is_ok(), "{person:?} was acknowledged, and {api:?} returns {found:?}");
        }
    }
}
