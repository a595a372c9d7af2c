//! s6: `finish` gets the main process's exit code, or 256, the signal, and the service's name; see
//! s6-supervise. `supervise/status` says whether the service is wanted up, and whether it dumped
//! core. It does not show an `s6-svc -r`, which is a TERM like any other for s6-supervise.

mod answers;
mod doctor;
mod setup;

use std::ffi::OsString;

use crate::report::{Evidence, Exit, signal_name};
use crate::supervisor::account::{Account, MainExit};
use crate::supervisor::service_dir::{self, Words};
pub use answers::S6;

const WORDS: Words = Words {
    supervisor: "s6-supervise",
    down: "`s6-svc -d` and a shutdown",
    once: "`s6-svc -o`",
    restart: "`s6-svc -r`",
};

/// Reads an end from the arguments of `finish` and the status; returns `None` if the arguments are
/// not s6-supervise's. `kills_after_ms` is the service's `timeout-kill`, if it has one.
pub fn account(args: &[OsString], status: &[u8], kills_after_ms: Option<u64>) -> Option<Account> {
    let [code, signal, ..] = args else {
        return None;
    };
    let number = |arg: &OsString| arg.to_str()?.parse::<i32>().ok();
    let (code, signal) = (number(code)?, number(signal)?);
    let exit = match code {
        256.. => Exit::Signal {
            name: signal_name(signal),
            core_dumped: dumped(status, signal),
        },
        code => Exit::Code(code),
    };
    let evidence = Evidence {
        source: "arguments of the hook".into(),
        line: None,
        text: format!("finish {code} {signal}"),
    };
    let main = MainExit {
        exit,
        pid: None,
        evidence,
    };
    let wanted = wanted_up(status);
    Some(service_dir::account(
        main,
        wanted,
        false,
        kills_after_ms,
        &WORDS,
    ))
}

/// Reads `timeout-kill`: how long a stop takes before it ends in SIGKILL, in milliseconds. With 0
/// it may take for ever.
pub fn kills_after_ms(file: &str) -> Option<u64> {
    file.trim().parse().ok().filter(|millis| *millis > 0)
}

/// Returns the wait status and the flags, which are the last bytes of a status. s6 2.11 writes 35
/// bytes; later versions put the process group before them. Other lengths are unknown versions'.
fn end(status: &[u8]) -> Option<[u8; 3]> {
    if matches!(status.len(), 35 | 43) {
        status.last_chunk().copied()
    } else {
        None
    }
}

/// Returns whether s6-supervise wants the service to run. The `s6-svc -o` that started it looks
/// like a stop.
pub fn wanted_up(status: &[u8]) -> Option<bool> {
    end(status).map(|[.., flags]| flags & 4 != 0)
}

/// Returns whether the service runs: it has a pid, and its `finish` does not run.
pub fn is_up(status: &[u8]) -> Option<bool> {
    let [.., flags] = end(status)?;
    Some(status.get(24..32)?.iter().any(|byte| *byte != 0) && flags & 2 == 0)
}

/// Returns true if the service dumped core, and the status is about an end by the same signal.
fn dumped(status: &[u8], signal: i32) -> bool {
    end(status).is_some_and(|[_, wait_status, _]| {
        wait_status & 0x80 != 0 && i32::from(wait_status & 0x7f) == signal
    })
}

#[cfg(test)]
mod tests {
    use crate::report::Exit;
    use crate::supervisor::account::{Account, Ending};
    use crate::supervisor::s6::{account, wanted_up};

    /// A status as s6 2.11 writes it, and, with 8 bytes more, s6 2.13.
    fn status(more: usize, wait_status: u8, flags: u8) -> Vec<u8> {
        [vec![0x40; 32 + more], vec![0, wait_status, flags]].concat()
    }

    fn finish(args: &[&str], status: &[u8]) -> Option<Account> {
        let args: Vec<_> = args.iter().map(Into::into).collect();
        account(&args, status, None)
    }

    #[test]
    fn arguments_and_status_tell_the_exit() {
        let exit = |args: &[&str], wait_status| {
            finish(args, &status(0, wait_status, 6)).map(|it| it.ending.exit())
        };
        let segv = |core_dumped| {
            Some(Exit::Signal {
                name: "SEGV".into(),
                core_dumped,
            })
        };
        assert_eq!(exit(&["3", "0", "web"], 0), Some(Exit::Code(3)));
        assert_eq!(exit(&["256", "11", "web"], 11), segv(false));
        assert_eq!(exit(&["256", "11", "web"], 139), segv(true));
        assert_eq!(
            exit(&["256", "11", "web"], 134),
            segv(false),
            "that is another end's status"
        );
        assert_eq!((exit(&[], 0), exit(&["x", "1"], 0)), (None, None));
    }

    #[test]
    fn the_status_tells_a_stop_in_the_versions_that_are_known() {
        for more in [0, 8] {
            assert_eq!(wanted_up(&status(more, 15, 6)), Some(true));
            assert_eq!(wanted_up(&status(more, 15, 2)), Some(false));
        }
        assert_eq!((wanted_up(&status(4, 15, 2)), wanted_up(&[])), (None, None));
        assert!(
            finish(&["256", "15", "web"], &status(0, 15, 2))
                .unwrap()
                .announced
                .is_some()
        );
        let restarted = finish(&["256", "15", "web"], &status(0, 15, 6)).unwrap();
        assert_eq!(restarted.announced, None);
        assert!(matches!(restarted.ending, Ending::LikeRestart { .. }));
    }
}
