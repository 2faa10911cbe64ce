//! Handles and what they stand for. Everything of this process hangs here; a forked child starts with nothing.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use target_sdk_core::transport::look_up_threads::LookUpThreads;
use target_sdk_core::transport::look_ups;

use crate::runtime::fork::{self, Around, PerProcess};
use crate::runtime::lock;
use crate::runtime::table::{Stale, Table};
use crate::runtime::threads::{Followers, Threads};

use super::client::ClientEntry;
use super::library::InitOptions;
use super::queue::QueueEntry;
use super::request::RequestEntry;
use super::result::ResultEntry;
use super::status::{TARGET_E_BAD_HANDLE, TARGET_E_FORKED, TARGET_E_INTERNAL, target_status};

/// A client. 0 is never one.
#[allow(non_camel_case_types)]
pub type target_client = u64;
/// A call in flight. 0 is never one.
#[allow(non_camel_case_types)]
pub type target_request = u64;
/// A completion queue. 0 is never one.
#[allow(non_camel_case_types)]
pub type target_queue = u64;
/// An answer, an error, an event or another document. 0 is never one.
#[allow(non_camel_case_types)]
pub type target_result = u64;

/// Everything this process has made.
pub(crate) struct Library {
    pub(crate) clients: Table<ClientEntry>,
    pub(crate) requests: Table<RequestEntry>,
    pub(crate) queues: Table<QueueEntry>,
    pub(crate) results: Table<ResultEntry>,
    pub(crate) init: Mutex<Option<InitOptions>>,
    threads: Mutex<Option<Arc<Threads>>>,
    /// Threads that a shutdown has not seen end yet.
    pub(crate) ending: Mutex<Vec<Arc<Threads>>>,
}

static LIBRARY: PerProcess<Library> = PerProcess::new();

/// How long a fork waits for name look-ups under way.
const LOOK_UPS_END_WITHIN: Duration = Duration::from_millis(50);

static LOOK_UPS_PAUSE: Around = Around {
    before: || _ = look_ups::pause(LOOK_UPS_END_WITHIN), // a slow one stays a hazard, see docs/termination.md
    in_parent: look_ups::resume,
    in_child: look_ups::forget,
};

impl Followers for LookUpThreads {
    fn include_those_of_this_thread(self: Arc<Self>) {
        LookUpThreads::include_those_of_this_thread(&self);
    }

    fn end(&self, deadline: Instant) {
        LookUpThreads::end(self, deadline);
    }
}

/// The library as this process sees it.
pub(crate) fn library() -> &'static Library {
    LIBRARY.get(|epoch| {
        fork::around(&LOOK_UPS_PAUSE);
        Library {
            clients: Table::new(1, epoch),
            requests: Table::new(2, epoch),
            queues: Table::new(3, epoch),
            results: Table::new(4, epoch),
            init: Mutex::new(None),
            threads: Mutex::new(None),
            ending: Mutex::new(Vec::new()),
        }
    })
}

impl Library {
    /// The threads, started now if they do not run.
    pub(crate) fn threads(&self) -> Result<Arc<Threads>, target_status> {
        let workers = lock(&self.init).as_ref().map_or(InitOptions::DEFAULT_WORKERS, |init| init.workers);
        let started = {
            let mut threads = lock(&self.threads);
            match &*threads {
                Some(threads) => return Ok(threads.clone()),
                None => Threads::start(workers, Arc::<LookUpThreads>::default())
                    .map(|started| threads.insert(Arc::new(started)).clone()),
            }
        };
        // The lock is gone by now: a log asks for the threads.
        started.map_err(|error| {
            log::error!(target: "target_sdk::runtime", "cannot start threads: {error}");
            TARGET_E_INTERNAL
        })
    }

    /// The threads, if they run.
    pub(crate) fn running(&self) -> Option<Arc<Threads>> {
        lock(&self.threads).clone()
    }

    /// Takes the threads away; the next client starts new ones.
    pub(crate) fn take_threads(&self) -> Option<Arc<Threads>> {
        lock(&self.threads).take()
    }
}

fn found<T>(looked_up: Result<Arc<T>, Stale>) -> Result<Arc<T>, target_status> {
    looked_up.map_err(|stale| match stale {
        Stale::Unknown => TARGET_E_BAD_HANDLE,
        Stale::Inherited => TARGET_E_FORKED,
    })
}

pub(crate) fn client(handle: target_client) -> Result<Arc<ClientEntry>, target_status> {
    found(library().clients.get(handle))
}

pub(crate) fn request(handle: target_request) -> Result<Arc<RequestEntry>, target_status> {
    found(library().requests.get(handle))
}

pub(crate) fn queue(handle: target_queue) -> Result<Arc<QueueEntry>, target_status> {
    found(library().queues.get(handle))
}

pub(crate) fn result(handle: target_result) -> Result<Arc<ResultEntry>, target_status> {
    found(library().results.get(handle))
}

/// Ends a client's handle.
pub(crate) fn take_client(handle: target_client) -> Result<Arc<ClientEntry>, target_status> {
    found(library().clients.remove(handle))
}

/// Ends a queue's handle.
pub(crate) fn take_queue(handle: target_queue) -> Result<Arc<QueueEntry>, target_status> {
    found(library().queues.remove(handle))
}
