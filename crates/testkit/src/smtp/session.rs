//! One SMTP session: commands, replies, and injected faults.

use super::{Behavior, ReceivedMail, Shared, Stage};
use std::io::{BufRead, BufReader, Error, ErrorKind, Result, Write};
use std::net::{Shutdown, TcpStream};

const BAD_SEQUENCE: &str = "503 bad sequence of commands";
const BAD_ARGUMENT: &str = "501 syntax error in parameters";
const CRLF: &[u8] = b"\r\n";

/// The limit for a line of a message, including CR LF (RFC 5321 §4.5.3.1.6).
const MAX_LINE_OCTETS: usize = 1000;

pub(super) struct Session<'a> {
    shared: &'a Shared,
    stream: &'a TcpStream,
    reader: BufReader<&'a TcpStream>,
    /// Which start of the server accepted the connection.
    server_generation: u64,
    /// Takes precedence over the server's behavior.
    behavior_override: Option<Behavior>,
    greeting: Option<Greeting>,
    envelope: Option<Envelope>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Greeting {
    Helo,
    Ehlo,
}

#[derive(Default)]
struct Envelope {
    from: String,
    to: Vec<String>,
    is_8bit: bool,
    is_utf8: bool,
}

impl<'a> Session<'a> {
    /// Serves a client until either side disconnects.
    pub(super) fn run(
        shared: &'a Shared,
        stream: &'a TcpStream,
        server_generation: u64,
        behavior_override: Option<Behavior>,
    ) -> Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        let reader = BufReader::new(stream);
        Self { shared, stream, reader, server_generation, behavior_override, greeting: None, envelope: None }.serve()
    }

    fn serve(&mut self) -> Result<()> {
        let error = self.injected_failure(Stage::Greeting)?;
        self.reply(error.unwrap_or("220 127.0.0.1 ready"))?;
        if error.is_some_and(|error| error.starts_with('4')) {
            return self.close_after_reply();
        }
        loop {
            let line = self.read_line()?;
            let Some(line) = line.strip_suffix(CRLF).and_then(|line| str::from_utf8(line).ok()) else {
                self.reply("500 lines must be UTF-8 and end with CR LF")?;
                continue;
            };
            let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
            let verb = verb.to_ascii_uppercase();
            if verb == "QUIT" {
                self.reply("221 bye")?;
                return Ok(());
            }
            // After a rejected greeting only QUIT is allowed (RFC 5321 §3.1).
            let answer = if error.is_some() { BAD_SEQUENCE } else { self.handle_command(&verb, argument)? };
            self.reply(answer)?;
        }
    }

    fn handle_command(&mut self, verb: &str, argument: &str) -> Result<&'static str> {
        Ok(match verb {
            "EHLO" | "HELO" if argument.is_empty() => BAD_ARGUMENT,
            "EHLO" => {
                (self.greeting, self.envelope) = (Some(Greeting::Ehlo), None);
                "250-127.0.0.1\r\n250-8BITMIME\r\n250 SMTPUTF8"
            }
            "HELO" => {
                (self.greeting, self.envelope) = (Some(Greeting::Helo), None);
                "250 127.0.0.1"
            }
            "MAIL" => self.mail(argument)?,
            "RCPT" => self.rcpt(argument)?,
            "DATA" if argument.is_empty() => self.data()?,
            "DATA" => BAD_ARGUMENT,
            "RSET" => {
                self.envelope = None;
                "250 reset"
            }
            "NOOP" => "250 OK",
            "VRFY" => "252 cannot verify user",
            _ => "500 unknown command",
        })
    }

    fn mail(&mut self, argument: &str) -> Result<&'static str> {
        let (Some(hello), None) = (self.greeting, &self.envelope) else { return Ok(BAD_SEQUENCE) };
        let Some((path, parameters)) = parse_path(argument, "FROM:") else { return Ok(BAD_ARGUMENT) };
        if !path.is_empty() && !is_address(path) {
            return Ok("553 invalid address");
        }
        let mut envelope = Envelope { from: path.to_owned(), ..Envelope::default() };
        for parameter in parameters.split_ascii_whitespace() {
            match parameter.to_ascii_uppercase().as_str() {
                // HELO offers no extensions.
                _ if hello == Greeting::Helo => return Ok("555 unknown parameter"),
                "BODY=7BIT" => {}
                "BODY=8BITMIME" => envelope.is_8bit = true,
                "SMTPUTF8" => envelope.is_utf8 = true,
                _ => return Ok("555 unknown parameter"),
            }
        }
        if !path.is_ascii() && !envelope.is_utf8 {
            return Ok("553 this address requires SMTPUTF8");
        }
        if let Some(error) = self.injected_failure(Stage::MailFrom)? {
            return Ok(error);
        }
        self.envelope = Some(envelope);
        Ok("250 OK")
    }

    fn rcpt(&mut self, argument: &str) -> Result<&'static str> {
        let Some(envelope) = &self.envelope else { return Ok(BAD_SEQUENCE) };
        let Some((path, parameters)) = parse_path(argument, "TO:") else { return Ok(BAD_ARGUMENT) };
        if !parameters.is_empty() {
            return Ok("555 unknown parameter");
        }
        if !is_address(path) && !path.eq_ignore_ascii_case("postmaster") {
            return Ok("553 invalid address");
        }
        if !path.is_ascii() && !envelope.is_utf8 {
            return Ok("553 this address requires SMTPUTF8");
        }
        if let Some(error) = self.injected_failure(Stage::RcptTo)? {
            return Ok(error);
        }
        if self.shared.is_unknown_recipient(path) {
            return Ok("550 no such mailbox");
        }
        if let Some(envelope) = &mut self.envelope {
            envelope.to.push(path.to_owned());
        }
        Ok("250 OK")
    }

    fn data(&mut self) -> Result<&'static str> {
        if self.envelope.as_ref().is_none_or(|envelope| envelope.to.is_empty()) {
            return Ok(BAD_SEQUENCE);
        }
        if let Some(error) = self.injected_failure(Stage::Data)? {
            return Ok(error);
        }
        self.reply("354 start mail input")?;
        // The transaction ends with the reply, whether the message is accepted or not.
        let envelope = self.envelope.take().unwrap_or_default();
        let lines = self.message()?;
        if let Some(error) = self.injected_failure(Stage::EndOfData)? {
            return Ok(error);
        }
        if let Some(error) = message_error(&envelope, &lines) {
            return Ok(error);
        }
        let raw = String::from_utf8_lossy(&lines.concat()).into_owned();
        // Read before the message is stored: a test that sees it may set the next behavior at once.
        let must_disconnect = self.behavior() == Behavior::DisconnectAfterAccept;
        let is_stored =
            self.shared.store_mail(self.server_generation, ReceivedMail { from: envelope.from, to: envelope.to, raw });
        if must_disconnect || !is_stored {
            return Err(self.disconnect());
        }
        Ok("250 accepted")
    }

    /// The lines of a message up to the final dot, without dot-stuffing. Only CR LF ends a line: a server that also
    /// accepts a lone LF is vulnerable to SMTP smuggling.
    fn message(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut lines = Vec::new();
        loop {
            let mut line = self.read_line()?;
            while !line.ends_with(CRLF) {
                line.extend(self.read_line()?);
            }
            let is_over = line == b".\r\n";
            if !is_over {
                line.drain(..usize::from(line.starts_with(b".")));
                lines.push(line);
            }
            // After the third line, or at the end of a shorter message.
            let is_body_stage = if is_over { lines.len() < 3 } else { lines.len() == 3 };
            if is_body_stage && let Some(error) = self.injected_failure(Stage::Body)? {
                self.reply(error)?;
                self.close_after_reply()?;
                return Err(connection_aborted());
            }
            if is_over {
                return Ok(lines);
            }
        }
    }

    fn behavior(&self) -> Behavior {
        self.behavior_override.unwrap_or_else(|| self.shared.state().behavior)
    }

    /// The rejection to send at this stage, if any; an error if the connection is closed without a reply.
    fn injected_failure(&mut self, stage: Stage) -> Result<Option<&'static str>> {
        match self.behavior() {
            Behavior::Reject4xx { at } if at == stage => Ok(Some(match stage {
                Stage::Greeting | Stage::Body => "421 closing",
                Stage::RcptTo => "450 try again later",
                _ => "451 try again later",
            })),
            Behavior::Reject5xx { at } if at == stage => Ok(Some(match stage {
                Stage::MailFrom | Stage::RcptTo => "550 rejected",
                _ => "554 rejected",
            })),
            Behavior::Hang { at } if at == stage => {
                self.drain()?;
                Err(connection_aborted())
            }
            Behavior::Disconnect { at } if at == stage => Err(self.disconnect()),
            _ => Ok(None),
        }
    }

    fn reply(&self, answer: &str) -> Result<()> {
        let mut stream = self.stream;
        stream.write_all(format!("{answer}\r\n").as_bytes())
    }

    /// Reads up to the next LF.
    fn read_line(&mut self) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        if line.ends_with(b"\n") { Ok(line) } else { Err(connection_aborted()) }
    }

    /// Closes after the client has read the reply: closing with unread input would discard the reply.
    fn close_after_reply(&mut self) -> Result<()> {
        self.stream.shutdown(Shutdown::Write)?;
        self.drain()
    }

    /// Waits until the client disconnects.
    fn drain(&mut self) -> Result<()> {
        std::io::copy(&mut self.reader, &mut std::io::sink()).map(drop)
    }

    fn disconnect(&self) -> Error {
        drop(self.stream.shutdown(Shutdown::Both));
        connection_aborted()
    }
}

/// The address in angle brackets after `FROM:` or `TO:`, and the parameters after it.
fn parse_path<'a>(argument: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let (start, rest) = argument.split_at_checked(word.len())?;
    let (path, parameters) = rest.strip_prefix('<')?.rsplit_once('>')?;
    let is_apart = parameters.is_empty() || parameters.starts_with(' ');
    (start.eq_ignore_ascii_case(word) && is_apart).then_some((path, parameters.trim()))
}

fn is_address(path: &str) -> bool {
    let is_domain = |domain: &str| !domain.is_empty() && !domain.contains([' ', '<', '>', '"']);
    let is_local = |local: &str| !local.is_empty() && (local.starts_with('"') || !local.contains([' ', '<', '>']));
    let halves = path.rsplit_once('@');
    halves.is_some_and(|(local, domain)| is_local(local) && is_domain(domain)) && !path.contains(char::is_control)
}

fn message_error(envelope: &Envelope, lines: &[Vec<u8>]) -> Option<&'static str> {
    let head = lines.iter().take_while(|line| *line != CRLF);
    let is_ascii = lines.iter().all(|line| line.is_ascii());
    let has_bare_cr_or_lf = |line: &Vec<u8>| line[..line.len() - CRLF.len()].iter().any(|byte| CRLF.contains(byte));
    if lines.iter().any(has_bare_cr_or_lf) {
        Some("554 bare CR or LF")
    } else if lines.iter().any(|line| line.len() > MAX_LINE_OCTETS) {
        Some("554 line too long")
    } else if !is_ascii && !envelope.is_8bit && !envelope.is_utf8 {
        Some("554 8-bit content requires BODY=8BITMIME")
    } else if !envelope.is_utf8 && !head.flatten().all(u8::is_ascii) {
        Some("554 this header requires SMTPUTF8")
    } else {
        None
    }
}

fn connection_aborted() -> Error {
    Error::from(ErrorKind::ConnectionAborted)
}
