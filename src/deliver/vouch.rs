//! Decides what a report of a user's hook may say. Whose service it is and where it runs is our
//! config's word, never the report's.

use crate::catch::review::review;
use crate::config::{self, Loaded};
use crate::deliver::deliverer::Deliverer;
use crate::report::Report;
use crate::{accounts, host::Host};

/// Makes a report one of ours: takes its secrets out, and what a user may not say in it.
pub fn prepare(report: &mut Report, user: Option<u32>, deliverer: &Deliverer) {
    let config = &deliverer.places.config;
    let loaded = config::load(config, &report.stop.job);
    // The hook may not have been able to read what the config calls secret.
    loaded.redactor.report(report);
    let Some(uid) = user else { return };
    report.host = deliverer.host.name();
    report.user_name = accounts::of(uid, &deliverer.host).map(|account| account.name);
    if names(&loaded, uid, &deliverer.host) {
        review(report, &loaded, &deliverer.host, deliverer.now());
        loaded.redactor.report(report);
        report.runbook = loaded.job.runbook;
        return;
    }
    let file = config::job_file(config, &report.stop.job);
    report.notes.insert(
        1,
        format!(
            "if this service runs as that user, say so with `user = \"{}\"` in {}",
            report.user_name.as_ref().unwrap_or(&uid.to_string()),
            file.display()
        ),
    );
    report.make_a_claim(uid);
    report.runbook = config::load(config, &report.stop.job).job.runbook;
}

/// Returns true if the job's hooks run as this user, as far as the config says.
fn names(loaded: &Loaded, uid: u32, host: &Host) -> bool {
    let user = loaded.job.user.as_ref();
    user.is_some_and(|user| accounts::identity(user, host).is_ok_and(|user| user.uid == uid))
}
