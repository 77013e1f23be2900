//! The cache's second tier: what one proxy has fetched, others need not.
//!
//! Layout, with the format's number in every key (another format is another name, and what nobody reads any more expires):
//!
//! | key | what |
//! |---|---|
//! | `…1o:NAME` | a hash: field `n` names what the answers vary by, `v…` are the answers, each by what its requests had there |
//! | `…1t:NAME` | a set: the names of the objects that have a tag |
//! | `…1g:NAME`, `…1g:` | the generation of a host, and that of everything |
//!
//! NAME is a hash of the key's text, the tag or the host, so that what clients choose is of bounded length. A lookup is one round trip, two where
//! answers vary.
//!
//! *Purging.* A URL is taken out; a tag's objects are, a bounded number at a time. For a prefix nothing is searched: keys have no order in Redis,
//! and going through all of them (SCAN) takes as long as there is of everything. Instead the host gets another generation, a random number, and an
//! object of another generation than its host's is a miss. That takes one step, holds for all proxies at once, and throws
//! away more than was asked: all of the host. The generation is read with each lookup, *before* the origin is asked, and written with
//! the object, so that an answer that was on its way during a purge is not there afterwards. A generation that Redis has dropped takes its objects with it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use net::Clock;
use policy::{
    Instant, Rng, Seed,
    cache::{Purge, vary::Vary},
    message::Fields,
    redis::name_of,
};
use tokio::{join, task::spawn_local};

use super::{Memory, Redis, Script, Unavailable, Value, cmd};

/// Objects on their way there at a time; further ones are not kept.
const STORING: u32 = 64;

/// Answers of one URL that differ by what they vary by; with one more all are dropped.
const VARIANTS: usize = 32;

/// Tags of one object; one that has more is not kept here, since it could not be purged by all of them.
const TAGS: usize = 64;

/// Objects of one tag; beyond that some are dropped.
const TAGGED: usize = 100_000;

/// So many objects of a tag are taken out in one step.
const STEP: usize = 500;

/// How long a generation lasts at most. When it ends, so do its objects.
const GENERATION: Duration = Duration::from_hours(7 * 24);

/// The second tier, for all workers of a proxy.
#[derive(Debug)]
pub struct Tier {
    redis: Arc<Redis>,
    keep: Script,
    tag: Script,
    rng: Mutex<Rng>,
    storing: AtomicU32,
    figures: Figures,
}

/// What has come of it.
#[derive(Debug, Default)]
pub struct Figures {
    /// Lookups that found what may be given.
    pub hits: AtomicU64,
    /// Lookups that did not.
    pub misses: AtomicU64,
    /// Objects that were written.
    pub kept: AtomicU64,
    /// Objects that were not: too large, too many at a time, or Redis was not available.
    pub not_kept: AtomicU64,
}

impl Figures {
    /// All of them, by name.
    pub fn all(&self) -> [(&'static str, u64); 4] {
        let Self { hits, misses, kept, not_kept } = self;
        [("hit", hits), ("miss", misses), ("kept", kept), ("not_kept", not_kept)]
            .map(|(name, count)| (name, count.load(Relaxed)))
    }
}

/// Of which purge an object is: that of its host, and that of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation([u64; 2]);

/// What a lookup has found.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// The object, as it was kept.
    pub object: Option<Vec<u8>>,
    /// What to keep the answer with that comes instead.
    pub generation: Option<Generation>,
}

/// What is to be kept, and how.
#[derive(Debug)]
pub struct Keep {
    /// The key's text: `host/path?query…`.
    pub key: Box<[u8]>,
    /// What the answer depends on.
    pub vary: Vary,
    /// The object.
    pub object: Vec<u8>,
    /// That of the lookup which did not find it; without one the present generation is asked for.
    pub generation: Option<Generation>,
    /// How long it is worth keeping: until it is stale, and the time for which it may be given stale.
    pub life: Duration,
    /// Its tags.
    pub tags: Vec<Box<[u8]>>,
}

/// Drops what varies by other things or in too many ways, keeps, and lets it all expire.
const KEEP: &str = "\
if redis.call('HGET', KEYS[1], 'n') ~= ARGV[1] or redis.call('HLEN', KEYS[1]) > tonumber(ARGV[5]) then
  redis.call('DEL', KEYS[1])
end
redis.call('HSET', KEYS[1], 'n', ARGV[1], ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1";

/// Adds an object to a tag, which lasts at least as long, and gives back what the tag has too many of.
const TAG: &str = "\
redis.call('SADD', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
local more = redis.call('SCARD', KEYS[1]) - tonumber(ARGV[3])
if more > 0 then
  return redis.call('SPOP', KEYS[1], more)
end
return {}";

impl Tier {
    /// In this Redis.
    pub fn new(redis: Arc<Redis>, seed: Seed) -> Arc<Self> {
        Arc::new(Self {
            redis,
            keep: Script::new(KEEP, keep_in_memory),
            tag: Script::new(TAG, tag_in_memory),
            rng: Mutex::new(seed.stream("generations")),
            storing: AtomicU32::new(0),
            figures: Figures::default(),
        })
    }

    /// The Redis.
    pub fn redis(&self) -> &Arc<Redis> {
        &self.redis
    }

    /// What has come of it.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Whether an object of this size is kept at all.
    pub fn takes(&self, size: u64) -> bool {
        size <= self.redis.config().largest.0
    }

    /// Looks for the answer to a request, whose key has this text.
    pub async fn find(
        &self,
        clock: &Clock,
        key: &[u8],
        request: &dyn Fields,
    ) -> Result<Found, Unavailable> {
        let name = self.object_name(key);
        let generations = self.generation_names(key);
        let (mut of_object, mut of_generation) = (cmd("HMGET"), cmd("MGET"));
        of_object.arg(&name).arg("n").arg("v");
        of_generation.arg(&generations);
        let (answers, generation) =
            join!(self.redis.read(clock, &of_object), self.redis.read(clock, &of_generation));
        let (answers, generation) = (answers?, Generation::read(generation?));
        let object = match two(answers) {
            Some([Some(names), plain]) if names.is_empty() => plain,
            Some([Some(names), _]) => match field_of(&names, request) {
                Some(field) => {
                    let answer = self.redis.read(clock, cmd("HGET").arg(&name).arg(field)).await?;
                    bytes(answer)
                }
                None => None,
            },
            _ => None,
        };
        let object = object.and_then(|object| generation?.open(object));
        let figure = if object.is_some() { &self.figures.hits } else { &self.figures.misses };
        figure.fetch_add(1, Relaxed);
        Ok(Found { object, generation })
    }

    /// Keeps an object, behind the caller's back.
    pub fn keep(self: &Arc<Self>, clock: Clock, keep: Keep) {
        let more = |storing: u32| (storing < STORING).then(|| storing + 1);
        let largest = self.redis.config().largest.0;
        let too_much = keep.object.len() as u64 > largest
            || keep.tags.len() > TAGS
            || keep.life < Duration::from_secs(1)
            || self.storing.fetch_update(Relaxed, Relaxed, more).is_err();
        if too_much {
            self.figures.not_kept.fetch_add(1, Relaxed);
            return;
        }
        let tier = Arc::clone(self);
        spawn_local(async move {
            let kept = tier.put(&clock, keep).await.is_ok();
            let figure = if kept { &tier.figures.kept } else { &tier.figures.not_kept };
            figure.fetch_add(1, Relaxed);
            tier.storing.fetch_sub(1, Relaxed);
        });
    }

    async fn put(&self, clock: &Clock, keep: Keep) -> Result<(), Unavailable> {
        let generation = match keep.generation {
            Some(generation) => generation,
            None => self.generation(clock, &keep.key).await?,
        };
        let name = self.object_name(&keep.key);
        let life = keep.life.min(GENERATION).as_millis().to_string();
        // First the tags: an object that is there can be purged.
        for tag in &keep.tags {
            let of_tag = self.tag_name(tag);
            let most = TAGGED.to_string();
            let arguments = [name.as_bytes(), life.as_bytes(), most.as_bytes()];
            let too_many =
                self.redis.eval(clock, &self.tag, &[of_tag.as_bytes()], &arguments).await?;
            self.unlink(clock, &names(too_many)).await?;
        }
        let vary: Vec<&str> = keep.vary.parts().map(|(name, _)| name).collect();
        let (vary, field) = (vary.join(","), field_name(&keep.vary));
        let object = generation.seal(&keep.object);
        let variants = VARIANTS.to_string();
        let arguments =
            [vary.as_bytes(), field.as_bytes(), &object, life.as_bytes(), variants.as_bytes()];
        self.redis.eval(clock, &self.keep, &[name.as_bytes()], &arguments).await.map(drop)
    }

    /// The generation of now, which is begun if there is none.
    async fn generation(&self, clock: &Clock, key: &[u8]) -> Result<Generation, Unavailable> {
        let names = self.generation_names(key);
        let mut read = cmd("MGET");
        read.arg(&names);
        if let Some(generation) = Generation::read(self.redis.read(clock, &read).await?) {
            return Ok(generation);
        }
        for name in &names {
            let mut begin = cmd("SET");
            begin.arg(name).arg(self.draw()).arg("PX").arg(GENERATION.as_millis() as u64).arg("NX");
            self.redis.write(clock, &begin).await?;
        }
        Generation::read(self.redis.read(clock, &read).await?).ok_or(Unavailable::Refused)
    }

    /// Takes out what is purged in memory, too.
    pub async fn purge(&self, clock: &Clock, what: &Purge) -> Result<(), Unavailable> {
        match what {
            Purge::Url { text, .. } => {
                self.unlink(clock, &[self.object_name(text).into_bytes()]).await
            }
            // What more the keys have is not known here.
            Purge::UrlWithExtras { text } | Purge::Prefix(text) => {
                let [of_host, of_all] = self.generation_names(text);
                // Without a slash it may be the beginning of several hosts' names.
                let name = if text.contains(&b'/') { of_host } else { of_all };
                let mut begin = cmd("SET");
                begin.arg(name).arg(self.draw()).arg("PX").arg(GENERATION.as_millis() as u64);
                self.redis.write(clock, &begin).await.map(drop)
            }
            Purge::Tag(tag) => {
                let of_tag = self.tag_name(tag);
                for _ in 0..=TAGGED / STEP {
                    let taken = self.redis.write(clock, cmd("SPOP").arg(&of_tag).arg(STEP)).await?;
                    let taken = names(taken);
                    if taken.is_empty() {
                        break;
                    }
                    self.unlink(clock, &taken).await?;
                }
                Ok(())
            }
        }
    }

    async fn unlink(&self, clock: &Clock, names: &[Vec<u8>]) -> Result<(), Unavailable> {
        if names.is_empty() {
            return Ok(());
        }
        self.redis.write(clock, cmd("UNLINK").arg(names)).await.map(drop)
    }

    fn draw(&self) -> u64 {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).bits()
    }

    fn object_name(&self, key: &[u8]) -> String {
        format!("{}1o:{}", self.redis.prefix(), name_of(key))
    }

    fn tag_name(&self, tag: &[u8]) -> String {
        format!("{}1t:{}", self.redis.prefix(), name_of(tag))
    }

    /// The generation of the key's host, and that of everything.
    fn generation_names(&self, key: &[u8]) -> [String; 2] {
        let host = key.split(|byte| *byte == b'/').next().unwrap_or_default();
        let prefix = self.redis.prefix();
        [format!("{prefix}1g:{}", name_of(host)), format!("{prefix}1g:")]
    }
}

impl Generation {
    fn read(value: Value) -> Option<Self> {
        let [host, all] = two(value)?;
        let number = |text: Option<Vec<u8>>| std::str::from_utf8(&text?).ok()?.parse().ok();
        Some(Self([number(host)?, number(all)?]))
    }

    /// An object with its generation before it.
    fn seal(self, object: &[u8]) -> Vec<u8> {
        let Self([host, all]) = self;
        [&host.to_le_bytes()[..], &all.to_le_bytes()[..], object].concat()
    }

    /// The object, if it is of this generation.
    fn open(self, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let own = self.seal(b"");
        sealed.starts_with(&own).then(|| sealed.split_off(own.len()))
    }
}

/// The field of the answer to this request, where answers vary by these names.
fn field_of(names: &[u8], request: &dyn Fields) -> Option<String> {
    let names = std::str::from_utf8(names).ok()?.split(',').map(Into::into).collect::<Vec<_>>();
    Some(field_name(&Vary::of(&names, request)?))
}

fn field_name(vary: &Vary) -> String {
    if vary.is_empty() { "v".to_owned() } else { format!("v{}", name_of(&vary.canonical())) }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

fn two(value: Value) -> Option<[Option<Vec<u8>>; 2]> {
    let Value::Array(values) = value else { return None };
    <[Value; 2]>::try_from(values).ok().map(|both| both.map(bytes))
}

fn names(value: Value) -> Vec<Vec<u8>> {
    match value {
        Value::Array(values) | Value::Set(values) => values.into_iter().filter_map(bytes).collect(),
        _ => Vec::new(),
    }
}

fn number(text: &[u8]) -> u64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// What [`KEEP`] does.
fn keep_in_memory(memory: &mut Memory, keys: &[&[u8]], words: &[&[u8]], now: Instant) -> Value {
    let (Some(key), [names, field, object, life, variants]) = (keys.first(), words) else {
        return Value::Nil;
    };
    let hash = memory.hash(key, now);
    let varies_so = hash.get(&b"n"[..]).is_some_and(|known| known == names);
    if !varies_so || hash.len() as u64 > number(variants) {
        hash.clear();
    }
    hash.insert(b"n".to_vec(), names.to_vec());
    hash.insert(field.to_vec(), object.to_vec());
    memory.expire(key, now + Duration::from_millis(number(life)));
    Value::Int(1)
}

/// What [`TAG`] does.
fn tag_in_memory(memory: &mut Memory, keys: &[&[u8]], words: &[&[u8]], now: Instant) -> Value {
    let (Some(key), [name, life, most]) = (keys.first(), words) else { return Value::Nil };
    let known = memory.expires(key, now).filter(|at| *at != Instant::NEVER);
    let set = memory.set(key, now);
    set.insert(name.to_vec());
    let mut too_many = Vec::new();
    while set.len() as u64 > number(most) {
        too_many.extend(set.pop_first().map(Value::BulkString));
    }
    let lasts = now + Duration::from_millis(number(life));
    memory.expire(key, known.map_or(lasts, |known| known.max(lasts)));
    Value::Array(too_many)
}
