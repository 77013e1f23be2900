//! How fast the simulated world is: HTTP requests per second of wall time, and how much virtual time passes in one.
//!
//! `cargo bench -p scenarios --bench sim`. A request here is a whole one: the load generator's HTTP client, the engine, the
//! backend's HTTP server, all bytes over the simulated network, and every invariant watched. The best of several rounds is
//! printed, since whatever else runs on the machine only ever takes time away; and beside it what the model says of
//! the same scenario.

use std::time::{Duration, Instant};

use scenarios::{
    interrupt::Interrupt,
    language::Scenario,
    model,
    outcome::{Outcome, Watcher},
    sim,
};

const ROUNDS: u32 = 5;

struct Nobody;

impl Watcher for Nobody {
    fn at(&mut self, _: Duration, _: loadgen::Snapshot) {}
}

/// Endpoints with a service time of 1 ms, at half of what they can do.
fn busy(endpoints: u32) -> String {
    format!(
        "duration = \"8s\"\n[proxy.balance]\nstrategy = \"p2c\"\n[backends.web]\ncount = {endpoints}\nworkers = 1\n\
         service = {{ constant = \"1ms\" }}\n[load.l]\narrivals = {{ poisson = {{ rate = 5000.0 }} }}\n"
    )
}

/// An hour in which hardly anything happens.
const IDLE: &str = "duration = \"1h\"\n[backends.web]\ncount = 3\nservice = { constant = \"1ms\" }\n[load.l]\n\
                    arrivals = { constant = { rate = 1.0 } }\n";

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn measure(name: &str, text: &str) {
    let scenario: Scenario = toml::from_str(text).expect("a scenario");
    let mut best = f64::INFINITY;
    let mut last: Option<Outcome> = None;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let outcome =
            sim::run(&scenario, 7, sim::Network::Memory, &Interrupt::never(), &mut Nobody)
                .expect("it runs");
        best = best.min(begun.elapsed().as_secs_f64());
        last = Some(outcome);
    }
    let outcome = last.expect("there is a round");
    let metric = |name: &str| outcome.measurement.metrics.get(name).unwrap_or(f64::NAN);
    let modelled = model::run(&scenario, 7).expect("it runs").measurement.metrics;
    let (here, there) = (metric("latency.mean"), modelled.get("latency.mean").unwrap_or(f64::NAN));
    let requests = metric("requests");
    println!(
        "{name:<22} {requests:>7.0} requests in {best:.3} s: {:>7.0}/s, {:>6.0} virtual seconds a second; mean {:.4} ms, \
         the model's {:.4} ms ({:+.2} %)",
        requests / best,
        scenario.duration.0.as_secs_f64() / best,
        here,
        there,
        (here / there - 1.0) * 100.0
    );
}

fn main() {
    measure("10 endpoints", &busy(10));
    measure("300 endpoints", &busy(300));
    measure("an hour, one a second", IDLE);
}
