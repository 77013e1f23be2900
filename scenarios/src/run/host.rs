//! Who ran it, where and when: the only part of a report in which two runs of one seed may differ.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use reports::Manifest;

/// The manifest of a suite that started at `started` and took `elapsed`, its runs in virtual time `virtual_elapsed` of it.
pub fn manifest(started: SystemTime, elapsed: Duration, virtual_elapsed: Duration) -> Manifest {
    let command: Vec<String> = std::env::args().collect();
    Manifest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: option_env!("WINDTUNNEL_REVISION").unwrap_or("unknown").to_owned(),
        host: host(),
        command: command.join(" "),
        started: stamp(started),
        elapsed,
        virtual_elapsed,
    }
}

/// Name, system and processors of this machine, as far as it tells.
fn host() -> String {
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned());
    let name = read("/proc/sys/kernel/hostname").unwrap_or_else(|_| "unknown".to_owned());
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    let model = read("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        line.split_once(':').map(|(_, name)| name.trim().to_owned())
    });
    let model = model.unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    format!("{name}, {} {release}, {cores} × {model}", std::env::consts::OS)
}

/// A date and time in UTC as RFC 3339 writes it: `2026-11-20T23:53:07Z`.
pub fn stamp(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days as i64);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a day counted from 1970-01-01 (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_218_787, "2026-11-20T23:53:07Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(stamp(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
