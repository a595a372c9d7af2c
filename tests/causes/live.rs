//! A program that really dies, and the answer of `lastwords explain` about its output.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;

/// Log lines before the crash: ordinary work, and an error that was handled.
const BEFORE: &str = "\
2026-11-22 23:50:18,121 INFO auth: session 40bb09bc opened for user 1601
2026-11-22 23:50:20,005 ERROR http: webhook failed, will retry
Traceback (most recent call last):
  File \"/srv/app/main.py\", line 5, in deliver
    post(url)
ConnectionError: decoy
run.sh: line 9: decoy: command not found
2026-11-22 23:50:46,335 INFO queue: connected client 10.0.1.7:51528
2026-11-22 23:50:47,335 INFO queue: connected client 10.0.1.8:51529
";

#[derive(Debug, Deserialize)]
pub struct Answer {
    pub kind: String,
    pub line: String,
    pub confidence: String,
}

impl Answer {
    /// Panics unless the cause has this kind and all these words.
    #[track_caller]
    pub fn is(&self, kind: &str, words: &[&str]) {
        assert_eq!(self.kind, kind, "{self:?}");
        assert!(
            words.iter().all(|words| self.line.contains(words)),
            "{self:?} lacks some of {words:?}"
        );
    }

    /// Panics unless the answer tells only the exit.
    #[track_caller]
    pub fn is_unknown(&self) {
        assert_eq!(self.confidence, "none", "{self:?}");
    }
}

/// A directory with one program in it.
pub struct Live(PathBuf);

impl Live {
    /// Writes the program.
    pub fn program(name: &str, text: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = format!(
            "live-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(unique);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(name), text).unwrap();
        Self(directory)
    }

    /// Runs a command in the directory until it ends, and explains its end.
    pub fn dies(&self, command: &[&str]) -> Answer {
        self.dies_with(command, "")
    }

    /// Does the same, with these lines at the end of the log.
    pub fn dies_with(&self, command: &[&str], after: &str) -> Answer {
        let log = self.0.join("log");
        fs::write(&log, BEFORE).unwrap();
        let output = File::options().append(true).open(&log).unwrap();
        let status = Command::new(command[0])
            .args(&command[1..])
            .current_dir(&self.0)
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .status()
            .unwrap();
        let text = fs::read_to_string(&log).unwrap() + after;
        fs::write(&log, text).unwrap();
        let exit = match (status.code(), status.signal()) {
            (Some(code), _) => format!("code:{code}"),
            (None, Some(6)) => "signal:ABRT".to_owned(),
            (None, Some(11)) => "signal:SEGV".to_owned(),
            (None, Some(signal)) => panic!("ended by signal {signal}"),
            (None, None) => "unknown".to_owned(),
        };
        let binary = std::env::var_os("LASTWORDS_BIN")
            .unwrap_or_else(|| env!("CARGO_BIN_EXE_lastwords").into());
        let output = Command::new(binary)
            .args(["explain", "--json", "--exit", &exit, "--log"])
            .arg(&log)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
