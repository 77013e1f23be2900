//! Active health checks: when to ask an endpoint how it is, and what to make of its answers.
//!
//! An endpoint goes down after `fall` failed probes in a row and comes up again after `rise` passed ones: two
//! thresholds, so that one lost packet neither takes an endpoint away nor brings a dead one back (the hysteresis that
//! HAProxy and nginx have under the same names).
//!
//! An endpoint starts *up*. A proxy that has just started must serve at once and not after `rise` rounds of
//! probes, and a new endpoint that is in truth dead is found by its first connections: they fail before anything
//! is sent, are retried elsewhere, and the outlier ejection takes it out.
//!
//! Probing is off by default, and not because it is unimportant: a probe of the wrong path would take healthy
//! endpoints down. Passive ejection is on instead. The first probes are spread over one interval and the later ones jitter, so
//! that a thousand endpoints, or a thousand proxies, are not probed at the same moment.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::endpoint::Transition;
use crate::{
    Instant, Rng,
    quantity::TimeSpan,
    status::{StatusRange, any_contains},
};

/// Active health checks: what is asked, how often, and how many answers count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HealthConfig {
    /// What a probe does. Off by default: a wrong path would take healthy endpoints down.
    pub kind: HealthKind,
    /// The path that an HTTP probe asks for.
    pub path: String,
    /// The statuses of a passed HTTP probe, like `[200, "300-399"]`.
    pub statuses: Vec<StatusRange>,
    /// The time from one probe of an endpoint to the next.
    pub interval: TimeSpan,
    /// How long a probe may take, connecting included.
    pub timeout: TimeSpan,
    /// Passed probes in a row that bring an endpoint up.
    #[schemars(range(min = 1, max = 1000))]
    pub rise: u32,
    /// Failed probes in a row that take an endpoint down.
    #[schemars(range(min = 1, max = 1000))]
    pub fall: u32,
    /// By which share of itself the interval varies at random, either way.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub jitter: f64,
}

/// What a health probe does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthKind {
    /// No probes.
    #[default]
    Off,
    /// Connects; passed when the connection opens.
    Tcp,
    /// Sends a GET request; passed when the status is among `statuses`.
    Http,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            kind: HealthKind::Off,
            path: "/".to_owned(),
            statuses: StatusRange::new(200, 399).into_iter().collect(),
            interval: TimeSpan::secs(5),
            timeout: TimeSpan::secs(2),
            rise: 2,
            fall: 3,
            jitter: 0.1,
        }
    }
}

impl HealthConfig {
    /// What is impossible about the values: the field's name and what it must be.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let bad = |name, what: &str| Some((name, what.to_owned()));
        let visible = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        if !self.path.starts_with('/') || !visible(&self.path) {
            return bad("path", "must begin with `/` and hold no spaces (write `%20`)");
        }
        if self.statuses.is_empty() {
            return bad("statuses", "must name at least one status, like [\"200-399\"]");
        }
        if self.interval.0 < Duration::from_millis(1) {
            return bad("interval", "must be at least 1ms");
        }
        if self.timeout.0.is_zero() {
            return bad("timeout", "must be longer than 0");
        }
        if !(1..=1000).contains(&self.rise) {
            return bad("rise", "must be 1 to 1000");
        }
        if !(1..=1000).contains(&self.fall) {
            return bad("fall", "must be 1 to 1000");
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return bad("jitter", "must be 0 to 1");
        }
        None
    }

    /// Whether a probe that is answered with this status has passed.
    pub fn expects(&self, status: u16) -> bool {
        any_contains(&self.statuses, status)
    }
}

/// How one probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProbeResult {
    /// As it should.
    Passed,
    /// Refused, broken, too late, or with a status that is not expected.
    Failed,
}

/// What active checks know of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthState {
    standing: Transition,
    /// Probes in a row that speak against the present standing.
    against: u32,
    first: FirstProbe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FirstProbe {
    ToCome,
    Planned,
}

impl Default for HealthState {
    fn default() -> Self {
        Self::new()
    }
}

impl HealthState {
    /// An endpoint that is up and not probed yet.
    pub fn new() -> Self {
        Self::resume(Transition::Up)
    }

    /// An endpoint that was found to be so before, by the checks of an earlier configuration.
    pub fn resume(standing: Transition) -> Self {
        Self { standing, against: 0, first: FirstProbe::ToCome }
    }

    /// How the endpoint stands.
    pub fn standing(&self) -> Transition {
        self.standing
    }

    /// Takes the result of a probe; what the endpoint has become by it, if it has changed.
    pub fn on_probe(&mut self, config: &HealthConfig, result: ProbeResult) -> Option<Transition> {
        let (opposite, needed) = match (self.standing, result) {
            (Transition::Up, ProbeResult::Failed) => (Transition::Down, config.fall),
            (Transition::Down, ProbeResult::Passed) => (Transition::Up, config.rise),
            _ => {
                self.against = 0;
                return None;
            }
        };
        self.against += 1;
        if self.against < needed {
            return None;
        }
        self.against = 0;
        self.standing = opposite;
        Some(opposite)
    }

    /// When to probe next, counted from the start of the last probe: after the interval with its jitter; the first time
    /// anywhere within one interval.
    pub fn next_probe(&mut self, config: &HealthConfig, now: Instant, rng: &mut Rng) -> Instant {
        let share = match std::mem::replace(&mut self.first, FirstProbe::Planned) {
            FirstProbe::ToCome => rng.unit(),
            FirstProbe::Planned => 1.0 + config.jitter * (2.0 * rng.unit() - 1.0),
        };
        // At least a millisecond: a jitter of 1 must not make a probe storm.
        now + config.interval.0.mul_f64(share.max(0.0)).max(Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Seed;

    #[test]
    fn the_defaults_are_possible() {
        assert_eq!(HealthConfig::default().problem(), None);
        assert!(HealthConfig::default().expects(204) && !HealthConfig::default().expects(404));
    }

    #[test]
    fn it_takes_fall_failures_in_a_row_to_go_down_and_rise_passes_to_come_up() {
        use ProbeResult::{Failed, Passed};
        let (config, mut state) = (HealthConfig::default(), HealthState::new());
        let probes =
            [Failed, Failed, Passed, Failed, Failed, Failed, Passed, Failed, Passed, Passed];
        let seen: Vec<_> = probes.map(|result| state.on_probe(&config, result)).to_vec();
        let mut expected = vec![None; 10];
        expected[5] = Some(Transition::Down);
        expected[9] = Some(Transition::Up);
        assert_eq!(seen, expected);
    }

    proptest! {
        #[test]
        fn standings_alternate_and_need_their_runs(
            rise in 1_u32..5, fall in 1_u32..5, passed in proptest::collection::vec(any::<bool>(), 0..200),
        ) {
            let config = HealthConfig { rise, fall, ..HealthConfig::default() };
            let mut state = HealthState::new();
            for (i, &pass) in passed.iter().enumerate() {
                let before = state.standing();
                let result = if pass { ProbeResult::Passed } else { ProbeResult::Failed };
                let needed = if pass { rise } else { fall } as usize;
                if let Some(now) = state.on_probe(&config, result) {
                    prop_assert_ne!(now, before);
                    prop_assert_eq!(now, if pass { Transition::Up } else { Transition::Down });
                    prop_assert!(i + 1 >= needed);
                    prop_assert!(passed[i + 1 - needed..=i].iter().all(|&p| p == pass));
                } else {
                    prop_assert_eq!(state.standing(), before);
                }
            }
        }

        #[test]
        fn probes_keep_to_their_interval(seed: u64, jitter in 0.0..=1.0_f64) {
            let config = HealthConfig { jitter, ..HealthConfig::default() };
            let (mut rng, mut state) = (Seed(seed).rng(), HealthState::new());
            let first = state.next_probe(&config, Instant::START, &mut rng);
            prop_assert!(first.since(Instant::START) <= config.interval.0);
            let second = state.next_probe(&config, first, &mut rng).since(first).as_secs_f64();
            prop_assert!(second >= 5.0 * (1.0 - jitter) - 1e-6 && second <= 5.0 * (1.0 + jitter) + 1e-6);
        }
    }
}
