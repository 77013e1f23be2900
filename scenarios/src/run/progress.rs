//! What a person sees while runs run: a bar on a terminal, a line a run elsewhere.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reports::{Run, Verdict, World};

use super::Planned;
use crate::live::Watcher;

/// The progress of a suite, on standard error.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    lines: bool,
    done: usize,
    total: usize,
}

impl Progress {
    /// For so many runs.
    pub fn new(total: usize) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::hidden());
        if terminal {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        let template = "{prefix} {bar:24} {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        Self { bar, lines: !terminal, done: 0, total }
    }

    /// A run begins.
    pub(super) fn begin(&mut self, planned: &Planned<'_>) {
        let Planned { loaded, world, .. } = planned;
        let length = planned.variant.scenario.duration.0;
        self.bar.set_length(length.as_millis() as u64);
        self.bar.set_position(0);
        self.bar.set_prefix(format!("[{}/{}] {} {world}", self.done + 1, self.total, loaded.name));
        self.bar.set_message(format!("{}", policy::quantity::TimeSpan(length)));
    }

    /// A run is carried out again.
    pub(super) fn again(&mut self, planned: &Planned<'_>, why: &str) {
        let name = &planned.loaded.name;
        let line = format!("[{}/{}] again   {name}: {why}", self.done + 1, self.total);
        self.bar.suspend(|| eprintln!("{line}"));
        self.bar.set_position(0);
    }

    /// A run has ended.
    pub(super) fn end(&mut self, run: &Run) {
        self.done += 1;
        if self.lines {
            let word = run.verdict.as_str();
            let requests = run.measurement.metrics.get("requests").unwrap_or(0.0);
            eprintln!(
                "[{}/{}] {word:<7} {} ({requests} requests)",
                self.done,
                self.total,
                run.title()
            );
        } else if run.verdict != Verdict::Pass {
            let word = run.verdict.as_str();
            self.bar.suspend(|| eprintln!("{word:<7} {}", run.title()));
        }
    }

    /// All runs have ended: takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// What is announced before the first run.
    pub fn announce(&self, planned: &[Planned<'_>]) {
        let live = planned.iter().filter(|run| run.world == World::Live);
        let seconds: Duration = live.map(|run| run.variant.scenario.duration.0).sum();
        let runs = if planned.len() == 1 { "run" } else { "runs" };
        eprintln!("{} {runs}, about {:.0} s of real time", planned.len(), seconds.as_secs_f64());
    }
}

impl Watcher for Progress {
    fn at(&mut self, elapsed: Duration, progress: loadgen::Snapshot) {
        self.bar.set_position(elapsed.as_millis() as u64);
        let failed = progress.finished.saturating_sub(progress.ok);
        let failed = if failed > 0 { format!(", {failed} not ok") } else { String::new() };
        self.bar.set_message(format!(
            "{:.0} s, {} sent{failed}",
            elapsed.as_secs_f64(),
            progress.sent
        ));
    }
}
