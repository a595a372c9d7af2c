//! Reads the kernel log, `/dev/kmsg`. The kernel writes there which process it killed, and
//! Upstart's init how a job ended.
//!
//! The form of a record:
//! [Documentation/ABI/testing/dev-kmsg](https://docs.kernel.org/admin-guide/abi-testing.html).

use std::io;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::{Errno, read};

use crate::host::Host;

/// Maximum size of the log that is kept, in bytes: its newest part.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Maximum number of reads: it bounds the time if someone writes as fast as we read.
const MAX_READS: usize = 200_000;
/// Maximum size of a record of any kernel (`PRINTKRB`, formerly `CONSOLE_EXT_LOG_MAX`), in bytes.
const MAX_RECORD: usize = 8192;

/// One record of the kernel log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The severity: 0 emergency … 3 error, 4 warning … 7 debug; see syslog(3).
    pub level: u8,
    /// The writer: 0 is the kernel, programs have 1 and more. No program can pass for the kernel.
    pub facility: u16,
    /// The record's number in this boot. A missing number means that records were overwritten
    /// before they were read.
    pub seq: u64,
    /// The time in microseconds since boot, by a clock near `CLOCK_MONOTONIC`. After weeks it is
    /// off by up to seconds.
    pub micros: u64,
    /// The text, unescaped. Hostile input: process names in it may hold anything, newlines too.
    pub text: String,
}

/// Records of the kernel log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelLog {
    /// The records, the oldest first.
    pub records: Vec<Record>,
    /// The number of the last record in the log, even if it is from before the requested time.
    pub last: Option<u64>,
}

/// Reads the records of the kernel log from `since` on, in microseconds of its own clock. It never
/// waits. A machine that has been up for months has thousands of earlier records, which cost next
/// to nothing.
///
/// # Errors
/// If there is no `/dev/kmsg`, or this process may not read it: that takes `CAP_SYSLOG` if
/// `kernel.dmesg_restrict` is 1.
pub fn read_kernel_log(host: &Host, since: u64) -> io::Result<KernelLog> {
    let (log, last_skipped) = read_raw(host, since)?;
    let mut records = parse(&String::from_utf8_lossy(&log));
    let last = records.last().map(|record| record.seq).max(last_skipped);
    records.retain(|record| record.micros >= since);
    Ok(KernelLog { records, last })
}

/// Returns the log's bytes, and the number of the last record that they leave out.
fn read_raw(host: &Host, since: u64) -> io::Result<(Vec<u8>, Option<u64>)> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = openat(CWD, host.path("/dev/kmsg"), flags, Mode::empty()).map_err(explain)?;
    // The device gives one record for each read. A file in a fake root gives any part of itself.
    let single = FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::CharacterDevice;
    let mut log = Vec::new();
    let mut skipped = None;
    let mut record = [0; MAX_RECORD];
    for _ in 0..MAX_READS {
        match read(&file, &mut record) {
            // At its end, the device gives EAGAIN, and a file in a fake root gives 0.
            Ok(0) | Err(Errno::AGAIN) => break,
            Ok(length) => {
                let record = record.get(..length).unwrap_or_default();
                match head(record).filter(|(_, micros)| single && *micros < since) {
                    Some((number, _)) => skipped = Some(number),
                    None => log.extend_from_slice(record),
                }
            }
            // It was overwritten before we read it: the next read has the oldest that is left.
            Err(Errno::PIPE | Errno::INTR) => {}
            Err(errno) => return Err(explain(errno)),
        }
        if log.len() > MAX_BYTES {
            drop_older_half(&mut log);
        }
    }
    Ok((log, skipped))
}

/// Parses a record's number and time, `…,seq,usec,…`.
fn head(record: &[u8]) -> Option<(u64, u64)> {
    let mut fields = record.splitn(4, |&byte| byte == b',').skip(1);
    let mut number = || {
        fields.next()?.iter().try_fold(0_u64, |number, &byte| {
            let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
            number.checked_mul(10)?.checked_add(digit.into())
        })
    };
    Some((number()?, number()?))
}

fn drop_older_half(log: &mut Vec<u8>) {
    let half = log.len() / 2;
    let line = log
        .iter()
        .skip(half)
        .position(|&byte| byte == b'\n')
        .map_or(log.len(), |newline| half + newline + 1);
    log.drain(..line);
}

fn explain(errno: Errno) -> io::Error {
    let why = match errno {
        Errno::PERM | Errno::ACCESS => "cannot read /dev/kmsg: that needs root, or CAP_SYSLOG",
        Errno::NOENT => {
            "there is no /dev/kmsg here (a container?): nothing to read the kernel log from"
        }
        errno => return io::Error::new(errno.kind(), format!("cannot read /dev/kmsg: {errno}")),
    };
    io::Error::new(errno.kind(), why)
}

/// Parses records, one in each line. Lines that start with a space tell which device the record is
/// about; they are left out, like lines that are no record.
pub fn parse(log: &str) -> Vec<Record> {
    log.lines()
        .filter(|line| !line.starts_with(' '))
        .filter_map(parse_record)
        .collect()
}

/// Parses `prio,seq,usec,flags[,more];text`.
pub fn parse_record(line: &str) -> Option<Record> {
    let (head, text) = line.split_once(';')?;
    let mut fields = head.split(',');
    let priority: u32 = fields.next()?.parse().ok()?;
    let seq = fields.next()?.parse().ok()?;
    let micros = fields.next()?.parse().ok()?;
    let level = u8::try_from(priority & 7).ok()?;
    Some(Record {
        level,
        facility: u16::try_from(priority >> 3).ok()?,
        seq,
        micros,
        text: unescape(text),
    })
}

/// Turns `\x0a` back into the byte that it stands for. The kernel writes all bytes like this that
/// are not printable ASCII, and `\` itself.
fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, after) = match rest {
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (digit(*high) << 4 | digit(*low), after)
            }
            _ => (*first, after),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn digit(hexadecimal: u8) -> u8 {
    match hexadecimal {
        b'0'..=b'9' => hexadecimal - b'0',
        letter => (letter | 0x20).wrapping_sub(b'a' - 10),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{MAX_BYTES, Record, head, parse, read_kernel_log};
    use crate::host::Host;

    fn record(level: u8, facility: u16, seq: u64, micros: u64, text: &str) -> Record {
        Record {
            level,
            facility,
            seq,
            micros,
            text: text.to_owned(),
        }
    }

    fn host_with(kmsg: &[u8]) -> (tempfile::TempDir, Host) {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("dev")).unwrap();
        std::fs::write(root.path().join("dev/kmsg"), kmsg).unwrap();
        let host = Host::new(root.path(), root.path());
        (root, host)
    }

    #[test]
    fn records_are_parsed_and_device_lines_and_rubbish_left_out() {
        let log = "6,339,5140900,-;NET: Registered protocol family 10\n\
                   12,340,5690716,-,caller=T1;init: web main process (812) killed by SEGV signal\n \
                   SUBSYSTEM=acpi\n DEVICE=+acpi:PNP0A03:00\n\
                   6,341\n;\n,,,;\n99999999999,1,1,-;too big\n-6,1,1,-;negative\n\n\
                   3,342,5690800,c;a;b";
        let expected = [
            record(6, 0, 339, 5_140_900, "NET: Registered protocol family 10"),
            record(
                4,
                1,
                340,
                5_690_716,
                "init: web main process (812) killed by SEGV signal",
            ),
            record(3, 0, 342, 5_690_800, "a;b"),
        ];
        assert_eq!(parse(log), expected);
    }

    #[test]
    fn escapes_become_what_they_stand_for_and_broken_ones_stay() {
        let text = |line: &str| parse(&format!("6,1,2,-;{line}")).remove(0).text;
        assert_eq!(text(r"caf\xc3\xa9\x0asecond \x5c"), "café\nsecond \\");
        assert_eq!(text(r"\xff|\x|\xg0|\x4"), "\u{fffd}|\\x|\\xg0|\\x4");
        assert_eq!(text(r"\x1B[31m"), "\u{1b}[31m");
    }

    #[test]
    fn of_an_endless_log_the_newest_is_kept() {
        let line = format!("6,1,1,-;{}\n", "x".repeat(1000));
        let mut log = line.repeat(MAX_BYTES / line.len() + 1000);
        log.push_str("6,2,2,-;the last");
        let (_root, host) = host_with(log.as_bytes());
        let records = read_kernel_log(&host, 0).unwrap().records;
        assert_eq!(records.last(), Some(&record(6, 0, 2, 2, "the last")));
        assert!(records.len() < MAX_BYTES / line.len());
        assert!(
            records
                .iter()
                .rev()
                .skip(1)
                .all(|record| record.text.len() == 1000),
            "no record is cut"
        );
    }

    #[test]
    fn what_is_older_than_asked_for_is_left_out_but_its_number_known() {
        let (_root, host) = host_with(b"6,1,10,-;a\n6,2,20,-;b\n SUBSYSTEM=x\n6,3,30,-;c\n");
        let texts = |since| {
            let log = read_kernel_log(&host, since).unwrap();
            assert_eq!(log.last, Some(3));
            log.records
                .into_iter()
                .map(|record| record.text)
                .collect::<String>()
        };
        assert_eq!(
            [texts(0), texts(20), texts(21), texts(31)],
            ["abc", "bc", "c", ""]
        );
        assert_eq!(head(b"6,1,20,-;a,b\n SUBSYSTEM=x\n"), Some((1, 20)));
        for damaged in [
            &b"6,x,10,-;a\n"[..],
            b"6,1,-1,-;a",
            b"6,1,99999999999999999999,-;a",
            b"6,1",
            b"",
        ] {
            assert_eq!(head(damaged), None);
        }
    }

    #[test]
    fn a_machine_without_a_kernel_log_says_so() {
        let root = tempfile::tempdir().unwrap();
        let error = read_kernel_log(&Host::new(root.path(), root.path()), 0).unwrap_err();
        assert!(
            error.to_string().contains("there is no /dev/kmsg here"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(log: Vec<u8>, head in any::<[u64; 3]>(), text: String) {
            let _ = parse(&String::from_utf8_lossy(&log));
            let _ = parse(&format!("{},{},{},-;{text}", head[0], head[1], head[2]));
        }
    }

    mod as_root {
        use crate::host::Host;
        use crate::kmsg::{KernelLog, read_kernel_log};

        #[test]
        fn what_a_program_writes_is_there_at_once_and_is_not_the_kernels() {
            let text = format!("lastwords test {}: caf\u{e9}", std::process::id());
            // Without the newline, the kernel would hold it back until the next record.
            std::fs::write("/dev/kmsg", format!("<4>{text}\n")).unwrap();
            let host = Host::new("/", "/etc/lastwords");
            let KernelLog { records, last } = read_kernel_log(&host, 0).unwrap();
            let ours = records
                .iter()
                .rev()
                .find(|record| record.text == text)
                .expect("the record that was written");
            assert_eq!((ours.level, ours.facility), (4, 1));
            assert!(records.is_sorted_by_key(|record| record.seq));
            assert!(last >= records.last().map(|record| record.seq));
            let since = read_kernel_log(&host, ours.micros).unwrap();
            assert!(since.records.iter().any(|record| record == ours));
            assert!(
                since
                    .records
                    .iter()
                    .all(|record| record.micros >= ours.micros)
            );
            let none = read_kernel_log(&host, u64::MAX).unwrap();
            assert!(none.records.is_empty() && none.last >= last);
        }
    }
}
