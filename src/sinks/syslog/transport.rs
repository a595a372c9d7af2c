//! Sends a record to its destination. Every wait is bounded, except for a slow resolver.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::address::{Address, Server};
use crate::host::Host;
use crate::sinks::stream::{TimedStream, resolve};
use crate::sinks::{Probed, tls};

/// Maximum time for connecting, and for writing.
const PATIENCE: Duration = Duration::from_secs(10);
/// Maximum time until the peer's TCP acknowledges bytes.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);
/// Maximum time until the peer closes after us. It is longer than [`UNACKNOWLEDGED`], so that the
/// peer has every byte when it ends.
const CLOSING: Duration = Duration::from_secs(6);
/// Maximum time until a host says that its UDP port is closed.
const REFUSAL: Duration = Duration::from_millis(200);

/// The authorities that TLS trusts, and the name of the server; `None` for the other transports.
pub struct Trust(Option<(Arc<ClientConfig>, ServerName<'static>)>);

impl Trust {
    /// Trusts the system's certificate authorities, and those of `ca_file`.
    ///
    /// # Errors
    /// If there are none, or if no certificate can have the server's name.
    pub fn new(address: &Address, ca_file: Option<&Path>, host: &Host) -> Result<Self> {
        let Address::Tls(server) = address else {
            return Ok(Self(None));
        };
        let ca_file = ca_file.map(|file| host.configured(file));
        let config = tls::client(ca_file.as_deref())?;
        let name = ServerName::try_from(server.host.clone())
            .with_context(|| format!("{} is not a valid name for a certificate", server.host))?;
        Ok(Self(Some((config, name))))
    }
}

/// Sends one record. Returns what is known about its delivery.
pub fn send(address: &Address, record: &[u8], trust: &Trust, host: &Host) -> Result<&'static str> {
    match (address, &trust.0) {
        (Address::Unix(path), _) => send_local(&host.path(path), record),
        (Address::Udp(server), _) => send_datagram(server, record),
        (Address::Tls(server), Some((config, name))) => send_tls(server, record, config, name),
        (Address::Tcp(server) | Address::Tls(server), _) => send_stream(server, record),
    }
}

/// Tests without a record whether a server listens; over TLS, whether its certificate is right.
pub fn probe(address: &Address, trust: &Trust, host: &Host) -> Result<Probed> {
    match (address, &trust.0) {
        (Address::Unix(path), _) => {
            let socket = UnixDatagram::unbound()?;
            socket
                .connect(host.path(path))
                .context("no syslog daemon listens there")?;
            Ok(Probed::Good(format!("a daemon listens at {address}")))
        }
        (Address::Udp(server), _) => {
            resolve(&server.host, server.port)?;
            Ok(Probed::Unasked(format!(
                "{address} (not verified: UDP has no acknowledgement)"
            )))
        }
        (Address::Tls(server), Some((config, name))) => {
            let mut stream = connect(server)?;
            let mut session = ClientConnection::new(config.clone(), name.clone())?;
            while session.is_handshaking() {
                session.complete_io(&mut stream).map_err(broken)?;
            }
            session.send_close_notify();
            session.complete_io(&mut stream).map_err(broken)?;
            Ok(Probed::Good(format!(
                "{address} listens, and its certificate is trusted"
            )))
        }
        (Address::Tcp(server) | Address::Tls(server), _) => {
            close(&mut connect(server)?)?;
            Ok(Probed::Good(format!("{address} listens")))
        }
    }
}

/// Sends a record to the socket of a local daemon. It never waits, since a socket that nobody reads
/// is full after 11 datagrams.
fn send_local(path: &Path, record: &[u8]) -> Result<&'static str> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    match socket.send_to(record, path) {
        Ok(_) => Ok("handed to the local syslog daemon"),
        Err(why) => match why.kind() {
            ErrorKind::WouldBlock => {
                bail!("the socket is full: the syslog daemon is not reading from it")
            }
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                bail!("no syslog daemon listens there ({why})")
            }
            _ => Err(why.into()),
        },
    }
}

fn send_datagram(server: &Server, record: &[u8]) -> Result<&'static str> {
    let mut last = anyhow!("no address");
    for to in resolve(&server.host, server.port)? {
        match try_datagram(to, record) {
            Ok(()) => return Ok("sent; UDP has no acknowledgement"),
            Err(why) => last = anyhow!(why).context(format!("cannot send to {to}")),
        }
    }
    Err(last)
}

fn try_datagram(to: SocketAddr, record: &[u8]) -> io::Result<()> {
    let any = if to.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(to)?;
    socket.set_write_timeout(Some(REFUSAL))?;
    socket.set_read_timeout(Some(REFUSAL))?;
    socket.send(record)?;
    match socket.recv(&mut [0]) {
        Err(why) if why.kind() == ErrorKind::ConnectionRefused => Err(why),
        _ => Ok(()),
    }
}

fn send_stream(server: &Server, record: &[u8]) -> Result<&'static str> {
    let mut stream = connect(server)?;
    stream.write_all(&framed(record)).map_err(broken)?;
    close(&mut stream)?;
    closed(&mut stream)
}

fn send_tls(
    server: &Server,
    record: &[u8],
    config: &Arc<ClientConfig>,
    name: &ServerName<'static>,
) -> Result<&'static str> {
    let mut stream = connect(server)?;
    let mut session = ClientConnection::new(config.clone(), name.clone())?;
    {
        let mut tls = rustls::Stream::new(&mut session, &mut stream);
        tls.write_all(&framed(record)).map_err(broken)?;
        tls.conn.send_close_notify();
        tls.flush().map_err(broken)?;
    }
    close(&mut stream)?;
    closed(&mut rustls::Stream::new(&mut session, &mut stream))
}

/// Returns a record with its length before it (RFC 6587 §3.4.1, RFC 5425 §4.3).
fn framed(record: &[u8]) -> Vec<u8> {
    [format!("{} ", record.len()).as_bytes(), record].concat()
}

fn broken(why: io::Error) -> anyhow::Error {
    match why.kind() {
        ErrorKind::WouldBlock => {
            anyhow!(
                "the server took too long: more than {} s",
                PATIENCE.as_secs()
            )
        }
        ErrorKind::InvalidData => anyhow!(why).context("TLS failed"),
        // The peer has reset the connection before we close our side.
        ErrorKind::NotConnected => {
            anyhow!(why).context("the server closed the connection before it had all of it")
        }
        _ => anyhow!(why).context("the connection broke"),
    }
}

/// Waits until the peer closes, too. It does so only after it has read everything; a reset means
/// that it has not.
fn closed(stream: &mut impl Read) -> Result<&'static str> {
    let mut ignored = [0; 1024];
    loop {
        match stream.read(&mut ignored) {
            Ok(0) => {
                return Ok(
                    "sent, and the server closed the connection in order; syslog has no acknowledgement",
                );
            }
            Ok(_) => {}
            Err(why) => match why.kind() {
                ErrorKind::Interrupted => {}
                // TLS's close_notify is missing; many servers leave it out.
                ErrorKind::UnexpectedEof => {
                    return Ok(
                        "sent, and the server closed the connection; syslog has no acknowledgement",
                    );
                }
                ErrorKind::WouldBlock => {
                    return Ok("the server's TCP has all of it; syslog has no acknowledgement");
                }
                _ => {
                    return Err(why)
                        .context("the server closed the connection before it had all of it");
                }
            },
        }
    }
}

fn connect(server: &Server) -> Result<TimedStream> {
    let stream = TimedStream::connect(&server.host, server.port, PATIENCE)?;
    stream.want_acknowledgement(UNACKNOWLEDGED);
    Ok(stream)
}

/// Closes our side, and starts the time limit for the peer to close its own.
fn close(stream: &mut TimedStream) -> Result<()> {
    stream.give(CLOSING);
    stream.close().map_err(broken)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::server::ServerConnection;

    use super::*;
    use crate::stand_in::{Client, StandIn};

    fn go(address: &str, ca_file: Option<&Path>) -> Result<&'static str, String> {
        let address = Address::try_from(address.to_owned()).unwrap();
        let host = Host::new("/", "/");
        let trust = Trust::new(&address, ca_file, &host).unwrap();
        send(&address, b"a record", &trust, &host).map_err(|why| format!("{why:#}"))
    }

    #[test]
    fn a_local_socket_takes_datagrams_until_it_is_full_and_then_nobody_waits() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let address = format!("unix:{}", path.display());
        assert!(
            go(&address, None)
                .unwrap_err()
                .contains("no syslog daemon listens there")
        );
        let daemon = UnixDatagram::bind(&path).unwrap();
        assert!(
            go(&address, None)
                .unwrap()
                .ends_with("handed to the local syslog daemon")
        );
        let mut buffer = [0; 100];
        assert_eq!(daemon.recv(&mut buffer).unwrap(), 8);
        let full = (0..10_000).find_map(|_| go(&address, None).err()).unwrap();
        assert!(full.contains("the socket is full"), "{full}");
        drop(daemon);
        assert!(
            go(&address, None)
                .unwrap_err()
                .contains("no syslog daemon listens there")
        );
        std::fs::remove_file(&path).unwrap();
        let _stream = UnixListener::bind(&path).unwrap();
        assert!(go(&address, None).is_err());
    }

    #[test]
    fn udp_says_that_nobody_acknowledges_and_notices_a_closed_port() {
        let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = format!("udp://{}", daemon.local_addr().unwrap());
        assert!(
            go(&address, None)
                .unwrap()
                .ends_with("UDP has no acknowledgement")
        );
        let mut buffer = [0; 100];
        assert_eq!(daemon.recv(&mut buffer).unwrap(), 8);
        drop(daemon);
        assert!(go(&address, None).unwrap_err().contains("refused"));
    }

    #[test]
    fn tcp_counts_octets_and_waits_for_the_peer_to_close() {
        let server = StandIn::start(Client::all);
        let address = format!("tcp://127.0.0.1:{}", server.port);
        assert!(go(&address, None).unwrap().contains("in order"));
        assert_eq!(server.finish(), ["8 a record"]);
        assert!(
            go(&address, None)
                .unwrap_err()
                .contains("cannot connect to 127.0.0.1")
        );
    }

    #[test]
    fn a_peer_that_breaks_off_before_it_has_read_all_has_not_got_it() {
        let server = StandIn::start(|client| client.stream().read_exact(&mut [0]));
        let why = go(&format!("tcp://127.0.0.1:{}", server.port), None).unwrap_err();
        assert!(why.contains("the server closed"), "{why}");
    }

    #[test]
    fn tls_is_spoken_to_whom_the_ca_file_vouches_for_and_to_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, made.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![made.cert.der().clone()], key)
                .unwrap();
        let config = Arc::new(config);
        let server = StandIn::start(move |client| {
            let mut session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut came = String::new();
            let mut stream = client.stream();
            let _ = rustls::Stream::new(&mut session, &mut stream).read_to_string(&mut came);
            client.keep(&came);
            Ok(())
        });
        let at = |name: &str| format!("tls://{name}:{}", server.port);
        assert!(go(&at("localhost"), Some(&ca)).unwrap().contains("closed"));
        let why = go(&at("127.0.0.1"), Some(&ca)).unwrap_err();
        assert!(why.contains("certificate"), "{why}");
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&ca, other.cert.pem()).unwrap();
        let why = go(&at("localhost"), Some(&ca)).unwrap_err();
        assert!(why.contains("certificate"), "{why}");
        assert_eq!(server.finish(), ["8 a record", "", ""]);
    }

    #[test]
    fn a_ca_file_without_certificates_is_an_error() {
        let address = Address::try_from("tls://localhost".to_owned()).unwrap();
        let trust = |file: &str| {
            Trust::new(&address, Some(Path::new(file)), &Host::new("/", "/"))
                .err()
                .unwrap()
        };
        assert!(format!("{:#}", trust("/etc/passwd")).contains("holds no certificate in PEM"));
        assert!(format!("{:#}", trust("/nonexistent")).contains("cannot read certificates"));
    }
}
