//! Runs the collectors. The deadline and the isolation are the runner's task, not theirs.
//!
//! A collector that fails, panics or hangs leaves a section that says so, and does not delay the
//! others.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use super::Collector;
use crate::host::Host;
use crate::redact::Redactor;
use crate::report::{Section, SectionData, Status, Stop};

/// Maximum length of a section's text, in bytes.
pub const MAX_TEXT: usize = 64 * 1024;

/// Marks the place where a longer text was cut.
const CUT: &str = "[what came before is cut]\n";

/// How long a collector that only computes has after the budget: a busy machine may make it wait.
const BUSY: Duration = Duration::from_secs(10);

/// How long the next collectors wait for the one that is running.
const PATIENCE: Duration = Duration::from_millis(50);

/// Runs the collectors and waits for them, at most for `budget`. Returns a section for each, in
/// their order.
///
/// A thread runs them one after the other, starting with those that have to come first. As soon as
/// one takes long, another thread goes on with the next. On a busy machine that is at least as fast
/// as a thread for each. A collector that only computes has more time. One that is not finished in
/// time is left behind in its thread. If that waits in the kernel in a way that no signal ends (a
/// FUSE daemon that hangs while it has our request), it also keeps its *process* from ending. So a
/// hook has this done by another process.
///
/// If no thread can be started (the pids limit), they run in the calling thread, without a
/// deadline.
pub fn run(
    collectors: Vec<Box<dyn Collector>>,
    stop: &Stop,
    host: &Host,
    budget: Duration,
    redactor: &Redactor,
) -> Vec<Section> {
    let started = Instant::now();
    let mut sections: Vec<Section> = collectors
        .iter()
        .map(|collector| timed_out(collector.as_ref(), budget))
        .collect();
    let mut computing: BTreeSet<usize> = (collectors.iter().enumerate())
        .filter(|(_, collector)| collector.only_computes())
        .map(|(position, _)| position)
        .collect();
    let mut queue: Vec<_> = collectors.into_iter().enumerate().collect();
    queue.sort_by_key(|(_, collector)| !collector.comes_first());
    let work = Arc::new(Work {
        queue: Mutex::new(queue.into()),
        stop: stop.clone(),
        host: host.clone(),
        redactor: redactor.clone(),
    });
    let (done, results) = channel();
    let start_a_thread = || {
        let (work, done) = (Arc::clone(&work), done.clone());
        Builder::new().spawn(move || work.take(&done)).map(drop)
    };
    if start_a_thread().is_err() {
        work.take(&done);
    }
    let mut missing = sections.len();
    while missing > 0 {
        let more = if computing.is_empty() {
            Duration::ZERO
        } else {
            BUSY
        };
        let left = (budget + more).saturating_sub(started.elapsed());
        if let Ok((position, section)) = results.recv_timeout(left.min(PATIENCE)) {
            if let Some(place) = sections.get_mut(position) {
                *place = section;
            }
            computing.remove(&position);
            missing -= 1;
        } else if left.is_zero() {
            break;
        } else if work.is_left() {
            // If that fails, the running thread may still come round to them.
            let _ = start_a_thread();
        }
    }
    sections
}

/// The state that the threads share.
struct Work {
    queue: Mutex<VecDeque<(usize, Box<dyn Collector>)>>,
    stop: Stop,
    host: Host,
    redactor: Redactor,
}

impl Work {
    fn queue(&self) -> MutexGuard<'_, VecDeque<(usize, Box<dyn Collector>)>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_left(&self) -> bool {
        !self.queue().is_empty()
    }

    /// Runs collectors until none is left.
    fn take(&self, done: &Sender<(usize, Section)>) {
        loop {
            let Some((position, collector)) = self.queue().pop_front() else {
                return;
            };
            // The receiver is gone once the budget is spent.
            if done
                .send((
                    position,
                    section(collector.as_ref(), &self.stop, &self.host, &self.redactor),
                ))
                .is_err()
            {
                return;
            }
        }
    }
}

fn section(collector: &dyn Collector, stop: &Stop, host: &Host, redactor: &Redactor) -> Section {
    let started = Instant::now();
    let (status, text, data) =
        match catch_unwind(AssertUnwindSafe(|| collector.collect(stop, host))) {
            Ok(Ok(body)) => (Status::Ok, cut(body.text, redactor), body.data),
            Ok(Err(why)) => (
                if is_denied(&why) {
                    Status::Denied
                } else {
                    Status::Failed
                },
                cut(format!("{why:#}"), redactor),
                SectionData::Nothing,
            ),
            Err(_) => (
                Status::Failed,
                "this collector has a bug: it panicked".to_owned(),
                SectionData::Nothing,
            ),
        };
    Section {
        data,
        ..without_data(collector, status, text, started.elapsed())
    }
}

/// Returns true if a collector failed because this process lacks a permission.
fn is_denied(why: &anyhow::Error) -> bool {
    let denied = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    why.chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(denied))
}

/// Returns the section of a collector that is not run.
pub fn not_run(collector: &dyn Collector, why: &str) -> Section {
    let text = format!("not collected: {why}");
    without_data(collector, Status::Failed, text, Duration::ZERO)
}

fn timed_out(collector: &dyn Collector, budget: Duration) -> Section {
    let text = format!("not finished after {}", humantime::format_duration(budget));
    without_data(collector, Status::TimedOut, text, budget)
}

fn without_data(
    collector: &dyn Collector,
    status: Status,
    text: String,
    took: Duration,
) -> Section {
    Section {
        kind: collector.kind(),
        collector: collector.name(),
        status,
        text,
        data: SectionData::Nothing,
        millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    }
}

/// Keeps the end of a long text, which in a log is the latest. Secrets are taken out first: what is
/// left of one that is cut is no longer known as a secret.
fn cut(text: String, redactor: &Redactor) -> String {
    if text.len() <= MAX_TEXT {
        return text;
    }
    let text = redactor.text(&text);
    if text.len() <= MAX_TEXT {
        return text.into_owned();
    }
    let from = text.ceil_char_boundary(text.len() - (MAX_TEXT - CUT.len()));
    format!("{CUT}{}", text.get(from..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use anyhow::{Result, anyhow};

    use super::MAX_TEXT;
    use crate::collectors::{Body, Collector, tests::stop};
    use crate::host::Host;
    use crate::redact::Redactor;
    use crate::report::{CollectorKind, Section, SectionData, Status, Stop};

    fn run(
        collectors: Vec<Box<dyn Collector>>,
        stop: &Stop,
        host: &Host,
        budget: Duration,
    ) -> Vec<Section> {
        super::run(collectors, stop, host, budget, &Redactor::default())
    }

    fn cut(text: String) -> String {
        super::cut(text, &Redactor::default())
    }

    struct Probe(&'static str, Box<dyn Fn() -> Result<String> + Send>);

    impl Collector for Probe {
        fn kind(&self) -> CollectorKind {
            CollectorKind::new(self.0)
        }
        fn collect(&self, _stop: &Stop, _host: &Host) -> Result<Body> {
            (self.1)().map(|text| Body {
                text,
                data: SectionData::Other(7.into()),
            })
        }
    }

    fn probe(
        name: &'static str,
        collect: impl Fn() -> Result<String> + Send + 'static,
    ) -> Box<dyn Collector> {
        Box::new(Probe(name, Box::new(collect)))
    }

    fn outcome(section: &Section) -> (&str, Status, &str) {
        (&section.collector, section.status, &section.text)
    }

    #[test]
    fn one_that_fails_or_panics_leaves_a_section_that_says_so() {
        let collectors = vec![
            probe("panics", || panic!("as a test")),
            probe("fails", || {
                Err(anyhow!("no such file").context("cannot read it"))
            }),
            probe("works", || Ok("fine".to_owned())),
        ];
        let sections = run(
            collectors,
            &stop(),
            &Host::new("/", "/"),
            Duration::from_mins(10),
        );
        let expected = [
            (
                "panics",
                Status::Failed,
                "this collector has a bug: it panicked",
            ),
            ("fails", Status::Failed, "cannot read it: no such file"),
            ("works", Status::Ok, "fine"),
        ];
        assert_eq!(sections.iter().map(outcome).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn one_that_hangs_is_left_behind_and_costs_the_others_nothing() {
        let (end, wait) = channel::<()>();
        let wait = Mutex::new(wait);
        let hangs = probe("hangs", move || {
            let _ = wait.lock().map(|wait| wait.recv());
            Ok(String::new())
        });
        let collectors = vec![hangs, probe("works", || Ok("fine".to_owned()))];
        // Nothing here is quicker than a busy machine may be slow: what works has the whole budget.
        let sections = run(
            collectors,
            &stop(),
            &Host::new("/", "/"),
            Duration::from_secs(2),
        );
        drop(end);
        let expected = [
            ("hangs", Status::TimedOut, "not finished after 2s"),
            ("works", Status::Ok, "fine"),
        ];
        assert_eq!(sections.iter().map(outcome).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn however_many_take_long_the_last_still_gets_its_turn() {
        let (ends, wait): (Vec<Sender<()>>, Vec<Receiver<()>>) = (0..5).map(|_| channel()).unzip();
        let slow = wait.into_iter().map(|wait| {
            let wait = Mutex::new(wait);
            probe("slow", move || {
                let _ = wait.lock().map(|wait| wait.recv());
                Ok("at last".to_owned())
            })
        });
        // The last ends them all: were it to wait for one of them, nothing would end.
        let ends = Mutex::new(Some(ends));
        let last = probe("last", move || {
            drop(ends.lock().map(|mut ends| ends.take()));
            Ok("at last".to_owned())
        });
        let sections = run(
            slow.chain([last]).collect(),
            &stop(),
            &Host::new("/", "/"),
            Duration::from_mins(10),
        );
        let seven = SectionData::Other(7.into());
        assert!(
            sections
                .iter()
                .all(|section| section.text == "at last" && section.data == seven),
            "{sections:?}"
        );
    }

    #[test]
    fn no_collectors_are_no_sections() {
        assert!(
            run(
                Vec::new(),
                &stop(),
                &Host::new("/", "/"),
                Duration::from_mins(10)
            )
            .is_empty()
        );
    }

    #[test]
    fn a_secret_is_taken_out_before_the_text_is_cut_within_it() {
        let secret = "Zq7fT9wLm2Xc4Rv8".repeat(MAX_TEXT / 16);
        let text = cut(format!("password={secret} and the end"));
        assert_eq!(text, "password=[redacted] and the end");
        for more in MAX_TEXT - 25..MAX_TEXT {
            let text = cut(format!("password=\"aaaa bbbb cccc\" {}", "x".repeat(more)));
            assert!(!text.contains("bbbb") && !text.contains("cccc"), "{more}");
        }
    }

    #[test]
    fn of_a_long_text_the_end_is_kept_within_the_limit() {
        assert_eq!(cut("short".to_owned()), "short");
        assert_eq!(cut("x".repeat(MAX_TEXT)).len(), MAX_TEXT);
        for last in ["end", "end€"] {
            let text = cut(format!("{}{last}", "€".repeat(MAX_TEXT)));
            assert!(
                text.len() <= MAX_TEXT && text.len() > MAX_TEXT - 4,
                "{}",
                text.len()
            );
            assert!(text.starts_with("[what came before is cut]\n€") && text.ends_with(last));
        }
    }
}
