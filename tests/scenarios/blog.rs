//! Tries the imitation of Upstart with the three scripts of a blog, which touch, remove and test for
//! a marker. The scripts make known mistakes under the real Upstart. They must make the same ones
//! here.

use std::fs;

use rustix::process::Signal;

use crate::support::harness::{Harness, wait_for};
use crate::support::process::PATH;
use crate::support::upstart::{Job, State};

/// Returns a job with the blog's scripts as hooks. They add a line to the file `mails` for each crash.
fn job<'h>(machine: &'h Harness, name: &str, conf: &str) -> Job<'h> {
    let dir = machine.path("blog");
    fs::create_dir_all(&dir).unwrap();
    let dir = dir.display();
    machine.bare_job(
        name,
        &format!(
            "pre-start exec touch {dir}/$UPSTART_JOB.marker\n\
             pre-stop exec rm {dir}/$UPSTART_JOB.marker\n\
             post-stop script\n\
             [ -f {dir}/$UPSTART_JOB.marker ] || exit 0\n\
             rm {dir}/$UPSTART_JOB.marker\n\
             echo $UPSTART_JOB >>{dir}/mails\n\
             end script\n\
             {conf}"
        ),
    )
}

fn mails(machine: &Harness) -> usize {
    fs::read_to_string(machine.path("blog/mails"))
        .unwrap_or_default()
        .lines()
        .count()
}

#[test]
fn a_stop_and_a_crash_run_the_hooks_in_upstarts_order() {
    let machine = Harness::new();
    let mut web = job(&machine, "web", "exec sleep 1000");
    web.start();
    web.stop();
    assert_eq!(web.history(), "pre-start main pre-stop TERM post-stop");
    assert_eq!(mails(&machine), 0);
    web.start();
    web.kill_main(Signal::SEGV);
    web.wait_for(State::Waiting);
    assert_eq!(
        web.history(),
        "pre-start main pre-stop TERM post-stop pre-start main post-stop"
    );
    assert_eq!(mails(&machine), 1);
}

#[test]
fn a_restart_leaves_the_process_running_and_the_next_crash_is_missed() {
    let machine = Harness::new();
    let mut web = job(&machine, "web", "exec sleep 1000");
    web.start();
    let pid = web.main_pid();
    web.restart();
    assert_eq!(
        (web.main_pid(), web.history().as_str()),
        (pid, "pre-start main pre-stop")
    );
    web.kill_main(Signal::SEGV);
    web.wait_for(State::Waiting);
    assert_eq!(mails(&machine), 0);
}

#[test]
fn a_job_in_a_subdirectory_cannot_start() {
    let machine = Harness::new();
    let mut web = job(&machine, "sub/dir/web", "exec sleep 1000");
    web.start();
    assert_eq!(
        (web.is_running(), web.history().as_str()),
        (false, "pre-start post-stop")
    );
}

#[test]
fn a_post_stop_that_fails_prevents_the_respawn() {
    let machine = Harness::new();
    let mut web = machine.bare_job("web", "respawn\nexec sleep 1000\npost-stop exec false");
    web.start();
    web.kill_main(Signal::KILL);
    web.wait_for(State::Waiting);
    assert_eq!(web.history(), "main post-stop");
}

#[test]
fn a_respawn_waits_for_post_stop() {
    let machine = Harness::new();
    let conf = format!("respawn\nexec sleep 1000\npost-stop {}", machine.gated(":"));
    let mut web = machine.bare_job("web", &conf);
    web.start();
    web.kill_main(Signal::KILL);
    web.wait_for(State::PostStop);
    assert_eq!(web.history(), "main post-stop");
    machine.open_gate();
    web.wait_for_life(2);
}

#[test]
fn processes_get_exactly_upstarts_environment_and_nothing_of_the_tests_own() {
    let machine = Harness::new();
    let conf =
        "env A=1\nexec sleep 1000\npre-start exec env\npre-stop exec env\npost-stop exec env";
    let mut web = machine.bare_job("web", conf).instance("1");
    web.start_with(&[("B", "2")]);
    web.stop_with(&[("UPSTART_STOP_EVENTS", "runlevel")]);
    let path = format!("PATH={PATH}");
    let common = [
        &path,
        "A=1",
        "B=2",
        "TERM=linux",
        "UPSTART_INSTANCE=1",
        "UPSTART_JOB=web",
    ];
    let mut expected = [common.as_slice(); 3].concat();
    expected.extend(["UPSTART_STOP_EVENTS=runlevel"; 2]);
    expected.sort_unstable();
    let mut seen: Vec<_> = web.log().lines().collect();
    seen.sort_unstable();
    assert_eq!(seen, expected);
}

#[test]
fn a_process_has_its_own_session_and_a_terminal_that_dies_with_it() {
    let machine = Harness::new();
    let out = machine.path("out").display().to_string();
    let child =
        format!("(while /bin/echo late; do sleep 0.05; done; /bin/echo refused >{out}.child) &");
    let facts = "ps -o pid=,pgid=,sid=,tty= -p $$; umask; pwd; test -t 1 && readlink /proc/$$/fd/0";
    let conf = format!(
        "post-stop script\n{child}\n{{ {facts}; }} >{out}; echo kept\nend script\nexec true"
    );
    let mut web = machine.bare_job("web", &conf);
    web.start();
    web.wait_for(State::Waiting);
    let seen = fs::read_to_string(&out).unwrap();
    let words: Vec<_> = seen.split_whitespace().collect();
    assert!(words[0] == words[1] && words[1] == words[2], "{seen}");
    assert_eq!(words[3..6], ["?", "0022", "/"], "{seen}");
    assert!(web.log().contains("kept"), "{web:?}");
    wait_for("the child's EIO", || machine.path("out.child").exists());
}
