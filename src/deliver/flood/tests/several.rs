//! Several causes of one job: what one of them means for the others.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{HOUR, START, crash, service};
use crate::deliver::flood::{Crash, MAX_GROUPS, OTHERS, Service, Sign, Thread};
use crate::report::{Kind, Timestamp};

fn at(seconds: u64) -> Timestamp {
    Timestamp::of_unix(START + seconds)
}

/// A crash of a cause, so many seconds after the start.
fn of(cause: u64, seconds: u64) -> Crash {
    Crash {
        service: service("a"),
        ..crash(cause, START + seconds, &cause.to_string())
    }
}

/// The same for another instance.
fn of_another(cause: u64, seconds: u64) -> Crash {
    Crash {
        service: service("b"),
        ..of(cause, seconds)
    }
}

fn decide(thread: &mut Thread, crashes: &[Crash], seconds: u64) {
    decide_up(thread, crashes, None, seconds);
}

/// Decides where the first instance has been up for this long, and no other.
fn decide_up(thread: &mut Thread, crashes: &[Crash], up: Option<u64>, seconds: u64) {
    let up: BTreeMap<Service, Sign> = up
        .map(|up| (service("a"), Sign::Up(Duration::from_secs(up))))
        .into_iter()
        .collect();
    thread.decide("web", crashes, &up, at(seconds));
}

/// The sink takes everything that is on its way.
fn take_all(thread: &mut Thread, seconds: u64) {
    for message in thread.open.clone() {
        thread.taken(&message.id, at(seconds));
    }
}

/// A thread in which the sink has heard of these crashes at the start.
fn told_of(crashes: &[Crash]) -> Thread {
    let mut thread = Thread::default();
    decide(&mut thread, crashes, 0);
    take_all(&mut thread, 0);
    thread
}

/// Returns what is on its way, in a word each.
fn open(thread: &Thread) -> Vec<&'static str> {
    let word = |kind| match kind {
        Kind::Crash => "crash",
        Kind::Summary { .. } => "summary",
        Kind::Recovered { .. } => "up again",
        Kind::Down { .. } | Kind::Notice => "another",
    };
    thread.open.iter().map(|it| word(it.kind)).collect()
}

#[test]
fn while_a_summary_is_on_its_way_no_other_is_made_or_due() {
    let mut thread = told_of(&[of(1, 0)]);
    decide(&mut thread, &[of(1, 1)], 1);
    decide(&mut thread, &[], 300);
    decide(&mut thread, &[of(2, 310)], 310);
    assert_eq!(open(&thread), ["summary", "crash"]);
    let report = thread.open[1].id.clone();
    thread.taken(&report, at(310));
    decide(&mut thread, &[of(2, 311)], 311);
    decide(&mut thread, &[], 900);
    assert_eq!(open(&thread), ["summary"]);
    assert_eq!(thread.due(at(900)), None);
    take_all(&mut thread, 900);
    assert_eq!(thread.due(at(900)), Some(at(610)));
    decide(&mut thread, &[], 900);
    assert_eq!(open(&thread), ["summary"]);
}

#[test]
fn a_summary_is_due_after_its_window_and_as_soon_as_an_hour_has_room() {
    let mut thread = Thread::default();
    decide(&mut thread, &[of(1, 0)], 0);
    decide(&mut thread, &[of(1, 1)], 1);
    assert_eq!(thread.due(at(1)), None, "the report is still on its way");
    take_all(&mut thread, 60);
    assert_eq!(thread.due(at(60)), Some(at(360)));
    decide(&mut thread, &[], 360);
    take_all(&mut thread, 360);
    assert_eq!(thread.due(at(360)), None, "nothing waits");
    decide(&mut thread, &[of(1, 361)], 361);
    assert_eq!(thread.due(at(361)), Some(at(360 + HOUR)));
    // Causes that the brake holds back wait for an hour after the last summary.
    decide(
        &mut thread,
        &[of(2, 400), of(3, 400), of(4, 400), of(5, 400)],
        400,
    );
    assert_eq!(open(&thread).len(), 3);
    take_all(&mut thread, 400);
    assert_eq!(thread.due(at(400)), Some(at(360 + HOUR)));
    // Of a cause that was told, five minutes later; but then the hour is full.
    decide(&mut thread, &[of(2, 401)], 401);
    assert_eq!(thread.due(at(401)), Some(at(700)));
    decide(&mut thread, &[], 700);
    take_all(&mut thread, 700);
    decide(&mut thread, &[of(2, 701)], 701);
    assert_eq!(thread.due(at(701)), Some(at(700 + HOUR)));
}

#[test]
fn where_an_hour_has_had_its_six_messages_the_next_is_due_when_the_first_is_an_hour_old() {
    let mut thread = told_of(&[of(1, 0), of(2, 0), of(3, 0), of(4, 0)]);
    for (cause, seconds) in [(1, 300), (2, 310)] {
        decide(&mut thread, &[of(cause, seconds)], seconds);
        assert_eq!(open(&thread), ["summary"]);
        take_all(&mut thread, seconds);
    }
    decide(&mut thread, &[of(3, 320)], 320);
    assert_eq!(thread.due(at(320)), Some(at(HOUR)));
    decide(&mut thread, &[], HOUR - 1);
    assert_eq!(open(&thread), [""; 0]);
    decide(&mut thread, &[], HOUR);
    assert_eq!(open(&thread), ["summary"]);
}

#[test]
fn while_a_crash_waits_that_the_brake_held_back_no_later_cause_is_told_before_it() {
    let mut thread = told_of(&[of(1, 0)]);
    decide(&mut thread, &[of(1, 1)], 1);
    decide(&mut thread, &[], 300);
    take_all(&mut thread, 300);
    decide(
        &mut thread,
        &[of(2, 310), of(3, 310), of(4, 310), of(5, 320)],
        320,
    );
    take_all(&mut thread, 320);
    assert_eq!(thread.due(at(320)), Some(at(300 + HOUR)));
    // There is room for a report again.
    decide(&mut thread, &[of(6, HOUR + 10)], HOUR + 10);
    assert_eq!((open(&thread), thread.waiting()), (vec![], 2));
    decide(&mut thread, &[], HOUR + 300);
    assert_eq!(open(&thread), ["summary"]);
    take_all(&mut thread, HOUR + 300);
    decide(&mut thread, &[of(7, HOUR + 310)], HOUR + 310);
    assert_eq!(open(&thread), ["crash"]);
}

#[test]
fn a_cause_that_loops_while_its_report_is_on_its_way_holds_no_other_cause_back() {
    let mut thread = Thread::default();
    decide(&mut thread, &[of(1, 0), of(1, 1), of(2, 2)], 2);
    decide(&mut thread, &[of(1, 3), of(3, 3)], 3);
    assert_eq!((open(&thread), thread.waiting()), (vec!["crash"; 3], 2));
}

#[test]
fn a_summary_that_overtakes_the_report_of_a_first_crash_starts_its_hour() {
    let mut thread = told_of(&[of(1, 0)]);
    decide(&mut thread, &[of(1, 1)], 1);
    // This report stays on its way, and the summary has its second crash.
    decide(&mut thread, &[of(2, 100), of(2, 101)], 101);
    decide(&mut thread, &[], 300);
    let [report, summary] = &thread.open.clone()[..] else {
        panic!("{:?}", thread.open)
    };
    assert_eq!(summary.new.len(), 2);
    thread.taken(&summary.id, at(300));
    thread.taken(&report.id, at(310));
    decide(&mut thread, &[of(2, 320)], 320);
    assert_eq!(thread.due(at(320)), Some(at(300 + HOUR)));
}

#[test]
fn of_a_report_that_is_lost_the_crashes_after_it_are_summed_up_at_once() {
    let mut thread = Thread::default();
    decide(&mut thread, &[of(1, 0), of(1, 7), of(1, 8)], 8);
    let report = thread.open[0].id.clone();
    thread.lost(&report);
    assert_eq!(thread.due(at(8)), Some(at(8)));
    decide(&mut thread, &[], 8);
    match thread.open[0].kind {
        Kind::Summary { new, all, .. } => assert_eq!((new.count, all.count), (2, 2)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_has_been_down_for_longer_than_a_month_is_no_news_when_it_is_up_again_with_another() {
    const DAYS: u64 = 35 * 24 * HOUR;
    for (began, services) in [(DAYS - 1, 2), (DAYS, 1)] {
        let mut thread = told_of(&[of_another(1, 0)]);
        decide(&mut thread, &[of(2, began)], began);
        take_all(&mut thread, began);
        assert_eq!(thread.services().len(), services);
    }
}

#[test]
fn of_very_many_instances_a_hundred_are_asked_whether_they_are_up() {
    let instance = |n: u64| Crash {
        service: service(&n.to_string()),
        ..crash(n, START, "same")
    };
    let crashes: Vec<_> = (0..101).map(instance).collect();
    assert_eq!(told_of(&crashes[..100]).services().len(), 100);
    assert_eq!(told_of(&crashes).services().len(), 100);
}

#[test]
fn a_summary_that_is_lost_takes_nothing_of_what_was_told_with_it() {
    let mut thread = told_of(&[of(1, 0)]);
    decide(&mut thread, &[of(1, 1)], 1);
    decide(&mut thread, &[], 300);
    let summary = thread.open[0].id.clone();
    thread.lost(&summary);
    assert_eq!(open(&thread), [""; 0]);
    decide(&mut thread, &[of(1, 301)], 301);
    assert_eq!(open(&thread), ["summary"], "no first crash");
}

#[test]
fn a_service_is_up_again_once_no_other_cause_is_restless() {
    for (other, now, expected) in [
        (&[of_another(2, 0)][..], 600, &["up again"][..]),
        // It crashed lately.
        (&[of_another(2, 100)], 600, &[]),
        // Not all of its crashes are told.
        (&[of_another(2, 100), of_another(2, 101)], 710, &["summary"]),
    ] {
        let mut thread = told_of(&[of(1, 0)]);
        decide(&mut thread, other, 101);
        take_all(&mut thread, 101);
        decide_up(&mut thread, &[], Some(600), now);
        assert_eq!(open(&thread), expected, "{other:?}");
    }
}

#[test]
fn that_it_is_up_again_is_never_told_with_or_before_a_crash() {
    // A report that came late: the service has been up since.
    let mut late = Thread::default();
    decide_up(&mut late, &[of(1, 0)], Some(690), 700);
    decide_up(&mut late, &[], Some(700), 710);
    assert_eq!(open(&late), ["crash"]);
    take_all(&mut late, 720);
    decide_up(&mut late, &[], Some(720), 730);
    assert_eq!(open(&late), ["up again"]);
    // Asked right before it crashed, and the brake holds that crash back.
    let mut asked = told_of(&[of(1, 0), of(2, 0), of(3, 0), of(4, 0)]);
    decide_up(&mut asked, &[of(1, 650)], Some(649), 650);
    assert_eq!((open(&asked), asked.waiting()), (vec![], 1));
}

#[test]
fn only_a_cause_of_which_nothing_is_left_to_say_makes_room_for_another() {
    #[derive(Debug)]
    enum Summary {
        Taken,
        Refused,
        OnItsWay,
    }
    let causes: Vec<_> = (0..MAX_GROUPS as u64)
        .map(|cause| of(cause, cause))
        .collect();
    for (summary, seconds, makes_room) in [
        (Summary::Taken, 603, false),
        (Summary::Taken, 604, true),
        (Summary::Refused, 1000, false),
        (Summary::OnItsWay, 1000, false),
    ] {
        let mut thread = told_of(&causes);
        decide(&mut thread, &[], 300);
        let [message] = &thread.open.clone()[..] else {
            panic!("{:?}", thread.open)
        };
        assert_eq!(message.new.len(), MAX_GROUPS - 4);
        match summary {
            Summary::Taken => thread.taken(&message.id, at(300)),
            Summary::Refused => thread.refused(&message.id, at(300)),
            Summary::OnItsWay => {}
        }
        // Those of which the first crash was told are not quiet.
        decide(
            &mut thread,
            &[of(0, 590), of(1, 590), of(2, 590), of(3, 590)],
            590,
        );
        decide(&mut thread, &[of(99, seconds)], seconds);
        let is_apart = thread.groups.contains_key("99");
        assert_eq!(is_apart, makes_room, "{summary:?} {seconds}");
        assert_eq!(thread.groups.contains_key(OTHERS), !makes_room);
        // Of those that are quiet, the one that has been so for the longest time.
        assert_eq!(thread.groups.contains_key("4"), !makes_room);
        assert!(thread.groups.contains_key("5"));
    }
}

#[test]
fn what_was_told_is_told_to_be_over_however_full_the_hour_is() {
    let mut thread = told_of(&[of(1, 0), of(2, 0), of(3, 0), of(4, 0)]);
    for (cause, seconds) in [(1, 300), (2, 310)] {
        decide(&mut thread, &[of(cause, seconds)], seconds);
        take_all(&mut thread, seconds);
    }
    decide_up(&mut thread, &[], Some(600), 1000);
    assert_eq!(open(&thread), ["up again"]);
}

#[test]
fn room_is_left_for_a_summary_where_crashes_and_up_again_alternate() {
    let mut thread = Thread::default();
    for round in 0..2 {
        let seconds = round * 700;
        decide(&mut thread, &[of(1, seconds)], seconds);
        assert_eq!(open(&thread), ["crash"]);
        take_all(&mut thread, seconds);
        decide_up(&mut thread, &[], Some(600), seconds + 600);
        assert_eq!(open(&thread), ["up again"]);
        take_all(&mut thread, seconds + 600);
    }
    decide(&mut thread, &[of(1, 1400)], 1400);
    assert_eq!(thread.due(at(1400)), Some(at(1700)));
    decide(&mut thread, &[], 1700);
    assert_eq!(open(&thread), ["summary"]);
}
