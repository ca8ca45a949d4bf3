//! One client connection through the proxy: the streams to both sides and the actions for pending replies.

use super::wire;
use super::{Fault, Shared};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io::{BufReader, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The action for a reply, up to its `ReadyForQuery`.
enum ReplyAction {
    Pass,
    Delay(Duration),
    /// Replace the reply with an error of this SQLSTATE.
    Fail(&'static str),
    Disconnect,
}

pub(super) struct ProxiedConnection {
    client: TcpStream,
    server: TcpStream,
    /// In request order.
    pending_replies: Mutex<VecDeque<ReplyAction>>,
    /// The client was disconnected, and the server must not notice yet.
    is_client_gone: AtomicBool,
}

impl ProxiedConnection {
    pub(super) fn new(client: TcpStream, server: TcpStream) -> Self {
        Self { client, server, pending_replies: Mutex::default(), is_client_gone: AtomicBool::new(false) }
    }

    /// Closes both sides.
    pub(super) fn disconnect(&self) {
        for stream in [&self.client, &self.server] {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// Forwards client messages, starting with `startup`, until the connection ends.
    pub(super) fn forward_requests(&self, shared: &Shared, startup: &[u8]) {
        if self.try_forward_requests(shared, startup).is_err() && !self.is_client_gone.load(Ordering::SeqCst) {
            self.disconnect();
        }
    }

    /// Forwards server messages until the connection ends.
    pub(super) fn forward_replies(&self, shared: &Shared) {
        drop(self.try_forward_replies(shared));
        self.disconnect();
    }

    fn try_forward_requests(&self, shared: &Shared, startup: &[u8]) -> Result<()> {
        self.send(startup, ReplyAction::Pass)?;
        let mut client = BufReader::new(&self.client);
        let mut waiting = Vec::new();
        loop {
            let message = wire::read_message(&mut client)?;
            shared.wait_until_open()?;
            if wire::is_commit(&message) {
                (&self.server).write_all(&waiting)?;
                waiting.clear();
                self.commit(shared, &message)?;
                continue;
            }
            if wire::expects_ready_for_query(&message) {
                self.expect_reply(ReplyAction::Pass);
            }
            waiting.extend(message);
            // Forward messages that arrived together in one write.
            if client.buffer().is_empty() {
                (&self.server).write_all(&waiting)?;
                waiting.clear();
            }
        }
    }

    fn commit(&self, shared: &Shared, message: &[u8]) -> Result<()> {
        match shared.next_fault() {
            Fault::Pass => self.send(message, ReplyAction::Pass),
            Fault::Delay(time) => self.send(message, ReplyAction::Delay(time)),
            Fault::SerializationFailure => self.send(&wire::rollback_query(), ReplyAction::Fail("40001")),
            Fault::Deadlock => self.send(&wire::rollback_query(), ReplyAction::Fail("40P01")),
            Fault::DisconnectBefore => Err(wire::connection_aborted()),
            Fault::DisconnectAfter => self.send(message, ReplyAction::Disconnect),
            Fault::DisconnectThenCommit(time) => {
                self.is_client_gone.store(true, Ordering::SeqCst);
                drop(self.client.shutdown(Shutdown::Both));
                std::thread::sleep(time);
                self.send(message, ReplyAction::Disconnect)?;
                Err(wire::connection_aborted())
            }
        }
    }

    fn try_forward_replies(&self, shared: &Shared) -> Result<()> {
        let mut server = BufReader::new(&self.server);
        let mut waiting = Vec::new();
        loop {
            let message = wire::read_message(&mut server)?;
            shared.wait_until_open()?;
            let is_ready = wire::is_ready_for_query(&message);
            waiting.extend(message);
            let mut due = self.pending_replies.lock();
            let action = if is_ready { due.pop_front() } else { None };
            let is_held = !matches!(due.front(), None | Some(ReplyAction::Pass)) && action.is_none();
            drop(due);
            match action {
                None | Some(ReplyAction::Pass) => {}
                Some(ReplyAction::Delay(time)) => std::thread::sleep(time),
                Some(ReplyAction::Fail(sqlstate)) => waiting = wire::error_response(sqlstate),
                Some(ReplyAction::Disconnect) => return Ok(()),
            }
            if is_ready || (!is_held && server.buffer().is_empty()) {
                let sent = (&self.client).write_all(&waiting);
                if !self.is_client_gone.load(Ordering::SeqCst) {
                    sent?;
                }
                waiting.clear();
            }
        }
    }

    fn send(&self, message: &[u8], action: ReplyAction) -> Result<()> {
        self.expect_reply(action);
        (&self.server).write_all(message)
    }

    fn expect_reply(&self, action: ReplyAction) {
        self.pending_replies.lock().push_back(action);
    }
}
