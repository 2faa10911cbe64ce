//! The offers file: what is answered for which mbox, view and page load.

use serde_json::{Map, Value, json};

use crate::decider::{Decider, Decision, Question};
use crate::http::fingerprint;

const OPTION_TYPES: [&str; 5] = ["html", "json", "redirect", "dynamic", "actions"];

/// The content of an offers file.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    mboxes: Map<String, Value>,
    views: Map<String, Value>,
    page_load: Option<Value>,
    geo: Map<String, Value>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Execute,
    Prefetch,
}

impl Offers {
    pub(crate) fn parse(text: &str) -> Result<Offers, String> {
        let file: Value = serde_json::from_str(text).map_err(|error| format!("no valid JSON: {error}"))?;
        let Value::Object(file) = file else { return Err("an object is expected".to_owned()) };
        let mut offers = Offers::default();
        for (key, value) in file {
            match (key.as_str(), value) {
                ("mboxes", Value::Object(mboxes)) => offers.mboxes = entries(mboxes, "mboxes")?,
                ("views", Value::Object(views)) => offers.views = entries(views, "views")?,
                ("pageLoad", entry) => offers.page_load = Some(entry_of(entry, "pageLoad")?),
                ("geo", Value::Object(geo)) => {
                    if let Some((address, _)) = geo.iter().find(|(_, place)| !place.is_object()) {
                        return Err(format!("geo.{address}: an object is expected"));
                    }
                    offers.geo = geo;
                }
                ("mboxes" | "views" | "geo", _) => return Err(format!("{key}: an object is expected")),
                _ => return Err(format!("{key}: unknown; known: mboxes, views, pageLoad, geo")),
            }
        }
        Ok(offers)
    }

    /// Where an IP address is.
    pub(crate) fn place(&self, address: &str) -> Option<&Map<String, Value>> {
        self.geo.get(address).or_else(|| self.geo.get("default")).and_then(Value::as_object)
    }

    fn section(&self, requested: &Value, mode: Mode) -> Value {
        let mut section = Map::new();
        if present(requested, "pageLoad").is_some() {
            let mut item = json!({ "options": [] });
            if let Some(entry) = &self.page_load {
                fill(&mut item, entry, mode, "pageLoad");
            }
            section.insert("pageLoad".to_owned(), item);
        }
        if let Some(mboxes) = present(requested, "mboxes").and_then(Value::as_array) {
            let items = mboxes.iter().map(|mbox| self.mbox(mbox, mode)).collect();
            section.insert("mboxes".to_owned(), Value::Array(items));
        }
        if mode == Mode::Prefetch
            && let Some(views) = present(requested, "views").and_then(Value::as_array)
        {
            section.insert("views".to_owned(), Value::Array(self.requested_views(views)));
        }
        Value::Object(section)
    }

    fn mbox(&self, requested: &Value, mode: Mode) -> Value {
        let name = present(requested, "name").and_then(Value::as_str).unwrap_or("");
        let mut item = json!({ "index": requested.get("index"), "name": name });
        if let Some(entry) = self.mboxes.get(name) {
            fill(&mut item, entry, mode, name);
        }
        item
    }

    /// The named views in the order of the file, each once; a request without a name is for all of them.
    fn requested_views(&self, requested: &[Value]) -> Vec<Value> {
        let names: Vec<_> = requested.iter().map(|view| present(view, "name").and_then(Value::as_str)).collect();
        let wanted = |name: &str| names.iter().any(|asked| asked.is_none_or(|asked| asked == name));
        let views = self.views.iter().filter(|(name, _)| wanted(name));
        views
            .map(|(name, entry)| {
                let mut item = json!({ "name": name });
                fill(&mut item, entry, Mode::Prefetch, name);
                item
            })
            .collect()
    }
}

impl Decider for Offers {
    fn decide(&self, question: &Question<'_>) -> Result<Decision, String> {
        let section = |key, mode| present(question.request, key).map(|requested| self.section(requested, mode));
        Ok(Decision { execute: section("execute", Mode::Execute), prefetch: section("prefetch", Mode::Prefetch) })
    }
}

/// A member that is there and not null.
pub(crate) fn present<'a>(object: &'a Value, key: &str) -> Option<&'a Value> {
    object.get(key).filter(|value| !value.is_null())
}

fn fill(item: &mut Value, entry: &Value, mode: Mode, name: &str) {
    let Some(item) = item.as_object_mut() else { return };
    if let Some(options) = entry.get("options").and_then(Value::as_array) {
        let options: Vec<_> =
            options.iter().enumerate().filter_map(|(position, option)| served(option, mode, name, position)).collect();
        if !options.is_empty() {
            item.insert("options".to_owned(), Value::Array(options));
        }
    }
    for key in ["metrics", "analytics"] {
        if let Some(value) = entry.get(key) {
            item.insert(key.to_owned(), value.clone());
        }
    }
    for key in ["key", "state"] {
        if let Some(value) = entry.get(key).filter(|_| mode == Mode::Prefetch) {
            item.insert(key.to_owned(), value.clone());
        }
    }
}

/// Executed options are counted already and have no event token; prefetched ones need one to be counted later.
fn served(option: &Value, mode: Mode, name: &str, position: usize) -> Option<Value> {
    let mut option = option.as_object()?.clone();
    match mode {
        Mode::Execute => {
            option.shift_remove("eventToken");
            if !option.contains_key("type") && !option.contains_key("content") {
                return None;
            }
        }
        Mode::Prefetch => {
            option
                .entry("eventToken")
                .or_insert_with(|| format!("{:016x}", fingerprint(format!("{name}\n{position}").as_bytes())).into());
        }
    }
    Some(Value::Object(option))
}

fn entries(section: Map<String, Value>, path: &str) -> Result<Map<String, Value>, String> {
    section.into_iter().map(|(name, entry)| Ok((name.clone(), entry_of(entry, &format!("{path}.{name}"))?))).collect()
}

/// An entry is a list of options, or an object with `options` and more.
fn entry_of(entry: Value, path: &str) -> Result<Value, String> {
    let entry = match entry {
        Value::Array(options) => json!({ "options": options }),
        Value::Object(_) => entry,
        _ => return Err(format!("{path}: a list of options or an object is expected")),
    };
    for (key, value) in entry.as_object().into_iter().flatten() {
        match key.as_str() {
            "options" => options(value, &format!("{path}.options"))?,
            "metrics" if !value.is_array() => return Err(format!("{path}.metrics: an array is expected")),
            "analytics" if !value.is_object() => return Err(format!("{path}.analytics: an object is expected")),
            "key" | "state" if !value.is_string() => return Err(format!("{path}.{key}: a string is expected")),
            "metrics" | "analytics" | "key" | "state" => {}
            _ => return Err(format!("{path}.{key}: unknown; known: options, metrics, analytics, key, state")),
        }
    }
    Ok(entry)
}

fn options(value: &Value, path: &str) -> Result<(), String> {
    let options = value.as_array().ok_or_else(|| format!("{path}: an array is expected"))?;
    for (position, option) in options.iter().enumerate() {
        let path = format!("{path}[{position}]");
        let option = option.as_object().ok_or_else(|| format!("{path}: an object is expected"))?;
        let kind = match option.get("type") {
            None => None,
            Some(kind) => Some(
                kind.as_str()
                    .filter(|kind| OPTION_TYPES.contains(kind))
                    .ok_or_else(|| format!("{path}.type: one of {} is expected", OPTION_TYPES.join(", ")))?,
            ),
        };
        let fits = match (kind, option.get("content")) {
            (_, None) | (None | Some("json"), _) => true,
            (Some("actions"), Some(content)) => content.is_array(),
            (Some(_), Some(content)) => content.is_string(),
        };
        if !fits {
            return Err(format!("{path}.content: does not fit the type"));
        }
        for (key, is_right, expected) in [
            ("eventToken", option.get("eventToken").is_none_or(Value::is_string), "a string"),
            ("responseTokens", option.get("responseTokens").is_none_or(Value::is_object), "an object"),
        ] {
            if !is_right {
                return Err(format!("{path}.{key}: {expected} is expected"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{
        "mboxes": {
            "hero": [{"type": "html", "content": "<b>x</b>", "eventToken": "tok", "responseTokens": {"activity.id": 1}}],
            "a4t": {"options": [{"type": "json", "content": {"a": 1}}, {"eventToken": "blank"}],
                    "analytics": {"payload": {"pe": "tnt", "tnta": "1:0:0|2"}},
                    "metrics": [{"type": "click", "eventToken": "click"}]}
        },
        "views": {"home": [{"type": "actions", "content": []}], "cart": {"key": "k", "options": []}},
        "pageLoad": [{"type": "actions", "content": [{"type": "setHtml", "selector": "h1", "content": "x"}]}]
    }"#;

    fn decide(request: &Value) -> Decision {
        let offers = Offers::parse(FILE).unwrap();
        offers.decide(&Question { request, client: "acme", session_id: "s" }).unwrap()
    }

    #[test]
    fn execute_has_no_event_tokens() {
        let decision = decide(&json!({"execute": {"pageLoad": {}, "mboxes": [
            {"index": 3, "name": "hero"}, {"index": 4, "name": "nobody"}, {"index": 5, "name": "a4t"}]}}));
        assert_eq!(decision.prefetch, None);
        let execute = decision.execute.unwrap();
        assert_eq!(
            execute["mboxes"][0],
            json!({"index": 3, "name": "hero", "options": [
                {"type": "html", "content": "<b>x</b>", "responseTokens": {"activity.id": 1}}]})
        );
        assert_eq!(execute["mboxes"][1], json!({"index": 4, "name": "nobody"}));
        assert_eq!(execute["mboxes"][2]["options"].as_array().unwrap().len(), 1, "a blank option is nothing to show");
        assert_eq!(execute["mboxes"][2]["analytics"]["payload"]["pe"], "tnt");
        assert_eq!(execute["pageLoad"]["options"][0]["type"], "actions");
    }

    #[test]
    fn prefetch_has_event_tokens_and_views() {
        let decision =
            decide(&json!({"prefetch": {"mboxes": [{"index": 0, "name": "hero"}, {"index": 1, "name": "a4t"}],
            "views": [{}]}}));
        let prefetch = decision.prefetch.unwrap();
        assert_eq!(prefetch["mboxes"][0]["options"][0]["eventToken"], "tok");
        let made = prefetch["mboxes"][1]["options"][0]["eventToken"].as_str().unwrap();
        assert_eq!(made.len(), 16);
        assert_eq!(prefetch["mboxes"][1]["options"][1]["eventToken"], "blank");
        assert_eq!(prefetch["views"][0]["name"], "home");
        assert_eq!(prefetch["views"][1], json!({"name": "cart", "key": "k"}));
        let one = decide(&json!({"prefetch": {"views": [{"name": "cart"}, {"name": "none"}]}})).prefetch.unwrap();
        assert_eq!(one["views"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn mistakes_are_named_by_path() {
        for (text, part) in [
            ("[]", "an object is expected"),
            (r#"{"mbox": {}}"#, "mbox: unknown"),
            (r#"{"mboxes": {"a": 1}}"#, "mboxes.a: a list"),
            (r#"{"mboxes": {"a": [{"type": "htm"}]}}"#, "mboxes.a.options[0].type: one of"),
            (r#"{"pageLoad": [{"type": "actions", "content": "x"}]}"#, "pageLoad.options[0].content"),
            (r#"{"views": {"v": {"option": []}}}"#, "views.v.option: unknown"),
            (r#"{"geo": {"default": 1}}"#, "geo.default"),
        ] {
            let error = Offers::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
