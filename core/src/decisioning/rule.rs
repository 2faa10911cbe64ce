//! One rule of an artifact, ready to be evaluated and answered: its condition as an expression, its options and metrics
//! as finished JSON in which only the holes for macros are open.

use std::ops::Range;

use super::artifact::{Bad, array_member, object_member};
use super::logic::{self, Expr, Paths};
use super::macros;
use crate::json::{self, Json, Object};

/// A compiled rule. All its text lies in one pool.
pub(crate) struct Rule {
    pool: Box<str>,
    pub(crate) condition: Expr,
    property_tokens: Box<[Box<str>]>,
    pub(crate) options: Box<[OptionPart]>,
    holes: Box<[Hole]>,
    pub(crate) metrics: Box<[Metric]>,
    audiences: Box<[Span]>,
    key: Span,
    condition_text: Span,
    activity: Span,
    name: Option<Span>,
    /// `consequence.name` as JSON.
    name_json: Option<Span>,
    location_name: Option<Span>,
    /// Members of the consequence that this library does not know, each after a comma.
    extra: Span,
    tokens: Span,
    facts: Facts,
}

/// What a trace tells about an activity, as JSON.
struct Facts {
    activity_id: Option<Span>,
    activity_type: Option<Span>,
    experience_id: Option<Span>,
    offer_id: Option<Span>,
}

/// An option: its members except `eventToken` and `responseTokens`, without braces.
pub(crate) struct OptionPart {
    body: Span,
    holes: (u32, u32),
    event_token: Option<Span>,
    /// What prefetch returns: the own token, else that of the display metric at the same place.
    prefetch_token: Option<Span>,
    /// Without type and content: nothing to show when executed.
    pub(crate) blank: bool,
}

/// A metric as JSON.
pub(crate) struct Metric {
    json: Span,
    pub(crate) is_click: bool,
    event_token: Option<Span>,
}

/// A macro whose value is known only when deciding.
struct Hole {
    at: Span,
    key: Box<str>,
}

/// A part of the pool.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

/// Members of `meta` that may be given as response tokens, in the order in which they are written.
const META_TOKENS: [&str; 12] = [
    "activity.id",
    "activity.name",
    "activity.type",
    "experience.id",
    "experience.name",
    "location.id",
    "location.name",
    "location.type",
    "offer.id",
    "offer.name",
    "option.id",
    "option.name",
];

impl Rule {
    /// Compiles a rule; `response_tokens` is the artifact's list of allowed tokens.
    pub(crate) fn compile(rule: &Json<'_>, response_tokens: &[String], paths: &mut Paths) -> Result<Rule, Bad> {
        let rule = rule.as_object().ok_or_else(|| Bad::not("an object", rule))?;
        let meta = object_member(rule, "meta")?;
        let consequence = object_member(rule, "consequence")?;
        let mut pool = Pool::default();
        let condition = rule.get("condition").unwrap_or(&Json::Null);
        let activity = meta
            .and_then(|meta| meta.get("activity.id"))
            .filter(|id| !id.is_null())
            .or_else(|| rule.get("activityId"))
            .and_then(macros::text)
            .unwrap_or_default();
        let name = consequence.and_then(|consequence| consequence.get("name")).filter(|name| !name.is_null());
        let metrics = metrics(consequence, &mut pool)?;
        let mut holes = Vec::new();
        let options = options(consequence, meta, &metrics, &mut pool, &mut holes)?;
        let fact = |pool: &mut Pool, name: &str| meta.and_then(|meta| meta.get(name)).map(|value| pool.json(value));
        let compiled = Rule {
            condition: logic::compile(condition, paths),
            condition_text: pool.json(condition),
            property_tokens: property_tokens(rule)?,
            key: pool.text(&rule.get("ruleKey").and_then(macros::text).unwrap_or_default()),
            activity: pool.text(&activity),
            name: name.and_then(macros::text).map(|name| pool.text(&name)),
            name_json: name.map(|name| pool.json(name)),
            location_name: meta
                .and_then(|meta| meta.get("location.name"))
                .and_then(macros::text)
                .map(|name| pool.text(&name)),
            extra: extra(consequence, &mut pool),
            tokens: tokens(meta, response_tokens, &mut pool),
            facts: Facts {
                activity_id: fact(&mut pool, "activity.id"),
                activity_type: fact(&mut pool, "activity.type"),
                experience_id: fact(&mut pool, "experience.id"),
                offer_id: fact(&mut pool, "offer.id"),
            },
            audiences: match meta.and_then(|meta| meta.get("audience.ids")) {
                Some(Json::Array(ids)) => ids.iter().map(|id| pool.json(id)).collect(),
                _ => Box::default(),
            },
            options,
            holes: holes.into(),
            metrics: metrics.into(),
            pool: Box::default(),
        };
        Ok(Rule { pool: pool.0.into(), ..compiled })
    }

    fn get(&self, span: Span) -> &str {
        self.pool.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// What rules of one run are told apart by.
    pub(crate) fn key(&self) -> &str {
        self.get(self.key)
    }

    /// The activity, as it enters the allocation.
    pub(crate) fn activity(&self) -> &str {
        self.get(self.activity)
    }

    /// The location that the rule answers for.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.map(|name| self.get(name))
    }

    /// [`Rule::name`] as JSON.
    pub(crate) fn name_json(&self) -> Option<&str> {
        self.name_json.map(|name| self.get(name))
    }

    /// `meta["location.name"]`.
    pub(crate) fn location_name(&self) -> Option<&str> {
        self.location_name.map(|name| self.get(name))
    }

    /// The condition as JSON.
    pub(crate) fn condition_text(&self) -> &str {
        self.get(self.condition_text)
    }

    /// Unknown members of the consequence, each after a comma.
    pub(crate) fn extra(&self) -> &str {
        self.get(self.extra)
    }

    /// The response tokens that do not depend on the visitor, without braces.
    pub(crate) fn tokens(&self) -> &str {
        self.get(self.tokens)
    }

    /// Ids of the audiences, each as JSON.
    pub(crate) fn audiences(&self) -> impl Iterator<Item = &str> {
        self.audiences.iter().map(|id| self.get(*id))
    }

    /// `activity.id` as JSON.
    pub(crate) fn activity_id(&self) -> Option<&str> {
        self.facts.activity_id.map(|span| self.get(span))
    }

    /// `activity.type` as JSON.
    pub(crate) fn activity_type(&self) -> Option<&str> {
        self.facts.activity_type.map(|span| self.get(span))
    }

    /// `experience.id` as JSON.
    pub(crate) fn experience_id(&self) -> Option<&str> {
        self.facts.experience_id.map(|span| self.get(span))
    }

    /// `offer.id` as JSON.
    pub(crate) fn offer_id(&self) -> Option<&str> {
        self.facts.offer_id.map(|span| self.get(span))
    }

    /// The option's event token as JSON.
    pub(crate) fn event_token(&self, option: &OptionPart) -> Option<&str> {
        option.event_token.map(|token| self.get(token))
    }

    /// The event token that prefetch returns with the option, as JSON.
    pub(crate) fn prefetch_token(&self, option: &OptionPart) -> Option<&str> {
        option.prefetch_token.map(|token| self.get(token))
    }

    /// A metric as JSON.
    pub(crate) fn metric_json(&self, metric: &Metric) -> &str {
        self.get(metric.json)
    }

    /// A metric's event token as JSON.
    pub(crate) fn metric_token(&self, metric: &Metric) -> Option<&str> {
        metric.event_token.map(|token| self.get(token))
    }

    /// Whether the rule belongs to the property of a request. Rules without properties belong to all.
    pub(crate) fn belongs_to(&self, property: Option<&str>) -> bool {
        self.property_tokens.is_empty()
            || property.is_some_and(|token| self.property_tokens.iter().any(|known| **known == *token))
    }

    /// Writes the members of an option; `value` appends the escaped value of a macro, or says that there is none.
    pub(crate) fn write_option(
        &self,
        option: &OptionPart,
        out: &mut String,
        mut value: impl FnMut(&str, &mut String) -> bool,
    ) {
        let mut from = option.body.start;
        let holes = self.holes.get(option.holes.0 as usize..option.holes.1 as usize).unwrap_or(&[]);
        for hole in holes {
            out.push_str(self.get(Span { start: from, end: hole.at.start }));
            from = if value(&hole.key, out) { hole.at.end } else { hole.at.start };
        }
        out.push_str(self.get(Span { start: from, end: option.body.end }));
    }

    /// Whether the option has members other than its tokens.
    pub(crate) fn has_members(&self, option: &OptionPart) -> bool {
        option.body.start < option.body.end
    }
}

/// The text of a rule while it is collected. An artifact is checked to be shorter than 4 GiB.
#[derive(Default)]
struct Pool(String);

impl Pool {
    fn mark(&self) -> u32 {
        self.0.len() as u32
    }

    fn since(&self, start: u32) -> Span {
        Span { start, end: self.mark() }
    }

    fn text(&mut self, text: &str) -> Span {
        let start = self.mark();
        self.0.push_str(text);
        self.since(start)
    }

    fn json(&mut self, value: &Json<'_>) -> Span {
        let start = self.mark();
        value.write(&mut self.0);
        self.since(start)
    }

    /// `"key":`, after a comma unless it is the first since `start`.
    fn member(&mut self, start: u32, key: &str) {
        if self.mark() > start {
            self.0.push(',');
        }
        json::write_str(&mut self.0, key);
        self.0.push(':');
    }
}

fn property_tokens(rule: &Object<'_>) -> Result<Box<[Box<str>]>, Bad> {
    let tokens = array_member(rule, "propertyTokens")?;
    // A token of another type is none that a request can have; left out, it would open the rule to everybody.
    Ok(tokens.iter().map(|token| token.as_str().map_or_else(|| token.to_string().into(), Box::from)).collect())
}

fn metrics(consequence: Option<&Object<'_>>, pool: &mut Pool) -> Result<Vec<Metric>, Bad> {
    let Some(consequence) = consequence else { return Ok(Vec::new()) };
    let metrics = array_member(consequence, "metrics").map_err(|bad| bad.inside("consequence"))?;
    Ok(metrics
        .iter()
        .map(|metric| Metric {
            json: pool.json(metric),
            is_click: metric.get("type").and_then(Json::as_str) == Some("click"),
            event_token: metric.get("eventToken").filter(|token| !token.is_null()).map(|token| pool.json(token)),
        })
        .collect())
}

fn options(
    consequence: Option<&Object<'_>>,
    meta: Option<&Object<'_>>,
    metrics: &[Metric],
    pool: &mut Pool,
    holes: &mut Vec<Hole>,
) -> Result<Box<[OptionPart]>, Bad> {
    let Some(consequence) = consequence else { return Ok(Box::default()) };
    let options = array_member(consequence, "options").map_err(|bad| bad.inside("consequence"))?;
    let display_token = |index: usize| {
        let metric = array_member(consequence, "metrics").ok()?.get(index)?;
        let is_display = metric.get("type").and_then(Json::as_str) == Some("display");
        metrics.get(index).filter(|_| is_display)?.event_token
    };
    options
        .iter()
        .enumerate()
        .map(|(index, option)| {
            let option = option.as_object().ok_or_else(|| {
                Bad::not("an object", option).inside(&index.to_string()).inside("options").inside("consequence")
            })?;
            let first_hole = holes.len() as u32;
            let body = option_body(option, meta, pool, holes);
            let event_token = option.get("eventToken").filter(|token| !token.is_null()).map(|token| pool.json(token));
            Ok(OptionPart {
                body,
                holes: (first_hole, holes.len() as u32),
                event_token,
                prefetch_token: event_token.or_else(|| display_token(index)),
                blank: option.get("type").is_none() && option.get("content").is_none(),
            })
        })
        .collect()
}

fn option_body(option: &Object<'_>, meta: Option<&Object<'_>>, pool: &mut Pool, holes: &mut Vec<Hole>) -> Span {
    let kind = option.get("type").and_then(Json::as_str);
    let start = pool.mark();
    for (key, value) in option.iter().filter(|(key, _)| !matches!(*key, "eventToken" | "responseTokens")) {
        pool.member(start, key);
        match (key, kind, value) {
            ("content", Some("html"), Json::String(content)) => template(content, meta, pool, holes),
            ("content", Some("actions"), Json::Array(actions)) => {
                pool.0.push('[');
                for (at, action) in actions.iter().enumerate() {
                    if at > 0 {
                        pool.0.push(',');
                    }
                    write_action(action, meta, pool, holes);
                }
                pool.0.push(']');
            }
            (_, _, value) => value.write(&mut pool.0),
        }
    }
    pool.since(start)
}

fn write_action(action: &Json<'_>, meta: Option<&Object<'_>>, pool: &mut Pool, holes: &mut Vec<Hole>) {
    let Json::Object(action) = action else { return action.write(&mut pool.0) };
    pool.0.push('{');
    let start = pool.mark();
    for (key, value) in action.iter() {
        pool.member(start, key);
        match (key, value) {
            ("content", Json::String(content)) => template(content, meta, pool, holes),
            (_, value) => value.write(&mut pool.0),
        }
    }
    pool.0.push('}');
}

/// Writes text with macros as a JSON string. What the rule itself knows is filled in now, the rest becomes holes.
fn template(content: &str, meta: Option<&Object<'_>>, pool: &mut Pool, holes: &mut Vec<Hole>) {
    pool.0.push('"');
    let mut done = 0;
    let piece = |range: Range<usize>| content.get(range).unwrap_or("");
    for (place, name) in macros::find(content) {
        json::write_escaped(&mut pool.0, piece(done..place.start));
        done = place.end;
        let key = macros::key(name);
        let start = pool.mark();
        match meta.and_then(|meta| meta.get(&key)).map(macros::replacement) {
            Some(value) => json::write_escaped(&mut pool.0, &value),
            None => {
                json::write_escaped(&mut pool.0, piece(place));
                holes.push(Hole { at: pool.since(start), key: key.into() });
            }
        }
    }
    json::write_escaped(&mut pool.0, piece(done..content.len()));
    pool.0.push('"');
}

fn extra(consequence: Option<&Object<'_>>, pool: &mut Pool) -> Span {
    let start = pool.mark();
    for (key, value) in consequence.into_iter().flat_map(Object::iter) {
        if !matches!(key, "name" | "options" | "metrics" | "index" | "trace") {
            pool.0.push(',');
            json::write_str(&mut pool.0, key);
            pool.0.push(':');
            value.write(&mut pool.0);
        }
    }
    pool.since(start)
}

fn tokens(meta: Option<&Object<'_>>, allowed: &[String], pool: &mut Pool) -> Span {
    let start = pool.mark();
    for name in META_TOKENS.iter().filter(|name| allowed.iter().any(|allowed| allowed == *name)) {
        if let Some(value) = meta.and_then(|meta| meta.get(name)) {
            pool.member(start, name);
            value.write(&mut pool.0);
        }
    }
    pool.member(start, "activity.decisioningMethod");
    pool.0.push_str("\"on-device\"");
    pool.since(start)
}
