//! Forgets the oldest conversations about a user's crashes, where there are too many: a user may
//! make up any number of causes. At worst the user's crashes are told again.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::deliver::conversation::Conversation;
use crate::deliver::deliverer::{Deliverer, sink_lock};
use crate::deliver::pass::group;
use crate::report::SinkKey;
use crate::spool::Place;

/// Maximum number of conversations with one sink about one user's crashes. As many may wait.
const MOST: usize = 100;

/// Forgets what is too much, of the conversations about crashes that no longer wait.
pub fn forget_the_oldest(deliverer: &Deliverer) -> Result<()> {
    let spool = &deliverer.spool;
    let mut of_users: BTreeMap<(SinkKey, u32), Vec<Conversation>> = BTreeMap::new();
    for kept in spool.groups::<Conversation>()? {
        if let Some(user) = kept.about.user {
            of_users
                .entry((kept.sink.clone(), user))
                .or_default()
                .push(kept);
        }
    }
    for ((sink, _), mut kept) in of_users {
        let too_many = kept.len().saturating_sub(MOST);
        if too_many == 0 {
            continue;
        }
        let Some(_lock) = spool.lock(&sink_lock(&sink), deliverer.now().monotonic)? else {
            continue;
        };
        kept.sort_by(|a, b| a.about.id.cmp(&b.about.id));
        let settled = kept
            .iter()
            .filter(|kept| spool.find(&kept.about.id) != Some(Place::New));
        for kept in settled.take(too_many) {
            spool.forget_group(&sink, &group(&kept.about))?;
        }
    }
    Ok(())
}
