//! Redirect mode: where clients are sent, with what, and who counts as busy meanwhile.

use std::{net::SocketAddr, time::Duration};

use backend_sim::{Admission, BackendConfig, GroupSpec};
use net::Real;
use policy::{
    LoadReport, Seed,
    balance::{StickyConfig, Strategy, c3},
    quantity::TimeSpan,
    token::{
        Asked, Bearer, Grant, Key, Refusal,
        report::{self, End, Report},
        split,
    },
};
use proxy::config::{Mode, ProxyConfig, Secret};

use crate::support::{ANY, Message, Origin, Rig, Wire, config, eventually, in_order, millis};

const SECRET: &str = "a secret of the tests";

fn redirecting(config: ProxyConfig) -> ProxyConfig {
    let mut config = ProxyConfig { mode: Mode::Redirect, ..config };
    config.redirect.secret = Some(Secret(SECRET.to_owned()));
    config
}

fn key() -> Key {
    Key::new(SECRET.as_bytes()).expect("it is long enough")
}

/// Where an answer sends the client: the address, and the target with the token.
fn location(answer: &Message) -> (SocketAddr, String) {
    assert_eq!(answer.status(), 307, "{}", answer.head);
    let location = answer.field("location").expect("it says where");
    let rest = location.strip_prefix("http://").expect("an absolute address");
    let (authority, target) = rest.split_once('/').expect("a path");
    (authority.parse().expect("an address"), format!("/{target}"))
}

/// The grant in an answer to `GET` of this target by a client of loopback.
fn grant(answer: &Message, method: &str, target: &str) -> Result<Grant, Refusal> {
    let (endpoint, with_token) = location(answer);
    let (rest, token) = split(with_token.as_bytes());
    assert_eq!(rest, target.as_bytes());
    let client = ANY.ip();
    let asked = Asked { endpoint, method: method.as_bytes(), target: rest, client };
    key().read(token.expect("there is a token"), &asked, net::Clock::real().wall())
}

/// The status with which the proxy takes a report that is signed with this key.
fn tell(wire: &mut Wire, key: &Key, nonce: u64, end: End) -> u16 {
    tell_load(wire, key, (nonce, end), None)
}

/// The same, with what the endpoint says of its load.
fn tell_load(
    wire: &mut Wire,
    key: &Key,
    (nonce, end): (u64, End),
    load: Option<&LoadReport>,
) -> u16 {
    let took = Duration::from_millis(3);
    let body = report::write(&[Report { nonce, end, took }], load);
    let code = key.sign_report(body.as_bytes());
    let (path, header, length) = (report::PATH, report::CODE_HEADER, body.len());
    wire.send(format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\n{header}: {code}\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    wire.response().status()
}

fn ask(client: &mut Wire, target: &str) -> Message {
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    client.response()
}

#[test]
fn a_client_is_sent_to_the_endpoint_and_counts_until_that_reports() {
    let endpoint = Origin::new();
    let rig = Rig::start(redirecting(config(&[endpoint.address()])));
    let mut client = rig.client();
    let answer = ask(&mut client, "/item/7?a=b");
    assert_eq!(location(&answer).0, endpoint.address());
    assert_eq!(answer.field("cache-control").as_deref(), Some("no-store"));
    assert_eq!(answer.field("content-length").as_deref(), Some("0"));
    let grant = grant(&answer, "GET", "/item/7?a=b").expect("a good token");
    assert_eq!((grant.bearer, grant.reports), (Bearer::Client, rig.proxy.address()));
    assert_eq!(rig.in_flight(0), 1);
    let other = Key::new(b"another secret, as long").expect("it is long enough");
    let mut reporter = rig.client();
    assert_eq!(tell(&mut reporter, &other, grant.nonce, End::Answered(200)), 403);
    assert_eq!(rig.in_flight(0), 1);
    assert_eq!(tell(&mut reporter, &key(), grant.nonce, End::Answered(200)), 204);
    assert_eq!(rig.in_flight(0), 0);
    // What is heard twice, or of nobody, does no harm.
    assert_eq!(tell(&mut reporter, &key(), grant.nonce, End::Answered(200)), 204);
    assert_eq!(tell(&mut reporter, &key(), 12_345, End::Broken), 204);
    assert_eq!(rig.in_flight(0), 0);
    // The client's connection goes on, and reports are no requests.
    assert_eq!(ask(&mut client, "/").status(), 307);
    eventually("two requests", || rig.sum(|stats| &stats.requests) == 2);
    assert_eq!(rig.sum(|stats| &stats.upstream_connects), 0, "the proxy carries nothing");
}

#[test]
fn a_session_that_nobody_reports_expires() {
    let endpoint = Origin::new();
    let mut setup = redirecting(config(&[endpoint.address()]));
    (setup.redirect.lifetime, setup.redirect.expire) = (millis(10), millis(50));
    let rig = Rig::start(setup);
    for _ in 0..3 {
        assert_eq!(rig.get("/").status(), 307);
    }
    eventually("they expire", || rig.in_flight(0) == 0);
    let endpoint = &rig.proxy.state().upstream.endpoints.list()[0].clone();
    assert_eq!(endpoint.failures(), 0, "that a client does not follow says nothing of an endpoint");
}

#[test]
fn a_client_waits_until_an_endpoint_reports_room() {
    let endpoint = Origin::new();
    let mut setup = redirecting(config(&[endpoint.address()]));
    setup.limits.endpoint_in_flight = Some(1);
    setup.queue.timeout = TimeSpan::secs(60);
    let rig = Rig::start(setup);
    let first = grant(&rig.get("/"), "GET", "/").expect("a good token");
    let mut second = rig.client();
    second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it waits", || rig.sum(|stats| &stats.queued) == 1);
    assert_eq!(tell(&mut rig.client(), &key(), first.nonce, End::Answered(200)), 204);
    assert_eq!(second.response().status(), 307);
    assert_eq!(rig.in_flight(0), 1);
}

#[test]
fn reported_failures_eject_an_endpoint() {
    let endpoints = [Origin::new(), Origin::new()];
    let addresses = [endpoints[0].address(), endpoints[1].address()];
    let mut setup = redirecting(in_order(&addresses));
    setup.outlier.consecutive_failures = 3;
    let rig = Rig::start(setup);
    let mut reporter = rig.client();
    for end in [End::Answered(500), End::Broken, End::Answered(503)] {
        let answer = rig.get("/");
        assert_eq!(location(&answer).0, addresses[0]);
        let nonce = grant(&answer, "GET", "/").expect("a good token").nonce;
        assert_eq!(tell(&mut reporter, &key(), nonce, end), 204);
    }
    assert_eq!(location(&rig.get("/")).0, addresses[1]);
}

#[test]
fn the_balancer_hears_what_endpoints_report_of_their_load() {
    let endpoints = [Origin::new(), Origin::new()];
    let mut setup = redirecting(config(&[endpoints[0].address(), endpoints[1].address()]));
    setup.balance.strategy = Strategy::C3(c3::Config::default());
    let rig = Rig::start(setup);
    let (mut client, mut reporter) = (rig.client(), rig.client());
    // Nothing is known yet, so that the second goes where the first is not.
    let asked = [(); 2].map(|()| ask(&mut client, "/"));
    let [full, free] = asked.each_ref().map(|answer| location(answer).0);
    assert_ne!(full, free);
    for (answer, queue) in asked.iter().zip([100, 0]) {
        let number = grant(answer, "GET", "/").expect("a good token").nonce;
        let service_time = Duration::from_millis(3);
        let load = LoadReport { queue, service_time, ..LoadReport::default() };
        let end = (number, End::Answered(200));
        assert_eq!(tell_load(&mut reporter, &key(), end, Some(&load)), 204);
    }
    for _ in 0..5 {
        assert_eq!(location(&ask(&mut client, "/")).0, free);
    }
}

#[test]
fn there_are_no_more_sessions_than_may_be() {
    let endpoint = Origin::new();
    let mut setup = redirecting(config(&[endpoint.address()]));
    setup.redirect.sessions = 2;
    let rig = Rig::start(setup);
    assert_eq!((rig.get("/").status(), rig.get("/").status()), (307, 307));
    assert_eq!(rig.get("/").status(), 503);
    rig.has_faults("sessions_full", 1);
}

#[test]
fn a_short_body_is_read_away_and_a_long_one_ends_the_connection() {
    let endpoint = Origin::new();
    let rig = Rig::start(redirecting(config(&[endpoint.address()])));
    let mut client = rig.client();
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert!(grant(&client.response(), "POST", "/a").is_ok());
    client.send(
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n0\r\n\r\n",
    );
    assert!(grant(&client.response(), "POST", "/a").is_ok());
    // Who asks is answered, and not told to go on.
    client.send("PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    let answer = client.response();
    assert!(grant(&answer, "PUT", "/a").is_ok());
    assert_eq!(answer.field("connection").as_deref(), Some("close"));
    let mut client = rig.client();
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    client.send(vec![b'x'; 100_000]);
    let answer = client.response();
    assert!(grant(&answer, "POST", "/a").is_ok());
    assert_eq!(answer.field("connection").as_deref(), Some("close"));
}

#[test]
fn reports_find_the_worker_that_has_the_session() {
    let endpoint = Origin::new();
    let mut setup = redirecting(config(&[endpoint.address()]));
    setup.workers = Some(2);
    let rig = Rig::start(setup);
    let nonces: Vec<u64> =
        (0..32).map(|_| grant(&rig.get("/"), "GET", "/").expect("a good token").nonce).collect();
    assert_eq!(rig.in_flight(0), 32);
    for nonce in nonces {
        assert_eq!(tell(&mut rig.client(), &key(), nonce, End::Answered(200)), 204);
    }
    eventually("all are over", || rig.in_flight(0) == 0);
}

#[test]
fn a_client_that_is_bound_is_sent_to_its_endpoint_again() {
    let endpoints = [Origin::new(), Origin::new(), Origin::new()];
    let addresses: Vec<SocketAddr> = endpoints.iter().map(Origin::address).collect();
    let mut setup = redirecting(config(&addresses));
    let sticky = StickyConfig { cookie: "route".to_owned(), ..StickyConfig::default() };
    setup.balance.sticky = Some(sticky);
    let rig = Rig::start(setup);
    let first = rig.get("/");
    let cookie = first.field("set-cookie").expect("it is bound");
    let cookie = cookie.split(';').next().expect("a pair");
    for _ in 0..6 {
        let mut client = rig.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n"));
        let again = client.response();
        assert_eq!(location(&again).0, location(&first).0);
        assert_eq!(again.field("set-cookie"), None);
    }
}

#[test]
fn a_bad_report_is_refused() {
    let endpoint = Origin::new();
    let rig = Rig::start(redirecting(config(&[endpoint.address()])));
    let path = report::PATH;
    let status = |request: String| {
        let mut client = rig.client();
        client.send(request);
        client.response().status()
    };
    let code = key().sign_report(b"nonsense");
    let header = report::CODE_HEADER;
    assert_eq!(status(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")), 405);
    assert_eq!(
        status(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nnonsense")),
        403
    );
    assert_eq!(
        status(format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\n{header}: {code}\r\nContent-Length: 8\r\n\r\nnonsense"
        )),
        400
    );
    let long = "x".repeat(report::MAX_BODY + 1);
    let length = long.len();
    assert_eq!(
        status(format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{long}"
        )),
        413
    );
}

#[test]
fn the_path_of_reports_is_any_path_when_requests_are_forwarded() {
    let endpoint = Origin::serving(|mut wire| {
        while wire.is_asked() {
            wire.request();
            wire.send(crate::support::answer("here"));
        }
    });
    let rig = Rig::before(&endpoint);
    assert_eq!(rig.get(report::PATH).text(), "here");
}

#[test]
fn simulated_backends_let_in_whom_the_proxy_has_sent_and_report() {
    let backend = BackendConfig {
        count: 2,
        admission: Some(Admission::by(SECRET).expect("it is long enough")),
        ..BackendConfig::default()
    };
    let group = GroupSpec { name: "web".to_owned(), config: backend, addresses: Vec::new() };
    let backends = backend_sim::run_in_thread(Real::new(), Seed(1), vec![group]).expect("it runs");
    let addresses: Vec<SocketAddr> = backends.endpoints().iter().map(|(_, at)| *at).collect();
    let rig = Rig::start(redirecting(config(&addresses)));
    for number in 0..20 {
        let (address, target) = location(&rig.get(&format!("/{number}?x")));
        let mut direct = Wire::connect(address);
        let answer = ask(&mut direct, &target);
        assert_eq!((answer.status(), answer.body.len()), (200, 100), "{}", answer.head);
        let again = ask(&mut direct, &target);
        assert_eq!((again.status(), again.text()), (403, "the token was used before\n"));
        assert_eq!(ask(&mut direct, "/").status(), 403);
    }
    eventually("every end is reported", || rig.in_flight(0) + rig.in_flight(1) == 0);
    let seen = backends.stop(Duration::from_secs(1)).expect("it answers");
    let sum =
        |of: fn(&backend_sim::Snapshot) -> u64| seen.iter().map(|(_, one)| of(one)).sum::<u64>();
    assert_eq!((sum(|one| one.completed), sum(|one| one.forbidden)), (20, 40));
    assert_eq!(sum(|one| one.unreported), 0);
}
