//! Several deliverers, and deliverers that are frozen or delayed. Each report comes once, and none
//! waits for ever.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::answers::{Deliverer, Sender};
use crate::support::harness::{names_in, wait_for, wait_for_some};
use crate::support::stand_in::{StandIn, http};
use crate::victim::tell;

/// Pause of `deliver --watch` between two passes.
const TICK: Duration = Duration::from_secs(2);

#[test]
fn with_several_deliverers_at_once_each_report_comes_once() {
    let mut sender = Sender::new();
    let slack = StandIn::http(http("200 OK", "", "ok"));
    sender.slack(
        "slack",
        &format!("http://127.0.0.1:{}/services/x", slack.port),
    );
    let told = sender.machine.path("told");
    let keep = format!(
        "sed -n \"s/^  \\\"id\\\": //p\" \"$LASTWORDS_REPORT_DIR/report.json\" >>{}",
        told.display()
    );
    sender.sink("exec", "told", &format!("command = ['sh', '-c', '{keep}']"));
    for number in 0..20 {
        sender.put(number);
    }
    let mut deliverers: Vec<_> = (0..4)
        .map(|_| Deliverer(sender.deliver(&[]).spawn().unwrap()))
        .collect();
    for deliverer in &mut deliverers {
        assert!(deliverer.0.wait().unwrap().success());
    }
    assert!(sender.deliver(&[]).status().unwrap().success());
    let mut times = BTreeMap::new();
    for id in fs::read_to_string(&told).unwrap().lines() {
        *times.entry(id.to_owned()).or_insert(0) += 1;
    }
    assert!(times.values().all(|&times| times == 1), "{times:?}");
    assert_eq!((times.len(), slack.heard().len()), (20, 20));
    tell("deliverers: 4 at once, 20 reports, 2 sinks", &[]);
}

#[test]
fn a_report_stays_until_its_service_is_known_to_be_down() {
    let mut sender = Sender::new();
    sender.sink("exec", "takes", "command = ['true']");
    let id = sender.put(0);
    let spool = sender.machine.spool.clone();
    let noted = spool.join("state/outages/web-0%00%00");
    let deliver = || assert!(sender.deliver(&[]).status().unwrap().success());

    // As a deliverer does that looks at the services for long, and is killed then.
    fs::create_dir_all(spool.join("lock")).unwrap();
    let other = File::create(spool.join("lock/%00%00outages")).unwrap();
    other.lock().unwrap();
    deliver();
    assert!(sender.ledger(&id, "takes").unwrap().was_sent());
    assert_eq!(names_in(&spool.join("new")), [id.as_str()]);
    assert!(!noted.exists());

    drop(other);
    deliver();
    assert!(spool.join("done").join(id.as_str()).exists());
    assert!(noted.exists());
    tell("deliverers: one is killed while it notes who is down", &[]);
}

#[test]
fn a_sink_that_hangs_does_not_delay_the_next_try_of_another() {
    let mut sender = Sender::new();
    // A try of this sink takes longer than the other sink's pause.
    sender.sink(
        "exec",
        "hangs",
        "command = ['sleep', '1000']\ntimeout = '25s'",
    );
    let once = sender.machine.path("once").display().to_string();
    let second = format!("[ -e {once} ] || {{ : >{once}; exit 1; }}");
    sender.sink(
        "exec",
        "second",
        &format!("command = ['sh', '-c', '{second}']"),
    );
    let id = sender.put(2);
    let _deliverer = Deliverer(sender.deliver(&["--watch"]).spawn().unwrap());
    let first = wait_for_some("the first try", || sender.ledger(&id, "second"));
    let due = first.next_try.expect("a next try");
    let ledger = wait_for_some("the second try", || {
        sender
            .ledger(&id, "second")
            .filter(|ledger| ledger.attempts == 2)
    });
    assert!(ledger.was_sent(), "{ledger:?}");
    let late = ledger
        .last_try
        .unwrap()
        .time()
        .duration_since(due.time())
        .unwrap_or_default();
    assert!(
        late < TICK * 3,
        "{late:?} too late: it waited for the sink that hangs"
    );
    tell(
        "deliverer: --watch, one sink hangs, another is due again",
        &[late],
    );
}

#[test]
fn a_report_that_comes_while_a_sink_hangs_is_sent_to_the_others_at_once() {
    let mut sender = Sender::new();
    sender.sink(
        "exec",
        "hangs",
        "command = ['sleep', '1000']\ntimeout = '25s'",
    );
    sender.sink("exec", "well", "command = ['true']");
    let first = sender.put(2);
    let _deliverer = Deliverer(sender.deliver(&[]).spawn().unwrap());
    wait_for("the first report", || {
        sender
            .ledger(&first, "well")
            .is_some_and(|ledger| ledger.was_sent())
    });
    // Wakes the deliverer, as a hook with a report does.
    let second = sender.put(3);
    let _nudged = Deliverer(sender.deliver(&[]).spawn().unwrap());
    wait_for("the second report", || {
        sender
            .ledger(&second, "well")
            .is_some_and(|ledger| ledger.was_sent())
    });
    assert!(sender.ledger(&first, "hangs").is_none(), "it still hangs");
    tell(
        "deliverer: a second report while a sink hangs on the first",
        &[],
    );
}

#[test]
fn a_frozen_deliverer_delays_no_other_sink() {
    let mut sender = Sender::new();
    let went = sender.machine.path("went").display().to_string();
    sender.sink(
        "exec",
        "held",
        &format!("command = ['sh', '-c', ': >{went}; exec sleep 5']"),
    );
    let first = sender.put(2);
    let frozen = Deliverer(sender.deliver(&[]).spawn().unwrap());
    wait_for("the first try", || std::path::Path::new(&went).exists());
    let pid = Pid::from_child(&frozen.0);
    kill_process(pid, Signal::STOP).unwrap();
    sender.sink("exec", "free", "command = ['true']");
    let _other = Deliverer(sender.deliver(&["--watch"]).spawn().unwrap());
    wait_for("the other sink", || {
        sender
            .ledger(&first, "free")
            .is_some_and(|ledger| ledger.was_sent())
    });
    kill_process(pid, Signal::CONT).unwrap();
    wait_for("the held one", || {
        sender
            .ledger(&first, "held")
            .is_some_and(|ledger| ledger.was_sent())
    });
    tell("deliverer: frozen while it holds a sink", &[]);
}

/// The message under way when the first deliverer was frozen may come twice, under the same id. The
/// other deliverer sends the rest.
#[test]
fn a_frozen_deliverer_whose_sink_another_has_taken_over_sends_nothing_more() {
    let mut sender = Sender::new();
    let (freeze, told) = (sender.machine.path("freeze"), sender.machine.path("told"));
    // The sink takes the message, and then stops the deliverer that has started its try.
    let script = format!(
        "sed -n \"s/^  \\\"id\\\": \\\"\\(.*\\)\\\",/\\1/p\" \"$LASTWORDS_REPORT_DIR/report.json\" >>{told}; \
         [ ! -e {freeze} ] || {{ rm {freeze}; kill -STOP $(cut -d\" \" -f4 /proc/$PPID/stat); }}",
        told = told.display(),
        freeze = freeze.display(),
    );
    sender.sink(
        "exec",
        "one",
        &format!("command = ['sh', '-c', '{script}']\ntimeout = '1m'"),
    );
    let (first, second) = (sender.put(2), sender.put(3));
    let heard = || {
        fs::read_to_string(&told)
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    fs::write(&freeze, "").unwrap();
    let mut frozen = Deliverer(sender.deliver(&[]).spawn().unwrap());
    let pid = Pid::from_child(&frozen.0);
    let state = || fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap();
    wait_for("the frost", || state().contains(") T "));
    assert_eq!(heard(), [first.as_str()]);
    assert!(sender.deliver(&[]).status().unwrap().success());
    assert_eq!(heard(), [first.as_str()], "it may just be slow");
    assert!(
        sender
            .deliver(&["--later", "10m"])
            .status()
            .unwrap()
            .success()
    );
    let all = [first.as_str(), first.as_str(), second.as_str()];
    assert_eq!(heard(), all);

    kill_process(pid, Signal::CONT).unwrap();
    assert!(frozen.0.wait().unwrap().success());
    assert!(sender.deliver(&[]).status().unwrap().success());
    assert_eq!(heard(), all);
    assert!(
        [first, second].iter().all(|id| sender
            .machine
            .spool
            .join("done")
            .join(id.as_str())
            .exists())
    );
    tell(
        "deliverer: frozen for so long that another takes its sink over",
        &[],
    );
}
