//! An artifact's text, compiled into a [`Ruleset`].
//!
//! The document is taken apart level by level as raw text and only one rule at a time becomes a JSON tree: compiling
//! needs little more memory than what it makes.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicBool;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::context::Source;
use super::logic::Paths;
use super::remote::Locations;
use super::rule::Rule;
use super::trace::ArtifactMeta;
use crate::error::{Error, ErrorKind};
use crate::json::{self, Json, Limits, Object};

/// A compiled artifact: immutable, shared by all decisions.
pub struct Ruleset {
    pub(crate) version: String,
    pub(crate) global_mbox: String,
    pub(crate) geo_targeting: bool,
    pub(crate) meta: ArtifactMeta,
    /// For each geo token of the decision, whether the artifact allows it.
    pub(crate) geo_tokens: [bool; super::context::GEO_TOKENS.len()],
    pub(crate) mboxes: HashMap<Box<str>, Group>,
    /// In document order.
    pub(crate) views: Vec<Group>,
    pub(crate) view_names: HashMap<Box<str>, usize>,
    pub(crate) mbox_locations: Locations,
    pub(crate) view_locations: Locations,
    /// Whether a rule that cannot be evaluated has been reported.
    pub(crate) reported: AtomicBool,
}

/// The rules of one mbox or view, in order of priority, and what their variables stand for.
pub(crate) struct Group {
    pub(crate) rules: Box<[Rule]>,
    pub(crate) sources: Box<[Source]>,
}

/// What is wrong with an artifact, and where.
pub(crate) struct Bad {
    path: String,
    message: String,
}

impl Bad {
    /// `value` is not what it should be.
    pub(crate) fn not(expected: &str, value: &Json<'_>) -> Bad {
        Bad { path: String::new(), message: format!("expected {expected}, found {}", value.type_name()) }
    }

    /// The value was member `key` of another.
    pub(crate) fn inside(mut self, key: &str) -> Bad {
        self.path.insert_str(0, &format!("/{}", key.replace('~', "~0").replace('/', "~1")));
        self
    }
}

impl From<Bad> for Error {
    fn from(bad: Bad) -> Error {
        let colon = if bad.path.is_empty() { "" } else { ": " };
        let message = format!("the artifact is invalid: {}{colon}{}", bad.path, bad.message);
        Error::new(ErrorKind::Artifact, message).with_path(bad.path)
    }
}

/// Member `key` of a rule as an object; missing and null are nothing.
pub(crate) fn object_member<'o, 'a>(object: &'o Object<'a>, key: &str) -> Result<Option<&'o Object<'a>>, Bad> {
    match object.get(key) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Object(member)) => Ok(Some(member)),
        Some(other) => Err(Bad::not("an object", other).inside(key)),
    }
}

/// Member `key` of a rule as an array; missing and null are empty.
pub(crate) fn array_member<'o, 'a>(object: &'o Object<'a>, key: &str) -> Result<&'o [Json<'a>], Bad> {
    match object.get(key) {
        None | Some(Json::Null) => Ok(&[]),
        Some(Json::Array(items)) => Ok(items),
        Some(other) => Err(Bad::not("an array", other).inside(key)),
    }
}

/// The members of an object as raw text. A key given twice keeps its first place and its last value.
#[derive(Default)]
struct RawMembers<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for RawMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = RawMembers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(String, &'de RawValue)> = Vec::new();
                let mut places = HashMap::new();
                while let Some((key, value)) = access.next_entry::<String, &'de RawValue>()? {
                    match places.get(&key).and_then(|place: &usize| members.get_mut(*place)) {
                        Some(place) => place.1 = value,
                        None => {
                            places.insert(key.clone(), members.len());
                            members.push((key, value));
                        }
                    }
                }
                Ok(RawMembers(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

impl<'a> RawMembers<'a> {
    fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| *value).filter(|value| value.get() != "null")
    }

    fn value(&self, key: &str) -> Result<Option<Json<'a>>, Bad> {
        self.get(key).map(|raw| parse(raw).map_err(|bad| bad.inside(key))).transpose()
    }

    fn string(&self, key: &str) -> Result<Option<String>, Bad> {
        match self.value(key)? {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.into_owned())),
            Some(other) => Err(Bad::not("a string", &other).inside(key)),
        }
    }

    fn strings(&self, key: &str) -> Result<Vec<String>, Bad> {
        match self.value(key)? {
            None => Ok(Vec::new()),
            Some(Json::Array(items)) => Ok(items.iter().filter_map(Json::as_str).map(str::to_owned).collect()),
            Some(other) => Err(Bad::not("an array", &other).inside(key)),
        }
    }

    fn members(&self, key: &str) -> Result<RawMembers<'a>, Bad> {
        self.get(key).map_or(Ok(RawMembers::default()), |raw| members(raw.get()).map_err(|bad| bad.inside(key)))
    }
}

fn parse(raw: &RawValue) -> Result<Json<'_>, Bad> {
    json::parse(raw.get(), &Limits::REMOTE)
        .map_err(|error| Bad { path: String::new(), message: error.message().to_owned() })
}

fn members(text: &str) -> Result<RawMembers<'_>, Bad> {
    shallow(text, "an object")
}

/// One level of a document, what is below it as raw text.
fn shallow<'a, T: Deserialize<'a>>(text: &'a str, expected: &str) -> Result<T, Bad> {
    serde_json::from_str(text).map_err(|error| match json::parse(text, &Limits::REMOTE) {
        Ok(value) if error.is_data() => Bad::not(expected, &value),
        _ => Bad { path: String::new(), message: error.to_string() },
    })
}

impl Ruleset {
    /// Compiles an artifact. The error is of kind [`ErrorKind::Artifact`] and names the place at fault.
    pub fn compile(text: &str) -> Result<Ruleset, Error> {
        if u32::try_from(text.len()).is_err() {
            return Err(Error::new(ErrorKind::Artifact, "the artifact is larger than 4 GiB"));
        }
        compile(text)
    }

    /// The version of the artifact's format.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The name of the mbox whose activities are delivered on page load.
    pub fn global_mbox(&self) -> &str {
        &self.global_mbox
    }

    /// Whether rules depend on where the visitor is.
    pub fn geo_targeting_enabled(&self) -> bool {
        self.geo_targeting
    }
}

fn compile(text: &str) -> Result<Ruleset, Error> {
    let top = members(text)?;
    let version = top.string("version")?;
    check_version(version.as_deref())?;
    let response_tokens = top.strings("responseTokens")?;
    let rules = top.members("rules")?;
    let mut mboxes = HashMap::new();
    let named = groups(&rules, "mboxes", &response_tokens).map_err(|bad| bad.inside("rules"))?;
    mboxes.reserve(named.len());
    mboxes.extend(named);
    let mut views = Vec::new();
    let mut view_names = HashMap::new();
    for (name, group) in groups(&rules, "views", &response_tokens).map_err(|bad| bad.inside("rules"))? {
        view_names.insert(name, views.len());
        views.push(group);
    }
    Ok(Ruleset {
        version: version.unwrap_or_default(),
        global_mbox: top.string("globalMbox")?.unwrap_or_else(|| "target-global-mbox".to_owned()),
        geo_targeting: matches!(top.value("geoTargetingEnabled")?, Some(Json::Bool(true))),
        meta: ArtifactMeta::new(match top.value("meta")? {
            None => Object::new(),
            Some(Json::Object(meta)) => meta,
            Some(other) => return Err(Bad::not("an object", &other).inside("meta").into()),
        }),
        geo_tokens: super::context::GEO_TOKENS.map(|(token, _)| response_tokens.iter().any(|allowed| allowed == token)),
        mboxes,
        views,
        view_names,
        mbox_locations: Locations::new(top.strings("remoteMboxes")?, top.strings("localMboxes")?),
        view_locations: Locations::new(top.strings("remoteViews")?, top.strings("localViews")?),
        reported: AtomicBool::new(false),
    })
}

/// Only major version 1 is understood.
fn check_version(version: Option<&str>) -> Result<(), Error> {
    let major = version.unwrap_or("").trim_start();
    let digits = major.find(|c: char| !c.is_ascii_digit()).map_or(major, |end| major.get(..end).unwrap_or(""));
    if digits.trim_start_matches('0') == "1" {
        return Ok(());
    }
    let shown: String = version.unwrap_or("undefined").chars().take(64).collect();
    let message = format!(
        "The decisioning artifact version ({shown}) is not supported. \
         This library is compatible with this major version: 1"
    );
    Err(Error::new(ErrorKind::Artifact, message).with_path("/version"))
}

fn groups(rules: &RawMembers<'_>, kind: &str, response_tokens: &[String]) -> Result<Vec<(Box<str>, Group)>, Bad> {
    let groups = rules.members(kind)?.0.into_iter().map(|(name, raw)| {
        let group = group(raw, response_tokens).map_err(|bad| bad.inside(&name).inside(kind))?;
        Ok((name.into_boxed_str(), group))
    });
    groups.collect()
}

fn group(raw: &RawValue, response_tokens: &[String]) -> Result<Group, Bad> {
    let raw_rules: Option<Vec<&RawValue>> = shallow(raw.get(), "an array")?;
    let mut paths = Paths::default();
    let rules = raw_rules.unwrap_or_default().into_iter().enumerate().map(|(index, raw)| {
        parse(raw)
            .and_then(|rule| Rule::compile(&rule, response_tokens, &mut paths))
            .map_err(|bad| bad.inside(&index.to_string()))
    });
    let rules = rules.collect::<Result<_, _>>()?;
    Ok(Group { rules, sources: paths.into_list().iter().map(|path| Source::of(path)).collect() })
}
