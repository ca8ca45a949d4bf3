//! A server uses no huge pages, which would take memory.

use crate::support::Server;

#[cfg(target_os = "linux")]
#[test]
fn a_server_uses_no_huge_pages() {
    let server = Server::start(&[]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("readable");
    let allowed: Vec<&str> = status.lines().filter(|line| line.starts_with("THP_enabled:")).collect();
    assert_eq!(allowed, ["THP_enabled:\t0"]);
}
