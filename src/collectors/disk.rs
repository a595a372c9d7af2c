//! `[collect.disk]`: how full the disks are, in bytes and in inodes, the worst first.
//!
//! | Key | Values | Default |
//! |---|---|---|
//! | `timeout` | how long all mount points together have to answer | `"200ms"` |
//!
//! ```toml
//! [collect.disk]
//! timeout = "50ms"
//! ```
//!
//! It shows file systems on a disk, NFS, CIFS, Ceph, ZFS, and the one that is mounted at `/`. It
//! leaves out those in memory and those that are always full (squashfs, ISO 9660). It also leaves
//! out FUSE: if its daemon hangs while it has our request, not even SIGKILL ends our process, and
//! the supervisor would wait for the hook for ever.
//!
//! The section's data: a list of `mount_point`, `type`, `source`, `read_only` and either `error`
//! or, in bytes, `total`, `used`, `available`, and `inodes`, `inodes_used` (0 where the file system
//! has no fixed number of them).

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread::Builder;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::fs::{StatVfs, statvfs};
use serde::Deserialize;

use super::{Body, Collector};
use crate::bytes::Bytes;
use crate::host::Host;
use crate::mounts::{self, Mount};
use crate::plugin;
use crate::report::{Capacity, CollectorKind, FileSystem, SectionData, Space, Stop};

/// Maximum number of file systems that are asked.
const MAX_MOUNTS: usize = 64;

/// File systems whose server may not answer. A thread that waits for one of these ends on SIGKILL.
const REMOTE: [&str; 5] = ["nfs", "nfs4", "cifs", "smb3", "ceph"];
/// File systems on disks that the kernel nevertheless counts as `nodev`.
const MANY_DISKS: [&str; 2] = ["zfs", "btrfs"];
/// File systems on disks that are left out: images that are always full, and FUSE.
const LEFT_OUT: [&str; 6] = ["squashfs", "erofs", "cramfs", "romfs", "iso9660", "fuseblk"];

/// Space, inodes and read-only state of the real file systems.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Disk {
    #[serde(deserialize_with = "plugin::timeout")]
    #[cfg_attr(test, schemars(with = "String"))]
    timeout: Duration,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            timeout: Duration::from_millis(200),
        }
    }
}

impl Collector for Disk {
    fn kind(&self) -> CollectorKind {
        CollectorKind::DISK
    }

    fn collect(&self, _stop: &Stop, host: &Host) -> Result<Body> {
        let list = mounts::read(&host.path("/proc/self/mountinfo"))
            .context("cannot read /proc/self/mountinfo: is /proc mounted?")?;
        let known = host.read("/proc/filesystems").unwrap_or_default();
        let mounts = mounts::parse(&list).map(Candidate::from).collect();
        let mut mounts = worth_asking(mounts, &on_disk(&known));
        let more = mounts.len().saturating_sub(MAX_MOUNTS);
        mounts.truncate(MAX_MOUNTS);

        let mut rows = ask(mounts, host, self.timeout);
        rows.sort_by_key(|(_, answer)| {
            std::cmp::Reverse(answer.as_ref().map_or(u64::MAX, Space::worst))
        });
        let width = rows
            .iter()
            .map(|(mount, _)| mount.label().chars().count())
            .max()
            .unwrap_or_default()
            .min(40);
        let mut lines: Vec<String> = rows
            .iter()
            .map(|(mount, answer)| row(mount, answer, width))
            .collect();
        if more > 0 {
            lines.push(format!(
                "and {more} more file systems that were not checked"
            ));
        }
        Ok(Body {
            text: lines.join("\n"),
            data: SectionData::Disk(
                rows.into_iter()
                    .map(|(mount, answer)| data(mount, answer))
                    .collect(),
            ),
        })
    }
}

/// A file system's answer, or the reason why there is none.
type Answer = Result<Space, String>;

/// A file system that is asked.
#[derive(Clone, Debug, PartialEq)]
struct Candidate {
    device: String,
    /// The directory of the file system that is mounted: `/`, or a bind mount's.
    root: String,
    mount_point: String,
    fs_type: String,
    source: String,
    read_only: bool,
}

impl From<Mount<'_>> for Candidate {
    fn from(mount: Mount) -> Self {
        let text = |field| String::from_utf8_lossy(&mounts::unescape(field)).into_owned();
        Self {
            device: text(mount.device),
            root: text(mount.root),
            mount_point: text(mount.place),
            fs_type: text(mount.fs_type),
            source: text(mount.source),
            read_only: mount.is_read_only(),
        }
    }
}

impl Candidate {
    fn label(&self) -> String {
        self.mount_point.escape_debug().to_string()
    }
}

fn space_of(found: &StatVfs) -> Space {
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Space {
        total: bytes(found.f_blocks),
        used: bytes(found.f_blocks.saturating_sub(found.f_bfree)),
        available: bytes(found.f_bavail),
        inodes: found.f_files,
        inodes_used: found.f_files.saturating_sub(found.f_ffree),
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "{:>3} % of {} used, {} free",
            self.percent(),
            Bytes(self.total),
            Bytes(self.available)
        )?;
        if self.inodes > 0 {
            write!(f, ", inodes {} %", self.inodes_percent())?;
        }
        Ok(())
    }
}

fn row(mount: &Candidate, answer: &Answer, width: usize) -> String {
    let label = mount.label();
    match answer {
        Ok(space) => format!(
            "{label:width$}  {space}{}",
            if mount.read_only { ", READ-ONLY" } else { "" }
        ),
        Err(why) => format!(
            "{label:width$}  {why} ({} {})",
            mount.fs_type,
            mount.source.escape_debug()
        ),
    }
}

fn data(mount: Candidate, answer: Answer) -> FileSystem {
    FileSystem {
        mount_point: mount.mount_point,
        fs_type: mount.fs_type,
        source: mount.source,
        read_only: mount.read_only,
        capacity: match answer {
            Ok(space) => Capacity::Known(space),
            Err(error) => Capacity::Unknown { error },
        },
    }
}

/// Asks each file system in a thread of its own, so that one that hangs does not delay the others.
fn ask(mounts: Vec<Candidate>, host: &Host, timeout: Duration) -> Vec<(Candidate, Answer)> {
    let deadline = Instant::now() + timeout;
    let (tell, answers) = channel();
    let mut rows: Vec<(Candidate, Answer)> = Vec::new();
    for (position, mount) in mounts.into_iter().enumerate() {
        let path = host.path(&mount.mount_point);
        let question = {
            let (tell, path) = (tell.clone(), path.clone());
            move || drop(tell.send((position, space(&path))))
        };
        let answer = match Builder::new().spawn(question) {
            Ok(_) => Err("does not answer".to_owned()),
            Err(why) if REMOTE.contains(&mount.fs_type.as_str()) => {
                Err(format!("not asked: cannot start a thread: {why}"))
            }
            Err(_) => space(&path),
        };
        rows.push((mount, answer));
    }
    drop(tell);
    while let Ok((position, answer)) =
        answers.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    {
        if let Some(row) = rows.get_mut(position) {
            row.1 = answer;
        }
    }
    rows
}

fn space(path: &Path) -> Answer {
    statvfs(path)
        .map(|found| space_of(&found))
        .map_err(|errno| format!("fails: {}", io::Error::from(errno)))
}

/// Selects the real file systems, each once, however often it is mounted.
fn worth_asking(mut mounts: Vec<Candidate>, on_disk: &HashSet<&str>) -> Vec<Candidate> {
    // The last one that is mounted in a place hides the others.
    let mut places = HashSet::new();
    mounts.reverse();
    mounts.retain(|mount| places.insert(mount.mount_point.clone()));
    mounts.reverse();
    mounts.retain(|mount| {
        let kind = mount.fs_type.as_str();
        mount.mount_point == "/"
            || REMOTE.contains(&kind)
            || MANY_DISKS.contains(&kind)
            || (on_disk.contains(kind) && !LEFT_OUT.contains(&kind))
    });
    // The mount of a whole file system says more than that of one of its directories.
    mounts.sort_by_key(|mount| mount.root != "/");
    let mut devices = HashSet::new();
    mounts.retain(|mount| devices.insert(mount.device.clone()));
    mounts
}

/// Returns the types in `/proc/filesystems` that need a disk: the lines without `nodev`.
fn on_disk(filesystems: &str) -> HashSet<&str> {
    filesystems
        .lines()
        .filter_map(|line| line.strip_prefix('\t'))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::proptest;

    use super::{Candidate, Disk, on_disk, row, worth_asking};
    use crate::collectors::{Body, Collector, tests::stop};
    use crate::host::Host;
    use crate::report::Space;

    const FILESYSTEMS: &str =
        "nodev\tproc\nnodev\ttmpfs\n\text4\n\txfs\n\tsquashfs\n\tfuseblk\nnodev\tbtrfs\n";

    fn parse(mountinfo: &str) -> Vec<Candidate> {
        let mounts = crate::mounts::parse(mountinfo.as_bytes());
        mounts.map(Candidate::from).collect()
    }

    fn asked(mountinfo: &str) -> Vec<String> {
        let mounts = worth_asking(parse(mountinfo), &on_disk(FILESYSTEMS));
        mounts.into_iter().map(|mount| mount.mount_point).collect()
    }

    /// Collects on a machine with these mounts, whose mount points all exist.
    fn collect(root: &Path, mountinfo: &str) -> Body {
        fs::create_dir_all(root.join("proc/self")).unwrap();
        fs::write(root.join("proc/self/mountinfo"), mountinfo).unwrap();
        fs::write(root.join("proc/filesystems"), FILESYSTEMS).unwrap();
        Disk::default()
            .collect(&stop(), &Host::new(root, root))
            .unwrap()
    }

    #[test]
    fn real_file_systems_are_asked_once_and_others_not() {
        let mountinfo = "\
            22 27 0:21 / /proc rw,relatime - proc proc rw\n\
            30 27 8:1 /srv/web /jail rw - ext4 /dev/sda1 rw\n\
            27 1 8:1 / / rw,relatime shared:1 master:2 - ext4 /dev/sda1 rw,discard\n\
            31 27 8:2 / /var rw - xfs /dev/sda2 rw\n\
            32 27 7:0 / /snap/core ro - squashfs /dev/loop0 ro\n\
            33 27 0:44 / /net rw - nfs4 server:/export rw\n\
            34 27 0:45 /@home /home rw - btrfs /dev/sdb rw\n\
            35 27 0:46 / /run rw - tmpfs tmpfs rw\n\
            36 27 0:47 / /far rw - fuse.sshfs host: rw\n\
            37 27 8:9 / /windows rw - fuseblk /dev/sda9 rw\n";
        assert_eq!(asked(mountinfo), ["/", "/var", "/net", "/home"]);
        assert_eq!(
            asked("1 0 0:9 / / rw - overlay overlay rw\n2 1 0:10 / /x rw - overlay overlay rw\n"),
            ["/"]
        );
    }

    #[test]
    fn what_another_mount_hides_is_not_asked() {
        let hidden = "1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /mnt rw - ext4 b rw\n3 1 0:9 / /mnt rw - tmpfs c rw\n";
        assert_eq!(asked(hidden), ["/"]);
    }

    #[test]
    fn names_are_unescaped_and_stay_on_their_line() {
        let mount = parse(r"1 0 8:1 / /mnt/a\040b\012c\134d\7 rw - ext4 /dev/x rw").remove(0);
        assert_eq!(mount.mount_point, "/mnt/a b\nc\\d\\7");
        assert!(row(&mount, &Ok(Space::default()), 0).starts_with(r"/mnt/a b\nc\\d\\7  "));
    }

    #[test]
    fn a_disk_reads_as_a_line() {
        let mount = |read_only| Candidate {
            read_only,
            ..parse("1 0 8:1 / /var rw - ext4 /dev/sda1 rw").remove(0)
        };
        let space = Space {
            total: 20 << 30,
            used: 19 << 30,
            available: 0,
            inodes: 1000,
            inodes_used: 129,
        };
        assert_eq!(
            row(&mount(false), &Ok(space), 6),
            "/var    100 % of 20 GiB used, 0 B free, inodes 12 %"
        );
        let space = Space { inodes: 0, ..space };
        assert_eq!(
            row(&mount(true), &Ok(space), 4),
            "/var  100 % of 20 GiB used, 0 B free, READ-ONLY"
        );
    }

    #[test]
    fn the_worst_comes_first_and_what_cannot_be_asked_before_all() {
        let root = tempfile::tempdir().unwrap();
        let body = collect(
            root.path(),
            "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /gone rw - ext4 /dev/b rw\n",
        );
        let lines: Vec<&str> = body.text.lines().collect();
        assert_eq!(lines.len(), 2, "{}", body.text);
        assert_eq!(
            lines[0],
            "/gone  fails: No such file or directory (os error 2) (ext4 /dev/b)"
        );
        assert!(
            lines[1].starts_with("/      ") && lines[1].contains(" free, inodes "),
            "{}",
            body.text
        );
        let data = body.data.to_json();
        assert!(
            data[1]["total"].as_u64() > Some(0) && data[1]["mount_point"] == "/",
            "{data}"
        );
    }

    #[test]
    fn of_very_many_mounts_the_first_are_asked_and_the_others_counted() {
        let root = tempfile::tempdir().unwrap();
        let mounts: Vec<String> = (0..100)
            .map(|n| format!("1 0 8:{n} / /{n} rw - ext4 /dev/a rw"))
            .collect();
        let body = collect(root.path(), &mounts.join("\n"));
        assert_eq!(body.text.lines().count(), 65);
        assert!(
            body.text
                .ends_with("and 36 more file systems that were not checked")
        );
    }

    proptest! {
        #[test]
        fn any_list_of_mounts_is_survived(list: String, fields: [String; 6]) {
            let [a, b, c, d, e, f] = fields;
            let _ = asked(&list);
            let _ = asked(&format!("1 0 {a} {b} {c} {d} - {e} {f}"));
        }
    }

    mod as_root {
        use std::fs;
        use std::time::{Duration, Instant};

        use rustix::fs::{CWD, Mode, OFlags, openat};
        use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

        use super::collect;
        use std::ffi::CString;
        use std::os::fd::AsRawFd;

        #[test]
        fn a_mount_that_hangs_is_said_not_to_answer_and_holds_nothing_up() {
            let root = tempfile::tempdir().unwrap();
            let hung = root.path().join("net");
            fs::create_dir(&hung).unwrap();
            // A FUSE daemon that never reads, in the place of an NFS server that is gone.
            let daemon = openat(
                CWD,
                "/dev/fuse",
                OFlags::RDWR | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .unwrap();
            let options = format!(
                "fd={},rootmode=40000,user_id=0,group_id=0",
                daemon.as_raw_fd()
            );
            let options = CString::new(options).unwrap();
            mount(
                "gone",
                &hung,
                "fuse",
                MountFlags::empty(),
                options.as_c_str(),
            )
            .unwrap();

            let started = Instant::now();
            let mountinfo =
                "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:9 / /net rw - nfs4 server:/export rw\n";
            let body = collect(root.path(), mountinfo);
            let took = started.elapsed();
            // Ends the thread that waits there, too.
            drop(daemon);
            unmount(&hung, UnmountFlags::DETACH).unwrap();

            let lines: Vec<&str> = body.text.lines().collect();
            assert_eq!(lines[0], "/net  does not answer (nfs4 server:/export)");
            assert!(
                lines[1].starts_with("/     ") && lines[1].contains(" free"),
                "{}",
                body.text
            );
            assert!(took < Duration::from_secs(2), "{took:?}");
        }
    }
}
