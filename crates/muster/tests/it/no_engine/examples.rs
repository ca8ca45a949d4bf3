//! Every operation of the OpenAPI document has an example that succeeds when it is sent.

use crate::example_requests::{Example, Resource, create_resources, enable_every_dialect};
use crate::support::{TestApp, runtime};
use directory::{Caller, FieldUpdate, RequestedStatus, UserKey};
use serde_json::Value;
use std::path::Path;

/// A tenant with a connection for all dialects.
struct Fixture {
    app: TestApp,
    caller: Caller,
    key: String,
}

impl Fixture {
    async fn new(imports: &Path) -> Self {
        let test_app = TestApp::in_memory_with_imports(imports);
        let caller = test_app.create_tenant("Acme").await;
        let key = test_app.create_key(&caller, "all", enable_every_dialect).await;
        Self { app: test_app, caller, key }
    }

    async fn send_ok(&self, example: &Example) -> String {
        let (status, body) = example.send(&self.app, Some(&self.key)).await;
        assert!((200..300).contains(&status), "{}: {status} {body}", example.target);
        body
    }
}

/// Sends the example of one operation to a new tenant with the resources that examples name, except `omitted`; returns
/// the status and the body.
async fn send(document: &Value, method: &str, path: &str, omitted: Option<Resource>) -> (u16, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut world = Fixture::new(folder.path()).await;
    let resources = Resource::ALL.into_iter().filter(|resource| Some(*resource) != omitted);
    // Only users who have never signed in can be invited.
    let is_invitation = path.ends_with("/invite");
    let status = if is_invitation { FieldUpdate::Keep } else { FieldUpdate::Set(RequestedStatus::Active) };
    create_resources(&world.app, &world.caller, resources, "", status).await;
    let mut example = Example::of(document, method, path);
    if path.starts_with("/v1/imports/{id}") {
        let import = world.send_ok(&Example::of(document, "post", "/v1/imports")).await;
        let import: Value = serde_json::from_str(&import).expect("JSON");
        let known = example.target.split('/').nth(3).expect("an id").split('?').next().expect("an id").to_owned();
        example.target = example.target.replace(&known, import["id"].as_str().expect("an id"));
    }
    if path.ends_with("/reinstate") {
        let mut change = Example::of(document, "put", "/api/2/users/{user}");
        change.body["user"]["status"] = "suspended".into();
        world.send_ok(&change).await;
    }
    if path.ends_with("oauth2/token") {
        let connections = world.app.directory().connections(&world.caller).await.expect("read");
        example.body["client_id"] = connections[0].id.to_string().into();
        example.body["client_secret"] = world.key.clone().into();
        return example.send(&world.app, None).await;
    }
    if path.ends_with("/Me") {
        world.key = world
            .app
            .create_key(&world.caller, "own", |connection| {
                enable_every_dialect(connection);
                connection.user = Some(UserKey::Number(1));
            })
            .await;
    }
    example.send(&world.app, Some(&world.key)).await
}

#[test]
fn every_example_succeeds() {
    let document = dialects::openapi("test");
    let (mut sent, mut failures) = (0, Vec::new());
    runtime().block_on(async {
        for (path, operations) in document["paths"].as_object().expect("paths") {
            for method in operations.as_object().expect("operations").keys() {
                let (mut status, mut body) = send(&document, method, path, None).await;
                // An operation that creates a resource needs a tenant that does not have it.
                for omitted in Resource::ALL {
                    if status >= 400 && method == "post" {
                        (status, body) = send(&document, method, path, Some(omitted)).await;
                    }
                }
                // Organization groups do not exist, and imports are not executed here.
                let is_missing = path.contains("organisationgroups/{") || path.ends_with("/refused");
                let wanted = if is_missing { 404..405 } else { 200..300 };
                if !wanted.contains(&status) {
                    failures.push(format!("{method} {path}: {status} {body}"));
                }
                sent += 1;
            }
        }
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(sent > 140, "only {sent} operations");
}
