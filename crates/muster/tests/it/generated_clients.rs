//! Clients and requests that third-party programs generate from `/openapi.json`.

use crate::client_packages;
use crate::clients::{npm_client, python_command, run_ok};
use crate::support::{Server, repo_root, send};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A server whose only tenant has a connection for all dialects.
struct Fixture {
    server: Server,
    client: Value,
}

impl Fixture {
    fn new(flags: &[&str]) -> Self {
        let server = Server::start(flags);
        server.run_json(&["tenant", "add", "Acme"]);
        let dialects = ["--dialect", "all", "--dialect", "transfer", "--dialect", "sign-in"];
        let add = ["connection", "add", "main", "--tenant", "1", "--highest-role", "SuperAdmin"];
        let client = server.run_json(&[&add[..], &dialects].concat());
        Self { server, client }
    }

    fn client_value(&self, name: &str) -> &str {
        self.client[name].as_str().expect("a text")
    }

    fn send_request(&self, method: &str, target: &str, media: &str, body: &str) -> Value {
        let bearer = format!("Bearer {}", self.client_value("key"));
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", media)];
        let reply = send(&self.server.address, method, target, &headers, body.as_bytes());
        assert!((200..300).contains(&reply.status), "{method} {target}: {} {}", reply.status, reply.body);
        serde_json::from_str(&reply.body).expect("JSON")
    }

    /// Writes the OpenAPI document to a folder.
    fn write_document(&self, folder: &Path) -> PathBuf {
        let path = folder.join("openapi.json");
        let document = self.send_request("GET", "/openapi.json", "application/json", "");
        std::fs::write(&path, document.to_string()).expect("written");
        path
    }

    /// Sets environment variables with the server's address and key.
    fn configured<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("MUSTER_URL", format!("http://{}", self.server.address))
            .env("MUSTER_COMPANY", "1")
            .env("MUSTER_KEY", self.client_value("key"))
            .env("MUSTER_CLIENT_ID", self.client_value("id"))
    }
}

#[test]
fn a_python_client_is_generated_type_checked_and_works() {
    let world = Fixture::new(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let document = world.write_document(folder.path());
    let (packages, client) = (client_packages::pypi("openapi-python"), folder.path().join("muster_client"));
    let programs = packages.join("bin");
    let path = std::env::var("PATH").unwrap_or_default();
    run_ok(
        python_command(&[&packages], &programs.join("openapi-python-client"))
            .args(["generate", "--meta", "none", "--path"])
            .arg(document)
            .arg("--output-path")
            .arg(&client)
            // The generator formats its output with ruff.
            .env("PATH", format!("{}:{path}", programs.display())),
    );
    let sources = repo_root().join("clients/openapi-python");
    let test = folder.path().join("test.py");
    std::fs::copy(sources.join("test.py"), &test).expect("copied");
    // mypy does not accept a folder that contains mypy itself.
    let typed = folder.path().join("typed");
    std::fs::create_dir(&typed).expect("a folder");
    for package in ["attr", "attrs", "httpx"] {
        std::os::unix::fs::symlink(packages.join(package), typed.join(package)).expect("linked");
    }
    let checked = run_ok(
        python_command(&[&packages], &programs.join("mypy"))
            .args(["--cache-dir", "/dev/null", "--config-file"])
            .arg(sources.join("mypy.ini").canonicalize().expect("a file"))
            .args([&client, &test])
            .env("MYPYPATH", &typed)
            .current_dir(folder.path()),
    );
    assert!(checked.contains("Success: no issues found in"), "{checked}");
    let said = run_ok(world.configured(&mut python_command(&[&packages, folder.path()], &test)));
    assert!(said.contains("6 passed, 0 failed"), "{said}");
}

#[test]
fn a_typescript_client_is_generated_type_checked_and_works() {
    let world = Fixture::new(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    npm_client("openapi-ts", folder.path());
    world.write_document(folder.path());
    let program = |name: &str| {
        let mut command = Command::new(folder.path().join("node_modules/.bin").join(name));
        command.current_dir(folder.path());
        command
    };
    run_ok(&mut program("openapi-ts"));
    run_ok(program("tsc").args(["--project", "."]));
    let said = run_ok(world.configured(Command::new("node").arg("dist/test.js").current_dir(folder.path())));
    assert!(said.contains("7 passed, 0 failed"), "{said}");
}

/// About 23,000 requests, the same in every run: no server error, no undocumented status, media type or schema, and no
/// success without a valid key. `clients/schemathesis/schemathesis.toml` lists the disabled checks and the reasons.
#[test]
fn schemathesis_finds_no_difference_from_the_document() {
    // The limit would slow down requests after invalid keys.
    let world = Fixture::new(&["--invalid-keys-per-minute", "1000000"]);
    let scim = "application/scim+json";
    let user = r#"{"userName":"ada@example.com","name":{"givenName":"Ada","familyName":"Lovelace"}}"#;
    let user = world.send_request("POST", "/scim/v2/Users", scim, user);
    let group = world.send_request("POST", "/scim/v2/Groups", scim, r#"{"displayName":"Analysts"}"#);
    world.send_request(
        "POST",
        "/api/2/organisations",
        "application/json",
        r#"{"organisation":{"name":"Engine Works"}}"#,
    );
    let import = world.send_request("POST", "/v1/imports", "text/csv", "email,role\nx@example.com,nonsense\n");
    let packages = client_packages::pypi("schemathesis");
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = python_command(&[&packages], &packages.join("bin/st"));
    command
        .arg("--config-file")
        .arg(repo_root().join("clients/schemathesis/schemathesis.toml").canonicalize().expect("a file"))
        .args(["run", "--no-color", &format!("http://{}/openapi.json", world.server.address)])
        .current_dir(folder.path());
    for (name, resource) in [("MUSTER_USER_ID", &user), ("MUSTER_GROUP_ID", &group), ("MUSTER_IMPORT_ID", &import)] {
        command.env(name, resource["id"].as_str().expect("an id"));
    }
    let said = run_ok(world.configured(&mut command));
    let tested = said.lines().find_map(|line| line.trim().strip_prefix("Tested: ")?.parse::<u32>().ok());
    assert!(tested.is_some_and(|tested| tested > 140), "too few operations tested\n{said}");
}
