//! A server that speaks TLS with a certificate of the test's choice.

use std::io::{self, BufRead, BufReader, Write};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::servers::certs::Certs;
use crate::support::stand_in::{Client, StandIn, http};

/// Starts a server that answers one HTTP request of each client with `ok`. It keeps the text that
/// it could decrypt.
pub fn server(certs: &Certs) -> StandIn {
    let config = config(certs);
    StandIn::start(move |client| answer(client, &config))
}

fn answer(client: &Client, config: &Arc<ServerConfig>) -> io::Result<()> {
    let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    let stream = client.stream().try_clone()?;
    let mut tls = BufReader::new(StreamOwned::new(session, stream));
    let mut line = String::from("-");
    while !line.trim().is_empty() {
        line.clear();
        tls.read_line(&mut line)?;
        client.keep(&line);
    }
    let answer = http("200 OK", "", "ok");
    tls.get_mut().write_all(answer.as_bytes())?;
    tls.get_mut().conn.send_close_notify();
    tls.get_mut().flush()
}

fn config(certs: &Certs) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = vec![CertificateDer::from_pem_file(certs.certificate()).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(certs.key()).expect("a key");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions");
    let config = config.with_no_client_auth().with_single_cert(chain, key);
    Arc::new(config.expect("they fit"))
}
