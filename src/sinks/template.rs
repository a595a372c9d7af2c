//! A sink's own template in place of the built-in message: a file of handlebars (see
//! config/templates.md). Its path is relative to the config's directory. It is read for every
//! message.
//!
//! If a template is missing or wrong, the built-in message goes out and says why.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::host::{Host, open_regular_in_ours};
use crate::render::{self, Medium, View, one_line};

/// Maximum size of a template, in bytes.
const MAX: u64 = 64 * 1024;

/// A template's file.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Template(PathBuf);

impl Template {
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Reads the template's text.
    ///
    /// # Errors
    /// If it is no regular file, too large, or no UTF-8.
    pub fn read(&self, host: &Host) -> Result<String> {
        let path = host.configured(&self.0);
        let of = || format!("cannot use the template {}", path.display());
        let file: File = open_regular_in_ours(&path).with_context(of)?;
        let mut text = String::new();
        file.take(MAX + 1)
            .read_to_string(&mut text)
            .with_context(of)?;
        ensure!(
            text.len() as u64 <= MAX,
            "the template {} is larger than {MAX} bytes",
            path.display()
        );
        Ok(text)
    }

    fn fill(&self, medium: Medium, view: &View, host: &Host) -> Result<String, String> {
        let source = self.read(host).map_err(|why| format!("{why:#}"))?;
        render::fill(&source, medium, view)
            .map_err(|why| format!("the template {}: {why}", self.0.display()))
    }
}

/// Fills the templates from the view, in their order; `None` for one that is not set. One that
/// fails is `None`, too, and the view notes why.
pub fn fill_all<const N: usize>(
    templates: [(Option<&Template>, Medium); N],
    view: &mut View,
    host: &Host,
) -> [Option<String>; N] {
    templates.map(
        |(template, medium)| match template?.fill(medium, view, host) {
            Ok(text) => Some(text),
            Err(why) => {
                view.notes.push(one_line(
                    &format!("{why}; this is the built-in message"),
                    500,
                ));
                None
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::example;
    use crate::sinks::{Form, Sinks};

    /// The messages of the sinks in `toml`, with these templates beside the config.
    fn messages(toml: &str, templates: &[(&str, &str)]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in templates {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let host = Host::new("/", dir.path());
        let sinks: Sinks = toml::from_str(toml).unwrap();
        let forms = [Form::Text, Form::Html, Form::Slack, Form::Matrix];
        let shown =
            |sink: &dyn crate::sinks::Sink| forms.map(|form| sink.form(form, &example(), &host));
        sinks.list().into_iter().flat_map(shown).flatten().collect()
    }

    const SINKS: &str = "
        [[email]]\nname = 'mail'\nto = ['a@x.org']\ntemplate_text = 'a.hbs'\ntemplate_html = 'a.hbs'
        [[slack]]\nname = 'slack'\nwebhook_env = 'X'\ntemplate = 'a.hbs'
        [[gitter]]\nname = 'gitter'\nroom = 'a/b'\ntoken_env = 'X'\ntemplate = 'a.hbs'";

    #[test]
    fn a_template_stands_in_for_the_built_in_message() {
        let messages = messages(
            SINKS,
            &[(
                "a.hbs",
                "ours: {{service}} & {{#each gauges}}{{label}}, {{/each}}",
            )],
        );
        assert_eq!(messages.len(), 4);
        for message in &messages {
            let ours = "ours: web & Memory, Memory limit, Swap, Load, Disk /var, Disk /, ";
            assert!(
                message.contains(ours) && !message.contains("built-in message"),
                "{message}"
            );
        }
        assert!(
            messages[3].contains("\"body\": \"[db1] web crashed"),
            "{}",
            messages[3]
        );
    }

    #[test]
    fn a_template_that_fails_costs_nothing_and_the_message_says_why() {
        let long = "x".repeat(70_000);
        for (template, why) in [
            (
                Some("a\n{{bogus}}"),
                "the template a.hbs: line 2, column 1: there is no field `bogus`; this is the built-in",
            ),
            (Some("{{#each blocks}}"), "the template a.hbs: line 1"),
            (Some(long.as_str()), "larger than 65536 bytes"),
            (None, "No such file or directory"),
        ] {
            let messages = messages(SINKS, template.map(|text| ("a.hbs", text)).as_slice());
            assert_eq!(messages.len(), 4);
            for message in messages {
                let message = message.replace("&#x60;", "`");
                assert!(message.contains("order 8841 has no lines"), "{message}");
                assert!(message.contains(why), "{why}: {message}");
            }
        }
    }
}
