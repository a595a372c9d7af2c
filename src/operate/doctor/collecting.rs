//! Checks what the report would contain: the config, and what the job's collectors find now.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::accounts;
use crate::catch::capture;
use crate::catch::marker::Marker;
use crate::collectors::{Collector, runner};
use crate::config::{self, Severity};
use crate::host::Host;
use crate::kmsg;
use crate::operate::doctor::ago;
use crate::operate::secrets;
use crate::report::{Exit, JournalEnd, Section, SectionData, Status, Stop, Supervisor};
use crate::supervisor::Supervise;
use crate::supervisor::account::Account;
use crate::supervisor::check::{Check, Concerns};
use crate::supervisor::doctor::Observed;
use crate::supervisor::run::LastwordsRun;
use crate::supervisor::supervise::Subject;

/// Time for the collectors, beside what they themselves ask for.
const BUDGET: Duration = Duration::from_secs(2);

pub fn config(subject: &Subject, checks: &mut Vec<Check>) {
    let own = config::job_file(&subject.places.config, subject.job);
    let machine = subject.places.config.join("lastwords.toml");
    let credentials = secrets::names(&subject.host);
    let all = config::check(&subject.places.config, &subject.host, &credentials).problems;
    let mine = |file: &Path| {
        file == own || file == machine || file.extension().is_none_or(|it| it != "toml")
    };
    let mine: Vec<_> = all.iter().filter(|problem| mine(&problem.file)).collect();
    for problem in &mine {
        let remedy = problem
            .help
            .clone()
            .unwrap_or_else(|| "lastwords check".to_owned());
        checks.push(if problem.severity == Severity::Error {
            let place = problem
                .place
                .as_ref()
                .map(|place| format!(":{}", place.line))
                .unwrap_or_default();
            let file = problem.file.display();
            let text = format!(
                "the config has an error, and the part with the error is ignored: {file}{place}: {}",
                problem.message
            );
            Check::problem("config", Concerns::InTime, text, remedy)
        } else {
            // The file comes last: a file called `token`, say, with a colon after it looks like a
            // secret.
            let text = format!("{}: {}", problem.message, problem.file.display());
            Check::weak("config", Concerns::Content, text, remedy)
        });
    }
    if mine.is_empty() {
        let text = if own.exists() {
            format!("{} is fine", own.display())
        } else {
            format!("the defaults apply: there is no {}", own.display())
        };
        checks.push(Check::ok("config", Concerns::InTime, text));
    }
}

pub fn collectors(
    subject: &Subject,
    marker: Option<&Marker>,
    observed: Observed,
    checks: &mut Vec<Check>,
) {
    let stop = Stop {
        invocation: observed.invocation,
        ..stop(subject, marker)
    };
    let told = Account {
        logs: observed.logs,
        ..Account::default()
    };
    let mut collect = capture::collect(&subject.loaded, &stop, Some(&told), &subject.host);
    // Without a life there is no journal to ask for.
    let journal = if stop.invocation.is_some() {
        None
    } else {
        collect.journal.take()
    };
    let has_log = !collect.log.is_empty() || collect.journal.is_some() || journal.is_some();
    let list: Vec<Box<dyn Collector>> = collect.list();
    let budget = BUDGET + list.iter().map(|it| it.patience()).sum::<Duration>();
    let sections = runner::run(list, &stop, &subject.host, budget, &subject.loaded.redactor);
    // `lastwords run` keeps the end of the output itself.
    let is_run = subject.runs_in_front || subject.supervisor == (&LastwordsRun as &dyn Supervise);
    if !has_log && is_run {
        let text = "`lastwords run` keeps the end of the command's output";
        checks.push(Check::ok("log", Concerns::Content, text));
    } else if !has_log {
        let remedy = format!("[[collect.log]] in jobs/{}.toml", subject.job);
        checks.push(Check::weak(
            "log",
            Concerns::Content,
            "no log is collected, and most causes are found in a log",
            remedy,
        ));
    }
    let (logs, others): (Vec<&Section>, Vec<&Section>) =
        sections.iter().partition(|section| section.kind.is_log());
    checks.extend(
        logs.into_iter()
            .map(|section| log(subject, section, marker)),
    );
    checks.extend(journal.map(|_| {
        let text = "the journal of the life that ended; systemd reports no such life now";
        Check::unknown("log", Concerns::Content, text)
    }));
    let (well, ill): (Vec<&Section>, Vec<&Section>) = others
        .into_iter()
        .partition(|section| section.status == Status::Ok);
    if !well.is_empty() {
        let times: Vec<String> = well
            .iter()
            .map(|section| format!("{} ({} ms)", section.collector, section.millis))
            .collect();
        checks.push(Check::ok("collectors", Concerns::Content, times.join(", ")));
    }
    for section in ill {
        let text = format!("{}: {}", section.collector, section.text);
        checks.push(match section.status {
            Status::Denied if subject.sees_less => Check::unknown(
                "collectors",
                Concerns::Content,
                format!("{text} (try as root)"),
            ),
            _ => Check::weak(
                "collectors",
                Concerns::Content,
                text,
                "a message would hold this error instead; fix the collector, or leave it out",
            ),
        });
    }
    checks.push(kernel_log(subject));
}

/// Checks a log that was read, and whether the service's own hooks could read it.
fn log(subject: &Subject, section: &Section, marker: Option<&Marker>) -> Check {
    let concerns = Concerns::Content;
    if section.status != Status::Ok {
        return match section.status {
            Status::Denied if subject.sees_less => {
                Check::unknown("log", concerns, format!("{} (try as root)", section.text))
            }
            _ => {
                let text = format!("the message would hold no log: {}", section.text);
                Check::weak(
                    "log",
                    concerns,
                    text,
                    format!("name the service's log file in jobs/{}.toml", subject.job),
                )
            }
        };
    }
    let path = match &section.data {
        SectionData::Journal(JournalEnd { lines, .. }) => {
            let text = format!("the journal can be read; lines of this life: {lines}");
            return Check::ok("log", concerns, text);
        }
        SectionData::Log(end) => end.path.as_str(),
        _ => "",
    };
    let file = subject.host.configured(Path::new(path));
    if let Some(uid) = subject
        .uid
        .filter(|uid| !may_read(&file, *uid, &subject.host))
    {
        let text = format!("the job's hooks run as user {uid}, which may not read {path}");
        return Check::weak(
            "log",
            concerns,
            text,
            format!("allow that user to read it: setfacl -m u:{uid}:r {path}"),
        );
    }
    let written = fs::metadata(&file).and_then(|found| found.modified()).ok();
    let age = written
        .and_then(|written| SystemTime::now().duration_since(written).ok())
        .unwrap_or_default();
    let began = marker
        .filter(|marker| !marker.unarmed)
        .map(|marker| marker.armed_at.time());
    // The clocks of a file system and of a hook differ by up to a second.
    if let (Some(written), Some(began)) = (written, began)
        && written + Duration::from_secs(10) < began
    {
        let text = format!(
            "{path} was last written {}, before the service started: does the service still log there?",
            ago(age)
        );
        return Check::weak(
            "log",
            concerns,
            text,
            "name the file that the service logs to now",
        );
    }
    Check::ok(
        "log",
        concerns,
        format!("{path} can be read, and was written {}", ago(age)),
    )
}

/// Returns the stop that the collectors are told of.
fn stop(subject: &Subject, marker: Option<&Marker>) -> Stop {
    Stop {
        job: subject.job.to_owned(),
        instance: marker
            .and_then(|marker| marker.instance.clone())
            .or_else(|| subject.instance.map(str::to_owned)),
        supervisor: Supervisor::new(subject.supervisor.name()),
        started_at: marker.map(|marker| marker.armed_at),
        stopped_at: subject.now.wall,
        uptime_s: None,
        pid: None,
        invocation: None,
        directory: None,
        exit: Exit::Unknown,
    }
}

fn kernel_log(subject: &Subject) -> Check {
    let (about, concerns) = ("kernel log", Concerns::Content);
    let restricted = subject
        .host
        .read("/proc/sys/kernel/dmesg_restrict")
        .is_ok_and(|value| value.trim() != "0");
    if let Some(uid) = subject.uid.filter(|_| restricted) {
        let text = format!(
            "the job's hooks run as user {uid}, which may not read it: the deliverer does so for \
             them, but cannot tell quick crashes in a row apart"
        );
        return Check::weak(about, concerns, text, "sysctl kernel.dmesg_restrict=0");
    }
    match kmsg::read_kernel_log(&subject.host, u64::MAX) {
        Ok(_) => Check::ok(about, concerns, "can be read"),
        Err(why) if subject.sees_less => {
            Check::unknown(about, concerns, format!("{why} (try as root)"))
        }
        Err(why) => {
            let text =
                format!("{why}: reports cannot quote what the kernel and init say about a death");
            Check::weak(
                about,
                concerns,
                text,
                "check that /dev/kmsg exists; a container may need it passed in",
            )
        }
    }
}

/// Returns true if the permissions let this user read the file, the way there included; see
/// `path_resolution(7)`.
fn may_read(file: &Path, uid: u32, host: &Host) -> bool {
    let groups = accounts::groups(uid, host);
    let may = |path: &Path, bit: u32| {
        let Ok(found) = fs::metadata(path) else {
            return false;
        };
        let shift = if found.uid() == uid {
            6
        } else if groups.contains(&found.gid()) {
            3
        } else {
            0
        };
        found.mode() >> shift & bit == bit
    };
    file.ancestors().skip(1).all(|dir| may(dir, 1)) && may(file, 4)
}
