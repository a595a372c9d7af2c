//! The exits that a job calls normal: `normal_exit = [0, 143, "TERM"]`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

use super::wording::did_you_mean;
use crate::report::Exit;

/// An exit code, 0 to 255, or a signal's name with or without `SIG`.
#[derive(Clone, Debug, PartialEq)]
pub struct NormalExit(pub Exit);

/// The signals that end a process, by their names in signal(7).
const SIGNALS: [&str; 25] = [
    "ABRT", "ALRM", "BUS", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL", "PROF",
    "PWR", "QUIT", "SEGV", "STKFLT", "SYS", "TERM", "TRAP", "USR1", "USR2", "VTALRM", "XCPU",
    "XFSZ",
];

impl<'de> Deserialize<'de> for NormalExit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NormalExitVisitor)
    }
}

struct NormalExitVisitor;

impl Visitor<'_> for NormalExitVisitor {
    type Value = NormalExit;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an exit code from 0 to 255 or a signal's name")
    }

    fn visit_i64<E: Error>(self, code: i64) -> Result<NormalExit, E> {
        match u8::try_from(code) {
            Ok(code) => Ok(NormalExit(Exit::Code(code.into()))),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(code), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<NormalExit, E> {
        let wrong = |help| {
            E::custom(format!(
                "expected {}, found another string\n{help}",
                &self as &dyn serde::de::Expected
            ))
        };
        signal(text).map(NormalExit).map_err(wrong)
    }
}

/// Returns the exit by the signal of this name, with or without `SIG`.
///
/// # Errors
/// If there is no such signal. The text says which one was probably meant.
pub fn signal(text: &str) -> Result<Exit, String> {
    let name = text.strip_prefix("SIG").unwrap_or(text);
    if !SIGNALS.contains(&name) {
        return Err(
            did_you_mean(text.to_ascii_uppercase().trim_start_matches("SIG"), SIGNALS)
                .unwrap_or_else(|| {
                    "the names are those of signal(7), as \"TERM\" or \"SIGTERM\"".to_owned()
                }),
        );
    }
    // The more common of the two names of signals 6 and 29.
    let name = match name {
        "IOT" => "ABRT",
        "POLL" => "IO",
        name => name,
    };
    Ok(Exit::Signal {
        name: name.to_owned(),
        core_dumped: false,
    })
}

#[cfg(test)]
impl schemars::JsonSchema for NormalExit {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "NormalExit".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": 0, "maximum": 255 },
                { "type": "string", "pattern": format!("^(SIG)?({})$", SIGNALS.join("|")) },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Exits {
        normal_exit: Vec<NormalExit>,
    }

    fn exits(text: &str) -> Result<Vec<Exit>, String> {
        let job: Result<Exits, _> = toml::from_str(&format!("normal_exit = {text}"));
        job.map(|job| {
            job.normal_exit
                .into_iter()
                .map(|NormalExit(exit)| exit)
                .collect()
        })
        .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn codes_and_signals_stand_side_by_side() {
        let signal = |name: &str| Exit::Signal {
            name: name.into(),
            core_dumped: false,
        };
        assert_eq!(
            exits(r#"[0, 143, "TERM", "SIGTERM", "IOT", "SIGPOLL"]"#).unwrap(),
            [
                Exit::Code(0),
                Exit::Code(143),
                signal("TERM"),
                signal("TERM"),
                signal("ABRT"),
                signal("IO")
            ]
        );
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [
            "[256]",
            "[-1]",
            "[1.5]",
            "[true]",
            "[\"\"]",
            "[\"term\"]",
            "[\"15\"]",
            "[\"SIGSIGTERM\"]",
            "[[0]]",
        ] {
            let message = exits(text).unwrap_err();
            assert!(
                message.contains("expected an exit code from 0 to 255 or a signal's name"),
                "{text}: {message}"
            );
        }
    }

    #[test]
    fn a_mistyped_signal_is_recognised() {
        assert!(
            exits("[\"SIGTREM\"]")
                .unwrap_err()
                .ends_with("\ndid you mean `TERM`?")
        );
        assert!(
            exits("[\"sigterm\"]")
                .unwrap_err()
                .ends_with("\ndid you mean `TERM`?")
        );
    }
}
