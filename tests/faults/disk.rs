//! A disk whose power can be cut: a real file system on a loop device, shut down without its log being flushed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use rustix::process::{Signal, kill_process};

use crate::harness::wait_for;
use crate::machine::Machine;

/// Set for a test that runs in a mount namespace of its own.
const INSIDE: &str = "LASTWORDS_TEST_MOUNTS";

/// Runs a test in a mount namespace of its own, where what it mounts goes with it: the test starts itself again in there.
pub fn in_private_mounts(test: &str, scenario: impl FnOnce()) {
    assert!(rustix::process::geteuid().is_root(), "this test takes root: leave it out with `-- --skip as_root`");
    if env::var_os(INSIDE).is_some() {
        return scenario();
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]).arg(env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(INSIDE, "1");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

pub struct Disk {
    device: PathBuf,
    mounted: PathBuf,
}

impl Disk {
    /// Gives the machine a spool on a new disk with this file system.
    pub fn under_spool_of(machine: &mut Machine, file_system: &str) -> Self {
        let memory = machine.path("memory");
        let disk = Self { device: memory.join("device"), mounted: machine.path("disk") };
        for dir in [&memory, &disk.mounted] {
            fs::create_dir(dir).unwrap();
        }
        run(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&memory));
        // What mkfs.xfs takes at least; only what is used costs memory.
        fs::File::create(&disk.device).unwrap().set_len(400 << 20).unwrap();
        run(Command::new(format!("mkfs.{file_system}")).arg("-q").arg(&disk.device));
        disk.mount();
        machine.harness.spool = disk.mounted.join("spool");
        disk
    }

    fn mount(&self) {
        run(Command::new("mount").args(["-o", "loop"]).args([&self.device, &self.mounted]));
    }

    /// Cuts the machine's power, and starts it again: what was not on the disk is gone, and so is all that was running and
    /// what was in `/run`.
    pub fn cut_power(&self, machine: &Machine) {
        // FS_IOC_SHUTDOWN with FS_SHUTDOWN_FLAGS_NOLOGFLUSH.
        run(Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(&self.mounted));
        for pid in machine.harness.left_running() {
            let _ = kill_process(pid, Signal::KILL);
        }
        machine.settle();
        wait_for("the disk to be given free", || {
            Command::new("umount").arg(&self.mounted).output().unwrap().status.success()
        });
        let _ = fs::remove_dir_all(&machine.harness.run);
        self.mount();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|why| panic!("{command:?}: {why}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
}

impl Drop for Disk {
    fn drop(&mut self) {
        for mounted in [&self.mounted, self.device.parent().unwrap_or(Path::new("/"))] {
            let _ = Command::new("umount").arg("--lazy").arg(mounted).output();
        }
    }
}
