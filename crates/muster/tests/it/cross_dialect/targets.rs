//! Users that are created over each dialect arrive in targets of each API with everything that the API can hold, and
//! nothing else is sent.

use super::fixture::Fixture;
use super::user_generator::generated_user;
use super::{ALL_DIALECTS, Dialect};
use crate::gateway::{Simulator, wait_until_linked};
use crate::support::{run_json, runtime};
use directory::User;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Users created over each dialect.
const USERS: u32 = 8;
const TARGETS: [(&str, Dialect); 6] = [
    ("scim", Dialect::Scim),
    ("onfire", Dialect::OnfireV2),
    ("onfire-v1", Dialect::OnfireV1),
    ("publisher", Dialect::Publisher),
    // The vendor's, and Muster's.
    ("ccs", Dialect::Ccs),
    ("ccs-muster", Dialect::Ccs),
];
/// What the API requires, and within its limits.
const CCS_MAPPING: [&str; 4] =
    ["roleId=2", "firstName=givenName or 'x'", "title=honorificPrefix|cut(10)", "phone=workPhone|cut(20)"];

#[test]
fn users_of_every_dialect_arrive_in_every_target() {
    let runtime = runtime();
    let fixture = runtime.block_on(Fixture::new());
    let mut runner = TestRunner::new(testkit::seeds::proptest_config(1, file!()));
    let mut users: Vec<User> = Vec::new();
    for dialect in ALL_DIALECTS {
        for n in 0..testkit::seeds::repetitions(USERS) {
            let generated = generated_user().new_tree(&mut runner).expect("a user").current();
            let email = format!("u{n}-{}@example.com", users.len());
            users.push(runtime.block_on(fixture.create(dialect, &generated, &email)));
        }
    }
    let simulators: Vec<_> = TARGETS
        .iter()
        .map(|(name, dialect)| {
            let simulator = Simulator::start(name, "");
            simulator.add_to(fixture.app.store(), name, &["--rate", "0"]);
            // Finds out which extensions it has. In `publisher`, it would leave archived accounts.
            if *dialect != Dialect::Publisher {
                run_json(fixture.app.store(), &["target", "test", name]);
            }
            if *dialect == Dialect::Ccs {
                let settings = CCS_MAPPING.iter().flat_map(|setting| ["--set", setting]);
                let mapped = ["target", "map", name].into_iter().chain(settings).collect::<Vec<_>>();
                assert_eq!(run_json(fixture.app.store(), &mapped)["problems"], json!([]));
            }
            let tests = simulator.requests().len();
            (simulator, *name, *dialect, tests)
        })
        .collect();
    let keys = gateway::MasterKeySource(Some(crate::secrets_key::secrets_key().1));
    let metrics = Arc::new(gateway::GatewayMetrics::default());
    let gateway = gateway::Gateway::new(Arc::clone(fixture.app.directory()), keys, metrics);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = runtime.spawn(async move { gateway.run(async { drop(stopped.await) }).await });
    // A target without groups gets a user only if it is active.
    users.retain(|user| !user.status.blocks_sign_in());
    for (simulator, name, dialect, tests) in &simulators {
        wait_until_linked(fixture.app.store(), name, users.len() as u64);
        for user in &users {
            let account = match dialect {
                Dialect::Ccs => account_with_email(simulator, user),
                _ => simulator.account_of(&user.id.to_string()).expect("an account"),
            };
            let shown = runtime.block_on(fixture.read(*dialect, user));
            assert_eq!(sent(&account["fields"]), expected(*dialect, user, &shown), "{name}: {user:?}");
        }
        assert_eq!(simulator.accounts().len(), users.len(), "{name}");
        // One create for each user, and nothing else but the question whether the target is empty.
        let requests = simulator.requests().split_off(*tests);
        let reads = requests.iter().filter(|request| request["method"] == "GET").count();
        // The answer to a create of `ccs` does not show whose account it is: it is read, where it can be.
        let expected = if *name == "ccs-muster" { users.len() + 1 } else { 1 };
        assert_eq!((requests.len() - reads, reads), (users.len(), expected), "{name}");
    }
    drop(stop);
    runtime.block_on(running).expect("ended");
}

fn account_with_email(simulator: &Simulator, user: &User) -> Value {
    let mut found = simulator.accounts();
    found.retain(|account| account["fields"]["email"] == user.email().expect("an email"));
    assert_eq!(found.len(), 1, "{user:?}");
    found.remove(0)
}

/// What the target has stored, without what only says how it was sent.
fn sent(fields: &Value) -> Value {
    let mut fields = fields.as_object().expect("fields").clone();
    for name in ["schemas", "DoNotEmail"] {
        fields.remove(name);
    }
    Value::Object(fields)
}

/// What Muster shows of the user in the same API, without what the server assigns.
fn expected(dialect: Dialect, user: &User, shown: &Value) -> Value {
    let mut fields: Map<String, Value> = shown.as_object().expect("a user").clone();
    let id = Value::from(user.id.to_string());
    if dialect == Dialect::Scim {
        for name in ["schemas", "id", "meta", "groups"] {
            fields.remove(name);
        }
        fields.insert("externalId".into(), id);
        let extension = "urn:muster:params:scim:schemas:extension:2.0:User";
        if let Some(own) = fields.get_mut(extension).and_then(Value::as_object_mut) {
            for name in ["folders", "invited", "lastActivity"] {
                own.remove(name);
            }
            if own.is_empty() {
                fields.remove(extension);
            }
        }
        return Value::Object(fields);
    }
    if dialect == Dialect::Ccs {
        // Numbers of departments are the target's.
        for name in ["id", "departmentId"] {
            fields.remove(name);
        }
        fields.retain(|_, value| !value.is_null());
        for (name, max) in [("title", 10), ("phone", 20)] {
            if let Some(text) = fields.get(name).and_then(Value::as_str) {
                let text: String = text.chars().take(max).collect();
                fields.insert(name.into(), text.into());
            }
        }
        fields.insert("roleId".into(), 2.into());
        if shown["firstName"].is_null() {
            fields.insert("firstName".into(), "x".into());
        }
        return Value::Object(fields);
    }
    if dialect == Dialect::Publisher {
        for name in ["id", "invited", "lastlogin", "created", "updated"] {
            fields.remove(name);
        }
        // The numbers of organizations and of their addresses are the target's.
        if let Some(organization) = fields.get_mut("organisation").and_then(Value::as_object_mut) {
            organization.retain(|name, _| name == "orgname");
        }
        fields.insert("externalid".into(), id);
        fields.insert("status".into(), "active".into());
        return Value::Object(fields);
    }
    for name in [
        "Id",
        "CompanyId",
        "ProviderId",
        "UserID",
        "CreatedDate",
        "LastUpdated",
        "LastActivity",
        "UserDevices",
        "Groups",
        "Folders",
    ] {
        fields.remove(name);
    }
    fields.insert("ExternalId".into(), id);
    // A new account is invited, whatever the user is here.
    fields.insert("Status".into(), "Invited".into());
    // The license that is shown for users without one.
    if user.license.is_none() {
        fields.remove("Type");
    }
    Value::Object(fields)
}
