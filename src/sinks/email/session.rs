//! A session with an SMTP server: commands and answers, in the clear or over TLS.
//!
//! What the server sent before TLS began is never read as an answer given over TLS: a man in the
//! middle may have added it (RFC 3207, CVE-2011-0411). A session with such bytes is broken off.

use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::sinks::stream::TimedStream;

/// First digits of the codes of a server that has done what it was asked, and of one that waits for
/// more.
pub const DONE: u16 = 2;
pub const GO_ON: u16 = 3;
/// Maximum length of an answer and of one of its lines, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
const MAX_LINE: u64 = 4096;

/// A server's answer, such as `250 2.0.0 queued as 4F2A`.
#[derive(Debug)]
pub struct Reply {
    pub code: u16,
    lines: Vec<String>,
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {}", self.code, self.lines.join(" "))
    }
}

/// The reason why a step failed.
#[derive(Debug)]
pub enum Trouble {
    /// The server answered something else than was wanted.
    Reply(Reply),
    /// The connection failed.
    Broken(io::Error),
    /// The server does not speak SMTP, or cannot do what is asked of it.
    Unfit(String),
}

impl Trouble {
    /// Leaves out the server's words, which may repeat the login in any form; keeps the codes.
    fn without_words(self) -> Self {
        let Self::Reply(Reply { code, lines }) = self else {
            return match self {
                Self::Unfit(_) => {
                    Self::Unfit("the server does not answer the login as SMTP has it".to_owned())
                }
                broken => broken,
            };
        };
        let words = lines.first().map_or("", String::as_str);
        let enhanced = words.split(' ').next().unwrap_or_default();
        let is_code = enhanced.len() <= 10
            && enhanced.split('.').count() == 3
            && enhanced.bytes().all(|c| c.is_ascii_digit() || c == b'.');
        let said = if is_code { enhanced } else { "" };
        Self::Reply(Reply {
            code,
            lines: vec![
                format!("{said} the server refuses the login")
                    .trim_start()
                    .to_owned(),
            ],
        })
    }

    /// Returns true if the server will never take it.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Reply(answer) if (500..600).contains(&answer.code))
    }

    /// Returns true if the server may take it later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Reply(answer) if (400..500).contains(&answer.code))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let text = match self {
            Self::Reply(answer) => answer.to_string(),
            Self::Unfit(why) => why.clone(),
            Self::Broken(why) => match why.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => "no answer in time".to_owned(),
                // rustls's own text is long.
                ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
                _ => why.to_string(),
            },
        };
        f.write_str(&text)
    }
}

impl From<io::Error> for Trouble {
    fn from(why: io::Error) -> Self {
        Self::Broken(why)
    }
}

/// The connection.
enum Channel {
    Plain(TimedStream),
    Tls(Box<StreamOwned<ClientConnection, TimedStream>>),
}

impl Channel {
    fn stream(&mut self) -> &mut TimedStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => &mut tls.sock,
        }
    }
}

impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Channel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

/// How TLS is spoken: whom it trusts, and the name of the server.
pub type Tls = (Arc<ClientConfig>, ServerName<'static>);

/// A session in which the server has been greeted.
pub struct Session {
    channel: BufReader<Channel>,
    /// Words of the answer to EHLO: an extension a line.
    extensions: Vec<String>,
    /// Maximum time for each step.
    patience: Duration,
}

impl Session {
    /// Waits for the server's greeting, and greets it as `hello`. With `tls`, all of it is
    /// encrypted.
    pub fn begin(
        stream: TimedStream,
        tls: Option<&Tls>,
        hello: &str,
        patience: Duration,
    ) -> Result<Self, Trouble> {
        let channel = match tls {
            Some(tls) => encrypted(stream, tls)?,
            None => Channel::Plain(stream),
        };
        let mut session = Self {
            channel: BufReader::new(channel),
            extensions: Vec::new(),
            patience,
        };
        session.answer(DONE)?;
        session.greet(hello)?;
        Ok(session)
    }

    /// Returns true if the server has this extension.
    pub fn offers(&self, extension: &str) -> bool {
        let first = |line: &String| line.split(' ').next().is_some_and(|it| it == extension);
        self.extensions.iter().any(first)
    }

    /// Encrypts what follows, and greets the server anew: what it said before does not count.
    pub fn starttls(self, tls: &Tls, hello: &str) -> Result<Self, Trouble> {
        let Self {
            channel, patience, ..
        } = self.asked("STARTTLS", DONE)?;
        if !channel.buffer().is_empty() {
            let why = "the server, or somebody in between, answered before encryption began";
            return Err(Trouble::Unfit(why.to_owned()));
        }
        let Channel::Plain(mut stream) = channel.into_inner() else {
            return Err(Trouble::Unfit("it is encrypted already".to_owned()));
        };
        stream.give(patience);
        let mut session = Self {
            channel: BufReader::new(encrypted(stream, tls)?),
            extensions: Vec::new(),
            patience,
        };
        session.greet(hello)?;
        Ok(session)
    }

    /// Logs in.
    pub fn log_in(&mut self, username: &str, password: &str) -> Result<(), Trouble> {
        let mechanism = |name: &str| {
            self.extensions.iter().any(|line| {
                let mut words = line.split([' ', '=']);
                words.next() == Some("AUTH") && words.any(|word| word == name)
            })
        };
        let done = if mechanism("PLAIN") {
            let login = BASE64.encode(format!("\0{username}\0{password}"));
            self.ask(&format!("AUTH PLAIN {login}"), DONE)
        } else if mechanism("LOGIN") {
            self.ask("AUTH LOGIN", GO_ON)
                .and_then(|_| self.ask(&BASE64.encode(username), GO_ON))
                .and_then(|_| self.ask(&BASE64.encode(password), DONE))
        } else {
            let why = "the server offers no login by PLAIN or LOGIN";
            return Err(Trouble::Unfit(why.to_owned()));
        };
        done.map(drop).map_err(Trouble::without_words)
    }

    /// Sends a command, and wants an answer whose code begins with this digit.
    pub fn ask(&mut self, command: &str, wanted: u16) -> Result<Reply, Trouble> {
        self.write(format!("{command}\r\n").as_bytes(), self.patience)?;
        self.answer(wanted)
    }

    /// Sends a message after DATA, and waits this long for the answer to it.
    pub fn send(&mut self, message: &[u8], patience: Duration) -> Result<Reply, Trouble> {
        self.write(&stuffed(message), patience)?;
        self.answer(DONE)
    }

    /// Ends the session. The message does not depend on this.
    pub fn leave(mut self, patience: Duration) {
        self.patience = patience;
        let _ = self.ask("QUIT", DONE);
    }

    /// Does the same as [`Session::ask`]. The session is gone if it fails.
    fn asked(mut self, command: &str, wanted: u16) -> Result<Self, Trouble> {
        self.ask(command, wanted)?;
        Ok(self)
    }

    fn greet(&mut self, hello: &str) -> Result<(), Trouble> {
        let answer = self.ask(&format!("EHLO {hello}"), DONE)?;
        let extensions = answer.lines.into_iter().skip(1);
        self.extensions = extensions.map(|line| line.to_ascii_uppercase()).collect();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], patience: Duration) -> io::Result<()> {
        let channel = self.channel.get_mut();
        channel.stream().give(patience);
        channel.write_all(bytes)?;
        channel.flush()
    }

    fn answer(&mut self, wanted: u16) -> Result<Reply, Trouble> {
        let reply = read_reply(&mut self.channel)?;
        if reply.code / 100 == wanted {
            Ok(reply)
        } else {
            Err(Trouble::Reply(reply))
        }
    }
}

/// Reads an answer (RFC 5321 §4.2): lines `250-…`, the last one `250 …`.
fn read_reply(channel: &mut impl BufRead) -> Result<Reply, Trouble> {
    let unfit = |line: &[u8]| {
        let line = String::from_utf8_lossy(line.get(..100).unwrap_or(line));
        Trouble::Unfit(format!("this is no answer of SMTP: {line:?}"))
    };
    let (mut lines, mut length) = (Vec::new(), 0);
    loop {
        let mut line = Vec::new();
        channel.take(MAX_LINE).read_until(b'\n', &mut line)?;
        length += line.len();
        if line.is_empty() {
            return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
        }
        if line.last() != Some(&b'\n') || length > MAX_ANSWER {
            return Err(unfit(&line));
        }
        let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
        let (code, rest) = text.split_at_checked(3).unwrap_or_default();
        let Some(code) = code.parse().ok().filter(|code| (200..600).contains(code)) else {
            return Err(unfit(&line));
        };
        lines.push(rest.get(1..).unwrap_or_default().to_owned());
        match rest.bytes().next() {
            Some(b'-') => {}
            Some(b' ') | None => return Ok(Reply { code, lines }),
            Some(_) => return Err(unfit(&line)),
        }
    }
}

fn encrypted(mut stream: TimedStream, (config, name): &Tls) -> Result<Channel, Trouble> {
    let mut tls = ClientConnection::new(Arc::clone(config), name.clone())
        .map_err(|why| Trouble::Unfit(why.to_string()))?;
    while tls.is_handshaking() {
        tls.complete_io(&mut stream)?;
    }
    Ok(Channel::Tls(Box::new(StreamOwned::new(tls, stream))))
}

/// Returns a message as it follows DATA: lines end in CR LF, a dot at the beginning of a line is
/// doubled, and a line with a dot alone ends it. No server takes a part of it for that end,
/// whatever it takes for the end of a line.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(message.len() + 16);
    let mut last = b'\n';
    for &byte in message {
        if last == b'\r' && byte != b'\n' {
            stuffed.push(b'\n');
            last = b'\n';
        }
        match byte {
            b'.' if last == b'\n' => stuffed.push(b'.'),
            b'\n' if last != b'\r' => stuffed.push(b'\r'),
            _ => {}
        }
        stuffed.push(byte);
        last = byte;
    }
    stuffed.extend(match last {
        b'\n' => &b".\r\n"[..],
        b'\r' => b"\n.\r\n",
        _ => b"\r\n.\r\n",
    });
    stuffed
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::{MAX_ANSWER, MAX_LINE, read_reply, stuffed};

    fn reply(said: &[u8]) -> Result<String, String> {
        let reply = read_reply(&mut Cursor::new(said));
        reply
            .map(|it| it.to_string())
            .map_err(|why| why.to_string())
    }

    #[test]
    fn an_answer_has_one_line_or_more_and_never_too_many() {
        assert_eq!(reply(b"250 ok\r\n250 more"), Ok("250 ok".to_owned()));
        assert_eq!(reply(b"250-mx\r\n250-A\n250\n"), Ok("250 mx A ".to_owned()));
        assert_eq!(
            reply(b""),
            Err("the server closed the connection".to_owned())
        );
        assert_eq!(
            reply(b"250-mx\r\n"),
            Err("the server closed the connection".to_owned())
        );
        let endless = "250-mx\r\n".repeat(MAX_ANSWER);
        let long = "2".repeat(1 << 20);
        for odd in [
            "25\r\n",
            "999 x\r\n",
            "250",
            "250_x\r\n",
            "\u{e9}50 x\n",
            &endless,
            &long,
        ] {
            let why = reply(odd.as_bytes()).unwrap_err();
            assert!(why.starts_with("this is no answer of SMTP: "), "{why}");
        }
        assert!(u64::try_from(MAX_ANSWER).unwrap() > MAX_LINE);
    }

    proptest! {
        #[test]
        fn whatever_a_server_says_is_an_answer_or_an_error(said in "[2-5]{0,3}[ -]?(?s).{0,200}", bytes: Vec<u8>) {
            for said in [said.as_bytes(), &bytes] {
                let shown = reply(said).unwrap_or_else(|why| why);
                prop_assert!(shown.len() < 4 * MAX_ANSWER);
            }
        }

        #[test]
        fn no_message_ends_before_its_end(message in "(?s)[.\r\nab]{0,40}") {
            let sent = String::from_utf8(stuffed(message.as_bytes())).unwrap();
            let lines: Vec<&str> = sent.split(['\r', '\n']).collect();
            prop_assert_eq!(lines.iter().filter(|line| **line == ".").count(), 1);
            prop_assert!(sent == ".\r\n" || sent.ends_with("\r\n.\r\n"));
        }
    }

    #[test]
    fn no_line_of_a_message_ends_it() {
        for (message, sent) in [
            ("a\r\n", "a\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            ("a\r", "a\r\n.\r\n"),
            ("", ".\r\n"),
            ("a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n"),
            (".\n.\nb\r.\r\n", "..\r\n..\r\nb\r\n..\r\n.\r\n"),
            ("\r\r\n..x", "\r\n\r\n...x\r\n.\r\n"),
        ] {
            let found = String::from_utf8(stuffed(message.as_bytes())).unwrap();
            assert_eq!(found, sent, "{message:?}");
        }
    }
}
