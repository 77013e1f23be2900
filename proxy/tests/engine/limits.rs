//! How much of everything: places at an endpoint and the queue before them, connections, and the pool.

use std::{net::SocketAddr, thread};

use policy::quantity::TimeSpan;
use proxy::config::ProxyConfig;

use crate::support::{
    Origin, Rig, Stopwatch, Wire, answer, config, eventually, in_order, millis, with_admin,
};

/// One place at each endpoint, and a queue that is patient.
fn one_at_a_time(endpoints: &[SocketAddr]) -> ProxyConfig {
    let mut setup = with_admin(config(endpoints));
    setup.limits.endpoint_in_flight = Some(1);
    setup.queue.timeout = TimeSpan::secs(60);
    setup
}

fn ask(client: &mut Wire, path: &str) {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
}

/// The path that is asked for next on this connection.
fn path(upstream: &mut Wire) -> String {
    upstream.request().start().split(' ').nth(1).expect("a target").to_owned()
}

#[test]
fn who_came_first_is_served_first() {
    let origin = Origin::new();
    let rig = Rig::start(one_at_a_time(&[origin.address()]));
    let mut clients: Vec<Wire> = (0..6).map(|_| rig.client()).collect();
    ask(&mut clients[0], "/0");
    let mut upstream = origin.accept();
    assert_eq!(path(&mut upstream), "/0");
    for (index, client) in clients.iter_mut().enumerate().skip(1) {
        ask(client, &format!("/{index}"));
        eventually("it waits", || rig.waiting() == index as u64);
    }
    // The first one asks again, behind all others, while its answer is still on its way: it must not overtake them.
    ask(&mut clients[0], "/again");
    for (index, client) in clients.iter_mut().enumerate() {
        upstream.send(answer(&index.to_string()));
        assert_eq!(client.response().text(), index.to_string());
        let next = if index < 5 { format!("/{}", index + 1) } else { "/again".to_owned() };
        assert_eq!(path(&mut upstream), next);
        assert_eq!(rig.in_flight(0), 1);
    }
    upstream.send(answer("again"));
    assert_eq!(clients[0].response().text(), "again");
    assert_eq!(rig.sum(|stats| &stats.upstream_connects), 1);
    assert_eq!(rig.waiting(), 0);
}

#[test]
fn a_full_queue_is_503() {
    let origin = Origin::new();
    let mut setup = one_at_a_time(&[origin.address()]);
    setup.queue.max_waiting = 2;
    let rig = Rig::start(setup);
    let mut clients: Vec<Wire> = (0..4).map(|_| rig.client()).collect();
    ask(&mut clients[0], "/0");
    let mut upstream = origin.accept();
    upstream.request();
    for (index, client) in clients.iter_mut().enumerate().skip(1).take(2) {
        ask(client, &format!("/{index}"));
        eventually("it waits", || rig.waiting() == index as u64);
    }
    ask(&mut clients[3], "/3");
    let response = clients[3].response();
    assert_eq!(response.status(), 503);
    let reason = response.field("Proxy-Status");
    assert_eq!(reason.as_deref(), Some("windtunnel; error=connection_limit_reached"));
    // The connection goes on, and so do the others.
    assert_eq!(response.field("Connection"), None);
    for (index, client) in clients[..3].iter_mut().enumerate() {
        if index > 0 {
            assert_eq!(path(&mut upstream), format!("/{index}"));
        }
        upstream.send(answer("served"));
        assert_eq!(client.response().text(), "served");
    }
    rig.has_faults("queue_full", 1);
}

#[test]
fn without_a_queue_it_is_503_at_once() {
    let origin = Origin::new();
    let mut setup = one_at_a_time(&[origin.address()]);
    setup.queue.max_waiting = 0;
    let rig = Rig::start(setup);
    let mut first = rig.client();
    ask(&mut first, "/1");
    let mut upstream = origin.accept();
    upstream.request();
    assert_eq!(rig.get("/2").status(), 503);
    upstream.send(answer("first"));
    assert_eq!(first.response().text(), "first");
    assert_eq!(rig.sum(|stats| &stats.queued), 0);
}

#[test]
fn who_waits_for_too_long_is_503() {
    let origin = Origin::new();
    let mut setup = one_at_a_time(&[origin.address()]);
    setup.queue.timeout = millis(100);
    let rig = Rig::start(setup);
    let mut first = rig.client();
    ask(&mut first, "/1");
    let mut upstream = origin.accept();
    upstream.request();
    let watch = Stopwatch::start();
    assert_eq!(rig.get("/2").status(), 503);
    watch.shows_at_least(millis(100));
    rig.has_faults("queue_timeout", 1);
    assert_eq!(rig.waiting(), 0);
    upstream.send(answer("first"));
    assert_eq!(first.response().text(), "first");
}

#[test]
fn who_leaves_the_queue_is_not_served() {
    let origin = Origin::new();
    let rig = Rig::start(one_at_a_time(&[origin.address()]));
    let mut clients: Vec<Wire> = (0..3).map(|_| rig.client()).collect();
    ask(&mut clients[0], "/0");
    let mut upstream = origin.accept();
    upstream.request();
    for (index, client) in clients.iter_mut().enumerate().skip(1) {
        ask(client, &format!("/{index}"));
        eventually("it waits", || rig.waiting() == index as u64);
    }
    drop(clients.remove(1));
    eventually("it has left", || rig.waiting() == 1);
    upstream.send(answer("zero"));
    assert_eq!(path(&mut upstream), "/2");
    upstream.send(answer("two"));
    assert_eq!(clients[1].response().text(), "two");
    rig.has_faults("client_gone", 1);
}

#[test]
fn two_workers_share_the_places_and_the_queue() {
    let origin = Origin::serving(|mut wire| {
        while wire.is_asked() {
            wire.request();
            wire.send(answer("ok"));
        }
    });
    let mut setup = one_at_a_time(&[origin.address()]);
    setup.workers = Some(2);
    let rig = Rig::start(setup);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = rig.client();
                for _ in 0..50 {
                    ask(&mut client, "/");
                    assert_eq!(client.response().text(), "ok");
                }
            });
        }
    });
    rig.is_quiet_again();
    assert_eq!(rig.sum(|stats| &stats.requests), 800);
    assert_eq!(rig.waiting(), 0);
}

#[test]
fn an_endpoints_own_limit_counts_for_it() {
    let (first, second) = (Origin::new(), Origin::new());
    let mut setup = config(&[first.address(), second.address()]);
    setup.balance.strategy =
        policy::balance::Strategy::named("least_connections").expect("it exists");
    setup.endpoints[0].weight = 1000;
    setup.endpoints[0].max_in_flight = Some(2);
    let rig = Rig::start(setup);
    let mut clients: Vec<Wire> = (0..4).map(|_| rig.client()).collect();
    let mut upstreams = Vec::new();
    for (index, client) in clients.iter_mut().enumerate() {
        ask(client, "/");
        let mut upstream = if index < 2 { first.accept() } else { second.accept() };
        upstream.request();
        upstreams.push(upstream);
    }
    assert_eq!((rig.in_flight(0), rig.in_flight(1)), (2, 2));
}

#[test]
fn no_more_connections_to_an_endpoint_than_allowed() {
    let origin = Origin::new();
    let mut setup = config(&[origin.address()]);
    setup.limits.endpoint_connections = Some(2);
    let rig = Rig::start(setup);
    // All at once: none of them may be opened unseen by the others.
    let mut clients: Vec<Wire> = (0..8).map(|_| rig.client()).collect();
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for client in &mut clients {
        client.send(request);
    }
    let mut upstreams: Vec<Wire> = (0..2).map(|_| origin.accept()).collect();
    eventually("the others are refused", || rig.sum(|stats| &stats.requests) == 6);
    for upstream in &mut upstreams {
        upstream.request();
        upstream.send(answer("served"));
    }
    let mut statuses: Vec<u16> =
        clients.iter_mut().map(|client| client.response().status()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 503, 503, 503, 503, 503, 503]);
    origin.is_untouched();
    // What is idle is used again and counts as well.
    clients[0].send(request);
    let state = rig.proxy.state();
    eventually("it is sent", || state.upstream.endpoints.list()[0].requests() > 8);
    assert_eq!(state.upstream.sites[0].connections.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[test]
fn where_no_connection_is_to_be_had_another_endpoint_is_asked() {
    let (first, second) = (Origin::new(), Origin::saying("second"));
    let mut setup = in_order(&[first.address(), second.address()]);
    setup.limits.endpoint_connections = Some(1);
    let rig = Rig::start(setup);
    let mut client = rig.client();
    ask(&mut client, "/");
    let mut upstream = first.accept();
    upstream.request();
    for _ in 0..3 {
        assert_eq!(rig.get("/").text(), "second");
    }
    first.is_untouched();
    upstream.send(answer("first"));
    assert_eq!(client.response().text(), "first");
    // That was no failure and no retry.
    assert_eq!(rig.sum(|stats| &stats.retries), 0);
    assert_eq!(rig.proxy.state().upstream.endpoints.list()[0].failures(), 0);
}

#[test]
fn a_retry_that_finds_no_connection_is_none() {
    let (first, second) = (Origin::new(), Origin::new());
    let mut setup = in_order(&[first.address(), second.address()]);
    setup.limits.endpoint_connections = Some(1);
    let rig = Rig::start(setup);
    let (mut client, mut other) = (rig.client(), rig.client());
    ask(&mut client, "/");
    let mut upstream = first.accept();
    upstream.request();
    ask(&mut other, "/");
    let mut held = second.accept();
    held.request();
    // The other endpoint's only connection is in use when this one dies.
    drop(upstream);
    assert_eq!(client.response().status(), 503);
    assert_eq!(rig.sum(|stats| &stats.retries), 0);
    held.send(answer("second"));
    assert_eq!(other.response().text(), "second");
}

#[test]
fn at_the_connection_limit_new_clients_wait() {
    let origin = Origin::saying("ok");
    let mut setup = config(&[origin.address()]);
    setup.limits.connections = 2;
    let rig = Rig::start(setup);
    let mut clients: Vec<Wire> = (0..2).map(|_| rig.client()).collect();
    for client in &mut clients {
        ask(client, "/");
        assert_eq!(client.response().text(), "ok");
    }
    // The third one's connection opens (the kernel does that), but nobody serves it yet.
    let mut third = rig.client();
    ask(&mut third, "/");
    ask(&mut clients[0], "/");
    assert_eq!(clients[0].response().text(), "ok");
    assert_eq!(rig.sum(|stats| &stats.connections_total), 2);
    drop(clients.pop());
    assert_eq!(third.response().text(), "ok");
    assert_eq!(rig.sum(|stats| &stats.connections_total), 3);
}

#[test]
fn at_the_connection_limit_no_worker_is_forgotten() {
    let origin = Origin::saying("ok");
    let mut setup = config(&[origin.address()]);
    setup.workers = Some(2);
    setup.limits.connections = 1;
    let rig = Rig::start(setup);
    // The kernel spreads them over both listeners; each of them must get its turn.
    for _ in 0..60 {
        let mut client = rig.client();
        ask(&mut client, "/");
        assert_eq!(client.response().text(), "ok");
        let mut second = rig.client();
        ask(&mut second, "/");
        drop(client);
        assert_eq!(second.response().text(), "ok");
    }
    rig.is_quiet_again();
}

#[test]
fn the_pool_keeps_so_many_and_no_more() {
    for keep in [0, 2] {
        let origin = Origin::new();
        let mut setup = config(&[origin.address()]);
        setup.limits.endpoint_idle = keep;
        let rig = Rig::start(setup);
        let mut clients: Vec<Wire> = (0..4).map(|_| rig.client()).collect();
        let mut upstreams = Vec::new();
        for client in &mut clients {
            ask(client, "/");
            let mut upstream = origin.accept();
            upstream.request();
            upstreams.push(upstream);
        }
        for upstream in &mut upstreams {
            upstream.send(answer("ok"));
        }
        for client in &mut clients {
            assert_eq!(client.response().text(), "ok");
        }
        let state = rig.proxy.state();
        let open = || {
            state.upstream.sites[0].connections.load(std::sync::atomic::Ordering::Relaxed) as usize
        };
        eventually("the rest is closed", || open() == keep);
    }
}

#[test]
fn pooled_connections_grow_old() {
    let origin = Origin::new();
    let mut setup = config(&[origin.address()]);
    setup.timeouts.upstream_idle = millis(50);
    let rig = Rig::start(setup);
    let mut client = rig.client();
    ask(&mut client, "/1");
    let mut upstream = origin.accept();
    upstream.request();
    upstream.send(answer("first"));
    assert_eq!(client.response().text(), "first");
    // It is closed by the sweep, without anybody asking, and then a new one is opened.
    upstream.ends_or_breaks();
    ask(&mut client, "/2");
    let mut upstream = origin.accept();
    upstream.request();
    upstream.send(answer("second"));
    assert_eq!(client.response().text(), "second");
    // One that is too old is not used again, even before the sweep comes by.
    thread::park_timeout(millis(100).0);
    ask(&mut client, "/3");
    let mut upstream = origin.accept();
    upstream.request();
    upstream.send(answer("third"));
    assert_eq!(client.response().text(), "third");
    assert_eq!(rig.sum(|stats| &stats.upstream_reuses), 0);
}

#[test]
fn an_origin_that_closes_after_some_requests_is_not_noticed_by_clients() {
    let origin = Origin::serving(|mut wire| {
        for _ in 0..3 {
            if !wire.is_asked() {
                return;
            }
            wire.request();
            wire.send(answer("ok"));
        }
    });
    let rig = Rig::before(&origin);
    let mut client = rig.client();
    for _ in 0..30 {
        ask(&mut client, "/");
        assert_eq!(client.response().text(), "ok");
    }
}
