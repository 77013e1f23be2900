//! The stand-in for Redis in simulated worlds.
//!
//! A simulated network has no Redis behind it. Here is so much of one as the proxy asks for: a few commands on strings, hashes and sets, with
//! expiry by the world's own clock, a latency, and faults on demand. All proxies of a run may share one, as they would a real one. It lives in
//! one thread's world, so its lock is never waited for.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use net::Clock;
use policy::Instant;
use redis::{Arg, Cmd, Value};

use super::{Failed, Script, Unavailable};

/// How it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// It answers.
    #[default]
    Well,
    /// Nothing is there any more: calls fail at once, and what was kept is gone.
    Lost,
    /// It takes calls and does not answer.
    Hung,
    /// It answers, and refuses to keep anything more.
    Full,
}

/// A Redis that is none; clones are the same one.
#[derive(Clone, Debug)]
pub struct StandIn(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    memory: Memory,
    condition: Condition,
    latency: Duration,
    calls: u64,
    hit: u64,
}

/// What is kept, for scripts to work on.
#[derive(Debug, Default)]
pub struct Memory {
    entries: BTreeMap<Vec<u8>, Entry>,
}

#[derive(Debug)]
struct Entry {
    kept: Kept,
    expires: Instant,
}

#[derive(Debug)]
enum Kept {
    Text(Vec<u8>),
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    Set(BTreeSet<Vec<u8>>),
}

impl Default for StandIn {
    fn default() -> Self {
        Self::new(Duration::from_micros(100))
    }
}

impl StandIn {
    /// One that takes so long for each call.
    pub fn new(latency: Duration) -> Self {
        let (memory, condition) = (Memory::default(), Condition::Well);
        Self(Arc::new(Mutex::new(Inner { memory, condition, latency, calls: 0, hit: 0 })))
    }

    /// Puts it into a condition.
    pub fn become_(&self, condition: Condition) {
        self.with(|inner| {
            inner.condition = condition;
            if condition == Condition::Lost {
                inner.memory = Memory::default();
            }
        });
    }

    /// Calls that came to it, and those of them that met a fault.
    pub fn calls(&self) -> (u64, u64) {
        self.with(|inner| (inner.calls, inner.hit))
    }

    pub(super) async fn call(&self, clock: &Clock, command: &Cmd) -> Result<Value, Failed> {
        let condition = self.arrive(clock).await?;
        let words: Vec<&[u8]> = command
            .args_iter()
            .map(|word| match word {
                Arg::Simple(word) => word,
                Arg::Cursor => b"0",
                _ => b"",
            })
            .collect();
        let [name, words @ ..] = &words[..] else { return Err(unknown(b"")) };
        let writes = !matches!(*name, b"GET" | b"MGET" | b"HMGET" | b"HGET" | b"SPOP" | b"UNLINK");
        if condition == Condition::Full && writes {
            return Err(Failed::new(Unavailable::Full));
        }
        self.with(|inner| inner.memory.run(name, words, clock.now())).ok_or_else(|| unknown(name))
    }

    pub(super) async fn eval(
        &self,
        clock: &Clock,
        script: &Script,
        keys: &[&[u8]],
        arguments: &[&[u8]],
    ) -> Result<Value, Failed> {
        if self.arrive(clock).await? == Condition::Full {
            return Err(Failed::new(Unavailable::Full));
        }
        Ok(self.with(|inner| (script.in_memory)(&mut inner.memory, keys, arguments, clock.now())))
    }

    /// The way there, and how it is when one arrives.
    async fn arrive(&self, clock: &Clock) -> Result<Condition, Failed> {
        let latency = self.with(|inner| inner.latency);
        clock.sleep(latency).await;
        let condition = self.with(|inner| {
            inner.calls += 1;
            inner.hit += u64::from(inner.condition != Condition::Well);
            inner.condition
        });
        match condition {
            Condition::Well | Condition::Full => Ok(condition),
            Condition::Lost => Err(Failed::new(Unavailable::Lost)),
            Condition::Hung => pending().await,
        }
    }

    fn with<R>(&self, run: impl FnOnce(&mut Inner) -> R) -> R {
        run(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn unknown(name: &[u8]) -> Failed {
    let said = format!("the stand-in does not know `{}`", String::from_utf8_lossy(name));
    Failed { why: Unavailable::Refused, said: Some(said.into()) }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn text(value: Option<&Vec<u8>>) -> Value {
    value.map_or(Value::Nil, |text| Value::BulkString(text.clone()))
}

impl Memory {
    /// The text at a key.
    pub fn text(&mut self, key: &[u8], now: Instant) -> Option<&[u8]> {
        match &self.live(key, now)?.kept {
            Kept::Text(text) => Some(text),
            Kept::Hash(_) | Kept::Set(_) => None,
        }
    }

    /// Puts a text at a key, for so long.
    pub fn put(&mut self, key: &[u8], text: Vec<u8>, expires: Instant) {
        self.entries.insert(key.to_vec(), Entry { kept: Kept::Text(text), expires });
    }

    /// The fields at a key: an empty table if there are none.
    pub fn hash(&mut self, key: &[u8], now: Instant) -> &mut BTreeMap<Vec<u8>, Vec<u8>> {
        if !self.live(key, now).is_some_and(|entry| matches!(entry.kept, Kept::Hash(_))) {
            let entry = Entry { kept: Kept::Hash(BTreeMap::new()), expires: Instant::NEVER };
            self.entries.insert(key.to_vec(), entry);
        }
        match self.entries.get_mut(key).map(|entry| &mut entry.kept) {
            Some(Kept::Hash(hash)) => hash,
            _ => unreachable!("it was put there"),
        }
    }

    /// The members at a key: an empty set if there are none.
    pub fn set(&mut self, key: &[u8], now: Instant) -> &mut BTreeSet<Vec<u8>> {
        if !self.live(key, now).is_some_and(|entry| matches!(entry.kept, Kept::Set(_))) {
            let entry = Entry { kept: Kept::Set(BTreeSet::new()), expires: Instant::NEVER };
            self.entries.insert(key.to_vec(), entry);
        }
        match self.entries.get_mut(key).map(|entry| &mut entry.kept) {
            Some(Kept::Set(set)) => set,
            _ => unreachable!("it was put there"),
        }
    }

    /// When what is at a key expires.
    pub fn expires(&mut self, key: &[u8], now: Instant) -> Option<Instant> {
        self.live(key, now).map(|entry| entry.expires)
    }

    /// Lets what is at a key expire then.
    pub fn expire(&mut self, key: &[u8], at: Instant) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.expires = at;
        }
    }

    /// Takes away what is at a key; whether there was anything.
    pub fn unlink(&mut self, key: &[u8]) -> bool {
        self.entries.remove(key).is_some()
    }

    fn live(&mut self, key: &[u8], now: Instant) -> Option<&mut Entry> {
        if self.entries.get(key).is_some_and(|entry| entry.expires <= now) {
            self.entries.remove(key);
        }
        self.entries.get_mut(key)
    }

    /// A command, as Redis would carry it out; nothing if it is not one of the few.
    fn run(&mut self, name: &[u8], words: &[&[u8]], now: Instant) -> Option<Value> {
        let copied =
            |text: Option<&[u8]>| text.map_or(Value::Nil, |text| Value::BulkString(text.to_vec()));
        Some(match (name, words) {
            (b"PING", []) => Value::SimpleString("PONG".to_owned()),
            (b"GET", [key]) => copied(self.text(key, now)),
            (b"MGET", keys) => {
                Value::Array(keys.iter().map(|key| copied(self.text(key, now))).collect())
            }
            (b"SET", [key, value]) => {
                self.put(key, value.to_vec(), Instant::NEVER);
                Value::Okay
            }
            (b"SET", [key, _, b"PX", _, b"NX"]) if self.live(key, now).is_some() => Value::Nil,
            (b"SET", [key, value, b"PX", millis] | [key, value, b"PX", millis, b"NX"]) => {
                self.put(key, value.to_vec(), now + Duration::from_millis(number(millis)?));
                Value::Okay
            }
            (b"HGET", [key, field]) => match self.live(key, now).map(|entry| &entry.kept) {
                Some(Kept::Hash(hash)) => text(hash.get(*field)),
                _ => Value::Nil,
            },
            (b"HMGET", [key, fields @ ..]) => {
                let hash = match self.live(key, now).map(|entry| &entry.kept) {
                    Some(Kept::Hash(hash)) => Some(hash),
                    _ => None,
                };
                let of = |field: &&[u8]| text(hash.and_then(|hash| hash.get(*field)));
                Value::Array(fields.iter().map(of).collect())
            }
            (b"SPOP", [key, count]) => {
                let count = number(count)? as usize;
                let set = self.set(key, now);
                let taken: BTreeSet<Vec<u8>> = set.iter().take(count).cloned().collect();
                set.retain(|member| !taken.contains(member));
                Value::Array(taken.into_iter().map(Value::BulkString).collect())
            }
            (b"UNLINK", keys) => {
                Value::Int(keys.iter().filter(|key| self.unlink(key)).count() as i64)
            }
            _ => return None,
        })
    }
}
