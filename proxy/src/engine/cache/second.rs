//! The second tier: what this proxy does not have, another may have fetched.
//!
//! It is asked where the store in memory has nothing at all, by the request that others wait for, so that a stampede asks it once. What it has
//! goes into the store, and from there to the client as any hit. What is stored here is written there behind everybody's back, and what is forgotten
//! here is forgotten there. Nothing depends on any of it: where it does not answer, the origin does.

use std::{sync::Arc, time::SystemTime};

use ::bytes::Bytes;
use http1::Version;
use net::{Clock, Net};
use policy::cache::{KeyHash, Meta, Purge, Stored};
use tokio::task::spawn_local;

use super::{
    super::{
        exchange::Exchange,
        heads::RequestFields,
        redis::tier::{Generation, Keep, Tier},
    },
    Cache,
    bytes::{Now, decode, encode},
    object::Object,
};

/// The second tier, as one response has to do with it.
#[derive(Clone, Debug)]
pub(super) struct Second {
    tier: Arc<Tier>,
    clock: Clock,
    /// As it was when it was looked for.
    generation: Option<Generation>,
}

impl Second {
    pub(super) fn new(tier: &Arc<Tier>, clock: Clock) -> Self {
        Self { tier: Arc::clone(tier), clock, generation: None }
    }

    /// What was stored is to be there, too.
    pub(super) fn keep(&self, key: &[u8], object: &Object, meta: &Meta) {
        let Self { tier, clock, generation } = self;
        let now = now(clock);
        let stale = meta.stale_while_revalidate.max(meta.stale_if_error);
        let life = meta.lifetime.saturating_add(stale).saturating_sub(meta.age(now.now));
        // A part is for this proxy's clients; what must be asked for each time is asked for here.
        if meta.part.is_some() || meta.no_cache || !tier.takes(object.size()) {
            return;
        }
        let mut encoded = Vec::with_capacity(object.size() as usize + 256);
        encode(&mut encoded, object, meta, now);
        tier.keep(
            *clock,
            Keep {
                key: key.into(),
                vary: meta.vary.clone(),
                object: encoded,
                generation: *generation,
                life,
                tags: meta.tags.to_vec(),
            },
        );
    }

    /// What was forgotten is to be forgotten there.
    pub(super) fn forget(&self, hash: KeyHash, key: &[u8]) {
        forget(&self.tier, self.clock, Purge::Url { hash, text: key.to_vec() });
    }
}

/// Takes it out of the tier, behind the caller's back.
pub(super) fn forget(tier: &Arc<Tier>, clock: Clock, what: Purge) {
    let tier = Arc::clone(tier);
    // Where it is not available, what is there expires.
    spawn_local(async move {
        let _ = tier.purge(&clock, &what).await;
    });
}

fn now(clock: &Clock) -> Now {
    let wall = clock.wall().duration_since(SystemTime::UNIX_EPOCH);
    Now { now: clock.now(), wall: wall.map_or(0, |since| since.as_secs()) }
}

impl<N: Net> Exchange<'_, N> {
    /// Nothing was found in the store. Whether there is something now.
    pub(super) async fn look_further(&mut self, cache: &Cache) -> bool {
        let Some(tier) = &cache.tier else { return false };
        let Some(pending) = self.pad.cache.as_deref() else { return false };
        if pending.known.is_some() {
            return false;
        }
        let clock = self.worker.clock;
        let fields = RequestFields(&self.pad.request);
        let found = tier.find(&clock, &pending.spot.key, &fields).await;
        let Some(pending) = self.pad.cache.as_deref_mut() else { return false };
        let spot = &mut pending.spot;
        let object = if let Ok(found) = found {
            if let Some(second) = &mut spot.second {
                second.generation = found.generation;
            }
            found.object
        } else {
            // Nor is it written to: whatever was purged meanwhile is not known.
            spot.second = None;
            None
        };
        let own = self.setup.signature.via(Version::Http11);
        let decoded = object.and_then(|object| decode(&Bytes::from(object), own, now(&clock)));
        let Some((object, meta)) = decoded else { return false };
        if object.body().len() as u64 > spot.most {
            return false;
        }
        let size = object.size();
        spot.shards.put(spot.hash, &spot.key, Stored::new(meta, Arc::new(object), size));
        // Whoever waits finds it.
        if let Some(lead) = self.pad.cache.take().and_then(|pending| pending.lead) {
            lead.land(clock.now());
        }
        true
    }
}
