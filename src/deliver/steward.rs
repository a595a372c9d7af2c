//! `lastwords steward`: a process that has one user's rights and does what is to be done in that
//! user's directories. It finishes what the hooks of the user's jobs left, and hands their reports
//! over to root's process, which started it.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::accounts;
use crate::deliver::adopt;
use crate::places::Places;
use crate::rights;
use crate::spool::{MemoryInbox, hand_over};

#[derive(Debug, Args)]
pub struct StewardArgs {
    /// The user's number.
    #[arg(long)]
    user: u32,
    #[command(flatten)]
    places: Places,
}

pub fn run(args: &StewardArgs, out: &mut impl Write) -> Result<ExitCode> {
    let places = &args.places;
    let user = accounts::identity(&args.user.to_string(), &places.host())?;
    rights::give_up(&user)?;
    let memory = MemoryInbox::new(places.user_dir(args.user).join("inbox"));
    if memory.dir().is_dir() {
        adopt::orphans(places, true);
        memory.sweep();
        if !hand_over(memory.dir(), out, &mut io::stdin())? {
            return Ok(ExitCode::SUCCESS);
        }
    }
    match hand_over(&places.spool().inbox(args.user), out, &mut io::stdin()) {
        // Nothing was prepared there.
        Err(why) if why.kind() == io::ErrorKind::NotFound => {}
        other => _ = other?,
    }
    Ok(ExitCode::SUCCESS)
}
