//! The backends' thread, and the hand that commands it.
//!
//! Commands are carried out one after the other, in the order in which they were given, on a thread of their own: a
//! restart may have to wait for its port, and must hold up neither the load nor what happens to the proxy meanwhile.

use std::{io, net::SocketAddr, sync::mpsc, thread, time::Duration};

use backend_sim::{Fault, GroupSpec, Remote};
use net::{Clock, Real};
use policy::Seed;
use proxy::config::EndpointConfig;
use tokio::sync::oneshot;

use crate::{
    felt::Injected,
    language::{Moment, Scenario},
    wanted::Wanted,
};

/// The backends of a run.
#[derive(Debug)]
pub(super) struct Backends {
    addresses: Vec<(String, SocketAddr)>,
    orders: mpsc::Sender<Order>,
}

/// What became of the backends.
#[derive(Debug, Default)]
pub(super) struct Fate {
    /// What could not be done.
    pub(super) errors: Vec<String>,
    /// What was injected and touched no request at the endpoint: its name and the fault.
    pub(super) unfelt: Vec<(String, &'static str)>,
}

enum Order {
    Apply { label: String, at: Duration, fault: Fault, endpoints: Vec<String> },
    End(Duration, oneshot::Sender<Fate>),
}

impl Backends {
    /// Starts every endpoint that there ever is: those that an event adds later run from the start, and the proxy only
    /// does not know them yet.
    pub(super) fn start(scenario: &Scenario, clock: Clock, seed: Seed) -> io::Result<Self> {
        let total = scenario.all_endpoints();
        let groups = scenario.backends.iter().map(|(name, config)| {
            let of_group = |endpoint: &&String| {
                scenario.backend_of(endpoint).is_some_and(|(of, _)| of == name)
            };
            let count = total.iter().filter(of_group).count();
            let count = count as u32;
            let config = backend_sim::BackendConfig {
                count,
                ..Wanted::of(scenario, name).of_backend(config)
            };
            GroupSpec { name: name.clone(), config, addresses: Vec::new() }
        });
        let net = Real::with_clock(clock);
        let remote = backend_sim::run_in_thread(net, seed.child("backends"), groups.collect())?;
        let addresses = remote.endpoints().to_vec();
        let (orders, inbox) = mpsc::channel();
        thread::Builder::new().name("events".into()).spawn(move || obey(remote, &inbox))?;
        Ok(Self { addresses, orders })
    }

    /// An endpoint as the proxy is told of it.
    pub(super) fn endpoint(&self, scenario: &Scenario, name: &str) -> Option<EndpointConfig> {
        let (_, address) = self.addresses.iter().find(|(known, _)| known == name)?;
        Some(scenario.told(name, *address))
    }

    /// Does this to the moment's endpoints, soon.
    pub(super) fn apply(&self, moment: &Moment, fault: Fault) {
        let Moment { label, at, endpoints, .. } = moment;
        let (label, endpoints) = (label.clone(), endpoints.clone());
        // The thread is there until it is told to end.
        let _ = self.orders.send(Order::Apply { label, at: *at, fault, endpoints });
    }

    /// Ends them: what is open after `limit` is reset.
    pub(super) async fn stop(self, clock: Clock, limit: Duration) -> Fate {
        let (answer, fate) = oneshot::channel();
        let _ = self.orders.send(Order::End(limit, answer));
        // A restart that still waits for its port is not waited for: then the thread ends behind our back.
        if let Ok(Ok(fate)) = clock.timeout(limit * 10, fate).await {
            return fate;
        }
        let late = "a command to the backends was still waiting at the end".to_owned();
        Fate { errors: vec![late], ..Fate::default() }
    }
}

fn obey(remote: Remote, inbox: &mpsc::Receiver<Order>) {
    let mut injected = Injected::default();
    let mut errors = Vec::new();
    while let Ok(order) = inbox.recv() {
        match order {
            Order::Apply { label, at, fault, endpoints } => {
                for endpoint in endpoints {
                    match remote.apply(&endpoint, &fault) {
                        Err(error) => {
                            errors.push(format!("event at {at:?}, {label}: {endpoint}: {error}"));
                        }
                        Ok(()) => injected.note(&endpoint, &fault),
                    }
                }
            }
            Order::End(limit, answer) => {
                let seen = remote.stop(limit).unwrap_or_default();
                drop(answer.send(Fate { errors, unfelt: injected.unfelt(&seen) }));
                return;
            }
        }
    }
}
