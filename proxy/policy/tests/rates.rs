//! What holds of rate limits for every sequence of arrivals.

use std::time::Duration;

use governor::{Quota as Theirs, RateLimiter, clock::FakeRelativeClock};
use policy::{
    Instant,
    balance::Key,
    message::{Asked, Edits},
    quantity::TimeSpan,
    rate::{By, Identities, Memory, Quota, RateConfig, Rates},
};
use proptest::prelude::*;

fn limit(by: &[Key], requests: u64, per: TimeSpan, burst: u64) -> RateConfig {
    RateConfig { by: By(by.to_vec()), requests, per, burst: Some(burst), ..RateConfig::default() }
}

/// One client, as every limit sees it that counts by address.
fn client(rates: &Rates, number: u32) -> Identities {
    request(rates, number, "/")
}

fn request(rates: &Rates, number: u32, target: &str) -> Identities {
    let fields: &[(&str, &str)] = &[];
    rates.identify(&Asked {
        client: std::net::IpAddr::from(number.to_be_bytes()),
        method: b"GET",
        host: b"shop",
        target: target.as_bytes(),
        fields: &fields,
    })
}

/// Pauses between arrivals: bursts, steady streams and long rests.
fn pauses() -> impl Strategy<Value = Vec<u64>> {
    let pause = prop_oneof![Just(0), 0..2_000_000_u64, 0..200_000_000_u64, 0..5_000_000_000_u64];
    prop::collection::vec(pause, 1..400)
}

proptest! {
    #[test]
    fn no_window_has_more_than_the_burst_and_the_rate(
        pauses in pauses(), requests in 1..1000_u64, per in 1..10_000_u64, burst in 1..50_u64,
    ) {
        let per = TimeSpan::millis(per);
        prop_assume!(requests as f64 / per.0.as_secs_f64() <= 1e6);
        let rates = Rates::new(&[limit(&[Key::Address], requests, per, burst)], Memory::default());
        let who = client(&rates, 7);
        let mut now = Instant::from_nanos(12_345);
        let mut admitted = Vec::new();
        for pause in pauses {
            now += Duration::from_nanos(pause);
            if rates.ask(&who, now).admits() {
                admitted.push(now);
            }
        }
        for (first, from) in admitted.iter().enumerate() {
            for (last, until) in admitted.iter().enumerate().skip(first) {
                let came = (last - first + 1) as f64;
                let rate = requests as f64 / per.0.as_secs_f64();
                let most = burst as f64 + rate * until.since(*from).as_secs_f64();
                prop_assert!(came <= most + 1e-6, "{came} of {most}");
            }
        }
    }

    #[test]
    fn who_keeps_to_the_rate_is_never_refused(
        others in prop::collection::vec(0..50_u32, 0..2000), requests in 1..1000_u64, burst in 1..20_u64, early in any::<bool>(),
    ) {
        let rates = Rates::new(&[limit(&[Key::Address], requests, TimeSpan::secs(1), burst)], Memory::default());
        let honest = client(&rates, 1_000_000);
        let interval = Quota::new(requests, Duration::from_secs(1), burst).interval;
        let mut now = Instant::from_nanos(1);
        for (number, other) in others.iter().enumerate() {
            // Abusers come again and again at the same moment.
            rates.ask(&client(&rates, *other), now);
            // Two at a time, if the burst is enough for that.
            let pair = u64::from(early && burst > 1);
            if number % (1 + pair as usize) == 0 {
                for _ in 0..=pair {
                    prop_assert!(rates.ask(&honest, now).admits());
                }
                now += Duration::from_nanos(interval * (1 + pair));
            }
        }
    }

    #[test]
    fn governor_decides_the_same(pauses in pauses(), interval in 1..1_000_000_000_u64, burst in 1..100_u32) {
        let clock = FakeRelativeClock::default();
        let theirs = Theirs::with_period(Duration::from_nanos(interval)).expect("longer than 0");
        let theirs = theirs.allow_burst(burst.try_into().expect("at least 1"));
        let theirs = RateLimiter::direct_with_clock(theirs, clock.clone());
        let ours = Quota { interval, tolerance: interval * u64::from(burst - 1) };
        let (mut known, mut now) = (0, Instant::START);
        for pause in pauses {
            let pause = Duration::from_nanos(pause);
            clock.advance(pause);
            now += pause;
            let ours = ours.ask(known, now);
            prop_assert_eq!(ours.is_ok(), theirs.check().is_ok(), "at {}", now);
            known = ours.unwrap_or(known);
        }
    }

    #[test]
    fn what_one_limit_refuses_uses_up_nothing_of_another(
        arrivals in prop::collection::vec((0..300_000_000_u64, 0..3_u32, 0..3_u8), 1..300),
    ) {
        let configs = [
            limit(&[Key::Address], 10, TimeSpan::secs(1), 3),
            limit(&[Key::Path], 5, TimeSpan::secs(1), 5),
            limit(&[], 100, TimeSpan::secs(10), 12),
        ];
        let rates = Rates::new(&configs, Memory::default());
        // The same with numbers in tables that are nobody else's.
        let (mut clients, mut paths, mut all) = ([0; 3], [0; 3], 0);
        let mut now = Instant::START;
        for (pause, who, path) in arrivals {
            now += Duration::from_nanos(pause);
            let known = [clients[who as usize], paths[usize::from(path)], all];
            let answers = [0, 1, 2].map(|at| configs[at].quota().ask(known[at], now));
            let expected = answers.iter().all(Result::is_ok);
            let judgement = rates.ask(&request(&rates, who, &format!("/{path}")), now);
            prop_assert_eq!(judgement.admits(), expected);
            if let [Ok(client), Ok(at_path), Ok(together)] = answers {
                (clients[who as usize], paths[usize::from(path)], all) = (client, at_path, together);
            } else {
                let longest = answers.iter().filter_map(|answer| answer.err()).max();
                prop_assert_eq!(judgement.wait(), longest.map(Duration::from_nanos));
            }
        }
    }

    #[test]
    fn who_waits_as_long_as_told_is_admitted(pauses in pauses(), requests in 1..100_u64, burst in 1..20_u64) {
        let rates = Rates::new(&[limit(&[], requests, TimeSpan::secs(7), burst)], Memory::default());
        let who = client(&rates, 1);
        let mut now = Instant::START;
        for pause in pauses {
            now += Duration::from_nanos(pause);
            if let Some(wait) = rates.ask(&who, now).wait() {
                let early = wait.saturating_sub(Duration::from_nanos(1));
                prop_assert!(!rates.ask(&who, now + early).admits());
                now += wait;
                prop_assert!(rates.ask(&who, now).admits());
            }
        }
    }
}

#[test]
fn clients_are_told_where_they_stand() {
    let configs = [
        RateConfig {
            name: Some("second".to_owned()),
            ..limit(&[Key::Address], 3, TimeSpan::millis(500), 2)
        },
        RateConfig { name: Some("hour".to_owned()), ..limit(&[], 10, TimeSpan::secs(3600), 10) },
        RateConfig { paths: vec!["/other".to_owned()], ..limit(&[], 1, TimeSpan::secs(1), 1) },
    ];
    let rates = Rates::new(&configs, Memory::default());
    let who = client(&rates, 1);
    let said = |edits: &Edits| {
        edits
            .added()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
            .collect::<Vec<_>>()
    };
    let ask = || {
        let judgement = rates.ask(&who, Instant::START);
        let mut edits = Edits::default();
        rates.tell(&judgement, &mut edits);
        (judgement, said(&edits))
    };
    let policies = "RateLimit-Policy: \"second\";q=6;w=1, \"hour\";q=10;w=3600";
    assert_eq!(ask().1, [policies, "RateLimit: \"second\";r=1;t=1, \"hour\";r=9;t=360"]);
    assert_eq!(ask().1, [policies, "RateLimit: \"second\";r=0;t=1, \"hour\";r=8;t=360"]);
    let (judgement, told) = ask();
    // What was refused has cost nothing of the hour.
    assert_eq!(told, [policies, "RateLimit: \"second\";r=0;t=1, \"hour\";r=8;t=360"]);
    let reply = rates.reply(&judgement).expect("a refusal");
    assert_eq!((reply.status, reply.reason), (429, "rate_limited"));
    let after =
        reply.fields.iter().find(|(name, _)| name == "Retry-After").expect("it is told when");
    assert_eq!(after.1, b"1");
    assert_eq!(
        String::from_utf8_lossy(&reply.body),
        "429: the limit `second` is 3 in 500ms; try again in 1 s\n"
    );
    let figures: Vec<_> = rates.figures().collect();
    assert_eq!(figures, [("second", 1, 1), ("hour", 0, 1), ("rate-3", 0, 0)]);
}

#[test]
fn a_reload_with_the_same_limit_goes_on_with_it() {
    let old = limit(&[Key::Address], 1, TimeSpan::secs(1), 1);
    let former = Rates::new(std::slice::from_ref(&old), Memory::default());
    let who = client(&former, 1);
    assert!(former.ask(&who, Instant::START).admits());
    let same = RateConfig { status: 503, ..old.clone() };
    let renewed = former.renewed(&[same], Memory::default());
    assert!(!renewed.ask(&who, Instant::START).admits());
    assert_eq!(renewed.figures().next(), Some(("rate-1", 1, 1)));
    let faster = RateConfig { requests: 2, ..old };
    assert!(renewed.renewed(&[faster], Memory::default()).ask(&who, Instant::START).admits());
}

#[test]
fn many_threads_together_admit_no_more_than_one_would() {
    let configs = [
        limit(&[], 1, TimeSpan::secs(1), 1000),
        limit(&[Key::Address], 1, TimeSpan::secs(1), 400),
        limit(&[Key::Path], 1, TimeSpan::secs(1), 700),
    ];
    let rates = Rates::new(&configs, Memory::default());
    let admitted = std::thread::scope(|scope| {
        let threads = [0_u32, 1, 2, 3].map(|thread| {
            let rates = &rates;
            scope.spawn(move || {
                let asks = (0..1000).map(|number| {
                    let who = request(rates, number % 4, if thread % 2 == 0 { "/a" } else { "/b" });
                    rates.ask(&who, Instant::START).admits()
                });
                asks.filter(|admitted| *admitted).count()
            })
        });
        threads.into_iter().map(|thread| thread.join().expect("it ends")).sum::<usize>()
    });
    assert_eq!(admitted, 1000);
}
