//! The one completion primitive: a queue that threads wait on, or that a host's event loop watches through a descriptor.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use super::sync::{Condvar, Mutex, MutexGuard};
use super::wake::WakeFd;
use super::{lock, wait};

/// Items that are pushed quietly before somebody is woken all the same.
const QUIET: usize = 8;

/// Many producers, many consumers, first in first out.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
}

struct State<T> {
    items: VecDeque<T>,
    waiting: usize,
    /// How many of those have been notified and have not run yet.
    notified: usize,
    woken: bool,
    closed: bool,
    /// Somebody has promised to call [`Queue::announce`].
    announcing: bool,
    /// Made when the host first asks for it. Readable exactly while `items` is not empty or `woken` is set.
    fd: Option<WakeFd>,
    /// The descriptor is readable.
    raised: bool,
}

impl<T> State<T> {
    fn signalled(&self) -> bool {
        !self.items.is_empty() || self.woken
    }
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Queue<T> {
        Queue {
            state: Mutex::new(State {
                items: VecDeque::new(),
                waiting: 0,
                notified: 0,
                woken: false,
                closed: false,
                announcing: false,
                fd: None,
                raised: false,
            }),
            arrived: Condvar::new(),
        }
    }

    /// Appends `item` and wakes who waits; gives it back when the queue is closed.
    pub(crate) fn push(&self, item: T) -> Result<(), T> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(item);
        }
        state.items.push_back(item);
        self.tell(state);
        Ok(())
    }

    /// Appends the item made of `value` if a thread waits and will take it first: nothing comes before it, and none of
    /// those who wait has been woken for something else. Gives `value` back otherwise.
    pub(crate) fn push_if_awaited<V>(&self, value: V, item: impl FnOnce(V) -> T) -> Result<(), V> {
        let mut state = lock(&self.state);
        if state.closed || state.signalled() || state.waiting <= state.notified {
            return Err(value);
        }
        state.items.push_back(item(value));
        self.tell(state);
        Ok(())
    }

    /// Appends `item` without waking anybody: waking is dear, and one wake-up does for many items. Returns whether
    /// [`Queue::announce`] has to follow, soon; false when somebody else has to call it already.
    pub(crate) fn push_quietly(&self, item: T) -> Result<bool, T> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(item);
        }
        state.items.push_back(item);
        let first = !std::mem::replace(&mut state.announcing, true);
        if state.items.len() >= QUIET {
            self.tell(state); // so many are worth a wake-up
        }
        Ok(first)
    }

    /// Wakes who waits for what was pushed quietly.
    pub(crate) fn announce(&self) {
        let mut state = lock(&self.state);
        state.announcing = false;
        self.tell(state);
    }

    /// Moves up to `max` items into `out`. Waits until there is one, the queue is woken or closed, or `timeout` has
    /// passed (`None`: no limit). Returns whether the queue was woken; `None` once it is closed and empty.
    pub(crate) fn take(&self, out: &mut Vec<T>, max: usize, timeout: Option<Duration>) -> Option<bool> {
        let mut state = lock(&self.state);
        // A deadline that the clock cannot express is no deadline.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        while !state.signalled() && !state.closed {
            state.waiting += 1;
            let waited = wait(&self.arrived, state, deadline);
            let late = waited.is_err();
            state = waited.unwrap_or_else(|state| state);
            state.waiting -= 1;
            if late {
                break;
            }
            state.notified = state.notified.saturating_sub(1);
        }
        let count = max.min(state.items.len());
        out.extend(state.items.drain(..count));
        let woken = std::mem::take(&mut state.woken);
        let over = state.closed && state.items.is_empty() && out.is_empty();
        self.tell(state); // there may be more than this consumer could take
        (!over).then_some(woken)
    }

    /// Takes out the first item that is `unwanted`.
    pub(crate) fn retract(&self, unwanted: impl FnMut(&T) -> bool) -> Option<T> {
        let mut state = lock(&self.state);
        let index = state.items.iter().position(unwanted)?;
        let item = state.items.remove(index);
        self.tell(state);
        item
    }

    /// Makes one waiting (or the next) `take` return at once.
    pub(crate) fn wake(&self) {
        let mut state = lock(&self.state);
        state.woken = true;
        self.tell(state);
    }

    /// Refuses new items and wakes everybody; returns what was left.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut state = lock(&self.state);
        state.closed = true;
        state.woken = false;
        let left = std::mem::take(&mut state.items).into();
        self.tell(state);
        self.arrived.notify_all();
        left
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        lock(&self.state).items.len()
    }

    /// The descriptor, made now if it was not.
    pub(crate) fn fd(&self) -> io::Result<RawFd> {
        let mut state = lock(&self.state);
        let fd = match &state.fd {
            Some(fd) => fd.raw(),
            None => state.fd.insert(WakeFd::new()?).raw(),
        };
        self.tell(state);
        Ok(fd)
    }

    /// Makes threads and the descriptor see what the queue holds.
    fn tell(&self, mut state: MutexGuard<'_, State<T>>) {
        let signalled = state.signalled();
        if let Some(fd) = &state.fd
            && signalled != state.raised
        {
            if signalled {
                fd.raise()
            } else {
                fd.lower()
            }
            state.raised = signalled;
        }
        if signalled && state.waiting > state.notified {
            state.notified += 1;
            drop(state); // or the thread would wake up only to wait for the lock
            self.arrived.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn readable(fd: RawFd) -> bool {
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one live pollfd.
        unsafe { libc::poll(&mut poll, 1, 0) == 1 }
    }

    #[test]
    fn descriptor_is_readable_exactly_while_something_waits() {
        let queue = Queue::new();
        queue.push(1).unwrap();
        let fd = queue.fd().unwrap();
        assert!(readable(fd), "made after the first item");
        queue.push(2).unwrap();
        let mut out = Vec::new();
        queue.take(&mut out, 1, Some(Duration::ZERO));
        assert!(readable(fd), "one item is left");
        queue.take(&mut out, 9, Some(Duration::ZERO));
        assert_eq!(out, [1, 2]);
        assert!(!readable(fd));
        queue.wake();
        assert!(readable(fd));
        queue.take(&mut out, 9, None);
        assert!(!readable(fd));
        queue.push(4).unwrap();
        assert_eq!(queue.close(), [4]);
        assert!(!readable(fd));
        assert_eq!(queue.push(5), Err(5));
        assert!(!readable(fd));
        // SAFETY: asks for the flags of a live descriptor.
        assert_ne!(unsafe { libc::fcntl(fd, libc::F_GETFD) } & libc::FD_CLOEXEC, 0);
    }

    #[test]
    fn every_item_is_seen_once() {
        const PRODUCERS: u64 = 4;
        const EACH: u64 = 20_000;
        let queue = Arc::new(Queue::new());
        let (sum, count) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            let consumers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut out = Vec::new();
                        while queue.take(&mut out, 7, None).is_some() {
                            count.fetch_add(out.len() as u64, Ordering::Relaxed);
                            sum.fetch_add(out.drain(..).sum::<u64>(), Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            let producers: Vec<_> = (0..PRODUCERS)
                .map(|producer| {
                    let queue = &queue;
                    scope.spawn(move || (0..EACH).for_each(|item| queue.push(producer * EACH + item).unwrap()))
                })
                .collect();
            producers.into_iter().for_each(|producer| producer.join().unwrap());
            while queue.len() > 0 {
                std::thread::yield_now();
            }
            assert!(queue.close().is_empty());
            consumers.into_iter().for_each(|consumer| consumer.join().unwrap());
        });
        let total = PRODUCERS * EACH;
        assert_eq!(count.into_inner(), total);
        assert_eq!(sum.into_inner(), total * (total - 1) / 2);
    }

    #[test]
    fn quiet_items_are_announced_once_for_many() {
        let queue = Queue::new();
        let fd = queue.fd().unwrap();
        assert_eq!(queue.push_quietly(1), Ok(true));
        assert_eq!(queue.push_quietly(2), Ok(false), "the announcement is on its way");
        assert!(!readable(fd));
        queue.announce();
        assert!(readable(fd));
        let mut out = Vec::new();
        queue.take(&mut out, 9, None);
        assert_eq!(queue.push_quietly(3), Ok(true));
        // Whoever comes by before the announcement gets the item.
        queue.take(&mut out, 9, None);
        queue.announce();
        assert!(!readable(fd));
        assert_eq!(out, [1, 2, 3]);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let mut out = Vec::new();
                queue.take(&mut out, 9, None);
                out
            });
            std::thread::sleep(Duration::from_millis(10));
            queue.push_quietly(4).unwrap();
            queue.announce();
            assert_eq!(waiting.join().unwrap(), [4]);
        });
    }

    #[test]
    fn only_those_who_wait_for_nothing_else_get_an_awaited_item() {
        let queue = Queue::new();
        assert_eq!(queue.push_if_awaited(1, |item| item), Err(1), "nobody waits");
        let fd = queue.fd().unwrap();
        let awaited = |item| {
            let until = Instant::now() + Duration::from_secs(10);
            while queue.push_if_awaited(item, |item| item).is_err() {
                assert!(Instant::now() < until, "nobody came to wait for {item}");
                std::thread::yield_now();
            }
        };
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let mut out = Vec::new();
                while out.len() < 3 {
                    queue.take(&mut out, 9, None);
                }
                out
            });
            awaited(2);
            awaited(3);
            queue.push(4).unwrap();
            assert_eq!(waiting.join().unwrap(), [2, 3, 4]);
        });
        queue.push(5).unwrap();
        assert_eq!(queue.push_if_awaited(6, |item| item), Err(6), "another item comes first");
        assert_eq!(queue.close(), [5]);
        assert_eq!(queue.push_if_awaited(7, |item| item), Err(7), "closed");
        assert!(!readable(fd));
    }

    #[test]
    fn waits_are_bounded() {
        let queue = Queue::<u8>::new();
        let started = Instant::now();
        assert_eq!(queue.take(&mut Vec::new(), 1, Some(Duration::from_millis(30))), Some(false));
        assert!(started.elapsed() >= Duration::from_millis(30));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.take(&mut Vec::new(), 1, Some(Duration::MAX)));
            std::thread::sleep(Duration::from_millis(10));
            queue.wake();
            assert_eq!(waiting.join().unwrap(), Some(true));
        });
    }
}
