//! Runs a command as its parent: `lastwords run`. It passes signals and output on, sees the end
//! itself, and ends as the command did.
//!
//! ```text
//! take over the signals ─ arm ─ put relays into the output ─ start the command
//! pass signals on, reap, until the command has ended
//! keep its last output ─ a worker judges and catches for at most a second, as after a hook
//! end as it ended
//! ```
//! If any of this fails, the command runs all the same. A line says what failed. Where there is no
//! room for a process beside the command, this one becomes the command.
//!
//! - The command stays in our process group and session: keys on a terminal, job control and
//!   signals to a whole group reach it as they would without us. What the kernel sends to all of a
//!   terminal's foreground group is not sent twice.
//! - The kernel kills the command when we are killed: nothing goes on unsupervised, and the next
//!   start finds its port free.
//! - Orphans come to us only where we are PID 1, and are reaped. Elsewhere they go where they would
//!   go without us.

mod args;
mod end;
mod output;
mod relay;
mod signals;
mod watch;

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode};

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, wait};

pub use args::RunArgs;
use end::{CommandEnd, cannot_run, used, used_since};
use output::Output;
pub use output::relay;
use signals::{Signals, is_init};
use watch::Watch;

use crate::host::Host;
use crate::{limits, notice};

pub fn run(args: &RunArgs) -> ExitCode {
    let host = args.places.host();
    if let Err(why) = limits::lift_soft() {
        return become_the_command(args, args.command(), &host, &why.to_string());
    }
    if let Some(most) = limits::few_processes() {
        let why = format!("this user may have only {most} processes");
        return become_the_command(args, args.command(), &host, &why);
    }
    let signals = match Signals::take_over() {
        Ok(signals) => signals,
        Err(why) => {
            let why = format!("signals cannot be passed on: {why}");
            return become_the_command(args, args.command(), &host, &why);
        }
    };
    let mut watch = Watch::new(args, host);
    let mut output = Output::intercept();
    let end = match start(args, &mut output, &signals) {
        Ok(child) => {
            watch.started(&child);
            supervise(&child, &signals, &mut watch)
        }
        Err(why) if is_shortage(&why) => {
            let host = watch.give_up();
            let mut command = args.command();
            signals.as_we_got_them(&mut command, false);
            let why = format!("no process beside it can be had: {why}");
            return become_the_command(args, command, &host, &why);
        }
        Err(why) => CommandEnd::NeverRan(why),
    };
    let (streams, held) = output.kept();
    let until = watch.ended(&end, streams, &held);
    watch.deliver(&signals, until);
    output.finish(&signals);
    end.pass_on(args)
}

/// Becomes the command, whose end nobody will see. Returns if that is impossible.
fn become_the_command(args: &RunArgs, mut command: Command, host: &Host, why: &str) -> ExitCode {
    notice::say(host, &format!("run: a crash will go unnoticed: {why}"));
    cannot_run(args, &command.exec())
}

/// Returns true if the command may run in place of this process, but not beside it.
fn is_shortage(why: &io::Error) -> bool {
    let errno = Errno::from_io_error(why);
    errno.is_some_and(|it| [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE].contains(&it))
}

fn start(args: &RunArgs, output: &mut Output, signals: &Signals) -> io::Result<Child> {
    let mut command = args.command();
    output.attach(&mut command);
    // With PID 1 the kernel ends everything anyway.
    signals.as_we_got_them(&mut command, !is_init());
    command.spawn()
}

fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Passes signals on until the command has ended.
fn supervise(child: &Child, signals: &Signals, watch: &mut Watch) -> CommandEnd {
    let Some(main) = pid_of(child) else {
        return CommandEnd::NeverRan(io::Error::other("it has no process id"));
    };
    loop {
        let before = used();
        // Signals that came before the end have to be known when it is judged.
        while let Some(arrived) = signals.next() {
            watch.pass_on(arrived, main);
        }
        match wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) {
            Ok(Some((pid, status))) if pid == main => {
                if let Some(signal) = status.stopping_signal() {
                    stopped(signal);
                } else {
                    let used = used_since(before);
                    watch.await_late_signals(status, signals);
                    return CommandEnd::Ended { exit: status, used };
                }
            }
            // An orphan ended, or nothing did.
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => {
                signals.wait_for(signals, watch.look());
            }
            Err(why) => return CommandEnd::NeverRan(why.into()),
        }
    }
}

/// Stops too, as the command was stopped from its terminal: the shell has to see it. A command that
/// SIGSTOP stopped is continued by SIGCONT, which this process must be awake to pass on.
fn stopped(signal: i32) {
    if ["TSTP", "TTIN", "TTOU"].contains(&signals::name(signal).as_str()) && !is_init() {
        signals::stop();
    }
}
