//! Supervisors: a folder each, behind one trait, [`Supervise`], and listed once, in [`ALL`].
//!
//! A folder holds all that is about its supervisor: what it says about the end of a service, how it
//! is set up to call lastwords, and how `doctor` finds out whether it does.
//!
//! Some supervisors tell the hook itself about the end, in its arguments or its environment. The
//! marker keeps that, so it survives whatever becomes of the hook.
//!
//! Below the hooks nothing reads the environment or the clock: both arrive as data.

pub mod account;
pub mod ask;
pub mod caller;
pub mod check;
pub mod command;
pub mod doctor;
pub mod listen;
pub mod plan;
pub mod run;
pub mod runit;
pub mod s6;
pub mod service_dir;
pub mod services;
pub mod supervise;
pub mod supervisord;
pub mod systemd;
pub mod unknown;
pub mod upstart;

use clap::builder::{PossibleValuesParser, TypedValueParser};

pub use supervise::Supervise;

/// The supervisors that lastwords knows. Adding one takes a folder and a line here.
///
/// Of two that may be a hook's caller the first counts.
pub const ALL: &[&dyn Supervise] = &[
    &upstart::Upstart,
    &systemd::Systemd,
    &runit::Runit,
    &s6::S6,
    &supervisord::Supervisord,
    &run::LastwordsRun,
];

/// Returns the supervisor of this name.
pub fn named(name: &str) -> Option<&'static dyn Supervise> {
    ALL.iter().copied().find(|it| it.name() == name)
}

/// Returns the supervisor that runs the hook, as far as the hook's environment shows it.
pub fn caller(input: &supervise::HookInput) -> &'static dyn Supervise {
    let mut all = ALL.iter().copied();
    all.find(|it| it.is_caller(input)).unwrap_or_default()
}

/// Parses the value of `--supervisor`.
pub fn parser() -> impl TypedValueParser<Value = &'static dyn Supervise> {
    let names = ALL.iter().map(|it| it.name());
    PossibleValuesParser::new(names).map(|name| named(&name).unwrap_or_default())
}

/// Returns the program by which a script, or a command, runs lastwords' hook: `lastwords HOOK`, or
/// a program of the hook's name, which may be a link to lastwords.
pub fn called<'t>(script: &'t str, hook: &str) -> Option<&'t str> {
    let mut commands = script
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'));
    commands.find_map(|line| called_by(line, hook))
}

fn called_by<'t>(line: &'t str, hook: &str) -> Option<&'t str> {
    let mut words = line
        .split_ascii_whitespace()
        .map(|word| word.trim_matches(['"', '\'', ';']));
    while let Some(word) = words.next() {
        match word.rsplit('/').next() {
            Some("lastwords") if words.clone().next() == Some(hook) => return Some(word),
            Some(name) if name == hook && word.starts_with('/') => return Some(word),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::report;

    #[test]
    fn no_two_supervisors_have_the_same_name_or_letter() {
        let letters: BTreeSet<&str> = ALL.iter().map(|it| it.letter()).collect();
        let names: BTreeSet<&str> = ALL.iter().map(|it| it.name()).collect();
        assert_eq!((letters.len(), names.len()), (ALL.len(), ALL.len()));
        let is_free = |letter: &&str| letter.len() == 1 && !"aml0123456789".contains(*letter);
        assert!(letters.iter().all(is_free), "{letters:?}");
    }

    #[test]
    fn a_report_keeps_every_supervisors_name() {
        for supervisor in ALL {
            let name = serde_json::to_string(supervisor.name()).unwrap();
            let read: report::Supervisor = serde_json::from_str(&name).unwrap();
            assert_eq!(read, report::Supervisor::new(supervisor.name()));
            assert_eq!(serde_json::to_string(&read).unwrap(), name);
        }
    }
}
