//! A process as init runs it: in a session of its own, with cwd `/`, an empty stdin, and a private
//! pty or `/dev/null` to write to.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, umask};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// The `PATH` of every process of every job; see init(5).
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub struct Process {
    child: Child,
    /// init's end of the pty. It closes when the process ends, even if its children live on.
    terminal: Option<File>,
    output: Vec<u8>,
}

impl Process {
    /// Runs `argv` with exactly `env`, as user `uid`.
    ///
    /// Fails if there is no such program, as init's `exec` does.
    pub fn spawn(
        argv: &[String],
        env: &[(String, String)],
        uid: Option<u32>,
        console_log: bool,
    ) -> io::Result<Self> {
        find_program(&argv[0])?;
        // A process has one umask, so every test sets the same one.
        umask(Mode::from_raw_mode(0o022));
        // setsid(1) and setpriv(1) replace themselves with the program, which keeps their pid.
        let mut command = Command::new("/usr/bin/setsid");
        if let Some(uid) = uid {
            let (user, group) = (format!("--reuid={uid}"), format!("--regid={uid}"));
            command.args(["/usr/bin/setpriv", &user, &group, "--clear-groups", "--"]);
        }
        command
            .args(argv)
            .env_clear()
            .envs(env.iter().map(|(k, v)| (k, v)))
            .current_dir("/")
            .stdin(Stdio::null());
        let mut terminal = None;
        if console_log {
            let (ours, theirs) = open_pty()?;
            command.stdout(theirs.try_clone()?).stderr(theirs);
            terminal = Some(ours);
        } else {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        Ok(Self {
            child: command.spawn()?,
            terminal,
            output: Vec::new(),
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Reads its output so far, and returns its exit status once it has ended.
    pub fn poll(&mut self) -> Option<ExitStatus> {
        let ended = self.child.try_wait().expect("our own child");
        if let Some(terminal) = &mut self.terminal {
            // This always fails: with EAGAIN while a process holds the other end, then with EIO.
            let _ = terminal.read_to_end(&mut self.output);
        }
        ended
    }

    /// Returns its output, as text.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    /// Sends a signal to the process alone, as `kill PID` does.
    pub fn kill(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal)
            .expect("the process has not been waited for");
    }

    /// Sends a signal to its whole group, as init does.
    pub fn kill_group(&self, signal: Signal) {
        // The group exists only once setsid(1) has run.
        let pid = Pid::from_child(&self.child);
        let _ = kill_process_group(pid, signal).or_else(|_| kill_process(pid, signal));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill_group(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

fn find_program(name: &str) -> io::Result<()> {
    let found = if name.contains('/') {
        Path::new(name).exists()
    } else {
        PATH.split(':')
            .any(|dir| Path::new(dir).join(name).exists())
    };
    if found {
        Ok(())
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Opens a pty; returns init's end, which never blocks, and the process's end.
pub fn open_pty() -> io::Result<(File, File)> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    rustix::fs::fcntl_setfl(&ours, OFlags::RDWR | OFlags::NONBLOCK)?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs = rustix::fs::open(ptsname(&ours, Vec::new())?, flags, Mode::empty())?;
    Ok((ours.into(), theirs.into()))
}
