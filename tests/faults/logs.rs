//! Logs that the service's user uses to attack the hook. The hook never hangs, and no file that the
//! user may not read gets into a report.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lastwords::report::{Section, Status};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::harness::Harness;
use crate::victim::{crash, section, tell};

const CANARY: &str = "canary-that-only-root-may-read";

/// Returns a machine and the path of its job's log. The log's directory is empty.
fn machine_with_log(machine: Harness) -> (Harness, PathBuf) {
    machine.configure("web", "[[collect.log]]\npath = '/var/log/web/web.log'\n");
    let dir = machine.root.join("var/log/web");
    fs::create_dir(&dir).unwrap();
    (machine, dir.join("web.log"))
}

/// Returns the log's section in the report of the only crash.
fn log_section(machine: &Harness) -> Section {
    section(&machine.only_report(), "log").clone()
}

/// Lets the service crash with a log that `make` makes. The report lacks only the log, and its
/// section says `told`.
fn refused(fault: &str, told: &str, make: impl FnOnce(&Path)) {
    let (machine, log) = machine_with_log(Harness::new());
    make(&log);
    let took = crash(&machine);
    let section = log_section(&machine);
    assert_eq!(section.status, Status::Failed, "{fault}: {section:?}");
    assert!(section.text.contains(told), "{fault}: {section:?}");
    tell(&format!("log: {fault}"), &[took]);
}

#[test]
fn a_log_that_is_not_a_regular_file_is_refused() {
    refused("a FIFO", "a FIFO", |log| {
        mknodat(CWD, log, FileType::Fifo, Mode::RWXU, 0).unwrap();
    });
    refused("a directory", "a directory", |log| {
        fs::create_dir(log).unwrap();
    });
    refused("a socket", "cannot read", |log| {
        drop(UnixListener::bind(log).unwrap());
    });
    refused("a symbolic link", "symbolic link", |log| {
        std::os::unix::fs::symlink("/etc/hostname", log).unwrap();
    });
    refused("a directory that is a link", "symbolic link", |log| {
        fs::write(log.with_file_name("../web.log"), "not this").unwrap();
        fs::remove_dir(log.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(".", log.parent().unwrap()).unwrap();
    });
}

#[test]
fn the_end_of_a_log_is_shown_whatever_the_log_holds() {
    let kept = |fault: &str, told: &str, make: &dyn Fn(&File)| {
        let (machine, log) = machine_with_log(Harness::new());
        make(&File::create(&log).unwrap());
        let took = crash(&machine);
        let section = log_section(&machine);
        assert_eq!(section.status, Status::Ok, "{fault}: {section:?}");
        assert!(
            section.text.ends_with(told),
            "{fault}: {:.300}",
            section.text
        );
        // `[redacted]` may be longer than the text that it replaces.
        assert!(
            section.text.len() <= 65 * 1024,
            "{fault}: {} bytes",
            section.text.len()
        );
        tell(&format!("log: {fault}"), &[took]);
    };
    kept("100 GB, sparse", " NULs]", &|log| {
        log.set_len(100 << 30).unwrap();
    });
    kept("one line of 1 GB", "the end", &|log| {
        log.write_all_at(b"the end\n", 1 << 30).unwrap();
    });
    kept("NULs", "[NUL]b", &|log| {
        log.write_all_at(b"a\n\0b\n", 0).unwrap();
    });
    kept("not UTF-8", "caf\u{fffd}", &|log| {
        log.write_all_at(b"\xff\xfe\xc0\x80\ncaf\xe9\n", 0).unwrap();
    });
    kept("1 MB of random bytes", "the end", &|log| {
        let mut random = vec![0; 1 << 20];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).unwrap();
        random.extend(b"\nthe end\n");
        log.write_all_at(&random, 0).unwrap();
    });
}

#[test]
fn a_log_that_is_truncated_and_rotated_all_the_time_costs_no_report() {
    let (machine, log) = machine_with_log(Harness::new());
    let done = std::sync::atomic::AtomicBool::new(false);
    let times: Vec<Duration> = std::thread::scope(|scope| {
        std::thread::Builder::new()
            .spawn_scoped(scope, || {
                let line = "x".repeat(100) + "\n";
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    // Alternates between copytruncate, and a rename with a new file.
                    let _ = fs::write(&log, line.repeat(2000));
                    let _ = File::create(&log);
                    let _ = fs::write(&log, line.repeat(20));
                    let _ = fs::rename(&log, log.with_extension("log.1"));
                }
            })
            .unwrap();
        let times = (0..50).map(|_| crash(&machine)).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        times
    });
    let reports = machine.reports();
    assert_eq!(reports.len(), times.len());
    for report in &reports {
        let text = &section(report, "log").text;
        assert!(text.is_ascii() && !text.contains("NUL"), "{text}");
    }
    tell("log: truncated and rotated while it is read", &times);
}

mod as_root {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::process::{Child, Stdio};
    use std::time::Instant;

    use rustix::mount::{UnmountFlags, unmount};

    use super::{
        CANARY, CWD, FileType, Mode, Path, PathBuf, Status, fs, log_section, machine_with_log,
        mknodat, refused,
    };
    use crate::namespaces::in_private;
    use crate::support::fuse::mount_unanswered;
    use crate::support::harness::Harness;
    use crate::victim::{self, UID, crash, is_slow, machine_for_users, section, tell};

    /// A Python program that runs as the service's user. It prints `begun` when it has begun.
    struct Attacker(Child);

    impl Attacker {
        fn run(program: &str, arguments: &[&Path]) -> Self {
            let mut command = victim::user(UID);
            command
                .args(["/usr/bin/python3", "-c", program])
                .args(arguments)
                .stdout(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let mut said = String::new();
            BufReader::new(child.stdout.as_mut().unwrap())
                .read_line(&mut said)
                .unwrap();
            assert_eq!(said, "begun\n");
            Self(child)
        }
    }

    impl Drop for Attacker {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// Gives the log and its directory to the service's user.
    fn give_away(log: &Path) {
        for path in [log.parent().unwrap(), log] {
            chown(path, Some(UID), Some(UID)).unwrap();
        }
    }

    #[test]
    fn a_device_is_refused() {
        refused("/dev/zero", "a device", |log| {
            mknodat(
                CWD,
                log,
                FileType::CharacterDevice,
                Mode::RWXU,
                rustix::fs::makedev(1, 5),
            )
            .unwrap();
        });
    }

    #[test]
    fn a_log_and_a_directory_of_another_user_are_read() {
        let (machine, log) = machine_with_log(Harness::new());
        fs::write(&log, "his last words\n").unwrap();
        fs::set_permissions(&log, fs::Permissions::from_mode(0o600)).unwrap();
        give_away(&log);
        let took = crash(&machine);
        assert_eq!(log_section(&machine).text, "his last words");
        tell("log: its directory belongs to another user", &[took]);
    }

    /// Lets the service crash with a hard link to root's secret as its log. If the kernel prevents the
    /// user from making the link, root makes it.
    fn linked(fault: &str, keep: bool, told: &str) {
        let (machine, log) = machine_with_log(Harness::new());
        let secret = machine.path("secret");
        fs::write(&secret, CANARY).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let link = victim::user(UID)
            .arg("ln")
            .arg(&secret)
            .arg(&log)
            .output()
            .unwrap();
        assert!(
            !link.status.success() && !log.exists(),
            "fs.protected_hardlinks is 1 here: {link:?}"
        );
        fs::hard_link(&secret, &log).unwrap();
        if !keep {
            // A user can do this between the hook's open and its check.
            fs::remove_file(&secret).unwrap();
        }
        chown(log.parent().unwrap(), Some(UID), Some(UID)).unwrap();
        let took = crash(&machine);
        let section = log_section(&machine);
        assert!(
            section.status == Status::Failed && section.text.contains(told),
            "{section:?}"
        );
        assert_eq!(files_with(CANARY, &[&machine.spool, &machine.run]), [""; 0]);
        tell(&format!("log: {fault}"), &[took]);
    }

    #[test]
    fn a_hard_link_to_roots_secret_is_refused() {
        linked("a hard link to root's secret", true, "hard link");
    }

    #[test]
    fn a_hard_link_is_refused_even_if_the_kernel_lets_users_make_it() {
        let test = "logs::as_root::a_hard_link_is_refused_even_if_the_kernel_lets_users_make_it";
        let mounts = "mount -t tmpfs none /mnt; echo 0 >/mnt/0; mount --bind /mnt/0 /proc/sys/fs/protected_hardlinks";
        in_private(test, &["--mount"], mounts, || {
            linked(
                "a hard link to root's secret, unprotected kernel",
                false,
                "fs.protected_hardlinks",
            );
        });
    }

    const LEASE: &str = "
import fcntl, os, sys, time, signal
signal.signal(signal.SIGIO, signal.SIG_IGN)
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('begun', flush=True)
time.sleep(1000)
";

    #[test]
    fn a_leased_log_is_not_waited_for() {
        let (machine, log) = machine_with_log(Harness::new());
        fs::write(&log, "mine\n").unwrap();
        give_away(&log);
        let _attacker = Attacker::run(LEASE, &[&log]);
        let took = crash(&machine);
        let section = log_section(&machine);
        assert!(
            section.status == Status::Failed && section.text.contains("lease"),
            "{section:?}"
        );
        tell("log: leased by its owner", &[took]);
    }

    /// A file system whose daemon lives, and answers only the kernel's greeting. Dropping it ends
    /// every wait.
    struct HungFuse {
        at: PathBuf,
        _daemon: fs::File,
    }

    impl HungFuse {
        /// With `in_hand`, the daemon takes each request and keeps it. Such a request cannot be
        /// interrupted.
        fn mount(at: &Path, in_hand: bool) -> Self {
            let daemon = fs::File::from(mount_unanswered(at, 0, ""));
            let mut takes = daemon.try_clone().unwrap();
            if in_hand {
                let serve = move || {
                    let mut request = vec![0; 128 * 1024];
                    assert!(takes.read(&mut request).unwrap() > 16);
                    // FUSE_INIT's answer: struct fuse_out_header, then struct fuse_init_out of
                    // version 7.23.
                    let mut answer = [0; 16 + 64];
                    answer[0] = 80;
                    answer[8..16].copy_from_slice(&request[8..16]);
                    answer[16] = 7;
                    answer[20] = 23;
                    answer[16 + 20..16 + 22].copy_from_slice(&[0, 0x10]);
                    takes.write_all(&answer).unwrap();
                    while takes.read(&mut request).is_ok() {}
                };
                std::thread::Builder::new().spawn(serve).unwrap();
            }
            Self {
                at: at.to_owned(),
                _daemon: daemon,
            }
        }
    }

    impl Drop for HungFuse {
        fn drop(&mut self) {
            let _ = unmount(&self.at, UnmountFlags::FORCE | UnmountFlags::DETACH);
        }
    }

    fn hung(fault: &str, test: &str, in_hand: bool) {
        in_private(&format!("logs::as_root::{test}"), &["--mount"], "", || {
            let (machine, log) = machine_with_log(Harness::new());
            let fuse = HungFuse::mount(log.parent().unwrap(), in_hand);
            let took = crash(&machine);
            assert_eq!(log_section(&machine).status, Status::TimedOut);
            drop(fuse);
            tell(&format!("log: {fault}"), &[took]);
        });
    }

    #[test]
    fn a_log_on_a_file_system_whose_daemon_hangs_is_not_waited_for() {
        hung(
            "FUSE, nobody reads",
            "a_log_on_a_file_system_whose_daemon_hangs_is_not_waited_for",
            false,
        );
    }

    #[test]
    fn a_log_on_a_file_system_whose_daemon_keeps_the_request_is_not_waited_for() {
        hung(
            "FUSE that keeps the request",
            "a_log_on_a_file_system_whose_daemon_keeps_the_request_is_not_waited_for",
            true,
        );
    }

    /// Puts a link to the canary in place of the log, of its directory and of the rotated log, and
    /// removes it again.
    const SWAP: &str = "
import os, sys
log, canary = sys.argv[1:]
dir, name = os.path.split(log)
os.symlink(canary, dir + '/link')
os.symlink(os.path.dirname(canary), dir + '-link')
print('begun', flush=True)
def swap(a, b, spare):
    os.rename(a, spare); os.rename(b, a); os.rename(a, b); os.rename(spare, a)
while True:
    swap(log, dir + '/link', dir + '/spare')
    swap(dir, dir + '-link', dir + '-spare')
    for target in [log, dir + '/link']:
        try: os.link(target, log + '.1', follow_symlinks=False); os.unlink(log + '.1')
        except OSError: pass
    try: os.link(canary, log + '.1')
    except OSError: pass
";

    #[test]
    fn a_user_that_swaps_its_log_for_a_link_gets_no_file_of_root_into_a_report() {
        let machine = machine_for_users();
        machine.configure(
            "web",
            "[[collect.log]]\npath = '/var/log/web/logs/web.log'\n",
        );
        let secret = machine.path("secret");
        fs::create_dir(&secret).unwrap();
        fs::write(secret.join("web.log"), CANARY).unwrap();
        fs::set_permissions(secret.join("web.log"), fs::Permissions::from_mode(0o600)).unwrap();
        let log = machine.root.join("var/log/web/logs/web.log");
        fs::create_dir_all(log.parent().unwrap()).unwrap();
        fs::write(&log, "an honest line\n").unwrap();
        give_away(&log);
        chown(log.ancestors().nth(2).unwrap(), Some(UID), Some(UID)).unwrap();

        let _attacker = Attacker::run(SWAP, &[&log, &secret.join("web.log")]);
        let began = Instant::now();
        let mut times = Vec::new();
        while began.elapsed().as_secs() < if is_slow() { 60 } else { 3 } {
            times.push(crash(&machine));
        }
        let reports = machine.reports();
        assert_eq!(reports.len(), times.len());
        let honest = reports
            .iter()
            .filter(|report| section(report, "log").status == Status::Ok)
            .count();
        assert!(
            (1..reports.len()).contains(&honest),
            "{honest} of {}: the swap never happened during a hook",
            reports.len()
        );
        assert_eq!(files_with(CANARY, &[&machine.spool, &machine.run]), [""; 0]);
        tell("log: swapped for a link, its directory too", &times);
    }

    /// Returns the files below `dirs` that hold this text.
    fn files_with(text: &str, dirs: &[&Path]) -> Vec<String> {
        let output = std::process::Command::new("grep")
            .args(["-rl", text])
            .args(dirs)
            .output()
            .unwrap();
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }
}
