//! What was evaluated and why: collected only when a request asks for a trace.

use std::collections::HashMap;

use super::context::{Context, RuleData};
use super::logic::Data;
use super::page_url::Part;
use super::rule::Rule;
use crate::date;
use crate::json::{self, Json, Object};

/// Where the artifact came from, for traces.
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceSource<'a> {
    /// URL of the artifact; `Not Applicable` when it was configured as a payload.
    pub artifact_location: &'a str,
    /// Milliseconds between polls; 0 when there are none.
    pub polling_interval: u64,
    /// Whether polling has been stopped.
    pub polling_halted: bool,
    /// How many times the artifact was retrieved.
    pub retrieval_count: u64,
    /// When it was last retrieved, in milliseconds since the epoch.
    pub last_retrieved_ms: Option<i64>,
}

/// The artifact's `meta` as traces show it.
pub(crate) struct ArtifactMeta {
    /// Its members, each after a comma.
    members: String,
    environment: Option<String>,
}

impl ArtifactMeta {
    pub(crate) fn new(meta: Object<'_>) -> ArtifactMeta {
        let mut members = String::new();
        for (key, value) in meta.iter() {
            member(&mut members, key, |out| value.write(out));
        }
        ArtifactMeta { members, environment: meta.get("environment").map(Json::to_string) }
    }
}

/// `,"key":` and what `value` writes.
fn member(out: &mut String, key: &str, value: impl FnOnce(&mut String)) {
    out.push(',');
    json::write_str(out, key);
    out.push(':');
    value(out);
}

fn optional(out: &mut String, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        member(out, key, |out| out.push_str(value));
    }
}

/// The members of a trace that are the same throughout a decision: `clientCode`, `artifact` and `profile`.
pub(crate) fn head(
    client: &str,
    version: &str,
    meta: &ArtifactMeta,
    source: &TraceSource<'_>,
    id: &Object<'_>,
) -> String {
    let mut out = String::from("\"clientCode\":");
    json::write_str(&mut out, client);
    out.push_str(",\"artifact\":{\"artifactLocation\":");
    json::write_str(&mut out, source.artifact_location);
    member(&mut out, "pollingInterval", |out| out.push_str(&source.polling_interval.to_string()));
    member(&mut out, "pollingHalted", |out| out.push_str(if source.polling_halted { "true" } else { "false" }));
    member(&mut out, "artifactVersion", |out| json::write_str(out, version));
    member(&mut out, "artifactRetrievalCount", |out| out.push_str(&source.retrieval_count.to_string()));
    if let Some(ms) = source.last_retrieved_ms {
        member(&mut out, "artifactLastRetrieved", |out| json::write_str(out, &date::iso(ms)));
    }
    out.push_str(&meta.members);
    out.push_str("},\"profile\":{\"visitorId\":");
    let mut visitor = id.clone();
    if let Some((tnt_id, location)) = id.get("tntId").and_then(Json::as_str).and_then(|id| id.split_once('.')) {
        visitor.set("tntId", tnt_id);
        visitor.set("profileLocation", location.split('.').next().unwrap_or(""));
    }
    visitor.write(&mut out);
    out.push('}');
    out
}

/// The trace of one mode of a request. It grows from item to item: a later item's trace contains what came before.
pub(crate) struct Tracer<'t, 'a> {
    head: &'t str,
    mode: &'static str,
    session_id: &'t str,
    environment: Option<&'t str>,
    /// `request` of the current item.
    request: String,
    campaigns: Vec<Campaign<'a>>,
    campaign_places: HashMap<&'a str, usize>,
    targets: Vec<Target<'a>>,
    target_places: HashMap<&'a str, usize>,
    /// Evaluations that do not belong to a trace yet.
    pending: Vec<(&'a Rule, bool, String)>,
}

/// An activity that matched.
struct Campaign<'a> {
    rule: &'a Rule,
    notifications: Vec<String>,
}

/// An activity that was evaluated.
struct Target<'a> {
    rule: &'a Rule,
    context: String,
    segments: Outcomes<'a>,
    conditions: Outcomes<'a>,
}

/// What held and what did not, each as JSON.
#[derive(Default)]
struct Outcomes<'a> {
    matched: Vec<&'a str>,
    unmatched: Vec<&'a str>,
}

impl<'a> Outcomes<'a> {
    fn of(&mut self, matched: bool) -> &mut Vec<&'a str> {
        if matched { &mut self.matched } else { &mut self.unmatched }
    }
}

impl<'t, 'a> Tracer<'t, 'a> {
    pub(crate) fn new(
        head: &'t str,
        mode: &'static str,
        session_id: &'t str,
        meta: &'t ArtifactMeta,
    ) -> Tracer<'t, 'a> {
        Tracer {
            head,
            mode,
            session_id,
            environment: meta.environment.as_deref(),
            request: String::new(),
            campaigns: Vec::new(),
            campaign_places: HashMap::new(),
            targets: Vec::new(),
            target_places: HashMap::new(),
            pending: Vec::new(),
        }
    }

    /// Goes on to an item. `kind` is `mbox` or `view`, `name` replaces the item's own.
    pub(crate) fn item(&mut self, kind: &str, item: &Object<'_>, name: Option<&str>, context: &Context<'_>) {
        let mut described = item.clone();
        if let Some(name) = name {
            described.set("name", name);
        }
        described.set("type", self.mode);
        self.request.clear();
        let out = &mut self.request;
        out.push_str("{\"sessionId\":");
        json::write_str(out, self.session_id);
        member(out, "pageURL", |out| json::write_str(out, &context.page.part(Part::Url)));
        member(out, "host", |out| json::write_str(out, &context.page.part(Part::Domain)));
        member(out, kind, |out| described.write(out));
        out.push('}');
    }

    /// Notes the outcome of a rule. It shows in traces after the next [`Tracer::commit`].
    pub(crate) fn evaluated(&mut self, rule: &'a Rule, matched: bool, data: &mut RuleData<'_, '_, 'a>) {
        let mut context = String::new();
        if !self.target_places.contains_key(rule.activity()) {
            data.whole().write(&mut context);
        }
        self.pending.push((rule, matched, context));
    }

    /// Lets what was evaluated show in traces from now on.
    pub(crate) fn commit(&mut self) {
        for (rule, matched, context) in self.pending.drain(..) {
            let place = *self.target_places.entry(rule.activity()).or_insert_with(|| {
                let (segments, conditions) = (Outcomes::default(), Outcomes::default());
                self.targets.push(Target { rule, context, segments, conditions });
                self.targets.len() - 1
            });
            let Some(target) = self.targets.get_mut(place) else { continue };
            target.conditions.of(matched).push(rule.condition_text());
            let segments = target.segments.of(matched);
            for id in rule.audiences() {
                if !segments.contains(&id) {
                    segments.push(id);
                }
            }
        }
    }

    /// Notes that a rule's content was chosen, with the notification about it.
    pub(crate) fn matched(&mut self, rule: &'a Rule, notification: Option<&str>) {
        let place = *self.campaign_places.entry(rule.activity()).or_insert_with(|| {
            self.campaigns.push(Campaign { rule, notifications: Vec::new() });
            self.campaigns.len() - 1
        });
        if let Some(campaign) = self.campaigns.get_mut(place) {
            campaign.notifications.extend(notification.map(str::to_owned));
        }
    }

    /// The trace up to here.
    pub(crate) fn render(&self) -> String {
        let mut out = String::with_capacity(1024);
        out.push('{');
        out.push_str(self.head);
        member(&mut out, "request", |out| out.push_str(&self.request));
        out.push_str(",\"campaigns\":[");
        for (at, campaign) in self.campaigns.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            let rule = campaign.rule;
            out.push_str("{\"id\":");
            out.push_str(rule.activity_id().unwrap_or("null"));
            optional(&mut out, "campaignType", rule.activity_type());
            optional(&mut out, "branchId", rule.experience_id());
            member(&mut out, "offers", |out| list(out, rule.offer_id()));
            optional(&mut out, "environment", self.environment);
            if self.mode == "execute" {
                member(&mut out, "notifications", |out| list(out, campaign.notifications.iter().map(String::as_str)));
            }
            out.push('}');
        }
        out.push_str("],\"evaluatedCampaignTargets\":[");
        for (at, target) in self.targets.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            out.push_str("{\"context\":");
            out.push_str(&target.context);
            optional(&mut out, "campaignId", target.rule.activity_id());
            optional(&mut out, "campaignType", target.rule.activity_type());
            for (key, items) in [
                ("matchedSegmentIds", &target.segments.matched),
                ("unmatchedSegmentIds", &target.segments.unmatched),
                ("matchedRuleConditions", &target.conditions.matched),
                ("unmatchedRuleConditions", &target.conditions.unmatched),
            ] {
                member(&mut out, key, |out| list(out, items.iter().copied()));
            }
            out.push('}');
        }
        out.push_str("]}");
        out
    }
}

/// A JSON array of finished elements.
fn list<'i>(out: &mut String, items: impl IntoIterator<Item = &'i str>) {
    out.push('[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(item);
    }
    out.push(']');
}
