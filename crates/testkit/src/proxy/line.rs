//! One client's connection through the proxy: two streams, and what is to be done with each answer that is due.

use super::wire;
use super::{Meddling, Shared};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io::{BufReader, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What to do with an answer, up to its `ReadyForQuery`.
enum Answer {
    Pass,
    Late(Duration),
    /// This failure instead.
    Failure(&'static str),
    Cut,
}

pub(super) struct Line {
    client: TcpStream,
    server: TcpStream,
    /// The answers that are due, in the order in which they were asked for.
    due: Mutex<VecDeque<Answer>>,
    /// The client was cut, and the server is not to notice yet.
    is_orphan: AtomicBool,
}

impl Line {
    pub(super) fn new(client: TcpStream, server: TcpStream) -> Self {
        Self { client, server, due: Mutex::default(), is_orphan: AtomicBool::new(false) }
    }

    /// Ends it for both sides.
    pub(super) fn cut(&self) {
        for stream in [&self.client, &self.server] {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// Everything the client says, from its first message on, until it ends.
    pub(super) fn pump_up(&self, shared: &Shared, startup: &[u8]) {
        if self.up(shared, startup).is_err() && !self.is_orphan.load(Ordering::SeqCst) {
            self.cut();
        }
    }

    /// Everything the server says, until it ends.
    pub(super) fn pump_down(&self, shared: &Shared) {
        drop(self.down(shared));
        self.cut();
    }

    fn up(&self, shared: &Shared, startup: &[u8]) -> Result<()> {
        self.ask(startup, Answer::Pass)?;
        let mut client = BufReader::new(&self.client);
        let mut waiting = Vec::new();
        loop {
            let message = wire::message(&mut client)?;
            shared.gate()?;
            if wire::is_commit(&message) {
                (&self.server).write_all(&waiting)?;
                waiting.clear();
                self.commit(shared, &message)?;
                continue;
            }
            if wire::is_answered(&message) {
                self.due(Answer::Pass);
            }
            waiting.extend(message);
            // What came together goes on together.
            if client.buffer().is_empty() {
                (&self.server).write_all(&waiting)?;
                waiting.clear();
            }
        }
    }

    fn commit(&self, shared: &Shared, message: &[u8]) -> Result<()> {
        match shared.meddling() {
            Meddling::Pass => self.ask(message, Answer::Pass),
            Meddling::Delay(time) => self.ask(message, Answer::Late(time)),
            Meddling::SerializationFailure => self.ask(&wire::rollback(), Answer::Failure("40001")),
            Meddling::Deadlock => self.ask(&wire::rollback(), Answer::Failure("40P01")),
            Meddling::CutBefore => Err(wire::cut()),
            Meddling::CutAfter => self.ask(message, Answer::Cut),
            Meddling::CutThenCommit(time) => {
                self.is_orphan.store(true, Ordering::SeqCst);
                drop(self.client.shutdown(Shutdown::Both));
                std::thread::sleep(time);
                self.ask(message, Answer::Cut)?;
                Err(wire::cut())
            }
        }
    }

    fn down(&self, shared: &Shared) -> Result<()> {
        let mut server = BufReader::new(&self.server);
        let mut waiting = Vec::new();
        loop {
            let message = wire::message(&mut server)?;
            shared.gate()?;
            let is_ready = wire::is_ready(&message);
            waiting.extend(message);
            let mut due = self.due.lock();
            let answer = if is_ready { due.pop_front() } else { None };
            let is_held = !matches!(due.front(), None | Some(Answer::Pass)) && answer.is_none();
            drop(due);
            match answer {
                None | Some(Answer::Pass) => {}
                Some(Answer::Late(time)) => std::thread::sleep(time),
                Some(Answer::Failure(sqlstate)) => waiting = wire::failure(sqlstate),
                Some(Answer::Cut) => return Ok(()),
            }
            if is_ready || (!is_held && server.buffer().is_empty()) {
                let sent = (&self.client).write_all(&waiting);
                if !self.is_orphan.load(Ordering::SeqCst) {
                    sent?;
                }
                waiting.clear();
            }
        }
    }

    fn ask(&self, message: &[u8], answer: Answer) -> Result<()> {
        self.due(answer);
        (&self.server).write_all(message)
    }

    fn due(&self, answer: Answer) {
        self.due.lock().push_back(answer);
    }
}
