use serde::{Deserialize, Serialize};

use super::{Supervisor, Timestamp};

/// How things stand with a service at the moment when a message about it is sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Condition {
    /// Nothing tells.
    #[default]
    Unknown,
    /// The service runs.
    Up {
        /// When it came up.
        since: Option<Timestamp>,
    },
    /// The supervisor starts the service again.
    Restarting {
        by: Supervisor,
        /// The time until it does, in seconds.
        in_s: Option<f64>,
    },
    /// The supervisor has started the service again in vain, and does so no more.
    GivenUp {
        by: Supervisor,
        /// The supervisor's reason, in a few words: `start limit`.
        because: String,
    },
    /// The service does not run, and need not until its next time.
    Waiting {
        /// The way in which it starts again: `backup.timer starts it again`.
        because: String,
    },
    /// The service does not run, and stays so.
    Down {
        /// The reason, in a few words: `nothing restarts it (no respawn)`.
        because: String,
    },
}

impl Condition {
    /// Returns the reason, if there is one.
    pub fn because(&mut self) -> Option<&mut String> {
        match self {
            Self::GivenUp { because, .. } | Self::Waiting { because } | Self::Down { because } => {
                Some(because)
            }
            Self::Unknown | Self::Up { .. } | Self::Restarting { .. } => None,
        }
    }

    /// Returns true if the service stays down until somebody acts.
    pub fn is_down(&self) -> bool {
        matches!(self, Self::GivenUp { .. } | Self::Down { .. })
    }
}
