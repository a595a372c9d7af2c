//! Answers of `lastwords doctor`.

use std::process::Output;

use serde_json::Value;

use crate::support::harness::without_places;

pub struct Doctor {
    pub code: Option<i32>,
    text: String,
    json: Value,
}

impl Doctor {
    /// Reads its answers for programs and for people, which must say the same.
    pub fn of(programs: &Output, people: &Output) -> Self {
        let text = String::from_utf8_lossy(&people.stdout).into_owned();
        let json: Value = serde_json::from_slice(&programs.stdout)
            .unwrap_or_else(|why| panic!("{why}: {programs:?}"));
        assert_eq!(programs.status.code(), people.status.code());
        let doctor = Self {
            code: people.status.code(),
            text,
            json: json[0].clone(),
        };
        assert_eq!(
            doctor.code == Some(0),
            doctor.json["well"].as_bool().unwrap()
        );
        assert!(
            doctor
                .text
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .starts_with(doctor.verdict())
        );
        doctor
    }

    pub fn verdict(&self) -> &str {
        self.json["verdict"].as_str().unwrap()
    }

    fn find(&self, about: &str, state: &str, text: &str) -> &Value {
        let checks = self.json["checks"].as_array().unwrap();
        let is_it = |it: &&Value| {
            it["about"] == about
                && it["state"] == state
                && it["text"].as_str().is_some_and(|it| it.contains(text))
        };
        checks
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("{about}, {state}, {text} in {}", self.text))
    }

    /// Checks that one check says this, with this remedy.
    pub fn assert(&self, about: &str, state: &str, text: &str, remedy: &str) {
        let check = self.find(about, state, text);
        assert!(
            remedy.is_empty()
                || check["remedy"]
                    .as_str()
                    .is_some_and(|it| without_places(it).contains(remedy)),
            "{check:#}"
        );
    }

    /// Checks that there is a problem, and that the verdict names it.
    pub fn assert_problem(&self, about: &str, verdict: &str, remedy: &str) {
        assert!(
            self.code == Some(1) && self.verdict().contains(verdict),
            "{}",
            self.text
        );
        self.assert(about, "problem", "", remedy);
    }

    /// Returns the first remedy of the checks about this.
    pub fn remedy(&self, about: &str) -> String {
        let mut checks = self.json["checks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|it| it["about"] == about);
        checks
            .find_map(|it| it["remedy"].as_str())
            .unwrap_or_else(|| panic!("{}", self.text))
            .to_owned()
    }
}
