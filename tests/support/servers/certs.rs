//! A certificate authority of its own for each test, and a server's certificate for `localhost`.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::{directory, open_to_all};

pub struct Certs {
    dir: TempDir,
}

impl Certs {
    /// Makes the authority and has it sign for `localhost` and `127.0.0.1`.
    pub fn issue() -> Self {
        Self::issue_for(&["localhost", "127.0.0.1"], |_| {})
    }

    /// Makes the same for these names, with a change to the server's certificate.
    pub fn issue_for(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = || KeyPair::generate().expect("a key can be made");
        let mut authority_params = params(&[], "the tests' authority");
        authority_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = key();
        let authority = authority_params
            .self_signed(&authority_key)
            .expect("the authority signs for itself");
        let issuer = Issuer::new(authority_params, authority_key);
        let server_key = key();
        let mut server = params(names, "a server");
        change(&mut server);
        let server = server.signed_by(&server_key, &issuer);

        let certs = Self {
            dir: directory("certs"),
        };
        for (path, pem) in [
            (certs.ca(), authority.pem()),
            (
                certs.certificate(),
                server.expect("the authority signs").pem(),
            ),
            (certs.key(), server_key.serialize_pem()),
        ] {
            fs::write(&path, pem).expect("the directory is writable");
            open_to_all(&path);
        }
        certs
    }

    /// Returns the certificate that a client has to trust.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("server.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.dir.path().join("server.key")
    }
}

fn params(names: &[&str], subject: &str) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("the names are names");
    // OpenSSL takes a certificate whose subject is its issuer's for self-signed.
    params.distinguished_name.push(DnType::CommonName, subject);
    params
}
