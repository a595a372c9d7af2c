//! Whole histories, second by second: a service, a sink, and what the sink hears.

mod brake;
mod old;
mod several;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::deliver::flood::{Crash, Service, Sign, Thread};
use crate::report::{Death, Kind, ReportId, Timestamp};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const START: u64 = 1_800_000_000;

/// One job and one sink. From one second to the next it remembers only what would be on the disk.
struct World {
    disk: String,
    now: u64,
    /// The time by a clock that nobody sets.
    up_since: Option<u64>,
    uptime_clock: u64,
    sink_is_up: bool,
    crashes: u64,
    /// Messages that the sink heard, each with the second.
    heard: Vec<(u64, String)>,
    told: u64,
    /// Number of crashes of which the ledgers say that this message tells, and of which it told.
    promised: BTreeMap<ReportId, u64>,
    summed: BTreeMap<ReportId, u64>,
}

fn web() -> Service {
    Service {
        job: "web".to_owned(),
        instance: None,
    }
}

fn crash(n: u64, at: u64, fingerprint: &str) -> Crash {
    let at = Timestamp::of_unix(at);
    Crash {
        id: ReportId::new(at, n),
        at,
        service: web(),
        fingerprint: fingerprint.to_owned(),
        kind: Death::PlainExit,
        line: format!("the cause {fingerprint}"),
        is_missed: false,
    }
}

impl World {
    fn new() -> Self {
        let disk = serde_json::to_string(&Thread::default()).unwrap();
        Self {
            disk,
            now: START,
            up_since: Some(0),
            uptime_clock: 0,
            sink_is_up: true,
            crashes: 0,
            heard: Vec::new(),
            told: 0,
            promised: BTreeMap::new(),
            summed: BTreeMap::new(),
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
        let up = self.up_since.map(|since| {
            (
                web(),
                Sign::Up(Duration::from_secs(self.uptime_clock - since)),
            )
        });
        thread.decide("web", crashes, &up.into_iter().collect(), self.at());
        thread
    }

    fn keep(&mut self, thread: &Thread) {
        // The deliverer does the same with crashes that have left `new/`, and forgets what is over.
        let mut kept = if thread.is_over(self.at()) {
            Thread::default()
        } else {
            thread.clone()
        };
        kept.counted = kept.counted.into_iter().next_back().into_iter().collect();
        self.disk = serde_json::to_string(&kept).unwrap();
    }

    /// Makes one pass of the deliverer, with this many new crashes.
    fn pass(&mut self, new: u64) {
        let fingerprints = vec!["same".to_owned(); usize::try_from(new).unwrap()];
        self.pass_of(&fingerprints);
    }

    /// Makes one pass of the deliverer, with a new crash of each of these fingerprints.
    fn pass_of(&mut self, fingerprints: &[String]) {
        let crash = |(n, name): (u64, &String)| crash(n, self.now, name);
        let crashes: Vec<_> = (self.crashes..).zip(fingerprints).map(crash).collect();
        self.crashes += crashes.len() as u64;
        let mut thread = self.decided(&crashes);
        for promise in crashes.iter().filter_map(|it| thread.counted.get(&it.id)) {
            *self.promised.entry(promise.clone()).or_default() += 1;
        }
        // A kill may follow each step. A crash that was taken in is not taken in again.
        while self.sink_is_up
            && let Some(message) = thread.open.first().cloned()
        {
            self.hear(&message.id, &message.kind);
            thread.taken(&message.id, self.at());
            self.keep(&thread);
            thread = self.decided(&[]);
        }
        self.keep(&thread);
    }

    fn hear(&mut self, id: &ReportId, kind: &Kind) {
        let count = match kind {
            Kind::Crash => 1,
            Kind::Summary { new, .. } => new.count,
            Kind::Recovered { new, .. } => new.map_or(0, |new| new.count),
            Kind::Down { .. } | Kind::Notice => panic!("no message of a group"),
        };
        self.told += count;
        if *kind != Kind::Crash {
            self.summed.insert(id.clone(), count);
        }
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

    /// Runs this many seconds, with this many crashes in each and a sink that refuses every message.
    /// Returns which messages it was offered, and when.
    fn refuse(&mut self, seconds: u64, crashes: u64) -> Vec<(u64, ReportId)> {
        self.sink_is_up = false;
        let mut offered = Vec::new();
        for _ in 0..seconds {
            let second = self.uptime_clock;
            self.run(1, crashes);
            let mut thread = self.thread();
            for message in thread.open.clone() {
                offered.push((second, message.id.clone()));
                thread.refused(&message.id, self.at());
            }
            self.keep(&thread);
        }
        self.sink_is_up = true;
        offered
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

    /// Returns the number of crashes of each message that told of counted ones.
    fn summed_up(&self) -> BTreeMap<ReportId, u64> {
        let summed = self.summed.iter().filter(|(_, count)| **count > 0);
        summed.map(|(id, count)| (id.clone(), *count)).collect()
    }

    fn on_its_way(&self) -> u64 {
        let open = self.thread().open;
        let new = open.iter().flat_map(|message| message.new.values());
        new.map(|new| new.count).sum()
    }

    /// Asserts that there were at most six messages in each hour, beside one that what they told is
    /// over.
    fn assert_few(&self) {
        let within = |from: u64| {
            let hour = from..from + HOUR;
            self.heard
                .iter()
                .filter(move |(when, _)| hour.contains(when))
        };
        for (when, _) in &self.heard {
            let alarms = within(*when).filter(|(_, what)| !what.starts_with("recovered"));
            let is_few = alarms.count() <= 6 && within(*when).count() <= 7;
            assert!(is_few, "{:?}", self.heard());
        }
    }
}

#[test]
fn one_crash_is_told_at_once_and_that_it_is_up_again_after_ten_minutes() {
    let mut world = World::new();
    world.run(1, 1).run(HOUR, 0);
    assert_eq!(world.heard(), [(0, "crash"), (600, "recovered 0")]);
    world.run(HOUR, 0);
    assert_eq!(
        world.thread(),
        Thread::default(),
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
    world.assert_few();
}

#[test]
fn however_often_it_goes_up_and_down_there_are_six_messages_an_hour_and_every_crash_is_counted() {
    for period in [11 * MINUTE, 12 * MINUTE, 15 * MINUTE, 21 * MINUTE] {
        let mut world = World::new();
        for _ in 0..40 {
            world.run(1, 3).tick(7, period, 0);
        }
        world.run(2 * HOUR, 0);
        world.assert_few();
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
    let offered = world.refuse(2 * HOUR, 1);
    let times: Vec<_> = offered.iter().map(|(second, _)| *second).collect();
    assert_eq!(times, [0, 301, 3902]);
    assert!(
        offered.windows(2).all(|two| two[0].1 != two[1].1),
        "no message has another's id"
    );
    world.run(HOUR, 0);
    assert_eq!(
        world.heard(),
        [(7503, "summary 7200"), (7799, "recovered 0")]
    );
}

#[test]
fn a_sink_that_refuses_to_hear_that_it_is_up_again_is_not_asked_again_for_an_hour() {
    let mut world = World::new();
    world.run(1, 1);
    let times: Vec<_> = world
        .refuse(3 * HOUR, 0)
        .into_iter()
        .map(|(when, _)| when)
        .collect();
    assert_eq!(times, [600, 4201, 7802]);
}

#[test]
fn a_sink_that_refused_a_summary_hears_only_an_hour_later_that_it_is_up_again() {
    let mut world = World::new();
    world.run(5 * MINUTE, 1);
    let offered = world.refuse(1, 1);
    assert_eq!(offered.len(), 1);
    world.run(2 * HOUR, 0);
    // The summary was refused in second 301.
    assert_eq!(world.heard(), [(0, "crash"), (3901, "recovered 300")]);
}

#[test]
fn what_is_up_again_is_remembered_for_the_hour_in_which_its_messages_count() {
    let mut world = World::new();
    world.run(1, 1).run(10 * MINUTE, 0);
    assert_eq!(world.heard(), [(0, "crash"), (600, "recovered 0")]);
    let thread = world.thread();
    let after = |seconds| Timestamp::of_unix(START + 600 + seconds);
    assert!(!thread.is_over(after(0)));
    assert!(!thread.is_over(after(HOUR - 1)));
    assert!(thread.is_over(after(HOUR)));
}

#[test]
fn a_service_that_stays_down_is_remembered_for_longer_than_a_month() {
    let mut world = World::new();
    world.run(1, 1);
    let thread = world.thread();
    let after = |hours: u64| Timestamp::of_unix(START + hours * HOUR);
    assert!(!thread.is_over(after(35 * 24 - 1)));
    assert!(thread.is_over(after(35 * 24)));
}

#[test]
fn while_a_message_is_on_its_way_or_a_crash_is_counted_the_group_is_not_forgotten() {
    let much_later = Timestamp::of_unix(START + 40 * 24 * HOUR);
    let mut on_its_way = World::new();
    on_its_way.sink_is_up = false;
    on_its_way.run(1, 1);
    assert!(!on_its_way.thread().is_over(much_later));
    let mut counted = World::new();
    counted.run(2, 1);
    assert_eq!(counted.thread().waiting(), 1);
    assert!(!counted.thread().is_over(much_later));
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
        world.assert_few();
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
    let open = world.thread().open.pop();
    assert_eq!(open.map(|message| message.id), promised);
}

#[test]
fn a_report_that_was_lost_lets_the_next_crash_speak() {
    let mut world = World::new();
    world.sink_is_up = false;
    world.run(1, 1);
    let mut thread = world.thread();
    let id = thread.open[0].id.clone();
    thread.lost(&id);
    world.keep(&thread);
    world.sink_is_up = true;
    world.run(1, 1);
    assert_eq!(world.heard, [(1, "crash".to_owned())]);
    assert_eq!(world.thread().waiting(), 0, "it is not only counted");
}

/// A crash of an instance, so many seconds after the start.
fn crash_of(instance: &str, seconds: u64) -> Crash {
    Crash {
        service: service(instance),
        ..crash(seconds, START + seconds, "same")
    }
}

fn service(instance: &str) -> Service {
    Service {
        instance: Some(instance.to_owned()),
        ..web()
    }
}

/// Returns for how long services have been up, if all have been so for so many seconds.
fn all_up(thread: &Thread, seconds: Option<u64>) -> BTreeMap<Service, Sign> {
    let up = |service: &Service| {
        let sign = Sign::Up(Duration::from_secs(seconds?));
        Some((service.clone(), sign))
    };
    thread.services().into_iter().filter_map(up).collect()
}

/// Returns what a sink that takes each message at once is told, so many seconds after the start.
fn told(thread: &mut Thread, crashes: &[Crash], up: Option<u64>, seconds: u64) -> Option<Kind> {
    let now = Timestamp::of_unix(START + seconds);
    thread.decide("web", crashes, &all_up(thread, up), now);
    let message = thread.open.first().cloned()?;
    thread.taken(&message.id, now);
    Some(message.kind)
}

fn instances(thread: &Thread) -> Vec<&str> {
    let services = thread.services().into_iter();
    services
        .filter_map(|service| service.instance.as_deref())
        .collect()
}

#[test]
fn a_run_that_ends_well_after_the_last_crash_is_the_recovery_ten_minutes_after_that() {
    let at = |seconds| Timestamp::of_unix(START + seconds);
    let decide = |ended: u64, now| {
        let mut thread = Thread::default();
        told(&mut thread, &[crash_of("a", 100)], None, 100);
        let end = Sign::EndedWell(at(ended));
        let signs = thread.services().into_iter().map(|it| (it.clone(), end));
        thread.decide("web", &[], &signs.collect(), at(now));
        thread.open.first().map(|message| message.kind)
    };
    assert_eq!(decide(99, 10_000), None, "it was before the crash");
    assert_eq!(decide(400, 699), None);
    let kind = decide(400, 700);
    let ended = Some(at(400));
    assert!(
        matches!(kind, Some(Kind::Recovered { ended_well, .. }) if ended_well == ended),
        "{kind:?}"
    );
}

#[test]
fn while_a_run_is_missing_no_earlier_failure_is_said_to_have_ended_well() {
    let at = |seconds| Timestamp::of_unix(START + seconds);
    let missed = Crash {
        is_missed: true,
        ..crash(500, START + 500, "missed")
    };
    let mut thread = Thread::default();
    told(&mut thread, &[crash(100, START + 100, "same")], None, 100);
    told(&mut thread, &[missed], None, 500);
    let mut decide = |ended: u64, now| {
        let signs = BTreeMap::from([(web(), Sign::EndedWell(at(ended)))]);
        thread.decide("web", &[], &signs, at(now));
        thread.open.first().map(|message| message.ended.len())
    };
    assert_eq!(decide(400, 2000), None, "it was before the run was missing");
    assert_eq!(decide(2100, 2101), Some(2), "both are over");
}

#[test]
fn every_instance_that_crashed_is_asked_whether_it_is_up() {
    let mut thread = Thread::default();
    let crashes = [crash_of("a", 0), crash_of("b", 1), crash_of("b", 2)];
    told(&mut thread, &crashes, None, 2);
    assert_eq!(instances(&thread), ["a", "b"]);
}

/// Asserts that two crashes of `c`, 2,000 seconds after the start, begin a row of their own.
fn assert_begins_anew(thread: &mut Thread) {
    let first = told(thread, &[crash_of("c", 2000)], None, 2000);
    assert_eq!(first, Some(Kind::Crash));
    assert_eq!(instances(thread), ["c"]);
    assert_eq!(told(thread, &[crash_of("c", 2001)], None, 2299), None);
    match told(thread, &[], None, 2300) {
        Some(Kind::Summary {
            new,
            all,
            instances,
            ..
        }) => {
            assert_eq!((new.count, all.count, instances), (1, 2, 1));
            assert_eq!(all.first, Timestamp::of_unix(START + 2000));
        }
        other => panic!("a summary after 5 minutes: {other:?}"),
    }
}

/// A thread that has told of crashes of two instances, and of them in a summary.
fn with_a_row_of_two() -> Thread {
    let mut thread = Thread::default();
    told(&mut thread, &[crash_of("a", 0), crash_of("b", 1)], None, 1);
    let summary = told(&mut thread, &[], None, 301);
    assert!(matches!(summary, Some(Kind::Summary { .. })));
    thread
}

#[test]
fn crashes_after_it_was_up_again_begin_with_instances_count_and_window_of_their_own() {
    let mut thread = with_a_row_of_two();
    let up = told(&mut thread, &[], Some(600), 901);
    assert!(matches!(up, Some(Kind::Recovered { instances: 2, .. })));
    assert_begins_anew(&mut thread);
}

#[test]
fn crashes_after_ten_minutes_without_one_begin_with_instances_count_and_window_of_their_own() {
    assert_begins_anew(&mut with_a_row_of_two());
}

#[test]
fn a_crash_while_it_is_told_that_it_is_up_again_is_told_at_once_and_begins_a_new_row() {
    let mut thread = with_a_row_of_two();
    let at = |seconds| Timestamp::of_unix(START + seconds);
    thread.decide("web", &[], &all_up(&thread, Some(600)), at(901));
    thread.decide("web", &[crash_of("c", 902)], &BTreeMap::new(), at(902));
    let [up, crash] = &thread.open[..] else {
        panic!("{:?}", thread.open)
    };
    assert!(matches!(up.kind, Kind::Recovered { instances: 2, .. }));
    assert_eq!(crash.kind, Kind::Crash);
    for id in [up.id.clone(), crash.id.clone()] {
        thread.taken(&id, at(903));
    }
    assert_eq!(instances(&thread), ["c"]);
    assert_eq!(told(&mut thread, &[crash_of("c", 904)], None, 904), None);
    match told(&mut thread, &[], None, 1203) {
        Some(Kind::Summary { new, all, .. }) => assert_eq!((new.count, all.count), (1, 2)),
        other => panic!("the crash is summed up: {other:?}"),
    }
}

#[test]
fn what_was_refused_as_up_again_is_told_with_what_crashed_since() {
    let mut thread = with_a_row_of_two();
    let at = |seconds| Timestamp::of_unix(START + seconds);
    thread.decide("web", &[], &all_up(&thread, Some(600)), at(901));
    thread.decide("web", &[crash_of("c", 902)], &BTreeMap::new(), at(902));
    let ids: Vec<_> = thread.open.iter().map(|open| open.id.clone()).collect();
    thread.refused(&ids[0], at(903));
    thread.taken(&ids[1], at(903));
    assert_eq!(instances(&thread), ["a", "b", "c"]);
    match told(&mut thread, &[], Some(600), 903 + HOUR) {
        Some(Kind::Recovered { new, all, .. }) => assert_eq!((new, all.count), (None, 3)),
        other => panic!("all three are up again: {other:?}"),
    }
}
