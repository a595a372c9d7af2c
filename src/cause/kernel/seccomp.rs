//! A system call that a seccomp filter (a sandbox's, a container's) forbids: the audit line that
//! comes with SIGSYS.
//!
//! ```text
//! audit: type=1326 audit(1795390507.123:42): auid=0 uid=0 gid=0 ses=1 pid=9542 comm="jail"
//!     exe="/srv/jail/jail" sig=31 arch=c000003e syscall=41 compat=0 ip=0x7f0 code=0x80000000
//! ```

use super::cause::KernelCause;
use crate::cause::finding::ExpectedExit;
use crate::cause::scene::Scene;
use crate::report::{Confidence, Death, Exit};

/// Returns the cause if a forbidden system call ended this process.
pub fn read(scene: &Scene, child: Option<u32>) -> Option<KernelCause> {
    let (source, messages) = scene.kernel;
    let field = |text: &str, name: &str| {
        let (_, after) = text.split_once(name)?;
        after.split(' ').next().map(str::to_owned)
    };
    let is_ours = |text: &str| {
        let pid = field(text, " pid=").and_then(|pid| pid.parse::<u32>().ok());
        let is_pid = (pid == scene.pid
            && (ExpectedExit::Signal("SYS").is(scene.exit) || *scene.exit == Exit::Unknown))
            || (pid == child && !matches!(scene.exit, Exit::Code(0)));
        text.starts_with("audit: type=1326 ")
            && text.contains(" sig=31 ")
            && pid.is_some()
            && is_pid
    };
    let message = messages
        .iter()
        .rev()
        .find(|message| is_ours(&message.text))?;
    let call = field(&message.text, " syscall=")
        .filter(|call| call.bytes().all(|byte| byte.is_ascii_digit()))?;
    let arch = match field(&message.text, " arch=").as_deref() {
        Some("c000003e") => " of x86_64",
        Some("c00000b7") => " of aarch64",
        _ => "",
    };
    Some(KernelCause {
        kind: Death::KilledBySignal,
        line: format!(
            "killed by SIGSYS (bad system call): a seccomp filter forbids it system call {call}{arch}"
        ),
        confidence: Confidence::Certain,
        evidence: vec![message.evidence(source)],
        same: format!("seccomp {call}{arch}"),
        is_abort: false,
    })
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::cause::Scene;
    use crate::cause::kernel::from_text;
    use crate::report::Exit;

    #[test]
    fn a_forbidden_system_call_is_named() {
        let text = "audit: type=1326 audit(1795390507.123:42): auid=0 uid=0 gid=0 ses=1 pid=9542 comm=\"jail\" \
                    exe=\"/srv/jail/jail\" sig=31 arch=c000003e syscall=41 compat=0 ip=0x7f0 code=0x80000000";
        let messages = from_text(text);
        let told = |pid: u32, exit: &Exit| {
            let scene = Scene {
                job: "jail",
                pid: Some(pid),
                exit,
                log: None,
                kernel: ("kernel log", &messages),
            };
            read(&scene, None).map(|told| told.line)
        };
        let line = "killed by SIGSYS (bad system call): a seccomp filter forbids it system call 41 of x86_64";
        assert_eq!(told(9542, &Exit::Code(159)).as_deref(), Some(line));
        assert_eq!(told(9542, &Exit::Code(1)), None);
        assert_eq!(told(9541, &Exit::Code(159)), None);
    }
}
