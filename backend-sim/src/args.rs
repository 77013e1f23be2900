//! The command line of `backend-sim`, and the groups of endpoints that it asks for.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use backend_sim::{
    Admission, BackendConfig, GroupSpec,
    config::{FaultConfig, Framing, Kind, SessionConfig, SessionFormat},
    content::ContentConfig,
    notation::{self, NotationError},
    station::Discipline,
};
use clap::{Parser, ValueEnum};
use policy::{
    distribution::Distribution,
    quantity::{ByteSize, TimeSpan},
};

/// Simulated backends: HTTP endpoints as slow, as fast and as faulty as you say.
///
/// All endpoints are alike; each has its own workers and its own queue. A request waits for a worker, is served for
/// a time that is drawn, and gets an answer of a size that is drawn. Requests may bring both along, in the headers
/// windtunnel-work (nanoseconds) and windtunnel-size (bytes).
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_long_help = EXAMPLES)]
pub(crate) struct Args {
    /// Listen here; may be repeated. A bare port is one on loopback, port 0 a free one
    #[arg(long, short, value_name = "ADDRESS", value_parser = address, help_heading = "Where")]
    listen: Vec<SocketAddr>,

    /// Listen on all of these ports of loopback
    #[arg(long, value_name = "FIRST-LAST", value_parser = ports, help_heading = "Where")]
    ports: Vec<(u16, u16)>,

    /// What the endpoints are called in the header windtunnel-endpoint: NAME-0, NAME-1, …; with several threads
    /// NAME-THREAD-0, NAME-THREAD-1, …
    #[arg(long, value_name = "NAME", default_value = "backend", help_heading = "Where")]
    name: String,

    /// Spread the endpoints over so many threads
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=256), help_heading = "Where")]
    threads: u16,

    /// The service time: a time, or a distribution such as exponential:20ms
    #[arg(long, value_name = "DISTRIBUTION", default_value = "0",
        value_parser = notation::distribution::<TimeSpan>, help_heading = "Service")]
    service: Distribution<TimeSpan>,

    /// How many requests an endpoint serves at once
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Service")]
    workers: u32,

    /// How many more may wait; the next is answered 503
    #[arg(long, value_name = "N", default_value_t = 1024, help_heading = "Service")]
    queue: u32,

    /// In which order requests are served
    #[arg(long, value_enum, default_value_t, help_heading = "Service")]
    discipline: DisciplineArg,

    /// How fast the endpoints are: at 2 everything takes half of its time
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, help_heading = "Service")]
    speed: f64,

    /// What serving is
    #[arg(long, value_enum, default_value_t, help_heading = "Service")]
    kind: KindArg,

    /// The size of the answer's body: a size, or a distribution such as uniform:1KiB,64KiB
    #[arg(long, value_name = "DISTRIBUTION", default_value = "100B",
        value_parser = notation::distribution::<ByteSize>, help_heading = "Answers")]
    size: Distribution<ByteSize>,

    /// Send bodies in chunks instead of with a Content-Length
    #[arg(long, help_heading = "Answers")]
    chunked: bool,

    /// The same path has the same answer for everybody, with this Cache-Control, such as max-age=60
    #[arg(long, value_name = "VALUE", help_heading = "Answers")]
    cache_control: Option<String>,

    /// The same path has the same answer for everybody, with an ETag; If-None-Match is answered 304
    #[arg(long, help_heading = "Answers")]
    etag: bool,

    /// The same path has the same answer for everybody, of this media type; text and JSON compress
    #[arg(long = "type", value_name = "TYPE", help_heading = "Answers")]
    media_type: Option<String>,

    /// The path of the health check
    #[arg(long, value_name = "PATH", default_value = "/healthz", help_heading = "Answers")]
    health_path: String,

    /// The path of the load probe; "" for none
    #[arg(long, value_name = "PATH", default_value = "/loadz", help_heading = "Answers")]
    probe_path: String,

    /// Say in each answer how loaded the endpoint is (endpoint-load-metrics)
    #[arg(long, help_heading = "Answers")]
    load_report: bool,

    /// Let only requests in that a proxy has redirected here: the file holds the secret that it has as redirect.secret
    #[arg(long, value_name = "FILE", help_heading = "Where")]
    redirect_secret_file: Option<PathBuf>,

    /// What a session sends, with --kind session
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Sessions")]
    session: Option<FormatArg>,

    /// The time between two pieces of a session
    #[arg(long, value_name = "TIME", default_value = "100ms", help_heading = "Sessions")]
    every: TimeSpan,

    /// The size of a piece of a session
    #[arg(long, value_name = "SIZE", default_value = "100B", help_heading = "Sessions")]
    piece: ByteSize,

    /// Answer these statuses, each to so many per cent of the requests: 503:5,404:0.5
    #[arg(long, value_name = "STATUS:PERCENT,…", value_parser = Shares::statuses,
        help_heading = "Faults")]
    status: Option<Shares<backend_sim::config::StatusShare>>,

    /// Serve so many per cent of the requests for so much longer: 150us:10,2ms:5
    #[arg(long, value_name = "TIME:PERCENT,…", value_parser = Shares::delays,
        help_heading = "Faults")]
    delay: Option<Shares<backend_sim::config::DelayShare>>,

    /// Reset the connection of so many per cent of the requests
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = notation::per_cent,
        help_heading = "Faults")]
    reset: f64,

    /// Everything that is drawn depends on this
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// How long the requests that are here may take when the program is told to end
    #[arg(long, value_name = "TIME", default_value = "5s")]
    pub(crate) drain: TimeSpan,
}

const EXAMPLES: &str = "\
Distributions, their parameters by name or in this order:
  20ms                                          always the same
  uniform:min=10ms,max=30ms
  exponential:mean=20ms
  erlang:k=4,mean=20ms
  hyperexponential:mean=20ms,cv2=4
  lognormal:mean=20ms,cv=0.5
  pareto:min=5ms,max=5s,alpha=1.5               bounded
  bimodal:fast=5ms,slow=200ms,slow_share=0.02
  empirical:file=times.csv                      a value with its unit on each line

Examples:
  backend-sim --listen 8001
  backend-sim --ports 8001-8010 --workers 4 --queue 100 --service exponential:20ms
  backend-sim --listen 8001 --service 5ms --status 503:5 --delay 150us:10,2ms:5
  backend-sim --listen 8001 --kind session --session sse --service 1m --workers 1000

Ctrl-C or SIGTERM ends it with a summary.";

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum DisciplineArg {
    /// First come, first served
    #[default]
    Fifo,
    /// All at once, sharing the workers evenly
    #[value(alias = "processor_sharing")]
    ProcessorSharing,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum KindArg {
    /// Time passes
    #[default]
    Delay,
    /// The processor works for that time
    Compute,
    /// A stream that lasts for that time
    Session,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArg {
    /// Chunks of one long body
    Chunked,
    /// Server-sent events
    Sse,
    /// WebSocket messages
    Websocket,
}

/// A list that is one argument.
#[derive(Clone, Debug)]
struct Shares<T>(Vec<T>);

impl Shares<backend_sim::config::StatusShare> {
    fn statuses(text: &str) -> Result<Self, NotationError> {
        notation::statuses(text).map(Self)
    }
}

impl Shares<backend_sim::config::DelayShare> {
    fn delays(text: &str) -> Result<Self, NotationError> {
        notation::delays(text).map(Self)
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    if let Ok(port) = text.trim_start_matches(':').parse::<u16>() {
        return Ok(SocketAddr::new(loopback, port));
    }
    text.parse().map_err(|_| {
        format!("`{text}` is no address; write for example 127.0.0.1:8001, [::1]:8001 or 8001")
    })
}

fn ports(text: &str) -> Result<(u16, u16), String> {
    let parsed = text
        .split_once('-')
        .and_then(|(first, last)| Some((first.trim().parse().ok()?, last.trim().parse().ok()?)));
    match parsed {
        Some((first, last)) if 0 < first && first <= last && last - first < 10_000 => {
            Ok((first, last))
        }
        _ => {
            Err(format!("`{text}` is no range of at most 10000 ports; write for example 8001-8100"))
        }
    }
}

/// By the secret in a file; a line's end after it does not belong to it.
fn admission(file: &Path) -> Result<Admission, String> {
    let name = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("--redirect-secret-file {name}: {error}"))?;
    Admission::by(text.trim_end_matches(['\r', '\n']))
        .map_err(|error| format!("--redirect-secret-file {name}: the secret {error}"))
}

impl Args {
    /// The groups, one for each thread; or what is wrong, in the words of the command line.
    pub(crate) fn groups(&self) -> Result<Vec<GroupSpec>, String> {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let ranges = self.ports.iter().flat_map(|(first, last)| *first..=*last);
        let ranges = ranges.map(|port| SocketAddr::new(loopback, port));
        let addresses: Vec<SocketAddr> = self.listen.iter().copied().chain(ranges).collect();
        if addresses.is_empty() {
            return Err("nowhere to listen; say --listen 8001 or --ports 8001-8010".into());
        }
        let mut config = self.config(addresses.len() as u32);
        if let Some(file) = &self.redirect_secret_file {
            if let Some(address) = addresses.iter().find(|address| address.ip().is_unspecified()) {
                return Err(format!(
                    "--redirect-secret-file: a token is for one address, and {address} is none; write --listen with the \
                     address that the proxy sends clients to"
                ));
            }
            config.admission = Some(admission(file)?);
        }
        if let Some((path, what)) = config.problem() {
            let option = match path.as_str() {
                "health_path" => "health-path".to_owned(),
                "probe_path" => "probe-path".to_owned(),
                "session" => return Err("--session needs --kind session beside it".into()),
                "session.size" => "piece".into(),
                "session.every" => "every".into(),
                "content" => {
                    return Err("--kind session has no --cache-control, --etag or --type".into());
                }
                "content.cache_control" => "cache-control".into(),
                "content.type" => "type".into(),
                "count" => return Err("there can be at most 10000 endpoints".into()),
                other => other.to_owned(),
            };
            return Err(format!("--{option} {what}"));
        }
        // In turn, so that each thread has its share; one name a thread would number them wrongly.
        let threads = usize::from(self.threads).min(addresses.len());
        let groups = (0..threads).map(|thread| {
            let mine: Vec<SocketAddr> =
                addresses.iter().copied().skip(thread).step_by(threads).collect();
            let name = match threads {
                1 => self.name.clone(),
                _ => format!("{}-{thread}", self.name),
            };
            let config = BackendConfig { count: mine.len() as u32, ..config.clone() };
            GroupSpec { name, config, addresses: mine }
        });
        Ok(groups.collect())
    }

    fn config(&self, count: u32) -> BackendConfig {
        let format = self.session.map(|format| match format {
            FormatArg::Chunked => SessionFormat::Chunked,
            FormatArg::Sse => SessionFormat::Sse,
            FormatArg::Websocket => SessionFormat::Websocket,
        });
        let kind = match self.kind {
            KindArg::Delay => Kind::Delay,
            KindArg::Compute => Kind::Compute,
            KindArg::Session => Kind::Session,
        };
        let session = (format.is_some() || kind == Kind::Session).then(|| SessionConfig {
            format: format.unwrap_or_default(),
            every: self.every,
            size: self.piece,
        });
        let has_content = self.cache_control.is_some() || self.etag || self.media_type.is_some();
        let content = has_content.then(|| ContentConfig {
            cache_control: self.cache_control.clone().unwrap_or_default(),
            etag: self.etag,
            media_type: self.media_type.clone().unwrap_or_default(),
            ..ContentConfig::default()
        });
        BackendConfig {
            content,
            count,
            workers: self.workers,
            discipline: match self.discipline {
                DisciplineArg::Fifo => Discipline::Fifo,
                DisciplineArg::ProcessorSharing => Discipline::ProcessorSharing,
            },
            queue: self.queue,
            service: self.service.clone(),
            speed: self.speed,
            kind,
            session,
            response: self.size.clone(),
            framing: if self.chunked { Framing::Chunked } else { Framing::Length },
            faults: FaultConfig {
                status: self.status.as_ref().map(|shares| shares.0.clone()).unwrap_or_default(),
                delay: self.delay.as_ref().map(|shares| shares.0.clone()).unwrap_or_default(),
                reset: self.reset,
            },
            health_path: self.health_path.clone(),
            probe_path: self.probe_path.clone(),
            load_report: self.load_report,
            ..BackendConfig::default()
        }
    }
}
