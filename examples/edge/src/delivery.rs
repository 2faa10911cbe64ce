//! `POST /rest/v1/delivery`: checks the request, lets the decider choose, and answers as an edge does.

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use crate::decider::Question;
use crate::http::{Answer, Refusal, error, fingerprint, json as answer_json, no_content, query_value, random};
use crate::misbehave::with_status;
use crate::offers::present;
use crate::state::State;
use crate::validate;

/// A delivery request as far as HTTP is concerned.
pub(crate) struct Incoming<'a> {
    pub(crate) query: &'a str,
    pub(crate) host: Option<&'a str>,
    pub(crate) body: &'a [u8],
}

pub(crate) fn serve(state: &State, incoming: &Incoming<'_>) -> Answer {
    match state.options.status {
        // A success still needs its body.
        Some(code @ (200..=203 | 206..=299)) => {
            let mut answer = answer(state, incoming);
            if let Ok(status) = StatusCode::from_u16(code) {
                *answer.status_mut() = status;
            }
            answer
        }
        Some(code) => with_status(code),
        None => answer(state, incoming),
    }
}

fn answer(state: &State, incoming: &Incoming<'_>) -> Answer {
    decide(state, incoming).unwrap_or_else(|refusal| error(refusal.status, &refusal.message))
}

fn decide(state: &State, incoming: &Incoming<'_>) -> Result<Answer, Refusal> {
    let organization = query_value(incoming.query, "imsOrgId");
    let session = query_value(incoming.query, "sessionId");
    let (organization, session_id) = validate::query(organization, session).map_err(Refusal::invalid)?;
    if state.options.organization.as_ref().is_some_and(|known| *known != organization) {
        return Err(Refusal::invalid("imsOrgId is not the organization this edge serves"));
    }
    let client = client(state, incoming).map_err(Refusal::invalid)?;
    if incoming.body.iter().all(u8::is_ascii_whitespace) {
        return Err(Refusal::invalid("a request body is required"));
    }
    let mut request: Value = serde_json::from_slice(incoming.body)
        .map_err(|error| Refusal::invalid(format!("the request body is not valid JSON: {error}")))?;
    validate::body(&request).map_err(Refusal::invalid)?;

    if request.pointer("/context/beacon") == Some(&Value::Bool(true)) {
        return Ok(no_content());
    }
    identify(&mut request, state.options.cluster)?;
    let question = Question { request: &request, client: &client, session_id: &session_id };
    let decision = state.decider().decide(&question).map_err(Refusal::failed)?;

    let request_id = request.get("requestId").cloned().unwrap_or_default();
    let mut response = Map::new();
    response.insert("status".to_owned(), 200.into());
    response.insert("requestId".to_owned(), request_id.clone());
    response.insert("client".to_owned(), Value::String(client.clone()));
    response.insert("id".to_owned(), without_nulls(request.get("id")));
    response.insert("edgeHost".to_owned(), format!("mboxedge{}.tt.omtrdc.net", state.options.cluster).into());
    for (key, section) in [("execute", decision.execute), ("prefetch", decision.prefetch)] {
        if let Some(mut section) = section {
            if present(&request, "trace").is_some() {
                add_traces(&mut section, key, &question);
            }
            response.insert(key.to_owned(), section);
        }
    }
    if let Some(notifications) = present(&request, "notifications").and_then(Value::as_array) {
        let acknowledged = notifications.iter().map(|notification| json!({ "id": notification.get("id") }));
        response.insert("notifications".to_owned(), Value::Array(acknowledged.collect()));
    }
    let token = format!("{:016x}{:016x}", fingerprint(request_id.to_string().as_bytes()), crate::record::now());
    response.insert("telemetryServerToken".to_owned(), Value::String(token));
    Ok(answer_json(&Value::Object(response)))
}

/// The client code: in the query, in the host name, or else the artifact's. The only one allowed, if there is one.
fn client(state: &State, incoming: &Incoming<'_>) -> Result<String, String> {
    let host = incoming.host.map(|host| host.split_once(':').map_or(host, |(name, _)| name));
    let of_host =
        host.and_then(|host| host.strip_suffix(".tt.omtrdc.net")).filter(|name| !name.starts_with("mboxedge"));
    let named = query_value(incoming.query, "client").or_else(|| of_host.map(str::to_owned));
    match (&state.options.client, named) {
        (Some(only), Some(named)) if *only != named => Err(format!("client `{named}` is not known")),
        (Some(only), _) => Ok(only.clone()),
        (None, Some(named)) => Ok(named),
        (None, None) => {
            let artifact = state.artifact().and_then(|artifact| artifact.client.clone());
            Ok(artifact.unwrap_or_else(|| "local".to_owned()))
        }
    }
}

/// Fills in the request id and the tntId, where the request has none.
///
/// A visitor with a thirdPartyId gets no tntId: SDKs decide by the thirdPartyId as long as they know no tntId, and one made
/// up here would change the visitor's experience.
fn identify(request: &mut Value, cluster: u32) -> Result<(), Refusal> {
    let Some(request) = request.as_object_mut() else { return Ok(()) };
    if is_blank(request.get("requestId")) {
        let id = uuid::Builder::from_random_bytes(random()?).into_uuid().to_string();
        request.insert("requestId".to_owned(), Value::String(id));
    }
    let id = request.entry("id").or_insert(Value::Null);
    if id.is_null() {
        *id = json!({});
    }
    if let Some(id) = id.as_object_mut()
        && ["tntId", "thirdPartyId"].iter().all(|key| is_blank(id.get(*key)))
    {
        let tnt_id = format!("{:032x}.{cluster}_0", u128::from_be_bytes(random()?));
        id.insert("tntId".to_owned(), Value::String(tnt_id));
    }
    Ok(())
}

fn is_blank(value: Option<&Value>) -> bool {
    value.and_then(Value::as_str).is_none_or(str::is_empty)
}

fn without_nulls(id: Option<&Value>) -> Value {
    let members = id.and_then(Value::as_object).into_iter().flatten().filter(|(_, value)| !value.is_null());
    Value::Object(members.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// A small trace on every item that has none: who asked what.
fn add_traces(section: &mut Value, mode: &str, question: &Question<'_>) {
    let Some(section) = section.as_object_mut() else { return };
    for (kind, items) in section {
        let singular = match kind.as_str() {
            "mboxes" => "mbox",
            "views" => "view",
            other => other,
        };
        let items = match items {
            Value::Array(items) => items.iter_mut().collect(),
            item => vec![item],
        };
        for item in items.into_iter().filter_map(Value::as_object_mut) {
            let mut location = json!({ "type": mode });
            for key in ["index", "name"] {
                if let (Some(location), Some(value)) = (location.as_object_mut(), item.get(key)) {
                    location.insert(key.to_owned(), value.clone());
                }
            }
            let options = item.get("options").and_then(Value::as_array).map_or(0, Vec::len);
            item.entry("trace").or_insert_with(|| {
                json!({
                    "clientCode": question.client,
                    "profile": { "visitorId": question.request.get("id") },
                    "request": { "sessionId": question.session_id, singular: location },
                    "optionsServed": options,
                })
            });
        }
    }
}
