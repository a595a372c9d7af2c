//! supervisord: one listener for all programs, in a file that its own one includes.

use crate::host::Host;
use crate::supervisor::caller::Caller;
use crate::supervisor::plan::{ByHand, Draft, Plan};
use crate::supervisor::supervisord::files::{self, CHILD_LOGS, SUPERVISORD_LOG};
use crate::supervisor::{Supervise, services};

const LISTENER: &str = include_str!("../../../config/supervisor/lastwords.conf");
const DELIVERER: &str = "
[program:lastwords-deliver]
command=/usr/bin/lastwords deliver --watch
";

pub fn plan(by: &dyn Supervise, job: &str, host: &Host, caller: &Caller) -> Plan {
    let mut plan = Plan {
        found: services::found(by, job, host),
        ..Plan::default()
    };
    let text = caller.fill(&[LISTENER, DELIVERER].concat(), job);
    let call = format!("listen supervisord{}", log_flags(host));
    let text = text.replacen("listen supervisord", &call, 1);
    let included = files::included(host);
    if let Some(listener) = files::listener(host) {
        let file = listener.file.display();
        plan.already
            .push(format!("{file} [eventlistener:{}]", listener.name));
    } else if let Some(pattern) = included.iter().find(|pattern| pattern.contains('*')) {
        let name = pattern.replace('*', "lastwords");
        plan.files.push(Draft::ours(&name, host.path(&name), text));
    } else {
        let file = files::main_file(host).unwrap_or_default();
        plan.by_hand.push(ByHand {
            file,
            why: "it includes no other file: let it end with".to_owned(),
            text,
        });
    }
    plan.activate = vec![
        "supervisorctl update lastwords lastwords-deliver     # touches no other program"
            .to_owned(),
    ];
    plan
}

/// Returns the listener's flags for logs that are not where Debian has them.
fn log_flags(host: &Host) -> String {
    let flags = [
        ("logfile", "--supervisord-log", SUPERVISORD_LOG),
        ("childlogdir", "--child-logs", CHILD_LOGS),
    ];
    let flag = |(key, flag, usual): &(&str, &str, &str)| {
        let path = files::path_of(key, host).filter(|path| path != usual)?;
        Some(format!(" {flag} {path}"))
    };
    flags.iter().filter_map(flag).collect()
}
