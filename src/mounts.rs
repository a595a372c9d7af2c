//! The mounted file systems, as the kernel lists them, and which of them may never answer.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, absolute};

/// Maximum length that is read of the list of mounts, in bytes: a host of many containers has
/// thousands of long lines.
const MAX_LIST: u64 = 4 * 1024 * 1024;

/// File systems that are this machine's own. A disk, too, may hang; but of those with a server or a
/// daemon behind them it has to be expected.
const OWN: [&str; 18] = [
    "bcachefs", "btrfs", "devtmpfs", "erofs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay",
    "ramfs", "reiserfs", "rootfs", "squashfs", "tmpfs", "vfat", "xfs", "zfs",
];

/// A line of `mountinfo`; see `proc_pid_mountinfo(5)`. Spaces and the like are still escaped.
pub struct Mount<'l> {
    pub device: &'l [u8],
    /// The directory of the file system that is mounted: `/`, or a bind mount's.
    pub root: &'l [u8],
    /// The directory where it is mounted.
    pub place: &'l [u8],
    pub options: &'l [u8],
    /// The type of the file system.
    pub fs_type: &'l [u8],
    pub source: &'l [u8],
    /// The options of the file system, which show what the kernel did to it after an error.
    pub fs_options: &'l [u8],
}

/// Reads the list of mounts at `path`: `/proc/self/mountinfo`.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut list = Vec::new();
    File::open(path)?.take(MAX_LIST).read_to_end(&mut list)?;
    Ok(list)
}

/// Parses a list of mounts. A line in another form is left out.
pub fn parse(list: &[u8]) -> impl Iterator<Item = Mount<'_>> {
    list.split(|byte| *byte == b'\n').filter_map(parse_line)
}

fn parse_line(line: &[u8]) -> Option<Mount<'_>> {
    let mut words = line.split(|byte| *byte == b' ');
    let (device, root, place) = (words.nth(2)?, words.next()?, words.next()?);
    let options = words.next()?;
    let mut words = words.skip_while(|word| *word != b"-").skip(1);
    Some(Mount {
        device,
        root,
        place,
        options,
        fs_type: words.next()?,
        source: words.next()?,
        fs_options: words.next().unwrap_or_default(),
    })
}

impl Mount<'_> {
    /// Returns true if nothing can be written there.
    pub fn is_read_only(&self) -> bool {
        let has = |options: &[u8], wanted: &[&[u8]]| {
            options
                .split(|byte| *byte == b',')
                .any(|option| wanted.contains(&option))
        };
        let stopped: [&[u8]; 3] = [b"ro", b"emergency_ro", b"shutdown"];
        has(self.options, &[b"ro"]) || has(self.fs_options, &stopped)
    }
}

/// Returns true if a process that opens `path` may wait for ever, in a way that no signal ends: on
/// NFS, FUSE and their like, and where the type is unknown. Only the list of mounts is read; `path`
/// itself is not touched, and links are not followed.
pub fn may_hang(path: &Path) -> bool {
    let Ok(list) = read(Path::new("/proc/self/mountinfo")) else {
        return true;
    };
    let fs_type = absolute(path).ok().and_then(|path| type_of(&list, &path));
    fs_type.is_none_or(|fs_type| !OWN.iter().any(|own| own.as_bytes() == fs_type))
}

/// Returns the type of the file system that `path` is on.
fn type_of<'l>(list: &'l [u8], path: &Path) -> Option<&'l [u8]> {
    let mounts = parse(list).map(|mount| (unescape(mount.place), mount.fs_type));
    let above = mounts.filter(|(place, _)| path.starts_with(OsStr::from_bytes(place)));
    // The last one that is mounted in a place hides the others.
    above
        .max_by_key(|(place, _)| place.len())
        .map(|(_, fs_type)| fs_type)
}

/// Turns `\040` in a field of a line back into the byte that it stands for.
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
        str::from_utf8(type_of(LIST, Path::new(path)).unwrap()).unwrap()
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
    fn read_only_is_seen_in_the_mount_and_in_the_file_system() {
        let read_only = |options, fs_options| {
            let line = format!("1 0 8:1 / / {options} - ext4 /dev/sda1 {fs_options}");
            parse_line(line.as_bytes()).unwrap().is_read_only()
        };
        assert!(
            read_only("ro,relatime", "rw")
                && read_only("rw", "ro,errors=remount-ro")
                && read_only("rw", "rw,shutdown")
        );
        assert!(!read_only("rw,relatime", "rw,errors=remount-ro"));
    }

    #[test]
    fn what_the_list_does_not_show_may_hang() {
        assert_eq!(type_of(b"", Path::new("/")), None);
        assert_eq!(type_of(b"22 1 254:1\n- -\n\n\\", Path::new("/")), None);
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
