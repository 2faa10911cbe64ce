//! The modules with loom's threads, locks and atomics.
#![allow(dead_code)] // the library uses more of them than the models

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU8, AtomicUsize, Ordering};
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

    /// As that of std, which can be told that the value is a constant.
    macro_rules! per_thread {
        ($(#[$doc:meta])* static $name:ident: $type:ty = const $value:block;) => {
            loom::thread_local! { static $name: $type = $value; }
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
#[path = "wake.rs"]
mod wake;

#[path = "scenes.rs"]
pub mod scenes;
#[path = "story.rs"]
pub mod story;

use locks::{lock, read, wait, write};
use loom::thread;
