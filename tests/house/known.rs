//! Exceptions to the rules. Strike out an entry when it is mended; add none.

/// Imports from a file to one that is not below it.
pub const UPWARD: &[&str] = &[
    "supervisor/doctor.rs -> operate/doctor/runs.rs",
    "supervisor/setup.rs -> catch/listen.rs",
    "supervisor/supervisord/doctor.rs -> catch/listen.rs",
];

/// Files that reach one another by their imports.
pub const CIRCLES: &[&str] = &[
    "cause/aftermath.rs cause/beneath.rs",
    "cause/decide.rs cause/last_words.rs",
    "cause/runtimes/python/start.rs cause/runtimes/python/traceback.rs cause/runtimes/python/traceback/part.rs",
    "render/past.rs render/story.rs render/view.rs",
    "supervisor/doctor.rs supervisor/service_dir/doctor.rs supervisor/supervisord/doctor.rs supervisor/systemd/doctor.rs supervisor/upstart/doctor.rs",
];

/// Names of more than one type, each with the number of types.
pub const SAME_NAME: &[&str] = &[
    "2 Account",
    "2 Address",
    "2 Answer",
    "2 Api",
    "2 Bounded",
    "2 Call",
    "2 Cause",
    "2 Entry",
    "2 Exec",
    "2 Fault",
    "2 Frame",
    "2 Group",
    "2 Head",
    "2 Job",
    "2 Known",
    "2 Level",
    "2 Life",
    "2 Line",
    "2 Listener",
    "2 Lock",
    "2 Memory",
    "2 Mistake",
    "2 Outcome",
    "2 Process",
    "2 Report",
    "2 Said",
    "2 Secrets",
    "2 Server",
    "2 Severity",
    "2 Sink",
    "2 Stack",
    "2 Story",
    "2 Tail",
    "2 Tls",
    "2 Unit",
    "2 Waiting",
    "2 What",
    "2 Wrong",
    "3 Death",
    "3 Format",
    "3 Kind",
    "3 Message",
    "3 State",
    "3 Told",
    "3 Trace",
    "4 End",
    "4 Place",
];

/// Functions that are nested too deep.
pub const DEEP: &[&str] = &[
    "cause/aftermath.rs: remark",
    "cause/beneath.rs: kind",
    "cause/entry.rs: error_of",
    "cause/kernel/oom.rs: kills",
    "cause/runtimes/jvm/start.rs: launcher",
    "cause/runtimes/jvm/trace.rs: chain",
    "cause/runtimes/node/error.rs: read_properties",
    "cause/runtimes/node/fatal.rs: read",
    "cause/runtimes/node/mod.rs: kind",
    "cause/runtimes/php.rs: trace",
    "cause/runtimes/python/fatal.rs: read",
    "cause/runtimes/python/traceback/part.rs: part",
    "cause/runtimes/ruby.rs: refusal",
    "cause/runtimes/rust/returned.rs: read",
    "cause/text.rs: without_colours",
    "redact/named.rs: secrets",
    "spool/inbox.rs: take_over_from",
    "supervisor/upstart/mod.rs: account",
];

/// Files with lines that are too wide.
pub const WIDE: &[&str] = &[
    "catch/listen.rs",
    "cause/kernel.rs",
    "cause/kernel/fault.rs",
    "cause/kernel/seccomp.rs",
    "cause/mod.rs",
    "cause/text.rs",
    "operate/doctor/show.rs",
    "operate/plugin/mistakes.rs",
    "sinks/matrix/event.rs",
    "sinks/syslog/record.rs",
];

/// Maximum number of doc comments that begin so.
pub const WHAT_OR_WHETHER: usize = 483;
