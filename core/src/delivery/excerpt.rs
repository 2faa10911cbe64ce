//! The beginning of an unexpected body, fit for an error message.

/// Length of an excerpt in bytes.
const LONGEST: usize = 256;

/// At most 256 bytes of `body` in which whatever could be an identifier is masked: quoted values, long numbers, and long
/// words with digits. Keys, markup and prose stay readable.
pub(crate) fn excerpt(body: &[u8]) -> String {
    // far more than fits, so that what is cut off is not decoded, and what follows a quote is seen
    let text = String::from_utf8_lossy(body.get(..4 * LONGEST).unwrap_or(body));
    let mut out = String::with_capacity(LONGEST);
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '"' | '\'' => {
                let len = quoted(rest, first);
                let (value, after) = rest.split_at_checked(len).unwrap_or((rest, ""));
                let is_key = first == '"' && after.trim_start().starts_with(':') && is_plain_key(value);
                push(&mut out, if is_key { value } else { "\"***\"" });
                len
            }
            c if is_word(c) => {
                let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                let word = rest.get(..len).unwrap_or(rest);
                let digits = word.bytes().filter(u8::is_ascii_digit).count();
                push(&mut out, if digits >= 6 || (digits > 0 && len >= 10) { "***" } else { word });
                len
            }
            c => {
                push(&mut out, if c.is_control() { " " } else { rest.get(..c.len_utf8()).unwrap_or(" ") });
                c.len_utf8()
            }
        };
        rest = rest.get(len..).unwrap_or("");
        if out.len() >= LONGEST {
            break;
        }
    }
    out
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
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\\' if !escaped => escaped = true,
            c if c == quote && !escaped => return at + 1,
            _ => escaped = false,
        }
    }
    text.len()
}

fn is_plain_key(quoted: &str) -> bool {
    quoted.len() <= 40 && quoted.bytes().filter(u8::is_ascii_digit).count() < 4
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
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
            ("<a href='x?sessionId=1'>", "<a href=\"***\">"),
            ("", ""),
        ] {
            assert_eq!(excerpt(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn is_short_and_never_panics() {
        for body in ["é".repeat(1000), "\"".repeat(999), "a b ".repeat(500), "\\".repeat(700), "'é\"".repeat(300)] {
            for cut in 0..8 {
                let text = excerpt(body.as_bytes().get(cut..).unwrap());
                assert!(text.len() <= 256, "{text}");
            }
        }
        assert_eq!(excerpt("word ".repeat(100).as_bytes()).len(), 256);
    }
}
