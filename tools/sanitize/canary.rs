//! Bugs planted on purpose, in a library like the real one: a sanitizer that does not find them is not there.
#![allow(clippy::all)]

use std::cell::UnsafeCell;
use std::hint::black_box;
use std::sync::{Arc, Condvar, Mutex};

/// Reads memory that has been freed.
#[unsafe(no_mangle)]
pub extern "C" fn canary_use_after_free() -> i32 {
    let pointer = Box::into_raw(Box::new(black_box(42)));
    // SAFETY: none. That is the point.
    unsafe {
        drop(Box::from_raw(pointer));
        *black_box(pointer)
    }
}

/// Loses memory.
#[unsafe(no_mangle)]
pub extern "C" fn canary_leak() -> i32 {
    // Several: the address of the last may still be in some register, and then it is not lost.
    for number in 0..100 {
        std::mem::forget(black_box(vec![number; 1000]));
    }
    0
}

struct Shared(UnsafeCell<i32>);
// SAFETY: none. That is the point.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

/// Two threads write without a lock.
#[unsafe(no_mangle)]
pub extern "C" fn canary_race() -> i32 {
    let shared = Arc::new(Shared(UnsafeCell::new(0)));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                for _ in 0..1000 {
                    // SAFETY: none. That is the point.
                    unsafe { *black_box(shared.0.get()) += 1 };
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    // SAFETY: the others have ended.
    unsafe { *shared.0.get() }
}

/// No bug: locks, waits, once-cells and the last of several references. Nothing of this may be reported.
#[unsafe(no_mangle)]
pub extern "C" fn canary_no_race() -> i32 {
    static ONCE: std::sync::OnceLock<Vec<i32>> = std::sync::OnceLock::new();
    let shared = Arc::new((Mutex::new((0, vec![1])), Condvar::new(), std::sync::RwLock::new(0)));
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                for turn in 0..200 {
                    let (lock, changed, other) = &*shared;
                    let mut state = lock.lock().unwrap();
                    state.0 += 1;
                    state.1.push(turn);
                    if turn % 3 == number % 3 {
                        let wait = std::time::Duration::from_micros(200);
                        state = changed.wait_timeout(state, wait).unwrap().0;
                    }
                    state.1.clear();
                    drop(state);
                    changed.notify_all();
                    *other.write().unwrap() += ONCE.get_or_init(|| vec![1; 10]).len();
                    black_box(*other.read().unwrap());
                }
            })
        })
        .collect();
    let mut state = shared.0.lock().unwrap();
    while state.0 < 8 * 200 {
        state = shared.1.wait(state).unwrap();
    }
    drop(state);
    drop(shared);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    0
}
