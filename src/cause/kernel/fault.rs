//! A fault that the processor reported and nothing in the program handled: what was accessed, how,
//! and by which code.
//!
//! `arch/x86/mm/fault.c`, `arch/x86/kernel/traps.c`, `arch/arm64/kernel/traps.c`:
//!
//! ```text
//! app[9057]: segfault at 8 ip 564e891a6ea3 sp 7ffcc56a35b0 error 6 in app[12ea3,564e891a+3f000]
//! traps: node[30567] trap int3 ip:2155a72 sp:7ffd1ed42240 error:0 in node[1d55a72,b72000+1a8c000]
//! app[9057]: unhandled level 2 translation fault (11) at 0x8, esr 0x92000046, in app[aaaa+1000]
//! ```

use std::fmt::Write;

use super::cause::KernelCause;
use crate::cause::finding::ExpectedExit;
use crate::cause::scene::{KernelMessage, Scene};
use crate::report::{Confidence, Death, Exit};

/// A fault that the processor reported.
#[derive(Clone, Debug, PartialEq)]
struct CpuFault<'a> {
    /// Thread that faulted. Its id is the process's only for the main thread.
    tid: u32,
    /// Name of the thread: the program's, unless the thread has its own.
    name: &'a str,
    signal: &'static str,
    what: FaultReason,
    place: Option<FaultPlace<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum FaultReason {
    Access {
        at: u64,
        how: &'static str,
        sp: Option<u64>,
    },
    /// Name of the trap, in words.
    Trap(&'static str),
}

/// File whose code faulted.
#[derive(Clone, Copy, Debug, PartialEq)]
struct FaultPlace<'a> {
    file: &'a str,
    /// Offset in the file; kernels before 6.x do not tell it.
    offset: Option<&'a str>,
}

/// Returns the cause if a fault ended this process. `child` is the process that a wrapper's shell
/// reports as killed.
pub fn read(scene: &Scene, child: Option<u32>) -> Option<KernelCause> {
    let (source, messages) = scene.kernel;
    let (message, fault) = messages
        .iter()
        .rev()
        .filter_map(|message| parse(message).map(|fault| (message, fault)))
        .find(|(_, fault)| is_ours(fault, scene, child))?;
    let place = fault.place.map(|place| place.to_string());
    Some(KernelCause {
        kind: fault.kind(),
        line: fault.line(),
        confidence: Confidence::Certain,
        evidence: vec![message.evidence(source)],
        same: format!("{} {}", fault.signal, place.unwrap_or_default()),
        is_abort: matches!(fault.signal, "TRAP" | "ILL"),
    })
}

fn is_ours(fault: &CpuFault, scene: &Scene, child: Option<u32>) -> bool {
    let by_signal = ExpectedExit::Signal(fault.signal).is(scene.exit);
    if scene.pid == Some(fault.tid) {
        return by_signal || *scene.exit == Exit::Unknown;
    }
    if child.is_some() {
        return child == Some(fault.tid) && !matches!(scene.exit, Exit::Code(0));
    }
    // Another thread of the process has the job's name and started right after the process.
    let is_thread = scene
        .pid
        .is_some_and(|pid| (1..=64).contains(&i64::from(fault.tid).saturating_sub(pid.into())));
    by_signal && is_thread && scene.job.len() >= 3 && fault.name == first(scene.job, 15)
}

/// Returns the first bytes of a name, as the kernel truncates names.
fn first(name: &str, bytes: usize) -> &str {
    name.get(..name.floor_char_boundary(bytes))
        .unwrap_or_default()
}

fn parse(message: &KernelMessage) -> Option<CpuFault<'_>> {
    let text = message.text.as_str();
    text.strip_prefix("traps: ")
        .map_or_else(|| segfault(text).or_else(|| arm_fault(text)), trap)
}

fn segfault(text: &str) -> Option<CpuFault<'_>> {
    let (who, rest) = text.split_once("]: segfault at ")?;
    let (name, tid) = who.rsplit_once('[')?;
    let mut words = rest.split(' ');
    let at = hex(words.next()?)?;
    let after = |name: &str| {
        rest.split_once(name)
            .and_then(|(_, after)| hex(after.split(' ').next()?))
    };
    // Bit 2 means write, bit 0x10 an instruction fetch; see `enum x86_pf_error_code`.
    let how = match after("error ")? {
        error if error & 0x10 != 0 => "execution",
        error if error & 2 != 0 => "write",
        _ => "read",
    };
    let sp = after(" sp ").or_else(|| after(" rsp "));
    let what = FaultReason::Access { at, how, sp };
    Some(CpuFault {
        tid: tid.parse().ok()?,
        name,
        signal: "SEGV",
        what,
        place: place(rest),
    })
}

fn trap(text: &str) -> Option<CpuFault<'_>> {
    let (who, rest) = text.split_once("] ")?;
    let (name, tid) = who.rsplit_once('[')?;
    let kind = rest.split_once(" ip:")?.0;
    let (signal, words) = match kind.strip_prefix("trap ").unwrap_or(kind) {
        "int3" => ("TRAP", "breakpoint"),
        "debug" => ("TRAP", "debug trap"),
        "invalid opcode" => ("ILL", "illegal instruction"),
        "divide error" => ("FPE", "division by zero"),
        "SIMD exception" | "simd exception" | "fpu exception" => {
            ("FPE", "floating point exception")
        }
        "general protection fault" | "general protection" => {
            ("SEGV", "invalid memory access (general protection fault)")
        }
        "stack segment" => ("BUS", "bad memory access (stack segment)"),
        "segment not present" => ("BUS", "bad memory access (segment not present)"),
        "alignment check" => ("BUS", "unaligned memory access"),
        "bounds" => ("SEGV", "bounds check"),
        "overflow" => ("SEGV", "overflow trap"),
        _ => return None,
    };
    Some(CpuFault {
        tid: tid.parse().ok()?,
        name,
        signal,
        what: FaultReason::Trap(words),
        place: place(rest),
    })
}

fn arm_fault(text: &str) -> Option<CpuFault<'_>> {
    let (who, rest) = text.split_once("]: unhandled ")?;
    let (name, tid) = who.rsplit_once('[')?;
    let signal = if rest.contains(" (11)") {
        "SEGV"
    } else {
        return None;
    };
    let (_, address) = rest.split_once(" at ")?;
    let at = hex(address.split(',').next()?)?;
    let esr = rest
        .split_once("esr ")
        .and_then(|(_, after)| hex(after.split([',', ' ']).next()?))?;
    // The exception class tells an instruction fetch (0x20) from data. WnR means write.
    let how = match (esr >> 26, esr & 0x40) {
        (0x20, _) => "execution",
        (_, 0) => "read",
        _ => "write",
    };
    Some(CpuFault {
        tid: tid.parse().ok()?,
        name,
        signal,
        what: FaultReason::Access { at, how, sp: None },
        place: place(rest),
    })
}

/// Reads `in app[12ea3,564e891a6000+3f000]`, before 6.x `in app[564e891a6000+3f000]`.
fn place(rest: &str) -> Option<FaultPlace<'_>> {
    let (_, place) = rest.rsplit_once(" in ")?;
    let (place, _) = place.split_once(']')?;
    let (file, inside) = place.rsplit_once('[')?;
    let offset = inside
        .split_once(',')
        .map(|(offset, _)| offset)
        .filter(|offset| hex(offset).is_some());
    (!file.is_empty()).then_some(FaultPlace { file, offset })
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

impl CpuFault<'_> {
    /// Returns true if the stack had no room left: the address is close to the stack pointer.
    fn is_at_end_of_stack(&self) -> bool {
        let FaultReason::Access {
            at,
            sp: Some(sp),
            how,
        } = self.what
        else {
            return false;
        };
        at.abs_diff(sp) < 64 * 1024 && how != "execution"
    }

    fn kind(&self) -> Death {
        match self.signal {
            "SEGV" if self.is_at_end_of_stack() => Death::StackOverflow,
            "SEGV" => Death::Segfault,
            _ => Death::KilledBySignal,
        }
    }

    fn line(&self) -> String {
        let mut line = match self.what {
            FaultReason::Access { at, how, .. } if self.is_at_end_of_stack() => {
                format!("stack overflow: segfault at the end of the stack ({how} at {at:#x})")
            }
            FaultReason::Access { at, how, .. } if at < 4096 => {
                format!("segfault: invalid memory access at {at:#x} ({how}, null pointer)")
            }
            FaultReason::Access { at, how, .. } => {
                format!("segfault: invalid memory access at {at:#x} ({how})")
            }
            FaultReason::Trap(words) if self.signal == "SEGV" => format!("segfault: {words}"),
            FaultReason::Trap(words) => format!("killed by SIG{} ({words})", self.signal),
        };
        if let Some(place) = self.place {
            let _ = write!(line, ", in {place}");
        }
        line
    }
}

impl std::fmt::Display for FaultPlace<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(self.file)?;
        self.offset
            .map_or(Ok(()), |offset| write!(f, "+0x{offset}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::kernel::from_text;

    fn told(
        text: &str,
        job: &str,
        pid: u32,
        exit: &Exit,
        child: Option<u32>,
    ) -> Option<(Death, String)> {
        let messages = from_text(text);
        let scene = Scene {
            job,
            pid: Some(pid),
            exit,
            log: None,
            kernel: ("kernel log", &messages),
        };
        read(&scene, child).map(|told| (told.kind, told.line))
    }

    fn by(name: &str) -> Exit {
        Exit::Signal {
            name: name.into(),
            core_dumped: false,
        }
    }

    #[test]
    fn a_fault_says_what_was_accessed_and_by_which_code() {
        for (signal, text, kind, line) in [
            (
                "SEGV",
                "app[42]: segfault at 8 ip 0000564e891a6ea3 sp 00007ffcc56a35b0 error 6 in app[12ea3,564e891a6000+3f000] likely on CPU 1 (core 1, socket 0)",
                Death::Segfault,
                "segfault: invalid memory access at 0x8 (write, null pointer), in app+0x12ea3",
            ),
            (
                "SEGV",
                "my [app][42]: segfault at dead0000 ip 00007fec3324fad8 sp 00007ffc0d99ed58 error 4 in libc-2.31.so[7fec3310e000+156000]",
                Death::Segfault,
                "segfault: invalid memory access at 0xdead0000 (read), in libc-2.31.so",
            ),
            (
                "SEGV",
                "jump[42]: segfault at 1234 ip 0000000000001234 sp 00007ffd7afeb6e8 error 14 likely on CPU 0 (core 0, socket 0)",
                Death::Segfault,
                "segfault: invalid memory access at 0x1234 (execution)",
            ),
            (
                "SEGV",
                "so[42]: segfault at 7ffced519e4c ip 0000557dbc115134 sp 00007ffced519e40 error 6 in so[1134,557dbc115000+1000]",
                Death::StackOverflow,
                "stack overflow: segfault at the end of the stack (write at 0x7ffced519e4c), in so+0x1134",
            ),
            (
                "SEGV",
                "traps: gp[42] general protection fault ip:556709b66137 sp:7ffedb30dad0 error:0 in gp[1137,556709b66000+1000]",
                Death::Segfault,
                "segfault: invalid memory access (general protection fault), in gp+0x1137",
            ),
            (
                "TRAP",
                "traps: node[42] trap int3 ip:2155a72 sp:7ffd1ed42240 error:0 in node[1d55a72,b72000+1a8c000]",
                Death::KilledBySignal,
                "killed by SIGTRAP (breakpoint), in node+0x1d55a72",
            ),
            (
                "ILL",
                "traps: ill[42] trap invalid opcode ip:564f74ae512d sp:7ffd854bb7c0 error:0 in ill[564f74ae5000+1000]",
                Death::KilledBySignal,
                "killed by SIGILL (illegal instruction), in ill",
            ),
            (
                "SEGV",
                "app[42]: unhandled level 2 translation fault (11) at 0x00000008, esr 0x92000046, in app[aaaae000+1000]",
                Death::Segfault,
                "segfault: invalid memory access at 0x8 (write, null pointer), in app",
            ),
        ] {
            let expected = Some((kind, line.to_owned()));
            assert_eq!(told(text, "web", 42, &by(signal), None), expected, "{text}");
            assert_eq!(
                told(text, "web", 43, &by(signal), None),
                None,
                "another process"
            );
            assert_eq!(
                told(text, "web", 42, &Exit::Code(1), None),
                None,
                "another end"
            );
            assert_eq!(
                told(text, "web", 7, &Exit::Code(1), Some(42)),
                expected,
                "a wrapper's child"
            );
        }
    }

    #[test]
    fn another_thread_of_it_is_known_by_the_jobs_name_and_a_number_close_by() {
        let text = "a-long-job-name[50]: segfault at 8 ip 1 sp 7ffcc56a35b0 error 6";
        assert!(told(text, "a-long-job-name-2", 42, &by("SEGV"), None).is_some());
        assert!(told(text, "a-long-job-name-2", 42, &Exit::Code(139), None).is_some());
        assert_eq!(told(text, "a-long-job-name-2", 42, &by("ABRT"), None), None);
        assert_eq!(told(text, "a-long-job-name-2", 51, &by("SEGV"), None), None);
        assert_eq!(
            told(
                &text.replace("[50]", "[5000]"),
                "a-long-job-name-2",
                42,
                &by("SEGV"),
                None
            ),
            None
        );
        assert_eq!(told(text, "web", 42, &by("SEGV"), None), None);
    }

    #[test]
    fn lines_that_only_look_like_a_fault_are_none() {
        for text in [
            "app[x]: segfault at 8 ip 1 sp 1 error 6",
            "app[42]: segfault at",
            "traps: x",
            "[42]: segfault at g",
            "traps: a[42] trap new ip:1",
        ] {
            assert_eq!(told(text, "web", 42, &by("SEGV"), None), None, "{text}");
        }
    }
}
