//! Numbers at the beginning of texts, as JavaScript reads them.

/// White space to JavaScript's `trim` and number conversions.
pub(crate) fn is_blank(c: char) -> bool {
    matches!(c, '\t'..='\r' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}'
        | '\u{205f}' | '\u{3000}' | '\u{feff}')
}

/// `parseFloat(text)`: the longest decimal number that the text begins with.
pub(crate) fn parse_float(text: &str) -> f64 {
    let text = text.trim_start_matches(is_blank);
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.starts_with("Infinity") {
        return if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let bytes = text.as_bytes();
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let start = text.len() - unsigned.len();
    let mut end = digits(start);
    let mut has_digits = end > start;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        has_digits |= fraction > end + 1;
        end = fraction;
    }
    if !has_digits {
        return f64::NAN;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let exponent = end + 1 + usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if digits(exponent) > exponent {
            end = digits(exponent);
        }
    }
    text.get(..end).and_then(|number| number.parse().ok()).unwrap_or(f64::NAN)
}
