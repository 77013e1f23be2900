//! Endpoints and groups of them: listening, accepting, dying and coming back.
//!
//! An endpoint is two tasks on the current thread, one that accepts and one that drives the station, and one more for
//! each connection. A group is `count` endpoints of one configuration, called `web-0`, `web-1`, ….

use std::{fmt, io, net::SocketAddr, pin::pin, rc::Rc, task::Poll, time::Duration};

use net::{BindOptions, Listener, Net};
use policy::Seed;
use tokio::task::{JoinHandle, spawn_local};

use crate::{
    config::BackendConfig,
    connection,
    control::{Control, Snapshot},
    core::{Core, add, drive},
    gate::{MAX_CONNECTIONS, Wanted},
    redirect::Door,
};

/// How long the acceptor waits when it could not accept or bind.
const PAUSE: Duration = Duration::from_millis(50);

/// A running endpoint. Dropping the handle leaves it running until its runtime ends.
pub struct Endpoint {
    address: SocketAddr,
    control: Control,
    tasks: [JoinHandle<()>; 2],
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("name", &self.name())
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Starts an endpoint on the current thread, inside a `LocalSet` or local runtime. Port 0 lets the world choose one.
/// What it draws depends on `seed` and `name` alone.
///
/// # Errors
///
/// `InvalidInput` when the configuration is impossible; otherwise why the address could not be bound.
pub async fn serve<N: Net>(
    net: N,
    seed: Seed,
    name: &str,
    address: SocketAddr,
    config: &BackendConfig,
) -> io::Result<Endpoint> {
    serve_shared(net, seed, name, address, Rc::new(config.clone())).await
}

async fn serve_shared<N: Net>(
    net: N,
    seed: Seed,
    name: &str,
    address: SocketAddr,
    config: Rc<BackendConfig>,
) -> io::Result<Endpoint> {
    if let Some((path, what)) = config.problem() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{path}` {what}")));
    }
    let listener = net.bind(address, BindOptions::default()).await?;
    let address = listener.local_address()?;
    let admission = config.admission.clone();
    let door = admission.and_then(|admission| Door::new(&admission, address, net.clone()));
    let core = Rc::new(Core::new(name, config, seed, *net.clock()).behind(door));
    let tasks = [
        spawn_local(accept(net, Rc::clone(&core), address, listener)),
        spawn_local(drive(Rc::clone(&core))),
    ];
    Ok(Endpoint { address, control: Control { core }, tasks })
}

impl Endpoint {
    /// Its name.
    pub fn name(&self) -> &str {
        self.control.name()
    }

    /// Where it listens, or would if it had not crashed.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The handle that commands it.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Stops in good order: no new connections, the requests that are here are answered. What is still open after
    /// `limit` is reset. Tells what it has seen in all.
    pub async fn stop(self, limit: Duration) -> Snapshot {
        let gate = &self.control.core.gate;
        if gate.state().1 == Wanted::Open {
            gate.want(Wanted::Draining);
        }
        let clock = self.control.core.clock;
        if clock.timeout(limit, gate.empty()).await.is_err() {
            gate.end_life(Wanted::Closed);
            gate.empty().await;
        }
        // Only fails while the address cannot be bound; then nothing listens either.
        let _ = gate.settled().await;
        for task in &self.tasks {
            task.abort();
        }
        if let Some(door) = &self.control.core.door {
            door.close();
        }
        self.control.snapshot()
    }
}

/// Keeps the listener as the gate wants it, and accepts.
async fn accept<N: Net>(net: N, core: Rc<Core>, address: SocketAddr, first: N::Listener) {
    let gate = &core.gate;
    let mut bound = Some(first);
    loop {
        let state = gate.state();
        if state.1 != Wanted::Open {
            bound = None;
            gate.reached(state, None);
            std::future::poll_fn(|cx| gate.poll_changed(cx, state)).await;
            continue;
        }
        let listener = match bound.take() {
            Some(listener) => listener,
            None => match net.bind(address, BindOptions::default()).await {
                Ok(listener) => listener,
                Err(error) => {
                    add(&core.counts.accept_errors);
                    gate.reached(state, Some(error));
                    core.clock.sleep(PAUSE).await;
                    continue;
                }
            },
        };
        gate.reached(state, None);
        accept_from(&core, &listener, state).await;
        // The listener closes here, and with it what waits in its backlog.
    }
}

/// Accepts until the gate wants something else.
async fn accept_from<L: Listener>(core: &Rc<Core>, listener: &L, state: (u64, Wanted)) {
    loop {
        let accepted = {
            let mut accept = pin!(listener.accept());
            std::future::poll_fn(|cx| {
                if core.gate.poll_changed(cx, state).is_ready() {
                    return Poll::Ready(None);
                }
                if core.gate.open() >= MAX_CONNECTIONS {
                    return Poll::Pending;
                }
                accept.as_mut().poll(cx).map(Some)
            })
            .await
        };
        match accepted {
            None => return,
            Some(Ok((stream, client))) => connection::spawn(core, stream, client.ip()),
            Some(Err(_)) => {
                // Out of file descriptors, most likely: wait until some are given back.
                add(&core.counts.accept_errors);
                core.clock.sleep(PAUSE).await;
            }
        }
    }
}

/// Endpoints of one configuration.
#[derive(Debug)]
pub struct Group {
    /// In the order of their numbers.
    pub endpoints: Vec<Endpoint>,
}

impl Group {
    /// Starts `config.count` endpoints `NAME-0`, `NAME-1`, … at `addresses(0)`, `addresses(1)`, ….
    ///
    /// # Errors
    ///
    /// As [`serve`]; which endpoint it was is in the message. Those that were started already run on.
    pub async fn start<N: Net>(
        net: &N,
        seed: Seed,
        name: &str,
        config: &BackendConfig,
        mut addresses: impl FnMut(u32) -> SocketAddr,
    ) -> io::Result<Self> {
        let config = Rc::new(config.clone());
        let mut endpoints = Vec::with_capacity(config.count as usize);
        for index in 0..config.count {
            let (name, address) = (format!("{name}-{index}"), addresses(index));
            let endpoint =
                serve_shared(net.clone(), seed, &name, address, Rc::clone(&config)).await.map_err(
                    |error| io::Error::new(error.kind(), format!("{name} at {address}: {error}")),
                )?;
            endpoints.push(endpoint);
        }
        Ok(Self { endpoints })
    }

    /// The endpoint of this name.
    pub fn get(&self, name: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.name() == name)
    }
}
