//! The matcher against the documented agents and against the same tests written as regular expressions.

use proptest::prelude::*;
use regex::bytes::{Regex, RegexBuilder};

use super::*;
use crate::json::{self, Limits};

const AGENTS: &[(&str, &str, f64, &str)] = &[
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
        "chrome",
        120.0,
        "windows",
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_2) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/79.0.3945.130 Safari/537.36",
        "chrome",
        79.0,
        "mac",
    ),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:73.0) Gecko/20100101 Firefox/73.0", "firefox", 73.0, "mac"),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_3) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0.5 Safari/605.1.15",
        "safari",
        13.0,
        "mac",
    ),
    ("Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; .NET4.0C; rv:11.0) like Gecko", "ie", 11.0, "windows"),
    ("Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)", "ie", 10.0, "windows"),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/64.0.3282.140 Safari/537.36 Edge/18.17763",
        "edge",
        18.0,
        "windows",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120.0.2210.61",
        "edge",
        120.0,
        "windows",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 OPR/106.0.0.0",
        "chrome",
        120.0,
        "windows",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Mobile/15E148 Safari/604.1",
        "mobile safari",
        17.0,
        "iOS",
    ),
    (
        "Mozilla/5.0 (iPad; CPU OS 13_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0.4 Mobile/15E148 Safari/604.1",
        "mobile safari",
        13.0,
        "iOS",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/120.0.6099.50 Mobile/15E148 Safari/604.1",
        "unknown",
        -1.0,
        "iOS",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 14_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/121.0 Mobile/15E148 Safari/605.1.15",
        "unknown",
        -1.0,
        "iOS",
    ),
    (
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
        "chrome",
        120.0,
        "Android",
    ),
    (
        "Mozilla/5.0 (Linux; Android 9; SM-G960F Build/PPR1; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/87.0.4280.101 Mobile Safari/537.36",
        "safari",
        4.0,
        "Android",
    ),
    (
        "Mozilla/5.0 (Linux; Android 11; SM-A515F) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/13.0 Chrome/83.0.4103.106 Mobile Safari/537.36",
        "chrome",
        83.0,
        "Android",
    ),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0", "firefox", 121.0, "linux"),
    (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
        "chrome",
        120.0,
        "linux",
    ),
    (
        "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
        "chrome",
        120.0,
        "Unix",
    ),
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "unknown", -1.0, "unknown"),
    ("curl/8.4.0", "unknown", -1.0, "unknown"),
    ("", "unknown", -1.0, "unknown"),
    ("Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12.388 Version/12.18", "unknown", -1.0, "windows"),
];

/// The documented tests as regular expressions: slow, but plain to read next to the documentation.
struct Oracle {
    browsers: Vec<(&'static str, Regex)>,
    platforms: Vec<(&'static str, Regex)>,
}

impl Oracle {
    fn new() -> Oracle {
        let compile = |pattern: &str| {
            let pattern = pattern.replace('.', "[^\\n\\r]").replace("\\[^\\n\\r]", ".");
            RegexBuilder::new(&pattern).case_insensitive(true).unicode(false).build().unwrap()
        };
        // In these, "." is any character but a line break; "\." is the dot of a version.
        let browsers = [
            ("edge", r"(?:edge|edgios|edga|edg)/([\w\.]+)"),
            ("mobile safari", r"version/([\w\.]+).+?mobile/\w+\s(?:safari)"),
            ("safari", r"version/([\w\.]+).+?(?:mobile\s?safari|safari)"),
            ("chrome", r"chrome/v?([\w\.]+)"),
            ("firefox", r"firefox/([\w\.-]+)$"),
            ("ie", r"(?:ms|\()ie\s([\w\.]+)"),
            ("ie", r"trident.+rv[:\s]([\w\.]+).+like\sgecko"),
        ];
        let platforms = [
            ("iOS", r"iphone|ipad|ipod"),
            ("Android", r"android [0-9\.]+;"),
            ("linux", r" linux "),
            ("Unix", r"freebsd|openbsd|cros"),
            ("windows", r"[( ]windows "),
            ("mac", r"macintosh;"),
        ];
        Oracle {
            browsers: browsers.map(|(name, pattern)| (name, compile(pattern))).into(),
            platforms: platforms.map(|(name, pattern)| (name, compile(pattern))).into(),
        }
    }

    fn detect(&self, agent: &str) -> (&'static str, f64, &'static str) {
        let agent = agent.as_bytes();
        let (browser, version) = self
            .browsers
            .iter()
            .find_map(|(name, pattern)| Some((*name, leading_integer(&pattern.captures(agent)?[1]))))
            .unwrap_or(("unknown", -1.0));
        let platform = self.platforms.iter().find(|(_, pattern)| pattern.is_match(agent));
        (browser, version, platform.map_or("unknown", |(name, _)| name))
    }
}

fn ours(agent: &str) -> (&'static str, f64, String) {
    let client = detect(agent, None);
    (client.browser, client.version, client.platform.into_owned())
}

#[test]
fn documented_agents() {
    let oracle = Oracle::new();
    for (agent, browser, version, platform) in AGENTS {
        assert_eq!(ours(agent), (*browser, *version, platform.to_string()), "{agent}");
        assert_eq!(oracle.detect(agent), (*browser, *version, *platform), "{agent}");
    }
}

#[test]
fn client_hints_override() {
    let hinted = |agent: &str, hints: &str| {
        let hints = json::parse(hints, &Limits::OPTIONS).unwrap();
        let client = detect(agent, Some(&hints));
        (client.browser, client.version, client.platform.into_owned())
    };
    let chrome =
        r#"{"browserUAWithMajorVersion":"\"Chromium\";v=\"120\", \"Google Chrome\";v=\"120\"","platform":"macOS"}"#;
    assert_eq!(hinted("", chrome), ("chrome", 120.0, "mac".to_owned()));
    let edge = r#"{"browserUAWithFullVersion":"\"Microsoft Edge\";v=\"121.0.1\", \"Chromium\";v=\"121.0.2\"","browserUAWithMajorVersion":"\"Google Chrome\";v=\"1\"","platform":"Windows"}"#;
    assert_eq!(hinted(AGENTS[2].0, edge), ("edge", 121.0, "windows".to_owned()));
    let other = r#"{"browserUAWithMajorVersion":"\"Brave\";v=\"1\"","platform":"Haiku"}"#;
    assert_eq!(hinted(AGENTS[2].0, other), ("firefox", 73.0, "Haiku".to_owned()));
    assert_eq!(hinted(AGENTS[2].0, r#"{"platform":null,"mobile":true}"#), ("firefox", 73.0, "mac".to_owned()));
}

#[test]
fn long_hostile_agents_are_quick() {
    let started = std::time::Instant::now();
    for agent in ["version/1".repeat(50_000), "version/1 mobile/".repeat(9_000), "trident rv:1 ".repeat(30_000)] {
        assert_eq!(ours(&agent).0, "unknown");
    }
    // What takes the square of the length takes many minutes for these.
    assert!(started.elapsed() < std::time::Duration::from_secs(60), "{:?}", started.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Agents cut up and put together again, with line breaks and touching words: the cases where matching by hand
    /// goes wrong.
    #[test]
    fn agrees_with_the_expressions(pieces in prop::collection::vec(prop_oneof![
        prop::sample::select(vec![
            "version/", "Version/4", "5", ".0", " ", "mobile/", "Mobile/15E148", "safari", "Safari/604", "mobile safari",
            "mobilesafari", "chrome/", "Chrome/v7", "v", "firefox/", "Firefox/7-b", "edg", "edge/", "EdgiOS/9", "edga/1",
            "ms", "ie", "MSIE 9", "(ie 8", "(", "trident", "Trident/7.0", "rv:", "rv 11", "; rv:11.0)", "like gecko",
            "like\tGecko", "\n", "\r", "/", "é", "Android 9;", "android ", "1;", " Linux ", "CrOS", "(Windows ", "iPad",
            "Macintosh;", "x", "_",
        ]).prop_map(str::to_owned),
        "[a-z0-9/. ]{0,3}",
    ], 0..14)) {
        static ORACLE: std::sync::LazyLock<Oracle> = std::sync::LazyLock::new(Oracle::new);
        let agent = pieces.concat();
        let (browser, version, platform) = ORACLE.detect(&agent);
        prop_assert_eq!(ours(&agent), (browser, version, platform.to_owned()), "{:?}", agent);
    }

    /// The real agents with a piece removed, doubled or replaced.
    #[test]
    fn agrees_on_damaged_agents(which in 0..AGENTS.len(), from in 0_usize..160, length in 0_usize..20, with in "[a-zA-Z0-9/.;: \n]{0,4}") {
        static ORACLE: std::sync::LazyLock<Oracle> = std::sync::LazyLock::new(Oracle::new);
        let agent = AGENTS[which].0;
        let (from, to) = (from.min(agent.len()), (from + length).min(agent.len()));
        let damaged = format!("{}{with}{}", &agent[..from], &agent[to..]);
        let (browser, version, platform) = ORACLE.detect(&damaged);
        prop_assert_eq!(ours(&damaged), (browser, version, platform.to_owned()), "{:?}", damaged);
    }
}
