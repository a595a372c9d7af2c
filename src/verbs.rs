//! Parses the command line, runs one verb, prints the error, and returns the exit code.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::catch::{finish, hook, listen, worker};
use crate::cli::{self, Cli, Verb};
use crate::deliver::{self, attempt, steward};
use crate::operate::{
    check, doctor, explain, list, plugin, queue, render, schema, setup, show, simulate, stats,
};
use crate::ourselves;
use crate::redact::redact;
use crate::render::clean;
use crate::run;
use anyhow::{Context, Result};
use clap::Parser;

/// Runs the program: a hook, a worker, or the verb that a person typed.
pub fn main() -> ExitCode {
    ourselves::tighten_umask();
    let args: Vec<OsString> = env::args_os().collect();
    if let Some((hook, args)) = cli::hook(&args) {
        hook::run(hook, args);
        return ExitCode::SUCCESS;
    }
    if let Some((by, taken, args)) = worker::begin(&args) {
        return finish::run(by, taken, args);
    }
    // An argument with a quote would end where it does not.
    let is_quoted = args.iter().any(|arg| arg.to_string_lossy().contains('\''));
    let cli = match Cli::try_parse_from(cli::spelled_out(args)) {
        Ok(cli) => cli,
        Err(message) => {
            if message.use_stderr() {
                // It shows the arguments as they are, in quotes.
                let text = message.render().to_string();
                let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
                if is_quoted {
                    complain(text);
                } else {
                    let pieces: Vec<_> = text.split('\'').map(redact).collect();
                    print_error(&pieces.join("'"));
                }
            } else {
                let _ = message.print();
            }
            return ExitCode::from(u8::try_from(message.exit_code()).unwrap_or(2));
        }
    };
    run_verb(&cli).unwrap_or_else(|why| {
        complain(&format!("{why:#}"));
        ExitCode::FAILURE
    })
}

/// Prints an error. A name in it may hold anything, escape sequences for the terminal included.
fn complain(why: &str) {
    print_error(&redact(why));
}

/// Prints an error that holds no secret.
fn print_error(why: &str) {
    let why = clean(why);
    let _ = writeln!(anstream::stderr(), "{ERROR}error{ERROR:#}: {why}");
}

const ERROR: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();

fn run_verb(cli: &Cli) -> Result<ExitCode> {
    let mut out = Stdout::new(anstream::stdout());
    let code = match &cli.verb {
        // `cli::hook` runs these. Only their `--help` comes here, and clap answers it.
        Verb::PreStart(_) | Verb::PreStop(_) => Ok(ExitCode::SUCCESS),
        Verb::PostStop(args) => simulate::run(args, &mut out),
        Verb::Listen(args) => listen::run(args, &mut out),
        Verb::Deliver(args) => deliver::run(args, &mut out),
        Verb::Check(args) => Ok(check::run(args, &mut out)),
        Verb::Explain(args) => explain::run(args, &mut out),
        Verb::Doctor(args) => doctor::run(args, &mut out),
        Verb::List(args) => list::run(args, &mut out),
        Verb::Queue(args) => queue::run(args, &mut out),
        Verb::Show(args) => show::run(args, &mut out),
        Verb::Stats(args) => stats::run(args, &mut out),
        Verb::Schema(args) => Ok(schema::run(args, &mut out)),
        Verb::Render(args) => render::run(args, &mut out),
        Verb::Plugin(args) => plugin::run(args, &mut out),
        Verb::Setup(args) => setup::run(args, &mut out),
        Verb::Attempt(args) => attempt::run(args, &mut out),
        Verb::Steward(args) => steward::run(args, &mut io::stdout()),
        Verb::Run(args) => Ok(run::run(args)),
        Verb::Relay => Ok(run::relay().map(|()| ExitCode::SUCCESS)?),
    };
    out.finish(&code)?;
    code
}

/// The standard output. Nobody checks each line of it, so it keeps the first error for the end.
struct Stdout<W> {
    to: W,
    error: Option<io::Error>,
}

impl<W: Write> Stdout<W> {
    fn new(to: W) -> Self {
        Self { to, error: None }
    }

    fn keep<T>(&mut self, done: io::Result<T>) -> io::Result<T> {
        if let Err(why) = &done
            && self.error.is_none()
        {
            self.error = Some(why.kind().into());
        }
        done
    }

    /// Returns an error if some of the output is lost, unless the verb has failed for another
    /// reason. Whoever closes a pipe has read enough.
    fn finish(mut self, code: &Result<ExitCode>) -> Result<()> {
        let _ = self.flush();
        match self.error {
            Some(why) if code.is_ok() && why.kind() != io::ErrorKind::BrokenPipe => {
                Err(why).context("cannot write all of the output")
            }
            _ => Ok(()),
        }
    }
}

impl<W: Write> Write for Stdout<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let done = self.to.write(bytes);
        self.keep(done)
    }

    fn flush(&mut self) -> io::Result<()> {
        let done = self.to.flush();
        self.keep(done)
    }
}
