use std::collections::HashSet;

use super::table::{GENERIC_WORDS, PHRASES};
use super::{Sense, SenseSet, Senses, is_generic, matches};

fn phrases() -> impl Iterator<Item = (&'static str, SenseSet)> {
    let set = |senses: &[Sense]| SenseSet::of(senses);
    PHRASES
        .iter()
        .flat_map(move |(senses, phrases)| phrases.iter().map(move |it| (*it, set(senses))))
}

#[test]
fn each_phrase_is_found_with_its_senses() {
    for (phrase, set) in phrases() {
        for text in [phrase.to_owned(), format!("web, {phrase}x")] {
            let found = matches(&text)
                .any(|(found, range)| found == set && text.get(range) == Some(phrase));
            assert!(found, "{text}");
        }
    }
}

#[test]
fn no_phrase_stands_twice() {
    let mut seen = HashSet::new();
    for (phrase, _) in phrases() {
        assert!(seen.insert(phrase), "{phrase}");
    }
}

#[test]
fn no_phrase_only_repeats_what_a_part_of_it_says() {
    // Of the system's words the end counts too.
    for (phrase, set) in phrases().filter(|(_, set)| !set.has(Sense::Errno)) {
        let parts = matches(phrase).filter(|(_, range)| range.len() < phrase.len());
        let of_parts = parts.fold(SenseSet::default(), |all, (part, _)| all | part);
        assert_ne!(of_parts | set, of_parts, "{phrase}");
    }
}

#[test]
fn the_generic_words_are_in_order() {
    assert!(GENERIC_WORDS.is_sorted());
}

#[test]
fn a_phrase_counts_where_a_word_begins() {
    for (text, expected) in [
        ("Failed", true),
        ("it failed", true),
        ("(fail)", true),
        ("unfailing", false),
        ("7fail", false),
    ] {
        assert_eq!(Senses::of(text).has(Sense::Failure), expected, "{text}");
    }
    let wrapper = |text| Senses::of(text).begins(Sense::Wrapper);
    assert!(wrapper("Killed") && !wrapper("killed 3 workers"));
}

#[test]
fn a_text_begins_behind_marks_and_opens_behind_a_name() {
    for (text, begins, opens) in [
        ("error: x", true, true),
        ("** [error] x", true, true),
        ("web: error: x", false, true),
        ("the web: error: x", false, false),
        ("no error", false, false),
    ] {
        let senses = Senses::of(text);
        let found = (senses.begins(Sense::Failure), senses.opens(Sense::Failure));
        assert_eq!(found, (begins, opens), "{text}");
    }
}

#[test]
fn a_handled_error_says_so() {
    for text in [
        "row 118 skipped",
        "webhook failed with 503, queued for retry",
        "lag gauge failed, ignored",
    ] {
        assert!(Senses::of(text).is_handled(), "{text}");
    }
    for text in [
        "unhandled rejection",
        "refusing to continue",
        "giving up after 5 retries",
        "uncaught exception",
    ] {
        assert!(!Senses::of(text).is_handled(), "{text}");
    }
}

#[test]
fn a_word_that_only_looks_like_a_sense_has_none() {
    let has = |text: &str, sense| Senses::of(text).has(sense);
    assert!(has("TLS is required", Sense::Objection) && has("requires TLS", Sense::Objection));
    assert!(!has("Collecting requirements", Sense::Objection));
    assert!(has("sending SIGTERM to all", Sense::NoRequest));
    assert!(has("sending the signal 15", Sense::NoRequest));
    assert!(!has(
        "received SIGTERM, sending 503 to health checks",
        Sense::NoRequest
    ));
    assert!(Senses::of("Retry limit (100) exceeded").gives_up());
    assert!(!Senses::of("job 12 hit its retry limit").gives_up());
}

#[test]
fn words_that_only_say_that_it_is_the_end_are_generic() {
    assert!(
        is_generic("Worker failed to boot.")
            && is_generic("Shutting down: Master")
            && is_generic("uncaughtException")
    );
    assert!(!is_generic("cannot open the ledger") && !is_generic(""));
}
