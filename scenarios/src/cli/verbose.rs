//! What the engine says while it runs, for `--verbose`.

use tracing_subscriber::{EnvFilter, fmt};

use super::style::Style;

/// From now on the engine's events are written to standard error; `RUST_LOG` chooses which, warnings by default.
pub(super) fn start(style: Style) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    fmt()
        .with_writer(std::io::stderr)
        .with_ansi(style == Style::Coloured)
        .with_target(false)
        .with_env_filter(filter)
        .init();
}
