//! Random bytes without a system call for each use.

use std::cell::RefCell;

use target_sdk_core::env::{Random, SystemRandom};

use crate::runtime::threads;

/// The operating system's random source; on I/O threads drawn in advance, each byte handed out once.
///
/// Only there, because a process that forks has its memory twice, and the same bytes must not be handed out in both: no
/// code of the host runs on an I/O thread, so none forks on one, and a child has none of its parent's threads but the one
/// that forked.
pub(crate) struct IoRandom;

const SIZE: usize = 1024;

struct Pool {
    bytes: [u8; SIZE],
    left: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; SIZE], left: 0 }) };
}

impl Random for IoRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let from_pool = |pool: &RefCell<Pool>| pool.try_borrow_mut().is_ok_and(|mut pool| pool.fill(bytes));
        if !threads::is_io() || !POOL.try_with(from_pool).unwrap_or(false) {
            SystemRandom.fill(bytes);
        }
    }
}

impl Pool {
    /// False if so many are not kept.
    fn fill(&mut self, bytes: &mut [u8]) -> bool {
        if bytes.len() > SIZE / 4 {
            return false;
        }
        if self.left < bytes.len() {
            SystemRandom.fill(&mut self.bytes);
            self.left = SIZE;
        }
        let begin = self.left - bytes.len();
        let Some(taken) = self.bytes.get_mut(begin..self.left) else { return false };
        bytes.copy_from_slice(taken);
        taken.fill(0);
        self.left = begin;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_byte_is_handed_out_twice() {
        let mut pool = Pool { bytes: [0; SIZE], left: 0 };
        let mut seen = HashSet::new();
        for _ in 0..10 * SIZE / 16 {
            let mut id = [0; 16];
            assert!(pool.fill(&mut id));
            assert!(seen.insert(id) && id != [0; 16]);
            let handed_out = pool.bytes.get(pool.left..).unwrap();
            assert!(handed_out.iter().all(|byte| *byte == 0));
        }
        let mut rest = [0; 48];
        assert!(pool.fill(&mut rest) && pool.fill(&mut [0; SIZE / 4]));
        assert!(!pool.fill(&mut [0; SIZE / 4 + 1]), "a pool is for ids");
        let mut large = [0; SIZE];
        IoRandom.fill(&mut large); // not an I/O thread
        assert_eq!(POOL.with_borrow(|pool| pool.left), 0);
        assert!(large.iter().any(|byte| *byte != 0));
    }
}
