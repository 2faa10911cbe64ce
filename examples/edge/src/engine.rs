//! Decides from the rules artifact, as an SDK does on its device: whoever asks, a visitor gets the same experience.
//!
//! What the artifact holds no rules for is answered from the offers file.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value};
use target_sdk_core::artifact::GeoAnswer;
use target_sdk_core::decisioning::{Input, IpToLookUp, Ruleset, TraceSource, decide, merge_geo, needs_geo_lookup};
use target_sdk_core::env::{Clock, SystemClock, SystemRandom};
use target_sdk_core::json::{self, Json, Limits, Object};

use crate::artifact::Artifact;
use crate::decider::{Decider, Decision, Question};
use crate::geo;
use crate::offers::{Offers, present};

/// The engine, and the names that it has rules for.
pub(crate) struct Engine {
    rules: Ruleset,
    mboxes: HashSet<String>,
    views: HashSet<String>,
}

impl Engine {
    /// Compiles an artifact; the error says why it cannot be decided with.
    pub(crate) fn compile(text: &str, artifact: &Value) -> Result<Engine, String> {
        let names = |kind: &str| {
            let groups = artifact.get("rules").and_then(|rules| rules.get(kind)).and_then(Value::as_object);
            groups.into_iter().flatten().map(|(name, _)| name.clone()).collect()
        };
        let rules = Ruleset::compile(text).map_err(|error| error.to_string())?;
        Ok(Engine { rules, mboxes: names("mboxes"), views: names("views") })
    }

    /// The request as the engine reads it, with the visitor's place as an edge finds it.
    fn request<'t>(&self, text: &'t str, offers: &Offers) -> Result<Object<'t>, String> {
        let request = json::parse(text, &Limits::REMOTE).map_err(|error| error.to_string())?;
        let Json::Object(mut request) = request else { return Err("the request is no object".to_owned()) };
        let asked = request.get("context").and_then(|context| context.get("geo"));
        let address = match needs_geo_lookup(&self.rules, asked) {
            None => return Ok(request),
            Some(IpToLookUp::Address(address)) => Some(address),
            Some(IpToLookUp::Unknown) => None,
        };
        let place = Value::Object(geo::place(offers, address, std::net::Ipv4Addr::LOCALHOST.into())).to_string();
        let told = json::parse(&place, &Limits::REMOTE).map_err(|error| error.to_string())?;
        let place = GeoAnswer::read(Some(&told), |_| None).json;
        let place = json::parse(&place, &Limits::REMOTE).map_err(|error| error.to_string())?;
        let merged = merge_geo(asked, Some(&place));
        if let Some(Json::Object(context)) = request.get_mut("context") {
            context.set("geo", merged);
        }
        Ok(request)
    }

    fn decide(&self, question: &Question<'_>, offers: &Offers) -> Result<Decision, String> {
        let text = question.request.to_string();
        let request = self.request(&text, offers)?;
        let decision = decide(
            &self.rules,
            &Input {
                client: question.client,
                request: &request,
                session_id: question.session_id,
                location_hint: None,
                now_ms: SystemClock.now_ms(),
                random: &SystemRandom,
                all_matching_rules_mboxes: &[],
                trace: TraceSource { artifact_location: "Not Applicable", ..TraceSource::default() },
            },
        );
        let mut response: Map<String, Value> =
            serde_json::from_str(&decision.response).map_err(|error| format!("the engine's answer: {error}"))?;
        let mut section = |key: &str| response.remove(key).map(as_server_side);
        let (mut execute, prefetch) = (section("execute"), section("prefetch"));
        // The Delivery API has no views in `execute`.
        if let Some(execute) = execute.as_mut().and_then(Value::as_object_mut) {
            execute.shift_remove("views");
        }
        Ok(Decision { execute, prefetch })
    }

    /// Puts in what only the offers file knows.
    fn complete(&self, mut mine: Value, theirs: Value) -> Value {
        let (Some(section), Value::Object(mut theirs)) = (mine.as_object_mut(), theirs) else { return mine };
        if !self.mboxes.contains(self.rules.global_mbox())
            && let Some(page_load) = theirs.remove("pageLoad")
        {
            section.insert("pageLoad".to_owned(), page_load);
        }
        let mut list = |key: &str| match theirs.remove(key) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        };
        let (mboxes, views) = (list("mboxes"), list("views"));
        if let Some(answers) = section.get_mut("mboxes").and_then(Value::as_array_mut) {
            let unknown = |item: &&mut Value| !name(item).is_some_and(|name| self.mboxes.contains(name));
            for answer in answers.iter_mut().filter(unknown) {
                let same = |item: &&Value| ["name", "index"].iter().all(|key| item.get(key) == answer.get(key));
                if let Some(item) = mboxes.iter().find(same) {
                    *answer = item.clone();
                }
            }
        }
        if let Some(answers) = section.get_mut("views").and_then(Value::as_array_mut) {
            let unknown = |item: &Value| name(item).is_some_and(|name| !self.views.contains(name));
            answers.extend(views.into_iter().filter(unknown));
        }
        mine
    }
}

fn name(item: &Value) -> Option<&str> {
    item.get("name").and_then(Value::as_str)
}

/// Response tokens say where a decision was made.
fn as_server_side(mut section: Value) -> Value {
    for (kind, items) in section.as_object_mut().into_iter().flatten() {
        let items: Vec<&mut Value> = match items {
            Value::Array(items) => items.iter_mut().collect(),
            item if kind == "pageLoad" => vec![item],
            _ => continue,
        };
        let options = items.into_iter().filter_map(|item| item.get_mut("options")?.as_array_mut()).flatten();
        for tokens in options.filter_map(|option| option.get_mut("responseTokens")) {
            if let Some(method) = tokens.get_mut("activity.decisioningMethod") {
                *method = "server-side".into();
            }
        }
    }
    section
}

/// An artifact, and the offers for what it does not know.
pub(crate) struct ByRules {
    pub(crate) artifact: Arc<Artifact>,
    pub(crate) offers: Arc<Offers>,
}

impl Decider for ByRules {
    fn decide(&self, question: &Question<'_>) -> Result<Decision, String> {
        let theirs = self.offers.decide(question)?;
        let Some(engine) = &self.artifact.engine else { return Ok(theirs) };
        let mine = engine.decide(question, &self.offers)?;
        let both = |mine: Option<Value>, theirs: Option<Value>| match (mine, theirs) {
            (Some(mine), Some(theirs)) => Some(engine.complete(mine, theirs)),
            (mine, theirs) => mine.or(theirs),
        };
        Ok(Decision {
            // A null in the request counts as absent.
            execute: both(mine.execute, theirs.execute).filter(|_| present(question.request, "execute").is_some()),
            prefetch: both(mine.prefetch, theirs.prefetch).filter(|_| present(question.request, "prefetch").is_some()),
        })
    }
}
