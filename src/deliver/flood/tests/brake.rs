//! Many groups of one job: the brake.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{HOUR, MINUTE, World};

/// So many fingerprints, none of which was there before.
fn others(world: &World, count: u64) -> Vec<String> {
    (0..count)
        .map(|n| format!("{:016x}", world.crashes + n))
        .collect()
}

/// Runs this many seconds, with a crash of a cause of its own in each `step` of them.
fn run_varied(world: &mut World, step: u64, seconds: u64) {
    for _ in 0..seconds / step {
        world.up_since = Some(world.uptime_clock);
        world.pass_of(&others(world, 1));
        world.now += step;
        world.uptime_clock += step;
    }
}

#[test]
fn forty_causes_at_once_make_four_reports_and_one_summary_and_one_up_again() {
    let mut world = World::new();
    world.pass_of(&others(&world, 40));
    world.tick(10, HOUR, 0);
    assert_eq!(
        world.heard(),
        [
            (0, "crash"),
            (0, "crash"),
            (0, "crash"),
            (0, "crash"),
            (300, "summary 36"),
            (600, "recovered 0")
        ]
    );
    assert_eq!(world.promised, world.summed_up());
}

#[test]
fn causes_that_never_end_make_a_summary_an_hour_that_counts_them_all() {
    let mut world = World::new();
    run_varied(&mut world, 10, 3 * HOUR);
    world.assert_few();
    let summaries: Vec<_> = world
        .heard()
        .into_iter()
        .filter(|(_, what)| what.starts_with("summary"))
        .collect();
    assert_eq!(summaries[..2], [(340, "summary 31"), (3940, "summary 360")]);
    world.up_since = Some(world.uptime_clock);
    world.tick(10, 2 * HOUR, 0);
    assert_eq!(world.thread().waiting(), 0);
    assert_eq!(world.heard().last().unwrap().1, "recovered 0");
}

#[test]
fn the_first_crash_of_a_cause_is_told_at_once_beside_a_loop_of_another() {
    let mut world = World::new();
    world.run(2 * MINUTE, 1);
    world.pass_of(&["other".to_owned()]);
    assert_eq!(world.heard(), [(0, "crash"), (120, "crash")]);
    world.run(4 * MINUTE, 1);
    assert_eq!(world.heard()[2..], [(300, "summary 300")]);
}

#[test]
fn a_cause_that_the_brake_holds_back_waits_an_hour_at_most() {
    let mut world = World::new();
    run_varied(&mut world, 60, 30 * MINUTE);
    let before = world.told;
    world.pass_of(&others(&world, 1));
    world.tick(10, HOUR, 0);
    assert_eq!(world.thread().waiting(), 0, "{:?}", world.heard());
    assert!(world.told > before);
}

#[test]
fn causes_beyond_those_that_are_told_apart_are_counted_together() {
    let mut world = World::new();
    world.pass_of(&others(&world, 3000));
    assert!(world.thread().groups.len() <= super::super::MAX_GROUPS + 1);
    assert!(world.disk.len() < 64 * 1024, "{}", world.disk.len());
    world.tick(10, 2 * HOUR, 0);
    assert_eq!(world.told, 3000);
    assert_eq!(world.thread(), super::Thread::default());
}

#[test]
fn many_causes_that_a_sink_refuses_are_offered_few_times() {
    let mut world = World::new();
    world.sink_is_up = false;
    world.pass_of(&others(&world, 8));
    let offered = world.refuse(70 * MINUTE, 0);
    let times: Vec<_> = offered.iter().map(|(second, _)| *second).collect();
    assert_eq!(times, [0, 0, 0, 0, 301, 3902]);
    world.tick(10, 2 * HOUR, 0);
    assert_eq!(world.told, 8);
}

#[derive(Clone, Debug)]
enum Act {
    Wait(u64),
    Crash(Vec<u8>),
    Up,
    Down,
    SinkDown(bool),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1..1800_u64).prop_map(Act::Wait),
        1 => (1800..8000_u64).prop_map(Act::Wait),
        8 => proptest::collection::vec(any::<u8>(), 1..30).prop_map(Act::Crash),
        2 => proptest::collection::vec(0..3_u8, 1..5).prop_map(Act::Crash),
        2 => Just(Act::Up),
        1 => Just(Act::Down),
        1 => any::<bool>().prop_map(Act::SinkDown),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn whatever_crashes_there_are_few_messages_and_each_crash_is_in_one(
        steps in proptest::collection::vec(act(), 1..40),
    ) {
        let mut world = World::new();
        for step in steps {
            match step {
                Act::Wait(seconds) => {
                    world.tick(151.min(seconds), seconds, 0);
                }
                Act::Crash(names) => {
                    world.up_since = None;
                    let names: Vec<_> = names.iter().map(|name| format!("{name:02x}")).collect();
                    world.pass_of(&names);
                }
                Act::Up => world.up_since = world.up_since.or(Some(world.uptime_clock)),
                Act::Down => world.up_since = None,
                Act::SinkDown(down) => world.sink_is_up = !down,
            }
            // Checks that each crash was counted once.
            world.heard();
            world.assert_few();
        }
        world.sink_is_up = true;
        world.up_since = Some(world.uptime_clock);
        let before = world.heard.len();
        world.tick(151, 3 * HOUR, 0);
        world.assert_few();
        prop_assert_eq!(world.thread().waiting(), 0);
        prop_assert_eq!(world.told, world.crashes);
        prop_assert_eq!(&world.promised, &world.summed_up());
        // One may have been on its way.
        let up_again = world.heard[before..].iter().filter(|(_, what)| what.starts_with("rec"));
        prop_assert!(up_again.count() <= 2);
        let ids: BTreeSet<_> = world.summed.keys().collect();
        prop_assert_eq!(ids.len(), world.summed.len());
        world.tick(151, 3 * HOUR, 0);
        prop_assert_eq!(world.thread(), super::Thread::default());
    }
}
