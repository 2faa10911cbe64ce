//! The beginning of an unexpected body, fit for an error document.

/// Length of an excerpt in bytes.
const LONGEST: usize = 256;

/// Members of an error body whose text is for people.
const PROSE: [&str; 8] = ["code", "description", "detail", "error", "message", "reason", "status", "title"];

/// At most 256 bytes of `body` in which whatever could identify somebody is masked: quoted texts, except for keys and for
/// what a server says in words; values of parameters; mail addresses; long numbers, and long words with digits.
pub(crate) fn excerpt(body: &[u8]) -> String {
    // Far more than fits, so that what is cut off is not decoded, and what follows a quote is seen.
    let text = String::from_utf8_lossy(body.get(..4 * LONGEST).unwrap_or(body));
    let mut out = String::with_capacity(LONGEST);
    let mut rest = text.trim();
    let mut is_prose = false;
    while let Some(first) = rest.chars().next() {
        let len = if first == '"' {
            let len = quoted(rest);
            let (value, after) = rest.split_at_checked(len).unwrap_or((rest, ""));
            let inside = value.strip_prefix('"').unwrap_or(value);
            let inside = inside.strip_suffix('"').unwrap_or(inside);
            let is_key = after.trim_start().starts_with(':') && is_plain_key(inside);
            match is_key {
                true => push(&mut out, value),
                false if is_prose => {
                    push(&mut out, "\"");
                    push_prose(&mut out, inside);
                    push(&mut out, "\"");
                }
                false => push(&mut out, "\"***\""),
            }
            is_prose = is_key && PROSE.contains(&inside);
            len
        } else {
            is_prose &= first == ':' || first.is_ascii_whitespace();
            let len = rest.find('"').unwrap_or(rest.len());
            // Up to the value of a prose member nothing but a colon may come.
            let len = if is_prose { first.len_utf8() } else { len };
            push_prose(&mut out, rest.get(..len).unwrap_or(rest));
            len
        };
        rest = rest.get(len..).unwrap_or("");
        if out.len() >= LONGEST {
            break;
        }
    }
    out
}

/// Appends text for people, masked.
fn push_prose(out: &mut String, text: &str) {
    let mut rest = text;
    let mut is_value = false;
    while let Some(first) = rest.chars().next() {
        let len = if is_word(first) {
            let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let word = rest.get(..len).unwrap_or(rest);
            push(out, if is_value || looks_like_an_id(word) { "***" } else { word });
            is_value = false;
            len
        } else if matches!(first, '\'' | '`' | '\\') {
            let quote = if first == '\\' { "\\\"" } else { rest.get(..1).unwrap_or("'") };
            match rest.strip_prefix(quote).and_then(|inside| inside.find(quote)) {
                // An apostrophe: what follows it are words like any other.
                _ if out.ends_with(char::is_alphanumeric) => {
                    push(out, quote);
                    rest.strip_prefix(quote).map_or(1, |_| quote.len())
                }
                Some(len) => {
                    push(out, "'***'");
                    len + 2 * quote.len()
                }
                // Never closed, or cut off.
                None => {
                    push(out, "'***'");
                    rest.len()
                }
            }
        } else {
            is_value = first == '=';
            push(out, if first.is_control() { " " } else { rest.get(..first.len_utf8()).unwrap_or(" ") });
            first.len_utf8()
        };
        rest = rest.get(len..).unwrap_or("");
        if out.len() >= LONGEST {
            break;
        }
    }
}

/// Appends what fits.
fn push(out: &mut String, text: &str) {
    let mut room = LONGEST.saturating_sub(out.len()).min(text.len());
    while !text.is_char_boundary(room) {
        room -= 1;
    }
    out.push_str(text.get(..room).unwrap_or(""));
}

/// Length of the quoted text that `text` begins with, quotes included; all of it if the quote is never closed.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return at + 1,
            _ => escaped = false,
        }
    }
    text.len()
}

fn is_plain_key(key: &str) -> bool {
    key.len() <= 40 && key.bytes().filter(u8::is_ascii_digit).count() < 4
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | '+' | '%')
}

fn looks_like_an_id(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    word.contains('@') || word.len() > 40 || digits >= 6 || (digits > 0 && word.len() >= 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_sense_and_masks_ids() {
        for (body, expected) in [
            ("Bad Gateway", "Bad Gateway"),
            ("<html>\r\n<title>Login 2</title>", "<html>  <title>Login 2</title>"),
            (r#"{"status":500,"id":{"tntId":"abc.28_0"}}"#, r#"{"status":500,"id":{"tntId":"***"}}"#),
            (r#"{"a":"x\"y","b":123456}"#, r#"{"a":"***","b":***}"#),
            (r#"{"a":"never closed"#, r#"{"a":"***""#),
            ("session 338e3c1e51f7416a8e1ccba4f81acea0.28_0!", "session ***!"),
            ("<a href='x?sessionId=1'>", "<a href='***'>"),
            ("see /x?sessionId=abc&b=c", "see /x?sessionId=***&b=***"),
            ("write to jane@example.com", "write to ***"),
            ("", ""),
            // What the server says in words can be read.
            (
                r#"{"status":400,"message":"request.mbox is required"}"#,
                r#"{"status":400,"message":"request.mbox is required"}"#,
            ),
            (r#"{"error": "it can't be: 'jane' is unknown"}"#, r#"{"error": "it can't be: '***' is unknown"}"#),
            (r#"{"message":"bad \"jane\" here","x":"y"}"#, r#"{"message":"bad '***' here","x":"***"}"#),
            (r#"{"message":"bad \"jane\"","x":1}"#, r#"{"message":"bad '***'","x":1}"#),
            (r#"{"message":"bad \"jane"#, r#"{"message":"bad '***'""#),
            (r#"{"message":"bad 'jane","x":1}"#, r#"{"message":"bad '***'","x":1}"#),
            (r#"{"message":"tntId 0123456789abcdef.28_0 of jane@b.example"}"#, r#"{"message":"tntId *** of ***"}"#),
            (r#"{"message":{"tntId":"jane"}}"#, r#"{"message":{"tntId":"***"}}"#),
            (r#"{"message":["jane"]}"#, r#"{"message":["***"]}"#),
            (r#"["message","jane"]"#, r#"["***","***"]"#),
            (r#"{"thirdPartyId":"jane","Message":"jane"}"#, r#"{"thirdPartyId":"***","Message":"***"}"#),
        ] {
            assert_eq!(excerpt(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn is_short_and_never_panics() {
        let hostile = ["é".repeat(1000), "\"".repeat(999), "a b ".repeat(500), "\\".repeat(700), "'é\"".repeat(300)];
        let prose = hostile.clone().map(|text| format!("{{\"message\":\"{text}\"}}"));
        for body in hostile.iter().chain(&prose) {
            for cut in 0..8 {
                let text = excerpt(body.as_bytes().get(cut..).unwrap());
                assert!(text.len() <= 256, "{text}");
            }
        }
        assert_eq!(excerpt("word ".repeat(100).as_bytes()).len(), 256);
        assert!(excerpt(&[0xff; 5000]).len() <= 256);
    }

    #[test]
    fn quoted_texts_are_never_shown() {
        for _ in 0..2_000 {
            let pieces = [
                "\"",
                "canary",
                ":",
                ",",
                "{",
                "}",
                "[",
                " ",
                "\\",
                "'",
                "message",
                "é",
                "=",
                "\n",
                "\"tntId\":\"canary\"",
            ];
            let noise: String = (0..fastrand::usize(0..12)).map(|_| fastrand::choice(pieces).unwrap()).collect();
            // Whatever comes before it: text that is quoted and is no key is masked, unless it is a message.
            let body = format!("{{\"a\":[{{\"tntId\":\"sensitive\"}}],{noise}");
            assert!(!excerpt(body.as_bytes()).contains("sensitive"), "{body}");
        }
    }
}
