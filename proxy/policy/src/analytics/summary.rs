//! What all workers know together, as it is shown.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serde::Serialize;

use super::{Analytics, Sketch, Sums, sketch::Estimate};
use crate::Instant;

/// How long the top lists are that are shown.
const SHOWN: usize = 50;

/// What all workers know together.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Requests that ended since it began; of these are the top lists.
    pub requests: u64,
    /// No count of a top list is too high by more.
    pub error_at_most: u64,
    /// What was asked for, without queries.
    pub paths: Vec<TopLine>,
    /// Who asked.
    pub clients: Vec<TopLine>,
    /// By what.
    pub user_agents: Vec<TopLine>,
    /// From where.
    pub referers: Vec<TopLine>,
    /// The last day, by route.
    pub routes: Vec<RouteLine>,
    /// The last day by its minutes, the latest first; of one route, if one was asked for.
    pub minutes: Vec<MinuteLine>,
}

/// A name and how often it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopLine {
    /// The name.
    pub name: String,
    /// It came at most so often.
    pub count: u64,
    /// The count is too high by no more.
    pub error: u64,
}

/// The last day of a route.
#[derive(Clone, Debug, Serialize)]
pub struct RouteLine {
    /// Its name; empty for what no route is for.
    pub route: String,
    /// What happened.
    #[serde(flatten)]
    pub figures: Figures,
}

/// A minute.
#[derive(Clone, Debug, Serialize)]
pub struct MinuteLine {
    /// How many minutes ago it was; 0 is the present one.
    pub ago: u64,
    /// What happened.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Sums as they are shown.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Requests that ended.
    pub requests: u64,
    /// By the class of their status.
    pub by_status: BTreeMap<&'static str, u64>,
    /// Bytes of bodies that clients sent.
    pub bytes_received: u64,
    /// Bytes of bodies that clients were sent.
    pub bytes_sent: u64,
    /// Half of them took no longer, by buckets; nothing where that is more than ten seconds.
    pub p50_ms_at_most: Option<u64>,
    /// The same for all but one in a hundred.
    pub p99_ms_at_most: Option<u64>,
    /// The share of those that looked into the cache that were answered from it.
    pub cache_ratio: Option<f64>,
}

impl From<&Sums> for Figures {
    fn from(sums: &Sums) -> Self {
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter();
        Self {
            requests: sums.requests,
            by_status: classes.zip(sums.statuses).filter(|(_, count)| *count > 0).collect(),
            bytes_received: sums.received,
            bytes_sent: sums.sent,
            p50_ms_at_most: sums.quantile_ms(0.5),
            p99_ms_at_most: sums.quantile_ms(0.99),
            cache_ratio: sums.cache_ratio(),
        }
    }
}

impl Summary {
    /// Of all workers, now; the minutes are those of `route`, or of all.
    pub fn of(workers: &[Analytics], now: Instant, route: Option<&str>) -> Self {
        let top = |of: fn(&Analytics) -> &Sketch, name: fn(&[u8]) -> String| {
            let sketches: Vec<&Sketch> = workers.iter().map(of).collect();
            let line = |Estimate { key, count, error }| TopLine { name: name(&key), count, error };
            Sketch::merged(&sketches, SHOWN).into_iter().map(line).collect()
        };
        let mut routes = BTreeMap::<&str, Sums>::new();
        let mut minutes = BTreeMap::<u64, Sums>::new();
        for (name, days) in workers.iter().flat_map(|worker| &worker.routes) {
            for (number, sums) in days.last_day(now) {
                routes.entry(name).or_default().add(sums);
                if route.is_none_or(|wanted| *wanted == **name) {
                    minutes.entry(number).or_default().add(sums);
                }
            }
        }
        let present = super::minutes::minute(now);
        Self {
            requests: workers.iter().map(|worker| worker.paths.total()).sum(),
            error_at_most: workers.iter().map(|worker| worker.paths.bound()).sum(),
            paths: top(|worker| &worker.paths, text),
            clients: top(|worker| &worker.clients, address),
            user_agents: top(|worker| &worker.user_agents, text),
            referers: top(|worker| &worker.referers, text),
            routes: routes
                .iter()
                .map(|(name, sums)| RouteLine { route: (*name).to_owned(), figures: sums.into() })
                .collect(),
            minutes: minutes
                .iter()
                .rev()
                .map(|(number, sums)| MinuteLine { ago: present - number, figures: sums.into() })
                .collect(),
        }
    }
}

fn text(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

fn address(key: &[u8]) -> String {
    let v4 = <[u8; 4]>::try_from(key).map(|octets| IpAddr::from(Ipv4Addr::from(octets)));
    let v6 = <[u8; 16]>::try_from(key).map(|octets| IpAddr::from(Ipv6Addr::from(octets)));
    v4.or(v6).map_or_else(|_| text(key), |address| address.to_string())
}
