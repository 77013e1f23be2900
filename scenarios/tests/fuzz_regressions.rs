//! Whatever was broken once does not break again: every scenario of the regressions suite, in its world.

use std::path::PathBuf;

use scenarios::{fuzz::judge::Judge, language::load_paths};

const SUITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/suites/regressions");

#[test]
fn what_was_broken_once_holds() {
    let loaded = load_paths(&[PathBuf::from(SUITE)], &[]).expect("every file is right");
    assert!(!loaded.is_empty());
    for scenario in loaded {
        let text = std::fs::read_to_string(&scenario.path).expect("it is there");
        assert!(text.starts_with("# Broke "), "{} does not say what it broke", scenario.name);
        for variant in scenario.variants {
            for world in variant.scenario.worlds.clone() {
                let seed = variant.scenario.seed;
                let broken = Judge::of(world).run(&variant.scenario, seed, || false);
                assert_eq!(broken, Ok(Vec::new()), "{} in {world}", scenario.name);
            }
        }
    }
}
