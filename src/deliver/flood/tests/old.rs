//! Conversations of the version before.

use serde_json::{Value, json};

use super::{HOUR, MINUTE, START, Thread, crash, web};
use crate::deliver::flood::Sign;
use crate::deliver::flood::old::OldThread;
use crate::report::{Death, Kind, ReportId, Series, Timestamp, sample};

/// Returns the state that the version before kept of a group with two crashes and this on its way.
fn old(open: &Value) -> OldThread {
    old_with(open, &json!({}))
}

/// The same where these facts differ.
fn old_with(open: &Value, facts: &Value) -> OldThread {
    let at = Timestamp::of_unix(START);
    let row = Series {
        count: 2,
        ..Series::one(at)
    };
    let mut state = json!({
        "open": open, "latest": [ReportId::new(at, 1), at], "taken": [at], "since": at,
        "refused": false, "messages": 1, "waiting": Series::one(at), "row": row,
        "instances": [null], "resolved": false, "counted": {},
    });
    for (key, fact) in facts.as_object().unwrap() {
        state[key] = fact.clone();
    }
    serde_json::from_value(state).unwrap()
}

/// Returns the state that groups of one job with these on their way become.
fn taken_over(open: &[Value]) -> Thread {
    let mut thread = Thread::default();
    for (n, open) in open.iter().enumerate() {
        let mut about = sample();
        about.fingerprint = format!("old{n}");
        about.cause.line = format!("the cause {n}");
        // A deliverer may have been killed after it wrote the first time.
        thread.take_over(&about, old(open));
        thread.take_over(&about, old(open));
    }
    thread
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::of_unix(START + seconds)
}

#[test]
fn their_crashes_are_summed_up_together_and_new_ones_like_them_are_counted() {
    let mut thread = taken_over(&[Value::Null, Value::Null]);
    assert_eq!(thread.waiting(), 2);
    let mut like = crash(1, START + MINUTE, "new");
    like.kind = sample().cause.kind;
    thread.decide("web", &[like], &[].into(), at(MINUTE));
    assert_eq!((thread.open.len(), thread.waiting()), (0, 3));
    thread.decide("web", &[], &[].into(), at(5 * MINUTE));
    assert!(matches!(thread.open[0].kind, Kind::Summary { new, .. } if new.count == 3));
}

#[test]
fn a_new_crash_is_like_theirs_if_its_kind_and_the_names_in_its_words_are() {
    let mut about = sample();
    about.cause.line = "KeyError: 'port'".to_owned();
    for (line, is_same_kind, is_like) in [
        ("KeyError: 'host'", true, true),
        ("ValueError: 'port'", true, false),
        ("KeyError: 'host'", false, false),
    ] {
        let mut thread = Thread::default();
        thread.take_over(&about, old(&Value::Null));
        let mut new = crash(1, START + MINUTE, "new");
        new.line = line.to_owned();
        new.kind = about.cause.kind;
        if !is_same_kind {
            new.kind = Death::OomKilled;
        }
        thread.decide("web", &[new], &[].into(), at(MINUTE));
        assert_eq!(!thread.groups.contains_key("new"), is_like, "{line}");
    }
}

#[test]
fn when_they_were_told_last_and_of_how_many_decides_when_the_next_summary_is_due() {
    for (facts, due) in [
        (json!({}), 5 * MINUTE),
        (json!({ "messages": 2 }), HOUR),
        (json!({ "refused": true }), HOUR),
        (json!({ "messages": 2, "refused": true }), HOUR),
        (json!({ "since": null }), 0),
    ] {
        let mut thread = Thread::default();
        thread.take_over(&sample(), old_with(&Value::Null, &facts));
        assert_eq!(thread.due(at(0)), Some(at(due)), "{facts}");
    }
}

#[test]
fn what_was_up_again_is_remembered_only_if_a_crash_waits() {
    for (facts, groups) in [
        (json!({ "resolved": true, "waiting": null }), 0),
        (json!({ "resolved": true }), 1),
        (json!({ "waiting": null }), 1),
    ] {
        let mut thread = Thread::default();
        thread.take_over(&sample(), old_with(&Value::Null, &facts));
        assert_eq!(thread.groups.len(), groups, "{facts}");
    }
}

#[test]
fn what_was_on_its_way_stays_so_and_ends_as_it_would_have() {
    let one = Series::one(at(0));
    let id = |n| ReportId::new(at(n), n);
    let summary = Kind::Summary {
        new: one,
        all: one,
        instances: 1,
        made_at: at(0),
    };
    let up = Kind::Recovered {
        new: None,
        all: one,
        instances: 1,
        up_s: 600,
        ended_well: None,
        stopped: None,
        made_at: at(0),
    };
    let mut thread = taken_over(&[
        json!({ "id": id(1), "kind": Kind::Crash, "new": one }),
        json!({ "id": id(2), "kind": summary, "new": one }),
        json!({ "id": id(3), "kind": up, "new": null }),
    ]);
    assert_eq!(thread.open.len(), 3);
    assert_eq!(thread.groups.len(), 2, "one is up again");
    thread.decide("web", &[], &[].into(), at(MINUTE));
    assert_eq!(
        thread.open.len(),
        3,
        "nothing is told while they are on their way"
    );
    for n in 1..=3 {
        thread.taken(&id(n), at(2 * MINUTE));
    }
    let up = [(web(), Sign::Up(std::time::Duration::from_mins(10)))].into();
    thread.decide("web", &[], &up, at(2 * MINUTE + HOUR));
    let [message] = &thread.open[..] else {
        panic!("{:?}", thread.open)
    };
    assert!(matches!(message.kind, Kind::Recovered { .. }));
    assert_eq!(message.ended.len(), 2);
}
