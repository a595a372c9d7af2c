//! Checks that the sinks' templates exist and can render every kind of report.

use std::path::Path;

use super::problem::{Problem, Severity, Source};
use crate::host::Host;
use crate::render::{self, TemplateFault, View};
use crate::sinks::Sinks;

/// Returns what is wrong with the templates of these sinks. `dir` is the config's directory.
pub fn check(sinks: &Sinks, dir: &Path) -> Vec<Problem> {
    let host = Host::new("/", dir);
    let mut problems = Vec::new();
    for sink in sinks.list() {
        for (template, medium) in sink.templates() {
            let file = host.configured(template.path());
            let help = format!(
                "the sink `{}` sends the built-in message instead",
                sink.name()
            );
            let source = match template.read(&host) {
                Ok(source) => source,
                Err(why) => {
                    problems.push(Problem::with_file(
                        &file,
                        Severity::Error,
                        &format!("{why:#}"),
                        Some(&help),
                    ));
                    continue;
                }
            };
            let wrong = render::examples()
                .iter()
                .find_map(|(_, report)| render::fill(&source, medium, &View::of(report)).err());
            problems.extend(wrong.map(|fault| problem(&file, &source, &fault, &help)));
        }
    }
    problems
}

fn problem(file: &Path, text: &str, fault: &TemplateFault, help: &str) -> Problem {
    let Some((line, column)) = fault.place else {
        return Problem::with_file(file, Severity::Error, &fault.message, Some(help));
    };
    let before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let rest = text.get(before..).unwrap_or_default();
    let start = before
        + rest
            .chars()
            .take(column.saturating_sub(1))
            .map(char::len_utf8)
            .sum::<usize>();
    let tag = text
        .get(start..)
        .unwrap_or_default()
        .find("}}")
        .map_or(1, |end| end + 2);
    Source::new(file, text).problem(
        &(start..start + tag),
        Severity::Error,
        &fault.message,
        Some(help),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn checked(template: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mail.hbs"), template).unwrap();
        let toml = "[[email]]\nname = 'ops'\nto = ['a@x.org']\ntemplate_text = 'mail.hbs'\n";
        let problems = check(&toml::from_str(toml).unwrap(), dir.path());
        problems
            .iter()
            .map(|problem| {
                problem
                    .render(false)
                    .replace(&dir.path().display().to_string(), "")
            })
            .collect()
    }

    #[test]
    fn a_template_with_every_field_there_is_is_fine() {
        let all = "{{title}}{{#if day}}{{day.line}}{{/if}}{{#each gauges}}{{label}} {{bar}}{{/each}}\
                   {{#each blocks}}{{#if is_log}}{{title}}\n  {{indent text}}{{/if}}{{/each}}";
        assert_eq!(checked(all), [""; 0]);
    }

    #[test]
    fn a_mistake_is_shown_in_its_line_wherever_it_hides() {
        let drill = "{{title}}\n{{#if drill}}\n  a drill on {{hots}}\n{{/if}}\n";
        assert_eq!(
            checked(drill),
            ["\
error: there is no field `hots`
 --> /mail.hbs:3:14
  |
3 |   a drill on {{hots}}
  |              ^^^^^^^^
  |
  = help: the sink `ops` sends the built-in message instead"]
        );
        for wrong in [
            "{{#if drill}}",
            "{{#unless drill}}{{x}}{{/unless}}",
            "{{> header}}",
            "{{#if exit}}{{exitt}}{{/if}}",
        ] {
            assert_eq!(checked(wrong).len(), 1, "{wrong}");
        }
    }

    #[test]
    fn a_template_that_is_not_there_is_a_mistake() {
        let toml = "[[slack]]\nname = 'ops'\nwebhook_env = 'X'\ntemplate = 'no-such.hbs'\n";
        let problems = check(&toml::from_str(toml).unwrap(), Path::new("/nonexistent"));
        let [problem] = problems.as_slice() else {
            panic!("{problems:?}")
        };
        assert!(
            problem
                .message
                .contains("cannot use the template /nonexistent/no-such.hbs: No such file"),
            "{problem}"
        );
    }
}
