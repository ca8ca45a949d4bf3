//! Runs the program as a process that may fail: commands, and a server that may not start.

use super::injection::{Injection, Sandbox};
use super::search::Findings;
use crate::support::{HttpResponse, terminate, try_send};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use testkit::waiting::wait_for;

/// The result of a command.
pub(super) struct CommandRun {
    /// `None` if a signal ended the command.
    pub(super) code: Option<i32>,
    pub(super) output_json: Value,
    /// The output, shortened.
    pub(super) text: String,
}

impl Sandbox {
    /// Runs a command on a store to its end.
    pub(super) fn run(&self, injected: Injection, store: &str, arguments: &[&str]) -> CommandRun {
        self.run_with(injected, store, arguments, (Stdio::null(), Stdio::piped()))
    }

    /// Like [`run`](Self::run), with other input and output.
    pub(super) fn run_with(
        &self,
        injected: Injection,
        store: &str,
        arguments: &[&str],
        (input, output): (Stdio, Stdio),
    ) -> CommandRun {
        let mut command = self.program(injected);
        command.args(["--json", "--store", store]).args(arguments).stdin(input).stdout(output);
        let output = command.stderr(Stdio::piped()).spawn().expect("started").wait_with_output().expect("ended");
        let text = String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned();
        let said = serde_json::from_slice(&output.stdout).unwrap_or_default();
        CommandRun { code: output.status.code(), output_json: said, text: shorten(&text) }
    }

    /// Checks a store with `muster check` and `muster audit verify`.
    pub(super) fn check_store(&self, store: &str, findings: &mut Findings) {
        let ran = self.run(Injection::Nothing, store, &["check"]);
        let is_sound = ran.code == Some(0) && ran.output_json["sound"] == true;
        findings.check(is_sound, "`muster check` finds damage", || ran.text.clone());
        let ran = self.run(Injection::Nothing, store, &["audit", "verify"]);
        let is_whole = ran.code == Some(0) && ran.output_json["whole"] == true;
        findings.check(is_whole, "`muster audit verify` finds a gap", || ran.text.clone());
    }

    /// Runs a command without faults, which must succeed; returns its JSON output.
    pub(super) fn json(&self, store: &str, arguments: &[&str]) -> Value {
        let ran = self.run(Injection::Nothing, store, arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.text);
        ran.output_json
    }

    /// Checks that a failed start has an exit code and a message.
    pub(super) fn check_failed_start(&self, status: ExitStatus, findings: &mut Findings) {
        let is_right = status.code().is_some_and(|code| code != 0) && self.has_failed();
        let complaints = || format!("{status}; {}", self.warnings());
        findings.check(is_right, "a failed start has no error exit code", complaints);
        findings.check(self.has_logged_io_error(), "a failed start has no clear message", complaints);
    }

    /// Stops a server and checks its exit.
    pub(super) fn check_stop(&self, server: RunningServer, findings: &mut Findings) {
        let status = server.stop();
        let complaints = || format!("{status}; {}", self.warnings());
        findings.check(status.code().is_some(), "the server was ended by a signal", complaints);
        let is_clear = status.success() || self.has_logged_io_error();
        findings.check(is_clear, "the server exits with an error and logs no reason", complaints);
        findings.check(!self.log().contains("panicked"), "the server panicked", complaints);
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.outside_path("log")).unwrap_or_default()
    }

    /// The last warnings and errors in the server's log.
    pub(super) fn warnings(&self) -> String {
        let log = self.log();
        let is_news = |line: &&str| !line.contains(" INFO ");
        let lines: Vec<&str> = log.lines().filter(is_news).collect();
        shorten(&lines[lines.len().saturating_sub(3)..].join(" | "))
    }

    /// Whether the server has logged an I/O error.
    pub(super) fn has_logged_io_error(&self) -> bool {
        let log = self.log().to_lowercase();
        ["i/o error", "input/output error", "no space left", "disk is full", "unable to open"]
            .iter()
            .any(|words| log.contains(words))
    }
}

/// The start of a text, on one line.
fn shorten(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(700).collect()
}

/// A running server. It is killed when dropped.
pub(super) struct RunningServer {
    child: Child,
    address: String,
    admin: String,
}

impl RunningServer {
    /// Starts a server with mails and imports in the sandbox; returns the exit status if it does not start.
    pub(super) fn start(sandbox: &Sandbox, injected: Injection) -> Result<Self, ExitStatus> {
        let log = File::options().create(true).append(true).open(sandbox.outside_path("log")).expect("a log");
        let mut command = sandbox.program(injected);
        command.args([
            "serve",
            "--json",
            "--store",
            &sandbox.store(),
            "--mail-retry-delay",
            "1",
            "--response-timeout",
            "10",
        ]);
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.args(["--mail-spool-dir", &sandbox.path("mail"), "--imports-dir", &sandbox.path("imports")]);
        let mut note = log.try_clone().expect("a log");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("output")).read_line(&mut line).expect("read");
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        let at = |name: &str| said[name].as_str().unwrap_or_default().replace("http://", "");
        // A start error is also a JSON document.
        if at("listening").is_empty() {
            note.write_all(line.as_bytes()).expect("written");
            return Err(child.wait().expect("ended"));
        }
        Ok(Self { child, address: at("listening"), admin: at("admin") })
    }

    /// Sends a request. `None` without a complete response.
    pub(super) fn send_request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<HttpResponse> {
        let reply = try_send(&self.address, method, target, headers, body)?;
        let length = reply.header("Content-Length").map_or(0, |text| text.parse().expect("a number"));
        (reply.body.len() >= length).then_some(reply)
    }

    /// The status and body of `/readyz`; 0 if that takes longer than five seconds.
    pub(super) fn readiness(&self) -> (u16, String) {
        let begun = Instant::now();
        let Some(reply) = try_send(&self.admin, "GET", "/readyz", &[], b"") else {
            return (0, String::new());
        };
        let is_timely = begun.elapsed() < Duration::from_secs(5);
        (if is_timely { reply.status } else { 0 }, reply.body)
    }

    /// Waits for the server to be ready; returns whether it is.
    pub(super) fn wait_until_ready(&self, time: Duration) -> bool {
        let begun = Instant::now();
        loop {
            if self.readiness().0 == 200 {
                return true;
            }
            if begun.elapsed() > time {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a status").is_some()
    }

    /// Kills the process.
    pub(super) fn kill(self) {
        drop(self);
    }

    /// Stops the server and waits for its exit.
    pub(super) fn stop(mut self) -> ExitStatus {
        if !self.has_ended() {
            terminate(self.child.id());
        }
        wait_for("the server to stop", || self.child.try_wait().expect("a status"))
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
