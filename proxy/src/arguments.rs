//! The command line of `proxy`: a file, and flags on top of it.
//!
//! Every flag is a shorter way to set a key of the configuration, and `--set` reaches all others, so that a flag and a
//! file can never mean different things. Order: defaults, file, flags.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Parser;
use proxy::config::{
    ProxyConfig,
    document::{Document, Error, Origin},
};

/// A reverse proxy for HTTP, thread per core.
#[derive(Debug, Parser)]
#[command(name = "proxy", version, max_term_width = 100)]
#[command(after_help = "\
Examples:
  proxy --endpoint 127.0.0.1:9001,127.0.0.1:9002
  proxy --config proxy.toml --set retry.attempts=2 --admin 127.0.0.1:9901

Signals: SIGTERM and SIGINT let requests in progress end, then stop; SIGHUP reads the file again; \
SIGUSR1 opens the access log anew.")]
pub(crate) struct Arguments {
    /// Configuration file, TOML or YAML (by its ending).
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where clients connect [default: 127.0.0.1:8080].
    #[arg(short, long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where requests go; repeat it or separate by commas.
    #[arg(short, long = "endpoint", value_name = "ADDRESS", value_delimiter = ',')]
    endpoints: Vec<SocketAddr>,
    /// Worker threads [default: one a core].
    #[arg(short, long, value_name = "N")]
    workers: Option<usize>,
    /// Balancing strategy, like `round_robin` or `p2c`.
    #[arg(short, long, value_name = "NAME")]
    strategy: Option<String>,
    /// Where figures are served: /proxy-stats, /metrics, /healthz.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Access log on standard output: off, text, json or combined.
    #[arg(long, value_name = "FORM")]
    access_log: Option<String>,
    /// Any other key, like `timeouts.connect=1s`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Only says whether the configuration is good.
    #[arg(long)]
    pub(crate) check: bool,
}

impl Arguments {
    /// The configuration that file and flags make together.
    pub(crate) fn config(&self) -> Result<ProxyConfig, Error> {
        let mut document = match &self.config {
            Some(path) => Document::load(path)?,
            None => Document::parse("defaults.toml", "")?,
        };
        let mut set = |flag: &str, path: &str, text: String| {
            let origin = Origin::Flag { flag: flag.into(), text: text.as_str().into() };
            document.set(path, &text, &origin)
        };
        if let Some(listen) = self.listen {
            set("--listen", "listen", listen.to_string())?;
        }
        if !self.endpoints.is_empty() {
            let quoted: Vec<String> = self.endpoints.iter().map(|e| format!("\"{e}\"")).collect();
            set("--endpoint", "endpoints", format!("[{}]", quoted.join(", ")))?;
        }
        if let Some(workers) = self.workers {
            set("--workers", "workers", workers.to_string())?;
        }
        if let Some(strategy) = &self.strategy {
            set("--strategy", "balance.strategy", strategy.clone())?;
        }
        if let Some(admin) = self.admin {
            set("--admin", "admin.listen", admin.to_string())?;
            set("--admin", "admin.enabled", "true".to_owned())?;
        }
        if let Some(form) = &self.access_log {
            set("--access-log", "access_log", form.clone())?;
        }
        for text in &self.sets {
            let Some((path, value)) = text.split_once('=') else {
                return Err(Error::message(format!("`--set {text}` has no `=`; write KEY=VALUE")));
            };
            set(&format!("--set {}", path.trim()), path.trim(), value.trim().to_owned())?;
        }
        let folder = self.config.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        ProxyConfig::from_document(&document, folder)
    }
}
