//! The options of a call: JSON in, types and a checked request out.

use std::borrow::Cow;

use super::schema::{self, Path, fault, wrong_type};
use crate::config::DecisioningMethod;
use crate::cookies;
use crate::error::{Error, Result};
use crate::json::{self, Json, Limits, Object};
use crate::suggest::suggest;
use crate::visitor::check_customer_ids;

/// What a call is for: decides what its request must contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `get_offers`; a request without `execute` and `prefetch` is a ping.
    Offers,
    /// `send_notifications`
    Notifications,
    /// The same while measurements wait: they go along, and are enough for a request.
    NotificationsOrTelemetry,
}

/// The options of one call, borrowed from their JSON text.
#[derive(Clone, Default)]
pub struct CallOptions<'a> {
    /// The Delivery API request as the caller made it, its known fields checked, nulls and unusable items removed.
    pub request: Object<'a>,
    /// Value of the AMCV cookie.
    pub visitor_cookie: Option<Cow<'a, str>>,
    /// Value of the mbox cookie.
    pub target_cookie: Option<Cow<'a, str>>,
    /// Edge cluster for this call.
    pub target_location_hint: Option<Cow<'a, str>>,
    /// Consumer of the supplemental data id.
    pub consumer_id: Option<Cow<'a, str>>,
    /// Customer ids: `{code: {id, authState} | id}`.
    pub customer_ids: Option<Object<'a>>,
    /// Session id, unless the mbox cookie has one.
    pub session_id: Option<Cow<'a, str>>,
    /// How to decide, unless as configured.
    pub decisioning_method: Option<DecisioningMethod>,
    /// `visitorState` of an earlier envelope: the call continues with its supplemental data id and customer ids.
    pub visitor_state: Option<Object<'a>>,
}

/// Reads and validates options. With `strict`, unknown keys beside `request` are errors.
pub fn parse_options<'a>(text: &'a str, purpose: Purpose, strict: bool) -> Result<CallOptions<'a>> {
    let mut options = read(json::parse(text, &Limits::OPTIONS)?, strict)?;
    let Some(request) = options.request.take() else {
        return Err(required("/request", "Request object is required"));
    };
    options.finish(request, purpose)
}

/// Options whose request has not been looked at.
pub(crate) struct Unchecked<'a> {
    /// The request, if there is one.
    pub(crate) request: Option<Object<'a>>,
    rest: CallOptions<'a>,
}

impl<'a> Unchecked<'a> {
    /// No options at all.
    pub(crate) fn none() -> Unchecked<'a> {
        Unchecked { request: None, rest: CallOptions::default() }
    }

    /// Validates the request and completes the options with it.
    pub(crate) fn finish(self, mut request: Object<'a>, purpose: Purpose) -> Result<CallOptions<'a>> {
        validate(&request, purpose)?;
        let root = Path::Root;
        let path = Path::Key(&root, "request");
        schema::check(&mut request, &schema::REQUEST, &path)?;
        if let Some(id) = request.get("requestId").and_then(Json::as_str) {
            safe_in_header(id, &Path::Key(&path, "requestId"))?;
        }
        Ok(CallOptions { request, ..self.rest })
    }
}

const KEYS: [&str; 9] = [
    "request",
    "visitorCookie",
    "targetCookie",
    "targetLocationHint",
    "consumerId",
    "customerIds",
    "sessionId",
    "decisioningMethod",
    "visitorState",
];

/// Reads the options document, all but its request.
pub(crate) fn read(document: Json<'_>, strict: bool) -> Result<Unchecked<'_>> {
    let Json::Object(members) = document else {
        return Err(required("", "Options map is required"));
    };
    if members.is_empty() {
        return Err(required("", "Options map is required"));
    }
    let mut out = Unchecked::none();
    let root = Path::Root;
    for (key, value) in members {
        if value.is_null() && KEYS.contains(&key.as_ref()) {
            continue;
        }
        let path = Path::Key(&root, &key);
        match key.as_ref() {
            "request" => match value {
                Json::Object(request) => out.request = Some(request),
                _ => return Err(required("/request", "Request object is required")),
            },
            "visitorCookie" => out.rest.visitor_cookie = text(value, &path)?,
            "targetCookie" => out.rest.target_cookie = text(value, &path)?,
            "targetLocationHint" => out.rest.target_location_hint = location_hint(value, &path)?,
            "consumerId" => out.rest.consumer_id = text(value, &path)?,
            "customerIds" => {
                let ids = check_customer_ids(value, || path.pointer())?;
                doubtful_customer_ids(&ids, &path, strict)?;
                out.rest.customer_ids = Some(ids);
            }
            "sessionId" => out.rest.session_id = session_id(value, &path)?,
            "decisioningMethod" => out.rest.decisioning_method = decisioning_method(value, &path)?,
            "visitorState" => match value {
                Json::Object(state) => out.rest.visitor_state = Some(state),
                other => return Err(wrong_type(&path, "object", &other)),
            },
            _ => unknown(&key, &KEYS, &path, strict)?,
        }
    }
    Ok(out)
}

fn required(path: &'static str, message: &'static str) -> Error {
    Error::invalid(path, message)
}

/// An empty text counts as absent, as in the other SDKs.
fn text<'a>(value: Json<'a>, path: &Path<'_>) -> Result<Option<Cow<'a, str>>> {
    match value {
        Json::String(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        other => Err(wrong_type(path, "string", &other)),
    }
}

fn location_hint<'a>(value: Json<'a>, path: &Path<'_>) -> Result<Option<Cow<'a, str>>> {
    let hint = text(value, path)?;
    match &hint {
        Some(hint) if !cookies::is_cluster(hint) => {
            Err(fault(path, "a location hint has 1 to 55 letters, digits and hyphens"))
        }
        _ => Ok(hint),
    }
}

fn session_id<'a>(value: Json<'a>, path: &Path<'_>) -> Result<Option<Cow<'a, str>>> {
    let id = text(value, path)?;
    if let Some(id) = &id {
        safe_in_header(id, path)?;
        if id.len() > 128 || id.contains(|c: char| !c.is_ascii_graphic() || matches!(c, '?' | '/')) {
            log::warn!(
                target: "target_sdk::delivery",
                "{} should have 1 to 128 printable characters without space, ? and /", path.pointer()
            );
        }
    }
    Ok(id)
}

fn safe_in_header(text: &str, path: &Path<'_>) -> Result<()> {
    if text.contains(|c: char| c.is_ascii_control()) {
        return Err(fault(path, "must not contain control characters"));
    }
    Ok(())
}

fn decisioning_method(value: Json<'_>, path: &Path<'_>) -> Result<Option<DecisioningMethod>> {
    let Some(name) = text(value, path)? else { return Ok(None) };
    match DecisioningMethod::from_name(&name) {
        None => Err(Error::invalid(
            path.pointer(),
            "Invalid Decisioning Method.  Must be set to one of: on-device,server-side,hybrid",
        )),
        method => Ok(method),
    }
}

/// What of customer ids will not be sent: told, or refused.
fn doubtful_customer_ids(ids: &Object<'_>, path: &Path<'_>, strict: bool) -> Result<()> {
    for (code, value) in ids.iter() {
        let path = Path::Key(path, code);
        match value {
            Json::Object(entry) => {
                for (key, value) in entry.iter() {
                    let path = Path::Key(&path, key);
                    match key {
                        "id" => {}
                        "authState" if value.as_i64().is_some_and(|state| (0..=2).contains(&state)) => {}
                        "authState" => doubt(&path, "not 0, 1 or 2: no authentication state is sent", strict)?,
                        _ => unknown(key, &["id", "authState"], &path, strict)?,
                    }
                }
            }
            Json::Bool(_) => doubt(&path, "false is no customer id: none is sent", strict)?,
            _ => {}
        }
    }
    Ok(())
}

fn unknown(key: &str, known: &[&str], path: &Path<'_>, strict: bool) -> Result<()> {
    let hint = match suggest(key, known) {
        Some(meant) => format!("unknown option; did you mean {meant}?"),
        None => "unknown option".to_owned(),
    };
    doubt(path, &hint, strict)
}

/// A warning, with `strict` an error.
fn doubt(path: &Path<'_>, what: &str, strict: bool) -> Result<()> {
    if strict {
        return Err(fault(path, what));
    }
    log::warn!(target: "target_sdk::delivery", "{}: {what}", path.pointer());
    Ok(())
}

/// What a request must contain, in the order and with the messages of the Node SDK. Types are checked afterwards.
fn validate(request: &Object<'_>, purpose: Purpose) -> Result<()> {
    if request.iter().all(|(_, value)| value.is_null()) {
        return Err(required("/request", "Request object is required"));
    }
    let lacks = |mode: &str, content: &[&str]| {
        let Some(Json::Object(mode)) = request.get(mode) else { return false };
        mode.iter().any(|(_, value)| !value.is_null())
            && content.iter().all(|key| match (*key, mode.get(key)) {
                (_, None | Some(Json::Null)) => true,
                ("pageLoad", Some(_)) => false,
                (_, Some(Json::Array(items))) => items.is_empty(),
                (_, Some(_)) => false, // of the wrong type: that is the better message
            })
    };
    match purpose {
        Purpose::Offers => {
            if lacks("execute", &["pageLoad", "mboxes"]) {
                return Err(required("/request/execute", "Either pageLoad or mboxes is required in execute"));
            }
            if lacks("prefetch", &["views", "pageLoad", "mboxes"]) {
                return Err(required("/request/prefetch", "Either views, pageLoad or mboxes is required in prefetch"));
            }
        }
        Purpose::NotificationsOrTelemetry => {}
        Purpose::Notifications => {
            let some = |list: Option<&Json<'_>>| match list {
                None | Some(Json::Null) => false,
                Some(Json::Array(items)) => !items.is_empty(),
                Some(_) => true, // of the wrong type: that is the better message
            };
            let telemetry = request.get("telemetry").and_then(|telemetry| telemetry.get("entries"));
            if !some(request.get("notifications")) && !some(telemetry) {
                return Err(required("/request/notifications", "Notifications array is required in request"));
            }
        }
    }
    Ok(())
}

crate::opaque::opaque_debug! { CallOptions<'a> {} }
