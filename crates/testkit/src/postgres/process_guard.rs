//! Runs one server in a temporary folder and removes both however the test ends: a shell owns the server, and this
//! process holds the shell's standard input. When that closes, the shell stops the server and deletes the folder.

use parking_lot::Mutex;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const SCRIPT: &str = include_str!("process_guard.sh");

/// The time limit for a server to start.
pub(super) const STARTUP_TIMEOUT: Duration = Duration::from_mins(1);

pub(super) struct ProcessGuard {
    folder: PathBuf,
    shell: Mutex<Shell>,
}

struct Shell {
    child: Child,
    /// `None` after it was closed.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl ProcessGuard {
    pub(super) fn new() -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT]).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped());
        // The shell must not keep the test's stderr open. Ctrl-C reaches only the test, whose end stops the shell.
        command.stderr(Stdio::null()).process_group(0);
        if id_command(&["-u"]) == Some(0) {
            // PostgreSQL and PgBouncer refuse to run as root.
            let ids = (id_command(&["-u", "postgres"]), id_command(&["-g", "postgres"]));
            let (Some(user), Some(group)) = ids else { panic!("the user postgres does not exist") };
            command.uid(user).gid(group);
        }
        let mut child = command.spawn().expect("a shell");
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let folder = PathBuf::from(read_line(&mut output));
        assert!(folder.is_dir(), "a folder for the server: {}", folder.display());
        Self { folder, shell: Mutex::new(Shell { child, input, output }) }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes a file readable only by the user that the server runs as.
    pub(super) fn give_to_server_user(&self, file: &Path) {
        std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("set");
        let owner = std::fs::metadata(&self.folder).expect("a folder");
        let (user, group) = (std::os::unix::fs::MetadataExt::uid(&owner), std::os::unix::fs::MetadataExt::gid(&owner));
        std::os::unix::fs::chown(file, Some(user), Some(group)).expect("given");
    }

    /// The output of the server and of commands.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Runs a command in the folder, as the user that the server runs as.
    pub(super) fn run(&self, program: &Path, arguments: &[&str]) {
        let is_done = self.send_command(&format!("run {}", shell_command(program, arguments)));
        assert!(is_done, "{} failed: {}", program.display(), self.log());
    }

    /// Starts the server and waits until `answers` returns true. Returns false if the server exits before.
    pub(super) fn start(&self, program: &Path, arguments: &[&str], answers: impl Fn() -> bool) -> bool {
        self.send_command(&format!("start {}", shell_command(program, arguments)));
        let begun = Instant::now();
        while self.send_command("alive") {
            if answers() {
                return true;
            }
            assert!(begun.elapsed() < STARTUP_TIMEOUT, "{} does not start: {}", program.display(), self.log());
        }
        false
    }

    /// Sends the server a signal and waits until it has exited.
    pub(super) fn stop(&self, signal: &str) {
        self.send_command(&format!("stop {signal}"));
    }

    /// Sends a signal to the server and then to all its children.
    pub(super) fn signal(&self, name: &str) {
        assert!(self.send_command(&format!("signal {name}")), "sending SIG{name} failed");
    }

    /// Kills the server and all its children with SIGKILL.
    pub(super) fn kill_all(&self) {
        assert!(self.send_command("cut"), "killing the server failed");
    }

    fn send_command(&self, words: &str) -> bool {
        let mut shell = self.shell.lock();
        let input = shell.input.as_mut().expect("open until the end");
        // One write, so that the shell never reads an incomplete command.
        input.write_all(format!("{words}\n").as_bytes()).expect("the shell runs");
        read_line(&mut shell.output) == "0"
    }
}

impl Drop for ProcessGuard {
    fn drop(&mut self) {
        let shell = self.shell.get_mut();
        shell.input = None;
        drop(shell.child.wait());
    }
}

fn read_line(output: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    output.read_line(&mut line).expect("the shell answers");
    line.trim_end().to_owned()
}

/// A command line with shell quoting.
fn shell_command(program: &Path, arguments: &[&str]) -> String {
    let program = program.to_str().expect("a path in UTF-8");
    let mut text = String::new();
    for word in [program].iter().chain(arguments) {
        text.push_str(&format!("'{}' ", word.replace('\'', r"'\''")));
    }
    text
}

fn id_command(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// Returns a free port below the ephemeral range: a stopped server must find its port free again, and a client that connects
/// meanwhile must not be assigned that port as its own and so connect to itself.
pub fn free_port() -> u16 {
    let chance = RandomState::new();
    let ports = (0_u32..).map(|n| 12_000 + u16::try_from(chance.hash_one(n) % 20_000).expect("small"));
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.take(1000).find(is_free).expect("a free port")
}
