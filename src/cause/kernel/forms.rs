//! The forms of the kernel's messages as text. `dmesg`, `journalctl -k`, syslog's kern.log and
//! `/dev/kmsg` each put something else before a message.

use crate::cause::carrier::without_colours;
use crate::cause::scene::KernelMessage;
use crate::cause::stamp;
use crate::kmsg;

/// The facility that only the kernel may use.
pub const KERNEL: u16 = 0;

/// Reads the kernel's messages from the output of dmesg (also with `-T`, `-x`, `-r`, `-H` or
/// `--time-format iso`), of `journalctl -k`, from kern.log and from records of `/dev/kmsg`.
/// Messages of programs are left out.
pub fn from_text(text: &str) -> Vec<KernelMessage> {
    let message = |(i, line): (usize, &str)| {
        let line = without_colours(line.trim_end_matches('\r'));
        message(&line).map(|text| KernelMessage {
            line: Some(i + 1),
            text,
        })
    };
    text.lines().enumerate().filter_map(message).collect()
}

/// Returns the kernel's words in a line; `None` if a program wrote the line.
fn message(line: &str) -> Option<String> {
    if let Some(record) = kmsg::parse_record(line) {
        return (record.facility == KERNEL).then_some(record.text);
    }
    let mut rest = line;
    // `dmesg -r`
    if let Some((priority, after)) = line
        .strip_prefix('<')
        .and_then(|after| after.split_once('>'))
        && let Ok(priority) = priority.parse::<u16>()
    {
        if priority >> 3 != KERNEL {
            return None;
        }
        rest = after;
    }
    // `dmesg -x`: `kern  :info  : [    0.000000] …`
    if let Some((facility, level, after)) = decoded(rest) {
        if facility != "kern" || !level.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return None;
        }
        rest = after;
    }
    rest = without_time(rest);
    // `host kernel: …` of the journal and of syslog. A second, kernel's timestamp may follow.
    match rest.split_once("kernel: ") {
        Some((host, after))
            if host
                .bytes()
                .all(|byte| byte.is_ascii_graphic() || byte == b' ')
                && host.split(' ').count() <= 2 =>
        {
            rest = without_time(after);
        }
        _ => {}
    }
    Some(rest.to_owned())
}

fn decoded(line: &str) -> Option<(&str, &str, &str)> {
    const FACILITIES: [&str; 13] = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron",
        "authpriv", "ftp", "local",
    ];
    let mut parts = line.splitn(3, ':');
    let (facility, level, rest) = (
        parts.next()?.trim_end(),
        parts.next()?.trim_end(),
        parts.next()?,
    );
    let known = FACILITIES.contains(&facility.trim_end_matches(|c: char| c.is_ascii_digit()));
    (known && rest.starts_with(" [")).then(|| (facility, level, rest.trim_start()))
}

/// Removes the time before a line, in any form.
pub fn without_time(line: &str) -> &str {
    let mut rest = line;
    // `[12.345]`, `[  +0.000123]`, `[Sun Nov 22 23:11:43 2026]`, `[Nov22 23:11]`, and the writer:
    // `[ T1234]`, `[   C0]`.
    while let Some((inside, after)) = rest
        .strip_prefix('[')
        .and_then(|after| after.split_once(']'))
    {
        let is_stamp = inside.len() <= 40
            && inside
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b" .:+,-".contains(&byte))
            && inside.bytes().any(|byte| byte.is_ascii_digit());
        if !is_stamp || !(after.starts_with(' ') || after.starts_with('[')) {
            break;
        }
        rest = after.strip_prefix(' ').unwrap_or(after);
        if !after.starts_with('[') {
            return rest;
        }
    }
    if let Some((_, length)) = stamp::read(rest)
        && let Some(after) = rest.get(length..).and_then(|after| after.strip_prefix(' '))
    {
        return after;
    }
    rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::from_text;

    #[test]
    fn every_form_is_read_down_to_the_kernels_own_words() {
        let words = "node invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0";
        for before in [
            "",
            "[ 6496.119125] ",
            "[12.3][ T1234] ",
            "[12.3][   C0] ",
            "[Sun Nov 22 23:11:43 2026] ",
            "[Nov22 23:11] ",
            "[  +0.000123] ",
            "<4>[ 6496.119125] ",
            "kern  :warn  : [ 6496.119125] ",
            "kern  :info  : [Sun Nov 22 23:11:43 2026] ",
            "2026-11-23T03:59:55,572049+00:00 ",
            "Nov 22 23:07:23 db1 kernel: ",
            "2026-11-22T23:07:23.000111+00:00 db1 kernel: ",
            "Nov 22 23:07:23 db1 kernel: [ 6496.119125] ",
            "[ 6496.119125] db1 kernel: ",
            "6,339,5140900,-;",
            "4,339,5140900,-,caller=T1;",
        ] {
            let messages = from_text(&format!("\n{before}{words}\r\n"));
            let message = messages.last().unwrap();
            assert_eq!(
                (message.line, message.text.as_str()),
                (Some(2), words),
                "{before}"
            );
        }
        // The call trace, which is indented, stays so.
        assert_eq!(
            from_text("[ 6496.119125]  dump_stack_lvl+0x57/0x80")[0].text,
            " dump_stack_lvl+0x57/0x80"
        );
    }

    #[test]
    fn lines_of_programs_are_left_out_or_keep_their_names() {
        let words = "Out of memory: Killed process 4242 (node) total-vm:1kB";
        for before in ["12,339,5140900,-;", "<12>[ 1.0] ", "user  :warn  : [ 1.0] "] {
            assert_eq!(from_text(&format!("{before}{words}")), [], "{before}");
        }
        for before in [
            "Nov 22 23:07:23 db1 app[12]: ",
            "[ 1.0] db1 app[12]: ",
            "Nov 22 23:07:23 db1 app[12]: my kernel: ",
        ] {
            assert!(
                !from_text(&format!("{before}{words}"))[0]
                    .text
                    .starts_with("Out"),
                "{before}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text: String, bytes in any::<Vec<u8>>()) {
            let _ = from_text(&text);
            let _ = from_text(&format!("[{text}] {}", String::from_utf8_lossy(&bytes)));
        }
    }
}
