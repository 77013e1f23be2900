//! How far apart the figures of two worlds may be: by a bound that is stated, or by what chance does.
//!
//! The bounds allow for what is known to differ. Balancers draw in another order in each world, so that all figures
//! are off by what chance does to a run of ordinary length: a part. A latency may also be off by a little time that
//! one world alone spends: on real sockets each request waits for processors and for timers with a tick of a
//! millisecond; between the two worlds in virtual time there is next to nothing of that. And in a run of few requests
//! chance does more: where that is more than the bound allows ([`crate::chance`]), the bound is that.

use super::Standing;
use crate::chance;
use crate::format;
use crate::run::Run;

/// How two values of a figure are held together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bound {
    /// A part of the reference.
    Part(f64),
    /// A part of the reference, or so many milliseconds.
    PartOrTime(f64, f64),
    /// Percentage points of a ratio.
    Points(f64),
    /// A count, as a part of all requests.
    OfRequests(f64),
}

impl Bound {
    pub(super) fn words(self) -> String {
        let percent = |part: f64| format::significant(100.0 * part, 2);
        match self {
            Bound::Part(part) => format!("{} %", percent(part)),
            Bound::PartOrTime(part, ms) => format!("{} % or {}", percent(part), format::time(ms)),
            Bound::Points(points) => format!("{points} points"),
            Bound::OfRequests(part) => format!("{} % of requests", percent(part)),
        }
    }
}

/// How far chance alone may carry a figure of two runs as short as these.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Chance {
    /// Nobody knows, or not at all.
    None,
    /// So much of a ratio, up or down.
    Ratio(f64),
    /// So many requests, up or down.
    Requests(f64),
    /// Between these times, in milliseconds.
    Times(f64, f64),
}

impl Chance {
    pub(super) fn of(figure: &Figure, reference: &Run, other: &Run) -> Self {
        let read = |run: &Run, metric: &str| run.measurement.metrics.get(metric);
        let both = |metric: &str| Some((read(reference, metric)?, read(other, metric)?));
        let Some(requests) = both("requests") else { return Chance::None };
        match (figure.metric, figure.live) {
            ("latency.p50" | "latency.p99", _) => {
                let quantile = if figure.metric == "latency.p50" { 0.5 } else { 0.99 };
                let timed = other.measurement.response.count();
                chance::of_quantile(&reference.measurement.response, quantile, timed)
                    .map_or(Chance::None, |(low, high)| Chance::Times(low, high))
            }
            (metric, Bound::Points(_)) => both(metric)
                .map_or(Chance::None, |shares| Chance::Ratio(chance::of_shares(shares, requests))),
            // A request may be tried again several times, so retries are no share.
            (metric, Bound::OfRequests(_)) if metric != "retries" => {
                both(metric).map_or(Chance::None, |counts| {
                    let shares = (counts.0 / requests.0, counts.1 / requests.1);
                    Chance::Requests(requests.0 * chance::of_shares(shares, requests))
                })
            }
            _ => Chance::None,
        }
    }

    pub(super) fn allows(self, wanted: f64, value: f64) -> bool {
        match self {
            Chance::None => false,
            Chance::Ratio(off) | Chance::Requests(off) => (value - wanted).abs() <= off,
            Chance::Times(low, high) => (low..=high).contains(&value),
        }
    }

    /// In words, if it allows more than the bound does.
    pub(super) fn words(self, wanted: f64, bound: Bound, requests: f64) -> Option<String> {
        match (self, bound) {
            (Chance::Ratio(off), Bound::Points(points)) if 100.0 * off > points => {
                Some(format!("by chance {}", format::significant(100.0 * off, 2)))
            }
            (Chance::Requests(off), Bound::OfRequests(part)) if off > part * requests => {
                let percent = 100.0 * off / requests;
                Some(format!("by chance {} %", format::significant(percent, 2)))
            }
            (Chance::Times(low, high), Bound::PartOrTime(part, ms)) => {
                let most = (part * wanted).max(ms);
                let is_more = high - wanted > most || wanted - low > most;
                is_more
                    .then(|| format!("by chance {} to {}", format::time(low), format::time(high)))
            }
            _ => None,
        }
    }
}

/// A figure with its metric and its bounds: between worlds in virtual time, and where one of the two is live.
pub(super) struct Figure {
    pub(super) title: &'static str,
    pub(super) metric: &'static str,
    pub(super) virtual_time: Bound,
    pub(super) live: Bound,
}

const fn figure(title: &'static str, metric: &'static str, bound: Bound) -> Figure {
    Figure { title, metric, virtual_time: bound, live: bound }
}

const fn time(title: &'static str, metric: &'static str, part: f64, ms: f64) -> Figure {
    let live = Bound::PartOrTime(part, 20.0 * ms);
    Figure { title, metric, virtual_time: Bound::PartOrTime(part, ms), live }
}

const ERRORS: Bound = Bound::OfRequests(0.005);

pub(super) const FIGURES: [Figure; 14] = [
    figure("requests", "requests", Bound::Part(0.02)),
    figure("rate", "rate", Bound::Part(0.02)),
    figure("success", "success_ratio", Bound::Points(0.5)),
    time("mean", "latency.mean", 0.05, 0.1),
    time("p50", "latency.p50", 0.05, 0.1),
    time("p99", "latency.p99", 0.1, 0.2),
    figure("failed", "failed", ERRORS),
    figure("timed out", "timed_out", ERRORS),
    figure("refused", "refused", ERRORS),
    figure("dropped", "dropped", ERRORS),
    figure("retries", "retries", ERRORS),
    figure("cache hits", "cache.hit_ratio", Bound::Points(1.0)),
    figure("limited", "limited_ratio", Bound::Points(0.5)),
    figure("shed", "shed_ratio", Bound::Points(2.0)),
];

/// How far apart the part of an endpoint in all requests may be, in points.
pub(super) const SHARE: f64 = 2.0;

/// How far apart two values are, in words, and whether that is within the bound; of a run of so many requests.
pub(super) fn compare(wanted: f64, value: f64, bound: Bound, requests: f64) -> (String, Standing) {
    let off = value - wanted;
    let standing = |is_within| if is_within { Standing::Within } else { Standing::Apart };
    match bound {
        Bound::Part(part) | Bound::PartOrTime(part, _) => {
            let floor = if let Bound::PartOrTime(_, ms) = bound { ms } else { 0.0 };
            let is_within = off.abs() <= (part * wanted.abs()).max(floor);
            let words = if off == 0.0 {
                signed(0.0, "%")
            } else if wanted == 0.0 {
                "from nothing".to_owned()
            } else {
                signed(100.0 * off / wanted.abs(), "%")
            };
            (words, standing(is_within))
        }
        Bound::Points(points) => {
            (signed(100.0 * off, "points"), standing(100.0 * off.abs() <= points))
        }
        Bound::OfRequests(part) => {
            // One request more or less is nothing, however few there were.
            let is_within = off.abs() <= (part * requests).max(1.0);
            let of_requests = if requests > 0.0 { 100.0 * off / requests } else { 0.0 };
            (signed(of_requests, "% of requests"), standing(is_within))
        }
    }
}

/// A difference with its sign.
pub(super) fn signed(value: f64, unit: &str) -> String {
    let digits = if value.abs() < 1.0 { 1 } else { 2 };
    let size = if value.abs() < 0.05 { 0.0 } else { value.abs() };
    let sign = match size {
        0.0 => "",
        _ if value < 0.0 => "−",
        _ => "+",
    };
    format!("{sign}{} {unit}", format::significant(size, digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_have_a_sign_and_no_noise() {
        let shown: Vec<String> =
            [0.0, 0.049, -0.3, 3.24, -12.345, 250.0].map(|value| signed(value, "%")).into();
        assert_eq!(shown, ["0 %", "0 %", "−0.3 %", "+3.2 %", "−12 %", "+250 %"]);
    }

    #[test]
    fn of_a_success_that_is_whole_nothing_is_chance() {
        assert_eq!(Chance::Ratio(0.0).words(1.0, Bound::Points(0.5), 4000.0), None);
    }

    #[test]
    fn a_bound_is_a_part_or_what_does_not_matter() {
        let p50 = Bound::PartOrTime(0.05, 0.5);
        assert_eq!(p50.words(), "5 % or 500 µs");
        let standing = |wanted, value| compare(wanted, value, p50, 1e4).1;
        assert_eq!(standing(20.0, 21.0), Standing::Within);
        assert_eq!(standing(20.0, 21.1), Standing::Apart);
        assert_eq!(standing(1.0, 1.5), Standing::Within);
        assert_eq!(standing(1.0, 1.6), Standing::Apart);
        let failed = Bound::OfRequests(0.005);
        assert_eq!(compare(0.0, 50.0, failed, 1e4).1, Standing::Within);
        assert_eq!(
            compare(0.0, 51.0, failed, 1e4),
            ("+0.5 % of requests".to_owned(), Standing::Apart)
        );
        assert_eq!(compare(0.0, 1.0, failed, 10.0).1, Standing::Within);
    }
}
