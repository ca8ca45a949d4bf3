//! A proxy between a PostgreSQL client and its server that injects faults: it loses, delays and fails commits. It does
//! not support `COPY` and encryption.

mod connection;
mod wire;

use crate::postgres::free_port;
use connection::ProxiedConnection;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The fault injected into a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Pass,
    /// The server rolls back, and the client receives SQLSTATE 40001.
    SerializationFailure,
    /// The server rolls back, and the client receives SQLSTATE 40P01.
    Deadlock,
    /// Closes both connections before the server receives the commit.
    DisconnectBefore,
    /// Closes both connections after the server has committed, before the client receives the reply.
    DisconnectAfter,
    /// Closes the client connection at once and forwards the commit after this delay; the client may retry meanwhile.
    DisconnectThenCommit(Duration),
    /// Delays the reply.
    Delay(Duration),
}

impl Fault {
    /// The key in [`Proxy::counts`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "passed",
            Self::SerializationFailure => "serialization failure",
            Self::Deadlock => "deadlock",
            Self::DisconnectBefore => "disconnect before commit",
            Self::DisconnectAfter => "disconnect after commit",
            Self::DisconnectThenCommit(_) => "disconnect, then commit",
            Self::Delay(_) => "delayed",
        }
    }
}

/// A proxy on a free loopback port. It stops when dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    port: u16,
}

struct Shared {
    server: String,
    choose_fault: Box<dyn Fn(u64) -> Fault + Send + Sync>,
    commits: AtomicU64,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    mode: Mode,
    /// `None` refuses connections.
    listener: Option<TcpListener>,
    connections: Vec<Weak<ProxiedConnection>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    Stalled,
    Disconnected,
    Stopped,
}

impl Proxy {
    /// Listens in front of `server`, a host and port. `choose` is called with the number of each commit, counted from 0
    /// over all connections.
    pub fn start(server: &str, choose: impl Fn(u64) -> Fault + Send + Sync + 'static) -> Self {
        let port = free_port();
        let state = State { mode: Mode::Open, listener: Some(listen(port)), connections: Vec::new() };
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            choose_fault: Box::new(choose),
            commits: AtomicU64::new(0),
            counts: Mutex::default(),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accepting.accept());
        Self { shared, port }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Rewrites a database URL of the server to use the proxy.
    pub fn url(&self, direct: &str) -> String {
        direct.replacen(&self.shared.server, &format!("127.0.0.1:{}", self.port), 1)
    }

    /// The number of commits so far.
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::SeqCst)
    }

    /// The number of injections by fault name.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.shared.counts.lock().clone()
    }

    /// Closes all connections and refuses new ones until [`resume`](Self::resume).
    pub fn disconnect_all(&self) {
        let mut state = self.shared.set_mode(Mode::Disconnected);
        state.listener = None;
        state.disconnect_all();
    }

    /// Blocks all traffic, including new connections, until [`resume`](Self::resume).
    pub fn stall(&self) {
        let mut state = self.shared.set_mode(Mode::Stalled);
        state.listener.get_or_insert_with(|| listen(self.port));
    }

    /// Forwards everything again, held messages first.
    pub fn resume(&self) {
        let mut state = self.shared.set_mode(Mode::Open);
        state.listener.get_or_insert_with(|| listen(self.port));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.set_mode(Mode::Stopped);
        state.listener = None;
        state.disconnect_all();
    }
}

impl State {
    fn disconnect_all(&self) {
        self.connections.iter().filter_map(Weak::upgrade).for_each(|connection| connection.disconnect());
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn set_mode(&self, mode: Mode) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.mode = mode;
        self.changed.notify_all();
        state
    }

    /// Blocks while stalled.
    ///
    /// # Errors
    /// If the connections are closed.
    fn wait_until_open(&self) -> std::io::Result<()> {
        let mut state = self.state();
        self.changed.wait_while(&mut state, |state| state.mode == Mode::Stalled);
        if state.mode == Mode::Open { Ok(()) } else { Err(wire::connection_aborted()) }
    }

    fn next_fault(&self) -> Fault {
        let fault = (self.choose_fault)(self.commits.fetch_add(1, Ordering::SeqCst));
        let mut counts = self.counts.lock();
        *counts.entry(fault.name()).or_default() += 1;
        fault
    }

    fn accept(self: Arc<Self>) {
        loop {
            let state = self.state();
            if state.mode == Mode::Stopped {
                return;
            }
            let accepted = state.listener.as_ref().and_then(|listener| listener.accept().ok());
            drop(state);
            let Some((client, _)) = accepted else {
                std::thread::sleep(Duration::from_millis(2));
                continue;
            };
            let shared = Arc::clone(&self);
            std::thread::spawn(move || drop(shared.serve(client)));
        }
    }

    fn serve(self: Arc<Self>, client: TcpStream) -> std::io::Result<()> {
        client.set_nonblocking(false)?;
        client.set_nodelay(true)?;
        self.wait_until_open()?;
        let startup = wire::read_startup(&client)?;
        self.wait_until_open()?;
        let server = TcpStream::connect(&self.server)?;
        server.set_nodelay(true)?;
        let connection = Arc::new(ProxiedConnection::new(client, server));
        let mut state = self.state();
        if matches!(state.mode, Mode::Disconnected | Mode::Stopped) {
            return Ok(());
        }
        state.connections.retain(|connection| connection.strong_count() > 0);
        state.connections.push(Arc::downgrade(&connection));
        drop(state);
        let (shared, other) = (Arc::clone(&self), Arc::clone(&connection));
        std::thread::spawn(move || other.forward_replies(&shared));
        connection.forward_requests(&self, &startup);
        Ok(())
    }
}

/// Nonblocking, so that the listener can be closed at any time.
fn listen(port: u16) -> TcpListener {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    listener.set_nonblocking(true).expect("set");
    listener
}
