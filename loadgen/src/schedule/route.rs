//! Which of several proxies a request goes to.
//!
//! Before several equal proxies stands a balancer of connections, or a name with several addresses: neither knows of requests, both
//! send a *connection* wherever a hash of its ends says (ECMP, RFC 2992; Maglev, NSDI 2016), and there it stays. So what is drawn is
//! the proxy of each connection's owner: of the user in a closed loop, of the client where the load or its trace names clients, and
//! of the request where nobody is named (each is from somebody else) or where each has a connection of its own. As with a hash, the
//! parts are equal in the mean and not exactly: of 200 clients on 10 proxies one has 20 ± 4.
//!
//! The draw has a stream of its own and depends on nothing that happens, so that a request goes to the same proxy in every world
//! and whatever the strategy, and with one proxy nothing is drawn.

use policy::Seed;

use super::{
    NamedLoad, Planned,
    draws::{COUNT_BITS, NUMBER_BITS},
};
use crate::config::{Arrivals, Connections};

/// Where the requests of a load go.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    seed: Seed,
    proxies: u32,
    owner: Owner,
}

/// Whose a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    User,
    Client,
    Request,
}

impl Route {
    /// For a load of a run with this seed, to so many proxies.
    pub fn new(named: &NamedLoad, seed: Seed, proxies: u32) -> Self {
        let NamedLoad { name, load, .. } = named;
        let has_clients = match &load.arrivals {
            Some(Arrivals::Trace(trace)) => trace.requests.names_clients(),
            _ => load.clients.is_some(),
        };
        let owner = match load.connections {
            Connections::KeepAlive if load.users.is_some() => Owner::User,
            Connections::KeepAlive if has_clients => Owner::Client,
            Connections::KeepAlive | Connections::PerRequest => Owner::Request,
        };
        Self { seed: seed.child("load").child(name).child("proxy"), proxies, owner }
    }

    /// The proxy that a request of the load goes to, from 0.
    #[inline]
    pub fn proxy(&self, planned: &Planned) -> u32 {
        if self.proxies <= 1 { 0 } else { self.draw(planned) }
    }

    fn draw(&self, planned: &Planned) -> u32 {
        let number = planned.id % (1 << NUMBER_BITS);
        let owner = match self.owner {
            Owner::User => number >> COUNT_BITS,
            Owner::Client => u64::from(planned.client),
            Owner::Request => number,
        };
        self.seed.nth(owner).rng().below(u64::from(self.proxies)) as u32
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use policy::Instant;

    use super::*;
    use crate::{
        Load,
        schedule::{OpenSchedule, RequestDraws, User},
    };

    const PROXIES: u32 = 10;

    fn named(text: &str) -> NamedLoad {
        let load: Load = toml::from_str(text).expect("a load");
        assert_eq!(load.problem(), None);
        NamedLoad { name: "browse".to_owned(), load, work: None }
    }

    fn open(load: &NamedLoad) -> Vec<Planned> {
        let end = Instant::from_nanos(60_000_000_000);
        OpenSchedule::new(3, load, Seed(7), end).expect("an open loop").collect()
    }

    fn routed(load: &NamedLoad) -> Vec<(Planned, u32)> {
        let route = Route::new(load, Seed(7), PROXIES);
        open(load).into_iter().map(|planned| (planned, route.proxy(&planned))).collect()
    }

    #[test]
    fn nobody_in_particular_goes_anywhere() {
        let mut parts = [0_u32; PROXIES as usize];
        let all = routed(&named("arrivals = { poisson = { rate = 400.0 } }"));
        for (_, proxy) in &all {
            parts[*proxy as usize] += 1;
        }
        // Binomial: five standard deviations.
        let (n, p) = (all.len() as f64, 1.0 / f64::from(PROXIES));
        let off = |part: &u32| (f64::from(*part) - n * p).abs() / (n * p * (1.0 - p)).sqrt();
        assert!(parts.iter().all(|part| off(part) < 5.0), "{parts:?}");
        // Neighbours go their own ways.
        let same = all.windows(2).filter(|pair| pair[0].1 == pair[1].1).count() as f64;
        assert!((same / n - p).abs() < 0.02, "{same} of {n}");
    }

    #[test]
    fn a_client_stays_where_it_is_unless_it_connects_anew() {
        let text = "arrivals = { poisson = { rate = 100.0 } }\nclients = 50";
        let mut known = BTreeMap::new();
        for (planned, proxy) in routed(&named(text)) {
            assert_eq!(*known.entry(planned.client).or_insert(proxy), proxy);
        }
        assert_eq!(known.len(), 50);
        let anew = named(&format!("{text}\nconnections = \"per_request\""));
        let to: std::collections::BTreeSet<u32> =
            routed(&anew).iter().filter(|(p, _)| p.client == 7).map(|(_, to)| *to).collect();
        assert!(to.len() > 5, "{to:?}");
    }

    #[test]
    fn a_user_stays_where_it_is_and_users_of_one_client_do_not() {
        let load = named("users = 100\nclients = 1");
        let draws = Arc::new(RequestDraws::new(0, &load, Seed(7)));
        let route = Route::new(&load, Seed(7), PROXIES);
        let mut all = std::collections::BTreeSet::new();
        for number in 0..100 {
            let mut user = User::new(Arc::clone(&draws), number);
            let first = route.proxy(&user.request());
            assert!((0..20).all(|_| route.proxy(&user.request()) == first));
            all.insert(first);
        }
        assert_eq!(all.len(), PROXIES as usize);
    }

    #[test]
    fn it_is_the_same_wherever_the_load_stands_and_for_ever() {
        let load = named("arrivals = { constant = { rate = 10 } }");
        let route = Route::new(&load, Seed(7), PROXIES);
        let first: Vec<u32> =
            open(&load).iter().take(8).map(|planned| route.proxy(planned)).collect();
        let elsewhere = OpenSchedule::new(0, &load, Seed(7), Instant::from_nanos(1_000_000_000));
        let elsewhere = elsewhere.expect("an open loop").take(8);
        assert_eq!(elsewhere.map(|planned| route.proxy(&planned)).collect::<Vec<_>>(), first);
        assert_eq!(first, [4, 1, 7, 6, 1, 9, 0, 1], "a seed must mean the same on every machine");
        assert!(
            open(&load).iter().all(|planned| Route::new(&load, Seed(7), 1).proxy(planned) == 0)
        );
    }
}
