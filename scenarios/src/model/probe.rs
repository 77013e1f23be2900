//! Active health checks: the engine's loop of wait, connect, ask, judge, for each endpoint of the configuration in force.
//!
//! When to probe and what to make of the result is [`policy::health`]'s. A check is a new connection each time.

use policy::health::{HealthKind, ProbeResult};

use super::{
    link::Direction,
    world::{Event, Message, World},
};

/// One probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    /// Of which configuration's checks.
    pub(super) setup: u32,
    /// Of which of its endpoints.
    pub(super) index: u32,
    /// Which one.
    pub(super) stamp: u32,
}

impl World<'_> {
    /// Starts the checks of a configuration that has come into force.
    pub(super) fn start_checks(&mut self, number: usize) {
        let setup = &self.setups[number];
        if setup.config.health.kind != HealthKind::Off {
            for index in 0..setup.health.len() {
                self.plan_probe(number, index as u32);
            }
        }
    }

    fn plan_probe(&mut self, setup: usize, index: u32) {
        let of = &mut self.setups[setup];
        let check = &mut of.health[index as usize];
        let at = check.state.next_probe(&of.config.health, self.now, &mut check.rng);
        self.agenda.plan(at, Event::Probe { setup: setup as u32, index });
    }

    /// It is time for a probe.
    pub(super) fn begin_probe(&mut self, setup: u32, index: u32) {
        if !self.is_current(setup) {
            return;
        }
        let of = &self.setups[setup as usize];
        let probe = Probe { setup, index, stamp: of.health[index as usize].stamp };
        let late = self.now + of.config.health.timeout.0;
        let link = self.link_to(of.proxy, of.endpoints[index as usize]);
        self.agenda.plan(late, Event::ProbeLate(probe));
        self.send(link, Direction::Up, Message::ProbeDial(probe));
    }

    /// A probe's connection comes to its endpoint.
    pub(super) fn endpoint_is_probed(&mut self, endpoint: u32, probe: Probe) {
        let backend = &mut self.backends[endpoint as usize];
        backend.hits.crash += u64::from(backend.down);
        let answer = if backend.down {
            Message::ProbeAnswer(probe, 0)
        } else {
            Message::ProbeAccepted(probe)
        };
        let link = self.link_to(self.proxy_of(probe.setup), endpoint);
        self.send(link, Direction::Down, answer);
    }

    /// A probe has its connection.
    pub(super) fn probe_connected(&mut self, endpoint: u32, probe: Probe) {
        let setup = &self.setups[probe.setup as usize];
        if setup.health[probe.index as usize].stamp != probe.stamp {
            return;
        }
        match setup.config.health.kind {
            HealthKind::Off | HealthKind::Tcp => self.judge(probe, ProbeResult::Passed),
            HealthKind::Http => {
                let link = self.link_to(setup.proxy, endpoint);
                self.send(link, Direction::Up, Message::ProbeAsk(probe));
            }
        }
    }

    /// A probe is over: answered with a status (0: broken), or not in time.
    pub(super) fn end_probe(&mut self, probe: Probe, status: Option<u16>) {
        let health = &self.setups[probe.setup as usize].config.health;
        let passed = status.is_some_and(|status| status > 0 && health.expects(status));
        self.judge(probe, if passed { ProbeResult::Passed } else { ProbeResult::Failed });
    }

    fn judge(&mut self, probe: Probe, result: ProbeResult) {
        let setup = &mut self.setups[probe.setup as usize];
        let check = &mut setup.health[probe.index as usize];
        if check.stamp != probe.stamp {
            return;
        }
        check.stamp = check.stamp.wrapping_add(1);
        if let Some(transition) = check.state.on_probe(&setup.config.health, result) {
            setup.shared.endpoints.set_up(probe.index, transition);
            self.ring(probe.setup);
        }
        if self.is_current(probe.setup) {
            self.plan_probe(probe.setup as usize, probe.index);
        }
    }
}
