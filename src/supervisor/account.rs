//! The account: what a supervisor says of one end of a service.
//!
//! The heart of it is [`Ending`], which the verdict matches on. To teach lastwords a new fact about
//! an end, add a variant. The compiler then shows [`crate::catch::verdict`]'s `decide`, whose arms
//! stand in the order in which they count, and what an ending says of itself here. If the new one
//! has a reason, a failed start or a restart to tell, add it to the methods of that name by hand.

use serde::{Deserialize, Serialize};

use crate::report::{self, Evidence, Exit};

/// A supervisor's account of one end of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub ending: Ending,
    /// Evidence that the supervisor itself stops the service (at a shutdown, say).
    #[serde(default)]
    pub announced: Option<Evidence>,
    /// Files to which the supervisor writes the service's output.
    #[serde(default)]
    pub logs: Vec<String>,
    /// The supervisor's id of this life of the service.
    #[serde(default)]
    pub invocation: Option<String>,
    /// The program that the supervisor ran as the main process.
    #[serde(default)]
    pub program: Option<String>,
    /// The directory in which the supervisor keeps the service, if each has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
}

/// How a service ended, as its supervisor says it. One of these holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// No supervisor was heard: Upstart's log cannot be read, `lastwords run` was killed, or the
    /// job was only named on the command line.
    #[default]
    Unheard,
    /// Upstart, systemd, supervisord: the supervisor tells of ends, but of this one says nothing.
    Silent,
    /// Every supervisor: the main process ended so, and there is no more to say.
    Ended(MainExit),
    /// Upstart: the main process ended so, and these lines of init's came after that.
    Followed { main: MainExit, by: Sequel },
    /// runit, s6: the main process ended so, which is also how a restart by hand ends it.
    LikeRestart { main: MainExit, why: String },
    /// runit, s6: the main process ended so while its supervisor no longer wants it up. That may
    /// be a stop. It is none if the service was only set to run once, as it ran.
    Unwanted {
        main: MainExit,
        /// A stop, and it alone, runs our pre-stop.
        pre_stop_tells: bool,
        /// How long a stop takes before it may end in SIGKILL, in milliseconds; `None` if none
        /// does.
        #[serde(default)]
        kills_after_ms: Option<u64>,
        why: String,
    },
    /// systemd: the main process ended so, and systemd knows why.
    Explained {
        main: Option<MainExit>,
        reason: Reason,
    },
    /// systemd: no crash, whatever else is said (a oneshot service is done, say).
    Harmless { main: Option<MainExit>, why: String },
    /// systemd: only its manager could tell a planned stop from this, and it could not be asked.
    Doubtful { main: Option<MainExit>, why: String },
    /// Upstart, systemd, supervisord, `lastwords run`: the main process never ran.
    NeverRan(FailedStart),
    /// systemd: the main process ran, but its end is that of a start that failed.
    DiedStarting { main: MainExit, failed: FailedStart },
}

/// How the main process ended, and the evidence of that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MainExit {
    pub exit: Exit,
    pub pid: Option<u32>,
    pub evidence: Evidence,
}

/// Why a start failed, and the evidence of that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedStart {
    /// One line without pids, so that the same failure always reads the same.
    pub why: String,
    pub evidence: Evidence,
}

/// Why a service ended, where the supervisor knows more than how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// One line, the same for the same reason.
    pub line: String,
    pub kind: report::Death,
    /// Yields to any cause that the service's own log shows.
    pub only_if_unknown: bool,
}

/// The acts of a supervisor after an end. A process that reads its log late finds several of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequel {
    /// It starts the service again by itself, so nobody had asked for the stop.
    pub respawns: Option<Evidence>,
    /// It no longer starts the service again.
    pub gave_up: Option<Evidence>,
    /// The next start failed.
    pub failed_start: Option<Evidence>,
}

impl From<Ending> for Account {
    /// Makes an account of an ending, with none of the other facts.
    fn from(ending: Ending) -> Self {
        Self {
            ending,
            ..Self::default()
        }
    }
}

impl MainExit {
    /// Returns true if a SIGTERM may have ended it.
    pub fn is_like_stop(&self) -> bool {
        self.exit.is_signal("TERM") || matches!(self.exit, Exit::Code(0 | 143))
    }
}

impl Ending {
    /// Returns the end of the main process; [`Ending::Silent`] where the supervisor names none.
    pub fn ended(main: Option<MainExit>) -> Self {
        main.map_or(Self::Silent, Self::Ended)
    }

    /// Returns the end of a main process, where `command` restarts a service by SIGTERM and only
    /// the supervisor knows that it did.
    pub fn ended_or_restarted(main: MainExit, command: &str) -> Self {
        if !main.is_like_stop() {
            return Self::Ended(main);
        }
        let exit = &main.exit;
        let why = format!(
            "{exit}: so it also ends when somebody restarts it ({command}), and nothing here tells \
             the two apart"
        );
        Self::LikeRestart { main, why }
    }

    /// Returns how the main process ended, if the supervisor says so.
    pub fn main(&self) -> Option<&MainExit> {
        match self {
            Self::Ended(main)
            | Self::Followed { main, .. }
            | Self::LikeRestart { main, .. }
            | Self::Unwanted { main, .. }
            | Self::DiedStarting { main, .. } => Some(main),
            Self::Explained { main, .. }
            | Self::Harmless { main, .. }
            | Self::Doubtful { main, .. } => main.as_ref(),
            Self::Unheard | Self::Silent | Self::NeverRan(_) => None,
        }
    }

    /// Returns how the main process ended; [`Exit::Unknown`] if the supervisor does not say.
    pub fn exit(&self) -> Exit {
        self.main().map_or(Exit::Unknown, |main| main.exit.clone())
    }

    /// Returns the evidence of the end itself, then that of what followed. A line that shows how
    /// the main process ended is returned only as that.
    pub fn evidence(&self) -> [[Option<&Evidence>; 2]; 2] {
        const NOTHING: [Option<&Evidence>; 2] = [None, None];
        let of_main = self.main().map(|main| &main.evidence);
        let once = |line: Option<_>| line.filter(|line| of_main != Some(*line));
        match self {
            Self::Unheard
            | Self::Silent
            | Self::Ended(_)
            | Self::LikeRestart { .. }
            | Self::Unwanted { .. }
            | Self::Explained { .. }
            | Self::Harmless { .. }
            | Self::Doubtful { .. } => [[of_main, None], NOTHING],
            Self::NeverRan(failed) | Self::DiedStarting { failed, .. } => {
                [[once(Some(&failed.evidence)), of_main], NOTHING]
            }
            Self::Followed { by, .. } => {
                let after = [by.respawns.as_ref(), by.gave_up.as_ref()];
                [[once(by.failed_start.as_ref()), of_main], after.map(once)]
            }
        }
    }

    /// Returns why the start failed, if this end is that of a failed start.
    pub fn failed_start(&self) -> Option<&FailedStart> {
        match self {
            Self::NeverRan(failed) | Self::DiedStarting { failed, .. } => Some(failed),
            _ => None,
        }
    }

    /// Returns why the service ended, if the supervisor knows.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Explained { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Returns true if the supervisor starts the service again by itself.
    pub fn respawns(&self) -> bool {
        matches!(self, Self::Followed { by, .. } if by.respawns.is_some())
    }
}
