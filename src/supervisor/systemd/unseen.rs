//! Finds the ends that no hook of ours has seen, of services that systemd starts again.
//!
//! systemd cannot run `ExecStopPost=` where `User=`, `WorkingDirectory=` or `NetworkNamespacePath=`
//! name what is not there, and kills it with `OOMPolicy=kill`. `OnFailure=` tells of that where the
//! unit fails. But a unit that is restarted fails only from systemd 254 on, and not with
//! `RestartMode=direct`. Until the next start systemd says how our command ended.

use crate::host::Host;
use crate::report::signal_name;
use crate::supervisor::called;
use crate::supervisor::supervise::UnseenEnd;
use crate::supervisor::systemd::units::{self, Shown, arguments};
use crate::supervisor::systemd::{ask, service};

/// Maximum number of services that are looked at.
const MOST: usize = 200;
const PROPERTIES: [&str; 7] = [
    "SubState",
    "RestartMode",
    "Result",
    "ExecMainCode",
    "ExecMainStatus",
    "InvocationID",
    "ExecStopPost",
];

/// Returns the latest end of each such service.
pub fn ends(host: &Host) -> Vec<UnseenEnd> {
    if !units::is_manager(host) {
        return Vec::new();
    }
    let mut names = units::waiting_for_a_restart(host);
    names.truncate(MOST);
    let units: Vec<String> = names.iter().map(|name| format!("{name}.service")).collect();
    let units: Vec<&str> = units.iter().map(String::as_str).collect();
    if units.is_empty() {
        return Vec::new();
    }
    let shown = units::show(&units, &PROPERTIES, host).unwrap_or_default();
    let ends = names.iter().zip(&shown);
    ends.filter_map(|(name, unit)| end(name, unit)).collect()
}

fn end(name: &str, unit: &Shown) -> Option<UnseenEnd> {
    let is_waiting = unit.get("SubState").starts_with("auto-restart");
    // Only later versions have this property. There OnFailure= has told of it.
    let was_told = !["", "direct"].contains(&unit.get("RestartMode"));
    let mut hooks = unit.all("ExecStopPost");
    let ours = hooks.find(|it| called(arguments(it), "post-stop").is_some())?;
    let has_run = ours.contains("; code=exited ; status=0 ");
    if !is_waiting || was_told || has_run {
        return None;
    }
    let status = unit.get("ExecMainStatus");
    let (code, status) = match unit.get("ExecMainCode") {
        "1" => ("exited", status.to_owned()),
        number @ ("2" | "3") => {
            let code = if number == "2" { "killed" } else { "dumped" };
            (code, signal_name(status.parse().ok()?))
        }
        _ => ("", String::new()),
    };
    let result = unit.get("Result");
    // The hook takes such words for those of the next life.
    if result == "success" && code.is_empty() {
        return None;
    }
    let invocation = unit.get("InvocationID").to_owned();
    let (job, instance) = service(name);
    let variables = [
        ("MONITOR_SERVICE_RESULT", result.to_owned()),
        ("MONITOR_EXIT_CODE", code.to_owned()),
        ("MONITOR_EXIT_STATUS", status),
        ("MONITOR_INVOCATION_ID", invocation.clone()),
    ];
    Some(UnseenEnd {
        job: job.to_owned(),
        instance: instance.map(str::to_owned),
        life_id: Some(invocation).filter(|id| !id.is_empty())?,
        fact: ask::ON_FAILURE,
        variables: variables.to_vec(),
        command: arguments(ours).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::end;
    use crate::supervisor::systemd::units::Shown;

    /// As systemd 252 said it of a service with `User=nosuch`.
    const NO_USER: &str = "Result=exit-code\nExecMainCode=1\nExecMainStatus=217\n\
        ExecStopPost={ path=/usr/bin/lastwords ; argv[]=/usr/bin/lastwords post-stop --job \
        web.service ; ignore_errors=yes ; start_time=[Sun 2026-11-29 14:41:26 UTC] ; \
        stop_time=[Sun 2026-11-29 14:41:26 UTC] ; pid=246 ; code=exited ; status=217 }\n\
        SubState=auto-restart\nInvocationID=a8a8bf926a1c4b67a95bae9f03afff45\n";

    #[test]
    fn an_end_at_which_the_hook_could_not_run_is_found_and_no_other() {
        for (change, is_found) in [
            (("", ""), true),
            (("Result=", "RestartMode=direct\nResult="), true),
            (("Result=", "RestartMode=normal\nResult="), false),
            (("SubState=auto-restart", "SubState=running"), false),
            (
                ("code=exited ; status=217 }", "code=exited ; status=0 }"),
                false,
            ),
            (
                (
                    "code=exited ; status=217 }",
                    "code=killed ; status=9/KILL }",
                ),
                true,
            ),
            (("lastwords post-stop", "other post-stop"), false),
        ] {
            let shown = Shown::parse(&NO_USER.replacen(change.0, change.1, 1));
            assert_eq!(end("web", &shown).is_some(), is_found, "{change:?}");
        }
    }

    #[test]
    fn it_is_told_in_the_words_of_on_failure() {
        let said = |change: (&str, &str)| {
            let shown = Shown::parse(&NO_USER.replacen(change.0, change.1, 1));
            let end = end("shop@blue", &shown).unwrap();
            assert_eq!(
                (end.job.as_str(), end.instance.as_deref()),
                ("shop", Some("blue"))
            );
            let told: Vec<_> = end.variables.into_iter().map(|(_, value)| value).collect();
            told.join(" ")
        };
        let id = "a8a8bf926a1c4b67a95bae9f03afff45";
        assert_eq!(said(("", "")), format!("exit-code exited 217 {id}"));
        let killed = (
            "ExecMainCode=1\nExecMainStatus=217",
            "ExecMainCode=2\nExecMainStatus=9",
        );
        assert_eq!(said(killed), format!("exit-code killed KILL {id}"));
        let none = (
            "ExecMainCode=1\nExecMainStatus=217",
            "ExecMainCode=0\nExecMainStatus=0",
        );
        assert_eq!(said(none), format!("exit-code   {id}"));
    }
}
