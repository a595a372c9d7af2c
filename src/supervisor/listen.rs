//! The trait of a supervisor that calls no hooks but tells of its services as it goes on, to
//! `lastwords listen NAME`.

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::BorrowedFd;

use anyhow::Result;
use clap::{ArgMatches, Command};

use crate::host::Host;
use crate::supervisor::account::Account;

/// Opens a supervisor's events.
pub trait Listen: Sync {
    /// Adds a text and the flags of its own to the command.
    fn describe(&self, command: Command) -> Command;

    /// Begins to listen, with the flags that were given. `variable` reads the environment.
    ///
    /// # Errors
    /// Fails if the flags are wrong, or the supervisor cannot be reached.
    fn open(
        &self,
        flags: &ArgMatches,
        host: &Host,
        variable: fn(&str) -> Option<OsString>,
    ) -> Result<Box<dyn Events>>;
}

/// The events of a supervisor, in their order.
pub trait Events {
    /// Tells the supervisor that it may send an event.
    ///
    /// # Errors
    /// Fails if the supervisor does not take that.
    fn invite(&mut self, _out: &mut dyn Write) -> Result<()> {
        Ok(())
    }

    /// Returns the descriptor that becomes readable when an event comes.
    fn descriptor(&self) -> BorrowedFd<'_>;

    /// Returns true if an event has been read from the descriptor already.
    fn is_buffered(&self) -> bool {
        false
    }

    /// Reads the next event, and waits for it if there is none.
    ///
    /// # Errors
    /// Fails if the supervisor cannot be heard any more.
    fn next(&mut self) -> Result<Heard>;

    /// Tells the supervisor that the event was dealt with.
    ///
    /// # Errors
    /// Fails if the supervisor does not take that.
    fn acknowledge(&mut self, _out: &mut dyn Write) -> Result<()> {
        Ok(())
    }
}

/// A message of a supervisor's.
pub enum Heard {
    /// Something has happened to a service.
    Event(ServiceEvent),
    /// Nothing that matters here.
    Other,
    /// The supervisor has closed the connection.
    End,
}

/// Something has happened to a service.
pub struct ServiceEvent {
    pub job: String,
    pub instance: Option<String>,
    pub change: ServiceChange,
    /// The supervisor's own words.
    pub text: String,
}

pub enum ServiceChange {
    Starting,
    /// The supervisor has been asked to stop the service.
    Stopping,
    Ended(Box<Account>),
    /// The supervisor starts the service no more, after an end that it has told of.
    GivenUp {
        /// Its reason, in a few words.
        because: String,
    },
}
