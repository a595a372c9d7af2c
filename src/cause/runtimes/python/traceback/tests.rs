use crate::cause::finding::Proof;
use crate::cause::runtimes::found;
use crate::cause::runtimes::python::WORDS;
use crate::report::Death;

const TRACE: &str = "Traceback (most recent call last):\n  File \"/srv/a.py\", line 9, in <module>\n    main()\n    ~~~~^^\n\
    \u{20} File \"/srv/a.py\", line 3, in main\n    f()\n  File \"/usr/lib/python3.11/x.py\", line 7, in f\nValueError: boom\n";

/// Returns the proof of the first finding.
fn proof(log: &str) -> Option<Proof> {
    found(WORDS, log).first().map(|it| it.proof)
}

#[test]
fn the_innermost_own_frame_is_the_place() {
    let it = found(WORDS, TRACE).remove(0);
    assert_eq!(
        (it.what.as_str(), it.place.unwrap().to_string().as_str()),
        ("ValueError: boom", "/srv/a.py:3")
    );
    assert_eq!((it.quoted, it.lines), (7, 0..8));
}

#[test]
fn only_a_whole_stack_that_nobody_announced_is_the_interpreter_s() {
    assert_eq!(proof(TRACE), Some(Proof::LastWords));
    assert_eq!(proof(&format!("ready\n{TRACE}")), Some(Proof::LastWords));
    assert_eq!(
        proof(&format!(
            "2026-11-22 23:51:05,171 [INFO] a - ready\n{TRACE}"
        )),
        Some(Proof::LastWords)
    );
    for before in [
        "2026-11-22 23:51:05,171 [ERROR] a - failed",
        "ERROR:root:failed",
        "Exception in thread T:",
        "Process ForkPoolWorker-1:",
        "while syncing:",
    ] {
        assert_eq!(
            proof(&format!("{before}\n{TRACE}")),
            Some(Proof::Said),
            "{before}"
        );
    }
    assert_eq!(proof(&TRACE.replace("<module>", "run")), Some(Proof::Said));
    assert_eq!(proof(&format!("ERROR:    {TRACE}")), Some(Proof::Said));
}

#[test]
fn what_python_ignores_is_passed_over() {
    assert!(
        found(
            WORDS,
            &format!("Exception ignored in: <function A.__del__ at 0x7f>\n{TRACE}")
        )
        .is_empty()
    );
    let logging = format!(
        "--- Logging error ---\n{TRACE}Call stack:\n  File \"a.py\", line 1, in <module>\nMessage: 'x'\nArguments: ()\n"
    );
    assert!(found(WORDS, &logging).is_empty());
}

#[test]
fn other_threads_lines_in_between_are_passed_over() {
    let other = "    main()\n2026-11-22 23:51:05,171 [INFO] a - went on\n";
    let it = found(WORDS, &TRACE.replace("    main()\n", other)).remove(0);
    assert_eq!((it.what.as_str(), it.lines), ("ValueError: boom", 0..9));
}

#[test]
fn what_the_log_s_beginning_has_cut_is_read_from_its_first_whole_frame() {
    let cut = TRACE.split_once("<module>\n").unwrap().1;
    assert_eq!(found(WORDS, cut).remove(0).what, "ValueError: boom");
}

#[test]
fn groups_and_boxes_are_read() {
    let group = "  + Exception Group Traceback (most recent call last):\n  |   File \"a.py\", line 9, in <module>\n  |     main()\n\
        \u{20} | ExceptionGroup: tasks failed (1 sub-exception)\n  +-+---------------- 1 ----------------\n\
        \u{20}   | Traceback (most recent call last):\n    |   File \"a.py\", line 2, in a\n    | KeyError: 'dsn'\n    +------------------------------------\n";
    let it = found(WORDS, group).remove(0);
    assert_eq!(
        it.what,
        "ExceptionGroup: tasks failed (1 sub-exception): KeyError: 'dsn'"
    );
    assert_eq!(
        (it.place.unwrap().to_string().as_str(), it.lines),
        ("a.py:2", 0..9)
    );
    let boxed = "╭──── Traceback (most recent call last) ────╮\n│ /srv/a.py:4 in <module>       │\n│                               │\n\
        │ ❱ 4 main()                    │\n│ /srv/a.py:2 in main           │\n╰───────────────────────────────╯\nKeyError: 'dsn'\n";
    assert_eq!(
        found(WORDS, boxed).remove(0).place.unwrap().to_string(),
        "/srv/a.py:2"
    );
}

#[test]
fn kinds_are_told_by_the_exception_s_name() {
    for (what, kind) in [
        (
            "ModuleNotFoundError: No module named 'x'",
            Death::MissingModule,
        ),
        (
            "ImportError: libx.so.1: cannot open shared object file: No such file or directory",
            Death::MissingModule,
        ),
        (
            "ImportError: cannot import name 'x' from 'y'",
            Death::UncaughtException,
        ),
        ("MemoryError", Death::OutOfMemoryHeap),
        (
            "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 8 TiB",
            Death::OutOfMemoryHeap,
        ),
        (
            "RecursionError: maximum recursion depth exceeded",
            Death::StackOverflow,
        ),
        ("AssertionError", Death::Assertion),
        ("KeyboardInterrupt", Death::KilledBySignal),
        ("app.errors.BadThing: x", Death::UncaughtException),
    ] {
        assert_eq!(
            found(WORDS, &TRACE.replace("ValueError: boom", what))
                .remove(0)
                .kind,
            kind,
            "{what}"
        );
    }
}

#[test]
fn nothing_hostile_takes_long_or_panics() {
    let frame = "  File \"a\", line 1, in f\n";
    let header = "Traceback (most recent call last):\n";
    let group = "  + Exception Group Traceback (most recent call last):\n";
    let entry = "2026-11-22 23:51:05,171 [INFO] a - x\n";
    for unit in [
        frame,
        header,
        group,
        "  | Traceback (most recent call last):\n",
        &format!("{header}{frame}"),
        &format!("{entry}{frame}"),
        &format!("x\n{frame}"),
    ] {
        let start = std::time::Instant::now();
        found(WORDS, &unit.repeat(200_000 / unit.len()));
        assert!(start.elapsed().as_secs() < 5, "{unit}");
    }
    for text in [
        "  File \"",
        "  File \"a\", line ",
        "╭ Traceback (most recent call last) ",
        "Fatal Python error: ",
        "Exception ignored ",
    ] {
        found(WORDS, text);
    }
}
