//! Which tokens were used, so that none is used twice.
//!
//! A token counts once. Those that were used are remembered until they would have expired anyway, so that what is remembered is
//! bounded by the rate and the lifetime; and by a number, because both of these are the proxy's. When that number is reached the
//! next token is refused: forgetting one that could still be used would let it in a second time.

use std::{collections::BTreeSet, time::SystemTime};

use super::{Asked, Grant, Key, Refusal, micros};

/// Lets each good token in once.
#[derive(Clone, Debug)]
pub struct Gatekeeper {
    key: Key,
    /// Used and not yet expired: when they end, and their numbers.
    seen: BTreeSet<(u64, u64)>,
    most: usize,
}

impl Gatekeeper {
    /// Remembers at most so many tokens.
    pub fn new(key: Key, most: usize) -> Self {
        Self { key, seen: BTreeSet::new(), most }
    }

    /// Lets whoever asks in, if this token allows that, and remembers the token.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(
        &mut self,
        token: Option<&[u8]>,
        asked: &Asked<'_>,
        now: SystemTime,
    ) -> Result<Grant, Refusal> {
        let grant = self.key.read(token.ok_or(Refusal::Missing)?, asked, now)?;
        let present = micros(now);
        while self.seen.first().is_some_and(|(ends, _)| *ends <= present) {
            self.seen.pop_first();
        }
        let used = (micros(grant.ends), grant.nonce);
        if self.seen.contains(&used) {
            return Err(Refusal::Replayed);
        }
        if self.seen.len() >= self.most {
            return Err(Refusal::TooMany);
        }
        self.seen.insert(used);
        Ok(grant)
    }

    /// A new process knows of none that were used before.
    pub fn forget(&mut self) {
        self.seen.clear();
    }

    /// How many tokens it remembers.
    pub fn remembers(&self) -> usize {
        self.seen.len()
    }
}
