//! Networks to test on.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use net::{
    BindOptions, LinkSettings, Listener, Net,
    memory::{Host, Memory, MemoryListener, MemorySettings, MemoryStream},
};
use policy::{
    Seed,
    distribution::Distribution,
    quantity::{Bandwidth, TimeSpan},
};

/// Runs a test on a network of its own, with these links.
pub(crate) fn on<T>(seed: u64, link: LinkSettings, test: impl AsyncFnOnce(Memory) -> T) -> T {
    with(seed, MemorySettings { link, ..MemorySettings::default() }, test)
}

pub(crate) fn with<T>(
    seed: u64,
    settings: MemorySettings,
    test: impl AsyncFnOnce(Memory) -> T,
) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        test(Memory::new(Seed(seed), settings).expect("possible settings")).await
    })
}

/// So many microseconds one way.
pub(crate) fn latency(micros: u64) -> LinkSettings {
    LinkSettings { latency: constant(micros), ..LinkSettings::default() }
}

pub(crate) fn constant(micros: u64) -> Distribution<TimeSpan> {
    Distribution::Constant(TimeSpan(Duration::from_micros(micros)))
}

pub(crate) fn bandwidth(micros: u64, bits: u64) -> LinkSettings {
    LinkSettings { bandwidth: Some(Bandwidth(bits)), ..latency(micros) }
}

pub(crate) fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

/// The hosts `a` and `b`.
pub(crate) fn two(memory: &Memory) -> (Host, Host) {
    (memory.add_host("a", ip(1)).unwrap(), memory.add_host("b", ip(2)).unwrap())
}

pub(crate) fn micros(memory: &Memory) -> u64 {
    memory.clock().now().as_nanos() / 1000
}

pub(crate) async fn listen(host: &Host, port: u16) -> (MemoryListener, SocketAddr) {
    let address = SocketAddr::new(host.ip(), port);
    let listener = host.bind(address, BindOptions::default()).await.unwrap();
    let address = listener.local_address().unwrap();
    (listener, address)
}

/// A connection from `a` to `b`, established.
pub(crate) async fn pair(a: &Host, b: &Host) -> (MemoryStream, MemoryStream) {
    let (listener, address) = listen(b, 0).await;
    let client = a.connect(address).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    (client, server)
}

pub(crate) async fn pause(memory: &Memory, micros: u64) {
    memory.clock().sleep(Duration::from_micros(micros)).await;
}
