//! Walking over JSON text, several times as fast as serde_json.
//!
//! A scanner takes exactly the JSON that serde_json takes, but cannot say what is wrong with the rest: whoever gets a
//! `None` lets serde_json read the document.

/// Where somebody is in a JSON text.
#[derive(Clone)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// A string as it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Raw<'a> {
    /// What is between the quotes is what it means.
    Plain(&'a str),
    /// There are escapes. With its quotes.
    Escaped(&'a str),
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text, at: 0 }
    }

    /// The first byte of the next token; 0 at the end.
    pub(crate) fn peek(&mut self) -> u8 {
        loop {
            match self.byte() {
                b' ' | b'\n' | b'\t' | b'\r' => self.at += 1,
                byte => return byte,
            }
        }
    }

    /// Takes the next token if it is this byte.
    pub(crate) fn take(&mut self, token: u8) -> bool {
        let found = self.peek() == token;
        self.at += usize::from(found);
        found
    }

    /// Whether nothing follows.
    pub(crate) fn is_over(&mut self) -> bool {
        self.peek() == 0 && self.at == self.text.len()
    }

    /// The rest of `null`, `true` or `false`.
    pub(crate) fn word(&mut self, word: &str) -> Option<()> {
        self.rest().starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    /// Goes on to the next element of an array or member of an object, `None`: neither that nor the end. `first` tells
    /// whether there was none yet.
    pub(crate) fn next(&mut self, end: u8, first: bool) -> Option<bool> {
        match self.peek() {
            byte if byte == end => {
                self.at += 1;
                Some(false)
            }
            b',' if !first => {
                self.at += 1;
                Some(true)
            }
            _ => first.then_some(true),
        }
    }

    /// A key and the colon after it.
    pub(crate) fn key(&mut self) -> Option<Raw<'a>> {
        let key = self.string()?;
        self.take(b':').then_some(key)
    }

    /// A string.
    pub(crate) fn string(&mut self) -> Option<Raw<'a>> {
        if !self.take(b'"') {
            return None;
        }
        let begin = self.at;
        self.at += clean_prefix(self.rest());
        if self.byte() == b'"' {
            self.at += 1;
            return self.text.get(begin..self.at - 1).map(Raw::Plain);
        }
        loop {
            match self.byte() {
                b'"' => {
                    self.at += 1;
                    return self.text.get(begin - 1..self.at).map(Raw::Escaped);
                }
                b'\\' => self.escape()?,
                _ => return None, // a control character, or the end
            }
            self.at += clean_prefix(self.rest());
        }
    }

    /// As much of an escape as serde_json looks at when it skips a string: not whether surrogates are pairs.
    fn escape(&mut self) -> Option<()> {
        let length = match self.rest().get(1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            b'u' if self.rest().get(2..6)?.iter().all(u8::is_ascii_hexdigit) => 6,
            _ => return None,
        };
        self.at += length;
        Some(())
    }

    /// The text of a number.
    pub(crate) fn number(&mut self) -> Option<&'a str> {
        let begin = self.at;
        self.at += usize::from(self.byte() == b'-');
        if self.byte() == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), b'+' | b'-'));
            self.digits()?;
        }
        self.text.get(begin..self.at)
    }

    fn digits(&mut self) -> Option<()> {
        let begin = self.at;
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
        (self.at > begin).then_some(())
    }

    /// Skips a value, however deep it is; its text.
    pub(crate) fn skip(&mut self) -> Option<&'a str> {
        self.peek();
        let begin = self.at;
        let mut open = Open::default();
        let mut first = true;
        loop {
            // A value, or the inside of an array or object that has just begun.
            let end = match open.last() {
                Some(end) if !self.next(end, first)? => {
                    open.pop();
                    first = false;
                    if open.last().is_none() {
                        return self.text.get(begin..self.at);
                    }
                    continue;
                }
                end => end,
            };
            first = false;
            if end == Some(b'}') {
                self.key()?;
            }
            match self.peek() {
                b'"' => drop(self.string()?),
                token @ (b'{' | b'[') => {
                    self.at += 1;
                    open.push(token + 2); // both pairs are two apart
                    first = true;
                    continue;
                }
                b'n' => self.word("null")?,
                b't' => self.word("true")?,
                b'f' => self.word("false")?,
                _ => drop(self.number()?),
            }
            if end.is_none() {
                return self.text.get(begin..self.at);
            }
        }
    }

    /// Line and column of where this is, both counted from 1.
    pub(crate) fn place(&self) -> (usize, usize) {
        let before = self.text.as_bytes().get(..self.at).unwrap_or(&[]);
        let line_began = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        (before.iter().filter(|byte| **byte == b'\n').count() + 1, before.len() - line_began + 1)
    }

    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or(&[])
    }
}

/// The ends of arrays and objects that are expected, one bit each.
#[derive(Default)]
struct Open {
    bits: u64,
    count: u32,
    /// Those further out, 64 in each.
    outer: Vec<u64>,
}

impl Open {
    fn push(&mut self, end: u8) {
        if self.count == u64::BITS {
            self.outer.push(self.bits);
            self.count = 0;
        }
        self.bits = self.bits << 1 | u64::from(end == b'}');
        self.count += 1;
    }

    fn last(&self) -> Option<u8> {
        (self.count > 0).then_some(if self.bits & 1 == 1 { b'}' } else { b']' })
    }

    fn pop(&mut self) {
        self.bits >>= 1;
        self.count -= 1;
        if self.count == 0
            && let Some(outer) = self.outer.pop()
        {
            (self.bits, self.count) = (outer, u64::BITS);
        }
    }
}

/// How many bytes there are before the first that cannot stand in a JSON string as it is: a quote, a backslash, a control
/// character.
pub(super) fn clean_prefix(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    // Most strings are short: they end within the first few words.
    for _ in 0..4 {
        match word(&mut rest) {
            Some(0) => {}
            Some(found) => return bytes.len() - rest.len() - 8 + first_byte(found),
            None => return tail(bytes, rest),
        }
    }
    // The compiler makes vector instructions of this.
    while let Some((block, after)) = rest.split_first_chunk::<32>()
        && !block.iter().fold(false, |found, byte| found | is_special(*byte))
    {
        rest = after;
    }
    loop {
        match word(&mut rest) {
            Some(0) => {}
            Some(found) => return bytes.len() - rest.len() - 8 + first_byte(found),
            None => return tail(bytes, rest),
        }
    }
}

/// The special bytes among the next eight.
#[inline]
fn word(rest: &mut &[u8]) -> Option<u64> {
    let (block, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some(specials(u64::from_le_bytes(*block)))
}

fn first_byte(found: u64) -> usize {
    (found.trailing_zeros() / 8) as usize
}

/// The same for the end, of which `rest` has not been looked at.
fn tail(bytes: &[u8], rest: &[u8]) -> usize {
    // What the last eight bytes have beside `rest` is known to be clean.
    match bytes.last_chunk::<8>().map(|block| specials(u64::from_le_bytes(*block))) {
        Some(0) => bytes.len(),
        Some(found) => bytes.len() - 8 + first_byte(found),
        None => rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len()),
    }
}

fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// A word whose lowest bit set is the highest of the first (lowest) byte in `word` that is special.
fn specials(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    // A borrow can only make mistakes above a byte that is less, and that one is found first.
    let less = |word: u64, than: u8| word.wrapping_sub(ONES * u64::from(than)) & !word & HIGHS;
    let is = |byte: u8| less(word ^ (ONES * u64::from(byte)), 1);
    less(word, 0x20) | is(b'"') | is(b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_special_byte() {
        for length in [0, 1, 7, 8, 9, 31, 32, 33, 40, 100] {
            let clean: Vec<u8> = (0..length).map(|n| [b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xff][n % 8]).collect();
            assert_eq!(clean_prefix(&clean), length);
            for (at, special) in (0..length).flat_map(|at| [0, 1, 0x1f, b'"', b'\\'].map(|special| (at, special))) {
                let mut bytes = clean.clone();
                bytes[at] = special;
                assert_eq!(clean_prefix(&bytes), at, "{special:#x} of {length}");
                bytes[length - 1] = 0;
                assert_eq!(clean_prefix(&bytes), at);
            }
        }
    }

    fn whole(text: &str) -> Option<&str> {
        let mut scanner = Scanner::new(text);
        let raw = scanner.skip()?;
        scanner.is_over().then_some(raw)
    }

    #[test]
    fn skips_what_serde_json_skips() {
        let taken = [
            r#" {"a":[1,-0,0.5,-12.5e+7,1E400,{}],"b\n":"\u00e9\ud800 \\\"\/","":null} "#,
            "[true,false,[],[ ],{ }]",
            "\"\u{7f}é😀\"",
            "-1",
        ];
        let refused = [
            "",
            "{",
            "[",
            "\"",
            "\"\\",
            "\"\\u12",
            "\"\\u12g4\"",
            "\"\\x\"",
            "\"\u{1}\"",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "nul",
            "nulls",
            "tru",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{1:2}",
            "{a:1}",
            "1 2",
            "[1]]",
            "{]",
            "[}",
            "\u{0}",
            "1\u{0}",
            "\u{a0}1",
        ];
        for text in taken.iter().chain(&refused) {
            let theirs = serde_json::from_str::<&serde_json::value::RawValue>(text).ok();
            assert_eq!(whole(text), theirs.map(serde_json::value::RawValue::get), "{text:?}");
        }
        assert!(taken.iter().all(|text| whole(text).is_some()) && refused.iter().all(|text| whole(text).is_none()));
        for levels in [1, 63, 64, 65, 127, 128, 129, 300_000] {
            let (opening, closing): (String, String) =
                (0..levels).map(|n| if n % 3 == 0 { ("[", "]") } else { ("{\"\":", "}") }).unzip();
            let closing: String = closing.chars().rev().collect();
            let deep = format!("{opening}1{closing}");
            assert_eq!(whole(&deep), Some(deep.as_str()));
            assert_eq!(whole(&deep[..deep.len() - 1]), None);
            assert_eq!(whole(&deep.replacen('1', "]", 1)), None);
        }
    }

    #[test]
    fn tells_where_it_is() {
        let mut scanner = Scanner::new("{\n \"a\"\n: 1}");
        assert_eq!(scanner.place(), (1, 1));
        assert!(scanner.take(b'{') && scanner.string().is_some());
        assert_eq!(scanner.place(), (2, 5));
        assert!(scanner.take(b':'));
        assert_eq!(scanner.place(), (3, 2));
    }

    #[test]
    fn tells_strings_with_escapes() {
        let string = |text| Scanner::new(text).string();
        assert_eq!(string(r#" "plain" x"#), Some(Raw::Plain("plain")));
        assert_eq!(string(r#""""#), Some(Raw::Plain("")));
        assert_eq!(string(r#""a\tb" x"#), Some(Raw::Escaped(r#""a\tb""#)));
        assert_eq!(string(r#""a"#), None);
        assert_eq!(string("x"), None);
    }
}
