//! A disk whose power can be cut: a real file system on a loop device. It can be shut down without
//! flushing its log.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Signal, kill_process};

use crate::machine::Machine;
use crate::namespaces::in_private;
use crate::support::harness::wait_for;

/// Runs a test in a mount namespace of its own, so its mounts vanish when it ends.
pub fn in_private_mounts(test: &str, scenario: impl FnOnce()) {
    in_private(test, &["--mount", "--propagation", "private"], "", scenario);
}

pub struct Disk {
    device: PathBuf,
    mounted: PathBuf,
}

impl Disk {
    /// Gives the machine a spool on a new disk with this file system.
    pub fn under_spool_of(machine: &mut Machine, file_system: &str) -> Self {
        let memory = machine.path("memory");
        let disk = Self {
            device: memory.join("device"),
            mounted: machine.path("disk"),
        };
        for dir in [&memory, &disk.mounted] {
            fs::create_dir(dir).unwrap();
        }
        run(Command::new("mount")
            .args(["-t", "tmpfs", "none"])
            .arg(&memory));
        // The least that mkfs.xfs accepts. Only the used part costs memory.
        fs::File::create(&disk.device)
            .unwrap()
            .set_len(400 << 20)
            .unwrap();
        run(Command::new(format!("mkfs.{file_system}"))
            .arg("-q")
            .arg(&disk.device));
        disk.mount();
        machine.harness.spool = disk.mounted.join("spool");
        disk
    }

    fn mount(&self) {
        run(Command::new("mount")
            .args(["-o", "loop"])
            .args([&self.device, &self.mounted]));
    }

    /// Cuts the machine's power, and starts it again. All processes are gone, and so are the files
    /// in `/run` and everything that was not on the disk.
    pub fn cut_power(&self, machine: &Machine) {
        // FS_IOC_SHUTDOWN with FS_SHUTDOWN_FLAGS_NOLOGFLUSH.
        run(Command::new("xfs_io")
            .args(["-x", "-c", "shutdown"])
            .arg(&self.mounted));
        for pid in machine.harness.left_running() {
            let _ = kill_process(pid, Signal::KILL);
        }
        machine.settle();
        wait_for("the disk to be given free", || {
            Command::new("umount")
                .arg(&self.mounted)
                .output()
                .unwrap()
                .status
                .success()
        });
        let _ = fs::remove_dir_all(&machine.harness.run);
        self.mount();
    }
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|why| panic!("{command:?}: {why}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
}

impl Drop for Disk {
    fn drop(&mut self) {
        for mounted in [
            &self.mounted,
            self.device.parent().unwrap_or(Path::new("/")),
        ] {
            let _ = Command::new("umount").arg("--lazy").arg(mounted).output();
        }
    }
}
