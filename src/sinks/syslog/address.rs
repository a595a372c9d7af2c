//! The `address` of the config: a transport and a place.

use std::fmt;
use std::net::Ipv6Addr;
use std::os::unix::net::SocketAddr;
use std::path::PathBuf;

use rustls::pki_types::ServerName;
use serde::Deserialize;

/// The destination of records.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "String"))]
#[serde(try_from = "String")]
pub enum Address {
    Unix(PathBuf),
    Udp(Server),
    Tcp(Server),
    Tls(Server),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    pub host: String,
    pub port: u16,
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
            let fits = path.starts_with('/') && SocketAddr::from_pathname(path).is_ok();
            fits.then(|| Self::Unix(path.into()))
        } else {
            text.split_once("://")
                .and_then(|(scheme, rest)| match scheme {
                    "udp" => Server::parse(rest, 514).map(Self::Udp),
                    "tcp" => Server::parse(rest, 601).map(Self::Tcp),
                    "tls" => Server::parse(rest, 6514)
                        .filter(|server| ServerName::try_from(server.host.as_str()).is_ok())
                        .map(Self::Tls),
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
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Udp(server) => write!(f, "udp://{server}"),
            Self::Tcp(server) => write!(f, "tcp://{server}"),
            Self::Tls(server) => write!(f, "tls://{server}"),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

impl Server {
    /// Parses `host`, `host:port` or `[2001:db8::1]:port`.
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
        let sound = !host.is_empty()
            && host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-._:".contains(c));
        (sound && port != 0).then(|| Self {
            host: host.to_owned(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn an_address_is_a_transport_and_a_place() {
        let parse = |text: &str| {
            Address::try_from(text.to_owned())
                .map(|address| address.to_string())
                .ok()
        };
        for (text, full) in [
            ("unix:/run/log", "unix:/run/log"),
            ("udp://loghost", "udp://loghost:514"),
            ("tcp://loghost", "tcp://loghost:601"),
            ("tls://10.0.0.1", "tls://10.0.0.1:6514"),
            ("tcp://[::1]", "tcp://[::1]:601"),
            ("tcp://[2001:db8::1]:1514", "tcp://[2001:db8::1]:1514"),
        ] {
            assert_eq!(parse(text).as_deref(), Some(full));
        }
        let bad = [
            "",
            "/dev/log",
            "unix:log",
            "http://x",
            "udp://",
            "udp://x:0",
            "udp://x:65536",
            "udp://[x]",
            "udp://x/y",
        ];
        for bad in bad
            .into_iter()
            .chain(["udp://[::1]514", "udp://a b", "udp://::1", "tls://x:"])
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
