//! Builds the explanation: the line, the evidence and the fingerprint.

use super::aftermath::{Remark, remark};
use super::finding::{Finding, SourcePlace};
use super::last_words::{self, SaidLine};
use super::scene::{Explanation, Scene};
use super::text::LogLine;
use super::{fingerprint, wording};
use crate::report::{Cause, Confidence, Death, Evidence};

/// Returns the explanation by the log.
pub fn from_log(scene: &Scene, finding: &Finding, source: &str, lines: &[LogLine]) -> Explanation {
    let kind = wording::kind(finding);
    Explanation {
        fingerprint: fingerprint_of(scene.job, kind, finding),
        cause: Cause {
            kind,
            line: wording::line(kind, finding, scene.exit),
            confidence: Confidence::Likely,
            evidence: evidence(scene, finding, source, lines),
            last_words: None,
        },
    }
}

fn fingerprint_of(job: &str, kind: Death, finding: &Finding) -> String {
    let what = &finding.what;
    let place = finding.place.as_ref();
    let line = place.and_then(|place| place.line);
    let file = place.map(|place| fingerprint::normalized(&place.file));
    // A module or an option that is wrong is so at every start, until somebody mends it.
    let keeps_names = matches!(
        kind,
        Death::MissingModule | Death::SyntaxError | Death::BadArguments
    );
    let steady = match line {
        Some(_) => fingerprint::type_of(what),
        None => fingerprint::template_of(what, keeps_names),
    };
    let file = file.unwrap_or_default();
    fingerprint::fingerprint(&[&format!("{job}\0{file}\0{line:?}\0{kind}\0{steady}")])
}

/// Maximum length of a line of evidence, in bytes.
const LONGEST: usize = 1000;

/// Returns the lines that show the cause: the error's, the place's, and a wrapper's word on the
/// end.
fn evidence(scene: &Scene, finding: &Finding, source: &str, lines: &[LogLine]) -> Vec<Evidence> {
    let is_place = |line: &&LogLine| {
        let Some(SourcePlace {
            file,
            line: Some(number),
            ..
        }) = &finding.place
        else {
            return false;
        };
        line.text.contains(file.as_str()) && line.text.contains(&number.to_string())
    };
    let own = lines.get(finding.lines.clone()).unwrap_or_default();
    let after = lines
        .get(finding.lines.end..)
        .unwrap_or_default()
        .iter()
        .filter(|line| !line.is_blank())
        .take(3);
    let mut shown: Vec<&LogLine> = lines.get(finding.quoted).into_iter().collect();
    shown.extend(own.iter().take(LONGEST).find(is_place));
    shown.extend(
        after
            .take_while(|line| remark(line, scene) == Remark::Epilogue)
            .next(),
    );
    shown.dedup_by_key(|line| line.number);
    shown
        .into_iter()
        .map(|line| Evidence {
            source: source.to_owned(),
            line: Some(line.number),
            text: clip(&line.text).to_owned(),
        })
        .collect()
}

fn clip(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST))
        .unwrap_or_default()
}

/// Returns the explanation by the exit alone.
pub fn from_exit(scene: &Scene) -> Explanation {
    let (kind, line) = wording::exit(scene.exit);
    Explanation {
        fingerprint: fingerprint::fingerprint(&[
            &format!("{}\0{line}", scene.job),
            &kind.to_string(),
        ]),
        cause: Cause {
            kind,
            line,
            confidence: Confidence::None,
            evidence: Vec::new(),
            last_words: None,
        },
    }
}

/// Returns the explanation by the exit, with what the program said last.
pub fn from_last_words(
    scene: &Scene,
    source: &str,
    lines: &[LogLine],
    found: &[Finding],
    said: &SaidLine,
) -> Explanation {
    let mut explanation = from_exit(scene);
    let Some(text) = last_words::text(said, lines, found) else {
        return explanation;
    };
    let (kind, line) = wording::said_last(scene.exit, &text);
    explanation.cause.line = line;
    explanation.cause.last_words = Some(Evidence {
        source: source.to_owned(),
        line: lines.get(said.index).map(|line| line.number),
        text: clip(&text).to_owned(),
    });
    explanation.fingerprint = fingerprint::fingerprint(&[&format!(
        "{}\0{kind}\0{}",
        scene.job,
        fingerprint::template_of(&text, false)
    )]);
    explanation
}
