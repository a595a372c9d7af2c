//! The authorities that the sinks without HTTP trust.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;

/// Returns a client that trusts the system's certificate authorities, and those of `ca_file`.
///
/// # Errors
/// If there are none, or the file holds none.
pub fn client(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>> {
    let own = ca_file.map(authorities).transpose()?.unwrap_or_default();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(own, provider.clone())
        .context("cannot load the trusted certificates")?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(Arc::new(config.with_no_client_auth()))
}

fn authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|why| {
        anyhow!(
            "cannot read certificates from the ca_file {}: {why}",
            file.display()
        )
    })?;
    ensure!(
        !found.is_empty(),
        "the ca_file {} holds no certificate in PEM",
        file.display()
    );
    Ok(found)
}
