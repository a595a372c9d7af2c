//! Finds the lines of cron's files that have `lastwords run` in front of a command.

use std::path::{Path, PathBuf};

use crate::host::Host;
use crate::supervisor::services;

/// Files with a line for each command, and directories of such files.
const TABLES: [&str; 2] = ["/etc/crontab", "/etc/anacrontab"];
const TABLE_DIRS: [&str; 3] = ["/etc/cron.d", "/var/spool/cron/crontabs", "/var/spool/cron"];
/// Directories of scripts.
const SCRIPT_DIRS: [&str; 4] = [
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/cron.monthly",
];
/// Where cron looks for a program if its file has no `PATH`.
const PATH: &str = "/usr/bin:/bin";
/// Flags of `lastwords run` that have a value.
const FLAGS: [&str; 7] = [
    "--job",
    "--instance",
    "--deliver-within",
    "--config",
    "--run-dir",
    "--spool",
    "--root",
];

/// A command that cron runs under `lastwords run`.
#[derive(Debug, PartialEq, Eq)]
pub struct CronLine {
    pub file: PathBuf,
    /// Number of the line, from 1.
    pub number: usize,
    pub job: String,
    /// lastwords, as the line names it.
    pub program: String,
    /// Where cron looks for it.
    pub search: String,
}

/// Returns all of them.
pub fn lines(host: &Host) -> Vec<CronLine> {
    let in_dir = |dir: &str| -> Vec<PathBuf> {
        let names = services::names(dir, host).into_iter();
        // By run-parts(8) a name with a dot is passed over.
        let plain = names.filter(|name| !name.contains('.') && !name.ends_with('~'));
        plain.map(|name| Path::new(dir).join(name)).collect()
    };
    let tables = TABLES.iter().map(PathBuf::from);
    let dirs = TABLE_DIRS.iter().chain(&SCRIPT_DIRS);
    let files = tables.chain(dirs.flat_map(|dir| in_dir(dir)));
    let mut found: Vec<CronLine> = files.flat_map(|file| of_file(&file, host)).collect();
    found.sort_by(|a, b| (&a.file, a.number).cmp(&(&b.file, b.number)));
    found
}

fn of_file(file: &Path, host: &Host) -> Vec<CronLine> {
    let text = host.read(file).unwrap_or_default();
    let mut search = PATH.to_owned();
    let mut found = Vec::new();
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if line.starts_with('#') {
            continue;
        }
        if let Some(path) = line.strip_prefix("PATH=") {
            path.trim_matches(['"', '\'']).clone_into(&mut search);
        } else if let Some((program, job)) = command(line) {
            found.push(CronLine {
                file: file.to_owned(),
                number,
                job,
                program,
                search: search.clone(),
            });
        }
    }
    found
}

/// Returns the program and the job of a `lastwords run` in this line.
fn command(line: &str) -> Option<(String, String)> {
    let plain = |word: &str| word.trim_matches(['"', '\'']).to_owned();
    let words: Vec<String> = line.split_ascii_whitespace().map(plain).collect();
    let file_name = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
    let at = words
        .windows(2)
        .position(|pair| file_name(&pair[0]) == "lastwords" && pair[1] == "run")?;
    let mut rest = words.iter().skip(at + 2);
    let mut named = None;
    while let Some(word) = rest.next() {
        let (flag, joined) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        if FLAGS.contains(&flag) {
            let value = joined.or_else(|| rest.next().cloned())?;
            if flag == "--job" {
                named = Some(value);
            }
            continue;
        }
        let command = if word == "--" { rest.next()? } else { word };
        let job = named.unwrap_or_else(|| file_name(command));
        return Some((words.get(at)?.clone(), job));
    }
    None
}

impl CronLine {
    /// Returns the file and the line's number, as `FILE:NUMBER`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.number)
    }

    /// Returns the program's path; `None` if cron does not find it.
    pub fn found(&self, host: &Host) -> Option<String> {
        if self.program.starts_with('/') {
            return Some(self.program.clone());
        }
        let paths = self
            .search
            .split(':')
            .map(|dir| format!("{dir}/{}", self.program));
        paths.into_iter().find(|path| host.path(path).exists())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::services::machine;

    #[test]
    fn every_line_of_crons_files_that_runs_lastwords_names_its_job() {
        let (_dir, host) = machine(&[
            (
                "etc/crontab",
                "17 * * * * root run-parts /etc/cron.hourly\n",
            ),
            (
                "etc/cron.d/backup",
                "# lastwords run -- not\nPATH=/opt/bin:/bin\n\n\
                 */5 * * * *  root  lastwords run --job backup -- /usr/local/bin/backup\n\
                 0 3 * * * root cd /srv && '/usr/bin/lastwords' run --spool=/s /srv/clean.sh --all\n",
            ),
            (
                "etc/cron.d/ignored.sh",
                "* * * * * root lastwords run -- x\n",
            ),
            ("etc/cron.d/deliver", "* * * * * root lastwords deliver\n"),
            (
                "var/spool/cron/crontabs/anna",
                "@daily lastwords run --job=mail -- fetch\n* * * * * lastwords run --job\n",
            ),
            (
                "etc/cron.daily/report",
                "#!/bin/sh\nexec lastwords run -- make-report\n",
            ),
            ("opt/bin/lastwords", ""),
        ]);
        let found = lines(&host);
        let told = |it: &CronLine| {
            (
                it.place(),
                it.job.clone(),
                it.found(&host).unwrap_or_default(),
            )
        };
        let found: Vec<_> = found.iter().map(told).collect();
        let expected = [
            ("/etc/cron.d/backup:4", "backup", "/opt/bin/lastwords"),
            ("/etc/cron.d/backup:5", "clean.sh", "/usr/bin/lastwords"),
            ("/etc/cron.daily/report:2", "make-report", ""),
            ("/var/spool/cron/crontabs/anna:1", "mail", ""),
        ];
        let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(found, expected);
    }
}
