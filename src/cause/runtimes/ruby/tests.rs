use super::WORDS;
use crate::cause::runtimes::found;
use crate::report::Death;

fn last(log: &str) -> (Death, String, String) {
    let mut found = found(WORDS, log);
    let last = found.pop().unwrap_or_else(|| panic!("nothing in {log}"));
    (
        last.kind,
        last.what,
        last.place
            .map(|place| place.to_string())
            .unwrap_or_default(),
    )
}

#[test]
fn the_exception_that_ruby_s_logger_is_given_is_read_with_its_frames() {
    let log = "F, [2026-11-23T07:36:36.898675 #7] FATAL -- : key not found: :dsn (KeyError)\napp.rb:4:in `fetch'\napp.rb:4:in `<main>'";
    let found = found(WORDS, log);
    let found = found.first().unwrap();
    assert_eq!(
        (found.what.as_str(), found.lines.clone()),
        ("KeyError: key not found: :dsn", 0..3)
    );
}

#[test]
fn the_forms_of_every_version_are_read() {
    let what = "NoMethodError: undefined method 'name' for nil";
    for log in [
        "app.rb:2:in 'Object#owner': undefined method 'name' for nil (NoMethodError)\n\n  t.name\n   ^^^^^\n\tfrom app.rb:5:in '<main>'\n",
        "app.rb:2:in `owner': undefined method 'name' for nil (NoMethodError)\n\tfrom app.rb:5:in `<main>'\n",
        "Traceback (most recent call last):\n\t1: from app.rb:5:in `<main>'\napp.rb:2:in `owner': undefined method 'name' for nil (NoMethodError)\n",
        "/usr/lib/ruby/3.1.0/x.rb:9:in `call': undefined method 'name' for nil (NoMethodError)\n\tfrom app.rb:2:in `f'\n",
    ] {
        assert_eq!(
            last(log),
            (
                Death::UncaughtException,
                what.to_owned(),
                "app.rb:2".to_owned()
            ),
            "{log}"
        );
    }
    let prism = "app.rb:3: syntax error found (SyntaxError)\n  1 | def a\n> 3 | \n    | ^ unexpected end-of-input\n";
    assert_eq!(last(prism).0, Death::SyntaxError);
    assert_eq!(
        last("ruby: No such file or directory -- app.rb (LoadError)\n").0,
        Death::NoSuchFile
    );
    assert_eq!(
        last("app.rb: failed to allocate memory (NoMemoryError)\n").0,
        Death::OutOfMemoryHeap
    );
}

#[test]
fn a_cause_is_told_with_what_it_caused() {
    let log = "a.rb:2:in `rescue in f': no config (RuntimeError)\n\tfrom a.rb:1:in `<main>'\n\
                   a.rb:1:in `f': key not found: :dsn (KeyError)\n\tfrom a.rb:1:in `<main>'\n";
    assert_eq!(
        last(log).1,
        "RuntimeError: no config (caused by KeyError: key not found: :dsn)"
    );
}

#[test]
fn lines_that_only_look_alike_are_skipped() {
    for log in [
        "see app.rb:2 (Later)",
        "12:30:01: started (Worker)",
        "app.rb:2: all is well",
        "::: (A)",
        ":1: (A",
        "(A)",
    ] {
        let found = found(WORDS, log);
        assert!(found.is_empty(), "{log}: {found:?}");
    }
}

#[test]
fn reports_without_an_end_are_read_in_linear_time() {
    let start = std::time::Instant::now();
    let found = found(WORDS, &"a.rb:1: [BUG] x\nruby 3\n".repeat(10_000));
    assert!(found.len() == 10_000 && start.elapsed().as_secs() < 5);
}
