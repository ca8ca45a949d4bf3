//! A mail server for tests that speaks SMTP (RFC 5321) on a loopback port, keeps what it takes in, and fails on demand:
//! it is strict, so that a mailer that bends the rules is found out here and not by a stranger's server.

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
    EndOfData,
}

/// What the server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behavior {
    /// Takes in everything.
    Accept,
    /// Refuses for now. In the greeting this also ends the session, and so it does in the middle of a message.
    Reject4xx {
        /// Where.
        at: Stage,
    },
    /// Refuses for good. In the middle of a message this also ends the session.
    Reject5xx {
        /// Where.
        at: Stage,
    },
    /// Says nothing any more until the client gives up. A message that was on its way is not kept.
    Hang {
        /// Where.
        at: Stage,
    },
    /// Closes the connection without an answer. A message that was on its way is not kept.
    Disconnect {
        /// Where.
        at: Stage,
    },
    /// Keeps the message, and closes the connection without an answer.
    DisconnectAfterAccept,
}

/// A mail server on a free loopback port. It ends when it is dropped.
pub struct SmtpServer {
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
    generation: u64,
    is_ended: bool,
    behavior: Behavior,
    /// What sessions to come do instead, one each.
    queued_behaviors: VecDeque<Behavior>,
    unknown_recipients: Vec<String>,
    sessions: usize,
    mails: Vec<ReceivedMail>,
}

impl SmtpServer {
    /// Listens, and takes in everything.
    pub fn start() -> Self {
        // Another process may take a free port first.
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
        self.shared.state().stop();
    }

    /// Is back, on the same port.
    pub fn resume_listening(&self) {
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
    pub fn set_behavior(&self, behaviour: Behavior) {
        let mut state = self.shared.state();
        state.behavior = behaviour;
        state.queued_behaviors.clear();
    }

    /// What each of the next sessions does from its beginning to its end, after those this was already said of. Those
    /// that come later do what [`behave`](Self::behave) says.
    pub fn queue_behavior(&self, sessions: usize, behaviour: Behavior) {
        self.shared.state().queued_behaviors.extend(std::iter::repeat_n(behaviour, sessions));
    }

    /// From now on nobody is known at this address: `RCPT TO` of it is answered with 550.
    pub fn reject_recipient(&self, address: &str) {
        self.shared.state().unknown_recipients.push(address.to_owned());
    }

    /// How many connections were seen.
    pub fn session_count(&self) -> usize {
        self.shared.state().sessions
    }

    /// Everything that was taken in, in that order.
    pub fn mails(&self) -> Vec<ReceivedMail> {
        self.shared.state().mails.clone()
    }

    /// Everything that was taken in, as soon as it is this many; it fails when they do not come within this time. The
    /// thread waits.
    pub fn wait_for_mails(&self, count: usize, time: Duration) -> Vec<ReceivedMail> {
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

    /// Keeps a message of a session of this era; whether it does.
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
            let (era, behaviour) = (state.generation, state.queued_behaviors.pop_front());
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
