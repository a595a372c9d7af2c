//! The JSON Schemas fit the program: real reports of every kind and the example config are valid,
//! and mistakes are not.

use std::fs;
use std::path::Path;

use lastwords::report::{Kind, Report};
use serde_json::{Value, json};

use crate::support::harness::{Harness, reports_in};
use crate::{flood, hooks};

/// Returns the mistakes in a value, as (place, keyword). Supports the part of JSON Schema that our
/// schemas use.
fn wrong(schema: &Value, value: &Value) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    judge(schema, schema, value, "", &mut wrong);
    wrong
}

fn judge(root: &Value, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<(String, String)>) {
    let Value::Object(words) = schema else {
        assert_eq!(schema, &Value::Bool(true), "{at}");
        return;
    };
    let fits = |schema: &Value| {
        let mut wrong = Vec::new();
        judge(root, schema, value, at, &mut wrong);
        wrong.is_empty()
    };
    for (word, said) in words {
        let list = || said.as_array().unwrap();
        let holds = match word.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" => true,
            "$ref" => {
                judge(
                    root,
                    root.pointer(&said.as_str().unwrap()[1..]).unwrap(),
                    value,
                    at,
                    wrong,
                );
                true
            }
            "type" => match said {
                Value::String(name) => is_of(value, name),
                names => names
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|name| is_of(value, name.as_str().unwrap())),
            },
            "enum" => list().contains(value),
            "const" => said == value,
            "anyOf" => list().iter().any(fits),
            "oneOf" => list().iter().filter(|schema| fits(schema)).count() == 1,
            "minimum" => value
                .as_f64()
                .is_none_or(|number| number >= said.as_f64().unwrap()),
            "maximum" => value
                .as_f64()
                .is_none_or(|number| number <= said.as_f64().unwrap()),
            "pattern" => value.as_str().is_none_or(|text| {
                regex::Regex::new(said.as_str().unwrap())
                    .unwrap()
                    .is_match(text)
            }),
            "required" => value.as_object().is_none_or(|object| {
                list()
                    .iter()
                    .all(|key| object.contains_key(key.as_str().unwrap()))
            }),
            "items" => {
                for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                    judge(root, said, item, &format!("{at}/{i}"), wrong);
                }
                true
            }
            "properties" => {
                for (key, schema) in said.as_object().unwrap() {
                    if let Some(found) = value.get(key) {
                        judge(root, schema, found, &format!("{at}/{key}"), wrong);
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = words.get("properties");
                let is_known = |key: &String| known.is_some_and(|known| known.get(key).is_some());
                let object = value.as_object().into_iter().flatten();
                let mut others = object.filter(|(key, _)| !is_known(key)).peekable();
                let refused = said == &Value::Bool(false) && others.peek().is_some();
                for (key, other) in others.filter(|_| said.is_object()) {
                    judge(root, said, other, &format!("{at}/{key}"), wrong);
                }
                !refused
            }
            "minItems" => value
                .as_array()
                .is_none_or(|list| list.len() as u64 >= said.as_u64().unwrap()),
            unknown => panic!("{at}: this test does not know the keyword {unknown}"),
        };
        if !holds {
            wrong.push((at.to_owned(), word.clone()));
        }
    }
}

fn is_of(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        unknown => panic!("this test does not know the type {unknown}"),
    }
}

/// Returns a schema as the program prints it.
pub fn schema(of: &str) -> Value {
    let output = std::process::Command::new(crate::support::harness::binary())
        .args(["schema", of])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn project(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn toml(text: &str) -> Value {
    let table: toml::Table = text.parse().unwrap();
    serde_json::to_value(table).unwrap()
}

/// Returns reports of every kind, as the program wrote them.
fn reports() -> Vec<Report> {
    let machine = flood::machine_with_every_kind();
    let mut reports = reports_in(&[
        machine.spool.join("new"),
        machine.spool.join("done"),
        machine.spool.join("dead"),
    ]);
    // With the usual collectors, and with notes.
    let machine = Harness::new();
    hooks::crash(&machine, |_| {});
    reports.push(machine.only_report());
    let drill = machine
        .command("post-stop")
        .args([
            "--simulate-crash",
            "--job",
            "web",
            "--signal",
            "SEGV",
            "--json",
        ])
        .output();
    let drill: Value = serde_json::from_slice(&drill.unwrap().stdout).unwrap();
    reports.push(serde_json::from_value(drill["report"].clone()).unwrap());
    reports
}

#[test]
fn reports_of_every_kind_fit_their_schema() {
    let schema = schema("report");
    let reports = reports();
    let kinds =
        |wanted: fn(&Kind) -> bool| reports.iter().filter(|report| wanted(&report.kind)).count();
    assert!(kinds(|kind| matches!(kind, Kind::Crash)) > 2);
    assert!(kinds(|kind| matches!(kind, Kind::Summary { .. })) > 0);
    assert!(kinds(|kind| matches!(kind, Kind::Recovered { .. })) > 0);
    assert!(kinds(|kind| matches!(kind, Kind::Notice)) > 0);
    for report in &reports {
        let json = serde_json::to_value(report).unwrap();
        assert_eq!(wrong(&schema, &json), [], "{json:#}");
    }
}

#[test]
fn the_schema_refuses_a_value_that_is_not_a_report() {
    let schema = schema("report");
    let report = serde_json::to_value(&reports()[0]).unwrap();
    let with = |pointer: &str, key: &str, value: Value| {
        let mut report = report.clone();
        report.pointer_mut(pointer).unwrap()[key] = value;
        let wrong = wrong(&schema, &report);
        assert_eq!(wrong.len(), 1, "{pointer}/{key}: {wrong:?}");
        wrong.into_iter().next().unwrap()
    };
    let said = |at: &str, word: &str| (at.to_owned(), word.to_owned());
    assert_eq!(
        with("", "bogus", json!(1)),
        said("", "additionalProperties")
    );
    assert_eq!(
        with("/stop", "bogus", json!(1)),
        said("/stop", "additionalProperties")
    );
    assert_eq!(with("", "drill", json!("no")), said("/drill", "type"));
    assert_eq!(
        with("", "id", json!("../../etc/passwd")),
        said("/id", "pattern")
    );
    assert_eq!(
        with("/stop", "stopped_at", json!("yesterday")),
        said("/stop/stopped_at", "pattern")
    );
    assert_eq!(
        with("/stop", "exit", json!({"code": "one"})),
        said("/stop/exit", "oneOf")
    );
    assert_eq!(with("", "kind", json!("party")), said("/kind", "oneOf"));
    assert_eq!(
        with("/cause", "confidence", json!(0.5)),
        said("/cause/confidence", "oneOf")
    );
    let mut less = report.clone();
    less.as_object_mut().unwrap().remove("verdict");
    assert_eq!(wrong(&schema, &less), [said("", "required")]);
}

#[test]
fn the_page_on_reports_names_every_field() {
    let page = fs::read_to_string(project("src/README.md")).unwrap();
    for field in schema("report")["properties"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("`{field}`")), "{field}");
    }
}

#[test]
fn the_example_config_fits_its_schema() {
    let machine = fs::read_to_string(project("config/lastwords.toml")).unwrap();
    assert_eq!(wrong(&schema("config"), &toml(&machine)), []);
    assert!(machine.starts_with("#:schema ./schema/config.schema.json\n"));
    for file in fs::read_dir(project("config/jobs")).unwrap() {
        let job = fs::read_to_string(file.unwrap().path()).unwrap();
        assert_eq!(wrong(&schema("job"), &toml(&job)), [], "{job}");
        assert!(job.starts_with("#:schema ../schema/job.schema.json\n"));
    }
}

#[test]
fn the_schema_finds_the_mistakes_of_key_and_type_that_check_finds() {
    let machine = Harness::new();
    let sink = "[[sink.slack]]\nname = 'ops'\nwebhook_env = 'SLACK'\n";
    fs::write(machine.config.join("lastwords.toml"), sink).unwrap();
    let check = |file: &str, text: &str| {
        fs::write(machine.config.join(file), text).unwrap();
        let is_fine = machine.command("check").output().unwrap().status.success();
        fs::write(machine.config.join("lastwords.toml"), sink).unwrap();
        is_fine
    };
    let (of_machine, of_job) = (schema("config"), schema("job"));
    for (text, is_fine) in [
        (
            "runbook = 'x'\nnormal_exit = [0, 'TERM']\nsinks = ['ops']\n[collect.memory]\n[[collect.log]]\npath = '/x'\n",
            true,
        ),
        ("runbok = 'x'", false),
        ("sinks = 'ops'", false),
        ("normal_exit = [256]", false),
        ("normal_exit = [true]", false),
        ("normal_exit = ['SIGTREM']", false),
        ("[collect.program]", false),
        ("[[collect.log]]\npath = '/x'\nmax_bytes = 65537", false),
        ("stop_timeout = 60", false),
        ("[collect.memroy]", false),
        ("[collect.memory]\nlines = 3", false),
        ("[[collect.log]]\nlines = 3", false),
        (
            "[[collect.exec]]\nname = 'x'\ncommand = ['df']\nwhen = 'sometimes'",
            false,
        ),
        ("[[collect.exec]]\nname = 'x'\ncommand = 'df'", false),
    ] {
        assert_eq!(
            (
                check("jobs/web.toml", text),
                wrong(&of_job, &toml(text)).is_empty()
            ),
            (is_fine, is_fine),
            "{text}"
        );
    }
    fs::remove_file(machine.config.join("jobs/web.toml")).unwrap();
    for (text, is_fine) in [
        (sink, true),
        (
            "[[sink.slack]]\nname = 'ops'\nwebhook_env = 'SLACK'\nchannel = '#ops'\n",
            false,
        ),
        ("[[sink.slack]]\nwebhook_env = 'SLACK'\n", false),
        ("[[sink.slak]]\nname = 'ops'\n", false),
        ("[sink.slack]\nname = 'ops'\n", false),
        (
            "[[sink.email]]\nname = 'ops'\nto = 'ops@example.com'\n",
            false,
        ),
        (
            "[[sink.email]]\nname = 'ops'\nto = ['ops@example.com']\nport = 70000\n",
            false,
        ),
        (
            "[[sink.email]]\nname = 'ops'\nto = ['ops@example.com']\ntls = 'maybe'\n",
            false,
        ),
        (
            "[[sink.exec]]\nname = 'x'\ncommand = ['true']\nsettings = { a = { b = [1, 2] } }\n",
            true,
        ),
        ("[default]\nsinks = ['ops']\nbogus = 1\n", false),
        ("[[sink.email]]\nname = 'ops'\nto = []\n", false),
        (
            "[[sink.ntfy]]\nname = 'ops'\ntopic = 'a'\npriority = 6\n",
            false,
        ),
        (
            "[[sink.telegram]]\nname = 'ops'\nchat = '1'\ntopic = 'two'\ntoken_env = 'X'\n",
            false,
        ),
        (
            "[[sink.webhook]]\nname = 'ops'\nurl = 'https://x.org'\nheaders = { X = 1 }\n",
            false,
        ),
        (
            "[[sink.webhook]]\nname = 'ops'\nurl = 'https://x.org'\nheaders = { X = 'y' }\n",
            true,
        ),
    ] {
        let found = (
            check("lastwords.toml", text),
            wrong(&of_machine, &toml(text)).is_empty(),
        );
        assert_eq!(found, (is_fine, is_fine), "{text}");
    }
}
