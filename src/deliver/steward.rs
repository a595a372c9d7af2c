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
    let mut dirs = vec![places.spool().inbox(args.user)];
    // Where it was not prepared, this process's markers would be looked for where root's are.
    if places.user_dir(args.user).is_dir() {
        adopt::orphans(places, true);
        memory.sweep();
        dirs.insert(0, memory.dir().to_owned());
    }
    for dir in dirs {
        match hand_over(&dir, out, &mut io::stdin()) {
            Ok(true) => {}
            Ok(false) => break,
            // It was not prepared, or no hook has made it yet.
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Err(why) => return Err(why.into()),
        }
    }
    Ok(ExitCode::SUCCESS)
}
