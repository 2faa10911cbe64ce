//! The task that sends.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

use super::{Inner, Outgoing};
use crate::error::{Error, Result};

/// Sends until the queue is shut. Requests under way end with it.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        let wake_at = match next(&inner, under_way.len()) {
            Step::Stop => return,
            Step::Send(id, outgoing) => {
                under_way.push(send(&inner, id, outgoing));
                // Begun before the next one is looked for: this request takes the waiting measurements along, and there
                // is none to be made for them alone.
                if let Some(Some((id, outcome))) = under_way.next().now_or_never() {
                    inner.settle(id, outcome);
                }
                continue;
            }
            Step::Wait(wake_at) => wake_at,
        };
        tokio::select! {
            Some((id, outcome)) = under_way.next() => inner.settle(id, outcome),
            () = until(wake_at) => {}
            () = inner.wake.notified() => {}
        }
    }
}

enum Step {
    Stop,
    Send(u64, Outgoing),
    /// `None`: until woken.
    Wait(Option<Instant>),
}

fn next(inner: &Inner, under_way: usize) -> Step {
    inner.with_telemetry(|queue| {
        if queue.is_shut() {
            return Step::Stop;
        }
        if under_way >= inner.lanes {
            return Step::Wait(None);
        }
        match queue.take_due(Instant::now(), &*inner.random, &*inner.pending_telemetry) {
            Some((id, outgoing)) => Step::Send(id, outgoing),
            None => Step::Wait(queue.next_due()),
        }
    })
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// A panic of what sends is one failed request, not the end of this task.
async fn send(inner: &Inner, id: u64, outgoing: Outgoing) -> (u64, Result<()>) {
    let sending = AssertUnwindSafe(async { (inner.send)(outgoing).await }).catch_unwind();
    let outcome = sending.await.unwrap_or_else(|_| Err(Error::internal("sending notifications panicked")));
    (id, outcome)
}
