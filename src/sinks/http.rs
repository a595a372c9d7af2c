//! HTTP for the sinks: a client that contacts only the configured address, and answers of bounded
//! size.

mod wait;

use std::fs;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use reqwest::blocking::{Client, ClientBuilder, Request, RequestBuilder};
use reqwest::header::AUTHORIZATION;
use reqwest::redirect::Policy;
use reqwest::{Certificate, StatusCode, Url};
use serde::Deserialize;

use super::SendError;
use crate::host::Host;
use crate::render::one_line;
use crate::report::Timestamp;

/// Maximum duration of a request, from the name's resolution to the answer's last byte.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Makes a client that follows no redirect and takes no proxy from the environment, which the job
/// that died may have filled: a report goes where the config says or nowhere.
///
/// # Errors
/// If the system has no thread or no certificates for it.
pub fn client() -> Result<Client> {
    builder().build().context("cannot make an HTTP client")
}

/// Makes a client that also trusts the certificates in a file of PEM.
///
/// # Errors
/// If there is no certificate in the file.
pub fn client_trusting(ca_file: Option<&Path>, host: &Host) -> Result<Client> {
    let Some(file) = ca_file else { return client() };
    let path = host.configured(file);
    let pem = fs::read(&path)
        .with_context(|| format!("cannot read the certificates in {}", path.display()))?;
    let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
    ensure!(
        !certificates.is_empty(),
        "{} holds no certificate in PEM",
        path.display()
    );
    builder()
        .tls_certs_merge(certificates)
        .build()
        .context("cannot make an HTTP client")
}

fn builder() -> ClientBuilder {
    super::use_ring();
    Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .timeout(TIMEOUT)
        .user_agent(concat!("lastwords/", env!("CARGO_PKG_VERSION")))
}

/// Encryption of connections to other machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    #[default]
    Required,
    None,
}

/// The address of a service's API.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "String"))]
#[serde(try_from = "String")]
pub struct Api(String);

impl TryFrom<String> for Api {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        address(&text).map_err(|why| why.to_string())?;
        Ok(Self(text))
    }
}

impl Api {
    /// The address where the service offers its API to everybody.
    pub fn public(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the address without a slash at its end.
    pub fn base(&self) -> &str {
        self.0.trim_end_matches('/')
    }

    /// Returns the address of an endpoint.
    ///
    /// # Errors
    /// If the API's address is none.
    pub fn endpoint(&self, parts: &[&str]) -> Result<Url> {
        Ok(below(&address(&self.0)?, parts))
    }
}

/// Takes the address of a server of the user's own, which need not be encrypted if `tls` says so.
///
/// # Errors
/// If it is something else. The text does not repeat the address.
pub fn server(text: &str, tls: Tls) -> Result<Url> {
    let url = match (Url::parse(text), tls) {
        (Ok(url), Tls::None) if url.scheme() == "http" => url,
        (Ok(url), Tls::Required) if url.scheme() == "http" && !stays_here(&url) => {
            bail!("expected an address that starts with https://, or tls = \"none\" in this table")
        }
        _ => address(text)?,
    };
    let bare = url.username().is_empty() && url.password().is_none();
    ensure!(
        bare,
        "expected an address without a user and a password: every user of the machine can read the config"
    );
    Ok(url)
}

/// Returns an address with more of a path at its end.
pub fn below(base: &Url, parts: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(parts);
    }
    url
}

/// Returns the current time, for signatures and alerts.
pub fn now() -> Timestamp {
    Timestamp::new(SystemTime::now())
}

/// Removes from a server's text what it may repeat of a secret address.
pub fn scrub(address: &Url, text: &str) -> String {
    let query = address
        .query()
        .into_iter()
        .flat_map(|query| query.split(['&', '=']));
    let parts = address
        .path()
        .split('/')
        .chain(query)
        .filter(|part| part.len() > 5);
    parts.fold(text.to_owned(), |text, part| text.replace(part, "[secret]"))
}

/// Returns what an answer other than a receipt means. It is a refusal only if the server itself
/// speaks (`own`) and the status does not pass by itself (RFC 9110, 15.5). Anything else may come
/// from a proxy.
pub fn not_taken(answer: &HttpAnswer, own: bool, why: &str) -> SendError {
    let why = one_line(why, 500);
    if own && answer.status.is_client_error() && !matches!(answer.status.as_u16(), 408 | 425 | 429)
    {
        return SendError::Refused { why };
    }
    SendError::Retry {
        after: answer.retry_after,
        why,
    }
}

/// Takes an address that the config names: `https`, or `http` to this machine.
///
/// # Errors
/// If it is something else. The text does not repeat the address, which may be a secret.
pub fn address(text: &str) -> Result<Url> {
    let url = Url::parse(text).context("expected an address such as https://example.com/path")?;
    ensure!(
        url.scheme() == "https" || (url.scheme() == "http" && stays_here(&url)),
        "expected an address that starts with https:// (http:// is for this machine only)"
    );
    Ok(url)
}

/// Returns true if the address leads to this machine itself.
fn stays_here(url: &Url) -> bool {
    url.host_str().is_some_and(is_loopback)
}

/// Returns true if this name or address is the machine itself, so that nobody listens in between.
pub fn is_loopback(host: &str) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    host == "localhost" || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// A server's answer.
#[derive(Debug)]
pub struct HttpAnswer {
    pub status: StatusCode,
    /// Time until the server wants to be asked again, within 1 s and 1 h.
    pub retry_after: Option<Duration>,
    /// The beginning of the body.
    pub body: String,
}

/// Sends a request and reads its answer, with at most `max_body` bytes of the body.
///
/// # Errors
/// If there was no answer. The text holds no URL.
pub fn ask(request: RequestBuilder, max_body: u64) -> Result<HttpAnswer> {
    let began = Instant::now();
    let (client, request) = request.build_split();
    let request = request.map_err(reqwest::Error::without_url)?;
    let secret = login(&request);
    let response = client
        .execute(request)
        .map_err(reqwest::Error::without_url)?;
    let (status, headers) = (response.status(), response.headers().clone());
    let (mut body, mut response) = (Vec::new(), response.take(max_body));
    let mut some = [0; 4096];
    // The client's own time limit starts anew with each read. The beginning of a body that breaks
    // off may still be useful.
    while let Ok(count @ 1..) = response.read(&mut some)
        && began.elapsed() < TIMEOUT
    {
        body.extend(some.iter().take(count));
    }
    let mut body = String::from_utf8_lossy(&body).into_owned();
    if let Some(secret) = secret {
        body = without(&body, &secret);
    }
    Ok(HttpAnswer {
        status,
        retry_after: wait::asked(&headers, &body),
        body,
    })
}

/// Returns the secret by which a request logs in: the last word of its `Authorization`.
fn login(request: &Request) -> Option<String> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    Some(value.rsplit(' ').next()?.to_owned()).filter(|secret| !secret.is_empty())
}

/// Returns an answer without a secret that it repeats, and without its beginning at the end, where
/// the answer may be cut.
pub fn without(answer: &str, secret: &str) -> String {
    let mut answer = answer.replace(secret, "[secret]");
    let begun = (4..secret.len()).rev().find(|length| {
        secret
            .get(..*length)
            .is_some_and(|begun| answer.ends_with(begun))
    });
    answer.truncate(answer.len() - begun.unwrap_or(0));
    answer
}

#[cfg(test)]
mod tests {
    use super::{address, is_loopback, without};

    #[test]
    fn an_answer_repeats_no_secret_whole_or_cut() {
        for (answer, left) in [
            ("bad token s3cr3t-t0ken!", "bad token [secret]!"),
            ("bad token s3cr3t-t0", "bad token "),
            ("a s3c", "a s3c"),
        ] {
            assert_eq!(without(answer, "s3cr3t-t0ken"), left);
        }
    }

    #[test]
    fn only_https_leaves_the_machine() {
        for good in [
            "https://hooks.slack.com/services/T/B/x",
            "http://127.0.0.1:8080/x",
            "http://[::1]/",
            "http://localhost/",
        ] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in [
            "http://hooks.slack.com/secret",
            "ftp://127.0.0.1/secret",
            "secret",
            "http://127.0.0.1.evil/secret",
            "",
        ] {
            let why = format!("{:#}", address(bad).expect_err(bad));
            assert!(!why.contains("secret"), "{why}");
        }
        assert!(is_loopback("127.8.8.8") && !is_loopback("128.0.0.1"));
    }
}
