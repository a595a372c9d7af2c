//! A certificate authority of its own for each test, and a server's certificate for `localhost`, by openssl.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::{directory, open_to_all};

pub struct Certs {
    dir: TempDir,
}

impl Certs {
    /// Makes the authority and has it sign for `localhost` and `127.0.0.1`.
    pub fn issue() -> Self {
        let certs = Self { dir: directory("certs") };
        certs.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=tests -keyout ca.key \
             -out ca.pem",
        );
        certs.openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout server.key -out \
             server.csr",
        );
        let names = "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";
        fs::write(certs.dir.path().join("names"), names).expect("the directory is writable");
        certs.openssl(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
        );
        open_to_all(&certs.ca());
        open_to_all(&certs.certificate());
        certs
    }

    /// What a client has to trust.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("server.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.dir.path().join("server.key")
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.dir.path())
            .output()
            .expect("openssl is installed: tests/run does it");
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
