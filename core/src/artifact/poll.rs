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

/// Starts the supervisor, once.
pub(super) fn start<T: Send + Sync + 'static>(inner: &Arc<Inner<T>>) {
    let mut work = inner.work();
    if work.started || work.stopped {
        return;
    }
    work.started = true;
    let supervised = Arc::clone(inner);
    let handle = inner.env.runtime.spawn(async move {
        let mut first = true;
        loop {
            // A task of its own: its panic comes back as a value. Both are aborted by `stop`.
            let task = {
                let mut work = supervised.work();
                if work.stopped {
                    return;
                }
                let task = supervised.env.runtime.spawn(run(Arc::clone(&supervised), first));
                work.tasks.push(task.abort_handle());
                task
            };
            match task.await {
                Ok(()) => return,
                Err(error) if error.is_cancelled() => return,
                Err(_) => log::error!(target: "target_sdk::artifact", "polling panicked; it goes on in a second"),
            }
            supervised.first_load_failed(Error::internal("loading the artifact panicked"));
            first = false;
            sleep(Duration::from_secs(1)).await;
        }
    });
    work.tasks.push(handle.abort_handle());
}

async fn run<T: Send + Sync + 'static>(inner: Arc<Inner<T>>, first: bool) {
    let interval = inner.settings.interval;
    if inner.transport.is_none() {
        if !inner.use_file().await {
            let what = "offline, with neither `artifactPayload` nor a readable `artifactFile`";
            inner.first_load_failed(Error::new(ErrorKind::Artifact, what));
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
