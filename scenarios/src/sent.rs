//! What each of several proxies has sent to each endpoint: who of them had how much to do, and how evenly each sent it on.
//!
//! Every proxy has a view of its own of the endpoints (`policy::endpoint::Endpoint`), which counts the requests begun; so the figures are
//! there, in every world, and are only read: at the end of the warm-up, at the steps of the charts, and at the end. With one proxy
//! nothing is read, since that is what the clients see.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use policy::endpoint::Endpoint;
use reports::{Measurement, record::MAX_ENDPOINT_SERIES, record::ProxyRow, record::Spread};

use crate::{fleet::Member, language::Scenario};

/// Requests begun, by proxy and view of an endpoint, since the start. Empty where there is one proxy.
#[derive(Clone, Debug, Default)]
pub struct Sent(Vec<Vec<(Arc<Endpoint>, u64)>>);

impl Sent {
    /// As it is now, by all endpoints that each proxy has had; one that several sets share may come several times.
    pub fn read<'a, E>(proxies: impl Iterator<Item = E>) -> Self
    where
        E: Iterator<Item = &'a Arc<Endpoint>>,
    {
        let proxies: Vec<E> = proxies.collect();
        if proxies.len() < 2 {
            return Self::default();
        }
        let each = |endpoints: E| {
            let distinct: BTreeMap<_, _> = endpoints.map(|one| (Arc::as_ptr(one), one)).collect();
            distinct.into_values().map(|one| (Arc::clone(one), one.requests())).collect()
        };
        Self(proxies.into_iter().map(each).collect())
    }

    /// What each proxy has sent to each endpoint, by their names, since `before`.
    fn since(&self, before: &Self) -> Vec<Vec<u64>> {
        let of = |(place, endpoints): (usize, &Vec<(Arc<Endpoint>, u64)>)| {
            let earlier = before.0.get(place).into_iter().flatten();
            let earlier: BTreeMap<_, _> =
                earlier.map(|(one, count)| (Arc::as_ptr(one), *count)).collect();
            let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
            for (one, count) in endpoints {
                let earlier = earlier.get(&Arc::as_ptr(one)).copied().unwrap_or(0);
                *by_name.entry(&one.name).or_default() += count.saturating_sub(earlier);
            }
            by_name.into_values().collect()
        };
        self.0.iter().enumerate().map(of).collect()
    }

    /// How evenly the proxies had to work, in words; nothing where there is one, or where they did nothing.
    pub fn note(&self) -> Option<String> {
        let sent: Vec<u64> =
            self.since(&Self::default()).iter().map(|counts| counts.iter().sum()).collect();
        let (least, most) = (sent.iter().min()?, sent.iter().max()?);
        let mean = sent.iter().sum::<u64>() as f64 / sent.len() as f64;
        let imbalance = Spread::of(&sent)?.imbalance;
        Some(format!(
            "each of the {} proxies sent {least} to {most} requests to endpoints, {mean:.0} in the mean: an imbalance of {imbalance:.2}",
            sent.len(),
        ))
    }
}

/// What was read at the moments that matter.
#[derive(Debug, Default)]
pub struct Courses {
    warmup: Duration,
    /// From one point of the charts over time to the next.
    step: Duration,
    at_warmup: Sent,
    /// At the last point of the charts.
    last: Sent,
    /// The end of each step, and what each proxy sent in it to each endpoint.
    steps: Vec<(Duration, Vec<Step>)>,
}

/// One proxy in one step.
#[derive(Clone, Copy, Debug)]
struct Step {
    rate: f64,
    imbalance: Option<f64>,
}

impl Courses {
    /// With charts in such steps.
    pub fn new(warmup: Duration, step: Duration) -> Self {
        Self { warmup, step, ..Self::default() }
    }

    /// Takes the reading of this moment.
    pub fn take(&mut self, at: Duration, sent: Sent) {
        if at == self.warmup {
            self.at_warmup = sent.clone();
        }
        let is_point = at.as_nanos().is_multiple_of(self.step.as_nanos());
        if !is_point || !(2..=MAX_ENDPOINT_SERIES).contains(&sent.0.len()) {
            return;
        }
        self.steps.push((at, self.step(&sent)));
        self.last = sent;
    }

    /// Since the last point.
    fn step(&self, sent: &Sent) -> Vec<Step> {
        let seconds = self.step.as_secs_f64();
        let of = |counts: &Vec<u64>| Step {
            rate: counts.iter().sum::<u64>() as f64 / seconds,
            imbalance: Spread::of(counts).map(|spread| spread.imbalance),
        };
        sent.since(&self.last).iter().map(of).collect()
    }

    /// Puts rows and courses into a measurement; `end` is how it stood at the end.
    pub fn insert_into(&self, measurement: &mut Measurement, scenario: &Scenario, end: &Sent) {
        let names: Vec<String> = Member::all(scenario).map(Member::name).collect();
        let counts = end.since(&self.at_warmup);
        // Where nothing more happens before the next point, that is not read.
        let next = self.steps.last().map(|(at, _)| *at + self.step);
        let rest = next.filter(|at| *at <= scenario.duration.0).map(|at| (at, self.step(end)));
        let steps = || self.steps.iter().chain(&rest);
        for (place, name) in names.iter().enumerate().take(counts.len()) {
            let course = |of: &dyn Fn(&Step) -> Option<f64>| -> Vec<(u64, f64)> {
                let middle = |at: Duration| at.saturating_sub(self.step / 2).as_nanos() as u64;
                let point = |(at, steps): &(Duration, Vec<Step>)| {
                    Some((middle(*at), of(steps.get(place)?)?))
                };
                steps().filter_map(point).collect()
            };
            let rates = course(&|step| Some(step.rate));
            if !rates.is_empty() {
                measurement.series.insert("proxy_rps", name, &rates);
                measurement.series.insert("proxy_imbalance", name, &course(&|step| step.imbalance));
            }
        }
        measurement.proxies = ProxyRow::of_all(names.into_iter().zip(counts).collect());
    }
}
