//! The one table that says which metrics exist.
//!
//! A threshold on a metric that does not exist must be an error and never a pass, so names are not
//! free text: [`resolve`] checks a name against [`METRICS`] and the names of the loads, phases and
//! endpoints of the scenario before anything runs, and says what is nearest.

use crate::metrics::Unit::{self, Bytes, Count, Milliseconds, PerSecond, Ratio};

/// Where a kind of metric exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// For the run as a whole, and also as `load.<name>.…` and `phase.<name>.…`.
    Everywhere,
    /// For the run as a whole only.
    Run,
    /// Under `endpoint.<name>.…` only.
    Endpoint,
}

/// One row of the table of metrics.
#[derive(Clone, Copy, Debug)]
pub struct MetricInfo {
    /// The name; `NNN` stands for a status, `<counter>` for a word of the proxy's own.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// Where it exists.
    pub scope: Scope,
    /// What it is, in a sentence.
    pub doc: &'static str,
}

const fn everywhere(name: &'static str, unit: Unit, doc: &'static str) -> MetricInfo {
    MetricInfo { name, unit, scope: Scope::Everywhere, doc }
}

const fn run(name: &'static str, unit: Unit, doc: &'static str) -> MetricInfo {
    MetricInfo { name, unit, scope: Scope::Run, doc }
}

const fn endpoint(name: &'static str, unit: Unit, doc: &'static str) -> MetricInfo {
    MetricInfo { name, unit, scope: Scope::Endpoint, doc }
}

/// Every metric there is. `windtunnel list metrics` prints it; [`resolve`] checks against it.
pub const METRICS: &[MetricInfo] = &[
    everywhere("requests", Count, "Requests that were due in the measured time, sent or not."),
    everywhere("ok", Count, "Requests that were answered as they should be."),
    everywhere(
        "failed",
        Count,
        "Requests that ended in a wrong status, a broken connection or a wrong body.",
    ),
    everywhere("timed_out", Count, "Requests whose client lost patience."),
    everywhere(
        "refused",
        Count,
        "Requests that were turned away: connection refused, or status 429 or 503.",
    ),
    everywhere("dropped", Count, "Requests that could not be sent at all."),
    everywhere("answered", Count, "Requests that got a response, whatever its status."),
    everywhere("sent_late", Count, "Requests sent later than intended by more than the tolerance."),
    everywhere("rate", PerSecond, "Answered requests per second of measured time."),
    everywhere(
        "goodput",
        PerSecond,
        "Requests answered as they should be, per second of measured time.",
    ),
    everywhere("offered_rate", PerSecond, "Requests due per second of measured time."),
    everywhere("success_ratio", Ratio, "ok / requests."),
    everywhere("failed_ratio", Ratio, "failed / requests."),
    everywhere("timed_out_ratio", Ratio, "timed_out / requests."),
    everywhere("refused_ratio", Ratio, "refused / requests."),
    everywhere("dropped_ratio", Ratio, "dropped / requests."),
    everywhere(
        "latency.min",
        Milliseconds,
        "Shortest response time, counted from the intended send.",
    ),
    everywhere("latency.mean", Milliseconds, "Mean response time."),
    everywhere("latency.stddev", Milliseconds, "Standard deviation of the response time."),
    everywhere(
        "latency.p50",
        Milliseconds,
        "Median response time, counted from the intended send; of requests that were ok or timed out.",
    ),
    everywhere("latency.p75", Milliseconds, "Response time that 75 % do not exceed."),
    everywhere("latency.p90", Milliseconds, "Response time that 90 % do not exceed."),
    everywhere("latency.p95", Milliseconds, "Response time that 95 % do not exceed."),
    everywhere("latency.p99", Milliseconds, "Response time that 99 % do not exceed."),
    everywhere("latency.p999", Milliseconds, "Response time that 99.9 % do not exceed."),
    everywhere("latency.p9999", Milliseconds, "Response time that 99.99 % do not exceed."),
    everywhere("latency.max", Milliseconds, "Longest response time."),
    everywhere(
        "service_time.min",
        Milliseconds,
        "Shortest service time, counted from the actual send.",
    ),
    everywhere("service_time.mean", Milliseconds, "Mean service time."),
    everywhere("service_time.stddev", Milliseconds, "Standard deviation of the service time."),
    everywhere(
        "service_time.p50",
        Milliseconds,
        "Median service time, counted from the actual send.",
    ),
    everywhere("service_time.p75", Milliseconds, "Service time that 75 % do not exceed."),
    everywhere("service_time.p90", Milliseconds, "Service time that 90 % do not exceed."),
    everywhere("service_time.p95", Milliseconds, "Service time that 95 % do not exceed."),
    everywhere("service_time.p99", Milliseconds, "Service time that 99 % do not exceed."),
    everywhere("service_time.p999", Milliseconds, "Service time that 99.9 % do not exceed."),
    everywhere("service_time.p9999", Milliseconds, "Service time that 99.99 % do not exceed."),
    everywhere("service_time.max", Milliseconds, "Longest service time."),
    everywhere("retries", Count, "Extra tries that the proxy made."),
    everywhere("retry_ratio", Ratio, "retries / requests."),
    everywhere(
        "cache.hit_ratio",
        Ratio,
        "Requests answered from the proxy's cache, fresh or stale, of those that looked into it.",
    ),
    everywhere(
        "limited_ratio",
        Ratio,
        "Requests that a limit of their client's refused / requests; of one load among several: its answers 429.",
    ),
    everywhere(
        "shed_ratio",
        Ratio,
        "Requests refused for want of room at the upstream / requests.",
    ),
    everywhere(
        "bytes_saved_ratio",
        Ratio,
        "What compression saved of the bytes of response bodies; not known in the model.",
    ),
    everywhere(
        "imbalance",
        Ratio,
        "Requests of the busiest endpoint over the mean of all; 1 is even.",
    ),
    everywhere(
        "jain",
        Ratio,
        "Jain's fairness index of requests over endpoints; 1 is even, 1/n is all on one.",
    ),
    everywhere("bytes_in", Bytes, "Body bytes received by the clients."),
    everywhere("bytes_out", Bytes, "Body bytes sent by the clients."),
    everywhere("status.NNN", Count, "Responses with this status, e.g. status.200."),
    everywhere("failed.status_4xx", Count, "Failed: a status from 400 to 499, without 429."),
    everywhere("failed.status_5xx", Count, "Failed: a status from 500 to 599, without 503."),
    everywhere("failed.status_other", Count, "Failed: any other status that was not expected."),
    everywhere("failed.connect", Count, "Failed: no connection, other than refused."),
    everywhere(
        "failed.reset",
        Count,
        "Failed: the connection broke before the response was complete.",
    ),
    everywhere("failed.protocol", Count, "Failed: what came was not HTTP."),
    everywhere(
        "failed.body_mismatch",
        Count,
        "Failed: the body was not what the backend must have sent.",
    ),
    everywhere("failed.other", Count, "Failed: anything else."),
    run("in_flight.mean", Count, "Mean number of requests sent and not yet finished."),
    run("in_flight.max", Count, "The same: its highest mean over one interval of the time series."),
    run("ejections", Count, "How often an endpoint was ejected as an outlier."),
    run(
        "invariants_broken",
        Count,
        "Invariants that did not hold; of model and sim, where they are checked.",
    ),
    run("proxy.<counter>", Count, "A counter of the proxy's own, as its statistics name it."),
    endpoint("requests", Count, "Requests that this endpoint answered last."),
    endpoint("share", Ratio, "Its part of all requests that reached an endpoint."),
    endpoint("failed", Count, "Those of its requests that did not end ok."),
    endpoint("in_flight.mean", Count, "Mean number of requests in flight to it."),
    endpoint(
        "in_flight.max",
        Count,
        "Most in flight: as observed, or else the highest mean over one interval.",
    ),
];

/// The names that a scenario gives to its parts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names<'a> {
    /// Loads.
    pub loads: &'a [String],
    /// Phases.
    pub phases: &'a [String],
    /// Endpoints.
    pub endpoints: &'a [String],
}

/// Finds the metric of this name, or says what is wrong with the name and what is nearest to it.
pub fn resolve(name: &str, names: Names<'_>) -> Result<&'static MetricInfo, String> {
    for (word, known) in
        [("load", names.loads), ("phase", names.phases), ("endpoint", names.endpoints)]
    {
        let Some(rest) = name.strip_prefix(word).and_then(|rest| rest.strip_prefix('.')) else {
            continue;
        };
        // The longest name that fits, so that `a` does not hide `a.b`.
        let owner = known
            .iter()
            .filter(|n| rest.strip_prefix(n.as_str()).is_some_and(|tail| tail.starts_with('.')))
            .max_by_key(|n| n.len());
        let Some(owner) = owner else {
            let asked = rest.split('.').next().unwrap_or(rest);
            return Err(match nearest(asked, known.iter().map(String::as_str)) {
                Some(near) => {
                    format!("no {word} is called `{asked}` in `{name}`; did you mean `{near}`?")
                }
                None if known.is_empty() => format!("`{name}`: this scenario has no {word}s"),
                None => {
                    format!("no {word} is called `{asked}` in `{name}`: there is {}", list(known))
                }
            });
        };
        let metric = &rest[owner.len() + 1..];
        let fits = |info: &&MetricInfo| match word {
            "endpoint" => info.scope == Scope::Endpoint,
            _ => info.scope == Scope::Everywhere,
        };
        let candidates: Vec<&'static MetricInfo> = METRICS.iter().filter(fits).collect();
        return candidates.iter().copied().find(|info| matches(info.name, metric)).ok_or_else(
            || {
                let start = format!("{word}.{owner}.");
                unknown(name, &start, metric, &candidates)
            },
        );
    }
    let candidates: Vec<&'static MetricInfo> =
        METRICS.iter().filter(|info| info.scope != Scope::Endpoint).collect();
    candidates
        .iter()
        .copied()
        .find(|info| matches(info.name, name))
        .ok_or_else(|| unknown(name, "", name, &candidates))
}

fn unknown(name: &str, start: &str, metric: &str, candidates: &[&MetricInfo]) -> String {
    match nearest(metric, candidates.iter().map(|info| info.name)) {
        Some(near) => format!("no metric is called `{name}`; did you mean `{start}{near}`?"),
        None => format!("no metric is called `{name}`; `windtunnel list metrics` shows them all"),
    }
}

fn list(names: &[String]) -> String {
    names.iter().take(8).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

fn matches(pattern: &str, name: &str) -> bool {
    if let Some(start) = pattern.strip_suffix("NNN") {
        return name.strip_prefix(start).is_some_and(|code| {
            code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit()) && code >= "100"
        });
    }
    if let Some(start) = pattern.strip_suffix("<counter>") {
        return name.strip_prefix(start).is_some_and(|word| !word.is_empty());
    }
    pattern == name
}

/// The candidate with the fewest edits (Levenshtein), if it is near enough to be meant.
fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = 1 + word.chars().count() / 4;
    candidates
        .map(|candidate| (edits(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replace = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str) -> Result<&'static str, String> {
        let loads = ["browse".to_owned(), "a".to_owned(), "a.b".to_owned()];
        let phases = ["fault".to_owned()];
        let endpoints = ["web-3".to_owned()];
        let names = Names { loads: &loads, phases: &phases, endpoints: &endpoints };
        resolve(name, names).map(|info| info.name)
    }

    #[test]
    fn known_names_resolve() {
        assert_eq!(check("latency.p99"), Ok("latency.p99"));
        assert_eq!(check("status.503"), Ok("status.NNN"));
        assert_eq!(check("load.browse.dropped"), Ok("dropped"));
        assert_eq!(check("load.a.b.ok"), Ok("ok"));
        assert_eq!(check("phase.fault.latency.p99"), Ok("latency.p99"));
        assert_eq!(check("endpoint.web-3.in_flight.max"), Ok("in_flight.max"));
        assert_eq!(check("proxy.retry_budget_exhausted"), Ok("proxy.<counter>"));
    }

    #[test]
    fn unknown_names_are_errors_that_help() {
        let error = |name| check(name).expect_err("must not resolve");
        assert!(
            error("latency.p98").contains("did you mean `latency.p9"),
            "{}",
            error("latency.p98")
        );
        assert!(error("sucess_ratio").contains("did you mean `success_ratio`"));
        assert!(error("load.brows.ok").contains("did you mean `browse`"));
        assert!(
            error("phase.fault.latancy.p99").contains("did you mean `phase.fault.latency.p99`")
        );
        assert!(error("endpoint.web-3.latency.p99").contains("no metric"));
        assert!(
            error("status.20").contains("no metric") || error("status.20").contains("did you mean")
        );
        assert!(error("load.browse.in_flight.mean").contains("no metric"));
        assert!(
            resolve("load.x.ok", Names::default()).expect_err("no loads").contains("has no loads")
        );
    }
}
