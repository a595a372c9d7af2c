//! The trait of a supervisor: all that the rest of the program asks it.
//!
//! Only `name`, `letter`, `setup` and `examine` have to be there. The other answers are those of a
//! supervisor that calls hooks by their flags (`--supervisor NAME --job JOB`) and tells nothing
//! else.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::clock::Now;
use crate::collectors::Collect;
use crate::config::Loaded;
use crate::host::Host;
use crate::kmsg::Record;
use crate::places::Places;
use crate::report::{Condition, Exit, Stop, Supervisor};
use crate::supervisor::account::Account;
use crate::supervisor::caller::Caller;
use crate::supervisor::check::Check;
use crate::supervisor::doctor::Observed;
use crate::supervisor::listen::Listen;
use crate::supervisor::plan::Plan;
use crate::supervisor::run::life::Life;

/// How long the hooks before and after a stop may take, beside the stop itself.
const HOOKS: Duration = Duration::from_secs(5);

/// A supervisor that lastwords knows.
pub trait Supervise: Sync {
    /// Returns the name that stands in reports and on the command line, such as `systemd`.
    fn name(&self) -> &'static str;

    /// Returns the letter for this supervisor in the name of a taken marker. It is not `a`, `m` or
    /// `l`, which are other flags there, and not a digit.
    fn letter(&self) -> &'static str;

    // While a hook runs.

    /// Returns true if the environment shows that this supervisor runs the hook.
    fn is_caller(&self, _: &HookInput) -> bool {
        false
    }

    /// Returns the job and the instance that the hook is called for, as far as the supervisor
    /// tells a hook.
    fn called_for(&self, _: &HookInput) -> (Option<OsString>, Option<OsString>) {
        (None, None)
    }

    /// Splits the supervisor's name for a service into job and instance.
    fn split<'n>(&self, service: &'n str) -> (&'n str, Option<&'n str>) {
        (service, None)
    }

    /// Returns the environment variable that is set in a hook if the supervisor itself stops the
    /// service.
    fn announcement(&self) -> Option<&'static str> {
        None
    }

    /// Asks the supervisor whether the stop for which it runs pre-stop is only a restart that keeps
    /// the process running. Pre-stop may wait for that for a moment.
    fn keeps_the_process(&self, _: &HookInput, _: &Host) -> bool {
        false
    }

    /// Returns the supervisor's id of this life of the service.
    fn life_id(&self, _: &HookInput) -> Option<String> {
        None
    }

    /// Returns true if the process that calls pre-start becomes the service.
    fn becomes_the_service(&self) -> bool {
        false
    }

    /// Returns true if the service is about to run only once. The supervisor does not want it up
    /// then, which says nothing of a planned stop.
    fn is_once(&self, _: &HookInput) -> bool {
        false
    }

    /// Returns what the supervisor tells the hook itself about the end.
    fn account(&self, _: &HookInput, _: &Host) -> Option<Account> {
        None
    }

    /// Asks the supervisor about the end. The hook may wait for the answer as long as it takes:
    /// this time does not count as the hook's.
    fn ask(&self, _: &HookInput, _: &Host) -> Option<Account> {
        None
    }

    /// Returns true if post-stop is called a second time for an end, in case the first call could
    /// not run.
    fn is_second_call(&self, _: &HookInput) -> bool {
        false
    }

    /// Returns true if the service was started again before this second call, which says nothing of
    /// the end then.
    fn tells_of_the_next_life(&self, _: &HookInput) -> bool {
        false
    }

    /// Returns true if the supervisor kills the processes that a hook leaves behind. The hook then
    /// cannot start the deliverer itself.
    fn kills_leftovers(&self) -> bool {
        false
    }

    /// Returns true if a deliverer that is started for a report is to stay until everything is
    /// sent, where none looks regularly.
    fn deliverer_stays(&self) -> bool {
        false
    }

    /// Returns the way to listen to a supervisor that has no hooks but events.
    fn listener(&self) -> Option<&dyn Listen> {
        None
    }

    // Once the hook has taken the marker.

    /// Returns what the traces of the end tell, for a supervisor that told the hook nothing.
    fn account_from(&self, _: &Traces) -> Account {
        Account::default()
    }

    /// Returns true if a stop during start-up runs no pre-stop, and looks like a kill from outside.
    fn stops_silently(&self, _job: &str, _: &Host) -> bool {
        false
    }

    /// Returns true if the supervisor may tell of a start seconds after it happened.
    fn tells_late(&self) -> bool {
        false
    }

    /// Returns what the service's files allow it: how long a stop may take, and by which exits it
    /// may end.
    fn allows(&self, _job: &str, _instance: Option<&str>, _: &Host) -> Allowed {
        Allowed::default()
    }

    /// Explains the report of an end that no hook saw.
    fn why_missed(&self) -> &'static str {
        "no post-stop was seen for this end: it was killed, or the supervisor has run none. The \
         time of the end is that of the next start"
    }

    /// Adds the collectors that suit this supervisor to those of a job that names none.
    fn add_collectors(&self, _: &mut Collect, _: &Stop, _: Option<&Account>, _: &Host) {}

    // Once a message about the end is sent.

    /// Asks the supervisor how things stand with a service that has ended so; returns `None` if
    /// that is about to change.
    fn condition(&self, _: &Stop, _: Now, _: &Host) -> Option<Condition> {
        Some(Condition::Unknown)
    }

    /// Returns the latest ends for which the supervisor could not run the hook and will call none.
    fn unseen(&self, _: &Host) -> Vec<UnseenEnd> {
        Vec::new()
    }

    // For `setup` and `doctor`.

    /// Returns the file in which the supervisor keeps the service; `None` if it does not know the
    /// service.
    fn file_of(&self, _service: &str, _: &Host) -> Option<PathBuf> {
        None
    }

    /// Returns true if the supervisor may run this service.
    fn knows(&self, service: &str, host: &Host) -> bool {
        self.file_of(service, host).is_some()
    }

    /// Returns the services that the supervisor's files name.
    fn services(&self, _: &Host) -> Vec<String> {
        Vec::new()
    }

    /// Returns the supervisor's id of the life that a service has now.
    fn current_life(&self, _job: &str, _instance: Option<&str>, _: &Host) -> Option<String> {
        None
    }

    /// Returns the services that a name stands for, such as the instances of a template; `None` if
    /// it stands for none but itself.
    fn services_of(&self, _name: &str, _: &Host) -> Option<Vec<String>> {
        None
    }

    /// Returns the services whose files call lastwords.
    fn wired(&self, _: &Host) -> Vec<String> {
        Vec::new()
    }

    /// Returns what a job's files say that its config has to repeat.
    fn described(&self, _service: &str, _: &Host) -> Described {
        Described::default()
    }

    /// Plans the files and commands by which the supervisor calls lastwords for this service.
    fn setup(&self, service: &str, host: &Host, caller: &Caller) -> Plan;

    /// Checks whether the supervisor calls lastwords for the service of `subject`, which it knows.
    fn examine(&self, subject: &Subject, checks: &mut Vec<Check>) -> Observed;

    /// Returns how much depends on the marker of a service that runs.
    fn marker_use(&self) -> MarkerUse {
        MarkerUse::Uptime
    }

    /// Returns the command that restarts the service and arms its marker.
    fn restart(&self, _service: &str, _: &Host) -> Option<String> {
        None
    }

    /// Returns the command that starts a service which is down.
    fn start(&self, service: &str, host: &Host) -> Option<String> {
        self.restart(service, host)
    }

    /// Returns the step that starts the deliverer, or starts it again.
    fn start_deliverer(&self, service: &str, by_systemd: bool) -> String {
        if by_systemd {
            "systemctl enable --now lastwords.path lastwords.timer".to_owned()
        } else {
            format!("do what `lastwords setup {service}` says to make it active")
        }
    }
}

impl fmt::Debug for dyn Supervise + '_ {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Writes the name as people write it.
impl fmt::Display for dyn Supervise + '_ {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        Supervisor::new(self.name()).fmt(f)
    }
}

impl PartialEq for dyn Supervise + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for dyn Supervise + '_ {}

/// The arguments, variables and directory that a supervisor hands to a hook.
pub struct HookInput<'a> {
    pub args: &'a [OsString],
    /// Reads a variable of the hook's environment.
    pub variable: fn(&str) -> Option<OsString>,
    /// Returns the directory in which the hook was started.
    pub directory: fn() -> Option<PathBuf>,
}

/// An end that no hook has seen, and how a hook has to be called for it.
#[derive(Debug, PartialEq, Eq)]
pub struct UnseenEnd {
    pub job: String,
    pub instance: Option<String>,
    /// The supervisor's id of the life that ended.
    pub life_id: String,
    /// The hook's argument.
    pub fact: &'static str,
    /// The hook's environment.
    pub variables: Vec<(&'static str, String)>,
    /// The command by which the supervisor calls the hook.
    pub command: String,
}

/// Traces of an end that remain when its hook has returned.
pub struct Traces<'a> {
    pub job: &'a str,
    pub instance: Option<&'a str>,
    /// The kernel log of this life; `None` if it cannot be read.
    pub kernel_log: Option<&'a [Record]>,
    /// How long an announced stop may take.
    pub plan_lasts: Duration,
    /// The earliest moment of an announcement that still counts, in microseconds of the kernel
    /// log's clock.
    pub plan_since: u64,
    /// The life as `lastwords run` saw it.
    pub life: Option<&'a Life>,
    pub host: &'a Host,
}

/// An end that the supervisor's files allow a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Maximum time from the request to the end, if the files say so.
    pub stop_time: Option<Duration>,
    /// Exits that are no failure.
    pub exits: Vec<Exit>,
    /// True if the supervisor would have told of any end but by one of these, or in a start.
    pub is_silence_normal: bool,
}

impl Allowed {
    /// Returns how long an announced stop may take: as long as configured, or longer if the
    /// supervisor allows that, and a moment for the hooks.
    pub fn plan_lasts(&self, configured: Duration) -> Duration {
        let longest = self.stop_time.map(|time| time.saturating_add(HOOKS));
        configured.max(longest.unwrap_or_default())
    }
}

/// A service as its files describe it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// The user that its hooks run as, if that is not root.
    pub user: Option<String>,
    /// The root directory of its hooks, if that is not the machine's.
    pub chroot: Option<String>,
    /// The files that hold its output.
    pub logs: Vec<String>,
    pub program: Option<String>,
}

/// The ability that depends on an armed marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerUse {
    /// Without it no crash is caught.
    Catching,
    /// Without it the report does not say how long the service ran.
    Uptime,
    /// The supervisor holds the marker itself for as long as the service lives.
    Held,
}

/// The service that `doctor` looks at, with all that is known of it before the first check.
pub struct Subject<'a> {
    /// The service by its supervisor's name for it: `web@1`.
    pub service: &'a str,
    pub job: &'a str,
    pub instance: Option<&'a str>,
    pub supervisor: &'static dyn Supervise,
    /// A `lastwords run` of this job is alive.
    pub runs_in_front: bool,
    /// Hooks that this supervisor called for it have left a trace.
    pub was_run: bool,
    /// The directory in which its hooks ran, if they have left that.
    pub directory: Option<PathBuf>,
    pub places: &'a Places,
    pub host: Host,
    pub loaded: Loaded,
    /// The user that its hooks run as, if that is not root.
    pub uid: Option<u32>,
    /// This process is not root, so a hook may see what it does not.
    pub sees_less: bool,
    pub now: Now,
}
