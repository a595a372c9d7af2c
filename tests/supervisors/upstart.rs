//! The imitation of Upstart (`tests/support/upstart.rs`): the real one is in no Debian of today.

use crate::now::{self, Row, row};
use crate::support::harness::{Harness, SERVE};
use crate::support::upstart::State;

/// What happened to each job, and what people hear of it.
const TABLE: [Row; 5] = [
    row(
        "crash, then a respawn",
        "back",
        &[
            ("crashed: exit code 1", "restarting (Upstart)"),
            ("is up again", "up again since "),
        ],
    ),
    row(
        "given up (respawning too fast)",
        "given-up",
        &[
            ("crashed: exit code 1", ""),
            (
                "is down: ",
                "down: Upstart has given up (respawning too fast)",
            ),
            (
                "is down, after ",
                "down: Upstart has given up (respawning too fast)",
            ),
            (
                "has been down for ",
                "down: Upstart has given up (respawning too fast)",
            ),
        ],
    ),
    row(
        "crash without respawn",
        "once",
        &[
            (
                "crashed, and is down: exit code 1",
                "down: nothing restarts it (no respawn)",
            ),
            (
                "has been down for ",
                "down: nothing restarts it (no respawn)",
            ),
        ],
    ),
    row("stop", "stopped", &[]),
    row("restart", "restarted", &[]),
];

#[test]
fn each_message_says_how_things_stand_with_the_job_now() {
    let machine = Harness::new();
    machine.keep_messages();
    machine.install_initctl();

    let hook = machine.hook("post-stop");
    let back = format!(
        "respawn\n{}post-stop {}",
        machine.end_once("exit 1"),
        machine.gated(&hook)
    );
    let mut back = machine.job("back", &back);
    back.start();
    back.wait_until("the message", |_| !machine.messages().is_empty());
    machine.open_gate();
    back.wait_for_life(2);

    let given_up = "respawn\nrespawn limit 2 60\nexec sh -c 'exit 1'\n";
    let mut given_up = machine.job("given-up", given_up);
    given_up.begin_start(&[]);
    given_up.wait_for(State::PostStop);
    given_up.wait_for(State::Waiting);
    machine.wait_for_messages("given-up", 2, Some("0s"));

    let mut once = machine.job("once", "exec sh -c 'exit 1'\n");
    once.begin_start(&[]);
    once.wait_for(State::PostStop);
    once.wait_for(State::Waiting);
    machine.wait_for_messages("once", 1, None);

    let mut stopped = machine.job("stopped", SERVE);
    stopped.start();
    stopped.stop();
    let mut restarted = machine.job("restarted", SERVE);
    restarted.start();
    restarted.restart();

    machine.look("11m");
    machine.look("72m");
    now::check("upstart (imitation)", &TABLE, || machine.messages());
    back.stop();
    restarted.stop();
}
