//! A section's findings for programs.
//!
//! The data that other parts of lastwords read has a type here. All other data is
//! [`SectionData::Other`], in the form that the collector's own file documents.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CollectorKind, Timestamp};

/// A section's findings for programs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SectionData {
    /// No data, as from a collector that failed.
    #[default]
    Nothing,
    /// From `memory`.
    Memory(MemoryUse),
    /// From `load`.
    Load(LoadAverage),
    /// From `disk`.
    Disk(Vec<FileSystem>),
    /// From `log`.
    Log(LogEnd),
    /// From `journal`.
    Journal(JournalEnd),
    /// From `program`.
    Program(ProgramFile),
    /// From any other kind, or in a form that this version does not know.
    Other(Value),
}

impl SectionData {
    /// Reads the data of a section of this kind. A report may come from another version or from a
    /// hostile user: data in another form is kept as it is.
    pub fn from_json(kind: &CollectorKind, json: Value) -> Self {
        if json.is_null() {
            return Self::Nothing;
        }
        let typed = match kind.as_str() {
            "memory" => MemoryUse::deserialize(&json).map(Self::Memory),
            "load" => LoadAverage::deserialize(&json).map(Self::Load),
            "disk" => Vec::deserialize(&json).map(Self::Disk),
            "log" => LogEnd::deserialize(&json).map(Self::Log),
            "journal" => JournalEnd::deserialize(&json).map(Self::Journal),
            "program" => ProgramFile::deserialize(&json).map(Self::Program),
            _ => return Self::Other(json),
        };
        typed.unwrap_or(Self::Other(json))
    }

    pub fn to_json(&self) -> Value {
        match self {
            Self::Other(json) => json.clone(),
            typed => serde_json::to_value(typed).unwrap_or_default(),
        }
    }

    /// Returns the length of the data as JSON, in bytes; 0 where there is none.
    pub fn length(&self) -> usize {
        match self {
            Self::Nothing => 0,
            data => data.to_json().to_string().len(),
        }
    }
}

impl From<Value> for SectionData {
    fn from(json: Value) -> Self {
        if json.is_null() {
            Self::Nothing
        } else {
            Self::Other(json)
        }
    }
}

/// The machine's memory, in bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryUse {
    pub total: u64,
    pub used: u64,
    pub available: u64,
    pub swap_total: u64,
    pub swap_used: u64,
    /// How long tasks waited for memory; null where the kernel does not measure it.
    pub pressure: Option<Pressure>,
    /// The cgroup with the lowest limit, from the hook's own up to the root; null if none has one.
    pub cgroup: Option<CgroupMemory>,
}

/// The memory of a cgroup that has a limit, in bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CgroupMemory {
    pub path: String,
    pub limit: u64,
    pub used: Option<u64>,
    /// How many processes the kernel has killed because of the limit.
    pub oom_kills: Option<u64>,
}

/// How much of the time tasks could not run for lack of one resource.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pressure {
    /// At least one task waited.
    pub some: PressureShare,
    /// All tasks that had something to do waited. Not known for every resource.
    pub full: Option<PressureShare>,
}

/// Per cent of the time, averaged over the last 10, 60 and 300 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PressureShare {
    pub avg10: f64,
    pub avg60: f64,
    pub avg300: f64,
}

/// How busy the machine was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadAverage {
    /// The load averages over 1, 5 and 15 minutes.
    pub load: [f64; 3],
    /// The number of CPUs that are online.
    pub cpus: Option<u32>,
    /// How long tasks waited for a CPU; null where the kernel does not measure it.
    pub cpu_pressure: Option<Pressure>,
    /// How long tasks waited for I/O; null where the kernel does not measure it.
    pub io_pressure: Option<Pressure>,
}

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileSystem {
    pub mount_point: String,
    /// The type: `ext4`, `nfs4`.
    #[serde(rename = "type")]
    pub fs_type: String,
    /// The device or the server's directory.
    pub source: String,
    pub read_only: bool,
    #[serde(flatten)]
    pub capacity: Capacity,
}

impl FileSystem {
    /// Returns the space, where the file system has answered.
    pub fn space(&self) -> Option<&Space> {
        match &self.capacity {
            Capacity::Known(space) => Some(space),
            Capacity::Unknown { .. } => None,
        }
    }
}

/// The answer of a file system that was asked for its space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Capacity {
    Known(Space),
    Unknown {
        /// The reason why it is not known.
        error: String,
    },
}

/// Space in bytes, and inodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Space {
    pub total: u64,
    pub used: u64,
    /// The space that users other than root can still use.
    pub available: u64,
    /// The number of inodes; 0 where it is not fixed.
    pub inodes: u64,
    pub inodes_used: u64,
}

/// The end of a log file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogEnd {
    pub path: String,
    /// The file's size, in bytes.
    pub size: u64,
    pub inode: u64,
    /// The number of lines that are shown.
    pub lines: usize,
    /// The beginning of the first line is missing.
    pub cut: bool,
    /// The log was rotated while the service ran, and lines of the old file are shown too.
    pub rotated: bool,
}

/// The end of the journal of one life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalEnd {
    /// systemd's id of that life.
    pub invocation: String,
    /// The number of lines that are shown.
    pub lines: usize,
}

/// The service's program file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProgramFile {
    pub path: String,
    /// When the file was last changed.
    pub modified: Timestamp,
    /// In bytes.
    pub size: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{CollectorKind, SectionData};

    /// The data of each kind as JSON, in the form of format 1.
    fn forms() -> [(CollectorKind, Value); 6] {
        let pressure = json!({
            "some": {"avg10": 1.5, "avg60": 1.0, "avg300": 0.5},
            "full": {"avg10": 1.0, "avg60": 0.5, "avg300": 0.0},
        });
        let disk =
            json!({"mount_point": "/", "type": "ext4", "source": "/dev/sda", "read_only": false});
        let with = |more: Value| {
            let mut disk = disk.clone();
            let more = more.as_object().unwrap().clone();
            disk.as_object_mut().unwrap().extend(more);
            disk
        };
        [
            (
                CollectorKind::MEMORY,
                json!({
                    "total": 9, "used": 3, "available": 6, "swap_total": 0, "swap_used": 0,
                    "pressure": pressure,
                    "cgroup": {"path": "/a", "limit": 5, "used": 3, "oom_kills": null},
                }),
            ),
            (
                CollectorKind::LOAD,
                json!({"load": [1.5, 1.0, 0.5], "cpus": 2, "cpu_pressure": null, "io_pressure": pressure}),
            ),
            (
                CollectorKind::DISK,
                json!([
                    with(
                        json!({"total": 9, "used": 3, "available": 5, "inodes": 7, "inodes_used": 1})
                    ),
                    with(json!({"error": "does not answer"})),
                ]),
            ),
            (
                CollectorKind::LOG,
                json!({"path": "/a", "size": 1, "inode": 2, "lines": 3, "cut": true, "rotated": false}),
            ),
            (
                CollectorKind::JOURNAL,
                json!({"invocation": "3c", "lines": 3}),
            ),
            (
                CollectorKind::PROGRAM,
                json!({"path": "/a", "modified": "2026-11-23T02:50:00.000Z", "size": 3}),
            ),
        ]
    }

    #[test]
    fn each_kind_has_its_documented_form() {
        for (kind, form) in forms() {
            let data = SectionData::from_json(&kind, form.clone());
            assert!(!matches!(data, SectionData::Other(_)), "{form}");
            assert_eq!(serde_json::to_value(&data).unwrap(), form);
        }
    }

    #[test]
    fn data_in_another_form_is_kept_as_it_is() {
        for (kind, form) in forms() {
            for odd in [
                json!("x"),
                json!([[[1]]]),
                json!({"total": "much", "used": -1}),
            ] {
                let data = SectionData::from_json(&kind, odd.clone());
                assert_eq!(data, SectionData::Other(odd), "{form}");
            }
            assert_eq!(
                SectionData::from_json(&kind, Value::Null),
                SectionData::Nothing
            );
        }
    }
}
