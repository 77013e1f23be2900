//! One worker: everything that a core has of its own.
//!
//! A worker is one thread with a current-thread runtime, a listener, a connection pool, a balancer and a scratch area
//! that all its connections read into. Nothing here is locked, because nothing here is seen by another thread; what the
//! workers share is in [`Shared`]. In a simulation a host runs one worker on a runtime that it shares with others.

use std::{
    cell::{Cell, RefCell},
    fmt::Write as _,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::Waker,
    time::SystemTime,
};

use http1::{Limits, RequestHead, ResponseHead};
use net::{Clock, Net};
use policy::{
    Instant, Rng, Seed,
    analytics::{Analytics, AnalyticsConfig},
    cache::Forwarded,
    message::Edits,
    trace::Names,
};
use tokio::sync::Notify;

use super::{
    access_log::{Log, Stamps},
    analytics::Inbox,
    cache::Pending,
    channel::{Buffers, SCRATCH},
    commons::Commons,
    forward::Signature,
    limit::{Entered, Held},
    redirect::Redirector,
    relay::{Relay, Replay},
    service::Services,
    sessions::{Post, Sessions},
    shape::Shape,
    stats::WorkerStats,
    upstream::Upstream,
    witness::Fact,
};
use crate::config::ProxyConfig;

/// What all workers of a proxy share.
#[derive(Debug)]
pub struct Shared {
    /// Each worker's counters.
    pub stats: Vec<Arc<WorkerStats>>,
    /// When the proxy started.
    pub started: Instant,
    /// Where each worker gets reports of sessions.
    pub(crate) post: Vec<Post>,
    /// Where each worker is asked for its analytics.
    pub(crate) inboxes: Vec<Inbox>,
    /// Client connections that are open, over all workers.
    pub(crate) connections: AtomicU32,
    /// Rung when there may be room for another client connection. Listeners of several workers may wait for it, and
    /// nobody knows whose backlog has a client: all are woken.
    pub(crate) connection_room: Notify,
}

impl Shared {
    /// For so many workers, at the start.
    pub fn new(workers: usize, started: Instant) -> Self {
        Self {
            stats: (0..workers).map(|_| Arc::default()).collect(),
            post: (0..workers).map(|_| Post::default()).collect(),
            inboxes: (0..workers).map(|_| Inbox::default()).collect(),
            started,
            connections: AtomicU32::new(0),
            connection_room: Notify::new(),
        }
    }
}

/// A configuration in force, and what was built from it.
pub(crate) struct Setup<S> {
    pub(crate) config: Arc<ProxyConfig>,
    pub(crate) limits: Limits,
    pub(crate) signature: Signature,
    /// Every upstream, the proxy's own first.
    pub(crate) upstreams: Vec<Rc<Upstream<S>>>,
    pub(crate) services: Services<S>,
    /// In redirect mode.
    pub(crate) redirector: Option<Box<Redirector>>,
    /// Where requests are logged.
    pub(crate) log: Option<Box<Log>>,
}

impl<S> Setup<S> {
    /// With every upstream of the configuration, the proxy's own first.
    pub(crate) fn new(
        config: Arc<ProxyConfig>,
        upstreams: Vec<Rc<Upstream<S>>>,
        commons: &Commons,
    ) -> Self {
        let limits = Limits {
            max_fields: config.limits.fields,
            max_head: config.limits.head.0 as usize,
            max_target: config.limits.target.0 as usize,
            ..Limits::default()
        };
        Self {
            limits,
            signature: Signature::new(&config.forwarding),
            services: Services::new(&config, &upstreams, commons),
            upstreams,
            redirector: None,
            log: None,
            config,
        }
    }

    /// The upstream of the proxy's own endpoints.
    pub(crate) fn own(&self) -> &Rc<Upstream<S>> {
        &self.upstreams[0]
    }
}

/// What a request needs while it is served; kept from one request to the next, because its vectors are warm.
pub(crate) struct Pad {
    pub(crate) request: RequestHead,
    pub(crate) response: ResponseHead,
    pub(crate) upload: Relay,
    pub(crate) download: Relay,
    pub(crate) replay: Replay,
    pub(crate) tried: Vec<u32>,
    /// What is to be different in the request that goes to the endpoint.
    pub(crate) onward: Edits,
    /// What is to be different in the response that goes to the client.
    pub(crate) back: Edits,
    /// What is done to the response's body on its way, if anything.
    pub(crate) shape: Option<Box<Shape>>,
    /// Where it is counted as under way: for its client, and for its upstream.
    pub(crate) held: Option<Held>,
    pub(crate) entered: Option<Entered>,
    /// The key of what is asked for, in the cache.
    pub(crate) key: Vec<u8>,
    /// What the cache knows of a request that goes to the endpoints nevertheless.
    pub(crate) cache: Option<Box<Pending>>,
    /// Why it is not for the cache, if it is not.
    pub(crate) passed: Option<Forwarded>,
    /// Why a stage has answered, if one has.
    pub(crate) reason: Option<&'static str>,
    /// What the request is called.
    pub(crate) names: Names,
    /// When it came where; for the log.
    pub(crate) stamps: Stamps,
}

/// How many pads a worker keeps.
const PADS: usize = 64;

/// One worker.
pub(crate) struct Worker<N: Net> {
    pub(crate) net: N,
    pub(crate) clock: Clock,
    pub(crate) shared: Arc<Shared>,
    /// Which of the workers it is.
    pub(crate) index: usize,
    /// In redirect mode.
    pub(crate) sessions: Sessions<N::Stream>,
    pub(crate) stats: Arc<WorkerStats>,
    pub(crate) scratch: RefCell<Box<[u8]>>,
    pub(crate) buffers: Buffers,
    /// No new requests: the proxy is about to stop.
    pub(crate) draining: Cell<bool>,
    /// What ids are drawn from, and which requests are logged.
    pub(crate) naming: RefCell<Rng>,
    pub(crate) sampling: RefCell<Rng>,
    /// What it knows of the requests that have ended, if it is to know.
    pub(crate) analytics: RefCell<Option<Box<Analytics>>>,
    setup: RefCell<Rc<Setup<N::Stream>>>,
    #[expect(clippy::vec_box, reason = "a pad moves as a pointer between the store and a request")]
    pads: RefCell<Vec<Box<Pad>>>,
    date: RefCell<(u64, String)>,
    idle: RefCell<Slots>,
}

impl<N: Net> Worker<N> {
    /// With a stream of its own from its own seed for each thing that it draws.
    pub(crate) fn new(
        net: N,
        shared: Arc<Shared>,
        index: usize,
        seed: Seed,
        setup: Setup<N::Stream>,
    ) -> Self {
        Self {
            naming: RefCell::new(seed.stream("names")),
            sampling: RefCell::new(seed.stream("access log")),
            analytics: RefCell::new(renewed(None, &setup.config.analytics)),
            clock: *net.clock(),
            net,
            stats: Arc::clone(&shared.stats[index]),
            shared,
            index,
            sessions: Sessions::default(),
            scratch: RefCell::new(vec![0; SCRATCH].into_boxed_slice()),
            buffers: Buffers::default(),
            draining: Cell::new(false),
            setup: RefCell::new(Rc::new(setup)),
            pads: RefCell::default(),
            date: RefCell::default(),
            idle: RefCell::default(),
        }
    }

    /// The configuration in force; a request keeps the one that it began with.
    pub(crate) fn setup(&self) -> Rc<Setup<N::Stream>> {
        Rc::clone(&self.setup.borrow())
    }

    /// Puts another configuration in force.
    pub(crate) fn replace(&self, setup: Setup<N::Stream>) {
        let analytics = &mut *self.analytics.borrow_mut();
        *analytics = renewed(analytics.take(), &setup.config.analytics);
        *self.setup.borrow_mut() = Rc::new(setup);
        self.shared.connection_room.notify_waiters();
    }

    pub(crate) fn take_pad(&self, limits: &Limits) -> Box<Pad> {
        self.pads.borrow_mut().pop().unwrap_or_else(|| {
            Box::new(Pad {
                request: RequestHead::new(),
                response: ResponseHead::new(),
                upload: Relay::new(limits),
                download: Relay::new(limits),
                replay: Replay::default(),
                tried: Vec::new(),
                onward: Edits::default(),
                back: Edits::default(),
                shape: None,
                held: None,
                entered: None,
                key: Vec::new(),
                cache: None,
                passed: None,
                reason: None,
                names: Names::default(),
                stamps: Stamps::NOWHERE,
            })
        })
    }

    pub(crate) fn give_pad(&self, mut pad: Box<Pad>) {
        let mut pads = self.pads.borrow_mut();
        if pads.len() < PADS {
            pad.request.clear();
            pad.response.clear();
            pad.tried.clear();
            pad.replay.reset(0);
            pad.onward.clear();
            pad.back.clear();
            pad.shape = None;
            pad.held = None;
            pad.entered = None;
            pad.cache = None;
            pad.passed = None;
            pad.reason = None;
            pad.names.clear();
            pad.stamps = Stamps::NOWHERE;
            pads.push(pad);
        }
    }

    /// Appends the date of now as HTTP writes it (RFC 9110, section 5.6.7); made once a second.
    pub(crate) fn with_date<R>(&self, use_it: impl FnOnce(&[u8]) -> R) -> R {
        let wall = self.clock.wall();
        let second = wall.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut date = self.date.borrow_mut();
        if date.0 != second || date.1.is_empty() {
            date.0 = second;
            date.1.clear();
            // Writing to a string cannot fail.
            let _ = write!(date.1, "{}", httpdate::HttpDate::from(wall));
        }
        use_it(date.1.as_bytes())
    }

    /// Counts a client connection until the guard is dropped; nothing when there are as many as may be.
    pub(crate) fn opened(self: &Rc<Self>) -> Option<Open<N>> {
        let setup = self.setup();
        let most = setup.config.limits.connections;
        let more = |open: u32| (open < most).then(|| open + 1);
        self.shared.connections.fetch_update(Relaxed, Relaxed, more).ok()?;
        setup.own().see(|| Fact::ClientCame);
        self.stats.connections_active.add(1);
        self.stats.connections_total.add(1);
        let slot = self.idle.borrow_mut().occupy();
        Some(Open { worker: Rc::clone(self), slot })
    }

    /// Wakes every connection that waits for a request.
    pub(crate) fn wake_idle(&self) {
        let wakers: Vec<Waker> = self.idle.borrow().wakers.iter().flatten().cloned().collect();
        wakers.iter().for_each(Waker::wake_by_ref);
    }

    /// Whether this is the worker that does what only one must do.
    pub(crate) fn is_first(&self) -> bool {
        Arc::ptr_eq(&self.stats, &self.shared.stats[0])
    }

    /// How many client connections all workers have.
    pub(crate) fn open_in_all(&self) -> u64 {
        u64::from(self.shared.connections.load(Relaxed))
    }

    /// How many client connections this worker has.
    pub(crate) fn open(&self) -> u64 {
        self.stats.connections_active.get()
    }
}

/// The analytics that a configuration wants: those that are there, if they are as it wants them.
fn renewed(known: Option<Box<Analytics>>, config: &AnalyticsConfig) -> Option<Box<Analytics>> {
    let known = known.filter(|known| known.fits(config));
    known.or_else(|| config.enabled.then(|| Box::new(Analytics::new(config))))
}

/// An open client connection.
pub(crate) struct Open<N: Net> {
    worker: Rc<Worker<N>>,
    slot: usize,
}

impl<N: Net> Open<N> {
    /// The connection waits for a request, and `waker` wakes it when the worker wants it to look up.
    pub(crate) fn note_idle(&self, waker: &Waker) {
        let mut idle = self.worker.idle.borrow_mut();
        match &mut idle.wakers[self.slot] {
            Some(known) if known.will_wake(waker) => {}
            slot => *slot = Some(waker.clone()),
        }
    }
}

impl<N: Net> Drop for Open<N> {
    fn drop(&mut self) {
        let worker = &self.worker;
        worker.idle.borrow_mut().vacate(self.slot);
        worker.stats.connections_active.sub(1);
        let setup = worker.setup();
        setup.own().see(|| Fact::ClientLeft);
        let before = worker.shared.connections.fetch_sub(1, Relaxed);
        if before >= setup.config.limits.connections {
            worker.shared.connection_room.notify_waiters();
        }
    }
}

/// The wakers of connections, each in a slot of its own.
#[derive(Default)]
struct Slots {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Slots {
    fn occupy(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.wakers.push(None);
            self.wakers.len() - 1
        })
    }

    fn vacate(&mut self, slot: usize) {
        self.wakers[slot] = None;
        self.free.push(slot);
    }
}
