//! Supervisors: what each one says about a stop, and where.
//!
//! Some tell it to the hook itself, in its arguments or its environment: that is kept in the
//! marker, with which it survives whatever becomes of the hook.
//!
//! Pure: the environment, the kernel log and the job's own configuration come in as data.

pub mod account;
pub mod ask;
pub mod caller;
pub mod check;
pub mod doctor;
pub mod plan;
pub mod run;
pub mod runit;
pub mod s6;
pub mod service_dir;
pub mod services;
pub mod setup;
pub mod subject;
pub mod supervisord;
pub mod systemd;
pub mod texts;
pub mod upstart;

/// The program by which a script, or a command, runs lastwords' hook: `lastwords HOOK`, or a
/// program of the hook's name, which may be a link to lastwords. `None` where it does not.
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
