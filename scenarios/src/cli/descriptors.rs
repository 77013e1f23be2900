//! Open files: a live run needs up to four for each request in flight.
//!
//! Client, both sides of the proxy and the backend are in one process, and many systems let a process have
//! 1024 unless it asks for more. The hard limit is what the system's owner allows: up to there we ask.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More is never needed.
const ENOUGH: u64 = 1 << 20;

/// Raises the soft limit as far as it may be; a system that refuses keeps what it has.
pub(super) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(ENOUGH).min(ENOUGH);
    if current.is_some_and(|current| current < wanted) {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    }
}
