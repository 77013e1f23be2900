//! The model against the network in memory.
//!
//! Two comparisons of each scenario, with the same seeds.
//!
//! *In whole microseconds* ([`whole`](crate::whole)) nothing is rounded, and every figure of the report must be the same to its last
//! digit: some two hundred of them, per load, endpoint and phase, with every counter of the proxy. [`Whole`] says where that
//! cannot be, and why.
//!
//! *As it is written* each request takes up to two microseconds longer in `sim` (it is sent and served at the next whole one). Where
//! that cannot change a decision, or has to be lucky to, [`ROUNDING`] holds: percentiles are within one bucket of the
//! histogram, and every count is the same. Where somebody decides by who came first (a queue that is always full, a
//! strategy that looks at what is in flight), one order in a thousand changes, and from there on the runs are two draws from one
//! law: [`ORDER`], and [`OVERLOAD`] where every request is such a decision. One run in ten may be so lucky. And whatever the bounds
//! leave room for: over many seeds neither world may be off ([`Pairs`]).

use scenarios::sim::Network::Memory;

use crate::{
    compare::{Bounds, apart, differences},
    in_model, in_sim, load,
    paired::Pairs,
    seeds, show, whole,
};

/// Two microseconds, and a bucket of the histogram (three significant digits).
const ROUNDING: Bounds =
    Bounds { part: 0.001, tail: 0.001, ms: 0.003, rate: 0.0, share: 0.0, errors: 0.0, few: 0.0 };

/// Some requests are served by another endpoint, as well or as badly. The median of 1,000 exponential times has a standard error of
/// 4.5 %, 6.5 % between two runs, which however share most of their requests; the 99th percentile is the tenth worst, of which the
/// standard error is some 7 % for an exponential tail, and 10 % between two runs; an endpoint's part of 1,000 requests, by law 20 %, has one of 1.3 points.
const ORDER: Bounds =
    Bounds { part: 0.08, tail: 0.3, ms: 0.1, rate: 0.004, share: 4.0, errors: 0.004, few: 2.0 };

/// Among endpoints that are as good as each other, whoever goes by figures of nanoseconds prefers now this one and now that one for a while:
/// an endpoint's part of the requests of five seconds has a standard error of some 2 points for itself.
const CHOICES: Bounds = Bounds { part: 0.06, share: 9.0, ..ORDER };

/// Who is refused is another one after the first few seconds, and with that all the work that is served: of some 800 requests
/// with exponential work the sum varies by 3.5 %, and with it how many can be served.
const OVERLOAD: Bounds =
    Bounds { part: 0.1, tail: 0.2, ms: 0.1, rate: 0.06, share: 6.0, errors: 0.04, few: 2.0 };

/// Each connection draws the latency of its packets from streams of its own, and the model has one stream a link: the same law and
/// other draws, four for each request, of 0.58 ms standard deviation each. A percentile of 900 requests varies by some
/// per cent with them; the counts do not.
const DRAWS: Bounds =
    Bounds { part: 0.06, tail: 0.15, ms: 0.1, rate: 0.0, share: 0.0, errors: 0.0, few: 0.0 };

/// What two runs in whole microseconds may differ in. Whatever it is: in one run of five an arrival and a departure may come in the
/// very same microsecond, and where somebody decides by their order, which is the scheduler's, it is another run of the same law from
/// there on.
#[derive(Clone, Copy)]
enum Whole {
    /// Nothing.
    Nothing,
    /// Times by two microseconds, and what is made of them: some times are not whole. A closed loop's first thought is a part of
    /// one, a part of a processor is a part of a microsecond, and so is what is left of a demand. So an order may change as where nothing is whole.
    Times,
    /// In which order requests that died with an endpoint, at the same moment, are tried again: the one picks the endpoint that the
    /// other would have, so that these figures of endpoints change places (and one more or less that cannot be tried again
    /// goes to the endpoint that dies next). What clients see is the same.
    Order,
    /// Nothing, but that same microsecond comes in every third run: somebody always waits, and each arrival is a decision.
    Crowded(Bounds),
    /// All that the draws of the latencies make of it.
    Law(Bounds),
}

/// Figures that tell endpoints apart.
const OF_ENDPOINTS: [&str; 8] = [
    "in_flight.mean",
    "in_flight.max",
    ".requests",
    ".share",
    "jain",
    "imbalance",
    "upstream_connects",
    "upstream_reuses",
];

/// Holds a scenario's runs together, in so many seeds.
fn agree(name: &str, kind: Whole, written: Bounds) {
    let (mut runs, mut others, mut lucky) = (0, 0, 0);
    let variants = load(name);
    let count = if variants.len() == 1 { 3 } else { 2 };
    for (what, scenario) in variants {
        let mut pairs = Pairs::default();
        for seed in seeds(count) {
            let microseconds = whole::microseconds(&scenario, seed);
            let (model, sim) = (in_model(&microseconds, seed), in_sim(&microseconds, seed, Memory));
            assert!(model.metrics.len() > 50, "{what}: hardly a figure");
            let found = match kind {
                Whole::Nothing | Whole::Crowded(_) => differences(&model, &sim, 0.0, &[]),
                Whole::Times => differences(&model, &sim, 0.002, &[]),
                Whole::Order => differences(&model, &sim, 0.0, &OF_ENDPOINTS),
                Whole::Law(_) => Vec::new(),
            };
            runs += 1;
            others += u64::from(!found.is_empty());
            show(&format!("{what}, seed {seed}, in whole microseconds"), &found);
            let law = match kind {
                Whole::Crowded(law) | Whole::Law(law) => law,
                _ => ORDER,
            };
            let found = apart(&model, &sim, law);
            assert!(found.is_empty(), "{what}, seed {seed}, in whole microseconds:\n{found:#?}");

            let (model, sim) = (in_model(&scenario, seed), in_sim(&scenario, seed, Memory));
            show(&format!("{what}, seed {seed}, as it is written"), &apart(&model, &sim, ROUNDING));
            let found = apart(&model, &sim, written);
            if !found.is_empty() && apart(&model, &sim, ORDER).is_empty() {
                lucky += 1;
            } else {
                assert!(found.is_empty(), "{what}, seed {seed}, as it is written:\n{found:#?}");
            }
            pairs.add(&model, &sim);
        }
        assert_eq!(pairs.off(), Vec::<String>::new(), "{what}, as it is written");
    }
    assert!(
        lucky <= runs / 10,
        "{name}: {lucky} of {runs} runs are another draw as they are written"
    );
    let most = if let Whole::Crowded(_) | Whole::Times = kind { runs / 2 } else { runs / 5 };
    assert!(others <= most, "{name}: {others} of {runs} runs differ in whole microseconds");
}

#[test]
fn a_queue() {
    agree("queue", Whole::Nothing, ROUNDING);
}

#[test]
fn processor_sharing() {
    agree("sharing", Whole::Times, ROUNDING);
}

#[test]
fn users_that_think() {
    agree("users", Whole::Times, ORDER);
}

#[test]
fn weights_and_two_kinds_of_endpoints() {
    agree("weights", Whole::Nothing, ROUNDING);
}

#[test]
fn each_strategy_and_clients_that_give_up() {
    agree("strategies", Whole::Nothing, ORDER);
}

#[test]
fn strategies_that_read_load_reports() {
    agree("reports", Whole::Crowded(CHOICES), CHOICES);
}

#[test]
fn a_strategy_that_probes() {
    agree("probes", Whole::Nothing, CHOICES);
}

#[test]
fn a_crash_health_checks_and_a_restart() {
    agree("crash", Whole::Order, Bounds { share: 0.3, ..ROUNDING });
}

#[test]
fn ejection() {
    agree("ejection", Whole::Nothing, ORDER);
}

#[test]
fn retries_and_their_budget() {
    agree("retries", Whole::Nothing, ROUNDING);
}

#[test]
fn a_hang_and_the_timeouts() {
    agree("hang", Whole::Nothing, ROUNDING);
}

#[test]
fn overload_limits_and_the_waiting_room() {
    agree("overload", Whole::Crowded(OVERLOAD), OVERLOAD);
}

#[test]
fn latency_that_is_drawn() {
    agree("latency", Whole::Law(DRAWS), DRAWS);
}

#[test]
fn a_slow_link_a_cut_one_and_cut_clients() {
    agree("links", Whole::Crowded(ORDER), ORDER);
}

#[test]
fn endpoints_that_come_and_go() {
    agree("scale", Whole::Nothing, ORDER);
}

#[test]
fn endpoints_that_warm_up() {
    agree("slow-start", Whole::Order, ORDER);
}

#[test]
fn load_that_spills_over_to_the_next_tier() {
    agree("tiers", Whole::Nothing, ORDER);
}

#[test]
fn sessions_that_are_bound_by_a_cookie() {
    agree("sticky", Whole::Nothing, ORDER);
}

#[test]
fn proxies_that_use_a_part_of_the_endpoints() {
    agree("subsets", Whole::Nothing, ORDER);
}

#[test]
fn heavy_tails_and_full_endpoints() {
    agree("heavy-tail", Whole::Nothing, ORDER);
}

#[test]
fn bursts_of_clients_that_come_once() {
    agree("bursts", Whole::Nothing, ROUNDING);
}

#[test]
fn a_load_that_climbs_and_falls() {
    agree("stages", Whole::Nothing, ORDER);
}

#[test]
fn five_proxies_each_with_its_own_view() {
    agree("proxies", Whole::Times, ORDER);
}

#[test]
fn what_happens_to_one_proxy_of_several() {
    agree("some-proxies", Whole::Crowded(ORDER), ORDER);
}

#[test]
fn a_crash_that_each_of_several_proxies_finds_out_for_itself() {
    agree("each-finds-out", Whole::Order, Bounds { share: 0.3, ..ROUNDING });
}

#[test]
fn endpoints_that_remember() {
    agree("memory", Whole::Times, ORDER);
}

#[test]
fn sessions() {
    agree("sessions", Whole::Nothing, ORDER);
}

#[test]
fn clients_that_are_sent_to_the_endpoints() {
    agree("redirect", Whole::Times, ORDER);
}

#[test]
fn what_is_kept_goes_stale_and_is_fetched_anew() {
    agree("cache", Whole::Times, ORDER);
}

#[test]
fn limits_of_clients_and_of_the_upstream() {
    agree("limits", Whole::Nothing, ORDER);
}

#[test]
fn routes_and_filters() {
    agree("filters", Whole::Nothing, ORDER);
}

#[test]
fn three_services_each_with_a_pool_of_its_own() {
    agree("pools", Whole::Nothing, ORDER);
}

#[test]
fn a_crash_in_one_of_two_pools() {
    agree("pool-crash", Whole::Order, Bounds { share: 0.3, ..ROUNDING });
}
