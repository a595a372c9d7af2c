//! One frame of a stack: `File "x.py", line 3, in f`.

use crate::cause::finding::SourcePlace;
use crate::cause::runtimes::shape::{is_like, number};

/// The line above the frames.
pub const HEADER: &str = "Traceback (most recent call last):";

/// Reads a frame of a traceback (`  File "x.py", line 3, in f`), of a syntax error (without a
/// function) or of faulthandler (`, line 3 in f`).
pub fn read(text: &str) -> Option<SourcePlace> {
    let inner = text.trim_start_matches([' ', '\t', '>']);
    if inner.len() == text.len() {
        return None;
    }
    let (file, rest) = inner.strip_prefix("File \"")?.split_once("\", line ")?;
    let (line, rest) = number(rest)?;
    let function = rest.trim_start_matches(',').strip_prefix(" in ");
    Some(SourcePlace::new(file, Some(line)).within(function.map(str::trim)))
}

/// Reads a frame in one of rich's boxes: `│ /srv/app/main.py:12 in main     │`.
pub fn read_boxed(text: &str) -> Option<SourcePlace> {
    let inner = text
        .strip_prefix(['│', '|'])?
        .trim_end_matches(['│', '|', ' '])
        .trim_start();
    let (place, function) = inner.split_once(" in ")?;
    let (file, line) = place.rsplit_once(':')?;
    if file.is_empty() || file.contains(char::is_whitespace) {
        return None;
    }
    let place = SourcePlace::new(file, Some(line.parse().ok()?));
    Some(place.within(Some(function)))
}

/// Shapes of the paths of others' files.
const OTHERS: [&str; 9] = [
    "<…",
    "…/site-packages/…",
    "…/dist-packages/…",
    "/usr/bin/…",
    "/usr/sbin/…",
    "/usr/local/bin/…",
    "/bin/…",
    "…env/bin/…",
    "…/versions/…/bin/…",
];

/// Returns true if a file is the application's own: not Python's, nor an installed package's, nor a
/// script of a package.
pub fn is_own(file: &str) -> bool {
    let is_versioned = |(at, _): (usize, &str)| {
        let rest = file.get(at..).unwrap_or_default();
        rest.trim_start_matches(|c: char| !c.is_ascii_digit() && c != '/')
            .starts_with(|c: char| c.is_ascii_digit())
    };
    let python = ["/lib/python", "/lib64/python", "/lib/pypy", "/lib-python/"];
    let from_python = python.iter().any(|path| {
        file.match_indices(path)
            .map(|(at, it)| (at + it.len(), it))
            .any(is_versioned)
    });
    !from_python && !is_like(file, &OTHERS)
}

#[cfg(test)]
mod tests {
    use super::{is_own, read, read_boxed};

    #[test]
    fn frames_of_every_form_are_read() {
        let place = read("  File \"/srv/a b/main.py\", line 12, in <module>").unwrap();
        assert_eq!(
            (place.to_string().as_str(), place.function.as_deref()),
            ("/srv/a b/main.py:12", Some("<module>"))
        );
        assert_eq!(read("  File \"x.py\", line 3").unwrap().function, None);
        assert_eq!(
            read("  File \"x.py\", line 6 in check")
                .unwrap()
                .function
                .as_deref(),
            Some("check")
        );
        assert_eq!(
            read("> File \"x.py\", line 6, in check").unwrap().line,
            Some(6)
        );
        assert_eq!(
            read_boxed("│ /srv/x/main.py:12 in main                │")
                .unwrap()
                .to_string(),
            "/srv/x/main.py:12"
        );
        for text in [
            "File \"x.py\", line 3",
            "  File \"x.py\", line x",
            "  File \"x.py",
            "  file x.py, line 3",
            "",
        ] {
            assert!(read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn only_the_application_s_files_are_its_own() {
        for own in [
            "/srv/app/main.py",
            "main.py",
            "/opt/app/lib/pythonic/x.py",
            "/srv/app/bin/serve",
            "C:\\app\\main.py",
        ] {
            assert!(is_own(own), "{own}");
        }
        for other in [
            "/usr/lib/python3.11/asyncio/runners.py",
            "/root/.pyenv/versions/3.13.0/lib/python3.13/json/decoder.py",
            "/srv/app/.venv/lib/python3.11/site-packages/flask/app.py",
            "/usr/lib/python3/dist-packages/x.py",
            "/usr/lib/python2.7/runpy.py",
            "<frozen importlib._bootstrap>",
            "<string>",
            "/srv/shop/venv/bin/gunicorn",
            "/usr/local/bin/celery",
        ] {
            assert!(!is_own(other), "{other}");
        }
    }
}
