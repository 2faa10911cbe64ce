//! A call in flight: owed one answer, whatever happens.
//!
//! ```text
//!            answer, cancel           popped
//! RUNNING ------------------> ANSWERED -----> DELIVERING -----> DONE
//!    \                           \
//!     +--- abandon ---------------+--> ABANDONED
//! ```
//! Each step is one compare-and-swap: whoever wins it does what belongs to it, everybody else does nothing.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use target_sdk_core::client::{Admission, Answer, Call, Operation};
use target_sdk_core::error::{Error, ErrorKind};
use tokio::task::AbortHandle;

use crate::runtime::dispatcher::{self, Host};
use crate::runtime::fork;
use crate::runtime::lock;

use super::callback::Done;
use super::client::ClientEntry;
use super::handle::{library, target_request};
use super::queue::{Item, QueueEntry};
use super::result::{self, ResultEntry, plain_error};
use super::status::{TARGET_E_QUEUE_FULL, target_status};

const RUNNING: u8 = 0;
const ANSWERED: u8 = 1;
const DELIVERING: u8 = 2;
const DONE: u8 = 3;
const ABANDONED: u8 = 4;

/// Where an answer goes.
pub(crate) enum Delivery {
    Callback(Done),
    Queue(Arc<QueueEntry>, u64),
    Waiter(Arc<Waiter>),
}

/// A call in flight.
pub(crate) struct RequestEntry {
    handle: target_request,
    client: Arc<ClientEntry>,
    state: AtomicU8,
    /// Whether its end takes the dispatcher.
    calls_back: bool,
    open: Mutex<Open>,
    done: Condvar,
}

/// What a call holds until it is done.
struct Open {
    delivery: Option<Delivery>,
    admission: Option<Admission>,
    task: Option<AbortHandle>,
    /// Somebody waits for the callback to return.
    waited_for: bool,
}

impl RequestEntry {
    /// Begins a call that has been admitted: from here on an answer is owed. `publish` runs before anyone can see it.
    pub(crate) fn begin(
        client: &Arc<ClientEntry>,
        admission: Admission,
        delivery: impl FnOnce() -> Delivery,
        publish: impl FnOnce(target_request),
    ) -> Result<Arc<RequestEntry>, target_status> {
        client.outstanding.enter();
        let made = library().requests.insert(|handle| {
            publish(handle); // before the table has it: a racing close answers whatever it finds there
            let delivery = delivery();
            Arc::new(RequestEntry {
                handle,
                client: client.clone(),
                state: AtomicU8::new(RUNNING),
                calls_back: matches!(delivery, Delivery::Callback(_)),
                open: Mutex::new(Open {
                    delivery: Some(delivery),
                    admission: Some(admission),
                    task: None,
                    waited_for: false,
                }),
                done: Condvar::new(),
            })
        });
        let Some((_, entry)) = made else {
            client.outstanding.leave();
            return Err(TARGET_E_QUEUE_FULL);
        };
        Ok(entry)
    }

    /// Runs the call on the library's threads.
    pub(crate) fn run(self: &Arc<Self>, operation: Operation, timeout: Option<Duration>) {
        let owed = Owed(Some(self.clone()));
        let core = self.client.core.clone();
        // Counted now: it may be cancelled before its task has run.
        let running = core.accept(Instant::now());
        self.spawn(async move {
            let answer = match core.call_accepted(running, operation, timeout) {
                Call::Ready(answer) => answer,
                Call::Pending(answer) => answer.await,
            };
            owed.pay(answer);
        });
    }

    /// Runs the rest of a call that could not be answered at once.
    pub(crate) fn run_pending(
        self: &Arc<Self>,
        pending: std::pin::Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send>>,
    ) {
        let owed = Owed(Some(self.clone()));
        self.spawn(async move { owed.pay(pending.await) });
    }

    fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let task = self.client.threads.handle().spawn(task);
        let mut open = lock(&self.open);
        if self.state.load(Ordering::Acquire) == RUNNING {
            open.task = Some(task.abort_handle());
        } else {
            // Cancelled or abandoned before the task was known; it may have answered, too: then this does nothing.
            task.abort();
        }
    }

    pub(crate) fn handle(&self) -> target_request {
        self.handle
    }

    /// Whether the host has not heard of the outcome yet.
    pub(crate) fn is_in_flight(&self) -> bool {
        match self.state.load(Ordering::Acquire) {
            RUNNING => true,
            ANSWERED | DELIVERING => self.calls_back,
            _ => false,
        }
    }

    pub(crate) fn client(&self) -> &Arc<ClientEntry> {
        &self.client
    }

    /// Pays the answer, if nobody has. Returns whether this was the one.
    pub(crate) fn answer(self: &Arc<Self>, result: Arc<ResultEntry>) -> bool {
        if self.state.compare_exchange(RUNNING, ANSWERED, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return false;
        }
        let (delivery, task) = {
            let mut open = lock(&self.open);
            (open.delivery.take(), open.task.take())
        };
        if let Some(task) = task {
            task.abort(); // ends I/O that nobody waits for; a finished task does not mind
        }
        match delivery {
            Some(Delivery::Callback(done)) => {
                let entry = self.clone();
                let job = Box::new(move |host| entry.deliver(done, result, host));
                if self.client.outstanding.is_busy() {
                    self.client.threads.dispatch_soon(job);
                } else {
                    self.client.threads.dispatcher().submit(job);
                }
            }
            Some(Delivery::Queue(queue, tag)) => {
                let item = Item::Call { request: self.clone(), tag, result };
                let pushed = match self.client.outstanding.is_busy() {
                    true => queue.items.push_quietly(item),
                    false => queue.items.push(item).map(|()| false),
                };
                match pushed {
                    Ok(true) => self.client.threads.soon(move || queue.items.announce()),
                    Ok(false) => {}
                    Err(_unwanted) => self.finish(), // the host has destroyed the queue
                }
                // From here on the host's own time counts, not the client's: `close` does not wait for a poll.
                self.client.outstanding.leave();
            }
            Some(Delivery::Waiter(waiter)) => {
                waiter.set(result);
                self.client.outstanding.leave();
                self.finish();
            }
            None => {}
        }
        true
    }

    /// Runs the callback, on the dispatcher.
    fn deliver(self: &Arc<Self>, done: Done, result: Arc<ResultEntry>, host: Host) {
        if host == Host::Exiting {
            std::mem::forget(done);
            self.finish();
        } else if self.state.compare_exchange(ANSWERED, DELIVERING, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            if self.client.may_call_back() {
                // Without a handle for the result the host still gets its call: 0 is a handle it can ask, in vain.
                let handle = result.publish().unwrap_or(0);
                let epoch = fork::epoch();
                done.call(self.handle, handle);
                if fork::epoch() != epoch {
                    // A child, forked in the callback: the parent releases and finishes.
                    std::mem::forget(done);
                    return;
                }
                let _ = result::free(handle);
            }
            drop(done); // releases
            self.finish();
        } else {
            drop(done);
            self.finish();
        }
        self.client.outstanding.leave();
    }

    /// Takes an answer off a queue; false if the host has abandoned the call.
    pub(crate) fn collect(self: &Arc<Self>) -> bool {
        let wanted = self.state.compare_exchange(ANSWERED, DONE, Ordering::AcqRel, Ordering::Acquire).is_ok();
        self.finish();
        wanted
    }

    /// The handle ends, the place among the calls in flight is free again.
    fn finish(&self) {
        let mut open = lock(&self.open);
        self.state.store(DONE, Ordering::Release);
        let admission = open.admission.take();
        let waited_for = open.waited_for;
        drop(open);
        drop(admission);
        let _ = library().requests.remove(self.handle);
        if waited_for {
            self.done.notify_all(); // a system call, even if nobody listens
        }
    }

    /// Waits until the callback and the release of an answered call have run, or `deadline`.
    pub(crate) fn settle(&self, deadline: Instant) {
        if !self.calls_back {
            return;
        }
        let mut open = lock(&self.open);
        open.waited_for = true;
        while self.state.load(Ordering::Acquire) != DONE {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            open = self.done.wait_timeout(open, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// "Stop, and tell me."
    pub(crate) fn cancel(self: &Arc<Self>) {
        self.answer(plain_error(ErrorKind::Cancelled, "the call was cancelled"));
    }

    /// "Forget me": after this the callback never runs, or has returned already, or is this thread's own caller.
    pub(crate) fn abandon(self: &Arc<Self>) {
        if self.state.compare_exchange(RUNNING, ABANDONED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            let (delivery, task) = {
                let mut open = lock(&self.open);
                (open.delivery.take(), open.task.take())
            };
            if let Some(task) = task {
                task.abort();
            }
            // A release is host code and runs on the dispatcher; without one there is nothing to wait for.
            let releases = matches!(&delivery, Some(Delivery::Callback(done)) if done.has_release());
            let entry = self.clone();
            let end = move |host| {
                match host {
                    Host::Callable => drop(delivery),
                    Host::Exiting => std::mem::forget(delivery),
                }
                entry.finish();
                entry.client.outstanding.leave();
            };
            if releases {
                self.client.threads.dispatcher().submit(Box::new(end));
            } else {
                end(Host::Callable);
            }
            return;
        }
        if self.state.compare_exchange(ANSWERED, ABANDONED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            return; // whoever takes the answer finds that nobody wants it
        }
        if dispatcher::is_current() {
            return;
        }
        let mut open = lock(&self.open);
        open.waited_for = true;
        while self.state.load(Ordering::Acquire) == DELIVERING {
            open = self.done.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The debt of an answer. Dropped unpaid (a panic, an aborted task, a runtime that ended), it pays with an error.
struct Owed(Option<Arc<RequestEntry>>);

impl Owed {
    fn pay(mut self, answer: Result<Answer, Error>) {
        if let Some(entry) = self.0.take() {
            lock(&entry.open).task = None; // this is the task: it ends by itself
            entry.answer(ResultEntry::answer(answer));
        }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if let Some(entry) = self.0.take() {
            entry.answer(if std::thread::panicking() {
                plain_error(ErrorKind::Internal, "a bug in target-sdk: the call panicked")
            } else {
                plain_error(ErrorKind::Closed, "the library was shut down")
            });
        }
    }
}

/// Where a synchronous call waits.
#[derive(Default)]
pub(crate) struct Waiter {
    result: Mutex<Option<Arc<ResultEntry>>>,
    arrived: Condvar,
}

impl Waiter {
    fn set(&self, result: Arc<ResultEntry>) {
        *lock(&self.result) = Some(result);
        self.arrived.notify_one();
    }

    /// Waits for the result, until `deadline` if there is one.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Option<Arc<ResultEntry>> {
        let mut result = lock(&self.result);
        loop {
            if let Some(result) = result.take() {
                return Some(result);
            }
            result = match deadline {
                None => self.arrived.wait(result).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    self.arrived.wait_timeout(result, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}
