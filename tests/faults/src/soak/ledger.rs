//! Every call from its acceptance to its end: none ends twice, none is forgotten, none is late.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// How late an end may be, on a machine that does not stutter.
const LATE: Duration = Duration::from_secs(1);
const SHARDS: usize = 16;

#[derive(Default)]
pub struct Ledger {
    pub accepted: AtomicU64,
    pub refused: AtomicU64,
    pub ended: AtomicU64,
    /// Abandoned before their callback had begun.
    pub silent: AtomicU64,
    pub succeeded: AtomicU64,
    /// Ended twice, or without ever having been accepted.
    pub violations: AtomicU64,
    pub late: AtomicU64,
    pub worst_ms: AtomicU64,
    next: AtomicU64,
    /// Queue-style calls under way: when they must have ended.
    open: [Mutex<HashMap<u64, Instant>>; SHARDS],
    /// Callback-style calls that have not been released.
    pub held: AtomicU64,
    /// Longest time that a thread that only sleeps has been kept waiting lately, in ms.
    pub stutter: AtomicU64,
    /// How long each of the library's threads had waited for a processor until ten seconds ago, in ms.
    pub waits: Mutex<HashMap<String, u64>>,
    /// The most that the machine kept threads from doing in ten seconds, in ms: what lateness has to be read with.
    pub worst_machine: AtomicU64,
    pub stop: AtomicBool,
    pub pause: AtomicBool,
}

/// `user_data` of a callback-style call.
pub struct Held {
    ledger: &'static Ledger,
    due: Instant,
    done: AtomicU64,
}

impl Ledger {
    /// One for the rest of the process: callbacks refer to it.
    pub fn leak() -> &'static Ledger {
        Box::leak(Box::default())
    }

    pub fn tag(&self) -> u64 {
        self.next.fetch_add(1, SeqCst)
    }

    pub fn open(&self, tag: u64, deadline: Duration) {
        self.shard(tag).lock().expect("no panics").insert(tag, Instant::now() + deadline);
    }

    /// It was refused after all.
    pub fn strike(&self, tag: u64) {
        self.shard(tag).lock().expect("no panics").remove(&tag);
    }

    /// A completion came.
    pub fn end(&self, tag: u64, succeeded: bool) {
        match self.shard(tag).lock().expect("no panics").remove(&tag) {
            Some(due) => self.note("queue", due, succeeded),
            None => {
                self.violations.fetch_add(1, SeqCst);
            }
        }
    }

    fn shard(&self, tag: u64) -> &Mutex<HashMap<u64, Instant>> {
        &self.open[(tag % SHARDS as u64) as usize]
    }

    fn note(&self, style: &str, due: Instant, succeeded: bool) {
        self.ended.fetch_add(1, SeqCst);
        if succeeded {
            self.succeeded.fetch_add(1, SeqCst);
        }
        let over = Instant::now().saturating_duration_since(due);
        self.worst_ms.fetch_max(over.as_millis() as u64, SeqCst);
        if over > LATE && over > self.limit() {
            self.late.fetch_add(1, SeqCst);
            eprintln!(
                "a {style} call ended {over:?} late (the machine {} ms, at rest: {}, succeeded: {succeeded})",
                self.machine_ms(),
                self.pause.load(SeqCst)
            );
        }
    }

    /// How long the machine has kept the worst-off thread waiting lately, in ms.
    pub fn machine_ms(&self) -> u64 {
        let before = self.waits.lock().expect("no panics");
        let now = crate::process::waits_ms("target-");
        let lately = now.iter().map(|(thread, ms)| ms.saturating_sub(before.get(thread).copied().unwrap_or(0)));
        self.stutter.load(SeqCst) + lately.max().unwrap_or(0)
    }

    fn limit(&self) -> Duration {
        LATE + Duration::from_millis(self.machine_ms())
    }

    /// The same for a synchronous call.
    pub fn ended_now(&self, due: Instant, succeeded: bool) {
        self.note("sync", due, succeeded);
    }

    /// Calls under way.
    pub fn under_way(&self) -> u64 {
        let queued: usize = self.open.iter().map(|shard| shard.lock().expect("no panics").len()).sum();
        queued as u64 + self.held.load(SeqCst)
    }

    /// Calls that should have ended long ago.
    pub fn stuck(&self) -> u64 {
        let now = Instant::now();
        let over = |limit: Duration| {
            let stuck = |open: &HashMap<u64, Instant>| open.values().filter(|due| now > **due + limit).count();
            self.open.iter().map(|shard| stuck(&shard.lock().expect("no panics")) as u64).sum()
        };
        if over(LATE) == 0 { 0 } else { over(self.limit()) }
    }

    pub fn hold(&'static self, deadline: Duration) -> *mut Held {
        self.held.fetch_add(1, SeqCst);
        Box::into_raw(Box::new(Held { ledger: self, due: Instant::now() + deadline, done: AtomicU64::new(0) }))
    }
}

impl Held {
    /// # Safety
    /// The call was refused: nobody else has the pointer.
    pub unsafe fn take_back(held: *mut Held) {
        // SAFETY: made by `hold`.
        let held = unsafe { Box::from_raw(held) };
        held.ledger.held.fetch_sub(1, SeqCst);
    }
}

/// `on_done`
pub unsafe extern "C" fn on_done(_: u64, result: u64, user_data: *mut c_void) {
    // SAFETY: made by `hold`, and not released before this returns.
    let held = unsafe { &*user_data.cast::<Held>() };
    let succeeded = crate::abi::status_of(result) == crate::abi::OK;
    if held.done.fetch_add(1, SeqCst) > 0 {
        held.ledger.violations.fetch_add(1, SeqCst);
    }
    held.ledger.note("callback", held.due, succeeded);
}

/// `release`
pub unsafe extern "C" fn release(user_data: *mut c_void) {
    // SAFETY: made by `hold`; this runs once.
    let held = unsafe { Box::from_raw(user_data.cast::<Held>()) };
    if held.done.load(SeqCst) == 0 {
        held.ledger.silent.fetch_add(1, SeqCst);
    }
    held.ledger.held.fetch_sub(1, SeqCst);
}
