//! One client's session: commands, the answers to them, and what goes wrong on the way.

use super::{Behavior, ReceivedMail, Shared, Stage};
use std::io::{BufRead, BufReader, Error, ErrorKind, Result, Write};
use std::net::{Shutdown, TcpStream};

const BAD_SEQUENCE: &str = "503 not now";
const BAD_ARGUMENT: &str = "501 what is that";
const CRLF: &[u8] = b"\r\n";

/// Octets of a line of a message, its end included (RFC 5321, 4.5.3.1.6).
const MAX_LINE_OCTETS: usize = 1000;

pub(super) struct Session<'a> {
    shared: &'a Shared,
    stream: &'a TcpStream,
    reader: BufReader<&'a TcpStream>,
    generation: u64,
    /// What this one does whatever the others do.
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
    /// Talks to a client until either has enough.
    pub(super) fn run(shared: &'a Shared, stream: &'a TcpStream, era: u64, own: Option<Behavior>) -> Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        let reader = BufReader::new(stream);
        Self { shared, stream, reader, generation: era, behavior_override: own, greeting: None, envelope: None }.serve()
    }

    fn serve(&mut self) -> Result<()> {
        let refusal = self.injected_failure(Stage::Greeting)?;
        self.reply(refusal.unwrap_or("220 127.0.0.1 here"))?;
        if refusal.is_some_and(|refusal| refusal.starts_with('4')) {
            return self.close_after_reply();
        }
        loop {
            let line = self.read_line()?;
            let Some(line) = line.strip_suffix(CRLF).and_then(|line| str::from_utf8(line).ok()) else {
                self.reply("500 a line is UTF-8 and ends with CR LF")?;
                continue;
            };
            let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
            let verb = verb.to_ascii_uppercase();
            if verb == "QUIT" {
                self.reply("221 bye")?;
                return Ok(());
            }
            // Who was refused in the greeting may only leave (RFC 5321, 3.1).
            let answer = if refusal.is_some() { BAD_SEQUENCE } else { self.handle_command(&verb, argument)? };
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
                "250 forgotten"
            }
            "NOOP" => "250 yes",
            "VRFY" => "252 try and see",
            _ => "500 no such command",
        })
    }

    fn mail(&mut self, argument: &str) -> Result<&'static str> {
        let (Some(hello), None) = (self.greeting, &self.envelope) else { return Ok(BAD_SEQUENCE) };
        let Some((path, parameters)) = parse_path(argument, "FROM:") else { return Ok(BAD_ARGUMENT) };
        if !path.is_empty() && !is_address(path) {
            return Ok("553 no such address");
        }
        let mut envelope = Envelope { from: path.to_owned(), ..Envelope::default() };
        for parameter in parameters.split_ascii_whitespace() {
            match parameter.to_ascii_uppercase().as_str() {
                // Those were not offered.
                _ if hello == Greeting::Helo => return Ok("555 no such parameter"),
                "BODY=7BIT" => {}
                "BODY=8BITMIME" => envelope.is_8bit = true,
                "SMTPUTF8" => envelope.is_utf8 = true,
                _ => return Ok("555 no such parameter"),
            }
        }
        if !path.is_ascii() && !envelope.is_utf8 {
            return Ok("553 that takes SMTPUTF8");
        }
        if let Some(refusal) = self.injected_failure(Stage::MailFrom)? {
            return Ok(refusal);
        }
        self.envelope = Some(envelope);
        Ok("250 fine")
    }

    fn rcpt(&mut self, argument: &str) -> Result<&'static str> {
        let Some(envelope) = &self.envelope else { return Ok(BAD_SEQUENCE) };
        let Some((path, parameters)) = parse_path(argument, "TO:") else { return Ok(BAD_ARGUMENT) };
        if !parameters.is_empty() {
            return Ok("555 no such parameter");
        }
        if !is_address(path) && !path.eq_ignore_ascii_case("postmaster") {
            return Ok("553 no such address");
        }
        if !path.is_ascii() && !envelope.is_utf8 {
            return Ok("553 that takes SMTPUTF8");
        }
        if let Some(refusal) = self.injected_failure(Stage::RcptTo)? {
            return Ok(refusal);
        }
        if self.shared.is_unknown_recipient(path) {
            return Ok("550 nobody of that name");
        }
        if let Some(envelope) = &mut self.envelope {
            envelope.to.push(path.to_owned());
        }
        Ok("250 fine")
    }

    fn data(&mut self) -> Result<&'static str> {
        if self.envelope.as_ref().is_none_or(|envelope| envelope.to.is_empty()) {
            return Ok(BAD_SEQUENCE);
        }
        if let Some(refusal) = self.injected_failure(Stage::Data)? {
            return Ok(refusal);
        }
        self.reply("354 go on")?;
        // From here on it is answered once, and over either way.
        let envelope = self.envelope.take().unwrap_or_default();
        let lines = self.message()?;
        if let Some(refusal) = self.injected_failure(Stage::EndOfData)? {
            return Ok(refusal);
        }
        if let Some(flaw) = message_error(&envelope, &lines) {
            return Ok(flaw);
        }
        let raw = String::from_utf8_lossy(&lines.concat()).into_owned();
        // Asked before: a test that sees the message may say at once what comes next.
        let is_cut = self.behavior() == Behavior::DisconnectAfterAccept;
        let is_taken =
            self.shared.store_mail(self.generation, ReceivedMail { from: envelope.from, to: envelope.to, raw });
        if is_cut || !is_taken {
            return Err(self.disconnect());
        }
        Ok("250 taken")
    }

    /// The lines of a message up to the final dot, without the dots that were put before others. Only CR LF ends one:
    /// who takes a lone LF for an end sees two messages where others see one.
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
            let is_midst = if is_over { lines.len() < 3 } else { lines.len() == 3 };
            if is_midst && let Some(refusal) = self.injected_failure(Stage::Body)? {
                self.reply(refusal)?;
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

    /// What is to go wrong here: the refusal to say, or an error when there is nothing more to be said.
    fn injected_failure(&mut self, stage: Stage) -> Result<Option<&'static str>> {
        match self.behavior() {
            Behavior::Reject4xx { at } if at == stage => Ok(Some(match stage {
                Stage::Greeting | Stage::Body => "421 closing",
                Stage::RcptTo => "450 not at present",
                _ => "451 not at present",
            })),
            Behavior::Reject5xx { at } if at == stage => Ok(Some(match stage {
                Stage::MailFrom | Stage::RcptTo => "550 never",
                _ => "554 never",
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

    /// What the client says up to the next LF.
    fn read_line(&mut self) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        if line.ends_with(b"\n") { Ok(line) } else { Err(connection_aborted()) }
    }

    /// Ends a session that was told why. Closing before all was read would take the answer from the client.
    fn close_after_reply(&mut self) -> Result<()> {
        self.stream.shutdown(Shutdown::Write)?;
        self.drain()
    }

    /// Waits until the client leaves.
    fn drain(&mut self) -> Result<()> {
        std::io::copy(&mut self.reader, &mut std::io::sink()).map(drop)
    }

    fn disconnect(&self) -> Error {
        drop(self.stream.shutdown(Shutdown::Both));
        connection_aborted()
    }
}

/// The address in angle brackets behind `FROM:` or `TO:`, and the parameters behind it.
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

/// What is wrong with a message as it came over.
fn message_error(envelope: &Envelope, lines: &[Vec<u8>]) -> Option<&'static str> {
    let head = lines.iter().take_while(|line| *line != CRLF);
    let is_ascii = lines.iter().all(|line| line.is_ascii());
    let is_alone = |line: &Vec<u8>| line[..line.len() - CRLF.len()].iter().any(|byte| CRLF.contains(byte));
    if lines.iter().any(is_alone) {
        Some("554 CR or LF stands alone")
    } else if lines.iter().any(|line| line.len() > MAX_LINE_OCTETS) {
        Some("554 a line is too long")
    } else if !is_ascii && !envelope.is_8bit && !envelope.is_utf8 {
        Some("554 8-bit content was not announced")
    } else if !envelope.is_utf8 && !head.flatten().all(u8::is_ascii) {
        Some("554 such a header takes SMTPUTF8")
    } else {
        None
    }
}

fn connection_aborted() -> Error {
    Error::from(ErrorKind::ConnectionAborted)
}
