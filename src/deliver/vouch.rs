//! Decides what a report of a user's hook may say. Whose service it is and where it runs is our
//! config's word, never the report's.

use std::path::Path;

use crate::catch::pending;
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
    pending::disown(report);
    // Root would look there.
    report.stop.directory = None;
    report.user_name = accounts::of(uid, &deliverer.host).map(|account| account.name);
    if names(&loaded, uid, &deliverer.host) {
        adopt(report, loaded, deliverer);
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
    disbelieve(report, uid, deliverer);
}

/// Does the same with a report from a chroot. It is one of the job whose file names the chroot, and
/// the user of its hooks there, or root.
pub fn prepare_from_chroot(report: &mut Report, uid: u32, chroot: &Path, deliverer: &Deliverer) {
    let loaded = config::load(&deliverer.places.config, &report.stop.job);
    loaded.redactor.report(report);
    pending::disown(report);
    report.stop.directory = None;
    let account = accounts::of(uid, &deliverer.host);
    let name = account.map_or_else(|| uid.to_string(), |account| account.name);
    report.user_name = Some(format!("{name} in {}", chroot.display()));
    let is_user = match &loaded.job.user {
        Some(_) => names(&loaded, uid, &deliverer.host),
        None => uid == 0,
    };
    if is_user && loaded.job.chroot.as_deref() == Some(chroot) {
        adopt(report, loaded, deliverer);
    } else {
        disbelieve(report, uid, deliverer);
    }
}

/// Makes it the report of a job that the config gives to its user.
fn adopt(report: &mut Report, loaded: Loaded, deliverer: &Deliverer) {
    report.host = deliverer.host.name();
    review(report, &loaded, &deliverer.host, deliverer.now());
    loaded.redactor.report(report);
    report.runbook = loaded.job.runbook;
}

/// Makes it a claim.
fn disbelieve(report: &mut Report, uid: u32, deliverer: &Deliverer) {
    report.host = deliverer.host.name();
    report.make_a_claim(uid);
    report.runbook = config::load(&deliverer.places.config, &report.stop.job)
        .job
        .runbook;
}

/// Returns true if the job's hooks run as this user, as far as the config says.
fn names(loaded: &Loaded, uid: u32, host: &Host) -> bool {
    let user = loaded.job.user.as_ref();
    user.is_some_and(|user| accounts::identity(user, host).is_ok_and(|user| user.uid == uid))
}
