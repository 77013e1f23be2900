//! More or less of a load: every rate, and the users of closed loops, times a factor.
//!
//! What a load is like stays as it is: a ramp keeps its shape, a burst its times (it is larger), a trace goes by faster. Users
//! and bursts are whole. The result is named by settings, so that each run can be repeated from a command line.

use loadgen::config::{Arrivals, Load};

use crate::language::Variant;

/// The variant with its loads (or the one that `only` names) times `factor`; its cell says what was set.
///
/// # Errors
/// What the factor makes impossible.
pub fn scaled(variant: &Variant, only: Option<&str>, factor: f64) -> Result<Variant, String> {
    let mut variant = variant.clone();
    for (name, load) in &mut variant.scenario.load {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        scale(load, factor);
        if let Some(problem) = load.problem() {
            return Err(format!("load.{name}: {problem}"));
        }
        let (path, value) = setting(name, load);
        variant.cell.retain(|(varied, _)| *varied != path);
        variant.cell.push((path, value));
    }
    Ok(variant)
}

fn scale(load: &mut Load, factor: f64) {
    let whole = |count: f64| (count * factor).round().max(1.0);
    if let Some(users) = &mut load.users {
        *users = whole(f64::from(*users)) as u32;
    }
    match &mut load.arrivals {
        None => {}
        Some(Arrivals::Constant(rate) | Arrivals::Poisson(rate)) => rate.rate *= factor,
        Some(Arrivals::Stages(stages)) => {
            stages.start *= factor;
            for stage in &mut stages.steps {
                stage.target *= factor;
            }
        }
        Some(Arrivals::Bursts(bursts)) => bursts.size = whole(bursts.size as f64) as u64,
        Some(Arrivals::Trace(trace)) => trace.speed *= factor,
    }
}

/// What says the same on a command line.
fn setting(name: &str, load: &Load) -> (String, String) {
    let path = |key: &str| format!("load.{name}.{key}");
    match &load.arrivals {
        None => (path("users"), load.users.unwrap_or(1).to_string()),
        Some(Arrivals::Constant(rate)) => (path("arrivals.constant.rate"), float(rate.rate)),
        Some(Arrivals::Poisson(rate)) => (path("arrivals.poisson.rate"), float(rate.rate)),
        Some(Arrivals::Bursts(bursts)) => (path("arrivals.bursts.size"), bursts.size.to_string()),
        Some(Arrivals::Trace(trace)) => (path("arrivals.trace.speed"), float(trace.speed)),
        Some(Arrivals::Stages(stages)) => {
            let table =
                toml::Value::try_from(stages).map_or_else(|_| String::new(), |v| v.to_string());
            (path("arrivals.stages"), table)
        }
    }
}

/// As TOML writes a number that is not whole.
fn float(value: f64) -> String {
    toml::Value::Float(value).to_string()
}

/// Whether a longer run of the same load is the same experiment: nothing that ends or happens at a time of its own.
pub fn may_be_longer(variant: &Variant) -> bool {
    let scenario = &variant.scenario;
    let steady = |load: &Load| {
        load.requests.is_none()
            && !matches!(load.arrivals, Some(Arrivals::Stages(_) | Arrivals::Trace(_)))
    };
    let early = scenario.events.iter().all(|event| event.at.0 <= scenario.warmup.0);
    early && scenario.phases.is_empty() && scenario.load.values().all(steady)
}

/// The highest factor at which everything is still possible, at most `most`; at least `from`.
pub fn ceiling(variant: &Variant, only: Option<&str>, from: f64, most: f64) -> f64 {
    let mut factor = from;
    while factor * 2.0 <= most && scaled(variant, only, factor * 2.0).is_ok() {
        factor *= 2.0;
    }
    factor
}
