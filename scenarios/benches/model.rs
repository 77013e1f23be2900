//! How many requests the model simulates in a second of one core.
//!
//! ```text
//! cargo bench -p scenarios --bench model [-- [SECONDS] [A NAME, OR PART OF ONE]]
//! ```
//!
//! Each line is one scenario, run with three seeds for about so many seconds in all (3 by default), recorder and all: Poisson arrivals at 0.8 of the
//! capacity, exponential service, no network latency; the best, the median and the worst of the three runs.

use std::time::{Duration, Instant};

use scenarios::{language::Scenario, model};

struct Case {
    name: &'static str,
    strategy: &'static str,
    endpoints: u32,
    more: &'static str,
}

const CASES: [Case; 6] = [
    Case { name: "10 endpoints, p2c", strategy: "p2c", endpoints: 10, more: "" },
    Case { name: "1,000 endpoints, p2c", strategy: "p2c", endpoints: 1000, more: "" },
    Case { name: "10 endpoints, round_robin", strategy: "round_robin", endpoints: 10, more: "" },
    Case {
        name: "10 endpoints, least_connections",
        strategy: "least_connections",
        endpoints: 10,
        more: "",
    },
    Case {
        name: "10 endpoints, p2c, with latency",
        strategy: "p2c",
        endpoints: 10,
        more: "[network]\nlatency = { constant = \"200us\" }",
    },
    Case { name: "10,000 endpoints, p2c", strategy: "p2c", endpoints: 10_000, more: "" },
];

fn scenario(case: &Case, requests: f64) -> Scenario {
    let rate = 0.8 * f64::from(case.endpoints) * 100.0;
    let seconds = requests / rate;
    let Case { strategy, endpoints, more, .. } = case;
    let text = format!(
        "duration = \"{}ms\"\n[proxy.balance]\nstrategy = \"{strategy}\"\n[backends.web]\ncount = {endpoints}\nqueue = 100000\n\
         service = {{ exponential = {{ mean = \"10ms\" }} }}\n[load.all]\narrivals = {{ poisson = {{ rate = {rate} }} }}\n\
         max_connections = 90000\n{more}\n",
        (seconds * 1000.0).ceil()
    );
    toml::from_str(&text).expect("a scenario")
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn main() {
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse::<f64>().ok());
    let seconds = asked.unwrap_or(3.0).clamp(0.01, 600.0);
    let words: Vec<String> = std::env::args().skip(1).collect();
    let is_word = |word: &&String| !word.starts_with('-') && word.parse::<f64>().is_err();
    let part = words.iter().rfind(is_word);
    let is_named = part.is_some_and(|part| CASES.iter().any(|case| case.name == part));
    let is_asked = |case: &&Case| match part {
        None => true,
        Some(name) if is_named => case.name == name,
        Some(part) => case.name.contains(part.as_str()),
    };
    for case in CASES.iter().filter(is_asked) {
        let mut rates: Vec<f64> = (1..=3)
            .map(|seed| {
                let scenario = scenario(case, seconds * 700_000.0);
                let begun = now();
                let outcome = model::run(&scenario, seed).expect("the model can do this");
                outcome.requests as f64 / begun.elapsed().max(Duration::from_nanos(1)).as_secs_f64()
            })
            .collect();
        rates.sort_by(f64::total_cmp);
        let [worst, median, best] = rates[..] else { continue };
        println!("{:<34} {best:>10.0} {median:>10.0} {worst:>10.0} requests/s", case.name);
    }
}
