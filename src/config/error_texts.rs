//! Tests of the error messages, word for word.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::document::Document;
use super::normal_exit::NormalExit;
use super::parse::parse;
use super::problem::{Problem, Source};
use super::sink_names::{self, SinkNames};

/// A config with the shape of the real one.
#[derive(Deserialize, Debug, Default, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Config {
    sink: Sinks,
    collect: Collect,
    runbook: Option<String>,
    normal_exit: Vec<NormalExit>,
    #[serde(with = "humantime_serde")]
    stop_timeout: Option<Duration>,
    sinks: Option<Vec<String>>,
}

#[derive(Deserialize, Debug, Default, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Sinks {
    slack: Vec<Slack>,
    email: Vec<Email>,
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Slack {
    name: String,
    webhook_file: PathBuf,
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Email {
    name: String,
    to: Vec<String>,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    tls: Tls,
}

#[derive(Deserialize, Debug, Default, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Tls {
    #[default]
    Required,
    Opportunistic,
    None,
}

#[derive(Deserialize, Debug, Default, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Collect {
    memory: Option<Memory>,
    log: Vec<Log>,
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Memory {}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Log {
    path: PathBuf,
    #[serde(default)]
    lines: Option<u32>,
}

fn source(text: &str) -> Source {
    Source::new(Path::new("lastwords.toml"), text)
}

fn read(text: &str) -> (Option<Config>, Vec<Problem>) {
    parse(&Document::of(&source(text)))
}

fn show(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| problem.render(false))
        .collect::<Vec<_>>()
        .join("\n\n")
}

/// Returns the sinks that a file's root defines and lists.
fn names(source: &Source) -> SinkNames {
    SinkNames::of(&Document::of(source).root)
}

/// Returns what is wrong with the sinks of a job. The machine's are those of its root.
fn of_job(machine: &Source, job: &Source) -> Vec<Problem> {
    let none = SinkNames::default();
    sink_names::of_job(job, &names(job), (&names(machine), &none))
}

/// Returns the problems with a file as people see them.
fn shown(text: &str) -> String {
    let (value, problems) = read(text);
    assert!(!problems.is_empty(), "{value:?}");
    show(&problems)
}

#[test]
fn a_mistyped_key_in_the_second_of_two_sinks() {
    assert_eq!(
        shown(
            r#"
[[sink.slack]]
name = "ops"
webhook_file = "secrets/slack"

[[sink.slack]]
name = "dev"
webhok_file = "secrets/dev"
"#
        ),
        "\
error: unknown key `webhok_file`, expected `name` or `webhook_file`
 --> lastwords.toml:8:1
  |
8 | webhok_file = \"secrets/dev\"
  | ^^^^^^^^^^^
  |
  = help: did you mean `webhook_file`?"
    );
}

#[test]
fn an_unknown_kind_of_sink() {
    assert_eq!(
        shown("[[sink.mail]]\nname = \"ops\"\n"),
        "\
error: unknown key `mail`, expected `slack` or `email`
 --> lastwords.toml:1:8
  |
1 | [[sink.mail]]
  |        ^^^^
  |
  = help: did you mean `email`?"
    );
}

#[test]
fn a_table_without_the_keys_that_it_needs() {
    assert_eq!(
        shown("[[sink.slack]]\n"),
        "\
error: the key `name` is missing in this table
 --> lastwords.toml:1:1
  |
1 | [[sink.slack]]
  | ^^^^^^^^^^^^^^

error: the key `webhook_file` is missing in this table
 --> lastwords.toml:1:1
  |
1 | [[sink.slack]]
  | ^^^^^^^^^^^^^^"
    );
}

#[test]
fn values_of_the_wrong_type_out_of_range_and_mistyped_all_at_once() {
    assert_eq!(
        shown(
            r#"
[[sink.email]]
name = "ops"
to = "ops@example.com"
port = 99999
tls = "requird"

[[collect.log]]
path = 5
lines = "200"
"#
        ),
        "\
error: expected an array, found a string
 --> lastwords.toml:4:6
  |
4 | to = \"ops@example.com\"
  |      ^^^^^^^^^^^^^^^^^
  |
  = help: put it in brackets: `[\"…\"]`

error: expected an integer from 0 to 65535, found `99999`
 --> lastwords.toml:5:8
  |
5 | port = 99999
  |        ^^^^^

error: unknown value `requird`, expected `required`, `opportunistic` or `none`
 --> lastwords.toml:6:7
  |
6 | tls = \"requird\"
  |       ^^^^^^^^^
  |
  = help: did you mean `required`?

error: expected a string with a path, found `5`
 --> lastwords.toml:9:8
  |
9 | path = 5
  |        ^
  |
  = help: put it in quotes

error: expected an integer from 0 to 4294967295, found a string
  --> lastwords.toml:10:9
   |
10 | lines = \"200\"
   |         ^^^^^
   |
   = help: write it without quotes"
    );
}

#[test]
fn durations_and_exits() {
    assert_eq!(
        shown("stop_timeout = 10\nnormal_exit = [0, 256, \"SIGTREM\"]\n"),
        "\
error: expected a duration, found `10`
 --> lastwords.toml:1:16
  |
1 | stop_timeout = 10
  |                ^^
  |
  = help: durations look like \"10s\", \"5m\" or \"1h 30m\"

error: expected an exit code from 0 to 255 or a signal's name, found `256`
 --> lastwords.toml:2:19
  |
2 | normal_exit = [0, 256, \"SIGTREM\"]
  |                   ^^^

error: expected an exit code from 0 to 255 or a signal's name, found another string
 --> lastwords.toml:2:24
  |
2 | normal_exit = [0, 256, \"SIGTREM\"]
  |                        ^^^^^^^^^
  |
  = help: did you mean `TERM`?"
    );
}

#[test]
fn single_brackets_where_there_may_be_several() {
    assert_eq!(
        shown("[sink.slack]\nname = \"ops\"\nwebhook_file = \"secrets/slack\"\n"),
        "\
error: expected an array, found a table
 --> lastwords.toml:1:1
  |
1 | [sink.slack]
  | ^^^^^^^^^^^^
  |
  = help: there may be several of them: write `[[sink.slack]]`"
    );
}

#[test]
fn double_brackets_where_there_can_be_one() {
    assert_eq!(
        shown("[[collect.memory]]\nlines = 5\n"),
        "\
error: expected a table, found a list of tables
 --> lastwords.toml:1:1
  |
1 | [[collect.memory]]
  | ^^^^^^^^^^^^^^^^^^
  |
  = help: there can be only one of them: write `[collect.memory]`"
    );
}

#[test]
fn a_key_and_a_table_that_are_there_twice() {
    assert_eq!(
        shown("runbook = \"a\"\nrunbook = \"b\"\n[collect.memory]\n[collect.memory]\n"),
        "\
error: the key `runbook` is defined twice
 --> lastwords.toml:2:1
  |
2 | runbook = \"b\"
  | ^^^^^^^
  |
  = help: keep one of them

error: the table `memory` is defined twice
 --> lastwords.toml:4:10
  |
4 | [collect.memory]
  |          ^^^^^^
  |
  = help: keep one of them; a table that may occur several times has double brackets, as `[[sink.slack]]`"
    );
}

#[test]
fn what_is_not_closed() {
    assert_eq!(
        shown("runbook = \"a\n"),
        "\
error: expected `\"` at the end of this string
 --> lastwords.toml:1:13
  |
1 | runbook = \"a
  |             ^"
    );
    assert_eq!(
        shown("[[sink.slack]\nname = \"a\"\n"),
        "\
error: expected `]]` at the end of this table's header
 --> lastwords.toml:1:14
  |
1 | [[sink.slack]
  |              ^"
    );
    assert_eq!(
        shown("sinks = [\n  \"a\",\n  \"b\"\n\n[collect.memory]\nbogus = 1\n"),
        "\
error: this array is never closed: expected `]`
 --> lastwords.toml:1:9
  |
1 | sinks = [
  |         ^"
    );
    assert_eq!(
        shown("runbook = \"\"\"\nsome\ntext\n"),
        "\
error: this string is never closed: expected three quotes
 --> lastwords.toml:1:11
  |
1 | runbook = \"\"\"
  |           ^"
    );
}

#[test]
fn what_is_not_toml_hides_no_other_error() {
    assert_eq!(
        shown("runbook = https://wiki.example.com\nstop_timeout =\nsinks = 1\n<<<<<<< HEAD\n"),
        "\
error: expected a value, found text without quotes
 --> lastwords.toml:1:11
  |
1 | runbook = https://wiki.example.com
  |           ^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: put strings in quotes: `\"…\"`

error: expected a value after `=`, found none
 --> lastwords.toml:2:15
  |
2 | stop_timeout =
  |               ^

error: expected an array, found `1`
 --> lastwords.toml:3:9
  |
3 | sinks = 1
  |         ^

error: expected a key of letters, digits, `-` and `_`
 --> lastwords.toml:4:1
  |
4 | <<<<<<< HEAD
  | ^^^^^^^"
    );
}

#[test]
fn a_sink_that_does_not_exist() {
    let machine =
        source("[[sink.slack]]\nname = \"ops-slack\"\n[[sink.email]]\nname = \"ops-mail\"\n");
    let job = Source::new(
        Path::new("jobs/web.toml"),
        "sinks = [\"ops-mail\", \"ops-slak\"]\n",
    );
    assert_eq!(
        show(&of_job(&machine, &job)),
        "\
error: unknown sink `ops-slak`, expected `ops-slack` or `ops-mail`
 --> jobs/web.toml:1:22
  |
1 | sinks = [\"ops-mail\", \"ops-slak\"]
  |                      ^^^^^^^^^^
  |
  = help: did you mean `ops-slack`?"
    );
}

#[test]
fn two_sinks_of_one_name() {
    let machine = source("[[sink.slack]]\nname = \"ops\"\n\n[[sink.email]]\nname = \"ops\"\n");
    assert_eq!(
        show(&sink_names::of_machine(
            &machine,
            &names(&machine),
            &SinkNames::default()
        )),
        "\
error: two sinks have this name
 --> lastwords.toml:5:8
  |
5 | name = \"ops\"
  |        ^^^^^
  |
  = help: give each sink a name of its own"
    );
    let job = Source::new(
        Path::new("jobs/web.toml"),
        "[[sink.slack]]\nname = \"ops\"\n",
    );
    assert_eq!(
        show(&of_job(&machine, &job)),
        "\
error: lastwords.toml already has a sink of this name
 --> jobs/web.toml:2:8
  |
2 | name = \"ops\"
  |        ^^^^^
  |
  = help: give each sink a name of its own"
    );
}

#[test]
fn a_job_that_tells_nobody() {
    let job = Source::new(Path::new("jobs/web.toml"), "sinks = []\n");
    assert_eq!(
        show(&of_job(&source(""), &job)),
        "\
warning: nobody is told when this job dies
 --> jobs/web.toml:1:9
  |
1 | sinks = []
  |         ^^
  |
  = help: reports are kept in the spool; leave `sinks` out to tell all sinks"
    );
}

#[test]
fn values_are_not_repeated_since_one_may_be_a_password() {
    let (_, problems) = read(
        "runbook = 5\nwebhook = \"hunter2\"\nsinks = \"hunter2\"\nnormal_exit = [\"hunter2\"]\n",
    );
    assert_eq!(problems.len(), 4);
    assert!(
        problems
            .iter()
            .all(|problem| !problem.to_string().contains("hunter2")),
        "{problems:?}"
    );
}

#[test]
fn one_mistake_in_one_sink_does_not_silence_the_others() {
    let (config, problems) = read(
        r#"
runbook = "x"
[[sink.email]]
name = "ops-mail"
to = ["ops@example.com"]
tsl = "required"
[[sink.slack]]
name = "ops-slack"
webhook_file = "secrets/slack"
[collect.memory]
bogus = 1
[[collect.log]]
path = "a.log"
"#,
    );
    assert_eq!(problems.len(), 2);
    let config = config.unwrap();
    assert_eq!(
        config.sink.email,
        [],
        "a sink that might run without TLS does not run"
    );
    assert_eq!(config.sink.slack.len(), 1);
    assert_eq!(config.collect.memory, None);
    assert_eq!(config.collect.log.len(), 1);
    assert_eq!(config.runbook.as_deref(), Some("x"));
}

#[test]
fn of_a_text_that_is_not_toml_nothing_is_used() {
    assert_eq!(read("runbook = \"x\"\nsinks = [").0, None);
}

#[test]
fn a_file_with_nothing_wrong_is_read() {
    for text in [
        "",
        "\u{feff}",
        "\u{feff}runbook = 'x'\r\n",
        "# nothing",
        "[sink]\n[collect]\n",
    ] {
        let (config, problems) = read(text);
        assert!(
            config.is_some() && problems.is_empty(),
            "{text:?}: {problems:?}"
        );
    }
}

#[test]
fn a_thousand_errors_are_cut_off_and_said_to_be() {
    let text = (0..1000).fold(String::new(), |text, i| text + &format!("key{i} = 1\n"));
    let (_, problems) = read(&text);
    assert_eq!(problems.len(), 51);
    let last = problems.last().unwrap().to_string();
    assert_eq!(
        last,
        "lastwords.toml: this file has more errors: only the first 50 are shown"
    );
}

#[test]
fn no_file_of_1_mib_takes_long_or_reaches_the_terminal_raw() {
    let fill = |text: &str| text.repeat(1024 * 1024 / text.len());
    for text in [
        fill("\0"),
        fill("x"),
        fill("x\n"),
        fill("x=1\n"),
        fill("["),
        fill("[[sink.slack]]\n"),
        fill("a."),
        fill("\u{1b}[2J"),
        fill("x = \"\u{9b}31m\"\n"),
        format!("a = {}", fill("[")),
        format!("a = {}", fill("{a=")),
        format!("runbook = [\"{}\"]", fill("é")),
        format!("\"{}\" = 1", fill("é")),
        format!("a = {}", fill("1")),
    ] {
        let start = std::time::Instant::now();
        let (_, problems) = read(&text);
        let parsed = start.elapsed();
        assert!(!problems.is_empty());
        for problem in problems {
            let shown = problem.render(false);
            assert!(
                shown.chars().all(|c| c == '\n' || !c.is_control()),
                "{shown:?}"
            );
            assert!(
                shown.len() < 4000 && problem.to_string().len() < 4000,
                "{}",
                shown.len()
            );
        }
        assert!(
            parsed.as_secs() < 20 && start.elapsed().as_secs() < 40,
            "{:.20}… {:?}",
            text,
            start.elapsed()
        );
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "([\\[\\]={}\"'.,#\n\r \u{0}a-c1é]|sink|slack|name|sinks|collect|memory|\"\"\"|\\[\\[sink\\.slack\\]\\]\n){0,60}") {
        for problem in read(&text).1 {
            let _ = (problem.render(true), problem.to_string());
        }
        let source = source(&text);
        let names = names(&source);
        let _ = (sink_names::of_machine(&source, &names, &names), of_job(&source, &source));
    }
}
