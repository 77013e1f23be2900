//! `recovery`: after the last event the proxy uses every endpoint again, within a stated time.
//!
//! When the last event leaves every endpoint whole, health checks must have found that out after one check that was under way
//! (it may fail yet) and `rise` more, each of which comes an interval with its jitter after the one before and takes at most its
//! timeout. An ejection ends by itself; how long it may last is among the limits, and what is checked here is that an endpoint
//! whose ejection is over is not left out by a proxy that has requests to send. Endpoints may well be ejected anew by a load
//! that is too much for them: that is no failure to recover.
//!
//! Where the last event leaves something broken, or the checks cannot be expected to pass, nothing can be said, and that is said.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use backend_sim::Fault;
use policy::{
    Instant,
    endpoint::Endpoint,
    health::{HealthConfig, HealthKind},
};
use proxy::config::ProxyConfig;
use reports::InvariantResult;

use super::{End, at, count::Count};
use crate::{
    fleet,
    language::{Action, Scenario, Target, pools},
};

/// Whatever takes no time takes no longer than this.
const SLACK: Duration = Duration::from_millis(1);
/// A check may take so many times the mean of a link's latency, if it is to be relied on.
const LINKS: u32 = 40;

/// What is expected of the proxy after the last event.
#[derive(Debug)]
pub(super) struct Recovery {
    count: Count,
    /// How many proxies there are.
    proxies: u32,
    promise: String,
    /// By when all must be in use again, or why nothing can be said.
    expected: Result<Instant, String>,
    looked: bool,
}

impl Recovery {
    pub(super) fn new(scenario: &Scenario, start: Instant) -> Self {
        let configs = last_configs(scenario);
        let within = configs.iter().flat_map(|config| pools::all(config));
        let within = within.map(|(_, config)| time_of(&config.health)).max().unwrap_or(SLACK);
        let obstacle = configs.iter().find_map(|config| {
            pools::all(config).find_map(|(pool, own)| obstacle(scenario, (config, pool), &own))
        });
        let promise = format!(
            "{within:?} after the last event no endpoint is held to be down, and none is left out whose ejection is over."
        );
        let expected = match (last_event(scenario, &configs), obstacle) {
            (None, _) => Err("nothing happens in this scenario".to_owned()),
            (_, Some(why)) => Err(why),
            (Some(last), None) => Ok(start + last + within),
        };
        let proxies = scenario.proxies;
        Self { count: Count::default(), proxies, promise, expected, looked: false }
    }

    /// When to look; never, if nothing can be said or it was looked in time.
    pub(super) fn due(&self) -> Instant {
        match self.expected {
            Ok(due) if !self.looked => due,
            _ => Instant::NEVER,
        }
    }

    pub(super) fn look(
        &mut self,
        (now, start): (Instant, Instant),
        proxy: u32,
        present: &[Arc<Endpoint>],
        last_turn: Instant,
    ) {
        let Ok(due) = self.expected else { return };
        if now < due {
            return;
        }
        self.looked = true;
        let whose = |name: &str| match self.proxies {
            1 => name.to_owned(),
            _ => format!("{name} in {}", fleet::named(proxy)),
        };
        for endpoint in present {
            self.count.check();
            let name = &endpoint.name;
            let forgotten = endpoint.ejected_until().is_some_and(|until| until < last_turn);
            if !endpoint.is_up() {
                self.count.fail(|| {
                    let name = whose(name);
                    format!("{} the health checks still held {name} to be down", at(now, start))
                });
            } else if forgotten {
                self.count.fail(|| {
                    let name = whose(name);
                    format!("{} {name} was still left out after its ejection", at(now, start))
                });
            }
        }
    }

    pub(super) fn result(&self, now: Instant, end: End) -> InvariantResult {
        let why = match (&self.expected, end) {
            (Err(why), _) => why.clone(),
            (_, End::Interrupted) => "the run was interrupted".to_owned(),
            (Ok(due), End::Complete) => {
                let missing = due.since(now);
                format!("the run ended {missing:?} before the proxy had to be well again")
            }
        };
        self.count.result("recovery", &self.promise, &why)
    }
}

/// How long after everything is whole the health checks may need to say so.
fn time_of(health: &HealthConfig) -> Duration {
    if health.kind == HealthKind::Off {
        return SLACK;
    }
    let round = health.interval.0.mul_f64(1.0 + health.jitter) + health.timeout.0;
    health.timeout.0 + round * health.rise + SLACK
}

/// The configurations that are in force after the last event, of each proxy.
fn last_configs(scenario: &Scenario) -> Vec<&ProxyConfig> {
    let mut last = vec![&scenario.proxy; scenario.proxies as usize];
    for index in scenario.events_by_time() {
        let event = &scenario.events[index];
        if let Action::Reload { configs, .. } = &event.action {
            let about = last.iter_mut().skip(scenario.proxies_of(event).start as usize);
            about.zip(configs).for_each(|(last, config)| *last = config);
        }
    }
    last
}

/// When the last event is over, since the start.
fn last_event(scenario: &Scenario, configs: &[&ProxyConfig]) -> Option<Duration> {
    let drain = configs.iter().map(|config| config.timeouts.drain.0).max().unwrap_or_default();
    let over = scenario.events.iter().map(|event| match event.action {
        Action::RestartProxy { down } => event.at.0 + drain.max(down.0) + down.0,
        _ => event.at.0,
    });
    over.max()
}

/// Why it cannot be expected that all endpoints are well in the end.
fn obstacle(
    scenario: &Scenario,
    (whole, pool): (&ProxyConfig, &str),
    config: &ProxyConfig,
) -> Option<String> {
    if let Some((name, what)) = broken_in_the_end(scenario).into_iter().next() {
        return Some(format!("after the last event {name} is not whole: {what}"));
    }
    let health = &config.health;
    if health.kind == HealthKind::Off {
        return None;
    }
    let latency = scenario.network.latency.as_ref().map_or(0.0, |latency| latency.mean() / 1e9);
    if latency * f64::from(LINKS) > health.timeout.0.as_secs_f64() {
        return Some("a health check may fail because the links are slow".to_owned());
    }
    if health.kind == HealthKind::Http {
        if !health.expects(200) {
            return Some("the health checks do not expect the status 200".to_owned());
        }
        let mut groups =
            scenario.backends.iter().filter(|(name, _)| pools::of_group(whole, name) == pool);
        let other = groups.find(|(_, of)| of.health_path != health.path);
        if let Some((name, of)) = other {
            return Some(format!(
                "the health checks ask for {}, and {name} answers checks at {}",
                health.path, of.health_path
            ));
        }
    }
    None
}

/// The endpoints that the events leave broken, and what broke them.
fn broken_in_the_end(scenario: &Scenario) -> BTreeMap<String, &'static str> {
    // With the proxies that are concerned, by their numbers: from, and to.
    let mut broken: BTreeSet<(String, &'static str, u32, u32)> = BTreeSet::new();
    let linked = ["partition", "latency", "drop"];
    for moment in scenario.timeline() {
        let what = moment.action.name();
        let (first, end) = (moment.proxies.start, moment.proxies.end);
        for name in moment.endpoints {
            match &moment.action {
                Action::Fault { fault: Fault::Restart | Fault::Restore, .. } => {
                    broken.retain(|(of, what, ..)| *of != name || linked.contains(what));
                }
                // Slow is not broken: a check is answered at once.
                Action::Fault { fault: Fault::Slow { .. }, .. } => {}
                Action::Repair(Target::Endpoint(_)) => {
                    broken.retain(|(of, what, from, to)| {
                        let is_repaired = *of == name && first <= *from && *to <= end;
                        !is_repaired || !linked.contains(what)
                    });
                }
                Action::Remove { .. } => broken.retain(|(of, ..)| *of != name),
                Action::Fault { .. }
                | Action::Partition(Target::Endpoint(_))
                | Action::Latency { target: Target::Endpoint(_), .. }
                | Action::Drop { target: Target::Endpoint(_), .. } => {
                    broken.insert((name, what, first, end));
                }
                _ => {}
            }
        }
    }
    broken.into_iter().map(|(name, what, ..)| (name, what)).collect()
}
