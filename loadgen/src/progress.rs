//! How far a run has come, for a progress bar on another thread.
//!
//! One writer, any number of readers: the generator's thread stores, and never waits. A reader may see figures of two
//! neighbouring moments.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Figures of a run that is under way.
#[derive(Debug, Default)]
pub struct Progress {
    sent: AtomicU64,
    finished: AtomicU64,
    ok: AtomicU64,
    bytes: AtomicU64,
}

/// The same at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Requests sent.
    pub sent: u64,
    /// Requests that have ended, dropped ones too.
    pub finished: u64,
    /// Those that were answered as they should be.
    pub ok: u64,
    /// Body bytes received.
    pub bytes: u64,
}

/// Adds without a locked instruction: there is one writer.
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(more), Relaxed);
}

impl Progress {
    pub(crate) fn sent(&self) {
        add(&self.sent, 1);
    }

    pub(crate) fn finished(&self) {
        add(&self.finished, 1);
    }

    pub(crate) fn answered(&self, bytes: u64) {
        add(&self.ok, 1);
        add(&self.bytes, bytes);
    }

    /// The figures now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            sent: self.sent.load(Relaxed),
            finished: self.finished.load(Relaxed),
            ok: self.ok.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }
}

impl std::ops::Add for Snapshot {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            finished: self.finished + other.finished,
            ok: self.ok + other.ok,
            bytes: self.bytes + other.bytes,
        }
    }
}
