//! Macros in content: `${activity.id}`, `${mbox.name}`, `${user}`.

use std::borrow::Cow;
use std::ops::Range;

use super::coerce::to_text;
use super::value::Value;
use crate::json::Json;

/// The macros of `text`: where each stands, and the name between its braces.
pub(crate) fn find(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    text.match_indices("${").filter_map(|(start, open)| {
        let name = text.get(start + open.len()..)?;
        let length = name.bytes().position(|byte| !(byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.'))?;
        let name = name.get(..length)?;
        let end = start + open.len() + length;
        text.get(end..)?.starts_with('}').then_some((start..end + 1, name))
    })
}

/// What a macro's name is looked up as: old words replaced, the last two segments, without `mbox`.
pub(crate) fn key(name: &str) -> String {
    let name = replace(&replace(name, "campaign", "activity"), "recipe", "experience");
    let segments: Vec<&str> = name.split('.').collect();
    let last_two = segments.get(segments.len().saturating_sub(2)..).unwrap_or(&[]);
    let kept: Vec<&str> = last_two.iter().copied().filter(|segment| *segment != "mbox").collect();
    kept.join(".")
}

/// Replaces `word` in any case of letters.
fn replace(text: &str, word: &str, with: &str) -> String {
    let lower = text.to_ascii_lowercase(); // of the same length
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (at, _) in lower.match_indices(word) {
        out.push_str(text.get(done..at).unwrap_or(""));
        out.push_str(with);
        done = at + word.len();
    }
    out.push_str(text.get(done..).unwrap_or(""));
    out
}

/// A value as it is put into content: as `String(value)` in JavaScript, which makes a text of null too.
pub(crate) fn replacement<'v>(value: &'v Json<'_>) -> Cow<'v, str> {
    text(value).unwrap_or(Cow::Borrowed("null"))
}

/// A value as text. Null is no value.
pub(crate) fn text<'v>(value: &'v Json<'_>) -> Option<Cow<'v, str>> {
    match value {
        Json::Null => None,
        Json::String(text) => Some(Cow::Borrowed(text)),
        other => Some(Cow::Owned(to_text(&Value::from_json(other)).into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_the_expression_finds() {
        let oracle = regex::Regex::new(r"\$\{([A-Za-z0-9_.]*?)\}").unwrap();
        for text in [
            "plain",
            "${a}",
            "a${b}c${d.e}f",
            "${}",
            "${ a }",
            "${x-y}",
            "$${a}}",
            "${${a}",
            "${a",
            "${",
            "$",
            "é${a}é",
            "${é}",
            "${a.b_C9.}${a}${a}",
        ] {
            let expected: Vec<_> = oracle
                .captures_iter(text)
                .map(|found| (found.get(0).unwrap().range(), found.get(1).unwrap().as_str()))
                .collect();
            assert_eq!(find(text).collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn keys() {
        for (name, expected) in [
            ("activity.id", "activity.id"),
            ("campaign.id", "activity.id"),
            ("CAMPAIGN.id", "activity.id"),
            ("campaign.recipe.name", "experience.name"),
            ("recipe.name", "experience.name"),
            ("mbox.name", "name"),
            ("mbox.user", "user"),
            ("x.a.b", "a.b"),
            ("x.mbox.user", "user"),
            ("mbox", ""),
            ("", ""),
        ] {
            assert_eq!(key(name), expected, "{name}");
        }
    }
}
