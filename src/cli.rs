//! The words of the command line.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::{Parser, Subcommand};

use crate::catch::call::HookArgs;
use crate::catch::hook::Hook;
use crate::catch::listen::ListenArgs;
use crate::deliver::DeliverArgs;
use crate::deliver::attempt::AttemptArgs;
use crate::deliver::steward::StewardArgs;
use crate::operate::check::CheckArgs;
use crate::operate::doctor::DoctorArgs;
use crate::operate::explain::ExplainArgs;
use crate::operate::list::ListArgs;
use crate::operate::plugin::PluginArgs;
use crate::operate::queue::QueueArgs;
use crate::operate::render::RenderArgs;
use crate::operate::schema::SchemaArgs;
use crate::operate::setup::SetupArgs;
use crate::operate::show::ShowArgs;
use crate::operate::simulate::SimulateArgs;
use crate::operate::stats::StatsArgs;
use crate::run::RunArgs;

/// Tells people what died, why, and on what evidence
///
/// A supervisor runs lastwords around its services. When one ends that nobody had asked to stop,
/// lastwords keeps what the machine looked like right then, lets the supervisor restart the service
/// at once, and tells the people in charge by email, Slack, Gitter (or any Matrix room), syslog,
/// PagerDuty and others, or a program of your own.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  lastwords post-stop --simulate-crash --job web
                         what a crash of web would send, and to whom
  lastwords setup web    what has to be done so that crashes of web are caught
  lastwords doctor web   would one be caught and told now?
  lastwords check        is the config right?
  lastwords list         what died, when, why, how often
  lastwords show         the last report
  lastwords queue        what could not be sent yet, and why";

const RUN_EXAMPLES: &str = "\
Examples:
  lastwords run -- node server.js                    the job node
  exec lastwords run -- /usr/bin/web                 in /etc/init/web.conf
  ENTRYPOINT [\"lastwords\", \"run\", \"--job\", \"web\", \"--\"]     in a Dockerfile
  */5 * * * * root lastwords run -- backup.sh        in /etc/cron.d/backup
  */5 * * * * lastwords run -- backup.sh             in `crontab -e`";

const DOCTOR: &str = "\
Examples:
  lastwords doctor web            would a crash of web be caught and told?
  lastwords doctor                would one of any job that is set up?
  lastwords doctor web --json     for programs; so is the exit code

The last proof is a drill: lastwords post-stop --simulate-crash --send --job web";

const SETUP: &str = "\
Examples:
  lastwords setup                              make the directories
  lastwords setup web                          what does web need?
  lastwords setup web --write                  write that
  lastwords setup web@1 --supervisor systemd   for all instances of web@.service";

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Hook: the service is about to run
    ///
    /// Arms the job's marker. Exits 0 whatever happens: a hook never keeps a service from starting.
    /// Complaints go to the system's log.
    PreStart(HookArgs),
    /// Hook: the service was asked to stop
    ///
    /// Marks the stop as planned, for as long as the job's `stop_timeout` or its supervisor says.
    /// On Upstart it asks init if this is only a restart, which keeps the process running. Exits 0
    /// whatever happens.
    PreStop(HookArgs),
    /// Hook: the service has ended; with --simulate-crash, a drill
    ///
    /// As a hook (without --simulate-crash) it tells a crash from a planned stop, keeps a crash's
    /// report in the spool, wakes the deliverer, and exits 0 whatever happens. As a drill it exits
    /// 1 where anything would have failed.
    PostStop(SimulateArgs),
    /// Run a command, and report it if it crashes: in containers, cron, CI, anywhere
    ///
    /// Passes signals and output on, ends as the command ends, and reports a crash with its exact
    /// exit and the last output, even where nobody logs it. A stop that comes to it as a signal is
    /// planned, and so is exit code 0 unless the job's `normal_exit` says otherwise. Ends with 127
    /// where there is no such command, 126 where it cannot be executed, 125 where lastwords itself
    /// failed.
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Listen to a supervisor that has no hooks but events
    ///
    /// As an event listener of supervisord: `[eventlistener:lastwords]` in its config. A process
    /// that ends with an unexpected exit is a crash.
    Listen(ListenArgs),
    /// Send the reports that are due
    ///
    /// Passes over the spool until nothing is due. A report that a sink does not take now is tried
    /// again after 10 seconds, then after twice as long each time, up to an hour, for five days. So
    /// run it from a timer, or with --watch.
    Deliver(DeliverArgs),
    /// Set up directories, or show and write what a job's supervisor needs
    ///
    /// Without a job it makes the directories, those for the users of setuid jobs included: run it
    /// at boot.
    ///
    /// With a job it shows each file with its path, and the commands that make it active. The job's
    /// own files stay as they are: additions go beside them (an override, a drop-in, a `finish`).
    /// Where the job itself uses that place, it shows how to call lastwords from inside. `--write`
    /// writes the files; the second time there is nothing to do.
    #[command(after_help = SETUP)]
    Setup(SetupArgs),
    /// Check whether a crash of a job would be caught and told now
    ///
    /// Looks at everything on the way from the hook to each destination, in that
    /// order, and sends nothing: a mail server is asked as far as the login, a
    /// Matrix homeserver for the token's user and its place in the room. What is
    /// wrong stands there with what to do about it.
    ///
    ///   ok           it is as it should be
    ///   problem      a crash would be lost, or be told late or not to
    ///                everybody: exit code 1
    ///   weak         a crash is caught and told, but something wants looking at
    ///   cannot tell  only a message would show it, or only root may see it
    #[command(verbatim_doc_comment, after_help = DOCTOR)]
    Doctor(DoctorArgs),
    /// Check the config
    ///
    /// Prints every mistake with its file, line and column, what was expected, and what was
    /// probably meant. Exits 78 if there is one.
    Check(CheckArgs),
    /// List what died: when, why, how often, and who was told
    List(ListArgs),
    /// Show a report, and what each sink has done with it
    Show(ShowArgs),
    /// Say why a service died, from its log and what the kernel said
    ///
    /// The same analysis as at a real crash, on files. It names a cause only if the evidence proves
    /// one, and shows that evidence. Otherwise it says that the cause is unknown. The more you tell
    /// it, the more it can rule out.
    Explain(ExplainArgs),
    /// Show what waits to be sent: for whom, why, and when it is tried next
    Queue(QueueArgs),
    /// Count: what dies how often and of what, and how well the news travels
    Stats(StatsArgs),
    /// Show a message as people would get it, of a real or a simulated crash; nothing is sent
    ///
    /// With --sink, as that sink's own template makes it. Without, as the built-in ones do.
    Render(RenderArgs),
    /// Try a plugin out
    Plugin(PluginArgs),
    /// Print a JSON Schema: of reports, or of the config, for editors that complete it
    Schema(SchemaArgs),
    #[command(hide = true)]
    Attempt(AttemptArgs),
    #[command(hide = true)]
    Steward(StewardArgs),
    #[command(hide = true)]
    Relay,
}

/// Returns the hook and its arguments if a supervisor calls: under a hook's name (a symbolic link
/// to this program), or with a hook as the first argument. A person who asks for help or for a
/// drill is no supervisor.
pub fn hook(args: &[OsString]) -> Option<(Hook, &[OsString])> {
    let program = Path::new(args.first()?).file_name().unwrap_or_default();
    let (hook, rest) = match Hook::named(program) {
        Some(hook) => (hook, args.get(1..)?),
        None => (Hook::named(args.get(1)?)?, args.get(2..)?),
    };
    let for_people = ["--help", "-h", "--simulate-crash"].map(OsStr::new);
    (!rest.iter().any(|arg| for_people.contains(&arg.as_os_str()))).then_some((hook, rest))
}

/// The arguments as people would have written them: the hook that the program was called as becomes
/// the first one.
pub fn spelled_out(args: Vec<OsString>) -> Vec<OsString> {
    let called = args
        .first()
        .and_then(|program| Path::new(program).file_name())
        .map(OsStr::to_owned);
    match called.filter(|name| Hook::named(name).is_some()) {
        Some(hook) => ["lastwords".into(), hook]
            .into_iter()
            .chain(args.into_iter().skip(1))
            .collect(),
        None => args,
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::Cli;

    fn check(command: &Command) {
        for line in command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default()
            .lines()
        {
            assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
        }
        command.get_subcommands().for_each(check);
    }

    #[test]
    fn each_supervisor_to_listen_to_keeps_its_own_words_in_the_help() {
        let command = Cli::command();
        let listen = command.find_subcommand("listen").unwrap();
        let abouts = listen.get_subcommands().map(Command::get_about);
        let abouts: Vec<_> = abouts.flatten().map(ToString::to_string).collect();
        assert_eq!(abouts, ["As an event listener of supervisord"]);
    }

    #[test]
    fn no_example_is_broken_by_a_terminal_of_80_columns() {
        check(&Cli::command());
    }
}
