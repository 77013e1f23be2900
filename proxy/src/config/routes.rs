//! Routes, and the upstreams that they lead to.
//!
//! The proxy's own endpoints, and all that is said at the top, are one upstream. `[upstreams.NAME]` is another: with endpoints
//! of its own, and its own balance, health checks, ejection, retries, queue, timeouts and limits where it has them; where it has
//! none, the proxy's hold. `[[routes]]` says which requests go where, the first that matches; what none matches goes
//! to the proxy's own endpoints.

use std::collections::BTreeMap;

use policy::{
    balance::BalanceConfig, cache::CacheConfig, compression::CompressionConfig,
    filter::FilterConfig, health::HealthConfig, limit::QueueConfig, outlier::OutlierConfig,
    rate::LimitingConfig, retry::RetryConfig, route::Match,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EndpointConfig, LimitConfig, Problem, ProxyConfig, TimeoutConfig, filters};

/// Upstreams by their names, in the order of these.
pub type Upstreams = BTreeMap<String, UpstreamConfig>;

/// A pool of endpoints with a name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamConfig {
    /// Its endpoints: addresses, or tables with an address and more.
    pub endpoints: Vec<EndpointConfig>,
    /// How long each phase may take; the proxy's own where silent, as with all that follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<TimeoutConfig>,
    /// How much of everything; only what concerns endpoints and bodies counts here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitConfig>,
    /// Which endpoint gets a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<BalanceConfig>,
    /// Active health checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthConfig>,
    /// Ejection of endpoints whose answers go wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outlier: Option<OutlierConfig>,
    /// When a request is sent a second time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryConfig>,
    /// Requests that wait for an endpoint with room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueConfig>,
}

/// Which requests go where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RouteConfig {
    /// Its name in logs and figures; `route-1`, `route-2` … by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which requests it is for.
    #[serde(rename = "match")]
    pub matches: Match,
    /// The upstream that they go to; the proxy's own endpoints where silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// What is done to its requests and answers, after what the proxy's own filters do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filter: Vec<FilterConfig>,
    /// Which of its answers are kept, and for how long; the proxy's own where silent. The memory for them is the proxy's `cache.size`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheConfig>,
    /// Limits of its own; the proxy's where silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitingConfig>,
    /// Compression of its answers; the proxy's own where silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<CompressionConfig>,
}

impl ProxyConfig {
    /// The configuration as the upstream of this name sees it: the proxy's own, with what the upstream has of its own in its place.
    pub fn of_upstream(&self, upstream: &UpstreamConfig) -> Self {
        let UpstreamConfig { endpoints, timeouts, limits, balance, health, outlier, retry, queue } =
            upstream;
        fn own<T: Clone>(own: Option<&T>, common: &T) -> T {
            own.unwrap_or(common).clone()
        }
        Self {
            endpoints: endpoints.clone(),
            timeouts: own(timeouts.as_ref(), &self.timeouts),
            limits: own(limits.as_ref(), &self.limits),
            balance: own(balance.as_ref(), &self.balance),
            health: own(health.as_ref(), &self.health),
            outlier: own(outlier.as_ref(), &self.outlier),
            retry: own(retry.as_ref(), &self.retry),
            queue: own(queue.as_ref(), &self.queue),
            routes: Vec::new(),
            upstreams: Upstreams::new(),
            ..self.clone()
        }
    }

    /// What the service of this number is called: 0 is the proxy's own, the others are the routes'.
    pub fn service_name(&self, number: usize) -> String {
        let route = number.checked_sub(1).and_then(|route| self.routes.get(route));
        match route {
            None => String::new(),
            Some(route) => route.name.clone().unwrap_or_else(|| format!("route-{number}")),
        }
    }

    pub(super) fn problems_of_routes(&self, problems: &mut Vec<Problem>) {
        for (name, upstream) in &self.upstreams {
            let path = format!("upstreams.{name}");
            if upstream.endpoints.is_empty() {
                problems.push(Problem::new(
                    &path,
                    "has no endpoints; write `endpoints = [\"127.0.0.1:9001\"]`",
                ));
            }
            for problem in self.of_upstream(upstream).problems_of_upstream() {
                let at = problem.path.split(['.', '[']).next().unwrap_or_default();
                let own = match at {
                    "endpoints" => true,
                    "timeouts" => upstream.timeouts.is_some(),
                    "limits" => upstream.limits.is_some(),
                    "balance" => upstream.balance.is_some(),
                    "health" => upstream.health.is_some(),
                    "outlier" => upstream.outlier.is_some(),
                    "retry" => upstream.retry.is_some(),
                    _ => upstream.queue.is_some(),
                };
                // What is the proxy's own is reported there.
                if own {
                    problems
                        .push(Problem::new(format!("{path}.{}", problem.path), problem.message));
                }
            }
        }
        for (index, route) in self.routes.iter().enumerate() {
            let path = format!("routes[{index}]");
            filters::problems(&route.filter, &format!("{path}.filter"), problems);
            if let Some((field, message)) = route.matches.problem() {
                problems.push(Problem::new(format!("{path}.match.{field}"), message));
            }
            if let Some((field, message)) = route.cache.as_ref().and_then(CacheConfig::problem) {
                problems.push(Problem::new(format!("{path}.cache.{field}"), message));
            }
            if route.cache.as_ref().is_some_and(|cache| cache.redis.is_some()) {
                let message = "stands in `cache.redis`, for the proxy and all of its routes";
                problems.push(Problem::new(format!("{path}.cache.redis"), message));
            }
            let limit = route.limit.iter().flat_map(LimitingConfig::problems);
            for (field, message) in limit {
                problems.push(Problem::new(format!("{path}.limit.{field}"), message));
            }
            if route.limit.as_ref().is_some_and(|limit| limit.redis.is_some()) {
                let message = "stands in `limit.redis`, for the proxy and all of its routes";
                problems.push(Problem::new(format!("{path}.limit.redis"), message));
            }
            let compression = route.compression.as_ref().and_then(CompressionConfig::problem);
            if let Some((field, message)) = compression {
                problems.push(Problem::new(format!("{path}.compression.{field}"), message));
            }
            let known = |name: &String| self.upstreams.contains_key(name);
            if let Some(name) = route.upstream.as_ref().filter(|name| !known(name)) {
                let names: Vec<_> = self.upstreams.keys().map(|name| format!("`{name}`")).collect();
                let message = if names.is_empty() {
                    format!("there is no upstream `{name}`; add `[upstreams.{name}]`")
                } else {
                    format!("there is no upstream `{name}`; there is {}", names.join(", "))
                };
                problems.push(Problem::new(format!("{path}.upstream"), message));
            }
            let covers = |other: &usize| self.routes[*other].matches.covers(&route.matches);
            if let Some(earlier) = (0..index).find(covers) {
                problems.push(Problem::new(
                    &path,
                    format!(
                        "is never reached: `{}` comes before it and takes all its requests; put this one first",
                        self.service_name(earlier + 1)
                    ),
                ));
            }
            let twin = (0..index)
                .find(|other| self.service_name(other + 1) == self.service_name(index + 1));
            if let Some(twin) = twin {
                problems.push(Problem::new(
                    format!("{path}.name"),
                    format!("`{}` is already route {}", self.service_name(index + 1), twin + 1),
                ));
            }
        }
    }
}
