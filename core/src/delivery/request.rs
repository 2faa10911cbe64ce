//! The final request: defaults, ids, cookies, session and cluster put together, in the key order of the Node SDK.

use std::borrow::Cow;

use super::options::CallOptions;
use crate::config::{Config, DecisioningMethod};
use crate::cookies::{self, TargetCookie};
use crate::env::Random;
use crate::error::Result;
use crate::json::{Json, Object};
use crate::visitor::{self, Visitor, VisitorCookie};

/// Consumer of the supplemental data id when the caller names none.
const DEFAULT_CONSUMER: &str = "target-global-mbox";

/// A call ready to be decided on the device or sent.
#[derive(Clone)]
pub struct Prepared<'a> {
    /// The Delivery API request, complete but for telemetry.
    pub request: Object<'a>,
    /// Session id, for the query and the cookie.
    pub session_id: Cow<'a, str>,
    /// The request's `requestId`.
    pub request_id: String,
    /// The edge cluster that the visitor or the client belongs to; safe in a host name.
    pub cluster: Option<String>,
    /// The visitor, whose state goes into the envelope.
    pub visitor: Visitor<'a>,
    /// How the caller wants it decided.
    pub decisioning_method: DecisioningMethod,
    /// When the call was prepared.
    pub now_ms: i64,
    /// Random bytes for the tntId that the on-device engine makes; only for a visitor without any id.
    pub entropy: Option<[u8; 16]>,
}

/// Builds the request. `sticky_hint` is the cluster of the client's last answer; the configured one is used without it.
pub fn prepare<'a>(
    options: CallOptions<'a>,
    config: &Config,
    sticky_hint: Option<&str>,
    now_ms: i64,
    random: &dyn Random,
) -> Result<Prepared<'a>> {
    let CallOptions { request, visitor_cookie, target_cookie, target_location_hint, consumer_id, customer_ids, .. } =
        options;
    let cookie = match target_cookie {
        Some(value) => target_cookie_of(value, now_ms),
        None => TargetCookie::default(),
    };
    let visitor_cookie = visitor_cookie.map_or_else(VisitorCookie::default, |text| VisitorCookie::parse(&text, now_ms));
    let mut visitor = Visitor::new(options.visitor_state, customer_ids, &config.organization_id)?;

    let is_known = {
        // as in `visitor_id` below: the caller's member counts, even when it is empty
        let id = request.get("id");
        let has = |key: &str, default: bool| id.and_then(|id| id.get(key)).map_or(default, |id| !is_falsy(id));
        has("tntId", cookie.device.is_some())
            || has("marketingCloudVisitorId", visitor_cookie.marketing_cloud_visitor_id.is_some())
            || has("thirdPartyId", false)
    };
    let needs_session = cookie.session.is_none() && options.session_id.is_none();
    // Drawn at once, and no more than may be needed: each draw is a system call, and its second half-block costs extra.
    let mut bytes = [[0_u8; 16]; 4];
    let needed = 2 + if !is_known { 2 } else { usize::from(needs_session) };
    random.fill(bytes.get_mut(..needed).unwrap_or_default().as_flattened_mut());
    let [request_bytes, supplemental_bytes, session_bytes, entropy] = bytes;

    let cluster = cookie
        .device
        .as_deref()
        .and_then(cookies::cluster_from_tnt_id)
        .or(target_location_hint.as_deref())
        .or(sticky_hint)
        .or(config.target_location_hint.as_deref())
        .filter(|cluster| cookies::is_cluster(cluster))
        .map(str::to_owned);
    let session_id = match (cookie.session, options.session_id) {
        (Some(session), Some(given)) => {
            if session != given {
                log::debug!(
                    target: "target_sdk::delivery",
                    "the session id of the mbox cookie is used, not the one of the options"
                );
            }
            session
        }
        (Some(session), None) => session,
        (None, Some(given)) => given,
        (None, None) => Cow::Owned(id(session_bytes)),
    };

    let mut parts = Parts::take(request);
    let request_id = match parts.request_id.take() {
        Some(Json::String(id)) if !id.is_empty() => id,
        _ => Cow::Owned(id(request_bytes)),
    };
    let environment_id = match parts.environment_id.take() {
        None => config.environment_id.map(Json::from),
        given => given,
    };
    let analytics_id = || {
        visitor.supplemental_data_id(consumer_id.as_deref().unwrap_or(DEFAULT_CONSUMER), || {
            visitor::new_supplemental_data_id(&supplemental_bytes)
        })
    };
    let experience_cloud = experience_cloud(
        object(parts.experience_cloud),
        visitor_cookie.location_hint,
        visitor_cookie.blob,
        analytics_id,
    );
    let visitor_id =
        visitor_id(object(parts.id), cookie.device, visitor_cookie.marketing_cloud_visitor_id, visitor.customer_ids());

    let mut out = Object::with_capacity(10 + parts.unknown.len());
    out.push("requestId", Json::String(request_id.clone()));
    push_some(&mut out, "impressionId", parts.impression_id.filter(|id| !is_falsy(id)));
    push_object(&mut out, "id", visitor_id);
    push_some(&mut out, "environmentId", environment_id.filter(|id| !is_falsy(id)));
    push_some(&mut out, "property", property(object(parts.property), config).map(Json::Object));
    push_some(&mut out, "trace", parts.trace);
    out.push("context", context(parts.context));
    out.push("experienceCloud", experience_cloud);
    push_some(&mut out, "execute", mode(parts.execute));
    push_some(&mut out, "prefetch", mode(parts.prefetch));
    push_some(&mut out, "telemetry", parts.telemetry);
    push_some(&mut out, "notifications", parts.notifications.filter(|list| !is_empty_list(list)));
    push_some(&mut out, "qaMode", parts.qa_mode);
    push_some(&mut out, "preview", parts.preview);
    for (key, value) in parts.unknown {
        out.push(key, value);
    }
    Ok(Prepared {
        request: out,
        session_id,
        request_id: request_id.into_owned(),
        cluster,
        visitor,
        decisioning_method: options.decisioning_method.unwrap_or(config.decisioning_method),
        now_ms,
        entropy: (!is_known).then_some(entropy),
    })
}

impl Prepared<'_> {
    /// The body as JSON text. `entries` (JSON texts) are added to the request's telemetry.
    pub fn body(&self, entries: &[String]) -> String {
        let telemetry: usize = entries.iter().map(|entry| entry.len() + 1).sum();
        let mut out = String::with_capacity(512 + telemetry);
        let mut pending = !entries.is_empty();
        out.push('{');
        for (key, value) in self.request.iter() {
            if out.len() > 1 {
                out.push(',');
            }
            if pending && is_after_telemetry(key) {
                pending = false;
                write_telemetry(&mut out, None, entries);
                out.push(',');
            }
            if key == "telemetry" {
                pending = false;
                write_telemetry(&mut out, Some(value), entries);
            } else {
                crate::json::write_str(&mut out, key);
                out.push(':');
                value.write(&mut out);
            }
        }
        if pending {
            out.push(',');
            write_telemetry(&mut out, None, entries);
        }
        out.push('}');
        out
    }
}

fn is_after_telemetry(key: &str) -> bool {
    const BEFORE: [&str; 10] = [
        "requestId",
        "impressionId",
        "id",
        "environmentId",
        "property",
        "trace",
        "context",
        "experienceCloud",
        "execute",
        "prefetch",
    ];
    key != "telemetry" && !BEFORE.contains(&key)
}

/// Writes the telemetry member: the caller's entries first, then ours.
fn write_telemetry(out: &mut String, given: Option<&Json<'_>>, entries: &[String]) {
    out.push_str("\"telemetry\":{\"entries\":[");
    let given = given.and_then(Json::as_object);
    let theirs = given.and_then(|given| given.get("entries")).and_then(Json::as_array).unwrap_or(&[]);
    let mut first = true;
    let mut separate = |out: &mut String| {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
    };
    for entry in theirs {
        separate(out);
        entry.write(out);
    }
    for entry in entries {
        separate(out);
        out.push_str(entry);
    }
    out.push(']');
    for (key, value) in given.into_iter().flat_map(Object::iter).filter(|(key, _)| *key != "entries") {
        out.push(',');
        crate::json::write_str(out, key);
        out.push(':');
        value.write(out);
    }
    out.push('}');
}

/// The members of a request, by name.
#[derive(Default)]
struct Parts<'a> {
    request_id: Option<Json<'a>>,
    impression_id: Option<Json<'a>>,
    id: Option<Json<'a>>,
    environment_id: Option<Json<'a>>,
    property: Option<Json<'a>>,
    trace: Option<Json<'a>>,
    context: Option<Json<'a>>,
    experience_cloud: Option<Json<'a>>,
    execute: Option<Json<'a>>,
    prefetch: Option<Json<'a>>,
    telemetry: Option<Json<'a>>,
    notifications: Option<Json<'a>>,
    qa_mode: Option<Json<'a>>,
    preview: Option<Json<'a>>,
    unknown: Vec<(Cow<'a, str>, Json<'a>)>,
}

impl<'a> Parts<'a> {
    fn take(request: Object<'a>) -> Parts<'a> {
        let mut parts = Parts::default();
        for (key, value) in request {
            let place = match key.as_ref() {
                "requestId" => &mut parts.request_id,
                "impressionId" => &mut parts.impression_id,
                "id" => &mut parts.id,
                "environmentId" => &mut parts.environment_id,
                "property" => &mut parts.property,
                "trace" => &mut parts.trace,
                "context" => &mut parts.context,
                "experienceCloud" => &mut parts.experience_cloud,
                "execute" => &mut parts.execute,
                "prefetch" => &mut parts.prefetch,
                "telemetry" => &mut parts.telemetry,
                "notifications" => &mut parts.notifications,
                "qaMode" => &mut parts.qa_mode,
                "preview" => &mut parts.preview,
                _ => {
                    parts.unknown.push((key, value));
                    continue;
                }
            };
            *place = Some(value);
        }
        parts
    }
}

fn push_some<'a>(out: &mut Object<'a>, key: &'static str, value: Option<Json<'a>>) {
    if let Some(value) = value {
        out.push(key, value);
    }
}

fn push_object<'a>(out: &mut Object<'a>, key: &'static str, value: Object<'a>) {
    if !value.is_empty() {
        out.push(key, value);
    }
}

/// The members of an object; the options' check has let nothing else through.
fn object(value: Option<Json<'_>>) -> Object<'_> {
    match value {
        Some(Json::Object(object)) => object,
        _ => Object::new(),
    }
}

fn is_falsy(value: &Json<'_>) -> bool {
    match value {
        Json::Null => true,
        Json::Bool(value) => !value,
        Json::Number(number) => number.as_f64() == Some(0.0),
        Json::String(text) => text.is_empty(),
        Json::Array(_) | Json::Object(_) => false,
    }
}

fn is_empty_list(value: &Json<'_>) -> bool {
    value.as_array().is_some_and(<[_]>::is_empty)
}

fn id(bytes: [u8; 16]) -> String {
    let mut text = uuid::Uuid::encode_buffer();
    uuid::Builder::from_random_bytes(bytes).into_uuid().simple().encode_lower(&mut text).to_owned()
}

/// Reads the cookie; borrows what it can from it.
fn target_cookie_of<'a>(value: Cow<'a, str>, now_ms: i64) -> TargetCookie<'a> {
    match value {
        Cow::Borrowed(value) => TargetCookie::parse(value, now_ms),
        Cow::Owned(value) => {
            let cookie = TargetCookie::parse(&value, now_ms);
            TargetCookie {
                session: cookie.session.map(|id| Cow::Owned(id.into_owned())),
                device: cookie.device.map(|id| Cow::Owned(id.into_owned())),
            }
        }
    }
}

/// Moves a text member that must not be empty; a key that is there keeps the default out even when it is empty.
fn push_text<'a>(out: &mut Object<'a>, from: &mut Object<'a>, key: &'static str, default: Option<Cow<'a, str>>) {
    let text = match from.remove(key) {
        None => default.map(Json::String),
        given => given,
    };
    push_some(out, key, text.filter(|text| !is_falsy(text)));
}

fn push_rest<'a>(out: &mut Object<'a>, rest: Object<'a>) {
    for (key, value) in rest {
        out.push(key, value);
    }
}

fn visitor_id<'a>(
    mut given: Object<'a>,
    device: Option<Cow<'a, str>>,
    marketing_cloud_visitor_id: Option<String>,
    customer_ids: Option<&Object<'a>>,
) -> Object<'a> {
    let mut out = Object::with_capacity(4);
    push_text(&mut out, &mut given, "tntId", device);
    push_text(&mut out, &mut given, "thirdPartyId", None);
    push_text(&mut out, &mut given, "marketingCloudVisitorId", marketing_cloud_visitor_id.map(Cow::Owned));
    let mut customers = customer_ids.map(visitor::delivery_customer_ids).unwrap_or_default();
    if let Some(Json::Array(more)) = given.remove("customerIds") {
        customers.extend(more);
    }
    if !customers.is_empty() {
        out.push("customerIds", Json::Array(customers));
    }
    push_rest(&mut out, given);
    out
}

/// The request's property, else the configured one.
fn property<'a>(mut given: Object<'a>, config: &Config) -> Option<Object<'a>> {
    let configured = config.property_token.as_deref().filter(|token| !token.is_empty());
    if let Some(token) = given.get("token").and_then(Json::as_str) {
        if Some(token) != configured {
            log::debug!(
                target: "target_sdk::delivery",
                "the property token specified in the request does not match the one specified in the config"
            );
        }
        if !token.is_empty() {
            return Some(given);
        }
    }
    given.set("token", configured?.to_owned());
    Some(given)
}

fn context<'a>(given: Option<Json<'a>>) -> Json<'a> {
    // UTC: the time zone of the process is the server's, not the visitor's, and is never read
    const TIME_OFFSET: &str = "timeOffsetInMinutes";
    let mut out = match given {
        Some(Json::Object(context)) => context,
        _ => {
            let mut context = Object::with_capacity(2);
            context.push(TIME_OFFSET, 0);
            context
        }
    };
    match out.get_mut("channel") {
        None => out.push("channel", "web"),
        Some(channel) if matches!(channel.as_str(), Some("web" | "mobile")) => {}
        Some(channel) => {
            log::warn!(target: "target_sdk::delivery", "/request/context/channel is neither web nor mobile: web is sent");
            *channel = Json::from("web");
        }
    }
    if out.get(TIME_OFFSET).is_none() {
        out.push(TIME_OFFSET, 0);
    }
    Json::Object(out)
}

fn experience_cloud<'a>(
    mut given: Object<'a>,
    location_hint: Option<i64>,
    blob: Option<String>,
    supplemental_data_id: impl FnOnce() -> Cow<'a, str>,
) -> Json<'a> {
    let mut theirs = object(given.remove("analytics"));
    let mut analytics = Object::with_capacity(2 + theirs.len());
    let id = match theirs.remove("supplementalDataId") {
        Some(Json::String(id)) if visitor::is_supplemental_data_id(&id) => id,
        None => supplemental_data_id(),
        Some(_) => {
            log::warn!(
                target: "target_sdk::delivery",
                "/request/experienceCloud/analytics/supplementalDataId is not one: replaced by the visitor's"
            );
            supplemental_data_id()
        }
    };
    analytics.push("supplementalDataId", Json::String(id));
    let logging = theirs.remove("logging").filter(|logging| !is_falsy(logging));
    analytics.push("logging", logging.unwrap_or(Json::from("server_side")));
    push_text(&mut analytics, &mut theirs, "trackingServer", None);
    push_text(&mut analytics, &mut theirs, "trackingServerSecure", None);
    push_rest(&mut analytics, theirs);

    let mut theirs = object(given.remove("audienceManager"));
    let mut audience_manager = Object::new();
    let location_hint = theirs.remove("locationHint").or(location_hint.map(Json::from));
    push_some(&mut audience_manager, "locationHint", location_hint);
    let blob = theirs.remove("blob").or(blob.map(Json::from));
    push_some(&mut audience_manager, "blob", blob);
    push_rest(&mut audience_manager, theirs);

    let mut out = Object::with_capacity(2 + given.len());
    out.push("analytics", analytics);
    push_object(&mut out, "audienceManager", audience_manager);
    push_rest(&mut out, given);
    Json::Object(out)
}

/// `execute` or `prefetch`: gives mboxes their index; `None` when nothing was asked for.
fn mode(given: Option<Json<'_>>) -> Option<Json<'_>> {
    let Some(Json::Object(mut mode)) = given else { return None };
    if mode.is_empty() {
        return None;
    }
    if let Some(Json::Array(mboxes)) = mode.get_mut("mboxes") {
        for (position, mbox) in (0_i64..).zip(mboxes) {
            if let Json::Object(mbox) = mbox
                && mbox.get("index").is_none()
            {
                mbox.push("index", position);
            }
        }
    }
    if let Some(Json::Array(views)) = mode.get_mut("views") {
        for view in views {
            if let Json::Object(view) = view {
                view.members_mut().retain(|(key, value)| !matches!(key.as_ref(), "name" | "key") || !is_falsy(value));
            }
        }
    }
    mode.members_mut().retain(|(key, value)| !matches!(key.as_ref(), "mboxes" | "views") || !is_empty_list(value));
    Some(Json::Object(mode))
}

crate::opaque::opaque_debug! { Prepared<'a> { request_id } }
