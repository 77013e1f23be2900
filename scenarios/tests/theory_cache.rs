//! The model's cache against theory: under requests that are independent of each other (the independent reference model) with Zipf's
//! popularities, the hit ratio of an LRU cache is Che's approximation.
//!
//! An object that is asked for with rate q is in the cache unless nobody asked for it in the last T, which is the time in which as many different
//! objects are asked for as the cache holds: Σ (1 − e^(−q T)) = C, and the hit ratio is Σ p (1 − e^(−q T)). Che, Tung and Wang, "Hierarchical
//! Web Caching Systems: Modeling, Design and Experimental Results", IEEE JSAC 20(7), 2002; why it is so exact: Fricker, Robert and Roberts, "A
//! versatile and accurate approximation for LRU cache performance", ITC 24, 2012.

use scenarios::{language::Scenario, model};

/// The objects that there are, and the bytes of each; what the store takes beside them is a hundredth of that.
const OBJECTS: usize = 2_000;
const BYTES: u64 = 64 << 10;
const BESIDE: u64 = 700;

/// The popularity of each object under Zipf's law.
fn popularities(exponent: f64) -> Vec<f64> {
    let weights: Vec<f64> = (1..=OBJECTS).map(|rank| (rank as f64).powf(-exponent)).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// Che's approximation, for a cache that holds so many.
fn che(popularities: &[f64], holds: f64) -> f64 {
    let filled = |t: f64| popularities.iter().map(|p| 1.0 - (-p * t).exp()).sum::<f64>();
    let (mut low, mut high) = (0.0, 1.0);
    while filled(high) < holds {
        high *= 2.0;
    }
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if filled(middle) < holds { low = middle } else { high = middle }
    }
    popularities.iter().map(|p| p * (1.0 - (-p * low).exp())).sum()
}

fn measured(exponent: f64, holds: u64, seed: u64) -> f64 {
    let size = holds * (BYTES + BESIDE);
    let text = format!(
        "duration = \"170s\"\nwarmup = \"20s\"\n[proxy.cache]\nenabled = true\nsize = \"{size}B\"\nobject = \"64KiB\"\n\
         [backends.web]\nworkers = 100\nresponse = {{ constant = \"64KiB\" }}\ncontent = {{ cache_control = \"max-age=100000\" }}\n\
         [load.all]\narrivals = {{ poisson = {{ rate = 1000.0 }} }}\n\
         request = [{{ path = \"/{{key}}\", key = {{ zipf = {{ n = {OBJECTS}, s = {exponent:?} }} }} }}]\n"
    );
    let scenario: Scenario = toml::from_str(&text).expect("a scenario");
    let outcome = model::run(&scenario, seed).expect("the model can do this");
    assert_eq!(outcome.problems, Vec::<String>::new());
    outcome.measurement.metrics.get("cache.hit_ratio").expect("there is a cache")
}

#[test]
fn the_hit_ratio_of_the_least_recently_used_is_ches() {
    for exponent in [0.7, 1.0] {
        let popularities = popularities(exponent);
        for holds in [100_u64, 300, 800] {
            let expected = che(&popularities, holds as f64);
            let found = measured(exponent, holds, holds);
            let off = (found / expected - 1.0).abs();
            println!("s = {exponent}, {holds} of {OBJECTS}: {found:.4}, by Che {expected:.4}");
            assert!(off <= 0.01, "s = {exponent}, {holds} objects: {found} and {expected}");
        }
    }
}

#[test]
fn a_cache_that_holds_all_misses_each_object_once() {
    // After the warm-up every object but the rarest has been asked for.
    let found = measured(1.0, 4 * OBJECTS as u64, 1);
    assert!(found > 0.995, "{found}");
}
