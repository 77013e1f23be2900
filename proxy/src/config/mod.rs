//! What a proxy can be told: the schema of its configuration, with its defaults.
//!
//! The same types are the program's configuration file (TOML or YAML), the `[proxy]` table of a scenario, and what
//! the engine is started with, so that nothing can be configured in one place and not in another. Each default is
//! the one that a careful operator would choose; [`ProxyConfig::problems`] finds what is possible to write and
//! impossible to mean.

use std::net::SocketAddr;

use policy::{
    analytics::AnalyticsConfig,
    balance::BalanceConfig,
    cache::CacheConfig,
    compression::CompressionConfig,
    filter::FilterConfig,
    health::HealthConfig,
    limit::QueueConfig,
    outlier::OutlierConfig,
    quantity::{ByteSize, TimeSpan},
    rate::LimitingConfig,
    retry::RetryConfig,
    trace::TracingConfig,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod access_log;
pub mod document;
mod endpoint;
mod filters;
mod forwarding;
mod load;
mod redirect;
mod routes;

pub use access_log::{AccessLog, LogFormat, Part, Phase, RotateConfig, Template, Variable};
pub use endpoint::EndpointConfig;
pub use forwarding::{Cidr, ForwardingConfig, HostHeader};
pub use redirect::{Mode, RedirectConfig, Secret};
pub use routes::{RouteConfig, UpstreamConfig, Upstreams};

/// Everything that a proxy can be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProxyConfig {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Worker threads, each with a listener, a pool and a balancer of its own; one a core by default.
    #[schemars(range(min = 1, max = 1024))]
    pub workers: Option<usize>,
    /// Whether it carries requests to the endpoints or sends the clients there.
    #[serde(skip_serializing_if = "Mode::is_forward")]
    pub mode: Mode,
    /// Where requests go: addresses, or tables with an address and more.
    pub endpoints: Vec<EndpointConfig>,
    /// Which requests go where: the first that matches; all others go to `endpoints`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteConfig>,
    /// Other pools of endpoints, for routes to lead to.
    #[serde(skip_serializing_if = "Upstreams::is_empty")]
    pub upstreams: Upstreams,
    /// How long each phase may take.
    pub timeouts: TimeoutConfig,
    /// How much of everything.
    pub limits: LimitConfig,
    /// Which endpoint gets a request.
    pub balance: BalanceConfig,
    /// Active health checks.
    pub health: HealthConfig,
    /// Ejection of endpoints whose answers go wrong (passive health checks).
    pub outlier: OutlierConfig,
    /// When a request is sent a second time.
    pub retry: RetryConfig,
    /// Requests that wait for an endpoint with room.
    pub queue: QueueConfig,
    /// What the endpoints are told of the client, and the client of us.
    pub forwarding: ForwardingConfig,
    /// What it needs to send clients to the endpoints.
    #[serde(skip_serializing_if = "RedirectConfig::is_default")]
    pub redirect: RedirectConfig,
    /// What is done to requests and answers on their way, one after the other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filter: Vec<FilterConfig>,
    /// Answers that are kept and given to others who ask for the same.
    #[serde(skip_serializing_if = "CacheConfig::is_default")]
    pub cache: CacheConfig,
    /// How often clients may come, how much they and the endpoints may have under way, and who is refused first.
    #[serde(skip_serializing_if = "LimitingConfig::is_default")]
    pub limit: LimitingConfig,
    /// Compression of answers.
    #[serde(skip_serializing_if = "CompressionConfig::is_default")]
    pub compression: CompressionConfig,
    /// What requests are called: request ids and traces.
    #[serde(skip_serializing_if = "TracingConfig::is_default")]
    pub tracing: TracingConfig,
    /// Top lists and the last day, on the admin listener under `/analytics`.
    #[serde(skip_serializing_if = "AnalyticsConfig::is_default")]
    pub analytics: AnalyticsConfig,
    /// The access log.
    pub access_log: AccessLog,
    /// The admin listener: figures, metrics and health of the proxy itself.
    pub admin: AdminConfig,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            workers: None,
            mode: Mode::default(),
            endpoints: Vec::new(),
            routes: Vec::new(),
            upstreams: Upstreams::new(),
            timeouts: TimeoutConfig::default(),
            limits: LimitConfig::default(),
            balance: BalanceConfig::default(),
            health: HealthConfig::default(),
            outlier: OutlierConfig::default(),
            retry: RetryConfig::default(),
            queue: QueueConfig::default(),
            forwarding: ForwardingConfig::default(),
            redirect: RedirectConfig::default(),
            filter: Vec::new(),
            cache: CacheConfig::default(),
            limit: LimitingConfig::default(),
            compression: CompressionConfig::default(),
            tracing: TracingConfig::default(),
            analytics: AnalyticsConfig::default(),
            access_log: AccessLog::default(),
            admin: AdminConfig::default(),
        }
    }
}

/// How long each phase of a request or a connection may take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TimeoutConfig {
    /// Opening a connection to an endpoint.
    pub connect: TimeSpan,
    /// Receiving a request's head, from its first byte (or from the start of the connection).
    pub request_head: TimeSpan,
    /// Waiting for the response's head, once the request has been sent.
    pub response_head: TimeSpan,
    /// The longest pause in a body or an upgraded connection, in either direction.
    pub stream_idle: TimeSpan,
    /// How long a client's connection may wait for its next request.
    pub keep_alive: TimeSpan,
    /// How long an unused connection to an endpoint is kept; keep it below the endpoint's own limit.
    pub upstream_idle: TimeSpan,
    /// How long requests in progress may go on after the proxy was told to stop.
    pub drain: TimeSpan,
}

impl Default for TimeoutConfig {
    fn default() -> Self {
        Self {
            connect: TimeSpan::secs(3),
            request_head: TimeSpan::secs(10),
            response_head: TimeSpan::secs(15),
            stream_idle: TimeSpan::secs(300),
            keep_alive: TimeSpan::secs(60),
            upstream_idle: TimeSpan::secs(60),
            drain: TimeSpan::secs(30),
        }
    }
}

/// How much of everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitConfig {
    /// Client connections at once, over all workers; further ones wait in the listener's backlog.
    #[schemars(range(min = 1))]
    pub connections: u32,
    /// Connections that may wait to be accepted, for each worker.
    #[schemars(range(min = 1))]
    pub backlog: u32,
    /// Header fields in a head.
    #[schemars(range(min = 1, max = 256))]
    pub fields: usize,
    /// Bytes in a head.
    pub head: ByteSize,
    /// Bytes in a request's target.
    pub target: ByteSize,
    /// Requests in flight at one endpoint, over all workers; an endpoint's own setting overrides it. No limit by default.
    #[schemars(range(min = 1))]
    pub endpoint_in_flight: Option<u32>,
    /// Open connections to one endpoint, busy or idle, over all workers. No limit by default.
    #[schemars(range(min = 1))]
    pub endpoint_connections: Option<u32>,
    /// Idle connections kept to one endpoint, for each worker.
    pub endpoint_idle: usize,
    /// Bytes of a request body kept for a retry; a longer body is sent once.
    pub replay: ByteSize,
    /// Bytes of a request's body; a larger one is answered 413. No limit by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<ByteSize>,
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self {
            connections: 100_000,
            backlog: 4096,
            fields: 100,
            head: ByteSize(32 << 10),
            target: ByteSize(8 << 10),
            endpoint_in_flight: None,
            endpoint_connections: None,
            endpoint_idle: 256,
            replay: ByteSize(64 << 10),
            body: None,
        }
    }
}

/// The admin listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// Where it listens; keep it away from the public. `enabled = false` turns it off.
    pub listen: SocketAddr,
    /// Whether there is one.
    pub enabled: bool,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9901)), enabled: false }
    }
}

/// A value that can be written and not meant: where it stands, and what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The dotted path of the value, from the proxy's own configuration down.
    pub path: String,
    /// What it must be.
    pub message: String,
}

impl Problem {
    fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl ProxyConfig {
    /// Every impossible value; empty when the configuration can be run.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.workers.is_some_and(|n| !(1..=1024).contains(&n)) {
            problems.push(Problem::new("workers", "must be 1 to 1024"));
        }
        problems.extend(self.problems_of_upstream());
        if let Some((field, message)) = self.cache.problem() {
            problems.push(Problem::new(format!("cache.{field}"), message));
        }
        for (field, message) in self.limit.problems() {
            problems.push(Problem::new(format!("limit.{field}"), message));
        }
        let routes = self.routes.iter().filter_map(|route| route.limit.as_ref());
        let rates = routes.chain([&self.limit]).map(|limit| limit.rate.len()).sum::<usize>();
        if self.limit.redis.is_some() && rates == 0 {
            let message = "shares rate limits, and there are none; write `rate = [{ by = \"address\", requests = 100 }]` beside it";
            problems.push(Problem::new("limit.redis", message));
        }
        if let Some((field, message)) = self.compression.problem() {
            problems.push(Problem::new(format!("compression.{field}"), message));
        }
        let tracing = self.tracing.problem().map(|problem| ("tracing", problem));
        let access_log = self.access_log.problem().map(|problem| ("access_log", problem));
        let analytics = self.analytics.problem().map(|problem| ("analytics", problem));
        for (section, (field, message)) in tracing.into_iter().chain(access_log).chain(analytics) {
            problems.push(Problem::new(format!("{section}.{field}"), message));
        }
        self.problems_of_routes(&mut problems);
        filters::problems(&self.filter, "filter", &mut problems);
        if self.mode == Mode::Redirect {
            self.redirect.problems(self.listen, &mut problems);
        }
        if !self.forwarding.pseudonym_is_token() {
            problems.push(Problem::new(
                "forwarding.pseudonym",
                "must be a token: letters, digits and any of !#$%&'*+-.^_`|~",
            ));
        }
        problems
    }

    /// The same for what an upstream may have of its own.
    fn problems_of_upstream(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.timeouts.problems(&mut problems);
        self.limits.problems(&mut problems);
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            if endpoint.weight == 0 {
                let path = format!("endpoints[{index}].weight");
                problems.push(Problem::new(path, "must be at least 1"));
            }
            if let Some(twin) =
                self.endpoints[..index].iter().position(|e| e.name() == endpoint.name())
            {
                problems.push(Problem::new(
                    format!("endpoints[{index}]"),
                    format!(
                        "`{}` is already endpoint {twin}; give it a `name` of its own",
                        endpoint.name()
                    ),
                ));
            }
        }
        let sections = [
            ("balance", self.balance.problem()),
            ("health", self.health.problem()),
            ("outlier", self.outlier.problem()),
            ("retry", self.retry.problem()),
            ("queue", self.queue.problem()),
        ];
        for (section, problem) in sections {
            if let Some((field, message)) = problem {
                problems.push(Problem::new(format!("{section}.{field}"), message));
            }
        }
        problems
    }
}

impl TimeoutConfig {
    fn problems(&self, problems: &mut Vec<Problem>) {
        for (name, span) in [
            ("connect", self.connect),
            ("request_head", self.request_head),
            ("response_head", self.response_head),
            ("stream_idle", self.stream_idle),
            ("keep_alive", self.keep_alive),
            ("upstream_idle", self.upstream_idle),
        ] {
            if span.0.is_zero() {
                problems.push(Problem::new(format!("timeouts.{name}"), "must be longer than 0"));
            }
        }
    }
}

impl LimitConfig {
    fn problems(&self, problems: &mut Vec<Problem>) {
        let mut at_least_one = |name: &str, value: u64| {
            if value == 0 {
                problems.push(Problem::new(format!("limits.{name}"), "must be at least 1"));
            }
        };
        at_least_one("connections", u64::from(self.connections));
        at_least_one("backlog", u64::from(self.backlog));
        at_least_one("endpoint_in_flight", u64::from(self.endpoint_in_flight.unwrap_or(1)));
        at_least_one("endpoint_connections", u64::from(self.endpoint_connections.unwrap_or(1)));
        if !(1..=http1::Limits::FIELDS_CEILING).contains(&self.fields) {
            problems.push(Problem::new("limits.fields", "must be 1 to 256"));
        }
        if !(256..=1 << 20).contains(&self.head.0) {
            problems.push(Problem::new("limits.head", "must be 256B to 1MiB"));
        }
        if self.target.0 == 0 || self.target.0 > self.head.0 {
            problems.push(Problem::new(
                "limits.target",
                "must be at least 1B and at most `limits.head`",
            ));
        }
        if self.replay.0 > 16 << 20 {
            problems.push(Problem::new("limits.replay", "must be at most 16MiB"));
        }
    }
}
