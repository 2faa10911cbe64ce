//! `Retry-After`: numbers, dates, and everything else a server may send.

use std::time::Duration;

use target_sdk_core::fuzzing::transport::{http_date, retry_after};

const NOW: i64 = 1_700_000_000;
/// Dates are written with four digits for the year.
const YEAR_10000: i64 = 253_402_300_800;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let wait = retry_after(text, NOW);
    if let Some(wait) = wait {
        assert!(wait <= Duration::from_secs(3600) && wait.subsec_nanos() == 0);
        assert!(retry_after(text, NOW + 1).is_some_and(|later| later <= wait), "{text:?}");
        assert!(retry_after(text, i64::MAX).is_some() && retry_after(text, i64::MIN).is_some());
    }
    let trimmed = text.trim();
    if let Ok(seconds) = trimmed.parse::<u32>()
        && !trimmed.starts_with('+')
    {
        assert_eq!(wait, Some(Duration::from_secs(seconds.min(3600).into())));
    }
    if let Some(time) = http_date(text) {
        // Without the server's own clock a date is not trusted for long.
        assert!(wait.is_some_and(|wait| wait <= Duration::from_secs(30)), "{text:?}");
        read_back(text, time);
    }
    // Any time there is, written as a date, is read back.
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
    let time = i64::from_le_bytes(bytes).rem_euclid(YEAR_10000);
    assert_eq!(http_date(&format!("Mon, {}", written(time))), Some(time));
}

/// The date without its weekday, which is not looked at.
fn written(time: i64) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let (mut days, seconds) = (time.div_euclid(86_400), time.rem_euclid(86_400));
    // Whole cycles of 400 years are 146,097 days; within one, year by year.
    let mut year = 1970 + days.div_euclid(146_097) * 400;
    days = days.rem_euclid(146_097);
    while days >= 365 + i64::from(leap(year)) {
        days -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{:02} {} {year:04} {hour:02}:{minute:02}:{second:02} GMT", days + 1, MONTHS[month])
}

/// What was read is what is written, but for days that a month has not, and leap seconds.
fn read_back(text: &str, time: i64) {
    let date = text.split_once(", ").expect("a weekday").1;
    let day: i64 = date[..2].parse().expect("a day");
    if day <= 28 && &date[18..20] != "60" {
        assert_eq!(written(time), date);
    }
    if time >= YEAR_10000 {
        return; // a leap second after the last second that can be written
    }
    let turned = http_date(&format!("Xyz, {}", written(time)));
    assert!(turned == Some(time) || date.contains(" 0000 "), "{text}: {time}");
}
