//! Asks systemd's manager for properties of its units, over its private socket, as `systemctl` does
//! for root.
//!
//! It takes a millisecond and no process. The wire format is the [D-Bus
//! Specification](https://dbus.freedesktop.org/doc/dbus-specification.html)'s; the objects are
//! those of org.freedesktop.systemd1(5). A manager that does not answer in time counts as none.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::host::Host;

/// The socket on which the manager listens, for root only.
const SOCKET: &str = "/run/systemd/private";
/// Maximum size of an answer, in bytes.
const MAX_MESSAGE: usize = 256 * 1024;
/// The interface for the properties of every object.
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// A property's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number, or a truth value as 0 or 1.
    Number(u64),
    Text(String),
    Texts(Vec<String>),
    /// A job's number; its object is left out.
    Job(u32, String),
    Commands(Vec<RunCommand>),
}

/// A command of a unit, and how it ended last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunCommand {
    pub program: String,
    /// Its arguments, the program's name first.
    pub arguments: Vec<String>,
    /// A failure does not count.
    pub ignores_failure: bool,
    /// How it ended, as waitid(2) has it: 1 by itself, with this status as its exit code; 2 or 3
    /// by this signal; 0 if it has not ended.
    pub code: u32,
    pub status: u32,
}

/// A conversation with the manager.
pub struct Manager {
    stream: UnixStream,
    until: Instant,
    serial: u32,
}

impl Manager {
    /// Connects to the manager of this machine. The whole conversation may take `patience`.
    ///
    /// # Errors
    /// If there is none, it only accepts root, or it does not answer in time.
    pub fn reach(host: &Host, patience: Duration) -> io::Result<Self> {
        let until = Instant::now() + patience;
        // If the manager's queue is full, connect(2) would wait for ever.
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect(&socket, &SocketAddrUnix::new(host.path(SOCKET))?)?;
        let stream = UnixStream::from(socket);
        stream.set_nonblocking(false)?;
        let mut manager = Self {
            stream,
            until,
            serial: 0,
        };
        let uid = rustix::process::geteuid().as_raw().to_string();
        let uid: Vec<_> = uid.bytes().map(|digit| format!("{digit:02x}")).collect();
        manager.send(format!("\0AUTH EXTERNAL {}\r\nBEGIN\r\n", uid.concat()).as_bytes())?;
        manager.read_welcome()?;
        Ok(manager)
    }

    /// Asks for properties, each by its object, interface and name. One that the object does not
    /// have is `None`.
    ///
    /// # Errors
    /// If the manager does not answer in time, or not in D-Bus.
    pub fn get(&mut self, wanted: &[(&str, &str, &str)]) -> io::Result<Vec<Option<Value>>> {
        let first = self.serial + 1;
        let mut calls = Vec::new();
        for (object, interface, name) in wanted {
            self.serial += 1;
            calls.extend(call(self.serial, object, interface, name));
        }
        self.send(&calls)?;
        let mut values = vec![None; wanted.len()];
        let mut missing = wanted.len();
        while missing > 0 {
            let message = self.receive()?;
            let place = reply_to(&message)
                .and_then(|serial| usize::try_from(serial.checked_sub(first)?).ok());
            // A signal, or another message that we have not asked for.
            let Some(value) = place.and_then(|place| values.get_mut(place)) else {
                continue;
            };
            *value = answer(&message);
            missing -= 1;
        }
        Ok(values)
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err(ErrorKind::TimedOut.into())
        } else {
            Ok(left)
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write_all(bytes)
    }

    fn fill(&mut self, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            self.stream.set_read_timeout(Some(self.left()?))?;
            match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => buffer = buffer.get_mut(read..).unwrap_or_default(),
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) if why.kind() == ErrorKind::WouldBlock => {
                    return Err(ErrorKind::TimedOut.into());
                }
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }

    fn read_welcome(&mut self) -> io::Result<()> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") && line.len() < 256 {
            let mut byte = [0];
            self.fill(&mut byte)?;
            line.extend(byte);
        }
        if line.starts_with(b"OK ") {
            Ok(())
        } else {
            Err(ErrorKind::PermissionDenied.into())
        }
    }

    /// Reads one message: its header and its body.
    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let strange = || io::Error::new(ErrorKind::InvalidData, "this is no D-Bus message");
        let mut message = vec![0; 16];
        self.fill(&mut message)?;
        let number = |at| {
            Wire::at(&message, at)
                .u32()
                .and_then(|number| usize::try_from(number).ok())
        };
        let (body, fields) = (
            number(4).ok_or_else(strange)?,
            number(12).ok_or_else(strange)?,
        );
        if message.first() != Some(&b'l') || body > MAX_MESSAGE || fields > MAX_MESSAGE {
            return Err(strange());
        }
        let length = (16 + fields).next_multiple_of(8) + body;
        message.resize(length, 0);
        self.fill(message.get_mut(16..).unwrap_or_default())?;
        Ok(message)
    }
}

/// Returns a call of `Get`. It is little endian on every machine.
fn call(serial: u32, object: &str, interface: &str, name: &str) -> Vec<u8> {
    let mut body = Vec::new();
    put_text(&mut body, interface);
    put_text(&mut body, name);
    let mut fields = Vec::new();
    for (code, kind, text) in [(1, b'o', object), (2, b's', PROPERTIES), (3, b's', "Get")] {
        pad(&mut fields, 8);
        fields.extend([code, 1, kind, 0]);
        put_text(&mut fields, text);
    }
    pad(&mut fields, 8);
    fields.extend([8, 1, b'g', 0, 2, b's', b's', 0]);
    let mut message = vec![b'l', 1, 0, 1];
    for number in [length_of(&body), serial, length_of(&fields)] {
        message.extend(number.to_le_bytes());
    }
    message.extend(fields);
    pad(&mut message, 8);
    message.extend(body);
    message
}

fn length_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or_default()
}

fn pad(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    pad(bytes, 4);
    bytes.extend(length_of(text.as_bytes()).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes.push(0);
}

/// Returns the number of the call that a message answers.
fn reply_to(message: &[u8]) -> Option<u32> {
    let end = 16 + usize::try_from(Wire::at(message, 12).u32()?).ok()?;
    let mut wire = Wire::at(message, 16);
    while wire.at < end {
        wire.align(8);
        let code = wire.byte()?;
        match (wire.signature()?, code) {
            (b"u", 5) => return wire.u32(),
            (b"u", _) => drop(wire.u32()?),
            (b"s" | b"o", _) => drop(wire.text()?),
            (b"g", _) => drop(wire.signature()?),
            _ => return None,
        }
    }
    None
}

/// Returns the value in an answer; `None` if it is an error, or of a type that is not needed.
fn answer(message: &[u8]) -> Option<Value> {
    const RETURN: u8 = 2;
    if message.get(1) != Some(&RETURN) {
        return None;
    }
    let fields = usize::try_from(Wire::at(message, 12).u32()?).ok()?;
    let mut wire = Wire::at(message, (16 + fields).next_multiple_of(8));
    Some(match wire.signature()? {
        b"u" | b"b" | b"i" => Value::Number(wire.u32()?.into()),
        b"t" => Value::Number(wire.u64()?),
        b"s" | b"o" => Value::Text(wire.text()?),
        b"(uo)" => {
            wire.align(8);
            Value::Job(wire.u32()?, wire.text()?)
        }
        b"as" => Value::Texts(wire.texts()?),
        b"a(sasbttttuii)" => {
            let length = usize::try_from(wire.u32()?).ok()?;
            wire.align(8);
            let end = wire.at.checked_add(length)?;
            let mut commands = Vec::new();
            while wire.at < end {
                commands.push(wire.command()?);
            }
            Value::Commands(commands)
        }
        _ => return None,
    })
}

/// Reads one value after the other from bytes.
struct Wire<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Wire<'a> {
    fn at(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let bytes = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u32(&mut self) -> Option<u32> {
        self.align(4);
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        self.align(8);
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.u32()?).ok()?;
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.byte()?;
        Some(text)
    }

    fn texts(&mut self) -> Option<Vec<String>> {
        let length = usize::try_from(self.u32()?).ok()?;
        let end = self.at.checked_add(length)?;
        let mut texts = Vec::new();
        while self.at < end {
            texts.push(self.text()?);
        }
        Some(texts)
    }

    /// Reads a command: its words, a flag, four times, a pid, and how it ended.
    fn command(&mut self) -> Option<RunCommand> {
        self.align(8);
        let program = self.text()?;
        let arguments = self.texts()?;
        let ignores_failure = self.u32()? != 0;
        for _ in 0..4 {
            self.u64()?;
        }
        let (_pid, code, status) = (self.u32()?, self.u32()?, self.u32()?);
        Some(RunCommand {
            program,
            arguments,
            ignores_failure,
            code,
            status,
        })
    }

    fn signature(&mut self) -> Option<&'a [u8]> {
        let length = self.byte()?;
        let signature = self.take(length.into())?;
        self.byte()?;
        Some(signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer to call 7, with this variant in it.
    fn reply(signature: &[u8], value: &[u8]) -> Vec<u8> {
        let mut message = vec![
            b'l', 2, 1, 1, 0, 0, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0, 5, 1, b'u', 0, 7, 0, 0, 0,
        ];
        message.push(u8::try_from(signature.len()).unwrap());
        message.extend(signature);
        message.push(0);
        message.extend(value);
        message
    }

    fn job() -> Vec<u8> {
        // From the 6th byte of the body, which is aligned to 8.
        reply(b"(uo)", &[0, 0, 0xca, 0, 0, 0, 2, 0, 0, 0, b'/', b'x', 0])
    }

    /// One command, after 14 bytes of the signature in the body.
    fn commands() -> Vec<u8> {
        let mut body = vec![0; 16];
        let put = |body: &mut Vec<u8>, number: u32| {
            pad(body, 4);
            body.extend(number.to_le_bytes());
        };
        put(&mut body, 0);
        pad(&mut body, 8);
        let begin = body.len();
        put_text(&mut body, "/x");
        put(&mut body, 15);
        let words = body.len();
        put_text(&mut body, "x");
        put_text(&mut body, "-v");
        assert_eq!(body.len() - words, 15);
        put(&mut body, 1);
        pad(&mut body, 8);
        body.extend([0; 32]);
        for number in [42, 1, 3] {
            put(&mut body, number);
        }
        let length = u32::try_from(body.len() - begin).unwrap();
        body[16..20].copy_from_slice(&length.to_le_bytes());
        // The signature takes the first bytes: its length, its 14 letters, and a NUL.
        body.split_off(16)
    }

    #[test]
    fn values_are_read_from_the_answers() {
        assert_eq!(
            (reply_to(&job()), answer(&job())),
            (Some(7), Some(Value::Job(202, "/x".into())))
        );
        assert_eq!(
            answer(&reply(b"u", &[0, 42, 0, 0, 0])),
            Some(Value::Number(42))
        );
        assert_eq!(
            answer(&reply(b"s", &[0, 2, 0, 0, 0, b'a', b'b', 0])),
            Some(Value::Text("ab".into()))
        );
        assert_eq!(
            answer(&reply(b"a(sasbttttuii)", &[0; 12])),
            Some(Value::Commands(Vec::new()))
        );
        assert_eq!(
            answer(&reply(b"a(sasbttttuii)", &commands())),
            Some(Value::Commands(vec![RunCommand {
                program: "/x".into(),
                arguments: vec!["x".into(), "-v".into()],
                ignores_failure: true,
                code: 1,
                status: 3,
            }]))
        );
        assert_eq!(
            answer(&reply(b"d", &[0; 16])),
            None,
            "a type that nobody asks for"
        );
    }

    #[test]
    fn what_is_no_message_is_no_answer() {
        for length in 0..job().len() {
            assert_eq!(answer(&job()[..length]), None);
            let _ = reply_to(&job()[..length]);
        }
        for at in 0..job().len() {
            let mut broken = job();
            broken[at] = 0xff;
            let _ = (answer(&broken), reply_to(&broken));
        }
    }

    #[test]
    fn nobody_waits_for_a_manager_that_is_not_there_or_does_not_answer() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new(root.path(), root.path());
        assert!(Manager::reach(&host, Duration::from_mins(1)).is_err());
        let socket = root.path().join("run/systemd/private");
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let why = Manager::reach(&host, Duration::from_millis(20))
            .err()
            .unwrap();
        assert_eq!(why.kind(), ErrorKind::TimedOut);
    }
}
