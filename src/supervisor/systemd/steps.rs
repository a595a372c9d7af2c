//! Exit codes of systemd's executor for a step that failed before the program ran; see "Process
//! Exit Codes" in systemd.exec(5).

/// Describes the step that failed before this program ran; returns `None` if the code is the
/// program's own. The program is empty if it is not known.
pub fn failed(code: i32, program: &str) -> Option<String> {
    const EXEC: i32 = 203;
    let (name, what) = match code {
        200 => ("CHDIR", "the working directory cannot be entered"),
        201 => ("NICE", "the nice value cannot be set"),
        202 => ("FDS", "file descriptors cannot be passed on"),
        EXEC if !program.is_empty() => {
            let why = "cannot be run: it is missing, not executable or of no known format";
            return Some(format!("{program} {why} (EXEC)"));
        }
        EXEC => (
            "EXEC",
            "the program cannot be run: it is missing, not executable or of no known format",
        ),
        204 => ("MEMORY", "memory was short"),
        205 => ("LIMITS", "a resource limit cannot be set"),
        206 => ("OOM_ADJUST", "OOMScoreAdjust= cannot be set"),
        207 => ("SIGNAL_MASK", "the signal mask cannot be set"),
        208 => ("STDIN", "standard input cannot be set up"),
        209 => ("STDOUT", "standard output cannot be set up"),
        210 => ("CHROOT", "the root directory cannot be entered"),
        211 => ("IOPRIO", "the I/O priority cannot be set"),
        212 => ("TIMERSLACK", "the timer slack cannot be set"),
        213 => ("SECUREBITS", "the secure bits cannot be set"),
        214 => ("SETSCHEDULER", "the CPU scheduler cannot be set"),
        215 => ("CPUAFFINITY", "the CPU affinity cannot be set"),
        216 => ("GROUP", "the group is not known or cannot be taken on"),
        217 => ("USER", "the user is not known or cannot be taken on"),
        218 => ("CAPABILITIES", "capabilities cannot be set"),
        219 => ("CGROUP", "the control group cannot be set up"),
        220 => ("SETSID", "no session can be made"),
        222 => ("STDERR", "standard error cannot be set up"),
        224 => ("PAM", "PAM opened no session"),
        225 => ("NETWORK", "the network namespace cannot be set up"),
        226 => (
            "NAMESPACE",
            "the mount, UTS or user namespace cannot be set up",
        ),
        227 => ("NO_NEW_PRIVILEGES", "NoNewPrivileges= cannot be set"),
        228 => ("SECCOMP", "the system call filter cannot be set"),
        229 => ("SELINUX_CONTEXT", "the SELinux context cannot be set"),
        230 => ("PERSONALITY", "the execution domain cannot be set"),
        231 => (
            "APPARMOR_PROFILE",
            "the AppArmor profile cannot be prepared",
        ),
        232 => ("ADDRESS_FAMILIES", "RestrictAddressFamilies= cannot be set"),
        233 => ("RUNTIME_DIRECTORY", "RuntimeDirectory= cannot be set up"),
        235 => ("CHOWN", "a socket cannot be given to its owner"),
        236 => ("SMACK_PROCESS_LABEL", "the SMACK label cannot be set"),
        237 => ("KEYRING", "the kernel keyring cannot be set up"),
        238 => ("STATE_DIRECTORY", "StateDirectory= cannot be set up"),
        239 => ("CACHE_DIRECTORY", "CacheDirectory= cannot be set up"),
        240 => ("LOGS_DIRECTORY", "LogsDirectory= cannot be set up"),
        241 => (
            "CONFIGURATION_DIRECTORY",
            "ConfigurationDirectory= cannot be set up",
        ),
        242 => ("NUMA_POLICY", "the NUMA policy cannot be set"),
        243 => ("CREDENTIALS", "the credentials cannot be set up"),
        245 => ("BPF", "the BPF restrictions cannot be applied"),
        _ => return None,
    };
    Some(format!("{what} ({name})"))
}
