//! Whole histories, second by second: a service, a sink, and what the sink hears.

use std::time::Duration;

use crate::deliver::flood::{Crash, Thread};
use crate::report::{Kind, ReportId, Timestamp};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const START: u64 = 1_800_000_000;

/// One group and one sink. From one second to the next it remembers only what would be on the disk.
struct World {
    disk: String,
    now: u64,
    /// The time by a clock that nobody sets.
    up_since: Option<u64>,
    uptime_clock: u64,
    sink_is_up: bool,
    crashes: u64,
    /// What the sink heard, each with the second.
    heard: Vec<(u64, String)>,
    told: u64,
}

impl World {
    fn new() -> Self {
        let disk = serde_json::to_string(&Thread::default()).unwrap();
        let (heard, up_since) = (Vec::new(), Some(0));
        Self {
            disk,
            now: START,
            up_since,
            uptime_clock: 0,
            sink_is_up: true,
            crashes: 0,
            heard,
            told: 0,
        }
    }

    fn thread(&self) -> Thread {
        serde_json::from_str(&self.disk).unwrap()
    }

    fn at(&self) -> Timestamp {
        Timestamp::of_unix(self.now)
    }

    /// The decision that is not kept yet.
    fn decided(&self, crashes: &[Crash]) -> Thread {
        let mut thread = self.thread();
        let up = self
            .up_since
            .map(|since| Duration::from_secs(self.uptime_clock - since));
        thread.decide("web", crashes, up, self.at());
        thread
    }

    fn keep(&mut self, thread: &Thread) {
        // The deliverer does the same with crashes that have left `new/`.
        let mut kept = thread.clone();
        kept.counted = thread
            .counted
            .clone()
            .into_iter()
            .next_back()
            .into_iter()
            .collect();
        self.disk = serde_json::to_string(&kept).unwrap();
    }

    /// Makes one pass of the deliverer, with this many new crashes.
    fn pass(&mut self, new: u64) {
        let crash = |n| Crash {
            id: ReportId::new(self.at(), n),
            at: self.at(),
            instance: None,
        };
        let crashes: Vec<_> = (self.crashes..self.crashes + new).map(crash).collect();
        self.crashes += new;
        let mut thread = self.decided(&crashes);
        // A kill may follow each step. A crash that was taken in is not taken in again.
        while self.sink_is_up
            && let Some(message) = thread.open.clone()
        {
            self.hear(&message.kind);
            thread.taken(self.at());
            self.keep(&thread);
            thread = self.decided(&[]);
        }
        self.keep(&thread);
    }

    fn hear(&mut self, kind: &Kind) {
        let count = match kind {
            Kind::Crash => 1,
            Kind::Summary { new, .. } => new.count,
            Kind::Recovered { new, .. } => new.map_or(0, |new| new.count),
            Kind::Notice => panic!("a notice of a group"),
        };
        self.told += count;
        let what = match kind {
            Kind::Crash => "crash".to_owned(),
            Kind::Summary { .. } => format!("summary {count}"),
            _ => format!("recovered {count}"),
        };
        self.heard.push((self.uptime_clock, what));
    }

    /// Runs this many seconds, with this many crashes in each.
    fn run(&mut self, seconds: u64, crashes: u64) -> &mut Self {
        self.tick(1, seconds, crashes)
    }

    /// Runs this many seconds, with a pass of this many crashes in each `step` of them.
    fn tick(&mut self, step: u64, seconds: u64, crashes: u64) -> &mut Self {
        for _ in 0..seconds / step {
            if crashes > 0 {
                self.up_since = Some(self.uptime_clock);
            }
            self.pass(crashes);
            self.now += step;
            self.uptime_clock += step;
        }
        self
    }

    /// Returns what was heard and when, and checks that every crash was told or counted.
    fn heard(&self) -> Vec<(u64, &str)> {
        assert_eq!(
            self.told + self.thread().waiting() + self.on_its_way(),
            self.crashes,
            "every crash is counted once"
        );
        self.heard
            .iter()
            .map(|(when, what)| (*when, what.as_str()))
            .collect()
    }

    fn on_its_way(&self) -> u64 {
        self.thread()
            .open
            .and_then(|message| message.new)
            .map_or(0, |new| new.count)
    }

    /// Returns the largest number of messages within an hour.
    fn most_an_hour(&self) -> usize {
        let within = |from: u64| {
            self.heard
                .iter()
                .filter(|(when, _)| (from..from + HOUR).contains(when))
                .count()
        };
        self.heard
            .iter()
            .map(|(when, _)| within(*when))
            .max()
            .unwrap_or_default()
    }
}

#[test]
fn one_crash_is_told_at_once_and_that_it_is_up_again_after_ten_minutes() {
    let mut world = World::new();
    world.run(1, 1).run(HOUR, 0);
    assert_eq!(world.heard(), [(0, "crash"), (600, "recovered 0")]);
    world.run(HOUR, 0);
    assert!(
        world.thread().is_over(world.at()),
        "there is nothing to remember"
    );
}

#[test]
fn ten_crashes_a_second_for_ten_minutes_make_three_messages() {
    let mut world = World::new();
    world.run(10 * MINUTE, 10).run(HOUR, 0);
    // The last crash was in second 599.
    assert_eq!(
        world.heard(),
        [
            (0, "crash"),
            (300, "summary 3009"),
            (1199, "recovered 2990")
        ]
    );
}

#[test]
fn a_thousand_crashes_a_minute_for_three_hours_make_a_summary_an_hour() {
    let mut world = World::new();
    world.tick(6, 3 * HOUR, 100);
    let told: Vec<_> = world
        .heard()
        .into_iter()
        .map(|(when, what)| (when, what.split(' ').next().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            (0, "crash"),
            (300, "summary"),
            (3900, "summary"),
            (7500, "summary")
        ]
    );
    assert!(world.most_an_hour() <= 6);
}

#[test]
fn however_often_it_goes_up_and_down_there_are_six_messages_an_hour_and_every_crash_is_counted() {
    for period in [11 * MINUTE, 12 * MINUTE, 15 * MINUTE, 21 * MINUTE] {
        let mut world = World::new();
        for _ in 0..40 {
            world.run(1, 3).tick(7, period, 0);
        }
        world.run(2 * HOUR, 0);
        assert!(world.most_an_hour() <= 6, "{:?}", world.heard());
        assert_eq!(world.thread().waiting(), 0);
        assert!(world.heard().last().unwrap().1.starts_with("recovered"));
    }
}

#[test]
fn a_crash_after_it_was_up_again_is_told_at_once() {
    let mut world = World::new();
    world
        .run(1, 1)
        .run(20 * MINUTE, 0)
        .run(1, 1)
        .run(20 * MINUTE, 0);
    assert_eq!(
        world.heard(),
        [
            (0, "crash"),
            (600, "recovered 0"),
            (1201, "crash"),
            (1801, "recovered 0")
        ]
    );
}

#[test]
fn a_service_that_stays_down_is_not_called_up_again_and_its_next_crash_is_news() {
    let mut world = World::new();
    world.run(1, 1);
    world.up_since = None;
    world.run(HOUR, 0);
    assert_eq!(world.heard(), [(0, "crash")]);
    world.run(1, 1);
    assert_eq!(world.heard(), [(0, "crash"), (3601, "crash")]);
}

#[test]
fn a_sink_that_was_down_gets_one_message_and_then_a_summary_of_all_that_it_missed() {
    let mut world = World::new();
    world.sink_is_up = false;
    world.tick(10, 3 * HOUR, 100);
    assert_eq!(world.heard(), []);
    world.sink_is_up = true;
    world.tick(10, 10 * MINUTE, 100);
    // 108,000 crashes while it was down, one of them told; then 100 in ten seconds, up to those in
    // second 300.
    assert_eq!(
        world.heard(),
        [(10_800, "crash"), (11_100, "summary 111099")]
    );
}

#[test]
fn a_sink_that_comes_back_after_it_all_hears_of_the_crash_and_of_its_end() {
    let mut world = World::new();
    world.sink_is_up = false;
    world.run(MINUTE, 1).run(HOUR, 0);
    world.sink_is_up = true;
    world.run(1, 0);
    assert_eq!(world.heard(), [(3660, "crash"), (3660, "recovered 59")]);
}

#[test]
fn what_a_sink_refuses_is_in_the_next_message_and_it_is_not_asked_at_every_crash() {
    let mut world = World::new();
    world.sink_is_up = false;
    let mut offered = Vec::new();
    for second in 0..2 * HOUR {
        world.run(1, 1);
        let mut thread = world.thread();
        if let Some(message) = &thread.open {
            offered.push((second, message.id.clone()));
            thread.refused(world.at());
            world.keep(&thread);
        }
    }
    let times: Vec<_> = offered.iter().map(|(second, _)| *second).collect();
    assert_eq!(times, [0, 301, 3902]);
    assert!(
        offered.windows(2).all(|two| two[0].1 != two[1].1),
        "no message has another's id"
    );
    world.sink_is_up = true;
    world.run(HOUR, 0);
    assert_eq!(
        world.heard(),
        [(7503, "summary 7200"), (7799, "recovered 0")]
    );
}

#[test]
fn a_clock_set_by_years_holds_no_message_back_and_makes_no_flood() {
    const TEN_YEARS: i64 = 10 * 365 * 24 * 3600;
    for jump in [TEN_YEARS, -TEN_YEARS, 3600, -3600, 1800, -1800] {
        let mut world = World::new();
        world.tick(10, 7 * MINUTE, 10);
        world.now = world.now.checked_add_signed(jump).unwrap();
        world.tick(10, 2 * HOUR, 10);
        world.now = world.now.checked_add_signed(-jump).unwrap();
        world.tick(10, 3 * HOUR, 10).tick(10, 2 * HOUR, 0);
        let heard = world.heard();
        assert!((5..=11).contains(&heard.len()), "{jump}: {heard:?}");
        assert!(world.most_an_hour() <= 6, "{jump}: {heard:?}");
        assert_eq!(world.thread().waiting(), 0);
        let gaps = heard
            .windows(2)
            .map(|two| two[1].0 - two[0].0)
            .max()
            .unwrap();
        assert!(gaps <= 2 * HOUR + MINUTE, "{jump}: {heard:?}");
    }
}

#[test]
fn a_clock_set_ahead_calls_nothing_up_again() {
    let mut world = World::new();
    world.run(MINUTE, 1);
    world.now += 10 * HOUR;
    world.run(MINUTE, 0);
    assert!(
        !world
            .heard()
            .iter()
            .any(|(_, what)| what.starts_with("recovered")),
        "{:?}",
        world.heard()
    );
}

#[test]
fn the_next_messages_id_is_known_before_it_is_made_and_stays() {
    let mut world = World::new();
    world.run(MINUTE, 1);
    let promised = world.thread().counted.into_values().next();
    world.sink_is_up = false;
    world.run(5 * MINUTE, 1);
    assert_eq!(world.thread().open.map(|message| message.id), promised);
}

#[test]
fn a_report_that_was_lost_lets_the_next_crash_speak() {
    let mut world = World::new();
    world.sink_is_up = false;
    world.run(1, 1);
    let mut thread = world.thread();
    thread.lost();
    world.keep(&thread);
    world.sink_is_up = true;
    world.run(1, 1);
    assert_eq!(world.heard, [(1, "crash".to_owned())]);
}

#[test]
fn all_instances_are_up_again_before_it_is_said() {
    let mut thread = Thread::default();
    let now = Timestamp::of_unix(START);
    let crash = |n: u64, instance: &str| {
        let at = Timestamp::of_unix(START + n);
        Crash {
            id: ReportId::new(at, n),
            at,
            instance: Some(instance.to_owned()),
        }
    };
    thread.decide(
        "web",
        &[crash(0, "a"), crash(1, "b"), crash(2, "b")],
        None,
        now,
    );
    let instances: Vec<_> = thread
        .instances
        .iter()
        .flatten()
        .map(String::as_str)
        .collect();
    assert_eq!(instances, ["a", "b"]);
}
