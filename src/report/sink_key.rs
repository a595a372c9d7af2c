//! Which sink: its name alone does not say, since two jobs may each have one of the same name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A sink among all that the machine's and the jobs' configs define.
///
/// As text, in JSON and in the names of the spool's files, it is `NAME` or `JOB\\0NAME`: no sink's
/// name holds a NUL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum SinkKey {
    /// A sink of `lastwords.toml`.
    Machine(String),
    /// A sink of one job's own file.
    Job { job: String, name: String },
}

impl SinkKey {
    /// Returns the key of a job's own sink.
    pub fn of_job(job: &str, name: &str) -> Self {
        Self::Job {
            job: job.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Returns the sink's name, without its job's.
    pub fn name(&self) -> &str {
        match self {
            Self::Machine(name) | Self::Job { name, .. } => name,
        }
    }

    /// Returns the key as text. Different sinks have different texts.
    pub fn encode(&self) -> String {
        match self {
            Self::Machine(name) => name.clone(),
            Self::Job { job, name } => format!("{job}\0{name}"),
        }
    }

    /// Returns the sink of which [`encode`](Self::encode) made this text.
    pub fn decode(text: &str) -> Self {
        // A job's name may come from anywhere and hold anything.
        match text.rsplit_once('\0') {
            Some((job, name)) => Self::of_job(job, name),
            None => Self::Machine(text.to_owned()),
        }
    }
}

/// The name, for people.
impl fmt::Display for SinkKey {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<SinkKey> for String {
    fn from(key: SinkKey) -> Self {
        key.encode()
    }
}

impl From<String> for SinkKey {
    fn from(text: String) -> Self {
        Self::decode(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_from_its_text() {
        for (key, text) in [
            (SinkKey::Machine("ops mail".into()), "ops mail"),
            (SinkKey::of_job("web", "own"), "web\0own"),
            (SinkKey::of_job("a/b\0c", "own"), "a/b\0c\0own"),
            (SinkKey::of_job("", ""), "\0"),
        ] {
            assert_eq!(key.encode(), text);
            assert_eq!(SinkKey::decode(text), key);
            let json = serde_json::to_string(&key).unwrap();
            assert_eq!(json, serde_json::to_string(text).unwrap());
            assert_eq!(serde_json::from_str::<SinkKey>(&json).unwrap(), key);
        }
    }

    #[test]
    fn sinks_of_one_name_in_two_jobs_are_two() {
        let (web, db) = (SinkKey::of_job("web", "own"), SinkKey::of_job("db", "own"));
        assert_ne!(web, db);
        assert_ne!(web.encode(), db.encode());
        assert_eq!(web.to_string(), db.to_string());
    }
}
