//! Finds the services that are set up: by a file in jobs/, by a file of their supervisor's that
//! calls us, or by a `lastwords run` that is alive.

use std::collections::BTreeSet;

use crate::config;
use crate::operate::doctor::runs;
use crate::places::Places;
use crate::supervisor::ALL;
use crate::supervisor::services::supervisor_of;

pub fn services(places: &Places) -> Vec<String> {
    let host = places.host();
    let wired: BTreeSet<String> = ALL.iter().flat_map(|it| it.wired(&host)).collect();
    // A template's file in jobs/ is for its instances.
    let is_template = |job: &str| {
        wired
            .iter()
            .any(|name| name.split_once('@').is_some_and(|(of, _)| of == job))
    };
    let configured: Vec<String> = config::jobs(&places.config)
        .into_iter()
        .filter(|job| !is_template(job))
        .collect();
    configured
        .into_iter()
        .chain(runs::jobs(places))
        .chain(wired)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// Returns the services that a name stands for: a template's name stands for its instances.
pub fn named(name: &str, places: &Places) -> Vec<String> {
    let host = places.host();
    let instances = || ALL.iter().find_map(|it| it.services_of(name, &host));
    let is_unknown = supervisor_of(name, &host).is_err();
    let instances = is_unknown.then(instances).flatten();
    instances.unwrap_or_else(|| vec![name.to_owned()])
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_supervisors_files_tell_whom_they_call_us_for() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places {
            root: dir.path().join("root"),
            config: dir.path().into(),
            run_dir: dir.path().into(),
            ..Places::default()
        };
        for (name, text) in [
            ("etc/init/a.conf", "exec /srv/a\n"),
            (
                "etc/init/a.override",
                "post-stop exec /usr/bin/lastwords post-stop\n",
            ),
            (
                "etc/init/sub/dir/g.conf",
                "post-stop exec /opt/upstart-monitor/bin/post-stop\n",
            ),
            (
                "etc/init/h.conf",
                "post-stop script\n  /opt/bin/post-stop\nend script\n",
            ),
            (
                "etc/init/its-own.conf",
                "post-stop exec /srv/x/bin/post-stop\n",
            ),
            (
                "etc/init/not.conf",
                "# post-stop exec lastwords post-stop\n",
            ),
            (
                "etc/systemd/system/b.service.d/x.conf",
                "ExecStopPost=-+/usr/bin/lastwords post-stop --job %n\n",
            ),
            (
                "usr/lib/systemd/system/c@.service",
                "ExecStopPost=-+/usr/bin/lastwords post-stop --job %n\n",
            ),
            (
                "etc/systemd/system/service.d/x.conf",
                "ExecStopPost=-+/usr/bin/lastwords post-stop --job %n\n",
            ),
            (
                "etc/systemd/system/lastwords@.service",
                "ExecStart=-/usr/bin/lastwords post-stop --job %i on-failure\n",
            ),
            (
                "etc/sv/d/finish",
                "exec /usr/bin/lastwords post-stop -- \"$@\"\n",
            ),
            (
                "run/service/e/finish",
                "exec /usr/bin/lastwords post-stop -- \"$@\"\n",
            ),
            ("etc/sv/not/finish", "true\n"),
            ("etc/supervisor/conf.d/f.conf", "[program:f]\ncommand=x\n"),
            (
                "etc/supervisor/conf.d/lastwords.conf",
                "[eventlistener:lastwords]\ncommand=lastwords listen supervisord\n",
            ),
        ] {
            let path = places.root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let hook = places.root.join("opt/bin/post-stop");
        fs::create_dir_all(hook.parent().unwrap()).unwrap();
        symlink("/usr/bin/lastwords", hook).unwrap();
        let found = ["a", "b", "c@", "d", "e", "f", "h", "sub/dir/g"];
        assert_eq!(services(&places), found);
    }
}
