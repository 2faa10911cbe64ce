//! A model of the descriptor that a host's event loop watches: in the place of `../src/runtime/wake.rs`.

use std::cell::RefCell;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

use super::sync::{Condvar, Mutex};
use super::{lock, wait};

pub(crate) struct WakeFd {
    fd: RawFd,
    readable: Arc<Readable>,
}

struct Readable {
    now: Mutex<bool>,
    raised: Condvar,
}

// All threads of a model run on one thread of the system.
std::thread_local! {
    static OPEN: RefCell<Vec<Arc<Readable>>> = const { RefCell::new(Vec::new()) };
}

impl WakeFd {
    pub(crate) fn new() -> io::Result<WakeFd> {
        let readable = Arc::new(Readable { now: Mutex::new(false), raised: Condvar::new() });
        let fd = OPEN.with_borrow_mut(|open| {
            open.push(readable.clone());
            open.len() as RawFd
        });
        Ok(WakeFd { fd, readable })
    }

    pub(crate) fn raw(&self) -> RawFd {
        self.fd
    }

    pub(crate) fn raise(&self) {
        *lock(&self.readable.now) = true;
        self.readable.raised.notify_all();
    }

    pub(crate) fn lower(&self) {
        *lock(&self.readable.now) = false;
    }
}

/// Descriptors of the run before are closed.
pub(crate) fn reset() {
    let closed = OPEN.with_borrow_mut(std::mem::take);
    drop(closed);
}

fn open(fd: RawFd) -> Arc<Readable> {
    OPEN.with_borrow(|open| open[fd as usize - 1].clone())
}

/// What a level-triggered `epoll_wait` without limit does.
pub(crate) fn wait_until_readable(fd: RawFd) {
    let readable = open(fd);
    let mut now = lock(&readable.now);
    while !*now {
        now = wait(&readable.raised, now, None).unwrap_or_else(|late| late);
    }
}

pub(crate) fn is_readable(fd: RawFd) -> bool {
    *lock(&open(fd).now)
}
