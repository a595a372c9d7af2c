//! A TCP connection that never waits for long.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::net::sockopt::set_tcp_user_timeout;

/// Returns the addresses of a server.
///
/// # Errors
/// If it has none.
pub fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>> {
    let found: Vec<_> = (host, port)
        .to_socket_addrs()
        .with_context(|| format!("cannot resolve {host}"))?
        .collect();
    ensure!(!found.is_empty(), "{host} has no address");
    Ok(found)
}

/// A connection with one time limit for all reads and writes together. A read or a write after that
/// fails as one that would block.
pub struct TimedStream {
    stream: TcpStream,
    until: Instant,
}

impl TimedStream {
    /// Connects within this time; what follows has the same time again.
    ///
    /// # Errors
    /// If no address of the server takes the connection.
    pub fn connect(host: &str, port: u16, patience: Duration) -> Result<Self> {
        let addresses = resolve(host, port)?;
        let until = Instant::now() + patience;
        let mut last = anyhow!("no address");
        for to in addresses {
            let left = until
                .saturating_duration_since(Instant::now())
                .max(Duration::from_millis(1));
            match TcpStream::connect_timeout(&to, left) {
                Ok(stream) => {
                    let until = Instant::now() + patience;
                    return Ok(Self { stream, until });
                }
                Err(why) => last = anyhow!(why).context(format!("cannot connect to {to}")),
            }
        }
        Err(last)
    }

    /// Breaks the connection if the peer's TCP does not acknowledge bytes within this time.
    pub fn want_acknowledgement(&self, within: Duration) {
        let millis = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
        let _ = set_tcp_user_timeout(&self.stream, millis);
    }

    /// Starts the time limit anew.
    pub fn give(&mut self, time: Duration) {
        self.until = Instant::now() + time;
    }

    /// Closes our side.
    pub fn close(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err(ErrorKind::WouldBlock.into())
        } else {
            Ok(left)
        }
    }
}

impl Read for TimedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for TimedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
