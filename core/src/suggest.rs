//! What a misspelt key was probably meant to be.

/// The known key that `key` is probably a misspelling of: another spelling of the same words (`organization_id`), or at
/// most two slips of the keyboard away (a letter missing, added, replaced, or two swapped).
pub(crate) fn suggest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    // Nothing known is this long; the distance takes time and memory in proportion to it.
    const LONGEST: usize = 64;
    if key.len() > LONGEST {
        return None;
    }
    let key = letters(key);
    // Two slips in a three letter word make another word.
    let allowed = (key.len() / 3).min(2);
    known
        .iter()
        .map(|candidate| (distance(&key, &letters(candidate)), *candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The letters of a key, without what differs between naming conventions.
fn letters(key: &str) -> Vec<char> {
    key.chars().filter(|letter| !matches!(letter, '_' | '-' | ' ' | '.')).flat_map(char::to_lowercase).collect()
}

/// Damerau-Levenshtein distance, where no part of the text is edited twice.
fn distance(a: &[char], b: &[char]) -> usize {
    // Three rows of the usual table: the one before the last, the last, and the one being filled.
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        let mut left = i + 1;
        row.push(left);
        for (j, &to) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(from != to)).min(last[j + 1] + 1).min(left + 1);
            let swapped = i > 0 && j > 0 && from == b[j - 1] && a[i - 1] == to;
            if swapped {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
            left = best;
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] =
        &["client", "organizationId", "timeout", "secure", "url", "pem", "pemFile", "maxInFlight", "environmentId"];

    #[test]
    fn finds_what_was_meant() {
        for (key, meant) in [
            ("Client", "client"),
            ("clinet", "client"),
            ("cleint", "client"),
            ("clients", "client"),
            ("cliet", "client"),
            ("organisationId", "organizationId"),
            ("organization_id", "organizationId"),
            ("ORGANIZATION-ID", "organizationId"),
            ("orgnizationld", "organizationId"),
            ("time_out", "timeout"),
            ("timeOut", "timeout"),
            ("tiemout", "timeout"),
            ("secured", "secure"),
            ("max_inflight", "maxInFlight"),
            ("pem_file", "pemFile"),
            ("urls", "url"),
            ("enviromentId", "environmentId"),
        ] {
            assert_eq!(suggest(key, KNOWN), Some(meant), "{key}");
        }
    }

    #[test]
    fn is_silent_about_other_words() {
        let long = "client".repeat(1000);
        for key in ["", "_", "logger", "uri2", "x", "pfx", "fetchApi", "événement", "client_identity", long.as_str()]
        {
            assert_eq!(suggest(key, KNOWN), None, "{key}");
        }
        assert_eq!(suggest("client", &[]), None);
    }

    #[test]
    fn prefers_the_nearest() {
        assert_eq!(suggest("maxQueue", &["maxQueries", "maxQueued"]), Some("maxQueued"));
        assert_eq!(suggest("pem_file", &["pemFiles", "pemFile"]), Some("pemFile"));
    }

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "abc", 0),
            ("abc", "acb", 1),
            ("ca", "abc", 3),
            ("kitten", "sitting", 3),
            ("naïve", "naive", 1),
        ] {
            assert_eq!(distance(&letters(a), &letters(b)), expected, "{a} {b}");
            assert_eq!(distance(&letters(b), &letters(a)), expected, "{b} {a}");
        }
    }
}
