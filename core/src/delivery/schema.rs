//! The typed fields of a Delivery API request, and the walk that checks a request against them.
//!
//! A known field of the wrong type is an error; a `null` one counts as absent and is removed. What the API does not know
//! is left alone: it goes to the server as it is. Lengths and ranges only make warnings, the server decides about them. Mboxes and
//! notifications that lack what they need, or have it of another type, are dropped, as by the Node SDK.

use std::fmt::Write;

use crate::date;
use crate::error::{Error, Result};
use crate::json::{Json, Object};

/// What a field may hold.
pub(super) enum Kind {
    /// A string of so many characters.
    Text(usize, usize),
    /// A string of any length.
    AnyText,
    /// A number, not less than this.
    Number(f64),
    /// A whole number in this range.
    Integer(i64, i64),
    /// `true` or `false`
    Boolean,
    /// An object whose members are the caller's business, nulls included.
    Map,
    /// The same; what is no string is told.
    Texts,
    /// A date and time.
    Time,
    /// An array of so many elements.
    List(&'static Kind, usize),
    /// An object with typed fields.
    Object(&'static Shape),
    /// Mboxes: those without a name are dropped.
    Mboxes,
    /// Notifications: incomplete ones are dropped.
    Notifications,
}

/// The typed fields of an object.
pub(super) struct Shape {
    fields: &'static [(&'static str, Kind)],
    /// Fields shared with other objects.
    base: &'static [(&'static str, Kind)],
}

use Kind::{AnyText, Boolean, Integer, List, Map, Mboxes, Notifications, Number, Text, Texts, Time};

const INTEGER: Kind = Integer(i64::MIN, i64::MAX);
const NUMBER: Kind = Number(f64::MIN);

const fn object(fields: &'static [(&'static str, Kind)]) -> Shape {
    Shape { fields, base: &[] }
}

pub(super) static REQUEST: Shape = object(&[
    ("requestId", Text(1, 128)),
    ("impressionId", Text(1, 128)),
    ("id", Kind::Object(&VISITOR_ID)),
    ("environmentId", INTEGER),
    ("property", Kind::Object(&object(&[("token", AnyText)]))),
    ("trace", Kind::Object(&object(&[("authorizationToken", AnyText), ("usage", Map)]))),
    ("context", Kind::Object(&CONTEXT)),
    ("experienceCloud", Kind::Object(&EXPERIENCE_CLOUD)),
    ("execute", Kind::Object(&object(&[("pageLoad", Kind::Object(&DETAILS)), ("mboxes", Mboxes)]))),
    (
        "prefetch",
        Kind::Object(&object(&[
            ("views", List(&Kind::Object(&VIEW), usize::MAX)),
            ("pageLoad", Kind::Object(&DETAILS)),
            ("mboxes", Mboxes),
        ])),
    ),
    ("telemetry", Kind::Object(&object(&[("entries", List(&Kind::Object(&TELEMETRY_ENTRY), usize::MAX))]))),
    ("notifications", Notifications),
    ("qaMode", Kind::Object(&QA_MODE)),
    ("preview", Kind::Object(&object(&[("token", AnyText)]))),
]);

static VISITOR_ID: Shape = object(&[
    ("tntId", Text(0, 128)),
    ("thirdPartyId", Text(0, 128)),
    ("marketingCloudVisitorId", Text(0, 128)),
    ("customerIds", List(&Kind::Object(&CUSTOMER_ID), 50)),
]);

static CUSTOMER_ID: Shape =
    object(&[("id", Text(1, 128)), ("integrationCode", Text(1, 50)), ("authenticatedState", AnyText)]);

static CONTEXT: Shape = object(&[
    ("channel", AnyText),
    (
        "mobilePlatform",
        Kind::Object(&object(&[
            ("deviceName", AnyText),
            ("deviceType", AnyText),
            ("platformType", AnyText),
            ("version", Text(0, 128)),
        ])),
    ),
    ("application", Kind::Object(&object(&[("id", Text(0, 250)), ("name", Text(0, 250)), ("version", Text(0, 128))]))),
    (
        "screen",
        Kind::Object(&object(&[
            ("width", NUMBER),
            ("height", NUMBER),
            ("colorDepth", NUMBER),
            ("pixelRatio", NUMBER),
            ("orientation", AnyText),
        ])),
    ),
    ("window", Kind::Object(&object(&[("width", NUMBER), ("height", NUMBER)]))),
    ("browser", Kind::Object(&object(&[("host", AnyText), ("language", AnyText), ("webGLRenderer", AnyText)]))),
    ("address", Kind::Object(&ADDRESS)),
    (
        "geo",
        Kind::Object(&object(&[
            ("ipAddress", AnyText),
            ("latitude", NUMBER),
            ("longitude", NUMBER),
            ("countryCode", Text(2, 2)),
            ("stateCode", Text(1, 3)),
            ("city", Text(0, 50)),
            ("zip", Text(0, 12)),
        ])),
    ),
    ("timeOffsetInMinutes", NUMBER),
    ("userAgent", AnyText),
    (
        "clientHints",
        Kind::Object(&object(&[
            ("mobile", Boolean),
            ("model", AnyText),
            ("platform", AnyText),
            ("platformVersion", AnyText),
            ("browserUAWithMajorVersion", AnyText),
            ("browserUAWithFullVersion", AnyText),
            ("architecture", AnyText),
            ("bitness", AnyText),
        ])),
    ),
    ("beacon", Boolean),
]);

static ADDRESS: Shape = object(&[("url", Text(0, 4096)), ("referringUrl", Text(0, 4096))]);

static EXPERIENCE_CLOUD: Shape = object(&[
    ("audienceManager", Kind::Object(&object(&[("locationHint", Integer(1, i64::MAX)), ("blob", Text(1, 1024))]))),
    (
        "analytics",
        Kind::Object(&object(&[
            ("supplementalDataId", Text(33, 33)),
            ("logging", AnyText),
            ("trackingServer", AnyText),
            ("trackingServerSecure", AnyText),
        ])),
    ),
]);

static DETAILS: Shape = Shape { fields: &[], base: DETAIL_FIELDS };

const DETAIL_FIELDS: &[(&str, Kind)] = &[
    ("parameters", Texts),
    ("profileParameters", Texts),
    ("address", Kind::Object(&ADDRESS)),
    (
        "order",
        Kind::Object(&object(&[
            ("id", Text(0, 250)),
            ("total", Number(0.0)),
            ("purchasedProductIds", List(&AnyText, usize::MAX)),
            ("time", Time),
            ("experienceLocalId", Integer(0, 2_147_483_647)),
            ("duplicate", Boolean),
            ("outlier", Boolean),
        ])),
    ),
    ("product", Kind::Object(&object(&[("id", Text(0, 128)), ("categoryId", Text(0, 128))]))),
];

static MBOX: Shape = Shape { fields: &[("name", AnyText), ("index", INTEGER)], base: DETAIL_FIELDS };

static VIEW: Shape = Shape { fields: &[("name", Text(0, 128)), ("key", Text(0, 512))], base: DETAIL_FIELDS };

static NOTIFICATION: Shape = Shape {
    fields: &[
        ("id", Text(1, 200)),
        ("impressionId", Text(0, 128)),
        ("type", AnyText),
        ("timestamp", INTEGER),
        ("tokens", List(&AnyText, usize::MAX)),
        ("mbox", Kind::Object(&object(&[("name", Text(0, 250)), ("state", AnyText)]))),
        ("view", Kind::Object(&object(&[("name", Text(0, 128)), ("key", Text(0, 512)), ("state", AnyText)]))),
        ("pageLoad", Kind::Object(&object(&[("state", AnyText)]))),
    ],
    base: DETAIL_FIELDS,
};

static TELEMETRY_ENTRY: Shape = object(&[
    ("requestId", AnyText),
    ("timestamp", INTEGER),
    ("mode", AnyText),
    ("execution", NUMBER),
    ("parsing", NUMBER),
    (
        "features",
        Kind::Object(&object(&[
            ("decisioningMethod", AnyText),
            ("executeMboxCount", INTEGER),
            ("executePageLoad", Boolean),
            ("prefetchMboxCount", INTEGER),
            ("prefetchPageLoad", Boolean),
            ("prefetchViewCount", INTEGER),
        ])),
    ),
    (
        "request",
        Kind::Object(&object(&[
            ("dns", NUMBER),
            ("tls", NUMBER),
            ("timeToFirstByte", NUMBER),
            ("download", NUMBER),
            ("responseSize", INTEGER),
        ])),
    ),
    ("telemetryServerToken", AnyText),
]);

static QA_MODE: Shape = object(&[
    ("token", AnyText),
    ("listedActivitiesOnly", Boolean),
    ("evaluateAsTrueAudienceIds", List(&INTEGER, usize::MAX)),
    ("evaluateAsFalseAudienceIds", List(&INTEGER, usize::MAX)),
    (
        "previewIndexes",
        List(
            &Kind::Object(&object(&[
                ("activityIndex", Integer(1, i64::MAX)),
                ("experienceIndex", Integer(1, i64::MAX)),
            ])),
            usize::MAX,
        ),
    ),
]);

/// Where the walk is. Lives on the stack; becomes text only for a message.
#[derive(Clone, Copy)]
pub(super) enum Path<'p> {
    /// The whole document.
    Root,
    /// A member.
    Key(&'p Path<'p>, &'p str),
    /// An element.
    Index(&'p Path<'p>, usize),
}

impl Path<'_> {
    /// The JSON pointer.
    pub(super) fn pointer(&self) -> String {
        let mut out = String::new();
        self.append(&mut out);
        out
    }

    fn append(&self, out: &mut String) {
        match self {
            Path::Root => {}
            Path::Key(parent, key) => {
                parent.append(out);
                out.push('/');
                for c in key.chars() {
                    match c {
                        '~' => out.push_str("~0"),
                        '/' => out.push_str("~1"),
                        c => out.push(c),
                    }
                }
            }
            Path::Index(parent, index) => {
                parent.append(out);
                let _ = write!(out, "/{index}"); // writing to a String cannot fail
            }
        }
    }
}

/// The error for a value, which its message names.
pub(super) fn fault(path: &Path<'_>, what: &str) -> Error {
    Error::at(path.pointer(), what)
}

/// The error for a value of the wrong type.
pub(super) fn wrong_type(path: &Path<'_>, expected: &'static str, found: &Json<'_>) -> Error {
    Error::wrong_type(path.pointer(), expected, found.type_name())
}

/// Checks the members of `object`, removing known ones that are `null` and list items that the API would not take.
pub(super) fn check(object: &mut Object<'_>, shape: &Shape, path: &Path<'_>) -> Result<()> {
    let mut nulls = false;
    for (key, value) in object.members_mut() {
        let Some(kind) = shape.kind(key) else { continue };
        if value.is_null() {
            nulls = true;
        } else {
            check_value(value, kind, &Path::Key(path, key))?;
        }
    }
    if nulls {
        object.members_mut().retain(|(key, value)| !value.is_null() || shape.kind(key).is_none());
    }
    Ok(())
}

impl Shape {
    fn kind(&self, key: &str) -> Option<&'static Kind> {
        self.fields.iter().chain(self.base).find(|(name, _)| *name == key).map(|(_, kind)| kind)
    }
}

fn check_value(value: &mut Json<'_>, kind: &'static Kind, path: &Path<'_>) -> Result<()> {
    match (kind, value) {
        (AnyText, Json::String(_)) | (Boolean, Json::Bool(_)) | (Map, Json::Object(_)) => {}
        (Text(min, max), Json::String(text)) => {
            // Bytes are never fewer than characters: counting is for the rare long text.
            if text.len() < *min || (text.len() > *max && text.chars().count() > *max) {
                warn(path, format_args!("should have {min} to {max} characters"));
            }
        }
        (Number(min), Json::Number(number)) => {
            if number.as_f64().is_some_and(|number| number < *min) {
                warn(path, format_args!("should be at least {min}"));
            }
        }
        (Integer(min, max), Json::Number(number)) => match number.as_i64() {
            Some(integer) => {
                if !(*min..=*max).contains(&integer) {
                    warn(path, format_args!("should be between {min} and {max}"));
                }
                *number = integer.into(); // not every server reads `1.0` as an integer
            }
            None if number.as_f64().is_some_and(|number| number.fract() == 0.0) => {
                warn(path, format_args!("should be between {min} and {max}"));
            }
            None => return Err(fault(path, "expected a whole number, found a fraction")),
        },
        (Texts, Json::Object(texts)) => {
            // Their names are not for the log.
            if !texts.iter().all(|(_, value)| matches!(value, Json::String(_) | Json::Null)) {
                warn(path, format_args!("should have strings only"));
            }
        }
        (Time, time) => check_time(time, path)?,
        (List(kind, max), Json::Array(items)) => {
            if items.len() > *max {
                warn(path, format_args!("should have at most {max} elements"));
            }
            for (at, item) in items.iter_mut().enumerate() {
                check_value(item, kind, &Path::Index(path, at))?;
            }
        }
        (Kind::Object(shape), Json::Object(object)) => check(object, shape, path)?,
        (Mboxes, Json::Array(items)) => keep_valid(items, &MBOX, mbox_fault, "Mbox", path)?,
        (Notifications, Json::Array(items)) => {
            keep_valid(items, &NOTIFICATION, notification_fault, "Notification", path)?;
        }
        (kind, value) => return Err(wrong_type(path, kind.name(), value)),
    }
    Ok(())
}

/// Drops the items that have a fault and checks the others.
fn keep_valid<'a>(
    items: &mut Vec<Json<'a>>,
    shape: &Shape,
    fault: fn(&Object<'a>) -> Option<&'static str>,
    what: &str,
    path: &Path<'_>,
) -> Result<()> {
    let (mut next, mut result) = (0, Ok(()));
    items.retain_mut(|item| {
        let path = Path::Index(path, next); // the place in the caller's list
        next += 1;
        let fault = match item {
            _ if result.is_err() => return true,
            Json::Object(item) => fault(item).map_or_else(
                || {
                    result = check(item, shape, &path);
                    None
                },
                Some,
            ),
            _ => Some("it is not an object"),
        };
        if let Some(fault) = fault {
            log::error!(target: "target_sdk::delivery", "{what} validation failed for: {} ({fault}); dropped", path.pointer());
        }
        fault.is_none()
    });
    result
}

fn non_empty_text(object: &Object<'_>, key: &str) -> bool {
    object.get(key).and_then(Json::as_str).is_some_and(|text| !text.is_empty())
}

fn mbox_fault(mbox: &Object<'_>) -> Option<&'static str> {
    (!non_empty_text(mbox, "name")).then_some("name must be a non-empty string")
}

fn notification_fault(notification: &Object<'_>) -> Option<&'static str> {
    if !non_empty_text(notification, "id") {
        Some("id must be a non-empty string")
    } else if !matches!(notification.get("timestamp"), Some(Json::Number(_))) {
        Some("timestamp must be a number")
    } else if !matches!(notification.get("type").and_then(Json::as_str), Some("click" | "display")) {
        Some("type must be click or display")
    } else {
        None
    }
}

/// A date and time. A date alone and milliseconds since 1970 become one, as in the Node SDK.
fn check_time(time: &mut Json<'_>, path: &Path<'_>) -> Result<()> {
    match time {
        Json::String(text) if date::is_date(text) => {
            *time = Json::from(format!("{text}T00:00:00.000Z"));
        }
        Json::String(text) => {
            if !date::is_date_time(text) {
                warn(path, format_args!("should be a date and time such as 2020-01-31T12:00:00Z"));
            }
        }
        Json::Number(number) => match number.as_i64().filter(|ms| date::YEARS_OF_FOUR_DIGITS.contains(ms)) {
            Some(ms) => *time = Json::from(date::iso(ms)),
            None => return Err(fault(path, "expected a time in milliseconds since 1970")),
        },
        other => return Err(wrong_type(path, "string", other)),
    }
    Ok(())
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Text(..) | AnyText | Time => "string",
            Number(_) => "number",
            Integer(..) => "integer",
            Boolean => "boolean",
            Map | Texts | Kind::Object(_) => "object",
            List(..) | Mboxes | Notifications => "array",
        }
    }
}

fn warn(path: &Path<'_>, what: std::fmt::Arguments<'_>) {
    log::warn!(target: "target_sdk::delivery", "{} {what}", path.pointer());
}
