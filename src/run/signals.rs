//! Passes every signal on to the command, which starts out with the signals and the umask as we got
//! them; and dies by a signal.
//!
//! The `unsafe` code of this program is here and in `plugin/switch.rs`. Only code that runs between
//! fork and exec can set the masks and the dispositions of the new process, and the signal that it
//! gets when its parent dies. The closures below make system calls and nothing else.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal as Name, signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    DumpableBehavior, Pid, Signal, getpid, getppid, kill_process, set_dumpable_behavior,
    set_parent_process_death_signal,
};

use crate::clock::Now;
use crate::supervisor::run::life::is_stop;
use crate::{limits, ourselves};

/// True if SIGPIPE was ignored when this process was started. Rust's runtime ignores it before
/// `main`, so this is read earlier.
static PIPE_IGNORED: AtomicBool = AtomicBool::new(false);

#[expect(
    unsafe_code,
    reason = "only what the loader calls runs before Rust's runtime, which sets SIGPIPE anew"
)]
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = remember;

#[expect(
    unsafe_code,
    reason = "to ask is to set: no handler is installed, and the runtime sets it again right after"
)]
extern "C" fn remember() {
    let was = unsafe { signal(Name::SIGPIPE, SigHandler::SigDfl) };
    PIPE_IGNORED.store(matches!(was, Ok(SigHandler::SigIgn)), Ordering::Relaxed);
}

/// A signal that arrived, and its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    pub number: i32,
    /// Process id of the sender; `None` if the kernel sent it.
    pub from: Option<(u32, u32)>,
}

/// All signals, taken one by one instead of by a handler.
pub struct Signals {
    source: SignalFd,
    /// Signals that were blocked when this process was started.
    mask: SigSet,
    /// True if SIGCHLD was ignored then. The ends of children would go unseen.
    child_ignored: bool,
}

impl Signals {
    /// Blocks all signals. From here on they wait to be taken.
    ///
    /// # Errors
    /// Returns an error if no descriptor is left.
    pub fn take_over() -> io::Result<Self> {
        let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        let source = SignalFd::with_flags(
            &SigSet::all(),
            SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC,
        );
        let source = source.inspect_err(|_| {
            let _ = mask.thread_set_mask();
        })?;
        let child_ignored = matches!(default_action(Name::SIGCHLD)?, SigHandler::SigIgn);
        Ok(Self {
            source,
            mask,
            child_ignored,
        })
    }

    /// Returns the next signal that has arrived.
    pub fn next(&self) -> Option<Arrived> {
        let info = self.source.read_signal().ok().flatten()?;
        // By signal(7) and sigaction(2), positive codes are the kernel's own. SI_KERNEL is among
        // them, for keys on a terminal.
        let from = (info.ssi_code <= 0).then_some((info.ssi_pid, info.ssi_uid));
        Some(Arrived {
            number: i32::try_from(info.ssi_signo).unwrap_or_default(),
            from,
        })
    }

    /// Waits until `what` is ready, or until this time is over. Returns true if it is ready.
    /// Returns false at once after a signal that asks this process to end.
    pub fn wait_for(&self, what: &impl AsFd, until: Option<Duration>) -> bool {
        loop {
            let left = until.map(|until| until.saturating_sub(Now::read().monotonic));
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            let mut fds = [
                PollFd::new(what, PollFlags::IN),
                PollFd::new(self, PollFlags::IN),
            ];
            match poll(&mut fds, left.as_ref()) {
                Err(rustix::io::Errno::INTR) => continue,
                Ok(0) | Err(_) => return false,
                Ok(_) if !fds[0].revents().is_empty() => return true,
                Ok(_) => {}
            }
            while let Some(arrived) = self.next() {
                if is_stop(&name(arrived.number)) {
                    return false;
                }
            }
        }
    }

    /// Has the command start with the signals as we got them. If `dies_with_us`, the kernel kills
    /// the command when this process is killed.
    #[expect(
        unsafe_code,
        reason = "nothing else runs between fork and exec; see the module's first words"
    )]
    pub fn as_we_got_them(&self, command: &mut Command, dies_with_us: bool) {
        let (mask, child_ignored, ours) = (self.mask, self.child_ignored, getpid());
        let prepare = move || {
            if dies_with_us {
                set_parent_process_death_signal(Some(Signal::KILL))?;
                if getppid() != Some(ours) {
                    return Err(io::Error::other("lastwords was killed"));
                }
            }
            if PIPE_IGNORED.load(Ordering::Relaxed) {
                unsafe { signal(Name::SIGPIPE, SigHandler::SigIgn) }?;
            }
            if child_ignored {
                unsafe { signal(Name::SIGCHLD, SigHandler::SigIgn) }?;
            }
            Ok(mask.thread_set_mask()?)
        };
        unsafe { command.pre_exec(prepare) };
    }

    /// Has a process of ours start with the default signals.
    #[expect(
        unsafe_code,
        reason = "nothing else runs between fork and exec; see the module's first words"
    )]
    pub fn unblocked(command: &mut Command) {
        unsafe { command.pre_exec(|| Ok(SigSet::empty().thread_set_mask()?)) };
    }
}

/// Has a command start with the umask and the limits as we got them.
#[expect(
    unsafe_code,
    reason = "nothing else runs between fork and exec; see the module's first words"
)]
pub fn with_mask_and_limits_as_we_got_them(command: &mut Command) {
    unsafe {
        command.pre_exec(|| {
            ourselves::restore_umask();
            limits::restore_soft();
            Ok(())
        })
    };
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

#[expect(
    unsafe_code,
    reason = "the default action is no handler that could do harm"
)]
fn default_action(name: Name) -> io::Result<SigHandler> {
    Ok(unsafe { signal(name, SigHandler::SigDfl) }?)
}

/// Sends a signal on to `pid`, a child that was not waited for yet.
pub fn send(pid: Pid, number: i32) {
    if let Some(signal) = numbered(number) {
        let _ = kill_process(pid, signal);
    }
}

#[expect(
    unsafe_code,
    reason = "rustix has no safe name for real-time signals; the kernel itself gave us the number"
)]
fn numbered(number: i32) -> Option<Signal> {
    Signal::from_named_raw(number).or_else(|| {
        (32..=64)
            .contains(&number)
            .then(|| unsafe { Signal::from_raw_unchecked(number) })
    })
}

/// Returns a signal's name without `SIG`, or the number of a real-time one.
pub fn name(number: i32) -> String {
    match Name::try_from(number) {
        Ok(name) => name.as_str().trim_start_matches("SIG").to_owned(),
        Err(_) => number.to_string(),
    }
}

/// Dies by this signal, as the command did, without a core dump that would replace the command's.
/// Returns if that is impossible: the kernel protects PID 1.
pub fn die_by(number: i32) {
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    if let Ok(name) = Name::try_from(number) {
        let _ = default_action(name);
    }
    send(getpid(), number);
    let _ = SigSet::empty().thread_set_mask();
}

/// Returns true if everything else ends with this process, as in a container.
pub fn is_init() -> bool {
    getpid().is_init()
}

/// Stops, as the command has stopped, until SIGCONT arrives.
pub fn stop() {
    let _ = kill_process(getpid(), Signal::STOP);
}
