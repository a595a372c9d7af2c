//! A server on loopback that does what a test says. The unit tests of the sinks use it too.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::id;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Pause after which a server that hangs checks whether the test is over.
const LOOK: Duration = Duration::from_millis(100);

pub struct StandIn {
    pub port: u16,
    shared: Arc<Shared>,
    /// Accepts connections; returns the threads of the clients.
    listener: Option<JoinHandle<Vec<JoinHandle<()>>>>,
}

#[derive(Default)]
struct Shared {
    /// Text of each client, in the order of their connections.
    heard: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

impl StandIn {
    /// Starts a server that runs `behave` for every client, each in a thread of its own.
    pub fn start(behave: impl Fn(&mut Client) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared::default());
        let (state, behave) = (Arc::clone(&shared), Arc::new(behave));
        let accept = move || {
            let streams = listener.incoming().flatten();
            let streams = streams.take_while(|_| !state.is_over.load(Ordering::Relaxed));
            let serve = |stream: TcpStream| {
                let (behave, client) = (Arc::clone(&behave), Client::new(stream, &state));
                // A client may go away at any time.
                let serve = move || drop(client.and_then(|mut client| behave(&mut client)));
                Builder::new()
                    .spawn(serve)
                    .expect("a thread can be started")
            };
            streams.map(serve).collect()
        };
        let listener = Builder::new()
            .spawn(accept)
            .expect("a thread can be started");
        Self {
            port,
            shared,
            listener: Some(listener),
        }
    }

    /// Starts a server that gives every HTTP request this answer.
    pub fn http(answer: impl Into<Vec<u8>>) -> Self {
        Self::http_in_turn([answer])
    }

    /// Starts a server that gives the first HTTP request the first of these answers, the second
    /// request the second, and all later ones the last.
    pub fn http_in_turn(answers: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        let answers: Vec<Vec<u8>> = answers.into_iter().map(Into::into).collect();
        Self::start(move |client| {
            client.http_request()?;
            client.say(&answers[client.number.min(answers.len() - 1)])
        })
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the text that each client has sent so far.
    pub fn heard(&self) -> Vec<String> {
        lock(&self.shared.heard).clone()
    }

    /// Waits until all clients have left; returns the text that each of them has sent.
    pub fn finish(mut self) -> Vec<String> {
        for client in self.stop() {
            client.join().expect("a client's thread does not panic");
        }
        self.heard()
    }

    fn stop(&mut self) -> Vec<JoinHandle<()>> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // The listener checks for the end when the next client comes.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let clients = self.listener.take().map(JoinHandle::join);
        clients.and_then(Result::ok).unwrap_or_default()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no thread panics with the lock")
}

/// Returns a whole HTTP answer that ends its connection.
pub fn http(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Returns how an SMTP server that takes everything answers a line.
pub fn smtp(line: &str) -> &'static str {
    match line.trim_end() {
        "DATA" => "354 go on",
        "QUIT" => "221 bye",
        _ => "250 ok",
    }
}

/// Returns a port on which no process listens. It is below the range from which the kernel takes the
/// ports of clients, and this process gets it only once.
pub fn free_port() -> u16 {
    const FIRST: u16 = 15_000;
    const COUNT: u16 = 15_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test binaries that run at the same time start at different places.
    let start = u16::try_from(id() * 37 % u32::from(COUNT)).expect("less than COUNT");
    loop {
        let port = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let address = ("127.0.0.1", port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return port;
        }
    }
}

/// The client at the other end of a connection.
pub struct Client {
    reader: BufReader<TcpStream>,
    shared: Arc<Shared>,
    /// Index of the connection.
    number: usize,
}

impl Client {
    fn new(stream: TcpStream, shared: &Arc<Shared>) -> io::Result<Self> {
        let mut heard = lock(&shared.heard);
        heard.push(String::new());
        stream.set_write_timeout(Some(Duration::from_secs(1)))?;
        Ok(Self {
            reader: BufReader::new(stream),
            shared: Arc::clone(shared),
            number: heard.len() - 1,
        })
    }

    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    pub fn is_over(&self) -> bool {
        self.shared.is_over.load(Ordering::Relaxed)
    }

    pub fn say(&mut self, text: impl AsRef<[u8]>) -> io::Result<()> {
        self.reader.get_mut().write_all(text.as_ref())
    }

    /// Adds to the text that is kept of this client.
    pub fn keep(&self, text: &str) {
        lock(&self.shared.heard)[self.number].push_str(text);
    }

    /// Reads a line. Returns an empty one at the end of the connection.
    pub fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line)?;
        let line = String::from_utf8_lossy(&line).into_owned();
        self.keep(&line);
        Ok(line)
    }

    /// Reads until the client closes its side.
    pub fn all(&mut self) -> io::Result<()> {
        while !self.line()?.is_empty() {}
        Ok(())
    }

    /// Reads a request and returns its head and its body.
    pub fn http_request(&mut self) -> io::Result<(String, String)> {
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let line = self.line()?;
            if line.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            head += &line;
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)?;
        let body = String::from_utf8_lossy(&body).into_owned();
        self.keep(&body);
        Ok((head, body))
    }

    /// Speaks SMTP: answers each line, the one that ends a message included, until `answer` returns
    /// `None` or the client leaves.
    pub fn smtp<'a>(&mut self, answer: impl Fn(&str) -> Option<&'a str>) -> io::Result<()> {
        self.say("220 stand-in ESMTP\r\n")?;
        let mut line = self.line()?;
        while let Some(text) = answer(&line).filter(|_| !line.is_empty()) {
            self.say(format!("{text}\r\n"))?;
            line = self.line()?;
            while text.starts_with("354") && !matches!(line.as_str(), ".\r\n" | "") {
                line = self.line()?;
            }
        }
        Ok(())
    }

    /// Does nothing until the client leaves or the test is over.
    pub fn hang(&mut self) -> io::Result<()> {
        self.drip("", LOOK)
    }

    /// Sends this again and again, with a pause, until the client leaves or the test is over.
    pub fn drip(&mut self, text: &str, pause: Duration) -> io::Result<()> {
        self.stream().set_read_timeout(Some(pause))?;
        while !self.is_over() {
            self.say(text)?;
            match self.reader.read(&mut [0; 1024]) {
                Ok(0) => break,
                Err(why) if why.kind() != io::ErrorKind::WouldBlock => return Err(why),
                _ => {}
            }
        }
        Ok(())
    }

    /// Sends this again and again, as fast as possible.
    pub fn flood(&mut self, text: &str) -> io::Result<()> {
        let text = text.repeat((1 << 20) / text.len());
        while !self.is_over() {
            self.say(&text)?;
        }
        Ok(())
    }
}
