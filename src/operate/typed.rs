//! Commands that people are told to type.

use crate::places::Places;
use crate::supervisor::caller::Caller;

/// Verbs of commands that look at the directories.
const VERBS: [&str; 9] = [
    "check",
    "deliver",
    "doctor",
    "list",
    "post-stop",
    "pre-stop",
    "queue",
    "setup",
    "show",
];

/// Returns a text in which each command of ours names these directories, where they are not the
/// usual ones: without them it would look elsewhere.
pub fn commands(text: &str, places: &Places) -> String {
    let flags = Caller::of(places).map(|caller| caller.flags());
    let Some(flags) = flags.ok().filter(|flags| !flags.is_empty()) else {
        return text.to_owned();
    };
    VERBS.iter().fold(text.to_owned(), |text, verb| {
        let command = format!("lastwords {verb}");
        text.replace(&command, &format!("{command} {flags}"))
    })
}
