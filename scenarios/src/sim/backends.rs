//! The backends of a simulated run: each endpoint on a host of its own, and the hand that commands it.

use std::{io, time::Duration};

use backend_sim::{BackendConfig, Endpoint, Fault};
use net::{Clock, memory::Host};
use policy::Seed;
use tokio::sync::oneshot;

use super::stage::address_of;
use crate::{felt::Injected, language::Scenario};

/// The endpoints.
pub(super) struct Backends {
    /// By their place.
    endpoints: Vec<Endpoint>,
    injected: Injected,
}

impl Backends {
    /// Starts every endpoint that there ever is: those that an event adds later run from the start, and the proxy only
    /// does not know them yet.
    pub(super) async fn start(scenario: &Scenario, hosts: &[Host], seed: Seed) -> io::Result<Self> {
        let mut endpoints = Vec::with_capacity(hosts.len());
        for host in hosts {
            let (_, config) = scenario
                .backend_of(host.name())
                .ok_or_else(|| io::Error::other(format!("{} is of no backend", host.name())))?;
            endpoints.push(serve(host, seed, config).await?);
        }
        Ok(Self { endpoints, injected: Injected::default() })
    }

    fn find(&self, name: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.name() == name)
    }

    /// Does this to an endpoint.
    pub(super) fn apply(&mut self, endpoint: &str, fault: &Fault) -> Result<(), String> {
        let found = self.find(endpoint).ok_or_else(|| format!("there is no `{endpoint}`"))?;
        found.control().apply(fault).map_err(|error| format!("{endpoint}: {error}"))?;
        self.injected.note(endpoint, fault);
        Ok(())
    }

    /// Ends them in good order; what is open after `limit` is reset. Returns what was injected and touched nobody.
    pub(super) async fn stop(self, clock: &Clock, limit: Duration) -> Vec<(String, &'static str)> {
        let mut seen = Vec::with_capacity(self.endpoints.len());
        let stopping = self.endpoints.into_iter().map(|endpoint| {
            let name = endpoint.name().to_owned();
            (name, tokio::task::spawn_local(endpoint.stop(limit)))
        });
        for (name, stopped) in stopping.collect::<Vec<_>>() {
            if let Ok(Ok(snapshot)) = clock.timeout(limit * 10, stopped).await {
                seen.push((name, snapshot));
            }
        }
        self.injected.unfelt(&seen)
    }
}

/// Starts an endpoint on its host.
async fn serve(host: &Host, seed: Seed, config: &BackendConfig) -> io::Result<Endpoint> {
    let (net, config) = (host.clone(), config.clone());
    let (started, starting) = oneshot::channel();
    let serving = async move {
        let (name, address) = (net.name().to_owned(), address_of(&net));
        // The endpoint's tasks are its host's from here on; whoever waits for the handle commands it.
        drop(started.send(backend_sim::serve(net, seed, &name, address, &config).await));
    };
    drop(host.spawn(serving)?);
    starting.await.map_err(|_| io::Error::other("the host died while its endpoint started"))?
}
