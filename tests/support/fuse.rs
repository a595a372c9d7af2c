//! A file system of a FUSE daemon that answers nobody, in the place of a disk or a server that is
//! gone.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{MountFlags, mount};

/// Mounts one on a directory, as fusermount3 does for this user. Requests fail once the result, the
/// daemon's end, is dropped. It takes root.
pub fn mount_unanswered(dir: &Path, uid: u32, more_options: &str) -> OwnedFd {
    let daemon = openat(
        CWD,
        "/dev/fuse",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .unwrap();
    let fd = daemon.as_raw_fd();
    let options = format!("fd={fd},rootmode=40000,user_id={uid},group_id={uid}{more_options}");
    let options = CString::new(options).unwrap();
    mount("hung", dir, "fuse", MountFlags::empty(), &*options).unwrap();
    daemon
}
