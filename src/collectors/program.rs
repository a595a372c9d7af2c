//! `[collect.program]`: when the service's program was changed, to tell if it has changed since the
//! last crash.
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | `path` | the file that a new version replaces; a relative one starts at the config's directory | required |
//!
//! ```toml
//! [collect.program]
//! path = "/srv/web/server.js"
//! ```
//!
//! If it is a symbolic link (`/srv/web/current`), the file that it leads to counts. A job without a
//! config has this collector if its supervisor, Upstart or systemd, names the program.
//!
//! The section's data: `path`, `modified` (RFC 3339), `size` (bytes).

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{Body, Collector};
use crate::host::Host;
use crate::mounts;
use crate::report::{Changed, CollectorKind, ProgramFile, Section, SectionData, Stop, Timestamp};
use crate::when::length;

/// When the service's program was changed.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Program {
    #[serde(deserialize_with = "super::path")]
    pub path: String,
}

impl Collector for Program {
    fn kind(&self) -> CollectorKind {
        CollectorKind::PROGRAM
    }

    fn may_hang(&self, _stop: &Stop, host: &Host) -> bool {
        mounts::may_hang(&host.configured(Path::new(&self.path)))
    }

    fn collect(&self, stop: &Stop, host: &Host) -> Result<Body> {
        let shown = self.path.escape_debug();
        let found = fs::metadata(host.configured(Path::new(&self.path)))
            .with_context(|| format!("cannot look at {shown}"))?;
        let modified = Timestamp::new(
            found
                .modified()
                .with_context(|| format!("cannot tell when {shown} was changed"))?,
        );
        let before = stop.stopped_at.since(modified);
        let text = format!("{shown}: changed {modified}, {} before", length(before));
        Ok(Body {
            text,
            data: SectionData::Program(ProgramFile {
                path: self.path.clone(),
                modified,
                size: found.len(),
            }),
        })
    }
}

/// Finds the program, and when it was changed, in a report's sections.
pub fn found(sections: &[Section]) -> Option<Changed> {
    sections.iter().find_map(|section| match &section.data {
        SectionData::Program(program) => Some(Changed {
            path: program.path.clone(),
            modified: program.modified,
        }),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, FileTimes};

    use super::{Program, found};
    use crate::collectors::{Collector, tests::stop};
    use crate::host::Host;
    use crate::report::{Section, Timestamp, section};

    #[test]
    fn the_time_of_the_last_change_is_told_and_found_again() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("srv")).unwrap();
        let file = File::create(root.path().join("srv/server.js")).unwrap();
        let modified = Timestamp::of_unix(1_000_000);
        file.set_times(FileTimes::new().set_modified(modified.time()))
            .unwrap();
        let mut stop = stop();
        stop.stopped_at = Timestamp::of_unix(1_000_090);
        let body = Program {
            path: "/srv/server.js".into(),
        }
        .collect(&stop, &Host::new(root.path(), root.path()))
        .unwrap();
        assert_eq!(
            body.text,
            "/srv/server.js: changed 1970-01-12T13:46:40.000Z, 1 min 30 s before"
        );
        let section = Section {
            data: body.data,
            ..section("program", &body.text)
        };
        let program = found(&[section]).unwrap();
        assert_eq!(
            (program.path.as_str(), program.modified),
            ("/srv/server.js", modified)
        );
        assert_eq!(found(&[]), None);
    }
}
