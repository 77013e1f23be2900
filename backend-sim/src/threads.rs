//! Groups on a thread of their own, with real sockets and real time.
//!
//! For whoever has a runtime already, or none: the endpoints run on an operating-system thread with a
//! current-thread runtime, and take their commands over a bounded channel. Each command is answered when it has been
//! carried out, so that after `apply("web-3", &Fault::Crash)` the address does refuse connections.

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::mpsc::{SyncSender, sync_channel},
    thread::JoinHandle,
    time::Duration,
};

use net::Real;
use policy::Seed;
use tokio::{
    runtime::Builder,
    sync::mpsc::{Receiver, Sender, channel, error::TrySendError},
    task::{LocalSet, spawn_local},
};

use crate::{
    config::BackendConfig,
    control::{Fault, Snapshot},
    endpoint::{Endpoint, Group},
};

/// Commands that may wait for their thread.
const COMMANDS: usize = 256;

/// A group to start.
#[derive(Clone, Debug)]
pub struct GroupSpec {
    /// Its name; the endpoints are called `NAME-0`, `NAME-1`, ….
    pub name: String,
    /// What its endpoints are.
    pub config: BackendConfig,
    /// Where they listen, in order; those that have no address here get a free port on loopback.
    pub addresses: Vec<SocketAddr>,
}

enum Command {
    Apply(String, Fault, SyncSender<io::Result<()>>),
    Snapshots(SyncSender<Vec<(String, Snapshot)>>),
    Stop(Duration, SyncSender<Vec<(String, Snapshot)>>),
}

/// The handle of a thread of endpoints, for any other thread. Dropping it ends the thread and resets what is open.
pub struct Remote {
    endpoints: Vec<(String, SocketAddr)>,
    commands: Option<Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

/// Starts groups on a thread of their own and waits until every endpoint listens. `net` may carry a clock that
/// others share.
///
/// # Errors
///
/// As [`serve`](crate::serve), or when there is no thread to be had; nothing runs then.
pub fn run_in_thread(net: Real, seed: Seed, groups: Vec<GroupSpec>) -> io::Result<Remote> {
    let (ready, started) = sync_channel(1);
    let (commands, inbox) = channel(COMMANDS);
    let thread = std::thread::Builder::new().name("backend-sim".into()).spawn(move || {
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(error))),
        };
        LocalSet::new().block_on(&runtime, async move {
            let endpoints = match start(&net, seed, groups).await {
                Ok(endpoints) => endpoints,
                Err(error) => return drop(ready.send(Err(error))),
            };
            let addresses = endpoints.iter().map(|e| (e.name().to_owned(), e.address())).collect();
            if ready.send(Ok(addresses)).is_ok() {
                obey(endpoints, inbox).await;
            }
        });
    })?;
    let endpoints = match started.recv() {
        Ok(result) => result?,
        Err(_) => return Err(gone()),
    };
    Ok(Remote { endpoints, commands: Some(commands), thread: Some(thread) })
}

async fn start(net: &Real, seed: Seed, groups: Vec<GroupSpec>) -> io::Result<Vec<Endpoint>> {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut endpoints = Vec::new();
    for GroupSpec { name, config, addresses } in groups {
        let address = |index| addresses.get(index as usize).copied().unwrap_or(any);
        let group = Group::start(net, seed, &name, &config, address).await?;
        endpoints.extend(group.endpoints);
    }
    Ok(endpoints)
}

async fn obey(endpoints: Vec<Endpoint>, mut inbox: Receiver<Command>) {
    // Whoever asked may have stopped waiting for the answer: that is not our trouble.
    while let Some(command) = inbox.recv().await {
        match command {
            Command::Apply(name, fault, answer) => {
                let found = endpoints.iter().find(|endpoint| endpoint.name() == name);
                let Some(control) = found.map(|endpoint| endpoint.control().clone()) else {
                    let error = format!("no endpoint is called `{name}`");
                    drop(answer.send(Err(io::Error::new(io::ErrorKind::NotFound, error))));
                    continue;
                };
                if let Err(error) = control.apply(&fault) {
                    drop(answer.send(Err(error)));
                    continue;
                }
                // One that has to wait for its port must not hold up the others.
                spawn_local(async move { drop(answer.send(control.settled().await)) });
            }
            Command::Snapshots(answer) => {
                let all = endpoints.iter().map(|e| (e.name().to_owned(), e.control().snapshot()));
                drop(answer.send(all.collect()));
            }
            Command::Stop(limit, answer) => {
                let stopping: Vec<_> = endpoints
                    .into_iter()
                    .map(|e| (e.name().to_owned(), spawn_local(e.stop(limit))))
                    .collect();
                let mut all = Vec::with_capacity(stopping.len());
                for (name, stopped) in stopping {
                    all.push((name, stopped.await.unwrap_or_default()));
                }
                drop(answer.send(all));
                return;
            }
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the backends' thread is gone")
}

impl Remote {
    /// The endpoints' names and addresses, in the order of the groups.
    pub fn endpoints(&self) -> &[(String, SocketAddr)] {
        &self.endpoints
    }

    /// The address of the endpoint of this name.
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.endpoints.iter().find(|(known, _)| known == name).map(|(_, address)| *address)
    }

    /// Does this to an endpoint and waits, without any runtime, until it has been carried out: well under a
    /// millisecond, unless the thread is busy.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such endpoint, `InvalidInput` for an impossible parameter, `WouldBlock` when too
    /// many commands wait already; otherwise why the address could not be bound again.
    pub fn apply(&self, endpoint: &str, fault: &Fault) -> io::Result<()> {
        self.ask(|answer| Command::Apply(endpoint.to_owned(), *fault, answer))?
    }

    /// What each endpoint has seen so far, in the order of [`endpoints`](Self::endpoints).
    ///
    /// # Errors
    ///
    /// `WouldBlock` when too many commands wait already, or when the thread is gone.
    pub fn snapshots(&self) -> io::Result<Vec<(String, Snapshot)>> {
        self.ask(Command::Snapshots)
    }

    /// Stops all endpoints in good order, resets what is still open after `limit`, and ends the thread.
    ///
    /// # Errors
    ///
    /// When the thread is gone.
    pub fn stop(mut self, limit: Duration) -> io::Result<Vec<(String, Snapshot)>> {
        let all = self.ask(|answer| Command::Stop(limit, answer));
        self.join();
        all
    }

    fn ask<T>(&self, command: impl FnOnce(SyncSender<T>) -> Command) -> io::Result<T> {
        let (answer, answered) = sync_channel(1);
        let commands = self.commands.as_ref().ok_or_else(gone)?;
        commands.try_send(command(answer)).map_err(|error| match error {
            TrySendError::Full(_) => {
                io::Error::new(io::ErrorKind::WouldBlock, "too many commands wait for the backends")
            }
            TrySendError::Closed(_) => gone(),
        })?;
        answered.recv().map_err(|_| gone())
    }

    fn join(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to say; if it panicked, the panic has been printed.
            let _ = thread.join();
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.join();
    }
}
