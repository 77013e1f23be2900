//! Rate limits that several proxies share: the same decision, made where the data is.
//!
//! A Redis holds the theoretical arrival times, and one script ([`SCRIPT`]) asks all limits of a request and charges them if all agree, in one step
//! and one round trip. So many proxies together admit as many requests as one would.
//!
//! What time it is, Redis says (`TIME`), not the proxies. Proxies' clocks differ, and one that is ahead by a second would find room that nobody else has; the script
//! would have to trust each of them. The price is that a failover to a machine with another clock shifts all clients' times: by no more than
//! one refill, since a time that lies further ahead than any can is cut. Times count from 2026 in microseconds, since Lua's numbers are doubles:
//! the error is below 16 ns for the next ten years.
//!
//! A key lives as long as its time lies ahead. All keys have one hash tag, since a script in a Cluster may touch one slot alone; limits then live on one node.

use super::{Identity, Quota};

/// The script, in Lua.
pub const SCRIPT: &str = include_str!("shared.lua");

/// Where a client's theoretical arrival time is, for the limit of this name.
pub fn key(prefix: &str, limit: &str, who: Identity) -> String {
    // The number says which format it is.
    format!("{prefix}{{limit}}:1:{limit}:{who:032x}")
}

/// What the script is told of a limit: interval and tolerance.
pub fn arguments(quota: &Quota) -> [String; 2] {
    [quota.interval, quota.tolerance].map(|nanos| format!("{}.{:03}", nanos / 1000, nanos % 1000))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn keys_and_arguments_are_pinned_because_proxies_of_other_versions_share_them() {
        let made = key("windtunnel:", "api.hour", 0xab);
        assert_eq!(made, "windtunnel:{limit}:1:api.hour:000000000000000000000000000000ab");
        let quota = Quota::new(3, Duration::from_secs(1), 2);
        assert_eq!(arguments(&quota), ["333333.334", "333333.334"]);
    }
}
