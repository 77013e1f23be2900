//! Proxies that share what they have fetched over a Redis, and what clients notice when that is killed, hung or full: nothing.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::Duration,
};

use policy::{breaker::BreakerConfig, quantity::TimeSpan, redis::RedisConfig};
use proxy::config::ProxyConfig;

use crate::{
    cache::{Asked, always, caching, get, origin, request, told, with},
    support::{Origin, RedisServer, Rig, Wire, eventually, with_admin},
};

fn sharing(origin: &Origin, redis: RedisConfig) -> ProxyConfig {
    let mut config = with_admin(caching(origin));
    config.cache.redis = Some(redis);
    assert_eq!(config.problems(), []);
    config
}

fn figure(rig: &Rig, path: &str) -> u64 {
    rig.admin_json().pointer(path).and_then(serde_json::Value::as_u64).unwrap_or_default()
}

/// A proxy that has its connection.
fn connected(config: ProxyConfig) -> Rig {
    let rig = Rig::start(config);
    let mut tries = 0;
    eventually("Redis has answered", || {
        // Another one each time: what is in memory is not looked for elsewhere.
        tries += 1;
        get(&rig, &format!("/until-it-is-there/{tries}"), "");
        figure(&rig, "/redis/calls/answered") > 0
    });
    rig
}

/// Does something and waits until so many objects more are written there.
fn storing<R>(rig: &Rig, count: u64, run: impl FnOnce() -> R) -> R {
    let kept = || figure(rig, "/redis/second_tier/kept");
    let before = kept();
    let result = run();
    eventually("it is written there", || kept() >= before + count);
    result
}

fn post(rig: &Rig, path: &str) -> String {
    let mut wire = Wire::connect(rig.proxy.admin_address().expect("it is on"));
    wire.send(request("POST", path, "Content-Length: 0"));
    wire.response().text().to_owned()
}

/// The origin without what tests asked it until Redis was there.
fn count(asked: &Asked, path: &str) -> usize {
    (0..asked.count()).filter(|nth| asked.nth(*nth).head.contains(path)).count()
}

#[test]
fn what_one_proxy_has_fetched_another_has() {
    let Some(server) = RedisServer::start() else { return };
    let fields = "Cache-Control: max-age=60\nVary: Accept-Language\nX-Own: yes\nCache-Tag: news";
    let (origin, asked) = origin(move |_, request| {
        let language = request.field("Accept-Language").unwrap_or_default();
        let uncached = request.head.contains("until-it-is-there");
        with(if uncached { "Cache-Control: no-store" } else { fields }, &format!("in {language}"))
    });
    let [one, other] = [(); 2].map(|()| connected(sharing(&origin, server.config())));
    let first = storing(&one, 1, || get(&one, "/a", "Accept-Language: de"));
    assert_eq!(first.text(), "in de");
    storing(&one, 1, || get(&one, "/a", "Accept-Language: fr"));
    for _ in 0..2 {
        let second = get(&other, "/a", "Accept-Language: de");
        assert_eq!((second.text(), second.field("X-Own").as_deref()), ("in de", Some("yes")));
        assert!(told(&second).contains("hit"), "{}", second.head);
        assert_eq!(second.field("Date"), first.field("Date"));
        assert_eq!(second.field("Via"), first.field("Via"));
    }
    assert_eq!(get(&other, "/a", "Accept-Language: fr").text(), "in fr");
    assert_eq!(count(&asked, "/a"), 2);
    // Found there once each; the second time it was in memory.
    assert_eq!(figure(&other, "/redis/second_tier/hit"), 2);
    assert_eq!(figure(&other, "/cache/requests/hit"), 3);

    // Purged by one, it is gone from Redis: the next proxy finds nothing there.
    let said = post(&other, "/cache/purge?tag=news");
    assert!(said.contains("\"redis\":\"purged\""), "{said}");
    let third = connected(sharing(&origin, server.config()));
    get(&third, "/a", "Accept-Language: de");
    assert_eq!(count(&asked, "/a"), 3);
    // So is what an unsafe request has changed.
    storing(&one, 1, || get(&one, "/b", ""));
    let mut client = one.client();
    client.send(request("POST", "/b", "Content-Length: 0"));
    assert_eq!(client.response().status(), 200);
    eventually("the others hear of it", || {
        let fourth = connected(sharing(&origin, server.config()));
        told(&get(&fourth, "/b", "")).contains("fwd=uri-miss")
    });
}

#[test]
fn a_stampede_asks_it_once() {
    let Some(server) = RedisServer::start() else { return };
    let (origin, asked) = always("Cache-Control: max-age=60", "hello");
    let one = connected(sharing(&origin, server.config()));
    storing(&one, 1, || get(&one, "/hot", ""));
    let other = connected(sharing(&origin, server.config()));
    let before = figure(&other, "/redis/second_tier/hit");
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| assert_eq!(get(&other, "/hot", "").text(), "hello"));
        }
    });
    assert_eq!(count(&asked, "/hot"), 1);
    assert_eq!(figure(&other, "/redis/second_tier/hit") - before, 1);
}

#[test]
fn what_lies_there_wrong_is_not_believed() {
    let Some(server) = RedisServer::start() else { return };
    let (origin, asked) = always("Cache-Control: max-age=60", "hello");
    let one = connected(sharing(&origin, server.config()));
    storing(&one, 1, || get(&one, "/a", ""));
    // Of the same generation, and cut short, and then nonsense, and then of another type.
    for (number, script) in [
        "for _,k in ipairs(redis.call('KEYS','*1o:*')) do local v=redis.call('HGET',k,'v') \
         if v then redis.call('HSET',k,'v',v:sub(1,#v-3)) end end return 1",
        "for _,k in ipairs(redis.call('KEYS','*1o:*')) do local v=redis.call('HGET',k,'v') \
         if v then redis.call('HSET',k,'v',v:sub(1,16)..'nonsense') end end return 1",
        "for _,k in ipairs(redis.call('KEYS','*1o:*')) do redis.call('SET',k,'nonsense') end return 1",
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(server.ask(&["EVAL", script, "0"]), ":1\r\n");
        let other = connected(sharing(&origin, server.config()));
        let answered = figure(&other, "/redis/calls/answered");
        // The right one takes its place, but where there is something else by its name.
        let replaced = u64::from(number < 2);
        let response = storing(&other, replaced, || get(&other, "/a", ""));
        assert_eq!(response.text(), "hello");
        assert_eq!(count(&asked, "/a"), 2 + number);
        assert!(figure(&other, "/redis/calls/answered") > answered, "it was asked");
    }
}

#[test]
fn killed_hung_and_restarted_under_load_no_request_fails() {
    let Some(mut server) = RedisServer::start() else { return };
    let (origin, _asked) = always("Cache-Control: max-age=60", "hello");
    let breaker = BreakerConfig {
        open: TimeSpan::millis(50),
        max_open: TimeSpan::millis(200),
        ..BreakerConfig::default()
    };
    let redis = RedisConfig { breaker, deadline: TimeSpan::millis(20), ..server.config() };
    let rig = connected(sharing(&origin, redis));
    let (done, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for user in 0..8 {
            let (rig, done, sent) = (&rig, &done, &sent);
            scope.spawn(move || {
                let mut client = rig.client();
                for number in 0.. {
                    // One of two is in memory already.
                    let path = format!("/{user}/{}", number / 2);
                    client.send(format!("GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n"));
                    let response = client.response();
                    assert_eq!((response.status(), response.text()), (200, "hello"), "{path}");
                    sent.fetch_add(1, Relaxed);
                    if done.load(Relaxed) {
                        return;
                    }
                    thread::park_timeout(Duration::from_millis(1));
                }
            });
        }
        let more = |requests: usize| {
            let before = sent.load(Relaxed);
            eventually("requests are answered", || sent.load(Relaxed) >= before + requests);
        };
        let is = |available: bool| {
            eventually("it is known how Redis is", || {
                rig.admin_json()["redis"]["available"] == available
            });
        };
        more(200);
        server.hang();
        is(false);
        more(400);
        server.go_on();
        is(true);
        more(200);
        server.kill();
        is(false);
        more(400);
        server.restart();
        is(true);
        let kept = figure(&rig, "/redis/second_tier/kept");
        eventually("it is used again", || figure(&rig, "/redis/second_tier/kept") > kept);
        done.store(true, Relaxed);
    });
    assert_eq!(rig.sum(|stats| &stats.statuses[4]), 0);
    assert!(figure(&rig, "/redis/calls/late") > 0 && figure(&rig, "/redis/calls/lost") > 0);
}

#[test]
fn a_reload_keeps_the_connections_and_can_leave_it() {
    let Some(server) = RedisServer::start() else { return };
    let (origin, _asked) = always("Cache-Control: max-age=60", "hello");
    let config = sharing(&origin, server.config());
    let rig = connected(config.clone());
    let answered = figure(&rig, "/redis/calls/answered");
    let mut other = config.clone();
    other.cache.default_ttl = Some(TimeSpan::secs(5));
    rig.proxy.reload(other).expect("it is possible");
    assert!(figure(&rig, "/redis/calls/answered") >= answered, "it is the same");
    let mut without = config;
    without.cache.redis = None;
    rig.proxy.reload(without).expect("it is possible");
    assert!(rig.admin_json()["redis"].is_null());
    assert_eq!(get(&rig, "/after", "").text(), "hello");
}
