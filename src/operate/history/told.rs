//! Tells what each sink has done with a report.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io;

use anstyle::AnsiColor;
use serde_json::{Value, json};

use crate::config::{self, Loaded};
use crate::deliver::{Counted, counted};
use crate::operate::history::from_now;
use crate::operate::history::table::Cell;
use crate::places::Places;
use crate::render::one_line;
use crate::report::{Audience, ReportId, SinkKey, Timestamp};
use crate::spool::{Brief, Ledger, Outcome, Place, Spool};
use crate::when::moment;

/// Maximum length of an error or a receipt that is shown, in characters.
const SAID: usize = 500;

/// Standing of a report with a sink, the worse the later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    Sent,
    Summarised,
    /// A summary that is yet to be sent will tell of it; when it is due, if that is known.
    Counted {
        due: Option<Timestamp>,
    },
    Dropped,
    Waiting,
    GaveUp,
    Refused,
}

impl Standing {
    pub fn of(ledger: &Ledger) -> Self {
        match ledger.outcome {
            None => Self::Waiting,
            Some(Outcome::Sent { .. }) => Self::Sent,
            Some(Outcome::Summarised { .. }) => Self::Summarised,
            Some(Outcome::Dropped { .. }) => Self::Dropped,
            Some(Outcome::GaveUp { .. }) => Self::GaveUp,
            Some(Outcome::Refused { .. }) => Self::Refused,
        }
    }

    /// Returns the word for it, for people and for programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Summarised => "summarised",
            Self::Counted { .. } => "counted",
            Self::Dropped => "dropped",
            Self::Waiting => "waiting",
            Self::GaveUp => "given up",
            Self::Refused => "refused",
        }
    }

    /// Returns true if the sink has been told, be it by a summary.
    pub fn is_told(self) -> bool {
        matches!(self, Self::Sent | Self::Summarised)
    }
}

/// The crashes that are counted for summaries to come, read once they are asked for.
pub struct Untold<'s> {
    spool: &'s Spool,
    now: Timestamp,
    counted: OnceCell<Vec<Counted>>,
}

impl<'s> Untold<'s> {
    pub fn new(spool: &'s Spool, now: Timestamp) -> Self {
        Self {
            spool,
            now,
            counted: OnceCell::new(),
        }
    }

    /// Returns true if there are some of this job's.
    pub fn has(&self, job: &str) -> bool {
        self.counted().iter().any(|counted| counted.job == job)
    }

    /// Returns the standing of a job's report with a sink.
    pub fn standing(&self, sink: &SinkKey, job: &str, ledger: &Ledger) -> Standing {
        let Some(Outcome::Summarised { r#in }) = &ledger.outcome else {
            return Standing::of(ledger);
        };
        let summary = self.spool.ledger(r#in, sink).unwrap_or_default();
        if matches!(summary.outcome, Some(Outcome::Sent { .. })) {
            return Standing::Summarised;
        }
        let is_its = |counted: &&Counted| counted.sink == *sink && counted.job == job;
        match self.counted().iter().find(is_its) {
            Some(counted) => Standing::Counted { due: counted.due },
            None if self.spool.find(r#in) == Some(Place::New) => Standing::Counted { due: None },
            // The summary has left the history.
            None => Standing::Summarised,
        }
    }

    fn counted(&self) -> &[Counted] {
        let read = || counted(self.spool, self.now);
        self.counted.get_or_init(read)
    }
}

/// The configs of jobs, each read once.
pub struct Configs<'p> {
    places: &'p Places,
    loaded: BTreeMap<String, Loaded>,
}

impl<'p> Configs<'p> {
    pub fn new(places: &'p Places) -> Self {
        Self {
            places,
            loaded: BTreeMap::new(),
        }
    }

    pub fn of(&mut self, job: &str) -> &Loaded {
        let load = || config::load(&self.places.config, job);
        self.loaded.entry(job.to_owned()).or_insert_with(load)
    }
}

/// The facts that decide which sinks get a report.
#[derive(Clone, Copy)]
pub struct Addressed<'a> {
    pub id: &'a ReportId,
    pub place: Place,
    pub to: &'a Audience,
    pub job: &'a str,
}

impl<'a> Addressed<'a> {
    pub fn of(brief: &'a Brief, place: Place) -> Self {
        Self {
            id: &brief.id,
            place,
            to: &brief.to,
            job: &brief.stop.job,
        }
    }
}

/// Returns the ledgers of all sinks that have one, and of those that are yet to get a waiting
/// report.
pub fn ledgers(
    spool: &Spool,
    configs: &mut Configs,
    report: Addressed,
) -> io::Result<BTreeMap<SinkKey, Ledger>> {
    let Addressed { id, place, to, job } = report;
    let mut ledgers = spool.ledgers(id)?;
    if place == Place::New {
        let loaded = configs.of(job);
        let routes = loaded.routes_to(to, job);
        // A sink that was removed from the config is told nothing more.
        let is_broken = loaded.is_broken();
        ledgers.retain(|key, ledger| {
            ledger.outcome.is_some() || is_broken || routes.iter().any(|route| route.key == *key)
        });
        for route in routes {
            ledgers.entry(route.key).or_default();
        }
    } else {
        ledgers.retain(|_, ledger| ledger.outcome.is_some());
    }
    Ok(ledgers)
}

/// Returns a sink's name; of a job's own sink, without the job.
pub fn name(key: &SinkKey) -> String {
    one_line(key.name(), 100)
}

/// Says in few words which sinks were told: `4 sent`, `3 sent, ops-slack waiting`.
pub fn in_short(states: &BTreeMap<SinkKey, Standing>, now: Timestamp) -> Cell {
    let told = states.values().filter(|state| state.is_told()).count();
    let mut rest: Vec<(Standing, String)> = states
        .iter()
        .filter(|(_, state)| !state.is_told())
        .map(|(key, state)| (*state, name(key)))
        .collect();
    rest.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let colour = match rest.first() {
        None if told == 0 => return Cell::dim("nobody"),
        None => return Cell::new(format!("{told} sent")),
        Some((Standing::Dropped, _)) => AnsiColor::BrightBlack,
        Some((Standing::Waiting | Standing::Counted { .. }, _)) => AnsiColor::Yellow,
        Some(_) => AnsiColor::Red,
    };
    let first = rest.first().map(|(state, _)| *state);
    let told = (told > 0).then(|| format!("{told} sent"));
    // That all sinks await their summary needs no names.
    if let Some(Standing::Counted { due }) = first
        && rest.iter().all(|(state, _)| Some(*state) == first)
    {
        let counted = Some(format!("counted, {}", summary(due, now)));
        let words: Vec<_> = counted.into_iter().chain(told).collect();
        return Cell::coloured(words.join(", "), colour);
    }
    let rest = rest
        .into_iter()
        .map(|(state, name)| format!("{name} {}", state.word()));
    Cell::coloured(rest.chain(told).collect::<Vec<_>>().join(", "), colour)
}

/// Says when a summary comes that is due then.
pub fn summary(due: Option<Timestamp>, now: Timestamp) -> String {
    match due {
        Some(due) if due > now => format!("summary {}", from_now(due, now)),
        Some(_) => "their summary is due".to_owned(),
        None => "summary after the message before it".to_owned(),
    }
}

/// Says in a sentence what one sink has done.
pub fn in_words(ledger: &Ledger, standing: Standing, now: Timestamp) -> String {
    let said = |text: &str| one_line(text, SAID);
    let tries = match ledger.attempts {
        0 => String::new(),
        1 => ", at the first try".to_owned(),
        tries => format!(", at try {tries}"),
    };
    let when = ledger
        .last_try
        .map(|at| format!(" {}", moment(at)))
        .unwrap_or_default();
    match &ledger.outcome {
        Some(Outcome::Sent { receipt }) => format!("sent{when}{tries}: {}", said(receipt)),
        Some(Outcome::Refused { why }) => format!("refused for good{when}{tries}: {}", said(why)),
        Some(Outcome::GaveUp { why }) => format!(
            "given up{when}{tries}, five days after the first: {}",
            said(why)
        ),
        Some(Outcome::Dropped { why }) => format!("dropped: {}", said(why)),
        Some(Outcome::Summarised { r#in }) => match standing {
            Standing::Counted { due } => format!("counted: {}", summary(due, now)),
            _ => format!("told in the summary {in}"),
        },
        None => match (&ledger.last_error, ledger.attempts) {
            (_, 0) => "waiting: not tried yet".to_owned(),
            (error, tries) => {
                let times = if tries == 1 {
                    "once".to_owned()
                } else {
                    format!("{tries} times")
                };
                let error = error.as_deref().map(said).unwrap_or_default();
                format!("waiting: tried {times}, {}: {error}", next(ledger, now))
            }
        },
    }
}

/// Returns when it is tried next.
pub fn next(ledger: &Ledger, now: Timestamp) -> String {
    match ledger.next_try {
        Some(next) if !ledger.is_due(now) => format!("next try {}", from_now(next, now)),
        _ => "due now".to_owned(),
    }
}

/// Returns the same for programs.
pub fn as_json(ledger: &Ledger, standing: Standing) -> Value {
    let detail = match &ledger.outcome {
        Some(Outcome::Sent { receipt }) => Some(("receipt", receipt.clone())),
        Some(Outcome::Refused { why } | Outcome::GaveUp { why } | Outcome::Dropped { why }) => {
            Some(("error", why.clone()))
        }
        Some(Outcome::Summarised { r#in }) => match standing {
            Standing::Counted { due } => due.map(|due| ("due", due.to_string())),
            _ => Some(("in", r#in.to_string())),
        },
        None => ledger.last_error.clone().map(|error| ("error", error)),
    };
    let mut json = json!({
        "state": standing.word(),
        "tries": ledger.attempts,
        "last_try": ledger.last_try,
        "next_try": ledger.next_try,
    });
    if let (Some(json), Some((name, text))) = (json.as_object_mut(), detail) {
        json.insert(name.to_owned(), one_line(&text, SAID).into());
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::Attempt;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::of_unix(seconds)
    }

    #[test]
    fn who_was_told_is_said_in_few_words_and_the_trouble_first() {
        let short = |states: &[(&str, Standing)]| {
            in_short(
                &states
                    .iter()
                    .map(|(key, state)| (SinkKey::decode(key), *state))
                    .collect(),
                at(0),
            )
            .text
        };
        assert_eq!(short(&[]), "nobody");
        assert_eq!(
            short(&[("mail", Standing::Sent), ("slack", Standing::Summarised)]),
            "2 sent"
        );
        assert_eq!(
            short(&[
                ("mail", Standing::Sent),
                ("web\0own", Standing::Waiting),
                ("slack", Standing::Refused)
            ]),
            "slack refused, own waiting, 1 sent"
        );
        let counted = Standing::Counted { due: Some(at(240)) };
        assert_eq!(short(&[("mail", counted)]), "counted, summary in 4 min");
        assert_eq!(
            short(&[("mail", counted), ("slack", Standing::Sent)]),
            "counted, summary in 4 min, 1 sent"
        );
        assert_eq!(
            short(&[("mail", counted), ("slack", Standing::Waiting)]),
            "slack waiting, mail counted"
        );
    }

    #[test]
    fn what_a_sink_has_done_is_said_in_a_sentence() {
        let mut ledger = Ledger::default();
        let said = |ledger: &Ledger| in_words(ledger, Standing::of(ledger), at(60));
        assert_eq!(said(&ledger), "waiting: not tried yet");
        ledger.record(
            Attempt::Retry {
                after_s: Some(60),
                why: "451 \u{1b}[2Jbusy\nbox".into(),
            },
            at(50),
            0.0,
        );
        assert_eq!(
            said(&ledger),
            "waiting: tried once, next try in 50 s: 451 busy box"
        );
        ledger.record(
            Attempt::Sent {
                receipt: "250 queued".into(),
            },
            at(110),
            0.0,
        );
        assert_eq!(
            said(&ledger),
            "sent 1970-01-01 00:01:50 UTC, at try 2: 250 queued"
        );
        let id = ReportId::new(at(0), 7);
        assert_eq!(
            said(&Ledger::summarised(id.clone())),
            format!("told in the summary {id}")
        );
        let counted = Standing::Counted { due: None };
        assert_eq!(
            in_words(&Ledger::summarised(id), counted, at(60)),
            "counted: summary after the message before it"
        );
    }

    #[test]
    fn programs_get_the_same() {
        let mut ledger = Ledger::default();
        ledger.record(
            Attempt::Refused {
                why: "404 no_team".into(),
            },
            at(50),
            0.0,
        );
        let expected = json!({
            "state": "refused", "tries": 1, "last_try": "1970-01-01T00:00:50.000Z", "next_try": null,
            "error": "404 no_team",
        });
        assert_eq!(as_json(&ledger, Standing::of(&ledger)), expected);
    }
}
