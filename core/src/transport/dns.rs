//! Name look-up on threads of our own.
//!
//! `getaddrinfo` cannot be cancelled. On tokio's blocking pool it holds up the shutdown of the runtime for as long as
//! the system's resolver likes; on detached threads it holds up nobody. They are started from the runtime's threads, so
//! they have the same signals blocked, and leave when there has been nothing to do for a while, or when their resolver or
//! the runtime ends.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

use super::look_up_threads::{self, Asks};
use super::look_ups::LOOK_UPS;
use super::{address, probe};

const THREADS: usize = 4;
/// Named, because threads with the default size look for it in the environment, which is the host's.
const THREAD_STACK: usize = 512 << 10;
const THREAD_IDLE: Duration = Duration::from_secs(10);
const POSITIVE: Duration = Duration::from_secs(60);
const NEGATIVE: Duration = Duration::from_secs(5);
const CACHED: usize = 256;

type Answer = Result<Arc<[IpAddr]>, LookUpFailed>;
pub(super) type LookUp = fn(&str) -> std::io::Result<Vec<IpAddr>>;

/// The name could not be resolved.
#[derive(Clone, Debug)]
pub(super) struct LookUpFailed {
    /// The system's words, without the name.
    pub(super) reason: Arc<str>,
}

impl fmt::Display for LookUpFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for LookUpFailed {}

/// All addresses of the name are of networks that the request must not reach.
#[derive(Clone, Copy, Debug)]
pub(super) struct PrivateAddress;

impl fmt::Display for PrivateAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host's address is a loopback, link-local or private one")
    }
}

impl std::error::Error for PrivateAddress {}

/// A caching resolver. Cheap to clone; its threads end with the last clone.
#[derive(Clone)]
pub(super) struct Resolver(Arc<Owner>);

/// What the threads have no part in, so that it ends while they wait.
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.stop();
    }
}

struct Shared {
    look_up: LookUp,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    names: HashMap<String, Entry>,
    queue: VecDeque<String>,
    threads: usize,
    idle: usize,
    /// Nothing is looked up any more.
    stopped: bool,
}

enum Entry {
    Asked(Vec<oneshot::Sender<Answer>>),
    Known { answer: Answer, until: Instant, uses: usize },
}

enum Found {
    Now(Answer, usize),
    Later(oneshot::Receiver<Answer>),
}

impl Resolver {
    /// A resolver that asks the system.
    pub(super) fn new() -> Resolver {
        Resolver::with(|host| Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
    }

    pub(super) fn with(look_up: LookUp) -> Resolver {
        let shared = Shared { look_up, state: Mutex::default(), wake: Condvar::new() };
        Resolver(Arc::new(Owner(Arc::new(shared))))
    }

    /// The addresses of `host`; each call begins the list at the next address.
    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, LookUpFailed> {
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Ok(vec![address]);
        }
        let (answer, turn) = match self.find(&host.to_ascii_lowercase()) {
            Found::Now(answer, turn) => (answer, turn),
            // The sender is dropped only if a look-up thread died or the library ends.
            Found::Later(answer) => (answer.await.unwrap_or_else(|_| Err(stopped())), 0),
        };
        let mut addresses = answer?.to_vec();
        let turn = turn % addresses.len().max(1);
        addresses.rotate_left(turn);
        Ok(addresses)
    }

    fn find(&self, host: &str) -> Found {
        let Owner(shared) = &*self.0;
        let mut state = shared.lock();
        if state.stopped {
            return Found::Now(Err(stopped()), 0);
        }
        let now = Instant::now();
        match state.names.get_mut(host) {
            Some(Entry::Known { answer, until, uses }) if *until > now => {
                *uses += 1;
                return Found::Now(answer.clone(), *uses);
            }
            Some(Entry::Asked(waiting)) => {
                let (sender, receiver) = oneshot::channel();
                // Those who gave up waiting leave nothing behind.
                waiting.retain(|waiter| !waiter.is_closed());
                waiting.push(sender);
                return Found::Later(receiver);
            }
            _ => {}
        }
        if state.names.len() >= CACHED {
            state.names.retain(|_, entry| matches!(entry, Entry::Asked(_)));
        }
        let (sender, receiver) = oneshot::channel();
        state.names.insert(host.to_owned(), Entry::Asked(vec![sender]));
        state.queue.push_back(host.to_owned());
        if state.idle < state.queue.len() && state.threads < THREADS {
            let (worker, dismissed) = (Arc::clone(shared), Arc::downgrade(shared));
            let thread = std::thread::Builder::new().name("target-dns".to_owned()).stack_size(THREAD_STACK);
            let dismiss = Box::new(move || dismissed.upgrade().iter().for_each(|shared| shared.stop()));
            match look_up_threads::start(thread, dismiss, Box::new(move |asks| worker.work(asks))) {
                Ok(()) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    // Nobody will ever take it from the queue.
                    state.queue.clear();
                    state.names.remove(host);
                    let reason = format!("no thread for the look-up: {error}").into();
                    return Found::Now(Err(LookUpFailed { reason }), 0);
                }
                Err(_) => {}
            }
        }
        drop(state);
        shared.wake.notify_one();
        Found::Later(receiver)
    }
}

fn stopped() -> LookUpFailed {
    LookUpFailed { reason: "the resolver stopped".into() }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks up nothing any more; idle threads leave at once, others when the system has answered.
    fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.queue.clear();
        let unanswered = std::mem::take(&mut state.names);
        drop(state);
        self.wake.notify_all();
        drop(unanswered);
    }

    /// A look-up thread, until there is nothing to do.
    fn work(&self, asks: &Asks) {
        loop {
            let Some(host) = self.next() else { return };
            let under_way = LOOK_UPS.begin();
            let looked_up = asks.during(|| (self.look_up)(&host));
            drop(under_way);
            let answer = match looked_up {
                Ok(addresses) if addresses.is_empty() => {
                    Err(LookUpFailed { reason: "the name has no addresses".into() })
                }
                Ok(addresses) => Ok(addresses.into()),
                Err(error) => Err(LookUpFailed { reason: plain(&error).into() }),
            };
            let life = if answer.is_ok() { POSITIVE } else { NEGATIVE };
            let known = Entry::Known { answer: answer.clone(), until: Instant::now() + life, uses: 0 };
            let asked = self.lock().names.insert(host, known);
            if let Some(Entry::Asked(waiting)) = asked {
                for waiter in waiting {
                    // The request may have given up.
                    let _ = waiter.send(answer.clone());
                }
            }
        }
    }

    fn next(&self) -> Option<String> {
        let mut state = self.lock();
        state.idle += 1;
        loop {
            if state.stopped {
                state.idle -= 1;
                state.threads -= 1;
                return None;
            }
            if let Some(host) = state.queue.pop_front() {
                state.idle -= 1;
                return Some(host);
            }
            let (woken, timeout) = self.wake.wait_timeout(state, THREAD_IDLE).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if timeout.timed_out() && state.queue.is_empty() {
                state.idle -= 1;
                state.threads -= 1;
                return None;
            }
        }
    }
}

/// The resolver's own words: std puts "failed to lookup address information" before them.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned()
}

/// The resolver as reqwest wants it, perhaps refusing addresses that are not public.
pub(super) struct Lookup {
    pub(super) resolver: Resolver,
    /// Refuse addresses that are not public. Checked here, the address that is connected to is the one that was checked.
    pub(super) public_only: bool,
    /// The proxy's host, which was configured and may be private.
    pub(super) exempt: Option<String>,
}

impl Resolve for Lookup {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.resolver.clone();
        let public_only =
            self.public_only && !self.exempt.as_deref().is_some_and(|host| host.eq_ignore_ascii_case(name.as_str()));
        Box::pin(async move {
            probe::look_up_began();
            let began = Instant::now();
            let mut addresses = resolver.addresses(name.as_str()).await?;
            probe::look_up_ended(began.elapsed());
            if public_only {
                addresses.retain(|address| address::is_public(*address));
                if addresses.is_empty() {
                    return Err(PrivateAddress.into());
                }
            }
            Ok(Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::super::look_up_threads::LookUpThreads;
    use super::*;

    #[tokio::test]
    async fn an_answer_is_cached_and_its_addresses_take_turns() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let resolver = Resolver::with(|host| {
            assert_eq!(host, "two.example");
            ASKED.fetch_add(1, Ordering::SeqCst);
            Ok(vec![IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2])])
        });
        let first = resolver.addresses("Two.Example").await.unwrap();
        let second = resolver.addresses("two.example").await.unwrap();
        assert_eq!(first[0], second[1]);
        assert_eq!(first[1], second[0]);
        assert_eq!(ASKED.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn concurrent_look_ups_of_one_name_are_one_and_failures_are_remembered() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let resolver = Resolver::with(|_| {
            ASKED.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(20));
            Err(std::io::Error::other("failed to lookup address information: no such name"))
        });
        let (a, b) = tokio::join!(resolver.addresses("gone.example"), resolver.addresses("gone.example"));
        assert_eq!(a.unwrap_err().to_string(), "no such name");
        assert!(b.is_err());
        assert!(resolver.addresses("gone.example").await.is_err());
        assert_eq!(ASKED.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn at_most_four_threads_look_up_and_stuck_ones_stop_nobody() {
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        let resolver = Resolver::with(|_| {
            RUNNING.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_secs(3));
            Ok(vec![])
        });
        let names: Vec<String> = (0..8).map(|n| format!("stuck{n}.example")).collect();
        let waits = names.iter().map(|name| resolver.addresses(name));
        let all = futures_util::future::join_all(waits);
        assert!(tokio::time::timeout(Duration::from_millis(200), all).await.is_err());
        assert_eq!(RUNNING.load(Ordering::SeqCst), THREADS);
        assert_eq!(resolver.addresses("127.0.0.1").await.unwrap(), [IpAddr::from([127, 0, 0, 1])]);
        assert_eq!(resolver.addresses("[::1]").await.unwrap(), ["::1".parse::<IpAddr>().unwrap()]);
    }

    /// Ten seconds of idleness are not waited for, by neither of those who end them.
    #[tokio::test]
    async fn idle_threads_end_with_their_resolver_or_the_runtime() {
        let threads = Arc::new(LookUpThreads::default());
        threads.include_those_of_this_thread(); // on which all of this runs
        for shut_down in [false, true] {
            let resolver = Resolver::with(|_| Ok(vec![IpAddr::from([192, 0, 2, 1])]));
            let shared = Arc::downgrade(&resolver.0.0);
            assert!(resolver.addresses("a.example").await.is_ok());
            let began = Instant::now();
            if shut_down {
                threads.end(Instant::now() + Duration::from_secs(60));
                assert_eq!(Arc::strong_count(&resolver.0.0), 1, "its thread was waited for");
                let late = resolver.addresses("b.example").await.unwrap_err();
                assert_eq!(late.to_string(), "the resolver stopped");
                let other = Resolver::with(|_| Ok(vec![]));
                let late = other.addresses("c.example").await.unwrap_err();
                assert_eq!(late.to_string(), "no thread for the look-up: the library was shut down");
            } else {
                drop(resolver);
                while shared.strong_count() > 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            assert!(began.elapsed() < THREAD_IDLE / 2);
        }
    }

    #[tokio::test]
    async fn threads_that_the_system_keeps_are_not_waited_for() {
        static MAY_ANSWER: AtomicBool = AtomicBool::new(false);
        let threads = Arc::new(LookUpThreads::default());
        threads.include_those_of_this_thread();
        let resolver = Resolver::with(|_| {
            while !MAY_ANSWER.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(vec![])
        });
        let shared = Arc::downgrade(&resolver.0.0);
        let asked = ["a.example", "b.example"].map(|name| {
            let resolver = resolver.clone();
            tokio::spawn(async move { resolver.addresses(name).await })
        });
        while threads.asking() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        threads.end(Instant::now() + Duration::from_secs(3600));
        for asked in asked {
            assert_eq!(asked.await.unwrap().unwrap_err().to_string(), "the resolver stopped");
        }
        drop(resolver);
        MAY_ANSWER.store(true, Ordering::SeqCst);
        while shared.strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await; // they leave when they can
        }
    }

    #[tokio::test]
    async fn private_answers_are_refused_unless_they_are_the_proxy() {
        let resolver = Resolver::with(|_| Ok(vec![IpAddr::from([10, 0, 0, 1]), IpAddr::from([1, 1, 1, 1])]));
        let lookup = Lookup { resolver, public_only: true, exempt: Some("proxy.example".to_owned()) };
        let addresses: Vec<_> = lookup.resolve("a.example".parse().unwrap()).await.unwrap().collect();
        assert_eq!(addresses, ["1.1.1.1:0".parse().unwrap()]);
        let proxy = lookup.resolve("proxy.example".parse().unwrap()).await.unwrap();
        assert_eq!(proxy.count(), 2);
        let private = Resolver::with(|_| Ok(vec!["::ffff:169.254.169.254".parse().unwrap()]));
        let lookup = Lookup { resolver: private, public_only: true, exempt: None };
        let error = lookup.resolve("metadata.example".parse().unwrap()).await.err().unwrap();
        assert!(error.is::<PrivateAddress>());
    }
}
