//! A suite that was never run: a small queueing model makes the requests, so that the charts have the
//! shapes of real ones. Shared by the tests and by `examples/sample_report.rs`.

use reports::{
    EventMark, FailClass, InvariantResult, Manifest, Measurement, Outcome, Phase, Recorder,
    RecorderConfig, Run, Sample, Suite, ThresholdResult, Unit, Verdict, World,
};
use std::collections::VecDeque;
use std::time::Duration;

/// Numbers that are the same everywhere (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }
}

/// How an endpoint is chosen.
#[derive(Clone, Copy)]
pub(crate) enum Choice {
    RoundRobin,
    LeastLoaded,
    BestOfTwo,
}

/// What is simulated.
pub(crate) struct Plan {
    pub(crate) seconds: f64,
    pub(crate) warmup: f64,
    pub(crate) rate: f64,
    pub(crate) endpoints: usize,
    pub(crate) mean_ms: f64,
    /// From, to (seconds) and factor by which endpoint 3 is slow.
    pub(crate) slow: Option<(f64, f64, f64)>,
    /// From, to and probability of a 500.
    pub(crate) errors: Option<(f64, f64, f64)>,
    pub(crate) choice: Choice,
    pub(crate) seed: u64,
    pub(crate) phases: Vec<Phase>,
    pub(crate) loads: Vec<String>,
}

impl Plan {
    pub(crate) fn new(seconds: f64, rate: f64) -> Self {
        Plan {
            seconds,
            warmup: seconds / 12.0,
            rate,
            endpoints: 6,
            mean_ms: 20.0,
            slow: None,
            errors: None,
            choice: Choice::LeastLoaded,
            seed: 7,
            phases: Vec::new(),
            loads: vec!["browse".to_owned()],
        }
    }
}

const WORKERS: usize = 4;
const QUEUE: usize = 60;
const PATIENCE: f64 = 5.0;

fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

/// Runs the plan.
pub(crate) fn measure(plan: &Plan) -> Measurement {
    let mut config = RecorderConfig::new(
        Some(Duration::from_secs_f64(plan.seconds)),
        Duration::from_secs_f64(plan.warmup),
    );
    config.loads.clone_from(&plan.loads);
    config.endpoints = (0..plan.endpoints).map(|i| format!("web-{i}")).collect();
    config.phases.clone_from(&plan.phases);
    let mut recorder = Recorder::new(config);
    let mut dice = Dice(plan.seed);
    // For each endpoint, when its requests will be done, in order.
    let mut busy: Vec<VecDeque<f64>> = vec![VecDeque::new(); plan.endpoints];
    let (mut now, mut turn) = (0.0, 0);
    loop {
        now += dice.exponential(1.0 / plan.rate);
        if now >= plan.seconds {
            break;
        }
        for line in &mut busy {
            line.retain(|done| *done > now);
        }
        let endpoint = match plan.choice {
            Choice::RoundRobin => {
                turn += 1;
                turn % plan.endpoints
            }
            Choice::LeastLoaded => {
                let start = dice.next() as usize;
                let order = (0..plan.endpoints).map(|i| (start + i) % plan.endpoints);
                order.min_by_key(|i| busy[*i].len()).unwrap_or(0)
            }
            Choice::BestOfTwo => {
                let pick = |dice: &mut Dice| dice.next() as usize % plan.endpoints;
                let (a, b) = (pick(&mut dice), pick(&mut dice));
                if busy[a].len() <= busy[b].len() { a } else { b }
            }
        };
        let mut work = 0.002 + dice.exponential(plan.mean_ms / 1e3);
        if let Some((from, to, factor)) = plan.slow
            && endpoint == 3 % plan.endpoints
            && (from..to).contains(&now)
        {
            work *= factor;
        }
        let chance = dice.unit();
        let line = &mut busy[endpoint];
        let mut sample = Sample {
            load: dice.next() as usize % plan.loads.len(),
            intended: nanos(now),
            sent: nanos(now + 0.00005),
            finished: nanos(now + 0.001),
            outcome: Outcome::Refused,
            status: 503,
            bytes_in: 512,
            bytes_out: 0,
            endpoint: Some(endpoint),
            retries: 0,
        };
        let is_error =
            plan.errors.is_some_and(|(from, to, p)| (from..to).contains(&now) && chance < p);
        if is_error {
            sample.outcome = Outcome::Failed(FailClass::Status5xx);
            sample.status = 500;
            sample.finished = nanos(now + 0.002);
        } else if line.len() < WORKERS + QUEUE {
            let free = if line.len() < WORKERS {
                now
            } else {
                let mut ends: Vec<f64> = line.iter().copied().collect();
                ends.sort_by(f64::total_cmp);
                ends[ends.len() - WORKERS]
            };
            let done = free + work;
            line.push_back(done);
            sample.outcome = Outcome::Ok;
            sample.status = 200;
            sample.finished = nanos(done + 0.0004).max(sample.sent);
            if done - now > PATIENCE {
                sample.outcome = Outcome::TimedOut;
                sample.status = 0;
                sample.finished = nanos(now + PATIENCE);
            }
        }
        recorder.record(&sample);
    }
    recorder.finish()
}

/// A threshold, judged.
pub(crate) fn threshold(
    measurement: &Measurement,
    metric: &str,
    comparison: &str,
    limit: f64,
    unit: Unit,
) -> ThresholdResult {
    let value = measurement.metrics.get(metric);
    let holds = value.is_some_and(|value| match comparison {
        "<=" => value <= limit,
        ">=" => value >= limit,
        _ => value.total_cmp(&limit).is_eq(),
    });
    let remark = match measurement.metrics.read(metric) {
        reports::Reading::Absent(why) => why.to_owned(),
        _ => String::new(),
    };
    let expression = format!("{metric} {comparison} {}", reports::format::metric(limit, unit));
    ThresholdResult {
        expression,
        metric: metric.to_owned(),
        comparison: comparison.to_owned(),
        value,
        limit,
        unit,
        holds,
        remark,
    }
}

/// A run around a measurement.
pub(crate) fn run(scenario: &str, description: &str, world: World, plan: &Plan) -> Run {
    let measurement = measure(plan);
    let thresholds = vec![
        threshold(&measurement, "success_ratio", ">=", 0.999, Unit::Ratio),
        threshold(&measurement, "latency.p99", "<=", 250.0, Unit::Milliseconds),
    ];
    let mut run = Run {
        place: 0,
        scenario: scenario.to_owned(),
        description: description.to_owned(),
        path: format!("suites/{scenario}.toml"),
        world,
        variant: Vec::new(),
        seed: plan.seed,
        duration: Duration::from_secs_f64(plan.seconds),
        warmup: Duration::from_secs_f64(plan.warmup),
        command: format!(
            "windtunnel run suites/{scenario}.toml --world {world} --seed {}",
            plan.seed
        ),
        verdict: Verdict::Pass,
        notes: Vec::new(),
        thresholds,
        invariants: Vec::new(),
        measurement,
        events: Vec::new(),
        phases: plan.phases.clone(),
        configuration: format!(
            "description = \"{description}\"\nseed = {}\nduration = \"{}s\"\n\n[load.browse]\narrivals = {{ \
             poisson = {{ rate = {:.1} }} }}\n",
            plan.seed, plan.seconds, plan.rate
        ),
        configuration_hash: format!("{:016x}", Dice(plan.seed ^ plan.rate.to_bits()).next()),
    };
    judge(&mut run);
    run
}

/// Passes or fails a run by its thresholds.
pub(crate) fn judge(run: &mut Run) {
    let holds = run.thresholds.iter().all(|t| t.holds);
    run.verdict = if holds { Verdict::Pass } else { Verdict::Fail };
}

/// Three invariants: one that held, one that was broken so often, one that could not be checked.
pub(crate) fn invariants(broken: u64) -> Vec<InvariantResult> {
    let invariant = |name: &str, promise: &str, checked| InvariantResult {
        name: name.to_owned(),
        promise: promise.to_owned(),
        checked,
        ..InvariantResult::default()
    };
    let one = "Every request that was sent ends in exactly one outcome.";
    let dead =
        "Nothing is sent to an endpoint that is ejected, removed or down, but for panic mode.";
    let mut dead = invariant("nothing_to_the_dead", dead, 2411);
    dead.broken = broken;
    let what = "was sent to web-3, which had been ejected at 2.1 s";
    dead.examples = (0..broken.min(3))
        .map(|n| format!("request {} at 2.{}5 s {what}", 871 + n, n + 1))
        .collect();
    let mut budget = invariant("retry_budget", "The share of retries stays within its budget.", 0);
    budget.unchecked = Some("retries are off in this scenario".to_owned());
    vec![invariant("one_outcome", one, 1200), dead, budget]
}

/// Adds the fault of the plan as events.
pub(crate) fn with_events(mut run: Run, plan: &Plan) -> Run {
    if let Some((from, to, factor)) = plan.slow {
        let mark = |at: f64, label: String| EventMark { at: Duration::from_secs_f64(at), label };
        run.events.push(mark(from, format!("slow web-3 ×{factor}")));
        run.events.push(mark(to, "restore web-3".to_owned()));
    }
    run
}

/// The manifest of all samples.
pub(crate) fn manifest() -> Manifest {
    Manifest {
        version: "0.1.0".to_owned(),
        revision: "0123abc".to_owned(),
        host: "example, Linux x86_64, 2 processors".to_owned(),
        command: "windtunnel run suites".to_owned(),
        started: "2026-01-02T03:04:05Z".to_owned(),
        elapsed: Duration::from_millis(61_250),
        virtual_elapsed: Duration::from_millis(160),
    }
}

/// A suite with a run of each verdict, a fault, a matrix; `scale` stretches the runs (1 is short).
pub(crate) fn suite(scale: f64) -> Suite {
    let seconds = 6.0 * scale;
    let mut runs = Vec::new();
    let mut steady = Plan::new(seconds, 200.0);
    steady.loads = vec!["browse".to_owned(), "buy".to_owned()];
    runs.push(run(
        "smoke/steady",
        "Six backends, a steady stream of requests and nothing goes wrong.",
        World::Live,
        &steady,
    ));
    let fault = (seconds / 3.0, seconds * 2.0 / 3.0);
    for (name, choice) in [
        ("round_robin", Choice::RoundRobin),
        ("least_connections", Choice::LeastLoaded),
        ("p2c", Choice::BestOfTwo),
    ] {
        let mut plan = Plan::new(seconds, 400.0);
        plan.choice = choice;
        plan.slow = Some((fault.0, fault.1, 20.0));
        plan.phases = vec![Phase {
            name: "fault".to_owned(),
            from: Duration::from_secs_f64(fault.0),
            to: Duration::from_secs_f64(fault.1),
        }];
        let description = "One backend of six turns 20 times slower and recovers.";
        let mut run = run("ci/slow_backend", description, World::Sim, &plan);
        let metric = "phase.fault.latency.p90";
        run.thresholds.push(threshold(&run.measurement, metric, "<=", 200.0, Unit::Milliseconds));
        run.variant = vec![("proxy.balance.strategy".to_owned(), name.to_owned())];
        run.command += " --set proxy.balance.strategy=";
        run.command += name;
        judge(&mut run);
        runs.push(with_events(run, &plan));
    }
    runs[1].invariants = invariants(0);
    runs[2].invariants = invariants(2);
    runs[2].verdict = Verdict::Fail;
    runs[3].invariants = invariants(0);
    let mut elsewhere = Plan::new(seconds, 200.0);
    for (world, mean_ms, errors) in
        [(World::Model, 20.1, None), (World::Sim, 20.0, None), (World::Live, 23.0, Some(0.02))]
    {
        elsewhere.mean_ms = mean_ms;
        elsewhere.errors = errors.map(|p| (fault.0, fault.1, p));
        let description = "The same scenario in three worlds, one of which differs.";
        let mut run = run("ci/everywhere", description, world, &elsewhere);
        run.thresholds.truncate(0);
        judge(&mut run);
        runs.push(run);
    }
    let mut burst = Plan::new(seconds, 150.0);
    burst.errors = Some((fault.0, fault.1, 0.3));
    let mut run_burst = run("ci/error_burst", "Every third answer is a 500.", World::Model, &burst);
    run_burst.thresholds =
        vec![threshold(&run_burst.measurement, "success_ratio", ">=", 0.5, Unit::Ratio)];
    judge(&mut run_burst);
    run_burst.notes = vec!["The error burst hit 1 backend.".to_owned()];
    runs.push(run_burst);
    let mut unreachable = run(
        "ci/unreachable_rate",
        "More load than the generator can send.",
        World::Live,
        &Plan::new(2.0, 100.0),
    );
    unreachable.verdict = Verdict::Invalid(
        "the generator sent 100 requests/s where 1,000,000/s were asked".to_owned(),
    );
    runs.push(unreachable);
    let mut broken =
        run("ci/broken", "A scenario that cannot start.", World::Live, &Plan::new(2.0, 1.0));
    broken.measurement = Measurement::empty();
    broken.thresholds.clear();
    broken.verdict = Verdict::Error("no free port on 127.0.0.1".to_owned());
    runs.push(broken);
    Suite { runs, manifest: manifest() }
}
