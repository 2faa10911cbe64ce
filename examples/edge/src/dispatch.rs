//! From a request to its answer: record, misbehave if asked to, route.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::HOST;
use hyper::{Request, StatusCode, Version, http};

use crate::connection::Connection;
use crate::debug;
use crate::delivery;
use crate::fault::Target;
use crate::geo;
use crate::http::{Answer, decode, error, full};
use crate::misbehave::misbehave;
use crate::record::{Received, now};
use crate::state::{State, count};

/// More than any delivery request is allowed to have.
const MAX_BODY: usize = 16 << 20;

pub(crate) async fn dispatch(state: Arc<State>, connection: Arc<Connection>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(failure) if failure.is::<http_body_util::LengthLimitError>() => {
            return error(StatusCode::PAYLOAD_TOO_LARGE, "the request body is too large");
        }
        Err(_) => return error(StatusCode::BAD_REQUEST, "the request body did not arrive"),
    };
    let path = head.uri.path();
    let query = head.uri.query().unwrap_or("");
    if let Some(name) = path.strip_prefix("/debug/") {
        return debug::serve(&state, head.method.as_str(), name, query, &body);
    }

    count(&state.stats.requests);
    if head.version == Version::HTTP_2 {
        count(&state.stats.http2);
    }
    state.record().push(Received {
        method: head.method.to_string(),
        path: path.to_owned(),
        query: query.to_owned(),
        protocol: format!("{:?}", head.version),
        connection: connection.id,
        headers: head.headers.clone(),
        body: body.clone(),
        at: now(),
    });

    let route = Route::of(path);
    let Some(target) = route.target() else { return error(StatusCode::NOT_FOUND, "nothing is served at this path") };
    count(match target {
        Target::Artifact => &state.stats.artifact,
        Target::Geo => &state.stats.geo,
        Target::Delivery | Target::All => &state.stats.delivery,
    });
    wait(state.options.delay).await;
    let planned = state.faults().next(target);
    let correct = async { serve(&state, &route, &head, &body, connection.peer.ip()) };
    let Some(planned) = planned else { return correct.await };
    count(&state.stats.faults);
    wait(planned.delay).await;
    match planned.fault {
        Some(fault) => misbehave(fault, &connection, correct).await,
        None => correct.await,
    }
}

async fn wait(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

enum Route {
    Delivery,
    Artifact { client: String, binary: bool },
    Geo,
    Nowhere,
}

impl Route {
    fn of(path: &str) -> Route {
        let segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match segments.as_slice() {
            ["rest", "v1", "delivery"] => Route::Delivery,
            ["v1", "geo"] => Route::Geo,
            [client, _environment, "v1", file @ ("rules.json" | "rules.bin")]
            | [client, _environment, "v1", _, file @ ("rules.json" | "rules.bin")] => {
                Route::Artifact { client: decode(client), binary: *file == "rules.bin" }
            }
            _ => Route::Nowhere,
        }
    }

    fn target(&self) -> Option<Target> {
        match self {
            Route::Delivery => Some(Target::Delivery),
            Route::Artifact { .. } => Some(Target::Artifact),
            Route::Geo => Some(Target::Geo),
            Route::Nowhere => None,
        }
    }
}

fn serve(state: &State, route: &Route, head: &http::request::Parts, body: &Bytes, peer: IpAddr) -> Answer {
    let is_get = matches!(head.method.as_str(), "GET" | "HEAD");
    let mut answer = match route {
        Route::Delivery if head.method == "POST" => {
            let header = head.headers.get(HOST).and_then(|host| host.to_str().ok());
            let host = head.uri.host().or(header);
            delivery::serve(state, &delivery::Incoming { query: head.uri.query().unwrap_or(""), host, body })
        }
        Route::Artifact { client, binary } if is_get => artifact(state, head, client, *binary, peer),
        Route::Geo if is_get => geo::answer(place(state, head, peer)),
        Route::Nowhere => error(StatusCode::NOT_FOUND, "nothing is served at this path"),
        _ => error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
    };
    if head.method == "HEAD" {
        *answer.body_mut() = full(Bytes::new());
    }
    answer
}

fn place(state: &State, head: &http::request::Parts, peer: IpAddr) -> serde_json::Map<String, serde_json::Value> {
    let forwarded = head.headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
    geo::place(&state.offers(), forwarded, peer)
}

fn artifact(state: &State, head: &http::request::Parts, client: &str, binary: bool, peer: IpAddr) -> Answer {
    if state.options.client.as_ref().is_some_and(|only| only != client) {
        // The CDN's answer for clients without an artifact.
        return error(StatusCode::FORBIDDEN, "access denied: no artifact of this client");
    }
    let Some(artifact) = state.artifact() else {
        return error(StatusCode::NOT_FOUND, "no artifact: start target-edge with --artifact FILE");
    };
    let mut answer = if binary {
        artifact.binary(&head.headers, state.options.organization.as_deref())
    } else {
        artifact.json(&head.headers)
    };
    geo::add_headers(&mut answer, &place(state, head, peer));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes() {
        assert!(matches!(Route::of("/rest/v1/delivery"), Route::Delivery));
        assert!(matches!(Route::of("/v1/geo"), Route::Geo));
        assert!(matches!(Route::of("/acme/production/v1/rules.json"), Route::Artifact { binary: false, .. }));
        match Route::of("/a%20b/staging/v1/some-token/rules.bin") {
            Route::Artifact { client, binary } => assert_eq!((client.as_str(), binary), ("a b", true)),
            _ => panic!("no artifact"),
        }
        for other in ["/", "/rest/v1", "/acme/production/v2/rules.json", "/acme/production/v1/a/b/rules.json"] {
            assert!(matches!(Route::of(other), Route::Nowhere), "{other}");
        }
    }
}
