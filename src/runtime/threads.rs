//! The threads of the library: tokio's workers and the dispatcher. Made when first needed, shared by all clients.

use std::cell::Cell;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};

use super::dispatcher::{Dispatcher, Job};
use super::panics::{self, Where, contain};
use super::{heap, lock, read, signal, stdio, write};

/// Stack of each thread. Unoptimised builds need more.
pub(crate) const STACK_SIZE: usize = if cfg!(debug_assertions) { 2 << 20 } else { 512 << 10 };

thread_local! {
    static IS_IO: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is one of the runtime's, on which no code of the host ever runs.
pub(crate) fn is_io() -> bool {
    IS_IO.try_with(Cell::get).unwrap_or(false)
}

/// Threads that others start on the runtime's threads, and that end when those have ended.
pub(crate) trait Followers: Send + Sync {
    /// Called on each of the runtime's threads as it starts.
    fn include_those_of_this_thread(self: Arc<Self>);

    /// Ends them; waits for those that can end, until `deadline` at most. May be called again.
    fn end(&self, deadline: Instant);
}

/// Running threads.
pub(crate) struct Threads {
    runtime: Mutex<Option<Runtime>>,
    followers: Arc<dyn Followers>,
    handle: Handle,
    dispatcher: Arc<Dispatcher>,
    /// Set when the end begins. Read-locked while somebody registers work that the end must find.
    ending: RwLock<bool>,
}

impl Threads {
    pub(crate) fn start(workers: usize, followers: Arc<dyn Followers>) -> io::Result<Threads> {
        stdio::keep_numbers();
        let dispatcher = Dispatcher::start()?;
        // On the dispatcher: the caller's thread may have a small stack, or be so near its end (in static destructors) that
        // its thread-local data is gone, which tokio does not survive.
        let built = Arc::new((Mutex::new(None), Condvar::new()));
        let told = built.clone();
        let of_runtime = followers.clone();
        dispatcher.submit(Box::new(move |_| {
            let runtime = contain(|| build(workers, of_runtime)).unwrap_or_else(|panic| Err(io::Error::other(panic)));
            *lock(&told.0) = Some(runtime);
            told.1.notify_one();
        }));
        let mut runtime = lock(&built.0);
        while runtime.is_none() {
            runtime = built.1.wait(runtime).unwrap_or_else(PoisonError::into_inner);
        }
        match runtime.take() {
            Some(Ok(runtime)) => Ok(Threads {
                handle: runtime.handle().clone(),
                runtime: Mutex::new(Some(runtime)),
                followers,
                dispatcher,
                ending: RwLock::new(false),
            }),
            failed => {
                dispatcher.stop(Instant::now() + Duration::from_secs(1)); // it has nothing to do, and ends at once
                Err(failed.and_then(Result::err).unwrap_or_else(|| io::ErrorKind::Other.into()))
            }
        }
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn dispatcher(&self) -> &Arc<Dispatcher> {
        &self.dispatcher
    }

    /// Has `job` run on the dispatcher; see [`Threads::soon`].
    pub(crate) fn dispatch_soon(&self, job: Job) {
        if self.dispatcher.submit_quietly(job) {
            let dispatcher = self.dispatcher.clone();
            self.soon(move || dispatcher.announce());
        }
    }

    /// Runs `announce` when this I/O thread has done what it can do without waiting: answers that arrive together then
    /// cost one wake-up of another thread instead of one each. On any other thread runs it at once.
    pub(crate) fn soon(&self, announce: impl FnOnce() + Send + 'static) {
        if !is_io() {
            return announce();
        }
        let announce = OnDrop(Some(announce));
        self.handle.spawn(async move {
            let _announce = announce; // also when the runtime ends before this has run
            tokio::task::yield_now().await;
        });
    }

    /// Permission to register work (a call, a client), until dropped; `None` when the end has begun. Never block with it.
    pub(crate) fn register(&self) -> Option<RwLockReadGuard<'_, bool>> {
        let ending = read(&self.ending);
        (!*ending).then_some(ending)
    }

    /// Returns when everybody who is registering work has done so.
    pub(crate) fn settle(&self) {
        drop(write(&self.ending));
    }

    /// No work is registered any more.
    pub(crate) fn begin_end(&self) {
        *write(&self.ending) = true;
    }

    /// Ends all threads; tasks are dropped, callbacks that are due still run. Must not be called on one of the threads.
    /// False if a callback has not returned by `deadline`: then its thread stays.
    pub(crate) fn stop(&self, deadline: Instant) -> bool {
        if let Some(runtime) = lock(&self.runtime).take() {
            // Workers end within the poll they are in; what is waited for here is that, not tasks.
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(50));
            runtime.shutdown_timeout(left);
        }
        // Idle threads need a moment to say so, also when others have used up the time.
        let moment = || deadline.max(Instant::now() + Duration::from_millis(50));
        self.followers.end(moment());
        self.dispatcher.stop(moment())
    }
}

fn build(workers: usize, followers: Arc<dyn Followers>) -> io::Result<Runtime> {
    rehearse(workers)?;
    Builder::new_multi_thread()
        .worker_threads(workers)
        .max_blocking_threads(4)
        .thread_name("target-io")
        .thread_stack_size(STACK_SIZE)
        .on_thread_start(move || {
            signal::block_all();
            IS_IO.set(true);
            std::mem::forget(panics::enter(Where::OwnThread)); // until the thread ends
            heap::keep();
            followers.clone().include_those_of_this_thread();
        })
        .on_thread_park(heap::give_back_unused)
        .on_thread_stop(heap::give_back)
        .enable_io()
        .enable_time()
        .build()
}

/// Starts as many threads as there will be workers, and ends them: tokio panics, and leaves behind what it has started, when the
/// system has no thread for a worker.
fn rehearse(workers: usize) -> io::Result<()> {
    let gate = Arc::new(Mutex::new(()));
    let closed = lock(&gate);
    let started: Vec<_> = (0..workers)
        .map(|_| {
            let gate = gate.clone();
            std::thread::Builder::new().stack_size(STACK_SIZE).spawn(move || drop(lock(&gate)))
        })
        .collect();
    drop(closed); // all were there at the same time
    let ended: Vec<io::Result<()>> =
        started.into_iter().map(|thread| thread.map(|thread| drop(thread.join()))).collect();
    ended.into_iter().collect()
}

struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(run) = self.0.take() {
            run();
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Reached without `stop` only when starting failed half-way; never block there.
        if let Some(runtime) = lock(&self.runtime).take() {
            runtime.shutdown_background();
        }
    }
}
