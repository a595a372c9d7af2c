//! Programs that run as another user, and plugins that root runs on a user's files.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::process::Signal;
use serde_json::Value;

use crate::as_root::{UID, machine_for_users};
use crate::support::harness::{self, Harness, SERVE, wait_for_some};
use crate::support::upstart::State;

/// Groups of the user: the main one, and one that lists the user.
const GID: u32 = 54_322;
const MORE: u32 = 54_323;

/// A machine with the user `www`.
fn machine() -> Harness {
    let machine = machine_for_users();
    let passwd = format!("root:x:0:0::/:/bin/sh\nwww:x:{UID}:{GID}::/:/bin/false\n");
    fs::write(machine.root.join("etc/passwd"), passwd).unwrap();
    let group = format!("logs:x:{MORE}:ann,www\nothers:x:54324:ann\n");
    fs::write(machine.root.join("etc/group"), group).unwrap();
    machine
}

/// A shell script as a collector or a sink of the config.
fn program(table: &str, name: &str, script: &str, more: &str) -> String {
    format!("[[{table}.exec]]\nname = '{name}'\ncommand = ['sh', '-c', '''{script}''']\n{more}\n")
}

/// A crash of the job `web`, whose report is in the spool.
fn crash(machine: &Harness) {
    let mut web = machine.job("web", SERVE);
    web.start();
    web.kill_main(Signal::SEGV);
    web.wait_for(State::Waiting);
}

/// Simulates a crash of the job `web`, and returns what is printed.
fn simulated(command: &mut Command) -> Value {
    command.args(["--simulate-crash", "--job", "web", "--json"]);
    serde_json::from_slice(&command.output().unwrap().stdout).unwrap()
}

/// Returns the text of a section.
fn section<'a>(printed: &'a Value, name: &str) -> &'a str {
    let sections = printed["report"]["sections"].as_array().unwrap();
    let section = sections.iter().find(|it| it["collector"] == name).unwrap();
    section["text"].as_str().unwrap()
}

#[test]
fn a_collector_runs_as_the_jobs_user_with_that_users_groups_unless_it_names_another() {
    let machine = machine();
    let whoami =
        "id -u; id -g; id -G; [ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] && echo leads a session; env";
    let config = ["user = 'www'\n".to_owned()]
        .into_iter()
        .chain([
            program("collect", "of the job", whoami, ""),
            program("collect", "roots", "id -u", "user = 'root'"),
            program("collect", "by number", "id -u; id -G", "user = '54399'"),
            program("collect", "nobodys", "id -u", "user = 'nosuch'"),
        ])
        .collect::<String>();
    machine.configure("web", &config);
    let printed = simulated(&mut machine.command("post-stop"));
    let expected = format!("{UID}\n{GID}\n{GID} {MORE}\nleads a session\nPATH=/usr/local/sbin:");
    let found = section(&printed, "of the job");
    assert!(found.starts_with(&expected), "{found}");
    assert!(!found.contains("HOME"), "{found}");
    assert_eq!(section(&printed, "roots"), "0\n");
    assert_eq!(section(&printed, "by number"), "54399\n65534\n");
    let why = section(&printed, "nobodys");
    let no_user = "cannot run as \"nosuch\": this user is not in /etc/passwd";
    assert!(why.starts_with(no_user), "{why}");
}

#[test]
fn a_collector_of_another_user_has_limits_and_cannot_gain_rights() {
    let machine = machine();
    let limits =
        "ulimit -Hn; ulimit -Hf; ulimit -Hd; ulimit -Hc; grep NoNewPrivs /proc/self/status";
    let config = [
        program("collect", "users", limits, "user = 'www'"),
        program(
            "collect",
            "roots",
            "grep NoNewPrivs /proc/self/status",
            "user = 'root'",
        ),
    ];
    machine.configure("web", &config.concat());
    let printed = simulated(&mut machine.command("post-stop"));
    // `sh` counts the size of a file in 512 bytes, and that of memory in 1024.
    let expected = format!("1024\n{}\n{}\n0\nNoNewPrivs:\t1\n", 2 << 20, 2 << 20);
    assert_eq!(section(&printed, "users"), expected);
    assert_eq!(section(&printed, "roots"), "NoNewPrivs:\t0\n");
}

#[test]
fn a_user_who_may_not_become_another_says_so_in_the_section() {
    let machine = machine();
    let config = program("collect", "roots", "id -u", "user = 'root'");
    machine.configure("web", &config);
    let printed = simulated(machine.command("post-stop").uid(UID).gid(GID));
    assert_eq!(
        section(&printed, "roots"),
        format!(
            "cannot run as \"root\": only root can switch to another user, and this is user {UID}"
        )
    );
}

#[test]
fn a_sink_runs_as_its_user_who_reads_the_report_and_can_add_nothing_to_it_but_may_send_mail() {
    let machine = machine();
    let told = directory(&machine, GID).join("told");
    let script = format!(
        "cd $LASTWORDS_REPORT_DIR; grep -q crashed report.txt || exit 1; touch x && exit 1; \
         echo $(id -u) $(stat -c '%a %u' . report.txt report.json) $(ulimit -Hn) \
         $(grep NoNewPrivs /proc/self/status) >{}",
        told.display()
    );
    let sink = program("sink", "pager", &script, "user = 'www'");
    fs::write(machine.config.join("lastwords.toml"), sink).unwrap();
    crash(&machine);
    // The hook has woken a deliverer that may be at it.
    let _ = machine.command("deliver").output().unwrap();
    let said = wait_for_some("the sink", || {
        fs::read_to_string(&told)
            .ok()
            .filter(|said| said.ends_with('\n'))
    });
    // `sendmail` is of no use to a process without new privileges.
    let expected = format!("{UID} 711 0 600 {UID} 600 {UID} 1024 NoNewPrivs: 0\n");
    assert_eq!(said, expected);
}

#[test]
fn check_names_the_line_of_a_user_that_does_not_exist() {
    let machine = machine();
    let sink = program("sink", "pager", "true", "user = 'wwww'");
    fs::write(machine.config.join("lastwords.toml"), sink).unwrap();
    machine.configure("web", "user = 'www'\n");
    let output = machine.command("check").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(
        said.contains("no user `wwww`: this user is not in") && said.contains("lastwords.toml:4"),
        "{said}"
    );
    assert!(!said.contains("no user `www`"), "{said}");
}

/// A plugin where every user can run it.
fn plugin(machine: &Harness, name: &str) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("plugins")
        .join(name);
    let to = machine.path("plugins").join(name);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    // A copy by another process: a file that is open for writing anywhere cannot be executed.
    let copied = Command::new("cp").arg(from).arg(&to).status().unwrap();
    assert!(copied.success());
    to
}

/// A directory of the user's.
fn directory(machine: &Harness, group: u32) -> PathBuf {
    let dir = machine.path("theirs");
    fs::create_dir(&dir).unwrap();
    chown(&dir, Some(UID), Some(group)).unwrap();
    dir
}

/// Runs a shell script as the user, in a directory.
fn as_user(dir: &Path, script: &str) {
    let mut shell = Command::new("sh");
    shell
        .args(["-euc", script])
        .current_dir(dir)
        .uid(UID)
        .gid(GID);
    let output = shell.env("HOME", dir).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn tried(plugin: &Path, args: &[&str]) -> (String, Output) {
    let mut command = Command::new(harness::binary());
    let output = command
        .args(["plugin", "test"])
        .arg(plugin)
        .args(args)
        .output()
        .unwrap();
    (String::from_utf8(output.stdout.clone()).unwrap(), output)
}

#[test]
fn deploy_runs_no_program_that_the_owner_of_the_tree_names() {
    let machine = machine();
    let deploy = plugin(&machine, "collectors/deploy");
    // A group that the owner is not in: whoever makes a directory may get its parent's.
    let dir = directory(&machine, 0);
    let tree = "
        git init -q; git config user.email a@example.com; git config user.name a
        echo one >app.js; git add app.js; git commit -qm Faster; touch -d '1 hour ago' app.js
        printf '#!/bin/sh\\nid >>proof; cat\\n' >program; chmod +x program
        for key in filter.x.clean filter.x.process filter.a=b.clean core.fsmonitor core.pager \\
            log.showSignature=true gpg.program diff.external diff.x.textconv core.sshCommand; do
            git config \"${key%%=true}\" \"$PWD/program\"
        done
        git config log.showSignature true
        printf '#!/bin/sh\\nid >>proof\\n' >.git/hooks/post-index-change
        chmod +x .git/hooks/post-index-change
        echo 'app.js filter=x diff=x' >.git/info/attributes
        rm -f proof";
    as_user(&dir, tree);
    for attributes in ["app.js filter=x diff=x", "app.js filter=a=b"] {
        fs::write(dir.join(".git/info/attributes"), attributes).unwrap();
        as_user(&dir, "touch app.js");
        let (said, _) = tried(&deploy, &["--", dir.to_str().unwrap()]);
        assert!(said.contains(" +0000 Faster"), "{said}");
        assert!(!said.contains("not as committed"), "{said}");
    }
    as_user(&dir, "echo two >app.js");
    let (said, _) = tried(&deploy, &["--", dir.to_str().unwrap()]);
    assert!(said.contains("not as committed:\n     M app.js"), "{said}");
    let proof = fs::read_to_string(dir.join("proof"));
    assert!(proof.is_err(), "{proof:?}");
}

#[test]
fn deploy_has_no_git_look_at_a_tree_of_several_owners() {
    let machine = machine();
    let deploy = plugin(&machine, "collectors/deploy");
    let dir = directory(&machine, GID);
    as_user(&dir, "git init -q");
    // Root's directory in a user's tree, and a user's tree in root's directory.
    let inner = dir.join("current");
    fs::create_dir(&inner).unwrap();
    let (said, _) = tried(&deploy, &["--", inner.to_str().unwrap()]);
    assert!(said.contains("git refuses this tree"), "{said}");
    chown(&dir, Some(0), Some(0)).unwrap();
    let (said, _) = tried(&deploy, &["--", dir.to_str().unwrap()]);
    assert!(said.contains("git refuses this tree"), "{said}");
    // Root's tree, whose settings others can write.
    for path in [dir.join(".git"), dir.join(".git/config")] {
        chown(path, Some(0), Some(GID)).unwrap();
    }
    let config = dir.join(".git/config");
    fs::set_permissions(&config, Permissions::from_mode(0o664)).unwrap();
    let (said, _) = tried(&deploy, &["--", dir.to_str().unwrap()]);
    assert!(said.contains("others than root can change"), "{said}");
}

#[test]
fn node_report_reads_no_more_than_the_directorys_owner_may() {
    let machine = machine();
    let node_report = plugin(&machine, "collectors/node-report");
    let dir = directory(&machine, 0);
    let report = dir.join("report.1.json");
    let text = r#"{"header": {"event": "roots secret", "trigger": "Exception"}}"#;
    fs::write(&report, text).unwrap();
    fs::set_permissions(&report, Permissions::from_mode(0o640)).unwrap();
    let setting = format!("directory={}", dir.display());
    let (said, _) = tried(&node_report, &["--setting", &setting]);
    assert!(said.contains("no report of this crash"), "{said}");
    chown(&report, Some(UID), None).unwrap();
    let (said, _) = tried(&node_report, &["--setting", &setting]);
    assert!(said.contains("roots secret"), "{said}");
}

#[test]
fn the_sink_directory_writes_through_no_link_of_the_directorys_owner() {
    let machine = machine();
    let sink = plugin(&machine, "sinks/directory");
    crash(&machine);
    let report = machine.only_report();
    let file = machine.path("report.json");
    fs::write(&file, serde_json::to_vec(&report).unwrap()).unwrap();
    let dir = directory(&machine, 0);
    let roots = machine.path("roots");
    fs::write(&roots, "precious").unwrap();
    symlink(&roots, dir.join(format!("{}.txt.new", report.id))).unwrap();
    let setting = format!("directory={}", dir.display());
    let args = ["--setting", &setting, "--report", file.to_str().unwrap()];
    let (said, output) = tried(&sink, &args);
    assert!(output.status.success(), "{said}");
    assert_eq!(fs::read_to_string(&roots).unwrap(), "precious");
    let written = dir
        .join(format!("{}.txt", report.id))
        .symlink_metadata()
        .unwrap();
    assert!(written.is_file() && written.uid() == UID, "{written:?}");
}
