//! Fills in templates: the built-in ones, and those that a config names in their place.
//!
//! A config's template may be wrong, or run for ever. It is refused if it nests too deeply or calls
//! itself; its output and its time are bounded. An unknown field is an error everywhere, even in a
//! condition.

use std::io;
use std::sync::mpsc;
use std::thread::Builder;
use std::time::Duration;

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, JsonTruthy, Output, RenderContext,
    RenderError, RenderErrorReason, Renderable, handlebars_helper, html_escape, no_escape,
};

use super::clean::one_line;
use super::view::View;

/// The destination of a template. It decides how fields are escaped, and how long the text may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// The text of an email.
    Text,
    /// The HTML of an email.
    Html,
    /// Slack's own markup (mrkdwn).
    Slack,
    /// The HTML of a Matrix event.
    Matrix,
}

impl Medium {
    fn escape(self) -> fn(&str) -> String {
        match self {
            Self::Text => no_escape,
            Self::Html | Self::Matrix => html_escape,
            Self::Slack => mrkdwn_escape,
        }
    }

    /// Returns the maximum length of the text, in bytes.
    fn max(self) -> usize {
        match self {
            Self::Text | Self::Html => 1 << 20,
            Self::Slack => 12_000,
            Self::Matrix => 28_000,
        }
    }
}

/// Escapes what Slack parses, so that it pings no one, links nowhere and ends no block of code.
fn mrkdwn_escape(text: &str) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    text.replace("```", "`\u{200b}`\u{200b}`")
}

/// A mistake in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateFault {
    /// The line, from 1; `None` if it is about the template as a whole.
    pub place: Option<(usize, usize)>,
    pub message: String,
}

impl TemplateFault {
    fn whole(message: String) -> Self {
        Self {
            place: None,
            message,
        }
    }
}

impl std::fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "line {line}, column {column}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// Maximum time for filling in a template; the built-in ones take milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// The stack of the thread that reads it, in bytes: enough for the depth that is allowed.
const STACK: usize = 16 << 20;
/// Maximum depth of nested blocks, and of brackets within one `{{…}}`.
const DEPTH: usize = 12;

/// Fills in a template that the config names.
///
/// # Errors
/// If it is no handlebars, names an unknown field, takes too long, or becomes too long.
pub fn fill(source: &str, medium: Medium, view: &View) -> Result<String, TemplateFault> {
    refuse_the_endless(source)?;
    let (tell, told) = mpsc::channel();
    let (source, view) = (source.to_owned(), view.clone());
    let work = move || {
        let _ = tell.send(fill_now(&source, medium.escape(), medium.max(), &view));
    };
    Builder::new()
        .name("template".to_owned())
        .stack_size(STACK)
        .spawn(work)
        .map_err(|why| TemplateFault::whole(format!("no thread can be had for it: {why}")))?;
    match told.recv_timeout(PATIENCE) {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(why)) => Err(fault(&why, medium)),
        Err(_) => Err(TemplateFault::whole(format!(
            "it is not done after {} s",
            PATIENCE.as_secs()
        ))),
    }
}

/// Fills in a built-in template.
pub(super) fn fill_now(
    source: &str,
    escape: fn(&str) -> String,
    max: usize,
    view: &View,
) -> Result<String, RenderError> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    registry.register_escape_fn(escape);
    registry.register_helper("indent", Box::new(indent));
    registry.register_helper("pad", Box::new(pad));
    registry.register_helper("if", Box::new(TestBlock(true)));
    registry.register_helper("unless", Box::new(TestBlock(false)));
    let mut out = BoundedText {
        text: Vec::new(),
        max,
    };
    registry.render_template_to_write(source, view, &mut out)?;
    String::from_utf8(out.text).map_err(|why| RenderErrorReason::from(why).into())
}

handlebars_helper!(indent: |text: str| text.replace('\n', "\n  "));
handlebars_helper!(pad: |text: str| format!("{text:20}"));

/// `if` and `unless`, for which an unknown field is an error.
struct TestBlock(bool);

impl HelperDef for TestBlock {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        registry: &'reg Handlebars<'reg>,
        context: &'rc Context,
        render: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let asked = helper
            .param(0)
            .ok_or(RenderErrorReason::ParamNotFoundForIndex("if", 0))?;
        if asked.is_value_missing() {
            return Err(RenderErrorReason::MissingVariable(asked.relative_path().cloned()).into());
        }
        let holds = asked.value().is_truthy(false) == self.0;
        let chosen = if holds {
            helper.template()
        } else {
            helper.inverse()
        };
        chosen.map_or(Ok(()), |chosen| {
            chosen.render(registry, context, render, out)
        })
    }
}

/// Output that grows up to a bound.
struct BoundedText {
    text: Vec<u8>,
    max: usize,
}

impl io::Write for BoundedText {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() > self.max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Refuses a template that nests too deeply: parsing and filling in are recursive.
fn refuse_the_endless(source: &str) -> Result<(), TemplateFault> {
    let mut depth = 0_usize;
    let mut line = 1;
    let mut tags = source.split("{{");
    line += tags.next().unwrap_or_default().matches('\n').count();
    for tag in tags {
        let refuse = |message: String| {
            Err(TemplateFault {
                place: Some((line, 1)),
                message,
            })
        };
        let inside = tag.split("}}").next().unwrap_or_default();
        let words = inside.trim_start_matches(['~', '{', ' ', '\t', '\r', '\n']);
        let is_block = words.starts_with(['#', '^']);
        let name = words.trim_start_matches(['#', ' ', '\t', '\r', '\n']);
        if name.starts_with(['>', '*']) {
            return refuse(
                "partials and decorators are not for these templates: write it out".to_owned(),
            );
        }
        if inside.matches(['(', '[', '{']).count() > DEPTH {
            return refuse(format!("more than {DEPTH} brackets in one expression"));
        }
        if is_block {
            depth += 1;
        } else if words.starts_with('/') {
            depth = depth.saturating_sub(1);
        }
        if depth > DEPTH {
            return refuse(format!("blocks nest deeper than {DEPTH}"));
        }
        line += tag.matches('\n').count();
    }
    Ok(())
}

/// Returns the error in words for people.
fn fault(error: &RenderError, medium: Medium) -> TemplateFault {
    let mut place = error.line_no.zip(error.column_no);
    let message = match error.reason() {
        RenderErrorReason::MissingVariable(Some(name)) => format!("there is no field `{name}`"),
        RenderErrorReason::HelperNotFound(name) => format!("there is no helper `{name}`"),
        RenderErrorReason::ParamNotFoundForName(helper, _) => {
            format!("`{helper}` needs a field that there is")
        }
        RenderErrorReason::IOError(_) => {
            format!("the message is longer than {} bytes", medium.max())
        }
        RenderErrorReason::TemplateError(error) => {
            place = error.pos().or(place);
            // The parser shows the place in several lines. The last one says what it expected.
            let reason = error.reason().to_string();
            let said = reason.lines().last().unwrap_or_default();
            said.trim_start_matches([' ', '='])
                .trim_start_matches("invalid handlebars syntax: ")
                .to_owned()
        }
        other => other.to_string(),
    };
    TemplateFault {
        place,
        message: one_line(&message, 300),
    }
}

#[cfg(test)]
mod tests {

    use super::{Medium, TemplateFault, fill};
    use crate::render::View;
    use crate::report::{Report, sample};

    fn filled(source: &str, medium: Medium, report: &Report) -> Result<String, TemplateFault> {
        fill(source, medium, &View::of(report))
    }

    fn why(source: &str) -> String {
        filled(source, Medium::Text, &sample())
            .expect_err(source)
            .to_string()
    }

    #[test]
    fn each_medium_escapes_what_it_would_act_on() {
        let mut report = sample();
        report.cause.line = "<!channel> & ``` \"x\"".to_owned();
        for (medium, text) in [
            (Medium::Text, "<!channel> & ``` \"x\""),
            (
                Medium::Slack,
                "&lt;!channel&gt; &amp; `\u{200b}`\u{200b}` \"x\"",
            ),
        ] {
            assert_eq!(filled("{{why}}", medium, &report).as_deref(), Ok(text));
        }
        for medium in [Medium::Html, Medium::Matrix] {
            let text = filled("{{why}}", medium, &report).expect("a text");
            assert!(
                text.starts_with("&lt;!channel&gt; &amp; ") && !text.contains('"'),
                "{text}"
            );
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        for (source, told) in [
            (
                "a\n{{titel}}",
                "line 2, column 1: there is no field `titel`",
            ),
            (
                "{{#if drll}}x{{/if}}",
                "line 1, column 1: there is no field `drll`",
            ),
            (
                "{{#each bloks}}x{{/each}}",
                "line 1, column 1: there is no field `bloks`",
            ),
            (
                "{{shout why}}",
                "line 1, column 1: there is no helper `shout`",
            ),
        ] {
            assert_eq!(why(source), told);
        }
        for source in [
            "{{#if drill}}",
            "{{why",
            "{{#if drill}}{{/each}}",
            "{{}}",
            "a\n\n{{#each}}{{/each}}",
        ] {
            assert!(
                why(source).starts_with("line "),
                "{source}: {}",
                why(source)
            );
        }
    }

    #[test]
    fn a_template_without_end_is_refused_in_time() {
        let each = |depth, body: &str| {
            let begin = (0..depth)
                .map(|at| format!("{{{{#each {}blocks}}}}", "../".repeat(at)))
                .collect::<Vec<_>>()
                .concat();
            begin + body + &"{{/each}}".repeat(depth)
        };
        let mut report = sample();
        report.sections = vec![report.sections[0].clone(); 24];
        for (source, told) in [
            (
                "{{#*inline \"x\"}}{{> x}}{{/inline}}{{> x}}".to_owned(),
                "partials and decorators",
            ),
            ("{{~# > x}}{{/x}}".to_owned(), "partials and decorators"),
            ("{{#if drill}}".repeat(5000), "nest deeper"),
            (format!("{{{{{}why", "(a ".repeat(5000)), "brackets"),
            ("{{#if drill}}{{else}}x".repeat(3000), "nest deeper"),
            (each(7, ""), "not done after 2 s"),
            // On a busy machine the time is over first.
            (
                each(4, "............"),
                "longer than 1048576 bytes|not done after 2 s",
            ),
        ] {
            let fault = filled(&source, Medium::Text, &report).expect_err(told);
            assert!(
                told.split('|').any(|told| fault.message.contains(told)),
                "{fault}"
            );
        }
    }

    #[test]
    fn a_message_is_as_long_as_its_medium_takes_and_no_longer() {
        let exactly = "🦀".repeat(3_000);
        assert_eq!(
            filled(&exactly, Medium::Slack, &sample()),
            Ok(exactly.clone())
        );
        let more = filled(&(exactly + "x"), Medium::Slack, &sample()).expect_err("too long");
        assert_eq!(more.message, "the message is longer than 12000 bytes");
    }
}
