//! A mail server for tests that speaks SMTP (RFC 5321) on a loopback port, keeps what it takes in, and fails on demand:
//! it is strict, so that a mailer that bends the rules is found out here and not by a stranger's server.

mod mime;
mod received;
mod session;

pub use received::Received;

use crate::postgres::free_port;
use parking_lot::{Condvar, Mutex, MutexGuard};
use session::Session;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// A point of a session at which something may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// When the client has connected.
    Greeting,
    /// After `MAIL FROM`.
    MailFrom,
    /// After `RCPT TO`, each of them.
    RcptTo,
    /// After the command `DATA`.
    Data,
    /// In the middle of the message: after its third line, or its end if it is shorter.
    Body,
    /// After the final dot, when the client waits to hear that the message was taken in.
    End,
}

/// What the server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Takes in everything.
    Accept,
    /// Refuses for now. In the greeting this also ends the session, and so it does in the middle of a message.
    Refuse4xx {
        /// Where.
        at: Stage,
    },
    /// Refuses for good. In the middle of a message this also ends the session.
    Refuse5xx {
        /// Where.
        at: Stage,
    },
    /// Says nothing any more until the client gives up. A message that was on its way is not kept.
    Hang {
        /// Where.
        at: Stage,
    },
    /// Closes the connection without an answer. A message that was on its way is not kept.
    Cut {
        /// Where.
        at: Stage,
    },
    /// Keeps the message, and closes the connection without an answer.
    CutAfterTaking,
}

/// A mail server on a free loopback port. It ends when it is dropped.
pub struct Receiver {
    shared: Arc<Shared>,
    port: u16,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// `None` refuses connections as if nobody was there.
    listener: Option<TcpListener>,
    /// The connections of the time since it last began to listen, which `era` counts: what belongs to an earlier one
    /// is cut, and may not bring in a message any more.
    streams: Vec<Weak<TcpStream>>,
    era: u64,
    is_ended: bool,
    behaviour: Behaviour,
    /// What sessions to come do instead, one each.
    next: VecDeque<Behaviour>,
    unknown: Vec<String>,
    sessions: usize,
    mails: Vec<Received>,
}

impl Receiver {
    /// Listens, and takes in everything.
    pub fn start() -> Self {
        // Another process may take a free port first.
        let taken = (0..5).map(|_| free_port()).find_map(|port| Some((port, listen(port).ok()?)));
        let (port, listener) = taken.expect("a free port");
        let state = State {
            listener: Some(listener),
            streams: Vec::new(),
            era: 0,
            is_ended: false,
            behaviour: Behaviour::Accept,
            next: VecDeque::new(),
            unknown: Vec::new(),
            sessions: 0,
            mails: Vec::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accepting.accept());
        Self { shared, port }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Where it listens, as settings name it.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address())
    }

    /// Goes down: all sessions are cut, and connections are refused. When this returns, no message comes in any more.
    pub fn stop_listening(&self) {
        self.shared.state().leave();
    }

    /// Is back, on the same port.
    pub fn listen_again(&self) {
        let mut state = self.shared.state();
        if state.listener.is_none() {
            state.listener = listen(self.port).ok();
        }
        let is_back = state.listener.is_some();
        // A failure while the lock is held would make a second one of the drop.
        drop(state);
        assert!(is_back, "somebody else has taken port {}", self.port);
    }

    /// What sessions do from now on, those that are open too; what was set before is forgotten.
    pub fn behave(&self, behaviour: Behaviour) {
        let mut state = self.shared.state();
        state.behaviour = behaviour;
        state.next.clear();
    }

    /// What each of the next sessions does from its beginning to its end, after those this was already said of. Those
    /// that come later do what [`behave`](Self::behave) says.
    pub fn behave_next(&self, sessions: usize, behaviour: Behaviour) {
        self.shared.state().next.extend(std::iter::repeat_n(behaviour, sessions));
    }

    /// From now on nobody is known at this address: `RCPT TO` of it is answered with 550.
    pub fn rejecting(&self, address: &str) {
        self.shared.state().unknown.push(address.to_owned());
    }

    /// How many connections were seen.
    pub fn sessions(&self) -> usize {
        self.shared.state().sessions
    }

    /// Everything that was taken in, in that order.
    pub fn mails(&self) -> Vec<Received> {
        self.shared.state().mails.clone()
    }

    /// Everything that was taken in, as soon as it is this many; it fails when they do not come within this time. The
    /// thread waits.
    pub fn wait_for(&self, count: usize, time: Duration) -> Vec<Received> {
        let mut state = self.shared.state();
        self.shared.changed.wait_while_for(&mut state, |state| state.mails.len() < count, time);
        let (mails, sessions) = (state.mails.clone(), state.sessions);
        drop(state);
        assert!(
            mails.len() >= count,
            "{} of {count} mails came within {time:?}, in {sessions} sessions: {mails:#?}",
            mails.len()
        );
        mails
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.is_ended = true;
        state.leave();
    }
}

impl State {
    fn leave(&mut self) {
        self.listener = None;
        self.era += 1;
        for stream in self.streams.drain(..).filter_map(|stream| stream.upgrade()) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn is_unknown(&self, address: &str) -> bool {
        self.state().unknown.iter().any(|unknown| unknown.eq_ignore_ascii_case(address))
    }

    /// Keeps a message of a session of this era; whether it does.
    fn take(&self, era: u64, mail: Received) -> bool {
        let mut state = self.state();
        let is_taken = state.era == era;
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
            let (era, behaviour) = (state.era, state.next.pop_front());
            drop(state);
            let shared = Arc::clone(&self);
            std::thread::spawn(move || drop(Session::run(&shared, &stream, era, behaviour)));
        }
    }
}

/// Listens without waiting, so that the listener can be taken away at any time.
fn listen(port: u16) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
