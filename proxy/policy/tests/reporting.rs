//! The strategies that go by what endpoints say of their load: against plain renderings of their rules, and whom they may pick.

mod common;

use std::{sync::Arc, time::Duration};

use common::{limited, strategies, weighted};
use policy::{
    Balancer, Candidates, Endpoint, Endpoints, Instant, LoadReport, Outcome, Rng, Seed, Transition,
    View,
    balance::{self, BalanceConfig, Needs, Strategy as Balance, c3, prequal, weighted_by_load},
    quantity::TimeSpan,
};
use proptest::{collection::vec, prelude::*};

/// One worker at a time of its own.
struct Worker {
    candidates: Candidates,
    balancer: Box<dyn Balancer>,
    rng: Rng,
    now: Instant,
}

impl Worker {
    fn new(strategy: &Balance, seed: u64) -> Self {
        Self {
            candidates: Candidates::new(0.0),
            balancer: strategy.build(),
            rng: Seed(seed).stream("balancer"),
            now: Instant::START,
        }
    }

    fn pick(&mut self, endpoints: &Endpoints, tried: &[u32]) -> Option<u32> {
        self.candidates.refresh(endpoints);
        let view = self.candidates.view(endpoints, tried, self.now);
        self.balancer.pick(&view, &mut self.rng)
    }

    fn counts(&mut self, endpoints: &Endpoints, picks: usize) -> Vec<f64> {
        let mut counts = vec![0.0; endpoints.list().len()];
        for _ in 0..picks {
            counts[self.pick(endpoints, &[]).expect("all are ready") as usize] += 1.0;
        }
        counts
    }

    fn probes(&mut self) -> Vec<u32> {
        std::iter::from_fn(|| self.balancer.next_probe()).collect()
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }
}

/// An endpoint that answers `rate` a second with this part of itself, of which so many fail.
fn load(rate: f64, utilization: f64, errors: f64) -> LoadReport {
    LoadReport { rate, utilization, errors, ..LoadReport::default() }
}

fn probed(in_flight: u32, millis: u64) -> LoadReport {
    LoadReport { in_flight, latency: Duration::from_millis(millis), ..LoadReport::default() }
}

#[derive(Clone, Debug)]
enum Step {
    Pick(Vec<u32>),
    End(usize),
    Report(u32, LoadReport),
    Probe(u32, Option<LoadReport>),
    Turn(u32),
    Wait(u64),
}

fn report() -> impl Strategy<Value = LoadReport> {
    (0_u32..200, 0.0_f64..2.0, 0_u32..50, 0_u64..500).prop_map(
        |(rate, utilization, jobs, millis)| LoadReport {
            utilization,
            rate: f64::from(rate),
            errors: f64::from(rate / 3),
            in_flight: jobs,
            queue: jobs / 2,
            latency: Duration::from_millis(millis),
            service_time: Duration::from_millis(millis / 2),
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => vec(0_u32..10, 0..3).prop_map(Step::Pick),
        3 => (0_usize..64).prop_map(Step::End),
        3 => (0_u32..10, report()).prop_map(|(index, report)| Step::Report(index, report)),
        4 => (0_u32..10, proptest::option::weighted(0.9, report()))
            .prop_map(|(index, answer)| Step::Probe(index, answer)),
        1 => (0_u32..10).prop_map(Step::Turn),
        2 => (1_u64..2000).prop_map(Step::Wait),
    ]
}

fn reporting() -> impl Iterator<Item = Balance> {
    strategies().filter(|strategy| strategy.needs() != Needs::Nothing).chain([
        Balance::WeightedByLoad(weighted_by_load::Config {
            blackout: TimeSpan::millis(0),
            update: TimeSpan::millis(100),
            ..weighted_by_load::Config::default()
        }),
        Balance::C3(c3::Config { rate_control: true, ..c3::Config::default() }),
        Balance::Prequal(prequal::Config { pool: 3, quantile: 0.5, ..prequal::Config::default() }),
    ])
}

proptest! {
    /// Whatever they are told, and by whomever: who is out, tried or full is not named, and somebody is as long as anybody may be.
    #[test]
    fn nobody_is_named_who_may_not_be_taken(
        list in vec((1_u32..10, 1_u32..4), 1..10), steps in vec(step(), 1..150), seed: u64,
    ) {
        for strategy in reporting() {
            let endpoints = limited(&list);
            let mut worker = Worker::new(&strategy, seed);
            let mut running: Vec<u32> = vec![];
            for step in steps.clone() {
                let count = list.len() as u32;
                match step {
                    Step::Pick(tried) => {
                        let may = |index: u32| {
                            let endpoint = &endpoints.list()[index as usize];
                            endpoint.is_ready() && !endpoint.is_full() && !tried.contains(&index)
                        };
                        let picked = worker.pick(&endpoints, &tried);
                        prop_assert_eq!(picked.is_some(), (0..count).any(may), "{}", strategy.name());
                        prop_assert!(picked.is_none_or(may), "{} names {:?}", strategy.name(), picked);
                        if let Some(index) = picked {
                            prop_assert!(endpoints.list()[index as usize].try_begin());
                            worker.balancer.on_start(index, worker.now);
                            running.push(index);
                        }
                        let probes = worker.probes();
                        prop_assert!(probes.len() <= 16);
                        let ready = |index: &u32| endpoints.list()[*index as usize].is_ready();
                        prop_assert!(probes.iter().all(ready));
                        let different: std::collections::BTreeSet<_> = probes.iter().collect();
                        prop_assert_eq!(different.len(), probes.len());
                    }
                    Step::End(place) if !running.is_empty() => {
                        let index = running.swap_remove(place % running.len());
                        endpoints.list()[index as usize].end();
                        let took = Duration::from_millis(place as u64);
                        worker.balancer.on_end(index, worker.now, took, Outcome::Success);
                    }
                    Step::Report(index, report) if index < count => {
                        worker.balancer.on_report(index, worker.now, &report);
                    }
                    Step::Probe(index, answer) if index < count => {
                        worker.balancer.on_probe(index, worker.now, answer.as_ref());
                    }
                    Step::End(_) | Step::Report(..) | Step::Probe(..) => {}
                    Step::Turn(index) => {
                        let index = index % count;
                        let up = endpoints.list()[index as usize].is_up();
                        endpoints.set_up(index, if up { Transition::Down } else { Transition::Up });
                    }
                    Step::Wait(millis) => worker.wait(Duration::from_millis(millis)),
                }
            }
        }
    }

    /// In turns by rate / (utilisation + errors / rate × penalty): each is off by one for itself, and by its share of what all
    /// others are off.
    #[test]
    fn weights_are_what_reports_make_of_them(
        list in vec((1_u32..300, 0.01_f64..1.5, 0.0_f64..1.0), 2..12), penalty in 0.0_f64..3.0, seed: u64,
    ) {
        const PICKS: usize = 3000;
        let endpoints = weighted(&(1..=list.len() as u32).collect::<Vec<_>>());
        let config = weighted_by_load::Config { error_penalty: penalty, ..weighted_by_load::Config::default() };
        let mut worker = Worker::new(&Balance::WeightedByLoad(config), seed);
        for second in 0..=11 {
            for (index, (rate, utilization, failing)) in (0..).zip(&list) {
                let rate = f64::from(*rate);
                let report = load(rate, *utilization, rate * failing);
                worker.balancer.on_report(index, Instant::START + Duration::from_secs(second), &report);
            }
        }
        worker.wait(Duration::from_secs(11));
        let weight = |i: usize| f64::from(list[i].0) / (list[i].1 + list[i].2 * penalty);
        let total: f64 = (0..list.len()).map(weight).sum();
        for (i, count) in worker.counts(&endpoints, PICKS).iter().enumerate() {
            let share = weight(i) / total;
            let bound = 1.0 + list.len() as f64 * share + 1e-6;
            prop_assert!((count - PICKS as f64 * share).abs() <= bound, "{i}: {count}, not {share} of {PICKS}");
        }
    }

    /// The rule of the paper: of those that may be taken the fastest cold one, else the hot one with the fewest in flight.
    #[test]
    fn prequal_goes_by_the_rule(
        list in vec((0_u32..12, 1_u64..50, any::<bool>()), 2..12), quantile in 0.0_f64..=1.0, seed: u64,
    ) {
        let endpoints = limited(&vec![(1, 1); list.len()]);
        let config = prequal::Config { quantile, ..prequal::Config::default() };
        let mut worker = Worker::new(&Balance::Prequal(config), seed);
        prop_assert!(worker.pick(&endpoints, &[]).is_some());
        for (index, (rif, millis, full)) in (0..).zip(&list) {
            worker.balancer.on_probe(index, worker.now, Some(&probed(*rif, *millis)));
            if *full {
                prop_assert!(endpoints.list()[index as usize].try_begin());
            }
        }
        let mut rifs: Vec<u32> = list.iter().map(|each| each.0).collect();
        rifs.sort_unstable();
        let hot = rifs[((quantile * rifs.len() as f64).ceil() as usize).max(1) - 1];
        let free: Vec<_> = list.iter().filter(|each| !each.2).collect();
        let picked = worker.pick(&endpoints, &[]).map(|index| &list[index as usize]);
        prop_assert_eq!(picked.is_some(), !free.is_empty());
        if let (Some((rif, millis, full)), true) = (picked, free.len() >= 2) {
            prop_assert!(!full);
            let cold = free.iter().filter(|each| each.0 <= hot);
            if let Some(fastest) = cold.map(|each| each.1).min() {
                prop_assert!(*rif <= hot && *millis == fastest);
            } else {
                prop_assert_eq!(Some(*rif), free.iter().map(|each| each.0).min());
            }
        }
    }

    /// The score as it is written, of figures that are given once.
    #[test]
    fn c3_takes_the_lowest_score(
        list in vec((1_u32..5, 0_u32..6, 0_u32..6, 1_u64..100, 1_u64..100), 1..12), clients in 1_u32..4, seed: u64,
    ) {
        let endpoints = weighted(&list.iter().map(|each| each.0).collect::<Vec<_>>());
        let mut worker = Worker::new(&Balance::C3(c3::Config { clients, ..c3::Config::default() }), seed);
        prop_assert!(worker.pick(&endpoints, &[]).is_some());
        for (index, (_, busy, queue, service, waiting)) in (0..).zip(&list) {
            (0..*busy).for_each(|_| assert!(endpoints.list()[index as usize].try_begin()));
            let service_time = Duration::from_millis(*service);
            let report = LoadReport { queue: *queue, service_time, ..LoadReport::default() };
            worker.balancer.on_report(index, worker.now, &report);
            let took = Duration::from_millis(service + waiting);
            worker.balancer.on_end(index, worker.now, took, Outcome::Success);
        }
        let score = |i: usize| {
            let (weight, busy, queue, service, waiting) = list[i];
            let queue = f64::from(1 + busy * clients + queue) / f64::from(weight);
            waiting as f64 + queue.powi(3) * service as f64
        };
        let picked = worker.pick(&endpoints, &[]).expect("all are ready") as usize;
        prop_assert!((0..list.len()).all(|i| score(picked) <= score(i) * (1.0 + 1e-9)));
    }
}

/// Until reports have come for the time of the blackout they do not count, and when they have become too old they count no more; who
/// has none gets the mean of the others.
#[test]
fn reports_count_after_the_blackout_and_until_they_expire() {
    let endpoints = weighted(&[1; 4]);
    let mut worker = Worker::new(&Balance::named("weighted_by_load").expect("registered"), 5);
    let report = |worker: &mut Worker, endpoints: std::ops::Range<u32>| {
        for index in endpoints {
            // The first has half the weight of the second, and a quarter of the third's.
            let rate = 10.0 * f64::from(1 << index);
            worker.balancer.on_report(index, worker.now, &load(rate, 0.5, 0.0));
        }
    };
    let even = vec![250.0; 4];
    for _ in 0..9 {
        report(&mut worker, 0..3);
        assert_eq!(worker.counts(&endpoints, 1000), even);
        worker.wait(Duration::from_secs(1));
    }
    worker.wait(Duration::from_secs(2));
    report(&mut worker, 0..3);
    let near = |found: Vec<f64>, expected: [f64; 4]| {
        let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off <= 2.0, "{found:?}, not {expected:?}");
    };
    // Of 1, 2, 4 the mean is 7/3.
    near(worker.counts(&endpoints, 2800), [300.0, 600.0, 1200.0, 700.0]);
    worker.wait(Duration::from_secs(179));
    report(&mut worker, 1..3);
    // The first's have expired: of 2, 4 the mean is 3.
    worker.wait(Duration::from_secs(1));
    near(worker.counts(&endpoints, 1200), [300.0, 200.0, 400.0, 300.0]);
    worker.wait(Duration::from_secs(179));
    report(&mut worker, 1..2);
    worker.wait(Duration::from_secs(1));
    // One alone is no weight.
    assert_eq!(worker.counts(&endpoints, 1000), even);
}

/// Three probes with each request, of endpoints drawn evenly, or by weight; a third of one each third request.
#[test]
fn probes_are_asked_for_as_often_as_it_says() {
    for (probes, expected) in [(3.0, 3000), (0.5, 500), (16.0, 10_000)] {
        let endpoints = weighted(&[1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
        let config = prequal::Config { probes, ..prequal::Config::default() };
        let mut worker = Worker::new(&Balance::Prequal(config), 3);
        let mut counts = [0; 10];
        for _ in 0..1000 {
            assert!(worker.pick(&endpoints, &[]).is_some());
            worker.probes().iter().for_each(|index| counts[*index as usize] += 1);
        }
        assert_eq!(counts.iter().sum::<i32>(), expected, "{probes}");
        let light: i32 = counts[..5].iter().sum();
        assert!(
            probes > 10.0 || light * 2 > expected * 2 / 3 - 200 && light < expected / 2,
            "{counts:?}"
        );
    }
}

/// An answer is used for a second, and as often as the formula says; a probe that nobody answers takes back what was known.
#[test]
fn what_probes_have_said_is_used_up() {
    let endpoints = weighted(&[1; 100]);
    let config =
        prequal::Config { probes: 2.0, remove: 0.0, delta: 4.0, ..prequal::Config::default() };
    // (1 + 4) / (0.84 × 2): 2.976 times.
    let mut uses = 0;
    for seed in 0..1000 {
        let mut worker = Worker::new(&Balance::Prequal(config.clone()), seed);
        assert!(worker.pick(&endpoints, &[]).is_some());
        // The best and a second one, without which it would be random.
        worker.balancer.on_probe(0, worker.now, Some(&probed(0, 1)));
        worker.balancer.on_probe(1, worker.now, Some(&probed(1000, 100)));
        uses += (0..10).take_while(|_| worker.pick(&endpoints, &[]) == Some(0)).count();
    }
    let mean = uses as f64 / 1000.0;
    assert!((mean - 2.976).abs() < 0.05, "{mean}");

    let endpoints = weighted(&[1; 3]);
    let mut worker = Worker::new(&Balance::named("prequal").expect("registered"), 3);
    let fill = |worker: &mut Worker| {
        for index in 0..3 {
            let report = probed(0, if index == 1 { 1 } else { 100 });
            worker.balancer.on_probe(index, worker.now, Some(&report));
        }
    };
    assert!(worker.pick(&endpoints, &[]).is_some());
    let best = |worker: &mut Worker, wait: Duration, unanswered: bool| {
        let picks = (0..300).filter(|_| {
            fill(worker);
            worker.wait(wait);
            if unanswered {
                worker.balancer.on_probe(1, worker.now, None);
            }
            worker.pick(&endpoints, &[]) == Some(1)
        });
        picks.count()
    };
    assert_eq!(best(&mut worker, Duration::from_millis(999), false), 300);
    assert_eq!(best(&mut worker, Duration::from_millis(999), true), 0);
    let random = best(&mut worker, Duration::from_secs(1), false);
    assert!((60..140).contains(&random), "{random}");
}

/// What it has sent somewhere counts there at once, before any probe says so.
#[test]
fn prequal_counts_what_it_has_sent() {
    let endpoints = weighted(&[1; 4]);
    let config = prequal::Config { remove: 0.0, ..prequal::Config::default() };
    let mut worker = Worker::new(&Balance::Prequal(config), 3);
    assert!(worker.pick(&endpoints, &[]).is_some());
    for index in 0..4 {
        let report = probed(index, 10 + u64::from(index));
        worker.balancer.on_probe(index, worker.now, Some(&report));
    }
    // Hot is who has more than 3. The fastest is cold four times, then the next.
    let picks: Vec<_> =
        (0..10).map(|_| worker.pick(&endpoints, &[]).expect("all are ready")).collect();
    assert_eq!(picks, [0, 0, 0, 0, 1, 1, 1, 2, 2, 3]);
}

/// Nothing is known of a new one, nor of one that has not answered for long: it is tried, but not by everybody at once.
#[test]
fn c3_tries_whom_it_does_not_know() {
    let endpoints = weighted(&[1; 3]);
    let mut worker = Worker::new(&Balance::named("c3").expect("registered"), 3);
    assert!(worker.pick(&endpoints, &[]).is_some());
    let answer = |worker: &mut Worker, index: u32, millis: u64| {
        let took = Duration::from_millis(millis);
        worker.balancer.on_report(
            index,
            worker.now,
            &LoadReport { service_time: took, ..LoadReport::default() },
        );
        worker.balancer.on_end(index, worker.now, took, Outcome::Success);
    };
    answer(&mut worker, 0, 10);
    answer(&mut worker, 1, 1000);
    let begin = |worker: &mut Worker| {
        let index = worker.pick(&endpoints, &[]).expect("all are ready");
        assert!(endpoints.list()[index as usize].try_begin());
        index
    };
    let mut counts = [0; 3];
    (0..8).for_each(|_| counts[begin(&mut worker) as usize] += 1);
    // The known fast one and the unknown one are as good as each other; the slow one would be the hundredth part as good.
    assert_eq!(counts, [4, 0, 4]);
    worker.wait(Duration::from_secs(9));
    answer(&mut worker, 0, 10);
    worker.wait(Duration::from_secs(1));
    // By now the slow one is forgotten, and has nothing in flight.
    assert_eq!(begin(&mut worker), 1);
}

/// Over tiers each tier has a balancer of its own: what one of them asks for is asked, and what comes of it is told to that one.
#[test]
fn probes_and_reports_pass_through_tiers() {
    let endpoint = |index: u32| Endpoint::new(format!("e{index}"), 1, u32::MAX);
    let list = (0..6).map(|index| Arc::new(endpoint(index).with_priority(u8::from(index >= 3))));
    let endpoints = Endpoints::new(list.collect());
    for strategy in reporting() {
        let config = BalanceConfig { strategy, ..BalanceConfig::default() };
        let mut worker = Worker {
            candidates: Candidates::by(&config),
            balancer: config.build(&endpoints),
            rng: Seed(3).stream("balancer"),
            now: Instant::START,
        };
        let mut best = 0;
        for round in 0..200 {
            worker.candidates.prepare(&endpoints, worker.now);
            let view = worker.candidates.view(&endpoints, &[], worker.now);
            let picked = balance::pick(&mut *worker.balancer, &view, &mut worker.rng);
            let picked = picked.expect("all are ready");
            assert!(picked < 3, "the first tier carries all of it");
            // The second of them is the best by far, and by all figures.
            let good = picked == 1;
            best += u32::from(good && round >= 100);
            let report = LoadReport {
                latency: Duration::from_millis(if good { 1 } else { 100 }),
                service_time: Duration::from_millis(if good { 1 } else { 100 }),
                ..load(10.0, if good { 0.01 } else { 0.9 }, 0.0)
            };
            let took = Duration::from_millis(if good { 1 } else { 200 });
            worker.balancer.on_report(picked, worker.now, &report);
            worker.balancer.on_end(picked, worker.now, took, Outcome::Success);
            for asked in worker.probes() {
                assert!(asked < 3);
                let answer = probed(0, if asked == 1 { 1 } else { 100 });
                worker.balancer.on_probe(asked, worker.now, Some(&answer));
            }
            worker.wait(Duration::from_millis(100));
        }
        assert!(best > 80, "{}: {best}", config.strategy.name());
    }
}

/// A view that is made by hand has nobody in it: nothing is picked, nothing is probed.
#[test]
fn nobody_is_picked_of_nobody() {
    for strategy in reporting() {
        let endpoints = weighted(&[1, 1]);
        (0..2).for_each(|index| endpoints.set_draining(index));
        let mut worker = Worker::new(&strategy, 1);
        worker.candidates.refresh(&endpoints);
        let view: View<'_> = worker.candidates.view(&endpoints, &[], worker.now);
        assert_eq!(worker.balancer.pick(&view, &mut worker.rng), None);
        assert_eq!(worker.balancer.next_probe(), None);
    }
}
