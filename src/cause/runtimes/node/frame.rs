//! The frames of a stack, as V8 and `JavaScriptCore` print them.

use crate::cause::finding::SourcePlace;
use crate::cause::runtimes::shape::is_like;

/// Number of frames that V8 keeps of a stack by default (`Error.stackTraceLimit`).
pub const MOST: usize = 10;

/// One frame of a stack.
#[derive(Clone, Debug, PartialEq)]
pub struct JsFrame<'a> {
    pub function: Option<&'a str>,
    /// `<anonymous>` and the like if there is no file.
    pub file: &'a str,
    pub line: Option<u32>,
    /// True if the frame waited for a promise.
    pub is_async: bool,
}

/// Owner of a frame's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    App,
    Dependency,
    Runtime,
    /// Code without a file.
    NoFile,
}

impl<'a> JsFrame<'a> {
    /// Reads `    at run (/srv/app/main.js:3:7)`; `None` for other lines, frames of other languages
    /// included.
    pub fn read(text: &'a str) -> Option<Self> {
        let inner = text.trim_start();
        if inner.len() + 2 > text.len() {
            return None;
        }
        Self::of(inner.strip_prefix("at ")?)
    }

    /// Reads the text after `at `.
    pub fn of(text: &'a str) -> Option<Self> {
        let text = text.trim_end().trim_end_matches([',', '{', ']']).trim_end();
        let (text, is_async) = text
            .strip_prefix("async ")
            .map_or((text, false), |text| (text, true));
        let (function, at) = match text
            .strip_suffix(')')
            .and_then(|text| text.split_once(" ("))
        {
            Some((function, at)) => (Some(function), at),
            None => (None, text),
        };
        let (file, line) = match location(at) {
            Some((file, line)) => (file, Some(line)),
            None if is_placeless(at) => (at, None),
            None => return None,
        };
        Some(Self {
            function,
            file: file.strip_prefix("file://").unwrap_or(file),
            line,
            is_async,
        })
    }

    pub fn owner(&self) -> Owner {
        owner(self.file)
    }

    pub fn place(&self) -> SourcePlace {
        SourcePlace::new(self.file, self.line).within(self.function)
    }
}

/// Splits `/srv/app/main.js:3:7`.
fn location(at: &str) -> Option<(&str, u32)> {
    let (rest, column) = at.rsplit_once(':')?;
    column.parse::<u32>().ok()?;
    let (file, line) = rest.rsplit_once(':')?;
    Some((file, line.parse().ok()?)).filter(|(file, _)| !file.is_empty())
}

/// Returns true if these words stand for code without a file.
fn is_placeless(at: &str) -> bool {
    at == "<anonymous>" || at == "native" || at == "unknown location" || at.starts_with("index ")
}

/// Returns the owner of a file.
pub fn owner(file: &str) -> Owner {
    const RUNTIME: [&str; 4] = ["node:…", "internal/…", "ext:…", "bun:…"];
    const NO_FILE: [&str; 7] = [
        "<…",
        "eval at …",
        "evalmachine.<…",
        "wasm:…",
        "native",
        "undefined",
        "unknown",
    ];
    const DEPENDENCY: [&str; 5] = [
        "…/node_modules/…",
        "…/usr/share/nodejs/…",
        "…/.yarn/…",
        "…webpack/bootstrap…",
        "…/usr/lib/node…",
    ];
    let name = file.strip_suffix(".js");
    let name = name.filter(|_| !file.contains(['/', '\\', '[', '<', ' ']));
    // Before version 16 node's own files have bare names: `events.js`, `fs.js`.
    if is_like(file, &RUNTIME) || name.is_some_and(|name| !name.contains('.')) {
        Owner::Runtime
    } else if is_like(file, &NO_FILE) || is_placeless(file) {
        Owner::NoFile
    } else if is_like(file, &DEPENDENCY) {
        Owner::Dependency
    } else {
        Owner::App
    }
}

/// Returns the innermost frame of this owner that has a line.
pub fn innermost<'a, 'b>(frames: &'b [JsFrame<'a>], owner: Owner) -> Option<&'b JsFrame<'a>> {
    frames
        .iter()
        .find(|frame| frame.owner() == owner && frame.line.is_some())
}

#[cfg(test)]
mod tests {
    use super::{JsFrame, Owner};

    #[test]
    fn the_frames_of_javascript_are_read_and_no_others() {
        for (text, file, line, owner) in [
            (
                "    at lead (/srv/raft/app.js:2:40)",
                "/srv/raft/app.js",
                Some(2),
                Owner::App,
            ),
            (
                "    at async main (file:///srv/x y/app.mjs:7:3) {",
                "/srv/x y/app.mjs",
                Some(7),
                Owner::App,
            ),
            (
                "    at /srv/app.js:1:18",
                "/srv/app.js",
                Some(1),
                Owner::App,
            ),
            ("    at [eval]:1:23", "[eval]", Some(1), Owner::App),
            (
                "    at ship (webpack://shop/./src/ship.ts:9:3)",
                "webpack://shop/./src/ship.ts",
                Some(9),
                Owner::App,
            ),
            (
                "    at Timeout.f [as _onTimeout] (/srv/app.js:1:21),",
                "/srv/app.js",
                Some(1),
                Owner::App,
            ),
            (
                "    at q (/srv/node_modules/pg/lib/q.js:1:2)",
                "/srv/node_modules/pg/lib/q.js",
                Some(1),
                Owner::Dependency,
            ),
            (
                "    at emit (node:events:524:28)",
                "node:events",
                Some(524),
                Owner::Runtime,
            ),
            (
                "    at internal/main/run_main_module.js:17:47 {",
                "internal/main/run_main_module.js",
                Some(17),
                Owner::Runtime,
            ),
            (
                "    at Socket.emit (events.js:314:20)",
                "events.js",
                Some(314),
                Owner::Runtime,
            ),
            (
                "    at JSON.parse (<anonymous>)",
                "<anonymous>",
                None,
                Owner::NoFile,
            ),
            ("    at Array.map (native)", "native", None, Owner::NoFile),
        ] {
            let frame = JsFrame::read(text).unwrap_or_else(|| panic!("no frame: {text}"));
            assert_eq!(
                (frame.file, frame.line, frame.owner()),
                (file, line, owner),
                "{text}"
            );
        }
        for text in [
            "\tat com.acme.Main.main(Main.java:12)",
            "   at Acme.Main.Run() in /srv/Main.cs:line 12",
            "  at the end of the day",
            "at 12:30:10",
            "    at ",
        ] {
            assert_eq!(JsFrame::read(text), None, "{text}");
        }
    }
}
