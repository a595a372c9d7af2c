//! Kills at random moments, again and again, while services crash and reports are sent.

use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::rand::{GetRandomFlags, getrandom};

use super::killed::{Crashes, repeats, violations};
use crate::machine::Machine;
use crate::table;
use crate::victim::is_slow;

/// Number of crashes on one machine. More would only make each take longer, as the spool grows.
const BATCH: usize = 500;

fn kills() -> usize {
    if is_slow() { 10_000 } else { 50 }
}

/// Returns a random number below `end`.
fn below(end: u128) -> u128 {
    let mut bytes = [0; 8];
    getrandom(&mut bytes, GetRandomFlags::empty()).unwrap();
    u128::from(u64::from_ne_bytes(bytes)) % end.max(1)
}

fn sleep_up_to(most: Duration) {
    std::thread::sleep(Duration::from_nanos(
        u64::try_from(below(most.as_nanos())).unwrap(),
    ));
}

/// Returns the processes with one of these words on the command line.
fn running(machine: &Machine, verbs: &[&str]) -> Vec<Pid> {
    let has_verb = |pid: &Pid| {
        let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        line.split(|byte| *byte == 0)
            .any(|word| verbs.iter().any(|verb| verb.as_bytes() == word))
    };
    machine
        .harness
        .left_running()
        .into_iter()
        .filter(has_verb)
        .collect()
}

/// Kills one of these, if there is any. Returns true if it did.
fn kill_one(mut victims: Vec<Pid>) -> bool {
    if victims.is_empty() {
        return false;
    }
    let at = usize::try_from(below(victims.len() as u128)).unwrap();
    kill_process(victims.swap_remove(at), Signal::KILL).is_ok()
}

fn spawn_post_stop(machine: &Machine, job: &str) -> Child {
    machine.hook("post-stop", job).spawn().unwrap()
}

/// Measures a crash, from the hook's start until all our processes have ended.
fn measure(machine: &Machine) -> (Duration, Duration) {
    machine.start("learn");
    machine.die("learn");
    let began = Instant::now();
    assert!(spawn_post_stop(machine, "learn").wait().unwrap().success());
    let hook = began.elapsed();
    machine.settle();
    (hook, began.elapsed())
}

#[test]
fn hooks_and_their_helpers_killed_at_random_leave_one_report_each() {
    let began = Instant::now();
    let mut wrong = Vec::new();
    let (mut killed, mut tries, mut owed, mut repeated) = (0, 0, 0, 0);
    while killed < kills() {
        let machine = Machine::new();
        let (hook, _) = measure(&machine);
        let mut crashes = Crashes::from([("learn".to_owned(), vec![true])]);
        for _ in 0..BATCH.min(kills()) {
            if killed == kills() {
                break;
            }
            tries += 1;
            assert!(
                tries < 20 * kills(),
                "the kills come too late: {killed} of {tries}"
            );
            let job = format!("random-{tries}");
            machine.start(&job);
            machine.die(&job);
            let mut front = spawn_post_stop(&machine, &job);
            sleep_up_to(hook * 5 / 4);
            // Kills the hook itself in half of the tries, and one of its helpers in the other half.
            killed += usize::from(if below(2) == 0 {
                front.try_wait().unwrap().is_none() && front.kill().is_ok()
            } else {
                kill_one(running(&machine, &["catch", "adopt", "deliver", "attempt"]))
            });
            let status = front.wait().unwrap();
            let must = status.success() || machine.is_taken(&job);
            owed += usize::from(must);
            crashes.insert(job, vec![must]);
        }
        machine.settle();
        machine.deliver_all();
        wrong.extend(violations(&machine, &crashes));
        repeated += repeats(&machine);
    }
    let fault = format!(
        "random kills of hooks and helpers ({owed} of {tries} crashes owed, {repeated} repeated)"
    );
    table::row(&fault, killed, began.elapsed(), &wrong);
}

#[test]
fn deliverers_and_attempts_killed_at_random_send_everything_and_repeat_only_the_same_id() {
    let began = Instant::now();
    let mut wrong = Vec::new();
    let (mut killed, mut tries, mut repeated) = (0, 0, 0);
    while killed < kills() {
        let machine = Machine::new();
        let (hook, all) = measure(&machine);
        let mut crashes = Crashes::from([("learn".to_owned(), vec![true])]);
        for _ in 0..BATCH.min(kills()) {
            if killed == kills() {
                break;
            }
            tries += 1;
            assert!(
                tries < 20 * kills(),
                "the kills come too late: {killed} of {tries}"
            );
            let job = format!("random-{tries}");
            machine.start(&job);
            machine.die(&job);
            assert!(spawn_post_stop(&machine, &job).wait().unwrap().success());
            crashes.insert(job, vec![true]);
            // The hook has woken a deliverer. Now and then there is a second one.
            let second = (below(4) == 0).then(|| {
                let mut command = machine.harness.hook_command("deliver");
                command
                    .stdin(std::process::Stdio::null())
                    .stdout(std::process::Stdio::null());
                command.spawn().unwrap()
            });
            sleep_up_to(all.saturating_sub(hook) * 5 / 4);
            killed += usize::from(kill_one(running(&machine, &["deliver", "attempt"])));
            if let Some(mut second) = second {
                second.wait().unwrap();
            }
        }
        machine.settle();
        machine.deliver_all();
        wrong.extend(violations(&machine, &crashes));
        repeated += repeats(&machine);
    }
    let fault = format!(
        "random kills of deliverers and attempts ({tries} crashes, {repeated} repeated, same id)"
    );
    table::row(&fault, killed, began.elapsed(), &wrong);
}
