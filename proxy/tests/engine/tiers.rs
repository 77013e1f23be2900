//! Tiers and subsets: endpoints that stand in for others, and endpoints that are other proxies'.

use std::{collections::BTreeSet, sync::Arc};

use policy::{balance::SubsetConfig, health::HealthKind};
use proxy::config::ProxyConfig;

use crate::{
    health::{checkable, checked, is_up},
    support::{Count, Origin, Refusing, Rig, Wire, answer, config, eventually},
};

/// The configuration with endpoints of these tiers.
fn tiered(endpoints: &[(&Origin, u8)]) -> ProxyConfig {
    let addresses: Vec<_> = endpoints.iter().map(|(origin, _)| origin.address()).collect();
    let mut setup = config(&addresses);
    for (endpoint, (_, tier)) in setup.endpoints.iter_mut().zip(endpoints) {
        endpoint.priority = *tier;
    }
    setup
}

/// Who answers so many requests.
fn who_answers(rig: &Rig, requests: usize) -> BTreeSet<String> {
    (0..requests).map(|_| rig.get("/").text().to_owned()).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn the_second_tier_stands_in_while_the_first_is_down() {
    let health: [_; 2] = std::array::from_fn(|_| Arc::new(Count::default()));
    let [one, two] = [checkable(&health[0], "one"), checkable(&health[1], "two")];
    let spare = Origin::saying("spare");
    let mut setup = checked(tiered(&[(&one, 0), (&two, 0), (&spare, 1)]), HealthKind::Http);
    setup.health.path = "/up".to_owned();
    // Without retries a client would see each request that goes to an endpoint that is down.
    setup.retry.attempts = 0;
    let rig = Rig::start(setup);
    assert_eq!(who_answers(&rig, 20), set(&["one", "two"]), "nothing goes to the second tier");
    // Both fail their checks.
    for health in &health {
        health.set(1);
    }
    eventually("both are down", || !is_up(&rig, 0) && !is_up(&rig, 1));
    assert_eq!(who_answers(&rig, 20), set(&["spare"]));
    for health in &health {
        health.set(0);
    }
    eventually("both are up again", || is_up(&rig, 0) && is_up(&rig, 1));
    assert_eq!(who_answers(&rig, 20), set(&["one", "two"]), "all of it comes back");
}

#[test]
fn with_half_of_the_first_tier_a_part_spills_over() {
    let health = Arc::new(Count::default());
    let (one, two) = (checkable(&health, "one"), Origin::saying("two"));
    let spare = Origin::saying("spare");
    let mut setup = checked(tiered(&[(&one, 0), (&two, 0), (&spare, 1)]), HealthKind::Http);
    setup.health.path = "/up".to_owned();
    let rig = Rig::start(setup);
    health.set(1);
    eventually("one is down", || !is_up(&rig, 0));
    // 70 % and 30 %: of 200 requests none to either of them has a probability of 10⁻³¹.
    assert_eq!(who_answers(&rig, 200), set(&["two", "spare"]));
}

#[test]
fn a_request_that_the_first_tier_refuses_goes_on_to_the_second_before_any_check_knows() {
    let (first, second) = (Refusing::new(), Origin::saying("spare"));
    let mut setup = config(&[first.address(), second.address()]);
    setup.endpoints[1].priority = 1;
    let rig = Rig::start(setup);
    assert_eq!(rig.get("/").text(), "spare");
    assert_eq!(rig.sum(|stats| &stats.retries), 1);
    // Once it listens it is the first tier's again.
    let listening = first.listen();
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let (stream, _) = listening.accept().expect("it is asked");
    let mut upstream = Wire::new(stream.into());
    upstream.request();
    upstream.send(answer("first"));
    assert_eq!(client.response().text(), "first");
}

/// Six endpoints, and those of them that are the subset of proxy `index`: by what requests find.
fn subset(index: u32) -> BTreeSet<String> {
    let origins: Vec<Origin> = names().map(|name| Origin::saying(&name)).collect();
    let mut setup = config(&origins.iter().map(Origin::address).collect::<Vec<_>>());
    for (endpoint, name) in setup.endpoints.iter_mut().zip(names()) {
        endpoint.name = Some(name);
    }
    setup.balance.subset = Some(SubsetConfig { size: 3, index });
    who_answers(&Rig::start(setup), 30)
}

fn names() -> impl Iterator<Item = String> {
    (0..6).map(|index| format!("web-{index}"))
}

#[test]
fn a_subset_is_all_that_is_used_and_the_next_proxys_is_another() {
    let (first, second) = (subset(0), subset(1));
    assert_eq!((first.len(), second.len()), (3, 3), "{first:?} and {second:?}");
    // The second proxy begins half of the ring further on.
    assert!(first.is_disjoint(&second), "{first:?} and {second:?}");
    assert_eq!(first, subset(0), "it is the same each time");
}

#[test]
fn no_retry_leaves_the_subset() {
    let own = subset(0);
    let refusing: Vec<Refusing> = own.iter().map(|_| Refusing::new()).collect();
    let origins: Vec<Origin> = own.iter().map(|_| Origin::new()).collect();
    let addresses = refusing.iter().map(Refusing::address);
    let addresses: Vec<_> = addresses.chain(origins.iter().map(Origin::address)).collect();
    let mut setup = config(&addresses);
    // Where they stand is by their names alone.
    let others = names().filter(|name| !own.contains(name));
    for (endpoint, name) in setup.endpoints.iter_mut().zip(own.iter().cloned().chain(others)) {
        endpoint.name = Some(name);
    }
    setup.balance.subset = Some(SubsetConfig { size: 3, index: 0 });
    setup.retry.attempts = 10;
    // Who is ejected is made up for from outside.
    setup.outlier.enabled = false;
    let rig = Rig::start(setup);
    for _ in 0..5 {
        assert_eq!(rig.get("/").status(), 502);
    }
    assert_eq!(rig.sum(|stats| &stats.retries), 10, "all three are tried each time");
    origins.iter().for_each(Origin::is_untouched);
}

#[test]
fn a_subset_makes_up_for_one_that_is_down() {
    let own = subset(0);
    let health = Arc::new(Count::default());
    let origins: Vec<Origin> = names()
        .map(|name| {
            // One of the own fails when it is told to, and all others never.
            let fails = own.first() == Some(&name);
            let health = if fails { Arc::clone(&health) } else { Arc::default() };
            checkable(&health, name.leak())
        })
        .collect();
    let addresses: Vec<_> = origins.iter().map(Origin::address).collect();
    let mut setup = checked(config(&addresses), HealthKind::Http);
    setup.health.path = "/up".to_owned();
    for (endpoint, name) in setup.endpoints.iter_mut().zip(names()) {
        endpoint.name = Some(name);
    }
    setup.balance.subset = Some(SubsetConfig { size: 3, index: 0 });
    let rig = Rig::start(setup);
    let failing = names().position(|name| own.first() == Some(&name)).expect("it is one of them");
    assert_eq!(who_answers(&rig, 30), own);
    health.set(1);
    eventually("it is down", || !is_up(&rig, failing));
    let stands_in = who_answers(&rig, 30);
    assert_eq!((stands_in.len(), stands_in.intersection(&own).count()), (3, 2), "{stands_in:?}");
    health.set(0);
    eventually("it is up again", || is_up(&rig, failing));
    assert_eq!(who_answers(&rig, 30), own);
}
