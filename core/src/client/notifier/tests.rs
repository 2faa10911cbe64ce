use std::collections::HashSet;
use std::sync::atomic::AtomicUsize;

use super::super::events::testing::recorded;
use super::*;
use crate::env::Environment;
use crate::error::ErrorKind;
use crate::json::{Json, Limits, parse};

/// What the server saw of one request.
#[derive(Clone, Debug)]
struct Seen {
    request_id: String,
    attempt: u32,
    session: Option<String>,
    notifications: Vec<String>,
    at: Instant,
}

struct Bench {
    notifier: Arc<Notifier>,
    seen: Arc<Mutex<Vec<Seen>>>,
    events: Arc<Mutex<Vec<String>>>,
    telemetry: Arc<AtomicUsize>,
    start: Instant,
}

/// A notifier whose requests `answer` answers after `takes`.
fn bench(settings: Settings, takes: Duration, answer: impl Fn(&Seen) -> Result<()> + Send + Sync + 'static) -> Bench {
    let environment = Environment::system(runtime());
    let (events, told) = recorded();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let telemetry = Arc::new(AtomicUsize::new(0));
    let (list, pending, answer) = (seen.clone(), telemetry.clone(), Arc::new(answer));
    let send: SendLetter = Arc::new(move |outgoing: Outgoing| {
        let (list, pending, answer) = (list.clone(), pending.clone(), answer.clone());
        let seen = Seen {
            request_id: outgoing.letter.request_id.clone(),
            attempt: outgoing.attempt,
            session: outgoing.letter.origin.as_ref().map(|origin| origin.session_id.clone()),
            notifications: outgoing.letter.notifications.clone(),
            at: Instant::now(),
        };
        Box::pin(async move {
            list.lock().unwrap().push(seen.clone());
            let measurements = pending.swap(0, SeqCst);
            tokio::time::sleep(takes).await;
            let outcome = answer(&seen);
            if outcome.is_err() {
                pending.fetch_add(measurements, SeqCst);
            }
            outcome
        })
    });
    let pending = telemetry.clone();
    let notifier = Notifier::new(settings, &environment, events, send, Arc::new(move || pending.load(SeqCst)));
    notifier.start();
    Bench { notifier: Arc::new(notifier), seen, events: told, telemetry, start: Instant::now() }
}

#[allow(clippy::disallowed_methods)] // the test's own runtime
fn runtime() -> tokio::runtime::Handle {
    tokio::runtime::Handle::current()
}

fn origin(session: &str) -> Origin {
    Origin {
        session_id: session.to_owned(),
        location_hint: None,
        members: vec![("id", r#"{"tntId":"t"}"#.to_owned()), ("context", r#"{"channel":"web"}"#.to_owned())],
    }
}

fn notification(n: usize) -> String {
    format!(r#"{{"id":"n{n}"}}"#)
}

fn report(delivered: u64, dropped: u64, pending: u64) -> FlushReport {
    FlushReport { delivered, dropped, pending }
}

fn unavailable() -> Error {
    Error::new(ErrorKind::Http, "503").with_http_status(503).with_retryable(true)
}

const MINUTE: Duration = Duration::from_secs(60);
const AT_ONCE: Duration = Duration::ZERO;

impl Bench {
    fn push(&self, session: &str, numbers: std::ops::Range<usize>) {
        self.notifier.push(origin(session), numbers.map(notification).collect());
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn number(&self, member: &str) -> u64 {
        let json = self.notifier.json();
        let document = parse(&json, &Limits::OPTIONS).unwrap();
        u64::try_from(document.get(member).and_then(Json::as_i64).unwrap()).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn one_origin_one_request_after_the_linger() {
    let bench = bench(Settings::default(), AT_ONCE, |_| Ok(()));
    bench.push("s", 0..2);
    tokio::time::sleep(Duration::from_millis(20)).await;
    bench.push("s", 2..3);
    bench.push("other", 3..4);
    tokio::time::sleep(Duration::from_millis(29)).await;
    assert!(bench.seen().is_empty());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let seen = bench.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].notifications, [notification(0), notification(1), notification(2)]);
    assert_eq!((seen[0].session.as_deref(), (seen[0].at - bench.start).as_millis()), (Some("s"), 50));
    assert_eq!((seen[1].session.as_deref(), (seen[1].at - bench.start).as_millis()), (Some("other"), 70));
    assert_ne!(seen[0].request_id, seen[1].request_id);
    assert_eq!((bench.number("delivered"), bench.number("queued"), bench.number("queuedBytes")), (4, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn every_part_of_the_origin_counts() {
    let bench = bench(Settings::default(), AT_ONCE, |_| Ok(()));
    let base = origin("s");
    let hinted = Origin { location_hint: Some("28".to_owned()), ..base.clone() };
    let mut context = base.clone();
    context.members[1].1 = r#"{"channel":"mobile"}"#.to_owned();
    let mut more = base.clone();
    more.members.push(("environmentId", "5".to_owned()));
    for (n, origin) in [base, hinted, context, more].into_iter().enumerate() {
        bench.notifier.push(origin, vec![notification(n)]);
    }
    assert_eq!(bench.notifier.flush(MINUTE).await, report(4, 0, 0));
    assert_eq!(bench.seen().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn full_batches_do_not_linger() {
    let settings = Settings { linger: MINUTE, ..Settings::default() };
    let bench = bench(settings, AT_ONCE, |_| Ok(()));
    bench.push("s", 0..120);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let sizes: Vec<usize> = bench.seen().iter().map(|seen| seen.notifications.len()).collect();
    assert_eq!(sizes, [50, 50]);
    bench.push("s", 120..150);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let sent: Vec<String> = bench.seen().iter().flat_map(|seen| seen.notifications.clone()).collect();
    assert_eq!(sent, (0..150).map(notification).collect::<Vec<_>>(), "in the order of acceptance");
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_minute_loses_nothing() {
    let start = Instant::now();
    let bench = bench(Settings::default(), Duration::from_millis(20), move |seen| {
        if seen.at - start < MINUTE { Err(unavailable()) } else { Ok(()) }
    });
    for n in 0..10 {
        bench.push(&format!("s{n}"), n * 10..n * 10 + 7);
    }
    assert_eq!(bench.notifier.flush(Duration::from_secs(600)).await, report(70, 0, 0));
    let seen = bench.seen();
    // Each batch has one id and one content, whatever the number of attempts, and its attempts count up.
    for session in 0..10 {
        let attempts: Vec<&Seen> =
            seen.iter().filter(|seen| seen.session.as_deref() == Some(format!("s{session}").as_str())).collect();
        assert!(attempts.len() > 2);
        for (at, attempt) in attempts.iter().enumerate() {
            assert_eq!(attempt.attempt as usize, at + 1);
            assert_eq!(attempt.request_id, attempts[0].request_id);
            assert_eq!(attempt.notifications, attempts[0].notifications);
        }
    }
    assert_eq!(seen.iter().filter(|seen| seen.at - start >= MINUTE).count(), 10, "delivered once each");
    assert!(bench.events.lock().unwrap().is_empty());
    assert_eq!(bench.number("requests"), seen.len() as u64);
    assert_eq!(bench.number("retries"), seen.len() as u64 - 10);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_final_and_told() {
    let bench = bench(Settings::default(), AT_ONCE, |_| {
        Err(Error::new(ErrorKind::Http, "Target answered 400").with_http_status(400))
    });
    bench.push("s\"1", 0..2);
    assert_eq!(bench.notifier.flush(MINUTE).await, report(0, 2, 0));
    assert_eq!((bench.seen().len(), bench.number("dropped")), (1, 2));
    let events = bench.events.lock().unwrap();
    assert_eq!(events.len(), 1);
    let event = parse(&events[0], &Limits::OPTIONS).unwrap();
    let at = |pointer: &str| event.pointer(pointer).unwrap_or_else(|| panic!("{pointer} in {event}")).to_string();
    assert_eq!(at("/type"), "\"sendNotificationError\"");
    assert_eq!(at("/notification/sessionId"), r#""s\"1""#);
    assert_eq!(at("/notification/request/id/tntId"), "\"t\"");
    assert_eq!(at("/notification/request/notifications"), r#"[{"id":"n0"},{"id":"n1"}]"#);
    assert_eq!(at("/notification/request/requestId"), format!("\"{}\"", bench.seen()[0].request_id));
    assert_eq!((at("/error/httpStatus"), at("/error/attempts")), ("400".to_owned(), "1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn attempts_and_age_are_limited() {
    let few = Settings { max_attempts: 3, ..Settings::default() };
    let attempts = bench(few, AT_ONCE, |_| Err(unavailable()));
    attempts.push("s", 0..1);
    assert_eq!(attempts.notifier.flush(MINUTE * 60).await, report(0, 1, 0));
    assert_eq!(attempts.seen().len(), 3);

    let short = Settings { max_attempts: u32::MAX, max_age: MINUTE, ..Settings::default() };
    let age = bench(short, AT_ONCE, |_| Err(Error::new(ErrorKind::Network, "no route")));
    age.push("s", 0..1);
    assert_eq!(age.notifier.flush(MINUTE * 60).await, report(0, 1, 0));
    let last = age.seen().last().map(|seen| seen.at - age.start).unwrap();
    assert!((MINUTE..=MINUTE + Duration::from_secs(31)).contains(&last), "{last:?}");
    assert_eq!(age.events.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_by_count_and_bytes() {
    let settings = Settings { max_notifications: 10, linger: MINUTE, ..Settings::default() };
    let count = bench(settings, AT_ONCE, |_| Ok(()));
    count.push("s", 0..8);
    count.push("s", 8..11); // all or none
    count.push("s", 11..13);
    count.push("s", 13..14);
    assert_eq!((count.number("accepted"), count.number("refused"), count.number("queued")), (10, 4, 10));
    assert_eq!(count.events.lock().unwrap().len(), 2);
    assert!(count.events.lock().unwrap()[0].contains("queue of notifications is full"));
    assert_eq!(count.notifier.flush(MINUTE).await, report(10, 0, 0));
    count.push("s", 14..24);
    assert_eq!(count.number("accepted"), 20);

    let size = origin("s").bytes() + 3 * notification(0).len();
    let settings = Settings { max_bytes: size, linger: MINUTE, ..Settings::default() };
    let bytes = bench(settings, AT_ONCE, |_| Ok(()));
    bytes.push("s", 0..3);
    assert_eq!(bytes.number("queuedBytes"), size as u64);
    bytes.push("s", 3..4);
    assert_eq!((bytes.number("accepted"), bytes.number("refused")), (3, 1));
    assert_eq!(bytes.notifier.flush(MINUTE).await, report(3, 0, 0));
    assert_eq!(bytes.number("queuedBytes"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_what_came_before_it_only() {
    let settings = Settings { linger: MINUTE, ..Settings::default() };
    let bench = bench(settings, Duration::from_millis(100), |_| Ok(()));
    assert_eq!(bench.notifier.flush(MINUTE).await, report(0, 0, 0));
    assert_eq!(bench.start.elapsed(), AT_ONCE, "nothing to wait for");

    bench.push("s", 0..3);
    let flush = |timeout| {
        let notifier = bench.notifier.clone();
        tokio::spawn(async move { notifier.flush(timeout).await })
    };
    let first = flush(MINUTE);
    tokio::time::sleep(Duration::from_millis(50)).await;
    bench.push("s", 3..5);
    let both = flush(MINUTE);
    let short = flush(Duration::from_millis(60));
    assert_eq!(first.await.unwrap(), report(3, 0, 0));
    assert_eq!(bench.start.elapsed().as_millis(), 100);
    assert_eq!(short.await.unwrap(), report(3, 0, 2));
    assert_eq!(both.await.unwrap(), report(5, 0, 0));
    assert_eq!(bench.start.elapsed().as_millis(), 150);
    assert_eq!(bench.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_flush_is_not_ended_by_what_came_later() {
    let start = Instant::now();
    let bench = bench(Settings::default(), AT_ONCE, move |seen| {
        let down = seen.session.as_deref() == Some("early") && seen.at - start < Duration::from_secs(10);
        if down { Err(unavailable()) } else { Ok(()) }
    });
    bench.push("early", 0..2);
    let notifier = bench.notifier.clone();
    let flush = tokio::spawn(async move { notifier.flush(MINUTE * 5).await });
    tokio::task::yield_now().await;
    for n in 2..20 {
        bench.push("late", n..n + 1);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(bench.number("delivered"), 18);
    assert!(!flush.is_finished());
    assert_eq!(flush.await.unwrap(), report(2, 0, 0));
    assert!(start.elapsed() >= Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_is_given_up_leaves_the_queue_intact() {
    let bench = bench(Settings::default(), Duration::from_secs(5), |_| Ok(()));
    bench.push("s", 0..3);
    assert_eq!(bench.notifier.flush(AT_ONCE).await, report(0, 0, 3));
    assert_eq!(bench.notifier.flush(Duration::from_secs(1)).await, report(0, 0, 3));
    let notifier = bench.notifier.clone();
    let cancelled = tokio::spawn(async move { notifier.flush(MINUTE).await });
    tokio::task::yield_now().await;
    cancelled.abort();
    assert!(cancelled.await.is_err());
    assert_eq!(bench.notifier.flush(Duration::MAX).await, report(3, 0, 0));
    assert_eq!(bench.seen().len(), 1);
    assert!(bench.notifier.inner.lock().holds_nothing());
}

#[tokio::test(start_paused = true)]
async fn closing_hurries() {
    let up = Arc::new(AtomicBool::new(false));
    let server = up.clone();
    let bench = bench(Settings { linger: MINUTE, ..Settings::default() }, AT_ONCE, move |_| {
        if server.load(SeqCst) { Ok(()) } else { Err(unavailable()) }
    });
    bench.push("s", 0..1);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(bench.number("retries") > 0);
    up.store(true, SeqCst);
    bench.push("t", 1..2);
    bench.notifier.begin_drain();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(bench.number("delivered"), 2, "without a flush");
    bench.push("u", 2..3);
    assert_eq!(bench.notifier.flush(Duration::from_secs(1)).await, report(1, 0, 0));
    assert_eq!(bench.start.elapsed().as_secs(), 100);
}

#[tokio::test(start_paused = true)]
async fn shut_gives_everything_up_at_once() {
    let bench = bench(Settings { lanes: 1, ..Settings::default() }, MINUTE, |_| Ok(()));
    bench.push("under way", 0..2);
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.push("waiting", 2..3);
    let notifier = bench.notifier.clone();
    let flush = tokio::spawn(async move { notifier.flush(MINUTE).await });
    tokio::task::yield_now().await;
    bench.notifier.shut();
    bench.notifier.shut();
    assert_eq!(flush.await.unwrap(), report(0, 3, 0));
    assert_eq!(bench.start.elapsed().as_secs(), 1);
    bench.push("late", 3..4);
    assert_eq!(bench.notifier.flush(MINUTE).await, report(0, 0, 0));
    let counts = ["accepted", "dropped", "refused", "queued", "queuedBytes"].map(|member| bench.number(member));
    assert_eq!(counts, [3, 3, 1, 0, 0]);
    let events = bench.events.lock().unwrap().clone();
    assert_eq!(events.len(), 3, "{events:?}");
    assert!(events[0].contains("under way") && events[1].contains("waiting") && events[2].contains("late"));
    tokio::time::sleep(MINUTE * 2).await;
    assert_eq!((bench.seen().len(), bench.number("delivered")), (1, 0), "the request under way was ended");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_notifier_ends_its_task() {
    let bench = bench(Settings::default(), MINUTE, |_| Ok(()));
    let inner = Arc::downgrade(&bench.notifier.inner);
    bench.push("s", 0..1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(bench);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(inner.upgrade().is_none());
}

#[tokio::test(start_paused = true)]
async fn few_requests_at_once() {
    let takes = Duration::from_millis(100);
    let bench = bench(Settings { lanes: 3, ..Settings::default() }, takes, |_| Ok(()));
    for n in 0..30 {
        bench.push(&format!("s{n}"), n..n + 1);
    }
    assert_eq!(bench.notifier.flush(MINUTE).await, report(30, 0, 0));
    let seen = bench.seen();
    let together = |one: &Seen| seen.iter().filter(|other| one.at <= other.at && other.at < one.at + takes).count();
    assert_eq!(seen.iter().map(together).max(), Some(3));
    assert_eq!(bench.start.elapsed().as_millis(), 1000, "30 requests of 100 ms on 3 lanes");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_one_failed_request() {
    let bench = bench(Settings::default(), AT_ONCE, |seen| match seen.session.as_deref() {
        Some("bad") => panic!("a bug"),
        _ => Ok(()),
    });
    bench.push("bad", 0..1);
    bench.push("good", 1..2);
    assert_eq!(bench.notifier.flush(MINUTE).await, report(1, 1, 0));
    assert!(bench.events.lock().unwrap()[0].contains("panicked"));
}

#[tokio::test(start_paused = true)]
async fn measurements_travel_alone_only_when_they_must() {
    let bench = bench(Settings::default(), AT_ONCE, |_| Ok(()));
    let measure = |count: usize| {
        for _ in 0..count {
            bench.telemetry.fetch_add(1, SeqCst);
            bench.notifier.note_telemetry();
        }
    };
    measure(5);
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert!(bench.seen().is_empty());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bench.seen().len(), 1, "after the interval");
    assert!(bench.seen()[0].session.is_none() && bench.seen()[0].notifications.is_empty());
    assert_eq!(bench.telemetry.load(SeqCst), 0);

    measure(100);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(bench.seen().len(), 2, "when there are many");

    measure(5);
    bench.push("s", 0..1);
    tokio::time::sleep(MINUTE * 5).await;
    assert_eq!(bench.seen().len(), 3, "with notifications when there are some");
    assert_eq!(bench.seen()[2].notifications.len(), 1);

    measure(1);
    let before = bench.start.elapsed();
    assert_eq!(bench.notifier.flush(MINUTE).await, report(0, 0, 0));
    assert_eq!((bench.seen().len(), bench.start.elapsed()), (4, before), "when flushed");
    assert_eq!(bench.number("accepted"), 1);
    assert!(bench.notifier.inner.lock().next_due().is_none(), "no timer while there is nothing");
}

#[tokio::test(start_paused = true)]
async fn measurements_that_fail_wait_for_the_interval() {
    let bench = bench(Settings::default(), AT_ONCE, |_| Err(unavailable()));
    for _ in 0..500 {
        bench.telemetry.fetch_add(1, SeqCst);
        bench.notifier.note_telemetry();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The 100th entry, at about 10 s, made the first request; a minute later comes the second.
    assert_eq!(bench.seen().len(), 1);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(bench.seen().len(), 2);
    assert_eq!(bench.telemetry.load(SeqCst), 500);
    assert_eq!(bench.notifier.flush(MINUTE).await, report(0, 0, 0));
    assert_eq!(bench.seen().len(), 3, "a flush asks at once, and has its answer");
    assert!(bench.events.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn measurements_made_while_others_are_sent_are_sent_too() {
    let bench = bench(Settings::default(), Duration::from_secs(2), |_| Ok(()));
    let measure = || {
        bench.telemetry.fetch_add(1, SeqCst);
        bench.notifier.note_telemetry();
    };
    measure();
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(bench.seen().len(), 1);
    measure();
    assert_eq!(bench.notifier.flush(MINUTE).await, report(0, 0, 0));
    assert_eq!((bench.seen().len(), bench.telemetry.load(SeqCst)), (2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_adds_up() {
    let settings = Settings {
        linger: Duration::from_millis(1),
        backoff_first: Duration::from_millis(2),
        max_notifications: 3_000,
        ..Settings::default()
    };
    let bench = bench(settings, AT_ONCE, |seen| match seen.notifications.len() + seen.attempt as usize {
        sum if sum % 3 == 0 => Err(unavailable()),
        sum if sum % 17 == 0 => Err(Error::new(ErrorKind::Decode, "not an answer")),
        _ => Ok(()),
    });
    let mut reports = Vec::new();
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let bench = &bench;
            scope.spawn(move || {
                for n in 0..2_000 {
                    bench.push(&format!("s{}", n % 7), worker * 2_000 + n..worker * 2_000 + n + 1);
                }
            });
        }
    });
    for _ in 0..3 {
        reports.push(bench.notifier.flush(Duration::from_secs(20)).await);
    }
    assert_eq!(reports[0].pending, 0);
    let counts = ["accepted", "delivered", "dropped", "refused", "queued"].map(|member| bench.number(member));
    let [accepted, delivered, dropped, refused, queued] = counts;
    assert_eq!((accepted, accepted + refused, queued), (delivered + dropped, 4_000, 0));
    let seen = bench.seen();
    let mut first_attempts = HashSet::new();
    for one in seen.iter().filter(|seen| seen.attempt == 1) {
        for notification in &one.notifications {
            assert!(first_attempts.insert(notification.clone()), "{notification} is in two requests");
        }
    }
    assert_eq!(first_attempts.len() as u64, accepted);
    assert!(bench.notifier.inner.lock().holds_nothing());
    assert_eq!(bench.number("queuedBytes"), 0);
}
