//! Active health checks: the effect to the decision in [`policy::health`].
//!
//! One worker asks each endpoint in turn, over a connection of its own, and publishes what it finds in the shared figures
//! that all workers' balancers read. A check is a new connection each time, because that is what a broken endpoint
//! fails at first.

use std::{
    future::poll_fn,
    io,
    rc::Rc,
    sync::Arc,
    task::{Poll, ready},
};

use http1::{ResponseHead, encode};
use net::Net;
use policy::{
    Rng, Seed,
    health::{HealthConfig, HealthKind, HealthState, ProbeResult, Transition},
};

use super::{channel::Channel, upstream::UpstreamShared, worker::Worker};
use crate::config::ProxyConfig;

/// Checks endpoint `index` for as long as `shared` is in force.
pub(crate) async fn watch<N: Net>(
    worker: Rc<Worker<N>>,
    config: Arc<ProxyConfig>,
    shared: Arc<UpstreamShared>,
    index: usize,
    seed: Seed,
) {
    let health = &config.health;
    let mut rng: Rng = seed.child("health").nth(index as u64).rng();
    let up = shared.endpoints.list()[index].is_up();
    let mut state = HealthState::resume(if up { Transition::Up } else { Transition::Down });
    loop {
        let next = state.next_probe(health, worker.clock.now(), &mut rng);
        worker.clock.sleep_until(next).await;
        let setup = worker.setup();
        if !setup.upstreams.iter().any(|upstream| Arc::ptr_eq(&upstream.shared, &shared)) {
            return;
        }
        let limit = health.timeout.0;
        let result =
            match worker.clock.timeout(limit, probe(&worker, &config, &shared, index)).await {
                Ok(result) => result,
                Err(_) => ProbeResult::Failed,
            };
        let Some(transition) = state.on_probe(health, result) else { continue };
        let name = &shared.endpoints.list()[index].name;
        match transition {
            Transition::Up => tracing::info!(endpoint = %name, "endpoint is up"),
            Transition::Down => tracing::warn!(endpoint = %name, "endpoint is down"),
        }
        shared.endpoints.set_up(index as u32, transition);
        shared.room.notify_waiters();
    }
}

async fn probe<N: Net>(
    worker: &Worker<N>,
    config: &ProxyConfig,
    shared: &UpstreamShared,
    index: usize,
) -> ProbeResult {
    let site = &shared.sites[index];
    let Ok(stream) = worker.net.connect(site.address).await else { return ProbeResult::Failed };
    match config.health.kind {
        HealthKind::Off | HealthKind::Tcp => ProbeResult::Passed,
        HealthKind::Http => {
            match ask(worker, Channel::new(stream), &config.health, &site.authority).await {
                Some(status) if config.health.expects(status) => ProbeResult::Passed,
                _ => ProbeResult::Failed,
            }
        }
    }
}

/// The status that the endpoint answers a check with.
async fn ask<N: Net>(
    worker: &Worker<N>,
    mut channel: Channel<N::Stream>,
    health: &HealthConfig,
    authority: &str,
) -> Option<u16> {
    let out = channel.out();
    encode::request_line(out, b"GET", health.path.as_bytes());
    encode::field(out, b"Host", authority.as_bytes());
    encode::field(out, b"User-Agent", b"windtunnel-health");
    encode::field(out, b"Connection", b"close");
    encode::end(out);
    let mut head = ResponseHead::new();
    receive(worker, &mut channel, &mut head).await.ok()?;
    Some(head.status())
}

/// Sends what waits in the channel, and reads the head of what comes back; interim ones are passed over.
pub(super) async fn receive<N: Net>(
    worker: &Worker<N>,
    channel: &mut Channel<N::Stream>,
    head: &mut ResponseHead,
) -> io::Result<()> {
    let limits = http1::Limits::default();
    poll_fn(|cx| {
        if channel.poll_flush(cx)?.is_pending() {
            return Poll::Pending;
        }
        let scratch = &mut *worker.scratch.borrow_mut();
        loop {
            let count = ready!(channel.poll_read(cx, scratch))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            channel.stash(&scratch[..count]);
            while let Some(used) = head
                .parse(channel.ahead(), &limits)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?
            {
                channel.consume(used);
                if !head.is_informational() {
                    return Poll::Ready(Ok(()));
                }
                head.clear();
            }
        }
    })
    .await
}
