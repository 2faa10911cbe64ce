//! What happened to a client, told to the host: in order, numbered, and never under a lock of the client.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use crate::env::{Event, EventSink};
use crate::error::Error;
use crate::json::{write_int, write_str};

/// Writes the JSON of one event: `{"type":name, …}`.
pub(crate) struct EventWriter {
    name: &'static str,
    json: String,
}

impl EventWriter {
    pub(crate) fn new(name: &'static str) -> EventWriter {
        let mut json = String::from("{\"type\":");
        write_str(&mut json, name);
        EventWriter { name, json }
    }

    /// Adds a text.
    pub(crate) fn text(mut self, key: &str, value: &str) -> EventWriter {
        self.key(key);
        write_str(&mut self.json, value);
        self
    }

    /// Adds an integer.
    pub(crate) fn integer(mut self, key: &str, value: i64) -> EventWriter {
        self.key(key);
        write_int(&mut self.json, value);
        self
    }

    /// Adds a value that is JSON already.
    pub(crate) fn json(mut self, key: &str, json: &str) -> EventWriter {
        self.key(key);
        self.json.push_str(json);
        self
    }

    /// Adds an error: `"error":{"message":…,"retryable":…,"httpStatus":…,"attempts":…}`.
    pub(crate) fn error(mut self, error: &Error) -> EventWriter {
        self.key("error");
        self.json.push_str("{\"message\":");
        write_str(&mut self.json, error.message());
        self.json.push_str(if error.retryable() { ",\"retryable\":true" } else { ",\"retryable\":false" });
        for (key, value) in
            [("httpStatus", error.http_status().map(i64::from)), ("attempts", error.attempts().map(i64::from))]
        {
            if let Some(value) = value {
                self.key(key);
                write_int(&mut self.json, value);
            }
        }
        self.json.push('}');
        self
    }

    pub(crate) fn finish(mut self) -> Event {
        self.json.push('}');
        Event { name: self.name, json: self.json }
    }

    fn key(&mut self, key: &str) {
        self.json.push(',');
        write_str(&mut self.json, key);
        self.json.push(':');
    }
}

/// The events of one client on their way to the host. Cheap to clone.
///
/// Events are queued and handed over by whoever finds nobody doing so: the order is that of queueing, each event has a
/// `sequence` number without gaps, and the sink may itself cause events.
#[derive(Clone)]
pub(crate) struct Events(Arc<Inner>);

struct Inner {
    sink: EventSink,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    handing_over: bool,
    sequence: u64,
    ended: bool,
}

impl Events {
    pub(crate) fn new(sink: EventSink) -> Events {
        Events(Arc::new(Inner { sink, queue: Mutex::default() }))
    }

    /// Queues an event and sees to it that the host gets it.
    pub(crate) fn emit(&self, event: Event) {
        self.push(event, false);
        self.hand_over();
    }

    /// The last event: later ones are ignored.
    #[cfg(test)]
    pub(crate) fn emit_last(&self, event: Event) {
        self.push(event, true);
        self.hand_over();
    }

    /// Queues an event without handing it over, for those who hold a lock. [`Events::hand_over`] has to follow.
    pub(crate) fn push(&self, mut event: Event, last: bool) {
        let mut queue = self.lock();
        if queue.ended {
            return;
        }
        queue.ended = last;
        queue.sequence += 1;
        if event.json.pop() == Some('}') {
            use std::fmt::Write;
            let comma = if event.json.ends_with('{') { "" } else { "," };
            let _ = write!(event.json, "{comma}\"sequence\":{}}}", queue.sequence); // writing to a String cannot fail
        }
        queue.events.push_back(event);
    }

    /// Hands queued events to the host, unless somebody is already doing so.
    pub(crate) fn hand_over(&self) {
        if std::mem::replace(&mut self.lock().handing_over, true) {
            return;
        }
        loop {
            let event = {
                let mut queue = self.lock();
                match queue.events.pop_front() {
                    Some(event) => event,
                    None => {
                        queue.handing_over = false;
                        return;
                    }
                }
            };
            let name = event.name;
            if std::panic::catch_unwind(AssertUnwindSafe(|| (self.0.sink)(event))).is_err() {
                log::error!(target: "target_sdk::client", "the receiver of the event {name} panicked");
            }
        }
    }

    /// These events as a sink, for parts that know only [`crate::env::Environment`].
    pub(crate) fn sink(&self) -> EventSink {
        let events = self.clone();
        Arc::new(move |event| events.emit(event))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sinks for tests.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Events, and what the host got of them.
    pub(crate) fn recorded() -> (Events, Arc<Mutex<Vec<String>>>) {
        let got = Arc::new(Mutex::new(Vec::new()));
        let sink = got.clone();
        (Events::new(Arc::new(move |event| sink.lock().unwrap().push(event.json))), got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::json::{Json, Limits, parse};

    #[test]
    fn writes_events() {
        let error = Error::new(ErrorKind::Http, "503 \"busy\"").with_http_status(503).with_attempts(2);
        let event = EventWriter::new("artifactDownloadFailed")
            .text("artifactLocation", "https://a/\n")
            .integer("count", -1)
            .json("payload", "{\"a\":[1]}")
            .error(&error)
            .finish();
        assert_eq!(event.name, "artifactDownloadFailed");
        assert_eq!(
            event.json,
            r#"{"type":"artifactDownloadFailed","artifactLocation":"https://a/\n","count":-1,"payload":{"a":[1]},"error":{"message":"503 \"busy\"","retryable":false,"httpStatus":503,"attempts":2}}"#
        );
        assert!(parse(&event.json, &Limits::OPTIONS).is_ok());
    }

    #[test]
    fn numbers_them_and_stops_after_the_last() {
        let (events, got) = testing::recorded();
        (events.sink())(EventWriter::new("a").finish());
        events.emit(Event { name: "b", json: "{}".to_owned() });
        events.emit_last(EventWriter::new("closed").finish());
        events.emit(EventWriter::new("late").finish());
        assert_eq!(
            *got.lock().unwrap(),
            [r#"{"type":"a","sequence":1}"#, r#"{"sequence":2}"#, r#"{"type":"closed","sequence":3}"#]
        );
    }

    #[test]
    fn a_sink_may_cause_events_and_may_panic() {
        let got = Arc::new(Mutex::new(Vec::new()));
        let inner: Arc<Mutex<Option<Events>>> = Arc::default();
        let (sink_got, sink_inner) = (got.clone(), inner.clone());
        let events = Events::new(Arc::new(move |event: Event| {
            sink_got.lock().unwrap().push(event.name);
            let events = sink_inner.lock().unwrap().clone().unwrap();
            if event.name == "first" {
                events.emit(EventWriter::new("second").finish());
                assert_eq!(*sink_got.lock().unwrap(), ["first"], "it runs after this one");
                panic!("a host's bug");
            }
        }));
        *inner.lock().unwrap() = Some(events.clone());
        events.emit(EventWriter::new("first").finish());
        events.emit(EventWriter::new("third").finish());
        assert_eq!(*got.lock().unwrap(), ["first", "second", "third"]);
        inner.lock().unwrap().take();
    }

    #[test]
    fn many_threads_one_order() {
        let (events, got) = testing::recorded();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..500).for_each(|_| events.emit(EventWriter::new("e").finish())));
            }
        });
        let got = got.lock().unwrap();
        assert_eq!(got.len(), 2000);
        for (at, json) in got.iter().enumerate() {
            let sequence = parse(json, &Limits::OPTIONS).unwrap().get("sequence").and_then(Json::as_i64);
            assert_eq!(sequence, Some(at as i64 + 1));
        }
    }
}
