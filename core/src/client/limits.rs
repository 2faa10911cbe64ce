//! Limits on the calls of one client: so many run at once, so many wait, more are refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Phase, Result};

/// The limits of one client. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Limits(Arc<Inner>);

struct Inner {
    max_in_flight: usize,
    max_queued: usize,
    /// How many admissions there are, and [`CLOSED`]. One word, so that no call is admitted after closing began.
    places: AtomicUsize,
    running: Arc<Semaphore>,
    /// Rung when the last admission goes while somebody waits for that.
    idle: Notify,
    waiting_for_idle: AtomicUsize,
    refused_full: AtomicU64,
    refused_closed: AtomicU64,
}

const CLOSED: usize = 1 << (usize::BITS - 1);

/// The right to have one call in flight or waiting; returned when dropped. Keep it until the host has the answer.
pub struct Admission(Arc<Inner>);

/// The right to run; the next waiting call has it when this is dropped.
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Limits {
    pub(crate) fn new(max_in_flight: usize, max_queued: usize) -> Limits {
        let max_in_flight = max_in_flight.clamp(1, Semaphore::MAX_PERMITS);
        Limits(Arc::new(Inner {
            max_in_flight,
            max_queued: max_queued.min(CLOSED - 1 - max_in_flight),
            places: AtomicUsize::new(0),
            running: Arc::new(Semaphore::new(max_in_flight)),
            idle: Notify::new(),
            waiting_for_idle: AtomicUsize::new(0),
            refused_full: AtomicU64::new(0),
            refused_closed: AtomicU64::new(0),
        }))
    }

    /// Takes a place for one call. `QueueFull` when there is none, `Closed` once closing began. Takes no lock.
    pub(crate) fn admit(&self) -> Result<Admission> {
        let inner = &*self.0;
        let most = inner.max_in_flight + inner.max_queued;
        let one_more = |places: usize| (places & CLOSED == 0 && places < most).then(|| places + 1);
        match inner.places.fetch_update(SeqCst, SeqCst, one_more) {
            Ok(_) => Ok(Admission(self.0.clone())),
            Err(places) if places & CLOSED != 0 => {
                inner.refused_closed.fetch_add(1, SeqCst);
                Err(Error::new(ErrorKind::Closed, "the client is closing or closed and takes no more calls"))
            }
            Err(_) => {
                inner.refused_full.fetch_add(1, SeqCst);
                let message = format!(
                    "the client has {most} unanswered calls, the most it takes (maxInFlight {} + maxQueued {})",
                    inner.max_in_flight, inner.max_queued
                );
                Err(Error::new(ErrorKind::QueueFull, message))
            }
        }
    }

    /// Waits, in the order of asking, until fewer than `maxInFlight` calls run; at most until `deadline`.
    pub(crate) async fn turn(&self, deadline: Instant) -> Result<Turn> {
        let permit = match self.0.running.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => tokio::time::timeout_at(deadline, self.0.running.clone().acquire_owned())
                .await
                .map_err(|_| {
                    let message = "the call's time passed while it waited for one of those in flight to end";
                    Error::new(ErrorKind::Timeout, message).with_phase(Phase::Queue)
                })?
                .map_err(|_| Error::internal("the semaphore of the running calls was closed"))?,
        };
        Ok(Turn { _permit: permit })
    }

    /// Refuses calls from now on. Those admitted go on.
    pub(crate) fn begin_close(&self) {
        self.0.places.fetch_or(CLOSED, SeqCst);
    }

    /// Resolves at a moment when no call is in flight or waiting. After [`Limits::begin_close`] it stays that way.
    pub(crate) async fn idle(&self) {
        let inner = &*self.0;
        let _waiting = Waiting::for_idle(inner);
        loop {
            let mut rung = std::pin::pin!(inner.idle.notified());
            // Listen first, look then: what happens in between is not missed.
            rung.as_mut().enable();
            if self.admitted() == 0 {
                return;
            }
            rung.await;
        }
    }

    /// Calls that are in flight or waiting.
    pub(crate) fn admitted(&self) -> usize {
        self.0.places.load(SeqCst) & !CLOSED
    }

    /// `{"maxInFlight":256,"maxQueued":1024,"admitted":3,"running":2,"refused":{"queueFull":0,"closed":0}}`
    pub(crate) fn json(&self) -> String {
        let inner = &*self.0;
        format!(
            r#"{{"maxInFlight":{},"maxQueued":{},"admitted":{},"running":{},"refused":{{"queueFull":{},"closed":{}}}}}"#,
            inner.max_in_flight,
            inner.max_queued,
            self.admitted(),
            inner.max_in_flight.saturating_sub(inner.running.available_permits()),
            inner.refused_full.load(SeqCst),
            inner.refused_closed.load(SeqCst),
        )
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let left = (self.0.places.fetch_sub(1, SeqCst) & !CLOSED) - 1;
        // Ringing takes a lock, so it is left out when nobody listens. Either the listener, who says so before it looks,
        // sees zero places, or this sees the listener.
        if left == 0 && self.0.waiting_for_idle.load(SeqCst) > 0 {
            self.0.idle.notify_waiters();
        }
    }
}

/// Somebody waits for idleness, as long as this lives.
struct Waiting<'i>(&'i AtomicUsize);

impl Waiting<'_> {
    fn for_idle(inner: &Inner) -> Waiting<'_> {
        inner.waiting_for_idle.fetch_add(1, SeqCst);
        Waiting(&inner.waiting_for_idle)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn refusal(limits: &Limits) -> Error {
        limits.admit().map(|_| ()).unwrap_err()
    }

    #[test]
    fn admits_so_many_and_no_more() {
        let limits = Limits::new(2, 3);
        let mut admissions: Vec<Admission> = (0..5).map(|_| limits.admit().unwrap()).collect();
        let error = refusal(&limits);
        assert_eq!((error.kind(), error.retryable()), (ErrorKind::QueueFull, true));
        assert!(error.message().contains("5 unanswered calls") && error.message().contains("maxQueued 3"), "{error}");
        admissions.pop();
        admissions.push(limits.admit().unwrap());
        assert_eq!(limits.admitted(), 5);
        drop(admissions);
        assert_eq!(limits.admitted(), 0);
        assert_eq!(
            limits.json(),
            r#"{"maxInFlight":2,"maxQueued":3,"admitted":0,"running":0,"refused":{"queueFull":1,"closed":0}}"#
        );
    }

    #[test]
    fn closing_refuses_and_keeps_those_inside() {
        let limits = Limits::new(1, 0);
        let inside = limits.admit().unwrap();
        limits.begin_close();
        limits.begin_close();
        assert_eq!(refusal(&limits).kind(), ErrorKind::Closed);
        assert_eq!(limits.admitted(), 1);
        drop(inside);
        assert_eq!((limits.admitted(), refusal(&limits).kind()), (0, ErrorKind::Closed));
        assert!(limits.json().contains(r#""refused":{"queueFull":0,"closed":2}"#), "{}", limits.json());
    }

    #[tokio::test(start_paused = true)]
    async fn turns_come_in_order() {
        let limits = Limits::new(1, 10);
        let soon = Instant::now() + Duration::from_secs(1);
        let first = limits.turn(soon).await.unwrap();
        let (sender, mut order) = tokio::sync::mpsc::unbounded_channel();
        for n in 0..3 {
            let (limits, sender) = (limits.clone(), sender.clone());
            tokio::spawn(async move {
                let _turn = limits.turn(soon).await.unwrap();
                sender.send(n).unwrap();
            });
            tokio::task::yield_now().await;
        }
        assert!(order.try_recv().is_err());
        assert!(limits.json().contains(r#""running":1"#));
        drop(first);
        for n in 0..3 {
            assert_eq!(order.recv().await, Some(n));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_turn_ends_at_the_deadline() {
        let limits = Limits::new(1, 10);
        let start = Instant::now();
        let turn = limits.turn(start).await.unwrap();
        let error = limits.turn(start + Duration::from_millis(70)).await.map(|_| ()).unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Timeout, Some(Phase::Queue)));
        assert_eq!(start.elapsed().as_millis(), 70);
        drop(turn);
        // A free place is taken even when the time has just passed: the transport decides then.
        assert!(limits.turn(start).await.is_ok());
    }

    #[tokio::test]
    async fn idle_resolves_with_the_last_admission() {
        let limits = Limits::new(4, 4);
        limits.idle().await;
        let (one, two) = (limits.admit().unwrap(), limits.admit().unwrap());
        let waiters: Vec<_> =
            (0..3).map(|_| limits.clone()).map(|l| tokio::spawn(async move { l.idle().await })).collect();
        tokio::task::yield_now().await;
        drop(one);
        tokio::task::yield_now().await;
        assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
        drop(two);
        for waiter in waiters {
            waiter.await.unwrap();
        }
        assert_eq!(limits.0.waiting_for_idle.load(SeqCst), 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn idle_misses_nothing_in_a_storm() {
        for _ in 0..300 {
            let limits = Limits::new(8, 8);
            let calls: Vec<_> = (0..8)
                .map(|_| limits.admit().unwrap())
                .map(|admission| tokio::spawn(async move { drop(admission) }))
                .collect();
            limits.begin_close();
            tokio::time::timeout(Duration::from_secs(5), limits.idle()).await.expect("a lost wake-up");
            for call in calls {
                call.await.unwrap();
            }
            assert_eq!(limits.admitted(), 0);
        }
    }
}
