//! The calendar, in UTC, from milliseconds since the epoch.

const DAY_MS: i64 = 86_400_000;

/// `HHmm`.
pub(crate) fn hours_and_minutes(now_ms: i64) -> String {
    let minutes = now_ms.rem_euclid(DAY_MS) / 60_000;
    format!("{:02}{:02}", minutes / 60, minutes % 60)
}

/// 1 for Monday to 7 for Sunday.
pub(crate) fn weekday(now_ms: i64) -> u8 {
    // 1970-01-01 was a Thursday.
    ((now_ms.div_euclid(DAY_MS) + 3).rem_euclid(7) + 1) as u8
}

/// As `Date.prototype.toISOString` writes it.
pub(crate) fn iso(now_ms: i64) -> String {
    let (year, month, day) = civil(now_ms.div_euclid(DAY_MS));
    let ms = now_ms.rem_euclid(DAY_MS);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        ms / 3_600_000,
        ms / 60_000 % 60,
        ms / 1_000 % 60,
        ms % 1_000
    )
}

/// The milliseconds that [`iso`] writes with a year of four digits.
pub(crate) const YEARS_OF_FOUR_DIGITS: std::ops::Range<i64> = -62_167_219_200_000..253_402_300_800_000;

/// Whether this looks like `2020-01-31`.
pub(crate) fn is_date(text: &str) -> bool {
    is_like(text, "0000-00-00")
}

/// Whether this looks like a date and time of RFC 3339: `2020-01-31T12:00:00.5+01:00`.
pub(crate) fn is_date_time(text: &str) -> bool {
    let Some((time, rest)) = text.split_at_checked(19) else { return false };
    let fraction = rest.strip_prefix('.').map_or(0, |digits| digits.bytes().take_while(u8::is_ascii_digit).count());
    let zone = if fraction > 0 { rest.get(1 + fraction..).unwrap_or("") } else { rest };
    is_like(&time.to_ascii_uppercase(), "0000-00-00T00:00:00")
        && (zone.eq_ignore_ascii_case("z")
            || zone.strip_prefix(['+', '-']).is_some_and(|offset| is_like(offset, "00:00")))
}

/// Whether a text has digits where the pattern has them, and is the pattern elsewhere.
fn is_like(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len()
        && text.bytes().zip(pattern.bytes()).all(|(byte, wanted)| match wanted {
            b'0' => byte.is_ascii_digit(),
            other => byte == other,
        })
}

/// Year, month and day of a day number. Counted in years that begin in March, so that the leap day comes last, and in
/// eras of 400 years, which all have the same number of days.
fn civil(day_number: i64) -> (i64, i64, i64) {
    let since_era_zero = day_number + 719_468; // days from 0000-03-01 to 1970-01-01
    let era = since_era_zero.div_euclid(146_097);
    let day_of_era = since_era_zero.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (ms, text, time, day) in [
            (0, "1970-01-01T00:00:00.000Z", "0000", 4),
            (1_585_098_300_000, "2020-03-25T01:05:00.000Z", "0105", 3),
            (951_782_399_999, "2000-02-28T23:59:59.999Z", "2359", 1),
            (951_782_400_000, "2000-02-29T00:00:00.000Z", "0000", 2),
            (1_614_036_374_000, "2021-02-22T23:26:14.000Z", "2326", 1),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z", "2359", 7),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z", "0000", 1),
            (-1, "1969-12-31T23:59:59.999Z", "2359", 3),
        ] {
            assert_eq!((iso(ms).as_str(), hours_and_minutes(ms).as_str(), weekday(ms)), (text, time, day));
        }
    }

    #[test]
    fn no_moment_is_too_far() {
        for ms in [i64::MIN, i64::MAX] {
            assert!((1..=7).contains(&weekday(ms)));
            assert_eq!(hours_and_minutes(ms).len(), 4);
            assert!(iso(ms).ends_with('Z'));
        }
    }
}
