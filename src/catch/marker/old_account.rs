//! The account as earlier versions wrote it into markers: every fact a field of its own. A service
//! that ends while lastwords is upgraded may leave such a marker. No marker outlives a boot, so
//! this reader can go with the next version.

use serde::{Deserialize, Deserializer};

use crate::report::Evidence;
use crate::supervisor::account::{Account, Ending, FailedStart, MainExit, Reason};

/// Reads an account in its present form or in the old one.
pub fn read_either<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Account>, D::Error> {
    let read: Option<Either> = Option::deserialize(from)?;
    Ok(read.map(|either| match either {
        Either::Present(account) => *account,
        Either::Old(old) => (*old).into(),
    }))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Either {
    Present(Box<Account>),
    Old(Box<OldAccount>),
}

/// The old form, without the fields that only Upstart set: its accounts never stood in a marker.
#[derive(Default, Deserialize)]
#[serde(default)]
struct OldAccount {
    death: Option<MainExit>,
    failed_start: Option<FailedStart>,
    planned: Option<Evidence>,
    lookalike: Option<String>,
    logs: Vec<String>,
    readable: bool,
    harmless: Option<String>,
    doubt: Option<String>,
    reason: Option<Reason>,
    invocation: Option<String>,
    program: Option<String>,
}

impl From<OldAccount> for Account {
    fn from(old: OldAccount) -> Self {
        let main = old.death;
        let ending = if let Some(why) = old.harmless {
            Ending::Harmless { main, why }
        } else if let Some(why) = old.doubt {
            Ending::Doubtful { main, why }
        } else if let Some(reason) = old.reason {
            Ending::Explained { main, reason }
        } else {
            match (main, old.failed_start, old.lookalike) {
                (Some(main), Some(failed), _) => Ending::DiedStarting { main, failed },
                (None, Some(failed), _) => Ending::NeverRan(failed),
                (Some(main), None, Some(why)) => Ending::LikeRestart { main, why },
                (Some(main), None, None) => Ending::Ended(main),
                (None, None, _) if old.readable => Ending::Silent,
                (None, None, _) => Ending::Unheard,
            }
        };
        Self {
            ending,
            announced: old.planned,
            logs: old.logs,
            invocation: old.invocation,
            directory: None,
            program: old.program,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::catch::marker::Marker;
    use crate::report::{self, Exit};

    /// Reads a marker with this account.
    fn read(account: &Value) -> Account {
        let marker = json!({
            "boot_id": "b", "armed_at": "2026-11-23T03:00:00Z", "armed_ms": 1, "account": account,
        });
        let marker = Marker::read(marker.to_string().as_bytes()).unwrap();
        marker.account.unwrap()
    }

    /// Writes an account as earlier versions did, with these facts.
    fn old(facts: &Value) -> Value {
        let mut account = json!({
            "death": null, "failed_start": null, "respawns": null, "gave_up": null,
            "planned": null, "silent_early_stop": false, "lookalike": null, "logs": ["/a.log"],
            "readable": true, "died_starting": false, "harmless": null, "doubt": null,
            "reason": null, "invocation": "42", "program": "/srv/web",
        });
        for (key, fact) in facts.as_object().unwrap() {
            account[key] = fact.clone();
        }
        account
    }

    fn evidence() -> Evidence {
        Evidence {
            source: "arguments of the hook".into(),
            line: None,
            text: "finish 3 0".into(),
        }
    }

    fn main() -> MainExit {
        MainExit {
            exit: Exit::Code(3),
            pid: Some(7),
            evidence: evidence(),
        }
    }

    #[test]
    fn an_account_of_an_earlier_version_is_read_from_a_marker() {
        let evidence_json = json!({ "source": "arguments of the hook", "text": "finish 3 0" });
        let death = json!({ "exit": { "code": 3 }, "pid": 7, "evidence": evidence_json });
        let failed = json!({ "why": "no such file", "evidence": evidence_json });
        let reason = json!({
            "line": "watchdog", "kind": "killed-by-signal", "only_if_unknown": false,
        });
        let why = || "why".to_owned();
        let failed_start = || FailedStart {
            why: "no such file".into(),
            evidence: evidence(),
        };
        for (facts, ending) in [
            (json!({}), Ending::Silent),
            (json!({ "readable": false }), Ending::Unheard),
            (json!({ "death": death }), Ending::Ended(main())),
            (
                json!({ "death": death, "lookalike": "why" }),
                Ending::LikeRestart {
                    main: main(),
                    why: why(),
                },
            ),
            (
                json!({ "death": death, "failed_start": failed, "died_starting": true }),
                Ending::DiedStarting {
                    main: main(),
                    failed: failed_start(),
                },
            ),
            (
                json!({ "failed_start": failed }),
                Ending::NeverRan(failed_start()),
            ),
            (
                json!({ "death": death, "harmless": "why" }),
                Ending::Harmless {
                    main: Some(main()),
                    why: why(),
                },
            ),
            (
                json!({ "doubt": "why" }),
                Ending::Doubtful {
                    main: None,
                    why: why(),
                },
            ),
            (
                json!({ "death": death, "reason": reason }),
                Ending::Explained {
                    main: Some(main()),
                    reason: Reason {
                        line: "watchdog".into(),
                        kind: report::Death::KilledBySignal,
                        only_if_unknown: false,
                    },
                },
            ),
        ] {
            let expected = Account {
                ending,
                announced: None,
                logs: vec!["/a.log".into()],
                invocation: Some("42".into()),
                program: Some("/srv/web".into()),
                directory: None,
            };
            assert_eq!(read(&old(&facts)), expected, "{facts}");
            // What this version writes comes back the same.
            assert_eq!(read(&json!(expected)), expected, "{facts}");
        }
        let stopped = read(&old(&json!({ "death": death, "planned": evidence_json })));
        assert_eq!(stopped.announced, Some(evidence()));
    }
}
