//! Fails if the time for a hostile text grows faster than its length.
//!
//! ```text
//! cargo bench --bench linear [PART OF A NAME]
//! ```
//! Each text tempts a careless reader to read it again and again. It is measured at 1, 2, 4 and 8
//! times a length. Only the ratios count, so the machine may be slow or busy. The last length is
//! judged against the second, which is a quarter of it: a linear reader takes 4 times as long, a
//! quadratic one 16 times. (The first length is not used: the regex engine treats short texts in
//! another way.) Some hundred texts more are put together by lot from what the redactor looks for. The
//! exit code is 1 if a text is clearly worse than linear in every try.

use std::env::args_os;
use std::hint::black_box;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use lastwords::redact;
use lastwords::report::Exit;
use lastwords::{Scene, explain, kernel};
use rustix::time::{ClockId, clock_gettime};

/// Length of the shortest text, in bytes. The longest has the length that a hook reads of all logs.
const SHORTEST: usize = 16 * 1024;
const TIMES: [usize; 4] = [1, 2, 4, 8];
/// Number of times that each length is measured; the quickest counts.
const ROUNDS: usize = 5;
/// Maximum ratio of the times for 4 times the length: the geometric mean of 4 and 16.
const MOST: f64 = 8.;
/// Number of measurements before a text counts as worse.
const TRIES: usize = 3;

/// Work that is done to a text, and the texts.
struct Subject {
    name: &'static str,
    work: fn(&str),
    texts: &'static [Text],
}

/// A text of any length: its beginning, and the part that is then repeated.
type Text = (&'static str, &'static str);

const SUBJECTS: &[Subject] = &[
    Subject {
        name: "redact",
        work: |text| drop(black_box(redact(text))),
        texts: &[
            // Names, and values of all kinds that begin and do not end
            ("", "password="),
            ("", "password='"),
            ("", "password=\"\\"),
            ("", "password=x,"),
            ("", "password=["),
            ("", "password=a'"),
            ("", "a$6$\\\""),
            ("", "password=a,b"),
            ("", "password=(\""),
            ("password=", "x"),
            ("password=", "x,"),
            ("password=", "\\\""),
            ("password=[", "'a',"),
            ("password='", "\\"),
            ("", "secret value "),
            ("", "token:|\n "),
            ("token: |\n", " x\n"),
            ("", "token\"\n\n"),
            ("", "token,  "),
            ("", "token\u{1b}[0m"),
            ("token", "\u{1b}[0m"),
            ("token", " "),
            ("token=", " "),
            ("", "--token"),
            ("", "unexpected  "),
            ("", "<password>"),
            ("", "api-"),
            ("", "a:"),
            ("", "A_KEY"),
            ("password=", "\\"),
            ("password=", "\\\\x"),
            ("", "password=\\"),
            ("", "key=["),
            ("", "key=[a,"),
            ("secrets=[", "null,"),
            ("", "secret: \"is "),
            ("", "password:\n"),
            ("", "tokens:\n- "),
            ("tokens:\n", "- null\n"),
            ("", "keys:\n- keys:\n"),
            ("token:", "\n"),
            ("", "<password "),
            ("", "<a:password x="),
            ("", "%5Btoken%5D="),
            ("", "=auth"),
            ("", "d\":\""),
            // Headers
            ("", "authorization: digest "),
            ("authorization: digest ", "x=\"y\", "),
            ("", "authorization: "),
            ("", "cookie: a="),
            ("", "cookie: \""),
            ("cookie: a=", "b\", "),
            ("", "bearer "),
            ("bearer ", "x"),
            // URLs
            ("", "://a:"),
            ("", "://a:b"),
            ("://", "a"),
            ("://a:", "b"),
            ("", "https://aaaaaaaaaaaaaaaa"),
            ("", "a:b@tcp"),
            ("a:", "b"),
            ("", "?key="),
            ("", "://a:b@"),
            ("://a:", "@"),
            ("", ":\\/\\/a:"),
            (":", "\\/"),
            ("", "a@tcp("),
            ("", "a:b@unix("),
            // Programs
            ("", "mysql "),
            ("", "mysql -"),
            ("curl ", "-x "),
            ("", "curl -u"),
            ("", "redis-cli -a"),
            ("", "sshpass -p"),
            ("mysql ", "-p "),
            ("curl ", "-u a"),
            ("", "identified by '"),
            ("", "by '"),
            ("", "#0 a(1): f('"),
            ("#0 a(1): login(", "'a',"),
            ("", "#1 a(1): "),
            // Tokens
            ("", "sk-"),
            ("", "eyJaaaaaaaa."),
            ("eyJ", "a"),
            ("", "$5$"),
            ("", "0123456789:AA"),
            ("", "AKIA"),
            ("", "abc8Q~"),
            ("", "hooks.slack.com/services/a/"),
            ("", "sk-a-"),
            ("", "ghp_"),
            // Keys
            ("", "-----BEGIN PRIVATE KEY-----"),
            ("", "-----END PRIVATE KEY-----"),
            ("", "-----BEGIN PRIVATE KEY-----\nMIIEvQ==\n"),
            ("", "MIIEvQ==\n-----END PRIVATE KEY-----\n"),
            (
                "-----BEGIN PRIVATE KEY-----\n",
                "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC7VJTUt9Us8cKj\n",
            ),
            ("", "-----"),
            ("", "-----BEGIN X-----\n"),
            ("", "Private-Lines: 1\n"),
            (
                "",
                "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC7VJTUt9Us8cKj\n-----END PRIVATE KEY-----\n",
            ),
            ("-----BEGIN PRIVATE KEY-----\n", "\",\\n"),
            ("PRIVATE", "%2B"),
            // What was cut, and nothing at all
            ("", "[[cut] "),
            ("", "[cut] \n"),
            ("", "\\"),
            ("", "\""),
            ("", "\u{1b}[0m"),
            ("", "\n"),
            ("", "x"),
        ],
    },
    Subject {
        name: "explain",
        work: |text| {
            let kernel = kernel::from_text(text);
            let exit = Exit::Code(1);
            let scene = Scene {
                job: "web",
                pid: Some(42),
                exit: &exit,
                log: Some(("log", text)),
                kernel: ("kernel", &kernel),
            };
            drop(black_box(explain(&scene)));
        },
        texts: &[
            ("", "x"),
            ("", "\n"),
            ("", "GET /healthz 200 1ms\n"),
            ("", "{\"level\":60,\"err\":"),
            ("", "{\"log\":\""),
            ("", "Nov 22 23:58:59 db1 web[42]: "),
            ("", "2026-11-22T23:58:59.123456789Z a b: c\n"),
            ("", "Error: boom\n    at f (/srv/a.js:1:2)\n"),
            ("", "/srv/a.js:1\nthrow x\n^\n\nError: boom\n"),
            ("", "Error: boom\n"),
            (
                "",
                "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    f()\n",
            ),
            (
                "",
                "KeyError: 'x'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"a.py\", line 1, in f\n",
            ),
            ("", "java.lang.E: x\n\tat a.B.c(B.java:1)\nCaused by: "),
            ("", "panic: x\n\ngoroutine 1 [running]:\n"),
            ("", "panic: x\n"),
            ("", "thread 'main' panicked at a.rs:1:1:\nx\n"),
            ("", "a.rb:2:in 'f': x (KeyError)\n\tfrom a.rb:1:in 'g'\n"),
            ("", "boom at a.pl line 2.\n"),
            (
                "",
                "PHP Fatal error:  Uncaught E: x in a.php:1\nStack trace:\n#0 {main}\n",
            ),
            ("", "a.sh: line 1: 42 Segmentation fault      ./a\n"),
            ("", "FATAL cannot start\n"),
            ("", "[boot] web starting, pid 42\n"),
            (
                "",
                "[1.2] Out of memory: Killed process 42 (web) total-vm:1kB\n",
            ),
        ],
    },
];

/// Parts of what the redactor looks for. Texts are put together from them by lot.
const PARTS: &[&str] = &[
    "password",
    "token",
    "secret",
    "key",
    "api_key",
    "cookie",
    "authorization",
    "auth",
    "d",
    "value",
    "--",
    "-",
    "=",
    ":",
    ": ",
    "=>",
    " -> ",
    "%3D",
    "%5D",
    "%26",
    "\"",
    "'",
    "`",
    "\\",
    "\\\"",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    "<",
    ">",
    "</",
    "/",
    ",",
    ", ",
    ";",
    "|",
    "&",
    "?",
    "\n",
    "\n  ",
    "\n- ",
    "\r\n",
    "\\n",
    "%0A",
    " ",
    "\x1b[0m",
    "x",
    "aB3dE5fG7",
    "null",
    "is ",
    "found ",
    "bearer ",
    "digest ",
    "identified ",
    "by '",
    "://",
    "a:",
    "@",
    "@tcp(",
    "#1 a(1): f(",
    "mysql ",
    "-p",
    "curl -u ",
    "ghp_",
    "eyJ",
    "$6$",
    "xoxb-",
    "123456789:A",
    "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----",
    "-----BEGIN X-----",
    "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC7VJTUt9Us8cKj",
    "MIIE==",
    "[cut] ",
    "Private-Lines: ",
    "name=\"",
    "PRIVATE",
    "hooks.slack.com/services/",
    "|\n ",
];
/// Number of texts that are put together.
const DRAWN: usize = 300;

/// Returns a beginning and a part to repeat, put together by lot.
fn drawn(state: &mut u64) -> (String, String) {
    // A linear congruential generator, see Knuth, TAOCP 3.3.4: the same texts each time.
    let mut below = |limit: usize| {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*state >> 33).unwrap_or_default() % limit
    };
    let mut parts =
        |count: usize| -> String { (0..count).map(|_| PARTS[below(PARTS.len())]).collect() };
    let head = parts(2);
    (head, parts(3))
}

/// Takes the square of the length; the bench must notice that.
fn control(text: &str) {
    let starts = text.as_bytes().chunks(512).enumerate();
    let sum: usize = starts
        .map(|(n, _)| {
            text.bytes()
                .skip(512 * n)
                .filter(|byte| *byte == b'y')
                .count()
        })
        .sum();
    black_box(sum);
}

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let wanted = args_os()
        .skip(1)
        .filter_map(|arg| arg.into_string().ok())
        .find(|arg| !arg.starts_with('-'));
    let wanted = wanted.unwrap_or_default();
    let mut out = io::stdout().lock();
    let mut worse = 0;
    let _ = writeln!(out, "{:>9} {:>6} {:>6} {:>6}", "1x, ms", "2x", "4x", "8x");
    for subject in SUBJECTS
        .iter()
        .filter(|subject| subject.name.contains(&wanted))
    {
        // What it sets up once is not the text's doing.
        (subject.work)("");
        for text in subject.texts {
            let (times, in_proportion) = judge(subject.work, *text);
            let ratios: Vec<String> = times
                .iter()
                .skip(1)
                .map(|time| format!("{:6.1}", time / times[0]))
                .collect();
            let judgement = if in_proportion {
                ""
            } else {
                "  WORSE THAN IN PROPORTION"
            };
            let line = format!(
                "{:9.3} {}  {} {text:?}{judgement}",
                times[0] * 1000.,
                ratios.join(" "),
                subject.name
            );
            let _ = writeln!(out, "{line}");
            worse += usize::from(!in_proportion);
        }
    }
    let mut state = 42;
    for _ in 0..if "redact".contains(&wanted) { DRAWN } else { 0 } {
        let (head, unit) = drawn(&mut state);
        let (times, in_proportion) = judge(|text| drop(black_box(redact(text))), (&head, &unit));
        if !in_proportion {
            let _ = writeln!(
                out,
                "{times:?}  redact {head:?} {unit:?}  WORSE THAN IN PROPORTION"
            );
            worse += 1;
        }
    }
    let (times, in_proportion) = judge(control, ("", "xy"));
    let _ = writeln!(out, "worse than in proportion: {worse}");
    if in_proportion {
        let _ = writeln!(
            out,
            "but what takes the square of the length was not found out, either: {times:?}"
        );
        return ExitCode::FAILURE;
    }
    ExitCode::from(u8::from(worse > 0))
}

/// Returns the time at each length, in seconds, and true if that is in proportion.
fn judge(work: fn(&str), text: (&str, &str)) -> ([f64; 4], bool) {
    let mut times = measure(work, text);
    for _ in 1..TRIES {
        if is_in_proportion(times) {
            break;
        }
        times = measure(work, text);
    }
    (times, is_in_proportion(times))
}

fn is_in_proportion(times: [f64; 4]) -> bool {
    times[3] <= times[1] * MOST
}

fn measure(work: fn(&str), (head, unit): (&str, &str)) -> [f64; 4] {
    let texts = TIMES.map(|times| {
        let mut text = String::from(head);
        while text.len() < SHORTEST * times {
            text.push_str(unit);
        }
        text
    });
    let mut quickest = [f64::INFINITY; 4];
    // In turn, so that what else the machine does meets all of them.
    for _ in 0..ROUNDS {
        for (quickest, text) in quickest.iter_mut().zip(&texts) {
            let began = processor_time();
            work(text);
            let took = processor_time().saturating_sub(began);
            *quickest = quickest.min(took.as_secs_f64().max(1e-9));
        }
    }
    quickest
}

/// The processor's time that this thread has had: what others take does not count.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let part = |number: i64| u64::try_from(number).unwrap_or_default();
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
}
