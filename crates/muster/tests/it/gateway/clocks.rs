//! A machine whose clock differs from the database's pushes nothing: it would misjudge leases of other processes.

use super::support::{Simulator, status, wait_for};
use crate::secrets_key::secrets_key;
use crate::support::{TestApp, build_request, is_on_postgres, run_json, runtime};
use gateway::{Gateway, GatewayMetrics, MasterKeySource};
use std::sync::Arc;
use std::time::Duration;

const HOUR: i64 = 3600;

#[test]
fn a_machine_with_a_wrong_clock_pushes_nothing_until_it_is_set() {
    let (app, simulator, runtime) = (TestApp::new(), Simulator::start("scim", ""), runtime());
    let caller = runtime.block_on(app.create_tenant("Acme"));
    let key = runtime.block_on(app.create_key(&caller, "hr", |_| {}));
    let headers = [("Authorization", &*format!("Bearer {key}")), ("Content-Type", "application/scim+json")];
    let user = r#"{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ann@example.com"}"#;
    let created = app.send_request(build_request("POST", "/scim/v2/Users", &headers, user));
    assert_eq!(runtime.block_on(created).0, 201);
    simulator.add_to(app.store(), "forms", &[]);
    let metrics = Arc::new(GatewayMetrics::default());
    let keys = MasterKeySource(Some(secrets_key().1));
    let gateway = Gateway::new(Arc::clone(app.directory()), keys, Arc::clone(&metrics));
    app.advance_clock(HOUR);
    let running = runtime.spawn(async move { gateway.run(std::future::pending()).await });
    if is_on_postgres() {
        wait_for("the difference", || {
            let seconds = metrics.clock_difference() / 1_000_000;
            if seconds >= HOUR - 1 { Ok(()) } else { Err(seconds) }
        });
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(simulator.request_count(), 0);
        assert_eq!(status(app.store(), "forms")["gatewayRunning"], false);
        let text = run_json(app.store(), &["target", "status", "forms", "--tenant", "1", "--wait"]).to_string();
        assert!(text.contains("no process pushes this tenant's changes"), "{text}");
        app.advance_clock(-HOUR);
    }
    // A file is used by one process: there is no other clock.
    wait_for("an account", || if simulator.accounts().len() == 1 { Ok(()) } else { Err("none") });
    assert_eq!(metrics.clock_difference() / 1_000_000, 0);
    running.abort();
}
