//! Threads, queues and the host process: signals, fork, exit. Nothing here knows Adobe Target.

pub(crate) mod dispatcher;
pub(crate) mod exit;
pub(crate) mod fork;
mod load;
pub(crate) mod log;
pub(crate) mod panics;
pub(crate) mod queue;
pub(crate) mod signal;
mod stdio;
pub(crate) mod table;
pub(crate) mod threads;
pub(crate) mod wake;

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Locks, whatever happened to earlier holders: no code of ours leaves data half-changed when it panics.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// [`lock`] for reading.
pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// [`lock`] for writing.
pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
