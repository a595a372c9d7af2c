//! Finds the file that holds the service's program in its command line: for an interpreter, the
//! script, which is what a new version replaces.

use std::path::Path;

/// Programs that only run another one.
const WRAPPERS: [&str; 8] = [
    "env",
    "exec",
    "ionice",
    "lastwords",
    "nice",
    "nohup",
    "setsid",
    "time",
];
/// Programs that run a script, with or without a version at the end of the name.
const INTERPRETERS: [&str; 16] = [
    "ash", "bash", "dash", "java", "ksh", "lua", "node", "nodejs", "perl", "php", "pypy", "python",
    "ruby", "sh", "ts-node", "zsh",
];
/// Options of interpreters after which the code, a module or a class is named, but no script.
const NO_SCRIPT: [&str; 6] = ["-c", "-e", "-m", "-p", "--eval", "--print"];
/// Options that take the next word as their value.
const WITH_VALUE: [&str; 11] = [
    "-C",
    "-I",
    "-W",
    "-X",
    "-classpath",
    "-cp",
    "-n",
    "-r",
    "--import",
    "--loader",
    "--require",
];

/// Splits a command line into words, without their quotes.
pub fn words(line: &str) -> Vec<&str> {
    let words = line.split_ascii_whitespace();
    words.map(|word| word.trim_matches(['"', '\''])).collect()
}

/// Returns the file of the program that a command runs in `dir`, as far as the words tell.
pub fn program(words: &[&str], dir: Option<&str>) -> Option<String> {
    let command = unwrapped(words);
    let (first, arguments) = command.split_first()?;
    let interpreter = is_interpreter(first);
    let file = if interpreter {
        script(arguments, first.ends_with("java"))
    } else {
        None
    };
    let plain = |path: &&str| !path.contains(['$', '`', '*', '%', '{', '}']);
    match file.filter(plain) {
        Some(script) if script.starts_with('/') => Some(script.to_owned()),
        Some(script) => {
            let dir = dir.filter(|dir| dir.starts_with('/')).filter(plain)?;
            Some(Path::new(dir).join(script).display().to_string())
        }
        None => Some(*first)
            .filter(|path| path.starts_with('/') && plain(path))
            .map(str::to_owned),
    }
}

/// Returns the command that stands behind `env`, `nice` and the like.
fn unwrapped<'w, 't>(mut words: &'w [&'t str]) -> &'w [&'t str] {
    while let Some((first, rest)) = words.split_first()
        && WRAPPERS.contains(&name(first))
        && !rest.is_empty()
    {
        if name(first) == "lastwords" {
            let Some(end) = rest.iter().position(|word| *word == "--") else {
                break;
            };
            words = rest.get(end + 1..).unwrap_or_default();
            continue;
        }
        words = arguments(rest);
        while let Some((first, rest)) = words.split_first()
            && first.contains('=')
        {
            words = rest;
        }
    }
    words
}

/// Returns the words after the options.
fn arguments<'w, 't>(mut words: &'w [&'t str]) -> &'w [&'t str] {
    while let Some((first, rest)) = words.split_first()
        && first.starts_with('-')
    {
        let skipped = usize::from(WITH_VALUE.contains(first));
        words = rest.get(skipped..).unwrap_or_default();
    }
    words
}

/// Returns the script among an interpreter's arguments; Java has only the archive after `-jar`.
fn script<'t>(arguments_of: &[&'t str], is_java: bool) -> Option<&'t str> {
    if is_java {
        let jar = arguments_of.iter().skip_while(|word| **word != "-jar");
        return jar.copied().nth(1);
    }
    let script = arguments(arguments_of);
    let options = arguments_of.len() - script.len();
    let options = arguments_of.get(..options).unwrap_or_default();
    let has_none = options.iter().any(|option| NO_SCRIPT.contains(option));
    script.first().copied().filter(|_| !has_none)
}

/// Returns true for `python`, `/usr/bin/python3.11` and the like.
fn is_interpreter(program: &str) -> bool {
    let name = name(program).trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    INTERPRETERS.contains(&name)
}

fn name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_counts_and_not_its_interpreter() {
        for (line, file) in [
            ("/srv/web/server --port 80", Some("/srv/web/server")),
            (
                "/usr/bin/node /srv/web/server.js",
                Some("/srv/web/server.js"),
            ),
            (
                "/usr/bin/node --inspect -r /x/y.js server.js --port 80",
                Some("/srv/app/server.js"),
            ),
            ("python3.11 -u /srv/a.py", Some("/srv/a.py")),
            ("/usr/bin/python3 -m http.server", Some("/usr/bin/python3")),
            ("/usr/bin/perl -e 'sleep 1'", Some("/usr/bin/perl")),
            ("/bin/sh -c 'exec /srv/x'", Some("/bin/sh")),
            (
                "/usr/bin/java -Xmx1g -jar app.jar x",
                Some("/srv/app/app.jar"),
            ),
            ("/usr/bin/java -cp /a Main", Some("/usr/bin/java")),
            (
                "/usr/bin/env NODE_ENV=production node a.js",
                Some("/srv/app/a.js"),
            ),
            ("nice -n 5 /srv/x", Some("/srv/x")),
            (
                "/usr/bin/lastwords run --job web -- node /srv/w.js",
                Some("/srv/w.js"),
            ),
            ("/usr/bin/env", Some("/usr/bin/env")),
            ("node $SCRIPT", None),
            ("/usr/bin/node $SCRIPT", Some("/usr/bin/node")),
            ("server", None),
            ("", None),
        ] {
            let found = program(&words(line), Some("/srv/app"));
            assert_eq!(found.as_deref(), file, "{line}");
        }
        assert_eq!(program(&["/usr/bin/node", "server.js"], None), None);
        assert_eq!(program(&["node", "server.js"], Some("$DIR")), None);
    }
}
