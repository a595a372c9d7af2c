//! Stack traces, as `Throwable.printStackTrace` and the loggers print them.

use crate::cause::finding::ExpectedExit::Code;
use crate::cause::finding::{self, Finding, SourcePlace, with_cause};
use crate::cause::runtimes::shape::{is_like, past_most};
use crate::cause::runtimes::words::Spot;
use crate::cause::text::{LogLine, line_text};
use crate::cause::thing::{names_thing, one_line};
use crate::report::Death;

/// Maximum number of lines of a message before its frames.
const MESSAGE: usize = 24;

/// Reads the trace that begins at this line.
pub fn read(spot: &Spot) -> Option<Finding> {
    let Spot {
        lines, line, at, ..
    } = *spot;
    let (what, is_main) = match line.text.split_once("Exception in thread \"") {
        Some((before, rest))
            if before.is_empty() || line.entry.is_none() && is_frame(line_text(lines, at + 1)) =>
        {
            let (thread, what) = rest.split_once("\" ")?;
            (what, thread == "main")
        }
        _ => (thrown_in(lines, at)?, false),
    };
    let (chain, end) = chain(lines, at, what);
    let outer = chain.first()?;
    let inner = chain.last()?;
    let place = chain.iter().rev().find_map(|thrown| thrown.own.clone());
    let place = place.or_else(|| chain.iter().rev().find_map(|thrown| thrown.library.clone()));
    let kind = [outer]
        .into_iter()
        .chain(chain.iter().rev())
        .map(|thrown| kind(&thrown.what));
    let kind = kind.flatten().next().unwrap_or(Death::UncaughtException);
    // The last that names a thing or says something, with what it was caused by.
    let mut causes = chain.iter().skip(1);
    let named = causes
        .clone()
        .rfind(|it| names_thing(finding::message(&it.what)));
    let said = named.or_else(|| causes.rfind(|it| it.what.contains(": ")));
    let inner = match said.filter(|said| !said.what.contains(&inner.what)) {
        Some(said) => format!("{} ({})", said.what, inner.what),
        None => inner.what.clone(),
    };
    let finding = Finding::at(at..end, kind, with_cause(&outer.what, &inner)).place(place);
    // If the other threads are daemons, the process ends. What the log shows afterwards tells.
    Some(if is_main {
        finding.last_words(&[Code(1)])
    } else {
        finding
    })
}

/// One throwable of a trace.
struct Thrown {
    /// Type and message, as `Throwable.toString` prints them.
    what: String,
    own: Option<SourcePlace>,
    /// Frame of a library, but not of the JDK.
    library: Option<SourcePlace>,
}

impl Thrown {
    /// Reads a throwable with the further lines of its message. Moves `at` to the last of them.
    fn read(what: &str, lines: &[LogLine], at: &mut usize) -> Self {
        let below = *at + 1..*at + 1 + message(lines, *at);
        *at = below.end - 1;
        let more = below.map(|i| line_text(lines, i));
        Self {
            what: one_line([what].into_iter().chain(more)),
            own: None,
            library: None,
        }
    }
}

/// Returns the throwables of the trace that begins at a line, from the outermost to the innermost,
/// and where it ends.
fn chain(lines: &[LogLine], at: usize, what: &str) -> (Vec<Thrown>, usize) {
    let mut i = at;
    let mut chain = vec![Thrown::read(what, lines, &mut i)];
    // True among frames that are not the innermost throwable's.
    let mut is_aside = false;
    i += 1;
    while let Some(line) = lines.get(i) {
        let trimmed = line.text.trim_start();
        let repeats = trimmed.contains("[CIRCULAR REFERENCE") || trimmed.starts_with("... ");
        match JavaTraceLine::of(&line.text) {
            Some(JavaTraceLine::Frame(frame)) => {
                frame.keep_in(chain.last_mut().filter(|_| !is_aside));
            }
            _ if repeats => {}
            Some(JavaTraceLine::Cause(cause)) => {
                is_aside = false;
                chain.push(Thrown::read(cause, lines, &mut i));
            }
            Some(JavaTraceLine::Wrapper(outer)) => {
                is_aside = true;
                chain.insert(0, Thrown::read(outer, lines, &mut i));
            }
            Some(JavaTraceLine::Aside) => {
                is_aside = true;
                i += message(lines, i);
            }
            None => break,
        }
        i += 1;
    }
    (chain, i.min(lines.len()))
}

/// A line below the first of a trace.
enum JavaTraceLine<'a> {
    Frame(JavaFrame<'a>),
    Cause(&'a str),
    /// Logback's other order: the innermost comes first.
    Wrapper(&'a str),
    /// A suppressed throwable, or the cause of one.
    Aside,
}

impl<'a> JavaTraceLine<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let trimmed = text.trim_start();
        let is_aside = trimmed.starts_with("Suppressed: ") || trimmed.starts_with("Caused by: ");
        frame(text)
            .map(Self::Frame)
            .or_else(|| text.strip_prefix("Caused by: ").map(Self::Cause))
            .or_else(|| text.strip_prefix("Wrapped by: ").map(Self::Wrapper))
            // Jenkins' order is the same.
            .or_else(|| text.strip_prefix("Caused: ").map(Self::Wrapper))
            .or_else(|| is_aside.then_some(Self::Aside))
    }
}

/// Returns the number of further lines of the message that begins here: all lines before its
/// frames.
fn message(lines: &[LogLine], at: usize) -> usize {
    let end = past_most(lines, at + 1, MESSAGE, |line| {
        line.entry.is_none()
            && !is_frame(&line.text)
            && !is_type(&line.text)
            && !is_like(
                &line.text,
                &[
                    "Caused by: …",
                    "Exception in thread \"…",
                    "Dumping heap to …",
                ],
            )
    });
    if is_frame(line_text(lines, end)) {
        end - at - 1
    } else {
        0
    }
}

/// Returns the throwable in a line, without the words of a thread or a logger before it.
fn thrown_in(lines: &[LogLine], at: usize) -> Option<&str> {
    let line = lines.get(at)?;
    let has_frames = is_frame(line_text(lines, at + 1));
    if line.entry.is_none() {
        let is_known = is_type(&line.text);
        // Tomcat's logger indents the throwable below its entry.
        if has_frames && let Some(inner) = line.text.strip_prefix('\t').filter(|it| is_type(it)) {
            return Some(inner);
        }
        return (is_known || has_frames && is_dotted(type_of(&line.text))).then_some(&line.text);
    }
    // A logger puts the throwable behind its message.
    if !has_frames
        || !line
            .entry
            .as_ref()
            .is_some_and(|entry| entry.is_error() && !entry.json)
    {
        return None;
    }
    let start = line.text.split_inclusive(' ').scan(0, |start, word| {
        let this = *start;
        *start += word.len();
        Some((this, word.trim_end_matches([' ', ':'])))
    });
    let start = start.into_iter().find(|(_, word)| is_type(word))?.0;
    line.text.get(start..)
}

/// Returns the type in `Type: message`.
fn type_of(text: &str) -> &str {
    text.split([':', ' ']).next().unwrap_or_default()
}

/// Returns true if a name may be a class with its package: `com.acme.Fault`.
fn is_dotted(name: &str) -> bool {
    let (package, class) = name.rsplit_once('.').unwrap_or_default();
    !package.is_empty()
        && package
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'$'))
        && package.starts_with(|c: char| c.is_ascii_lowercase())
        && class.starts_with(|c: char| c.is_ascii_uppercase())
        && class
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$'))
}

/// Returns true if a line begins with a throwable's type. The type's name tells it, even without
/// frames.
fn is_type(text: &str) -> bool {
    let name = type_of(text);
    let rest = text.get(name.len()..).unwrap_or_default();
    (rest.is_empty() || rest.starts_with(": "))
        && (name.ends_with("Exception") || name.ends_with("Error"))
        && is_dotted(name)
}

/// A frame: `\tat com.acme.Main.run(Main.java:5)`.
struct JavaFrame<'a> {
    /// Class and method, without loader and module.
    function: &'a str,
    /// `Main.java:5`, or the reason why there is none.
    source: &'a str,
}

fn frame(text: &str) -> Option<JavaFrame<'_>> {
    let called = text
        .starts_with(['\t', ' '])
        .then(|| text.trim_start())?
        .strip_prefix("at ")?;
    let (function, rest) = called.split_once('(')?;
    let source = rest.split(')').next()?;
    let is_source = matches!(source, "Native Method" | "Unknown Source" | "<generated>")
        || source
            .rsplit_once('.')
            .is_some_and(|(_, end)| ["java", "scala", "kt", "groovy", "clj"].contains(&end))
        || source.split_once(':').is_some_and(|(file, line)| {
            !file.contains(['/', ' ']) && line.bytes().all(|b| b.is_ascii_digit() || b == b'-')
        });
    let is_function = function.contains('.') && !function.contains(char::is_whitespace);
    let function = function.rsplit('/').next().unwrap_or(function);
    (is_source && is_function).then_some(JavaFrame { function, source })
}

fn is_frame(text: &str) -> bool {
    frame(text).is_some()
}

const JDK: [&str; 6] = ["java.", "javax.", "jdk.", "sun.", "com.sun.", "jakarta."];

const LIBRARIES: [&str; 42] = [
    "akka.",
    "ch.qos.",
    "clojure.",
    "com.fasterxml.",
    "com.google.common.",
    "com.google.gson.",
    "com.google.inject.",
    "com.mongodb.",
    "com.mysql.",
    "com.zaxxer.",
    "groovy.",
    "io.grpc.",
    "io.lettuce.",
    "io.micrometer.",
    "io.micronaut.",
    "io.netty.",
    "io.quarkus.",
    "io.reactivex.",
    "io.undertow.",
    "io.vertx.",
    "kotlin.",
    "kotlinx.",
    "liquibase.",
    "okhttp3.",
    "okio.",
    "oracle.",
    "org.apache.",
    "org.codehaus.",
    "org.eclipse.",
    "org.flywaydb.",
    "org.glassfish.",
    "org.hibernate.",
    "org.jboss.",
    "org.jetbrains.",
    "org.mariadb.",
    "org.postgresql.",
    "org.slf4j.",
    "org.springframework.",
    "reactor.",
    "redis.clients.",
    "scala.",
    "retrofit2.",
];

impl JavaFrame<'_> {
    /// Keeps the frame as the throwable's place if it is the first.
    fn keep_in(&self, thrown: Option<&mut Thrown>) {
        let Some(thrown) = thrown else { return };
        let is_in = |packages: &[&str]| {
            packages
                .iter()
                .any(|package| self.function.starts_with(package))
        };
        let place = if is_in(&JDK) {
            return;
        } else if is_in(&LIBRARIES) {
            &mut thrown.library
        } else {
            &mut thrown.own
        };
        if place.is_none()
            && let Some((file, line)) = self.source.split_once(':')
        {
            let source = SourcePlace::new(file, line.parse().ok());
            *place = Some(source.within(Some(self.function)));
        }
    }
}

/// Returns the kind of death that a throwable's type tells; `None` for most types.
pub fn kind(what: &str) -> Option<Death> {
    let name = type_of(what).rsplit('.').next()?;
    Some(match name {
        "OutOfMemoryError" if !what.contains("native thread") => Death::OutOfMemoryHeap,
        "StackOverflowError" => Death::StackOverflow,
        "AssertionError" | "AssertionFailedError" | "PowerAssertionError" => Death::Assertion,
        "ClassNotFoundException" | "FindException" | "UnsatisfiedLinkError" => Death::MissingModule,
        "NoClassDefFoundError" if !what.contains("Could not initialize") => Death::MissingModule,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{frame, is_type};
    use crate::cause::finding::{Finding, Proof};
    use crate::cause::runtimes::{found, jvm};
    use crate::report::Death;

    fn read(log: &str) -> Vec<Finding> {
        found(jvm::WORDS, log)
    }

    #[test]
    fn the_outermost_and_the_innermost_of_a_chain_are_told_with_the_innermost_own_frame() {
        let found = read(
            "Exception in thread \"main\" java.lang.IllegalStateException: cannot start\n\
             \tat com.acme.Main.main(Main.java:9)\n\
             Caused by: com.acme.DbException\n\tat com.acme.Db.open(Db.java:4)\n\t... 1 more\n\
             \tSuppressed: java.io.IOException: close failed\n\t\tat com.acme.Db.close(Db.java:7)\n\
             Caused by: java.net.ConnectException: Connection refused\n\
             \tat java.base/sun.nio.ch.Net.connect0(Native Method)\n\tat app//com.acme.Pool.get(Pool.java:31)\n\
             \t... 2 more\nINFO  next\n",
        );
        let [finding] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(
            finding.what,
            "java.lang.IllegalStateException: cannot start; caused by java.net.ConnectException: Connection refused"
        );
        assert_eq!(finding.place.as_ref().unwrap().to_string(), "Pool.java:31");
        assert_eq!(
            (finding.lines.clone(), finding.proof),
            (0..11, Proof::LastWords)
        );
    }

    #[test]
    fn a_trace_without_a_thread_is_only_said() {
        let found =
            read("java.lang.OutOfMemoryError: Metaspace\n\tat com.acme.Main.main(Main.java:9)\n");
        assert_eq!(
            (found[0].kind, found[0].proof),
            (Death::OutOfMemoryHeap, Proof::Said)
        );
        let found = read(
            "12:00:01 ERROR [main] Failed to start: com.acme.Fault: no\n\tat com.acme.A.b(A.kt:3)\n",
        );
        assert!(found.is_empty(), "{found:?}");
        let found = read(
            "12:00:01 ERROR [main] Failed to start: com.acme.FaultError: no\n\tat com.acme.A.b(A.kt:3)\n",
        );
        assert_eq!(found[0].what, "com.acme.FaultError: no");
    }

    #[test]
    fn frames_and_types_of_other_languages_are_no_java() {
        for text in [
            "    at lead (/srv/raft/app.js:2:40)",
            "   at Ns.C.M(String name) in /src/x.cs:line 12",
            "   at Ns.C.M()",
            "\tat the door (open)",
        ] {
            assert!(frame(text).is_none(), "{text}");
        }
        for text in [
            "TypeError: x",
            "see java.io.IOException: x",
            "com.acme.FooException seen",
            "a.b.c: x",
        ] {
            assert!(!is_type(text), "{text}");
        }
        assert!(is_type("java.io.IOException: x") && is_type("java.lang.NullPointerException"));
    }
}
