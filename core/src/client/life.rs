//! Where a client is in its life, who waits for that, and the events that mark it.

use tokio::sync::{Notify, watch};

use super::State;
use super::events::{EventWriter, Events};
use crate::error::{Error, ErrorKind, Result};

/// The state of one client.
pub(crate) struct Life {
    now: watch::Sender<Now>,
    /// Rung when the client is closed.
    over: Notify,
    events: Events,
}

#[derive(Clone, Debug)]
struct Now {
    state: State,
    /// Why it is not ready, if it is known not to be.
    trouble: Option<Error>,
    /// Whether `clientReady` was told.
    was_ready: bool,
}

impl Life {
    /// A client that is starting.
    pub(crate) fn new(events: Events) -> Life {
        let now = Now { state: State::Starting, trouble: None, was_ready: false };
        Life { now: watch::Sender::new(now), over: Notify::new(), events }
    }

    pub(crate) fn state(&self) -> State {
        self.now.borrow().state
    }

    /// The client can decide as configured: `Ready`, from `Starting` or `Degraded`. The first time is told by
    /// `clientReady`.
    pub(crate) fn become_ready(&self) {
        self.change(|now| {
            if !matches!(now.state, State::Starting | State::Degraded) {
                return None;
            }
            now.state = State::Ready;
            now.trouble = None;
            first_time(now)
        });
    }

    /// There is no usable artifact for now: `Degraded`, from `Starting` or `Ready`, told by `degraded`. A further reason
    /// replaces the one before, without an event.
    pub(crate) fn degrade(&self, trouble: Error) {
        self.change(|now| {
            let told = matches!(now.state, State::Starting | State::Ready);
            if !told && now.state != State::Degraded {
                return None;
            }
            now.state = State::Degraded;
            let event = told.then(|| EventWriter::new("degraded").error(&trouble));
            now.trouble = Some(trouble);
            event
        });
    }

    /// The client never opens a socket: `Offline`, from `Starting`. Without `trouble` it can decide from what it has, and
    /// counts as ready.
    pub(crate) fn go_offline(&self, trouble: Option<Error>) {
        self.change(|now| {
            if now.state != State::Starting {
                return None;
            }
            now.state = State::Offline;
            let event = match &trouble {
                None => first_time(now),
                Some(trouble) => Some(EventWriter::new("degraded").error(trouble)),
            };
            now.trouble = trouble;
            event
        });
    }

    /// No new calls: `Draining`, from any state before it. Says whether this call did it.
    pub(crate) fn begin_close(&self) -> bool {
        self.change(|now| {
            if !matches!(now.state, State::Draining | State::Closed) {
                now.state = State::Draining;
                return Some(EventWriter::new("draining"));
            }
            None
        })
    }

    /// The end: `Closed`, from any other state. Says whether this call did it. `closed` is the client's last event.
    pub(crate) fn close(&self) -> bool {
        self.change(|now| {
            if now.state == State::Closed {
                return None;
            }
            now.state = State::Closed;
            Some(EventWriter::new("closed"))
        })
    }

    /// What [`Life::ready`] would say, if it would not wait.
    pub(crate) fn readiness(&self) -> Option<Result<()>> {
        self.now.borrow().verdict()
    }

    /// Waits until the client is ready (`Ok`), known not to be (`NotReady`), or closing (`Closed`).
    pub(crate) async fn ready(&self) -> Result<()> {
        let mut changes = self.now.subscribe();
        loop {
            let verdict = changes.borrow_and_update().verdict();
            if let Some(verdict) = verdict {
                return verdict;
            }
            // The sender lives as long as `self`.
            changes.changed().await.map_err(|_| closed())?;
        }
    }

    /// Waits until the client is closed. Every call does: this is cheaper than a receiver of the channel.
    pub(crate) async fn closed(&self) {
        let over = self.over.notified(); // hears of it from here on
        if self.state() != State::Closed {
            over.await;
        }
    }

    /// Changes the state under the lock of the channel, where the event is queued too, so that events come in the order of
    /// the changes. They are handed over after the lock is released. Returns whether there was an event to tell.
    fn change(&self, step: impl FnOnce(&mut Now) -> Option<EventWriter>) -> bool {
        let (mut told, mut closed) = (false, false);
        self.now.send_modify(|now| {
            if let Some(event) = step(now) {
                told = true;
                self.events.push(event.finish(), now.state == State::Closed);
            }
            closed = now.state == State::Closed;
        });
        if closed {
            self.over.notify_waiters();
        }
        self.events.hand_over();
        told
    }
}

impl Now {
    fn verdict(&self) -> Option<Result<()>> {
        match (self.state, &self.trouble) {
            (State::Starting, _) => None,
            (State::Ready, _) | (State::Offline, None) => Some(Ok(())),
            (State::Degraded | State::Offline, trouble) => {
                let message = match trouble {
                    Some(trouble) => format!("the client is not ready: {}", trouble.message()),
                    None => "the client is not ready".to_owned(),
                };
                Some(Err(Error::new(ErrorKind::NotReady, message)))
            }
            (State::Draining | State::Closed, _) => Some(Err(closed())),
        }
    }
}

fn first_time(now: &mut Now) -> Option<EventWriter> {
    (!std::mem::replace(&mut now.was_ready, true)).then(|| EventWriter::new("clientReady"))
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the client is closing or closed")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_util::FutureExt;

    use super::super::events::testing::recorded;
    use super::*;
    use crate::json::{Json, Limits, parse};

    fn life() -> (Arc<Life>, Arc<Mutex<Vec<String>>>) {
        let (events, got) = recorded();
        (Arc::new(Life::new(events)), got)
    }

    fn names(got: &Mutex<Vec<String>>) -> Vec<String> {
        let name = |json: &String| {
            parse(json, &Limits::OPTIONS).unwrap().get("type").and_then(Json::as_str).unwrap().to_owned()
        };
        got.lock().unwrap().iter().map(name).collect()
    }

    fn trouble() -> Error {
        Error::new(ErrorKind::Artifact, "the artifact is gone")
    }

    fn verdict(life: &Life) -> Option<Result<(), ErrorKind>> {
        life.ready().now_or_never().map(|ready| ready.map_err(|error| error.kind()))
    }

    #[test]
    fn the_usual_life() {
        let (life, got) = life();
        assert_eq!((life.state(), verdict(&life)), (State::Starting, None));
        life.become_ready();
        life.become_ready();
        assert_eq!((life.state(), verdict(&life)), (State::Ready, Some(Ok(()))));
        assert!(life.begin_close());
        assert!(!life.begin_close());
        assert_eq!((life.state(), verdict(&life)), (State::Draining, Some(Err(ErrorKind::Closed))));
        assert!(life.close());
        assert!(!life.close());
        assert_eq!(life.state(), State::Closed);
        assert_eq!(names(&got), ["clientReady", "draining", "closed"]);
    }

    #[test]
    fn recovery_tells_ready_once() {
        let (life, got) = life();
        life.degrade(trouble());
        life.degrade(Error::new(ErrorKind::Network, "no route"));
        assert_eq!(life.state(), State::Degraded);
        let error = life.ready().now_or_never().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotReady);
        assert!(error.message().contains("no route"), "{error}");
        life.become_ready();
        assert_eq!(verdict(&life), Some(Ok(())));
        life.degrade(trouble());
        life.become_ready();
        assert_eq!(names(&got), ["degraded", "clientReady", "degraded"]);
    }

    #[test]
    fn offline() {
        let (with, got) = life();
        with.go_offline(None);
        assert_eq!((with.state(), verdict(&with)), (State::Offline, Some(Ok(()))));
        with.become_ready();
        with.degrade(trouble());
        assert_eq!(with.state(), State::Offline);
        assert_eq!(names(&got), ["clientReady"]);

        let (without, got) = life();
        without.go_offline(Some(trouble()));
        assert_eq!((without.state(), verdict(&without)), (State::Offline, Some(Err(ErrorKind::NotReady))));
        assert_eq!(names(&got), ["degraded"]);
    }

    /// All 6 states by all steps: only the transitions of the diagram happen.
    #[test]
    fn only_known_transitions() {
        type Step = fn(&Life);
        let steps: [(&str, Step); 5] = [
            ("ready", |life| life.become_ready()),
            ("degrade", |life| life.degrade(trouble())),
            ("offline", |life| life.go_offline(None)),
            ("drain", |life| _ = life.begin_close()),
            ("close", |life| _ = life.close()),
        ];
        use State::*;
        let table = [
            (Starting, [Ready, Degraded, Offline, Draining, Closed]),
            (Ready, [Ready, Degraded, Ready, Draining, Closed]),
            (Degraded, [Ready, Degraded, Degraded, Draining, Closed]),
            (Offline, [Offline, Offline, Offline, Draining, Closed]),
            (Draining, [Draining, Draining, Draining, Draining, Closed]),
            (Closed, [Closed; 5]),
        ];
        for (from, targets) in table {
            for ((name, step), to) in steps.iter().zip(targets) {
                let (life, _) = life();
                match from {
                    Starting => {}
                    Ready => life.become_ready(),
                    Degraded => life.degrade(trouble()),
                    Offline => life.go_offline(None),
                    Draining => _ = life.begin_close(),
                    Closed => _ = life.close(),
                }
                assert_eq!(life.state(), from);
                step(&life);
                assert_eq!(life.state(), to, "{from:?} {name}");
            }
        }
    }

    #[tokio::test]
    async fn waiters_are_woken() {
        let (life, _) = life();
        let wait = |life: Arc<Life>| tokio::spawn(async move { life.ready().await.map_err(|error| error.kind()) });
        let (one, two) = (wait(life.clone()), wait(life.clone()));
        tokio::task::yield_now().await;
        assert!(!one.is_finished());
        life.become_ready();
        assert_eq!((one.await.unwrap(), two.await.unwrap()), (Ok(()), Ok(())));

        let (life, _) = self::life();
        let ready = wait(life.clone());
        let closing = {
            let life = life.clone();
            tokio::spawn(async move { life.closed().await })
        };
        tokio::task::yield_now().await;
        life.begin_close();
        assert_eq!(ready.await.unwrap(), Err(ErrorKind::Closed));
        assert!(!closing.is_finished());
        life.close();
        closing.await.unwrap();
    }

    #[test]
    fn a_race_of_everything_tells_ready_once_and_closed_last() {
        for _ in 0..50 {
            let (life, got) = life();
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        life.become_ready();
                        life.degrade(trouble());
                        life.become_ready();
                        life.begin_close();
                        life.close();
                    });
                }
            });
            let names = names(&got);
            let count = |name: &str| names.iter().filter(|found| *found == name).count();
            assert!(count("clientReady") <= 1 && count("draining") <= 1, "{names:?}");
            assert_eq!((count("closed"), names.last().map(String::as_str)), (1, Some("closed")));
        }
    }
}
