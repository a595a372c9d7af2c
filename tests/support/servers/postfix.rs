//! Postfix, which takes mail for `@example.test` and delivers it into Maildirs, and Dovecot, which
//! checks its passwords.
//!
//! | Recipient | Answer |
//! |----|----|
//! | `ops@`, `oncall@` | taken |
//! | `slow@` | taken after 5 s |
//! | `greylisted@`, `busy@` | 450, 451: try again |
//! | `nobody@`, `full@` | 550, 552: refused |

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use mailparse::{MailHeaderMap, ParsedMail};
use tempfile::TempDir;

use super::certs::Certs;
use super::{Process, directory, fill, open_to_all};
use crate::support::harness::wait_for_some;
use crate::support::stand_in::free_port;

pub const USERNAME: &str = "lastwords";
pub const PASSWORD: &str = "s3cret \"pass\\word\"";

/// Makes the queue's directories and becomes Postfix's master. `postfix start-fg` would put it into
/// a session of its own.
const MASTER: &str =
    r#"postfix -c "$1" check && exec "$(postconf -c "$1" -h daemon_directory)/master" -c "$1" -s"#;

pub struct Postfix {
    /// Requires STARTTLS and a password.
    pub starttls: u16,
    /// Requires encryption from the first byte, and a password.
    pub implicit: u16,
    /// Requires neither encryption nor a password.
    pub plain: u16,
    _master: Process,
    _passwords: Process,
    dir: TempDir,
}

impl Postfix {
    /// Starts both. Needs root, because Postfix does.
    pub fn start(certs: &Certs) -> Self {
        let dir = directory("postfix");
        let [starttls, implicit, plain] = [free_port(), free_port(), free_port()];
        // The mail may belong to any user that every Debian has, except root.
        let (uid, gid) = account("mail");
        let (owner, _) = account("postfix");
        for part in ["etc", "queue", "queue/private", "data", "mail", "dovecot"] {
            let path = dir.path().join(part);
            fs::create_dir(&path).expect("the directory is writable");
            open_to_all(&path);
        }
        chown(dir.path().join("data"), Some(owner), None).expect("root may chown");
        chown(dir.path().join("queue/private"), Some(owner), None).expect("root may chown");
        chown(dir.path().join("mail"), Some(uid), Some(gid)).expect("root may chown");

        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::write(&path, text).expect("the directory is writable");
            open_to_all(&path);
        };
        let place = dir.path().display();
        let (certificate, key) = (certs.certificate(), certs.key());
        let main = [
            ("DIR", &place as &dyn std::fmt::Display),
            ("UID", &uid),
            ("GID", &gid),
            ("CERTIFICATE", &certificate.display()),
            ("KEY", &key.display()),
        ];
        write("etc/main.cf", &fill(include_str!("main.cf"), &main));
        let ports: [(&str, &dyn std::fmt::Display); 3] = [
            ("STARTTLS", &starttls),
            ("IMPLICIT", &implicit),
            ("PLAIN", &plain),
        ];
        write("etc/master.cf", &fill(include_str!("master.cf"), &ports));
        write("etc/recipients", include_str!("recipients"));
        let mailboxes = ["ops", "oncall", "slow", "greylisted"]
            .map(|name| format!("{name}@example.test {name}/\n"));
        write("etc/mailboxes", &mailboxes.concat());
        write(
            "dovecot/dovecot.conf",
            &fill(include_str!("dovecot.conf"), &main),
        );
        write("dovecot/passwords", &format!("{USERNAME}:{PASSWORD}\n"));

        let at = |path: &str| dir.path().join(path).display().to_string();
        let mut dovecot = Process::start(
            &["dovecot", "-F", "-c", &at("dovecot/dovecot.conf")],
            dir.path().join("dovecot/output"),
        );
        let mut postfix = Process::start(
            &["sh", "-c", MASTER, "sh", &at("etc")],
            dir.path().join("output"),
        );
        dovecot.until("Dovecot listens", || {
            UnixStream::connect(at("queue/private/auth")).ok()
        });
        postfix.until("Postfix greets", || greeting(plain));
        Self {
            starttls,
            implicit,
            plain,
            _master: postfix,
            _passwords: dovecot,
            dir,
        }
    }

    /// Returns the mails in the user's mailbox.
    pub fn mails(&self, user: &str) -> Vec<Mail> {
        let Ok(entries) = fs::read_dir(self.dir.path().join("mail").join(user).join("new")) else {
            return Vec::new();
        };
        let mut paths: Vec<_> = entries
            .map(|entry| entry.expect("the Maildir is readable").path())
            .collect();
        paths.sort();
        paths
            .iter()
            .map(|path| Mail {
                raw: fs::read(path).expect("a mail is readable"),
            })
            .collect()
    }

    /// Waits until the user has a mail, and returns it.
    pub fn mail(&self, user: &str) -> Mail {
        wait_for_some(&format!("{user} gets a mail"), || {
            self.mails(user).into_iter().next()
        })
    }

    /// Empties the grey list and the list of busy recipients, so that the next attempt succeeds.
    pub fn end_greylisting(&self) {
        let recipients = include_str!("recipients");
        let rest: Vec<_> = recipients
            .lines()
            .filter(|line| !line.contains("grey"))
            .collect();
        let rest = rest.join("\n") + "\n";
        fs::write(self.dir.path().join("etc/recipients"), rest).expect("the directory is writable");
        let reload = Command::new("postfix")
            .arg("-c")
            .arg(self.dir.path().join("etc"))
            .arg("reload")
            .output();
        assert!(reload.expect("Postfix is installed").status.success());
    }

    /// Returns the log of Postfix and Dovecot.
    pub fn log(&self) -> String {
        let read = |path| fs::read_to_string(self.dir.path().join(path)).unwrap_or_default();
        read("maillog") + &read("dovecot/log")
    }
}

/// A mail as it is in the Maildir.
pub struct Mail {
    pub raw: Vec<u8>,
}

impl Mail {
    pub fn parse(&self) -> ParsedMail<'_> {
        mailparse::parse_mail(&self.raw).expect("the mail parses")
    }

    /// Returns the header's only value, decoded.
    pub fn header(&self, name: &str) -> String {
        let values = self.parse().headers.get_all_values(name);
        let [value] = values.as_slice() else {
            panic!("the header {name} is there {} times", values.len())
        };
        value.clone()
    }

    /// Returns the text of the first part of this type, decoded.
    pub fn text(&self, mime_type: &str) -> String {
        self.part(mime_type, |part| part.get_body().expect("the part decodes"))
    }

    /// Returns the bytes of the first part of this type.
    pub fn bytes(&self, mime_type: &str) -> Vec<u8> {
        self.part(mime_type, |part| {
            part.get_body_raw().expect("the part decodes")
        })
    }

    fn part<T>(&self, mime_type: &str, read: impl FnOnce(&ParsedMail) -> T) -> T {
        let mail = self.parse();
        let part = mail.parts().find(|part| part.ctype.mimetype == mime_type);
        read(part.unwrap_or_else(|| panic!("no {mime_type} in the mail")))
    }
}

fn greeting(port: u16) -> Option<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).ok()?;
    (&answer == b"220 ").then_some(())
}

/// Returns the account's user and group ids, from `/etc/passwd`; see passwd(5).
fn account(name: &str) -> (u32, u32) {
    let accounts = fs::read_to_string("/etc/passwd").expect("/etc/passwd is readable");
    let account = accounts
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields[0] == name);
    let account = account
        .unwrap_or_else(|| panic!("no user {name}: tests/run installs Postfix, which makes it"));
    (
        account[2].parse().expect("a number"),
        account[3].parse().expect("a number"),
    )
}
