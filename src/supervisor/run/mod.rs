//! `lastwords run` in front of the command: it is the main process's parent, and sees how it ends.

pub mod life;

use crate::host::Host;
use crate::report::Exit;
use crate::supervisor::Supervise;
use crate::supervisor::account::Account;
use crate::supervisor::caller::{Caller, quoted};
use crate::supervisor::check::{Check, Concerns};
use crate::supervisor::doctor::{Observed, Running};
use crate::supervisor::plan::{ByHand, Draft, Plan};
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

    fn setup(&self, job: &str, host: &Host, caller: &Caller) -> Plan {
        let by_hand = ByHand {
            file: "where it is started".into(),
            why: "put lastwords in front of the command".to_owned(),
            text: format!("{} --job {} -- COMMAND…", caller.call("run"), quoted(job)),
        };
        let cron = "/etc/cron.d/lastwords";
        Plan {
            found: format!(
                "Whoever starts {job}: lastwords stands in front of the command, and sees how it ends."
            ),
            files: vec![Draft::new(cron, host.path(cron), caller.fill(CRON, job))],
            by_hand: vec![by_hand],
            ..Plan::default()
        }
    }

    fn examine(&self, subject: &Subject, checks: &mut Vec<Check>) -> Observed {
        if subject.runs_in_front {
            let text = "`lastwords run` stands in front of it now";
            checks.push(Check::ok("hooks", Concerns::Catching, text));
            return Observed::of(Running::Yes);
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
