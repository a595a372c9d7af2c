//! Syslog: one record a report, to the local socket or to a server by UDP, TCP or TLS.
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | `name` | The sink's name. | required |
//! | `address` | `"unix:/path"`, `"udp://host:port"`, `"tcp://host:port"`, `"tls://host:port"`. Without a port: 514 for UDP (RFC 5426), 6514 for TLS (RFC 5425), 601 for TCP (syslog-conn at IANA; RFC 6587 names none). | `"unix:/dev/log"` |
//! | `facility` | `kern user mail daemon auth syslog lpr news uucp cron authpriv ftp local0`…`local7` | `"daemon"` |
//! | `format` | `"rfc5424"`; for the local socket also `"rfc3164"`. | `"rfc3164"` for the local socket, else `"rfc5424"` |
//! | `ca_file` | For TLS: certificates, as PEM, to trust beside the system's. | – |
//!
//! ```toml
//! [[sink.syslog]]
//! name = "loghost"
//! address = "tls://logs.example.com"
//! ca_file = "/etc/lastwords/ca.pem"
//! ```
//!
//! A record is one line of at most 1,024 bytes: what happened, why, and the report's id, which is
//! the same at every try. RFC 5424 records also carry the facts as structured data under
//! `lastwords@32473` (the number that RFC 5612 reserves for documentation). A crash has the
//! severity `err`, a drill `notice`.
//!
//! Syslog has no receipts. TCP and TLS are framed by octet count (RFC 6587, RFC 5425) and closed in
//! order, so that a broken connection is noticed. Datagrams may be lost unnoticed.

mod address;
mod record;
mod transport;

use std::path::PathBuf;

use anyhow::Result;
use serde::Deserialize;

use crate::host::Host;
use crate::key_error::KeyError;
use crate::report::Report;
use crate::sinks::{Form, Probed, Receipt, SendError, Sink};
use address::Address;
use record::Facility;
use transport::Trust;

#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "SyslogKeys"))]
#[serde(try_from = "SyslogKeys")]
pub struct Syslog {
    name: String,
    address: Address,
    facility: Facility,
    format: SyslogFormat,
    ca_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct SyslogKeys {
    name: String,
    #[serde(default)]
    address: Address,
    #[serde(default)]
    facility: Facility,
    format: Option<SyslogFormat>,
    ca_file: Option<PathBuf>,
}

impl TryFrom<SyslogKeys> for Syslog {
    type Error = KeyError;
    fn try_from(keys: SyslogKeys) -> Result<Self, KeyError> {
        let is_local = matches!(keys.address, Address::Unix(_));
        let format = match keys.format {
            Some(SyslogFormat::Rfc3164) if !is_local => {
                let message = "\"rfc3164\" is for the local socket only";
                let help = "leave `format` out: a server gets \"rfc5424\"";
                return Err(KeyError::at("format", message).help(help));
            }
            Some(format) => format,
            None if is_local => SyslogFormat::Rfc3164,
            None => SyslogFormat::Rfc5424,
        };
        if keys.ca_file.is_some() && !matches!(keys.address, Address::Tls(_)) {
            let message = "`ca_file` is for an address that starts with tls://";
            return Err(KeyError::at("ca_file", message));
        }
        Ok(Self {
            name: keys.name,
            address: keys.address,
            facility: keys.facility,
            format,
            ca_file: keys.ca_file,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
enum SyslogFormat {
    Rfc3164,
    Rfc5424,
}

/// Returns the report as a sink with default settings sends it over the network.
pub fn record(report: &Report) -> String {
    record::rfc5424(report, Facility::default())
}

impl Syslog {
    fn record(&self, report: &Report) -> String {
        match self.format {
            SyslogFormat::Rfc3164 => record::rfc3164(report, self.facility),
            SyslogFormat::Rfc5424 => record::rfc5424(report, self.facility),
        }
    }

    fn trust(&self, host: &Host) -> Result<Trust> {
        Trust::new(&self.address, self.ca_file.as_deref(), host)
    }

    /// Returns the error of a failed try, with the address.
    fn failed(&self, why: &anyhow::Error) -> SendError {
        SendError::Retry {
            after: None,
            why: format!("{}: {why:#}", self.address),
        }
    }
}

impl Sink for Syslog {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "syslog"
    }

    fn form(&self, form: Form, report: &Report, _host: &Host) -> Option<String> {
        (form == Form::Syslog).then(|| self.record(report))
    }

    fn preview(&self, report: &Report, host: &Host) -> Result<String> {
        let record = self.record(report);
        self.trust(host)?;
        Ok(format!(
            "to {}, {} bytes:\n{record}\n",
            self.address,
            record.len()
        ))
    }

    fn probe(&self, host: &Host) -> Result<Probed, SendError> {
        self.trust(host)
            .and_then(|trust| transport::probe(&self.address, &trust, host))
            .map_err(|why| self.failed(&why))
    }

    fn send(&self, report: &Report, host: &Host) -> Result<Receipt, SendError> {
        let record = self.record(report);
        self.trust(host)
            .and_then(|trust| transport::send(&self.address, record.as_bytes(), &trust, host))
            .map(|how| format!("{}: {how}", self.address))
            .map_err(|why| self.failed(&why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_local_socket_speaks_rfc3164() {
        let preview = |toml: &str| {
            let sink: Syslog = toml::from_str(&format!("name = 'x'\n{toml}")).unwrap();
            let preview = sink.preview(&crate::report::sample(), &Host::new("/", "/"));
            preview.map(|text| text.lines().nth(1).unwrap().to_owned())
        };
        assert!(preview("").unwrap().starts_with("<27>lastwords: "));
        assert!(preview("format = 'rfc5424'").unwrap().starts_with("<27>1 "));
        assert!(
            preview("address = 'udp://loghost'")
                .unwrap()
                .starts_with("<27>1 ")
        );
        assert!(preview("address = 'tls://loghost'\nca_file = '/nonexistent'").is_err());
    }
}
