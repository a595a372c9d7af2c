//! Where a record goes, and how it gets there: every wait has an end, a slow resolver's excepted.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::net::sockopt::set_tcp_user_timeout;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_platform_verifier::Verifier;
use serde::Deserialize;

use crate::host::Host;
use crate::sinks::{Receipt, SendError};

/// How long connecting and writing may take, each.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the peer's TCP may leave bytes unacknowledged, in milliseconds.
const UNACKNOWLEDGED: u32 = 5000;
/// How long the peer may take to close after us. Longer than [`UNACKNOWLEDGED`]: if it ends, the peer has every byte.
const CLOSING: Duration = Duration::from_secs(6);
/// How long a host may take to say that nobody listens to its UDP port.
const REFUSAL: Duration = Duration::from_millis(200);

/// Where records go.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub enum Address {
    Unix(PathBuf),
    Udp(Server),
    Tcp(Server),
    Tls(Server),
}

#[derive(Debug, PartialEq)]
pub struct Server {
    host: String,
    port: u16,
}

impl Default for Address {
    fn default() -> Self {
        Self::Unix("/dev/log".into())
    }
}

impl TryFrom<String> for Address {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let parsed = if let Some(path) = text.strip_prefix("unix:") {
            path.starts_with('/').then(|| Self::Unix(path.into()))
        } else {
            text.split_once("://").and_then(|(scheme, rest)| match scheme {
                "udp" => Server::parse(rest, 514).map(Self::Udp),
                "tcp" => Server::parse(rest, 601).map(Self::Tcp),
                "tls" => Server::parse(rest, 6514).map(Self::Tls),
                _ => None,
            })
        };
        parsed.ok_or_else(|| {
            format!("expected unix:/path, udp://host:port, tcp://host:port or tls://host:port, found {text:?}")
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (scheme, server) = match self {
            Self::Unix(path) => return write!(f, "unix:{}", path.display()),
            Self::Udp(server) => ("udp", server),
            Self::Tcp(server) => ("tcp", server),
            Self::Tls(server) => ("tls", server),
        };
        match server.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", server.host, server.port),
            false => write!(f, "{scheme}://{}:{}", server.host, server.port),
        }
    }
}

impl Server {
    /// `host`, `host:port`, `[2001:db8::1]:port`.
    fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                host.parse::<Ipv6Addr>().ok()?;
                (host, port)
            }
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok()?,
            None if port.is_empty() => default_port,
            None => return None,
        };
        let sound = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:".contains(c));
        (sound && port != 0).then(|| Self { host: host.to_owned(), port })
    }

    fn resolve(&self) -> Result<Vec<SocketAddr>> {
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        let found: Vec<_> = found.with_context(|| format!("cannot resolve {}", self.host))?.collect();
        ensure!(!found.is_empty(), "{} has no address", self.host);
        Ok(found)
    }
}

/// Whom TLS trusts, and as whom it expects the server; nothing for the other transports.
pub struct Trust(Option<(Arc<ClientConfig>, ServerName<'static>)>);

impl Trust {
    /// The system's certificate authorities, or those of `ca_file` alone.
    ///
    /// # Errors
    /// Where there are none, or the server's name cannot be one.
    pub fn new(address: &Address, ca_file: Option<&Path>, host: &Host) -> Result<Self> {
        let Address::Tls(server) = address else { return Ok(Self(None)) };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let config = match ca_file {
            Some(file) => config.with_root_certificates(authorities(&host.configured(file))?),
            None => config.dangerous().with_custom_certificate_verifier(Arc::new(Verifier::new(provider)?)),
        };
        let name = ServerName::try_from(server.host.clone())
            .with_context(|| format!("{} is no name that a certificate could have", server.host))?;
        Ok(Self(Some((Arc::new(config.with_no_client_auth()), name))))
    }
}

fn authorities(file: &Path) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    let context = || format!("cannot read certificates from the ca_file {}", file.display());
    for certificate in CertificateDer::pem_file_iter(file).map_err(|why| anyhow!("{why}")).with_context(context)? {
        let certificate = certificate.map_err(|why| anyhow!("{why}")).with_context(context)?;
        store.add(certificate).with_context(context)?;
    }
    ensure!(!store.is_empty(), "the ca_file {} holds no certificate in PEM", file.display());
    Ok(store)
}

/// Sends one record.
pub fn send(address: &Address, record: &[u8], trust: &Trust, host: &Host) -> Result<Receipt, SendError> {
    let sent = match (address, &trust.0) {
        (Address::Unix(path), _) => send_local(&host.path(path), record),
        (Address::Udp(server), _) => send_datagram(server, record),
        (Address::Tls(server), Some((config, name))) => send_tls(server, record, config, name),
        (Address::Tcp(server) | Address::Tls(server), _) => send_stream(server, record),
    };
    sent.map(|how| format!("{address}: {how}"))
        .map_err(|why| SendError::Retry { after: None, why: format!("{address}: {why:#}") })
}

/// To the socket of a daemon on this machine, never waiting: a socket that nobody reads is full after 11 datagrams.
fn send_local(path: &Path, record: &[u8]) -> Result<&'static str> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    match socket.send_to(record, path) {
        Ok(_) => Ok("handed to the local syslog daemon"),
        Err(why) => match why.kind() {
            ErrorKind::WouldBlock => bail!("the socket is full: the syslog daemon does not read it"),
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => bail!("no syslog daemon listens there ({why})"),
            _ => Err(why.into()),
        },
    }
}

fn send_datagram(server: &Server, record: &[u8]) -> Result<&'static str> {
    let mut last = anyhow!("no address");
    for to in server.resolve()? {
        match try_datagram(to, record) {
            Ok(()) => return Ok("sent; UDP: nobody acknowledges"),
            Err(why) => last = anyhow!(why).context(format!("cannot send to {to}")),
        }
    }
    Err(last)
}

fn try_datagram(to: SocketAddr, record: &[u8]) -> io::Result<()> {
    let any = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(to)?;
    socket.set_write_timeout(Some(REFUSAL))?;
    socket.set_read_timeout(Some(REFUSAL))?;
    socket.send(record)?;
    match socket.recv(&mut [0]) {
        Err(why) if why.kind() != ErrorKind::WouldBlock => Err(why),
        _ => Ok(()),
    }
}

fn send_stream(server: &Server, record: &[u8]) -> Result<&'static str> {
    let mut stream = Bounded::connect(server)?;
    stream.write_all(&framed(record)).context("the connection broke")?;
    stream.closing()?;
    closed(&mut stream)
}

fn send_tls(
    server: &Server,
    record: &[u8],
    config: &Arc<ClientConfig>,
    name: &ServerName<'static>,
) -> Result<&'static str> {
    let mut stream = Bounded::connect(server)?;
    let mut session = ClientConnection::new(config.clone(), name.clone())?;
    {
        let mut tls = rustls::Stream::new(&mut session, &mut stream);
        tls.write_all(&framed(record)).context("TLS failed")?;
        tls.conn.send_close_notify();
        tls.flush().context("TLS failed")?;
    }
    stream.closing()?;
    closed(&mut rustls::Stream::new(&mut session, &mut stream))
}

/// With its length before it: RFC 6587 §3.4.1, RFC 5425 §4.3.
fn framed(record: &[u8]) -> Vec<u8> {
    [format!("{} ", record.len()).as_bytes(), record].concat()
}

/// Waits for the peer to close, too: it does not before it has read everything, and a reset says that it has not.
fn closed(stream: &mut impl Read) -> Result<&'static str> {
    let mut ignored = [0; 1024];
    loop {
        match stream.read(&mut ignored) {
            Ok(0) => return Ok("sent, and the peer closed in order; syslog has no acknowledgement"),
            Ok(_) => {}
            Err(why) => match why.kind() {
                ErrorKind::Interrupted => {}
                // Without TLS's own good-bye, which many leave out.
                ErrorKind::UnexpectedEof => return Ok("sent, and the peer closed; syslog has no acknowledgement"),
                ErrorKind::WouldBlock => return Ok("the peer's TCP has it all; syslog has no acknowledgement"),
                _ => return Err(why).context("the peer broke off before it had it all"),
            },
        }
    }
}

/// A connection on which no sum of reads and writes takes longer than one time limit.
struct Bounded {
    stream: TcpStream,
    until: Instant,
}

impl Bounded {
    fn connect(server: &Server) -> Result<Self> {
        let addresses = server.resolve()?;
        let until = Instant::now() + PATIENCE;
        let mut last = anyhow!("no address");
        for to in addresses {
            let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            match TcpStream::connect_timeout(&to, left) {
                Ok(stream) => {
                    let _ = set_tcp_user_timeout(&stream, UNACKNOWLEDGED);
                    return Ok(Self { stream, until: Instant::now() + PATIENCE });
                }
                Err(why) => last = anyhow!(why).context(format!("cannot connect to {to}")),
            }
        }
        Err(last)
    }

    /// Says that we are done, and starts the time limit for the peer to be done, too.
    fn closing(&mut self) -> Result<()> {
        self.until = Instant::now() + CLOSING;
        self.stream.shutdown(Shutdown::Write).context("the connection broke")
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::WouldBlock.into()) } else { Ok(left) }
    }
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
