//! A proxy between a PostgreSQL client and its server that loses, delays and refuses commits on purpose: what a network
//! and a busy server do rarely, and a test must see often. `COPY` and encryption it does not understand.

mod line;
mod wire;

use crate::postgres::free_port;
use line::Line;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// What to do with a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meddling {
    /// Nothing.
    Pass,
    /// The server rolls back, and the client is told SQLSTATE 40001.
    SerializationFailure,
    /// The server rolls back, and the client is told SQLSTATE 40P01.
    Deadlock,
    /// Both sides are cut before the server has seen it.
    CutBefore,
    /// Both sides are cut when the server has committed, and before the client hears of it.
    CutAfter,
    /// The client is cut at once, and the server gets the commit only this much later, when the client may already be
    /// trying again.
    CutThenCommit(Duration),
    /// The answer is late by this much.
    Delay(Duration),
}

impl Meddling {
    /// Its name in counts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "passed",
            Self::SerializationFailure => "serialization failure",
            Self::Deadlock => "deadlock",
            Self::CutBefore => "cut before",
            Self::CutAfter => "cut after",
            Self::CutThenCommit(_) => "cut, then commit",
            Self::Delay(_) => "delayed",
        }
    }
}

/// A proxy on a free loopback port. It ends when it is dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    port: u16,
}

struct Shared {
    server: String,
    choose: Box<dyn Fn(u64) -> Meddling + Send + Sync>,
    commits: AtomicU64,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    mode: Mode,
    /// `None` refuses connections as if nobody was there.
    listener: Option<TcpListener>,
    lines: Vec<Weak<Line>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    Hung,
    Cut,
    Ended,
}

impl Proxy {
    /// Listens in front of `server`, a host and port. `choose` is asked about each commit seen, counted from 0 over all
    /// connections.
    pub fn start(server: &str, choose: impl Fn(u64) -> Meddling + Send + Sync + 'static) -> Self {
        let port = free_port();
        let state = State { mode: Mode::Open, listener: Some(listen(port)), lines: Vec::new() };
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            choose: Box::new(choose),
            commits: AtomicU64::new(0),
            counts: Mutex::default(),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accepting.accept());
        Self { shared, port }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A database URL of the server's, through the proxy.
    pub fn url(&self, direct: &str) -> String {
        direct.replacen(&self.shared.server, &format!("127.0.0.1:{}", self.port), 1)
    }

    /// How many commits were seen.
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::SeqCst)
    }

    /// How often each meddling was done, by its name.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.shared.counts.lock().clone()
    }

    /// Cuts all connections and refuses new ones, until [`resume`](Self::resume).
    pub fn cut_all(&self) {
        let mut state = self.shared.enter(Mode::Cut);
        state.listener = None;
        state.cut();
    }

    /// Lets nothing pass on any connection, and new ones wait without an answer, until [`resume`](Self::resume).
    pub fn hang(&self) {
        let mut state = self.shared.enter(Mode::Hung);
        state.listener.get_or_insert_with(|| listen(self.port));
    }

    /// Lets everything pass again; what was held meanwhile first.
    pub fn resume(&self) {
        let mut state = self.shared.enter(Mode::Open);
        state.listener.get_or_insert_with(|| listen(self.port));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.enter(Mode::Ended);
        state.listener = None;
        state.cut();
    }
}

impl State {
    fn cut(&self) {
        self.lines.iter().filter_map(Weak::upgrade).for_each(|line| line.cut());
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn enter(&self, mode: Mode) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.mode = mode;
        self.changed.notify_all();
        state
    }

    /// Waits while nothing may pass; an error when nothing will.
    fn gate(&self) -> std::io::Result<()> {
        let mut state = self.state();
        self.changed.wait_while(&mut state, |state| state.mode == Mode::Hung);
        if state.mode == Mode::Open { Ok(()) } else { Err(wire::cut()) }
    }

    /// What to do with the commit that was just seen.
    fn meddling(&self) -> Meddling {
        let meddling = (self.choose)(self.commits.fetch_add(1, Ordering::SeqCst));
        let mut counts = self.counts.lock();
        *counts.entry(meddling.name()).or_default() += 1;
        meddling
    }

    fn accept(self: Arc<Self>) {
        loop {
            let state = self.state();
            if state.mode == Mode::Ended {
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
        self.gate()?;
        let startup = wire::startup(&client)?;
        self.gate()?;
        let server = TcpStream::connect(&self.server)?;
        server.set_nodelay(true)?;
        let line = Arc::new(Line::new(client, server));
        let mut state = self.state();
        if matches!(state.mode, Mode::Cut | Mode::Ended) {
            return Ok(());
        }
        state.lines.retain(|line| line.strong_count() > 0);
        state.lines.push(Arc::downgrade(&line));
        drop(state);
        let (shared, other) = (Arc::clone(&self), Arc::clone(&line));
        std::thread::spawn(move || other.pump_down(&shared));
        line.pump_up(&self, &startup);
        Ok(())
    }
}

/// Listens without waiting, so that the listener can be taken away at any time.
fn listen(port: u16) -> TcpListener {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is ours");
    listener.set_nonblocking(true).expect("set");
    listener
}
