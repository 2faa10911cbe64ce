//! When to load: at the start, then on a schedule that cannot die unnoticed.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Inner, load};
use crate::error::{Error, ErrorKind};

/// How long the network may take at the start before the copy on disk is used in the meantime.
const FILE_AFTER: Duration = Duration::from_secs(2);
/// First waits after a failed load, doubled by each further failure up to the interval.
const AGAIN_WITHOUT_ARTIFACT: Duration = Duration::from_secs(1);
const AGAIN_WITH_ARTIFACT: Duration = Duration::from_secs(10);

/// So many intervals without a poll are too many.
const QUIET: u32 = 3;

/// Starts the supervisor, once.
pub(super) fn start<T: Send + Sync + 'static>(inner: &Arc<Inner<T>>) {
    let mut work = inner.work();
    if work.started || work.stopped {
        return;
    }
    work.started = true;
    let handle = inner.env.runtime.spawn(supervise(Arc::clone(inner)));
    work.supervisor = Some(handle.abort_handle());
}

/// Sees to it that somebody polls, until the provider is stopped.
async fn supervise<T: Send + Sync + 'static>(inner: Arc<Inner<T>>) {
    let mut first = true;
    loop {
        // A task of its own: its panic comes back as a value. Both are aborted by `stop`.
        let mut poller = {
            let mut work = inner.work();
            if work.stopped {
                return;
            }
            let poller = inner.env.runtime.spawn(run(Arc::clone(&inner), first));
            work.poller = Some(poller.abort_handle());
            poller
        };
        let ended = tokio::select! {
            ended = &mut poller => Some(ended),
            () = silence(&inner) => None,
        };
        match ended {
            Some(Ok(())) => return,
            Some(Err(_)) if inner.work().stopped => return,
            Some(Err(error)) => {
                let how = if error.is_panic() { "panicked" } else { "was ended" };
                log::error!(target: "target_sdk::artifact", "polling {how}; it goes on in a second");
            }
            None => {
                let age = inner.work().polled_at.map_or(0, |at| at.elapsed().as_secs());
                log::warn!(
                    target: "target_sdk::artifact",
                    "the last poll began {age} s ago, more than {QUIET} intervals: polling is begun anew"
                );
                poller.abort();
                // It may be the load that hangs.
                if let Some(load) = inner.work().load.take() {
                    load.task.abort();
                }
            }
        }
        inner.work().restarts += 1;
        inner.first_load_failed(Error::internal("loading the artifact ended without an outcome"));
        first = false;
        sleep(Duration::from_secs(1)).await;
    }
}

/// Resolves when no poll was begun for too long. Looks at the count of polls once an interval, not at the time: after a
/// pause of the whole machine everything is late at once, and nothing is wrong.
async fn silence<T>(inner: &Inner<T>) {
    let Some(interval) = inner.settings.interval.filter(|_| inner.transport.is_some()) else {
        return std::future::pending().await;
    };
    let polls = || inner.work().polls;
    let (mut known, mut quiet) = (polls(), 0);
    while quiet < QUIET {
        sleep(interval.max(load::DEADLINE)).await;
        let now = polls();
        quiet = if now == known { quiet + 1 } else { 0 };
        known = now;
    }
}

async fn run<T: Send + Sync + 'static>(inner: Arc<Inner<T>>, first: bool) {
    let interval = inner.settings.interval;
    if inner.transport.is_none() {
        if !inner.use_file().await {
            let what = "offline, with neither `artifactPayload` nor `artifactFile`";
            let known = inner.work().error.clone();
            let error = known.unwrap_or_else(|| Error::new(ErrorKind::Artifact, what).with_retryable(false));
            inner.first_load_failed(error);
        }
        return;
    }
    let mut failures = 0;
    // The configured artifact is used for one interval before it is looked for on the network.
    if !first || !inner.settings.has_payload {
        failures = u32::from(!first_load(&inner).await);
    }
    let Some(interval) = interval else {
        if failures > 0 {
            inner.emit_polling_stopped("pollingInterval is 0 and the first download failed");
        }
        return;
    };
    let mut grid = Grid::new(Instant::now(), interval);
    loop {
        let regular = grid.next(Instant::now(), fastrand::f64());
        let at = match failures {
            0 => regular,
            _ => {
                regular.min(Instant::now() + again(failures, inner.current.load().is_some(), interval, fastrand::f64()))
            }
        };
        sleep_until(at).await;
        grid.reached(at);
        failures = match load::shared(&inner).await {
            Ok(()) => 0,
            Err(_) => failures.saturating_add(1),
        };
    }
}

/// The first load, with the copy on disk as a stand-in. Returns whether the network delivered.
async fn first_load<T: Send + Sync + 'static>(inner: &Arc<Inner<T>>) -> bool {
    let mut load = std::pin::pin!(load::shared(inner));
    let result = match timeout(FILE_AFTER, &mut load).await {
        Ok(result) => result,
        Err(_) => {
            inner.use_file().await;
            load.await
        }
    };
    match result {
        Ok(()) => true,
        Err(error) => {
            if !inner.use_file().await {
                inner.first_load_failed(error);
            }
            false
        }
    }
}

/// Wait after `failures` failed loads in a row: exponential, at most the interval, half of it by chance.
fn again(failures: u32, has_artifact: bool, interval: Duration, random: f64) -> Duration {
    let base = if has_artifact { AGAIN_WITH_ARTIFACT } else { AGAIN_WITHOUT_ARTIFACT };
    let ceiling = base.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(interval);
    ceiling.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
}

/// Points in time one interval apart; polls are up to a tenth of it off, and so neither drift nor march in step.
struct Grid {
    point: Instant,
    interval: Duration,
}

impl Grid {
    fn new(now: Instant, interval: Duration) -> Grid {
        Grid { point: now + interval, interval }
    }

    /// When the next poll is due. `random` is in 0..1.
    fn next(&mut self, now: Instant, random: f64) -> Instant {
        // After a pause of the whole machine there is one poll, not all those that were missed.
        if self.point + self.interval.mul_f64(0.1) < now {
            self.point = now;
        }
        self.point + self.interval.mul_f64(random.clamp(0.0, 1.0) / 5.0) - self.interval.mul_f64(0.1)
    }

    /// A poll was made at `at`: if it was this point's, the next point is up.
    fn reached(&mut self, at: Instant) {
        if at + self.interval.mul_f64(0.1) >= self.point {
            self.point += self.interval;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_days_of_polls_neither_drift_nor_march_in_step() {
        let start = Instant::now();
        let interval = Duration::from_secs(300);
        let mut grid = Grid::new(start, interval);
        let (mut now, mut polls, mut gaps) = (start, 0, std::collections::HashSet::new());
        while now < start + Duration::from_secs(30 * 86_400) {
            let at = grid.next(now, fastrand::f64());
            let gap = at - now;
            assert!(gap >= interval.mul_f64(0.8) && gap <= interval.mul_f64(1.2), "{gap:?}");
            gaps.insert(gap.as_millis());
            now = at;
            grid.reached(at);
            polls += 1;
        }
        assert!((8639..=8641).contains(&polls), "{polls}");
        assert!(gaps.len() > 1000);
    }

    /// A provider whose network refuses connections, and who polls every five minutes.
    fn provider(compile: fn(&str) -> crate::error::Result<()>) -> super::super::Provider<()> {
        let mut config = super::super::tests::config();
        config.secure = false;
        // The discard port: nobody listens there, and whether or not is all the same.
        config.cdn_base = "127.0.0.1:9".to_owned();
        #[allow(clippy::disallowed_methods)] // a test
        let env = crate::env::Environment::system(tokio::runtime::Handle::current());
        let transport = crate::transport::Transport::new(&config.transport).unwrap();
        super::super::Provider::new(&config, Some(transport), &env, compile).unwrap()
    }

    async fn polled(provider: &super::super::Provider<()>, polls: u64, within: Duration) {
        let limit = Instant::now() + within;
        while provider.status().polls < polls {
            assert!(Instant::now() < limit, "{:?}", provider.status());
            sleep(Duration::from_secs(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn polling_that_dies_goes_on() {
        let provider = provider(|_| Ok(()));
        provider.start();
        for deaths in 1..=5 {
            polled(&provider, provider.status().polls + 2, Duration::from_secs(700)).await;
            let poller = provider.0.work().poller.clone().unwrap();
            poller.abort();
            polled(&provider, provider.status().polls + 1, Duration::from_secs(331)).await;
            assert_eq!(provider.status().restarts, deaths);
        }
        provider.stop();
    }

    #[tokio::test(start_paused = true)]
    async fn polling_that_is_stuck_is_begun_anew() {
        let provider = provider(|_| Ok(()));
        provider.start();
        polled(&provider, 3, Duration::from_secs(1000)).await;
        // A load without an end: all further ones wait for it. (One that is under way would take it away at its own end.)
        while provider.0.work().load.is_some() {
            sleep(Duration::from_millis(1)).await;
        }
        let (outcome, receiver) = tokio::sync::watch::channel(None);
        let task = tokio::spawn(async move {
            let _outcome = outcome;
            std::future::pending::<()>().await;
        });
        provider.0.work().load = Some(super::super::Load { outcome: receiver, task: task.abort_handle() });
        let stuck = provider.status().polls;
        polled(&provider, stuck + 1, Duration::from_secs(300 * 5)).await;
        assert_eq!(provider.status().restarts, 1);
        assert!(task.await.unwrap_err().is_cancelled(), "the load that was stuck has ended");
        polled(&provider, stuck + 3, Duration::from_secs(1000)).await;
        assert_eq!(provider.status().restarts, 1, "all is well again");
        provider.stop();
    }

    #[tokio::test(start_paused = true)]
    async fn a_week_of_polls_needs_no_restart() {
        let provider = provider(|_| Ok(()));
        provider.0.publish((), "{}".into(), String::new(), None);
        provider.start();
        sleep(Duration::from_secs(7 * 86_400)).await;
        let status = provider.status();
        // Each of them fails here, and a failed one is tried again after some seconds: never slower than planned.
        assert!(status.polls >= 2_015, "{status:?}");
        assert_eq!(status.restarts, 0);
        assert!(status.last_poll_age.unwrap() <= Duration::from_secs(331));
        provider.stop();
    }

    #[test]
    fn a_long_pause_is_followed_by_one_poll() {
        let start = Instant::now();
        let interval = Duration::from_secs(300);
        let mut grid = Grid::new(start, interval);
        let woken = start + Duration::from_secs(100_000);
        let first = grid.next(woken, 0.5);
        assert_eq!(first, woken);
        grid.reached(first);
        assert_eq!(grid.next(woken, 0.5), woken + interval);
    }

    #[test]
    fn failures_are_followed_by_growing_waits_up_to_the_interval() {
        let interval = Duration::from_secs(300);
        assert_eq!(again(1, false, interval, 1.0), Duration::from_secs(1));
        assert_eq!(again(1, false, interval, 0.0), Duration::from_millis(500));
        assert_eq!(again(3, false, interval, 1.0), Duration::from_secs(4));
        assert_eq!(again(1, true, interval, 1.0), Duration::from_secs(10));
        assert_eq!(again(u32::MAX, true, interval, 1.0), interval);
        assert_eq!(again(1, false, Duration::from_millis(50), 1.0), Duration::from_millis(50));
    }
}
