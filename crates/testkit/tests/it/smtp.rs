//! The mail server stores accepted messages, fails as configured, and enforces SMTP.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};
use testkit::smtp::{Behavior, ReceivedMail, SmtpServer, Stage};

const TIMEOUT: Duration = testkit::waiting::TIMEOUT;
const SHORT_WAIT: Duration = Duration::from_millis(150);
const HELLO: &str = "Subject: hello\r\n\r\none\r\ntwo\r\nthree\r\n";

/// A minimal SMTP client.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(receiver: &SmtpServer) -> Self {
        let stream = TcpStream::connect(receiver.address()).expect("the server listens");
        stream.set_read_timeout(Some(TIMEOUT)).expect("set");
        Self(BufReader::new(stream))
    }

    /// Connects and completes EHLO.
    fn connect_and_greet(receiver: &SmtpServer) -> Self {
        let mut client = Self::connect(receiver);
        assert_eq!(client.read_reply(), 220);
        assert_eq!(client.command("EHLO test"), 250);
        client
    }

    fn send_raw(&mut self, text: &str) {
        // The server may have closed the connection already.
        drop(self.0.get_mut().write_all(text.as_bytes()));
    }

    fn command(&mut self, line: &str) -> u16 {
        self.send_raw(&format!("{line}\r\n"));
        self.read_reply()
    }

    /// The code of the next reply; 0 if the connection is closed instead.
    fn read_reply(&mut self) -> u16 {
        loop {
            let mut line = String::new();
            match self.0.read_line(&mut line) {
                Ok(0) => return 0,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return 0,
                other => drop(other.expect("an answer in time")),
            }
            if line.as_bytes()[3] == b' ' {
                return line[..3].parse().expect("a code");
            }
        }
    }

    fn is_silent(&mut self) -> bool {
        self.0.get_mut().set_read_timeout(Some(SHORT_WAIT)).expect("set");
        let heard = self.0.read(&mut [0]);
        heard.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    /// Sends a dot-stuffed message from `a@test` to `b@test`; returns the final reply code and its stage.
    fn send_mail(&mut self, message: &str) -> (u16, Stage) {
        let steps = [
            ("MAIL FROM:<a@test> BODY=8BITMIME", 250, Stage::MailFrom),
            ("RCPT TO:<b@test>", 250, Stage::RcptTo),
            ("DATA", 354, Stage::Data),
        ];
        for (line, good, stage) in steps {
            let code = self.command(line);
            if code != good {
                return (code, stage);
            }
        }
        self.send_raw(message);
        (self.command("."), Stage::EndOfData)
    }
}

/// Connects and sends a message; returns the final reply code and its stage.
fn send_one_mail(receiver: &SmtpServer) -> (u16, Stage) {
    let mut client = Client::connect(receiver);
    match client.read_reply() {
        220 => assert_eq!(client.command("EHLO test"), 250),
        code => return (code, Stage::Greeting),
    }
    client.send_mail(HELLO)
}

fn received_mail(raw: &str) -> ReceivedMail {
    let receiver = SmtpServer::start();
    assert_eq!(Client::connect_and_greet(&receiver).send_mail(raw), (250, Stage::EndOfData));
    receiver.wait_for_mails(1, TIMEOUT).remove(0)
}

#[test]
fn stores_accepted_messages() {
    let receiver = SmtpServer::start();
    assert_eq!(receiver.url(), format!("smtp://127.0.0.1:{}", receiver.address().port()));
    let mut client = Client::connect_and_greet(&receiver);
    assert_eq!(client.command("mail from:<>"), 250);
    assert_eq!(client.command("RCPT TO:<b@test>"), 250);
    assert_eq!(client.command("RCPT TO:<\"odd >one\"@test>"), 250);
    assert_eq!(client.command("DATA"), 354);
    client.send_raw("Subject: first\r\n\r\n..\r\n..two\r\n. \r\n");
    assert_eq!(client.command("."), 250);
    assert_eq!(client.send_mail(HELLO), (250, Stage::EndOfData));
    assert_eq!(client.command("QUIT"), 221);
    assert_eq!(client.read_reply(), 0);
    let mails = receiver.wait_for_mails(2, TIMEOUT);
    let first = ReceivedMail {
        from: String::new(),
        to: vec!["b@test".to_owned(), "\"odd >one\"@test".to_owned()],
        raw: "Subject: first\r\n\r\n.\r\n.two\r\n \r\n".to_owned(),
    };
    assert_eq!(mails[0], first);
    assert_eq!((mails[1].from.as_str(), mails[1].raw.as_str()), ("a@test", HELLO));
    assert_eq!((receiver.mails(), receiver.session_count()), (mails, 1));
}

#[test]
fn enforces_command_order() {
    let receiver = SmtpServer::start();
    let mut client = Client::connect(&receiver);
    assert_eq!(client.read_reply(), 220);
    let dialogue = [
        ("MAIL FROM:<a@test>", 503),
        ("NOOP", 250),
        ("EHLO", 501),
        ("HELO test", 250),
        ("MAIL FROM:<a@test> BODY=8BITMIME", 555),
        ("EHLO test", 250),
        ("RCPT TO:<b@test>", 503),
        ("DATA", 503),
        ("MAIL FROM: <a@test>", 501),
        ("MAIL FROM:a@test", 501),
        ("MAIL FROM:<a>", 553),
        ("MAIL FROM:<a@test> SIZE=5", 555),
        ("MAIL FROM:<ä@test>", 553),
        ("MAIL FROM:<a@test>", 250),
        ("MAIL FROM:<a@test>", 503),
        ("DATA", 503),
        ("RCPT TO:<>", 553),
        ("RCPT TO:<ä@test>", 553),
        ("RCPT TO:<b@test> NOTIFY=NEVER", 555),
        ("RCPT TO:<b@test>", 250),
        ("DATA now", 501),
        ("RSET", 250),
        ("RCPT TO:<b@test>", 503),
        ("MAIL FROM:<ä@test> SMTPUTF8", 250),
        ("RCPT TO:<ö@test>", 250),
        ("EHLO again", 250),
        ("DATA", 503),
        ("VRFY b", 252),
        ("STARTTLS", 500),
        ("NOOP\nNOOP", 500),
    ];
    for (line, code) in dialogue {
        assert_eq!(client.command(line), code, "{line}");
    }
}

#[test]
fn rejects_malformed_messages() {
    let receiver = SmtpServer::start();
    let mut client = Client::connect_and_greet(&receiver);
    let long = |length| format!("Subject: long\r\n\r\n{}\r\n", "x".repeat(length));
    assert_eq!(client.send_mail(&long(998)).0, 250);
    assert_eq!(client.send_mail(&long(999)).0, 554);
    assert_eq!(client.send_mail("Subject: a\n\r\n\r\n").0, 554);
    assert_eq!(client.send_mail("Subject: a\r\n\r\nb\rc\r\n").0, 554);
    // A dot after a lone LF does not end the message.
    assert_eq!(client.send_mail("Subject: a\r\n\r\nb\n.\r\nMAIL FROM:<evil@test>\r\n").0, 554);
    assert_eq!(client.send_mail("Subject: ä\r\n\r\nb\r\n").0, 554);
    assert_eq!(client.send_mail("Subject: a\r\n\r\nä\r\n").0, 250);
    assert_eq!(client.command("MAIL FROM:<a@test>"), 250);
    assert_eq!(client.command("RCPT TO:<postmaster>"), 250);
    assert_eq!(client.command("DATA"), 354);
    client.send_raw("Subject: a\r\n\r\nä\r\n");
    assert_eq!(client.command("."), 554);
    assert_eq!(receiver.mails().len(), 2);
}

#[test]
fn rejects_at_every_stage() {
    let receiver = SmtpServer::start();
    let stages = [
        (Stage::Greeting, Stage::Greeting, 421, 554),
        (Stage::MailFrom, Stage::MailFrom, 451, 550),
        (Stage::RcptTo, Stage::RcptTo, 450, 550),
        (Stage::Data, Stage::Data, 451, 554),
        // The client reads the reply only after it has sent the complete message.
        (Stage::Body, Stage::EndOfData, 421, 554),
        (Stage::EndOfData, Stage::EndOfData, 451, 554),
    ];
    for (at, seen, soft, hard) in stages {
        receiver.set_behavior(Behavior::Reject4xx { at });
        assert_eq!(send_one_mail(&receiver), (soft, seen));
        receiver.set_behavior(Behavior::Reject5xx { at });
        assert_eq!(send_one_mail(&receiver), (hard, seen));
    }
    assert_eq!((receiver.mails().len(), receiver.session_count()), (0, 12));
    receiver.set_behavior(Behavior::Accept);
    assert_eq!(send_one_mail(&receiver), (250, Stage::EndOfData));
    assert_eq!((receiver.mails().len(), receiver.session_count()), (1, 13));
}

#[test]
fn closes_sessions_rejected_in_greeting_or_body() {
    let receiver = SmtpServer::start();
    receiver.set_behavior(Behavior::Reject4xx { at: Stage::Greeting });
    let mut client = Client::connect(&receiver);
    assert_eq!([client.read_reply(), client.read_reply()], [421, 0]);
    receiver.set_behavior(Behavior::Reject5xx { at: Stage::Greeting });
    let mut client = Client::connect(&receiver);
    assert_eq!(
        [client.read_reply(), client.command("EHLO test"), client.command("QUIT"), client.read_reply()],
        [554, 503, 221, 0]
    );
    receiver.set_behavior(Behavior::Reject5xx { at: Stage::Body });
    let mut client = Client::connect_and_greet(&receiver);
    // Also for short messages, and for the rest of long ones.
    for message in ["a: b\r\n".to_owned(), HELLO.repeat(100_000)] {
        let mut other = Client::connect_and_greet(&receiver);
        assert_eq!(other.send_mail(&message), (554, Stage::EndOfData));
        assert_eq!(other.read_reply(), 0);
    }
    for line in ["MAIL FROM:<a@test>", "RCPT TO:<b@test>", "DATA"] {
        assert!(client.command(line) < 400, "{line}");
    }
    client.send_raw("Subject: a\r\n\r\nThe third line\r\n");
    assert_eq!([client.read_reply(), client.read_reply()], [554, 0]);
}

#[test]
fn disconnects_at_every_stage() {
    let receiver = SmtpServer::start();
    let stages = [
        (Stage::Greeting, Stage::Greeting),
        (Stage::MailFrom, Stage::MailFrom),
        (Stage::RcptTo, Stage::RcptTo),
        (Stage::Data, Stage::Data),
        (Stage::Body, Stage::EndOfData),
        (Stage::EndOfData, Stage::EndOfData),
    ];
    for (at, seen) in stages {
        receiver.set_behavior(Behavior::Disconnect { at });
        assert_eq!(send_one_mail(&receiver), (0, seen));
    }
    assert!(receiver.mails().is_empty());
    receiver.set_behavior(Behavior::DisconnectAfterAccept);
    assert_eq!(send_one_mail(&receiver), (0, Stage::EndOfData));
    assert_eq!(receiver.mails().len(), 1);
}

#[test]
fn hangs_until_the_client_gives_up() {
    let receiver = SmtpServer::start();
    let mut hung = Vec::new();
    for at in [Stage::Greeting, Stage::MailFrom, Stage::RcptTo, Stage::Data, Stage::Body, Stage::EndOfData] {
        receiver.queue_behavior(1, Behavior::Hang { at });
        let mut client = Client::connect(&receiver);
        if at != Stage::Greeting {
            assert_eq!([client.read_reply(), client.command("EHLO test")], [220, 250]);
            let steps =
                [("MAIL FROM:<a@test>", Stage::MailFrom), ("RCPT TO:<b@test>", Stage::RcptTo), ("DATA", Stage::Data)];
            let reached = steps.iter().position(|(_, stage)| *stage == at);
            for (line, _) in &steps[..reached.unwrap_or(steps.len())] {
                assert!(client.command(line) < 400, "{line}");
            }
            client.send_raw(&reached.map_or(format!("{HELLO}.\r\n"), |reached| format!("{}\r\n", steps[reached].0)));
        }
        assert!(client.is_silent(), "{at:?}");
        hung.push(client);
    }
    // Other sessions are served meanwhile, and hung sessions stay silent.
    assert_eq!(send_one_mail(&receiver), (250, Stage::EndOfData));
    assert!(hung.iter_mut().all(Client::is_silent));
    assert_eq!(receiver.mails().len(), 1);
    drop(receiver);
    assert!(hung.iter_mut().all(|client| client.read_reply() == 0));
}

#[test]
fn queued_behaviors_apply_to_that_many_sessions() {
    let receiver = SmtpServer::start();
    receiver.queue_behavior(2, Behavior::Reject4xx { at: Stage::RcptTo });
    receiver.queue_behavior(1, Behavior::Disconnect { at: Stage::EndOfData });
    let first = [
        send_one_mail(&receiver).0,
        send_one_mail(&receiver).0,
        send_one_mail(&receiver).0,
        send_one_mail(&receiver).0,
    ];
    assert_eq!(first, [450, 450, 0, 250]);
    // `set_behavior` applies to open sessions and clears the queue.
    let mut open = Client::connect_and_greet(&receiver);
    receiver.queue_behavior(1, Behavior::Disconnect { at: Stage::Greeting });
    receiver.set_behavior(Behavior::Reject5xx { at: Stage::Data });
    assert_eq!([open.send_mail(HELLO).0, send_one_mail(&receiver).0], [554, 554]);
    receiver.set_behavior(Behavior::Accept);
    assert_eq!([open.command("RSET"), open.send_mail(HELLO).0], [250, 250]);
    assert_eq!((receiver.mails().len(), receiver.session_count()), (2, 6));
}

#[test]
fn can_stop_and_resume_listening() {
    let receiver = SmtpServer::start();
    let mut open = Client::connect_and_greet(&receiver);
    for line in ["MAIL FROM:<a@test>", "RCPT TO:<b@test>", "DATA"] {
        assert!(open.command(line) < 400, "{line}");
    }
    for _ in 0..3 {
        receiver.stop_listening();
        let refused = TcpStream::connect(receiver.address()).expect_err("nothing listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        receiver.resume_listening();
        receiver.resume_listening();
        assert_eq!(send_one_mail(&receiver), (250, Stage::EndOfData));
    }
    open.send_raw(HELLO);
    assert_eq!(open.command("."), 0);
    assert_eq!((receiver.mails().len(), receiver.session_count()), (3, 4));
    let address = receiver.address();
    drop(receiver);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn rejects_unknown_recipients() {
    let receiver = SmtpServer::start();
    receiver.reject_recipient("gone@test");
    receiver.reject_recipient("b@elsewhere");
    let mut client = Client::connect_and_greet(&receiver);
    let dialogue = [
        ("MAIL FROM:<a@test>", 250),
        ("RCPT TO:<Gone@test>", 550),
        ("RCPT TO:<b@elsewhere>", 550),
        ("DATA", 503),
        ("RCPT TO:<b@test>", 250),
        ("DATA", 354),
        ("Subject: a\r\n\r\nb\r\n.", 250),
    ];
    for (line, code) in dialogue {
        assert_eq!(client.command(line), code, "{line}");
    }
    assert_eq!(receiver.wait_for_mails(1, TIMEOUT)[0].to, ["b@test"]);
}

#[test]
fn waits_for_mail() {
    let receiver = SmtpServer::start();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            sleep(SHORT_WAIT);
            assert_eq!(send_one_mail(&receiver), (250, Stage::EndOfData));
        });
        assert_eq!(receiver.wait_for_mails(1, TIMEOUT).len(), 1);
    });
    let begun = Instant::now();
    let waiting = std::panic::AssertUnwindSafe(|| receiver.wait_for_mails(2, SHORT_WAIT));
    let failure = std::panic::catch_unwind(waiting).expect_err("only one mail arrived");
    let words = failure.downcast_ref::<String>().expect("words");
    assert!(words.starts_with("1 of 2 mails") && words.contains("Subject: hello"), "{words}");
    assert!(begun.elapsed() >= SHORT_WAIT);
    // The server still works after that.
    assert_eq!((send_one_mail(&receiver).0, receiver.mails().len()), (250, 2));
}

#[test]
fn decodes_headers() {
    let mail = received_mail(concat!(
        "From: =?UTF-8?Q?J=C3=B6rg_M=5F?= <a@test>\r\n",
        "subject: =?utf-8?B?R3LDvMOf?=\r\n =?UTF-8?q?e_=E2=82=AC?=\r\n\tand more =? =?x?= =?utf-8?Q?=FF?=\r\n",
        "Subject: not this\r\n",
        "X-Two: a\r\n  b\r\n",
        "X-Latin: =?iso-8859-1?Q?=E4?=\r\n",
        "\r\n",
        "X-Body: no\r\n",
    ));
    let header = |name| mail.header(name);
    assert_eq!(header("from").as_deref(), Some("Jörg M_ <a@test>"));
    assert_eq!(header("Subject").as_deref(), Some("Grüße €\tand more =? =?x?= =?utf-8?Q?=FF?="));
    assert_eq!(header("X-Two").as_deref(), Some("a  b"));
    assert_eq!(header("X-Latin").as_deref(), Some("=?iso-8859-1?Q?=E4?="));
    assert_eq!([header("X-Body"), header("Sub")], [None, None]);
    assert_eq!((mail.text().as_str(), mail.html().as_str()), ("X-Body: no\n", ""));
}

#[test]
fn decodes_parts() {
    let mail = received_mail(concat!(
        "Content-Type: multipart/mixed; boundary=out\r\n\r\nFor old readers.\r\n",
        "--out\r\nContent-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nan attachment\r\n",
        "--out\r\nContent-Type: Multipart/Alternative;\r\n charset=utf-8; Boundary=\"in=_ 1\"\r\n\r\n",
        "--in=_ 1\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
        "Gr=C3=BC=\r\n=C3=9Fe: 1 =3D 1, =+1 \r\n--in=_ 10\r\n\r\n",
        "See https://test/join?token=3Da-b_c=\r\nd. (Or http://[::1]:80/x=\r\n), <https://test/y>\r\n",
        "--in=_ 1 \r\nContent-Type: text/html\r\nContent-Transfer-Encoding: BASE64\r\n\r\n",
        "PGI+R3LDvMOf\r\nZTwvYj4NCg==\r\n",
        "--in=_ 1--\r\n\r\n--out--\r\nThe end.\r\n",
    ));
    let text =
        "Grüße: 1 = 1, =+1\n--in=_ 10\n\nSee https://test/join?token=a-b_cd. (Or http://[::1]:80/x), <https://test/y>";
    assert_eq!((mail.text().as_str(), mail.html().as_str()), (text, "<b>Grüße</b>\n"));
    assert_eq!(mail.links(), ["https://test/join?token=a-b_cd", "http://[::1]:80/x", "https://test/y"]);
}
