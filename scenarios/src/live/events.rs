//! Performing events on a live system.
//!
//! What is done to an endpoint is done by the backends' own thread; what is done to the proxy, by reloading it or by
//! starting another one on the same port. A fault that touched nobody has tested nothing: at the end it is named.

use std::{collections::BTreeSet, time::Duration};

use backend_sim::{Fault, Remote, Snapshot};
use policy::Seed;
use proxy::{config::ProxyConfig, engine::Proxy};

use super::{Counters, endpoint_config};
use crate::language::{Action, Moment, Scenario};

/// How often, and after how long, a new proxy tries to listen where the old one did.
const REBIND: (u32, Duration) = (50, Duration::from_millis(20));

/// Whoever performs the events of a run.
pub(super) struct Performer<'a> {
    scenario: &'a Scenario,
    backends: Remote,
    /// `None` while it is being restarted.
    proxy: Option<Proxy>,
    config: ProxyConfig,
    /// What proxies that are gone have counted.
    gone: Counters,
    injected: BTreeSet<(String, &'static str)>,
}

impl<'a> Performer<'a> {
    pub(super) fn new(
        scenario: &'a Scenario,
        backends: Remote,
        proxy: Proxy,
        config: ProxyConfig,
    ) -> Self {
        let config = ProxyConfig { listen: proxy.address(), ..config };
        Self {
            scenario,
            backends,
            proxy: Some(proxy),
            config,
            gone: Counters::default(),
            injected: BTreeSet::new(),
        }
    }

    /// What the proxies have counted so far.
    pub(super) fn counters(&self) -> Counters {
        match &self.proxy {
            Some(proxy) => Counters::read(proxy).plus(&self.gone),
            None => self.gone.clone(),
        }
    }

    pub(super) async fn perform(&mut self, moment: &Moment) -> Result<(), String> {
        match &moment.action {
            Action::Fault { fault, .. } => {
                for endpoint in &moment.endpoints {
                    self.backends.apply(endpoint, fault).map_err(|error| error.to_string())?;
                    if let Some(name) = felt(fault) {
                        self.injected.insert((endpoint.clone(), name));
                    }
                }
                Ok(())
            }
            Action::Add { .. } => {
                let added = moment.endpoints.iter();
                let added =
                    added.filter_map(|name| endpoint_config(self.scenario, &self.backends, name));
                self.config.endpoints.extend(added);
                self.reload()
            }
            Action::Remove { .. } => {
                self.config.endpoints.retain(|endpoint| {
                    !moment.endpoints.iter().any(|name| *name == *endpoint.name())
                });
                self.reload()
            }
            Action::Reload { config, .. } => {
                if let Some(config) = config {
                    self.config = ProxyConfig {
                        listen: self.config.listen,
                        workers: self.config.workers,
                        endpoints: std::mem::take(&mut self.config.endpoints),
                        ..(**config).clone()
                    };
                }
                self.reload()
            }
            Action::RestartProxy { down } => self.restart(down.0).await,
            Action::Partition(_)
            | Action::Repair(_)
            | Action::Latency { .. }
            | Action::Drop { .. } => Err("only a simulated network can do this".to_owned()),
        }
    }

    fn reload(&self) -> Result<(), String> {
        match &self.proxy {
            Some(proxy) => proxy.reload(self.config.clone()).map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    async fn restart(&mut self, down: Duration) -> Result<(), String> {
        let Some(proxy) = self.proxy.take() else { return Ok(()) };
        let clock = *proxy.clock();
        self.gone = Counters::read(&proxy).plus(&self.gone);
        let seed = Seed(self.scenario.seed).child("proxy");
        // Draining may take its time: it must not hold up the load and the other events.
        std::thread::spawn(move || proxy.drain());
        clock.sleep(down).await;
        let (tries, pause) = REBIND;
        let mut last = String::new();
        for _ in 0..tries {
            match Proxy::start(self.config.clone(), seed) {
                Ok(proxy) => {
                    self.proxy = Some(proxy);
                    return Ok(());
                }
                Err(error) => last = error.to_string(),
            }
            clock.sleep(pause).await;
        }
        Err(last)
    }

    /// The faults that were injected and touched nobody.
    pub(super) fn unfelt(&self) -> Vec<String> {
        let snapshots = self.backends.snapshots().unwrap_or_default();
        let hits = |endpoint: &str, fault: &str| {
            let snapshot = snapshots.iter().find(|(name, _)| name == endpoint).map(|(_, s)| s);
            snapshot.map_or(0, |snapshot| hits_of(snapshot, fault))
        };
        let unfelt = self.injected.iter().filter(|(endpoint, fault)| hits(endpoint, fault) == 0);
        unfelt
            .map(|(endpoint, fault)| format!("the fault `{fault}` on {endpoint} touched nobody"))
            .collect()
    }

    /// Ends what runs.
    pub(super) fn stop(self, limit: Duration) {
        // What the clients have left open would hold up a drain; they are gone.
        if let Some(proxy) = self.proxy {
            std::thread::spawn(move || proxy.drain());
        }
        // The figures were read before; a thread that is gone needs no stopping.
        drop(self.backends.stop(limit));
    }
}

/// The name of a fault that somebody should feel.
fn felt(fault: &Fault) -> Option<&'static str> {
    match fault {
        Fault::Slow { .. } => Some("slow"),
        Fault::Fail { .. } => Some("fail"),
        Fault::Hang => Some("hang"),
        Fault::Crash => Some("crash"),
        Fault::Restart | Fault::Restore => None,
    }
}

fn hits_of(snapshot: &Snapshot, fault: &str) -> u64 {
    match fault {
        "slow" => snapshot.hits.slow,
        "fail" => snapshot.hits.fail,
        "hang" => snapshot.hits.hang,
        _ => snapshot.hits.crash,
    }
}
