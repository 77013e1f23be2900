//! Purges as events: in every world they forget what they name, and one that finds nothing is said to.

use scenarios::{
    interrupt::Interrupt,
    language::Scenario,
    live, model,
    outcome::{Outcome, Watcher},
    sim::{self, Network},
};

struct Nobody;

impl Watcher for Nobody {
    fn at(&mut self, _: std::time::Duration, _: loadgen::Snapshot) {}
}

/// One page, asked for twenty times a second for two seconds, and these events.
fn scenario(head: &str, events: &[(&str, &str)]) -> Scenario {
    let events = events.iter().map(|(at, event)| format!("[[events]]\nat = \"{at}\"\n{event}\n"));
    let events: String = events.collect();
    let text = format!(
        "{head}\nduration = \"2s\"\n[proxy.cache]\nenabled = true\n[backends.web]\nworkers = 4\nservice = {{ constant = \"1ms\" }}\n\
         [backends.web.content]\ncache_control = \"max-age=600, stale-while-revalidate=60\"\netag = true\ntags = \"news\"\n\
         [load.readers]\narrivals = {{ constant = {{ rate = 20.0 }} }}\nrequest = [{{ path = \"/page?a=1\" }}]\n{events}"
    );
    toml::from_str(&text).expect("a scenario")
}

/// The same in every world.
fn everywhere(scenario: &Scenario) -> [(&'static str, Outcome); 3] {
    let never = Interrupt::never();
    let model = model::run(scenario, 1).expect("the model can do this").into();
    let sim = sim::run(scenario, 1, Network::Memory, &never, &mut Nobody).expect("it can be run");
    let live = live::run(scenario, 1, &never, &mut Nobody).expect("it can be run");
    [("model", model), ("sim", sim), ("live", live)]
}

fn counted(outcome: &Outcome, name: &str) -> u64 {
    // Counts, which floats hold exactly.
    outcome.measurement.metrics.get(&format!("proxy.cache.{name}")).unwrap_or(f64::NAN) as u64
}

fn notes(outcome: &Outcome) -> Vec<&str> {
    let of_purges = |note: &&str| note.contains("purge");
    outcome.notes.iter().map(String::as_str).filter(of_purges).collect()
}

#[test]
fn what_is_named_is_forgotten() {
    let events = [
        ("325ms", "purge = { path = \"/page?a=1\" }"),
        ("625ms", "purge = { prefix = \"/pa\" }"),
        ("925ms", "purge = { tag = \"news\" }"),
        ("1225ms", "purge = { everything = true }"),
    ];
    for (world, outcome) in everywhere(&scenario("", &events)) {
        assert_eq!(notes(&outcome), Vec::<&str>::new(), "{world}");
        assert_eq!(counted(&outcome, "misses"), 5, "{world}: at the start, and after each purge");
        assert_eq!(counted(&outcome, "stored"), 5, "{world}");
    }
}

#[test]
fn what_is_purged_softly_is_given_while_it_is_fetched_anew() {
    let events = [("325ms", "purge = { path = \"/page?a=1\", soft = true }")];
    for (world, outcome) in everywhere(&scenario("", &events)) {
        assert_eq!(notes(&outcome), Vec::<&str>::new(), "{world}");
        let of = |name| counted(&outcome, name);
        assert_eq!((of("misses"), of("stale"), of("refreshes")), (1, 1, 1), "{world}");
    }
}

#[test]
fn a_purge_of_nothing_is_reported() {
    let events = [
        ("325ms", "purge = { path = \"/page\" }"),
        ("625ms", "purge = { tag = \"sports\", soft = true }"),
    ];
    for (world, outcome) in everywhere(&scenario("", &events)) {
        let expected = [
            "the event at 325ms, purge /page, found nothing",
            "the event at 625ms, purge tag sports, soft, found nothing",
        ];
        assert_eq!(notes(&outcome), expected, "{world}");
        assert_eq!(counted(&outcome, "misses"), 1, "{world}");
    }
}

#[test]
fn of_several_proxies_one_may_be_meant() {
    let events = [("1025ms", "proxy = 1\npurge = { everything = true }")];
    for (world, outcome) in everywhere(&scenario("proxies = 2", &events)) {
        assert_eq!(notes(&outcome), Vec::<&str>::new(), "{world}");
        assert_eq!(counted(&outcome, "misses"), 3, "{world}: each at its start, and one again");
    }
}
