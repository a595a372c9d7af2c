//! What goes into the files: the texts of `config/`, which are whole examples for a job `web`.

pub const UPSTART_OVERRIDE: &str = include_str!("../../config/upstart/web.override");
pub const UPSTART_DELIVERER: &str = include_str!("../../config/upstart/lastwords.conf");

pub const SYSTEMD_DROP_IN: &str = include_str!("../../config/systemd/lastwords.conf");
pub const SYSTEMD_SERVICE: &str = include_str!("../../config/systemd/lastwords.service");
pub const SYSTEMD_PATH: &str = include_str!("../../config/systemd/lastwords.path");
pub const SYSTEMD_TIMER: &str = include_str!("../../config/systemd/lastwords.timer");
pub const SYSTEMD_ON_FAILURE: &str = include_str!("../../config/systemd/lastwords@.service");

pub const RUNIT_FINISH: &str = include_str!("../../config/runit/finish");
pub const RUNIT_CONTROL_T: &str = include_str!("../../config/runit/control/t");
/// For a service that has a `control/t` of its own.
pub const RUNIT_CONTROL_D: &str = include_str!("../../config/runit/control/d");
pub const RUNIT_CONTROL_X: &str = include_str!("../../config/runit/control/x");
pub const S6_FINISH: &str = include_str!("../../config/s6/finish");
/// A service of runit's or s6's that delivers.
pub const WATCH: &str = "\
#!/bin/sh
exec 2>&1
exec /usr/bin/lastwords deliver --watch
";

pub const SUPERVISORD: &str = include_str!("../../config/supervisor/lastwords.conf");
pub const SUPERVISORD_DELIVERER: &str = "
[program:lastwords-deliver]
command=/usr/bin/lastwords deliver --watch
";
pub const CRON: &str = "\
# /etc/cron.d/lastwords: tries again to send what could not be sent at once.
* * * * * root /usr/bin/lastwords deliver
";
