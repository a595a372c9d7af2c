//! runit: `finish` gets the main process's exit code, or -1, and the low byte of its wait status; see runsv(8).

use std::ffi::OsString;

use super::{Account, Death};
use crate::report::{Evidence, Exit, signal_name};

/// What the arguments of `finish` tell; `None` where they are none of runsv's.
pub fn account(args: &[OsString]) -> Option<Account> {
    let [code, status, ..] = args else { return None };
    let number = |arg: &OsString| arg.to_str()?.parse::<i32>().ok();
    let (code, status) = (number(code)?, number(status)?);
    let exit = match code {
        -1 => Exit::Signal { name: signal_name(status & 0x7f), core_dumped: status & 0x80 != 0 },
        code => Exit::Code(code),
    };
    let text = format!("finish {code} {status}");
    let evidence = Evidence { source: "arguments of the hook".into(), line: None, text };
    Some(Account { death: Some(Death { exit, pid: None, evidence }), readable: true, ..Account::default() })
}

#[cfg(test)]
mod tests {
    use super::account;
    use crate::report::Exit;

    #[test]
    fn the_arguments_of_finish_tell_the_exit() {
        let exit =
            |args: &[&str]| account(&args.iter().map(Into::into).collect::<Vec<_>>()).map(|it| it.death.unwrap().exit);
        let signal = |name: &str, core_dumped| Some(Exit::Signal { name: name.into(), core_dumped });
        assert_eq!(exit(&["3", "0"]), Some(Exit::Code(3)));
        assert_eq!(exit(&["-1", "11"]), signal("SEGV", false));
        assert_eq!(exit(&["-1", "139"]), signal("SEGV", true));
        assert_eq!(exit(&["-1", "64"]), signal("64", false));
        assert_eq!((exit(&[]), exit(&["x", "1"])), (None, None));
    }
}
