//! Private namespaces, so that a test's mounts and firewalls affect no other process.

use std::env;
use std::process::Command;

/// Set for a test that runs in namespaces of its own.
const INSIDE: &str = "LASTWORDS_TEST_NAMESPACES";

/// Runs a scenario in new namespaces (`unshare`'s flags), after the shell commands in `setup`. The
/// test starts itself again in them.
pub fn in_private(test: &str, flags: &[&str], setup: &str, scenario: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return scenario();
    }
    assert!(
        rustix::process::geteuid().is_root(),
        "this test takes root: leave it out with `-- --skip as_root`"
    );
    let mut command = Command::new("unshare");
    command
        .args(flags)
        .args(["/bin/sh", "-ec", &format!("{setup}\nexec \"$@\""), "sh"]);
    command
        .arg(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}
