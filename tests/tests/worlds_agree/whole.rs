//! A scenario in whole microseconds.
//!
//! The network in memory moves its clock by whole microseconds, and the model knows nanoseconds. So in `sim` a request is sent, served
//! and answered up to a microsecond later than in the model, and where a queue is never empty those microseconds add up: each
//! service begins when the one before it has ended. Sooner or later an arrival and a departure that are closer than that change
//! places, another endpoint is picked, another request refused, and from there on the two are different runs of the same
//! law. Where every time in a scenario is a whole microsecond, nothing is rounded, and the worlds have nothing left
//! to differ in but what happens in the very same microsecond.

use std::sync::Arc;

use loadgen::{
    NamedLoad,
    config::{Arrivals, Trace, TraceFormat},
    schedule::{OpenSchedule, trace::TraceRequests},
};
use policy::{Instant, Seed, distribution::Distribution, quantity::TimeSpan};
use scenarios::language::{Action, Scenario};

/// So many values stand for a distribution.
const VALUES: usize = 4096;

/// The same scenario, with every arrival, service, thought and latency at a whole microsecond.
pub(crate) fn microseconds(scenario: &Scenario, seed: u64) -> Scenario {
    let mut whole = scenario.clone();
    let seed = Seed(seed);
    for (name, backend) in &mut whole.backends {
        round(&mut backend.service, seed.child("service").child(name));
    }
    if let Some(latency) = &mut whole.network.latency {
        round(latency, seed.child("latency"));
    }
    for event in &mut whole.events {
        if let Action::Latency { one_way, .. } = &mut event.action {
            round(one_way, seed.child("one way"));
        }
    }
    let end = Instant::START + scenario.duration.0;
    for (index, (name, load)) in (0_u16..).zip(&mut whole.load) {
        if let Some(think) = &mut load.think {
            round(think, seed.child("think").child(name));
        }
        let named = NamedLoad { name: name.clone(), load: load.clone(), work: None };
        let Some(schedule) = OpenSchedule::new(index, &named, seed.child("load"), end) else {
            continue;
        };
        let is_named = load.clients.is_some();
        let (mut before, mut last) = (Instant::START, 0);
        let lines = schedule.map(|planned| {
            let at = planned.at.as_nanos().div_ceil(1000);
            // Those that come together stay together; of those that do not, no two come in the same microsecond.
            last = if planned.at == before { last } else { at.max(last + 1) };
            before = planned.at;
            let at = last as f64 / 1e6;
            if is_named { format!("{at:.6},{}\n", planned.client) } else { format!("{at:.6}\n") }
        });
        let text: String =
            std::iter::once(if is_named { "at,client\n" } else { "at\n" }.to_owned())
                .chain(lines)
                .collect();
        let requests =
            TraceRequests::read(&text, TraceFormat::Csv).expect("a trace as we write it");
        load.arrivals = Some(Arrivals::Trace(Trace {
            file: "whole microseconds".to_owned(),
            speed: 1.0,
            format: TraceFormat::Csv,
            requests: Arc::new(requests),
        }));
    }
    whole
}

/// Puts draws of a distribution, rounded, in its place.
fn round(distribution: &mut Distribution<TimeSpan>, seed: Seed) {
    if matches!(distribution, Distribution::Constant(_)) {
        return;
    }
    let mut rng = seed.stream("values");
    let value = |_| (distribution.draw(&mut rng) / 1000.0).round().max(1.0) * 1000.0;
    let values = (0..VALUES).map(value).collect();
    *distribution = Distribution::Empirical { file: "whole microseconds".to_owned(), values };
}
