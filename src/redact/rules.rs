//! Where secrets begin: what stands before them.
//!
//! A pattern here never looks further than to where the secret begins, and [`super::extent`] never looks further than to
//! where it ends, so that the time a text takes grows with its length alone, whatever the text is.

use regex::bytes::{Regex, RegexBuilder};

use super::pem::BOUNDARY;

/// What kind of text follows a match.
#[derive(Clone, Copy, Debug)]
pub enum Follows {
    /// A value: in quotes, in brackets, or a word.
    Value,
    /// A value that goes on to the end of the line, unless it is in quotes.
    Line,
    /// A header's value, spaces included, up to the quote in which the header as a whole may stand.
    Header,
    /// A value that takes the next, indented lines (YAML's `|` and `>`).
    Block,
    /// A password up to the `@` before a URL's host.
    UrlPassword,
    /// Nothing: the match holds the secret itself, in its first group or as a whole.
    Itself,
}

/// Names of values that are secrets. `_KEY` and the like only in capitals: `sort_key` and `primary_key` are none.
const KEY: &str = r"(?:
      passw(?:or[dt]|d)(?:[_-]?(?:hash|digest|old|new|confirm(?:ation)?))?\d*
    | pass(?:phrase|code) | (?:\b|_)pass
    | secret(?:[_-]?(?:id|value))? | token(?:[_-]?(?:id|value|hash))? | credentials?
    | (?:api|app|auth|access|secret|private|encrypt(?:ion)?|sign(?:ing)?|master|account|shared|service|licen[sc]e|
        consumer|storage|session|subscription|webhook|hmac|jwt)[_-]?key(?:[_-]?(?:id|base))?
    | sess(?:ion)?id | connect\.sid
    | (?-i: [A-Z0-9]_KEY | _PWD | [Pp]wd | \b_auth )
)";

/// What stands between a name and its value: `=`, `: `, `" => "`, a colour's escape sequence, percent-encoded too.
const SEPARATOR: &str = r#"(?:
      (?:\x1b\[[\d;]*m)* (?:\\*["'])? (?:\x1b\[[\d;]*m)* [\ \t]* (?: => | := | ={1,3} | : )
        (?:\x1b\[[\d;]*m | [\ \t])*
    | (?:%22)? %3[ad] (?:%2[02])*
    | \\*["']? ,? \s* \\*["']? value \\*["']? [\ \t]* [:=] [\ \t]*
)"#;

/// The patterns, in which `{key}` and `{separator}` stand for the above. `(?xi-u)` is in force.
const PATTERNS: [(Follows, &str); 10] = [
    (
        Follows::Value,
        r#" (?: un(?:expected|recogni[sz]ed) [\ \t]+ token
          | authorization {separator} (?:\\*["'])? (?:basic|bearer|token|jwt|apikey|negotiate|ntlm) [\ \t]+
          | (?: {key} | authorization ) {separator}
          | --[\w-]* {key} ["']? (?: ,[\ \t]* | [\ \t]+ )
          | (?:authorization | cookie | x-[\w-]*(?:token|key|secret)) \\*["'] ,[\ \t]*
          | < [\w:.-]* {key} >
          | [?&] (?: key | sig | signature | auth | sid | x-(?:amz|goog)-(?:signature|credential) ) =
          | hooks\.slack\.com/(?:services|workflows|triggers)/ | discord(?:app)?\.com/api/(?:v\d+/)?webhooks/
          | api\.telegram\.org/bot | webhook\.office\.com/webhookb2/
        )"#,
    ),
    // Programs whose flags say nothing by themselves.
    (
        Follows::Value,
        r#"\b(?: (?:mysql|mariadb)[\w-]* \b [^\n|;]*? [\ \t]-p | sshpass [\ \t]+ -p [\ \t]*
          | redis-cli \b [^\n|;]*? [\ \t]-a [\ \t]+ | curl \b [^\n|;]*? [\ \t](?:-u|--user)[\ \t=]* ["']? [^\s:"']+ : )"#,
    ),
    // A line whose beginning was cut away may begin within a secret.
    (Follows::Value, r#"(?m) (?: ^\[cut\]\  | ^\[what\ came\ before\ is\ cut\]\n ) [\ \t:='"]*"#),
    (Follows::Line, r"(?m) ^ [\ \t]* (?:-\ )? [\w.-]* {key} : [\ \t]+"),
    (
        Follows::Line,
        r"(?m) ^ [\ \t]* (?:export[\ \t]+)? (?-i: [A-Z0-9_]* (?:PASS|SECRET|TOKEN|KEY|CREDENTIAL|_PWD) [A-Z0-9_]* ) =",
    ),
    (Follows::Line, r#"\bname= \\*["'] [\w.\[\]-]* {key} \]? \\*["'] \r?\n\r?\n"#),
    (Follows::Block, r"(?m) {key} : [\ \t]* [|>] [-+\d]* [\ \t]* \r? $"),
    (
        Follows::Header,
        r#" (?: cookie2? {separator} (?:\[\s*)? (?:\\*["'])? [^\s=;,"'\\]+ =
          | authorization {separator} (?:\\*["'])? (?:digest|hawk|oauth|signature|aws4-hmac-sha256) [\ \t]+ )"#,
    ),
    (Follows::UrlPassword, r#":// [^\s/?\#@:"'<>\[\]]* :"#),
    // What is a secret by its own shape.
    (
        Follows::Itself,
        r#"(?-i) (?:
            \b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b
          | \bgh[pousr]_[A-Za-z0-9]{16,} | \bgithub_pat_\w{20,} | \bgl[a-z]{2,5}-[\w-]{16,}
          | \bxox[a-z](?:\.xox[a-z])?-[\w-]{8,} | \bxapp-\d-[\w-]{8,}
          | \b[sr]k_(?:live|test)_\w{8,} | \bwhsec_[\w+/=]{16,}
          | \bsk-(?:[a-z]{2,8}-[\w-]{16,} | [A-Za-z0-9]{32,}) | \bSG\.[\w-]{12,}\.[\w-]{12,}
          | \beyJ[\w-]{8,}(?:\.[\w-]+){1,4} | \beyJ[\w-]{40,}
          | \bnpm_\w{30,} | \bpypi-[\w-]{40,} | \bdop_v1_\w{40,} | \bdckr_pat_[\w-]{20,} | \bhvs\.[\w-]{20,}
          | \bAIza[\w-]{30,} | \bya29\.[\w-]{20,} | \bsyt_\w{10,} | \bshp[a-z]{2}_\w{20,} | \bhf_\w{30,}
          | \b\d{8,10}:AA[\w-]{30,} | \bAGE-SECRET-KEY-1[A-Z0-9]{40,}
          | \$(?:2[aby]|5|6|y|argon2(?:id?|d))\$(?:[\w./$=+-]|,\w){20,}
          | \b(?i:bearer|basic)[\ \t]+([\w.~+/=-]{16,})
          | https?://([\w-]{16,})@
          | [\w.%+-]+:([^\s@/"']+)@(?:tcp|unix)\(
        )"#,
    ),
];

/// The patterns, ready for use, and [`BOUNDARY`].
pub struct Rules {
    pub patterns: Vec<(Follows, Regex)>,
    pub boundary: Option<Regex>,
}

impl Rules {
    pub fn compile() -> Self {
        let compile = |(follows, pattern): &(Follows, &str)| {
            let pattern = pattern.replace("{key}", KEY).replace("{separator}", SEPARATOR);
            let regex =
                RegexBuilder::new(&pattern).unicode(false).case_insensitive(true).ignore_whitespace(true).build();
            // A test sees to it that all are right.
            Some((*follows, regex.ok()?))
        };
        let boundary = RegexBuilder::new(BOUNDARY).unicode(false).build().ok();
        Self { patterns: PATTERNS.iter().filter_map(compile).collect(), boundary }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        let rules = Rules::compile();
        assert_eq!((rules.patterns.len(), rules.boundary.is_some()), (PATTERNS.len(), true));
    }
}
