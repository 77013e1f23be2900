//! The backends of a simulated run: each endpoint on a host of its own, and the hand that commands it.
//!
//! A command is carried out by a task on the endpoint's host, because a host may have a clock of its own.

use std::{cell::RefCell, io, rc::Rc, time::Duration};

use backend_sim::{BackendConfig, Control, Endpoint, Fault};
use net::{Clock, SimulatedHost};
use policy::Seed;
use tokio::sync::oneshot;

use super::stage::address_of;
use crate::{felt::Injected, language::Scenario, wanted::Wanted};

/// The endpoints.
pub(super) struct Backends<H> {
    /// By their place.
    endpoints: Vec<(H, Endpoint)>,
    injected: Injected,
    failed: Rc<RefCell<Vec<String>>>,
}

impl<H: SimulatedHost> Backends<H> {
    /// Starts every endpoint that there ever is: those that an event adds later run from the start, and the proxy only
    /// does not know them yet.
    pub(super) async fn start(scenario: &Scenario, hosts: &[H], seed: Seed) -> io::Result<Self> {
        let mut endpoints = Vec::with_capacity(hosts.len());
        for host in hosts {
            let (group, config) = scenario
                .backend_of(host.name())
                .ok_or_else(|| io::Error::other(format!("{} is of no backend", host.name())))?;
            let config = Wanted::of(scenario, group).of_backend(config);
            let endpoint = serve(host, seed, config).await?;
            endpoint.control().note_unrepeatable();
            endpoints.push((host.clone(), endpoint));
        }
        Ok(Self { endpoints, injected: Injected::default(), failed: Rc::default() })
    }

    /// Does this to an endpoint.
    pub(super) fn apply(&mut self, name: &str, fault: &Fault) -> Result<(), String> {
        let mut endpoints = self.endpoints.iter();
        let (host, endpoint) = endpoints
            .find(|(host, _)| host.name() == name)
            .ok_or_else(|| format!("there is no `{name}`"))?;
        self.injected.note(name, fault);
        let (control, fault, failed) =
            (endpoint.control().clone(), *fault, Rc::clone(&self.failed));
        let spawned = host.spawn(async move { obey(&control, fault, &failed) });
        spawned.map(drop).map_err(|error| error.to_string())
    }

    /// The requests that must not come twice, as each endpoint has seen them: its name and their numbers.
    pub(super) fn unrepeatable(&self) -> impl Iterator<Item = (&str, Vec<u64>)> {
        self.endpoints
            .iter()
            .map(|(host, endpoint)| (host.name(), endpoint.control().unrepeatable()))
    }

    /// Ends them in good order; what is open after `limit` is reset. Returns what was injected and touched nobody, and what
    /// could not be done.
    pub(super) async fn stop(
        self,
        clock: &Clock,
        limit: Duration,
    ) -> (Vec<(String, &'static str)>, Vec<String>) {
        let stopping = self.endpoints.into_iter().filter_map(|(host, endpoint)| {
            let stopped = host.spawn(endpoint.stop(limit)).ok()?;
            Some((host.name().to_owned(), stopped))
        });
        let mut seen = Vec::new();
        for (name, stopped) in stopping.collect::<Vec<_>>() {
            if let Ok(Ok(snapshot)) = clock.timeout(limit * 10, stopped).await {
                seen.push((name, snapshot));
            }
        }
        (self.injected.unfelt(&seen), self.failed.take())
    }
}

fn obey(control: &Control, fault: Fault, failed: &RefCell<Vec<String>>) {
    if let Err(error) = control.apply(&fault) {
        failed.borrow_mut().push(format!("{}: {error}", control.name()));
    }
}

/// Starts an endpoint on its host.
async fn serve<H: SimulatedHost>(
    host: &H,
    seed: Seed,
    config: BackendConfig,
) -> io::Result<Endpoint> {
    let net = host.clone();
    let (started, starting) = oneshot::channel();
    let serving = async move {
        let (name, address) = (net.name().to_owned(), address_of(&net));
        // The endpoint's tasks are its host's from here on; whoever waits for the handle commands it.
        drop(started.send(backend_sim::serve(net, seed, &name, address, &config).await));
    };
    drop(host.spawn(serving)?);
    starting.await.map_err(|_| io::Error::other("the host died while its endpoint started"))?
}
