//! "Did you mean …?" for misspelt keys.

/// The known key that `key` is most likely a misspelling of, if any is close.
///
/// Keys that differ only in case, `_` or `-` always match: `session_id` is `sessionId`. Otherwise one slip (a letter
/// added, left out, replaced, or two neighbours swapped) is allowed for every three letters, at most three slips.
pub(crate) fn suggest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    const LONGEST: usize = 64; // a longer key is no misspelling of ours, and the work is quadratic
    let folded = fold(key);
    if folded.is_empty() || folded.len() > LONGEST {
        return None;
    }
    let allowed = (folded.len() / 3).clamp(1, 3);
    known
        .iter()
        .map(|candidate| (slips(&folded, &fold(candidate)), *candidate))
        .filter(|(slips, _)| *slips <= allowed)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

fn fold(key: &str) -> Vec<char> {
    key.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// Optimal string alignment distance.
fn slips(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        let mut left = i + 1;
        row.push(left);
        for (j, (to, above)) in b.iter().zip(last.windows(2)).enumerate() {
            let (diagonal, above) = match above {
                [diagonal, above] => (*diagonal, *above),
                _ => continue, // windows(2) yields nothing else
            };
            let mut cost = (diagonal + usize::from(from != to)).min(above + 1).min(left + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(to) && b.get(j - 1) == Some(from);
            if let (true, Some(earlier)) = (swapped, j.checked_sub(1).and_then(|at| before_last.get(at))) {
                cost = cost.min(earlier + 1);
            }
            row.push(cost);
            left = cost;
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 5] = ["request", "sessionId", "targetCookie", "visitorCookie", "visitorState"];

    #[test]
    fn finds_what_was_meant() {
        for (key, meant) in [
            ("requests", Some("request")),
            ("reqeust", Some("request")),
            ("session_id", Some("sessionId")),
            ("SESSIONID", Some("sessionId")),
            ("tragetCookie", Some("targetCookie")),
            ("visitorCokie", Some("visitorCookie")),
            ("visitor", None),
            ("colour", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(suggest(key, &KNOWN), meant, "{key}");
        }
        assert_eq!(suggest(&"request".repeat(100), &KNOWN), None);
    }

    #[test]
    fn counts_slips() {
        let count = |a: &str, b: &str| slips(&fold(a), &fold(b));
        for (a, b, expected) in [
            ("abc", "abc", 0),
            ("abc", "acb", 1),
            ("abc", "", 3),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
            ("ca", "abc", 3),
        ] {
            assert_eq!(count(a, b), expected, "{a} {b}");
            assert_eq!(count(b, a), expected, "{b} {a}");
        }
    }
}
