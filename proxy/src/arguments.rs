//! The command line of `proxy`: a file, the environment, and flags on top of both.
//!
//! Every flag is a shorter way to set a key of the configuration, and `--set` reaches all others, so that a flag and a
//! file can never mean different things. Order: defaults, file, environment, flags; [`shorthand`] knows the short names of each.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::shorthand::{self, Given, Short, aliases, environment, print};
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

Environment, also from a file .env in the present folder (order: defaults, file, environment, flags):
  HOST PORT THREAD_POOL_SIZE REQUEST_QUEUE_SIZE CONNECTION_TIMEOUT BACKEND_SERVERS CACHE_EXPIRATION
  REDIS_HOST REDIS_PORT REDIS_DB REDIS_PASSWORD ENABLE_COMPRESSION RATE_LIMIT_REQUESTS
  RATE_LIMIT_WINDOW REQUEST_FILTERS

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
    /// The address to listen on, without its port.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "listen")]
    host: Option<String>,
    /// The port to listen on.
    #[arg(long, value_name = "PORT", conflicts_with = "listen")]
    port: Option<String>,
    /// The same as --workers.
    #[arg(long, value_name = "N", conflicts_with = "workers")]
    threads: Option<String>,
    /// The same as --endpoint, for URLs and names, too.
    #[arg(long, value_name = "URL,…", conflicts_with = "endpoints")]
    backend: Vec<String>,
    /// Answers that do not say how long they are fresh are cached for so many seconds.
    #[arg(long, value_name = "SECONDS")]
    cache_expiry: Option<String>,
    /// A Redis as the cache's second tier.
    #[arg(long, value_name = "HOST")]
    redis_host: Option<String>,
    /// Its port [default: 6379].
    #[arg(long, value_name = "PORT")]
    redis_port: Option<String>,
    /// Any other key, like `timeouts.connect=1s`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Only says whether the configuration is good.
    #[arg(long)]
    pub(crate) check: bool,
    /// Prints the configuration that holds in the end, and where each value came from.
    #[arg(long)]
    pub(crate) print_config: bool,
}

impl Arguments {
    /// The configuration that file, environment and flags make together.
    pub(crate) fn config(&self) -> Result<ProxyConfig, Error> {
        self.read().map(|(_, config)| config)
    }

    /// The same as text, with where each value came from.
    pub(crate) fn printed(&self) -> Result<String, Error> {
        self.read().map(|(document, config)| print::print(&document, &config))
    }

    fn read(&self) -> Result<(Document, ProxyConfig), Error> {
        let mut document = match &self.config {
            Some(path) => Document::load(path)?,
            None => Document::parse("defaults.toml", "")?,
        };
        let mut problems = aliases::apply(&mut document);
        problems.extend(shorthand::apply(&mut document, &environment::read()?));
        Error::from_problems(problems)?;
        let set = |document: &mut Document, flag: &str, path: &str, text: String| {
            let origin = Origin::Flag { flag: flag.into(), text: text.as_str().into() };
            document.set(path, &text, &origin)
        };
        if let Some(listen) = self.listen {
            set(&mut document, "--listen", "listen", listen.to_string())?;
        }
        if !self.endpoints.is_empty() {
            let quoted: Vec<String> = self.endpoints.iter().map(|e| format!("\"{e}\"")).collect();
            set(&mut document, "--endpoint", "endpoints", format!("[{}]", quoted.join(", ")))?;
        }
        if let Some(workers) = self.workers {
            set(&mut document, "--workers", "workers", workers.to_string())?;
        }
        if let Some(strategy) = &self.strategy {
            set(&mut document, "--strategy", "balance.strategy", strategy.clone())?;
        }
        if let Some(admin) = self.admin {
            set(&mut document, "--admin", "admin.listen", admin.to_string())?;
            set(&mut document, "--admin", "admin.enabled", "true".to_owned())?;
        }
        if let Some(form) = &self.access_log {
            set(&mut document, "--access-log", "access_log", form.clone())?;
        }
        Error::from_problems(shorthand::apply(&mut document, &self.short()))?;
        for text in &self.sets {
            let Some((path, value)) = text.split_once('=') else {
                return Err(Error::message(format!("`--set {text}` has no `=`; write KEY=VALUE")));
            };
            let flag = format!("--set {}", path.trim());
            set(&mut document, &flag, path.trim(), value.trim().to_owned())?;
        }
        let folder = self.config.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let config = ProxyConfig::from_document(&document, folder)?;
        Ok((document, config))
    }

    /// The flags that stand for the same as environment variables.
    fn short(&self) -> Vec<Given> {
        let backends = (!self.backend.is_empty()).then(|| self.backend.join(","));
        let flags = [
            (Short::Host, "--host", &self.host),
            (Short::Port, "--port", &self.port),
            (Short::Threads, "--threads", &self.threads),
            (Short::Backends, "--backend", &backends),
            (Short::CacheExpiry, "--cache-expiry", &self.cache_expiry),
            (Short::RedisHost, "--redis-host", &self.redis_host),
            (Short::RedisPort, "--redis-port", &self.redis_port),
        ];
        let given = flags.into_iter().filter_map(|(short, name, text)| {
            let text = text.clone()?;
            let origin = Origin::Flag { flag: name.into(), text: text.as_str().into() };
            Some(Given { short, name, text, origin })
        });
        given.collect()
    }
}
