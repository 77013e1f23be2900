//! Dates as heads write them (RFC 9110, section 5.6.7), in seconds since 1970.
//!
//! Three forms are read: `Sun, 06 Nov 1994 08:49:37 GMT`, and the two obsolete ones, `Sunday, 06-Nov-94 08:49:37 GMT` (whose year is never more
//! than 50 years ahead) and `Sun Nov  6 08:49:37 1994`. Letters may have any case, since some write them so; all else is strict: a date
//! that is nearly one is none, for a cache must take what it cannot read for the past (RFC 9111, section 5.3). The weekday is not compared with
//! the date. Own code and not a crate's, because that leniency and that strictness are the point, and the year needs the clock.

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
const DAYS: [&[u8]; 7] =
    [b"Thursday", b"Friday", b"Saturday", b"Sunday", b"Monday", b"Tuesday", b"Wednesday"];

/// The moment that this date means; `wall` is now, in seconds since 1970.
pub fn parse(text: &[u8], wall: u64) -> Option<i64> {
    let text = text.trim_ascii();
    let comma = text.iter().position(|byte| *byte == b',');
    match comma {
        Some(3) => imf(text),
        Some(at) => rfc850(text, at, wall),
        None => asctime(text),
    }
}

/// The date of a moment, in the form that is to be written.
pub fn format(seconds: i64) -> String {
    let days = seconds.div_euclid(86_400);
    let (year, month, day) = civil(days);
    let second = seconds.rem_euclid(86_400);
    let weekday = DAYS[days.rem_euclid(7) as usize];
    let name = |text: &'static [u8]| str::from_utf8(&text[..3]).unwrap_or_default();
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        name(weekday),
        name(MONTHS[month as usize - 1]),
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf(text: &[u8]) -> Option<i64> {
    let (weekday, rest) = text.split_at_checked(3)?;
    short_day(weekday)?;
    let rest = rest.strip_prefix(b", ")?;
    // 06 Nov 1994 08:49:37 GMT
    if rest.len() != 24
        || rest[2] != b' '
        || rest[6] != b' '
        || rest[11] != b' '
        || !gmt(&rest[20..])
    {
        return None;
    }
    moment(number(&rest[7..11])?, month(&rest[3..6])?, number(&rest[..2])?, clock(&rest[12..20])?)
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850(text: &[u8], comma: usize, wall: u64) -> Option<i64> {
    let (weekday, rest) = text.split_at(comma);
    DAYS.iter().find(|day| weekday.eq_ignore_ascii_case(day))?;
    let rest = rest.strip_prefix(b", ")?;
    // 06-Nov-94 08:49:37 GMT
    if rest.len() != 22
        || rest[2] != b'-'
        || rest[6] != b'-'
        || rest[9] != b' '
        || !gmt(&rest[18..])
    {
        return None;
    }
    let this_year = civil((wall / 86_400) as i64).0;
    let mut year = this_year - this_year % 100 + number(&rest[7..9])?;
    if year > this_year + 50 {
        year -= 100;
    } else if year <= this_year - 50 {
        year += 100;
    }
    moment(year, month(&rest[3..6])?, number(&rest[..2])?, clock(&rest[10..18])?)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime(text: &[u8]) -> Option<i64> {
    if text.len() != 24
        || text[3] != b' '
        || text[7] != b' '
        || text[10] != b' '
        || text[19] != b' '
    {
        return None;
    }
    short_day(&text[..3])?;
    let day = if text[8] == b' ' { number(&text[9..10])? } else { number(&text[8..10])? };
    moment(number(&text[20..])?, month(&text[4..7])?, day, clock(&text[11..19])?)
}

fn short_day(text: &[u8]) -> Option<()> {
    DAYS.iter().any(|day| text.eq_ignore_ascii_case(&day[..3])).then_some(())
}

fn gmt(text: &[u8]) -> bool {
    text.eq_ignore_ascii_case(b" GMT")
}

fn month(text: &[u8]) -> Option<i64> {
    let index = MONTHS.iter().position(|name| text.eq_ignore_ascii_case(*name))?;
    Some(index as i64 + 1)
}

fn number(text: &[u8]) -> Option<i64> {
    text.iter()
        .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// The second of the day; a leap second is the next one.
fn clock(text: &[u8]) -> Option<i64> {
    if text[2] != b':' || text[5] != b':' {
        return None;
    }
    let (hour, minute, second) = (number(&text[..2])?, number(&text[3..5])?, number(&text[6..])?);
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

fn moment(year: i64, month: i64, day: i64, second: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (1..=longest).contains(&day).then(|| days(year, month, day) * 86_400 + second)
}

/// Days since 1970 (Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The year, month and day of so many days since 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}
