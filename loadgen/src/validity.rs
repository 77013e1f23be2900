//! Whether a measurement can be believed.
//!
//! A generator that cannot keep the rate that it was asked for does not measure a slow server, it measures itself. So
//! such a run is *invalid*, whatever its figures are. Three rules, for open loops alone (a closed loop asks for no rate),
//! each over the measured time:
//!
//! 1. Less than 99 % of the requests that were due were sent: the load was not the one that was asked for. What was
//!    dropped for want of connections, ports or descriptors is in here.
//! 2. One request in a hundred was sent more than 50 ms late *and* that is more than a tenth of the p99 response time.
//!    Lateness counts in the response time, as it must; here it would be a good part of the figure. Two
//!    hiccups of a busy machine do not make a measurement invalid: at least ten requests must have been that late.
//! 3. Nothing was due at all: there is nothing to judge by.

use reports::{Distribution, Measurement, Reading};

use crate::ledger::{Ledger, Sending};

/// At least this part of what was due must have been sent.
pub const MIN_SENT: f64 = 0.99;
/// The p99 of lateness may be this, in milliseconds…
pub const MAX_LATE_MS: f64 = 50.0;
/// …or this part of the p99 response time, whichever is more.
pub const MAX_LATE_SHARE: f64 = 0.1;

/// Why the measurement of a run cannot be believed, load by load, with figures and advice. Empty when it can.
pub fn problems(ledger: &Ledger, measurement: &Measurement) -> Vec<String> {
    let loads = measurement.loads.iter().zip(&ledger.sending);
    loads
        .filter(|(_, sending)| sending.is_open)
        .flat_map(|(name, sending)| {
            let p99 = match measurement.metrics.read(&format!("load.{name}.latency.p99")) {
                Reading::Value(metric) => metric.value,
                Reading::Absent(_) | Reading::Unknown => 0.0,
            };
            load_problems(name, sending, p99)
        })
        .collect()
}

fn load_problems(name: &str, sending: &Sending, p99_ms: f64) -> Vec<String> {
    if sending.offered == 0 {
        return vec![format!("load `{name}`: no request was due in the measured time")];
    }
    let mut problems = Vec::new();
    let part = sending.sent as f64 / sending.offered as f64;
    if part < MIN_SENT {
        problems.push(format!(
            "load `{name}`: of {} requests that were due only {} were sent ({:.1} %), {} were dropped; ask for a \
             lower rate, give the generator more connections (`max_connections`) or a shorter `timeout`",
            sending.offered,
            sending.sent,
            100.0 * part,
            sending.dropped,
        ));
    }
    let late_ms = late_p99(&sending.lateness);
    let bound = MAX_LATE_MS.max(MAX_LATE_SHARE * p99_ms);
    if late_ms > bound {
        problems.push(format!(
            "load `{name}`: one request in a hundred was sent more than {late_ms:.0} ms late (bound {bound:.0} ms), which \
             stands in the response times; ask for a lower rate, give the generator more threads, or keep other \
             programs off this machine"
        ));
    }
    problems
}

/// The lateness that one request in a hundred exceeds, and ten at least; 0 when fewer than ten were sent.
fn late_p99(lateness: &Distribution) -> f64 {
    let count = lateness.count() as f64;
    if count < 10.0 {
        return 0.0;
    }
    lateness.any_quantile_ms((1.0 - 10.0 / count).min(0.99))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sending(offered: u64, dropped: u64, late_ms: &[(u64, u64)]) -> Sending {
        let mut lateness = Distribution::new();
        for &(count, ms) in late_ms {
            (0..count).for_each(|_| lateness.record(ms * 1_000_000));
        }
        Sending { is_open: true, offered, sent: offered - dropped, dropped, lateness }
    }

    #[test]
    fn what_was_sent_in_time_is_valid() {
        assert!(load_problems("a", &sending(1000, 10, &[(990, 1)]), 5.0).is_empty());
        // Nine hiccups of a busy machine among a thousand, and five among twenty.
        assert!(load_problems("a", &sending(1000, 0, &[(991, 0), (9, 900)]), 5.0).is_empty());
        assert!(load_problems("a", &sending(20, 0, &[(15, 0), (5, 900)]), 5.0).is_empty());
    }

    #[test]
    fn what_was_not_sent_or_late_is_not() {
        let problems = load_problems("a", &sending(1000, 11, &[(989, 1)]), 5.0);
        assert!(problems.len() == 1 && problems[0].contains("(98.9 %), 11 were dropped"));
        let late = sending(1000, 0, &[(980, 1), (20, 80)]);
        assert!(load_problems("a", &late, 100.0)[0].contains("80 ms late (bound 50 ms)"));
        // Beside a response time of two seconds 80 ms are nothing.
        assert!(load_problems("a", &late, 2000.0).is_empty());
        assert_eq!(load_problems("a", &sending(0, 0, &[]), 0.0).len(), 1);
    }
}
