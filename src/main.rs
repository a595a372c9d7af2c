use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use lastwords::catch::{finish, hook, listen, worker};
use lastwords::cli::{self, Cli, Verb};
use lastwords::deliver::{self, attempt};
use lastwords::operate::{
    check, doctor, explain, list, plugin, queue, render, schema, setup, show, simulate, stats,
};
use lastwords::redact::redact;
use lastwords::run;

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().collect();
    if let Some((hook, args)) = cli::hook(&args) {
        hook::run(hook, args);
        return ExitCode::SUCCESS;
    }
    if let Some((by, taken, args)) = worker::begin(&args) {
        return finish::run(by, taken, args);
    }
    let cli = match Cli::try_parse_from(cli::spelled_out(args)) {
        Ok(cli) => cli,
        Err(words) => {
            let _ = words.print();
            return ExitCode::from(u8::try_from(words.exit_code()).unwrap_or(2));
        }
    };
    obey(&cli).unwrap_or_else(|why| {
        let _ = writeln!(
            anstream::stderr(),
            "{ERROR}error{ERROR:#}: {}",
            redact(&format!("{why:#}"))
        );
        ExitCode::FAILURE
    })
}

const ERROR: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();

fn obey(cli: &Cli) -> Result<ExitCode> {
    let mut out = anstream::stdout();
    match &cli.verb {
        // `cli::hook` has caught these; only `--help` comes here, and clap answers it.
        Verb::PreStart(_) | Verb::PreStop(_) => Ok(ExitCode::SUCCESS),
        Verb::PostStop(args) => simulate::run(args, &mut out),
        Verb::Listen(args) => listen::run(args, &mut out),
        Verb::Deliver(args) => deliver::run(args, &mut out),
        Verb::Check(args) => check::run(args, &mut out),
        Verb::Explain(args) => explain::run(args, &mut out),
        Verb::Doctor(args) => doctor::run(args, &mut out),
        Verb::List(args) => list::run(args, &mut out),
        Verb::Queue(args) => queue::run(args, &mut out),
        Verb::Show(args) => show::run(args, &mut out),
        Verb::Stats(args) => stats::run(args, &mut out),
        Verb::Schema(args) => schema::run(args, &mut out),
        Verb::Render(args) => render::run(args, &mut out),
        Verb::Plugin(args) => plugin::run(args, &mut out),
        Verb::Setup(args) => setup::run(args, &mut out),
        Verb::Attempt(args) => attempt::run(args, &mut out),
        Verb::Run(args) => Ok(run::run(args)),
        Verb::Relay => Ok(run::relay().map(|()| ExitCode::SUCCESS)?),
    }
}
