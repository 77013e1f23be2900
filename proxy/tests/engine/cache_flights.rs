//! Many ask for the same while it is being fetched: who goes, who waits, and who is let go.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use policy::quantity::TimeSpan;

use crate::{
    cache::{caching, get, origin, request, told, with},
    cache_purge::purge,
    support::{Origin, Rig, Wire, eventually, with_admin},
};

/// A gate that an origin waits at.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<usize>, Condvar)>);

impl Gate {
    fn open(&self, many: usize) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) += many;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let open = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut open =
            self.0.1.wait_while(open, |open| *open == 0).unwrap_or_else(PoisonError::into_inner);
        *open -= 1;
    }
}

/// So many clients that have asked for the same; none has an answer yet.
pub(crate) fn asking(rig: &Rig, count: usize, path: &str) -> Vec<Wire> {
    let ask = || {
        let mut client = rig.client();
        client.send(request("GET", path, ""));
        client
    };
    (0..count).map(|_| ask()).collect()
}

/// So many wait for another.
pub(crate) fn are_waiting(rig: &Rig, count: u64) {
    eventually("they wait", || rig.sum(|stats| &stats.cache.collapsed) == count);
}

#[test]
fn a_stampede_of_a_thousand_reaches_the_origin_once() {
    let gate = Gate::default();
    let holds = gate.clone();
    let (origin, asked) = origin(move |_, _| {
        holds.pass();
        with("Cache-Control: max-age=60", "hello")
    });
    let mut config = caching(&origin);
    config.workers = Some(2);
    config.cache.collapse.timeout = TimeSpan::secs(60);
    let rig = Rig::start(config);
    let clients = asking(&rig, 1000, "/a");
    are_waiting(&rig, 999);
    assert_eq!(asked.count(), 1);
    gate.open(1);
    for mut client in clients {
        let response = client.response();
        assert_eq!((response.status(), response.text()), (200, "hello"));
    }
    assert_eq!(asked.count(), 1);
    assert_eq!(rig.sum(|stats| &stats.cache.misses), 1);
    eventually("all are counted", || rig.sum(|stats| &stats.cache.hits) == 999);
    rig.is_quiet_again();
}

#[test]
fn what_is_for_nobody_else_releases_all_at_its_head() {
    let gate = Gate::default();
    let holds = gate.clone();
    let origin = Origin::serving(move |mut wire| {
        while wire.is_asked() {
            wire.request();
            holds.pass();
            // The head, and the rest never: nobody waits for it.
            wire.send("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 5\r\n\r\nhe");
        }
    });
    let rig = Rig::start(caching(&origin));
    let mut clients = asking(&rig, 10, "/a");
    are_waiting(&rig, 9);
    gate.open(1);
    // All others go by themselves now, and at once.
    eventually("all ask", || rig.in_flight(0) == 10);
    gate.open(9);
    for client in &mut clients {
        assert_eq!(told_of_head(&client.head()), 200);
    }
    // And nobody waits for such an answer for a while.
    let late = asking(&rig, 3, "/a");
    eventually("they ask", || rig.in_flight(0) == 13);
    assert_eq!(rig.sum(|stats| &stats.cache.collapsed), 9);
    drop((late, clients));
    gate.open(100);
    rig.is_quiet_again();
}

pub(crate) fn told_of_head(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

#[test]
fn a_lead_whose_client_leaves_hands_over() {
    let gate = Gate::default();
    let holds = gate.clone();
    let (origin, asked) = origin(move |number, _| {
        holds.pass();
        with("Cache-Control: max-age=60", &format!("answer {number}"))
    });
    let rig = Rig::start(caching(&origin));
    let first = asking(&rig, 1, "/a");
    eventually("it asks", || asked.count() == 1);
    let clients = asking(&rig, 5, "/a");
    are_waiting(&rig, 5);
    drop(first);
    eventually("another asks", || asked.count() == 2);
    gate.open(2);
    for mut client in clients {
        assert_eq!(client.response().text(), "answer 2");
    }
    assert_eq!(asked.count(), 2);
    rig.is_quiet_again();
}

#[test]
fn a_follower_whose_client_leaves_waits_no_more() {
    let gate = Gate::default();
    let holds = gate.clone();
    let (origin, asked) = origin(move |_, _| {
        holds.pass();
        with("Cache-Control: max-age=60", "hello")
    });
    let rig = Rig::start(caching(&origin));
    let mut first = asking(&rig, 1, "/a");
    eventually("it asks", || asked.count() == 1);
    let others = asking(&rig, 5, "/a");
    are_waiting(&rig, 5);
    drop(others);
    eventually("they have gone", || rig.sum(|stats| &stats.connections_active) == 1);
    gate.open(1);
    assert_eq!(first[0].response().text(), "hello");
    rig.is_quiet_again();
}

#[test]
fn a_follower_waits_no_longer_than_it_may() {
    let gate = Gate::default();
    let holds = gate.clone();
    let (origin, asked) = origin(move |number, _| {
        if number == 1 {
            holds.pass();
        }
        with("Cache-Control: max-age=60", &format!("answer {number}"))
    });
    let mut config = caching(&origin);
    config.cache.collapse.timeout = TimeSpan::millis(100);
    let rig = Rig::start(config);
    let mut first = asking(&rig, 1, "/a");
    eventually("it asks", || asked.count() == 1);
    assert_eq!(get(&rig, "/a", "").text(), "answer 2", "it went by itself");
    gate.open(1);
    assert_eq!(first[0].response().text(), "answer 1");
}

#[test]
fn what_fails_before_its_head_lets_another_try() {
    let gate = Gate::default();
    let holds = gate.clone();
    let (origin, asked) = origin(move |number, _| {
        holds.pass();
        match number {
            1 => Vec::new(),
            _ => with("Cache-Control: max-age=60", "hello"),
        }
    });
    let rig = Rig::start(caching(&origin));
    let mut first = asking(&rig, 1, "/a");
    eventually("it asks", || asked.count() == 1);
    let others = asking(&rig, 4, "/a");
    are_waiting(&rig, 4);
    gate.open(2);
    assert_eq!(first.remove(0).response().status(), 502);
    for mut client in others {
        assert_eq!(client.response().text(), "hello");
    }
    assert_eq!(asked.count(), 2);
    rig.is_quiet_again();
}

#[test]
fn what_is_too_large_after_all_releases_those_who_wait() {
    let gate = Gate::default();
    let holds = gate.clone();
    let origin = Origin::serving(move |mut wire| {
        while wire.is_asked() {
            wire.request();
            holds.pass();
            let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n";
            wire.send(format!("{head}800\r\n{}\r\n", "x".repeat(0x800)));
            holds.pass();
            wire.send("0\r\n\r\n");
        }
    });
    let mut config = caching(&origin);
    config.cache.object = policy::quantity::ByteSize(1000);
    let rig = Rig::start(config);
    let mut clients = asking(&rig, 5, "/a");
    are_waiting(&rig, 4);
    gate.open(1);
    eventually("all ask", || rig.in_flight(0) == 5);
    gate.open(9);
    for client in &mut clients {
        assert_eq!(client.response().body.len(), 0x800);
    }
    assert_eq!(rig.sum(|stats| &stats.cache.stored), 0);
}

#[test]
fn one_validates_for_all() {
    let gate = Gate::default();
    let holds = gate.clone();
    let (origin, asked) = origin(move |number, request| {
        if number == 1 {
            return with("Cache-Control: max-age=60\nETag: \"1\"\nCache-Tag: t", "hello");
        }
        holds.pass();
        assert!(request.field("If-None-Match").is_some());
        crate::cache::status(304, "Cache-Control: max-age=60\nETag: \"1\"", "")
    });
    let rig = Rig::start(with_admin(caching(&origin)));
    get(&rig, "/a", "");
    eventually("it is stored", || rig.sum(|stats| &stats.cache.stored) == 1);
    assert_eq!(purge(&rig, "tag=t&soft"), 1);
    let clients = asking(&rig, 20, "/a");
    are_waiting(&rig, 19);
    gate.open(1);
    let mut waited = 0;
    for mut client in clients {
        let response = client.response();
        assert_eq!(response.text(), "hello");
        waited += usize::from(told(&response).contains("hit"));
    }
    assert_eq!((asked.count(), waited), (2, 19));
}
