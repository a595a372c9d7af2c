//! Finds where secrets begin: by the text before them, or by their own shape.
//!
//! No pattern here looks further than to the beginning of a secret, and [`super::extent`] no
//! further than to its end. So the time depends on the text's length only. A hook compiles the
//! patterns each time: they are few, and each name stands in them once.

use regex::bytes::{Regex, RegexBuilder};

/// The name of a secret, and the separator before its value: `=`, `: `, `" => "`, a colour's escape
/// sequence; `%3D`; `", "value": "`; `>`; a space. [`super::named`] then decides by the text around
/// it.
///
/// `_KEY` and the like count only in capitals: `sort_key` and `primary_key` are no secrets.
/// `Unexpected token: …` is matched so that it is skipped.
const NAMED: &str = r#"
    un(?:expected|recogni[sz]ed) [\ \t]+ token |
    (?: passw(?:or[dt]|d)(?:[_-]?(?:hash|digest|old|new|confirm(?:ation)?))?\d*
      | pass(?:phrase|code) | (?:\b|_)pass | secret(?:[_-]?(?:id|value))? | token(?:[_-]?(?:id|value|hash))? | credentials?
      | (?:api|app|auth|access|secret|private|encrypt(?:ion)?|sign(?:ing)?|master|account|shared|service|licen[sc]e|
          consumer|storage|session|subscription|webhook|hmac|jwt)[_-]?key(?:[_-]?(?:id|base))?
      | sess(?:ion)?id | connect\.sid | (?-i: [A-Z0-9]_KEY | _PWD | [Pp]wd | \b_auth ) | authorization | cookie2? )
    (?: (?:\x1b\[[\d;]*m)* (?:\\*["'])? (?:\x1b\[[\d;]*m)* [\ \t]* (?: => | := | ={1,3} | : ) (?:\x1b\[[\d;]*m | [\ \t])*
      | (?:%22)? %3[ad] (?:%2[02])*
      | \\*["']? ,? \s* \\*["']? value \\*["']? [\ \t]* [:=] [\ \t]*
      | \]? \\*["'] \r?\n\r?\n
      | \\*["']? (?: ,[\ \t]* | [\ \t]+ )
      | > )"#;

/// Other text after which a secret comes. A line whose beginning was cut away may begin within one.
const BEFORE: &str = r#"
    [?&] (?: key | sig | signature | auth | sid | x-(?:amz|goog)-(?:signature|credential) ) =
  | hooks\.slack\.com/(?:services|workflows|triggers)/ | discord(?:app)?\.com/api/(?:v\d+/)?webhooks/
  | api\.telegram\.org/bot | webhook\.office\.com/webhookb2/
  | (?m: ^\[cut\]\  | ^\[what\ came\ before\ is\ cut\]\n ) [\ \t:='"]*"#;

/// Programs with flags that tell of a secret only together with the program's name.
const PROGRAMS: &str = r#"\b
    (?: (?:mysql|mariadb)[\w-]* \b [^\n|;]*? [\ \t]-p
      | sshpass [\ \t]+ -p [\ \t]*
      | redis-cli \b [^\n|;]*? [\ \t]-a [\ \t]+
      | curl \b [^\n|;]*? [\ \t](?:-u|--user)[\ \t=]* ["']? [^\s:"']+ : )"#;

/// A URL with a user, or with a port.
const URL: &str = r#":// [^\s/?\#@:"'<>\[\]]* :"#;

/// Secrets that are known by their own shape.
const TOKENS: &str = r"(?-i)
    \b (?: (?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b
      | gh[pousr]_\w{16,} | github_pat_\w{16,} | gl[a-z]{2,5}-[\w-]{16,}
      | xox[a-z](?:\.xox[a-z])?-[\w-]{8,} | xapp-\d-[\w-]{8,}
      | [sr]k_(?:live|test)_\w{8,} | whsec_[\w+/=]{16,} | sk-(?:[a-z]{2,8}-[\w-]{16,} | \w{20,})
      | SG\.[\w-]{12,}\.[\w-]{12,} | eyJ[\w-]{8,}(?:\.[\w-]+){1,4} | eyJ[\w-]{30,}
      | npm_\w{20,} | pypi-[\w-]{20,} | dop_v1_\w{20,} | dckr_pat_[\w-]{20,} | hvs\.[\w-]{20,} | AIza[\w-]{20,}
      | ya29\.[\w-]{20,} | syt_\w{10,} | shp[a-z]{2}_\w{20,} | hf_\w{20,} | AGE-SECRET-KEY-1\w{20,}
      | \d{8,10}:AA[\w-]{20,} )
  | \$(?:2[aby]|5|6|y|argon2(?:id?|d))\$(?:[\w./$=+-]|,\w){20,}";

/// Secrets, in a group, that are known by the text on both sides.
const BETWEEN: &str = r#"
    \b(?:bearer|basic)[\ \t]+([\w.~+/=-]{16,})
  | https?://([\w-]{16,})@
  | [\w.%+-]+:([^\s@/"']+)@(?:tcp|unix)\("#;

/// The first and the last line of a private key (RFC 7468); PGP and SSH write them differently.
const KEY_BOUNDARY: &str =
    r"(?-i)-{4,5}\ ?(?:BEGIN|END)\ [A-Z0-9\ ]{0,20}PRIVATE\ KEY(?:\ BLOCK)?\ ?-{4,5}";

/// The compiled patterns.
pub struct Rules {
    pub named: Regex,
    pub before: Regex,
    pub programs: Regex,
    pub url: Regex,
    pub tokens: Regex,
    pub between: Regex,
    pub key_boundary: Regex,
}

impl Rules {
    pub fn compile() -> Result<Self, regex::Error> {
        let compile = |pattern: &str| {
            RegexBuilder::new(pattern)
                .unicode(false)
                .case_insensitive(true)
                .ignore_whitespace(true)
                .build()
        };
        Ok(Self {
            named: compile(NAMED)?,
            before: compile(BEFORE)?,
            programs: compile(PROGRAMS)?,
            url: compile(URL)?,
            tokens: compile(TOKENS)?,
            between: compile(BETWEEN)?,
            key_boundary: compile(KEY_BOUNDARY)?,
        })
    }
}
