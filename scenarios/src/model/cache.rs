//! The model's cache: `policy`'s rules over a store of sizes, between the proxy's clients and its endpoints.
//!
//! What decides is what the engine decides with: [`Rules`], [`Store`] and [`Collapse`]. They see heads, so the model writes them: a request's from
//! the generator's own templates, an answer's from the backend's content (`Cache-Control`, `ETag`, …). What is kept is a head and a number of
//! bytes. The order is the engine's (`proxy/src/engine/cache/consult.rs` and `settle.rs`): look; give what is there; or wait for another that has
//! gone for the same; or go, be it to validate; then keep, or freshen, and wake who waits.
//!
//! What it leaves out: ranges and clients' own conditions (no load has them), answers to HEAD, shards (there is one store), and that an answer takes time to be
//! stored. A proxy without a cache has one branch of all this.

use std::{collections::BTreeMap, mem, sync::Arc};

use policy::{
    Instant,
    cache::{
        CacheConfig, Collapse, Decision, Ending, Freshened, Gate, Intake, KeyHash, Merged, Meta,
        Mode, Purging, Received, Role, Rules, Store, Stored, Ticket, Wanted, request::Method,
        serve::Failure,
    },
    message::{Answered, Fields},
};
use proxy::engine::Fault;

use super::{
    request::{Kind, Ref, Stage},
    world::{Event, World},
};

/// What an object of the engine takes beside head and body.
const OVERHEAD: u64 = 256;
/// What each field takes there beside its text.
const FIELD: u64 = 12;
/// The most requests of the cache's own at a time, as in the engine.
const REFRESHES: u32 = 64;

/// One proxy's.
#[derive(Debug)]
pub(super) struct Cache {
    config: CacheConfig,
    /// The rules of all services.
    all: Arc<[Arc<Rules>]>,
    store: Store<Kept>,
    collapse: Collapse,
    /// Who waits for an answer to a key.
    waiting: BTreeMap<KeyHash, Vec<Ref>>,
    refreshes: u32,
}

/// What is kept of an answer.
#[derive(Clone, Debug)]
struct Kept {
    head: Head,
    bytes: u64,
}

/// The fields of a head.
#[derive(Clone, Debug, Default)]
pub(super) struct Head(pub(super) Vec<(String, String)>);

impl Fields for Head {
    fn each(&self, see: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        for (name, value) in &self.0 {
            if !see(name.as_bytes(), value.as_bytes()) {
                return;
            }
        }
    }

    fn find(&self, name: &str) -> Option<&[u8]> {
        let mut found = self.0.iter().filter(|field| field.0.eq_ignore_ascii_case(name));
        found.next().map(|field| field.1.as_bytes())
    }
}

impl Head {
    fn of(fields: &dyn Fields) -> Self {
        let mut all = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        fields.each(&mut |name, value| {
            all.push((text(name), text(value)));
            true
        });
        Self(all)
    }

    /// What it takes in the engine's store, with a body of so many bytes.
    fn size(&self, bytes: u64) -> u64 {
        let fields = self.0.iter().map(|(name, value)| (name.len() + value.len()) as u64 + FIELD);
        fields.sum::<u64>() + bytes + OVERHEAD
    }
}

/// A request that has looked and goes to the endpoints, or waits for another.
#[derive(Debug)]
pub(super) struct Pending {
    hash: KeyHash,
    key: Vec<u8>,
    wanted: Wanted,
    /// What is there and is validated, or might be given if nobody answers.
    known: Option<Stored<Kept>>,
    /// The endpoint is asked whether that is true still.
    pub(super) conditional: bool,
    lead: Option<Ticket>,
    asked: Instant,
    /// It is the cache's own: no client waits.
    refresh: bool,
}

/// How requests that looked into the cache were answered, by the names of the engine's counters.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) hits: u64,
    pub(super) stale: u64,
    pub(super) revalidated: u64,
    pub(super) misses: u64,
    pub(super) passed: u64,
    pub(super) collapsed: u64,
    pub(super) stored: u64,
    pub(super) refreshes: u64,
}

impl Cache {
    /// The store of a proxy some of whose services keep answers, by these rules; what was kept stays where it can.
    pub(super) fn new(config: &CacheConfig, all: Arc<[Arc<Rules>]>, before: Option<Self>) -> Self {
        let same = |old: &CacheConfig| {
            (old.size, old.variants, old.collapse, &old.tags)
                == (config.size, config.variants, config.collapse, &config.tags)
        };
        match before.filter(|before| same(&before.config)) {
            Some(before) => Self { config: config.clone(), all, ..before },
            None => Self {
                config: config.clone(),
                all,
                store: Store::new(config.size.0, config.variants),
                collapse: Collapse::new(&config.collapse),
                waiting: BTreeMap::new(),
                refreshes: 0,
            },
        }
    }

    /// Forgets what an event names, or holds it to be stale; how many answers that was.
    pub(super) fn purge(&mut self, what: &[Purging], mode: Mode) -> usize {
        let purges = Purging::by_all(what, self.all.iter().map(|rules| &**rules));
        purges.iter().map(|purge| self.store.purge(purge, mode, &mut Vec::new())).sum()
    }
}

/// What came of looking.
enum Looked {
    /// It is there: what of it the client gets. Somebody is to fetch it anew meanwhile.
    There { status: u16, bytes: u64, refresh: Option<Box<Pending>> },
    /// It is not, and the client wants nothing else.
    NotThere,
    /// The endpoints must be asked.
    Ask(Option<Box<Pending>>),
    /// Somebody asks already; until then.
    Wait(KeyHash, Instant),
}

impl World<'_> {
    /// A request looks into its proxy's cache; whether it needs no endpoint (yet).
    pub(super) fn consult(&mut self, slot: u32, since: Option<Instant>) -> bool {
        match self.look_up(slot, since) {
            None | Some(Looked::Ask(None)) => false,
            Some(Looked::Ask(Some(pending))) => {
                self.pend(slot, Some(pending));
                false
            }
            Some(Looked::NotThere) => {
                let request = &mut self.requests[slot];
                (request.status, request.bytes, request.answered) = (504, 0, None);
                self.conclude(slot, None);
                true
            }
            Some(Looked::Wait(hash, until)) => {
                let whose = self.requests.name(slot);
                let proxy = usize::from(self.requests[slot].proxy);
                if let Some(cache) = &mut self.proxies[proxy].cache {
                    cache.waiting.entry(hash).or_default().push(whose);
                }
                self.requests[slot].stage = Stage::Following;
                self.agenda.plan(until, Event::FollowLate(whose));
                true
            }
            Some(Looked::There { status, bytes, refresh }) => {
                if let Some(pending) = refresh {
                    self.refresh(slot, pending);
                }
                let request = &mut self.requests[slot];
                (request.status, request.answered) = (status, None);
                request.bytes = if request.kind == Kind::Head { 0 } else { bytes };
                self.conclude(slot, None);
                true
            }
        }
    }

    fn look_up(&mut self, slot: u32, since: Option<Instant>) -> Option<Looked> {
        let rules = Arc::clone(self.service(slot)?.rules.as_ref()?);
        let request = &self.requests[slot];
        let cache = self.proxies[usize::from(request.proxy)].cache.as_mut()?;
        let config = &self.setups[request.setup as usize].config;
        let letter = &mut self.clients[usize::from(request.planned.load)].letter;
        let (now, counts) = (self.now, &mut self.tally.cache);
        let written = letter.write(&config.forwarding, &request.planned);
        let asked = written.asked();
        let Cache { store, collapse, refreshes, .. } = cache;
        let wanted = rules.read(&asked);
        if let Gate::Pass(_) = rules.gate(&asked, &wanted) {
            counts.passed += 1;
            return Some(Looked::Ask(None));
        }
        let mut key = Vec::new();
        let hash = rules.key(&asked, &mut key);
        let found = store.get(hash, &key).unwrap_or_default();
        let mut pending = |known, conditional, lead| {
            let (key, wanted) = (mem::take(&mut key), wanted);
            Box::new(Pending {
                hash,
                key,
                wanted,
                known,
                conditional,
                lead,
                asked: now,
                refresh: false,
            })
        };
        let validation = match rules.serve(&asked, &wanted, found, now) {
            Decision::Fresh(hit) | Decision::Stale(hit) => {
                let stored = &found[hit.variant];
                let (status, bytes) = (stored.meta.status, stored.value.bytes);
                if hit.ttl >= 0 && !hit.refresh {
                    counts.hits += 1;
                } else {
                    counts.stale += 1;
                }
                let is_wanted = hit.refresh && wanted.method == Method::Get;
                let lead =
                    match collapse_of(is_wanted && *refreshes < REFRESHES, collapse, hash, now) {
                        Some(Role::Lead(ticket)) => Some(ticket),
                        _ => None,
                    };
                let refresh = lead.map(|ticket| {
                    *refreshes += 1;
                    let conditional = rules.validation(&wanted, &stored.meta, now).conditional;
                    let known = Some(stored.clone());
                    Box::new(Pending {
                        refresh: true,
                        ..*pending(known, conditional, Some(ticket))
                    })
                });
                return Some(Looked::There { status, bytes, refresh });
            }
            Decision::OnlyIfCached => {
                counts.misses += 1;
                return Some(Looked::NotThere);
            }
            Decision::Miss(_) => None,
            Decision::Validate(validation) => {
                Some((found[validation.variant].clone(), validation.conditional))
            }
        };
        let picky = wanted.demands.max_age.is_some() || wanted.demands.min_fresh.is_some();
        let shares = rules.collapses(&wanted) && !picky;
        let role = if shares { collapse.ask(hash, now, since) } else { Role::Alone };
        let lead = match role {
            Role::Lead(ticket) => Some(ticket),
            Role::Alone => None,
            Role::Follow { until, .. } => {
                counts.collapsed += u64::from(since.is_none());
                return Some(Looked::Wait(hash, until));
            }
        };
        let (known, conditional) = validation.unzip();
        Some(Looked::Ask(Some(pending(known, conditional.unwrap_or(false), lead))))
    }

    /// Puts what is pending of a request beside its slot.
    fn pend(&mut self, slot: u32, pending: Option<Box<Pending>>) -> Option<Box<Pending>> {
        let place = slot as usize;
        if place >= self.pending.len() {
            self.pending.resize_with(place + 1, || None);
        }
        mem::replace(&mut self.pending[place], pending)
    }

    /// Whether an endpoint answers a request with no more than that nothing has changed.
    pub(super) fn is_unchanged(&self, slot: u32, endpoint: u32) -> bool {
        let pending = self.pending.get(slot as usize).and_then(Option::as_ref);
        let content = &self.backends[endpoint as usize].config.content;
        pending.is_some_and(|pending| pending.conditional)
            && content.as_ref().is_some_and(|content| content.etag)
    }

    /// Whether a client gets what is kept in place of an answer with this status.
    pub(super) fn gives_kept(&self, slot: u32, status: u16) -> bool {
        let Some(pending) = self.pending.get(slot as usize).and_then(Option::as_ref) else {
            return false;
        };
        let rules = self.service(slot).and_then(|service| service.rules.as_ref());
        let (Some(rules), Some(known)) = (rules, &pending.known) else { return false };
        let (wanted, failure) = (&pending.wanted, Failure::Status(status));
        !pending.refresh && rules.after_error(wanted, known, 0, self.now, failure).is_some()
    }

    /// A waiting request has waited long enough, unless it waits no more.
    pub(super) fn follow_late(&mut self, whose: Ref) {
        if let Some(slot) = self.requests.find(whose)
            && self.requests[slot].stage == Stage::Following
        {
            self.look_again(slot);
        }
    }

    fn look_again(&mut self, slot: u32) {
        let request = &mut self.requests[slot];
        request.stage = Stage::Coming;
        let since = request.begun;
        if !self.consult(slot, Some(since)) {
            self.proceed(slot);
        }
    }

    /// Wakes those who wait for an answer to a key.
    fn wake(&mut self, proxy: usize, hash: KeyHash) {
        let waiting = match &mut self.proxies[proxy].cache {
            Some(cache) => cache.waiting.remove(&hash),
            None => None,
        };
        for whose in waiting.into_iter().flatten() {
            if let Some(slot) = self.requests.find(whose)
                && self.requests[slot].stage == Stage::Following
            {
                self.look_again(slot);
            }
        }
    }

    /// Fetches anew what a request was given although it is stale: a request of the proxy's own, for which no client waits.
    fn refresh(&mut self, like: u32, pending: Box<Pending>) {
        let Self { requests, now, tally, .. } = self;
        let request = &requests[like];
        let (planned, proxy, kind, setup) =
            (request.planned, request.proxy, request.kind, request.setup);
        let slot = requests.insert(&planned, (None, proxy), kind, (*now, *now));
        let request = &mut requests[slot];
        (request.client_done, request.setup, request.begun) = (true, setup, *now);
        tally.cache.refreshes += 1;
        self.serve_like(slot, like);
        self.pend(slot, Some(pending));
        self.proceed(slot);
    }

    /// The proxy has what it can get for a request that was pending: keeps it, or gives what is kept, and wakes who waits. Called before
    /// the client is told.
    pub(super) fn settle(&mut self, slot: u32, fault: Option<&Fault>) -> bool {
        self.let_go(slot, fault, self.requests[slot].status);
        let Some(pending) = self.pend(slot, None) else {
            self.invalidate(slot, fault);
            return false;
        };
        let rules = self.service(slot).and_then(|service| service.rules.clone());
        let request = &self.requests[slot];
        let proxy = usize::from(request.proxy);
        let endpoint = request.answered;
        let status = fault.map_or(request.status, Fault::status);
        let head = match (fault, endpoint) {
            (None, Some(endpoint)) => self.head_of(slot, endpoint, status),
            _ => Head::default(),
        };
        let request = &mut self.requests[slot];
        let config = &self.setups[request.setup as usize].config;
        let letter = &mut self.clients[usize::from(request.planned.load)].letter;
        let written = letter.write(&config.forwarding, &request.planned);
        let (now, counts) = (self.now, &mut self.tally.cache);
        let (Some(rules), Some(cache)) = (rules, &mut self.proxies[proxy].cache) else {
            return false;
        };
        let Pending { hash, key, wanted, known, conditional, lead, refresh, asked: sent, .. } =
            *pending;
        cache.refreshes -= u32::from(refresh);
        let asked = written.asked();
        let received = Received { sent, at: now, wall: now.as_nanos() / 1_000_000_000 };
        let answered = Answered { status, fields: &head };
        let mut rescued = false;
        let ending = match (known, fault) {
            (Some(kept), None) if conditional && status == 304 => {
                let merged = Merged::new(&kept.value.head, &answered);
                let freshened = rules.freshen(&asked, &wanted, &kept.meta, &merged, received);
                let bytes = kept.value.bytes;
                counts.revalidated += u64::from(!refresh);
                (request.status, request.bytes, request.answered) = (kept.meta.status, bytes, None);
                match freshened {
                    Freshened::Updated(taken) => {
                        let head = Head::of(&merged);
                        let useful = is_of_use(&taken.meta);
                        let size = head.size(bytes);
                        let stored = Stored::new(taken.meta.into(), Kept { head, bytes }, size);
                        cache.store.put(hash, &key, stored);
                        if useful { Ending::Stored } else { Ending::Uncacheable }
                    }
                    Freshened::Forget(_) | Freshened::Other => {
                        cache.store.remove(hash, &key, |_| true);
                        Ending::Uncacheable
                    }
                }
            }
            (known, fault) => {
                let failure = match fault {
                    Some(_) => Failure::Unreachable,
                    None => Failure::Status(status),
                };
                let waits = !refresh && !matches!(fault, Some(Fault::ClientGone));
                let instead = known.as_ref().filter(|_| waits).and_then(|kept| {
                    rules.after_error(&wanted, kept, 0, now, failure)?;
                    Some(kept)
                });
                if let Some(kept) = instead {
                    counts.stale += 1;
                    (request.status, request.bytes) = (kept.meta.status, kept.value.bytes);
                    request.answered = None;
                    rescued = true;
                    Ending::Failed
                } else if fault.is_some() {
                    counts.misses += u64::from(!refresh);
                    Ending::Failed
                } else {
                    counts.misses += u64::from(!refresh);
                    match rules.take_in(&asked, &wanted, &answered, received) {
                        Intake::Leave(why) if why.lasting() => Ending::Uncacheable,
                        Intake::Leave(_) => Ending::Failed,
                        Intake::Store(taken) => {
                            let useful = is_of_use(&taken.meta);
                            let bytes = request.bytes;
                            let size = head.size(bytes);
                            let stored = Stored::new(taken.meta.into(), Kept { head, bytes }, size);
                            let put = cache.store.put(hash, &key, stored);
                            counts.stored += u64::from(put.stored);
                            if useful { Ending::Stored } else { Ending::Uncacheable }
                        }
                    }
                }
            }
        };
        if let Some(ticket) = lead {
            cache.collapse.end(hash, ticket, ending, now);
            self.wake(proxy, hash);
        }
        rescued
    }

    /// A request that is not for the cache has been answered: what it has changed is forgotten.
    fn invalidate(&mut self, slot: u32, fault: Option<&Fault>) {
        let request = &self.requests[slot];
        let (None, Some(_)) = (fault, request.answered) else { return };
        let proxy = usize::from(request.proxy);
        let Some(rules) = self.service(slot).and_then(|service| service.rules.clone()) else {
            return;
        };
        let Some(cache) = &mut self.proxies[proxy].cache else { return };
        let config = &self.setups[request.setup as usize].config;
        let letter = &mut self.clients[usize::from(request.planned.load)].letter;
        let written = letter.write(&config.forwarding, &request.planned);
        let asked = written.asked();
        let wanted = rules.read(&asked);
        let answered = Answered { status: request.status, fields: &Head::default() };
        let all = Arc::clone(&cache.all);
        for purge in all.iter().flat_map(|rules| rules.invalidates(&asked, &wanted, &answered)) {
            cache.store.purge(&purge, Mode::Hard, &mut Vec::new());
        }
    }

    /// The head of an endpoint's answer, by its content.
    fn head_of(&mut self, slot: u32, endpoint: u32, status: u16) -> Head {
        let number = self.number_of(slot);
        let request = &self.requests[slot];
        let Some(content) = &self.backends[endpoint as usize].config.content else {
            return Head::default();
        };
        let clients = &self.clients[usize::from(request.planned.load)];
        let reads = matches!(clients.letter.method(&request.planned), "GET" | "HEAD");
        if !reads || !matches!(status, 200 | 304) {
            return Head::default();
        }
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut fields: Vec<_> = content.fields().map(own).collect();
        fields.extend(content.etag_of(number).map(|etag| ("etag".to_owned(), etag)));
        if status == 200 {
            fields.push(("content-length".to_owned(), request.bytes.to_string()));
        }
        Head(fields)
    }
}

fn collapse_of(
    is_wanted: bool,
    collapse: &mut Collapse,
    hash: KeyHash,
    now: Instant,
) -> Option<Role> {
    is_wanted.then(|| collapse.ask(hash, now, None))
}

/// Whether others could be given it as it is, at least for a moment.
fn is_of_use(meta: &Meta) -> bool {
    let fresh = meta.lifetime > meta.initial_age || !meta.stale_while_revalidate.is_zero();
    fresh && !meta.no_cache && meta.part.is_none()
}
