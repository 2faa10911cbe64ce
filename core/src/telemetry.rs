//! Measurements of calls, kept until a delivery request takes them along.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::DecisioningMethod;
use crate::json::{self, Json, Object};
use crate::transport::Timing;

/// Entries kept at most; the oldest make room.
const CAPACITY: usize = 1000;

/// The entries of one client that no request has taken along yet.
pub struct Telemetry {
    enabled: bool,
    entries: Mutex<VecDeque<String>>,
    dropped: AtomicU64,
}

impl Telemetry {
    /// No entries. If not `enabled` it stays so.
    pub fn new(enabled: bool) -> Telemetry {
        Telemetry { enabled, entries: Mutex::default(), dropped: AtomicU64::new(0) }
    }

    /// Whether measuring makes sense.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Adds an entry, made by [`delivery_entry`] or [`artifact_entry`].
    pub fn push(&self, entry: String) {
        if !self.enabled {
            return;
        }
        let mut entries = self.lock();
        if entries.len() >= CAPACITY {
            entries.pop_front();
            self.count_dropped(1);
        }
        entries.push_back(entry);
    }

    /// Takes all entries, oldest first.
    pub fn take(&self) -> Vec<String> {
        if !self.enabled {
            return Vec::new();
        }
        std::mem::take(&mut *self.lock()).into()
    }

    /// Puts entries back that could not be sent. They are older than those that came since.
    pub fn put_back(&self, mut older: Vec<String>) {
        let mut entries = self.lock();
        let room = CAPACITY.saturating_sub(entries.len());
        let excess = older.len().saturating_sub(room);
        if excess > 0 {
            older.drain(..excess);
            self.count_dropped(excess as u64);
        }
        for entry in older.into_iter().rev() {
            entries.push_front(entry);
        }
    }

    /// Counts entries that are given up because the server refused the request that carried them.
    pub fn refused(&self, count: usize) {
        if count > 0 {
            log::warn!(target: "target_sdk::telemetry", "{count} telemetry entries of a refused request are given up");
            self.dropped.fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    /// Gives all entries up, and counts them. Says how many there were.
    pub fn give_up(&self) -> usize {
        let count = std::mem::take(&mut *self.lock()).len();
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
        count
    }

    /// How many entries are waiting.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none is waiting.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries were given up: those that had to make room, those of refused requests, and the last ones.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn count_dropped(&self, count: u64) {
        if self.dropped.fetch_add(count, Ordering::Relaxed) == 0 {
            log::warn!(target: "target_sdk::telemetry", "more than {CAPACITY} telemetry entries wait: the oldest are dropped");
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a request asked for, as telemetry tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    execute_page_load: bool,
    execute_mboxes: usize,
    prefetch_page_load: bool,
    prefetch_mboxes: usize,
    prefetch_views: usize,
}

impl Features {
    /// The features of a final request.
    pub fn of(request: &Object<'_>) -> Features {
        let count = |mode: &str, list: &str| {
            request.get(mode).and_then(|mode| mode.get(list)).and_then(Json::as_array).map_or(0, <[_]>::len)
        };
        let page_load = |mode: &str| request.get(mode).is_some_and(|mode| mode.get("pageLoad").is_some());
        Features {
            execute_page_load: page_load("execute"),
            execute_mboxes: count("execute", "mboxes"),
            prefetch_page_load: page_load("prefetch"),
            prefetch_mboxes: count("prefetch", "mboxes"),
            prefetch_views: count("prefetch", "views"),
        }
    }
}

/// One call, measured.
#[derive(Clone, Copy)]
pub struct Measured<'m> {
    /// The request's `requestId`.
    pub request_id: &'m str,
    /// When it was answered, milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// From before sending, or deciding, to the finished answer.
    pub execution: Duration,
    /// Reading the answer, if it came from a server.
    pub parsing: Option<Duration>,
    /// Whether an edge server answered (its `edgeHost` is known).
    pub edge: bool,
    /// How it was decided.
    pub decisioning_method: DecisioningMethod,
    /// What was asked for.
    pub features: Features,
    /// Times of the network call, if there was one.
    pub timing: Option<&'m Timing>,
    /// Token from the answer.
    pub telemetry_server_token: Option<&'m str>,
}

/// The entry of a delivery call or of a decision on the device, as JSON text.
pub fn delivery_entry(call: &Measured<'_>) -> String {
    let mut out = String::with_capacity(400);
    begin(&mut out, call.request_id, call.timestamp_ms);
    written(&mut out, "execution", hundredths(call.execution));
    out.push_str(if call.edge { ",\"mode\":\"edge\"" } else { ",\"mode\":\"local\"" });
    out.push_str(",\"features\":{\"decisioningMethod\":\"");
    out.push_str(call.decisioning_method.name());
    out.push('"');
    let features = &call.features;
    let mut mode = |page_load: (&str, bool), counts: &[(&str, usize)]| {
        if page_load.1 {
            out.push_str(",\"");
            out.push_str(page_load.0);
            out.push_str("\":true");
        }
        for (key, count) in counts {
            number(&mut out, key, (*count as u64).saturating_mul(100));
        }
    };
    mode(("executePageLoad", features.execute_page_load), &[("executeMboxCount", features.execute_mboxes)]);
    mode(
        ("prefetchPageLoad", features.prefetch_page_load),
        &[("prefetchMboxCount", features.prefetch_mboxes), ("prefetchViewCount", features.prefetch_views)],
    );
    out.push('}');
    if let Some(parsing) = call.parsing {
        written(&mut out, "parsing", hundredths(parsing));
    }
    request(&mut out, call.timing);
    if let Some(token) = call.telemetry_server_token {
        out.push_str(",\"telemetryServerToken\":");
        json::write_str(&mut out, token);
    }
    out.push('}');
    out
}

/// The entry of an artifact download, as JSON text.
pub fn artifact_entry(
    timestamp_ms: i64,
    execution: Duration,
    parsing: Option<Duration>,
    timing: Option<&Timing>,
) -> String {
    let mut out = String::with_capacity(200);
    begin(&mut out, "ArtifactDownload", timestamp_ms);
    number(&mut out, "execution", hundredths(execution));
    number(&mut out, "parsing", parsing.map_or(0, hundredths));
    request(&mut out, timing);
    out.push('}');
    out
}

fn begin(out: &mut String, request_id: &str, timestamp_ms: i64) {
    out.push_str("{\"requestId\":");
    json::write_str(out, request_id);
    out.push_str(",\"timestamp\":");
    json::write_int(out, timestamp_ms);
}

fn request(out: &mut String, timing: Option<&Timing>) {
    let Some(timing) = timing else { return };
    let before = out.len();
    out.push_str(",\"request\":{");
    let first = out.len();
    for (key, time) in [
        ("dns", timing.dns),
        ("tls", timing.tls),
        ("timeToFirstByte", timing.time_to_first_byte),
        ("download", timing.download),
    ] {
        number(out, key, time.map_or(0, hundredths));
    }
    number(out, "responseSize", (timing.response_size as u64).saturating_mul(100));
    if out.len() > first {
        out.remove(first); // the comma
        out.push('}');
    } else {
        out.truncate(before);
    }
}

/// In hundredths of a millisecond.
fn hundredths(time: Duration) -> u64 {
    time.as_secs().saturating_mul(100_000).saturating_add(u64::from((time.subsec_nanos() + 5_000) / 10_000))
}

/// Appends a member with at most two decimals, given in hundredths; zero is left out.
fn number(out: &mut String, key: &str, hundredths: u64) {
    if hundredths != 0 {
        written(out, key, hundredths);
    }
}

/// Appends a member with at most two decimals. What takes microseconds in this library rounds to zero, and is still told.
fn written(out: &mut String, key: &str, hundredths: u64) {
    if hundredths >= 1_000_000_000_000_000 {
        return; // not a measurement
    }
    let hundredths = hundredths as i64;
    out.push_str(",\"");
    out.push_str(key);
    out.push_str("\":");
    json::write_int(out, hundredths / 100);
    match hundredths % 100 {
        0 => {}
        part if part % 10 == 0 => {
            out.push('.');
            json::write_int(out, part / 10);
        }
        part => {
            out.push_str(if part < 10 { ".0" } else { "." });
            json::write_int(out, part);
        }
    }
}

crate::opaque::opaque_debug! { Measured<'m> { request_id } Telemetry {} }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Limits, parse};

    fn entries(telemetry: &Telemetry) -> Vec<String> {
        let entries = telemetry.take();
        telemetry.put_back(entries.clone());
        entries
    }

    #[test]
    fn ring_keeps_the_newest_in_order() {
        let telemetry = Telemetry::new(true);
        for n in 0..1002 {
            telemetry.push(n.to_string());
        }
        assert_eq!((telemetry.len(), telemetry.dropped()), (1000, 2));
        let taken = telemetry.take();
        assert!(telemetry.is_empty());
        assert_eq!((taken.first().map(String::as_str), taken.last().map(String::as_str)), (Some("2"), Some("1001")));
        telemetry.push("new".to_owned());
        telemetry.put_back(taken);
        assert_eq!((telemetry.len(), telemetry.dropped()), (1000, 3));
        let now = entries(&telemetry);
        assert_eq!((now.first().map(String::as_str), now.last().map(String::as_str)), (Some("3"), Some("new")));
    }

    #[test]
    fn disabled_keeps_nothing() {
        let telemetry = Telemetry::new(false);
        telemetry.push("x".to_owned());
        assert!(telemetry.is_empty() && telemetry.take().is_empty() && !telemetry.is_enabled());
    }

    #[test]
    fn shapes() {
        let request = concat!(
            r#"{"execute":{"pageLoad":{},"mboxes":[{"name":"a"},{"name":"b"}]},"#,
            r#""prefetch":{"pageLoad":{},"mboxes":[{"name":"c"}],"views":[{}]}}"#
        );
        let Json::Object(request) = parse(request, &Limits::OPTIONS).unwrap() else { panic!() };
        let micros = |us| Some(Duration::from_micros(us));
        let timing = Timing {
            dns: micros(1_200),
            tls: micros(3_400),
            time_to_first_byte: micros(20_104),
            download: micros(500),
            response_size: 512,
        };
        let mut call = Measured {
            request_id: "R",
            timestamp_ms: 1_700_000_000_000,
            execution: Duration::from_micros(12_345),
            parsing: micros(100),
            edge: true,
            decisioning_method: DecisioningMethod::ServerSide,
            features: Features::of(&request),
            timing: Some(&timing),
            telemetry_server_token: Some("t\"k"),
        };
        assert_eq!(
            delivery_entry(&call),
            concat!(
                r#"{"requestId":"R","timestamp":1700000000000,"execution":12.35,"mode":"edge","#,
                r#""features":{"decisioningMethod":"server-side","executePageLoad":true,"executeMboxCount":2,"#,
                r#""prefetchPageLoad":true,"prefetchMboxCount":1,"prefetchViewCount":1},"#,
                r#""parsing":0.1,"request":{"dns":1.2,"tls":3.4,"timeToFirstByte":20.1,"download":0.5,"responseSize":512},"#,
                r#""telemetryServerToken":"t\"k"}"#
            )
        );
        let nothing = Timing::default();
        call = Measured {
            execution: Duration::from_nanos(900),
            parsing: None,
            edge: false,
            decisioning_method: DecisioningMethod::OnDevice,
            features: Features::default(),
            timing: Some(&nothing),
            telemetry_server_token: None,
            ..call
        };
        assert_eq!(
            delivery_entry(&call),
            r#"{"requestId":"R","timestamp":1700000000000,"execution":0,"mode":"local","features":{"decisioningMethod":"on-device"}}"#
        );
        assert_eq!(
            artifact_entry(7, Duration::from_millis(3), None, None),
            r#"{"requestId":"ArtifactDownload","timestamp":7,"execution":3}"#
        );
    }
}
