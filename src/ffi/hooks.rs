//! Where the events of a client go: bounded, in order, and the last one is `closed`.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use target_sdk_core::env::Event;

use crate::runtime::dispatcher::Host;
use crate::runtime::log::MAX_WAITING;
use crate::runtime::outstanding::{Outstanding, Stay};
use crate::runtime::threads::Threads;
use crate::runtime::{fork, lock};

use super::callback::OnEvent;
use super::handle::target_client;
use super::queue::{self, Item, QueueEntry};
use super::result::ResultEntry;
use super::text::Text;

/// Name of the event that the core tells last, once, and always.
const LAST_EVENT: &str = "closed";

/// Where the events of one client go.
pub(crate) struct Hooks {
    client: AtomicU64,
    style: Mutex<Style>,
    threads: Arc<Threads>,
    outstanding: Arc<Outstanding>,
    silenced: Arc<AtomicBool>,
    waiting: Arc<Waiting>,
    /// Counts the last event among what close waits for, from when it is due until it is on its way.
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    told: bool,
    stay: Option<Stay>,
}

pub(crate) enum Style {
    /// Not started, or over.
    Off,
    Callback(Arc<OnEvent>),
    Queue(Arc<QueueEntry>, u64),
}

impl Hooks {
    pub(crate) fn new(
        threads: &Arc<Threads>,
        outstanding: &Arc<Outstanding>,
        silenced: &Arc<AtomicBool>,
    ) -> Arc<Hooks> {
        Arc::new(Hooks {
            client: AtomicU64::new(0),
            style: Mutex::new(Style::Off),
            threads: threads.clone(),
            outstanding: outstanding.clone(),
            silenced: silenced.clone(),
            waiting: Arc::default(),
            last: Mutex::default(),
        })
    }

    /// Events of `client` go to `style` from now on.
    pub(crate) fn begin(&self, client: target_client, style: Style) {
        self.client.store(client, Ordering::Release);
        *lock(&self.style) = style;
    }

    pub(crate) fn emit(self: &Arc<Self>, event: Event) {
        let is_last = event.name == LAST_EVENT;
        // Held until the event is handed over, so that the last one is the last.
        let mut style = lock(&self.style);
        let Some(json) = self.waiting.admit(event.json, is_last) else { return };
        match &*style {
            Style::Off => self.waiting.leave(),
            Style::Queue(queue, tag) => {
                let item =
                    Item::Event { tag: *tag, result: ResultEntry::document(json), waiting: self.waiting.clone() };
                queue::push(queue, item);
            }
            Style::Callback(on_event) => {
                let hooks = self.clone();
                let on_event = on_event.clone();
                let stay = self.outstanding.enter();
                self.threads.dispatcher().submit(Box::new(move |host| {
                    hooks.waiting.leave();
                    if host == Host::Exiting {
                        std::mem::forget(on_event);
                    } else {
                        let epoch = fork::epoch();
                        if !hooks.silenced.load(Ordering::Acquire) {
                            on_event.call(hooks.client.load(Ordering::Acquire), &Text::new(json));
                        }
                        if fork::epoch() != epoch {
                            // A child, forked in the callback: the parent releases.
                            return std::mem::forget((on_event, stay));
                        }
                        drop(on_event); // the last one releases
                    }
                    drop(stay);
                }));
            }
        }
        if is_last {
            let over = std::mem::replace(&mut *style, Style::Off);
            drop(style);
            self.release(over);
            let mut last = lock(&self.last);
            last.told = true;
            let stay = last.stay.take();
            drop(last);
            drop(stay);
        }
    }

    /// The last event is about to come: from now on the client is not quiet before it is on its way.
    pub(crate) fn expect_last(&self) {
        let mut last = lock(&self.last);
        if !last.told && last.stay.is_none() {
            last.stay = Some(self.outstanding.enter());
        }
    }

    /// The release, on the dispatcher.
    fn release(&self, style: Style) {
        if let Style::Callback(on_event) = style {
            let stay = self.outstanding.enter();
            self.threads.dispatcher().submit(Box::new(move |host| {
                match host {
                    Host::Callable => drop(on_event),
                    Host::Exiting => std::mem::forget(on_event),
                }
                drop(stay);
            }));
        }
    }
}

/// Events that wait for the host.
#[derive(Default)]
pub(crate) struct Waiting {
    count: AtomicUsize,
    /// Lost since the last one that was admitted.
    dropped: AtomicUsize,
}

impl Waiting {
    /// Takes a place for an event, if there is one, and tells in it how many before it were lost. The last event always
    /// has a place. One thread at a time asks.
    fn admit(&self, mut json: String, is_last: bool) -> Option<String> {
        if self.count.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING && !is_last {
            self.leave();
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        match self.dropped.swap(0, Ordering::Relaxed) {
            0 => {}
            dropped => {
                json.pop(); // the closing brace
                json.push_str(&format!(",\"dropped\":{dropped}}}"));
            }
        }
        Some(json)
    }

    /// The host has the event, or never will.
    pub(crate) fn leave(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::queue::Queue;
    use std::time::{Duration, Instant};
    use target_sdk_core::transport::look_up_threads::LookUpThreads;

    /// Another thread may be the one that tells the last event, some time after the client was ended.
    #[test]
    fn a_client_is_not_quiet_before_its_last_event_is_on_its_way() {
        let threads = Arc::new(Threads::start(1, Arc::<LookUpThreads>::default()).unwrap());
        let outstanding = Outstanding::new();
        let hooks = Hooks::new(&threads, &outstanding, &Arc::default());
        let queue = Arc::new(QueueEntry { items: Queue::new() });
        hooks.begin(1, Style::Queue(queue.clone(), 7));
        hooks.expect_last();
        assert!(!outstanding.wait(Instant::now() + Duration::from_millis(20)));
        let told = hooks.clone();
        let late = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            for name in ["requestFailed", LAST_EVENT, "late"] {
                told.emit(Event { name, json: format!(r#"{{"type":"{name}"}}"#) });
            }
        });
        assert!(outstanding.wait(Instant::now() + Duration::from_secs(10)));
        late.join().unwrap();
        hooks.expect_last(); // ended twice
        assert!(outstanding.wait(Instant::now()));
        assert_eq!(queue.items.close().len(), 2, "nothing follows the last one");
        assert!(threads.stop(Instant::now() + Duration::from_secs(10)));
    }

    #[test]
    fn waiting_events_are_bounded_and_the_lost_ones_counted() {
        let waiting = Waiting::default();
        let event = || r#"{"type":"x","error":{"message":"m"}}"#.to_owned();
        for _ in 0..MAX_WAITING {
            assert_eq!(waiting.admit(event(), false), Some(event()));
        }
        assert_eq!(waiting.admit(event(), false), None);
        assert_eq!(waiting.admit(event(), false), None);
        waiting.leave();
        let next = waiting.admit(event(), false).unwrap();
        assert_eq!(next, r#"{"type":"x","error":{"message":"m"},"dropped":2}"#);
        assert_eq!(waiting.admit(event(), false), None);
        assert!(waiting.admit(event(), true).unwrap().ends_with(r#","dropped":1}"#));
        for _ in 0..=MAX_WAITING {
            waiting.leave();
        }
        assert_eq!(waiting.admit(event(), false), Some(event()));
    }
}
