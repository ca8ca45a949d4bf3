//! Starts a server for `clients/browser`, which tests the user pages and mails in a real browser.

use crate::clients::{npm_client, run_ok};
use crate::support::{MUSTER, Server};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// A free port for the mail server of `clients/browser`, which the Muster server must know before it starts.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

#[test]
fn user_pages_and_mails_work_in_a_browser() {
    let port = free_port().to_string();
    let mails = format!("smtp://127.0.0.1:{port}");
    // Retry soon if a mail is sent before the mail server listens.
    let flags = ["--smtp-url", &mails, "--mail-from", "people@example.com", "--mail-retry-delay", "1"];
    let server = Server::start(&flags);
    let (tenant, key) = server.create_tenant(&["--highest-role", "SuperAdmin"]);
    let sign_in = server.create_connection(tenant, "app", &["--dialect", "sign-in"]);
    // Screenshots are kept for review.
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
    drop(std::fs::remove_dir_all(&pictures));
    let folder = tempfile::tempdir().expect("a folder");
    npm_client("browser", folder.path());
    println!("screenshots: {}", pictures.display());
    let said = run_ok(
        Command::new("node")
            .arg("test.mjs")
            .current_dir(folder.path())
            .env("MUSTER_URL", format!("http://{}", server.address))
            .env("MUSTER_TENANT", tenant.to_string())
            .env("MUSTER_KEY", key)
            .env("MUSTER_SIGN_IN_KEY", sign_in)
            .env("MUSTER", MUSTER)
            .env("MUSTER_STORE", server.store())
            .env("MUSTER_SMTP_PORT", port)
            .env("SCREENSHOTS", &pictures),
    );
    println!("{said}");
    assert!(said.contains(", 0 failed"), "{said}");
}
