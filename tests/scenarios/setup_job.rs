//! `lastwords setup JOB`: the files that it writes for a job work, and it loses nothing that was
//! there before.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use lastwords::report::Verdict;
use rustix::process::Signal;

use crate::support::harness::{Harness, SERVE, killed_by, names_in, without_places};
use crate::support::upstart::Job;

const HOOKS: [&str; 3] = ["pre-start", "pre-stop", "post-stop"];

fn setup(machine: &Harness, args: &[&str]) -> Output {
    machine.command("setup").args(args).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn write_conf(machine: &Harness, job: &str, conf: &str) {
    let path = machine.root.join("etc/init").join(format!("{job}.conf"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, conf).unwrap();
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Returns the job as Upstart reads it: its own file, then its override.
fn job<'h>(machine: &'h Harness, name: &str) -> Job<'h> {
    let file = |ending: &str| {
        read(
            &machine
                .root
                .join("etc/init")
                .join(format!("{name}.{ending}")),
        )
    };
    Job::new(
        machine,
        name,
        &format!("{}\n{}", file("conf"), file("override")),
    )
}

#[test]
fn a_job_that_setup_has_written_is_caught_when_it_crashes_and_only_then() {
    let machine = Harness::new();
    let conf = format!("respawn\n{SERVE}");
    write_conf(&machine, "web", &conf);
    let output = setup(&machine, &["web", "--write"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(read(&machine.root.join("etc/init/web.conf")), conf);

    let mut web = job(&machine, "web");
    web.start();
    web.stop();
    assert_eq!(machine.reports(), []);
    web.start();
    web.kill_main(Signal::SEGV);
    web.wait_for_life(3);
    let report = machine.only_report();
    assert_eq!(
        (report.verdict, report.stop.exit),
        (Verdict::Crashed, killed_by("SEGV"))
    );
    web.stop();
    assert_eq!(web.log(), "");
}

#[test]
fn without_write_it_shows_every_file_and_writes_none() {
    let machine = Harness::new();
    write_conf(&machine, "web", SERVE);
    let before = machine.everything_else();
    let output = setup(&machine, &["web"]);
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    for part in [
        "Upstart runs web from /etc/init/web.conf, which stays as it is.",
        "──── /etc/init/web.override  new:\n",
        &format!("\npost-stop exec {}", machine.hook("post-stop")),
        "──── /etc/init/lastwords.conf  new:\n",
        "jobs/web.toml  new:\n",
        "path = \"/var/log/upstart/{job}.log\"",
        "stop web && start web",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert_eq!(machine.everything_else(), before);
    assert!(!machine.run.exists() && !machine.spool.exists());
}

#[test]
fn the_second_time_there_is_nothing_to_do() {
    let machine = Harness::new();
    write_conf(&machine, "web", SERVE);
    setup(&machine, &["web", "--write"]);
    let everything = || -> Vec<_> {
        machine
            .everything_else()
            .into_iter()
            .map(|it| (read(&it), it))
            .collect()
    };
    let before = everything();
    let output = setup(&machine, &["web", "--write"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let done = "nothing to write: all of it is there. To check it: lastwords doctor web\n";
    assert_eq!(without_places(&said), done);
    // It looks where this setup did.
    let config = machine.config.display().to_string();
    assert!(said.contains(&config), "{said}");
    assert_eq!(text(&setup(&machine, &["web"])), said);
    assert_eq!(everything(), before);
}

/// Tries every combination of hooks that the job has itself, in every form.
#[test]
fn a_jobs_own_hook_is_never_replaced_and_calls_ours_once_the_shown_line_is_put_into_it() {
    for taken in 0..8 {
        for form in ["exec true", "script\n  true\nend script"] {
            let machine = Harness::new();
            let is_taken = |n: usize| taken >> n & 1 == 1;
            let own: Vec<String> = (0..3)
                .filter(|n| is_taken(*n))
                .map(|n| format!("{} {form}\n", HOOKS[n]))
                .collect();
            let own = own.concat();
            write_conf(&machine, "web", &format!("{own}respawn\n{SERVE}"));
            let output = setup(&machine, &["web", "--write"]);
            let said = text(&output);
            assert_eq!(output.status.code(), Some(i32::from(taken > 0)), "{said}");
            let written = read(&machine.root.join("etc/init/web.override"));
            for (n, hook) in HOOKS.iter().enumerate() {
                let stanza = format!("{hook} exec {}", machine.hook(hook));
                assert_eq!(
                    written.contains(&stanza),
                    !is_taken(n),
                    "{taken} {hook}: {written}"
                );
                let by_hand = format!("{hook} script\n    {} || true\n", machine.hook(hook));
                assert_eq!(
                    said.contains(&by_hand),
                    is_taken(n),
                    "{taken} {hook}: {said}"
                );
            }

            // The lines that it shows are put where it says.
            let shown = said
                .split("\nby hand")
                .skip(1)
                .filter_map(|part| part.split_once('\n'));
            let stanzas: String = shown
                .map(|(_, stanza)| stanza.split("then, to make").next().unwrap_or_default())
                .collect();
            write_conf(&machine, "web", &format!("respawn\n{SERVE}{stanzas}\n"));
            assert_eq!(
                setup(&machine, &["web", "--write"]).status.code(),
                Some(0),
                "{stanzas}"
            );
            let mut web = job(&machine, "web");
            web.start();
            web.stop();
            assert_eq!(machine.reports(), [], "{stanzas}");
            web.start();
            web.kill_main(Signal::SEGV);
            web.wait_for_life(3);
            assert_eq!(machine.only_report().verdict, Verdict::Crashed);
            web.stop();
        }
    }
}

#[test]
fn an_override_that_is_there_keeps_its_lines_its_mode_and_its_stanzas() {
    let machine = Harness::new();
    write_conf(&machine, "web", &format!("pre-stop exec true\n{SERVE}"));
    let path = machine.root.join("etc/init/web.override");
    let own = "env A=b\npost-stop script\n  true\nend script";
    fs::write(&path, own).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let output = setup(&machine, &["web", "--write"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("/etc/init/web.override\n# it has a post-stop of its own"),
        "{said}"
    );
    assert!(
        said.contains("/etc/init/web.conf\n# it has a pre-stop of its own"),
        "{said}"
    );
    let now = read(&path);
    assert!(
        now.starts_with(&format!("{own}\n# ")) && now.contains("\npre-start exec "),
        "{now}"
    );
    assert_eq!(now.matches("\npost-stop ").count(), 1, "{now}");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o640
    );
    assert_eq!(
        names_in(&machine.root.join("etc/init")),
        ["lastwords.conf", "web.conf", "web.override"]
    );
}

#[test]
fn a_link_in_the_overrides_place_is_not_followed_and_not_replaced() {
    let machine = Harness::new();
    write_conf(&machine, "web", SERVE);
    let elsewhere = machine.path("elsewhere");
    fs::write(&elsewhere, "manual\n").unwrap();
    std::os::unix::fs::symlink(&elsewhere, machine.root.join("etc/init/web.override")).unwrap();
    let output = setup(&machine, &["web", "--write"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("it is no regular file"),
        "{}",
        text(&output)
    );
    assert_eq!(read(&elsewhere), "manual\n");
}

#[test]
fn an_unknown_job_and_an_invalid_name_write_nothing() {
    let machine = Harness::new();
    let before = machine.everything_else();
    for (args, why) in [
        (&["web", "--write"][..], "nobody here is known to run web"),
        (
            &["web", "--write", "--supervisor", "upstart"],
            "Upstart has no job web, so nothing was written",
        ),
        (
            &["../web", "--write", "--supervisor", "upstart"],
            "is no job's name",
        ),
    ] {
        let output = setup(&machine, args);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output).contains(why), "{}", text(&output));
    }
    assert_eq!(machine.everything_else(), before);
}

#[test]
fn what_is_set_up_for_another_root_is_written_there() {
    let machine = Harness::new();
    write_conf(&machine, "web", SERVE);
    let mut setup = std::process::Command::new(&machine.hook_argv("setup")[0]);
    setup.args(["setup", "web", "--write", "--root"]);
    let output = setup.arg(&machine.root).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    for name in [
        "etc/init/web.override",
        "etc/lastwords/jobs/web.toml",
        "run/lastwords/markers",
        "var/spool/lastwords/new",
    ] {
        assert!(machine.root.join(name).exists(), "{name}");
    }
}

#[test]
fn what_is_in_the_place_of_our_files_and_is_something_else_is_said() {
    for other in ["", "something else\n"] {
        let machine = Harness::new();
        write_conf(&machine, "web", "exec /srv/web\n");
        let ours = machine.root.join("etc/init/lastwords.conf");
        fs::write(&ours, other).unwrap();
        let shown = text(&setup(&machine, &["web"]));
        assert!(shown.contains("something else is there"), "{shown}");
        let written = setup(&machine, &["web", "--write"]);
        assert_eq!(written.status.code(), Some(1), "{written:?}");
        let complaint = String::from_utf8_lossy(&written.stderr);
        assert!(
            complaint.contains("lastwords.conf: something else is there"),
            "{complaint}"
        );
        assert_eq!(read(&ours), other);
        // A unit that was changed by hand is left as it is.
        fs::write(&ours, "exec /opt/bin/lastwords deliver --watch\n").unwrap();
        assert_eq!(setup(&machine, &["web", "--write"]).status.code(), Some(0));
    }
}

#[test]
fn an_existing_job_file_is_never_changed() {
    let machine = Harness::new();
    write_conf(&machine, "web", SERVE);
    machine.configure("web", "runbook = 'x'\n");
    assert_eq!(setup(&machine, &["web", "--write"]).status.code(), Some(0));
    assert_eq!(
        read(&machine.config.join("jobs/web.toml")),
        "runbook = 'x'\n"
    );
}

#[test]
fn every_supervisor_gets_files_beside_the_services_own() {
    for (there, args, written) in [
        (
            "etc/systemd/system/web.service",
            &[][..],
            "etc/systemd/system/web.service.d/lastwords.conf",
        ),
        (
            "lib/systemd/system/web@.service",
            &["web@1"],
            "etc/systemd/system/web@.service.d/lastwords.conf",
        ),
        ("etc/sv/web/run", &[], "etc/sv/web/finish"),
        ("etc/s6/web/run", &[], "etc/s6/web/finish"),
    ] {
        let machine = Harness::new();
        let there = machine.root.join(there);
        fs::create_dir_all(there.parent().unwrap()).unwrap();
        fs::write(&there, "its own").unwrap();
        let args: Vec<&str> = args
            .iter()
            .copied()
            .chain((args.is_empty()).then_some("web"))
            .chain(["--write"])
            .collect();
        for _ in 0..2 {
            let output = setup(&machine, &args);
            assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        }
        let shown = read(&machine.root.join(written));
        assert!(shown.contains(&machine.hook("post-stop")), "{shown}");
        assert_eq!(read(&there), "its own");
    }
}

#[test]
fn a_finish_of_the_services_own_is_left_alone() {
    let machine = Harness::new();
    let dir = machine.root.join("etc/sv/web");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("run"), "").unwrap();
    fs::write(dir.join("finish"), "#!/bin/sh\ntrue\n").unwrap();
    let output = setup(&machine, &["web", "--write"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("/etc/sv/web/finish\n# it is there: call lastwords from inside it"),
        "{said}"
    );
    assert!(
        said.contains(" --supervisor runit --job web -- \"$@\" || true"),
        "{said}"
    );
    assert_eq!(read(&dir.join("finish")), "#!/bin/sh\ntrue\n");
}

#[test]
fn a_finish_in_execline_is_shown_the_call_as_execline_has_it() {
    let machine = Harness::new();
    let dir = machine.root.join("etc/s6/web");
    fs::create_dir_all(&dir).unwrap();
    for script in ["run", "finish"] {
        fs::write(dir.join(script), "#!/command/execlineb -P\ns6-echo x\n").unwrap();
    }
    let output = setup(&machine, &["web", "--write"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for (hook, rest) in [
        ("post-stop", " -- $@ }\n"),
        ("pre-start", " --supervisor s6 --job web }\n"),
    ] {
        let call = format!("foreground {{ {} ", machine.hook(hook));
        assert!(
            said.lines().any(|line| line.trim().starts_with(&call)) && said.contains(rest),
            "{said}"
        );
    }
}

#[test]
fn supervisords_own_file_says_where_the_listener_goes() {
    let machine = Harness::new();
    let conf = machine.root.join("etc/supervisord.conf");
    let web = "[program:web]\ncommand=/srv/web\n";
    fs::write(
        &conf,
        format!("{web}[include]\nfiles = supervisord.d/*.ini\n"),
    )
    .unwrap();
    assert_eq!(setup(&machine, &["web", "--write"]).status.code(), Some(0));
    let written = machine.root.join("etc/supervisord.d/lastwords.ini");
    assert!(read(&written).contains("[eventlistener:lastwords]"));

    fs::remove_file(written).unwrap();
    fs::write(&conf, web).unwrap();
    let output = setup(&machine, &["web", "--write"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("/etc/supervisord.conf\n# it includes no other file"),
        "{said}"
    );
    assert_eq!(read(&conf), web);
}

#[test]
fn it_says_how_long_a_stop_counts_as_planned_where_the_supervisor_allows_more() {
    let machine = Harness::new();
    for (stanza, said) in [
        (
            "kill timeout 90\n",
            "Upstart lets a stop of web take 1 min 30 s.",
        ),
        ("kill timeout 30\n", ""),
    ] {
        write_conf(&machine, "web", &format!("{stanza}{SERVE}"));
        let shown = text(&setup(&machine, &["web"]));
        assert_eq!(shown.contains("lets a stop"), !said.is_empty(), "{shown}");
        assert!(shown.contains(said), "{shown}");
    }
}

#[test]
fn the_hooks_of_a_job_in_a_chroot_are_left_outside_of_it_by_hand() {
    let machine = Harness::new();
    for (stanzas, line) in [
        ("", "exec chroot /srv/jail COMMAND…"),
        (
            "setuid www\n",
            "exec chroot --userspec=www /srv/jail COMMAND…",
        ),
    ] {
        write_conf(
            &machine,
            "web",
            &format!("chroot /srv/jail\n{stanzas}{SERVE}"),
        );
        let output = setup(&machine, &["web"]);
        let shown = text(&output);
        assert!(
            shown.contains("its `chroot /srv/jail` moves the hooks too"),
            "{shown}"
        );
        assert!(shown.contains(line), "{shown}");
    }
    let doctor = machine.command("doctor").arg("web").output().unwrap();
    let said = text(&doctor);
    assert_eq!(doctor.status.code(), Some(1), "{said}");
    let verdict = "web: a crash would NOT be caught: its hooks run in the chroot /srv/jail";
    assert!(said.starts_with(verdict), "{said}");
    machine.configure("web", "chroot = \"/srv/jail\"\n");
    let doctor = machine.command("doctor").arg("web").output().unwrap();
    let said = text(&doctor);
    assert!(!said.contains("nothing is sent"), "{said}");
    assert!(said.contains("they show the chroot alone"), "{said}");
}
