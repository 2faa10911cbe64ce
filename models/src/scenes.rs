//! Short scenes of two or three threads; each function is one run of one of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool as Flag, AtomicUsize as Count, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::call_state::{Abandoned, CallState, Phase};
use super::gate::Gate;
use super::undivided::Undivided;
use super::outstanding::Outstanding;
use super::per_process::Epochs;
use super::queue::Queue;
use super::sync::{AtomicPtr, AtomicUsize, Ordering};
use super::table::{Stale, Table};
use super::thread::{self, JoinHandle};
use super::wake;

fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

fn join<T>(threads: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// The host's side of a call: counts what it sees.
#[derive(Default)]
struct Host {
    calls: Count,
    releases: Count,
    freed: Count,
    aborts: Count,
    /// "After abandon returned, the callback never runs, or has returned."
    no_callback: Flag,
}

/// The host's `user_data`: released when dropped.
struct UserData(Arc<Host>);

impl Drop for UserData {
    fn drop(&mut self) {
        self.0.releases.fetch_add(1, SeqCst);
    }
}

struct Place(Arc<Host>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.freed.fetch_add(1, SeqCst);
    }
}

type Call = CallState<UserData, u32, Place>;

fn call() -> (Arc<Host>, Arc<Call>) {
    let host = Arc::new(Host::default());
    (host.clone(), Arc::new(CallState::new(UserData(host.clone()), Place(host))))
}

/// What the dispatcher does with an answer.
fn deliver(call: &Call, user_data: Option<UserData>) {
    let user_data = user_data.expect("the winner has it");
    let host = user_data.0.clone();
    if call.deliver() {
        assert!(!host.no_callback.load(SeqCst), "called back after abandon");
        host.calls.fetch_add(1, SeqCst);
        thread::yield_now();
        assert!(!host.no_callback.load(SeqCst), "abandon returned while the callback ran");
    }
    drop(user_data);
    drop(call.finish());
}

fn answer(call: &Call) -> bool {
    let Some((user_data, task)) = call.answer() else { return false };
    if task.is_some() {
        // The task that is told to stop is not this one.
    }
    deliver(call, user_data);
    true
}

fn abandon(call: &Call, host: &Host) -> bool {
    let in_time = match call.abandon() {
        Abandoned::Running(user_data, _) => {
            drop(user_data.expect("the winner has it"));
            drop(call.finish());
            true
        }
        Abandoned::Answered => true,
        Abandoned::TooLate => {
            call.wait_until_delivered();
            false
        }
    };
    host.no_callback.store(true, SeqCst);
    in_time
}

/// An answer, a deadline, and a cancel or a close at once.
pub fn one_answer_wins() {
    let (host, call) = call();
    let answers: Vec<_> = (0..3)
        .map(|_| {
            let call = call.clone();
            thread::spawn(move || answer(&call))
        })
        .collect();
    assert_eq!(join(answers).into_iter().filter(|won| *won).count(), 1);
    assert_eq!((host.calls.load(SeqCst), host.releases.load(SeqCst), host.freed.load(SeqCst)), (1, 1, 1));
    assert_eq!(call.phase(), Phase::Over);
}

/// An answer, a cancel and an abandon at once.
pub fn abandon_is_the_end() {
    let (host, call) = call();
    let answers: Vec<_> = (0..2)
        .map(|_| {
            let call = call.clone();
            thread::spawn(move || answer(&call))
        })
        .collect();
    let unheard = abandon(&call, &host);
    join(answers);
    assert_eq!(host.calls.load(SeqCst), usize::from(!unheard));
    assert_eq!((host.releases.load(SeqCst), host.freed.load(SeqCst)), (1, 1));
}

/// A call is cancelled while its task is being started: the task is stopped by the one or by the other, once.
pub fn no_task_is_forgotten() {
    let (host, call) = call();
    let (other, counted) = (call.clone(), host.clone());
    let cancel = thread::spawn(move || {
        let Some((user_data, task)) = other.answer() else { return };
        if task.is_some() {
            counted.aborts.fetch_add(1, SeqCst);
        }
        deliver(&other, user_data);
    });
    if call.attach(7).is_err() {
        host.aborts.fetch_add(1, SeqCst);
    }
    join([cancel]);
    assert_eq!(host.aborts.load(SeqCst), 1);
    assert_eq!((host.calls.load(SeqCst), host.releases.load(SeqCst)), (1, 1));
}

/// Whoever waits for the end of a call finds everything done.
pub fn waiting_for_the_end() {
    let (host, call) = call();
    let other = call.clone();
    let answers = thread::spawn(move || answer(&other));
    call.wait_until_done(far());
    assert_eq!((host.calls.load(SeqCst), host.releases.load(SeqCst)), (1, 1));
    join([answers]);
    assert_eq!(host.freed.load(SeqCst), 1);
}

/// An answer arrives in a queue, is polled, and is abandoned: it is handed out once or not at all, and nothing of it stays.
fn queue_style(with_poller: bool) {
    wake::reset();
    let (host, call) = call();
    let queue = Arc::new(Queue::<Arc<Call>>::new());
    let fd = queue.fd().unwrap();
    let retract = |queue: &Queue<Arc<Call>>| drop(queue.retract(|_| true));
    let arrival = {
        let (call, queue) = (call.clone(), queue.clone());
        thread::spawn(move || {
            let Some((user_data, _)) = call.answer() else { return };
            drop(user_data);
            queue.push(call.clone()).ok().expect("open");
            if call.phase() == Phase::Over {
                retract(&queue);
            }
        })
    };
    let poll = with_poller.then(|| {
        let (queue, host) = (queue.clone(), host.clone());
        thread::spawn(move || {
            let mut items = Vec::new();
            queue.take(&mut items, 1, Some(Duration::ZERO));
            for call in items {
                if call.deliver() {
                    assert!(!host.no_callback.load(SeqCst), "handed out after abandon");
                    host.calls.fetch_add(1, SeqCst);
                }
                drop(call.finish());
            }
        })
    });
    match call.abandon() {
        Abandoned::Running(user_data, _) => {
            drop(user_data);
            drop(call.finish());
            host.no_callback.store(true, SeqCst);
        }
        Abandoned::Answered => {
            drop(call.finish());
            retract(&queue);
            host.no_callback.store(true, SeqCst);
        }
        Abandoned::TooLate => call.wait_until_delivered(),
    }
    join([arrival]);
    join(poll);
    assert!(!wake::is_readable(fd), "the descriptor promises what is not there");
    assert_eq!(queue.close().len(), 0, "an answer that nobody wants stays in the queue");
    assert_eq!((host.releases.load(SeqCst), host.freed.load(SeqCst)), (1, 1));
}

pub fn an_abandoned_answer_leaves_its_queue() {
    queue_style(false);
}

pub fn an_abandoned_answer_leaves_its_queue_while_it_is_polled() {
    queue_style(true);
}

// ---- queue

fn take_all(queue: &Queue<u32>, max: usize, count: usize) -> Vec<u32> {
    let mut items = Vec::new();
    while items.len() < count {
        let wanted = max.min(count - items.len());
        queue.take(&mut items, wanted, None).expect("open");
    }
    items
}

/// Two push, one waits: no wake-up is lost, each producer's items come in order.
pub fn two_push_one_waits() {
    let queue = Arc::new(Queue::new());
    let pushes: Vec<_> = (0..2)
        .map(|producer| {
            let queue = queue.clone();
            thread::spawn(move || queue.push(producer).unwrap())
        })
        .collect();
    let mut items = take_all(&queue, 9, 2);
    join(pushes);
    items.sort_unstable();
    assert_eq!(items, [0, 1]);
}

/// One pushes two items, two wait for one each.
pub fn one_pushes_two_wait() {
    let queue = Arc::new(Queue::new());
    let waits: Vec<_> = (0..2)
        .map(|_| {
            let queue = queue.clone();
            thread::spawn(move || take_all(&queue, 1, 1)[0])
        })
        .collect();
    queue.push(0).unwrap();
    queue.push(1).unwrap();
    let mut items = join(waits);
    items.sort_unstable();
    assert_eq!(items, [0, 1]);
}

/// Quiet items are announced by the one who was asked to, for everybody.
pub fn quiet_items_are_announced() {
    let queue = Arc::new(Queue::new());
    let pushes: Vec<_> = (0..2)
        .map(|item| {
            let queue = queue.clone();
            thread::spawn(move || {
                if queue.push_quietly(item).unwrap() {
                    queue.announce();
                }
            })
        })
        .collect();
    let mut items = take_all(&queue, 9, 2);
    join(pushes);
    items.sort_unstable();
    assert_eq!(items, [0, 1]);
}

/// The descriptor is readable until everything has been taken, one item for each time it is, and not afterwards.
pub fn the_descriptor_tells_the_truth() {
    wake::reset();
    let queue = Arc::new(Queue::new());
    let fd = queue.fd().unwrap();
    let pushes = {
        let queue = queue.clone();
        thread::spawn(move || {
            queue.push(0).unwrap();
            if queue.push_quietly(1).unwrap() {
                queue.announce();
            }
        })
    };
    let mut items = Vec::new();
    while items.len() < 2 {
        wake::wait_until_readable(fd);
        queue.take(&mut items, 1, Some(Duration::ZERO));
    }
    join([pushes]);
    assert_eq!(items, [0, 1]);
    assert!(!wake::is_readable(fd));
}

/// A push, a wait and a close at once: each item is taken, or given back by the one or by the other.
pub fn nothing_is_lost_at_the_end() {
    let queue = Arc::new(Queue::new());
    let push = {
        let queue = queue.clone();
        thread::spawn(move || queue.push(1).err().map_or(0, |_| 1))
    };
    let wait = {
        let queue = queue.clone();
        thread::spawn(move || {
            let (mut items, mut taken): (Vec<u32>, usize) = (Vec::new(), 0);
            while queue.take(&mut items, 9, None).is_some() {
                taken += items.drain(..).len();
            }
            taken
        })
    };
    let left = queue.close().len();
    assert_eq!(left + join([push])[0] + join([wait])[0], 1);
}

/// `wake` makes one wait return, whatever else happens.
pub fn a_wake_up_is_not_lost() {
    let queue = Arc::new(Queue::new());
    let wait = {
        let queue = queue.clone();
        thread::spawn(move || {
            let mut items: Vec<u32> = Vec::new();
            let mut woken = false;
            while !woken || items.is_empty() {
                woken |= queue.take(&mut items, 9, None).expect("open");
            }
        })
    };
    let push = {
        let queue = queue.clone();
        thread::spawn(move || queue.push(1).unwrap())
    };
    queue.wake();
    join([wait, push]);
}

/// An item that was accepted as awaited is the first that its taker gets: nothing that may block comes before it.
pub fn awaited_items_come_first() {
    let queue = Arc::new(Queue::new());
    let wait = {
        let queue = queue.clone();
        thread::spawn(move || {
            let mut taken = 0;
            let mut first = Vec::new();
            while taken < 2 {
                let mut batch = Vec::new();
                queue.take(&mut batch, 9, None).expect("open");
                first.extend(batch.first().copied());
                taken += batch.len();
            }
            first
        })
    };
    let other = {
        let queue = queue.clone();
        thread::spawn(move || queue.push(1).unwrap())
    };
    let awaited = queue.push_if_awaited(2, |item| item).is_ok();
    if !awaited {
        queue.push(3).unwrap();
    }
    let first = join([wait]).remove(0);
    join([other]);
    assert!(!awaited || first.contains(&2), "{first:?}");
}

// ---- handles

/// Of two who end a handle one does; who asks meanwhile gets the object or learns that it is gone, never another one that
/// has taken its place.
pub fn a_handle_is_never_somebody_else() {
    let table = Arc::new(Table::<u32>::new(1, 0));
    let (handle, _) = table.insert(|_| Arc::new(1)).unwrap();
    let ends = {
        let table = table.clone();
        thread::spawn(move || {
            let ended = table.remove(handle).is_ok();
            let (new, _) = table.insert(|_| Arc::new(2)).unwrap(); // takes the free place
            assert_ne!(new, handle);
            assert_eq!(table.get(new).map(|value| *value), Ok(2));
            ended
        })
    };
    let asks = {
        let table = table.clone();
        thread::spawn(move || match table.get(handle) {
            Ok(value) => assert_eq!(*value, 1),
            Err(stale) => assert_eq!(stale, Stale::Unknown),
        })
    };
    let ended = table.remove(handle).is_ok();
    assert_eq!(usize::from(ended) + usize::from(join([ends])[0]), 1);
    join([asks]);
    assert_eq!(table.get(handle).err(), Some(Stale::Unknown));
    assert_eq!(table.all().len(), 1);
}

// ---- exit, close, fork

/// Code of the host runs inside the gate only; once the gate is closed and nobody is inside, none runs any more.
pub fn nothing_of_the_host_after_the_gate() {
    let gate = Arc::new(Gate(AtomicUsize::new(0)));
    let destroyed = Arc::new(Flag::new(false));
    let dispatchers: Vec<_> = (0..2)
        .map(|_| {
            let (gate, destroyed) = (gate.clone(), destroyed.clone());
            thread::spawn(move || {
                for _ in 0..2 {
                    if let Some(pass) = gate.enter() {
                        assert!(!destroyed.load(SeqCst));
                        thread::yield_now();
                        assert!(!destroyed.load(SeqCst), "exit went on while a callback ran");
                        drop(pass);
                    }
                }
            })
        })
        .collect();
    gate.close();
    if gate.inside() == 0 {
        destroyed.store(true, SeqCst);
    }
    join(dispatchers);
    assert!(gate.enter().is_none());
    assert_eq!(gate.inside(), 0);
}

/// A fork sees no step half done: neither one that is under way when it begins, nor one that begins meanwhile.
pub fn no_fork_in_the_midst_of_a_step() {
    let turns = Arc::new(Undivided(AtomicUsize::new(0)));
    let locked = Arc::new(Flag::new(false));
    let step = {
        let (turns, locked) = (turns.clone(), locked.clone());
        thread::spawn(move || {
            turns.step(
                || {
                    thread::yield_now();
                    true
                },
                || {
                    locked.store(true, SeqCst);
                    thread::yield_now();
                    locked.store(false, SeqCst);
                },
            );
        })
    };
    turns.before_fork(|| {
        thread::yield_now();
        true
    });
    assert!(!locked.load(SeqCst), "the child would find it locked for ever");
    thread::yield_now();
    assert!(!locked.load(SeqCst), "a step began during the fork");
    turns.after_fork();
    join(vec![step]);
}

/// Close waits until everything that was outstanding is over.
pub fn close_waits_for_the_last_one() {
    let outstanding = Outstanding::new();
    let over = Arc::new(Count::new(0));
    let leaves: Vec<_> = (0..2)
        .map(|_| {
            let (stay, over) = (outstanding.enter(), over.clone());
            thread::spawn(move || {
                over.fetch_add(1, SeqCst);
                drop(stay);
            })
        })
        .collect();
    assert!(outstanding.wait(far()));
    assert_eq!((over.load(SeqCst), outstanding.count()), (2, 0));
    join(leaves);
}

/// Two threads need the process's value for the first time while a third forks: the two get one value, fully made; the child
/// gets another one.
pub fn each_process_has_one_value() {
    let made = |epoch: usize| {
        let value = AtomicUsize::new(0);
        value.store(epoch, Ordering::Relaxed); // visible to others only if publishing makes it so
        value
    };
    let parent = Arc::new(Epochs { current: AtomicPtr::new(std::ptr::null_mut()) });
    let users: Vec<_> = (0..2)
        .map(|_| {
            let parent = parent.clone();
            thread::spawn(move || {
                let value = parent.get(4, || made(4));
                assert_eq!(value.load(Ordering::Relaxed), 4, "seen before it was made");
                value as *const _ as usize
            })
        })
        .collect();
    // The child has the memory of this moment and none of the other threads.
    let child = Epochs { current: AtomicPtr::new(parent.current.load(Ordering::Acquire)) };
    assert!(child.peek(5).is_none());
    assert_eq!(child.get(5, || made(5)).load(Ordering::Relaxed), 5);
    assert_eq!(child.peek(5).map(|value| value.load(Ordering::Relaxed)), Some(5));
    assert!(child.peek(4).is_none());
    let users = join(users);
    assert_eq!(users[0], users[1]);
    assert_eq!(parent.peek(4).map(|value| value as *const _ as usize), Some(users[0]));
}
