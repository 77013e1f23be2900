//! Tests of the tests against theory: a system that is a little wrong does not pass for the right one.
//!
//! Some faults are put into the model ([`Parts`]), others are systems of the product that are not the ones that the law is about.

mod theory_support;

use policy::{
    Rng,
    balance::Balancer,
    endpoint::{Outcome, View},
};
use scenarios::model::Parts;
use theory_support::{
    laws::{self, Law},
    seeds,
    system::System,
};

/// Every objection, and whether one begins so.
#[track_caller]
fn fails(law: &Law, load: f64, objection: &str) {
    let objections = law.check(&[load], &seeds());
    let found = objections.iter().any(|each| each.starts_with(objection));
    assert!(found, "nothing against the {objection} of {:?}: {objections:?}", law.system);
}

/// Picks the neighbour of the endpoint that should be picked.
#[derive(Debug)]
struct OffByOne(Box<dyn Balancer>);

impl Balancer for OffByOne {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn pick(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
        let right = self.0.pick(view, rng)?;
        Some((right + 1) % view.endpoints.len() as u32)
    }

    fn on_start(&mut self, endpoint: u32, now: policy::Instant) {
        self.0.on_start(endpoint, now);
    }

    fn on_end(
        &mut self,
        endpoint: u32,
        now: policy::Instant,
        elapsed: std::time::Duration,
        outcome: Outcome,
    ) {
        self.0.on_end(endpoint, now, elapsed, outcome);
    }
}

#[test]
fn a_balancer_that_is_off_by_one_is_found() {
    let parts = Parts { balancer: |right| Box::new(OffByOne(right)), ..Parts::default() };
    // The neighbour of the better of many is any. (Of two it is the worse one, and nothing is served in time: no need to run that.)
    fails(&laws::two_choices_of_a_thousand().of(|system| system.parts(parts)), 0.5, "mean");
    fails(&laws::two_choices_of_a_thousand().of(|system| system.parts(parts)), 0.5, "tail");
}

#[test]
fn a_queue_that_serves_the_newest_first_is_found_by_its_tail() {
    let parts = Parts { station: |right| right.newest_first(), ..Parts::default() };
    let law = laws::m_m_1().of(|system| system.parts(parts));
    fails(&law, 0.7, "tail");
    // And by nothing else: the mean does not depend on it.
    let objections = law.check(&[0.7], &seeds());
    assert!(objections.iter().all(|each| each.starts_with("tail")), "{objections:?}");
}

#[test]
fn sharing_instead_of_a_queue_is_found() {
    let backend = "discipline = \"processor_sharing\"\nservice = { hyperexponential = { mean = \"10ms\", cv2 = 4.0 } }";
    fails(&laws::m_h2_1().of(|system| system.backend(backend)), 0.7, "mean");
}

#[test]
fn a_service_three_percent_too_long_is_found() {
    let long = "service = { exponential = { mean = \"10300us\" } }";
    fails(&laws::m_m_1().of(|system| system.backend(long)), 0.9, "mean");
    fails(&laws::round_robin().of(|system| system.backend(long)), 0.9, "mean");
}

#[test]
fn a_comparison_of_an_endpoint_with_itself_is_found() {
    let careless =
        |system| System { strategy: "{ strategy = \"p2c\", replacement = true }", ..system };
    fails(&laws::two_choices_of_two().of(careless), 0.7, "mean");
}

#[test]
fn a_round_robin_that_forgets_whose_turn_it_is_is_found() {
    let forgetful = |system| System { strategy: "\"random\"", ..system };
    fails(&laws::round_robin().of(forgetful), 0.7, "mean");
    fails(&laws::round_robin().of(forgetful), 0.7, "tail");
}
