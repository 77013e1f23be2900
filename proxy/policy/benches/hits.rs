//! What the decisions about a cache hit cost.
//!
//! ```text
//! cargo bench -p policy --bench hits
//! ```
//!
//! Nanoseconds of one core from a request's head to the decision to give it what is kept, and the text of `Cache-Status`: read the head, make
//! the key, find it in a store of so many answers, judge `Vary` and freshness, meet the client's conditions. The head has the eight fields that
//! a browser sends. Each figure is the median of seven rounds.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant as Wall},
};

use policy::{
    Instant, Seed,
    cache::{CacheConfig, CacheStatus, Decision, Intake, Received, Rules, Store, Stored},
    message::{Answered, Asked},
};

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(100);

type Head = [(&'static str, &'static str)];

const BROWSER: &Head = &[
    ("Host", "shop.example"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "de,en-US;q=0.7,en;q=0.3"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Connection", "keep-alive"),
    ("Cookie", "lang=de; theme=dark; _ga=GA1.2.1234567890.1234567890"),
    ("Priority", "u=0, i"),
];

const REVALIDATING: &Head = &[
    ("Host", "shop.example"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "de,en-US;q=0.7,en;q=0.3"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Connection", "keep-alive"),
    ("If-None-Match", "\"5f3759df\""),
    ("Cache-Control", "max-age=0, max-stale=600"),
];

const PLAIN: &Head = &[("Cache-Control", "public, max-age=600"), ("ETag", "\"5f3759df\"")];
const VARYING: &Head = &[
    ("Cache-Control", "public, max-age=600"),
    ("ETag", "\"5f3759df\""),
    ("Vary", "Accept-Encoding, Accept-Language"),
];

fn main() {
    println!("{:<52} {:>10} {:>10}", "ns a hit", "100 URLs", "100,000");
    for (name, request, response) in [
        ("a browser", BROWSER, PLAIN),
        ("a browser, Vary of two fields", BROWSER, VARYING),
        ("a browser that has it already, Vary of two fields", REVALIDATING, VARYING),
    ] {
        let figures: Vec<f64> = [100, 100_000].map(|urls| nanos(request, response, urls)).into();
        println!("{name:<52} {:>10.0} {:>10.0}", figures[0], figures[1]);
    }
}

fn nanos(request: &Head, response: &Head, urls: usize) -> f64 {
    let rules = Rules::new(&CacheConfig { enabled: true, ..CacheConfig::default() }, Seed(7));
    let targets: Vec<String> = (0..urls).map(|n| format!("/products/{n}?page=2")).collect();
    let asked = |target: &'static str| Asked {
        client: IpAddr::from([127, 0, 0, 1]),
        method: b"GET",
        host: b"shop.example",
        target: target.as_bytes(),
        fields: &request,
    };
    let now = Instant::from_nanos(1_000_000_000);
    let received = Received { sent: now, at: now, wall: 784_111_777 };
    let mut store: Store<Arc<[u8]>> = Store::new(1 << 30, 8);
    let mut key = Vec::new();
    let targets: &'static [String] = targets.leak();
    for target in targets {
        let asked = asked(target);
        let wanted = rules.read(&asked);
        let answered = Answered { status: 200, fields: &response };
        let Intake::Store(taken) = rules.take_in(&asked, &wanted, &answered, received) else {
            panic!("is kept");
        };
        let hash = rules.key(&asked, &mut key);
        let _ = store.put(hash, &key, Stored::new(Arc::new(taken.meta), Arc::from([0; 64]), 64));
    }
    let mut out = Vec::new();
    let mut hit = |target: &'static str| {
        let asked = asked(target);
        let wanted = rules.read(&asked);
        let _ = rules.gate(&asked, &wanted);
        let hash = rules.key(&asked, &mut key);
        let variants = store.get(hash, &key).unwrap_or_default();
        match rules.serve(&asked, &wanted, variants, now) {
            Decision::Fresh(hit) | Decision::Stale(hit) => {
                let stored = &variants[hit.variant];
                let shape = rules.shape(&asked, &wanted, &stored.meta, 64);
                let value = Arc::clone(&stored.value);
                out.clear();
                CacheStatus { cache: "windtunnel", ttl: Some(hit.ttl), ..CacheStatus::default() }
                    .write(&mut out);
                std::hint::black_box((shape, value, &out));
            }
            other => panic!("{other:?}"),
        }
    };
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = Wall::now();
            let mut count = 0_u32;
            // A step that has no common divisor with the number of URLs visits all of them, far from each other.
            let mut at = 0;
            while began.elapsed() < ROUND {
                for _ in 0..100 {
                    hit(&targets[at]);
                    at = (at + 7919) % targets.len();
                }
                count += 100;
            }
            began.elapsed().as_nanos() as f64 / f64::from(count)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}
