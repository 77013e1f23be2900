//! Each invariant breaks where it should and holds where it should, told made-up facts.

use std::{sync::Arc, time::Duration};

use policy::{
    Instant,
    endpoint::{Endpoint, Endpoints, Outcome, Transition},
    outlier::{self, OutlierConfig},
    retry::{Idempotence, RetryBudget},
};
use proptest::prelude::*;
use proxy::{
    config::{EndpointConfig, ProxyConfig},
    engine::{Out, Standing},
};
use reports::InvariantResult;
use scenarios::{
    invariants::{End, Invariants, Sending, Turn},
    language::Scenario,
};

fn scenario(rest: &str) -> Scenario {
    let text =
        format!("duration = \"60s\"\n{rest}\n[backends.web]\ncount = 3\n[load.a]\nusers = 1");
    toml::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn config(rest: &str) -> ProxyConfig {
    let mut config: ProxyConfig = toml::from_str(rest).expect("a configuration");
    for (index, port) in (9000..9003).enumerate() {
        let address = ([127, 0, 0, 1], port).into();
        let name = Some(format!("web-{index}"));
        config.endpoints.push(EndpointConfig { name, ..EndpointConfig::new(address) });
    }
    config
}

fn secs(seconds: f64) -> Instant {
    Instant::from_secs_f64(seconds)
}

/// A checker that was told one proxy with this configuration.
fn watching(rest: &str) -> (Invariants, u32) {
    let mut invariants = Invariants::new(&scenario(""), Instant::START);
    let process = invariants.process(0);
    let number = invariants.configured(Instant::START, (process, ""), &config(rest));
    (invariants, number)
}

fn result(invariants: &mut Invariants, name: &str) -> InvariantResult {
    let results = invariants.finish(secs(60.0), End::Complete);
    let mut names: Vec<&str> = results.iter().map(|result| &*result.name).collect();
    for result in &results {
        assert!(result.broken <= result.checked, "{result:?}");
        assert_eq!(result.unchecked.is_some(), result.checked == 0, "{result:?}");
        assert!(result.promise.ends_with('.'), "{result:?}");
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 8);
    results.into_iter().find(|result| result.name == name).expect("it is one of them")
}

#[track_caller]
fn holds(invariants: &mut Invariants, name: &str, checked: u64) {
    let result = result(invariants, name);
    assert_eq!((result.checked, result.broken, &result.examples), (checked, 0, &Vec::new()));
}

#[track_caller]
fn breaks(invariants: &mut Invariants, name: &str, example: &str) {
    let result = result(invariants, name);
    assert_eq!((result.broken, result.examples), (1, vec![example.to_owned()]));
}

fn turn(configuration: u32, place: u32, standing: Standing) -> Turn {
    Turn { begun: secs(1.0), configuration, place, standing, failed: 0 }
}

const fn out(why: Out, ready: u32) -> Standing {
    Standing::Out { why, ready, serving: 3 }
}

#[test]
fn a_request_has_one_outcome() {
    let (mut all, _) = watching("");
    for number in 0..3 {
        all.sent(secs(1.0), number % 2, number.into());
        all.ended(secs(2.0), number % 2, number.into());
        all.sent_by_number(number.into());
        all.ended_by_number(secs(2.0), number.into());
    }
    all.sent_and_ended(secs(3.0), 5, 5);
    holds(&mut all, "one_outcome", 11);

    let (mut all, _) = watching("");
    all.sent(secs(1.0), 0, 7);
    all.ended(secs(2.0), 0, 7);
    all.ended(secs(3.0), 0, 7);
    breaks(&mut all, "one_outcome", "at 3s request 7 ended once more");

    let (mut all, _) = watching("");
    all.sent(secs(1.0), 4, 7);
    breaks(&mut all, "one_outcome", "at 60s request 7 had no outcome");

    let (mut all, _) = watching("");
    all.sent(secs(1.0), 0, 7);
    all.sent(secs(2.0), 0, 8);
    all.ended(secs(3.0), 0, 8);
    let example = "at 2s request 7 had not ended when request 8 took its place";
    breaks(&mut all, "one_outcome", example);

    let (mut all, _) = watching("");
    all.ended_by_number(secs(2.0), 9);
    breaks(&mut all, "one_outcome", "at 2s request 9 ended once more");

    let (mut all, _) = watching("");
    all.sent_and_ended(secs(2.0), 10, 11);
    breaks(&mut all, "one_outcome", "at 2s 10 requests were sent, and 11 have ended");

    // Whoever interrupts a run asks for requests without outcome.
    let (mut all, _) = watching("");
    all.sent(secs(1.0), 0, 7);
    let results = all.finish(secs(2.0), End::Interrupted);
    assert!(results.iter().all(InvariantResult::holds));
}

#[test]
fn a_wrong_body_breaks_it_and_none_says_why() {
    let (mut all, _) = watching("");
    all.bodies(9, 0, None);
    holds(&mut all, "intact_bodies", 9);
    all.bodies(2, 1, Some("request 4: the answer's body is wrong from byte 3 on"));
    let example = "request 4: the answer's body is wrong from byte 3 on";
    breaks(&mut all, "intact_bodies", example);
    let (mut all, _) = watching("");
    all.without_bodies("no bytes are moved");
    let result = result(&mut all, "intact_bodies");
    assert_eq!(result.unchecked.as_deref(), Some("no bytes are moved"));
}

#[test]
fn nothing_goes_to_an_endpoint_out_of_use_but_for_panic() {
    let (mut all, number) = watching("balance = { panic_threshold = 0.5 }");
    all.turned(secs(2.0), &turn(number, 0, Standing::Ready), || Some(1));
    // One of three is fewer than half, and an ejection that is over is none.
    all.turned(secs(2.0), &turn(number, 0, out(Out::Down, 1)), || Some(2));
    let over = out(Out::Ejected(secs(2.0)), 2);
    all.turned(secs(2.0), &turn(number, 0, over), || Some(3));
    holds(&mut all, "only_ready", 3);
    all.turned(secs(2.0), &turn(number, 2, out(Out::Down, 2)), || Some(4));
    let example = "at 2s request 4 went to web-2, which its health checks hold to be down, while 2 of 3 are ready";
    breaks(&mut all, "only_ready", example);

    for (why, example) in [
        (Out::Ejected(secs(5.5)), "which is ejected for 3.5s more, while 2 of 3 are ready"),
        (Out::Draining, "which drains, while 2 of 3 are ready"),
    ] {
        let (mut all, number) = watching("");
        all.turned(secs(2.0), &turn(number, 1, out(why, 2)), || None);
        let example = format!("at 2s a request without a number went to web-1, {example}");
        breaks(&mut all, "only_ready", &example);
    }
    // What drains takes nothing even then.
    let (mut all, number) = watching("");
    all.turned(secs(2.0), &turn(number, 1, out(Out::Draining, 0)), || None);
    assert_eq!(result(&mut all, "only_ready").broken, 1);
}

#[test]
fn a_removed_endpoint_is_used_by_those_who_came_before() {
    let mut all = Invariants::new(&scenario(""), Instant::START);
    let process = all.process(0);
    let first = all.configured(Instant::START, (process, ""), &config(""));
    let mut smaller = config("");
    smaller.endpoints.remove(1);
    let second = all.configured(secs(5.0), (process, ""), &smaller);
    for begun in [4.0, 5.0] {
        let turn = Turn { begun: secs(begun), ..turn(first, 1, Standing::Ready) };
        all.turned(secs(7.0), &turn, || Some(1));
    }
    // Its place there is another's here.
    let begun = secs(6.0);
    all.turned(secs(7.0), &Turn { begun, ..turn(second, 1, Standing::Ready) }, || Some(2));
    all.turned(secs(7.0), &Turn { begun, ..turn(first, 2, Standing::Ready) }, || Some(3));
    holds(&mut all, "only_ready", 4);
    all.turned(secs(7.0), &Turn { begun, ..turn(first, 1, Standing::Ready) }, || Some(4));
    let example = "at 7s request 4 went to web-1, which had been removed before it began";
    breaks(&mut all, "only_ready", example);
}

#[test]
fn what_must_not_be_repeated_is_not() {
    let (mut all, number) = watching("retry = { attempts = 1 }");
    let sending =
        |idempotence, before| Sending { configuration: number, place: 1, idempotence, before };
    all.sending(secs(1.0), &sending(Idempotence::NonIdempotent, 0), || Some(1));
    for before in 0..4 {
        all.sending(secs(1.0), &sending(Idempotence::Idempotent, before), || Some(2));
    }
    holds(&mut all, "never_twice", 1);
    holds(&mut all, "limits", 3);
    all.sending(secs(3.0), &sending(Idempotence::NonIdempotent, 1), || Some(1));
    let example = "at 3s request 1, which is not idempotent, went to web-1 after 1 sendings";
    breaks(&mut all, "never_twice", example);
    all.sending(secs(4.0), &sending(Idempotence::Idempotent, 4), || Some(2));
    breaks(&mut all, "limits", "at 4s request 2 was sent 5 times, and 4 may be");
}

#[test]
fn the_endpoints_know_what_came_twice_whatever_the_proxy_says() {
    let (mut all, _) = watching("");
    all.arrivals([("web-0", vec![1, 3]), ("web-1", vec![2])].into_iter());
    holds(&mut all, "never_twice", 3);
    all.arrivals([("web-0", vec![4]), ("web-1", vec![5, 4])].into_iter());
    let example = "request 4, which is not idempotent, came to web-0 and to web-1";
    breaks(&mut all, "never_twice", example);
    let (mut all, _) = watching("");
    all.came_again(secs(2.0), 7, "web-1");
    let example = "at 2s request 7, which is not idempotent, came to web-1 and had come before";
    breaks(&mut all, "never_twice", example);
}

#[test]
fn places_come_back() {
    let endpoint = |name: &str| Arc::new(Endpoint::new(name, 1, u32::MAX));
    let endpoints = [endpoint("web-0"), endpoint("web-1"), endpoint("web-1")];
    let (mut all, number) = watching("");
    for place in [0, 1, 1] {
        all.taken(secs(1.0), number, place);
        assert!(endpoints[place as usize].try_begin());
    }
    all.compare_in_flight(secs(1.5), endpoints.iter().chain(&endpoints));
    for place in [1, 0, 1] {
        all.given_back(secs(2.0), number, place);
        endpoints[place as usize].end();
    }
    all.compare_in_flight(secs(3.0), endpoints.iter());
    all.at_rest(secs(3.0));
    holds(&mut all, "in_flight", 2 + 3 + 2 + 4);

    // Leaked by the proxy: it says one too many.
    assert!(endpoints[1].try_begin());
    all.compare_in_flight(secs(4.0), endpoints.iter());
    breaks(&mut all, "in_flight", "at 4s web-1 counted 1 requests in flight, and 0 were there");

    let (mut all, number) = watching("");
    all.given_back(secs(2.0), number, 2);
    breaks(&mut all, "in_flight", "at 2s a place at web-2 was given back that nobody had");

    let (mut all, number) = watching("");
    all.taken(secs(2.0), number, 2);
    all.at_rest(secs(9.0));
    let example = "at 9s 1 requests were still in flight at web-2, when all was over";
    breaks(&mut all, "in_flight", example);

    let (mut all, number) = watching("");
    all.waits(secs(2.0), number);
    all.at_rest(secs(9.0));
    let example = "at 9s 1 requests were still waiting in the proxy, when all was over";
    breaks(&mut all, "in_flight", example);
}

#[test]
fn limits_are_kept() {
    let limits = "limits = { connections = 2, endpoint_in_flight = 2, endpoint_connections = 2 }\n\
                  queue = { max_waiting = 2 }\noutlier = { max_ejection = \"40s\" }";
    let busy = |times: u32| {
        let (mut all, number) = watching(limits);
        for _ in 0..times {
            all.client_came(secs(1.0), number);
            all.waits(secs(1.0), number);
            all.taken(secs(1.0), number, 0);
            all.dialled(secs(1.0), number, 0);
        }
        (all, number)
    };
    let (mut all, number) = busy(2);
    all.client_left(number);
    all.waits_no_more(number);
    all.given_back(secs(2.0), number, 0);
    all.closed(number, 0);
    all.client_came(secs(3.0), number);
    all.waits(secs(3.0), number);
    all.taken(secs(3.0), number, 0);
    all.dialled(secs(3.0), number, 0);
    // Another endpoint's are its own.
    all.taken(secs(3.0), number, 1);
    all.dialled(secs(3.0), number, 1);
    all.ejected(secs(3.0), number, 1, secs(43.0));
    holds(&mut all, "limits", 8 + 4 + 3);

    let (mut all, _) = busy(3);
    let result = result(&mut all, "limits");
    let examples = [
        "at 1s 3 client connections were open, and 2 may be",
        "at 1s 3 requests were waiting, and 2 may be",
        "at 1s 3 requests were in flight at web-0, and 2 may be",
        "at 1s 3 connections to web-0 were open, and 2 may be",
    ];
    assert_eq!(result.examples, examples);

    let (mut all, number) = watching(limits);
    all.ejected(secs(3.0), number, 1, secs(44.0));
    breaks(&mut all, "limits", "at 3s web-1 was ejected for 41s, and 40s may be");
}

#[test]
fn a_reload_keeps_the_count_and_a_new_proxy_does_not() {
    let limits = "limits = { endpoint_in_flight = 1 }";
    let mut all = Invariants::new(&scenario(""), Instant::START);
    let old = all.process(0);
    let first = all.configured(Instant::START, (old, ""), &config(limits));
    all.taken(secs(1.0), first, 0);
    let new = all.process(0);
    let other = all.configured(secs(2.0), (new, ""), &config(limits));
    all.taken(secs(3.0), other, 0);
    // Another limit makes another count, as in the proxy.
    let raised =
        all.configured(secs(4.0), (new, ""), &config("limits = { endpoint_in_flight = 2 }"));
    all.taken(secs(5.0), raised, 0);
    all.taken(secs(5.0), raised, 0);
    holds(&mut all, "limits", 4);
    let reloaded = all.configured(secs(6.0), (old, ""), &config(limits));
    all.taken(secs(7.0), reloaded, 0);
    breaks(&mut all, "limits", "at 7s 2 requests were in flight at web-0, and 1 may be");
}

/// Requests a second over seconds, of which each after the first may be retried, late.
fn spend(
    config: &ProxyConfig,
    plan: &[(u64, u32, u64)],
    mut granted: impl FnMut(&mut RetryBudget, Instant) -> bool,
) -> InvariantResult {
    let mut all = Invariants::new(&scenario(""), Instant::START);
    let process = all.process(0);
    let number = all.configured(Instant::START, (process, ""), config);
    let mut budget = RetryBudget::new(&config.retry, 1, Instant::START);
    let mut now = Instant::START;
    let mut late: Vec<Instant> = Vec::new();
    for &(pause, retries, delay) in plan {
        now += Duration::from_micros(pause);
        late.sort_unstable();
        let due = late.iter().take_while(|at| **at <= now).count();
        for at in late.drain(..due) {
            all.turned(at, &Turn { failed: 1, ..turn(number, 0, Standing::Ready) }, || None);
        }
        all.asked(now, number);
        budget.on_request(now);
        for _ in 0..retries {
            if granted(&mut budget, now) {
                late.push(now + Duration::from_micros(delay));
            }
        }
    }
    result(&mut all, "retry_budget")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_the_budget_grants_is_within_it(
        plan in prop::collection::vec((0_u64..300_000, 0_u32..4, 0_u64..4_000_000), 1..600),
        share in 0.0_f64..1.0, floor in 0.0_f64..5.0, window in 1_u32..20,
    ) {
        let text = format!("retry = {{ budget = {share:?}, min_per_second = {floor:?}, window = \"{window}s\" }}");
        let result = spend(&config(&text), &plan, RetryBudget::try_retry);
        prop_assert_eq!(result.broken, 0, "{:?}", result);
    }
}

#[test]
fn a_budget_that_is_exceeded_is_told() {
    let config = config("retry = { budget = 0.2, min_per_second = 1.0, window = \"10s\" }");
    // A hundred requests a second for a minute: all are retried for ten seconds of it, or nine of twenty from some time on.
    let all = |(few, of): (u32, u32), storm: std::ops::Range<u32>| -> Vec<(u64, u32, u64)> {
        let retries = |n| u32::from(storm.contains(&n) && n % of < few);
        (0..6000).map(|n| (10_000, retries(n), 0)).collect()
    };
    let always = |_: &mut RetryBudget, _| true;
    let result = spend(&config, &all((1, 1), 3000..4000), always);
    assert!(result.broken > 0, "{result:?}");
    assert!(
        result.examples[0].contains("retries had been made in the latest window"),
        "{result:?}"
    );
    let result = spend(&config, &all((9, 20), 2000..6000), always);
    assert!(result.examples[0].contains("under this configuration"), "{result:?}");
    // A fifth of the requests is what is allowed, over the whole minute too.
    let result = spend(&config, &all((1, 5), 0..6000), always);
    assert_eq!((result.broken, result.checked), (0, 1200));
    // Without a budget the first one is too many.
    let none = self::config("retry = { budget = 0.0, min_per_second = 0.0 }");
    assert_eq!(spend(&none, &[(0, 1, 0), (9, 0, 0)], always).broken, 1);
}

/// The three endpoints, as a proxy has them.
fn endpoints() -> Endpoints {
    Endpoints::new(
        (0..3).map(|n| Arc::new(Endpoint::new(format!("web-{n}"), 1, u32::MAX))).collect(),
    )
}

const CHECKED: &str = "[proxy.health]\nkind = \"http\"\npath = \"/healthz\"\ninterval = \"2s\"\ntimeout = \"1s\"\njitter = 0.5\nrise = 3\n";
const CRASH: &str = "[[events]]\nat = \"5s\"\ncrash = { endpoint = \"web-1\" }\n";
const RESTART: &str = "[[events]]\nat = \"9s\"\nrestart = { endpoint = \"web-1\" }\n";

#[test]
fn all_are_in_use_again_in_time() {
    let scenario = scenario(&format!("{CHECKED}{CRASH}{RESTART}"));
    let recovering = || Invariants::new(&scenario, secs(1.0));
    // One that was under way, and three that pass: 1 + 3 × (2 × 1.5 + 1), after 9 s; the run begins at 1 s.
    let due = recovering().recovery_due();
    assert_eq!(due, secs(23.001));
    let list = endpoints();
    list.set_up(1, Transition::Down);
    let mut all = recovering();
    all.look(secs(23.0), (0, ""), list.list());
    assert_eq!(result(&mut all, "recovery").checked, 0, "there is time yet");
    list.set_up(1, Transition::Up);
    all.look(due, (0, ""), list.list());
    assert_eq!(all.recovery_due(), Instant::NEVER);
    holds(&mut all, "recovery", 3);

    list.set_up(1, Transition::Down);
    let mut all = recovering();
    all.look(due, (0, ""), list.list());
    breaks(&mut all, "recovery", "at 22.001s the health checks still held web-1 to be down");

    let mut all = recovering();
    let results = all.finish(secs(20.001), End::Complete);
    let unchecked = results.last().and_then(|result| result.unchecked.clone());
    let why = "the run ended 3s before the proxy had to be well again";
    assert_eq!(unchecked.as_deref(), Some(why));
}

#[test]
fn an_ejection_that_is_over_is_over() {
    let scenario = scenario(&format!("{CRASH}{RESTART}"));
    let eject = || {
        let list = endpoints();
        let config = OutlierConfig { consecutive_failures: 1, ..OutlierConfig::default() };
        let ejected = outlier::on_result(&config, &list, 1, secs(6.0), Outcome::Failure);
        assert_eq!(ejected.map(|ejected| ejected.until), Some(secs(36.0)));
        list
    };
    let mut all = Invariants::new(&scenario, Instant::START);
    let process = all.process(0);
    let number = all.configured(Instant::START, (process, ""), &config(""));
    let list = eject();
    all.turned(secs(35.0), &turn(number, 0, Standing::Ready), || None);
    all.look(secs(35.0), (0, ""), list.list());
    // Nobody has asked since: it will be found to be over when somebody does.
    all.look(secs(50.0), (0, ""), list.list());
    holds(&mut all, "recovery", 6);
    all.turned(secs(37.0), &turn(number, 0, Standing::Ready), || None);
    all.look(secs(50.0), (0, ""), list.list());
    breaks(&mut all, "recovery", "at 50s web-1 was still left out after its ejection");
}

#[test]
fn each_proxy_has_to_be_well_again() {
    let text = format!("proxies = 2\n{CRASH}{RESTART}");
    let config = OutlierConfig { consecutive_failures: 1, ..OutlierConfig::default() };
    let ejecting = || {
        let list = endpoints();
        outlier::on_result(&config, &list, 1, secs(6.0), Outcome::Failure);
        list
    };
    let mut all = Invariants::new(&scenario(&text), Instant::START);
    let numbers = [0, 1].map(|proxy| {
        let process = all.process(proxy);
        all.configured(Instant::START, (process, ""), &self::config(""))
    });
    // Both have ejected it, and since that is over only the second has had a request to send.
    all.turned(secs(37.0), &turn(numbers[1], 0, Standing::Ready), || None);
    all.look(secs(50.0), (0, ""), ejecting().list());
    all.look(secs(50.0), (1, ""), ejecting().list());
    let example = "at 50s web-1 in proxy-1 was still left out after its ejection";
    breaks(&mut all, "recovery", example);
}

#[test]
fn where_nothing_can_be_said_of_recovery_it_says_why() {
    let why = |rest: &str| {
        let mut all = Invariants::new(&scenario(rest), Instant::START);
        assert_eq!(all.recovery_due(), Instant::NEVER);
        all.look(secs(50.0), (0, ""), endpoints().list());
        result(&mut all, "recovery").unchecked.expect("nothing was checked")
    };
    let event = |what: &str| format!("[[events]]\nat = \"7s\"\n{what}\n");
    assert_eq!(why(""), "nothing happens in this scenario");
    assert_eq!(why(CRASH), "after the last event web-1 is not whole: crash");
    // A link is whole when each proxy's is.
    let two = |proxy: &str| {
        let repair = event(&format!("{proxy}\nrepair = {{ endpoint = \"web-1\" }}"));
        format!("proxies = 2\n{}{repair}", event("proxy = 0\npartition = { endpoint = \"web-1\" }"))
    };
    assert_eq!(why(&two("proxy = 1")), "after the last event web-1 is not whole: partition");
    assert_ne!(
        Invariants::new(&scenario(&two("proxy = 0")), Instant::START).recovery_due(),
        Instant::NEVER
    );
    // A process that is started anew repairs no link.
    let cut = event("partition = { endpoint = \"web-1\" }");
    let after = "after the last event web-1 is not whole: partition";
    assert_eq!(why(&format!("{CRASH}{cut}{RESTART}")), after);
    let drop = event("drop = { endpoint = \"web-*\", probability = 0.5 }");
    assert_eq!(why(&drop), "after the last event web-0 is not whole: drop");
    let other = "[proxy.health]\nkind = \"http\"\npath = \"/other\"\n";
    let asked = "the health checks ask for /other, and web answers checks at /healthz";
    assert_eq!(why(&format!("{other}{CRASH}{RESTART}")), asked);
    let slow = "[network]\nlatency = { constant = \"200ms\" }\n";
    assert_eq!(
        why(&format!("{CHECKED}{slow}{CRASH}{RESTART}")),
        "a health check may fail because the links are slow"
    );
    // What is gone need not be whole.
    let gone = event("remove = { endpoint = \"web-1\" }");
    let all = Invariants::new(&scenario(&format!("{CRASH}{gone}")), Instant::START);
    assert_eq!(all.recovery_due(), secs(7.001));
}

#[test]
fn the_upstreams_of_a_proxy_are_counted_apart() {
    let mut all = Invariants::new(&scenario(""), Instant::START);
    let process = all.process(0);
    let one = config("queue = { max_waiting = 1 }");
    let own = all.configured(Instant::START, (process, ""), &one);
    let api = all.configured(Instant::START, (process, "api"), &one);
    // One waits at each, as may be.
    all.waits(secs(1.0), own);
    all.waits(secs(1.0), api);
    // What a reload takes from the one, the other has still.
    let mut smaller = one.clone();
    smaller.endpoints.truncate(2);
    let reloaded = all.configured(secs(5.0), (process, "api"), &smaller);
    let late = Turn { begun: secs(6.0), ..turn(own, 2, Standing::Ready) };
    all.turned(secs(6.0), &late, || Some(7));
    holds(&mut all, "only_ready", 1);
    holds(&mut all, "limits", 2);
    // And a second one at the same is one too many, whatever configuration it began with.
    all.waits(secs(7.0), reloaded);
    breaks(&mut all, "limits", "at 7s 2 requests were waiting, and 1 may be");
}
