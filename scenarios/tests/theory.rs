//! The model against queueing theory.
//!
//! Each test states a law (see `theory_support/laws.rs` for formulas and sources) and compares it with what the model measures at loads
//! of 0.5, 0.7 and 0.9, in three runs of three seeds. Nothing is tuned: the tolerance is the runs' own interval by batch means
//! (`theory_support/estimate.rs`). `THEORY_SEED=n` takes other seeds. Little's law (L = λT) is checked in every run. Loads of 0.95
//! and 0.99 are in `theory_slow.rs`, and systems that are wrong and must not pass in `theory_faults.rs`.

mod theory_support;

use theory_support::{
    estimate::T_95,
    laws::{self, Law, Loss, erlang_c},
    seeds,
    system::{System, mean},
};

const LOADS: [f64; 3] = [0.5, 0.7, 0.9];

#[track_caller]
fn holds(law: &Law) {
    law.holds(&LOADS, &seeds());
}

#[track_caller]
fn refuses(loss: &Loss, loads: &[f64]) {
    let objections = loss.check(loads, &seeds());
    assert!(objections.is_empty(), "{:?}\n{}", loss.system, objections.join("\n"));
}

#[test]
fn one_server_mean_and_percentiles() {
    holds(&laws::m_m_1());
}

#[test]
fn four_servers_of_one_queue() {
    holds(&laws::m_m_4());
}

#[test]
fn constant_service() {
    holds(&laws::m_d_1());
}

#[test]
fn service_that_varies_little() {
    holds(&laws::m_e4_1());
}

#[test]
fn service_that_varies_much() {
    holds(&laws::m_h2_1());
}

#[test]
fn sharing_constant_service() {
    holds(&laws::sharing("constant = \"10ms\""));
}

#[test]
fn sharing_service_that_varies_much() {
    holds(&laws::sharing("hyperexponential = { mean = \"10ms\", cv2 = 4.0 }"));
}

#[test]
fn sharing_service_of_two_kinds() {
    let service = "bimodal = { fast = \"5ms\", slow = \"55ms\", slow_share = 0.1 }";
    holds(&laws::sharing(service));
}

#[test]
fn a_random_split_is_many_single_servers() {
    holds(&laws::random_split());
}

#[test]
fn round_robin_smooths_the_arrivals() {
    let law = laws::round_robin();
    assert!(((law.mean)(0.9) - 5.660_276).abs() < 1e-5, "the table's value");
    holds(&law);
}

#[test]
fn two_choices_of_two_are_the_shorter_queue() {
    holds(&laws::two_choices_of_two());
}

#[test]
fn two_choices_of_a_thousand_are_the_mean_field() {
    let law = laws::two_choices_of_a_thousand();
    assert!(((law.mean)(0.9) - 2.614_057).abs() < 1e-5, "the table's value");
    holds(&law);
}

/// Least connections over n endpoints lies between M/M/n, which no dispatcher can beat, and the random split.
#[test]
fn least_connections_lies_between_one_queue_and_chance() {
    for load in LOADS {
        let system = System::new(10, "\"least_connections\"").memories(2.0);
        let found = mean(&system.runs(load, &seeds()));
        let (low, high) = found.interval(T_95);
        let bound = 1.0 + erlang_c(10, load) / (10.0 * (1.0 - load));
        assert!(low > bound, "{found:?}, bound {bound}");
        assert!(high < 1.0 / (1.0 - load), "{found:?}");
    }
}

#[test]
fn a_bounded_queue_refuses_what_it_should() {
    refuses(&laws::m_m_1_5(), &[0.5, 0.7, 0.9, 1.2]);
}

#[test]
fn a_system_without_a_queue_loses_what_erlang_says() {
    refuses(&laws::erlang_loss("exponential = { mean = \"10ms\" }"), &[0.5, 0.7, 0.9, 1.2]);
    refuses(&laws::erlang_loss("constant = \"10ms\""), &[0.5, 0.7, 0.9, 1.2]);
}
