//! The model against queueing theory.
//!
//! Each test states a formula, where it comes from, and compares it with what the model measures at loads of 0.5, 0.7 and 0.9, each over
//! runs of three seeds. Nothing is tuned: the tolerance is the run's own confidence interval by batch means (Law, *Simulation
//! Modeling and Analysis*, section 9.5.3): the measured time is cut into 20 batches longer than the memory of the queue, the means of those of
//! all three runs are nearly independent, and Student's t with 59 degrees of freedom gives an interval that holds the truth 999 times of 1,000.
//! Times are in units of the mean service time (10 ms). Little's law (L = λT) is checked in every run.
//!
//! The last tests test the tests: a system that is a little wrong does not pass for the right one.

use reports::Measurement;
use scenarios::{language::Scenario, model};

const LOADS: [f64; 3] = [0.5, 0.7, 0.9];
const SEEDS: [u64; 3] = [5, 6, 7];
const BATCHES: usize = 20;
/// Student's t, 59 degrees of freedom, 99.9 % two-sided.
const T_59: f64 = 3.463;
/// Nanoseconds of a mean service time.
const SERVICE: f64 = 1e7;

/// A system, and how long it is watched.
#[derive(Clone, Debug)]
struct System {
    endpoints: u32,
    workers: u32,
    /// More keys of the backend: `service`, `discipline`, `queue`.
    backend: String,
    strategy: &'static str,
    /// Measured time and warm-up before it, in service times.
    length: f64,
    warmup: f64,
}

impl System {
    fn new(endpoints: u32, strategy: &'static str) -> Self {
        let backend = "service = { exponential = { mean = \"10ms\" } }".to_owned();
        Self { endpoints, workers: 1, backend, strategy, length: 50_000.0, warmup: 1000.0 }
    }

    fn workers(self, workers: u32) -> Self {
        Self { workers, ..self }
    }

    fn backend(self, backend: &str) -> Self {
        Self { backend: backend.to_owned(), ..self }
    }

    fn watched(self, warmup: f64, length: f64) -> Self {
        Self { length, warmup, ..self }
    }

    fn run(&self, load: f64, seed: u64) -> Measurement {
        let Self { endpoints, workers, backend, strategy, length, warmup } = self;
        let rate = load * f64::from(endpoints * workers) * 100.0;
        let queue = if backend.contains("queue") { "" } else { "queue = 1000000" };
        let text = format!(
            "duration = \"{}ms\"\nwarmup = \"{}ms\"\n[proxy]\nbalance.strategy = {strategy}\noutlier.enabled = false\n\
             timeouts.response_head = \"1000s\"\n[backends.web]\ncount = {endpoints}\nworkers = {workers}\n{queue}\n{backend}\n\
             [load.all]\narrivals = {{ poisson = {{ rate = {rate} }} }}\ntimeout = \"1000s\"\nmax_connections = 100000\n",
            (length + warmup) * 10.0,
            warmup * 10.0,
        );
        let scenario: Scenario = toml::from_str(&text).expect("a scenario");
        let outcome = model::run(&scenario, seed).expect("the model can do this");
        assert_eq!(outcome.problems, Vec::<String>::new());
        littles_law(&outcome.measurement, length * SERVICE);
        outcome.measurement
    }
}

/// L = λT (Little 1961). Both are measured over the same time; what differs are the requests that straddle its ends, at most as many as
/// were ever under way, and each by at most the longest time that one took. What is refused takes no time, and counts in neither.
fn littles_law(measurement: &Measurement, nanos: f64) {
    let get = |name: &str| measurement.metrics.get(name).expect(name);
    let level = get("in_flight.mean");
    let flow = get("goodput") * get("latency.mean") / 1000.0;
    let ends = 2.0 * get("in_flight.max") * get("latency.max") * 1e6 / nanos;
    assert!((level - flow).abs() <= ends + 1e-9, "L = {level}, λT = {flow}, ends {ends}");
}

/// An estimate with its confidence interval.
#[derive(Clone, Copy, Debug)]
struct Estimate {
    value: f64,
    half_width: f64,
}

impl Estimate {
    fn of(batches: &[f64]) -> Self {
        let n = batches.len() as f64;
        let value = batches.iter().sum::<f64>() / n;
        let variance = batches.iter().map(|x| (x - value).powi(2)).sum::<f64>() / (n - 1.0);
        Self { value, half_width: T_59 * (variance / n).sqrt() }
    }

    /// Whether `truth` may be what is estimated; `error` is what the formula itself is off by.
    fn holds(self, truth: f64, error: f64) -> bool {
        (self.value - truth).abs() <= self.half_width + error * truth
    }
}

/// A statistic of the response times, from the batches of some runs.
fn estimate(runs: &[Measurement], quantile: Option<f64>) -> Estimate {
    let mut batches = Vec::new();
    for run in runs {
        let size = run.intervals.len() / BATCHES;
        assert!(size >= 1, "{} intervals", run.intervals.len());
        for intervals in run.intervals.chunks_exact(size).take(BATCHES) {
            let mut all = intervals[0].buckets.clone();
            for interval in &intervals[1..] {
                all.add(&interval.buckets).expect("the same buckets");
            }
            let value = quantile.map_or_else(|| all.mean(), |q| all.value_at_quantile(q) as f64);
            batches.push(value / SERVICE);
        }
    }
    Estimate::of(&batches)
}

/// The same of a system, at this load.
fn measured(system: &System, load: f64, quantile: Option<f64>) -> Estimate {
    estimate(&SEEDS.map(|seed| system.run(load, seed)), quantile)
}

/// The mean response time is this at all loads; `error` is what the formula itself is off by.
fn mean_is(system: &System, error: f64, formula: impl Fn(f64) -> f64) {
    for load in LOADS {
        let (found, truth) = (measured(system, load, None), formula(load));
        assert!(found.holds(truth, error), "load {load}: {found:?} for {truth} in {system:?}");
        assert!(found.half_width < 0.3 * truth, "a test must be able to fail: {found:?}");
    }
}

/// M/M/1: T = 1/(1-ρ) (Kleinrock, *Queueing Systems* 1, section 3.2).
#[test]
fn m_m_1_mean() {
    mean_is(&System::new(1, "\"random\""), 0.0, |load| 1.0 / (1.0 - load));
}

/// M/M/1: the response time is exponential, so its quantile is -T·ln(1-q) (Kleinrock 1, section 5.7): only first come, first
/// served has this one.
#[test]
fn m_m_1_percentiles() {
    for load in LOADS {
        let runs = SEEDS.map(|seed| System::new(1, "\"random\"").run(load, seed));
        for quantile in [0.5, 0.9] {
            let truth = -(1.0_f64 - quantile).ln() / (1.0 - load);
            let found = estimate(&runs, Some(quantile));
            // The histogram is exact to a thousandth.
            assert!(found.holds(truth, 0.001), "{load}, {quantile}: {found:?} for {truth}");
        }
    }
}

fn erlang_b(servers: u32, offered: f64) -> f64 {
    (1..=servers).fold(1.0, |b, k| offered * b / (f64::from(k) + offered * b))
}

/// M/M/c: T = 1 + C/(c(1-ρ)), C by Erlang's second formula (Erlang 1917; Kleinrock 1, section 3.5).
#[test]
fn m_m_c_mean() {
    let system = System::new(1, "\"random\"").workers(4).watched(1000.0, 20_000.0);
    mean_is(&system, 0.0, |load| {
        let b = erlang_b(4, 4.0 * load);
        let c = b / (1.0 - load + load * b);
        1.0 + c / (4.0 * (1.0 - load))
    });
}

/// M/G/1: T = 1 + ρ(1+C²)/(2(1-ρ)) (Pollaczek 1930, Khinchine 1932).
#[test]
fn m_g_1_mean() {
    for (service, cv2) in [
        ("constant = \"10ms\"", 0.0),
        ("erlang = { k = 4, mean = \"10ms\" }", 0.25),
        ("hyperexponential = { mean = \"10ms\", cv2 = 4.0 }", 4.0),
    ] {
        let system = System::new(1, "\"random\"").watched(1000.0, 50_000.0);
        let system = system.backend(&format!("service = {{ {service} }}"));
        mean_is(&system, 0.0, |load| 1.0 + load * (1.0 + cv2) / (2.0 * (1.0 - load)));
    }
}

/// M/G/1 with processor sharing: T = 1/(1-ρ) whatever the service times are (Kleinrock 1967; Sakata, Noguchi and Oizumi 1971).
#[test]
fn processor_sharing_is_insensitive() {
    for service in [
        "constant = \"10ms\"",
        "hyperexponential = { mean = \"10ms\", cv2 = 4.0 }",
        "bimodal = { fast = \"5ms\", slow = \"55ms\", slow_share = 0.1 }",
    ] {
        let backend = format!("discipline = \"processor_sharing\"\nservice = {{ {service} }}");
        let system = System::new(1, "\"random\"").watched(1000.0, 50_000.0).backend(&backend);
        mean_is(&system, 0.0, |load| 1.0 / (1.0 - load));
    }
}

/// A Poisson process that is split at random is n independent ones (Kleinrock 1, section 2.4): each endpoint is an M/M/1.
#[test]
fn a_random_split_is_many_m_m_1() {
    let system = System::new(10, "\"random\"").watched(500.0, 6000.0);
    mean_is(&system, 0.0, |load| 1.0 / (1.0 - load));
}

/// GI/M/1: T = 1/(1-σ), σ the root of A*(1-σ) (Kleinrock 1, section 6.4). Every nth of a Poisson stream is Erlang-n spaced.
fn every_nth(n: i32, load: f64) -> f64 {
    let n = f64::from(n);
    let mut sigma = load;
    for _ in 0..10_000 {
        sigma = (n * load / (n * load + 1.0 - sigma)).powf(n);
    }
    1.0 / (1.0 - sigma)
}

#[test]
fn round_robin_is_e_n_m_1() {
    assert!((every_nth(10, 0.9) - 5.660_276).abs() < 1e-5, "the table's value");
    let system = System::new(10, "\"round_robin\"").watched(500.0, 6000.0);
    mean_is(&system, 0.0, |load| every_nth(10, load));
}

/// Two distinct choices of two are the shorter queue of two; its mean by solving the two-dimensional Markov chain (tables as in
/// Adan, Wessels and Zijm 1990).
fn shorter_of_two(load: f64) -> f64 {
    [(0.5, 1.426_321), (0.7, 2.108_197), (0.9, 5.474_913)]
        .into_iter()
        .find(|(known, _)| (known - load).abs() < 1e-9)
        .expect("a load of the table")
        .1
}

#[test]
fn two_choices_of_two_are_the_shorter_queue() {
    let system = System::new(2, "\"p2c\"").watched(1000.0, 30_000.0);
    mean_is(&system, 0.0, shorter_of_two);
}

/// The power of two choices among many: P(at least i at an endpoint) = ρ^(2^i - 1), so T = Σ ρ^(2^i - 2) (Vvedenskaya, Dobrushin
/// and Karpelevich 1996; Mitzenmacher 1996). The error of the limit is of order 1/n: three in a thousand are allowed for it.
fn mean_field(load: f64) -> f64 {
    (1..30).map(|i| load.powf(2.0_f64.powi(i) - 2.0)).sum()
}

#[test]
fn two_choices_of_a_thousand_are_the_mean_field() {
    assert!((mean_field(0.9) - 2.614_057).abs() < 1e-5, "the table's value");
    let system = System::new(1000, "\"p2c\"").watched(50.0, 200.0);
    mean_is(&system, 0.003, mean_field);
}

/// Least connections over n endpoints lies between M/M/n, which no dispatcher can beat, and the random split.
#[test]
fn least_connections_lies_between_one_queue_and_chance() {
    for load in LOADS {
        let system = System::new(10, "\"least_connections\"").watched(500.0, 4000.0);
        let found = measured(&system, load, None);
        let b = erlang_b(10, 10.0 * load);
        let c = b / (1.0 - load + load * b);
        let bound = 1.0 + c / (10.0 * (1.0 - load));
        assert!(found.value - found.half_width > bound, "{found:?}, bound {bound}");
        assert!(found.value + found.half_width < 1.0 / (1.0 - load), "{found:?}");
    }
}

/// The part of all requests that is refused, in ten runs: Student's t with 9 degrees of freedom, 99.9 %.
fn refused(system: &System, load: f64) -> Estimate {
    let runs: Vec<f64> = (1..=10)
        .map(|seed| system.run(load, seed).metrics.get("refused_ratio").expect("counted"))
        .collect();
    let estimate = Estimate::of(&runs);
    Estimate { half_width: estimate.half_width * 4.781 / T_59, ..estimate }
}

/// M/M/1/K: (1-ρ)ρ^K/(1-ρ^(K+1)) are refused (Kleinrock 1, section 3.6).
#[test]
fn a_bounded_queue_refuses_what_it_should() {
    let service = "service = { exponential = { mean = \"10ms\" } }\nqueue = 4";
    let system = System::new(1, "\"random\"").backend(service).watched(500.0, 15_000.0);
    for load in [0.7_f64, 0.9, 1.2] {
        let truth = (1.0 - load) * load.powi(5) / (1.0 - load.powi(6));
        let estimate = refused(&system, load);
        assert!(estimate.holds(truth, 0.0), "{load}: {estimate:?} for {truth}");
        assert!(estimate.half_width < 0.15 * truth, "a test must be able to fail: {estimate:?}");
    }
}

/// Erlang's loss formula, for any service times (Erlang 1917; insensitivity: Sevastyanov 1957).
#[test]
fn a_system_without_a_queue_loses_what_erlang_says() {
    for service in ["exponential = { mean = \"10ms\" }", "constant = \"10ms\""] {
        let backend = format!("service = {{ {service} }}\nqueue = 0");
        let system =
            System::new(1, "\"random\"").workers(10).backend(&backend).watched(100.0, 1500.0);
        for load in [0.7, 0.9, 1.0] {
            let (estimate, truth) = (refused(&system, load), erlang_b(10, 10.0 * load));
            assert!(estimate.holds(truth, 0.0), "{load}: {estimate:?} for {truth}");
            assert!(
                estimate.half_width < 0.15 * truth,
                "a test must be able to fail: {estimate:?}"
            );
        }
    }
}

/// Whether a system would pass for one with this mean at every load.
fn passes(system: &System, formula: impl Fn(f64) -> f64) -> bool {
    LOADS.iter().all(|load| measured(system, *load, None).holds(formula(*load), 0.0))
}

#[test]
fn a_service_three_percent_too_long_is_found() {
    let long = "service = { exponential = { mean = \"10300us\" } }";
    assert!(!passes(&System::new(1, "\"random\"").backend(long), |load| 1.0 / (1.0 - load)));
    let many = System::new(10, "\"round_robin\"").backend(long).watched(500.0, 6000.0);
    assert!(!passes(&many, |load| every_nth(10, load)));
}

#[test]
fn a_queue_served_in_another_order_is_found() {
    let shared = "discipline = \"processor_sharing\"\nservice = { hyperexponential = { mean = \"10ms\", cv2 = 4.0 } }";
    let system = System::new(1, "\"random\"").backend(shared);
    assert!(!passes(&system, |load| 1.0 + load * 5.0 / (2.0 * (1.0 - load))));
}

#[test]
fn a_balancer_that_errs_is_found() {
    // One that may compare an endpoint with itself, one that forgets whose turn it is.
    let careless =
        System::new(2, "{ strategy = \"p2c\", replacement = true }").watched(1000.0, 30_000.0);
    assert!(!passes(&careless, shorter_of_two));
    let forgetful = System::new(10, "\"random\"").watched(500.0, 6000.0);
    assert!(!passes(&forgetful, |load| every_nth(10, load)));
}
