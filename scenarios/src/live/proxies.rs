//! The proxy over a run: reloaded, restarted, and what all that there were have counted.
//!
//! A restart is no pause of whoever waits here: the old proxy drains on a thread of its own, and the new one is started when
//! its time has come ([`Proxies::due`], [`Proxies::rise`]), so that the load and the other events go on meanwhile. Every
//! proxy's counters, and those of every set of endpoints that a reload made, are kept until the end: a proxy
//! that drains still counts.

use std::{
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use net::Clock;
use policy::{Instant, Seed};
use proxy::{
    config::ProxyConfig,
    engine::{Proxy, StartError},
};

use crate::generations::Generations;

/// How often, and after how long, a new proxy tries to listen where the old one did.
const REBIND: (u32, Duration) = (100, Duration::from_millis(20));

/// The proxy of a run, and those before it.
#[derive(Debug)]
pub(super) struct Proxies {
    config: ProxyConfig,
    seed: Seed,
    clock: Clock,
    /// `None` while there is none.
    present: Option<Proxy>,
    rise: Option<Rise>,
    started: u64,
    generations: Generations,
    drains: Vec<mpsc::Receiver<()>>,
}

/// A proxy that is to be started.
#[derive(Clone, Copy, Debug)]
struct Rise {
    at: Instant,
    tries: u32,
}

impl Proxies {
    /// Starts the first.
    pub(super) fn start(
        config: ProxyConfig,
        seed: Seed,
        clock: Clock,
    ) -> Result<(Self, SocketAddr), StartError> {
        let mut proxies = Self {
            config,
            seed,
            clock,
            present: None,
            rise: None,
            started: 0,
            generations: Generations::default(),
            drains: Vec::new(),
        };
        let address = proxies.begin()?;
        // Those that follow listen where the first did.
        proxies.config.listen = address;
        Ok((proxies, address))
    }

    fn begin(&mut self) -> Result<SocketAddr, StartError> {
        let proxy = Proxy::start(self.config.clone(), self.seed.nth(self.started))?;
        self.started += 1;
        self.generations.started(Arc::clone(proxy.shared()), proxy.state().upstream);
        let address = proxy.address();
        self.present = Some(proxy);
        Ok(address)
    }

    /// Changes the configuration; while there is no proxy, that of the next one.
    pub(super) fn reload(&mut self, change: impl FnOnce(&mut ProxyConfig)) -> Result<(), String> {
        change(&mut self.config);
        if let Some(proxy) = &self.present {
            proxy.reload(self.config.clone()).map_err(|error| error.to_string())?;
            self.generations.reloaded(proxy.state().upstream);
        }
        Ok(())
    }

    /// Stops the proxy: it drains. The next one is due after `down`. When there is none already, it comes later.
    pub(super) fn restart(&mut self, down: Duration) {
        if let Some(proxy) = self.present.take() {
            self.drain(proxy);
        }
        self.rise = Some(Rise { at: self.clock.now() + down, tries: REBIND.0 });
    }

    fn drain(&mut self, proxy: Proxy) {
        let (done, drained) = mpsc::channel();
        self.drains.push(drained);
        thread::spawn(move || {
            proxy.drain();
            drop(done);
        });
    }

    /// When [`rise`](Self::rise) is to be called.
    pub(super) fn due(&self) -> Instant {
        self.rise.map_or(Instant::NEVER, |rise| rise.at)
    }

    /// Starts the proxy that is due. While the old one still listens, that is tried again soon.
    pub(super) fn rise(&mut self) -> Result<(), String> {
        let Some(Rise { tries, .. }) = self.rise.take() else { return Ok(()) };
        match self.begin() {
            Ok(_) => Ok(()),
            Err(StartError::Bind(..)) if tries > 1 => {
                self.rise = Some(Rise { at: self.clock.now() + REBIND.1, tries: tries - 1 });
                Ok(())
            }
            Err(error) => Err(format!("the proxy could not be started again: {error}")),
        }
    }

    /// All that there were.
    pub(super) fn generations(&self) -> &Generations {
        &self.generations
    }

    /// Ends them, when clients and endpoints are gone: then nothing holds a drain up, and the next run has the
    /// machine for itself. False when one was not done after `limit`.
    pub(super) fn stop(mut self, limit: Duration) -> bool {
        if let Some(proxy) = self.present.take() {
            self.drain(proxy);
        }
        let deadline = self.clock.now() + limit;
        let ended = |drained: &mpsc::Receiver<()>| {
            let left = deadline.since(self.clock.now());
            drained.recv_timeout(left) == Err(mpsc::RecvTimeoutError::Disconnected)
        };
        // All are waited for, whatever became of the first.
        self.drains.iter().filter(|drained| !ended(drained)).count() == 0
    }
}
