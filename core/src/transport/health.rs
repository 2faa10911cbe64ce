//! What is known about a host: how many retries it may still get, and whether it is worth asking at all.
//!
//! Pure: time and chance are arguments.

use std::time::Duration;

use tokio::time::Instant;

const SLOTS: usize = 10;

/// Two counts over the last ten seconds.
#[derive(Debug, Default)]
struct Window {
    origin: Option<Instant>,
    slots: [Slot; SLOTS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    second: u64,
    left: u64,
    right: u64,
}

impl Window {
    fn second(&mut self, now: Instant) -> u64 {
        now.saturating_duration_since(*self.origin.get_or_insert(now)).as_secs()
    }

    fn slot(&mut self, now: Instant) -> &mut Slot {
        let second = self.second(now);
        let slot = &mut self.slots[(second % SLOTS as u64) as usize];
        if slot.second != second {
            *slot = Slot { second, ..Slot::default() };
        }
        slot
    }

    fn totals(&mut self, now: Instant) -> (u64, u64) {
        let second = self.second(now);
        self.slots
            .iter()
            .filter(|slot| slot.second + SLOTS as u64 > second)
            .fold((0, 0), |sum, slot| (sum.0 + slot.left, sum.1 + slot.right))
    }

    fn clear(&mut self) {
        *self = Window::default();
    }
}

/// Bounds retries to a tenth of the requests, plus one a second, over ten seconds: an outage is not made worse by us.
#[derive(Debug, Default)]
pub(super) struct Budget(Window);

impl Budget {
    /// Retries per second that are always allowed.
    const FLOOR: u64 = 1;

    /// Notes a first attempt.
    pub(super) fn request(&mut self, now: Instant) {
        self.0.slot(now).left += 1;
    }

    /// Takes the right to one retry, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let (requests, retries) = self.0.totals(now);
        let allowed = retries < requests / 10 + Self::FLOOR * SLOTS as u64;
        if allowed {
            self.0.slot(now).right += 1;
        }
        allowed
    }

    fn is_idle(&mut self, now: Instant) -> bool {
        self.0.totals(now) == (0, 0)
    }
}

/// Stops asking a host that has failed mostly, and lets one request through from time to time to see.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    outcomes: Window,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Closed,
    Open {
        until: Instant,
    },
    /// One request is under way to see whether the host is back.
    Probing,
}

/// The breaker's answer to "may I?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Go on.
    Pass,
    /// Go on; this request decides whether the host is back.
    Probe,
    /// Do not ask the host.
    Refused,
}

impl Breaker {
    const FAILURES: u64 = 20;
    /// Short, so that recovery is noticed about two seconds after it happened; long enough for 30 probes a minute.
    const OPEN: Duration = Duration::from_millis(2000);
    const JITTER: Duration = Duration::from_millis(200);

    /// Asks for one attempt.
    pub(super) fn admit(&mut self, now: Instant) -> Admission {
        match self.state {
            State::Closed => Admission::Pass,
            State::Open { until } if now >= until => {
                self.state = State::Probing;
                Admission::Probe
            }
            State::Open { .. } | State::Probing => Admission::Refused,
        }
    }

    /// Tells the outcome of an attempt. `random` is in 0..1. Returns whether the breaker opened because of it.
    pub(super) fn record(&mut self, now: Instant, admission: Admission, failed: bool, random: f64) -> bool {
        if admission == Admission::Probe {
            if failed {
                self.open(now, random);
            } else {
                self.state = State::Closed;
                self.outcomes.clear();
            }
            return failed;
        }
        // Attempts that began before the breaker opened say nothing new.
        if !matches!(self.state, State::Closed) {
            return false;
        }
        let slot = self.outcomes.slot(now);
        if failed {
            slot.right += 1;
        } else {
            slot.left += 1;
        }
        let (good, bad) = self.outcomes.totals(now);
        let opens = failed && bad >= Self::FAILURES && bad > good;
        if opens {
            self.open(now, random);
        }
        opens
    }

    /// The probe ended without an outcome (it was cancelled): the next request is the probe.
    pub(super) fn abandon(&mut self, now: Instant, admission: Admission) {
        if admission == Admission::Probe && matches!(self.state, State::Probing) {
            self.state = State::Open { until: now };
        }
    }

    fn open(&mut self, now: Instant, random: f64) {
        self.state = State::Open { until: now + Self::OPEN + Self::JITTER.mul_f64(random.clamp(0.0, 1.0)) };
    }

    fn is_idle(&mut self, now: Instant) -> bool {
        matches!(self.state, State::Closed) && self.outcomes.totals(now) == (0, 0)
    }
}

/// Both, for one host.
#[derive(Debug, Default)]
pub(super) struct Health {
    pub(super) budget: Budget,
    pub(super) breaker: Breaker,
}

impl Health {
    /// Whether forgetting it changes nothing.
    pub(super) fn is_idle(&mut self, now: Instant) -> bool {
        self.budget.is_idle(now) && self.breaker.is_idle(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn budget_keeps_an_outage_at_five_hundred_a_second_within_twelve_per_cent() {
        let start = Instant::now();
        let mut budget = Budget::default();
        let (mut requests, mut retries) = (0_u32, 0_u32);
        for ms in (0..60_000).step_by(2) {
            budget.request(at(start, ms));
            requests += 1;
            retries += u32::from(budget.take(at(start, ms)));
        }
        let load = f64::from(requests + retries) / f64::from(requests);
        assert!(load > 1.05 && load <= 1.12, "{load}");
    }

    #[test]
    fn budget_allows_a_quiet_client_ten_retries_in_ten_seconds_and_recovers() {
        let start = Instant::now();
        let mut budget = Budget::default();
        let taken = (0..20).filter(|_| budget.take(start)).count();
        assert_eq!(taken, 10);
        assert!(!budget.take(at(start, 9_000)));
        assert!(budget.take(at(start, 10_000)));
        assert!(!budget.is_idle(at(start, 10_000)));
        assert!(budget.is_idle(at(start, 30_000)));
    }

    fn fail(breaker: &mut Breaker, now: Instant) -> bool {
        let admission = breaker.admit(now);
        assert_ne!(admission, Admission::Refused);
        breaker.record(now, admission, true, 0.5)
    }

    #[test]
    fn breaker_opens_at_twenty_failures_when_they_are_the_majority() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..19 {
            assert!(!fail(&mut breaker, start));
        }
        assert!(fail(&mut breaker, start));
        assert_eq!(breaker.admit(at(start, 1)), Admission::Refused);

        let mut mostly_good = Breaker::default();
        for _ in 0..40 {
            assert!(!mostly_good.record(start, Admission::Pass, false, 0.0));
        }
        for _ in 0..40 {
            assert!(!fail(&mut mostly_good, start));
        }
        assert!(fail(&mut mostly_good, start), "41 of 81 is a majority");
    }

    #[test]
    fn breaker_forgets_failures_after_ten_seconds() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for second in 0..60 {
            assert!(!fail(&mut breaker, at(start, second * 1000)));
        }
    }

    #[test]
    fn breaker_lets_one_probe_through_and_believes_it() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            fail(&mut breaker, start);
        }
        let later = at(start, 2_100);
        assert_eq!(breaker.admit(at(start, 2_099)), Admission::Refused);
        assert_eq!(breaker.admit(later), Admission::Probe);
        assert_eq!(breaker.admit(later), Admission::Refused, "one probe at a time");
        assert!(breaker.record(later, Admission::Probe, true, 0.0));
        assert_eq!(breaker.admit(at(later, 1_999)), Admission::Refused);
        assert_eq!(breaker.admit(at(later, 2_000)), Admission::Probe);
        breaker.abandon(at(later, 2_001), Admission::Probe);
        assert_eq!(breaker.admit(at(later, 2_001)), Admission::Probe, "a cancelled probe is taken over");
        assert!(!breaker.record(at(later, 2_002), Admission::Pass, true, 0.0), "an old failure changes nothing");
        assert!(!breaker.record(at(later, 2_003), Admission::Probe, false, 0.0));
        assert_eq!(breaker.admit(at(later, 2_003)), Admission::Pass);
    }

    #[test]
    fn an_outage_of_a_minute_costs_at_most_thirty_probes() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            fail(&mut breaker, start);
        }
        let mut probes = 0;
        for ms in 0..60_000 {
            let now = at(start, ms);
            if breaker.admit(now) == Admission::Probe {
                probes += 1;
                breaker.record(now, Admission::Probe, true, 0.0);
            }
        }
        assert!(probes <= 30, "{probes}");
    }
}
