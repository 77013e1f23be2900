//! What a pick costs, by strategy and number of endpoints.
//!
//! ```text
//! cargo bench -p policy --bench picks [-- [PART OF A STRATEGY'S NAME]]
//! ```
//!
//! Nanoseconds of one core for a request's decisions: `pick`, the count in flight up, `on_start`, and for the oldest of a window
//! of requests under way the count down and `on_end`. The window is a request for each two endpoints, so that about half are idle.
//! Each figure is the median of seven rounds; the last column is 10,000 endpoints by 10. "equal" weights are all 1, "different"
//! ones are 1 to 10,000, no two alike. 10,000 endpoints' figures do not fit into the nearer caches, and reading a counter of one that
//! is drawn at random costs a fetch, whatever the strategy: the line "(only a draw)" draws one, counts it up and the oldest
//! down, and decides nothing.
//!
//! A strategy that wants to know how loaded endpoints are is told at once: each probe that it asks for is answered, and each
//! end of a request is a report. That is counted, too.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant as Wall},
};

use policy::{
    Balancer, Candidates, Endpoint, Endpoints, Instant, LoadReport, Outcome, Rng, Seed,
    balance::{Needs, STRATEGIES, Strategy},
    endpoint::View,
    rng::mix,
};

const SIZES: [usize; 4] = [10, 100, 1000, 10_000];
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(25);

/// Draws an endpoint and decides nothing: what the memory costs.
#[derive(Debug)]
struct OnlyADraw;

impl Balancer for OnlyADraw {
    fn name(&self) -> &'static str {
        "(only a draw)"
    }

    fn pick(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
        view.ready.get(rng.index(view.ready.len())).copied()
    }
}

/// A worker, and the requests that it has under way.
struct Bench {
    endpoints: Endpoints,
    candidates: Candidates,
    balancer: Box<dyn Balancer>,
    rng: Rng,
    now: Instant,
    under_way: VecDeque<(u32, Instant)>,
    wants: Wants,
}

/// What the strategy wants to know of endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    Nothing,
    Reports,
    Probes,
}

impl Bench {
    fn new(
        (balancer, wants): (Box<dyn Balancer>, Wants),
        weights: impl Iterator<Item = u32>,
    ) -> Self {
        // By name they are told apart by those who choose by a key.
        let endpoint =
            |(i, weight): (u32, u32)| Arc::new(Endpoint::new(format!("e{i}"), weight, u32::MAX));
        let list: Vec<_> = (0..).zip(weights).map(endpoint).collect();
        let window = list.len() / 2;
        let mut bench = Self {
            endpoints: Endpoints::new(list),
            candidates: Candidates::new(0.5),
            balancer,
            rng: Seed(7).stream("picks"),
            now: Instant::START,
            under_way: VecDeque::with_capacity(window + 1),
            wants,
        };
        (0..window).for_each(|_| bench.begin());
        bench
    }

    fn begin(&mut self) {
        self.now += Duration::from_micros(10);
        self.candidates.refresh(&self.endpoints);
        let view = self.candidates.view(&self.endpoints, &[], self.now);
        // Each request has a key of its own.
        let view = view.with_key(Some(mix(self.now.as_nanos())));
        let index = self.balancer.pick(&view, &mut self.rng).expect("all are ready");
        assert!(self.endpoints.list()[index as usize].try_begin(), "there are no limits");
        self.balancer.on_start(index, self.now);
        self.under_way.push_back((index, self.now));
        if self.wants == Wants::Probes {
            while let Some(asked) = self.balancer.next_probe() {
                let report = self.report(asked);
                self.balancer.on_probe(asked, self.now, Some(&report));
            }
        }
    }

    fn end(&mut self) {
        let Some((index, begun)) = self.under_way.pop_front() else { return };
        self.endpoints.list()[index as usize].end();
        if self.wants == Wants::Reports {
            let report = self.report(index);
            self.balancer.on_report(index, self.now, &report);
        }
        self.balancer.on_end(index, self.now, self.now.since(begun), Outcome::Success);
    }

    fn report(&self, index: u32) -> LoadReport {
        let in_flight = self.endpoints.list()[index as usize].in_flight();
        LoadReport {
            utilization: 0.5 + f64::from(index % 64) / 128.0,
            rate: 100.0,
            in_flight,
            queue: in_flight,
            latency: Duration::from_millis(5) * (in_flight + 1),
            service_time: Duration::from_millis(5),
            ..LoadReport::default()
        }
    }

    /// Nanoseconds a request.
    fn measure(&mut self) -> f64 {
        let mut rounds: Vec<f64> = (0..=ROUNDS).map(|_| self.round()).collect();
        // The first warms the caches.
        rounds.remove(0);
        rounds.sort_by(f64::total_cmp);
        rounds[ROUNDS / 2]
    }

    fn round(&mut self) -> f64 {
        let (begun, mut requests) = (Wall::now(), 0_u32);
        while begun.elapsed() < ROUND {
            for _ in 0..16 {
                self.begin();
                self.end();
            }
            requests += 16;
        }
        begun.elapsed().as_secs_f64() * 1e9 / f64::from(requests)
    }
}

/// The weights 1 to 10,000 in an order of no meaning, no two alike.
fn different(index: usize) -> u32 {
    (index * 7919 % 10_000) as u32 + 1
}

fn line(name: &str, weights: &str, make: impl Fn(usize) -> Bench) {
    let figures: Vec<f64> = SIZES.iter().map(|&size| make(size).measure()).collect();
    print!("{name:<20} {weights:<10}");
    for figure in &figures {
        print!(" {figure:>10.0}");
    }
    let picks = 1e3 / figures[0];
    println!(" {:>9.1} {picks:>10.1}", figures[SIZES.len() - 1] / figures[0]);
}

fn main() {
    let part = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    println!("Nanoseconds a request, by number of endpoints.\n");
    print!("{:<20} {:<10}", "STRATEGY", "WEIGHTS");
    for size in SIZES {
        print!(" {size:>10}");
    }
    println!(" {:>9} {:>10}", "BY 10", "M/s AT 10");
    line("(only a draw)", "equal", |size| {
        Bench::new((Box::new(OnlyADraw), Wants::Nothing), std::iter::repeat_n(1, size))
    });
    for info in STRATEGIES {
        if part.as_ref().is_some_and(|part| !info.name.contains(part.as_str())) {
            continue;
        }
        let build = || {
            let strategy = Strategy::named(info.name).expect("registered");
            let wants = match strategy.needs() {
                Needs::Nothing => Wants::Nothing,
                Needs::Reports => Wants::Reports,
                Needs::Probes { .. } => Wants::Probes,
            };
            (strategy.build(), wants)
        };
        line(info.name, "equal", |size| Bench::new(build(), std::iter::repeat_n(1, size)));
        line(info.name, "different", |size| Bench::new(build(), (0..size).map(different)));
    }
}
