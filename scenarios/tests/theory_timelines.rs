//! Small timelines of the model, worked out by hand: what each request must see, to the nanosecond.

use reports::Measurement;
use scenarios::{language::Scenario, model};

/// Runs a scenario of two seconds without warm-up. Requests come from 500 ms on.
fn run(text: &str) -> Measurement {
    let text = format!("duration = \"2s\"\n{text}");
    let scenario: Scenario = toml::from_str(&text).expect("a scenario");
    model::run(&scenario, 1).expect("the model can do this").measurement
}

/// One burst of so many requests at 500 ms.
fn burst(size: u32, request: &str) -> String {
    format!(
        "[load.all]\narrivals = {{ bursts = {{ size = {size}, every = \"1h\", start = \"500ms\" }} }}\nrequest = [{{ {request} }}]\n"
    )
}

fn backends(count: u32, service: &str) -> String {
    format!("[backends.web]\ncount = {count}\nservice = {{ constant = \"{service}\" }}\n")
}

fn event(at: &str, what: &str) -> String {
    format!("[[events]]\nat = \"{at}\"\n{what}\n")
}

#[track_caller]
fn expect(measurement: &Measurement, figures: &[(&str, f64)]) {
    for (name, expected) in figures {
        let found = measurement.metrics.get(name);
        assert!(
            found.is_some_and(|found| (found - expected).abs() < 1e-9),
            "{name}: {found:?} and not {expected}"
        );
    }
}

#[test]
fn an_endpoint_serves_in_turn() {
    let measured = run(&(backends(1, "10ms") + &burst(3, "")));
    expect(&measured, &[("latency.min", 10.0), ("latency.mean", 20.0), ("latency.max", 30.0)]);
}

#[test]
fn a_link_is_crossed_as_often_as_on_a_real_network() {
    // Both ends of both links dial at first (2 + 2 ms); then it is there and back over two links (4 ms) and the service.
    let load = "[load.all]\narrivals = { constant = { rate = 1 } }\n";
    let network = "[network]\nlatency = { constant = \"1ms\" }\n";
    let measured = run(&(backends(1, "10ms") + load + network));
    expect(&measured, &[("requests", 2.0), ("latency.max", 18.0), ("latency.min", 14.0)]);
    expect(&measured, &[("proxy.upstream_connects", 1.0), ("proxy.client_connections", 1.0)]);
}

#[test]
fn a_crash_fails_what_is_under_way_and_a_retry_saves_it() {
    // One request on each endpoint; at 540 ms web-0 dies, and its request waits behind the other until 600 ms.
    let crash = event("540ms", "crash = { endpoint = \"web-0\" }");
    let measured = run(&(backends(2, "100ms") + &burst(2, "") + &crash));
    expect(&measured, &[("ok", 2.0), ("latency.min", 100.0), ("latency.max", 200.0)]);
    expect(&measured, &[("retries", 1.0), ("endpoint.web-1.requests", 2.0)]);
    // What may have been acted upon is not sent twice.
    let measured = run(&(backends(2, "100ms") + &burst(2, "method = \"POST\"") + &crash));
    expect(&measured, &[("ok", 1.0), ("status.502", 1.0), ("retries", 0.0)]);
    expect(&measured, &[("proxy.faults.closed_before_response", 1.0)]);
}

#[test]
fn what_finds_an_endpoint_dead_was_not_sent() {
    let crash = event("100ms", "crash = { endpoint = \"web-0\" }");
    let measured = run(&(backends(2, "100ms") + &burst(2, "method = \"POST\"") + &crash));
    expect(&measured, &[("ok", 2.0), ("latency.min", 100.0), ("latency.max", 200.0)]);
    expect(&measured, &[("endpoint.web-1.requests", 2.0), ("proxy.upstream_connects", 2.0)]);
    // Alone there is nowhere else to go.
    let measured = run(&(backends(1, "100ms") + &burst(2, "") + &crash));
    expect(&measured, &[("ok", 0.0), ("status.502", 2.0), ("proxy.faults.connect_refused", 2.0)]);
}

#[test]
fn a_restarted_endpoint_serves_again() {
    let events = event("520ms", "crash = { endpoint = \"web-0\" }")
        + &event("600ms", "restart = { endpoint = \"web-0\" }");
    let load = "[load.all]\narrivals = { constant = { rate = 10 } }\n";
    let measured = run(&(backends(1, "1ms") + load + &events));
    expect(&measured, &[("ok", 20.0), ("proxy.upstream_connects", 2.0)]);
}

#[test]
fn a_hung_endpoint_is_left_when_the_time_for_an_answer_is_over() {
    let proxy = "[proxy.timeouts]\nresponse_head = \"50ms\"\n";
    let hang = event("100ms", "hang = { endpoint = \"web-0\" }");
    let measured = run(&(proxy.to_owned() + &backends(2, "10ms") + &burst(2, "") + &hang));
    expect(&measured, &[("ok", 2.0), ("latency.min", 10.0), ("latency.max", 60.0)]);
    let measured = run(&(proxy.to_owned() + &backends(1, "10ms") + &burst(1, "") + &hang));
    expect(&measured, &[("status.504", 1.0), ("proxy.faults.response_timeout", 1.0)]);
}

#[test]
fn a_hang_stops_the_clock_of_what_is_being_served() {
    // Served from 500 to 505 ms, stopped, and from 800 ms on; what came meanwhile is next.
    let events = event("505ms", "hang = { endpoint = \"web-0\" }")
        + &event("800ms", "restore = { endpoint = \"web-0\" }");
    let measured = run(&(backends(1, "10ms") + &burst(1, "") + &events));
    expect(&measured, &[("latency.max", 305.0)]);
    let events = events.replace("505ms", "400ms");
    let measured = run(&(backends(1, "10ms") + &burst(2, "") + &events));
    expect(&measured, &[("latency.min", 310.0), ("latency.max", 320.0)]);
}

#[test]
fn slowness_begins_in_the_middle_of_a_service() {
    let slow = event("505ms", "slow = { endpoint = \"web-0\", factor = 2.0 }");
    expect(&run(&(backends(1, "10ms") + &burst(1, "") + &slow)), &[("latency.max", 15.0)]);
}

#[test]
fn a_cut_link_holds_answers_and_lets_dials_hang() {
    let events = event("505ms", "partition = { endpoint = \"web-0\" }")
        + &event("600ms", "repair = { endpoint = \"web-0\" }");
    let measured = run(&(backends(1, "10ms") + &burst(1, "") + &events));
    // The answer of 510 ms is sent again after 200 ms, whenever before that the link was repaired …
    expect(&measured, &[("latency.max", 210.0)]);
    // … and after 400 ms more when it was not.
    let measured = run(&(backends(1, "10ms") + &burst(1, "") + &events.replace("600ms", "711ms")));
    expect(&measured, &[("latency.max", 610.0)]);
    // A dial waits for a second.
    let early = events.replace("505ms", "400ms");
    let measured = run(&(backends(1, "10ms") + &burst(1, "") + &early));
    expect(&measured, &[("latency.max", 1010.0)]);
    let proxy = "[proxy.timeouts]\nconnect = \"30ms\"\n".to_owned();
    let events = events.replace("505ms", "400ms");
    let measured = run(&(proxy.clone() + &backends(1, "10ms") + &burst(1, "") + &events));
    expect(&measured, &[("status.504", 1.0), ("proxy.faults.connect_timeout", 1.0)]);
    // Elsewhere it can still go, whatever its method.
    let measured = run(&(proxy + &backends(2, "10ms") + &burst(2, "method = \"POST\"") + &events));
    expect(&measured, &[("ok", 2.0), ("latency.min", 10.0), ("latency.max", 40.0)]);
}

#[test]
fn clients_behind_a_cut_link_lose_patience() {
    let events = event("505ms", "partition = { load = \"all\" }")
        + &event("700ms", "repair = { load = \"all\" }");
    let load = burst(1, "") + "timeout = \"100ms\"\n";
    let measured = run(&(backends(1, "10ms") + &load + &events));
    expect(&measured, &[("timed_out", 1.0), ("latency.max", 100.0)]);
}

#[test]
fn the_queue_is_bounded_in_number_and_in_time() {
    let proxy =
        "[proxy]\nlimits.endpoint_in_flight = 1\nqueue = { max_waiting = 1, timeout = \"15ms\" }\n";
    let measured = run(&(proxy.to_owned() + &backends(1, "10ms") + &burst(3, "")));
    expect(&measured, &[("ok", 2.0), ("latency.max", 20.0), ("refused", 1.0)]);
    expect(&measured, &[("proxy.queued", 1.0), ("proxy.faults.queue_full", 1.0)]);
    let measured = run(&(proxy.replace("15ms", "5ms") + &backends(1, "10ms") + &burst(3, "")));
    expect(&measured, &[("ok", 1.0), ("proxy.faults.queue_timeout", 1.0)]);
    expect(&measured, &[("proxy.faults.queue_full", 1.0), ("refused", 2.0)]);
}

#[test]
fn who_waits_is_served_in_the_order_of_arrival() {
    let proxy = "[proxy]\nlimits.endpoint_in_flight = 2\n";
    let measured =
        run(&(proxy.to_owned() + &backends(2, "10ms") + "workers = 2\n" + &burst(12, "")));
    // Four at a time: 10, 20, 30 ms.
    expect(&measured, &[("latency.min", 10.0), ("latency.mean", 20.0), ("latency.max", 30.0)]);
}

#[test]
fn the_client_s_patience_takes_its_request_back() {
    // The second of the two would be done after 20 ms; the third, from 516 ms on, finds the endpoint idle.
    let load = "[load.all]\narrivals = { bursts = { size = 2, every = \"16ms\", start = \"500ms\" } }\nrequests = 3\ntimeout = \"15ms\"\n";
    let measured = run(&(backends(1, "10ms") + load));
    expect(&measured, &[("ok", 2.0), ("timed_out", 1.0), ("latency.max", 15.0)]);
    expect(&measured, &[("latency.min", 10.0), ("proxy.faults.client_gone", 1.0)]);
}

#[test]
fn every_fourth_request_pays_for_a_retry() {
    // A quarter of a token each and no floor; all endpoints answer 503, and every request would like to be tried again.
    let proxy = "[proxy]\nretry = { statuses = [503], budget = 0.25, min_per_second = 0.0 }\noutlier.enabled = false\n";
    let fail = event("0s", "fail = { endpoint = \"web-*\", status = 503 }");
    let load = "[load.all]\narrivals = { constant = { rate = 10 } }\n";
    let measured = run(&(proxy.to_owned() + &backends(2, "10ms") + load + &fail));
    expect(&measured, &[("requests", 20.0), ("refused", 20.0), ("retries", 5.0)]);
    expect(&measured, &[("proxy.retries_refused", 15.0)]);
}

#[test]
fn five_failures_in_a_row_eject_for_a_second() {
    // Requests take turns, ten a second: web-0 gets one each 200 ms. It fails at 0, 200, …, 800 ms, and is back at 1.8 s.
    let proxy = "[proxy]\noutlier = { base_ejection = \"1s\" }\n";
    let fail = event("0s", "fail = { endpoint = \"web-0\", status = 500 }");
    let load = "[load.all]\narrivals = { constant = { rate = 10 } }\n";
    let measured = run(&(proxy.to_owned() + &backends(2, "10ms") + load + &fail));
    expect(&measured, &[("ejections", 1.0), ("status.500", 6.0), ("ok", 14.0)]);
}

#[test]
fn users_take_turns_at_the_only_worker() {
    // The first asks at 0, 10, 30, …, 1990 ms, the second at 0, 20, …, 1980 ms.
    let measured = run(&(backends(1, "10ms") + "[load.all]\nusers = 2\n"));
    expect(&measured, &[("requests", 201.0), ("latency.min", 10.0), ("latency.max", 20.0)]);
}

#[test]
fn a_session_lasts_as_long_as_it_should_and_dies_with_its_endpoint() {
    let session = "kind = \"session\"\nsession = { every = \"100ms\", size = \"10B\" }\n";
    let patience = "[proxy.timeouts]\nresponse_head = \"1200ms\"\n";
    let system = patience.to_owned() + &backends(1, "1s") + session + &burst(2, "");
    let measured = run(&system);
    expect(&measured, &[("ok", 2.0), ("latency.min", 1000.0), ("latency.max", 2000.0)]);
    expect(&measured, &[("bytes_in", 200.0)]);
    // The one that waits for its turn dies, too.
    let measured = run(&(system.clone() + &event("600ms", "crash = { endpoint = \"web-0\" }")));
    expect(&measured, &[("failed.reset", 1.0), ("proxy.faults.closed_mid_response", 1.0)]);
    expect(&measured, &[("status.502", 1.0), ("proxy.faults.closed_before_response", 1.0)]);
    // A stream that stands still is cut after a while, and so is the next, which has its turn then.
    let idle = system.replace("[proxy.timeouts]\n", "[proxy.timeouts]\nstream_idle = \"300ms\"\n");
    let measured = run(&(idle + &event("600ms", "hang = { endpoint = \"web-0\" }")));
    expect(&measured, &[("failed.reset", 2.0), ("proxy.faults.response_stalled", 2.0)]);
}

#[test]
fn a_connection_limit_sends_a_request_on_to_another_endpoint() {
    // One connection each: the third request finds both taken.
    let proxy = "[proxy.limits]\nendpoint_connections = 1\n";
    let measured =
        run(&(proxy.to_owned() + &backends(2, "10ms") + "workers = 9\n" + &burst(3, "")));
    expect(&measured, &[("ok", 2.0), ("refused", 1.0), ("proxy.faults.queue_full", 1.0)]);
    expect(&measured, &[("proxy.upstream_connects", 2.0)]);
}

#[test]
fn endpoints_come_and_go() {
    let events = event("450ms", "add = { backend = \"web\", count = 1 }")
        + &event("550ms", "remove = { endpoint = \"web-0\" }");
    let load = "[load.all]\narrivals = { bursts = { size = 2, every = \"100ms\", start = \"400ms\" } }\nrequests = 6\n";
    let measured = run(&(backends(1, "30ms") + load + &events));
    // At 400 ms both wait at web-0; at 500 ms each has one; at 600 ms both wait at web-1.
    expect(
        &measured,
        &[("ok", 6.0), ("endpoint.web-0.requests", 3.0), ("endpoint.web-1.requests", 3.0)],
    );
    expect(&measured, &[("latency.mean", 40.0), ("latency.max", 60.0)]);
}

#[test]
fn what_the_model_cannot_do_is_refused_with_a_reason() {
    for (text, reason) in [
        ("[network]\nbandwidth = \"1Gbps\"\n", "`network.bandwidth`: the model moves no bytes"),
        ("[[events]]\nat = \"1s\"\nrestart_proxy = {}\n", "event at 1s, restart proxy"),
        ("[proxy.limits]\nconnections = 10\n", "`proxy.limits.connections` is 10"),
    ] {
        let text = format!("duration = \"2s\"\n{}{}{text}", backends(1, "1ms"), burst(1, ""));
        let scenario: Scenario = toml::from_str(&text).expect("a scenario");
        let refusal = model::run(&scenario, 1).expect_err("refused");
        assert!(refusal.starts_with(reason), "{refusal}");
    }
}
