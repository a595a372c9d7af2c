//! The processes of a program, by the names that supervisord gives them.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::host::Host;
use crate::supervisor::supervisord::files;

/// Maximum number of processes of a program that are looked at.
const MOST: u32 = 1000;

/// A process that a program's section describes.
pub struct ProgramProcess {
    pub name: String,
    pub program: String,
    group: String,
    number: u32,
    /// Directory of the file with the section.
    here: PathBuf,
    host: String,
}

/// Returns the process of this group and name.
pub fn find(group: &str, name: &str, host: &Host) -> Option<ProgramProcess> {
    let programs = files::programs_of(group, host).into_iter();
    programs
        .flat_map(|program| of(&program, group, host))
        .find(|process| process.name == name)
}

/// Returns the processes of a program.
pub fn of(program: &str, group: &str, host: &Host) -> Vec<ProgramProcess> {
    let value = |key| files::value_of(program, key, host);
    let number = |key| value(key).and_then(|value| value.parse::<u32>().ok());
    let Some(file) = files::file_of_program(program, host) else {
        return Vec::new();
    };
    let form = value("process_name").unwrap_or_else(|| "%(program_name)s".to_owned());
    let first = number("numprocs_start").unwrap_or_default();
    let count = number("numprocs").unwrap_or(1).min(MOST);
    let process = |number| {
        let process = ProgramProcess {
            name: String::new(),
            program: program.to_owned(),
            group: group.to_owned(),
            number,
            here: file.parent().unwrap_or(Path::new("/")).to_owned(),
            host: host.name(),
        };
        let name = process.expand(&form)?;
        Some(ProgramProcess { name, ..process })
    };
    (first..first.saturating_add(count))
        .filter_map(process)
        .collect()
}

impl ProgramProcess {
    /// Puts what it knows of the process into a value such as `/var/log/%(program_name)s.log`;
    /// returns `None` if the value asks for something else, such as a variable.
    pub fn expand(&self, value: &str) -> Option<String> {
        let mut parts = value.split('%');
        let mut text = parts.next()?.to_owned();
        while let Some(part) = parts.next() {
            if part.is_empty() {
                // `%%` is a percent sign.
                text.push('%');
                text.push_str(parts.next()?);
                continue;
            }
            let (name, rest) = part.strip_prefix('(')?.split_once(')')?;
            let at = rest.find(|c: char| !c.is_ascii_digit())?;
            let (width, rest) = rest.split_at(at);
            let width = width.parse().unwrap_or(0).min(20);
            match (name, rest.split_at_checked(1)?) {
                ("process_num", ("d" | "s", rest)) => {
                    let _ = write!(text, "{:0width$}", self.number);
                    text += rest;
                }
                (name, ("s", rest)) => {
                    text += &self.fact(name)?;
                    text += rest;
                }
                _ => return None,
            }
        }
        Some(text)
    }

    fn fact(&self, name: &str) -> Option<String> {
        Some(match name {
            "program_name" => self.program.clone(),
            "group_name" => self.group.clone(),
            "host_node_name" => self.host.clone(),
            "here" => self.here.display().to_string(),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_expanded_or_not_known() {
        let process = ProgramProcess {
            name: String::new(),
            program: "web".into(),
            group: "shop".into(),
            number: 7,
            here: "/etc".into(),
            host: "db1".into(),
        };
        for (value, expected) in [
            ("/x", Some("/x")),
            ("%(program_name)s-%(process_num)02d", Some("web-07")),
            ("%(group_name)s%%%(process_num)d.log", Some("shop%7.log")),
            ("%(here)s/%(host_node_name)s", Some("/etc/db1")),
            ("%(ENV_HOME)s", None),
            ("100%", None),
            ("%(process_num", None),
            ("%(process_num)", None),
            ("%(process_num)é", None),
            ("%d", None),
        ] {
            assert_eq!(process.expand(value).as_deref(), expected, "{value}");
        }
    }
}
