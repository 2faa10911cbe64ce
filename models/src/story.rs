//! A longer story with everybody in it: threads that submit, cancel and abandon, I/O that answers, a dispatcher, a poller,
//! one who closes the client, and the process's exit. What is left out is only what needs a network.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize as Count, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::call_state::{Abandoned, CallState, Phase};
use super::gate::Gate;
use super::outstanding::{Outstanding, Stay};
use super::queue::Queue;
use super::sync::AtomicUsize;
use super::table::Table;
use super::thread;
use super::wake;

enum Job {
    Deliver(Arc<Call>, UserData, Stay),
    Release(Arc<Call>, UserData, Stay),
    Stop,
}

enum Delivery {
    Callback(UserData),
    Queue,
}

/// What the host saw of one call.
#[derive(Default)]
struct Seen {
    answers: Count,
    releases: Count,
}

struct UserData(Arc<Seen>);

impl Drop for UserData {
    fn drop(&mut self) {
        self.0.releases.fetch_add(1, SeqCst);
    }
}

/// One of the places of the client, which has few.
struct Place(Arc<Count>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

struct Call {
    handle: u64,
    state: CallState<(Delivery, Stay), u32, Place>,
    seen: Arc<Seen>,
    in_queue: bool,
}

/// The library with one client.
struct World {
    calls: Table<Call>,
    queue: Queue<Arc<Call>>,
    jobs: Queue<Job>,
    network: Queue<Arc<Call>>,
    gate: Gate,
    outstanding: Arc<Outstanding>,
    places: Arc<Count>,
}

const PLACES: usize = 4;

impl World {
    fn submit(&self, in_queue: bool) -> Option<(u64, Arc<Seen>)> {
        if self.places.fetch_add(1, SeqCst) >= PLACES {
            self.places.fetch_sub(1, SeqCst);
            return None;
        }
        let seen = Arc::new(Seen::default());
        let stay = self.outstanding.enter();
        let (handle, call) = self.calls.insert(|handle| {
            let delivery = if in_queue { Delivery::Queue } else { Delivery::Callback(UserData(seen.clone())) };
            let state = CallState::new((delivery, stay), Place(self.places.clone()));
            Arc::new(Call { handle, state, seen: seen.clone(), in_queue })
        })?;
        if self.network.push(call.clone()).is_err() {
            self.answer(&call);
        }
        Some((handle, seen))
    }

    fn answer(&self, call: &Arc<Call>) {
        match call.state.answer() {
            None | Some((None, _)) => {}
            Some((Some((Delivery::Callback(user_data), stay)), _)) => {
                let _ = self.jobs.push(Job::Deliver(call.clone(), user_data, stay));
            }
            Some((Some((Delivery::Queue, stay)), _)) => {
                if self.queue.push_quietly(call.clone()).ok().expect("open") {
                    self.queue.announce();
                }
                if call.state.phase() == Phase::Over {
                    self.retract(call);
                }
                drop(stay);
            }
        }
    }

    fn retract(&self, call: &Arc<Call>) {
        drop(self.queue.retract(|other| Arc::ptr_eq(other, call)));
    }

    fn finish(&self, call: &Call) {
        let _ = self.calls.remove(call.handle);
        drop(call.state.finish());
    }

    /// After this, nothing of the call is told any more.
    fn abandon(&self, handle: u64) -> bool {
        let Ok(call) = self.calls.get(handle) else { return false };
        match call.state.abandon() {
            Abandoned::Running(Some((Delivery::Callback(user_data), stay)), _) => {
                let _ = self.jobs.push(Job::Release(call, user_data, stay));
                true
            }
            Abandoned::Running(delivery, _) => {
                self.finish(&call);
                drop(delivery);
                true
            }
            Abandoned::Answered => {
                if call.in_queue {
                    self.finish(&call);
                    self.retract(&call);
                }
                true
            }
            Abandoned::TooLate => {
                call.state.wait_until_delivered();
                false
            }
        }
    }

    fn dispatch(&self) {
        let mut jobs = Vec::new();
        loop {
            self.jobs.take(&mut jobs, 2, None).expect("open");
            for job in jobs.drain(..) {
                let _pass = self.gate.enter();
                match job {
                    Job::Stop => return,
                    Job::Release(call, user_data, stay) => {
                        drop(user_data);
                        self.finish(&call);
                        drop(stay);
                    }
                    Job::Deliver(call, user_data, stay) => {
                        if call.state.deliver() {
                            call.seen.answers.fetch_add(1, SeqCst);
                        }
                        drop(user_data);
                        self.finish(&call);
                        drop(stay);
                    }
                }
            }
        }
    }

    /// What a poll does with what it took.
    fn hand_out(&self, calls: Vec<Arc<Call>>) {
        for call in calls {
            if call.state.deliver() {
                call.seen.answers.fetch_add(1, SeqCst);
            }
            self.finish(&call);
        }
    }
}

/// One run; `choice` makes it different from others.
pub fn everybody(mut choice: impl FnMut(usize) -> usize) {
    wake::reset();
    let world = Arc::new(World {
        calls: Table::new(2, 0),
        queue: Queue::new(),
        jobs: Queue::new(),
        network: Queue::new(),
        gate: Gate(AtomicUsize::new(0)),
        outstanding: Outstanding::new(),
        places: Arc::new(Count::new(0)),
    });
    let fd = world.queue.fd().expect("a model has descriptors");
    let dispatcher = {
        let world = world.clone();
        thread::spawn(move || world.dispatch())
    };
    let network = {
        let world = world.clone();
        thread::spawn(move || {
            let mut calls = Vec::new();
            while world.network.take(&mut calls, 2, None).is_some() {
                for call in calls.drain(..) {
                    world.answer(&call);
                }
            }
        })
    };
    let poller = {
        let world = world.clone();
        thread::spawn(move || {
            loop {
                wake::wait_until_readable(fd);
                let mut calls = Vec::new();
                match world.queue.take(&mut calls, 2, Some(Duration::ZERO)) {
                    Some(true) => {
                        world.hand_out(calls);
                        return; // woken: the host is done
                    }
                    _ => world.hand_out(calls),
                }
            }
        })
    };
    let hosts: Vec<_> = (0..2)
        .map(|_| {
            let plan: Vec<(bool, usize)> = (0..3).map(|_| (choice(2) == 0, choice(4))).collect();
            let world = world.clone();
            thread::spawn(move || {
                let mut accepted = Vec::new();
                for (in_queue, then) in plan {
                    let Some((handle, seen)) = world.submit(in_queue) else { continue };
                    let mut unheard = false;
                    match then {
                        0 => unheard = world.abandon(handle),
                        1 => {
                            if let Ok(call) = world.calls.get(handle) {
                                world.answer(&call); // cancel
                            }
                        }
                        2 => thread::yield_now(),
                        _ => {}
                    }
                    let so_far = seen.answers.load(SeqCst);
                    assert!(!(unheard && so_far > 0), "told after abandon");
                    accepted.push((in_queue, unheard, seen));
                }
                accepted
            })
        })
        .collect();
    let accepted: Vec<_> = hosts.into_iter().flat_map(|host| host.join().unwrap()).collect();

    // The client is closed: what is still on its way is cut off, callbacks and releases are over when that has returned.
    if choice(2) == 0 {
        for call in world.calls.all() {
            world.answer(&call);
        }
    }
    assert!(world.outstanding.wait(Instant::now() + Duration::from_secs(3600)));
    for (in_queue, unheard, seen) in &accepted {
        if !in_queue {
            assert_eq!(seen.answers.load(SeqCst), usize::from(!unheard));
            assert_eq!(seen.releases.load(SeqCst), 1);
        }
    }
    // The host goes on polling for as long as it likes; then everything ends.
    world.queue.wake();
    poller.join().unwrap();
    let mut left = Vec::new();
    while world.queue.take(&mut left, 9, Some(Duration::ZERO)) == Some(false) && !left.is_empty() {
        world.hand_out(std::mem::take(&mut left));
    }
    for (_, unheard, seen) in &accepted {
        assert_eq!(seen.answers.load(SeqCst), usize::from(!unheard), "exactly once");
    }
    assert!(!wake::is_readable(fd));
    assert_eq!(world.calls.all().len(), 0, "handles left");
    assert_eq!(world.places.load(SeqCst), 0, "places left");
    let _ = world.jobs.push(Job::Stop);
    dispatcher.join().unwrap();
    assert_eq!(world.network.close().len(), 0);
    network.join().unwrap();
    world.gate.close();
    assert_eq!(world.gate.inside(), 0);
}
