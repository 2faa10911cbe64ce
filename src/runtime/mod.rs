//! Threads, queues and the host process: signals, fork, exit. Nothing here knows Adobe Target.
//!
//! What several threads use at once (`call_state`, `gate`, `outstanding`, `per_process`, `queue`, `table`) takes its locks
//! and atomics from `sync`, so that `models/` can run these very files through every order of steps.

pub(crate) mod call_state;
pub(crate) mod dispatcher;
pub(crate) mod exit;
pub(crate) mod fork;
mod gate;
mod heap;
mod load;
mod locks;
pub(crate) mod log;
pub(crate) mod outstanding;
pub(crate) mod panics;
mod per_process;
pub(crate) mod queue;
pub(crate) mod signal;
mod stdio;
mod sync;
pub(crate) mod table;
pub(crate) mod threads;
mod undivided;
pub(crate) mod wake;

pub(crate) use locks::{lock, read, wait, write};
