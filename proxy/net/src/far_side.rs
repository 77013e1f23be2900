//! hyper on our streams and our clock.
//!
//! The far sides of the proxy (backends, load generator) and its admin listener speak HTTP through hyper. hyper
//! counts its own time limits with whatever timer it is given, in the standard library's instants; this one
//! translates them, so that hyper's limits stretch with a dilated clock like everybody else's.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant as StdInstant},
};

use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioIo;
use policy::Instant;

use crate::{Clock, Stream};

/// A stream as hyper wants it.
pub fn hyper_io<S: Stream>(stream: S) -> TokioIo<S> {
    TokioIo::new(stream)
}

/// Our clock as hyper's timer.
#[derive(Clone, Copy, Debug)]
pub struct HyperTimer(pub Clock);

struct ClockSleep(Pin<Box<tokio::time::Sleep>>);

impl Future for ClockSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl Sleep for ClockSleep {}

impl Timer for HyperTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        let deadline = self.0.tokio(self.0.now() + duration);
        Box::pin(ClockSleep(Box::pin(tokio::time::sleep_until(deadline))))
    }

    fn sleep_until(&self, deadline: StdInstant) -> Pin<Box<dyn Sleep>> {
        let deadline = Instant::START + deadline.saturating_duration_since(self.0.start_std());
        Box::pin(ClockSleep(Box::pin(tokio::time::sleep_until(self.0.tokio(deadline)))))
    }

    fn now(&self) -> StdInstant {
        self.0.start_std() + self.0.now().since(Instant::START)
    }
}
