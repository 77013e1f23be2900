//! One run: carried out, judged, and told.
//!
//! Whatever goes wrong with it becomes its verdict.

use std::ops::ControlFlow;

use policy::Seed;
use reports::{EventMark, Measurement, Phase, Run, Verdict, World, invariant};

use super::{Completion, Conduct, Planned, memory, progress::Watching, repeat};
use crate::{
    interrupt::Interrupt,
    language::{Loaded, Scenario, Variant},
    live, model,
    outcome::{Outcome, Validity, Watcher},
    sim,
};

/// Carries out a run; once more, as often as allowed, when the machine was too busy for it to be a measurement.
///
/// That says nothing about the proxy, whatever the figures are, so to take the next measurement instead is not to choose the
/// better of two results. A load that cannot be sent at all is not taken again: it would not be the second time.
pub(super) fn carry_out(
    planned: &Planned<'_>,
    conduct: Conduct,
    interrupt: &Interrupt,
    watching: &mut Watching<'_>,
) -> (Run, Completion) {
    let mut disturbed = Vec::new();
    loop {
        let Carried { mut run, completion, validity } = once(planned, conduct, interrupt, watching);
        let more = disturbed.len() < conduct.again as usize && completion == Completion::Done;
        if validity == Validity::Disturbed && more {
            let why = run.verdict.reason().unwrap_or_default().to_owned();
            watching.again(&why);
            disturbed.push(why);
            continue;
        }
        run.notes.extend(disturbed.into_iter().map(|why| format!("measured again: {why}")));
        return (run, completion);
    }
}

struct Carried {
    run: Run,
    completion: Completion,
    validity: Validity,
}

fn once(
    planned: &Planned<'_>,
    conduct: Conduct,
    interrupt: &Interrupt,
    watcher: &mut dyn Watcher,
) -> Carried {
    let Planned { loaded, variant, world, seed } = *planned;
    let scenario = &variant.scenario;
    let mut run = blank(loaded, variant, world, seed);
    run.command = repeat::command(planned, conduct.network);
    let refusal = memory::refusal(scenario, world, conduct.jobs, memory::at_hand());
    let outcome = match (refusal, world) {
        (Some(why), _) => Err(why),
        (None, World::Live) => live::run(scenario, seed, interrupt, watcher),
        (None, World::Model) => model_run(scenario, seed, interrupt),
        (None, World::Sim) => sim::run(scenario, seed, conduct.network, interrupt, watcher),
    };
    let (mut completion, mut validity) = (Completion::Done, Validity::Valid);
    match outcome {
        Err(why) => run.verdict = Verdict::Error(why),
        Ok(outcome) => {
            // What was not the scenario is not measured again.
            if outcome.undone.is_empty() {
                validity = outcome.validity;
            }
            run.notes = outcome.notes;
            run.measurement = outcome.measurement;
            invariant::insert_into(&mut run.measurement.metrics, &outcome.invariants);
            run.thresholds = judge(scenario, &run.measurement);
            run.invariants = outcome.invariants;
            run.verdict = if outcome.interrupted {
                completion = Completion::Interrupted;
                Verdict::Error("interrupted".to_owned())
            } else if !outcome.undone.is_empty() {
                Verdict::Error(outcome.undone.join("; "))
            } else if run.broken_invariants().next().is_some() {
                // Whatever the figures are worth, this is certain.
                Verdict::Fail
            } else if !outcome.problems.is_empty() {
                Verdict::Invalid(outcome.problems.join("; "))
            } else if run.thresholds.iter().all(|threshold| threshold.holds) {
                Verdict::Pass
            } else {
                Verdict::Fail
            };
        }
    }
    Carried { run, completion, validity }
}

fn model_run(scenario: &Scenario, seed: u64, interrupt: &Interrupt) -> Result<Outcome, String> {
    let mut watch = |_| {
        if interrupt.is_wanted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    model::run_watched(scenario, seed, &mut watch).map(Outcome::from)
}

fn judge(scenario: &Scenario, measurement: &Measurement) -> Vec<reports::ThresholdResult> {
    let thresholds = scenario.thresholds();
    thresholds.iter().map(|threshold| threshold.evaluate(&measurement.metrics)).collect()
}

/// A run of which nothing is known yet but what it is.
fn blank(loaded: &Loaded, variant: &Variant, world: World, seed: u64) -> Run {
    let scenario = &variant.scenario;
    let configuration = scenario.to_toml();
    Run {
        place: loaded.place,
        scenario: loaded.name.clone(),
        description: scenario.description.clone(),
        path: loaded.path.display().to_string(),
        world,
        variant: variant.cell.clone(),
        seed,
        duration: scenario.duration.0,
        warmup: scenario.warmup.0,
        command: String::new(),
        verdict: Verdict::Pass,
        notes: Vec::new(),
        thresholds: Vec::new(),
        invariants: Vec::new(),
        measurement: Measurement::empty(),
        events: scenario
            .timeline()
            .into_iter()
            .map(|moment| EventMark { at: moment.at, label: moment.label })
            .collect(),
        phases: scenario
            .phases
            .iter()
            .map(|(name, window)| Phase {
                name: name.clone(),
                from: window.from(),
                to: window.to(),
            })
            .collect(),
        configuration_hash: fingerprint(&configuration),
        configuration,
    }
}

/// Tells two configurations apart; not for anything that somebody might forge.
fn fingerprint(text: &str) -> String {
    format!("{:016x}", Seed(0).child(text).0)
}
