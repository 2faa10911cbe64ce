//! A call in flight and its handle.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use target_sdk_core::client::{Admission, Answer, Call, Operation, Running};
use target_sdk_core::error::{Error, ErrorKind};
use tokio::task::AbortHandle;

use crate::runtime::call_state::{Abandoned, CallState, Phase};
use crate::runtime::dispatcher::{self, Host};
use crate::runtime::outstanding::Stay;
use crate::runtime::{fork, lock, wait};

use super::callback::Done;
use super::client::ClientEntry;
use super::handle::{library, target_request};
use super::queue::{Item, QueueEntry};
use super::result::{ResultEntry, plain_error};
use super::status::{TARGET_E_QUEUE_FULL, target_status};

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
    /// The client counts a call until its callback has returned or its answer is in a queue.
    state: CallState<(Delivery, Stay), AbortHandle, Admission>,
    /// Whether its end takes the dispatcher.
    calls_back: bool,
    /// Where its answer is until it is polled. The queue holds the call then; taking the answer out ends the circle.
    queue: Option<Arc<QueueEntry>>,
    /// Answered because its client ended.
    cut_off: AtomicBool,
}

impl RequestEntry {
    /// Begins a call that has been admitted: from here on an answer is owed. `publish` runs before anyone can see it.
    pub(crate) fn begin(
        client: &Arc<ClientEntry>,
        admission: Admission,
        delivery: impl FnOnce() -> Delivery,
        publish: impl FnOnce(target_request),
    ) -> Result<Arc<RequestEntry>, target_status> {
        let stay = client.outstanding.enter();
        let made = library().requests.insert(|handle| {
            publish(handle); // before the table has it: a racing close answers whatever it finds there
            let delivery = delivery();
            Arc::new(RequestEntry {
                handle,
                client: client.clone(),
                calls_back: matches!(delivery, Delivery::Callback(_)),
                queue: match &delivery {
                    Delivery::Queue(queue, _) => Some(queue.clone()),
                    Delivery::Callback(_) | Delivery::Waiter(_) => None,
                },
                state: CallState::new((delivery, stay), admission),
                cut_off: AtomicBool::new(false),
            })
        });
        made.map(|(_, entry)| entry).ok_or(TARGET_E_QUEUE_FULL)
    }

    /// Runs the call on the library's threads.
    pub(crate) fn run(self: &Arc<Self>, operation: Operation, timeout: Option<Duration>) {
        let owed = Owed(Some(self.clone())); // first: whatever panics from here on is answered
        // Counted now: it may be cancelled before it has begun.
        let running = self.client.core.accept(Instant::now());
        let work = Work { owed, operation, running, timeout };
        let threads = &self.client.threads;
        // Deciding takes one thread and calling back another: where the second has nothing else to do, it does both. Many
        // calls at a time are decided beside each other.
        let refused = if self.client.core.decides_here() && !self.client.is_busy() {
            threads.dispatcher().submit_if_idle(work, |work| Box::new(move |_| work.run_on_dispatcher())).err()
        } else {
            Some(work)
        };
        if let Some(work) = refused {
            self.spawn(work.run());
        }
    }

    /// Runs the rest of a call that could not be answered at once.
    pub(crate) fn run_pending(self: &Arc<Self>, pending: PendingAnswer) {
        let owed = Owed(Some(self.clone()));
        self.spawn(async move { owed.pay(pending.await) });
    }

    fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let task = self.client.threads.handle().spawn(task);
        if let Err(task) = self.state.attach(task.abort_handle()) {
            // Cancelled or abandoned before the task was known; it may have answered, too: then this does nothing.
            task.abort();
        }
    }

    pub(crate) fn handle(&self) -> target_request {
        self.handle
    }

    /// Whether the host has not heard of the outcome yet.
    pub(crate) fn is_in_flight(&self) -> bool {
        match self.state.phase() {
            Phase::Running => true,
            Phase::Answered => self.calls_back,
            Phase::Over => false,
        }
    }

    /// Whether there is no outcome yet.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.state.phase(), Phase::Running)
    }

    pub(crate) fn client(&self) -> &Arc<ClientEntry> {
        &self.client
    }

    /// Pays the answer, if nobody has.
    pub(crate) fn answer(self: &Arc<Self>, result: Arc<ResultEntry>) {
        if let Some((delivery, task)) = self.state.answer() {
            self.hand_over(delivery, task, result);
        }
    }

    /// As [`RequestEntry::answer`], with an error, because the client ends.
    pub(crate) fn cut_off(self: &Arc<Self>, error: Arc<ResultEntry>) {
        if let Some((delivery, task)) = self.state.answer() {
            // Before the client counts one call less: whoever has waited for that sees it.
            self.cut_off.store(true, Ordering::Release);
            self.hand_over(delivery, task, error);
        }
    }

    /// Whether the end of the client was the answer.
    pub(crate) fn was_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Acquire)
    }

    fn hand_over(
        self: &Arc<Self>,
        delivery: Option<(Delivery, Stay)>,
        task: Option<AbortHandle>,
        result: Arc<ResultEntry>,
    ) {
        if let Some(task) = task {
            task.abort(); // ends I/O that nobody waits for; a finished task does not mind
        }
        match delivery {
            Some((Delivery::Callback(done), stay)) => {
                let entry = self.clone();
                let job = Box::new(move |host| entry.deliver(done, stay, result, host));
                if self.client.is_busy() {
                    self.client.threads.dispatch_soon(job);
                } else {
                    self.client.threads.dispatcher().submit(job);
                }
            }
            Some((Delivery::Queue(queue, tag), stay)) => {
                self.enqueue(&queue, Item::Call { request: self.clone(), tag, result });
                // From here on the host's own time counts, not the client's: `close` does not wait for a poll.
                drop(stay);
            }
            Some((Delivery::Waiter(waiter), stay)) => {
                waiter.set(result);
                drop(stay);
                self.finish();
            }
            None => {}
        }
    }

    fn enqueue(self: &Arc<Self>, queue: &Arc<QueueEntry>, item: Item) {
        let pushed = match self.client.is_busy() {
            true => queue.items.push_quietly(item),
            false => queue.items.push(item).map(|()| false),
        };
        match pushed {
            Ok(announce) => {
                if announce {
                    let queue = queue.clone();
                    self.client.threads.soon(move || queue.items.announce());
                }
                // Abandoned between the answer and here: whoever did it has found nothing in the queue.
                if self.state.phase() == Phase::Over {
                    self.retract();
                }
            }
            Err(_unwanted) => self.finish(), // the host has destroyed the queue
        }
    }

    /// Takes the answer out of the queue, if it is there.
    fn retract(self: &Arc<Self>) {
        if let Some(queue) = &self.queue {
            drop(queue.items.retract(|item| matches!(item, Item::Call { request, .. } if Arc::ptr_eq(request, self))));
        }
    }

    /// Runs the callback, on the dispatcher.
    fn deliver(self: &Arc<Self>, done: Done, stay: Stay, result: Arc<ResultEntry>, host: Host) {
        if host == Host::Exiting {
            std::mem::forget(done);
        } else if self.state.deliver() && self.client.may_call_back() {
            let epoch = fork::epoch();
            result.lend(|handle| done.call(self.handle, handle));
            if fork::epoch() != epoch {
                // A child, forked in the callback: the parent releases and finishes.
                std::mem::forget((done, stay));
                return;
            }
            drop(done); // releases
        } else {
            drop(done);
        }
        self.finish();
        drop(stay);
    }

    /// Takes an answer off a queue; false if the host has abandoned the call.
    pub(crate) fn collect(self: &Arc<Self>) -> bool {
        let wanted = self.state.deliver();
        self.finish();
        wanted
    }

    /// The handle ends, the place among the calls in flight is free again.
    fn finish(&self) {
        // Not found any more by those who end clients, and not in their way either, when it is seen to be done.
        let _ = library().requests.remove(self.handle);
        drop(self.state.finish());
    }

    /// Waits until the callback and the release of an answered call have run, or `deadline`.
    pub(crate) fn settle(&self, deadline: Instant) {
        if self.calls_back {
            self.state.wait_until_done(deadline);
        }
    }

    /// "Stop, and tell me."
    pub(crate) fn cancel(self: &Arc<Self>) {
        self.answer(plain_error(ErrorKind::Cancelled, "the call was cancelled"));
    }

    /// "Forget me": after this the callback never runs, or has returned already, or is this thread's own caller.
    pub(crate) fn abandon(self: &Arc<Self>) {
        match self.state.abandon() {
            Abandoned::Running(addressee, task) => {
                if let Some(task) = task {
                    task.abort();
                }
                // A release is host code and runs on the dispatcher; without one there is nothing to wait for.
                let releases = matches!(&addressee, Some((Delivery::Callback(done), _)) if done.has_release());
                let entry = self.clone();
                let end = move |host| {
                    let (delivery, stay) = addressee.unzip();
                    match host {
                        Host::Callable => drop(delivery),
                        Host::Exiting => std::mem::forget(delivery),
                    }
                    entry.finish();
                    drop(stay);
                };
                if releases {
                    self.client.threads.dispatcher().submit(Box::new(end));
                } else {
                    end(Host::Callable);
                }
            }
            // Nobody has to poll for the call to end.
            Abandoned::Answered if self.queue.is_some() => {
                self.finish();
                self.retract();
            }
            Abandoned::Answered => {} // the dispatcher finds that nobody wants the answer
            Abandoned::TooLate if dispatcher::is_current() => {}
            Abandoned::TooLate => self.state.wait_until_delivered(),
        }
    }
}

type PendingAnswer = Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send>>;

/// A call that has not begun.
struct Work {
    owed: Owed,
    operation: Operation,
    running: Running,
    timeout: Option<Duration>,
}

impl Work {
    async fn run(self) {
        let Work { owed, operation, running, timeout } = self;
        let Some(entry) = &owed.0 else { return };
        let answer = match entry.client.core.call_accepted(running, operation, timeout) {
            Call::Ready(answer) => answer,
            Call::Pending(answer) => answer.await,
        };
        owed.pay(answer);
    }

    /// Goes as far as is possible without waiting for anything.
    fn run_on_dispatcher(self) {
        let Work { owed, operation, running, timeout } = self;
        let Some(entry) = owed.0.clone() else { return };
        if entry.state.phase() != Phase::Running {
            return; // cancelled, abandoned or closed before it began
        }
        match entry.client.core.call_accepted(running, operation, timeout) {
            Call::Ready(answer) => owed.pay(answer),
            Call::Pending(answer) => entry.spawn(async move { owed.pay(answer.await) }),
        }
    }
}

/// The debt of an answer. Dropped unpaid (a panic, an aborted task, a runtime that ended), it pays with an error.
struct Owed(Option<Arc<RequestEntry>>);

impl Owed {
    fn pay(mut self, answer: Result<Answer, Error>) {
        if let Some(entry) = self.0.take() {
            entry.state.detach(); // this is the task
            entry.answer(ResultEntry::answer(answer));
        }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if let Some(entry) = self.0.take() {
            if std::thread::panicking() {
                entry.answer(plain_error(ErrorKind::Internal, "a bug in target-sdk: the call panicked"));
            } else {
                entry.cut_off(plain_error(ErrorKind::Closed, "the library was shut down"));
            }
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
            result = wait(&self.arrived, result, deadline).ok()?;
        }
    }
}
