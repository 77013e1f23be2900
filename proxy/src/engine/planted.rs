//! Bugs on purpose, for tests of whoever looks for bugs.
//!
//! A search that finds nothing may be a search that finds nothing ever. So it is shown that it finds these. They exist only
//! with the feature `planted-bugs`, and then only on a thread on which one was planted.

use std::cell::Cell;

/// A bug that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bug {
    /// Every method is held to be idempotent: a POST is sent again although it may have reached an endpoint.
    PostRetry,
    /// A request that an endpoint did not answer in time stays in flight there for ever.
    LeakedInFlight,
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants a bug in all engines that run on this thread from now on, or none.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether this one is planted on this thread.
pub(super) fn is_planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}
