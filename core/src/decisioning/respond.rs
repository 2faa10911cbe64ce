//! Rules in, response out: which rules match each item of a request, and the JSON that says so.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use super::coerce::to_boolean;
use super::context::{Context, Item, RuleData};
use super::identity::Identity;
use super::logic::{Evaluator, Fuel};
use super::macros;
use super::notifications::Notifications;
use super::rule::Rule;
use super::trace::{self, Tracer};
use super::{Decision, Input, Ruleset};
use crate::json::{self, Json, Object};

/// How an item's content will be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Now: notifications are made, blank options and event tokens are left out.
    Execute,
    /// Later, by the application, which needs the event tokens.
    Prefetch,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Execute => "execute",
            Mode::Prefetch => "prefetch",
        }
    }
}

/// What the envelope lists of one mode, by the kind of item.
#[derive(Default)]
struct Lists {
    page_load: Extras,
    mboxes: Extras,
    views: Extras,
}

#[derive(Default)]
struct Extras {
    tokens: Vec<String>,
    traces: Vec<String>,
}

/// What changes while a decision is made.
struct State<'a> {
    fuel: Fuel,
    notifications: Notifications<'a>,
}

/// What stays the same.
struct Decider<'a> {
    rules: &'a Ruleset,
    input: &'a Input<'a>,
    context: Context<'a>,
    property: Option<&'a str>,
    geo_tokens: String,
}

/// The request item that content is for, as macros see it.
struct Target<'a> {
    item: &'a Object<'a>,
    /// The name that stands for the item's own.
    name: Option<&'a str>,
}

impl Target<'_> {
    /// Appends the escaped value of a macro that the rule itself could not fill.
    fn fill(&self, rule: &Rule, key: &str, out: &mut String) -> bool {
        let parameters = self.item.get("parameters");
        let own = || self.item.get(key).map(macros::replacement);
        let value = match self.name.filter(|_| key == "name") {
            Some(name) => Some(Cow::Borrowed(name)),
            None => own(),
        };
        let value = value
            .or_else(|| parameters.and_then(|parameters| parameters.get(key)).map(macros::replacement))
            .or_else(|| rule.location_name().filter(|_| key == "name").map(Cow::Borrowed));
        match value {
            Some(value) => {
                json::write_escaped(out, &value);
                true
            }
            None => false,
        }
    }
}

/// Decides `input.request` by `rules`: pure, deterministic but for ids, and safe for any input.
pub fn decide(rules: &Ruleset, input: &Input<'_>) -> Decision {
    decide_for(rules, input)
}

fn decide_for<'a>(rules: &'a Ruleset, input: &'a Input<'a>) -> Decision {
    let request = input.request;
    let Identity { id, visitor } = Identity::new(input);
    let property = request.get("property").and_then(|property| property.get("token")).and_then(Json::as_str);
    let context = Context::new(input.client, visitor, request.get("context"), input.now_ms);
    let geo_tokens = context.geo_tokens(&rules.geo_tokens);
    let property = property.filter(|token| !token.is_empty());
    let decider = Decider { rules, input, context, property, geo_tokens };
    let mut state = State { fuel: Fuel::FULL, notifications: Notifications::new(input.now_ms, input.random) };

    let remote = rules.remote_dependency(request);
    let status = if remote.is_empty() { 200 } else { 206 };
    let mut id_json = String::with_capacity(128);
    id.write(&mut id_json);
    let traced = request.get("trace").is_some_and(|trace| !trace.is_null());
    let head = traced.then(|| trace::head(input.client, &rules.version, &rules.meta, &input.trace, &id));

    let mut response = String::with_capacity(1000); // just below where the C library's quick lists end
    response.push_str(if status == 200 { "{\"status\":200,\"requestId\":" } else { "{\"status\":206,\"requestId\":" });
    match request.get("requestId").and_then(Json::as_str).filter(|id| !id.is_empty()) {
        Some(request_id) => json::write_str(&mut response, request_id),
        None => json::write_str(&mut response, &input.random.id()),
    }
    response.push_str(",\"id\":");
    response.push_str(&id_json);
    response.push_str(",\"client\":");
    json::write_str(&mut response, input.client);
    let mut lists = [Lists::default(), Lists::default()];
    for (mode, lists) in [Mode::Execute, Mode::Prefetch].into_iter().zip(&mut lists) {
        if let Some(asked) = request.get(mode.name()).and_then(Json::as_object) {
            let tracer = head.as_deref().map(|head| Tracer::new(head, mode.name(), input.session_id, &rules.meta));
            response.push_str(if mode == Mode::Execute { ",\"execute\":" } else { ",\"prefetch\":" });
            Run { decider: &decider, mode, tracer, state: &mut state }.answer(asked, &mut response, lists);
        }
    }
    response.push('}');
    let (response_tokens, traces) = join(lists);
    let tnt_id = id.get("tntId").and_then(Json::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
    Decision {
        status,
        response,
        remote,
        id: id_json,
        tnt_id,
        notifications: state.notifications.list,
        response_tokens,
        traces,
    }
}

/// The envelope's order: page load before mboxes when executed, and before views and mboxes when prefetched. Views
/// that were executed, which the Delivery API does not know, are not listed.
fn join([execute, prefetch]: [Lists; 2]) -> (Vec<String>, Vec<String>) {
    let mut all = Extras::default();
    for extras in [execute.page_load, execute.mboxes, prefetch.page_load, prefetch.views, prefetch.mboxes] {
        if all.tokens.is_empty() {
            all.tokens = extras.tokens;
        } else {
            all.tokens.extend(extras.tokens);
        }
        all.traces.extend(extras.traces);
    }
    (all.tokens, all.traces)
}

/// One mode of a request.
struct Run<'r, 'a> {
    decider: &'r Decider<'a>,
    mode: Mode,
    tracer: Option<Tracer<'r, 'a>>,
    state: &'r mut State<'a>,
}

/// Commas between elements.
struct Separator(bool);

impl Separator {
    fn write(&mut self, out: &mut String) {
        if self.0 {
            out.push(',');
        }
        self.0 = true;
    }
}

impl<'r, 'a> Run<'r, 'a>
where
    'a: 'r,
{
    fn answer(mut self, asked: &'a Object<'a>, out: &mut String, lists: &mut Lists) {
        out.push('{');
        let mut members = Separator(false);
        if let Some(mboxes) = asked.get("mboxes").and_then(Json::as_array) {
            members.write(out);
            out.push_str("\"mboxes\":[");
            let mut items = Separator(false);
            for mbox in mboxes.iter().filter_map(Json::as_object) {
                self.mbox(mbox, out, &mut items, &mut lists.mboxes);
            }
            out.push(']');
        }
        if let Some(views) = asked.get("views").and_then(Json::as_array) {
            members.write(out);
            out.push_str("\"views\":[");
            let mut items = Separator(false);
            for view in views.iter().filter_map(Json::as_object) {
                self.view(view, out, &mut items, &mut lists.views);
            }
            out.push(']');
        }
        if let Some(page_load) = asked.get("pageLoad").and_then(Json::as_object) {
            members.write(out);
            out.push_str("\"pageLoad\":");
            self.page_load(page_load, out, &mut lists.page_load);
        }
        out.push('}');
    }

    fn item(&mut self, kind: &str, item: &'a Object<'a>, name: Option<&str>) -> Item<'r, 'a> {
        let decider = self.decider;
        if let Some(tracer) = &mut self.tracer {
            tracer.item(kind, item, name, &decider.context);
        }
        let data = Item::new(&decider.context, item);
        if data.conflict {
            log::debug!(target: "target_sdk::decisioning", "a dotted parameter name meets one that is taken: the first one counts");
        }
        data
    }

    /// Whether a rule matches. A rule that cannot be evaluated does not; the first one of an artifact is reported.
    fn satisfied(&mut self, rule: &'a Rule, data: &mut RuleData<'_, '_, 'a>) -> bool {
        data.select(rule.activity());
        let matched = match Evaluator::new(data, &mut self.state.fuel).run(&rule.condition) {
            Ok(value) => to_boolean(&value),
            Err(error) => {
                if !self.decider.rules.reported.swap(true, Ordering::Relaxed) {
                    log::warn!(
                        target: "target_sdk::decisioning",
                        "rule {:?} cannot be evaluated and does not match: {error} (reported once per artifact)", rule.key()
                    );
                }
                false
            }
        };
        if let Some(tracer) = &mut self.tracer {
            tracer.evaluated(rule, matched, data);
        }
        matched
    }

    /// Notification and trace of a rule whose content is given.
    fn chosen(&mut self, rule: &'a Rule, name: &'a str) {
        let notification = match self.mode {
            Mode::Execute => self.state.notifications.display(rule, name),
            Mode::Prefetch => None,
        };
        if let Some(tracer) = &mut self.tracer {
            tracer.commit();
            tracer.matched(rule, notification);
        }
    }

    fn trace(&mut self, out: &mut String, extras: &mut Extras) {
        if let Some(tracer) = &mut self.tracer {
            tracer.commit();
            write_trace(tracer.render(), out, extras);
        }
    }

    fn mbox(&mut self, mbox: &'a Object<'a>, out: &mut String, items: &mut Separator, extras: &mut Extras) {
        let rules = self.decider.rules;
        let name = mbox.get("name").and_then(Json::as_str);
        let is_global = name == Some(rules.global_mbox.as_str());
        let takes_all = is_global
            || name.is_some_and(|name| self.decider.input.all_matching_rules_mboxes.iter().any(|all| all == name));
        let item = self.item("mbox", mbox, None);
        let target = Target { item: mbox, name: None };
        let mut matched = HashSet::new();
        let mut found = false;
        if let Some(group) = name.and_then(|name| rules.mboxes.get(name)) {
            let mut data = RuleData::new(&item, group);
            for rule in group.rules.iter().filter(|rule| rule.belongs_to(self.decider.property)) {
                if (takes_all && matched.contains(rule.key())) || !self.satisfied(rule, &mut data) {
                    continue;
                }
                found = true;
                self.chosen(rule, rule.name().or(name).unwrap_or(""));
                items.write(out);
                self.mbox_answer(rule, &target, out, extras);
                if !takes_all {
                    break;
                }
                matched.insert(rule.key());
            }
        }
        if !found && !is_global {
            items.write(out);
            out.push('{');
            let mut members = Separator(false);
            for key in ["name", "index"] {
                if let Some(value) = mbox.get(key) {
                    members.write(out);
                    json::write_str(out, key);
                    out.push(':');
                    value.write(out);
                }
            }
            if self.tracer.is_some() {
                members.write(out);
                self.trace(out, extras);
            }
            out.push('}');
        }
    }

    fn mbox_answer(&mut self, rule: &'a Rule, target: &Target<'a>, out: &mut String, extras: &mut Extras) {
        out.push('{');
        if let Some(name) = rule.name_json() {
            out.push_str("\"name\":");
            out.push_str(name);
            out.push(',');
        }
        out.push_str("\"options\":[");
        self.options(rule, target, out, &mut Separator(false), extras);
        out.push(']');
        if self.mode == Mode::Execute && rule.metrics.iter().any(|metric| metric.is_click) {
            self.metrics(std::iter::once(rule), out);
        }
        if let Some(index) = target.item.get("index") {
            out.push_str(",\"index\":");
            index.write(out);
        }
        out.push_str(rule.extra());
        if self.tracer.is_some() {
            out.push(',');
            self.trace(out, extras);
        }
        out.push('}');
    }

    /// The options of a rule as this mode returns them.
    fn options(&self, rule: &Rule, target: &Target<'_>, out: &mut String, items: &mut Separator, extras: &mut Extras) {
        let geo_tokens = &self.decider.geo_tokens;
        for option in rule.options.iter().filter(|option| self.mode == Mode::Prefetch || !option.blank) {
            items.write(out);
            out.push('{');
            rule.write_option(option, out, |key, out| target.fill(rule, key, out));
            if rule.has_members(option) {
                out.push(',');
            }
            if self.mode == Mode::Prefetch
                && let Some(token) = rule.prefetch_token(option)
            {
                out.push_str("\"eventToken\":");
                out.push_str(token);
                out.push(',');
            }
            out.push_str("\"responseTokens\":");
            let mut tokens = String::with_capacity(rule.tokens().len() + geo_tokens.len() + 2);
            tokens.push('{');
            tokens.push_str(rule.tokens());
            tokens.push_str(geo_tokens);
            tokens.push('}');
            out.push_str(&tokens);
            out.push('}');
            extras.tokens.push(tokens);
        }
    }

    /// `,"metrics":[…]` with the metrics of `rules` that this mode returns.
    fn metrics(&self, rules: impl Iterator<Item = &'a Rule>, out: &mut String) {
        out.push_str(",\"metrics\":[");
        let mut items = Separator(false);
        for rule in rules {
            for metric in rule.metrics.iter().filter(|metric| self.mode == Mode::Prefetch || metric.is_click) {
                items.write(out);
                out.push_str(rule.metric_json(metric));
            }
        }
        out.push(']');
    }

    fn page_load(&mut self, page_load: &'a Object<'a>, out: &mut String, extras: &mut Extras) {
        let rules = self.decider.rules;
        let name = rules.global_mbox.as_str();
        let item = self.item("mbox", page_load, Some(name));
        let target = Target { item: page_load, name: Some(name) };
        let mut keys = HashSet::new();
        let mut matched: Vec<&'a Rule> = Vec::new();
        if let Some(group) = rules.mboxes.get(name) {
            let mut data = RuleData::new(&item, group);
            for rule in group.rules.iter().filter(|rule| rule.belongs_to(self.decider.property)) {
                if !keys.contains(rule.key()) && self.satisfied(rule, &mut data) {
                    keys.insert(rule.key());
                    self.chosen(rule, name);
                    matched.push(rule);
                }
            }
        }
        out.push_str("{\"options\":[");
        let mut items = Separator(false);
        for rule in &matched {
            self.options(rule, &target, out, &mut items, extras);
        }
        out.push(']');
        if self.mode == Mode::Execute {
            page_load_metrics(&matched, out);
        }
        if let Some(tracer) = &mut self.tracer {
            // The trace is that of the last match; what was evaluated after it shows in the next item's.
            if !matched.is_empty() {
                out.push(',');
                write_trace(tracer.render(), out, extras);
            }
            tracer.commit();
        }
        out.push('}');
    }

    fn view(&mut self, view: &'a Object<'a>, out: &mut String, items: &mut Separator, extras: &mut Extras) {
        let rules = self.decider.rules;
        let name = view.get("name").and_then(Json::as_str).filter(|name| !name.is_empty());
        let groups = match name {
            None => rules.views.as_slice(),
            Some(name) => {
                let group = rules.view_names.get(name).and_then(|place| rules.views.get(*place));
                group.map_or(&[][..], std::slice::from_ref)
            }
        };
        let item = self.item("view", view, None);
        let target = Target { item: view, name: None };
        let mut keys = HashSet::new();
        let mut found: Vec<FoundView<'a>> = Vec::new();
        let mut places: HashMap<Option<&str>, usize> = HashMap::new();
        for group in groups {
            let mut data = RuleData::new(&item, group);
            for rule in group.rules.iter().filter(|rule| rule.belongs_to(self.decider.property)) {
                if keys.contains(rule.key()) || !self.satisfied(rule, &mut data) {
                    continue;
                }
                keys.insert(rule.key());
                self.chosen(rule, rule.name().or(name).unwrap_or(""));
                let place = *places.entry(rule.name()).or_insert(found.len());
                match found.get_mut(place) {
                    Some(view) => view.rules.push(rule),
                    None => {
                        let trace = self.tracer.as_ref().map(Tracer::render);
                        found.push(FoundView { first: rule, rules: vec![rule], trace });
                    }
                }
            }
        }
        for view in found {
            items.write(out);
            self.view_answer(view, &target, out, extras);
        }
        if let Some(tracer) = &mut self.tracer {
            tracer.commit();
        }
    }

    fn view_answer(&mut self, view: FoundView<'a>, target: &Target<'a>, out: &mut String, extras: &mut Extras) {
        out.push('{');
        if let Some(name) = view.first.name_json() {
            out.push_str("\"name\":");
            out.push_str(name);
            out.push(',');
        }
        out.push_str("\"options\":[");
        let mut items = Separator(false);
        for rule in &view.rules {
            self.options(rule, target, out, &mut items, extras);
        }
        out.push(']');
        let clicks = || view.rules.iter().flat_map(|rule| rule.metrics.iter()).any(|metric| metric.is_click);
        if self.mode == Mode::Prefetch || clicks() {
            self.metrics(view.rules.iter().copied(), out);
        }
        out.push_str(view.first.extra());
        if let Some(trace) = view.trace {
            out.push(',');
            write_trace(trace, out, extras);
        }
        out.push('}');
    }
}

/// The matching rules of one view. Its trace is that of the first match.
struct FoundView<'a> {
    first: &'a Rule,
    rules: Vec<&'a Rule>,
    trace: Option<String>,
}

fn write_trace(trace: String, out: &mut String, extras: &mut Extras) {
    out.push_str("\"trace\":");
    out.push_str(&trace);
    extras.traces.push(trace);
}

/// The click metrics of a page load, each event token once: in the place of the first, as the last has it.
fn page_load_metrics(rules: &[&Rule], out: &mut String) {
    let mut unique: Vec<&str> = Vec::new();
    let mut places: HashMap<Option<&str>, usize> = HashMap::new();
    for rule in rules {
        for metric in rule.metrics.iter().filter(|metric| metric.is_click) {
            let place = *places.entry(rule.metric_token(metric)).or_insert(unique.len());
            match unique.get_mut(place) {
                Some(known) => *known = rule.metric_json(metric),
                None => unique.push(rule.metric_json(metric)),
            }
        }
    }
    if unique.is_empty() {
        return;
    }
    out.push_str(",\"metrics\":[");
    let mut items = Separator(false);
    for metric in unique {
        items.write(out);
        out.push_str(metric);
    }
    out.push(']');
}
