//! What can be asked for.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use bytes::Bytes;
use clap::Parser;
use loadgen::{
    Load,
    config::{Arrivals, Connections, Rate, Request},
};
use policy::quantity::TimeSpan;

/// How long a run lasts that does not say.
const DEFAULT_DURATION: TimeSpan = TimeSpan::secs(10);

/// Sends load to a web server and measures how it answers.
///
/// Closed loop by default: so many connections, each with one request at a time, as fast as the answers come. With
/// --rate an open loop: requests come at their times, whether or not the earlier ones have been answered, and
/// response times count from the intended send, so that a stall is charged to every request that it held up.
#[derive(Clone, Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 measured; 2 bad usage; 3 could not be carried out; 5 the measurement is not valid; \
                  130 interrupted."
)]
pub(crate) struct Args {
    /// What to ask for: http://HOST[:PORT]/PATH
    pub(crate) url: String,

    /// End after so many requests
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) requests: Option<u64>,

    /// End after so long, such as 30s or 5m [default without --requests: 10s]
    #[arg(short, long, value_name = "TIME")]
    pub(crate) duration: Option<TimeSpan>,

    /// Closed loop: so many connections, each with one request at a time
    #[arg(short, long, value_name = "N", default_value_t = 10, conflicts_with = "rate",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) concurrency: u32,

    /// Open loop: so many requests a second
    #[arg(short, long, value_name = "RATE")]
    pub(crate) rate: Option<f64>,

    /// Open loop: arrivals at random (a Poisson process) instead of evenly spaced
    #[arg(long, requires = "rate")]
    pub(crate) poisson: bool,

    /// Open loop: at most so many connections; a request that would need one more is dropped
    #[arg(long, value_name = "N", requires = "rate", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_connections: Option<u32>,

    /// The method [default: GET, or POST with --body]
    #[arg(short, long)]
    pub(crate) method: Option<String>,

    /// The request's body, or @FILE to read it from a file
    #[arg(short, long, value_name = "TEXT|@FILE")]
    pub(crate) body: Option<String>,

    /// A header field, such as 'Accept: text/html'; may be given again
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,

    /// A status that counts as ok; may be given again [default: 200 to 399]
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(200..600))]
    pub(crate) expect: Vec<u16>,

    /// The client's patience: a request without a complete answer by then has timed out
    #[arg(short, long, value_name = "TIME", default_value = "30s")]
    pub(crate) timeout: TimeSpan,

    /// A connection of its own for each request
    #[arg(long)]
    pub(crate) no_keep_alive: bool,

    /// Leave so long at the start out of every figure
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub(crate) warmup: TimeSpan,

    /// Send from so many threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) threads: u32,

    /// The seed of what is random
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Write the run over time as CSV
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,

    /// Write every figure as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Show no progress
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

impl Args {
    /// For how long requests are due.
    pub(crate) fn lasts(&self) -> Option<Duration> {
        let fallback = self.requests.is_none().then_some(DEFAULT_DURATION);
        self.duration.or(fallback).map(|span| span.0)
    }

    /// The method.
    pub(crate) fn method(&self) -> String {
        let default = if self.body.is_some() { "POST" } else { "GET" };
        self.method.clone().unwrap_or_else(|| default.to_owned())
    }

    /// The load that is asked for, or what is wrong with it.
    pub(crate) fn load(&self, path: &str) -> Result<Load, String> {
        if self.lasts().is_some_and(|lasts| lasts <= self.warmup.0) {
            return Err(
                "--warmup must be shorter than --duration: nothing would be left to measure"
                    .to_owned(),
            );
        }
        let mut headers = BTreeMap::new();
        for field in &self.headers {
            let (name, value) = field
                .split_once(':')
                .ok_or_else(|| format!("--header {field:?} has no colon: write 'Name: value'"))?;
            headers.insert(name.trim().to_owned(), value.trim().to_owned());
        }
        let request = Request {
            method: self.method(),
            path: path.to_owned(),
            headers,
            expect: self.expect.clone(),
            ..Request::default()
        };
        let rate = self.rate.map(|rate| Rate { rate });
        let arrivals =
            rate.map(
                |rate| {
                    if self.poisson { Arrivals::Poisson(rate) } else { Arrivals::Constant(rate) }
                },
            );
        let connections =
            if self.no_keep_alive { Connections::PerRequest } else { Connections::KeepAlive };
        let load = Load {
            users: arrivals.is_none().then_some(self.concurrency),
            arrivals,
            timeout: self.timeout,
            request: vec![request],
            connections,
            max_connections: self.max_connections,
            requests: self.requests,
            ..Load::default()
        };
        match load.problem() {
            None => Ok(load),
            Some(problem) => Err(format!("{}: {}", option(&problem.at), problem.what)),
        }
    }

    /// The body of each request.
    pub(crate) fn payload(&self) -> Result<Option<Bytes>, String> {
        let Some(body) = &self.body else { return Ok(None) };
        let Some(file) = body.strip_prefix('@') else {
            return Ok(Some(Bytes::from(body.clone())));
        };
        match std::fs::read(file) {
            Ok(bytes) => Ok(Some(Bytes::from(bytes))),
            Err(error) => Err(format!("--body {body}: cannot read {file}: {error}")),
        }
    }
}

/// The option behind a part of the configuration.
fn option(at: &str) -> String {
    let last = at.rsplit('.').next().unwrap_or(at);
    match at {
        "request[0].path" => "the URL's path".to_owned(),
        _ if at.starts_with("request[0].headers.") => format!("--header {last}"),
        _ => format!("--{last}"),
    }
}
