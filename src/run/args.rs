//! The arguments of `lastwords run`: whose life it is, and the command.

use std::ffi::{OsStr, OsString};
use std::process::Command;
use std::time::Duration;

use clap::Args;

use crate::places::Places;
use crate::run::signals;

#[derive(Debug, Args)]
pub struct RunArgs {
    /// The job; else, directly under Upstart, its job, and anywhere else the command's own name
    #[arg(long, value_name = "NAME")]
    pub job: Option<OsString>,
    /// The job's instance
    #[arg(long, value_name = "NAME")]
    pub instance: Option<OsString>,
    /// How long to wait at the end until the report is sent; 5s as PID 1 (a container ends with
    /// it), else 0s: it is sent in the background
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub deliver_within: Option<Duration>,
    #[command(flatten)]
    pub places: Places,
    /// The command and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub command: Vec<OsString>,
}

impl RunArgs {
    /// Returns the command, ready to be started.
    pub fn command(&self) -> Command {
        let mut words = self.command.iter();
        let mut command = Command::new(words.next().map_or(OsStr::new(""), OsString::as_os_str));
        command.args(words);
        signals::with_mask_and_limits_as_we_got_them(&mut command);
        command
    }
}
