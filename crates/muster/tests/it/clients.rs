//! Third-party clients from npm and `PyPI`, and the curl commands that `muster demo` prints.

use crate::client_packages;
use crate::support::{HttpResponse, MUSTER, Server, repo_root};
use crate::transcripts::{compare, parse, substitute, transcripts_of};
use dialects::{CurlTarget, USER_APIS};
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) fn run_ok(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{text}");
    text
}

/// Copies a client to `folder` and links its npm packages.
pub(crate) fn npm_client(client: &str, folder: &Path) {
    for file in std::fs::read_dir(repo_root().join("clients").join(client)).expect("clients") {
        let file = file.expect("a file");
        if file.path().is_file() {
            std::fs::copy(file.path(), folder.join(file.file_name())).expect("copied");
        }
    }
    std::os::unix::fs::symlink(client_packages::npm(client), folder.join("node_modules")).expect("linked");
}

#[test]
fn the_servicestack_client_of_npm_works() {
    let server = Server::start(&[]);
    let (tenant, key) = server.create_tenant(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    npm_client("servicestack-js", folder.path());
    let said = run_ok(
        Command::new("node")
            .arg("test.mjs")
            .current_dir(folder.path())
            .env("MUSTER_URL", format!("http://{}", server.address))
            .env("MUSTER_COMPANY", tenant.to_string())
            .env("MUSTER_KEY", key),
    );
    assert!(said.contains("0 failed"), "{said}");
}

/// Runs a script with only the packages in these folders. As in a virtual environment, they come after the standard
/// library, because one of them (`dataclasses`) would otherwise shadow a standard module.
pub(crate) fn python_command(packages: &[&Path], script: &Path) -> Command {
    let start = "import os, runpy, sys; sys.path.extend(sys.argv[1].split(os.pathsep)); sys.argv = sys.argv[2:]; \
                 runpy.run_path(sys.argv[0], run_name='__main__')";
    let mut command = Command::new("python3");
    let packages = std::env::join_paths(packages).expect("folders");
    // Isolated (-I), without site-packages (-S), and without writing bytecode to the shared folder (-B).
    command.args(["-I", "-S", "-B", "-c", start]).arg(packages).arg(script);
    command
}

/// The SCIM conformance suite: over 150 checks, all successful.
#[test]
fn scim2_tester_finds_no_failure_and_no_error() {
    let server = Server::start(&[]);
    let (_, key) = server.create_tenant(&[]);
    let script = repo_root().join("clients/scim2-py/test.py");
    let said = run_ok(
        python_command(&[&client_packages::pypi("scim2-py")], &script)
            .args(["--url", &format!("http://{}/scim/v2", server.address), "test"])
            .env("SCIM_CLI_HEADERS", format!("Authorization: Bearer {key}")),
    );
    let count = |word: &str| said.lines().filter(|line| line.starts_with(word)).count();
    let (successes, others) = (count("SUCCESS"), count("ERROR") + count("FAILURE") + count("CRITICAL"));
    assert!(successes >= 150 && others == 0, "{successes} successes, {others} others\n{said}");
    assert_eq!(count("SKIPPED"), 0, "no check is skipped\n{said}");
}

#[test]
fn the_servicestack_client_of_pypi_works() {
    let server = Server::start(&[]);
    let (tenant, key) = server.create_tenant(&[]);
    let script = repo_root().join("clients/servicestack-py/test.py");
    let said = run_ok(
        python_command(&[&client_packages::pypi("servicestack-py")], &script)
            .env("MUSTER_URL", format!("http://{}", server.address))
            .env("MUSTER_COMPANY", tenant.to_string())
            .env("MUSTER_KEY", key),
    );
    assert!(said.contains("0 failed"), "{said}");
}

/// Sends the documented samples with curl; the transcript test sends the same files over a socket.
#[test]
fn curl_can_send_the_documented_samples() {
    let server = Server::start(&[]);
    let mut sent = 0;
    for name in ["onfire", "ccs", "publisher"] {
        let (tenant, key) = server.create_tenant(&["--highest-role", "SuperAdmin"]);
        let mut known = HashMap::from([("company".to_owned(), tenant.to_string()), ("key".to_owned(), key)]);
        let text = std::fs::read_to_string(transcripts_of(name).join("seeds.http")).expect("samples");
        for exchange in parse(&text) {
            let path = exchange.target.replace("http://example.com", "");
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--include", "--request", &exchange.method]);
            // Remove curl's default headers: the samples contain all headers.
            curl.args(["--header", "Host: example.com", "--header", "Accept:"]);
            if !exchange.headers.iter().any(|(header, _)| header == "Content-Type") {
                curl.args(["--header", "Content-Type:"]);
            }
            for (header, value) in &exchange.headers {
                curl.args(["--header", &format!("{header}: {}", substitute(value, &known))]);
            }
            if !exchange.body.is_empty() {
                curl.args(["--data-binary", &substitute(&exchange.body, &known)]);
            }
            let said = run_ok(curl.arg(format!("http://{}{}", server.address, substitute(&path, &known))));
            let compared = compare(&exchange, &HttpResponse::parse(said.as_bytes()), &mut known);
            assert_eq!(compared, Ok(()), "{name}: {}", exchange.title);
            sent += 1;
        }
    }
    assert!(sent > 10, "only {sent} samples found");
}

#[test]
fn the_demo_curl_commands_work() {
    let mut demo =
        Command::new(MUSTER).args(["demo", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().expect("started");
    let mut lines = BufReader::new(demo.stdout.take().expect("output")).lines();
    let mut printed = Vec::new();
    for line in lines.by_ref() {
        let line = line.expect("a line");
        let is_last = line.contains("Ctrl-C");
        printed.push(line);
        if is_last {
            break;
        }
    }
    let curls: Vec<&String> = printed.iter().filter(|line| line.starts_with("  curl ")).collect();
    let target = CurlTarget { url: "", tenant: 1, key: "", email: "" };
    let expected = USER_APIS.iter().map(|dialect| (dialect.curl_examples)(&target).len()).sum::<usize>();
    assert_eq!(curls.len(), expected, "{printed:?}");
    for line in curls {
        let said = run_ok(Command::new("sh").args(["-c", &format!("{} --silent --fail-with-body", line.trim())]));
        assert!(said.contains("example.com") || said.contains("<Status>Invited</Status>"), "{line}\n{said}");
    }
    crate::support::terminate(demo.id());
    assert!(demo.wait().expect("ended").success());
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("store was deleted"))));
}
