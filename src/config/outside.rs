//! The programs and logs that the files name: whether the machine has them. They are read from the
//! parsed text, so that one that is missing is told with its place.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeTable;

use super::problem::{Problem, Severity, Source};
use super::sink_tables::{collector_tables, sink_tables};
use crate::host::Host;
use crate::plugin::Command;
use crate::sinks::email::SENDMAIL;

/// A program or a log, and its place in the file.
enum Outside {
    Program(Spanned<String>),
    /// The program of a sink: without it nobody is told.
    Sink(Spanned<String>),
    /// The program through which a sink without a server sends mail.
    Sendmail(Spanned<String>),
    Log(Spanned<String>),
}

/// The programs and logs that one table names.
#[derive(Default)]
pub struct Outsiders(Vec<Outside>);

impl Outsiders {
    pub fn of(table: &DeTable) -> Self {
        let mut found = Vec::new();
        let text = |table: &DeTable, key: &str| {
            let value = table.get(key)?;
            let text = value.get_ref().as_str()?.to_owned();
            Some(Spanned::new(value.span(), text))
        };
        for (kind, sink) in sink_tables(table) {
            if kind == "exec" {
                found.extend(program(sink).map(Outside::Sink));
            } else if kind == "email" && !sink.contains_key("server") {
                let default = || {
                    let span = sink.get("name").map_or(0..0, Spanned::span);
                    Spanned::new(span, SENDMAIL.to_owned())
                };
                found.push(Outside::Sendmail(
                    text(sink, "sendmail").unwrap_or_else(default),
                ));
            }
        }
        for (kind, collector) in collector_tables(table) {
            match kind {
                "exec" => found.extend(program(collector).map(Outside::Program)),
                "log" | "program" => found.extend(text(collector, "path").map(Outside::Log)),
                _ => {}
            }
        }
        found.sort_by_key(|it| it.span().start);
        Self(found)
    }

    /// Returns a problem for each that the machine does not have.
    pub fn problems(&self, source: &Source, host: &Host) -> Vec<Problem> {
        let warn = |outside: &Outside| {
            let (severity, message, help) = outside.missing(host)?;
            Some(source.problem(&outside.span(), severity, &message, Some(help)))
        };
        self.0.iter().filter_map(warn).collect()
    }
}

fn program(table: &DeTable) -> Option<Spanned<String>> {
    let first = table.get("command")?.get_ref().as_array()?.first()?;
    let name = first.get_ref().as_str()?.to_owned();
    Some(Spanned::new(first.span(), name))
}

impl Outside {
    fn span(&self) -> Range<usize> {
        match self {
            Self::Program(it) | Self::Sink(it) | Self::Sendmail(it) | Self::Log(it) => it.span(),
        }
    }

    /// Returns that it is missing, and what to do; `None` if it is there.
    fn missing(&self, host: &Host) -> Option<(Severity, String, &'static str)> {
        let lacks = |program: &str| {
            let command = Command::try_from(vec![program.to_owned()]).ok()?;
            command.locate().err().map(|why| format!("{why:#}"))
        };
        match self {
            Self::Program(name) => Some((
                Severity::Warning,
                lacks(name.get_ref())?,
                "check the name, or install the program",
            )),
            Self::Sink(name) => Some((
                Severity::Error,
                format!("this sink can tell nobody: {}", lacks(name.get_ref())?),
                "check the name, or install the program",
            )),
            Self::Sendmail(path) => Some((
                Severity::Error,
                format!("no mail can be sent: {}", lacks(path.get_ref())?),
                "install a mail server such as postfix, or name one: `server = \"smtp.example.com\"`",
            )),
            Self::Log(path) => {
                let path = path.get_ref();
                if host.path(path).exists() {
                    return None;
                }
                let rest = path.replace("{job}", "").replace("{instance}", "");
                if let Some((_, rest)) = rest.split_once('{')
                    && let Some((name, _)) = rest.split_once('}')
                {
                    let message =
                        format!("`{{{name}}}` stands for nothing, and there is no {path}");
                    let help = "a path may hold `{job}` and `{instance}`";
                    return Some((Severity::Error, message, help));
                }
                // The value of a placeholder is not known here.
                let message = format!("there is no {path}");
                let help = "check the path, if the service has run before";
                (rest == *path).then_some((Severity::Warning, message, help))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::super::tests::{SINK, config, told};
    use crate::host::Host;

    #[test]
    fn programs_and_logs_that_are_missing_are_told_with_their_place() {
        let machine = format!(
            "{SINK}[[sink.exec]]\nname = 'x'\ncommand = ['/nonexistent/tell', 'a']\n\
             [[sink.email]]\nname = 'mail'\nto = ['a@x.org']\nsendmail = '/nonexistent/sendmail'\n"
        );
        let job = "[[collect.exec]]\nname = 'y'\ncommand = ['true']\n[[collect.log]]\npath = '/nonexistent/{job}.log'\n\
                   [[collect.log]]\npath = '/nonexistent/web.log'\n\
                   [[collect.log]]\npath = '/nonexistent/{job}-{name}.log'\n";
        let dir = config(&[("lastwords.toml", &machine), ("jobs/web.toml", job)]);
        let checked = check(dir.path(), &Host::new("/", dir.path()), &[]);
        let told = told(dir.path(), &checked.problems);
        let before = SINK.lines().count();
        let places = [
            format!(
                "lastwords.toml:{}:12: this sink can tell nobody: ",
                before + 3
            ),
            format!("lastwords.toml:{}:12: no mail can be sent: ", before + 7),
            "jobs/web.toml:7:8: there is no /nonexistent/web.log".to_owned(),
            "jobs/web.toml:9:8: `{name}` stands for nothing, and ".to_owned(),
        ];
        assert_eq!(told.len(), places.len(), "{told:#?}");
        for (told, place) in told.iter().zip(places) {
            assert!(told.starts_with(&place), "{place} in {told}");
        }
    }
}
