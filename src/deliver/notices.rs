//! Makes the reports by which lastwords speaks about itself: notices.

use anyhow::{Context, Result};

use crate::host::Host;
use crate::report::{
    Audience, Cause, Exit, FORMAT, Kind, Report, ReportId, Safety, Stop, Supervisor, Timestamp,
    Verdict,
};
use crate::spool::Spool;

/// Job of a notice that concerns no job.
pub const OURSELVES: &str = "lastwords";

/// How often the same notice may be sent again: once a day, in seconds.
const DAY: u64 = 24 * 60 * 60;

/// A fact about lastwords itself that people should know.
pub struct Notice<'a> {
    /// Subject of the notice. There is at most one notice a day about each.
    pub about: &'a str,
    /// Time at which it happened.
    pub at: Timestamp,
    /// The fact in one sentence, for the message's subject.
    pub sentence: String,
    /// Further facts: why it happened, and what to do.
    pub detail: String,
    /// Job that it concerns, or [`OURSELVES`].
    pub job: &'a str,
    pub to: Audience,
}

/// Puts a notice into the spool, unless one about the same subject was put there today. This holds
/// however often it is called, and whenever a caller was killed. Returns the number of notices
/// made: 1 or 0.
///
/// Returns an error if the spool does not take it. The caller may try again.
pub fn tell(spool: &Spool, host: &Host, notice: Notice) -> Result<usize> {
    let report = report(host.name(), notice);
    // A disk that damages what is written to it would damage the notice too. A notice about that
    // notice would never end.
    if spool.find(&report.id).is_some() || spool.was_put_aside(&report.id) {
        return Ok(0);
    }
    spool
        .put(&report)
        .context("cannot put a notice into the spool")?;
    Ok(1)
}

/// Tells people about the files in `corrupt/`.
pub fn tell_of_corrupt(spool: &Spool, host: &Host) -> Result<usize> {
    let corrupt = spool.corrupt().context("cannot list corrupt/")?;
    let Some((at, newest)) = corrupt.iter().max() else {
        return Ok(0);
    };
    let number = corrupt.len();
    let notice = Notice {
        about: "corrupt",
        at: *at,
        sentence: format!("{newest} is damaged or no report, and was not sent"),
        detail: format!(
            "{}; there {} now: look at what that is, then remove it",
            if spool.is_deputy() {
                "it is put aside in the spool's corrupt/ once the disk is writable".to_owned()
            } else {
                format!("it was put aside in {}", spool.corrupt_dir().display())
            },
            if number == 1 {
                "is 1 file".to_owned()
            } else {
                format!("are {number} files")
            },
        ),
        job: OURSELVES,
        to: Audience::Job,
    };
    tell(spool, host, notice)
}

/// Tells people, once a day, how many undelivered reports were removed because the spool held too
/// much. Returns the number of notices made.
pub fn tell_of_dropped(spool: &Spool, host: &Host, now: Timestamp) -> Result<usize> {
    let dropped = spool.dropped().context("cannot read state/dropped")?;
    let Some(last) = dropped.last else {
        return Ok(0);
    };
    let notice = Notice {
        about: "dropped",
        at: now,
        sentence: format!(
            "{} dropped undelivered: the spool was full",
            match dropped.count {
                1 => "1 report was".to_owned(),
                many => format!("{many} reports were"),
            }
        ),
        detail: format!(
            "the newest of them was {last}, of {}; the first and the last crash of a loop are dropped last. See why they \
             could not be delivered",
            last.time()
        ),
        job: OURSELVES,
        to: Audience::Job,
    };
    let told = tell(spool, host, notice)?;
    if told > 0 {
        spool
            .told_of_dropped()
            .context("cannot write state/dropped")?;
    }
    Ok(told)
}

fn report(host: String, notice: Notice) -> Report {
    let Notice {
        about,
        at,
        sentence,
        detail,
        job,
        to,
    } = notice;
    let day = at.unix() / DAY;
    let id = ReportId::derived(Timestamp::of_unix(day * DAY), &["notice", about]);
    Report {
        format: FORMAT,
        causes: Vec::new(),
        fingerprint: id
            .as_str()
            .rsplit('-')
            .next()
            .unwrap_or_default()
            .to_owned(),
        id,
        kind: Kind::Notice,
        to,
        drill: false,
        host,
        stop: Stop {
            job: job.to_owned(),
            instance: None,
            supervisor: Supervisor::UNKNOWN,
            started_at: None,
            stopped_at: at,
            uptime_s: None,
            pid: None,
            exit: Exit::Unknown,
            invocation: None,
            directory: None,
        },
        verdict: Verdict::Unknown,
        verdict_because: detail,
        cause: Cause::own(sentence),
        sections: Vec::new(),
        past: None,
        now: None,
        notes: Vec::new(),
        runbook: None,
        user: None,
        user_name: None,
        level: Safety::Durable,
    }
}
