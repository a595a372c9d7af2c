use super::WORDS;
use crate::cause::runtimes::found;
use crate::report::{Death, Exit};

#[test]
fn every_shell_s_form_gives_the_words_and_the_place() {
    for (log, kind, what, place) in [
        (
            "run.sh: line 3: exec: gw: not found",
            Death::NoSuchFile,
            "exec: gw: not found",
            "run.sh:3",
        ),
        (
            "run.sh: 3: gw: not found",
            Death::NoSuchFile,
            "gw: not found",
            "run.sh:3",
        ),
        (
            "run.sh:3: command not found: gw",
            Death::NoSuchFile,
            "command not found: gw",
            "run.sh:3",
        ),
        (
            "run.sh: exec: line 3: gw: not found",
            Death::NoSuchFile,
            "gw: not found",
            "run.sh:3",
        ),
        (
            "bash: line 1: gw: command not found",
            Death::NoSuchFile,
            "bash: line 1: gw: command not found",
            "",
        ),
        (
            "sh: 1: gw: not found",
            Death::NoSuchFile,
            "sh: 1: gw: not found",
            "",
        ),
        (
            "sh: gw: not found",
            Death::NoSuchFile,
            "sh: gw: not found",
            "",
        ),
        (
            "run.sh: line 2: ./gw: Permission denied",
            Death::Permission,
            "./gw: Permission denied",
            "run.sh:2",
        ),
        (
            "run.sh: 4: Syntax error: \"fi\" unexpected",
            Death::SyntaxError,
            "Syntax error: \"fi\" unexpected",
            "run.sh:4",
        ),
        (
            "run.sh: line 5:  4242 Segmentation fault      (core dumped) ./gw --x",
            Death::Segfault,
            "Segmentation fault: ./gw --x",
            "run.sh:5",
        ),
        (
            "[FATAL tini (7)] exec gw failed: No such file or directory",
            Death::NoSuchFile,
            "[FATAL tini (7)] exec gw failed: No such file or directory",
            "",
        ),
        (
            "exec /entry.sh: exec format error",
            Death::BadArguments,
            "exec /entry.sh: exec format error",
            "",
        ),
    ] {
        let it = found(WORDS, log)
            .into_iter()
            .next()
            .unwrap_or_else(|| panic!("nothing in {log}"));
        let at = it.place.map(|place| place.to_string()).unwrap_or_default();
        assert_eq!(
            (it.kind, it.what.as_str(), at.as_str()),
            (kind, what, place),
            "{log}"
        );
    }
}

#[test]
fn a_missing_command_needs_the_exit_code_that_a_shell_makes_of_it() {
    let all = found(WORDS, "run.sh: line 3: gw: command not found");
    let fits = |exit: Exit| all.iter().any(|it| it.fits(&exit));
    assert!(fits(Exit::Code(127)) && !fits(Exit::Code(1)) && !fits(Exit::Code(0)));
}

#[test]
fn lines_that_only_look_alike_are_skipped() {
    for log in [
        "GET /x: 404: page not found",
        "user 12: session: not found here",
        "run.sh: line 5:  4242 Killed                  ./gw",
        "Segmentation fault was fixed",
        "error: no such file or directory",
        "cache: key: not found",
        ": : : not found",
        "",
    ] {
        assert!(
            found(WORDS, log).is_empty(),
            "{log}: {:?}",
            found(WORDS, log)
        );
    }
}
