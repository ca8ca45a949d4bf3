//! Timestamps in the formats of the dialects.

use directory::{Time, TimeRange};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

fn to_utc(time: Time) -> Option<jiff::Zoned> {
    Timestamp::from_microsecond(time.0).ok().map(|t| t.to_zoned(TimeZone::UTC))
}

/// `2019-09-11T06:24:03.9630000Z`: seven fractional digits, as in .NET.
pub(crate) fn dotnet(time: Time) -> String {
    to_utc(time).map_or_else(String::new, |t| format!("{}0Z", t.strftime("%Y-%m-%dT%H:%M:%S%.6f")))
}

/// `28-05-2018 11:03:00:000`: day first, milliseconds after a colon.
pub(crate) fn day_first(time: Time) -> String {
    to_utc(time).map_or_else(String::new, |t| format!("{}:{:03}", t.strftime("%d-%m-%Y %H:%M:%S"), t.millisecond()))
}

/// `2019-09-11T06:24:03Z` (RFC 3339).
pub fn rfc3339(time: Time) -> String {
    to_utc(time).map_or_else(String::new, |t| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// `2019-09-11T06:24:03.963000Z`: full precision, with a fixed number of digits so that texts sort like times.
pub(crate) fn rfc3339_micros(time: Time) -> String {
    to_utc(time).map_or_else(String::new, |t| t.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
}

/// Parses RFC 3339 with any offset; without an offset it is UTC, and a date without time is the start of the day.
pub fn parse_timestamp(text: &str) -> Option<Time> {
    let text = text.trim();
    let stamp = text.parse::<Timestamp>().ok();
    let stamp = stamp.or_else(|| {
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    });
    stamp.map(|stamp| Time(stamp.as_microsecond()))
}

/// `lastweek`, `lastmonth`, `lastyear` (until now), or `YYYYMMDD,YYYYMMDD` (both days inclusive).
pub(crate) fn parse_time_range(text: &str, now: Time) -> Option<TimeRange> {
    let today = to_utc(now)?;
    let back = match text.to_ascii_lowercase().as_str() {
        "lastweek" => Some(1.week()),
        "lastmonth" => Some(1.month()),
        "lastyear" => Some(1.year()),
        _ => None,
    };
    let end_of_now = Time(now.0.saturating_add(1));
    if let Some(back) = back {
        let from = today.checked_sub(back).ok()?.timestamp().as_microsecond();
        return Some(TimeRange { start: Time(from), end: end_of_now });
    }
    let (from, to) = text.split_once(',')?;
    let to = parse_date(to)?.tomorrow().ok()?;
    let start = |date: Date| date.to_zoned(TimeZone::UTC).ok().map(|z| Time(z.timestamp().as_microsecond()));
    Some(TimeRange { start: start(parse_date(from)?)?, end: start(to)? })
}

fn parse_date(text: &str) -> Option<Date> {
    let text = text.trim();
    if text.len() != 8 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i16>().ok();
    let (month, day) = (i8::try_from(number(4, 6)?).ok()?, i8::try_from(number(6, 8)?).ok()?);
    Date::new(number(0, 4)?, month, day).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_ranges() {
        let time = Time(1_568_183_043_963_000);
        assert_eq!(dotnet(time), "2019-09-11T06:24:03.9630000Z");
        assert_eq!(day_first(time), "11-09-2019 06:24:03:963");
        let whole = parse_time_range("20190911,20190911", time).unwrap();
        assert!(whole.start < time && time < whole.end);
        assert_eq!(whole.end.0 - whole.start.0, 86_400_000_000);
        for bad in ["", "yesterday", "20190911", "2019-09-11,2019-09-12", "20191399,20200101"] {
            assert_eq!(parse_time_range(bad, time), None, "{bad}");
        }
        assert!(parse_time_range("LastMonth", time).is_some());
    }
}
