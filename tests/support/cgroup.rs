//! A memory cgroup with a low limit. It needs root.

use std::fs;
use std::path::{Path, PathBuf};

/// A memory cgroup of 24 MiB, of version 1 or 2; removed on drop.
pub struct Cgroup(PathBuf);

impl Cgroup {
    pub fn new() -> Self {
        let name = format!(
            "lastwords-{}",
            tempfile::Builder::new()
                .tempdir()
                .unwrap()
                .path()
                .file_name()
                .unwrap()
                .display()
        );
        let (base, limits): (_, &[_]) = if Path::new("/sys/fs/cgroup/memory").exists() {
            (
                "/sys/fs/cgroup/memory",
                &["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"],
            )
        } else {
            fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory")
                .expect("a memory controller");
            ("/sys/fs/cgroup", &["memory.max", "memory.swap.max"])
        };
        let parent = Path::new(base).join(name);
        let dir = parent.join("web");
        fs::create_dir_all(&dir).expect("root");
        if base == "/sys/fs/cgroup" {
            fs::write(parent.join("cgroup.subtree_control"), "+memory")
                .expect("a memory controller");
        }
        fs::write(dir.join(limits[0]), (24 << 20).to_string()).expect("a limit");
        // Fails if the kernel does not count swap.
        let _ = fs::write(
            dir.join(limits[1]),
            if base == "/sys/fs/cgroup" {
                0
            } else {
                24 << 20
            }
            .to_string(),
        );
        Self(dir)
    }

    /// Returns the shell command to enter it.
    pub fn enter(&self) -> String {
        format!("echo $$ >{}/cgroup.procs", self.0.display())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
        let _ = self.0.parent().map(fs::remove_dir);
    }
}
