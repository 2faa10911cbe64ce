//! `/debug`: what arrived, how much, and faults at run time.

use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::fault::{FaultRule, Target};
use crate::http::{Answer, error, json as answer_json, no_content, query_value};
use crate::state::State;

pub(crate) fn serve(state: &State, method: &str, name: &str, query: &str, body: &Bytes) -> Answer {
    match (method, name) {
        ("GET", "received") => {
            let path = query_value(query, "path");
            answer_json(&state.record().to_json(path.as_deref()))
        }
        ("DELETE", "received") => {
            state.record().clear();
            no_content()
        }
        ("GET", "stats") => answer_json(&state.stats.to_json()),
        ("GET", "fault") => answer_json(&list(state)),
        ("POST", "fault") => match read_rule(body) {
            Ok(rule) => {
                state.faults().push(rule);
                answer_json(&list(state))
            }
            Err(message) => error(StatusCode::BAD_REQUEST, &message),
        },
        ("DELETE", "fault") => {
            state.faults().clear();
            no_content()
        }
        (_, "received" | "stats" | "fault") => error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
        _ => error(StatusCode::NOT_FOUND, "known: /debug/received, /debug/stats, /debug/fault"),
    }
}

fn list(state: &State) -> Value {
    let rules = state.faults();
    let shown = rules.rules().iter().map(|rule| {
        json!({
            "target": rule.target.name(),
            "name": rule.fault.as_ref().map(|fault| fault.name()),
            "times": rule.times,
            "delayMs": u64::try_from(rule.delay.as_millis()).unwrap_or(u64::MAX),
            "seen": rule.seen,
        })
    });
    Value::Array(shown.collect())
}

fn read_rule(body: &[u8]) -> Result<FaultRule, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| format!("no valid JSON: {error}"))?;
    let Value::Object(members) = value else { return Err("an object is expected".to_owned()) };
    let mut rule = FaultRule { target: Target::Delivery, fault: None, times: None, delay: Duration::ZERO, seen: 0 };
    for (key, value) in &members {
        match (key.as_str(), value) {
            (_, Value::Null) => {}
            ("target", Value::String(target)) => rule.target = Target::parse(target)?,
            ("name", Value::String(name)) => rule.fault = Some(FaultRule::parse_name(name)?),
            ("times", value) if value.as_u64().is_some_and(|times| times > 0) => rule.times = value.as_u64(),
            ("delayMs", value) if value.as_u64().is_some_and(|delay| delay <= u32::MAX.into()) => {
                rule.delay = Duration::from_millis(value.as_u64().unwrap_or(0));
            }
            ("target" | "name", _) => return Err(format!("{key}: a string is expected")),
            ("times" | "delayMs", _) => return Err(format!("{key}: a whole number in range is expected")),
            _ => return Err(format!("{key}: unknown; known: target, name, times, delayMs")),
        }
    }
    if rule.fault.is_none() && rule.delay.is_zero() {
        return Err("name or delayMs is needed".to_owned());
    }
    Ok(rule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;

    #[test]
    fn rules_are_read() {
        let rule = read_rule(br#"{"target":"geo","name":"retry-after:3","times":2,"delayMs":40}"#).unwrap();
        assert_eq!(rule.target, Target::Geo);
        assert_eq!(rule.fault, Some(Fault::RetryAfter(3)));
        assert_eq!((rule.times, rule.delay), (Some(2), Duration::from_millis(40)));
        assert_eq!(read_rule(br#"{"delayMs":1}"#).unwrap().fault, None);
        for (text, part) in [
            ("[]", "object"),
            ("{}", "name or delayMs"),
            (r#"{"name":"moon"}"#, "unknown fault"),
            (r#"{"name":"reset","times":0}"#, "times"),
            (r#"{"name":1}"#, "name: a string"),
            (r#"{"nam":"reset"}"#, "nam: unknown"),
        ] {
            assert!(read_rule(text.as_bytes()).unwrap_err().contains(part), "{text}");
        }
    }
}
