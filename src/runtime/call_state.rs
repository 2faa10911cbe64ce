//! The life of one call: owed one answer, whatever happens.
//!
//! ```text
//!            answer             deliver             finish
//! RUNNING -----------> ANSWERED --------> DELIVERING ------> DONE
//!    \                    \
//!     +----- abandon ------+--> ABANDONED -----------------> DONE
//! ```
//! Each step is one compare-and-swap: whoever wins it does what belongs to it, everybody else does nothing.

use std::time::Instant;

use super::sync::{AtomicU8, Condvar, Mutex, Ordering};
use super::{lock, wait};

const RUNNING: u8 = 0;
const ANSWERED: u8 = 1;
const DELIVERING: u8 = 2;
const DONE: u8 = 3;
const ABANDONED: u8 = 4;

/// `D` is where the answer goes, `T` the task that makes it, `A` what the call occupies until it is done.
pub(crate) struct CallState<D, T, A> {
    state: AtomicU8,
    open: Mutex<Open<D, T, A>>,
    done: Condvar,
}

/// What a call holds until it is done.
struct Open<D, T, A> {
    delivery: Option<D>,
    task: Option<T>,
    occupied: Option<A>,
    /// Somebody waits for the callback to return.
    waited_for: bool,
}

/// How far a call has come, for those who only look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    /// Answered; the host does not know yet, or is being told.
    Answered,
    Over,
}

/// What abandoning a call met.
pub(crate) enum Abandoned<D, T> {
    /// It was running and will not be answered any more: these are the winner's to end.
    Running(Option<D>, Option<T>),
    /// It was answered, and whoever holds the answer will find that nobody wants it.
    Answered,
    /// It is being delivered, or over.
    TooLate,
}

impl<D, T, A> CallState<D, T, A> {
    pub(crate) fn new(delivery: D, occupied: A) -> CallState<D, T, A> {
        let open = Open { delivery: Some(delivery), task: None, occupied: Some(occupied), waited_for: false };
        CallState { state: AtomicU8::new(RUNNING), open: Mutex::new(open), done: Condvar::new() }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.state.load(Ordering::Acquire) {
            RUNNING => Phase::Running,
            ANSWERED | DELIVERING => Phase::Answered,
            _ => Phase::Over,
        }
    }

    /// Keeps `task` for whoever ends the call; gives it back when the call is over already.
    pub(crate) fn attach(&self, task: T) -> Result<(), T> {
        let mut open = lock(&self.open);
        if self.state.load(Ordering::Acquire) != RUNNING {
            return Err(task);
        }
        open.task = Some(task);
        Ok(())
    }

    /// The task ends by itself.
    pub(crate) fn detach(&self) {
        lock(&self.open).task = None;
    }

    /// Claims the right to answer. The winner gets where the answer goes, and the task if it has to be ended.
    pub(crate) fn answer(&self) -> Option<(Option<D>, Option<T>)> {
        self.step(RUNNING, ANSWERED).then(|| self.take())
    }

    /// Claims the right to hand over the answer. False: nobody wants it any more.
    pub(crate) fn deliver(&self) -> bool {
        self.step(ANSWERED, DELIVERING)
    }

    /// "Forget me."
    pub(crate) fn abandon(&self) -> Abandoned<D, T> {
        if self.step(RUNNING, ABANDONED) {
            let (delivery, task) = self.take();
            return Abandoned::Running(delivery, task);
        }
        if self.step(ANSWERED, ABANDONED) { Abandoned::Answered } else { Abandoned::TooLate }
    }

    /// The end; nothing of the host's runs for this call any more. Gives what the call occupied, once.
    pub(crate) fn finish(&self) -> Option<A> {
        let mut open = lock(&self.open);
        self.state.store(DONE, Ordering::Release);
        let occupied = open.occupied.take();
        let waited_for = open.waited_for;
        drop(open);
        if waited_for {
            self.done.notify_all(); // a system call, even if nobody listens
        }
        occupied
    }

    /// Waits until the answer that is being delivered has been.
    pub(crate) fn wait_until_delivered(&self) {
        self.wait_while(|state| state == DELIVERING, None);
    }

    /// Waits for the end, or `deadline`.
    pub(crate) fn wait_until_done(&self, deadline: Instant) {
        self.wait_while(|state| state != DONE, Some(deadline));
    }

    fn wait_while(&self, goes_on: impl Fn(u8) -> bool, deadline: Option<Instant>) {
        let mut open = lock(&self.open);
        open.waited_for = true;
        while goes_on(self.state.load(Ordering::Acquire)) {
            open = match wait(&self.done, open, deadline) {
                Ok(open) => open,
                Err(_late) => return,
            };
        }
    }

    fn step(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn take(&self) -> (Option<D>, Option<T>) {
        let mut open = lock(&self.open);
        (open.delivery.take(), open.task.take())
    }
}
