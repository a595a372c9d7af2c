//! runit: `finish` gets the main process's exit code, or -1, and the low byte of its wait status;
//! see runsv(8). `supervise/status` says whether the service is wanted up. It does not show an `sv
//! restart`, which is a TERM like any other for runsv. Only a `control/t` of ours sees it.

mod answers;
mod doctor;
mod setup;

use std::ffi::OsString;

use crate::report::{Evidence, Exit, signal_name};
use crate::supervisor::account::{Account, Ending, MainExit};
use crate::supervisor::service_dir::{self, STATUS, Words};
pub use answers::Runit;

/// `sv force-stop` kills after as long as its caller says.
const KILLS_AFTER_MS: Option<u64> = Some(0);

const WORDS: Words = Words {
    supervisor: "runsv",
    down: "`sv down`",
    once: "`sv once`",
    restart: "`sv restart`",
};

/// Reads an end from the arguments of `finish` and the status; returns `None` if the arguments are
/// not runsv's. `stat` is what the status says in words, `restarts_tell` is true if a `control/t`
/// announces each stop and restart to us.
pub fn account(
    args: &[OsString],
    status: &[u8],
    stat: &str,
    restarts_tell: bool,
) -> Option<Account> {
    let [code, wait_status, ..] = args else {
        return None;
    };
    let number = |arg: &OsString| arg.to_str()?.parse::<i32>().ok();
    let (code, wait_status) = (number(code)?, number(wait_status)?);
    let exit = match code {
        -1 => Exit::Signal {
            name: signal_name(wait_status & 0x7f),
            core_dumped: wait_status & 0x80 != 0,
        },
        code => Exit::Code(code),
    };
    let text = format!("finish {code} {wait_status}");
    let evidence = Evidence {
        source: "arguments of the hook".into(),
        line: None,
        text,
    };
    let main = MainExit {
        exit,
        pid: None,
        evidence,
    };
    // `sv exit`, and the end of runsv itself.
    if stat.contains("want exit") {
        return Some(Account {
            announced: Some(Evidence {
                source: STATUS.into(),
                line: None,
                text: "runsv is to exit".into(),
            }),
            ..Ending::Ended(main).into()
        });
    }
    Some(service_dir::account(
        main,
        wanted_up(status),
        restarts_tell,
        KILLS_AFTER_MS,
        &WORDS,
    ))
}

/// Returns whether runsv wants the service to run. The status is a TAI64N stamp, the pid, a flag
/// for pause, the wanted state, a flag for TERM, and the state. `sv exit`, the end of runsv itself
/// and the `sv once` that started the service all look like a stop.
pub fn wanted_up(status: &[u8]) -> Option<bool> {
    match status {
        [_, .., b'u', 0 | 1, 0..=2] if status.len() == 20 => Some(true),
        [_, .., b'd', 0 | 1, 0..=2] if status.len() == 20 => Some(false),
        _ => None,
    }
}

/// Returns whether the service runs.
pub fn is_up(status: &[u8]) -> Option<bool> {
    match status {
        [.., state @ 0..=2] if status.len() == 20 => Some(*state == 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::report::Exit;
    use crate::supervisor::account::{Account, Ending};
    use crate::supervisor::runit::{account, wanted_up};

    /// As runsv 2.1.2 wrote it.
    const UP: &[u8] = b"\x40\0\0\0\x6b\x03\xc4\x77\x1b\xef\x0d\xec\x5c\x14\0\0\0u\0\x02";
    const DOWN: &[u8] = b"\x40\0\0\0\x6b\x03\xc4\x7e\x2a\x6b\xc3\x9c\x04\x16\0\0\0d\0\x02";

    fn finish(args: &[&str], status: &[u8], restarts_tell: bool) -> Option<Account> {
        account(
            &args.iter().map(Into::into).collect::<Vec<_>>(),
            status,
            "finish",
            restarts_tell,
        )
    }

    #[test]
    fn the_arguments_of_finish_tell_the_exit() {
        let exit = |args: &[&str]| finish(args, UP, true).map(|it| it.ending.exit());
        let signal = |name: &str, core_dumped| {
            Some(Exit::Signal {
                name: name.into(),
                core_dumped,
            })
        };
        assert_eq!(exit(&["3", "0"]), Some(Exit::Code(3)));
        assert_eq!(exit(&["-1", "11"]), signal("SEGV", false));
        assert_eq!(exit(&["-1", "139"]), signal("SEGV", true));
        assert_eq!(exit(&["-1", "64"]), signal("64", false));
        assert_eq!((exit(&[]), exit(&["x", "1"])), (None, None));
    }

    #[test]
    fn the_status_tells_a_stop_and_nothing_else_does() {
        assert_eq!((wanted_up(UP), wanted_up(DOWN)), (Some(true), Some(false)));
        for other in [
            &[][..],
            &UP[1..],
            b"run, want down\n",
            b"01234567890123456789",
        ] {
            assert_eq!(wanted_up(other), None);
        }
        assert!(
            finish(&["-1", "15"], DOWN, false)
                .unwrap()
                .announced
                .is_some()
        );
        let exits = account(&["1".into(), "0".into()], DOWN, "finish, want exit", true);
        assert!(exits.unwrap().announced.is_some());
        let tells = |args: &[&str], tells| match finish(args, DOWN, tells).unwrap().ending {
            Ending::Unwanted { pre_stop_tells, .. } => Some(pre_stop_tells),
            _ => None,
        };
        assert_eq!(tells(&["1", "0"], false), Some(false));
        assert_eq!(tells(&["1", "0"], true), Some(true));
        assert_eq!(tells(&["-1", "11"], false), None);
        assert_eq!(finish(&["-1", "15"], UP, false).unwrap().announced, None);
    }

    #[test]
    fn a_term_looks_like_a_restart_unless_restarts_are_announced() {
        let doubt = |args: &[&str], restarts_tell| {
            let ending = finish(args, UP, restarts_tell).unwrap().ending;
            matches!(ending, Ending::LikeRestart { .. })
        };
        assert!(
            doubt(&["-1", "15"], false) && doubt(&["0", "0"], false) && doubt(&["143", "0"], false)
        );
        assert!(
            !doubt(&["-1", "15"], true)
                && !doubt(&["1", "0"], false)
                && !doubt(&["-1", "9"], false)
        );
    }
}
