//! Finds the files that each file imports, from its `use` trees and the paths in its code.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;

/// A path within the crate, such as `["cause", "kernel", "Kill"]`.
type Path = Vec<String>;
/// Maps each file to the files that it imports.
pub type Imports = BTreeMap<String, BTreeSet<String>>;

/// The names of a file that lead into the crate.
#[derive(Default)]
struct Scope {
    names: BTreeMap<String, Path>,
    /// Paths outside of `use`.
    inline: Vec<Path>,
}

pub fn imports(sources: &[Source]) -> Imports {
    let house = House {
        files: sources.iter().map(|s| (s.module(), s)).collect(),
        scopes: sources.iter().map(|s| (s.module(), scope(s))).collect(),
    };
    sources
        .iter()
        .map(|s| (s.path.clone(), house.of(s)))
        .collect()
}

/// Returns the files of each circle: files that reach one another by their imports.
pub fn circles(imports: &Imports) -> BTreeSet<Vec<&str>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> = imports
        .keys()
        .map(|file| (file.as_str(), reached(imports, file)))
        .collect();
    let circle = |file: &&str| -> Vec<&str> {
        let mutual = |other: &&&str| reach[**other].contains(file);
        reach[file].iter().filter(mutual).copied().collect()
    };
    let circles = reach.keys().map(circle);
    circles.filter(|files| !files.is_empty()).collect()
}

fn reached<'a>(imports: &'a Imports, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for next in &imports[file] {
            if reached.insert(next.as_str()) {
                open.push(next);
            }
        }
    }
    reached
}

struct House<'a> {
    files: BTreeMap<Path, &'a Source>,
    scopes: BTreeMap<Path, Scope>,
}

impl House<'_> {
    fn of(&self, source: &Source) -> BTreeSet<String> {
        let scope = &self.scopes[&source.module()];
        let paths = scope.names.values().chain(&scope.inline);
        let files = paths.map(|path| self.file(path));
        let others = files.filter(|file| !file.module().starts_with(&source.module()));
        others.map(|file| file.path.clone()).collect()
    }

    /// Returns the file that a path leads to, through the modules that only re-export a name.
    fn file(&self, path: &[String]) -> &Source {
        let mut depth = path.len();
        while depth > 0 && !self.files.contains_key(&path[..depth]) {
            depth -= 1;
        }
        let (module, rest) = path.split_at(depth);
        let handed = rest
            .first()
            .and_then(|name| self.scopes[module].names.get(name));
        match handed {
            Some(origin) if origin != path => self.file(&[origin, &rest[1..]].concat()),
            _ => self.files[module],
        }
    }
}

fn scope(source: &Source) -> Scope {
    let module = source.module();
    let mut scope = Scope::default();
    // The names of the file's own child modules.
    let mut children = BTreeMap::new();
    let mut i = 0;
    for i in 0..source.tokens.len() {
        if source.token(i) == "mod" && source.token(i + 2) == ";" {
            let name = source.token(i + 1).to_owned();
            children.insert(name.clone(), [module.clone(), vec![name]].concat());
        }
    }
    let absolute = |path: &[&str], names: &BTreeMap<String, Path>| -> Option<Path> {
        let (first, rest) = path.split_first()?;
        let rest = rest.iter().map(|name| (*name).to_owned());
        let start = match *first {
            "crate" | "lastwords" => vec![],
            "self" => module.clone(),
            "super" => module[..module.len().saturating_sub(1)].to_vec(),
            name => names.get(name).or_else(|| children.get(name))?.clone(),
        };
        Some(start.into_iter().chain(rest).collect())
    };
    while i < source.tokens.len() {
        if source.token(i) == "use" {
            let mut paths = Vec::new();
            i = tree(source, i + 1, &[], &mut paths);
            for (path, name) in paths {
                if let Some(path) = absolute(&path, &BTreeMap::new()) {
                    scope.names.insert(name.to_owned(), climbed(path));
                }
            }
            continue;
        }
        let mut path = vec![source.token(i)];
        while source.token(i + 1) == "::" && is_name(source.token(i + 2)) {
            path.push(source.token(i + 2));
            i += 2;
        }
        if path.len() > 1 {
            scope
                .inline
                .extend(absolute(&path, &scope.names).map(climbed));
        }
        i += 1;
    }
    scope
}

/// Reads the `use` tree at `i` into paths, each with its name in the file. Returns the end of the
/// tree.
fn tree<'a>(
    source: &'a Source,
    mut i: usize,
    before: &[&'a str],
    paths: &mut Vec<(Vec<&'a str>, &'a str)>,
) -> usize {
    let mut path = before.to_vec();
    let mut is_named = false;
    loop {
        match source.token(i) {
            "::" => {}
            "{" => {
                while source.token(i) != "}" {
                    i = tree(source, i + 1, &path, paths);
                }
                return i + 1;
            }
            "self" if !path.is_empty() => is_named = true,
            "as" => {
                paths.push((path, source.token(i + 1)));
                return i + 2;
            }
            name if is_name(name) || name == "*" => {
                path.push(name);
                is_named = true;
            }
            _ => {
                if let Some(name) = path.last().copied().filter(|_| is_named) {
                    paths.push((path, name));
                }
                return i;
            }
        }
        i += 1;
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c == '_' || c.is_alphabetic())
}

/// Resolves each `super` within a path.
fn climbed(path: Path) -> Path {
    let mut climbed = Path::new();
    for name in path {
        if name == "super" {
            climbed.pop();
        } else {
            climbed.push(name);
        }
    }
    climbed
}
