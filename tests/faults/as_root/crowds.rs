//! Large numbers: a thousand crashes at once, ten a second for ten minutes, a hundred thousand
//! entries.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::killed::{Crashes, repeats, violations};
use super::summaries::told;
use crate::machine::{Machine, Stage};
use crate::support::harness::{names_in, wait_for};
use crate::table;
use crate::victim::is_slow;

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

#[test]
fn services_that_crash_at_once_are_each_reported_once() {
    let began = Instant::now();
    let machine = Machine::new();
    let mut wrong = Vec::new();
    let jobs: Vec<_> = (0..if is_slow() { 1000 } else { 100 })
        .map(|number| format!("crowd-{number}"))
        .collect();
    for job in &jobs {
        machine.start(job);
    }
    for job in &jobs {
        machine.die(job);
    }
    let mut hooks: Vec<(Instant, Child)> = jobs
        .iter()
        .map(|job| {
            (
                Instant::now(),
                machine.hook("post-stop", job).spawn().unwrap(),
            )
        })
        .collect();
    let mut times = Vec::new();
    wait_for("the end of the hooks", || {
        hooks.retain_mut(|(began, hook)| match hook.try_wait().unwrap() {
            None => true,
            Some(status) => {
                times.push(began.elapsed());
                if !status.success() {
                    wrong.push(format!("a hook ended with {status}"));
                }
                false
            }
        });
        hooks.is_empty()
    });
    machine.settle();
    machine.deliver_all();
    wrong.extend(violations(
        &machine,
        &jobs
            .iter()
            .map(|job| (job.clone(), vec![true]))
            .collect::<Crashes>(),
    ));
    if repeats(&machine) > 0 {
        wrong.push(format!("{} reports came twice", repeats(&machine)));
    }
    let (half, most) = (percentile(&mut times, 50), percentile(&mut times, 99));
    let fault = format!(
        "{} crashes at once (hooks: p50 {half:.0?}, p99 {most:.0?})",
        jobs.len()
    );
    table::row(&fault, jobs.len(), began.elapsed(), &wrong);
}

/// Starts a deliverer that watches the spool until it is killed.
fn watcher(machine: &Machine) -> Child {
    let mut command = machine.harness.hook_command("deliver");
    command
        .arg("--watch")
        .env("PATH", crate::support::process::PATH)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn a_loop_of_ten_crashes_a_second_under_two_deliverers_is_counted_in_full() {
    let began = Instant::now();
    let machine = Machine::new();
    let mut watchers = [watcher(&machine), watcher(&machine)];
    let length = Duration::from_secs(if is_slow() { 600 } else { 5 });
    let mut wrong = Vec::new();
    let mut times = Vec::new();
    while began.elapsed() < length {
        let next = began + Duration::from_millis(100) * u32::try_from(times.len() + 1).unwrap();
        machine.start("loop");
        machine.die("loop");
        let hook = Instant::now();
        let status = machine.hook("post-stop", "loop").status().unwrap();
        times.push(hook.elapsed());
        if !status.success() {
            wrong.push(format!("a hook ended with {status}"));
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    wait_for("the delivery of all", || {
        names_in(&machine.harness.spool.join("new")).is_empty()
    });
    for watcher in &mut watchers {
        if let Some(status) = watcher.try_wait().unwrap() {
            wrong.push(format!("a deliverer gave up: {status}"));
        }
        let _ = watcher.kill();
        watcher.wait().unwrap();
    }
    machine.settle();
    let crashes = Crashes::from([("loop".to_owned(), vec![true; times.len()])]);
    // The last summary would be due in an hour.
    machine
        .harness
        .hook_command("deliver")
        .args(["--later", "70m"])
        .status()
        .unwrap();
    wrong.extend(violations(&machine, &crashes));
    let told = told(&machine, "loop");
    if told.iter().sum::<u64>() != u64::try_from(times.len()).unwrap() {
        wrong.push(format!(
            "{} crashes, of which the messages told {told:?}",
            times.len()
        ));
    }
    if repeats(&machine) > 0 {
        wrong.push(format!("{} reports came twice", repeats(&machine)));
    }
    let tries = times.len();
    let (half, most) = (percentile(&mut times, 50), percentile(&mut times, 99));
    let fault = format!(
        "10 crashes a second for {} s, two deliverers ({} messages; hooks: p50 {half:.0?}, p99 {most:.0?})",
        length.as_secs(),
        told.len()
    );
    table::row(&fault, tries, began.elapsed(), &wrong);
}

/// Puts copies of the only report into the spool, each with an id of its own.
fn multiply(machine: &Machine, from: &str, to: &str, times: usize) {
    let name = names_in(&machine.harness.spool.join(from)).remove(0);
    let entry = fs::read_to_string(machine.harness.spool.join(from).join(&name)).unwrap();
    let (json, _) = entry.trim_end().rsplit_once('\n').unwrap();
    let (time, _) = name.split_once('-').unwrap();
    for number in 0..times {
        let id = format!("{time}-{number:016x}");
        let json = json.replace(&name, &id) + "\n";
        let trailer = format!(
            "lastwords-entry 1 {} {:08x}\n",
            json.len(),
            crc32fast::hash(json.as_bytes())
        );
        fs::write(machine.harness.spool.join(to).join(id), json + &trailer).unwrap();
    }
}

/// Checks that the newest crash among many old ones is caught and sent in time, and that the
/// deliverer finishes its pass.
#[test]
fn a_crash_is_sent_in_time_though_the_spool_is_full_of_old_ones() {
    let began = Instant::now();
    let machine = Machine::new();
    let entries = if is_slow() { 100_000 } else { 2_000 };
    let asleep = Stage {
        asleep: true,
        ..Stage::default()
    };
    machine.crash("old", &asleep);
    machine.deliver_all();
    multiply(&machine, "done", "done", entries);
    let hook = Instant::now();
    let status = machine.crash("new", &asleep).status;
    let caught = hook.elapsed();
    let pass = Instant::now();
    machine.deliver_all();
    let sent = pass.elapsed();
    let mut wrong = Vec::new();
    if !status.success() || caught > Duration::from_secs(4) {
        wrong.push(format!("the hook ended with {status} after {caught:?}"));
    }
    if !machine.sunk().contains_key("new") {
        wrong.push("the new crash was not told of".into());
    }
    let fault =
        format!("{entries} entries in the spool (caught in {caught:.0?}, told of in {sent:.0?})");
    table::row(&fault, entries, began.elapsed(), &wrong);
}
