//! Java, Kotlin, Scala, Clojure: a JVM prints why it cannot start, which exception ends it, and how
//! it crashed.

mod clojure;
mod fatal;
mod start;
mod trace;

use super::words::RuntimeWords;

pub const WORDS: &[RuntimeWords] = &[
    RuntimeWords::new(&["Exception", "Error"], trace::read),
    RuntimeWords::new(&[" at ", "\tat "], trace::read).below(1),
    RuntimeWords::new(&start::MARKS, start::read),
    RuntimeWords::new(&clojure::MARKS, clojure::read).raw(),
    RuntimeWords::new(&["OutOfMemoryError", "\n#"], fatal::read),
];
