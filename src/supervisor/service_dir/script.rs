//! Reads a script of a service directory, and finds out whether it can run and reaches our call.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::host::Host;
use crate::supervisor::called;

/// Interpreters whose language this file understands.
const SHELLS: [&str; 7] = ["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"];

pub struct Script {
    pub text: String,
    pub is_executable: bool,
}

/// A call of one of our hooks.
#[derive(Debug, PartialEq, Eq)]
pub struct HookCall {
    pub program: String,
    pub reached: Reached,
}

/// Tells if the script reaches a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Reached {
    Yes,
    /// This line ends the script before, or replaces it by another program.
    No(String),
    /// This line may do so.
    Perhaps(String),
}

impl Script {
    pub fn read(name: &Path, host: &Host) -> io::Result<Self> {
        let text = host.read(name)?;
        let is_executable = fs::metadata(host.path(name))?.permissions().mode() & 0o111 != 0;
        Ok(Self {
            text,
            is_executable,
        })
    }

    /// Returns why the kernel would not start the script, and the remedy. A supervisor starts it
    /// without a shell's help.
    pub fn cannot_start(&self, host: &Host) -> Option<(String, String)> {
        let Some(interpreter) = self.interpreter() else {
            return Some((
                "has no #! line".to_owned(),
                "let it begin with: #!/bin/sh".to_owned(),
            ));
        };
        let why = format!("there is no {interpreter}");
        (!host.path(interpreter).exists()).then(|| (why, "name one that is there".to_owned()))
    }

    fn interpreter(&self) -> Option<&str> {
        self.text
            .lines()
            .next()?
            .strip_prefix("#!")?
            .split_ascii_whitespace()
            .next()
    }

    /// Returns the program after `env`, or the interpreter itself.
    fn language(&self) -> &str {
        let words = self
            .text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("#!"))
            .unwrap_or_default();
        let mut names = words
            .split_ascii_whitespace()
            .filter_map(|word| word.rsplit('/').next());
        names.find(|name| *name != "env").unwrap_or_default()
    }

    /// Returns the call of this hook.
    pub fn call(&self, hook: &str) -> Option<HookCall> {
        let is_shell = SHELLS.contains(&self.language());
        let mut reached = Reached::Yes;
        for (number, line) in self.text.lines().enumerate() {
            let words = line.trim();
            if words.is_empty() || words.starts_with('#') {
                continue;
            }
            if let Some(program) = called(words, hook) {
                let reached = match reached {
                    Reached::Yes if is_shell && is_conditional(line) => {
                        Reached::Perhaps(numbered(number, words))
                    }
                    reached => reached,
                };
                return Some(HookCall {
                    program: program.to_owned(),
                    reached,
                });
            }
            if reached == Reached::Yes {
                reached = if is_shell {
                    passes(line, number)
                } else {
                    Reached::Perhaps(numbered(number, words))
                };
            }
        }
        None
    }
}

fn numbered(number: usize, line: &str) -> String {
    format!("line {}, `{line}`", number + 1)
}

/// Returns whether a shell goes on after this line.
fn passes(line: &str, number: usize) -> Reached {
    let words: Vec<&str> = line
        .split(|c: char| c.is_whitespace() || ";(){}&|".contains(c))
        .filter(|it| !it.is_empty())
        .collect();
    let ends = |at: usize| match words.get(at) {
        Some(&"exit" | &"return") => true,
        // `exec 2>&1` goes on.
        Some(&"exec") => words
            .get(at + 1)
            .is_some_and(|next| !next.starts_with(['<', '>', '1', '2', '&'])),
        _ => false,
    };
    let is_errexit = |at: usize| {
        words.get(at) == Some(&"set") && words.get(at + 1).is_some_and(|it| is_flag(it, 'e'))
    };
    if ends(0) && !line.starts_with(char::is_whitespace) {
        Reached::No(numbered(number, line.trim()))
    } else if (0..words.len()).any(|at| ends(at) || is_errexit(at)) {
        Reached::Perhaps(numbered(number, line.trim()))
    } else {
        Reached::Yes
    }
}

fn is_flag(word: &str, flag: char) -> bool {
    word.starts_with('-') && word.contains(flag)
}

/// Returns true if the line is part of an `if`, or of a chain.
fn is_conditional(line: &str) -> bool {
    let before = line
        .find("lastwords")
        .and_then(|at| line.get(..at))
        .unwrap_or_default();
    line.starts_with(char::is_whitespace)
        || before.contains("&&")
        || before.contains("||")
        || before.trim_start().starts_with("if ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: &str = "/usr/bin/lastwords post-stop -- \"$@\"";

    fn reached(text: &str) -> Option<Reached> {
        let script = Script {
            text: text.to_owned(),
            is_executable: true,
        };
        script.call("post-stop").map(|call| call.reached)
    }

    #[test]
    fn a_script_that_ends_before_the_call_does_not_come_to_it() {
        for before in [
            "",
            "exec 2>&1\n",
            "# exit 0\n",
            "echo exit-codes\nrm -f /run/web.pid\n",
            "exec >>/var/log/x\n",
        ] {
            assert_eq!(
                reached(&format!("#!/bin/sh\n{before}{CALL}\n")),
                Some(Reached::Yes),
                "{before}"
            );
        }
        for before in ["exit 0", "exec /srv/notify \"$@\""] {
            let line = format!("line 2, `{before}`");
            assert_eq!(
                reached(&format!("#!/bin/sh\n{before}\n{CALL}")),
                Some(Reached::No(line))
            );
        }
    }

    #[test]
    fn of_what_depends_nobody_is_sure() {
        for text in [
            "#!/bin/sh\n[ \"$1\" = 0 ] && exit 0\nCALL",
            "#!/bin/sh\nif true; then\n  exec b\nfi\nCALL",
            "#!/bin/bash\nset -eu\nfalse\nCALL",
            "#!/bin/sh\nif [ \"$1\" != 0 ]; then\n  CALL\nfi",
            "#!/bin/sh\n[ -e /run/x ] && CALL",
            "#!/usr/bin/env python3\nimport os\nos.system('CALL')",
        ] {
            let found = reached(&text.replace("CALL", CALL));
            assert!(
                matches!(found, Some(Reached::Perhaps(_))),
                "{text}: {found:?}"
            );
        }
        assert_eq!(
            reached("#!/bin/execlineb -S0\nforeground { /usr/bin/lastwords post-stop -- $@ }\n"),
            Some(Reached::Yes)
        );
        assert_eq!(reached("#!/bin/sh\n# lastwords post-stop\n"), None);
    }
}
