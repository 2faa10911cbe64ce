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

/// Stops asking a host that has failed mostly, and lets a request through from time to time to see.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    outcomes: Window,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Closed,
    /// The next probe may be sent at `probe_at`. One that never comes back stops nobody.
    Open { probe_at: Instant },
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

/// What an outcome did to the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The host is given up.
    Opened,
    /// The host is back.
    Closed,
}

impl Breaker {
    const FAILURES: u64 = 20;
    /// From the beginning of one probe to that of the next, whatever became of it: recovery is noticed within two seconds,
    /// and an outage costs 30 requests a minute, also when callers cancel or have no patience.
    const PACE: Duration = Duration::from_secs(2);

    /// Asks for one attempt.
    pub(super) fn admit(&mut self, now: Instant) -> Admission {
        match &mut self.state {
            State::Closed => Admission::Pass,
            State::Open { probe_at } if now >= *probe_at => {
                *probe_at = now + Self::PACE;
                Admission::Probe
            }
            State::Open { .. } => Admission::Refused,
        }
    }

    /// Tells the outcome of an attempt that was admitted. `random` is in 0..1.
    pub(super) fn record(&mut self, now: Instant, admission: Admission, failed: bool, random: f64) -> Option<Change> {
        match (&self.state, admission) {
            // A probe that failed changes nothing: the time of the next one is known.
            (State::Open { .. }, Admission::Probe) if !failed => {
                self.state = State::Closed;
                self.outcomes.clear();
                Some(Change::Closed)
            }
            // Attempts that began before the breaker opened say nothing new.
            (State::Open { .. }, _) => None,
            (State::Closed, _) => {
                let slot = self.outcomes.slot(now);
                if failed {
                    slot.right += 1;
                } else {
                    slot.left += 1;
                }
                let (good, bad) = self.outcomes.totals(now);
                let opens = failed && bad >= Self::FAILURES && bad > good;
                opens.then(|| {
                    // The first pause differs, so that the probes of many processes do not come together.
                    let pause = Self::PACE.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
                    self.state = State::Open { probe_at: now + pause };
                    Change::Opened
                })
            }
        }
    }

    /// Whether the host is given up.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    fn is_idle(&mut self, now: Instant) -> bool {
        matches!(self.state, State::Closed) && self.outcomes.totals(now) == (0, 0)
    }
}

/// The wish of a host to be left alone until a moment (`Retry-After`).
#[derive(Debug, Default)]
pub(super) struct Rest(Option<(Instant, u16)>);

impl Rest {
    /// The host answered `status` and asked for `wait`. Up to a tenth more, by `random` in 0..1: not everybody comes back
    /// at the same moment.
    pub(super) fn asked(&mut self, now: Instant, wait: Duration, status: u16, random: f64) {
        if wait.is_zero() {
            return;
        }
        let until = now + wait.mul_f64(1.0 + random.clamp(0.0, 1.0) / 10.0);
        if self.0.is_none_or(|(known, _)| known < until) {
            self.0 = Some((until, status));
        }
    }

    /// How long the host still wants to be left alone, and the status that said so.
    pub(super) fn left(&self, now: Instant) -> Option<(Duration, u16)> {
        let (until, status) = self.0?;
        (until > now).then(|| (until - now, status))
    }
}

/// All of it, for one host.
#[derive(Debug, Default)]
pub(super) struct Health {
    pub(super) budget: Budget,
    pub(super) breaker: Breaker,
    pub(super) rest: Rest,
}

impl Health {
    /// Whether forgetting it changes nothing.
    pub(super) fn is_idle(&mut self, now: Instant) -> bool {
        self.budget.is_idle(now) && self.breaker.is_idle(now) && self.rest.left(now).is_none()
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
        breaker.record(now, admission, true, 0.5) == Some(Change::Opened)
    }

    fn opened(now: Instant, random: f64) -> Breaker {
        let mut breaker = Breaker::default();
        for nth in 1..=20 {
            let change = breaker.record(now, Admission::Pass, true, random);
            assert_eq!(change, (nth == 20).then_some(Change::Opened));
        }
        breaker
    }

    #[test]
    fn breaker_opens_at_twenty_failures_when_they_are_the_majority() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..19 {
            assert!(!fail(&mut breaker, start));
        }
        assert!(fail(&mut breaker, start) && breaker.is_open());
        assert_eq!(breaker.admit(at(start, 1)), Admission::Refused);

        let mut mostly_good = Breaker::default();
        for _ in 0..40 {
            assert_eq!(mostly_good.record(start, Admission::Pass, false, 0.0), None);
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
        let mut breaker = opened(start, 0.5);
        let later = at(start, 1_500);
        assert_eq!(breaker.admit(at(start, 1_499)), Admission::Refused);
        assert_eq!(breaker.admit(later), Admission::Probe);
        assert_eq!(breaker.admit(later), Admission::Refused, "one probe at a time");
        assert_eq!(breaker.record(at(later, 700), Admission::Probe, true, 0.0), None);
        assert_eq!(breaker.admit(at(later, 1_999)), Admission::Refused);
        assert_eq!(breaker.admit(at(later, 2_000)), Admission::Probe, "two seconds after the last one began");
        // Of that one nothing is heard any more: cancelled, or stuck.
        assert_eq!(breaker.admit(at(later, 3_999)), Admission::Refused);
        assert_eq!(breaker.admit(at(later, 4_000)), Admission::Probe);
        assert_eq!(
            breaker.record(at(later, 4_001), Admission::Pass, true, 0.0),
            None,
            "an old failure changes nothing"
        );
        assert_eq!(breaker.record(at(later, 4_001), Admission::Pass, false, 0.0), None, "nor does an old success");
        assert_eq!(breaker.record(at(later, 4_002), Admission::Probe, false, 0.0), Some(Change::Closed));
        assert_eq!(breaker.admit(at(later, 4_002)), Admission::Pass);
        assert_eq!(breaker.record(at(later, 4_003), Admission::Probe, true, 0.0), None, "a late probe is one failure");
    }

    #[test]
    fn an_outage_of_a_minute_costs_at_most_thirty_probes_and_its_end_is_seen_within_two_seconds() {
        let start = Instant::now();
        for random in [0.0, 0.3, 0.999, 1.0] {
            // Probes that fail at once, that fail late, and that are cancelled.
            for outcome in [Some(0), Some(900), None] {
                let mut breaker = opened(start, random);
                let (mut probes, mut last) = (0, 0);
                for ms in 0..60_000 {
                    if breaker.admit(at(start, ms)) == Admission::Probe {
                        assert!(ms - last <= 2_000, "an end right after the last probe is seen now");
                        (probes, last) = (probes + 1, ms);
                        if let Some(took) = outcome {
                            assert_eq!(breaker.record(at(start, ms + took), Admission::Probe, true, random), None);
                        }
                    }
                }
                assert!((29..=30).contains(&probes), "{probes}");
            }
        }
    }

    #[test]
    fn a_flapping_host_is_not_given_up_more_than_once_a_second() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        let mut openings = Vec::new();
        for ms in 0..60_000 {
            let now = at(start, ms);
            let up = ms / 100 % 2 == 0;
            match breaker.admit(now) {
                Admission::Refused => {}
                admission => {
                    if breaker.record(now, admission, !up, 0.0) == Some(Change::Opened) {
                        openings.push(ms);
                    }
                }
            }
        }
        assert!(openings.windows(2).all(|two| two[1] - two[0] >= 1_000), "{openings:?}");
    }

    #[test]
    fn a_rest_is_remembered_and_the_longest_counts() {
        let start = Instant::now();
        let mut rest = Rest::default();
        assert_eq!(rest.left(start), None);
        rest.asked(start, Duration::ZERO, 503, 1.0);
        assert_eq!(rest.left(start), None);
        rest.asked(start, Duration::from_secs(5), 429, 0.0);
        rest.asked(start, Duration::from_secs(2), 503, 1.0);
        assert_eq!(rest.left(at(start, 1_000)), Some((Duration::from_secs(4), 429)));
        assert_eq!(rest.left(at(start, 5_000)), None);
        rest.asked(start, Duration::from_secs(10), 503, 1.0);
        assert_eq!(rest.left(start), Some((Duration::from_secs(11), 503)), "a tenth more, by chance");
        let mut health = Health::default();
        health.rest.asked(start, Duration::from_secs(5), 429, 0.0);
        assert!(!health.is_idle(at(start, 4_999)));
        assert!(health.is_idle(at(start, 5_000)));
    }
}
