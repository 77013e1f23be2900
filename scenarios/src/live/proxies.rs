//! The proxies over a run: reloaded, restarted, and what all that there were have counted.
//!
//! A restart is no pause of whoever waits here: the old proxy drains on a thread of its own, and the new one is started when
//! its time has come ([`Proxies::due`], [`Proxies::rise`]), so that the load and the other events go on meanwhile. Every
//! proxy's counters, and those of every set of endpoints that a reload made, are kept until the end: a proxy
//! that drains still counts.

use std::{
    net::SocketAddr,
    ops::Range,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use net::Clock;
use policy::{
    Instant, Seed,
    cache::{Mode, Purging},
};
use proxy::{
    config::ProxyConfig,
    engine::{Proxy, StartError},
};

use crate::{felt::Purged, fleet::Member, generations::Generations, language::Moment};

/// How often, and after how long, a new proxy tries to listen where the old one did.
const REBIND: (u32, Duration) = (100, Duration::from_millis(20));

/// The proxies of a run, and those before them.
#[derive(Debug)]
pub(super) struct Proxies {
    /// By number.
    all: Vec<Succession>,
    clock: Clock,
    generations: Generations,
    drains: Vec<mpsc::Receiver<()>>,
    /// What the reader should know, also of what has been said since.
    notes: (mpsc::Sender<String>, mpsc::Receiver<String>),
}

/// One of them, and those before it.
#[derive(Debug)]
struct Succession {
    member: Member,
    config: ProxyConfig,
    seed: Seed,
    /// `None` while there is none.
    present: Option<Proxy>,
    rise: Option<Rise>,
    started: u64,
}

/// A proxy that is to be started.
#[derive(Clone, Copy, Debug)]
struct Rise {
    at: Instant,
    tries: u32,
}

impl Proxies {
    /// Starts the first of each with its configuration, and says where they listen. `seed` is the run's.
    pub(super) fn start(
        members: impl Iterator<Item = (Member, ProxyConfig)>,
        seed: Seed,
        clock: Clock,
    ) -> Result<(Self, Vec<SocketAddr>), StartError> {
        let succession = |(member, config): (Member, ProxyConfig)| {
            let seed = member.seed(seed);
            Succession { member, config, seed, present: None, rise: None, started: 0 }
        };
        let mut all: Vec<Succession> = members.map(succession).collect();
        let mut generations = Generations::new(all.len() as u32);
        let mut addresses = Vec::with_capacity(all.len());
        for one in &mut all {
            let address = one.begin(&mut generations)?;
            // Those that follow listen where the first did.
            one.config.listen = address;
            addresses.push(address);
        }
        let (drains, notes) = (Vec::new(), mpsc::channel());
        Ok((Self { all, clock, generations, drains, notes }, addresses))
    }

    /// Changes the configuration of these; of one that is not there now, that of the next.
    pub(super) fn reload(
        &mut self,
        which: Range<u32>,
        change: impl Fn(u32, &mut ProxyConfig),
    ) -> Result<(), String> {
        let mut each = self.all.iter_mut().filter(|one| which.contains(&one.member.index));
        each.try_for_each(|one| one.reload(&change, &mut self.generations))
    }

    /// Stops these: they drain. The next of each is due after `down`. When there is none already, it comes later.
    pub(super) fn restart(&mut self, which: Range<u32>, down: Duration) {
        let at = self.clock.now() + down;
        let mut leaving = Vec::new();
        for one in self.all.iter_mut().filter(|one| which.contains(&one.member.index)) {
            leaving.extend(one.present.take());
            one.rise = Some(Rise { at, tries: REBIND.0 });
        }
        for proxy in leaving {
            self.drain(proxy);
        }
    }

    /// Lets those that the event is about forget something, or hold it to be stale; `what` is told how clients call the proxies.
    pub(super) fn purge(&self, moment: &Moment, what: impl Fn(&str) -> Vec<Purging>, soft: bool) {
        let host = self.all.first().map(|first| first.config.listen.to_string());
        let what: Arc<[Purging]> = what(&host.unwrap_or_default()).into();
        let mode = if soft { Mode::Soft(self.clock.now()) } else { Mode::Hard };
        let mut purged = Purged::default();
        let about = self.all.iter().filter(|one| moment.proxies.contains(&one.member.index));
        for proxy in about.filter_map(|one| one.present.as_ref()) {
            let commons = proxy.state().commons;
            purged.answers += commons.purge(&what, mode);
            if commons.has_second() {
                purged.second = true;
                let (notes, what) = (self.notes.0.clone(), Arc::clone(&what));
                let (clock, label) = (self.clock, moment.label.clone());
                drop(tokio::spawn(async move {
                    if let Some(Err(why)) = commons.purge_second(&what, &clock).await {
                        let note = format!("{label}: the second tier has not forgotten it: {why}");
                        // Nobody listens once the run is over.
                        let _ = notes.send(note);
                    }
                }));
            }
        }
        if let Some(note) = purged.note(moment) {
            let _ = self.notes.0.send(note);
        }
    }

    /// What the reader should know.
    pub(super) fn notes(&self) -> Vec<String> {
        self.notes.1.try_iter().collect()
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
        self.all
            .iter()
            .filter_map(|one| one.rise)
            .map(|rise| rise.at)
            .min()
            .unwrap_or(Instant::NEVER)
    }

    /// Starts the proxy that is due. While the old one still listens, that is tried again soon.
    pub(super) fn rise(&mut self) -> Result<(), String> {
        let due = self.due();
        let is_due = |one: &&mut Succession| one.rise.is_some_and(|rise| rise.at == due);
        let Some(one) = self.all.iter_mut().find(is_due) else { return Ok(()) };
        let Some(Rise { tries, .. }) = one.rise.take() else { return Ok(()) };
        match one.begin(&mut self.generations) {
            Ok(_) => Ok(()),
            Err(StartError::Bind(..)) if tries > 1 => {
                one.rise = Some(Rise { at: self.clock.now() + REBIND.1, tries: tries - 1 });
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
        let leaving: Vec<Proxy> =
            self.all.iter_mut().filter_map(|one| one.present.take()).collect();
        for proxy in leaving {
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

impl Succession {
    fn begin(&mut self, generations: &mut Generations) -> Result<SocketAddr, StartError> {
        let proxy = Proxy::start(self.config.clone(), self.seed.nth(self.started))?;
        self.started += 1;
        let shared = Arc::clone(proxy.shared());
        generations.started(self.member.index, shared, &proxy.state());
        let address = proxy.address();
        self.present = Some(proxy);
        Ok(address)
    }

    fn reload(
        &mut self,
        change: impl Fn(u32, &mut ProxyConfig),
        generations: &mut Generations,
    ) -> Result<(), String> {
        let number = self.member.index;
        change(number, &mut self.config);
        self.config = self.member.configure(std::mem::take(&mut self.config));
        if let Some(proxy) = &self.present {
            proxy.reload(self.config.clone()).map_err(|error| error.to_string())?;
            generations.reloaded(number, &proxy.state());
        }
        Ok(())
    }
}
