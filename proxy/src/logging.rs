//! Where the engine's events go: its own to standard error, the access log to standard output.
//!
//! Access lines are handed to a thread that writes them; when that thread cannot keep up, lines are dropped rather than
//! requests delayed.

use std::io::IsTerminal;

use proxy::config::AccessLog;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::{
    EnvFilter, Layer, filter::filter_fn, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

/// Starts logging; what is still unwritten is written when the guard is dropped.
pub(crate) fn start(access: AccessLog) -> WorkerGuard {
    let (writer, guard) = tracing_appender::non_blocking(std::io::stdout());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let own = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        .with_filter(filter)
        .with_filter(filter_fn(|metadata| metadata.target() != "access"));
    let mut layers = vec![own.boxed()];
    let line =
        fmt::layer().with_writer(writer).with_ansi(false).with_target(false).with_level(false);
    let access_only = filter_fn(|metadata| metadata.target() == "access");
    match access {
        AccessLog::Off => {}
        AccessLog::Text => layers.push(line.with_filter(access_only).boxed()),
        AccessLog::Json => {
            layers.push(line.json().flatten_event(true).with_filter(access_only).boxed());
        }
    }
    tracing_subscriber::registry().with(layers).init();
    guard
}
