//! What rules may ask about a decision, worked out when one first asks.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::allocation::allocation;
use super::artifact::Group;
use super::logic::Data;
use super::page_url::{Domain, PageUrl, Part};
use super::parameters::Parameters;
use super::user_agent::{self, Client};
use super::value::Value;
use crate::date;
use crate::json::{self, Json, Object};

/// Response tokens that come from `context.geo`, and the field of each.
pub(crate) const GEO_TOKENS: [(&str, &str); 5] = [
    ("geo.city", "city"),
    ("geo.country", "countryCode"),
    ("geo.state", "stateCode"),
    ("geo.latitude", "latitude"),
    ("geo.longitude", "longitude"),
];

/// Members of the rules' `geo` and the fields of `context.geo` behind them.
const GEO_FIELDS: [(&str, &str); 5] = [
    ("country", "countryCode"),
    ("region", "stateCode"),
    ("city", "city"),
    ("latitude", "latitude"),
    ("longitude", "longitude"),
];

/// What a variable of a rule stands for.
#[derive(Debug, PartialEq)]
pub(crate) enum Source {
    Timestamp,
    Time,
    Day,
    Allocation,
    Browser,
    BrowserVersion,
    Platform,
    Locale,
    Page(Part, bool),
    Referring(Part, bool),
    /// The field of `context.geo`.
    Geo(&'static str),
    /// A path into the parameters.
    Mbox(Box<str>),
    /// Not a value by itself, but a path through everything: `user`, `page.url.length`.
    Whole(Box<str>),
    /// Nothing has this name.
    Missing,
}

impl Source {
    /// What `path` stands for.
    pub(crate) fn of(path: &str) -> Source {
        let (root, rest) = match path.split_once('.') {
            Some((root, rest)) => (root, Some(rest)),
            None => (path, None),
        };
        let whole = || Source::Whole(path.into());
        match (root, rest) {
            ("current_timestamp", None) => Source::Timestamp,
            ("current_time", None) => Source::Time,
            ("current_day", None) => Source::Day,
            ("allocation", None) => Source::Allocation,
            ("mbox", Some(rest)) => Source::Mbox(rest.into()),
            ("user", Some("browserType")) => Source::Browser,
            ("user", Some("browserVersion")) => Source::BrowserVersion,
            ("user", Some("platform")) => Source::Platform,
            ("user", Some("locale")) => Source::Locale,
            ("page" | "referring", Some(rest)) => {
                let name = rest.split('.').next().unwrap_or("");
                match Part::from_name(name) {
                    Some(_) if name.len() < rest.len() => whole(),
                    Some((part, lower)) if root == "page" => Source::Page(part, lower),
                    Some((part, lower)) => Source::Referring(part, lower),
                    None => Source::Missing,
                }
            }
            ("geo", Some(rest)) => match GEO_FIELDS.iter().find(|(name, _)| *name == rest) {
                Some((_, field)) => Source::Geo(field),
                None if rest.contains('.') => whole(),
                None => Source::Missing,
            },
            ("current_time" | "user", Some(_)) | ("user" | "page" | "referring" | "geo" | "mbox", None) => whole(),
            _ => Source::Missing,
        }
    }
}

/// An address, taken apart when a rule first asks.
#[derive(Default)]
pub(crate) struct Page<'a> {
    url: &'a str,
    parts: OnceCell<PageUrl<'a>>,
    domain: OnceCell<Domain<'a>>,
}

impl<'a> Page<'a> {
    fn new(url: Option<&'a Json<'a>>) -> Page<'a> {
        Page { url: url.and_then(Json::as_str).unwrap_or(""), ..Page::default() }
    }

    pub(crate) fn part(&self, part: Part) -> Cow<'a, str> {
        let parts = || self.parts.get_or_init(|| PageUrl::split(self.url));
        let domain = || self.domain.get_or_init(|| parts().domain());
        match part {
            Part::Url => Cow::Borrowed(self.url),
            Part::Path => Cow::Borrowed(parts().path),
            Part::Query => Cow::Borrowed(parts().query),
            Part::Fragment => Cow::Borrowed(parts().fragment),
            Part::Subdomain => domain().subdomain.clone(),
            Part::Domain => domain().domain.clone(),
            Part::TopLevelDomain => domain().top_level.clone(),
        }
    }

    fn value(&self, part: Part, lower: bool) -> Value<'a> {
        let text = self.part(part);
        if lower && text.bytes().any(|byte| !byte.is_ascii() || byte.is_ascii_uppercase()) {
            return text.to_lowercase().into();
        }
        text.into()
    }

    fn whole(&self) -> Value<'a> {
        let plain = Part::ALL.into_iter().map(|(part, name, _)| (Cow::Borrowed(name), self.value(part, false)));
        let lower = Part::ALL.into_iter().map(|(part, _, name)| (Cow::Borrowed(name), self.value(part, true)));
        shallow(plain.chain(lower).collect())
    }
}

/// An object of values that are known to be shallow.
fn shallow<'a>(entries: Vec<(Cow<'a, str>, Value<'a>)>) -> Value<'a> {
    Value::object(entries).unwrap_or_default()
}

/// What is the same for all items of a decision.
pub(crate) struct Context<'a> {
    now_ms: i64,
    client_code: &'a str,
    visitor: Cow<'a, str>,
    user_agent: &'a str,
    hints: Option<&'a Json<'a>>,
    pub(crate) geo: Option<&'a Object<'a>>,
    client: OnceCell<Client<'a>>,
    pub(crate) page: Page<'a>,
    referring: Page<'a>,
}

impl<'a> Context<'a> {
    /// From a request's `context`.
    pub(crate) fn new(
        client_code: &'a str,
        visitor: Cow<'a, str>,
        context: Option<&'a Json<'a>>,
        now_ms: i64,
    ) -> Context<'a> {
        let member = |key: &str| context.and_then(|context| context.get(key));
        let address = |key: &str| member("address").and_then(|address| address.get(key));
        Context {
            now_ms,
            client_code,
            visitor,
            user_agent: member("userAgent").and_then(Json::as_str).unwrap_or(""),
            hints: member("clientHints"),
            geo: member("geo").and_then(Json::as_object),
            client: OnceCell::new(),
            page: Page::new(address("url")),
            referring: Page::new(address("referringUrl")),
        }
    }

    fn client(&self) -> &Client<'a> {
        self.client.get_or_init(|| user_agent::detect(self.user_agent, self.hints))
    }

    fn geo_field(&self, field: &str) -> Value<'a> {
        self.geo.and_then(|geo| geo.get(field)).map(Value::from_json).unwrap_or_default()
    }

    /// The response tokens about the visitor's place, each after a comma.
    pub(crate) fn geo_tokens(&self, allowed: &[bool; GEO_TOKENS.len()]) -> String {
        let mut out = String::new();
        for ((token, field), _) in GEO_TOKENS.iter().zip(allowed).filter(|(_, allowed)| **allowed) {
            if let Some(value) = self.geo.and_then(|geo| geo.get(field)) {
                out.push(',');
                json::write_str(&mut out, token);
                out.push(':');
                value.write(&mut out);
            }
        }
        out
    }

    fn user(&self) -> Value<'a> {
        let client = self.client();
        shallow(vec![
            (Cow::Borrowed("browserType"), Value::text(client.browser)),
            (Cow::Borrowed("platform"), client.platform.clone().into()),
            (Cow::Borrowed("locale"), Value::text("en")),
            (Cow::Borrowed("browserVersion"), Value::Number(client.version)),
        ])
    }

    fn geo_whole(&self) -> Value<'a> {
        let present = GEO_FIELDS.iter().filter(|(_, field)| self.geo.is_some_and(|geo| geo.get(field).is_some()));
        shallow(present.map(|(name, field)| (Cow::Borrowed(*name), self.geo_field(field))).collect())
    }
}

/// The data of one request item: the decision's context with the item's parameters and, if it has one, its address.
pub(crate) struct Item<'c, 'a> {
    context: &'c Context<'a>,
    pages: Option<(Page<'a>, Page<'a>)>,
    parameters: Parameters<'a>,
    /// Whether a dotted parameter name met one that was taken.
    pub(crate) conflict: bool,
}

impl<'c, 'a> Item<'c, 'a> {
    pub(crate) fn new(context: &'c Context<'a>, item: &'a Object<'a>) -> Item<'c, 'a> {
        let address = item.get("address").and_then(Json::as_object);
        let pages = address.map(|address| (Page::new(address.get("url")), Page::new(address.get("referringUrl"))));
        let (parameters, conflict) = Parameters::new(item.get("parameters").and_then(Json::as_object));
        Item { context, pages, parameters, conflict }
    }

    fn page(&self) -> &Page<'a> {
        self.pages.as_ref().map_or(&self.context.page, |(page, _)| page)
    }

    fn referring(&self) -> &Page<'a> {
        self.pages.as_ref().map_or(&self.context.referring, |(_, referring)| referring)
    }
}

/// The data of the rules of one group while they are evaluated for an item. Values are looked up once.
pub(crate) struct RuleData<'d, 'c, 'a> {
    item: &'d Item<'c, 'a>,
    sources: &'a [Source],
    bound: Vec<Option<Value<'a>>>,
    activity: &'a str,
    allocation: Option<f64>,
    whole: Option<Value<'a>>,
}

impl<'d, 'c, 'a> RuleData<'d, 'c, 'a> {
    pub(crate) fn new(item: &'d Item<'c, 'a>, group: &'a Group) -> RuleData<'d, 'c, 'a> {
        let bound = vec![None; group.sources.len()];
        RuleData { item, sources: &group.sources, bound, activity: "", allocation: None, whole: None }
    }

    /// Goes on to a rule of `activity`.
    pub(crate) fn select(&mut self, activity: &'a str) {
        if self.activity != activity {
            self.activity = activity;
            self.allocation = None;
            self.whole = None;
            for (bound, source) in self.bound.iter_mut().zip(self.sources) {
                if matches!(source, Source::Whole(_)) {
                    *bound = None;
                }
            }
        }
    }

    fn allocation(&mut self) -> f64 {
        let context = self.item.context;
        *self.allocation.get_or_insert_with(|| allocation(context.client_code, self.activity, &context.visitor))
    }

    fn look_up(&mut self, source: &'a Source) -> Value<'a> {
        let (item, context) = (self.item, self.item.context);
        match source {
            Source::Timestamp => Value::Number(context.now_ms as f64),
            Source::Time => date::hours_and_minutes(context.now_ms).into(),
            Source::Day => Value::Number(f64::from(date::weekday(context.now_ms))),
            Source::Allocation => Value::Number(self.allocation()),
            Source::Browser => Value::text(context.client().browser),
            Source::BrowserVersion => Value::Number(context.client().version),
            Source::Platform => context.client().platform.clone().into(),
            Source::Locale => Value::text("en"),
            Source::Page(part, lower) => item.page().value(*part, *lower),
            Source::Referring(part, lower) => item.referring().value(*part, *lower),
            Source::Geo(field) => context.geo_field(field),
            Source::Mbox(path) => item.parameters.lookup(path),
            Source::Whole(path) => self.whole().walk(path),
            Source::Missing => Value::Undefined,
        }
    }
}

impl<'a> Data<'a> for RuleData<'_, '_, 'a> {
    fn slot(&mut self, number: u32) -> Value<'a> {
        let Some(source) = self.sources.get(number as usize) else { return Value::Undefined };
        if *source == Source::Allocation {
            return Value::Number(self.allocation());
        }
        if let Some(Some(value)) = self.bound.get(number as usize) {
            return value.clone();
        }
        let value = self.look_up(source);
        if let Some(place) = self.bound.get_mut(number as usize) {
            *place = Some(value.clone());
        }
        value
    }

    fn whole(&mut self) -> Value<'a> {
        if let Some(whole) = &self.whole {
            return whole.clone();
        }
        let (item, context) = (self.item, self.item.context);
        let whole = shallow(vec![
            (Cow::Borrowed("current_timestamp"), Value::Number(context.now_ms as f64)),
            (Cow::Borrowed("current_time"), date::hours_and_minutes(context.now_ms).into()),
            (Cow::Borrowed("current_day"), Value::Number(f64::from(date::weekday(context.now_ms)))),
            (Cow::Borrowed("user"), context.user()),
            (Cow::Borrowed("page"), item.page().whole()),
            (Cow::Borrowed("referring"), item.referring().whole()),
            (Cow::Borrowed("geo"), context.geo_whole()),
            (Cow::Borrowed("mbox"), item.parameters.whole()),
            (Cow::Borrowed("allocation"), Value::Number(self.allocation())),
        ]);
        self.whole = Some(whole.clone());
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_paths() {
        for (path, source) in [
            ("current_timestamp", Source::Timestamp),
            ("current_time", Source::Time),
            ("current_time.length", Source::Whole("current_time.length".into())),
            ("current_day.x", Source::Missing),
            ("allocation", Source::Allocation),
            ("user.browserType", Source::Browser),
            ("user", Source::Whole("user".into())),
            ("page.url_lc", Source::Page(Part::Url, true)),
            ("page.{parameter=nina}", Source::Missing),
            ("page.url.length", Source::Whole("page.url.length".into())),
            ("referring.domain", Source::Referring(Part::Domain, false)),
            ("geo.region", Source::Geo("stateCode")),
            ("geo.stateCode", Source::Missing),
            ("mbox.a.b_lc", Source::Mbox("a.b_lc".into())),
            ("profile.age", Source::Missing),
            ("", Source::Missing),
        ] {
            assert_eq!(Source::of(path), source, "{path}");
        }
    }
}
