//! `plugin test`: runs one plugin as a crash would, and shows the outcome.

mod mistakes;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Subcommand};
use rustix::process::Pid;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use toml::{Table, Value};

use crate::clock::Now;
use crate::collectors::exec::ExecCollector as Collector;
use crate::host::Host;
use crate::operate::json::escaped;
use crate::plugin::{ProgramEnd, ProgramOutcome};
use crate::random;
use crate::redact::redact;
use crate::render::{clean, one_line};
use crate::report::{
    Audience, Cause, CollectorKind, Confidence, Death, Evidence, Exit, FORMAT, Kind, Report,
    Safety, Section, SectionData, Status, Stop, Supervisor, Timestamp, Verdict,
};
use crate::sinks::SendError;
use crate::sinks::exec::{self, ExecSink as Sink};
use mistakes::Mistake;

/// Exit codes of a sink for "later" and "never". The first is `EX_TEMPFAIL` of sysexits(3).
const LATER: u8 = 75;
const REFUSED: u8 = 100;

#[derive(Debug, Args)]
pub struct PluginArgs {
    #[command(subcommand)]
    verb: PluginVerb,
}

#[derive(Debug, Subcommand)]
enum PluginVerb {
    /// Run a plugin the way a crash would, and show what came of it
    ///
    /// It gets a simulated report (or --report), the environment, the limits and the deadline of a
    /// real one. A sink does send. Exits with 0 where it worked, 1 where it did not, 75 where a
    /// sink says later, 100 where it says never.
    Test(TestArgs),
}

#[derive(Debug, Args)]
struct TestArgs {
    /// The plugin
    path: PathBuf,
    /// It is a sink; known by itself where its directory is called `sinks`
    #[arg(long, conflicts_with = "collector")]
    sink: bool,
    /// It is a collector; known by itself where its directory is called `collectors`
    #[arg(long)]
    collector: bool,
    /// A setting, as in the config's `settings`; a value is read as TOML, else as text
    #[arg(long = "setting", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, Value)>,
    /// How long it may run; by default as long as in a config that does not say
    #[arg(long, value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Run it as this user, as with `user` in the config; needs root
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Take this report, as JSON, in place of a simulated one
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Arguments for the plugin
    #[arg(last = true)]
    args: Vec<String>,
}

fn setting(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    let parsed: Option<Table> = format!("value = {value}").parse().ok();
    let value = parsed
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::from(value));
    Ok((key.to_owned(), value))
}

/// Outcome of the run.
struct Trial {
    outcome: ProgramOutcome,
    took: Duration,
    /// Names of the processes that the plugin has left in the background.
    left: Vec<String>,
    meaning: Meaning,
    mistakes: Vec<Mistake>,
}

/// Meaning of the plugin's end.
enum Meaning {
    /// A collector's section.
    Section(String),
    /// A collector's section that failed.
    Failed(String),
    Done(String),
    Refused(String),
    Later(String),
}

impl Meaning {
    fn words(&self) -> (&'static str, &'static str, &str) {
        match self {
            Self::Section(text) => ("section", "its output is the section", text),
            Self::Failed(why) => ("failed", "the section says that it failed", why),
            Self::Done(receipt) => ("done", "taken", receipt),
            Self::Refused(why) => (
                "refused",
                "refused for good: it would not be tried again",
                why,
            ),
            Self::Later(why) => (
                "later",
                "not now: it would be tried again, for five days",
                why,
            ),
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Section(_) | Self::Done(_) => 0,
            Self::Failed(_) => 1,
            Self::Refused(_) => REFUSED,
            Self::Later(_) => LATER,
        }
    }
}

pub fn run(args: &PluginArgs, out: &mut impl Write) -> Result<ExitCode> {
    let PluginVerb::Test(args) = &args.verb;
    // Links are not followed: the path of a venv's python tells which one it is.
    let path = std::path::absolute(&args.path)
        .with_context(|| format!("there is no {}", args.path.display()))?;
    let is_sink = is_sink(args, &path)?;
    let report = report(args)?;
    let trial = trial(args, &path, is_sink, &report)?;
    let did_start = !matches!(trial.outcome.end, ProgramEnd::NotStarted(_));
    if args.json {
        let _ = writeln!(
            out,
            "{}",
            escaped(&format!("{:#}", as_json(&trial, is_sink)))
        );
    } else {
        show(out, &trial, is_sink);
    }
    Ok(ExitCode::from(if did_start {
        trial.meaning.exit_code()
    } else {
        1
    }))
}

fn is_sink(args: &TestArgs, path: &Path) -> Result<bool> {
    let directory = path.parent().and_then(Path::file_name);
    match directory.and_then(|name| name.to_str()) {
        _ if args.sink => Ok(true),
        _ if args.collector => Ok(false),
        Some("sinks") => Ok(true),
        Some("collectors") => Ok(false),
        _ => bail!("is this a collector or a sink? Say --collector or --sink"),
    }
}

fn trial(args: &TestArgs, path: &Path, is_sink: bool, report: &Report) -> Result<Trial> {
    let mut left = Vec::new();
    let mut look = |leader: Pid| left = members(leader);
    let began = Instant::now();
    let (outcome, meaning) = if is_sink {
        let outcome =
            configured::<Sink>(args, path)?.run(report, &Host::new("/", "/"), &mut look)?;
        let meaning = match exec::verdict(&outcome) {
            Ok(receipt) => Meaning::Done(receipt),
            Err(SendError::Refused { why }) => Meaning::Refused(why),
            Err(SendError::Retry { why, .. }) => Meaning::Later(why),
        };
        (outcome, meaning)
    } else {
        let collector = configured::<Collector>(args, path)?;
        let outcome = collector.run(&report.stop, &Host::new("/", "/"), &mut look)?;
        let meaning = match collector.body(&outcome) {
            Ok(body) => Meaning::Section(body.text),
            Err(why) => Meaning::Failed(format!("{why:#}")),
        };
        (outcome, meaning)
    };
    let took = began.elapsed();
    let mut mistakes = mistakes::of_file(path);
    let secrets = args
        .settings
        .iter()
        .filter(|(key, _)| mistakes::names_a_secret(key));
    let secrets: Vec<&str> = secrets.filter_map(|(_, value)| value.as_str()).collect();
    mistakes.extend(mistakes::of_run(is_sink, &outcome, &left, &secrets));
    Ok(Trial {
        outcome,
        took,
        left,
        meaning,
        mistakes,
    })
}

/// Returns the plugin as a config has it.
fn configured<T: DeserializeOwned>(args: &TestArgs, path: &Path) -> Result<T> {
    let program = path
        .to_str()
        .ok_or_else(|| anyhow!("the path is not UTF-8"))?;
    let command: Vec<Value> = [program]
        .into_iter()
        .chain(args.args.iter().map(String::as_str))
        .map(Value::from)
        .collect();
    let mut table = Table::new();
    table.insert("name".to_owned(), "plugin test".into());
    table.insert("command".to_owned(), command.into());
    table.insert(
        "settings".to_owned(),
        args.settings.iter().cloned().collect::<Table>().into(),
    );
    if let Some(user) = &args.user {
        table.insert("user".to_owned(), user.as_str().into());
    }
    if let Some(timeout) = args.timeout {
        table.insert(
            "timeout".to_owned(),
            humantime::format_duration(timeout).to_string().into(),
        );
    }
    Ok(table.try_into()?)
}

/// Returns the names of a process group's live processes, without its leader.
fn members(leader: Pid) -> Vec<String> {
    let member = |entry: fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name stands in brackets and may hold some itself; see proc_pid_stat(5).
        let (before, rest) = stat.rsplit_once(") ")?;
        let mut rest = rest.split(' ');
        let (state, group) = (rest.next()?, rest.nth(1)?);
        let ours = pid != leader.as_raw_nonzero().get()
            && group == leader.as_raw_nonzero().to_string()
            && state != "Z";
        ours.then(|| one_line(before.split_once('(').map_or("?", |(_, name)| name), 40))
    };
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(member)
        .collect()
}

/// Returns the report that the plugin gets.
fn report(args: &TestArgs) -> Result<Report> {
    let Some(file) = &args.report else {
        return Ok(simulated(Now::read()));
    };
    let text = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    // In the spool, a line about the report follows it.
    let read = Report::deserialize(&mut serde_json::Deserializer::from_slice(&text));
    read.with_context(|| format!("{} is not a report", file.display()))
}

fn simulated(now: Now) -> Report {
    let hour = Duration::from_hours(1);
    let exit = Exit::Code(1);
    let line = format!("{exit}, cause unknown");
    let text = format!("a simulated crash: {exit}");
    Report {
        format: FORMAT,
        id: random::report_id(now),
        kind: Kind::Crash,
        to: Audience::Job,
        drill: true,
        host: Host::new("/", "/").name(),
        stop: Stop {
            job: "web".to_owned(),
            instance: None,
            supervisor: Supervisor::UNKNOWN,
            started_at: now.wall.time().checked_sub(hour).map(Timestamp::new),
            stopped_at: now.wall,
            uptime_s: Some(hour.as_secs_f64()),
            pid: None,
            invocation: None,
            directory: None,
            exit,
        },
        verdict: Verdict::Crashed,
        verdict_because: "a crash was simulated".to_owned(),
        cause: Cause {
            kind: Death::PlainExit,
            line,
            confidence: Confidence::None,
            evidence: vec![Evidence {
                source: "simulation".to_owned(),
                line: None,
                text,
            }],
            last_words: None,
        },
        causes: Vec::new(),
        fingerprint: "0".repeat(16),
        sections: vec![Section {
            kind: CollectorKind::LOG,
            collector: "log".to_owned(),
            status: Status::Ok,
            text: "listening on 8080\nError: a simulated error".to_owned(),
            data: SectionData::Nothing,
            millis: 1,
        }],
        past: None,
        now: None,
        notes: Vec::new(),
        runbook: Some("https://wiki.example.com/web".to_owned()),
        user: None,
        user_name: None,
        level: Safety::Durable,
    }
}

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const WARN: Style = AnsiColor::Yellow.on_default();

fn show(out: &mut impl Write, trial: &Trial, is_sink: bool) {
    let (_, words, text) = trial.meaning.words();
    let style = if trial.meaning.exit_code() == 0 {
        GOOD
    } else {
        BAD
    };
    let text = clean(&redact(text));
    let _ = writeln!(
        out,
        "ended    {} in {} ms",
        end(trial),
        trial.took.as_millis()
    );
    if !trial.outcome.last_error.is_empty() {
        let _ = writeln!(out, "stderr   {}", redact(&trial.outcome.last_error));
    }
    let _ = writeln!(out, "meaning  {style}{words}{style:#}");
    let what = match (is_sink, trial.meaning.exit_code()) {
        (true, 0) => "receipt",
        (true, _) => "error",
        (false, _) => "section",
    };
    let lines: Vec<&str> = text.trim_end().lines().collect();
    if is_sink {
        let _ = writeln!(out, "{what:<8} {}", lines.join(" "));
    } else {
        let _ = writeln!(out, "{what}");
        for line in &lines {
            let _ = writeln!(out, "  {line}");
        }
    }
    for Mistake { what, remedy } in &trial.mistakes {
        let _ = writeln!(out, "{WARN}mistake{WARN:#}  {what}\n         {remedy}");
    }
}

fn end(trial: &Trial) -> String {
    match trial.outcome.end.code() {
        Some(code) => format!("exit code {code}"),
        None => one_line(&trial.outcome.end.to_string(), 300),
    }
}

fn as_json(trial: &Trial, is_sink: bool) -> serde_json::Value {
    let (meaning, _, text) = trial.meaning.words();
    let mistakes: Vec<_> = trial
        .mistakes
        .iter()
        .map(|Mistake { what, remedy }| json!({ "what": what, "remedy": remedy }))
        .collect();
    json!({
        "kind": if is_sink { "sink" } else { "collector" },
        "meaning": meaning,
        "ended": end(trial),
        "exit_code": trial.outcome.end.code(),
        "timed_out": matches!(trial.outcome.end, ProgramEnd::TimedOut(_)),
        "millis": u64::try_from(trial.took.as_millis()).unwrap_or(u64::MAX),
        "text": redact(text),
        "stderr": redact(&trial.outcome.last_error),
        "truncated": trial.outcome.truncated,
        "left_running": trial.left,
        "mistakes": mistakes,
    })
}
