//! Log records on their last metre: to the host's function, on the dispatcher, or into a queue of the host's.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use target_sdk_core::json;

use crate::runtime::dispatcher::{self, Host};
use crate::runtime::lock;
use crate::runtime::log::{Line, MAX_WAITING, Sink, delivering};

use super::callback::OnLog;
use super::handle::library;
use super::queue::{self, Item, QueueEntry};
use super::result::ResultEntry;
use super::text::Text;

/// Takes a place among the waiting records, if there is one.
fn reserve(waiting: &AtomicUsize) -> bool {
    let taken = waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING;
    if !taken {
        waiting.fetch_sub(1, Ordering::Relaxed);
    }
    taken
}

/// Records for the host's function.
pub(crate) struct CallbackLog {
    /// Held while the function runs; empty once the log was replaced.
    on_log: Mutex<Option<OnLog>>,
    alive: AtomicBool,
    waiting: AtomicUsize,
}

impl CallbackLog {
    pub(crate) fn new(on_log: OnLog) -> Arc<CallbackLog> {
        Arc::new(CallbackLog {
            on_log: Mutex::new(Some(on_log)),
            alive: AtomicBool::new(true),
            waiting: AtomicUsize::new(0),
        })
    }

    fn deliver(&self, line: Line) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let on_log = lock(&self.on_log);
        if !self.alive.load(Ordering::Acquire) {
            return; // looked at with the lock held: who retires the log waits for that
        }
        let message = match line.dropped {
            0 => line.message,
            dropped => format!("{} [{dropped} records before this one were dropped]", line.message),
        };
        if let Some(on_log) = &*on_log {
            delivering(|| on_log.call(line.level as i32, &Text::new(line.target), &Text::new(message)));
        }
    }

    fn release(&self, host: Host) {
        let on_log = lock(&self.on_log).take();
        match host {
            Host::Callable => drop(on_log), // outside the lock: this runs host code
            Host::Exiting => std::mem::forget(on_log),
        }
    }

    /// After this the function does not run any more, unless this is called from inside it. Its release runs once, on the
    /// dispatcher if there is one: never inside the call that ends the log.
    pub(crate) fn retire(self: &Arc<Self>) {
        self.alive.store(false, Ordering::Release);
        let inside = dispatcher::is_current();
        if !inside {
            drop(lock(&self.on_log)); // the function may be running
        }
        match library().running() {
            Some(threads) => {
                let log = self.clone();
                threads.dispatcher().submit(Box::new(move |host| log.release(host)));
            }
            // A dispatcher that a shutdown has left behind: the record it delivers holds the log and releases it.
            None if inside => {}
            None => self.release(Host::Callable),
        }
    }
}

/// As the facade sees it.
pub(crate) struct CallbackSink(pub(crate) Arc<CallbackLog>);

impl Sink for CallbackSink {
    fn take(&self, line: Line) -> bool {
        let Some(threads) = library().running() else { return false };
        if !reserve(&self.0.waiting) {
            return false;
        }
        let log = self.0.clone();
        threads.dispatcher().submit(Box::new(move |host| match host {
            Host::Callable => log.deliver(line),
            Host::Exiting => std::mem::forget(log), // not the last one to hold it: that one would release
        }));
        true
    }
}

/// Records for a queue of the host's.
pub(crate) struct QueueSink {
    pub(crate) queue: Arc<QueueEntry>,
    pub(crate) waiting: Arc<AtomicUsize>,
}

impl Sink for QueueSink {
    fn take(&self, line: Line) -> bool {
        if !reserve(&self.waiting) {
            return false;
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut text = format!("{{\"ts\":{},\"level\":{},\"target\":", since.as_millis(), line.level as i32);
        json::write_str(&mut text, &line.target);
        text.push_str(",\"message\":");
        json::write_str(&mut text, &line.message);
        if line.dropped > 0 {
            text.push_str(&format!(",\"dropped\":{}", line.dropped));
        }
        text.push('}');
        queue::push(&self.queue, Item::Log { result: ResultEntry::document(text), waiting: self.waiting.clone() });
        true
    }
}
