//! How good the decisions of a variant were, whatever the latencies came to: who got how much.
//!
//! Shares and imbalance are medians over seeds; in-flight quantiles are over all endpoints, intervals and seeds, so the
//! maximum is the fullest that any endpoint was for an interval.

use crate::run::Run;
use crate::statistics::median;

/// How the requests were spread.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quality {
    /// The share of the slow endpoint; where none is slow, of the busiest.
    pub share: Option<f64>,
    /// Requests of the busiest over the mean.
    pub imbalance: Option<f64>,
    /// Jain's index.
    pub jain: Option<f64>,
    /// In flight to one endpoint: median, 99th percentile, most.
    pub in_flight: Option<[f64; 3]>,
    /// Where there are several proxies, how uneven the endpoints' shares are in the eyes of one: the median over proxies and seeds.
    pub one_proxy: Option<f64>,
    /// Each endpoint's share, in their order.
    pub shares: Vec<(String, f64)>,
}

impl Quality {
    pub(super) fn of(runs: &[&Run], slow: Option<&str>) -> Self {
        let metric = |name: &str| median(&super::figures(runs, name));
        let shares = shares(runs);
        let busiest = shares.iter().map(|(_, share)| *share).max_by(f64::total_cmp);
        let share = match slow {
            Some(slow) => shares.iter().find(|(name, _)| name == slow).map(|(_, share)| *share),
            None => busiest,
        };
        Quality {
            share,
            imbalance: metric("imbalance"),
            jain: metric("jain"),
            in_flight: in_flight(runs),
            one_proxy: median(&one_proxy(runs)),
            shares,
        }
    }
}

/// The endpoint that the first event of its kind slows down.
pub(super) fn slowed(run: &Run) -> Option<String> {
    let slow = run.events.iter().find_map(|event| event.label.strip_prefix("slow "))?;
    let name = slow.split_whitespace().next()?;
    let is_one = run.measurement.endpoints.iter().any(|row| row.name == name);
    is_one.then(|| name.to_owned())
}

fn shares(runs: &[&Run]) -> Vec<(String, f64)> {
    let Some(first) = runs.iter().find(|run| !run.measurement.endpoints.is_empty()) else {
        return Vec::new();
    };
    let rows = first.measurement.endpoints.iter().enumerate();
    rows.map(|(place, row)| {
        let of_run = |run: &&Run| run.measurement.endpoints.get(place).map(|row| row.share);
        let values: Vec<f64> = runs.iter().filter_map(of_run).collect();
        (row.name.clone(), median(&values).unwrap_or(0.0))
    })
    .collect()
}

fn one_proxy(runs: &[&Run]) -> Vec<f64> {
    let rows = runs.iter().flat_map(|run| &run.measurement.proxies);
    rows.filter_map(|row| row.imbalance).collect()
}

fn in_flight(runs: &[&Run]) -> Option<[f64; 3]> {
    let mut values = Vec::new();
    for run in runs {
        let series = &run.measurement.series;
        for line in series.lines_of("endpoint_in_flight") {
            let measured = series.slots.iter().zip(&line.values).filter(|(s, _)| !s.is_warmup);
            values.extend(measured.filter_map(|(_, value)| *value));
        }
    }
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let at = |quantile: f64| values[(quantile * last as f64).round() as usize];
    Some([at(0.5), at(0.99), at(1.0)])
}
