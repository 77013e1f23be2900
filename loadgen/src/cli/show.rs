//! Numbers for a person: three digits that matter, and the unit.

/// `1234567` as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn three_digits(value: f64) -> String {
    match value {
        _ if value < 9.995 => format!("{value:.2}"),
        _ if value < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Milliseconds in the unit that fits.
pub(crate) fn time(ms: f64) -> String {
    match ms {
        _ if ms < 0.9995 => format!("{} µs", three_digits(ms * 1000.0)),
        _ if ms < 999.5 => format!("{} ms", three_digits(ms)),
        _ => format!("{} s", three_digits(ms / 1000.0)),
    }
}

/// Bytes in the unit that fits.
pub(crate) fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024.0 {
        return format!("{bytes:.0} B");
    }
    let (mut value, mut unit) = (bytes / 1024.0, UNITS[0]);
    for larger in &UNITS[1..] {
        if value >= 1024.0 {
            (value, unit) = (value / 1024.0, larger);
        }
    }
    format!("{} {unit}", three_digits(value))
}

/// A rate a second.
pub(crate) fn rate(rate: f64) -> String {
    if rate >= 1000.0 { count(rate.round() as u64) } else { three_digits(rate) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [count(0), count(999), count(1000), count(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [time(0.0123), time(0.9996), time(12.34), time(999.4), time(1234.0)],
            ["12.3 µs", "1.00 ms", "12.3 ms", "999 ms", "1.23 s"]
        );
        assert_eq!([bytes(12.0), bytes(2048.0), bytes(5.5e9)], ["12 B", "2.00 KiB", "5.12 GiB"]);
        assert_eq!([rate(12.345), rate(43210.4)], ["12.3", "43,210"]);
    }
}
