//! What hooks make of the words in which systemd tells of an end.

use crate::support::harness::Harness;

const FIRST: &str = "0123456789abcdef0123456789abcdef";
const SECOND: &str = "123456789abcdef0123456789abcdef0";

fn hook(machine: &Harness, words: &[&str], variables: &[(&str, &str)]) {
    let mut hook = machine.hook_command(words[0]);
    hook.args(["--supervisor", "systemd", "--job", "web"]);
    hook.args(&words[1..]).envs(variables.iter().copied());
    assert!(hook.status().unwrap().success());
    machine.wait_for_workers();
    machine.settle();
}

#[test]
fn on_failure_that_comes_after_the_next_start_does_not_end_the_new_life() {
    let machine = Harness::new();
    for life in [FIRST, SECOND] {
        hook(&machine, &["pre-start"], &[("INVOCATION_ID", life)]);
        if life == FIRST {
            let end = [
                ("INVOCATION_ID", life),
                ("SERVICE_RESULT", "exit-code"),
                ("EXIT_CODE", "exited"),
                ("EXIT_STATUS", "1"),
            ];
            hook(&machine, &["post-stop"], &end);
        }
    }
    // So systemd 257 says it: of the unit as it is by now.
    let late = [
        ("INVOCATION_ID", "23456789abcdef0123456789abcdef01"),
        ("MONITOR_INVOCATION_ID", SECOND),
        ("MONITOR_SERVICE_RESULT", "success"),
    ];
    hook(&machine, &["post-stop", "on-failure"], &late);
    assert_eq!(machine.reports().len(), 1);
    assert!(machine.markers().contains(&"web".to_owned()));
}
