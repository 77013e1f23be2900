//! Rate limits that several proxies share over a Redis, and what holds without it.

use std::{thread, time::Duration};

use policy::{
    Seed,
    quantity::TimeSpan,
    rate::shared::{SCRIPT, arguments, key},
};
use proxy::engine::redis::{Memory, Redis, Script, Value};

use crate::{
    redis::{run, settled},
    support::{Message, Origin, RedisServer, Rig, Stopwatch, configured, eventually, with_admin},
};

/// A proxy with these limits over this Redis, as soon as it has a connection to it.
fn rig(origin: &Origin, redis: &RedisServer, limit: &str) -> Rig {
    rig_with(origin, redis, limit, "2s")
}

fn rig_with(origin: &Origin, redis: &RedisServer, limit: &str, deadline: &str) -> Rig {
    let rig = Rig::start(with_admin(configured(&format!(
        r#"
        endpoints = ["{}"]
        [limit]
        {limit}
        [limit.redis]
        address = "{}"
        deadline = "{deadline}"
        connect = "2s"
        breaker = {{ failures = 3, open = "100ms", max_open = "200ms" }}
        "#,
        origin.address(),
        redis.config().address.expect("it has one")
    ))));
    let probe = "RateLimit-Policy";
    eventually("Redis is asked", || rig.get("/probe").field(probe).is_some() && answered(&rig) > 0);
    rig
}

fn answered(rig: &Rig) -> u64 {
    rig.admin_json()["redis"]["calls"]["answered"].as_u64().expect("a number")
}

fn limited(message: &Message) -> bool {
    assert!([200, 429].contains(&message.status()), "{}", message.status());
    message.status() == 429
}

#[test]
fn the_script_asks_all_limits_before_it_charges_any() {
    run(async |clock| {
        let Some(server) = RedisServer::start() else { return };
        let redis = Redis::real(server.config(), Seed(1));
        settled(&redis, &clock).await;
        fn nothing(_: &mut Memory, _: &[&[u8]], _: &[&[u8]], _: policy::Instant) -> Value {
            Value::Nil
        }
        let script = Script::new(SCRIPT, nothing);
        // Two in an hour at once, then one each half hour; and three.
        let hour = Duration::from_hours(1);
        let quotas = [(2, 2), (3, 3)]
            .map(|(requests, burst)| policy::rate::Quota::new(requests, hour, burst));
        let ask = async |whose: [u128; 2]| -> (i64, [i64; 2]) {
            let keys = [0, 1].map(|at| key("p:", ["two", "three"][at], whose[at]));
            let told: Vec<String> = quotas.iter().flat_map(arguments).collect();
            let keys: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
            let told: Vec<&[u8]> = told.iter().map(String::as_bytes).collect();
            match redis.eval(&clock, &script, &keys, &told).await {
                Ok(Value::Array(list)) => match list[..] {
                    [Value::Int(refused), Value::Int(one), Value::Int(two)] => {
                        (refused, [one, two])
                    }
                    _ => panic!("{list:?}"),
                },
                other => panic!("{other:?}"),
            }
        };
        // How far ahead, in twelfths of an hour: what passes meanwhile is less.
        let twelfths = |ahead: [i64; 2]| ahead.map(|nanos| (nanos as f64 / 3e11).ceil() as i64);
        let steps = [
            ([1, 1], (0, [6, 4])),
            ([1, 1], (0, [12, 8])),
            // The first refuses, and the second is not charged.
            ([1, 1], (1, [12, 8])),
            ([2, 1], (0, [6, 12])),
            // The second refuses, and the first is not charged.
            ([2, 1], (1, [6, 12])),
            ([3, 2], (0, [6, 4])),
        ];
        for (whose, (refused, ahead)) in steps {
            let (said, far) = ask(whose).await;
            assert_eq!((said, twelfths(far)), (refused, ahead), "{whose:?}");
        }
        // What is known of a client is forgotten when it means nothing any more.
        let expires = server.ask(&["PTTL", &key("p:", "two", 1)]);
        let millis: i64 = expires.trim_start_matches(':').trim().parse().expect(&expires);
        assert!((3_500_000..=3_600_000).contains(&millis), "{millis}");
        // A time that lies further ahead than any can, because a clock was set back, is cut to a full bucket.
        server.ask(&["SET", &key("p:", "two", 9), "9e15"]);
        let (refused, far) = ask([9, 9]).await;
        assert_eq!((refused, twelfths(far)[0]), (1, 12));
        // What is no number is nothing.
        server.ask(&["SET", &key("p:", "two", 10), "nonsense"]);
        assert_eq!(ask([10, 10]).await.0, 0);
    });
}

#[test]
fn two_proxies_admit_together_what_one_would() {
    let Some(redis) = RedisServer::start() else { return };
    let origin = Origin::saying("ok");
    let limit = r#"rate = [{ paths = ["/probe"], requests = 1000 }, { paths = ["/x"], requests = 30, per = "1h" }]"#;
    let rigs = [(); 2].map(|()| rig(&origin, &redis, limit));
    let admitted = (0..60).filter(|turn| !limited(&rigs[turn % 2].get("/x"))).count();
    assert_eq!(admitted, 30);
}

#[test]
fn two_proxies_keep_to_the_rate_together() {
    let Some(redis) = RedisServer::start() else { return };
    let origin = Origin::saying("ok");
    let limit = r#"rate = [{ paths = ["/probe"], requests = 1000 }, { paths = ["/x"], requests = 200, burst = 5 }]"#;
    let rigs = [(); 2].map(|()| rig(&origin, &redis, limit));
    let clock = net::Clock::real();
    let begun = clock.now();
    let admitted: u32 = thread::scope(|scope| {
        let threads = rigs.each_ref().map(|rig| {
            scope.spawn(move || {
                let mut client = rig.client();
                let mut admitted = 0;
                while clock.now().since(begun) < Duration::from_secs(2) {
                    client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
                    admitted += u32::from(!limited(&client.response()));
                }
                admitted
            })
        });
        threads.into_iter().map(|thread| thread.join().expect("it ends")).sum()
    });
    let most = 5.0 + 200.0 * clock.now().since(begun).as_secs_f64();
    // However slow this machine is, there were never more; and each has asked more than once.
    assert!(f64::from(admitted) <= most + 1.0 && admitted > 10, "{admitted} of {most}");
}

#[test]
fn what_holds_without_a_redis_is_as_configured() {
    for (on_failure, expected) in [("local", [429; 4]), ("open", [200; 4]), ("closed", [503; 4])] {
        let Some(mut redis) = RedisServer::start() else { return };
        let origin = Origin::saying("ok");
        let limit = format!(
            "on_failure = \"{on_failure}\"\nrate = [{{ paths = [\"/probe\"], requests = 1000 }}, {{ paths = [\"/x\"], requests = 2, per = \"1h\" }}]"
        );
        let rig = rig(&origin, &redis, &limit);
        assert_eq!([(); 3].map(|()| rig.get("/x").status()), [200, 200, 429]);
        redis.kill();
        // The proxy's own count goes on from what Redis has said last.
        assert_eq!([(); 4].map(|()| rig.get("/x").status()), expected, "{on_failure}");
        if on_failure == "closed" {
            let refused = rig.get("/x");
            assert_eq!(refused.field("Retry-After").as_deref(), Some("1"));
            let why = refused.field("Proxy-Status").expect("it says why");
            assert!(why.contains("limits_unknown"), "{why}");
        }
        // It comes back empty, and is asked again.
        redis.restart();
        let before = answered(&rig);
        eventually("it is asked again", || {
            rig.get("/probe");
            answered(&rig) > before
        });
        assert_eq!([(); 3].map(|()| rig.get("/x").status()), [200, 200, 429], "{on_failure}");
    }
}

#[test]
fn a_redis_that_hangs_costs_a_request_the_deadline_and_then_nothing() {
    let Some(redis) = RedisServer::start() else { return };
    let origin = Origin::saying("ok");
    let rig = rig_with(&origin, &redis, "rate = [{ requests = 1000 }]", "200ms");
    redis.hang();
    let watch = Stopwatch::start();
    let answers: Vec<u16> = (0..4).map(|_| rig.get("/").status()).collect();
    assert_eq!(answers, [200; 4]);
    // Three wait for their deadline, then the breaker lets nobody wait any more.
    watch.shows_at_least(TimeSpan::millis(600));
    redis.go_on();
}
