//! The ways in which services end, and the expected report of each.

use lastwords::report::{Exit, Verdict};

/// A service and its end.
pub struct Case {
    /// The unit, without `.service`.
    pub unit: &'static str,
    /// The lines of its `[Service]`.
    pub service: &'static str,
    /// A shell script; `$u` is the unit.
    pub end: &'static str,
    /// The expected report; `None` if there must be none.
    pub report: Option<Told>,
}

pub struct Told {
    pub verdict: Verdict,
    pub exit: Exit,
    /// A part of the cause's line.
    pub line: &'static str,
}

/// Output of node for an uncaught error.
pub const THROWN: &str = "/srv/web/server.js:10
    throw new Error('no more orders');
    ^

Error: no more orders
    at order (/srv/web/server.js:10:11)
    at Object.<anonymous> (/srv/web/server.js:13:1)
    at node:internal/main/run_main_module:28:49

Node.js v20.19.0
";

const SLEEP: &str = "ExecStart=sleep 1000";
const START: &str = "systemctl start $u; gone";
const STOP: &str = "systemctl start $u; systemctl stop $u";
const KILL: &str = "systemctl start $u; kill -KILL $(pid); gone";
const TERM: &str = "systemctl start $u; kill -TERM $(pid); gone";
const DEAF: &str = "TimeoutStopSec=5\nType=notify\nExecStart=bash -c 'trap \"\" TERM; systemd-notify --ready; while :; do sleep 0.1; done'\nNotifyAccess=all";
const NEVER_READY: &str = "Type=notify\nExecStart=sleep 1000\nTimeoutStartSec=1";

fn code(verdict: Verdict, code: i32, line: &'static str) -> Told {
    Told {
        verdict,
        exit: Exit::Code(code),
        line,
    }
}

fn signal(verdict: Verdict, name: &str, line: &'static str) -> Told {
    Told {
        verdict,
        exit: Exit::Signal {
            name: name.into(),
            core_dumped: false,
        },
        line,
    }
}

fn case(
    unit: &'static str,
    service: &'static str,
    end: &'static str,
    report: impl Into<Option<Told>>,
) -> Case {
    Case {
        unit,
        service,
        end,
        report: report.into(),
    }
}

pub fn all() -> Vec<Case> {
    [crashes(), stops(), starts(), sandboxes()]
        .into_iter()
        .flatten()
        .collect()
}

fn crashes() -> Vec<Case> {
    use Verdict::Crashed;
    vec![
        case(
            "exit",
            "ExecStart=sh -c 'exit 3'",
            START,
            code(Crashed, 3, "exit code 3"),
        ),
        case(
            "exit-0",
            "ExecStart=true",
            START,
            code(Crashed, 0, "exit code 0"),
        ),
        case(
            "segv",
            "ExecStart=sh -c 'kill -SEGV $$$$'",
            START,
            signal(Crashed, "SEGV", "SIGSEGV"),
        ),
        case("kill", SLEEP, KILL, signal(Crashed, "KILL", "SIGKILL")),
        case("term", SLEEP, TERM, signal(Crashed, "TERM", "SIGTERM")),
        case(
            "term-itself",
            "ExecStart=sh -c 'kill -TERM $$$$'",
            START,
            signal(Crashed, "TERM", "SIGTERM"),
        ),
        case(
            "term-always",
            "ExecStart=sleep 1000\nRestart=always\nRestartSec=0",
            "systemctl start $u; old=$(pid); kill -TERM $old; until [ \"$(pid)\" != 0 ] && [ \"$(pid)\" != \"$old\" ]; do \
             sleep 0.05; done; systemctl stop $u",
            signal(Crashed, "TERM", "SIGTERM"),
        ),
        case(
            "reload-kills",
            "ExecStart=sleep 1000\nExecReload=kill -HUP $MAINPID",
            "systemctl start $u; systemctl reload $u || true; gone",
            signal(Crashed, "HUP", "SIGHUP"),
        ),
        case(
            "dead-before-stop",
            SLEEP,
            "systemctl start $u; kill -KILL $(pid); until systemctl show -p SubState $u | grep -qv running; do :; done; \
             systemctl stop $u",
            signal(Crashed, "KILL", "SIGKILL"),
        ),
        case(
            "segv-at-stop",
            "ExecStart=bash -c 'trap \"kill -SEGV $$$$\" TERM; systemd-notify --ready; while :; do sleep 0.1; done'\n\
             Type=notify\nNotifyAccess=all",
            STOP,
            signal(Crashed, "SEGV", "SIGSEGV"),
        ),
        case(
            "run-time",
            "ExecStart=sleep 1000\nRuntimeMaxSec=1",
            START,
            signal(Crashed, "TERM", "RuntimeMaxSec="),
        ),
        case(
            "watchdog",
            "Type=notify\nNotifyAccess=all\nWatchdogSec=1\nExecStart=bash -c 'systemd-notify --ready; exec sleep 1000'",
            START,
            signal(Crashed, "ABRT", "WatchdogSec="),
        ),
        case(
            "oneshot-fails",
            "Type=oneshot\nExecStart=sh -c 'exit 5'",
            START,
            code(Crashed, 5, "exit code 5"),
        ),
        case(
            "thrown",
            "ExecStart=sh -c 'cat /srv/thrown; exit 1'",
            START,
            code(Crashed, 1, "no more orders"),
        ),
        case(
            "own-log",
            "StandardOutput=append:/var/log/own.log\nExecStart=sh -c 'cat /srv/thrown; exit 1'",
            START,
            code(Crashed, 1, "no more orders"),
        ),
    ]
}

fn stops() -> Vec<Case> {
    vec![
        case("stop", SLEEP, STOP, None),
        case(
            "restart",
            SLEEP,
            "systemctl start $u; systemctl restart $u; systemctl stop $u",
            None,
        ),
        case("stop-deaf", DEAF, STOP, None),
        case(
            "stop-exit",
            "ExecStart=bash -c 'trap \"exit 3\" TERM; systemd-notify --ready; while :; do sleep 0.1; done'\n\
             Type=notify\nNotifyAccess=all",
            STOP,
            None,
        ),
        case(
            "stop-kill-signal",
            "ExecStart=sleep 1000\nKillSignal=SIGKILL",
            STOP,
            None,
        ),
        case(
            "stop-abort-signal",
            "ExecStart=sleep 1000\nKillSignal=SIGABRT",
            STOP,
            None,
        ),
        case(
            "stop-aborts",
            "TimeoutStopSec=5\nTimeoutStopFailureMode=abort\nType=notify\nNotifyAccess=all\n\
             ExecStart=bash -c 'trap \"\" TERM; systemd-notify --ready; while :; do sleep 0.1; done'",
            STOP,
            None,
        ),
        case(
            "stop-mixed",
            "ExecStart=sh -c 'sleep 1000 & exec sleep 1000'\nKillMode=mixed",
            STOP,
            None,
        ),
        case(
            "stop-always",
            "ExecStart=sleep 1000\nRestart=always\nRestartSec=0",
            STOP,
            None,
        ),
        case(
            "reload",
            "ExecStart=sleep 1000\nExecReload=true",
            "systemctl start $u; systemctl reload $u; systemctl stop $u",
            None,
        ),
        case(
            "stop-starting",
            NEVER_READY,
            "systemctl start --no-block $u; sleep 0.3; systemctl stop $u",
            None,
        ),
        case(
            "stop-before-start",
            "ExecStartPre=sleep 1000\nExecStart=sleep 1000",
            "systemctl start --no-block $u; sleep 0.3; systemctl stop $u",
            None,
        ),
        case("oneshot", "Type=oneshot\nExecStart=true", START, None),
        case(
            "oneshot-remains",
            "Type=oneshot\nRemainAfterExit=yes\nExecStart=true",
            STOP,
            None,
        ),
        case(
            "condition",
            "ExecCondition=false\nExecStart=sleep 1000",
            START,
            None,
        ),
    ]
}

fn starts() -> Vec<Case> {
    use Verdict::AbortedStart;
    let failed = |verdict, line| Told {
        verdict,
        exit: Exit::Unknown,
        line,
    };
    vec![
        case(
            "no-binary",
            "ExecStart=/nonexistent/web",
            START,
            code(AbortedStart, 203, "/nonexistent/web cannot be run"),
        ),
        case(
            "no-user",
            "User=nosuch\nExecStart=sleep 1000",
            START,
            code(AbortedStart, 217, "the user"),
        ),
        case(
            "no-dir",
            "WorkingDirectory=/nonexistent\nExecStart=sleep 1000",
            START,
            code(AbortedStart, 200, "directory"),
        ),
        case(
            "no-net",
            "NetworkNamespacePath=/run/netns/nosuch\nExecStart=sleep 1000",
            START,
            code(AbortedStart, 225, "the network namespace"),
        ),
        case(
            "before-start",
            "ExecStartPre=sh -c 'exit 4'\nExecStart=sleep 1000",
            START,
            failed(AbortedStart, "sh failed: exit code 4"),
        ),
        case(
            "after-start",
            "ExecStart=sleep 1000\nExecStartPost=sh -c 'exit 4'",
            START,
            signal(AbortedStart, "TERM", "sh failed: exit code 4"),
        ),
        case(
            "start-time",
            NEVER_READY,
            START,
            signal(AbortedStart, "TERM", "TimeoutStartSec="),
        ),
        case(
            "start-time-deaf",
            "Type=notify\nTimeoutStartSec=1\nTimeoutStopSec=5\nExecStart=bash -c 'trap \"\" TERM; while :; do sleep 0.1; done'",
            START,
            signal(AbortedStart, "KILL", "TimeoutStartSec="),
        ),
        case(
            "protocol",
            "Type=notify\nExecStart=true",
            START,
            code(Verdict::Crashed, 0, "Type="),
        ),
    ]
}

fn sandboxes() -> Vec<Case> {
    use Verdict::Crashed;
    vec![
        case(
            "blue@a-b",
            "ExecStart=sh -c 'exit 4'",
            START,
            code(Crashed, 4, "exit code 4"),
        ),
        case(
            "user",
            "User=nobody\nExecStart=sh -c 'exit 6'",
            START,
            code(Crashed, 6, "exit code 6"),
        ),
        case(
            "dynamic",
            "DynamicUser=yes\nStateDirectory=dynamic\nExecStart=sh -c 'exit 6'",
            START,
            code(Crashed, 6, "exit code 6"),
        ),
        case(
            "strict",
            "ProtectSystem=strict\nPrivateTmp=yes\nPrivateDevices=yes\nProtectHome=yes\nNoNewPrivileges=yes\n\
             CapabilityBoundingSet=\nRestrictAddressFamilies=none\nSystemCallFilter=@system-service\nMemoryMax=64M\n\
             ExecStart=sh -c 'exit 6'",
            START,
            code(Crashed, 6, "exit code 6"),
        ),
    ]
}
