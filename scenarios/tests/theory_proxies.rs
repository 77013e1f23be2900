//! Several proxies, each with its own view, against what theory says of them.
//!
//! What a proxy counts in flight is its own. The more proxies share a load, the less each of them knows: in the limit none has anything in
//! flight when it is asked, every endpoint looks the same to it, and whatever counts requests draws at random. Then each endpoint
//! gets a Poisson stream (the random split of one, and the superposition of many sparse ones: Palm 1943, Khinchine 1960) and is an
//! M/M/1 queue. So the laws of one proxy and those of very many are known, and what lies between must lie between.

mod theory_support;

use theory_support::{
    laws::{self, Law},
    seeds,
    system::{System, mean},
};

/// So many that what one of them has in flight is nothing: of 10 to 23 requests at ten endpoints each has 0.01 to 0.023.
const VERY_MANY: u32 = 1000;

fn of_ten(strategy: &'static str, proxies: u32) -> System {
    System::new(10, strategy).memories(4.0).proxies(proxies)
}

/// Whoever has one request in flight avoids one endpoint of ten, which is busier than the others by that request: at most 23 in a
/// thousand do, and it makes less than half a per cent.
#[track_caller]
fn is_a_random_split(strategy: &'static str) {
    let alone = laws::m_m_1();
    Law { system: of_ten(strategy, VERY_MANY), ..alone }.error(0.005).holds(&[0.5, 0.7], &seeds());
}

#[test]
fn nobody_who_counts_knows_anything_among_very_many() {
    is_a_random_split("\"least_connections\"");
    is_a_random_split("\"p2c\"");
    is_a_random_split("\"join_idle_queue\"");
}

#[test]
fn the_turns_of_very_many_are_no_turns() {
    // Each endpoint gets the superposition of a thousand streams, each as regular as a clock, of which the queue sees so few arrivals within
    // its memory that nobody could tell: of each proxy 0.006 at the lower load, of which that part is missing from the variance.
    let alone = laws::m_m_1();
    let law = Law { system: of_ten("\"round_robin\"", VERY_MANY), ..alone };
    law.error(0.01).holds(&[0.5], &seeds());
}

#[test]
fn what_one_proxy_sees_many_do_not() {
    let times =
        |strategy| [1, 5, 25, 125].map(|n| mean(&of_ten(strategy, n).runs(0.8, &seeds())).value);
    let (all, two) = (times("\"least_connections\""), times("\"p2c\""));
    let random = 1.0 / (1.0 - 0.8);
    println!("least_connections {all:.3?}, p2c {two:.3?}, random {random}");
    // Each proxy more makes both worse, and never worse than chance.
    for times in [all, two] {
        assert!(times.is_sorted() && times[3] < random, "{times:?}");
    }
    // One proxy gains much from looking at all endpoints and not at two, many gain nothing. They do not herd either: each goes by
    // its own counts and draws among equals, so that no two of them want the same endpoint at the same time.
    let lead = [0, 1, 2, 3].map(|at| two[at] / all[at]);
    assert!(lead[0] > 1.3, "{lead:?}");
    assert!(lead[0] > lead[1] && lead[1] > lead[2] && (lead[3] - 1.0).abs() < 0.03, "{lead:?}");
}
