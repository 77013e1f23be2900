//! Waiting for a moment more finely than tokio does.
//!
//! tokio's timers have a resolution of a millisecond and round up. For a time limit that is nothing; for an
//! open loop it would be an artefact of up to a millisecond in every response time, because each request would be sent that
//! much after its time. So on the machine's own clock a [`Pacer`] waits on a timer of the kernel's (`timerfd`), which
//! is good to some tens of microseconds. On a virtual clock tokio's timer is exact, and it is used as it is; so it is on
//! systems without `timerfd`, with its millisecond.

use policy::Instant;

use crate::Clock;

/// Waits for moments, one after the other.
#[derive(Debug)]
pub struct Pacer {
    clock: Clock,
    #[cfg(target_os = "linux")]
    kernel: Option<kernel::KernelTimer>,
}

impl Pacer {
    /// A pacer on this clock; must be made in the runtime that it is for. Where the kernel grants no timer,
    /// tokio's is used.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            #[cfg(target_os = "linux")]
            kernel: clock.is_machine().then(|| kernel::KernelTimer::new().ok()).flatten(),
        }
    }

    /// Waits until `deadline`; not at all when it has passed. Cancel-safe.
    pub async fn until(&mut self, deadline: Instant) {
        if self.clock.now() >= deadline {
            return;
        }
        #[cfg(target_os = "linux")]
        if let Some(timer) = &mut self.kernel
            && timer.until(self.clock, deadline).await.is_ok()
        {
            return;
        }
        self.clock.sleep_until(deadline).await;
    }
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::{io, os::fd::OwnedFd, time::Duration};

    use policy::Instant;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::unix::AsyncFd;

    use crate::Clock;

    /// Further away than this the timer is set again on the way: no deadline overflows it.
    const FARTHEST: Duration = Duration::from_hours(24);

    #[derive(Debug)]
    pub(super) struct KernelTimer(AsyncFd<OwnedFd>);

    impl KernelTimer {
        pub(super) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            #[expect(
                deprecated,
                reason = "sound for an OwnedFd, which keeps its descriptor open; its successor is unsafe"
            )]
            Ok(Self(AsyncFd::new(timer)?))
        }

        pub(super) async fn until(&mut self, clock: Clock, deadline: Instant) -> io::Result<()> {
            loop {
                let left = deadline.since(clock.now());
                if left.is_zero() {
                    return Ok(());
                }
                let left = left.min(FARTHEST);
                let spec = Itimerspec {
                    it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
                    it_value: Timespec {
                        tv_sec: left.as_secs() as i64,
                        tv_nsec: left.subsec_nanos() as _,
                    },
                };
                // Setting it also takes back an expiry that nobody has read, but not tokio's note of it: so the note is
                // cleared after each wake-up, and the clock alone says whether the moment has come.
                timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &spec)?;
                self.0.readable().await?.clear_ready();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn never_early_on_the_machines_clock_and_none_is_lost() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let clock = Clock::real();
            let mut pacer = Pacer::new(clock);
            for step in [0, 50, 300, 1700, 20, 0, 999] {
                let deadline = clock.now() + Duration::from_micros(step);
                pacer.until(deadline).await;
                assert!(clock.now() >= deadline);
            }
            // One that was abandoned does not disturb the next.
            let far = clock.now() + Duration::from_hours(1);
            let abandoned = clock.timeout(Duration::from_millis(2), pacer.until(far)).await;
            assert!(abandoned.is_err());
            let deadline = clock.now() + Duration::from_millis(3);
            pacer.until(deadline).await;
            assert!(clock.now() >= deadline);
        });
    }

    #[test]
    fn exact_on_a_virtual_clock() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let clock = Clock::virtual_time(1000, SystemTime::UNIX_EPOCH);
            let mut pacer = Pacer::new(clock);
            for micros in [1, 2, 50, 1_000_000] {
                let deadline = Instant::from_nanos(micros * 1000);
                pacer.until(deadline).await;
                assert_eq!(clock.now(), deadline);
            }
        });
    }
}
