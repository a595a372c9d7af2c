//! Python: tracebacks of 2.7 to 3.13, `Fatal Python error`, the interpreter's own refusals, and
//! servers that could not start.

mod fatal;
mod frame;
mod server;
mod start;
mod traceback;

use super::words::RuntimeWords;

pub const WORDS: &[RuntimeWords] = &[
    RuntimeWords::new(
        &["\nException ignored ", "\n--- Logging error ---\n"],
        |spot| Some(traceback::handled(spot)),
    ),
    RuntimeWords::new(
        &["Traceback (most recent call last)", "File \""],
        traceback::read,
    ),
    RuntimeWords::new(&["\nFatal Python error: "], fatal::read),
    RuntimeWords::new(&server::MARKS, server::read),
    RuntimeWords::new(&start::REFUSALS, start::refusal).raw(),
    RuntimeWords::new(&[": error: ", "\nError: "], start::usage).raw(),
    RuntimeWords::new(&["\n╭─ Error ─"], start::boxed).raw(),
    RuntimeWords::new(&["\nUnknown option: "], start::option).raw(),
    RuntimeWords::new(
        &[
            "\nError: That port is already in use",
            " is in use by another program",
        ],
        start::port,
    )
    .raw(),
];
