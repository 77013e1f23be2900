//! What the strategies of a scenario want to know of its backends.
//!
//! Some strategies go by what endpoints say of their load: in each answer, or when they are probed. No scenario has to say so twice: whether
//! and where its backends say it follows from the strategies, that in force at the start and those of later reloads. Backends that
//! nobody asks say nothing, so that a strategy which does not ask does not pay for those that do.

use backend_sim::BackendConfig;
use policy::balance::Needs;

use crate::language::Scenario;

/// What the backends are to say of their load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Whether each answer says it.
    pub reports: bool,
    /// Where probes ask for it, if they do.
    pub probes: Option<String>,
}

impl Wanted {
    /// Of a group of backends, by the strategies of the upstream that it stands behind.
    pub fn of(scenario: &Scenario, group: &str) -> Self {
        let mut wanted = Self::default();
        for config in scenario.configurations() {
            let own = config.upstreams.get(group).and_then(|own| own.balance.as_ref());
            match own.unwrap_or(&config.balance).strategy.needs() {
                Needs::Nothing => {}
                Needs::Reports => wanted.reports = true,
                Needs::Probes { path, .. } => {
                    wanted.probes.get_or_insert_with(|| path.to_owned());
                }
            }
        }
        wanted
    }

    /// Whether nobody wants to know anything.
    pub fn is_nothing(&self) -> bool {
        !self.reports && self.probes.is_none()
    }

    /// A backend that says it.
    pub fn of_backend(&self, config: &BackendConfig) -> BackendConfig {
        BackendConfig {
            load_report: self.reports || config.load_report,
            probe_path: self.probes.clone().unwrap_or_default(),
            ..config.clone()
        }
    }
}
