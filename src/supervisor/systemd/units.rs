//! Asks systemd for units as it has loaded them.

use crate::host::Host;
use crate::supervisor::ask::ask;

const SYSTEMCTL: [&str; 2] = ["/usr/bin/systemctl", "/bin/systemctl"];

/// Returns true if systemd runs this machine.
pub fn is_manager(host: &Host) -> bool {
    host.path("/run/systemd/system").is_dir()
}

/// Properties of a unit.
#[derive(Debug, Default)]
pub struct Shown(Vec<(String, String)>);

impl Shown {
    /// Reads the properties of one unit, a line each.
    pub fn parse(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self(pairs.map(owned).collect())
    }

    /// Returns the value of a property; empty if it has none.
    pub fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// Returns the values of a property that may occur several times, such as a command.
    pub fn all<'s>(&'s self, name: &str) -> impl Iterator<Item = &'s str> {
        self.0
            .iter()
            .filter(move |(it, _)| it == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Asks for properties of units, in their order; returns `None` if systemd does not answer.
pub fn show(units: &[&str], properties: &[&str], host: &Host) -> Option<Vec<Shown>> {
    let text = shown(units, properties, host)?;
    let all: Vec<Shown> = text.split("\n\n").map(Shown::parse).collect();
    if all.len() == units.len() {
        return Some(all);
    }
    // A command that holds an empty line looks like the end of its unit.
    let one = |unit: &&str| Some(Shown::parse(&shown(&[unit], properties, host)?));
    units.iter().map(one).collect()
}

fn shown(units: &[&str], properties: &[&str], host: &Host) -> Option<String> {
    let wanted = format!("--property={}", properties.join(","));
    let args: Vec<&str> = ["show", &wanted, "--"]
        .into_iter()
        .chain(units.iter().copied())
        .collect();
    let answer = ask(host, &SYSTEMCTL, &args).filter(|answer| answer.code == Some(0))?;
    Some(answer.text)
}

/// Returns the loaded instances of a template, without `.service`.
pub fn instances(template: &str, host: &Host) -> Vec<String> {
    let pattern = template.replacen('@', "@*", 1);
    list(&["--all", "--", &pattern], host)
}

/// Returns the services that systemd waits to start again, without `.service`.
pub fn waiting_for_a_restart(host: &Host) -> Vec<String> {
    // The second state is that of systemd 254 and later.
    let states = "--state=auto-restart,auto-restart-queued";
    list(&["--type=service", states], host)
}

fn list(wanted: &[&str], host: &Host) -> Vec<String> {
    let how = ["list-units", "--plain", "--no-legend", "--no-pager"];
    let args: Vec<&str> = how.iter().chain(wanted).copied().collect();
    let answer = ask(host, &SYSTEMCTL, &args).filter(|answer| answer.code == Some(0));
    let text = answer.map(|answer| answer.text).unwrap_or_default();
    let names = text.lines().filter_map(|line| {
        line.split_ascii_whitespace()
            .next()?
            .strip_suffix(".service")
    });
    names.map(str::to_owned).collect()
}

/// Returns the arguments of a command that systemd shows as `{ path=… ; argv[]=… ; ignore_errors=…
/// }`.
pub fn arguments(shown: &str) -> &str {
    let after = shown.split_once("argv[]=").map_or(shown, |(_, rest)| rest);
    after
        .split_once(" ; ignore_errors=")
        .map_or(after, |(words, _)| words)
}
