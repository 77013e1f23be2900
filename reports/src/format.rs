//! Numbers as a person reads them: three significant digits, a unit that suits the size, thousands set
//! apart. And numbers as a machine reads them: plain decimals, never in exponents, no noise in the
//! last digits.

use crate::metrics::Unit;
use std::time::Duration;

/// A number for a file: at most nine decimals, no trailing zeros, no exponent.
pub fn plain(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return format!("{}", value as i64);
    }
    let text = format!("{value:.9}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A number for a file whose format writes numbers itself: without the noise in its last digits.
pub fn rounded(value: f64) -> f64 {
    plain(value).parse().unwrap_or(value)
}

/// A whole number with its thousands set apart: `12,345`.
pub fn count(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if value < 0.0 && digits != "0" {
        text.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with `digits` significant digits, thousands set apart, trailing zeros kept off.
pub fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".to_owned() } else { "–".to_owned() };
    }
    let decimals_at = |magnitude: i32| (digits as i32 - 1 - magnitude).max(0) as usize;
    let magnitude = value.abs().log10().floor() as i32;
    let mut decimals = decimals_at(magnitude);
    // Rounding may carry into another digit: 9.996 is 10.0.
    let rounded: f64 = format!("{value:.decimals$}").parse().unwrap_or(value);
    if rounded != 0.0 {
        decimals = decimals_at((rounded.abs().log10() + 1e-12).floor() as i32);
    }
    if decimals == 0 {
        return count(value);
    }
    let text = format!("{value:.decimals$}");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let part = part.trim_end_matches('0');
    let negative = whole.starts_with('-') && !whole.ends_with("-0");
    let whole = if negative || !whole.starts_with('-') {
        count(whole.parse().unwrap_or(0.0))
    } else {
        whole.to_owned()
    };
    if part.is_empty() { whole } else { format!("{whole}.{part}") }
}

/// A time given in milliseconds: `850 µs`, `12.5 ms`, `1.25 s`, `2 min`.
pub fn time(ms: f64) -> String {
    time_to(ms, 3)
}

fn time_to(ms: f64, digits: usize) -> String {
    let size = ms.abs();
    if size == 0.0 {
        "0 ms".to_owned()
    } else if size < 0.000_999_5 {
        format!("{} ns", significant(ms * 1e6, digits))
    } else if size < 0.9995 {
        format!("{} µs", significant(ms * 1e3, digits))
    } else if size < 999.5 {
        format!("{} ms", significant(ms, digits))
    } else if size < 119_950.0 {
        format!("{} s", significant(ms / 1e3, digits))
    } else {
        format!("{} min", significant(ms / 60e3, digits))
    }
}

/// A size in bytes: `512 B`, `1.5 KiB`.
pub fn bytes(value: f64) -> String {
    bytes_to(value, 3)
}

fn bytes_to(value: f64, digits: usize) -> String {
    let mut value = value;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if value.abs() < 1024.0 || unit == "TiB" {
            return format!("{} {unit}", significant(value, digits.max(3)));
        }
        value /= 1024.0;
    }
    unreachable!("the last unit returns")
}

/// A part of one as a percentage, with enough digits near 100 % that 99.95 % does not become 100 %.
pub fn percent(ratio: f64) -> String {
    let off = (1.0 - ratio).abs();
    let decimals = match off {
        o if o == 0.0 || ratio == 0.0 => 0,
        o if o >= 0.01 => 1,
        o if o >= 0.001 => 2,
        o if o >= 0.0001 => 3,
        _ => 4,
    };
    // Never round a ratio that is not whole up to one that is.
    let scale = 10_f64.powi(decimals);
    let mut value = (ratio * 100.0 * scale).round() / scale;
    if value >= 100.0 && ratio < 1.0 {
        value = (ratio * 100.0 * scale).floor() / scale;
    }
    format!("{value:.*} %", decimals as usize)
}

/// A value of a metric with its unit.
pub fn metric(value: f64, unit: Unit) -> String {
    metric_to(value, unit, 3)
}

fn metric_to(value: f64, unit: Unit, digits: usize) -> String {
    match unit {
        Unit::Milliseconds => time_to(value, digits),
        Unit::Seconds => time_to(value * 1e3, digits),
        Unit::Count if value.fract() == 0.0 => count(value),
        Unit::Count => significant(value, digits),
        Unit::Ratio => significant(value, digits.max(4)),
        Unit::PerSecond => format!("{}/s", significant(value, digits.max(4))),
        Unit::Bytes => bytes_to(value, digits),
    }
}

/// A value and the limit that it is held against, with as many digits as it takes to tell them apart.
pub fn against(value: f64, limit: f64, unit: Unit) -> (String, String) {
    let digits = (3..=12)
        .find(|digits| {
            value.total_cmp(&limit).is_eq()
                || metric_to(value, unit, *digits) != metric_to(limit, unit, *digits)
        })
        .unwrap_or(12);
    (metric_to(value, unit, digits), metric_to(limit, unit, 6.max(digits)))
}

/// A length of time in seconds for a heading: `60 s`, `2.5 s`, `10 min`.
pub fn seconds(value: f64) -> String {
    if value == 0.0 { "0 s".to_owned() } else { time(value * 1e3) }
}

/// A length of time as one says it: `1 h 5 min`, `20 min 10 s`, `12.3 s`.
pub fn span(length: Duration) -> String {
    let seconds = length.as_secs_f64();
    let whole = seconds.round() as u64;
    let (large, small) = match whole {
        ..60 => return time(seconds * 1e3),
        60..3600 => ((whole / 60, "min"), (whole % 60, "s")),
        _ => ((whole / 3600, "h"), (whole % 3600 / 60, "min")),
    };
    let large = format!("{} {}", count(large.0 as f64), large.1);
    if small.0 == 0 { large } else { format!("{large} {} {}", small.0, small.1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_take_the_unit_that_suits_them() {
        let shown: Vec<String> =
            [0.0, 0.0002, 0.0123, 0.9999, 1.0, 12.345, 250.0, 999.9, 1250.0, 60_000.0, 600_000.0]
                .into_iter()
                .map(time)
                .collect();
        assert_eq!(
            shown,
            [
                "0 ms", "200 ns", "12.3 µs", "1 ms", "1 ms", "12.3 ms", "250 ms", "1 s", "1.25 s",
                "60 s", "10 min"
            ]
        );
    }

    #[test]
    fn spans_are_said_in_two_units_at_most() {
        let said = |seconds| span(Duration::from_secs_f64(seconds));
        assert_eq!(said(12.34), "12.3 s");
        assert_eq!(said(59.9), "1 min");
        assert_eq!(said(1210.0), "20 min 10 s");
        assert_eq!(said(3600.0), "1 h");
        assert_eq!(said(3_903.0), "1 h 5 min");
        assert_eq!(said(3_600_000.0), "1,000 h");
    }

    #[test]
    fn counts_and_sizes() {
        assert_eq!(count(1_234_567.0), "1,234,567");
        assert_eq!(count(-999.0), "-999");
        assert_eq!(significant(398.166_67, 4), "398.2");
        assert_eq!(significant(12_345.6, 3), "12,346");
        assert_eq!(significant(9.9996, 4), "10");
        assert_eq!(significant(-0.25, 3), "-0.25");
        assert_eq!(bytes(512.0), "512 B");
        assert_eq!(bytes(1536.0), "1.5 KiB");
    }

    #[test]
    fn nearly_all_is_not_all() {
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.9995), "99.950 %");
        assert_eq!(percent(0.999_999_9), "99.9999 %");
        assert_eq!(percent(0.5), "50.0 %");
        assert_eq!(percent(0.0), "0 %");
    }

    #[test]
    fn a_value_and_its_limit_can_be_told_apart() {
        assert_eq!(
            against(0.998_96, 0.999, Unit::Ratio),
            ("0.99896".to_owned(), "0.999".to_owned())
        );
        assert_eq!(
            against(250.01, 250.0, Unit::Milliseconds),
            ("250.01 ms".to_owned(), "250 ms".to_owned())
        );
        assert_eq!(against(3.0, 3.0, Unit::Count), ("3".to_owned(), "3".to_owned()));
    }

    #[test]
    fn plain_numbers_have_no_noise() {
        assert_eq!(plain(0.1 + 0.2), "0.3");
        assert_eq!(plain(12.0), "12");
        assert_eq!(plain(-0.000_000_000_1), "0");
    }
}
