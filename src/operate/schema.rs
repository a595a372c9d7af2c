//! `schema`: prints the JSON Schemas of what lastwords writes and reads.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::schema::{CONFIG, JOB, REPORT};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SchemaArgs {
    /// The schema to print
    of: Of,
}

const EXAMPLES: &str = "\
For editors that know TOML by taplo (Even Better TOML, and others): write the
schemas beside the config, and name them in each file's first line.

  lastwords schema config >/etc/lastwords/config.schema.json
  lastwords schema job >/etc/lastwords/job.schema.json

  #:schema ./config.schema.json        in lastwords.toml
  #:schema ../job.schema.json          in jobs/JOB.toml";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Of {
    /// A report: what `lastwords show --json` prints
    Report,
    /// lastwords.toml
    Config,
    /// jobs/JOB.toml
    Job,
}

pub fn run(args: &SchemaArgs, out: &mut impl Write) -> ExitCode {
    let _ = out.write_all(match args.of {
        Of::Report => REPORT.as_bytes(),
        Of::Config => CONFIG.as_bytes(),
        Of::Job => JOB.as_bytes(),
    });
    let _ = out.flush();
    ExitCode::SUCCESS
}
