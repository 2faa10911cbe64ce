//! Browser and platform of a visitor, by the tests that Target's SDKs use. Their quirks are the contract: the same
//! audience must decide alike everywhere, so Chrome on iOS stays `unknown` and an Android web view stays `safari` 4.

use std::borrow::Cow;

use crate::json::Json;

/// No user agent is longer; what comes after is not read, so that hostile text cannot cost time.
const MAX_LENGTH: usize = 2_048;

/// What rules know of the visitor's software.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Client<'a> {
    pub(crate) browser: &'static str,
    pub(crate) version: f64,
    pub(crate) platform: Cow<'a, str>,
}

/// From `context.userAgent`, overridden by `context.clientHints`.
pub(crate) fn detect<'a>(user_agent: &str, hints: Option<&'a Json<'_>>) -> Client<'a> {
    let end = user_agent.floor_char_boundary(MAX_LENGTH);
    let words = Words::of(user_agent.get(..end).unwrap_or("").as_bytes());
    let text =
        |key: &str| hints.and_then(|hints| hints.get(key)).and_then(Json::as_str).filter(|text| !text.is_empty());
    let brands = text("browserUAWithFullVersion").or_else(|| text("browserUAWithMajorVersion"));
    let (browser, version) = brands.and_then(hinted_browser).or_else(|| browser(&words)).unwrap_or(("unknown", -1.0));
    let platform = match text("platform") {
        Some("Windows") => Cow::Borrowed("windows"),
        Some("Macintosh" | "Mac OS" | "macOS") => Cow::Borrowed("mac"),
        Some("Linux") => Cow::Borrowed("linux"),
        Some(other) => Cow::Borrowed(other),
        None => Cow::Borrowed(platform(&words)),
    };
    Client { browser, version, platform }
}

/// The first browser named in a `Sec-CH-UA` list with a version of digits.
fn hinted_browser(brands: &str) -> Option<(&'static str, f64)> {
    [("Chrome\";v=\"", "chrome"), ("Edge\";v=\"", "edge"), ("Safari\";v=\"", "safari"), ("Firefox\";v=\"", "firefox")]
        .into_iter()
        .find_map(|(mark, name)| {
            let version = brands.match_indices(mark).find_map(|(at, _)| {
                let rest = brands.as_bytes().get(at + mark.len()..)?;
                rest.first()?.is_ascii_digit().then(|| leading_integer(rest))
            })?;
            Some((name, version))
        })
}

/// The words that the tests look for, found in one pass over the text: where each stands first.
struct Words<'t> {
    agent: &'t [u8],
    first: [Option<usize>; Word::COUNT],
}

#[derive(Clone, Copy)]
enum Word {
    Edge,
    Version,
    Chrome,
    Firefox,
    Explorer,
    Trident,
    Ios,
    Android,
    Linux,
    Unix,
    Windows,
    Macintosh,
}

impl Word {
    const COUNT: usize = 12;

    /// The words, in lower case, that may begin with two bytes.
    fn beginning(first: u8, second: u8) -> &'static [(&'static str, Word)] {
        // Setting this bit makes letters lower case and keeps the blank and the bracket; what else it makes equal is
        // told apart when the word is compared.
        match [first | 0x20, second | 0x20] {
            [b'e', b'd'] => &[("edg", Word::Edge)],
            [b'v', b'e'] => &[("version/", Word::Version)],
            [b'c', b'h'] => &[("chrome/", Word::Chrome)],
            [b'c', b'r'] => &[("cros", Word::Unix)],
            [b'f', b'i'] => &[("firefox/", Word::Firefox)],
            [b'f', b'r'] => &[("freebsd", Word::Unix)],
            [b'i', b'e'] => &[("ie", Word::Explorer)],
            [b'i', b'p'] => &[("iphone", Word::Ios), ("ipad", Word::Ios), ("ipod", Word::Ios)],
            [b't', b'r'] => &[("trident", Word::Trident)],
            [b'a', b'n'] => &[("android ", Word::Android)],
            [b'o', b'p'] => &[("openbsd", Word::Unix)],
            [b'm', b'a'] => &[("macintosh;", Word::Macintosh)],
            [b' ', b'l'] => &[(" linux ", Word::Linux)],
            [b' ', b'w'] => &[(" windows ", Word::Windows)],
            [b'(', b'w'] => &[("(windows ", Word::Windows)],
            _ => &[],
        }
    }
}

impl<'t> Words<'t> {
    fn of(agent: &'t [u8]) -> Words<'t> {
        let mut first = [None; Word::COUNT];
        for (at, pair) in agent.windows(2).enumerate() {
            let [one, two] = pair else { continue };
            for (text, word) in Word::beginning(*one, *two) {
                if let Some(place @ None) = first.get_mut(*word as usize)
                    && starts(agent, at, text)
                {
                    *place = Some(at);
                }
            }
        }
        Words { agent, first }
    }

    fn has(&self, word: Word) -> bool {
        self.first.get(word as usize).is_some_and(Option::is_some)
    }

    /// Where `text`, the text of `word`, stands.
    fn places(&self, word: Word, text: &'static str) -> impl Iterator<Item = usize> {
        let from = self.first.get(word as usize).copied().flatten().unwrap_or(self.agent.len());
        let agent = self.agent;
        (from..agent.len()).filter(move |at| starts(agent, *at, text))
    }
}

fn browser(words: &Words<'_>) -> Option<(&'static str, f64)> {
    edge(words)
        .map(|version| ("edge", version))
        .or_else(|| safari(words, mobile_safari_at).map(|version| ("mobile safari", version)))
        .or_else(|| safari(words, safari_at).map(|version| ("safari", version)))
        .or_else(|| chrome(words).map(|version| ("chrome", version)))
        .or_else(|| firefox(words).map(|version| ("firefox", version)))
        .or_else(|| internet_explorer(words).or_else(|| trident(words)).map(|version| ("ie", version)))
}

fn platform(words: &Words<'_>) -> &'static str {
    let android = || {
        words.places(Word::Android, "android ").any(|at| {
            let version = run(words.agent, at + 8, |byte| byte.is_ascii_digit() || byte == b'.');
            version > at + 8 && words.agent.get(version) == Some(&b';')
        })
    };
    if words.has(Word::Ios) {
        "iOS"
    } else if android() {
        "Android"
    } else if words.has(Word::Linux) {
        "linux"
    } else if words.has(Word::Unix) {
        "Unix"
    } else if words.has(Word::Windows) {
        "windows"
    } else if words.has(Word::Macintosh) {
        "mac"
    } else {
        "unknown"
    }
}

/// The end of the longest run from `start` of bytes that `belongs` accepts.
fn run(agent: &[u8], start: usize, belongs: impl Fn(u8) -> bool) -> usize {
    let tail = agent.get(start..).unwrap_or(&[]);
    start + tail.iter().position(|byte| !belongs(*byte)).unwrap_or(tail.len())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn in_version(byte: u8) -> bool {
    is_word(byte) || byte == b'.'
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

/// The number that `text` begins with, or -1.
fn leading_integer(text: &[u8]) -> f64 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    match text.first() {
        Some(first) if first.is_ascii_digit() => digits.fold(0.0, |value, byte| value * 10.0 + f64::from(byte - b'0')),
        _ => -1.0,
    }
}

/// A version at `start`, at least one character long.
fn version_at(agent: &[u8], start: usize) -> Option<f64> {
    let end = run(agent, start, in_version);
    (end > start).then(|| leading_integer(agent.get(start..end).unwrap_or(&[])))
}

fn edge(words: &Words<'_>) -> Option<f64> {
    let agent = words.agent;
    // All the names end before a slash, and "edg/" also ends what a longer word ends with.
    words.places(Word::Edge, "edg").find_map(|at| {
        let rest = agent.get(at + 3..)?;
        let name = ["e/", "ios/", "a/", "/"]
            .into_iter()
            .find(|name| rest.get(..name.len()).is_some_and(|text| text.eq_ignore_ascii_case(name.as_bytes())))?;
        version_at(agent, at + 3 + name.len())
    })
}

/// Where the last "safari" of a line begins. ("mobile safari", the other mark, begins earlier: it adds no later match.)
fn safari_at(agent: &[u8], from: usize, line_end: usize) -> Option<usize> {
    last(from, line_end, |at| starts(agent, at, "safari"))
}

/// Where the last "mobile/TOKEN safari" of a line begins.
fn mobile_safari_at(agent: &[u8], from: usize, line_end: usize) -> Option<usize> {
    last(from, line_end, |at| {
        if !starts(agent, at, "mobile/") {
            return false;
        }
        let token_end = run(agent, at + 7, is_word);
        token_end > at + 7
            && agent.get(token_end).is_some_and(|byte| is_space(*byte))
            && starts(agent, token_end + 1, "safari")
    })
}

fn starts(agent: &[u8], at: usize, text: &str) -> bool {
    agent.get(at..at + text.len()).is_some_and(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

/// The last place from `from` to `to`, both included, where `holds`.
fn last(from: usize, to: usize, holds: impl Fn(usize) -> bool) -> Option<usize> {
    (from..=to).rev().find(|at| holds(*at))
}

/// Where the line that `from` is in ends: the next line break or the end of the text.
fn line_end(agent: &[u8], from: usize) -> usize {
    run(agent, from, |byte| byte != b'\n' && byte != b'\r')
}

/// `version/X`, at least one character, then what `mark` finds, on one line. The version gives back characters when
/// only that lets the mark follow.
fn safari(words: &Words<'_>, mark: fn(&[u8], usize, usize) -> Option<usize>) -> Option<f64> {
    let agent = words.agent;
    let mut searched: Option<(usize, Option<usize>)> = None;
    for at in words.places(Word::Version, "version/") {
        let start = at + 8;
        let end = run(agent, start, in_version);
        if end == start {
            continue;
        }
        let line = line_end(agent, end);
        // The last mark of a line is the same for all its starts; a start after it has none.
        let found = match searched {
            Some((known, found)) if known == line => found.filter(|found| *found >= start + 2),
            _ => mark(agent, start + 2, line),
        };
        searched = Some((line, found));
        if let Some(found) = found {
            let version_end = end.min(found - 1);
            return Some(leading_integer(agent.get(start..version_end).unwrap_or(&[])));
        }
    }
    None
}

fn chrome(words: &Words<'_>) -> Option<f64> {
    let agent = words.agent;
    words.places(Word::Chrome, "chrome/").find_map(|at| {
        let start = at + 7;
        let optional = matches!(agent.get(start), Some(b'v' | b'V'));
        optional.then(|| version_at(agent, start + 1)).flatten().or_else(|| version_at(agent, start))
    })
}

fn firefox(words: &Words<'_>) -> Option<f64> {
    let agent = words.agent;
    words.places(Word::Firefox, "firefox/").find_map(|at| {
        let start = at + 8;
        let end = run(agent, start, |byte| in_version(byte) || byte == b'-');
        (end > start && end == agent.len()).then(|| leading_integer(agent.get(start..).unwrap_or(&[])))
    })
}

fn internet_explorer(words: &Words<'_>) -> Option<f64> {
    let agent = words.agent;
    words.places(Word::Explorer, "ie").find_map(|at| {
        let prefixed = (at >= 2 && starts(agent, at - 2, "ms")) || (at >= 1 && agent.get(at - 1) == Some(&b'('));
        let spaced = agent.get(at + 2).is_some_and(|byte| is_space(*byte));
        if prefixed && spaced { version_at(agent, at + 3) } else { None }
    })
}

/// `trident`, characters, `rv:X`, characters, `like gecko`; each "characters" is at least one, on one line.
fn trident(words: &Words<'_>) -> Option<f64> {
    let agent = words.agent;
    let like_gecko = |at: usize| {
        starts(agent, at, "like")
            && agent.get(at + 4).is_some_and(|byte| is_space(*byte))
            && starts(agent, at + 5, "gecko")
    };
    words.places(Word::Trident, "trident").find_map(|at| {
        let from = at + 7 + 1;
        let line = line_end(agent, at + 7);
        (from..=line).rev().find_map(|rv| {
            let separated = agent.get(rv + 2).is_some_and(|byte| *byte == b':' || is_space(*byte));
            if !starts(agent, rv, "rv") || !separated {
                return None;
            }
            let start = rv + 3;
            let end = run(agent, start, in_version);
            if end == start {
                return None;
            }
            let found = last(start + 2, line_end(agent, end), like_gecko)?;
            Some(leading_integer(agent.get(start..end.min(found - 1)).unwrap_or(&[])))
        })
    })
}

#[cfg(test)]
mod tests;
