//! Counters and latencies of a client's calls. Writing them takes no lock.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use crate::error::{Error, ErrorKind};
use crate::json::write_str;

/// How a call was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Offers or attributes, by the Delivery API.
    ServerSide,
    /// Offers or attributes, in this process.
    OnDevice,
    /// Notifications, by the Delivery API.
    Notifications,
}

const KINDS: [(Kind, &str); 3] =
    [(Kind::ServerSide, "server-side"), (Kind::OnDevice, "on-device"), (Kind::Notifications, "notifications")];

/// The statistics of one client. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Stats(Arc<Inner>);

struct Inner {
    accepted: AtomicU64,
    cancelled: AtomicU64,
    kinds: [Counters; KINDS.len()],
    errors: [AtomicU64; ERRORS.len() + 1],
    last_error: ArcSwapOption<LastError>,
}

/// The last call that failed.
struct LastError {
    name: &'static str,
    message: String,
    at: Instant,
}

#[derive(Default)]
struct Counters {
    succeeded: AtomicU64,
    failed: AtomicU64,
    latency: Histogram,
}

/// A call that has no outcome yet. Dropped without one, it was cancelled.
pub struct Running {
    stats: Option<Arc<Inner>>,
    accepted: Instant,
}

impl Stats {
    pub(crate) fn new() -> Stats {
        Stats(Arc::new(Inner {
            accepted: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            kinds: std::array::from_fn(|_| Counters::default()),
            errors: std::array::from_fn(|_| AtomicU64::new(0)),
            last_error: ArcSwapOption::empty(),
        }))
    }

    /// Counts a call that was accepted at `accepted`.
    pub(crate) fn begin(&self, accepted: Instant) -> Running {
        self.0.accepted.fetch_add(1, SeqCst);
        Running { stats: Some(self.0.clone()), accepted }
    }

    /// The statistics as JSON. `sections` are further members: names, and values that are JSON already.
    pub(crate) fn json(&self, sections: &[(&str, &str)]) -> String {
        let inner = &*self.0;
        // Outcomes first, calls last: each call counted among the outcomes is then among those accepted too, and the
        // difference is what is in flight. (A call that ends while this reads still counts as in flight.)
        let cancelled = inner.cancelled.load(SeqCst);
        let outcomes: Vec<(u64, u64)> =
            inner.kinds.iter().map(|kind| (kind.succeeded.load(SeqCst), kind.failed.load(SeqCst))).collect();
        let completed: u64 = outcomes.iter().map(|(succeeded, failed)| succeeded + failed).sum();
        let accepted = inner.accepted.load(SeqCst);
        let in_flight = accepted - completed - cancelled;

        let mut out = String::with_capacity(1024);
        let _ = write!(
            out,
            r#"{{"version":1,"calls":{{"accepted":{accepted},"completed":{completed},"cancelled":{cancelled},"inFlight":{in_flight}}},"operations":{{"#
        ); // writing to a String cannot fail
        for (at, ((_, name), (counters, (succeeded, failed)))) in
            KINDS.iter().zip(inner.kinds.iter().zip(outcomes)).enumerate()
        {
            let comma = if at > 0 { "," } else { "" };
            let _ = write!(out, r#"{comma}"{name}":{{"succeeded":{succeeded},"failed":{failed},"latencyMs":"#);
            counters.latency.snapshot().write(&mut out);
            out.push('}');
        }
        out.push_str("},\"errors\":{");
        let names = ERRORS.iter().map(|(_, name)| *name).chain([OTHER]);
        let mut comma = "";
        for (name, count) in names.zip(&inner.errors).map(|(name, count)| (name, count.load(SeqCst))) {
            if count > 0 {
                let _ = write!(out, r#"{comma}"{name}":{count}"#);
                comma = ",";
            }
        }
        out.push('}');
        if let Some(error) = &*inner.last_error.load() {
            let _ = write!(out, r#","lastError":{{"kind":"{}","message":"#, error.name);
            write_str(&mut out, &error.message);
            let _ = write!(out, r#","ageMs":{}}}"#, error.at.elapsed().as_millis());
        }
        for (name, json) in sections {
            out.push(',');
            write_str(&mut out, name);
            out.push(':');
            out.push_str(json);
        }
        out.push('}');
        out
    }
}

impl Running {
    /// When the host made the call.
    pub(crate) fn accepted(&self) -> Instant {
        self.accepted
    }

    /// Counts the outcome of the call, and the time since it was accepted.
    pub(crate) fn finish(mut self, kind: Kind, outcome: Result<(), &Error>) {
        let Some(inner) = self.stats.take() else { return };
        let elapsed = self.accepted.elapsed();
        for ((candidate, _), counters) in KINDS.iter().zip(&inner.kinds) {
            if *candidate == kind {
                counters.latency.record(elapsed);
                match outcome {
                    Ok(()) => counters.succeeded.fetch_add(1, SeqCst),
                    Err(_) => counters.failed.fetch_add(1, SeqCst),
                };
            }
        }
        if let Err(error) = outcome {
            let place = ERRORS.iter().position(|(kind, _)| *kind == error.kind()).unwrap_or(ERRORS.len());
            if let Some(count) = inner.errors.get(place) {
                count.fetch_add(1, SeqCst);
            }
            let name = ERRORS.get(place).map_or(OTHER, |(_, name)| *name);
            let last = LastError { name, message: error.message().to_owned(), at: Instant::now() };
            inner.last_error.store(Some(Arc::new(last)));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(inner) = self.stats.take() {
            inner.cancelled.fetch_add(1, SeqCst);
        }
    }
}

/// Where errors without a name of their own are counted.
const OTHER: &str = "other";

/// Errors that are counted one by one.
const ERRORS: [(ErrorKind, &str); 15] = [
    (ErrorKind::InvalidJson, "invalidJson"),
    (ErrorKind::InvalidOptions, "invalidOptions"),
    (ErrorKind::NotReady, "notReady"),
    (ErrorKind::Timeout, "timeout"),
    (ErrorKind::Cancelled, "cancelled"),
    (ErrorKind::QueueFull, "queueFull"),
    (ErrorKind::Closed, "closed"),
    (ErrorKind::Network, "network"),
    (ErrorKind::Tls, "tls"),
    (ErrorKind::Http, "http"),
    (ErrorKind::Decode, "decode"),
    (ErrorKind::Artifact, "artifact"),
    (ErrorKind::NoAttribute, "noAttribute"),
    (ErrorKind::CircuitOpen, "circuitOpen"),
    (ErrorKind::Internal, "internal"),
];

/// Microseconds, in buckets that are at most an eighth of their value wide: exact below 16, then 8 for each doubling.
struct Histogram {
    /// On the heap from the beginning: made in place they would pass over the stack of the thread that makes the client.
    buckets: Box<[AtomicU64]>,
    max: AtomicU64,
}

const SUB_BITS: u32 = 3;
const SUBS: u64 = 1 << SUB_BITS;
/// 2^40 microseconds are twelve days; what took longer counts as that.
const TOP_BIT: u32 = 40;
const BUCKETS: usize = ((TOP_BIT - SUB_BITS + 1) as usize) << SUB_BITS;

fn bucket_of(micros: u64) -> usize {
    let micros = micros.min((1 << TOP_BIT) - 1);
    if micros < SUBS {
        return micros as usize; // less than 8
    }
    let octave = micros.ilog2() - SUB_BITS;
    // The highest bit is in the octave, the next three choose the bucket in it.
    (u64::from(octave) * SUBS + (micros >> octave)) as usize
}

/// The largest value that falls into a bucket.
fn top_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * SUBS {
        return bucket;
    }
    let octave = bucket / SUBS - 1;
    (((bucket % SUBS) + SUBS + 1) << octave) - 1
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(), max: AtomicU64::new(0) }
    }
}

impl Histogram {
    fn record(&self, elapsed: Duration) {
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        self.max.fetch_max(micros, SeqCst);
        if let Some(bucket) = self.buckets.get(bucket_of(micros)) {
            bucket.fetch_add(1, SeqCst);
        }
    }

    fn snapshot(&self) -> Snapshot {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(SeqCst)).collect();
        Snapshot { total: counts.iter().sum(), counts, max: self.max.load(SeqCst) }
    }
}

struct Snapshot {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Snapshot {
    /// The value that `percent` of all are not above, rounded up to its bucket.
    fn percentile(&self, percent: u64) -> u64 {
        let rank = (self.total * percent).div_ceil(100);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return top_of(bucket).min(self.max);
            }
        }
        0
    }

    fn write(&self, out: &mut String) {
        let _ = write!(out, r#"{{"count":{}"#, self.total); // writing to a String cannot fail
        let values = [50, 90, 99].map(|percent| self.percentile(percent));
        for (name, micros) in ["p50", "p90", "p99", "max"].into_iter().zip(values.into_iter().chain([self.max])) {
            let _ = write!(out, r#","{name}":{}.{:03}"#, micros / 1000, micros % 1000);
        }
        out.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Json, Limits, parse};

    fn number(json: &str, pointer: &str) -> f64 {
        let document = parse(json, &Limits::OPTIONS).unwrap();
        document.pointer(pointer).and_then(Json::as_f64).unwrap_or_else(|| panic!("no {pointer} in {json}"))
    }

    #[test]
    fn counts_each_outcome_once() {
        let stats = Stats::new();
        let start = Instant::now();
        let begin = || stats.begin(start);
        begin().finish(Kind::ServerSide, Ok(()));
        begin().finish(Kind::ServerSide, Err(&Error::new(ErrorKind::Timeout, "late")));
        begin().finish(Kind::OnDevice, Ok(()));
        begin().finish(Kind::Notifications, Err(&Error::new(ErrorKind::Timeout, "late")));
        drop(begin());
        let _open = begin();
        let json = stats.json(&[("transport", r#"{"connections":2}"#), ("a\"b", "null")]);
        for (pointer, expected) in [
            ("/version", 1.0),
            ("/calls/accepted", 6.0),
            ("/calls/completed", 4.0),
            ("/calls/cancelled", 1.0),
            ("/calls/inFlight", 1.0),
            ("/operations/server-side/succeeded", 1.0),
            ("/operations/server-side/failed", 1.0),
            ("/operations/server-side/latencyMs/count", 2.0),
            ("/operations/on-device/succeeded", 1.0),
            ("/operations/notifications/failed", 1.0),
            ("/errors/timeout", 2.0),
            ("/operations/notifications/latencyMs/count", 1.0),
            ("/transport/connections", 2.0),
        ] {
            assert_eq!(number(&json, pointer), expected, "{pointer} of {json}");
        }
        let document = parse(&json, &Limits::OPTIONS).unwrap();
        assert!(document.pointer("/a\"b").is_some_and(Json::is_null));
        assert_eq!(document.pointer("/lastError/kind").and_then(Json::as_str), Some("timeout"));
        assert_eq!(document.pointer("/lastError/message").and_then(Json::as_str), Some("late"));
        assert!(number(&json, "/lastError/ageMs") < 60_000.0);
    }

    #[test]
    fn every_error_kind_has_a_name_of_its_own() {
        let names: std::collections::HashSet<&str> = ERRORS.iter().map(|(_, name)| *name).collect();
        assert_eq!(names.len(), ERRORS.len());
    }

    #[test]
    fn an_empty_one_is_valid_json() {
        let json = Stats::new().json(&[]);
        assert_eq!(number(&json, "/operations/on-device/latencyMs/p99"), 0.0);
        assert_eq!(number(&json, "/calls/inFlight"), 0.0);
    }

    #[test]
    fn buckets_hold_what_they_say() {
        let mut last = 0;
        for micros in (0..5000).chain((13..64).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1])) {
            let bucket = bucket_of(micros);
            assert!(bucket < BUCKETS && bucket >= last, "{micros}");
            last = bucket;
            let value = micros.min((1 << TOP_BIT) - 1);
            let top = top_of(bucket);
            assert!(top >= value && top - value <= value / 8, "{micros} in bucket up to {top}");
            assert!(bucket == 0 || top_of(bucket - 1) < value);
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles() {
        let histogram = Histogram::default();
        for millis in 1..=100 {
            histogram.record(Duration::from_millis(millis));
        }
        let snapshot = histogram.snapshot();
        for (percent, exact) in [(50, 50_000), (90, 90_000), (99, 99_000)] {
            let value = snapshot.percentile(percent);
            assert!((exact..=exact + exact / 8).contains(&value), "p{percent} is {value}");
        }
        assert_eq!(snapshot.percentile(100), 100_000);
        histogram.record(Duration::MAX);
        assert_eq!(histogram.snapshot().max, u64::MAX);

        let one = Histogram::default();
        one.record(Duration::from_micros(1234));
        let mut json = String::new();
        one.snapshot().write(&mut json);
        assert_eq!(json, r#"{"count":1,"p50":1.234,"p90":1.234,"p99":1.234,"max":1.234}"#);
    }

    /// At every moment: accepted = completed + cancelled + inFlight, none of them negative.
    #[test]
    fn the_sum_holds_under_load() {
        const WORKERS: u64 = 2;
        let stats = Stats::new();
        let done = std::sync::atomic::AtomicBool::new(false);
        let together = std::sync::Barrier::new(WORKERS as usize + 1);
        let made: u64 = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS)
                .map(|worker| {
                    let (stats, done, together) = (&stats, &done, &together);
                    scope.spawn(move || {
                        together.wait();
                        let mut calls = 0;
                        // The sampler says when it is enough: the calls are made while it looks.
                        while !done.load(SeqCst) {
                            let running = stats.begin(Instant::now());
                            if (calls + worker) % 3 > 0 {
                                running.finish(Kind::OnDevice, Ok(()));
                            }
                            calls += 1;
                        }
                        calls
                    })
                })
                .collect();
            // In a thread of its own, so that the workers end when it fails.
            let sampler = scope.spawn(|| {
                together.wait();
                for _ in 0..300 {
                    // With outcomes that are not among the calls accepted, the subtraction in there would overflow.
                    let json = stats.json(&[]);
                    let outcomes = number(&json, "/calls/completed") + number(&json, "/calls/cancelled");
                    assert_eq!(number(&json, "/calls/accepted"), outcomes + number(&json, "/calls/inFlight"));
                }
            });
            let sampled = sampler.join();
            done.store(true, SeqCst);
            sampled.unwrap();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        let json = stats.json(&[]);
        let (accepted, in_flight) = (number(&json, "/calls/accepted"), number(&json, "/calls/inFlight"));
        assert_eq!((accepted, in_flight), (made as f64, 0.0));
    }
}
