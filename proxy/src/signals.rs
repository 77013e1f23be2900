//! What the operator tells the running program: stop, read the file again, or open the log anew.

use std::hash::{BuildHasher, RandomState};

use policy::Seed;
use proxy::{
    config::{ProxyConfig, document::Error},
    engine::Proxy,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for SIGTERM or SIGINT; reloads on SIGHUP, and opens the access log anew on SIGUSR1.
pub(crate) fn obey(proxy: &Proxy, configuration: impl Fn() -> Result<ProxyConfig, Error>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else {
        tracing::error!("signals cannot be received: only killing the process will stop it");
        loop {
            std::thread::park();
        }
    };
    runtime.block_on(async {
        let mut terminate = receive(SignalKind::terminate());
        let mut interrupt = receive(SignalKind::interrupt());
        let mut hang_up = receive(SignalKind::hangup());
        let mut rotated = receive(SignalKind::user_defined1());
        loop {
            tokio::select! {
                biased;
                () = next(&mut terminate) => return,
                () = next(&mut interrupt) => return,
                () = next(&mut hang_up) => reload(proxy, &configuration),
                () = next(&mut rotated) => proxy.reopen_log(),
            }
        }
    });
}

fn receive(kind: SignalKind) -> Option<Signal> {
    signal(kind).inspect_err(|error| tracing::error!(%error, "a signal cannot be received")).ok()
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

fn reload(proxy: &Proxy, configuration: impl Fn() -> Result<ProxyConfig, Error>) {
    match configuration() {
        Err(error) => tracing::error!("the configuration in force stays: {error}"),
        Ok(config) => match proxy.reload(config) {
            Ok(()) => tracing::info!("the configuration was read again"),
            Err(error) => tracing::error!("the configuration in force stays: {error}"),
        },
    }
}

/// A seed that nobody can guess: a real proxy's choices need not be repeated.
pub(crate) fn entropy() -> Seed {
    Seed(RandomState::new().hash_one(std::process::id()))
}
