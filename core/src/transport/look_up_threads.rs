//! Look-up threads end with the runtime that they work for.
//!
//! Resolvers start them when they need them, on whatever thread of the runtime they are asked on, and do not wait for them.
//! Whoever ends the runtime does, here: except for those inside of the system's resolver, which nobody can interrupt.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// How often the end looks whether a thread that was woken has left.
const LOOK_AGAIN: Duration = Duration::from_micros(200);

/// The look-up threads of one runtime.
#[derive(Default)]
pub struct LookUpThreads {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ended: bool,
    started: Vec<Started>,
}

struct Started {
    thread: JoinHandle<()>,
    asks: Arc<Asks>,
    /// Has it leave as soon as it asks nobody.
    dismiss: Box<dyn Fn() + Send>,
}

/// Whether a thread is inside of the system's resolver.
#[derive(Default)]
pub(super) struct Asks(AtomicBool);

thread_local! {
    /// Whom a thread works for that was started here.
    static OF_THIS_THREAD: RefCell<Option<Arc<LookUpThreads>>> = const { RefCell::new(None) };
}

impl std::fmt::Debug for LookUpThreads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LookUpThreads")
    }
}

impl LookUpThreads {
    /// Look-up threads that are started on the calling thread from now on belong to these.
    pub fn include_those_of_this_thread(self: &Arc<Self>) {
        // A thread that is being torn down starts none any more.
        let _ = OF_THIS_THREAD.try_with(|current| current.replace(Some(Arc::clone(self))));
    }

    /// Ends them. Waits, until `deadline` at most, for all but those that the system's resolver does not let go: those leave
    /// when it does. None is started any more.
    pub fn end(&self, deadline: Instant) {
        let started = {
            let mut state = self.lock();
            state.ended = true;
            std::mem::take(&mut state.started)
        };
        for Started { dismiss, .. } in &started {
            dismiss();
        }
        for Started { thread, asks, .. } in started {
            while !thread.is_finished() && !asks.0.load(Ordering::Acquire) && Instant::now() < deadline {
                std::thread::sleep(LOOK_AGAIN);
            }
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }

    fn start(&self, builder: Builder, dismiss: Box<dyn Fn() + Send>, run: Run) -> io::Result<()> {
        let mut state = self.lock();
        if state.ended {
            return Err(io::Error::other("the library was shut down"));
        }
        let asks = Arc::new(Asks::default());
        let theirs = Arc::clone(&asks);
        let thread = builder.spawn(move || run(&theirs))?;
        state.started.retain(|other| !other.thread.is_finished()); // they have left because they had nothing to do
        state.started.push(Started { thread, asks, dismiss });
        Ok(())
    }

    /// How many are inside of the system's resolver.
    #[cfg(test)]
    pub(super) fn asking(&self) -> usize {
        self.lock().started.iter().filter(|started| started.asks.0.load(Ordering::Acquire)).count()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Run = Box<dyn FnOnce(&Asks) + Send>;

/// Starts a look-up thread for the runtime of the calling thread. One that works for no runtime is on its own.
pub(super) fn start(builder: Builder, dismiss: Box<dyn Fn() + Send>, run: Run) -> io::Result<()> {
    let threads = OF_THIS_THREAD.try_with(|current| current.borrow().clone()).ok().flatten();
    match threads {
        Some(threads) => threads.start(builder, dismiss, run),
        None => builder.spawn(move || run(&Asks::default())).map(drop),
    }
}

impl Asks {
    /// Runs `ask`, which may take for ever.
    pub(super) fn during<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.0.store(true, Ordering::Release);
        let answer = ask();
        self.0.store(false, Ordering::Release);
        answer
    }
}
