//! The waiting room: requests that wait because every endpoint is at its in-flight limit.
//!
//! A queue in front of busy servers absorbs a burst and hides an overload: while it is short it saves requests, when it is long
//! everybody waits for answers that nobody wants any more. So it is bounded twice, in number and in time. The order in
//! which the waiting are woken is the engine's business; here is only the count, shared by all workers.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::TimeSpan;

/// How many requests may wait for an endpoint with room, and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QueueConfig {
    /// Requests that may wait at once, over all workers; beyond it they are refused with 503. 0: none waits.
    pub max_waiting: u32,
    /// How long a request may wait before it is refused with 503.
    pub timeout: TimeSpan,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self { max_waiting: 1024, timeout: TimeSpan::secs(1) }
    }
}

impl QueueConfig {
    /// What is impossible about the values: the field's name and what it must be.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        if self.max_waiting > 0 && self.timeout.0.is_zero() {
            return Some((
                "timeout",
                "must be longer than 0 (write `max_waiting = 0` for no queue)".to_owned(),
            ));
        }
        (self.max_waiting > 1 << 20).then(|| ("max_waiting", "must be at most 1048576".to_owned()))
    }
}

/// How many requests wait, over all workers.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WaitingRoom {
    waiting: AtomicU32,
}

impl WaitingRoom {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets one more request wait, unless the room is full. Pair it with [`leave`](Self::leave).
    #[must_use]
    pub fn try_enter(&self, config: &QueueConfig) -> bool {
        let room = |n: u32| (n < config.max_waiting).then(|| n + 1);
        self.waiting.fetch_update(Relaxed, Relaxed, room).is_ok()
    }

    /// One fewer waits: exactly once for each [`try_enter`](Self::try_enter) that succeeded.
    pub fn leave(&self) {
        let before = self.waiting.fetch_sub(1, Relaxed);
        debug_assert!(before > 0, "`leave` without `try_enter`");
        if before == 0 {
            self.waiting.fetch_add(1, Relaxed);
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_has_its_bound_and_empties() {
        let config = QueueConfig { max_waiting: 2, ..QueueConfig::default() };
        let room = WaitingRoom::new();
        assert!(room.try_enter(&config) && room.try_enter(&config) && !room.try_enter(&config));
        room.leave();
        assert!(room.try_enter(&config));
        room.leave();
        room.leave();
        assert_eq!(room.waiting(), 0);
        assert!(!room.try_enter(&QueueConfig { max_waiting: 0, ..QueueConfig::default() }));
    }

    #[test]
    fn impossible_values_are_named() {
        assert_eq!(QueueConfig::default().problem(), None);
        let wrong = QueueConfig { timeout: TimeSpan::secs(0), ..QueueConfig::default() };
        assert_eq!(wrong.problem().map(|(field, _)| field), Some("timeout"));
    }
}
