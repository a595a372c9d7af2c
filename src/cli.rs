//! The words of the command line.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::{Parser, Subcommand};

use crate::commands::attempt::AttemptArgs;
use crate::commands::check::CheckArgs;
use crate::commands::deliver::DeliverArgs;
use crate::commands::explain::ExplainArgs;
use crate::commands::hook::{Hook, HookArgs};
use crate::commands::plugin::PluginArgs;
use crate::commands::setup::SetupArgs;
use crate::commands::show::ShowArgs;
use crate::commands::simulate::SimulateArgs;

/// Tells people what died, why, and on what evidence
///
/// A supervisor runs lastwords around its services. When one ends that nobody had asked to stop, lastwords keeps what
/// the machine looked like right then, lets the supervisor restart the service at once, and tells the people in charge
/// by email, Slack, Gitter (or any Matrix room), syslog or a program of your own.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  lastwords post-stop --simulate-crash --job web         what a crash of web would send, and to whom
  lastwords post-stop --simulate-crash --job web --send  send it, marked as a drill
  lastwords check                                        is the config right?
  lastwords show                                         the last report

On Upstart, in /etc/init/web.conf:
  pre-start exec /usr/bin/lastwords pre-start
  pre-stop  exec /usr/bin/lastwords pre-stop
  post-stop exec /usr/bin/lastwords post-stop";

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Hook: the service is about to run
    ///
    /// Arms the job's marker. Exits 0 whatever happens: a hook never keeps a service from starting. What goes wrong it
    /// says in the system's log.
    PreStart(HookArgs),
    /// Hook: somebody has asked the service to stop
    ///
    /// Marks the stop as planned, for as long as the job's `stop_timeout` says. Exits 0 whatever happens.
    PreStop(HookArgs),
    /// Hook: the service has ended; with --simulate-crash, a drill
    ///
    /// As a hook (without --simulate-crash) it tells a crash from a planned stop, keeps a crash's report in the spool,
    /// wakes the deliverer, and exits 0 whatever happens. As a drill it exits 1 where anything would have failed.
    PostStop(SimulateArgs),
    /// Send the reports that are due
    ///
    /// Passes over the spool until nothing is due. What a sink does not take now is tried again after 10 seconds, then
    /// after twice as long each time, up to an hour, for five days; so run it from a timer, or with --watch.
    Deliver(DeliverArgs),
    /// Say what is wrong with the config
    ///
    /// Exits 78 where there is an error.
    Check(CheckArgs),
    /// Say why a service died, from its log and what the kernel said
    ///
    /// The same analysis as of a real crash, on files. It names a cause only where the evidence proves one, and shows it;
    /// else it says that the cause is unknown. The more you tell, the more it can rule out.
    Explain(ExplainArgs),
    /// Show a report
    Show(ShowArgs),
    /// Try a plugin out
    Plugin(PluginArgs),
    /// Make the directories, those for the users of setuid jobs included; run it at boot
    Setup(SetupArgs),
    #[command(hide = true)]
    Attempt(AttemptArgs),
}

/// Whether this is a call by a supervisor: under a hook's name (a symbolic link to this program), or with a hook as the
/// first argument. A person who asks for help or for a drill is none.
pub fn hook(args: &[OsString]) -> Option<(Hook, &[OsString])> {
    let program = Path::new(args.first()?).file_name().unwrap_or_default();
    let (hook, rest) = match Hook::named(program) {
        Some(hook) => (hook, args.get(1..)?),
        None => (Hook::named(args.get(1)?)?, args.get(2..)?),
    };
    let for_people = ["--help", "-h", "--simulate-crash"].map(OsStr::new);
    (!rest.iter().any(|arg| for_people.contains(&arg.as_os_str()))).then_some((hook, rest))
}

/// The arguments as people would have written them: the hook that the program was called as becomes the first one.
pub fn spelled_out(args: Vec<OsString>) -> Vec<OsString> {
    let called = args.first().and_then(|program| Path::new(program).file_name()).map(OsStr::to_owned);
    match called.filter(|name| Hook::named(name).is_some()) {
        Some(hook) => ["lastwords".into(), hook].into_iter().chain(args.into_iter().skip(1)).collect(),
        None => args,
    }
}
