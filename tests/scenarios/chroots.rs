//! Jobs whose hooks run in a chroot: the deliverer takes their reports over from there, and trusts
//! nothing in it.

mod as_root {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use crate::flood::{deliver, machine, told};
    use crate::support::harness::{Harness, binary, names_in};

    /// Returns a machine, and the directory to which `web` moves its hooks.
    fn with_jail() -> (Harness, PathBuf) {
        let machine = machine(&["one"]);
        let jail = machine.root.join("srv/jail");
        fs::create_dir_all(&jail).unwrap();
        let passwd = machine.root.join("etc/passwd");
        fs::write(passwd, "root:x:0:0::/root:/bin/sh\n").unwrap();
        (machine, jail)
    }

    fn inside(jail: &Path, dir: &Path) -> PathBuf {
        jail.join(dir.strip_prefix("/").unwrap())
    }

    /// Runs a hook that has the same directories as the machine's, but in the chroot. No kernel log
    /// is there.
    fn hook(machine: &Harness, jail: &Path, job: &str, name: &str) {
        let mut hook = Command::new(binary());
        hook.arg(name).arg("--root").arg(jail);
        for (flag, dir) in [
            ("--config", &machine.config),
            ("--run-dir", &machine.run),
            ("--spool", &machine.spool),
        ] {
            hook.arg(flag).arg(inside(jail, dir));
        }
        hook.env_clear()
            .envs([("UPSTART_JOB", job), ("UPSTART_INSTANCE", "")]);
        assert!(hook.stdin(Stdio::null()).status().unwrap().success());
    }

    fn crash(machine: &Harness, jail: &Path, job: &str) {
        hook(machine, jail, job, "pre-start");
        machine.kernel_log(format!(
            "init: {job} main process (4242) terminated with status 1"
        ));
        hook(machine, jail, job, "post-stop");
        machine.wait_for_workers();
        machine.settle();
    }

    fn name_the_jail(machine: &Harness) {
        machine.configure("web", "chroot = \"/srv/jail\"\n[collect]\n");
    }

    #[test]
    fn a_crash_in_a_chroot_that_the_jobs_file_names_is_told_with_the_kernels_word_for_its_end() {
        let (machine, jail) = with_jail();
        crash(&machine, &jail, "web");
        deliver(&machine, 0);
        assert_eq!(told(&machine, "one").len(), 0, "nothing names it");
        name_the_jail(&machine);
        deliver(&machine, 0);
        let who = "web of user root in /srv/jail crashed: exit code 1, cause unknown";
        assert_eq!(told(&machine, "one"), [who]);
        deliver(&machine, 0);
        assert_eq!(told(&machine, "one").len(), 1);
    }

    #[test]
    fn a_report_about_another_job_is_a_claim_of_the_chroots() {
        let (machine, jail) = with_jail();
        name_the_jail(&machine);
        crash(&machine, &jail, "db");
        deliver(&machine, 0);
        let said = told(&machine, "one");
        let claim = "user root in /srv/jail says: db crashed";
        assert!(said[0].starts_with(claim), "{said:?}");
    }

    #[test]
    fn nothing_in_a_chroot_leads_the_deliverer_out_of_it_or_holds_it_up() {
        let (machine, jail) = with_jail();
        name_the_jail(&machine);
        let spool = inside(&jail, &machine.spool);
        fs::create_dir_all(spool.join("done")).unwrap();
        let outside = machine.path("outside");
        fs::create_dir(&outside).unwrap();
        let id = "20261123t030000-0123456789abcdef";
        fs::write(outside.join(id), "secret").unwrap();
        fs::write(outside.join("a file"), "secret").unwrap();
        symlink(&outside, spool.join("new")).unwrap();
        let fifo = spool.join("done").join(id);
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
        deliver(&machine, 0);
        assert_eq!(names_in(&outside), [id, "a file"]);
        let said = told(&machine, "one");
        assert!(
            said.iter().all(|it| it.starts_with("lastwords: ")),
            "{said:?}"
        );
    }
}
