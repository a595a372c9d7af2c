//! rsyslog on a Unix socket, UDP, TCP (RFC 6587, octet counting) and TLS (RFC 5425). `tests/run`
//! only unpacks it: Debian would remove another syslog daemon for it.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;

use serde::Deserialize;
use tempfile::TempDir;

use super::certs::Certs;
use super::{Process, directory, fill, installed};
use crate::support::harness::wait_for_some;
use crate::support::stand_in::free_port;

pub struct Rsyslog {
    pub udp: u16,
    pub tcp: u16,
    pub tls: u16,
    process: Option<Process>,
    dir: TempDir,
}

/// A message as rsyslog parsed it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Record {
    /// The input module: `imuxsock`, `imudp`, `imptcp` (TCP), `imtcp` (TLS).
    pub via: String,
    pub pri: String,
    pub time: String,
    pub host: String,
    pub app: String,
    pub procid: String,
    pub msgid: String,
    /// The structured data as it was sent, or `-`.
    pub sd: String,
    pub msg: String,
}

impl Rsyslog {
    /// Starts it, without root.
    pub fn start(certs: &Certs) -> Self {
        let dir = directory("rsyslog");
        let [udp, tcp, tls] = [free_port(), free_port(), free_port()];
        let config = dir.path().join("rsyslog.conf");
        let text = fill(
            include_str!("rsyslog.conf"),
            &[
                ("DIR", &dir.path().display()),
                ("CA", &certs.ca().display()),
                ("CERTIFICATE", &certs.certificate().display()),
                ("KEY", &certs.key().display()),
                ("UDP", &udp),
                ("TCP", &tcp),
                ("TLS", &tls),
            ],
        );
        fs::write(&config, text).expect("the directory is writable");
        let mut rsyslog = Self {
            udp,
            tcp,
            tls,
            process: None,
            dir,
        };
        rsyslog.start_again();
        rsyslog
    }

    /// Stops it, so that no process listens on its ports.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it again on the same ports.
    pub fn start_again(&mut self) {
        let at = |name: &str| self.dir.path().join(name).display().to_string();
        let daemon = installed("rsyslog/usr/sbin/rsyslogd").display().to_string();
        let libraries = installed("rsyslog/usr/lib/x86_64-linux-gnu")
            .display()
            .to_string();
        let path = format!("LD_LIBRARY_PATH={libraries}");
        let modules = format!("{libraries}/rsyslog");
        let (config, pid_file) = (at("rsyslog.conf"), at("pid"));
        let command = [
            "env", &path, &daemon, "-n", "-f", &config, "-i", &pid_file, "-M", &modules,
        ];
        let mut process = Process::start(&command, self.dir.path().join("output"));
        process.until("rsyslog listens", || {
            TcpStream::connect(("127.0.0.1", self.tls)).ok()
        });
        process.until("rsyslog listens", || {
            TcpStream::connect(("127.0.0.1", self.tcp)).ok()
        });
        process.until("rsyslog makes its socket", || {
            self.socket().exists().then_some(())
        });
        self.process = Some(process);
    }

    /// Returns the path of its Unix datagram socket, its `/dev/log`.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// Returns everything that it has received so far. Leaves out a line that rsyslog is still
    /// writing.
    pub fn records(&self) -> Vec<Record> {
        let text = fs::read(self.dir.path().join("records")).unwrap_or_default();
        let whole = text
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(&[][..], |end| &text[..end]);
        let lines = whole
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_slice(line).expect("a record is JSON"))
            .collect()
    }

    /// Waits for a record by this input, and returns it.
    pub fn record(&self, via: &str) -> Record {
        wait_for_some(&format!("a record by {via}"), || {
            self.records().into_iter().find(|record| record.via == via)
        })
    }
}
