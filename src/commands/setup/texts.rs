//! What goes into the files: the texts of `config/`, which are whole examples for a job `web`.

pub const UPSTART_OVERRIDE: &str = include_str!("../../../config/upstart/web.override");
pub const UPSTART_DELIVERER: &str = include_str!("../../../config/upstart/lastwords.conf");

pub const SYSTEMD_DROP_IN: &str = "\
# /etc/systemd/system/web.service.d/lastwords.conf: lastwords around web.service.
[Service]
ExecStartPre=-+/usr/bin/lastwords pre-start --job %n
ExecStopPost=-+/usr/bin/lastwords post-stop --job %n
";
pub const SYSTEMD_SERVICE: &str = "\
[Unit]
Description=Send crash reports
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart=/usr/bin/lastwords deliver
";
pub const SYSTEMD_PATH: &str = "\
[Unit]
Description=Send crash reports as they come

[Path]
DirectoryNotEmpty=/run/lastwords/wake
MakeDirectory=yes

[Install]
WantedBy=paths.target
";
pub const SYSTEMD_TIMER: &str = "\
[Unit]
Description=Try again to send crash reports

[Timer]
OnCalendar=minutely
Persistent=yes

[Install]
WantedBy=timers.target
";

pub const RUNIT_FINISH: &str = "\
#!/bin/sh
exec /usr/bin/lastwords post-stop --supervisor runit --job web -- \"$@\"
";
pub const RUNIT_CONTROL_T: &str = "\
#!/bin/sh
/usr/bin/lastwords pre-stop --supervisor runit --job web
exit 1  # runsv is to send TERM itself
";
/// For `control/d` and `control/x`, where the service has a `control/t` of its own.
pub const RUNIT_CONTROL: &str = "\
#!/bin/sh
/usr/bin/lastwords pre-stop --supervisor runit --job web
";
pub const S6_FINISH: &str = "\
#!/bin/sh
exec /usr/bin/lastwords post-stop --supervisor s6 --job web -- \"$@\"
";
/// A service of runit's or s6's that delivers.
pub const WATCH: &str = "\
#!/bin/sh
exec 2>&1
exec /usr/bin/lastwords deliver --watch
";

pub const SUPERVISORD: &str = "\
[eventlistener:lastwords]
command=/usr/bin/lastwords listen supervisord
events=PROCESS_STATE_STARTING,PROCESS_STATE_EXITED,PROCESS_STATE_BACKOFF,PROCESS_STATE_FATAL,PROCESS_STATE_STOPPED
buffer_size=10000
autorestart=true
stderr_logfile=NONE
";
pub const SUPERVISORD_DELIVERER: &str = "
[program:lastwords-deliver]
command=/usr/bin/lastwords deliver --watch
";
pub const CRON: &str = "\
# /etc/cron.d/lastwords: tries again to send what could not be sent at once.
* * * * * root /usr/bin/lastwords deliver
";
