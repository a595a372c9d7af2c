//! Keeps the conversation with one sink about one group of crashes.

use serde::{Deserialize, Serialize};

use crate::deliver::flood::Thread;
use crate::report::{Report, SinkKey};

/// The conversation with one sink about one group of crashes, as the spool keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    pub sink: SinkKey,
    /// One crash of the group, without its sections. A summary takes from it what all have in
    /// common.
    pub about: Report,
    /// Messages to the sink, and crashes that are counted for its next one.
    pub thread: Thread,
}
