//! The clock of a world.
//!
//! All three worlds keep time with tokio, so one struct serves them: the real world reads tokio's
//! clock as it is, a simulated one runs on tokio's paused clock, and may *dilate* it: tokio's timers have a
//! resolution of a millisecond, so a simulated microsecond is made to be tokio's millisecond. Every duration
//! passes through here once and nobody above can tell.

use std::{
    fmt,
    future::Future,
    time::{Duration, SystemTime},
};

use policy::Instant;

/// The clock of a world; cheap to copy, valid on every thread of it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: tokio::time::Instant,
    /// What the clock showed at `start`.
    origin: Instant,
    dilation: u32,
    wall: Wall,
}

/// Where the date comes from.
#[derive(Clone, Copy, Debug)]
enum Wall {
    /// The machine's own, which may be stepped while we run.
    Machine,
    /// A fixed date at the start; the same seed must give the same bytes.
    Epoch(SystemTime),
}

/// A time limit has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time limit has passed")
    }
}

impl std::error::Error for Elapsed {}

impl Clock {
    /// Real time, counted from now.
    pub fn real() -> Self {
        Self {
            start: tokio::time::Instant::now(),
            origin: Instant::START,
            dilation: 1,
            wall: Wall::Machine,
        }
    }

    /// Virtual time, counted from now: one unit of it is `dilation` units of tokio's (paused) clock, and the date
    /// at its start is `epoch`. Must be called in the runtime that it is for.
    pub fn virtual_time(dilation: u32, epoch: SystemTime) -> Self {
        Self::virtual_since(dilation, epoch, Instant::START)
    }

    /// The same, for a runtime that begins when it is `now` already elsewhere in its world.
    pub(crate) fn virtual_since(dilation: u32, epoch: SystemTime, now: Instant) -> Self {
        Self {
            start: tokio::time::Instant::now(),
            origin: now,
            dilation: dilation.max(1),
            wall: Wall::Epoch(epoch),
        }
    }

    /// The time since the start.
    pub fn now(&self) -> Instant {
        let elapsed = policy::time::nanos(self.start.elapsed());
        self.origin + Duration::from_nanos(elapsed / u64::from(self.dilation))
    }

    /// The date, for `Date` fields and logs.
    pub fn wall(&self) -> SystemTime {
        match self.wall {
            Wall::Machine => SystemTime::now(),
            Wall::Epoch(epoch) => epoch + self.now().since(Instant::START),
        }
    }

    /// Waits for `duration`.
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        tokio::time::sleep(duration.saturating_mul(self.dilation))
    }

    /// Waits until `deadline`; for ever when it is [`Instant::NEVER`].
    pub fn sleep_until(&self, deadline: Instant) -> impl Future<Output = ()> + 'static {
        tokio::time::sleep_until(self.tokio(deadline))
    }

    /// Waits for `future`, but no longer than `limit`.
    pub async fn timeout<F: Future>(
        &self,
        limit: Duration,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        tokio::time::timeout(limit.saturating_mul(self.dilation), future).await.map_err(|_| Elapsed)
    }

    /// Whether this is the machine's own time, and not a virtual one.
    pub(crate) fn is_machine(&self) -> bool {
        matches!(self.wall, Wall::Machine)
    }

    /// `instant` on tokio's clock; what is too far away for it is 30 years away.
    pub(crate) fn tokio(&self, instant: Instant) -> tokio::time::Instant {
        const FAR: Duration = Duration::from_hours(30 * 365 * 24);
        let offset = instant.since(self.origin).saturating_mul(self.dilation).min(FAR);
        self.start + offset
    }

    /// The start on the standard library's clock, which hyper's timers speak.
    pub(crate) fn start_std(&self) -> std::time::Instant {
        self.start.into_std()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paused(test: impl AsyncFnOnce()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(test());
    }

    #[test]
    fn a_dilated_clock_is_exact_to_the_microsecond() {
        paused(async || {
            let clock = Clock::virtual_time(1000, SystemTime::UNIX_EPOCH);
            clock.sleep(Duration::from_micros(37)).await;
            assert_eq!(clock.now(), Instant::from_nanos(37_000));
            clock.sleep_until(Instant::from_nanos(50_000)).await;
            assert_eq!(clock.now(), Instant::from_nanos(50_000));
            assert_eq!(clock.wall(), SystemTime::UNIX_EPOCH + Duration::from_micros(50));
        });
    }

    #[test]
    fn a_timeout_counts_in_the_clocks_own_time() {
        paused(async || {
            let clock = Clock::virtual_time(1000, SystemTime::UNIX_EPOCH);
            let slow = clock.sleep(Duration::from_micros(200));
            assert_eq!(clock.timeout(Duration::from_micros(100), slow).await, Err(Elapsed));
            assert_eq!(clock.now(), Instant::from_nanos(100_000));
        });
    }
}
