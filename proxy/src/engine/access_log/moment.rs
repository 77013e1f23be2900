//! Moments as log lines write them.

use std::time::SystemTime;

use http1::encode::number;

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// A moment in the calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    year: u64,
    month: u64,
    day: u64,
    /// Since midnight.
    second: u64,
    millis: u64,
}

impl Moment {
    /// The one of this clock; what lies before 1970 is its beginning.
    pub(super) fn of(wall: SystemTime) -> Self {
        let since = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        // Days to a date by years that begin in March, so that the odd day is the last of one (Hinnant, "chrono-Compatible
        // Low-Level Date Algorithms").
        let shifted = days + 719_468;
        let era = shifted / 146_097;
        let of_era = shifted % 146_097;
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        Self { year, month, day, second, millis: u64::from(since.subsec_millis()) }
    }

    /// `2026-11-21T09:33:47.123Z` (RFC 3339).
    pub(super) fn write(self, out: &mut Vec<u8>) {
        padded(out, self.year, 4);
        out.push(b'-');
        padded(out, self.month, 2);
        out.push(b'-');
        padded(out, self.day, 2);
        out.push(b'T');
        self.write_time(out);
        out.push(b'.');
        padded(out, self.millis, 3);
        out.push(b'Z');
    }

    /// `21/Nov/2026:09:33:47 +0000`, as Apache writes it.
    pub(super) fn write_local(self, out: &mut Vec<u8>) {
        padded(out, self.day, 2);
        out.push(b'/');
        out.extend_from_slice(MONTHS[(self.month as usize).clamp(1, 12) - 1]);
        out.push(b'/');
        padded(out, self.year, 4);
        out.push(b':');
        self.write_time(out);
        out.extend_from_slice(b" +0000");
    }

    fn write_time(self, out: &mut Vec<u8>) {
        padded(out, self.second / 3600, 2);
        out.push(b':');
        padded(out, self.second / 60 % 60, 2);
        out.push(b':');
        padded(out, self.second % 60, 2);
    }
}

/// `1795253627.123`: seconds since 1970.
pub(super) fn unix(out: &mut Vec<u8>, wall: SystemTime) {
    let since = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    number(out, since.as_secs());
    out.push(b'.');
    padded(out, u64::from(since.subsec_millis()), 3);
}

/// A number with zeroes before it.
pub(super) fn padded(out: &mut Vec<u8>, value: u64, width: u32) {
    let mut place = 10_u64.pow(width - 1);
    while place > value.max(1) {
        out.push(b'0');
        place /= 10;
    }
    number(out, value);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn written(wall: SystemTime) -> (String, String) {
        let (mut plain, mut local) = (Vec::new(), Vec::new());
        Moment::of(wall).write(&mut plain);
        Moment::of(wall).write_local(&mut local);
        let text = |bytes| String::from_utf8(bytes).expect("ASCII");
        (text(plain), text(local))
    }

    #[test]
    fn known_days() {
        for (secs, millis, plain, local) in [
            (0, 0, "1970-01-01T00:00:00.000Z", "01/Jan/1970:00:00:00 +0000"),
            (951_782_400, 7, "2000-02-29T00:00:00.007Z", "29/Feb/2000:00:00:00 +0000"),
            (1_709_251_199, 999, "2024-02-29T23:59:59.999Z", "29/Feb/2024:23:59:59 +0000"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000Z", "01/Mar/2100:00:00:00 +0000"),
        ] {
            let wall =
                SystemTime::UNIX_EPOCH + Duration::from_secs(secs) + Duration::from_millis(millis);
            assert_eq!(written(wall), (plain.to_owned(), local.to_owned()));
        }
    }

    proptest! {
        /// The crate that writes `Date` agrees.
        #[test]
        fn it_is_the_day_that_http_writes(secs in 0_u64..250_000_000_000) {
            let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
            let date = httpdate::fmt_http_date(wall);
            let (_, local) = written(wall);
            let words: Vec<&str> = date.split(' ').collect();
            let expected = format!("{}/{}/{}:{} +0000", words[1], words[2], words[3], words[4]);
            prop_assert_eq!(local, expected);
        }
    }
}
