//! The parameters of a request item as rules see them: dotted names are nested, each text also in lower case.
//!
//! Nothing is built for the usual flat parameters; the lower-case form exists only where a rule asks for it.

use std::borrow::Cow;

use super::value::{Text, Value, text_member};
use crate::json::{Json, Object};

/// What a rule's `mbox` refers to.
pub(crate) struct Parameters<'a>(Tree<'a>);

enum Tree<'a> {
    /// As the caller gave it.
    Given(&'a Object<'a>),
    /// With dotted names taken apart.
    Built(Branch<'a>),
}

type Branch<'a> = Vec<(&'a str, Node<'a>)>;

enum Node<'a> {
    Leaf(&'a Json<'a>),
    Branch(Branch<'a>),
}

const LOWER: &str = "_lc";

impl<'a> Parameters<'a> {
    /// Prepares the parameters of an item. The flag says that a dotted name met one that is taken: the first stays.
    pub(crate) fn new(given: Option<&'a Object<'a>>) -> (Parameters<'a>, bool) {
        let Some(given) = given else { return (Parameters(Tree::Built(Vec::new())), false) };
        if !given.iter().any(|(key, _)| is_dotted(key)) {
            return (Parameters(Tree::Given(given)), false);
        }
        let mut root = Vec::with_capacity(given.len());
        let mut conflict = false;
        for (key, value) in given.iter() {
            let placed = if is_dotted(key) {
                insert(&mut root, key, value)
            } else if root.iter().any(|(name, _)| *name == key) {
                false
            } else {
                root.push((key, Node::Leaf(value)));
                true
            };
            conflict |= !placed;
        }
        (Parameters(Tree::Built(root)), conflict)
    }

    /// The value at `path`, the part of a rule's path after `mbox.`.
    pub(crate) fn lookup(&self, path: &str) -> Value<'a> {
        match &self.0 {
            Tree::Given(object) => in_object(object, path),
            Tree::Built(branch) => in_branch(branch, path),
        }
    }

    /// All parameters as one object.
    pub(crate) fn whole(&self) -> Value<'a> {
        match &self.0 {
            Tree::Given(object) => object_value(object),
            Tree::Built(branch) => branch_value(branch),
        }
    }
}

/// Whether a name is taken apart at its dots.
fn is_dotted(key: &str) -> bool {
    key.contains('.') && !key.contains("..") && !key.starts_with('.') && !key.ends_with('.')
}

/// Places `value` at the dotted `key`, unless something stands in the way.
fn insert<'a>(branch: &mut Branch<'a>, key: &'a str, value: &'a Json<'a>) -> bool {
    let (name, rest) = match key.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (key, None),
    };
    let place = branch.iter().position(|(known, _)| *known == name);
    match (place.and_then(|place| branch.get_mut(place)), rest) {
        (None, None) => branch.push((name, Node::Leaf(value))),
        (None, Some(rest)) => {
            let mut inner = Vec::new();
            insert(&mut inner, rest, value);
            branch.push((name, Node::Branch(inner)));
        }
        (Some((_, Node::Branch(inner))), Some(rest)) => return insert(inner, rest, value),
        _ => return false,
    }
    true
}

fn split(path: &str) -> (&str, Option<&str>) {
    match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    }
}

fn lower<'a>(text: &'a str) -> Value<'a> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        Value::text(text)
    } else {
        text.to_lowercase().into()
    }
}

/// The text whose lower-case form is called `name`. `find` gives the place of a parameter, and its text if it is one.
///
/// Lower-case forms are made in the order of the parameters: of `user` and `user_lc` in this order, the lower-case
/// form of the first replaces the second before that one's own form `user_lc_lc` is made.
fn lower_case<'a>(name: &str, find: impl Fn(&str) -> Option<(usize, Option<&'a str>)>) -> Option<&'a str> {
    let mut name = name.strip_suffix(LOWER)?;
    let (mut at, text) = find(name)?;
    let mut text = text?;
    while let Some(base) = name.strip_suffix(LOWER) {
        match find(base) {
            Some((before, Some(replacing))) if before < at => (name, at, text) = (base, before, replacing),
            _ => break,
        }
    }
    Some(text)
}

fn in_object<'a>(object: &'a Object<'a>, path: &str) -> Value<'a> {
    let (name, rest) = split(path);
    // The derived lower-case text hides a parameter that happens to have its name.
    let text_of = |name: &str| {
        let at = object.iter().position(|(key, _)| key == name)?;
        Some((at, object.get(name).and_then(Json::as_str)))
    };
    if let Some(text) = lower_case(name, text_of) {
        return rest_of(lower(text), rest);
    }
    match object.get(name) {
        Some(value) => in_leaf(value, rest),
        None => Value::Undefined,
    }
}

fn in_leaf<'a>(value: &'a Json<'a>, rest: Option<&str>) -> Value<'a> {
    match (value, rest) {
        (Json::Object(inner), Some(rest)) => in_object(inner, rest),
        (Json::String(text), Some(rest)) if !rest.contains('.') => text_member(text, rest),
        (Json::Object(inner), None) => object_value(inner),
        (value, rest) => rest_of(Value::from_json(value), rest),
    }
}

fn rest_of<'a>(value: Value<'a>, rest: Option<&str>) -> Value<'a> {
    match rest {
        Some(rest) => value.walk(rest),
        None => value,
    }
}

fn in_branch<'a>(branch: &Branch<'a>, path: &str) -> Value<'a> {
    let (name, rest) = split(path);
    let find = |name: &str| branch.iter().find(|(known, _)| *known == name).map(|(_, node)| node);
    let text_of = |name: &str| {
        branch.iter().position(|(known, _)| *known == name).map(|at| match branch.get(at) {
            Some((_, Node::Leaf(value))) => (at, value.as_str()),
            _ => (at, None),
        })
    };
    if let Some(text) = lower_case(name, text_of) {
        return rest_of(lower(text), rest);
    }
    match (find(name), rest) {
        (Some(Node::Leaf(value)), rest) => in_leaf(value, rest),
        (Some(Node::Branch(inner)), Some(rest)) => in_branch(inner, rest),
        (Some(Node::Branch(inner)), None) => branch_value(inner),
        (None, _) => Value::Undefined,
    }
}

type Entries<'a> = Vec<(Cow<'a, str>, Value<'a>)>;

/// The entries and, after them, the lower-case form of each text.
fn with_lower_case<'a>(mut entries: Entries<'a>) -> Value<'a> {
    for at in 0..entries.len() {
        let Some((key, Value::String(text))) = entries.get(at) else { continue };
        let value = match text {
            Text::Borrowed(text) => lower(text),
            Text::Shared(text) => Value::from(text.to_lowercase()), // made just now: see `lower_case`
        };
        let key = format!("{key}{LOWER}");
        match entries.iter_mut().find(|(known, _)| *known == key) {
            Some((_, place)) => *place = value,
            None => entries.push((Cow::Owned(key), value)),
        }
    }
    Value::object(entries).unwrap_or_default() // parameters are too shallow to be refused
}

fn object_value<'a>(object: &'a Object<'a>) -> Value<'a> {
    with_lower_case(object.iter().map(|(key, value)| (Cow::Borrowed(key), leaf_value(value))).collect())
}

fn leaf_value<'a>(value: &'a Json<'a>) -> Value<'a> {
    match value {
        Json::Object(inner) => object_value(inner),
        other => Value::from_json(other),
    }
}

fn branch_value<'a>(branch: &Branch<'a>) -> Value<'a> {
    let entries = branch.iter().map(|(key, node)| {
        let value = match node {
            Node::Leaf(value) => leaf_value(value),
            Node::Branch(inner) => branch_value(inner),
        };
        (Cow::Borrowed(*key), value)
    });
    with_lower_case(entries.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{self, Limits};

    fn with<T>(given: &str, test: impl FnOnce(&Parameters<'_>, bool) -> T) -> T {
        let given = json::parse(given, &Limits::OPTIONS).unwrap();
        let (parameters, conflict) = Parameters::new(given.as_object());
        test(&parameters, conflict)
    }

    fn text(value: &Value<'_>) -> String {
        let mut out = String::new();
        match value {
            Value::Undefined => out.push_str("undefined"),
            value => value.write(&mut out),
        }
        out
    }

    #[test]
    fn documented_example() {
        let given = r#"{"Foo":"Bar","x.Y":"Zed","n":3,"c..d":"R"}"#;
        let whole = with(given, |parameters, _| text(&parameters.whole()));
        assert_eq!(
            json::parse(&whole, &Limits::OPTIONS).unwrap(),
            json::parse(
                r#"{"Foo":"Bar","x":{"Y":"Zed","Y_lc":"zed"},"n":3,"c..d":"R","Foo_lc":"bar","c..d_lc":"r"}"#,
                &Limits::OPTIONS
            )
            .unwrap()
        );
    }

    #[test]
    fn lookups() {
        for (given, path, expected) in [
            (r#"{"foo":"Bar"}"#, "foo", r#""Bar""#),
            (r#"{"foo":"Bar"}"#, "foo_lc", r#""bar""#),
            (r#"{"foo":"Bar"}"#, "foo.length", "3"),
            (r#"{"foo":"Bar"}"#, "foo_lc.0", r#""b""#),
            (r#"{"foo":"Bar","foo_lc":"other"}"#, "foo_lc", r#""bar""#),
            // what the reference makes of names that look derived, in the order of the parameters
            (r#"{"foo":"Bar","foo_lc":"Other"}"#, "foo_lc_lc", r#""bar""#),
            (r#"{"foo_lc":"Other","foo":"Bar"}"#, "foo_lc_lc", r#""other""#),
            (r#"{"foo_lc":"Other","foo":"Bar"}"#, "foo_lc", r#""bar""#),
            (r#"{"foo":1,"foo_lc":"Other"}"#, "foo_lc_lc", r#""other""#),
            (r#"{"x.y":1,"foo":"Bar","foo_lc":"Other"}"#, "foo_lc_lc", r#""bar""#),
            (r#"{"a":{"foo":"Bar","foo_lc":"Other"}}"#, "a", r#"{"foo":"Bar","foo_lc":"bar","foo_lc_lc":"bar"}"#),
            (r#"{"a":{"foo":"ÄB","foo_lc":"Other"}}"#, "a", r#"{"foo":"ÄB","foo_lc":"äb","foo_lc_lc":"äb"}"#),
            (r#"{"foo":7}"#, "foo_lc", "undefined"),
            (r#"{"foo":null}"#, "foo", "null"),
            (r#"{"foo":null}"#, "foo.bar", "undefined"),
            (r#"{"foo":["A"]}"#, "foo.0", r#""A""#),
            (r#"{"a":{"B":"C"}}"#, "a.B_lc", r#""c""#),
            (r#"{"a":{"B":"C"}}"#, "a", r#"{"B":"C","B_lc":"c"}"#),
            (r#"{"first.programming.language":"Racket"}"#, "first.programming.language_lc", r#""racket""#),
            (r#"{"a.b":"X","a.c":"Y"}"#, "a", r#"{"b":"X","c":"Y","b_lc":"x","c_lc":"y"}"#),
            (r#"{"a..b":"X",".c":"Y","d.":"Z"}"#, "a..b", "undefined"),
            (r#"{"__proto__.x":"1"}"#, "x", "undefined"),
            (r#"{"ÄÖ":"ÜÉ"}"#, "ÄÖ_lc", r#""üé""#),
            ("{}", "foo", "undefined"),
        ] {
            assert_eq!(with(given, |parameters, _| text(&parameters.lookup(path))), expected, "{path} in {given}");
        }
    }

    #[test]
    fn the_first_of_two_conflicting_names_stays() {
        for (given, path, expected, conflict) in [
            (r#"{"a":"S","a.b":"T"}"#, "a", r#""S""#, true),
            (r#"{"a":"S","a.b":"T"}"#, "a.b", "undefined", true),
            (r#"{"a.b":"T","a":"S"}"#, "a.b", r#""T""#, true),
            (r#"{"a.b":"T","a.b.c":"U"}"#, "a.b", r#""T""#, true),
            (r#"{"a.b.c":"U","a.b":"T"}"#, "a.b.c", r#""U""#, true),
            (r#"{"a.b":"T","a.c":"S"}"#, "a.c", r#""S""#, false),
        ] {
            with(given, |parameters, found| {
                assert_eq!((text(&parameters.lookup(path)).as_str(), found), (expected, conflict), "{path} in {given}");
            });
        }
    }
}
