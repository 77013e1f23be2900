//! Calls to a real Redis, and what becomes of them when it is killed, hung or full; and the stand-in beside it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use net::Clock;
use policy::{Instant, Seed, breaker::BreakerConfig, quantity::TimeSpan, redis::RedisConfig};
use proxy::engine::redis::{Condition, Memory, Redis, Script, StandIn, Unavailable, Value, cmd};

use crate::support::RedisServer;

/// Runs a test on this machine's clock.
pub(crate) fn run(test: impl AsyncFnOnce(Clock)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async { test(Clock::real()).await });
}

/// Runs a test in virtual time.
pub(crate) fn run_virtually(test: impl AsyncFnOnce(Clock)) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        test(Clock::virtual_time(1000, SystemTime::UNIX_EPOCH)).await;
    });
}

fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

/// Calls until there is an answer: connections are opened behind the caller's back.
pub(crate) async fn settled(redis: &Redis, clock: &Clock) {
    for _ in 0..2000 {
        if redis.read(clock, &cmd("PING")).await.is_ok() {
            return;
        }
        clock.sleep(Duration::from_millis(5)).await;
    }
    panic!("Redis is not there: {:?}", redis.figures());
}

/// A breaker that comes back soon.
fn quick(config: RedisConfig) -> RedisConfig {
    let breaker = BreakerConfig {
        failures: 3,
        open: TimeSpan::millis(20),
        max_open: TimeSpan::millis(100),
        ..BreakerConfig::default()
    };
    RedisConfig { breaker, ..config }
}

fn count(redis: &Redis, why: Unavailable) -> u64 {
    redis
        .figures()
        .unavailable()
        .find(|(name, _)| *name == why.name())
        .map_or(0, |(_, count)| count)
}

/// Adds to a number at a key and lets it expire: reads and writes in one step.
fn add_script() -> Script {
    fn in_memory(memory: &mut Memory, keys: &[&[u8]], arguments: &[&[u8]], now: Instant) -> Value {
        let read = |text: &[u8]| String::from_utf8_lossy(text).parse::<i64>().unwrap_or(0);
        let sum = memory.text(keys[0], now).map_or(0, read) + read(arguments[0]);
        memory.put(keys[0], sum.to_string().into_bytes(), now + Duration::from_secs(1));
        Value::Int(sum)
    }
    let lua = "local sum = redis.call('INCRBY', KEYS[1], ARGV[1])\n\
               redis.call('PEXPIRE', KEYS[1], 1000)\n\
               return sum";
    Script::new(lua, in_memory)
}

pub(crate) async fn speaks(redis: &Redis, clock: &Clock) {
    let script = add_script();
    for sum in [5, 10, 15] {
        let added = redis.eval(clock, &script, &[b"sum"], &[b"5"]).await;
        assert_eq!(added, Ok(Value::Int(sum)));
    }
    assert_eq!(redis.write(clock, cmd("SET").arg("a").arg("1")).await, Ok(Value::Okay));
    let set = cmd("SET").arg("b").arg("2").arg("PX").arg(60_000).clone();
    assert_eq!(redis.write(clock, &set).await, Ok(Value::Okay));
    assert_eq!(redis.read(clock, cmd("GET").arg("a")).await, Ok(text("1")));
    let several = Value::Array(vec![text("1"), Value::Nil, text("2")]);
    assert_eq!(redis.read(clock, cmd("MGET").arg("a").arg("x").arg("b")).await, Ok(several));
    assert_eq!(redis.write(clock, cmd("UNLINK").arg("a").arg("x")).await, Ok(Value::Int(1)));
    assert_eq!(redis.read(clock, cmd("GET").arg("a")).await, Ok(Value::Nil));
    assert_eq!(redis.read(clock, cmd("HGET").arg("h").arg("f")).await, Ok(Value::Nil));
    let none = Value::Array(vec![Value::Nil, Value::Nil]);
    assert_eq!(redis.read(clock, cmd("HMGET").arg("h").arg("f").arg("g")).await, Ok(none));
    assert_eq!(redis.write(clock, cmd("SPOP").arg("s").arg("10")).await, Ok(Value::Array(vec![])));
    assert_eq!(redis.write(clock, &cmd("NONSENSE")).await, Err(Unavailable::Refused));
}

#[test]
fn a_real_one_and_the_stand_in_say_the_same() {
    run(async |clock| {
        let stand_in = Redis::in_memory(RedisConfig::default(), StandIn::default(), Seed(1));
        speaks(&stand_in, &clock).await;
        let Some(server) = RedisServer::start() else { return };
        let real = Redis::real(server.config(), Seed(1));
        settled(&real, &clock).await;
        speaks(&real, &clock).await;
    });
}

#[test]
fn a_password_from_a_file_opens_it() {
    run(async |clock| {
        let Some(server) = RedisServer::start_with(&["--requirepass", "open sesame"]) else {
            return;
        };
        let file = server.directory().join("password");
        std::fs::write(&file, "open sesame\n").expect("it can be written");
        let config = RedisConfig { password_file: Some(file), ..server.config() };
        let redis = Redis::real(config, Seed(1));
        settled(&redis, &clock).await;
        let without = Redis::real(quick(server.config()), Seed(1));
        for _ in 0..20 {
            assert!(without.read(&clock, &cmd("PING")).await.is_err());
            clock.sleep(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn killed_it_is_unavailable_at_once_and_back_when_it_is_back() {
    run(async |clock| {
        let Some(mut server) = RedisServer::start() else { return };
        let redis = Redis::real(quick(server.config()), Seed(1));
        settled(&redis, &clock).await;
        server.kill();
        let begun = clock.now();
        let mut resting = 0;
        for _ in 0..1000 {
            let result = redis.read(&clock, &cmd("PING")).await;
            resting += u32::from(result == Err(Unavailable::Resting));
            assert!(result.is_err());
        }
        // A broken connection and a refused one are known at once: no call has waited for its deadline of 2 s.
        let took = clock.now().since(begun);
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert!(resting > 900 && !redis.is_available(), "{resting}");
        server.restart();
        settled(&redis, &clock).await;
        assert!(redis.is_available());
    });
}

#[test]
fn hung_it_costs_a_few_deadlines_and_is_back_when_it_goes_on() {
    run(async |clock| {
        let Some(server) = RedisServer::start() else { return };
        let deadline = TimeSpan::millis(50);
        let config =
            RedisConfig { deadline, connect: TimeSpan::millis(200), ..quick(server.config()) };
        let redis = Redis::real(config, Seed(1));
        settled(&redis, &clock).await;
        let late = count(&redis, Unavailable::Late);
        server.hang();
        let mut waited = 0_u64;
        for _ in 0..200 {
            waited += u64::from(redis.read(&clock, &cmd("PING")).await == Err(Unavailable::Late));
        }
        // Three open the breaker; all others but probes are refused without waiting.
        assert!((3..20).contains(&waited), "{waited}");
        assert_eq!(count(&redis, Unavailable::Late) - late, waited);
        server.go_on();
        settled(&redis, &clock).await;
    });
}

#[test]
fn a_full_one_is_still_read() {
    run(async |clock| {
        let full = ["--maxmemory", "1", "--maxmemory-policy", "noeviction"];
        let Some(server) = RedisServer::start_with(&full) else { return };
        let redis = Redis::real(server.config(), Seed(1));
        settled(&redis, &clock).await;
        let set = cmd("SET").arg("a").arg("1").clone();
        assert_eq!(redis.write(&clock, &set).await, Err(Unavailable::Full));
        let before = redis.figures().answered();
        for _ in 0..50 {
            assert_eq!(redis.write(&clock, &set).await, Err(Unavailable::Full));
            assert_eq!(redis.read(&clock, cmd("GET").arg("a")).await, Ok(Value::Nil));
        }
        assert!(redis.is_available());
        assert_eq!(
            redis.figures().answered() - before,
            50,
            "writes were refused before they were sent"
        );
        server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
        for _ in 0..2000 {
            if redis.write(&clock, &set).await.is_ok() {
                return;
            }
            clock.sleep(Duration::from_millis(5)).await;
        }
        panic!("it has room again, and nothing is written");
    });
}

#[test]
fn calls_have_a_bound_and_those_given_up_make_room() {
    run_virtually(async |clock| {
        let stand_in = StandIn::default();
        let config =
            RedisConfig { in_flight: 2, deadline: TimeSpan::secs(5), ..RedisConfig::default() };
        let redis = Redis::in_memory(config, stand_in.clone(), Seed(1));
        stand_in.become_(Condition::Hung);
        let call = || {
            let (redis, clock) = (Arc::clone(&redis), clock);
            tokio::task::spawn_local(async move { redis.read(&clock, &cmd("PING")).await })
        };
        let waiting = [call(), call()];
        tokio::task::yield_now().await;
        assert_eq!(redis.read(&clock, &cmd("PING")).await, Err(Unavailable::Busy));
        for call in waiting {
            call.abort();
            assert!(call.await.is_err_and(|error| error.is_cancelled()));
        }
        stand_in.become_(Condition::Well);
        assert!(redis.read(&clock, &cmd("PING")).await.is_ok());
    });
}

/// What the log gets.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn it_is_said_once_when_it_begins_and_once_when_it_ends() {
    let lines = Lines::default();
    let writer = lines.clone();
    let log = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false);
    tracing::subscriber::with_default(log.finish(), || {
        run_virtually(async |clock| {
            let stand_in = StandIn::default();
            let redis = Redis::in_memory(quick(RedisConfig::default()), stand_in.clone(), Seed(1));
            for condition in [Condition::Lost, Condition::Hung] {
                stand_in.become_(condition);
                for _ in 0..500 {
                    assert!(redis.read(&clock, &cmd("PING")).await.is_err());
                    clock.sleep(Duration::from_millis(1)).await;
                }
                stand_in.become_(Condition::Well);
                settled(&redis, &clock).await;
            }
            stand_in.become_(Condition::Full);
            let set = cmd("SET").arg("a").arg("1").clone();
            for _ in 0..500 {
                assert!(redis.write(&clock, &set).await.is_err());
                clock.sleep(Duration::from_millis(1)).await;
            }
        });
    });
    let said = lines.0.lock().unwrap_or_else(PoisonError::into_inner);
    let said = String::from_utf8_lossy(&said);
    let count = |what: &str| said.lines().filter(|line| line.contains(what)).count();
    assert_eq!(count("is not available"), 2, "{said}");
    assert_eq!(count("is available again"), 2, "{said}");
    assert_eq!((count("is full"), said.lines().count()), (1, 5), "{said}");
}

#[test]
fn the_stand_in_has_faults_on_demand() {
    run_virtually(async |clock| {
        let stand_in = StandIn::default();
        let config = RedisConfig { deadline: TimeSpan::millis(1), ..quick(RedisConfig::default()) };
        let redis = Redis::in_memory(config, stand_in.clone(), Seed(1));
        let get = cmd("GET").arg("a").clone();
        assert!(redis.write(&clock, cmd("SET").arg("a").arg("1")).await.is_ok());
        stand_in.become_(Condition::Hung);
        assert_eq!(redis.read(&clock, &get).await, Err(Unavailable::Late));
        stand_in.become_(Condition::Full);
        assert_eq!(redis.write(&clock, cmd("SET").arg("a").arg("2")).await, Err(Unavailable::Full));
        assert_eq!(redis.read(&clock, &get).await, Ok(text("1")));
        stand_in.become_(Condition::Lost);
        for _ in 0..3 {
            assert_eq!(redis.read(&clock, &get).await, Err(Unavailable::Lost));
        }
        assert_eq!(redis.read(&clock, &get).await, Err(Unavailable::Resting));
        stand_in.become_(Condition::Well);
        settled(&redis, &clock).await;
        assert_eq!(redis.read(&clock, &get).await, Ok(Value::Nil), "what it held is gone");
        let (calls, hit) = stand_in.calls();
        assert!(calls > hit && hit >= 6);
    });
}
