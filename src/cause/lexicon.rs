//! The lexicon: the ideas that lines of logs express, whichever program writes them, each in the
//! words that many programs share.
//!
//! The words stand in [`table::PHRASES`], each once, with the senses that they have. A text is
//! searched once for all of them. A phrase counts where a word begins: `fail` is in `failed`, but
//! `bind` is not in `unbind`. A phrase in small letters counts in any case, another only as it is
//! written.

mod table;

use std::ops::{BitOr, Range};
use std::sync::LazyLock;

use table::{GENERIC_WORDS, PHRASES};

/// An idea that a line of a log expresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sense {
    /// Something went wrong.
    Failure,
    /// Something is wrong with a setting, a file, a version. Ordinary lines may say so too.
    Objection,
    /// The program refuses something.
    Refusal,
    /// A logger's warning of this tells of a failure, as it does of [`Failure`](Self::Failure).
    Caught,
    /// A peer is gone, or answers no more.
    Lost,
    /// An exception is spoken of.
    Exception,
    /// A compiler or a parser expected something else.
    Expectation,
    /// A value is missing or wrong.
    Undefined,
    /// Something could not be done: `error` is no count here.
    Complaint,
    /// Something failed, for the reason that follows.
    Failed,
    /// A number of errors, at the beginning of a line: `errors=0`.
    Count,
    /// The program cannot go on, at the beginning of a line.
    Fatal,
    /// A fatal error, which may be quoted.
    FatalError,
    /// The error is not fatal.
    NotFatal,
    /// An end is no ordinary one.
    Abnormal,
    /// A level below that of an error, at the beginning of a line.
    Mild,
    /// The line is a warning, wherever that stands.
    Warning,
    /// The program goes on in spite of an error.
    GoesOn,
    /// The program goes on without something, which need not have failed.
    Without,
    /// The service lives on after what looked like its last words.
    Survives,
    /// The program cannot recover, which is no `recover`.
    NotRecoverable,
    /// The program does not go on.
    GivesUp,
    /// A limit of attempts is named.
    RetryLimit,
    /// Something is more than it may be.
    Exceeded,
    /// The program tried until it gave up.
    GivingUp,
    /// The service goes down.
    Closing,
    /// Something has ended.
    Over,
    /// Someone asked the service to go down.
    Request,
    /// A signal is spoken of.
    Signal,
    /// Something came in, such as a signal.
    Received,
    /// A program sends a signal to its own threads, as `ClickHouse` does.
    ThreadSignal,
    /// A reload, which goes on, or a fault's signal: nobody asked for an end.
    NoRequest,
    /// A command that start scripts call complains, at the beginning of a line. They often go on.
    Helper,
    /// A shell or a package manager speaks, at the beginning of a line.
    Wrapper,
    /// A supervisor reports the end of a process.
    Epilogue,
    /// A process has ended.
    ToldExit,
    /// A program ended with the error that follows.
    ErrorExit,
    /// The exit code follows.
    ExitCode,
    /// Something starts.
    Start,
    /// A version is named.
    Version,
    /// Something begins to start.
    Starting,
    /// The name of a kind of service.
    Service,
    /// Something is not.
    Not,
    /// A step of a start.
    Step,
    /// People can read on elsewhere; or the host of .NET speaks.
    Advice,
    /// People can read on elsewhere, after what a line says.
    ReadOn,
    /// People can do something.
    Instruction,
    /// A condition, at the beginning of a line, comes before what people can do.
    Condition,
    /// Advice on a next step or a place to look, at the beginning of a line.
    Hint,
    /// A hint that is added to an error.
    Added,
    /// A trace follows.
    Trace,
    /// Somebody else said this.
    Quotation,
    /// The program cannot start.
    CannotStart,
    /// A configuration cannot be read.
    BadConfig,
    /// A configuration is spoken of.
    Settings,
    /// Something could not be read.
    Unread,
    /// A configuration is being read.
    ReadsConfig,
    /// A variable of the environment is spoken of.
    Environment,
    /// A value is not set.
    Unset,
    /// The program's arguments are wrong.
    BadOption,
    /// Nothing caught an error.
    Uncaught,
    /// Nothing caught a promise's error.
    Rejected,
    /// The system's words for an error, as perror(3) prints them; see errno(3).
    Errno,
    /// A system error: another process has the port.
    PortInUse,
    /// A system error: the disk is full.
    DiskFull,
    /// A system error: the process has too many open files.
    TooManyFiles,
    /// A system error: there is no memory.
    NoMemory,
    /// A system error: another server cannot be reached.
    Unreachable,
    /// A system error: a right is missing.
    Denied,
    /// A system error: a file is missing.
    NoSuchFile,
    /// The process id follows.
    Process,
    /// A port is named.
    Port,
    /// Something is in use.
    InUse,
    /// The socket of a server is spoken of.
    Socket,
    /// A connection is spoken of.
    Connect,
}

/// A set of senses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct SenseSet(u128);

impl SenseSet {
    const fn of(senses: &[Sense]) -> Self {
        let (mut set, mut i) = (0, 0);
        while i < senses.len() {
            set |= 1 << senses[i] as u32;
            i += 1;
        }
        Self(set)
    }

    fn has(self, sense: Sense) -> bool {
        self.0 & (1 << sense as u32) != 0
    }

    const fn without(self, senses: &[Sense]) -> Self {
        Self(self.0 & !Self::of(senses).0)
    }
}

/// Returns true if a word is a part of a name there: `./ddl_recovery.log`.
fn is_in_name(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    before.ends_with(['_', '/', '.'])
}

impl BitOr for SenseSet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The senses of a text, and those of its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Senses {
    said: SenseSet,
    /// Senses of the phrases at the beginning, behind marks such as `** `.
    first: SenseSet,
    /// Senses of the phrases behind a program's name: `web: `.
    named: SenseSet,
}

impl Senses {
    /// Reads what a text says.
    pub fn of(text: &str) -> Self {
        let start = text.len() - text.trim_start_matches(MARKS).len();
        let name = text
            .get(start..)
            .and_then(|text| text.split_once(": "))
            .filter(|(name, _)| !name.contains(' '));
        let named = name.map(|(name, _)| start + name.len() + 2);
        let mut senses = Self::default();
        for (set, range) in matches(text) {
            let set = if is_in_name(text, range.start) {
                set.without(&[Sense::GoesOn, Sense::Survives])
            } else {
                set
            };
            senses.said = senses.said | set;
            if range.start == start || range.start == 0 {
                senses.first = senses.first | set;
            }
            if Some(range.start) == named {
                senses.named = senses.named | set;
            }
        }
        senses
    }

    /// Returns true if the text says this.
    pub fn has(self, sense: Sense) -> bool {
        self.said.has(sense)
    }

    /// Returns true if the text begins with this.
    pub fn begins(self, sense: Sense) -> bool {
        self.first.has(sense)
    }

    /// Returns true if the text begins with this, or it stands behind a program's name.
    pub fn opens(self, sense: Sense) -> bool {
        (self.first | self.named).has(sense)
    }

    /// Returns true if the text says this behind a program's name.
    pub fn follows(self, sense: Sense) -> bool {
        self.named.has(sense)
    }

    /// Returns true if the program does not go on.
    pub fn gives_up(self) -> bool {
        let is_out_of_attempts = self.has(Sense::RetryLimit) && self.has(Sense::Exceeded);
        (self.has(Sense::GivesUp) || is_out_of_attempts) && !self.has(Sense::NotFatal)
    }

    /// Returns true if the program goes on in spite of an error.
    pub fn is_handled(self) -> bool {
        self.has(Sense::GoesOn) && !self.gives_up() && !self.has(Sense::NotRecoverable)
    }
}

/// Marks that stand before the words of a line.
const MARKS: [char; 10] = ['[', ']', '(', '*', '!', '-', '=', '>', '#', ' '];

/// A phrase as it is looked for.
struct Phrase {
    words: &'static [u8],
    senses: SenseSet,
    /// True if it has a capital.
    is_exact: bool,
}

/// The phrases by their first byte in small letters. An automaton would take longer to build than
/// all lines of a hook's life to search in this way.
static PHRASES_BY_BYTE: LazyLock<Vec<Vec<Phrase>>> = LazyLock::new(|| {
    let mut index: Vec<Vec<Phrase>> = (0..=u8::MAX).map(|_| Vec::new()).collect();
    for (senses, phrases) in PHRASES {
        let senses = SenseSet::of(senses);
        for words in phrases.iter().map(|it| it.as_bytes()) {
            let first = words.first().map(u8::to_ascii_lowercase);
            let row = first.and_then(|byte| index.get_mut(usize::from(byte)));
            let is_exact = words.iter().any(u8::is_ascii_uppercase);
            if let Some(row) = row {
                row.push(Phrase {
                    words,
                    senses,
                    is_exact,
                });
            }
        }
    }
    index
});

impl Phrase {
    /// Returns true if a text begins with the phrase.
    fn begins(&self, text: &[u8]) -> bool {
        text.get(..self.words.len()).is_some_and(|text| {
            text.eq_ignore_ascii_case(self.words) && (!self.is_exact || text == self.words)
        })
    }
}

/// Returns the phrases in a text, each with its senses.
fn matches(text: &str) -> impl Iterator<Item = (SenseSet, Range<usize>)> {
    let text = text.as_bytes();
    let before = [b' '].iter().chain(text);
    let starts = before.zip(text).enumerate();
    let words = starts.filter(|(_, (before, _))| !before.is_ascii_alphanumeric());
    words.flat_map(move |(at, (_, first))| {
        let row = PHRASES_BY_BYTE.get(usize::from(first.to_ascii_lowercase()));
        let rest = text.get(at..).unwrap_or_default();
        let found = row.into_iter().flatten().filter(|it| it.begins(rest));
        found.map(move |it| (it.senses, at..at + it.words.len()))
    })
}

/// Returns the places in a text where a phrase with this sense stands, in order.
pub fn find(text: &str, sense: Sense) -> impl Iterator<Item = Range<usize>> {
    matches(text).filter_map(move |(set, range)| set.has(sense).then_some(range))
}

/// Returns true if these words say that it is the end, but not why.
pub fn is_generic(what: &str) -> bool {
    what.contains(|c: char| c.is_ascii_alphanumeric()) && own_words(what).next().is_none()
}

/// Returns the words of a text that say more than that it is the end.
pub fn own_words(what: &str) -> impl Iterator<Item = &str> {
    let words = what.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| {
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        let lowercase = word.to_ascii_lowercase();
        !is_number && GENERIC_WORDS.binary_search(&lowercase.as_str()).is_err()
    })
}

#[cfg(test)]
mod tests;
