//! One timer for all the deadlines of a connection.
//!
//! A proxied request passes through half a dozen phases, each with a limit of its own, and nearly every limit
//! is far away when its phase ends. Arming and disarming tokio's timer for each would cost more than parsing the
//! request. So the deadline is a plain value that its owner moves about, and the timer underneath is
//! armed again only when it fires too early, or when the new deadline comes before the armed one: about
//! once in a time limit instead of six times a request.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use policy::Instant;

use crate::Clock;

/// A timer whose deadline moves cheaply.
#[derive(Debug)]
pub struct Timer {
    clock: Clock,
    armed: Instant,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Timer {
    /// A timer that is not armed yet, and costs nothing until it is.
    pub fn new(clock: Clock) -> Self {
        Self { clock, armed: Instant::NEVER, sleep: None }
    }

    /// Ready once `deadline` has passed; otherwise the task is woken then, or earlier.
    pub fn poll_at(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        if deadline == Instant::NEVER {
            return Poll::Pending;
        }
        loop {
            match &mut self.sleep {
                Some(sleep) if self.armed <= deadline => {
                    if sleep.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    if self.armed == deadline {
                        return Poll::Ready(());
                    }
                    self.armed = deadline;
                    sleep.as_mut().reset(self.clock.tokio(deadline));
                }
                Some(sleep) => {
                    self.armed = deadline;
                    sleep.as_mut().reset(self.clock.tokio(deadline));
                }
                None => {
                    self.armed = deadline;
                    self.sleep =
                        Some(Box::pin(tokio::time::sleep_until(self.clock.tokio(deadline))));
                }
            }
        }
    }

    /// Gives back what it holds; the next [`poll_at`](Self::poll_at) arms it anew.
    pub fn release(&mut self) {
        self.sleep = None;
        self.armed = Instant::NEVER;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        time::{Duration, SystemTime},
    };

    use super::*;

    #[test]
    fn fires_at_the_deadline_however_it_was_moved() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let clock = Clock::virtual_time(1000, SystemTime::UNIX_EPOCH);
            let at = |micros: u64| Instant::START + Duration::from_micros(micros);
            let mut timer = Timer::new(clock);
            // Armed, moved later (it fires early inside and goes on), then moved earlier.
            for deadline in [at(100), at(900), at(950), at(920), at(1500)] {
                let _ = poll_fn(|cx| Poll::Ready(timer.poll_at(cx, at(5000)))).await;
                let due = clock.now().max(deadline);
                poll_fn(|cx| timer.poll_at(cx, deadline)).await;
                assert_eq!(clock.now(), due, "deadline {deadline}");
            }
            assert!(
                poll_fn(|cx| Poll::Ready(timer.poll_at(cx, Instant::NEVER))).await.is_pending()
            );
        });
    }
}
