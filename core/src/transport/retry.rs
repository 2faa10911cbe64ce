//! When to try again, and how long to wait before. Pure: time and chance are arguments.

use std::time::Duration;

/// A wish to be left alone is granted for so long at most, whoever sent it.
pub(super) const REST_CAP: Duration = Duration::from_secs(3600);
/// A call waits at most so long for a host that wants to be left alone.
pub(super) const WAIT_CAP: Duration = Duration::from_secs(30);

/// Why an attempt may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// It may not.
    No,
    /// The request did not reach the server's application, or is safe to repeat.
    Safe,
    /// A pooled connection had been closed by the server. Repeated once, at once, over a new one.
    Stale,
    /// A pooled connection was found closed before anything was sent over it.
    Unsent,
    /// The server said to come back, perhaps when.
    Asked(Option<Duration>),
}

/// Wait before retry number `retry` (0 is the first): full jitter under an exponential ceiling. `random` is in 0..1.
pub(super) fn backoff(retry: u32, random: f64) -> Duration {
    const BASE: Duration = Duration::from_millis(100);
    const CEILING: Duration = Duration::from_secs(5);
    BASE.saturating_mul(1 << retry.min(10)).min(CEILING).mul_f64(random.clamp(0.0, 1.0))
}

/// Statuses that a retry may cure.
pub(super) fn is_transient(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// The wait that a `Retry-After` header asks for, at most [`REST_CAP`]; `None` if it is not understood.
///
/// A date is compared with `date`, the server's own clock in seconds since the epoch. Without that it is compared with
/// `now`: our clock may be years off, so the wait is [`WAIT_CAP`] at most.
pub(super) fn retry_after(value: &str, date: Option<i64>, now: i64) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too many digits for a number is just a very long time.
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(REST_CAP));
    }
    let (now, cap) = date.map_or((now, WAIT_CAP), |date| (date, REST_CAP));
    let seconds = u64::try_from(http_date(value)?.saturating_sub(now)).unwrap_or(0);
    Some(Duration::from_secs(seconds).min(cap))
}

/// Seconds since the epoch of a date like `Sun, 06 Nov 1994 08:49:37 GMT`, the only form servers may send.
pub(super) fn http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = text.split_once(", ")?.1.split(' ');
    let day = number(parts.next()?, 2)?;
    let name = parts.next()?;
    let month = i64::try_from(MONTHS.iter().position(|month| *month == name)?).ok()? + 1;
    let year = number(parts.next()?, 4)?;
    let mut clock = parts.next()?.split(':');
    let (hour, minute, second) = (number(clock.next()?, 2)?, number(clock.next()?, 2)?, number(clock.next()?, 2)?);
    let ends = clock.next().is_none() && parts.next() == Some("GMT") && parts.next().is_none();
    if !ends || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since the epoch, counting years from March so that the leap day comes last.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let era_day = 365 * year + leap_days + (153 * month + 2) / 5 + day - 1;
    Some((era_day - 719_468) * 86_400 + hour * 3600 + minute * 60 + second)
}

fn number(text: &str, digits: usize) -> Option<i64> {
    if text.len() != digits || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_forms() {
        let now = 784_111_777; // Sun, 06 Nov 1994 08:49:37 GMT
        let seconds = |value| retry_after(value, Some(now), 0).map(|wait| wait.as_secs());
        assert_eq!(seconds("5"), Some(5));
        assert_eq!(seconds(" 0 "), Some(0));
        assert_eq!(seconds("1000000000000000000"), Some(3600));
        assert_eq!(seconds("99999999999999999999999999"), Some(3600));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:47 GMT"), Some(10));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0), "a date gone by");
        assert_eq!(seconds("Sun, 06 Nov 2044 08:49:00 GMT"), Some(3600));
        // A server that does not tell its time: ours may be wrong.
        let alone = |value, now| retry_after(value, None, now).map(|wait| wait.as_secs());
        assert_eq!(alone("Sun, 06 Nov 1994 08:49:47 GMT", now), Some(10));
        assert_eq!(alone("Sun, 06 Nov 1994 08:49:47 GMT", now - 315_360_000), Some(30));
        assert_eq!(alone("Sun, 06 Nov 1994 08:49:47 GMT", now + 315_360_000), Some(0));
        assert_eq!(alone("Sun, 06 Nov 1994 08:49:47 GMT", i64::MIN), Some(30));
        assert_eq!(alone("120", 0), Some(120));
        for garbage in [
            "",
            "-1",
            "+5",
            "1.5",
            "soon",
            "5 s",
            "Sun, 06 Nov 1994",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Now 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 8:49:37 GMT",
        ] {
            assert_eq!(seconds(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn dates_are_counted_from_the_epoch() {
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(http_date("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
        assert_eq!(http_date("Fri, 01 Mar 2024 00:00:00 GMT"), Some(1_709_251_200));
        assert_eq!(http_date("Sat, 01 Jan 0000 00:00:00 GMT"), Some(-62_167_219_200));
    }

    /// A thousand clients that failed together do not come back together: their first waits are uniform in the range
    /// (Kolmogorov-Smirnov at one per cent).
    #[test]
    fn clients_that_failed_together_come_back_spread_out() {
        const CLIENTS: usize = 1_000;
        for retry in 0..4 {
            let ceiling = backoff(retry, 1.0).as_secs_f64();
            let waits = (0..CLIENTS).map(|client| {
                let chance = fastrand::Rng::with_seed(client as u64).f64();
                backoff(retry, chance).as_secs_f64() / ceiling
            });
            let mut waits: Vec<f64> = waits.collect();
            waits.sort_by(f64::total_cmp);
            let steps = waits.iter().enumerate().map(|(nth, wait)| {
                let (below, above) = (nth as f64 / CLIENTS as f64, (nth + 1) as f64 / CLIENTS as f64);
                (wait - below).abs().max((wait - above).abs())
            });
            let distance = steps.fold(0.0, f64::max);
            assert!(distance < 1.63 / (CLIENTS as f64).sqrt(), "{distance}");
        }
    }

    #[test]
    fn backoff_grows_and_is_spread_over_the_whole_range() {
        assert_eq!(backoff(0, 0.0), Duration::ZERO);
        assert_eq!(backoff(0, 1.0), Duration::from_millis(100));
        assert_eq!(backoff(3, 1.0), Duration::from_millis(800));
        assert_eq!(backoff(3, 0.5), Duration::from_millis(400));
        assert_eq!(backoff(u32::MAX, 1.0), Duration::from_secs(5));
    }
}
