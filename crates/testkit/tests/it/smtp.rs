//! The mail server keeps what it says it took in, fails as it is told, and bends no rule of SMTP.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};
use testkit::smtp::{Behaviour, Received, Receiver, Stage};

const SOON: Duration = testkit::waiting::PATIENCE;
const A_MOMENT: Duration = Duration::from_millis(150);
const HELLO: &str = "Subject: hello\r\n\r\none\r\ntwo\r\nthree\r\n";

/// A client that says lines and hears answers.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(receiver: &Receiver) -> Self {
        let stream = TcpStream::connect(receiver.address()).expect("somebody listens");
        stream.set_read_timeout(Some(SOON)).expect("set");
        Self(BufReader::new(stream))
    }

    /// A client that was greeted, and has greeted.
    fn greeted(receiver: &Receiver) -> Self {
        let mut client = Self::connect(receiver);
        assert_eq!(client.hear(), 220);
        assert_eq!(client.say("EHLO test"), 250);
        client
    }

    fn send(&mut self, text: &str) {
        // The other side may be gone already.
        drop(self.0.get_mut().write_all(text.as_bytes()));
    }

    fn say(&mut self, line: &str) -> u16 {
        self.send(&format!("{line}\r\n"));
        self.hear()
    }

    /// The code of the next answer; 0 if the connection is closed instead.
    fn hear(&mut self) -> u16 {
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

    fn hears_nothing(&mut self) -> bool {
        self.0.get_mut().set_read_timeout(Some(A_MOMENT)).expect("set");
        let heard = self.0.read(&mut [0]);
        heard.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    /// Sends a message from `a@test` to `b@test`, whose dots are doubled already; the code it ended with, and where.
    fn mail(&mut self, message: &str) -> (u16, Stage) {
        let steps = [
            ("MAIL FROM:<a@test> BODY=8BITMIME", 250, Stage::MailFrom),
            ("RCPT TO:<b@test>", 250, Stage::RcptTo),
            ("DATA", 354, Stage::Data),
        ];
        for (line, good, stage) in steps {
            let code = self.say(line);
            if code != good {
                return (code, stage);
            }
        }
        self.send(message);
        (self.say("."), Stage::End)
    }
}

/// What a client meets that connects and sends a message.
fn meet(receiver: &Receiver) -> (u16, Stage) {
    let mut client = Client::connect(receiver);
    match client.hear() {
        220 => assert_eq!(client.say("EHLO test"), 250),
        code => return (code, Stage::Greeting),
    }
    client.mail(HELLO)
}

fn received(raw: &str) -> Received {
    let receiver = Receiver::start();
    assert_eq!(Client::greeted(&receiver).mail(raw), (250, Stage::End));
    receiver.wait_for(1, SOON).remove(0)
}

#[test]
fn keeps_what_it_takes_in() {
    let receiver = Receiver::start();
    assert_eq!(receiver.url(), format!("smtp://127.0.0.1:{}", receiver.address().port()));
    let mut client = Client::greeted(&receiver);
    assert_eq!(client.say("mail from:<>"), 250);
    assert_eq!(client.say("RCPT TO:<b@test>"), 250);
    assert_eq!(client.say("RCPT TO:<\"odd >one\"@test>"), 250);
    assert_eq!(client.say("DATA"), 354);
    client.send("Subject: first\r\n\r\n..\r\n..two\r\n. \r\n");
    assert_eq!(client.say("."), 250);
    assert_eq!(client.mail(HELLO), (250, Stage::End));
    assert_eq!(client.say("QUIT"), 221);
    assert_eq!(client.hear(), 0);
    let mails = receiver.wait_for(2, SOON);
    let first = Received {
        from: String::new(),
        to: vec!["b@test".to_owned(), "\"odd >one\"@test".to_owned()],
        raw: "Subject: first\r\n\r\n.\r\n.two\r\n \r\n".to_owned(),
    };
    assert_eq!(mails[0], first);
    assert_eq!((mails[1].from.as_str(), mails[1].raw.as_str()), ("a@test", HELLO));
    assert_eq!((receiver.mails(), receiver.sessions()), (mails, 1));
}

#[test]
fn wants_commands_in_their_order() {
    let receiver = Receiver::start();
    let mut client = Client::connect(&receiver);
    assert_eq!(client.hear(), 220);
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
        assert_eq!(client.say(line), code, "{line}");
    }
}

#[test]
fn refuses_messages_that_break_its_rules() {
    let receiver = Receiver::start();
    let mut client = Client::greeted(&receiver);
    let long = |length| format!("Subject: long\r\n\r\n{}\r\n", "x".repeat(length));
    assert_eq!(client.mail(&long(998)).0, 250);
    assert_eq!(client.mail(&long(999)).0, 554);
    assert_eq!(client.mail("Subject: a\n\r\n\r\n").0, 554);
    assert_eq!(client.mail("Subject: a\r\n\r\nb\rc\r\n").0, 554);
    // The dot behind a lone LF ends nothing.
    assert_eq!(client.mail("Subject: a\r\n\r\nb\n.\r\nMAIL FROM:<evil@test>\r\n").0, 554);
    assert_eq!(client.mail("Subject: ä\r\n\r\nb\r\n").0, 554);
    assert_eq!(client.mail("Subject: a\r\n\r\nä\r\n").0, 250);
    assert_eq!(client.say("MAIL FROM:<a@test>"), 250);
    assert_eq!(client.say("RCPT TO:<postmaster>"), 250);
    assert_eq!(client.say("DATA"), 354);
    client.send("Subject: a\r\n\r\nä\r\n");
    assert_eq!(client.say("."), 554);
    assert_eq!(receiver.mails().len(), 2);
}

#[test]
fn refuses_at_every_stage() {
    let receiver = Receiver::start();
    let stages = [
        (Stage::Greeting, Stage::Greeting, 421, 554),
        (Stage::MailFrom, Stage::MailFrom, 451, 550),
        (Stage::RcptTo, Stage::RcptTo, 450, 550),
        (Stage::Data, Stage::Data, 451, 554),
        // A client that sends it all before it looks.
        (Stage::Body, Stage::End, 421, 554),
        (Stage::End, Stage::End, 451, 554),
    ];
    for (at, seen, soft, hard) in stages {
        receiver.behave(Behaviour::Refuse4xx { at });
        assert_eq!(meet(&receiver), (soft, seen));
        receiver.behave(Behaviour::Refuse5xx { at });
        assert_eq!(meet(&receiver), (hard, seen));
    }
    assert_eq!((receiver.mails().len(), receiver.sessions()), (0, 12));
    receiver.behave(Behaviour::Accept);
    assert_eq!(meet(&receiver), (250, Stage::End));
    assert_eq!((receiver.mails().len(), receiver.sessions()), (1, 13));
}

#[test]
fn ends_the_session_that_it_refused_in_the_greeting_or_the_body() {
    let receiver = Receiver::start();
    receiver.behave(Behaviour::Refuse4xx { at: Stage::Greeting });
    let mut client = Client::connect(&receiver);
    assert_eq!([client.hear(), client.hear()], [421, 0]);
    receiver.behave(Behaviour::Refuse5xx { at: Stage::Greeting });
    let mut client = Client::connect(&receiver);
    assert_eq!(
        [client.hear(), client.say("EHLO test"), client.say("QUIT"), client.hear()],
        [554, 503, 221, 0]
    );
    receiver.behave(Behaviour::Refuse5xx { at: Stage::Body });
    let mut client = Client::greeted(&receiver);
    // Also if the message is short, and however much of a long one still comes.
    for message in ["a: b\r\n".to_owned(), HELLO.repeat(100_000)] {
        let mut other = Client::greeted(&receiver);
        assert_eq!(other.mail(&message), (554, Stage::End));
        assert_eq!(other.hear(), 0);
    }
    for line in ["MAIL FROM:<a@test>", "RCPT TO:<b@test>", "DATA"] {
        assert!(client.say(line) < 400, "{line}");
    }
    client.send("Subject: a\r\n\r\nThe third line\r\n");
    assert_eq!([client.hear(), client.hear()], [554, 0]);
}

#[test]
fn cuts_at_every_stage() {
    let receiver = Receiver::start();
    let stages = [
        (Stage::Greeting, Stage::Greeting),
        (Stage::MailFrom, Stage::MailFrom),
        (Stage::RcptTo, Stage::RcptTo),
        (Stage::Data, Stage::Data),
        (Stage::Body, Stage::End),
        (Stage::End, Stage::End),
    ];
    for (at, seen) in stages {
        receiver.behave(Behaviour::Cut { at });
        assert_eq!(meet(&receiver), (0, seen));
    }
    assert!(receiver.mails().is_empty());
    receiver.behave(Behaviour::CutAfterTaking);
    assert_eq!(meet(&receiver), (0, Stage::End));
    assert_eq!(receiver.mails().len(), 1);
}

#[test]
fn hangs_until_the_client_gives_up() {
    let receiver = Receiver::start();
    let mut hung = Vec::new();
    for at in [Stage::Greeting, Stage::MailFrom, Stage::RcptTo, Stage::Data, Stage::Body, Stage::End] {
        receiver.behave_next(1, Behaviour::Hang { at });
        let mut client = Client::connect(&receiver);
        if at != Stage::Greeting {
            assert_eq!([client.hear(), client.say("EHLO test")], [220, 250]);
            let steps = [
                ("MAIL FROM:<a@test>", Stage::MailFrom),
                ("RCPT TO:<b@test>", Stage::RcptTo),
                ("DATA", Stage::Data),
            ];
            let reached = steps.iter().position(|(_, stage)| *stage == at);
            for (line, _) in &steps[..reached.unwrap_or(steps.len())] {
                assert!(client.say(line) < 400, "{line}");
            }
            client.send(
                &reached.map_or(format!("{HELLO}.\r\n"), |reached| format!("{}\r\n", steps[reached].0)),
            );
        }
        assert!(client.hears_nothing(), "{at:?}");
        hung.push(client);
    }
    // Others are served meanwhile, and none of those comes back to life.
    assert_eq!(meet(&receiver), (250, Stage::End));
    assert!(hung.iter_mut().all(Client::hears_nothing));
    assert_eq!(receiver.mails().len(), 1);
    drop(receiver);
    assert!(hung.iter_mut().all(|client| client.hear() == 0));
}

#[test]
fn fails_for_as_many_sessions_as_it_is_told() {
    let receiver = Receiver::start();
    receiver.behave_next(2, Behaviour::Refuse4xx { at: Stage::RcptTo });
    receiver.behave_next(1, Behaviour::Cut { at: Stage::End });
    let first = [meet(&receiver).0, meet(&receiver).0, meet(&receiver).0, meet(&receiver).0];
    assert_eq!(first, [450, 450, 0, 250]);
    // What is said of all is heard by open sessions too, and ends what was said of the next.
    let mut open = Client::greeted(&receiver);
    receiver.behave_next(1, Behaviour::Cut { at: Stage::Greeting });
    receiver.behave(Behaviour::Refuse5xx { at: Stage::Data });
    assert_eq!([open.mail(HELLO).0, meet(&receiver).0], [554, 554]);
    receiver.behave(Behaviour::Accept);
    assert_eq!([open.say("RSET"), open.mail(HELLO).0], [250, 250]);
    assert_eq!((receiver.mails().len(), receiver.sessions()), (2, 6));
}

#[test]
fn is_down_for_a_while() {
    let receiver = Receiver::start();
    let mut open = Client::greeted(&receiver);
    for line in ["MAIL FROM:<a@test>", "RCPT TO:<b@test>", "DATA"] {
        assert!(open.say(line) < 400, "{line}");
    }
    for _ in 0..3 {
        receiver.stop_listening();
        let refused = TcpStream::connect(receiver.address()).expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        receiver.listen_again();
        receiver.listen_again();
        assert_eq!(meet(&receiver), (250, Stage::End));
    }
    open.send(HELLO);
    assert_eq!(open.say("."), 0);
    assert_eq!((receiver.mails().len(), receiver.sessions()), (3, 4));
    let address = receiver.address();
    drop(receiver);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn knows_nobody_at_some_addresses() {
    let receiver = Receiver::start();
    receiver.rejecting("gone@test");
    receiver.rejecting("b@elsewhere");
    let mut client = Client::greeted(&receiver);
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
        assert_eq!(client.say(line), code, "{line}");
    }
    assert_eq!(receiver.wait_for(1, SOON)[0].to, ["b@test"]);
}

#[test]
fn waits_for_mail() {
    let receiver = Receiver::start();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            sleep(A_MOMENT);
            assert_eq!(meet(&receiver), (250, Stage::End));
        });
        assert_eq!(receiver.wait_for(1, SOON).len(), 1);
    });
    let begun = Instant::now();
    let waiting = std::panic::AssertUnwindSafe(|| receiver.wait_for(2, A_MOMENT));
    let failure = std::panic::catch_unwind(waiting).expect_err("there is one only");
    let words = failure.downcast_ref::<String>().expect("words");
    assert!(words.starts_with("1 of 2 mails") && words.contains("Subject: hello"), "{words}");
    assert!(begun.elapsed() >= A_MOMENT);
    // It goes on after that.
    assert_eq!((meet(&receiver).0, receiver.mails().len()), (250, 2));
}

#[test]
fn decodes_headers() {
    let mail = received(concat!(
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
    let mail = received(concat!(
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
    let text = "Grüße: 1 = 1, =+1\n--in=_ 10\n\nSee https://test/join?token=a-b_cd. (Or http://[::1]:80/x), <https://test/y>";
    assert_eq!((mail.text().as_str(), mail.html().as_str()), (text, "<b>Grüße</b>\n"));
    assert_eq!(mail.links(), ["https://test/join?token=a-b_cd", "http://[::1]:80/x", "https://test/y"]);
}
