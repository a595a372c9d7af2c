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
    /// The service runs, but its last life was short, and this one is no longer yet.
    JustUp {
        since: Timestamp,
        /// How long it has been up, in seconds.
        for_s: f64,
        /// How long its last life was, in seconds.
        last_s: f64,
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
    /// Somebody has stopped the service since, and it is to stay so.
    Stopped {
        /// When or how that was, in a few words: `as planned, at 2026-11-23 03:00:02 UTC`.
        because: String,
    },
    /// Several services of the job, each as it is known.
    Several {
        /// Their number.
        of: usize,
        /// The number of those that run.
        up: usize,
        /// The others of which something is known.
        others: Vec<OtherService>,
    },
    /// The service does not run, and stays so.
    Down {
        /// The reason, in a few words: `nothing restarts it (no respawn)`.
        because: String,
    },
}

/// One of several services, which does not run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OtherService {
    /// `web (2)`.
    pub service: String,
    pub now: Condition,
}

impl Condition {
    /// Returns the reasons, if there are some.
    pub fn reasons(&mut self) -> Vec<&mut String> {
        match self {
            Self::GivenUp { because, .. }
            | Self::Waiting { because }
            | Self::Stopped { because }
            | Self::Down { because } => vec![because],
            Self::Several { others, .. } => {
                let all = others.iter_mut().flat_map(|other| other.now.reasons());
                all.collect()
            }
            Self::Unknown | Self::Up { .. } | Self::JustUp { .. } | Self::Restarting { .. } => {
                Vec::new()
            }
        }
    }

    /// Returns the condition of a service whose runs are to end, and whose last one ended well.
    pub fn ran_well() -> Self {
        Self::Waiting {
            because: "its last run ended well".to_owned(),
        }
    }

    /// Returns true if the service runs now, or was stopped since it ran.
    pub fn was_up(&self) -> bool {
        matches!(
            self,
            Self::Up { .. } | Self::JustUp { .. } | Self::Stopped { .. }
        )
    }

    /// Returns true if the service stays down until somebody acts.
    pub fn is_down(&self) -> bool {
        matches!(self, Self::GivenUp { .. } | Self::Down { .. })
    }
}
