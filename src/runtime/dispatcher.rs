//! The thread that runs the host's callbacks: never an I/O thread, one callback at a time.

use std::cell::Cell;
use std::io;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use super::exit::{self, GATE};
use super::panics::contain;
use super::queue::Queue;
use super::{fork, lock, signal, wait};

/// Calls into the host, if the host can still be called.
pub(crate) type Job = Box<dyn FnOnce(Host) + Send>;

/// Whether code of the host may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Callable,
    /// The process is exiting: neither callbacks nor releases, but whoever waits for them is told.
    Exiting,
}

thread_local! {
    /// Epoch of the process in which this thread runs callbacks. A child forked in a callback is not inside one.
    static DISPATCHES_IN: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Whether this thread runs callbacks, which means that the host is inside one.
pub(crate) fn is_current() -> bool {
    DISPATCHES_IN.try_with(Cell::get).unwrap_or(None) == Some(fork::epoch())
}

/// Runs jobs in the order they come.
pub(crate) struct Dispatcher {
    jobs: Queue<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
    stopped: Mutex<bool>,
    stop: Condvar,
}

enum Message {
    Run(Job),
    Stop,
}

const BATCH: usize = 256;

impl Dispatcher {
    pub(crate) fn start() -> io::Result<Arc<Dispatcher>> {
        exit::watch();
        let dispatcher = Arc::new(Dispatcher {
            jobs: Queue::new(),
            thread: Mutex::new(None),
            stopped: Mutex::new(false),
            stop: Condvar::new(),
        });
        let runner = dispatcher.clone();
        let thread = signal::blocked(|| {
            std::thread::Builder::new().name("target-cb-0".to_owned()).stack_size(super::threads::STACK_SIZE).spawn(
                move || {
                    DISPATCHES_IN.set(Some(fork::epoch()));
                    runner.run();
                },
            )
        })?;
        *lock(&dispatcher.thread) = Some(thread);
        Ok(dispatcher)
    }

    /// Has `job` run after those before it. After [`Dispatcher::stop`] nothing runs any more.
    pub(crate) fn submit(&self, job: Job) {
        let _ = self.jobs.push(Message::Run(job));
    }

    /// Has `job` run if it can run at once: no callback of the host's comes before it, however long that might take. Gives
    /// `value`, of which the job would have been made, back otherwise.
    pub(crate) fn submit_if_idle<V>(&self, value: V, job: impl FnOnce(V) -> Job) -> Result<(), V> {
        self.jobs.push_if_awaited(value, |value| Message::Run(job(value)))
    }

    /// As [`Dispatcher::submit`], without waking the thread. Returns whether [`Dispatcher::announce`] has to follow.
    pub(super) fn submit_quietly(&self, job: Job) -> bool {
        self.jobs.push_quietly(Message::Run(job)).unwrap_or(false)
    }

    /// Wakes the thread for what was submitted quietly.
    pub(super) fn announce(&self) {
        self.jobs.announce();
    }

    /// Runs what has been submitted so far, then ends the thread. False if that is not done by `deadline`.
    pub(crate) fn stop(&self, deadline: Instant) -> bool {
        let _ = self.jobs.push(Message::Stop);
        let mut stopped = lock(&self.stopped);
        while !*stopped {
            stopped = match wait(&self.stop, stopped, Some(deadline)) {
                Ok(stopped) => stopped,
                Err(_late) => return false,
            };
        }
        drop(stopped);
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
        true
    }

    fn run(&self) {
        let epoch = fork::epoch();
        let mut batch = Vec::with_capacity(BATCH);
        'all: while self.jobs.take(&mut batch, BATCH, None).is_some() {
            let mut messages = std::mem::take(&mut batch).into_iter();
            while let Some(message) = messages.next() {
                match message {
                    Message::Run(job) => run(job),
                    Message::Stop => break 'all,
                }
                if fork::epoch() != epoch {
                    // A child, forked in that callback: nothing of the parent's may run or be released here. The child's
                    // only thread ends.
                    std::mem::forget(messages);
                    return;
                }
            }
        }
        drop(self.jobs.close());
        *lock(&self.stopped) = true;
        self.stop.notify_all();
    }
}

fn run(job: Job) {
    let epoch = fork::epoch();
    let pass = GATE.enter();
    let host = if pass.is_some() { Host::Callable } else { Host::Exiting };
    if let Err(panic) = contain(|| job(host)) {
        ::log::error!(target: "target_sdk::runtime", "a bug in target-sdk: the dispatcher caught a panic: {panic}");
    }
    if let Some(pass) = pass
        && fork::epoch() != epoch
    {
        pass.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[test]
    fn runs_everything_in_order_then_stops() {
        let dispatcher = Dispatcher::start().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        for n in 0..1000 {
            let seen = seen.clone();
            dispatcher.submit(Box::new(move |host| {
                assert!(is_current());
                assert_eq!(host, Host::Callable);
                lock(&seen).push(n);
            }));
        }
        dispatcher.submit(Box::new(|_| panic!("contained")));
        assert!(dispatcher.stop(Instant::now() + Duration::from_secs(10)));
        assert_eq!(*lock(&seen), Vec::from_iter(0..1000));
        assert!(!is_current());
    }

    #[test]
    fn stop_gives_up_on_a_callback_that_does_not_return() {
        let dispatcher = Dispatcher::start().unwrap();
        let (free, stuck) = std::sync::mpsc::channel::<()>();
        let runs = Arc::new(AtomicUsize::new(0));
        let counter = runs.clone();
        dispatcher.submit(Box::new(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            let _ = stuck.recv();
        }));
        assert!(!dispatcher.stop(Instant::now() + Duration::from_millis(30)));
        drop(free);
        assert!(dispatcher.stop(Instant::now() + Duration::from_secs(10)));
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }
}
