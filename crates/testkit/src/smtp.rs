//! An SMTP (RFC 5321) mail server for tests on a loopback port. It stores accepted messages, fails on demand, and is
//! strict, so that protocol violations of the mailer are found here and not by a foreign server.

mod mime;
mod received_mail;
mod session;

pub use received_mail::ReceivedMail;

use crate::postgres::free_port;
use parking_lot::{Condvar, Mutex, MutexGuard};
use session::Session;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The point of a session at which a fault is injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// On connection.
    Greeting,
    MailFrom,
    /// After each `RCPT TO`.
    RcptTo,
    /// After the `DATA` command.
    Data,
    /// Within the message: after its third line, or at its end if it is shorter.
    Body,
    /// After the final dot, when the client waits for the reply.
    EndOfData,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behavior {
    Accept,
    /// Rejects temporarily. In the greeting and within a message, this also ends the session.
    Reject4xx {
        at: Stage,
    },
    /// Rejects permanently. Within a message, this also ends the session.
    Reject5xx {
        at: Stage,
    },
    /// Sends no reply until the client disconnects. The current message is discarded.
    Hang {
        at: Stage,
    },
    /// Closes the connection without a reply. The current message is discarded.
    Disconnect {
        at: Stage,
    },
    /// Stores the message and closes the connection without a reply.
    DisconnectAfterAccept,
}

/// A mail server on a free loopback port. It stops when dropped.
pub struct SmtpServer {
    shared: Arc<Shared>,
    port: u16,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// `None` refuses connections.
    listener: Option<TcpListener>,
    /// The connections of this generation.
    streams: Vec<Weak<TcpStream>>,
    /// Incremented when the server stops listening. Sessions of earlier generations are closed and store no messages.
    generation: u64,
    is_ended: bool,
    behavior: Behavior,
    /// Overrides `behavior` for the next sessions, one entry each.
    queued_behaviors: VecDeque<Behavior>,
    unknown_recipients: Vec<String>,
    sessions: usize,
    mails: Vec<ReceivedMail>,
}

impl SmtpServer {
    /// Listens and accepts all messages.
    pub fn start() -> Self {
        // Retry: another process may take a free port first.
        let taken = (0..5).map(|_| free_port()).find_map(|port| Some((port, listen(port).ok()?)));
        let (port, listener) = taken.expect("a free port");
        let state = State {
            listener: Some(listener),
            streams: Vec::new(),
            generation: 0,
            is_ended: false,
            behavior: Behavior::Accept,
            queued_behaviors: VecDeque::new(),
            unknown_recipients: Vec::new(),
            sessions: 0,
            mails: Vec::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accepting.accept());
        Self { shared, port }
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The address in the form that the settings expect.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address())
    }

    /// Closes all sessions and refuses connections. No message is stored after this returns.
    pub fn stop_listening(&self) {
        self.shared.state().stop();
    }

    /// Listens again on the same port.
    pub fn resume_listening(&self) {
        let mut state = self.shared.state();
        if state.listener.is_none() {
            state.listener = listen(self.port).ok();
        }
        let is_back = state.listener.is_some();
        // Release the lock before the assertion: `Drop` locks again, and a second panic would abort.
        drop(state);
        assert!(is_back, "port {} is in use by another process", self.port);
    }

    /// Sets the behavior of all sessions, including open ones, and clears the queue.
    pub fn set_behavior(&self, behavior: Behavior) {
        let mut state = self.shared.state();
        state.behavior = behavior;
        state.queued_behaviors.clear();
    }

    /// Queues the behavior of the next `sessions` sessions. Later sessions use [`set_behavior`](Self::set_behavior).
    pub fn queue_behavior(&self, sessions: usize, behavior: Behavior) {
        self.shared.state().queued_behaviors.extend(std::iter::repeat_n(behavior, sessions));
    }

    /// Answers `RCPT TO` for this address with 550 from now on.
    pub fn reject_recipient(&self, address: &str) {
        self.shared.state().unknown_recipients.push(address.to_owned());
    }

    /// The number of connections accepted so far.
    pub fn session_count(&self) -> usize {
        self.shared.state().sessions
    }

    /// All accepted messages, oldest first.
    pub fn mails(&self) -> Vec<ReceivedMail> {
        self.shared.state().mails.clone()
    }

    /// Blocks until `count` messages were accepted and returns all of them.
    ///
    /// # Panics
    /// If fewer messages arrive within `time`.
    pub fn wait_for_mails(&self, count: usize, time: Duration) -> Vec<ReceivedMail> {
        let mut state = self.shared.state();
        self.shared.changed.wait_while_for(&mut state, |state| state.mails.len() < count, time);
        let (mails, sessions) = (state.mails.clone(), state.sessions);
        drop(state);
        assert!(
            mails.len() >= count,
            "{} of {count} mails arrived within {time:?}, in {sessions} sessions: {mails:#?}",
            mails.len()
        );
        mails
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.is_ended = true;
        state.stop();
    }
}

impl State {
    fn stop(&mut self) {
        self.listener = None;
        self.generation += 1;
        for stream in self.streams.drain(..).filter_map(|stream| stream.upgrade()) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn is_unknown_recipient(&self, address: &str) -> bool {
        self.state().unknown_recipients.iter().any(|unknown| unknown.eq_ignore_ascii_case(address))
    }

    /// Stores a message; returns false if the session belongs to an earlier generation.
    fn store_mail(&self, era: u64, mail: ReceivedMail) -> bool {
        let mut state = self.state();
        let is_taken = state.generation == era;
        if is_taken {
            state.mails.push(mail);
            self.changed.notify_all();
        }
        is_taken
    }

    fn accept(self: Arc<Self>) {
        loop {
            let mut state = self.state();
            if state.is_ended {
                return;
            }
            let accepted = state.listener.as_ref().and_then(|listener| listener.accept().ok());
            let Some((stream, _)) = accepted else {
                drop(state);
                std::thread::sleep(Duration::from_millis(2));
                continue;
            };
            let stream = Arc::new(stream);
            state.sessions += 1;
            state.streams.retain(|stream| stream.strong_count() > 0);
            state.streams.push(Arc::downgrade(&stream));
            let (era, behavior) = (state.generation, state.queued_behaviors.pop_front());
            drop(state);
            let shared = Arc::clone(&self);
            std::thread::spawn(move || drop(Session::run(&shared, &stream, era, behavior)));
        }
    }
}

/// Nonblocking, so that the listener can be closed at any time.
fn listen(port: u16) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
