//! The logs that a job's config names. A start waits for that, so nothing else is read of it.

use std::path::Path;

use serde::Deserialize;

use super::files::{job_file, machine_file};
use super::read;
use crate::collectors::log::Log;

/// Of `lastwords.toml`, the part that is read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct MachineLogs {
    default: JobLogs,
}

/// Of a job's file, the part that is read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct JobLogs {
    collect: Option<CollectLogs>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CollectLogs {
    log: Vec<Log>,
}

/// Returns the logs of a job's `[collect]`; `None` if it has none, or where that is broken.
pub fn logs(dir: &Path, job: &str) -> Option<Vec<Log>> {
    let own = parse::<JobLogs>(&job_file(dir, job)).collect;
    let collect = own.or_else(|| parse::<MachineLogs>(&machine_file(dir)).default.collect)?;
    Some(collect.log)
}

fn parse<T: for<'de> Deserialize<'de> + Default>(file: &Path) -> T {
    let source = read::read(file).ok().flatten();
    // Most files have none, and need not be parsed.
    let source = source.filter(|source| source.text.contains("collect"));
    source
        .and_then(|source| toml::from_str(&source.text).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::logs;

    #[test]
    fn the_logs_are_those_of_the_jobs_own_table_or_else_of_the_default_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("jobs")).unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        let of = |job: &str| {
            let logs = logs(dir.path(), job)?;
            Some(logs.into_iter().map(|log| log.path).collect::<Vec<_>>())
        };
        assert_eq!(of("web"), None);
        write(
            "lastwords.toml",
            "[[sink.syslog]]\nname = \"a\"\n[[default.collect.log]]\npath = \"/all.log\"\n",
        );
        write("jobs/web.toml", "runbook = \"x\"\n");
        assert_eq!(of("web"), Some(vec!["/all.log".to_owned()]));
        write(
            "jobs/web.toml",
            "sinks = []\n[collect.memory]\n[[collect.log]]\npath = \"/web/{job}.log\"\nlines = 7\n",
        );
        assert_eq!(of("web"), Some(vec!["/web/{job}.log".to_owned()]));
        write("jobs/web.toml", "[collect.memory]\n");
        assert_eq!(of("web"), Some(Vec::new()));
        write("jobs/web.toml", "[[collect.log]\n");
        assert_eq!(of("web"), Some(vec!["/all.log".to_owned()]));
    }
}
