//! A stand-in for a server that does what no real one does.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::servers::certs::Certs;

/// How often a stand-in that hangs looks whether it is over.
const LOOK: Duration = Duration::from_millis(100);

pub struct StandIn {
    pub port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl StandIn {
    /// Does this with every connection, each in a thread of its own.
    pub fn start(behave: impl Fn(&mut Client) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let (heard, ended) = (
            Arc::new(Mutex::new(Vec::new())),
            Arc::new(AtomicBool::new(false)),
        );
        let (lines, over, behave) = (Arc::clone(&heard), Arc::clone(&ended), Arc::new(behave));
        let serve = move || {
            for stream in listener.incoming().flatten() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let (lines, over, behave) =
                    (Arc::clone(&lines), Arc::clone(&over), Arc::clone(&behave));
                let serve = move || {
                    // A client may go away whenever it likes.
                    let _ =
                        Client::new(stream, lines, over).and_then(|mut client| behave(&mut client));
                };
                Builder::new().spawn(serve).expect("a thread can be had");
            }
        };
        let thread = Builder::new().spawn(serve).expect("a thread can be had");
        Self {
            port,
            heard,
            ended,
            thread: Some(thread),
        }
    }

    /// Answers every HTTP request with this.
    pub fn http(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |client| {
            client.http_request()?;
            client.say(&answer)
        })
    }

    /// What each connection's client has said.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("nobody panics with it").clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A whole HTTP answer that ends its connection.
pub fn http(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The client at the other end.
pub struct Client {
    reader: BufReader<TcpStream>,
    heard: Arc<Mutex<Vec<String>>>,
    /// Which of the connections it is.
    number: usize,
    ended: Arc<AtomicBool>,
}

impl Client {
    fn new(
        stream: TcpStream,
        heard: Arc<Mutex<Vec<String>>>,
        ended: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        stream.set_write_timeout(Some(Duration::from_secs(1)))?;
        let number = {
            let mut heard = heard.lock().expect("nobody panics with it");
            heard.push(String::new());
            heard.len() - 1
        };
        Ok(Self {
            reader: BufReader::new(stream),
            heard,
            number,
            ended,
        })
    }

    pub fn say(&mut self, text: impl AsRef<[u8]>) -> io::Result<()> {
        self.reader.get_mut().write_all(text.as_ref())
    }

    /// Reads a line; at the connection's end it is empty.
    pub fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        let line = String::from_utf8_lossy(&line).into_owned();
        self.keep(&line);
        Ok(line)
    }

    fn keep(&self, line: &str) {
        if let Some(heard) = self
            .heard
            .lock()
            .expect("nobody panics with it")
            .get_mut(self.number)
        {
            heard.push_str(line);
        }
    }

    /// Reads a request, its body, too.
    pub fn http_request(&mut self) -> io::Result<()> {
        let mut length = 0;
        loop {
            let line = self.line()?;
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)
    }

    /// Speaks SMTP, answering each command with what `answer` has for it, until that is `None` or
    /// the client leaves.
    pub fn smtp(&mut self, answer: impl Fn(&str) -> Option<&'static str>) -> io::Result<()> {
        self.say("220 stand-in ESMTP\r\n")?;
        loop {
            let line = self.line()?;
            let word = line
                .split([' ', '\r'])
                .next()
                .unwrap_or_default()
                .to_ascii_uppercase();
            let Some(text) = answer(&word).filter(|_| !line.is_empty()) else {
                return Ok(());
            };
            self.say(text)?;
            if word == "DATA" {
                while !matches!(self.line()?.as_str(), ".\r\n" | "") {}
                let Some(text) = answer(".") else {
                    return Ok(());
                };
                self.say(text)?;
            }
        }
    }

    /// Does nothing until the client goes away or the test is over.
    pub fn hang(&mut self) -> io::Result<()> {
        self.drip("", LOOK)
    }

    /// Says this again and again, with a pause, until the client goes away or the test is over.
    pub fn drip(&mut self, text: &str, pause: Duration) -> io::Result<()> {
        self.reader.get_mut().set_read_timeout(Some(pause))?;
        while !self.ended.load(Ordering::Relaxed) {
            self.say(text)?;
            match self.reader.read(&mut [0; 1024]) {
                Ok(0) => break,
                Err(why) if why.kind() != io::ErrorKind::WouldBlock => return Err(why),
                _ => {}
            }
        }
        Ok(())
    }

    /// Says this again and again, as fast as it can.
    pub fn flood(&mut self, text: &str) -> io::Result<()> {
        let text = text.repeat((1 << 20) / text.len());
        while !self.ended.load(Ordering::Relaxed) {
            self.say(&text)?;
        }
        Ok(())
    }

    /// Takes part in TLS with this certificate, then answers one HTTP request with `ok`.
    pub fn tls(&mut self, certs: &Certs) -> io::Result<()> {
        let config = server_config(certs);
        let session = ServerConnection::new(config).map_err(io::Error::other)?;
        let mut tls = BufReader::new(StreamOwned::new(
            session,
            self.reader.get_ref().try_clone()?,
        ));
        let mut line = String::from("-");
        while !line.trim().is_empty() {
            line.clear();
            tls.read_line(&mut line)?;
            self.keep(&line);
        }
        tls.get_mut()
            .write_all(http("200 OK", "", "ok").as_bytes())?;
        tls.get_mut().conn.send_close_notify();
        tls.get_mut().flush()
    }
}

fn server_config(certs: &Certs) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = vec![CertificateDer::from_pem_file(certs.certificate()).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(certs.key()).expect("a key");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions");
    Arc::new(
        config
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("they fit"),
    )
}
