//! Writes and reads an entry: the report's JSON on one line, then a trailer that shows whether it
//! is whole.
//!
//! ```text
//! {"format":1,"id":"20261123t030000-0123456789abcdef",…}
//! lastwords-entry 1 LENGTH CHECKSUM
//! ```
//! LENGTH counts the bytes before the trailer, the line's end included; CHECKSUM is their CRC-32
//! (IEEE), in eight hexadecimal digits.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::report::{FORMAT, Report};

const TRAILER: &str = "lastwords-entry 1 ";

/// Returns the bytes of a report's entry.
pub fn encode(report: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(report)?;
    bytes.push(b'\n');
    let trailer = trailer(&bytes);
    bytes.extend_from_slice(trailer.as_bytes());
    Ok(bytes)
}

/// Returns the bytes of a report's entry, exactly this many: spaces fill the JSON's line. Returns
/// `None` if the report needs more.
pub fn encode_to(report: &Report, size: usize) -> Option<Vec<u8>> {
    let mut bytes = serde_json::to_vec(report).ok()?;
    // The trailer is longer the more digits LENGTH has, and LENGTH is what the trailer leaves.
    let mut lengths = (1..=20)
        .filter_map(|digits| Some((digits, size.checked_sub(TRAILER.len() + 10 + digits)?)));
    let (_, length) = lengths.rfind(|(digits, length)| length.to_string().len() == *digits)?;
    if bytes.len() >= length {
        return None;
    }
    bytes.resize(length - 1, b' ');
    bytes.push(b'\n');
    let trailer = trailer(&bytes);
    bytes.extend_from_slice(trailer.as_bytes());
    Some(bytes)
}

/// Reason why an entry cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryError {
    /// It is whole, but of a format that only a newer version knows.
    Newer(String),
    /// It was damaged, or never was an entry.
    Damaged(String),
}

/// Reads the report in an entry, or as much of it as `T` takes.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, EntryError> {
    let damaged = |why: &str| EntryError::Damaged(why.to_owned());
    let no_report =
        |why: serde_json::Error| EntryError::Damaged(format!("it holds no report: {why}"));
    let end = bytes
        .strip_suffix(b"\n")
        .and_then(|bytes| bytes.iter().rposition(|byte| *byte == b'\n'));
    let (json, found) = bytes.split_at(end.map_or(0, |newline| newline + 1));
    if !found.starts_with(TRAILER.as_bytes()) {
        return Err(damaged(
            "it does not end in an entry's trailer: it was cut short, or is no entry",
        ));
    }
    if found != trailer(json).as_bytes() {
        return Err(damaged("its checksum does not fit: it is damaged"));
    }
    match serde_json::from_slice::<FormatOnly>(json)
        .map_err(no_report)?
        .format
    {
        FORMAT => serde_json::from_slice(json).map_err(no_report),
        format if format > FORMAT => Err(EntryError::Newer(format!(
            "its format is {format}, and this version of lastwords knows {FORMAT}: upgrade to read it"
        ))),
        format => Err(EntryError::Damaged(format!("there is no format {format}"))),
    }
}

#[derive(serde::Deserialize)]
struct FormatOnly {
    format: u32,
}

fn trailer(bytes: &[u8]) -> String {
    format!("{TRAILER}{} {:08x}\n", bytes.len(), crc32fast::hash(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn what_is_written_is_read_back() {
        let report = sample();
        assert_eq!(decode(&encode(&report).unwrap()), Ok(report));
    }

    #[test]
    fn an_entry_fills_what_is_there_to_the_byte_or_does_not_fit() {
        let report = sample();
        let least = encode(&report).unwrap().len();
        for size in [0, 20, least - 1, least, least + 1, 65_536, 100_000] {
            let bytes = encode_to(&report, size);
            assert_eq!(
                bytes.as_ref().map(Vec::len),
                (size >= least).then_some(size)
            );
            assert!(bytes.is_none_or(|bytes| decode(&bytes) == Ok(report.clone())));
        }
    }

    #[test]
    fn every_damaged_byte_and_every_cut_is_noticed() {
        let whole = encode(&sample()).unwrap();
        for at in 0..whole.len() {
            assert!(decode::<Report>(&whole[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                assert!(
                    decode::<Report>(&damaged).is_err(),
                    "bit {bit} of byte {at}"
                );
            }
        }
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut report = sample();
        report.format = FORMAT + 1;
        assert!(matches!(
            decode::<Report>(&encode(&report).unwrap()),
            Err(EntryError::Newer(_))
        ));
    }
}
