// Included by `with_loom.rs` and `with_shuttle.rs`, where `checker` is loom or shuttle.
mod sync {
    pub(crate) use super::checker::sync::atomic::{AtomicPtr, AtomicU8, AtomicUsize, Ordering};
    pub(crate) use super::checker::sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

    pub(crate) use super::checker::thread_local as checked_local;

    /// As that of std, which can be told that the value is a constant.
    macro_rules! per_thread {
        ($(#[$doc:meta])* static $name:ident: $type:ty = const $value:block;) => {
            super::sync::checked_local! { static $name: $type = $value; }
        };
    }
    pub(crate) use per_thread as thread_local;
}

#[path = "../../src/runtime/call_state.rs"]
mod call_state;
#[path = "../../src/runtime/gate.rs"]
mod gate;
#[path = "../../src/runtime/locks.rs"]
mod locks;
#[path = "../../src/runtime/outstanding.rs"]
mod outstanding;
#[path = "../../src/runtime/per_process.rs"]
mod per_process;
#[path = "../../src/runtime/queue.rs"]
mod queue;
#[path = "../../src/runtime/table.rs"]
mod table;
#[path = "../../src/runtime/undivided.rs"]
mod undivided;
#[path = "wake.rs"]
mod wake;

#[path = "scenes.rs"]
pub mod scenes;
#[path = "story.rs"]
pub mod story;

use locks::{lock, read, wait, write};
use checker::thread;
