//! Takes over the conversations of the version before, which were about groups of crashes. Each
//! goes on as a part of the conversation about its job. It may go with the next version.

use anyhow::Result;
use serde::Deserialize;

use crate::deliver::conversation::{Conversation, bare};
use crate::deliver::deliverer::{Deliverer, sink_lock};
use crate::deliver::flood::Thread;
use crate::deliver::flood::old::OldThread;
use crate::deliver::pass::by_whom;
use crate::report::{Report, SinkKey};

/// The conversation with one sink about one group, as the version before kept it.
#[derive(Deserialize)]
struct OldConversation {
    sink: SinkKey,
    about: Report,
    thread: OldThread,
}

/// Takes them over. Killed at any point, the next deliverer goes on.
pub fn take_over(deliverer: &Deliverer) -> Result<()> {
    let spool = deliverer.spool();
    let all: Vec<OldConversation> = spool.groups();
    for OldConversation {
        sink,
        about,
        thread,
    } in all
    {
        let lock = spool.lock(&sink_lock(&sink), deliverer.now().monotonic)?;
        let Some(_lock) = lock else { continue };
        let job = &about.stop.job;
        let name = by_whom(job, about.user);
        let old_name = by_whom(&format!("{job}\0{}", about.fingerprint), about.user);
        let kept: Option<Conversation> = spool.group(&sink, &name)?;
        let mut kept = kept.unwrap_or_else(|| Conversation {
            sink: sink.clone(),
            name: name.clone(),
            about: bare(about.clone()),
            talk: Thread::default(),
        });
        kept.talk.take_over(&about, thread);
        spool.write_group(&sink, &name, &kept)?;
        spool.forget_group(&sink, &old_name)?;
    }
    Ok(())
}
