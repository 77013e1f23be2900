//! Limits: how often clients may come, how much they and an upstream may have under way, and who is refused first.
//!
//! Limits here are an hour long, so that none of these tests depends on how fast the machine is.

use crate::support::{Message, Origin, Rig, Wire, configured, eventually, with_admin};

/// A proxy before one origin that says "ok" to everything.
fn rig(limit: &str) -> (Origin, Rig) {
    let origin = Origin::saying("ok");
    let rig = Rig::start(with_admin(configured(&format!(
        "endpoints = [\"{}\"]\n{limit}",
        origin.address()
    ))));
    (origin, rig)
}

fn get(client: &mut Wire, path: &str, fields: &str) -> Message {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    client.response()
}

/// Status, and what it says of limits; but not how long it takes, since that passes.
fn standing(message: &Message) -> (u16, Option<String>, Option<String>) {
    let without_time = |told: String| {
        let items = told.split(", ").map(|item| item.split(";t=").next().unwrap_or_default());
        items.collect::<Vec<_>>().join(", ")
    };
    (
        message.status(),
        message.field("RateLimit-Policy"),
        message.field("RateLimit").map(without_time),
    )
}

#[test]
fn a_client_is_told_where_it_stands_and_refused_with_429() {
    let (_origin, rig) = rig(
        "limit.rate = [{ name = \"hour\", by = \"address\", requests = 1, per = \"1h\", burst = 2 }]",
    );
    let mut client = rig.client();
    let policy = Some("\"hour\";q=1;w=3600".to_owned());
    for left in ["\"hour\";r=1", "\"hour\";r=0"] {
        let told = standing(&get(&mut client, "/", ""));
        assert_eq!(told, (200, policy.clone(), Some(left.to_owned())));
    }
    let refused = get(&mut client, "/", "");
    assert_eq!(standing(&refused), (429, policy, Some("\"hour\";r=0".to_owned())));
    let after = refused.field("Retry-After").expect("it is told when");
    assert!((3500..=3600).contains(&after.parse().expect("seconds")), "{after}");
    assert_eq!(refused.field("RateLimit"), Some(format!("\"hour\";r=0;t={after}")));
    let why = refused.field("Proxy-Status").expect("it says why");
    assert_eq!(why, "windtunnel; error=http_request_denied; details=\"rate_limited\"");
    let said = format!("429: the limit `hour` is 1 in 3600s; try again in {after} s\n");
    assert_eq!(refused.text(), said);
    // The connection goes on.
    assert_eq!(refused.field("Connection"), None);
    assert_eq!(get(&mut client, "/", "").status(), 429);
    eventually("they are counted", || rig.sum(|stats| &stats.limited) == 2);
    let figures = rig.admin_json();
    assert_eq!(figures["requests"]["limited"], 2);
    assert_eq!(
        figures["limits"]["limits"],
        serde_json::json!([{ "name": "hour", "refused": 2, "clients": 1 }])
    );
    let metrics = rig.admin("/metrics").text().to_owned();
    assert!(metrics.contains("proxy_limited_total{limit=\"hour\"} 2\n"), "{metrics}");
    assert!(metrics.contains("proxy_limit_clients{limit=\"hour\"} 1\n"), "{metrics}");
}

#[test]
fn clients_are_told_only_what_they_are_to_be_told() {
    let limits = "limit.rate = [{ requests = 1, per = \"1h\" }]";
    for (tell, on_admitted, on_refused) in
        [("all", true, true), ("refused", false, true), ("none", false, false)]
    {
        let (_origin, rig) = rig(&format!("{limits}\nlimit.tell = \"{tell}\""));
        let told = |message: &Message| message.field("RateLimit").is_some();
        assert_eq!(told(&rig.get("/")), on_admitted, "{tell}");
        let refused = rig.get("/");
        assert_eq!(refused.status(), 429);
        assert_eq!(told(&refused), on_refused, "{tell}");
        assert!(refused.field("Retry-After").is_some());
    }
}

#[test]
fn several_limits_hold_at_once_and_what_one_refuses_costs_nothing_of_another() {
    let (_origin, rig) = rig(r#"
        [[limit.rate]]
        by = ["address", "header:X-User"]
        requests = 1
        per = "1h"
        [[limit.rate]]
        name = "all"
        requests = 3
        per = "1h"
        [[limit.rate]]
        name = "buy"
        requests = 1
        per = "1h"
        status = 503
        methods = ["POST"]
        paths = ["/buy"]
        "#);
    let mut client = rig.client();
    assert_eq!(get(&mut client, "/", "X-User: a\r\n").status(), 200);
    // Of `a` more come than may, and `all` is not charged for them.
    for _ in 0..5 {
        let (status, _, left) = standing(&get(&mut client, "/", "X-User: a\r\n"));
        assert_eq!((status, left.as_deref()), (429, Some("\"rate-1\";r=0, \"all\";r=2")));
    }
    assert_eq!(get(&mut client, "/", "x-user: b\r\n").status(), 200);
    // Without the header the first limit is not for it.
    assert_eq!(get(&mut client, "/", "").status(), 200);
    assert_eq!(get(&mut client, "/", "X-User: c\r\n").status(), 429);
    let mut of = |line: &str| {
        client.send(format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
        client.response().status()
    };
    // 429 of `all`, which one must wait for longer.
    assert_eq!(of("POST //buy/x"), 429);
}

#[test]
fn a_limit_counts_all_workers_together() {
    let origin = Origin::saying("ok");
    let mut config = configured(&format!(
        "endpoints = [\"{}\"]\nlimit.rate = [{{ requests = 10, per = \"1h\" }}]",
        origin.address()
    ));
    config.workers = Some(3);
    let rig = Rig::start(config);
    let admitted = (0..40).filter(|_| rig.get("/").status() == 200).count();
    assert_eq!(admitted, 10);
}

#[test]
fn a_client_behind_a_trusted_peer_is_who_that_says_it_is() {
    let (_origin, rig) = rig(
        "limit.rate = [{ by = \"address\", requests = 1, per = \"1h\" }]\nforwarding.trusted = [\"127.0.0.1\"]",
    );
    let mut client = rig.client();
    let mut of =
        |address: &str| get(&mut client, "/", &format!("X-Forwarded-For: {address}\r\n")).status();
    assert_eq!([of("192.0.2.1"), of("192.0.2.1"), of("192.0.2.2")], [200, 429, 200]);
    // Who has one address of a /64 has all of them.
    assert_eq!([of("2001:db8::1"), of("2001:db8::2"), of("2001:db8:0:1::1")], [200, 429, 200]);
}

#[test]
fn a_reload_goes_on_with_the_limits_that_are_the_same() {
    let origin = Origin::saying("ok");
    let with = |limit: &str| {
        let rest = format!("endpoints = [\"{}\"]\nlimit.rate = [{limit}]", origin.address());
        configured(&rest)
    };
    let first = "{ name = \"a\", requests = 1, per = \"1h\" }";
    let rig = Rig::start(with(first));
    assert_eq!([rig.get("/").status(), rig.get("/").status()], [200, 429]);
    let reload = |limit: &str| {
        rig.proxy.reload(with(limit)).expect("a possible configuration");
    };
    // The name of the second one shows which configuration is in force.
    let says = |name: &str| {
        eventually("the configuration is in force", || {
            rig.get("/").field("RateLimit").is_some_and(|told| told.contains(name))
        });
    };
    reload(&format!("{first}, {{ name = \"more\", requests = 1000 }}"));
    says("more");
    assert_eq!(rig.get("/").status(), 429);
    reload("{ name = \"a\", requests = 2, per = \"1h\" }, { name = \"other\", requests = 1000 }");
    eventually("a limit that is another begins anew", || rig.get("/").status() == 200);
}

#[test]
fn a_client_has_so_many_requests_under_way() {
    let origin = Origin::new();
    let rig = Rig::start(with_admin(configured(&format!(
        "endpoints = [\"{}\"]\nlimit.concurrency = [{{ name = \"at-once\", by = \"header:x-user\", most = 1 }}]",
        origin.address()
    ))));
    let ask = |client: &mut Wire, user: &str| {
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-User: {user}\r\n\r\n"));
    };
    let mut first = rig.client();
    ask(&mut first, "a");
    let mut upstream = origin.accept();
    upstream.request();
    let mut second = rig.client();
    ask(&mut second, "a");
    let refused = second.response();
    assert_eq!(refused.status(), 429);
    assert_eq!(
        refused.field("RateLimit-Policy").as_deref(),
        Some("\"at-once\";q=1;qu=\"concurrent-requests\"")
    );
    assert_eq!(refused.field("RateLimit").as_deref(), Some("\"at-once\";r=0"));
    assert!(refused.field("Retry-After").is_some());
    // Another client has its own place.
    let mut other = rig.client();
    ask(&mut other, "b");
    let mut upstream_of_b = origin.accept();
    upstream_of_b.request();
    // The head of the answer is there, but not its end.
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
    first.head();
    ask(&mut second, "a");
    assert_eq!(second.response().status(), 429);
    upstream.send("k");
    upstream_of_b.send(crate::support::answer("b"));
    assert_eq!(other.response().status(), 200);
    let clients = || rig.admin_json()["limits"]["limits"][0]["clients"].as_u64();
    eventually("the places are given back", || clients() == Some(0));
    // One that goes away in the middle gives its place back, too.
    let mut third = rig.client();
    ask(&mut third, "a");
    eventually("it is counted", || clients() == Some(1));
    drop(third);
    eventually("it has left", || clients() == Some(0));
}

/// An upstream that may have so much under way, before an origin of the test's own.
fn limited(origin: &Origin, start: u32, more: &str) -> Rig {
    Rig::start(with_admin(configured(&format!(
        "endpoints = [\"{}\"]\nlimit.adaptive = {{ algorithm = \"fixed\", start = {start}, min = 1 }}\n{more}",
        origin.address()
    ))))
}

fn under_way(rig: &Rig) -> u64 {
    rig.admin_json()["limits"]["adaptive"][0]["under_way"].as_u64().expect("a number")
}

#[test]
fn beyond_what_the_upstream_can_do_the_lowest_are_refused_first() {
    let origin = Origin::new();
    let rig = limited(
        &origin,
        4,
        "limit.shed = { header = \"X-Priority\", highest = \"critical\", retry_after = \"3s\", \
         shares = { high = 0.75, normal = 0.5, low = 0.25 } }",
    );
    let ask = |priority: &str| {
        let mut client = rig.client();
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Priority: {priority}\r\n\r\n"));
        client
    };
    let mut served = Vec::new();
    for (step, priority) in ["low", "normal", "high", "critical"].into_iter().enumerate() {
        served.push(ask(priority));
        eventually("it is under way", || under_way(&rig) == step as u64 + 1);
        let refused = ask(priority).response();
        assert_eq!(refused.status(), 503, "{priority}");
        assert_eq!(refused.field("Retry-After").as_deref(), Some("3"));
        assert_eq!(
            refused.field("Proxy-Status").as_deref(),
            Some("windtunnel; error=connection_limit_reached")
        );
    }
    rig.has_faults("overloaded", 4);
    assert_eq!(rig.sum(|stats| &stats.shed), 4);
    let figures = rig.admin_json();
    assert_eq!(
        figures["limits"]["shed"],
        serde_json::json!({ "low": 1, "normal": 1, "high": 1, "critical": 1 })
    );
    let metrics = rig.admin("/metrics").text().to_owned();
    for line in [
        "proxy_shed_total{priority=\"low\"} 1\n",
        "proxy_adaptive_limit{upstream=\"\"} 4\n",
        "proxy_adaptive_under_way{upstream=\"\"} 4\n",
    ] {
        assert!(metrics.contains(line), "{line}{metrics}");
    }
    for _ in 0..served.len() {
        let mut upstream = origin.accept();
        upstream.request();
        upstream.send(crate::support::answer("done"));
    }
    for mut client in served {
        assert_eq!(client.response().text(), "done");
    }
    eventually("nothing is under way", || under_way(&rig) == 0);
}

#[test]
fn a_place_at_the_upstream_is_held_until_the_head_of_the_answer() {
    let origin = Origin::new();
    let rig = limited(&origin, 1, "");
    let mut first = rig.client();
    first.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    assert_eq!(rig.get("/2").status(), 503);
    upstream.send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    first.head();
    // The stream goes on, and takes no place.
    let mut second = rig.client();
    second.send("GET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    // A client that goes gives its place back.
    assert_eq!(under_way(&rig), 1);
    drop(second);
    eventually("it has left", || under_way(&rig) == 0);
    // So does one whose endpoint does not answer as it should.
    let mut third = rig.client();
    third.send("POST /4 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    drop(upstream);
    assert_eq!(third.response().status(), 502);
    assert_eq!(under_way(&rig), 0);
}

#[test]
fn a_route_has_limits_of_its_own_and_upstreams_have_one_each() {
    let origins: Vec<Origin> = ["own", "api"].map(Origin::saying).into();
    let [own, api] = [0, 1].map(|place: usize| origins[place].address());
    let rig = Rig::start(with_admin(configured(&format!(
        r#"
        endpoints = ["{own}"]
        limit = {{ rate = [{{ requests = 2, per = "1h" }}], adaptive = {{}} }}
        routes = [
            {{ name = "login", match = {{ prefix = "/login" }}, limit = {{ rate = [{{ requests = 1, per = "1h" }}] }} }},
            {{ match = {{ prefix = "/api/" }}, upstream = "api" }},
            {{ match = {{ prefix = "/free/" }}, limit = {{ keys = 1 }} }},
        ]
        [upstreams.api]
        endpoints = ["{api}"]
        "#
    ))));
    let status = |path: &str| rig.get(path).status();
    assert_eq!([status("/login"), status("/login")], [200, 429]);
    // The route without limits of its own shares the proxy's.
    assert_eq!([status("/api/"), status("/"), status("/api/"), status("/")], [200, 200, 429, 429]);
    assert_eq!([status("/free/"), status("/free/"), status("/free/")], [200; 3]);
    let figures = rig.admin_json();
    let names = |list: &str, key: &str| -> Vec<String> {
        let list = figures["limits"][list].as_array().expect("a list");
        list.iter().map(|one| one[key].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names("limits", "name"), ["rate-1", "login.rate-1"]);
    assert_eq!(names("adaptive", "upstream"), ["", "api"]);
}

#[test]
fn what_the_cache_answers_counts_for_the_client_and_takes_no_place_at_the_upstream() {
    let origin = Origin::new();
    let rig = Rig::start(with_admin(configured(&format!(
        "endpoints = [\"{}\"]\ncache.enabled = true\nlimit.rate = [{{ name = \"a\", requests = 3, per = \"1h\" }}]\n\
         limit.adaptive = {{ algorithm = \"fixed\", start = 1, min = 1 }}",
        origin.address()
    ))));
    let mut client = rig.client();
    client.send("GET /kept HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    upstream.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(standing(&client.response()).2.as_deref(), Some("\"a\";r=2"));
    // Somebody else has the only place at the upstream.
    let mut other = rig.client();
    other.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it is under way", || under_way(&rig) == 1);
    // What the cache has it has said nothing of before; it is told anew.
    let hit = get(&mut client, "/kept", "");
    assert_eq!((hit.status(), standing(&hit).2.as_deref()), (200, Some("\"a\";r=0")));
    assert_eq!(get(&mut client, "/kept", "").status(), 429);
}

#[test]
fn without_limits_nothing_is_said_of_them() {
    let (_origin, rig) = rig("");
    let response = rig.get("/");
    assert_eq!(standing(&response), (200, None, None));
    assert!(!rig.admin("/metrics").text().contains("limit"));
}
