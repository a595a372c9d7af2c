//! Which file systems may never answer.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, absolute};

/// The most that is read of the list of mounts, in bytes.
const MAX_LIST: u64 = 4 * 1024 * 1024;

/// File systems that are this machine's own. A disk, too, may hang; but of those with a server or a
/// daemon behind them it has to be expected.
const OWN: [&str; 18] = [
    "bcachefs", "btrfs", "devtmpfs", "erofs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay",
    "ramfs", "reiserfs", "rootfs", "squashfs", "tmpfs", "vfat", "xfs", "zfs",
];

/// Whether who opens what lies at `path` may wait for ever, in a way that no signal ends: NFS, FUSE
/// and their like, and whatever is not known. It is told from the list of mounts alone; `path`
/// itself is not asked, nor are links followed.
pub fn may_hang(path: &Path) -> bool {
    let mut list = Vec::new();
    let read = File::open("/proc/self/mountinfo")
        .and_then(|file| file.take(MAX_LIST).read_to_end(&mut list));
    let kind = absolute(path)
        .ok()
        .filter(|_| read.is_ok())
        .and_then(|path| kind_of(&list, &path));
    kind.is_none_or(|kind| !OWN.iter().any(|own| own.as_bytes() == kind))
}

/// The type of the file system that `path` is on, by `mountinfo`; see `proc_pid_mountinfo(5)`.
fn kind_of<'l>(list: &'l [u8], path: &Path) -> Option<&'l [u8]> {
    let mounts = list.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut words = line.split(|byte| *byte == b' ');
        let place = unescape(words.nth(4)?);
        let kind = words.skip_while(|word| *word != b"-").nth(1)?;
        Some((place, kind))
    });
    let above =
        mounts.filter(|(place, _)| path.starts_with(Path::new(std::ffi::OsStr::from_bytes(place))));
    // The last one that is mounted in a place hides the others.
    above
        .max_by_key(|(place, _)| place.len())
        .map(|(_, kind)| kind)
}

/// Turns `\040` in a mount's name back into the byte that it stands for.
pub fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let (byte, after) = match rest {
            [
                b'\\',
                a @ b'0'..=b'3',
                b @ b'0'..=b'7',
                c @ b'0'..=b'7',
                after @ ..,
            ] => ((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), after),
            _ => (*first, after),
        };
        bytes.push(byte);
        rest = after;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &[u8] = b"22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
        23 22 0:5 / /srv rw - nfs4 box:/srv rw\n\
        24 23 0:6 / /srv/fast\\040disk rw,noatime shared:2 master:1 - xfs /dev/vdb rw\n\
        25 22 254:2 / /over rw - ext4 /dev/vdc rw\n\
        26 25 0:7 / /over rw - fuse.sshfs box: rw\n";

    fn kind(path: &str) -> &str {
        str::from_utf8(kind_of(LIST, Path::new(path)).unwrap()).unwrap()
    }

    #[test]
    fn a_path_is_on_what_is_mounted_nearest_above_it_and_last() {
        assert_eq!(kind("/var/log/web.log"), "ext4");
        assert_eq!(kind("/srv/web.log"), "nfs4");
        assert_eq!(kind("/srvx"), "ext4");
        assert_eq!(kind("/srv/fast disk/web.log"), "xfs");
        assert_eq!(kind("/over/web.log"), "fuse.sshfs");
    }

    #[test]
    fn what_the_list_does_not_show_may_hang() {
        assert_eq!(kind_of(b"", Path::new("/")), None);
        assert_eq!(kind_of(b"22 1 254:1\n- -\n\n\\", Path::new("/")), None);
        assert_eq!(unescape(b"a\\040b\\999\\"), b"a b\\999\\");
    }

    #[test]
    fn a_disk_of_this_machine_is_not_expected_to_hang() {
        assert!(!may_hang(&std::env::temp_dir()));
        assert!(
            may_hang(Path::new("/proc/self")),
            "nobody keeps a log there"
        );
    }
}
