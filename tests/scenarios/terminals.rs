//! Hostile names on the way to a terminal.

use std::fs;
use std::process::Stdio;

use crate::support::harness::Harness;

/// A name that would take over a terminal: CSI, OSC, 8-bit forms, a bell, and the direction of
/// writing.
const HOSTILE: &str = "a\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{9d}x\u{9c}\r\u{202e}b";

/// Returns a text without the colours that are ours.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        plain += &rest
            .strip_prefix('m')
            .map_or(format!("\u{1b}[{part}"), str::to_owned);
    }
    plain
}

/// A directory of this name, which each command gets by its path.
const DIR: &str = "(the directory)";

/// The commands, with hostile names in all the places where one can stand.
const COMMANDS: &[&[&str]] = &[
    &[HOSTILE],
    &["list", HOSTILE],
    &["list", "--job", HOSTILE],
    &["list", "--since", HOSTILE],
    &["list", HOSTILE, "--json", HOSTILE],
    &["show", HOSTILE],
    &["show", "--sink", HOSTILE],
    &["stats", "--job", HOSTILE],
    &["stats", "--since", HOSTILE],
    &["queue", HOSTILE],
    &["queue", "retry", HOSTILE],
    &["queue", "drop", HOSTILE],
    &["queue", "retry", "--job", HOSTILE],
    &["render", HOSTILE],
    &["render", "--sink", HOSTILE],
    &["render", "--as", HOSTILE],
    &["check", "--config", DIR],
    &["check", HOSTILE],
    &["doctor", HOSTILE],
    &[
        "doctor",
        "web",
        "--config",
        DIR,
        "--run-DIR",
        DIR,
        "--spool",
        DIR,
    ],
    &["doctor", "web", "--supervisor", HOSTILE],
    &["setup", HOSTILE],
    &["setup", HOSTILE, "--supervisor", "systemd"],
    &["setup", "web", "--supervisor", "systemd", "--spool", DIR],
    &["setup", "web", "--write", "--spool", DIR],
    &["explain", "--log", DIR],
    &["explain", DIR, "--exit-code", HOSTILE],
    &["schema", HOSTILE],
    &["plugin", "test", HOSTILE],
    &["plugin", "test", DIR, "--sink"],
    &[
        "plugin",
        "test",
        "--collector",
        "/bin/false",
        "--setting",
        HOSTILE,
    ],
    &["post-stop", "--simulate-crash", "--job", HOSTILE],
    &[
        "post-stop",
        "--simulate-crash",
        "--job",
        HOSTILE,
        "--log",
        DIR,
    ],
    &[
        "post-stop",
        "--simulate-crash",
        "--job",
        "web",
        "--signal",
        HOSTILE,
    ],
    &["post-stop", "--simulate-crash", "--job", HOSTILE, "--send"],
    &[
        "post-stop",
        "--simulate-crash",
        "--job",
        "web",
        "--config",
        DIR,
    ],
    &["list"],
    &["list", "--all"],
    &["list", "--json"],
    &["show"],
    &["show", "--json"],
    &["queue"],
    &["queue", "--json"],
    &["stats"],
    &["stats", "--json"],
    &["check", "--config", DIR, "--json"],
    &["doctor", HOSTILE, "--json"],
    &["explain", "--log", DIR, "--json"],
    &["post-stop", "--simulate-crash", "--job", HOSTILE, "--json"],
    &["deliver", "--spool", DIR, "--config", DIR, "--run-DIR", DIR],
    &["deliver"],
    &["run", "--job", HOSTILE, "--", HOSTILE],
    &["run", "--deliver-within", HOSTILE, "--", "true"],
    &["listen", HOSTILE],
    &["pre-start", "--job", HOSTILE, HOSTILE],
    &["post-stop", "--job", HOSTILE, HOSTILE],
];

#[test]
fn a_hostile_name_reaches_no_terminal_raw_in_whatever_command_it_stands() {
    let machine = Harness::new();
    let hostile_dir = machine.path(HOSTILE);
    fs::create_dir_all(hostile_dir.join("jobs")).unwrap();
    fs::write(
        hostile_dir.join("lastwords.toml"),
        format!("[[sink.{HOSTILE}]]\n"),
    )
    .unwrap();
    fs::write(hostile_dir.join("jobs").join(HOSTILE), "x").unwrap();
    fs::write(
        hostile_dir.join("jobs/web.toml"),
        "sinks = 7\nuser = 'nosuch'\n",
    )
    .unwrap();
    let sink =
        format!("[[sink.exec]]\nname = '{HOSTILE}'\ncommand = ['/{HOSTILE}']\n").replace('\r', "");
    let sink = sink.replace(|c: char| c.is_control() && c != '\n', "");
    fs::write(machine.config.join("lastwords.toml"), sink).unwrap();
    let dir = hostile_dir.to_str().unwrap();
    let is_raw =
        |c: char| (c.is_control() && !"\n\t".contains(c)) || "\u{202e}\u{2066}\u{200f}".contains(c);
    for words in COMMANDS {
        let words: Vec<&str> = words
            .iter()
            .map(|it| if *it == DIR { dir } else { it })
            .collect();
        let (verb, args) = words.split_first().unwrap();
        let output = machine
            .command(verb)
            .args(args)
            .env("CLICOLOR_FORCE", "1")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = without_colours(&String::from_utf8(said).unwrap());
        assert!(!said.contains(is_raw), "{verb} {args:?}: {said:?}");
    }
    machine.settle();
}
