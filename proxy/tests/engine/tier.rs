//! The cache's second tier: what is kept, found and purged there, in a real Redis and in the stand-in alike.

use std::{sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration};

use net::Clock;
use policy::{
    Seed,
    cache::{Purge, vary::Vary},
    message::Fields,
    quantity::{ByteSize, TimeSpan},
    redis::{RedisConfig, RedisMode},
};
use proxy::engine::redis::{
    Condition, Redis, StandIn, Unavailable,
    tier::{Found, Keep, Tier},
};

use crate::{
    redis::{run, run_virtually, settled, speaks},
    support::{RedisServer, eventually},
};

type Head<'a> = &'a [(&'a str, &'a str)];

const PLAIN: Head<'_> = &[];
const GZIP: Head<'_> = &[("Accept-Encoding", "gzip, br")];
/// The same in other words.
const GZIP_TOO: Head<'_> = &[("accept-encoding", "br,gzip")];

fn keep(key: &str, object: &str) -> Keep {
    Keep {
        key: key.as_bytes().into(),
        vary: Vary::default(),
        object: object.as_bytes().to_vec(),
        generation: None,
        life: Duration::from_mins(1),
        tags: Vec::new(),
    }
}

fn varying(key: &str, object: &str, head: Head<'_>) -> Keep {
    let names: [Box<str>; 1] = ["accept-encoding".into()];
    Keep { vary: Vary::of(&names, &head).expect("one field"), ..keep(key, object) }
}

/// Keeps, and waits until it is done.
async fn put(tier: &Arc<Tier>, clock: &Clock, keep: Keep) {
    let done = || tier.figures().kept.load(Relaxed) + tier.figures().not_kept.load(Relaxed);
    let before = done();
    tier.keep(*clock, keep);
    while done() == before {
        clock.sleep(Duration::from_millis(1)).await;
    }
}

async fn look(tier: &Tier, clock: &Clock, key: &str, head: Head<'_>) -> Found {
    tier.find(clock, key.as_bytes(), &head as &dyn Fields).await.expect("it is available")
}

async fn find(tier: &Tier, clock: &Clock, key: &str, head: Head<'_>) -> Option<String> {
    let object = look(tier, clock, key, head).await.object;
    object.map(|object| String::from_utf8(object).expect("letters"))
}

/// Everything that holds for both.
async fn keeps_and_purges(redis: Arc<Redis>, clock: Clock) {
    let tier = Tier::new(redis, Seed(1));
    let is = |text: &str| Some(text.to_owned());
    assert_eq!(find(&tier, &clock, "shop/a", PLAIN).await, None);
    put(&tier, &clock, keep("shop/a", "A")).await;
    put(&tier, &clock, keep("shop/b", "B")).await;
    put(&tier, &clock, keep("other/a", "O")).await;
    assert_eq!(find(&tier, &clock, "shop/a", PLAIN).await, is("A"));
    assert_eq!(find(&tier, &clock, "shop/a", GZIP).await, is("A"), "it varies by nothing");
    assert_eq!(find(&tier, &clock, "other/a", PLAIN).await, is("O"));

    // Answers that vary stand beside each other; one that varies by other things takes the place of all.
    put(&tier, &clock, varying("shop/v", "plain", PLAIN)).await;
    put(&tier, &clock, varying("shop/v", "small", GZIP)).await;
    assert_eq!(find(&tier, &clock, "shop/v", GZIP_TOO).await, is("small"));
    assert_eq!(find(&tier, &clock, "shop/v", PLAIN).await, is("plain"));
    assert_eq!(find(&tier, &clock, "shop/v", &[("Accept-Encoding", "zstd")]).await, None);
    put(&tier, &clock, keep("shop/v", "one")).await;
    assert_eq!(find(&tier, &clock, "shop/v", GZIP).await, is("one"));

    // A URL alone.
    let url = Purge::UrlWithExtras { text: b"nowhere/a".to_vec() };
    tier.purge(&clock, &url).await.expect("it is available");
    let rules = policy::cache::Rules::new(&policy::cache::CacheConfig::default(), Seed(1));
    tier.purge(&clock, &rules.url(b"shop", b"/a")).await.expect("it is available");
    assert_eq!(find(&tier, &clock, "shop/a", PLAIN).await, None);
    assert_eq!(find(&tier, &clock, "shop/b", PLAIN).await, is("B"));

    // By tag.
    let tagged = |key: &str, tags: &[&str]| Keep {
        tags: tags.iter().map(|tag| tag.as_bytes().into()).collect(),
        ..keep(key, "T")
    };
    put(&tier, &clock, tagged("shop/news/1", &["news", "front"])).await;
    put(&tier, &clock, tagged("shop/news/2", &["news"])).await;
    put(&tier, &clock, tagged("shop/front", &["front"])).await;
    tier.purge(&clock, &Purge::Tag(b"news".to_vec())).await.expect("it is available");
    for (key, there) in [("shop/news/1", None), ("shop/news/2", None), ("shop/front", is("T"))] {
        assert_eq!(find(&tier, &clock, key, PLAIN).await, there, "{key}");
    }

    // By prefix: the host loses all, others nothing, and what was on its way meanwhile is not found afterwards.
    let under_way = look(&tier, &clock, "shop/late", PLAIN).await;
    tier.purge(&clock, &Purge::Prefix(b"shop/b".to_vec())).await.expect("it is available");
    assert_eq!(find(&tier, &clock, "shop/b", PLAIN).await, None);
    assert_eq!(find(&tier, &clock, "other/a", PLAIN).await, is("O"));
    let late = Keep { generation: under_way.generation, ..keep("shop/late", "old") };
    assert!(late.generation.is_some());
    put(&tier, &clock, late).await;
    assert_eq!(find(&tier, &clock, "shop/late", PLAIN).await, None);
    put(&tier, &clock, keep("shop/late", "new")).await;
    assert_eq!(find(&tier, &clock, "shop/late", PLAIN).await, is("new"));
    // Without a slash it may be any host.
    tier.purge(&clock, &Purge::Prefix(b"oth".to_vec())).await.expect("it is available");
    assert_eq!(find(&tier, &clock, "other/a", PLAIN).await, None);

    // Too large, and too short-lived.
    let before = tier.figures().not_kept.load(Relaxed);
    put(&tier, &clock, keep("shop/large", &"x".repeat(1001))).await;
    put(&tier, &clock, Keep { life: Duration::from_millis(10), ..keep("shop/short", "S") }).await;
    assert_eq!(tier.figures().not_kept.load(Relaxed) - before, 2);
    assert_eq!(find(&tier, &clock, "shop/large", PLAIN).await, None);
}

#[test]
fn the_stand_in_keeps_and_purges() {
    run_virtually(async |clock| {
        let config = RedisConfig { largest: ByteSize(1000), ..RedisConfig::default() };
        let redis = Redis::in_memory(config, StandIn::default(), Seed(1));
        keeps_and_purges(redis, clock).await;
    });
}

#[test]
fn a_real_redis_keeps_and_purges() {
    run(async |clock| {
        let Some(server) = RedisServer::start() else { return };
        let config = RedisConfig { largest: ByteSize(1000), ..server.config() };
        let redis = Redis::real(config, Seed(1));
        settled(&redis, &clock).await;
        keeps_and_purges(redis, clock).await;
        // All of it expires, and begins with the prefix and the format's number.
        let keys = server.ask(&["KEYS", "*"]);
        let keys: Vec<&str> = keys.split("\r\n").filter(|line| line.contains(':')).collect();
        assert!(keys.len() > 3, "{keys:?}");
        for key in keys {
            assert!(key.starts_with("windtunnel:1"), "{key}");
            let expires = server.ask(&["PTTL", key]);
            assert!(!expires.starts_with(":-"), "{key}: {expires}");
        }
    });
}

#[test]
fn a_cluster_keeps_and_purges() {
    run(async |clock| {
        let Some(nodes) = RedisServer::cluster(3) else { return };
        let config = RedisConfig {
            mode: RedisMode::Cluster,
            address: None,
            addresses: nodes.iter().take(2).map(|node| node.address().to_string()).collect(),
            largest: ByteSize(1000),
            ..nodes[0].config()
        };
        assert_eq!(config.problem(), None);
        let redis = Redis::real(config, Seed(1));
        settled(&redis, &clock).await;
        speaks(&redis, &clock).await;
        keeps_and_purges(redis, clock).await;
        let keys = |node: &RedisServer| node.ask(&["DBSIZE"]);
        assert!(nodes.iter().all(|node| keys(node) != ":0\r\n"), "each has some of it");
    });
}

#[test]
fn behind_sentinels_the_new_master_is_found() {
    run(async |clock| {
        let Some(mut master) = RedisServer::start() else { return };
        let port = master.address().port().to_string();
        let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]);
        let replica = replica.expect("there is a redis-server");
        let sentinel = RedisServer::sentinel(&master).expect("there is a redis-server");
        let config = RedisConfig {
            mode: RedisMode::Sentinel,
            master: Some("main".to_owned()),
            address: Some(sentinel.address().to_string()),
            ..master.config()
        };
        assert_eq!(config.problem(), None);
        let redis = Redis::real(config, Seed(1));
        settled(&redis, &clock).await;
        let tier = Tier::new(Arc::clone(&redis), Seed(1));
        put(&tier, &clock, keep("shop/a", "A")).await;
        // Both must know of the replica, and the replica of what was written.
        eventually("the replica is known", || {
            sentinel
                .ask(&["SENTINEL", "REPLICAS", "main"])
                .contains(&replica.address().port().to_string())
                && replica.ask(&["DBSIZE"]) == master.ask(&["DBSIZE"])
        });
        master.kill();
        assert!(tier.find(&clock, b"shop/a", &PLAIN as &dyn Fields).await.is_err());
        for _ in 0..2000 {
            put(&tier, &clock, keep("shop/b", "B")).await;
            let found = tier.find(&clock, b"shop/a", &PLAIN as &dyn Fields).await;
            let found = found.is_ok_and(|found| found.object.as_deref() == Some(b"A"));
            if found && tier.figures().kept.load(Relaxed) > 1 {
                return;
            }
            clock.sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody became the master: {:?}", redis.figures());
    });
}

#[test]
fn what_was_kept_expires() {
    run_virtually(async |clock| {
        let redis = Redis::in_memory(RedisConfig::default(), StandIn::default(), Seed(1));
        let tier = Tier::new(redis, Seed(1));
        put(&tier, &clock, keep("shop/a", "A")).await;
        clock.sleep(Duration::from_secs(59)).await;
        assert!(find(&tier, &clock, "shop/a", PLAIN).await.is_some());
        clock.sleep(Duration::from_secs(2)).await;
        assert_eq!(find(&tier, &clock, "shop/a", PLAIN).await, None);
        assert_eq!(tier.figures().hits.load(Relaxed), 1);
        assert_eq!(tier.figures().misses.load(Relaxed), 1);
    });
}

#[test]
fn nothing_waits_for_it_and_little_is_under_way() {
    run_virtually(async |clock| {
        let stand_in = StandIn::default();
        let config = RedisConfig { deadline: TimeSpan::millis(20), ..RedisConfig::default() };
        let tier = Tier::new(Redis::in_memory(config, stand_in.clone(), Seed(1)), Seed(1));
        stand_in.become_(Condition::Hung);
        for number in 0..100 {
            tier.keep(clock, keep(&format!("shop/{number}"), "x"));
        }
        assert_eq!(tier.figures().not_kept.load(Relaxed), 100 - 64);
        clock.sleep(Duration::from_millis(30)).await;
        assert_eq!(tier.figures().not_kept.load(Relaxed), 100);
        let found = tier.find(&clock, b"shop/1", &PLAIN as &dyn Fields).await;
        assert_eq!(found, Err(Unavailable::Resting));
        assert_eq!(stand_in.calls(), (64, 64));
    });
}
