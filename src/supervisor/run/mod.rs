//! `lastwords run` in front of the command: it is the main process's parent, and sees how it ends.

pub mod cron;
pub mod life;

use std::path::PathBuf;

use crate::clock::Now;
use crate::host::Host;
use crate::report::{Condition, Exit, Stop};
use crate::supervisor::Supervise;
use crate::supervisor::account::Account;
use crate::supervisor::caller::{Caller, quoted};
use crate::supervisor::check::{Check, Concerns};
use crate::supervisor::doctor::{Observed, Running, program};
use crate::supervisor::plan::{ByHand, Draft, Plan};
use crate::supervisor::run::cron::CronLine;
use crate::supervisor::supervise::{Allowed, MarkerUse, Subject, Traces};

/// The deliverer's line for cron.
const CRON: &str = "\
# /etc/cron.d/lastwords: tries again to send what could not be sent at once.
* * * * * root /usr/bin/lastwords deliver
";

pub struct LastwordsRun;

impl Supervise for LastwordsRun {
    fn name(&self) -> &'static str {
        "run"
    }

    fn letter(&self) -> &'static str {
        "w"
    }

    fn account_from(&self, traces: &Traces) -> Account {
        let life = traces.life.map(|it| life::account(it, traces.plan_lasts));
        life.unwrap_or_default()
    }

    /// Allows exit code 0: commands in containers, cron and CI are often meant to end.
    fn allows(&self, _: &str, _: Option<&str>, _: &Host) -> Allowed {
        Allowed {
            exits: vec![Exit::Code(0)],
            ..Allowed::default()
        }
    }

    fn why_missed(&self) -> &'static str {
        "`lastwords run` was killed, and the command with it: how that ended is not known, and the \
         time of the end is when that was found"
    }

    fn knows(&self, _: &str, _: &Host) -> bool {
        true
    }

    /// Knows what runs the job next, but not how it is now.
    fn condition(&self, stop: &Stop, _: Now, host: &Host) -> Option<Condition> {
        let line = in_cron(&stop.job, host);
        Some(line.map_or(Condition::Unknown, |line| Condition::Waiting {
            because: format!("cron starts it again ({})", line.place()),
        }))
    }

    /// Returns the file of cron's that runs it.
    fn file_of(&self, job: &str, host: &Host) -> Option<PathBuf> {
        Some(in_cron(job, host)?.file)
    }

    fn services(&self, host: &Host) -> Vec<String> {
        self.wired(host)
    }

    fn wired(&self, host: &Host) -> Vec<String> {
        cron::lines(host).into_iter().map(|line| line.job).collect()
    }

    /// Stays: cron and CI start a command once, and whoever runs it may have set up nothing else.
    fn deliverer_stays(&self) -> bool {
        true
    }

    fn setup(&self, job: &str, host: &Host, caller: &Caller) -> Plan {
        let cron_line = in_cron(job, host);
        let by_hand = ByHand {
            file: "where it is started".into(),
            why: "put lastwords in front of the command".to_owned(),
            text: format!("{} --job {} -- COMMAND…", caller.call("run"), quoted(job)),
        };
        let deliverer = "/etc/cron.d/lastwords";
        let mut plan = Plan {
            found: format!(
                "Whoever starts {job}: lastwords stands in front of the command, and sees how it ends."
            ),
            files: vec![Draft::ours(
                deliverer,
                host.path(deliverer),
                caller.fill(CRON, job),
            )],
            ..Plan::default()
        };
        match cron_line {
            Some(line) => plan.already.push(line.place()),
            None => plan.by_hand.push(by_hand),
        }
        plan
    }

    fn examine(&self, subject: &Subject, checks: &mut Vec<Check>) -> Observed {
        if subject.runs_in_front {
            let text = "`lastwords run` stands in front of it now";
            checks.push(Check::ok("hooks", Concerns::Catching, text));
            return Observed::of(Running::Yes);
        }
        if let Some(line) = in_cron(subject.service, &subject.host) {
            examine_cron(&line, &subject.host, checks);
            return Observed::of(Running::No);
        }
        if subject.was_run {
            let text = "`lastwords run` ran it before. It does not run now";
            checks.push(Check::ok("hooks", Concerns::Catching, text));
            return Observed::of(Running::No);
        }
        let text = "`lastwords run` is not running for this job. lastwords cannot see how it will \
                    be started next time; check its start command.";
        checks.push(Check::unknown("hooks", Concerns::Catching, text));
        Observed::of(Running::Unknown)
    }

    fn marker_use(&self) -> MarkerUse {
        MarkerUse::Held
    }

    fn start_deliverer(&self, service: &str, by_systemd: bool) -> String {
        if by_systemd {
            "systemctl enable --now lastwords.path lastwords.timer".to_owned()
        } else {
            format!("lastwords setup {service} --supervisor run --write")
        }
    }
}

/// Returns the line of cron's that runs this job.
fn in_cron(job: &str, host: &Host) -> Option<CronLine> {
    cron::lines(host).into_iter().find(|line| line.job == job)
}

fn examine_cron(line: &CronLine, host: &Host, checks: &mut Vec<Check>) {
    let concerns = Concerns::Catching;
    let place = line.place();
    let Some(path) = line.found(host) else {
        let text = format!(
            "{place} runs {}, which cron does not find in {}",
            line.program, line.search
        );
        let remedy = "install lastwords there, or write its whole path into the line";
        checks.push(Check::problem("hooks", concerns, text, remedy));
        return;
    };
    let text = format!("cron runs it by `lastwords run` ({place})");
    checks.push(Check::ok("hooks", concerns, text));
    checks.push(program("run", &path, host));
}
