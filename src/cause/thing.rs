//! Tells the lines that name a thing from those that only say that something failed.

use super::lexicon::{Sense, Senses, is_generic, own_words};

/// Characters that stand around a word, and do not belong to it.
const AROUND: [char; 11] = [',', ';', '.', '(', ')', '[', ']', '{', '}', '!', '?'];

/// Returns true if a text names a thing: a path, an address, a version, a setting, or something in
/// quotes. Of two lines about one failure, such a line says more.
pub fn names_thing(text: &str) -> bool {
    is_quoting(text) || text.split(' ').any(is_thing)
}

/// Maximum number of a summary's own words, and of one that names a part of the program.
const SUMMARY: usize = 2;
const OF_PART: usize = 1;

/// Returns true if a text only sums up what was said before: `VCL compilation failed`, `Error found
/// at web.conf:9.`, `Reading config failed--see warnings above.`
pub fn is_summary(text: &str) -> bool {
    if is_generic(text) {
        return true;
    }
    let ends = [". ", "; ", "--", " - see ", ", "];
    let ends = ends.iter().filter_map(|end| text.find(end));
    let (first, rest) = text.split_at(ends.min().unwrap_or(text.len()));
    let fails = Senses::of(first);
    let is_of_part = first.contains(": ");
    let most = if is_of_part { OF_PART } else { SUMMARY };
    let is_own = |word: &&str| !is_thing(word) && own_words(word).next().is_some();
    (fails.has(Sense::Failure) || fails.has(Sense::Closing) || fails.has(Sense::Abnormal))
        && !(is_of_part && fails.has(Sense::Objection))
        && !rest.contains([':', '='])
        && !is_quoting(first)
        && first.split(' ').filter(is_own).count() <= most
}

/// Maximum length of the lines of a message that are told one and all, in bytes.
const WHOLE: usize = 280;

/// Returns a message of several lines in one. Of a long one, the first line and the first below it
/// that says what is wrong with which thing.
pub fn one_line<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let words = |line: &'a str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = lines.map(words).filter(|line| !line.is_empty()).collect();
    let whole = lines.join(" ");
    let tells = |line: &&String| {
        let said = Senses::of(line);
        (said.has(Sense::Failure) || said.has(Sense::Objection))
            && !line.contains("following")
            && names_thing(line)
    };
    match lines.split_first() {
        Some((first, rest)) if whole.len() > WHOLE => match rest.iter().find(tells) {
            Some(telling) => format!("{first} … {telling}"),
            None => whole,
        },
        _ => whole,
    }
}

/// Returns true if something stands in quotes: `user "web"`, `'main'`, `` `id` ``.
fn is_quoting(text: &str) -> bool {
    ['"', '\'', '`'].into_iter().any(|mark| {
        // In `can't` it is no mark.
        let begins = |at: usize| {
            let before = text.get(..at).unwrap_or_default();
            before.is_empty() || before.ends_with([' ', '(', '[', '{', '=', ':', ','])
        };
        let mut marks = text.match_indices(mark).map(|(at, _)| at);
        marks.any(begins) && marks.next().is_some()
    })
}

/// Returns true if a word is a path, an address, a version, a number with a unit, or a setting.
fn is_thing(word: &str) -> bool {
    // `web_core::http: ` is where a line comes from.
    if word.contains("::") {
        return false;
    }
    let word = word.trim_matches(AROUND).trim_end_matches(':');
    let is_path = word.len() > 2
        && (word.starts_with(['/', '~']) || word.starts_with("./") || word.contains("/."))
        || word.matches('/').count() > 1;
    let has_digit = word.contains(|c: char| c.is_ascii_digit());
    let is_address = has_digit && word.contains(['.', ':', '-', '_', '/']);
    let is_file = word.rsplit_once('.').is_some_and(|(name, ending)| {
        !name.is_empty()
            && word.len() > 4
            && ending
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    });
    let is_setting = word.contains('_') || word.contains('=');
    is_path || is_address || is_file || is_setting
}

#[cfg(test)]
mod tests {
    use super::{is_summary, names_thing, one_line};

    #[test]
    fn a_summary_has_hardly_a_word_of_its_own() {
        for text in [
            "VCL compilation failed",
            "Reading config failed--see warnings above.",
            "Startup failed - see the log of the web",
            "Config validation failed. Re-run with 'web -C' after fixing the config.",
            "Aborting the process after an internal error, please report this",
            "Exiting.",
        ] {
            assert!(is_summary(text), "{text}");
        }
        for text in [
            "starting web: preparing: data is encrypted with a different token",
            "could not locate a valid checkpoint record",
            "web is up",
        ] {
            assert!(!is_summary(text), "{text}");
        }
    }

    #[test]
    fn of_a_long_message_the_first_line_and_the_telling_one_are_told() {
        let told = |text: &str| one_line(text.lines());
        assert_eq!(told("one\n\n  two  words"), "one two words");
        let long = "for more, see the guide ".repeat(20);
        let text = format!(
            "checks failed\nmend the following lines\n{long}\nlimit [65530] of web.maps is too low"
        );
        assert_eq!(
            told(&text),
            "checks failed … limit [65530] of web.maps is too low"
        );
        assert!(told(&long).ends_with("the guide"));
    }

    #[test]
    fn a_line_with_a_path_an_address_or_a_quotation_names_a_thing() {
        for text in [
            "cannot open /etc/web.conf",
            "open web.key: permission denied",
            "connect 10.0.0.5:5432",
            "role \"web\" does not exist",
            "no setting 'seat'",
            "SEAT_LIMIT is missing",
            "database version 3.1 is too old",
        ] {
            assert!(names_thing(text), "{text}");
        }
        for text in [
            "loading configuration: permission denied",
            "VCL compilation failed",
            "can't start, won't try",
            "Config validation failed.",
            "1 error",
        ] {
            assert!(!names_thing(text), "{text}");
        }
    }
}
