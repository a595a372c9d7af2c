//! Secrets that are known by their own shape, wherever they stand.
//!
//! A shape is read from left to right and never goes back: a run takes all characters of its class.
//! So reading one that does not fit costs at most what the shape needs. What fits and is no token
//! after all is not read again.

use std::ops::Range;

use Part::{After, Is, Run};

/// A part of a shape.
enum Part {
    /// This text, which tells whose the secret is and may stay.
    After(&'static str),
    Is(&'static str),
    /// Characters of a class: the least number of them, and the most.
    Run(fn(&u8) -> bool, usize, usize),
}

/// Length of a token that need not hold digits, in bytes.
const LONG: usize = 30;
const MANY: usize = usize::MAX;
const DIGIT: fn(&u8) -> bool = u8::is_ascii_digit;
const HEX: fn(&u8) -> bool = u8::is_ascii_hexdigit;
const LETTER: fn(&u8) -> bool = u8::is_ascii_alphabetic;
const ALNUM: fn(&u8) -> bool = u8::is_ascii_alphanumeric;
const UPPER: fn(&u8) -> bool = |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit();
const WORD: fn(&u8) -> bool = |byte| byte.is_ascii_alphanumeric() || *byte == b'_';
const DASH: fn(&u8) -> bool = |byte| WORD(byte) || *byte == b'-';
const BASE64: fn(&u8) -> bool = |byte| DASH(byte) || b"+/=".contains(byte);
const DOTS: fn(&u8) -> bool = |byte| BASE64(byte) || *byte == b'.';
const AZURE: fn(&u8) -> bool = |byte| DASH(byte) || b"~.".contains(byte);
const CRYPT: fn(&u8) -> bool = |byte| ALNUM(byte) || b"./$=+,-".contains(byte);

/// A kind of token: whose it is, how it begins (any of these), and what then comes.
type Shape = (&'static str, &'static [&'static str], &'static [Part]);

const AUTHRESS: &[Part] = &[
    Run(ALNUM, 5, 30),
    Is("."),
    Run(ALNUM, 4, 6),
    Is(".acc"),
    Run(DOTS, 30, MANY),
];
const HARNESS: &[Part] = &[
    Run(DASH, 20, 24),
    Is("."),
    Run(ALNUM, 20, 26),
    Is("."),
    Run(ALNUM, 16, MANY),
];
const MAPBOX: &[Part] = &[Run(ALNUM, 40, MANY), Is("."), Run(DASH, 20, MANY)];

/// Sorted by the first character, so that few have to be tried at a place.
#[rustfmt::skip] // A table
const SHAPES: &[Shape] = &[
    ("crypt", &["$2a$", "$2b$", "$2y$", "$5$", "$6$", "$y$"], &[Run(CRYPT, 20, MANY)]),
    ("argon2", &["$argon2id$", "$argon2i$", "$argon2d$"], &[Run(CRYPT, 20, MANY)]),
    ("ClickHouse", &["4b1d"], &[Run(ALNUM, 38, 38)]),
    ("1Password", &["A3-"], &[Run(UPPER, 6, 6), Is("-"), Run(DASH, 25, MANY)]),
    ("AWS", &["A3T", "AKIA", "ASIA", "ABIA", "ACCA"], &[Run(UPPER, 16, 17)]),
    ("Twitter", &["AAAAAAAAAAAAAAAAAAAAAA"], &[Run(BASE64, 20, MANY)]),
    ("age", &["AGE-SECRET-KEY-1"], &[Run(UPPER, 20, MANY)]),
    ("Google", &["AIza"], &[Run(DASH, 20, MANY)]),
    ("Artifactory", &["AKCp"], &[Run(ALNUM, 50, MANY)]),
    ("Octopus", &["API-"], &[Run(UPPER, 26, 26)]),
    ("Yandex", &["AQVN"], &[Run(DASH, 35, 40)]),
    ("Atlassian", &["ATATT3", "ATCTT3", "ATBB"], &[Run(BASE64, 24, MANY)]),
    ("Clojars", &["CLOJARS_"], &[Run(ALNUM, 40, MANY)]),
    ("Facebook, Square", &["EAAA", "EAAC", "EAAM"], &[Run(DASH, 40, MANY)]),
    ("EasyPost", &["EZAK", "EZTK"], &[Run(ALNUM, 40, MANY)]),
    ("Flutterwave", &["FLWSECK-", "FLWSECK_TEST-", "FLWPUBK_TEST-"], &[Run(DASH, 12, MANY)]),
    ("GitLab runner", &["GR1348941"], &[Run(DASH, 16, MANY)]),
    ("Heroku", &["HRKU-"], &[Run(DASH, 36, MANY)]),
    ("Alibaba", &["LTAI"], &[Run(ALNUM, 16, 24)]),
    ("PEM in base64", &["LS0tLS1CRUdJTi"], &[Run(BASE64, 30, MANY)]),
    ("New Relic", &["NRAK-", "NRII-", "NRJS-", "NRRA-"], &[Run(DASH, 19, MANY)]),
    ("Postman", &["PMAK-"], &[Run(HEX, 20, 24), Is("-"), Run(HEX, 20, MANY)]),
    ("SendGrid", &["SG."], &[Run(DASH, 12, MANY), Is("."), Run(DASH, 12, MANY)]),
    ("Twilio", &["SK"], &[Run(HEX, 32, 32)]),
    ("Yandex", &["YC"], &[Run(DASH, 38, 38)]),
    ("JWT in base64", &["ZXlK"], &[Run(BASE64, 40, MANY)]),
    ("Plaid", &["access-"],
        &[Run(LETTER, 7, 11), Is("-"), Run(HEX, 8, 8), Is("-"), Run(DASH, 27, 27)]),
    ("Hugging Face", &["api_org_"], &[Run(ALNUM, 30, MANY)]),
    ("Telegram", &["api.telegram.org/bot"],
        &[After(""), Run(DIGIT, 1, MANY), Is(":"), Run(DASH, 4, MANY)]),
    ("Authress", &["authress_"], AUTHRESS),
    ("Beamer", &["b_"], &[Run(DASH, 44, 44)]),
    ("Artifactory", &["cmVmd"], &[Run(ALNUM, 50, MANY)]),
    ("Databricks", &["dapi"], &[Run(HEX, 32, 32)]),
    ("Docker", &["dckr_oat_", "dckr_pat_"], &[Run(DASH, 20, MANY)]),
    ("Discord", &["discord.com/api/webhooks/", "discordapp.com/api/webhooks/"],
        &[After(""), Run(DIGIT, 8, MANY), Is("/"), Run(DASH, 20, MANY)]),
    ("Discord", &["discord.com/api/v", "discordapp.com/api/v"],
        &[Run(DIGIT, 1, 2), After("/webhooks/"), Run(DIGIT, 8, MANY), Is("/"), Run(DASH, 20, MANY)]),
    ("Defined Networking", &["dnkey-"], &[Run(BASE64, 40, MANY)]),
    ("DigitalOcean", &["doo_v1_", "dop_v1_", "dor_v1_"], &[Run(ALNUM, 20, MANY)]),
    ("Doppler", &["dp.audit.", "dp.ct.", "dp.pt.", "dp.sa.", "dp.scim.", "dp.st."],
        &[Run(DOTS, 30, MANY)]),
    ("Dynatrace", &["dt0c01.", "dt0s01.", "dt0s02."],
        &[Run(ALNUM, 8, 24), Is("."), Run(ALNUM, 30, MANY)]),
    ("Duffel", &["duffel_live_", "duffel_test_"], &[Run(BASE64, 30, MANY)]),
    ("JWT, Grafana", &["eyJ"], &[Run(DOTS, 17, MANY)]),
    ("Authress", &["ext_"], AUTHRESS),
    ("Frame.io", &["fio-u-"], &[Run(BASE64, 40, MANY)]),
    ("Fly.io", &["fm1a_", "fm1r_", "fm2_", "fo1_"], &[Run(BASE64, 40, MANY)]),
    ("GitHub", &["gho_", "ghp_", "ghr_", "ghs_", "ghu_"], &[Run(WORD, 16, MANY)]),
    ("GitHub", &["github_pat_"], &[Run(WORD, 16, MANY)]),
    ("GitLab",
        &["glagent-", "glcbt-", "gldt-", "glffct-", "glft-", "glimt-", "gloas-", "glpat-",
        "glptt-", "glrt-", "glrtr-", "glsoat-", "glwt-"],
        &[Run(DOTS, 16, MANY)]),
    ("Grafana", &["glc_", "glsa_"], &[Run(BASE64, 30, MANY)]),
    ("Hugging Face", &["hf_"], &[Run(ALNUM, 20, MANY)]),
    ("Slack webhook", &["hooks.slack.com/"],
        &[After("services/"), Run(WORD, 1, MANY), Is("/"), Run(WORD, 1, MANY), Is("/"),
        Run(WORD, 4, MANY)]),
    ("Slack webhook", &["hooks.slack.com/workflows/", "hooks.slack.com/triggers/"],
        &[After(""), Run(DASH, 8, MANY), Is("/"), Run(BASE64, 8, MANY)]),
    ("Vault", &["hvb.", "hvr.", "hvs."], &[Run(DASH, 20, MANY)]),
    ("Infracost", &["ico-"], &[Run(ALNUM, 32, 32)]),
    ("Mailgun", &["key-"], &[Run(HEX, 32, 32)]),
    ("Linear", &["lin_api_", "lin_oauth_"], &[Run(ALNUM, 30, MANY)]),
    ("Lob", &["live_pub_"], &[Run(HEX, 31, 31)]),
    ("Lob, GoCardless", &["live_"], &[Run(DASH, 35, 60)]),
    ("npm", &["npm_"], &[Run(ALNUM, 30, MANY)]),
    ("Notion", &["ntn_"], &[Run(ALNUM, 30, MANY)]),
    ("1Password", &["ops_eyJ"], &[Run(BASE64, 30, MANY)]),
    ("Adobe", &["p8e-"], &[Run(ALNUM, 32, 32)]),
    ("Harness", &["pat."], HARNESS),
    ("Mapbox", &["pk."], MAPBOX),
    ("Prefect", &["pnu_", "pnb_"], &[Run(ALNUM, 30, MANY)]),
    ("Perplexity", &["pplx-"], &[Run(ALNUM, 30, MANY)]),
    ("PlanetScale", &["pscale_oauth_", "pscale_pw_", "pscale_tkn_"], &[Run(DOTS, 30, MANY)]),
    ("Pulumi", &["pul-"], &[Run(HEX, 40, 40)]),
    ("Mailgun", &["pubkey-"], &[Run(HEX, 32, 32)]),
    ("PyPI", &["pypi-"], &[Run(DASH, 40, MANY)]),
    ("ReadMe", &["rdme_"], &[Run(ALNUM, 50, MANY)]),
    ("RubyGems", &["rubygems_"], &[Run(HEX, 40, MANY)]),
    ("Stripe", &["rk_live_", "rk_prod_", "rk_test_"], &[Run(WORD, 8, MANY)]),
    ("42", &["s-s4t2af-", "s-s4t2ud-"], &[Run(HEX, 40, MANY)]),
    ("Vault, before 1.10", &["s."], &[Run(ALNUM, 24, 24)]),
    ("Harness", &["sat."], HARNESS),
    ("Authress", &["sc_", "scauth_"], AUTHRESS),
    ("Mapbox", &["sk."], MAPBOX),
    ("Sourcegraph", &["sgp_"], &[Run(WORD, 40, MANY)]),
    ("OpenShift", &["sha256~"], &[Run(DASH, 40, MANY)]),
    ("Shippo", &["shippo_live_", "shippo_test_"], &[Run(HEX, 30, MANY)]),
    ("Shopify", &["shpat_", "shpca_", "shppa_", "shpss_", "shptka_"], &[Run(WORD, 20, MANY)]),
    ("Stripe", &["sk_live_", "sk_prod_", "sk_test_"], &[Run(WORD, 8, MANY)]),
    ("Freemius", &["sk_"], &[Run(ALNUM, 29, 29)]),
    ("OpenAI, Anthropic", &["sk-"], &[Run(DASH, 20, MANY)]),
    ("Dropbox", &["sl."], &[Run(BASE64, 100, MANY)]),
    ("SettleMint", &["sm_aat_", "sm_pat_", "sm_sat_"], &[Run(ALNUM, 16, MANY)]),
    ("Sentry", &["sntrys_", "sntryu_"], &[Run(DOTS, 30, MANY)]),
    ("Square", &["sq0atp-", "sq0csp-"], &[Run(DASH, 20, MANY)]),
    ("Matrix", &["syt_"], &[Run(WORD, 10, MANY)]),
    ("Yandex", &["t1."], &[Run(BASE64, 8, MANY), Is("."), Run(BASE64, 60, MANY)]),
    ("Lob", &["test_"], &[Run(HEX, 35, 35)]),
    ("Lob", &["test_pub_"], &[Run(HEX, 31, 31)]),
    ("Mapbox", &["tk."], MAPBOX),
    ("Typeform", &["tfp_"], &[Run(DOTS, 40, MANY)]),
    ("Scalingo", &["tk-us-"], &[Run(DASH, 40, MANY)]),
    ("Cloudflare", &["v1.0-"], &[Run(HEX, 24, 24), Is("-"), Run(HEX, 60, MANY)]),
    ("Office webhook", &["webhook.office.com/webhookb2/"],
        &[After(""), Run(|byte| DASH(byte) || b"@/".contains(byte), 36, MANY)]),
    ("Stripe, Svix", &["whsec_"], &[Run(BASE64, 16, MANY)]),
    ("Slack", &["xapp-"], &[Run(DASH, 10, MANY)]),
    ("Brevo", &["xkeysib-", "xsmtpsib-"], &[Run(DASH, 40, MANY)]),
    ("Slack", &["xox"], &[Run(LETTER, 1, 1), Is("-"), Run(DASH, 8, MANY)]),
    ("Slack", &["xoxe.xox"], &[Run(LETTER, 1, 1), Is("-"), Run(DASH, 8, MANY)]),
    ("Google OAuth", &["ya29."], &[Run(DASH, 20, MANY)]),
];

/// Kinds that have no beginning of their own, with the least and the most length of their first
/// word.
#[rustfmt::skip] // A table
const OTHERS: &[(&str, usize, usize, &[Part])] = &[
    ("Azure", 1, 5, &[Run(AZURE, 3, 3), Run(DIGIT, 1, 1), Is("Q~"), Run(AZURE, 31, 34)]),
    ("Telegram", 8, 10, &[Run(DIGIT, 8, 10), Is(":A"), Run(DASH, 30, 40)]),
    ("Terraform", 14, 14, &[Run(ALNUM, 14, 14), Is(".atlasv1."), Run(BASE64, 40, MANY)]),
    ("Facebook", 15, 16, &[Run(DIGIT, 15, 16), Is("|"), Run(DASH, 27, 40)]),
    ("private key", 26, MANY,
        &[Is("MII"), Run(ALNUM, 3, 3), Is("IBADANBgkqhkiG9w0BAQ"), Run(BASE64, 20, MANY)]),
    ("RSA private key", 26, MANY,
        &[Is("MII"), Run(ALNUM, 3, 3), Is("IBAAKC"), Run(BASE64, 40, MANY)]),
    ("Mailchimp", 32, 32, &[Run(HEX, 32, 32), Is("-us"), Run(DIGIT, 1, 2)]),
    ("Mailgun", 32, 32, &[Run(HEX, 32, 32), Is("-"), Run(HEX, 8, 8), Is("-"), Run(HEX, 8, 8)]),
    ("MaxMind", 40, 40, &[Run(ALNUM, 6, 6), Is("_"), Run(ALNUM, 29, 29), Is("_mmk")]),
    ("Dropbox", 22, MANY, &[Run(ALNUM, 11, 11), Is("AAAAAAAAAA"), Run(BASE64, 43, 43)]),
];

/// Where the shapes with a first character begin and end in the table.
static BY_FIRST: [(usize, usize); 128] = by_first();

const fn by_first() -> [(usize, usize); 128] {
    let mut places = [(0, 0); 128];
    let mut i = 0;
    while i < SHAPES.len() {
        let first = SHAPES[i].1[0].as_bytes()[0] as usize;
        let (from, to) = places[first];
        assert!(
            from == to || to == i,
            "sort the shapes by their first character"
        );
        places[first] = (if from == to { i } else { from }, i + 1);
        i += 1;
    }
    places
}

/// Returns the token that begins at `at`, where a word of this length begins. Up to `plain` nothing
/// is one: what has a token's shape there holds neither a digit nor a capital. So a long text of
/// beginnings is not read from each of them to its end.
pub fn at(text: &[u8], at: usize, word: usize, plain: &mut usize) -> Option<Range<usize>> {
    if at < *plain {
        return None;
    }
    let rest = text.get(at..)?;
    let (from, to) = *BY_FIRST.get(usize::from(*rest.first()?))?;
    let likely = SHAPES.get(from..to).unwrap_or_default();
    let is_drawn = |found: &Range<usize>| {
        let token = text.get(found.clone()).unwrap_or_default();
        let has = |class: fn(&u8) -> bool| token.iter().skip(4).any(class);
        has(u8::is_ascii_digit) || (token.len() >= LONG && has(u8::is_ascii_uppercase))
    };
    let known = likely.iter().find_map(|(_, beginnings, parts)| {
        beginnings.iter().find_map(|beginning| {
            // Nearly always the second character tells.
            let is_likely = beginning.as_bytes().get(1) == rest.get(1);
            let after = is_likely
                .then(|| rest.strip_prefix(beginning.as_bytes()))
                .flatten()?;
            let (keep, end) = fits(after, parts)?;
            let keep = keep.map_or(0, |keep| beginning.len() + keep);
            Some(at + keep..at + beginning.len() + end)
        })
    });
    let other = || {
        let mut likely = OTHERS
            .iter()
            .filter(|(_, least, most, _)| (*least..=*most).contains(&word));
        likely.find_map(|(_, _, _, parts)| Some(at..at + fits(rest, parts)?.1))
    };
    // A sentence goes on behind it.
    let ends = |end: &usize| text.get(end - 1).is_some_and(|byte| !b".,".contains(byte));
    let found = known.or_else(other)?;
    if !is_drawn(&found) {
        if found.len() >= LONG {
            *plain = found.end;
        }
        return None;
    }
    Some(found.start..found.clone().rev().map(|i| i + 1).find(ends)?)
}

/// Returns where the text that may stay ends, and where the shape ends; nothing if the text has
/// another shape, or goes on as a word.
fn fits(text: &[u8], parts: &[Part]) -> Option<(Option<usize>, usize)> {
    let (mut end, mut keep) = (0, None);
    for part in parts {
        let rest = text.get(end..)?;
        end += match part {
            After(word) | Is(word) => rest.starts_with(word.as_bytes()).then_some(word.len())?,
            Run(class, least, most) => {
                let run = rest
                    .iter()
                    .take(*most)
                    .take_while(|byte| class(byte))
                    .count();
                (run >= *least).then_some(run)?
            }
        };
        if let After(_) = part {
            keep = Some(end);
        }
    }
    let goes_on = text.get(end).is_some_and(u8::is_ascii_alphanumeric);
    (!goes_on).then_some((keep, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_that_begins_with_another_stands_behind_it() {
        for (i, (name, beginnings, _)) in SHAPES.iter().enumerate() {
            let firsts: Vec<_> = beginnings.iter().map(|it| it.as_bytes()[0]).collect();
            assert!(firsts.iter().all(|it| *it == firsts[0]), "{name}");
            for (_, later, _) in &SHAPES[i + 1..] {
                assert!(
                    later.iter().all(|it| !beginnings.contains(it)),
                    "{name} stands there twice"
                );
            }
        }
    }

    #[test]
    fn a_run_has_its_least_and_its_most() {
        let parts = &[Run(HEX, 2, 3), Is("-"), Run(DIGIT, 1, MANY)];
        for text in ["ab-1", "abc-12", "abc-1 x", "abc-1."] {
            let length = text.find([' ', '.']).unwrap_or(text.len());
            assert_eq!(fits(text.as_bytes(), parts), Some((None, length)), "{text}");
        }
        for text in ["", "a-1", "abcd-1", "abc_1", "abc-", "abc", "abc-1x"] {
            assert_eq!(fits(text.as_bytes(), parts), None, "{text}");
        }
        let parts = &[After("a/"), Run(DIGIT, 1, 2)];
        assert_eq!(fits(b"a/1", parts), Some((Some(2), 3)));
    }
}
