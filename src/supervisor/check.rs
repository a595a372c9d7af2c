//! A check of `doctor`'s, and the verdict of all checks.

use serde::Serialize;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Ok,
    /// A crash would be lost, reported late, or not reported to all sinks.
    Problem,
    /// A crash is caught and reported, but the report would say less than it could.
    Weak,
    /// Cannot be found out, or not by this user.
    Unknown,
}

/// The ability that a problem would cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Concerns {
    /// A crash is noticed and kept.
    Catching,
    /// Any sink gets the report.
    Telling,
    /// This sink gets the report.
    Sink(String),
    /// The report is sent in time, and as configured.
    InTime,
    /// The content of the report.
    Content,
}

/// A check: its subject, its result and its remedy.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// The subject, in a word or two.
    pub about: String,
    pub state: State,
    pub concerns: Concerns,
    pub text: String,
    /// The step that solves a problem.
    pub remedy: Option<String>,
}

impl Check {
    fn new(about: &str, concerns: Concerns, state: State, text: impl Into<String>) -> Self {
        Self {
            about: about.to_owned(),
            state,
            concerns,
            text: text.into(),
            remedy: None,
        }
    }

    pub fn ok(about: &str, concerns: Concerns, text: impl Into<String>) -> Self {
        Self::new(about, concerns, State::Ok, text)
    }

    pub fn problem(
        about: &str,
        concerns: Concerns,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(about, concerns, State::Problem, text).with(remedy)
    }

    pub fn weak(
        about: &str,
        concerns: Concerns,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(about, concerns, State::Weak, text).with(remedy)
    }

    pub fn unknown(about: &str, concerns: Concerns, text: impl Into<String>) -> Self {
        Self::new(about, concerns, State::Unknown, text)
    }

    /// Adds a remedy.
    #[must_use]
    pub fn with(self, remedy: impl Into<String>) -> Self {
        Self {
            remedy: Some(remedy.into()),
            ..self
        }
    }
}

/// Says in one line what would become of a crash.
pub fn verdict(job: &str, checks: &[Check]) -> String {
    let first = |state: State, concerns: &Concerns| {
        checks
            .iter()
            .find(|check| check.state == state && check.concerns == *concerns)
            .map(|check| check.text.as_str())
    };
    if let Some(why) = first(State::Problem, &Concerns::Catching) {
        return format!("{job}: a crash would NOT be caught: {why}");
    }
    let as_far =
        first(State::Unknown, &Concerns::Catching).map_or("", |_| "as far as can be seen, ");
    let caught = format!("{job}: {as_far}a crash would be caught");
    if let Some(why) = first(State::Problem, &Concerns::Telling) {
        return format!("{caught}, but NOT told: {why}");
    }
    let sinks = |wanted: &dyn Fn(&Check) -> bool| -> Vec<(&str, &Check)> {
        let named = checks.iter().filter_map(|check| match &check.concerns {
            Concerns::Sink(name) => Some((name.as_str(), check)),
            _ => None,
        });
        named.filter(|(_, check)| wanted(check)).collect()
    };
    let told = sinks(&|check| check.state != State::Problem);
    let not_told = sinks(&|check| check.state == State::Problem);
    let why = not_told
        .first()
        .map(|(_, check)| check.text.as_str())
        .unwrap_or_default();
    if told.is_empty() {
        return format!("{caught}, but NOT told: {why}");
    }
    let name = |(name, check): &(&str, &Check)| match check.state {
        State::Unknown => format!("{name} (not verified)"),
        _ => (*name).to_owned(),
    };
    let told: Vec<String> = told.iter().map(name).collect();
    let caught = format!("{caught} and told to {}", told.join(", "));
    if !not_told.is_empty() {
        let names: Vec<&str> = not_told.iter().map(|(name, _)| *name).collect();
        return format!("{caught}, but NOT to {}: {why}", names.join(", "));
    }
    match first(State::Problem, &Concerns::InTime) {
        Some(why) => format!("{caught}, but: {why}"),
        None => caught,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_names_who_is_told_and_the_first_thing_in_the_way() {
        let good = |name: &str| Check::ok(name, Concerns::Sink(name.into()), "fine");
        let bad = |name: &str| {
            Check::problem(name, Concerns::Sink(name.into()), "connection refused", "x")
        };
        let about = |concerns, text: &str| Check::problem("x", concerns, text, "x");
        let asked = Check::unknown("chat", Concerns::Sink("chat".into()), "x");
        let unseen = Check::unknown("x", Concerns::Catching, "x");
        for (checks, expected) in [
            (
                vec![good("mail"), good("log")],
                "web: a crash would be caught and told to mail, log",
            ),
            (
                vec![good("mail"), asked],
                "web: a crash would be caught and told to mail, chat (not verified)",
            ),
            (
                vec![good("mail"), bad("log")],
                "web: a crash would be caught and told to mail, but NOT to log: connection refused",
            ),
            (
                vec![bad("mail")],
                "web: a crash would be caught, but NOT told: connection refused",
            ),
            (
                vec![good("mail"), about(Concerns::Telling, "no sink")],
                "web: a crash would be caught, but NOT told: no sink",
            ),
            (
                vec![bad("mail"), about(Concerns::Catching, "no hook")],
                "web: a crash would NOT be caught: no hook",
            ),
            (
                vec![good("mail"), about(Concerns::InTime, "nobody tries again")],
                "web: a crash would be caught and told to mail, but: nobody tries again",
            ),
            (
                vec![good("mail"), unseen],
                "web: as far as can be seen, a crash would be caught and told to mail",
            ),
        ] {
            assert_eq!(verdict("web", &checks), expected);
        }
    }
}
