//! Reads the tokens of a Rust file, without comments and without the parts that only tests compile.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

pub struct Source {
    /// Path below `src`, such as `cause/kernel/oom.rs`.
    pub path: String,
    pub text: String,
    /// Every literal is the token `""`.
    pub tokens: Vec<String>,
    /// Maps each line to the number of its characters that belong to literals.
    pub literals: BTreeMap<usize, usize>,
    /// Modules that only tests compile and that have a file of their own.
    pub test_modules: Vec<String>,
}

const LITERAL: &str = "\"\"";

impl Source {
    pub fn new(path: &str, text: String) -> Self {
        let (tokens, literals) = tokens(&text);
        let (tokens, test_modules) = without_tests(tokens);
        Source {
            path: path.to_owned(),
            text,
            tokens,
            literals,
            test_modules,
        }
    }

    /// Returns the path of the module within the crate; that of `main.rs` is its own.
    pub fn module(&self) -> Vec<String> {
        let path = self.path.trim_end_matches(".rs");
        let path = path.trim_end_matches("/mod");
        let names = path.split('/').filter(|name| *name != "lib");
        names.map(str::to_owned).collect()
    }

    pub fn room(&self) -> &str {
        room(&self.path)
    }

    pub fn token(&self, i: usize) -> &str {
        self.tokens.get(i).map_or("", String::as_str)
    }
}

/// Returns the folder directly below `src` (or the file there) that a path belongs to.
pub fn room(path: &str) -> &str {
    let top = path.split('/').next().unwrap_or_default();
    top.trim_end_matches(".rs")
}

/// Reads all files of `src`, except those that only tests compile.
pub fn all() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    read(&src, &src, &mut sources);
    let tests: Vec<Vec<String>> = sources.iter().flat_map(test_files).collect();
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources.retain(|source| !tests.contains(&source.module()));
    sources
}

fn read(src: &Path, dir: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(dir).expect("src is readable") {
        let path = entry.expect("src is readable").path();
        if path.is_dir() {
            read(src, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(src).expect("a path below src");
            let text = fs::read_to_string(&path).expect("a file of UTF-8");
            sources.push(Source::new(&name.to_string_lossy(), text));
        }
    }
}

fn test_files(source: &Source) -> Vec<Vec<String>> {
    let child = |name: &String| [source.module(), vec![name.clone()]].concat();
    source.test_modules.iter().map(child).collect()
}

fn tokens(text: &str) -> (Vec<String>, BTreeMap<usize, usize>) {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut literals) = (Vec::new(), BTreeMap::new());
    let (mut i, mut line) = (0, 1);
    while i < chars.len() {
        let (end, token) = next(&chars, i);
        let is_literal = token.as_deref() == Some(LITERAL);
        tokens.extend(token);
        for c in &chars[i..end] {
            *literals.entry(line).or_default() += usize::from(is_literal);
            line += usize::from(*c == '\n');
        }
        i = end;
    }
    (tokens, literals)
}

/// Returns the end of the token at `i`, and its text. White space, comments and lifetimes have
/// none.
fn next(chars: &[char], i: usize) -> (usize, Option<String>) {
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let find = |from: usize, end: &str| {
        let end: Vec<char> = end.chars().collect();
        let found = (from..chars.len()).find(|at| chars[*at..].starts_with(&end));
        found.map_or(chars.len(), |at| at + end.len())
    };
    match (at(i), at(i + 1)) {
        ('/', '/') => (find(i, "\n"), None),
        ('/', '*') => (find(i, "*/"), None),
        (':', ':') => (i + 2, Some("::".to_owned())),
        ('"', _) => (end_of_string(chars, i + 1, '"'), Some(LITERAL.to_owned())),
        ('\'', second) if second == '\\' || at(i + 2) == '\'' => {
            (end_of_string(chars, i + 1, '\''), Some(LITERAL.to_owned()))
        }
        ('\'', _) => (i + 1 + word(&chars[i + 1..]), None),
        (c, _) if c.is_whitespace() => (i + 1, None),
        (c, _) if is_of_word(c) => {
            let end = i + word(&chars[i..]);
            let text: String = chars[i..end].iter().collect();
            let hashes = chars[end..].iter().take_while(|c| **c == '#').count();
            match (text.as_str(), at(end + hashes)) {
                ("r" | "br" | "cr", '"') => {
                    let quote = format!("\"{}", "#".repeat(hashes));
                    (find(end + hashes + 1, &quote), Some(LITERAL.to_owned()))
                }
                // The prefix belongs to the string or the byte that follows.
                ("b" | "c", '"' | '\'') => (end, None),
                _ => (end, Some(text)),
            }
        }
        (c, _) => (i + 1, Some(c.to_string())),
    }
}

fn is_of_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn word(chars: &[char]) -> usize {
    chars.iter().take_while(|c| is_of_word(**c)).count()
}

fn end_of_string(chars: &[char], mut i: usize, quote: char) -> usize {
    while i < chars.len() && chars[i] != quote {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

fn without_tests(tokens: Vec<String>) -> (Vec<String>, Vec<String>) {
    const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut modules) = (Vec::new(), Vec::new());
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        kept.push(token);
        let start = kept.len().saturating_sub(TEST.len());
        if kept[start..].iter().map(String::as_str).eq(TEST) {
            kept.truncate(start);
            // The item ends with its `;`, or with the brace that closes its block.
            let (mut depth, mut last) = (0, String::new());
            for token in tokens.by_ref() {
                match token.as_str() {
                    "{" => depth += 1,
                    "}" => depth -= 1,
                    _ => {}
                }
                if depth == 0 && token == ";" {
                    modules.push(last);
                    break;
                }
                if depth == 0 && token == "}" {
                    break;
                }
                last = token;
            }
        }
    }
    (kept, modules)
}
