//! What a person sees while runs run: a bar on a terminal, a line a run elsewhere.
//!
//! For runs in virtual time the bar is about all of them, since they are over soon and several go on at once; for a live
//! run it is about that run.

use std::{
    io::IsTerminal,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use policy::quantity::TimeSpan;
use reports::{Run, Verdict, World};

use super::Planned;
use crate::outcome::Watcher;

/// Which runs get a line when they have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lines {
    /// Every run: nobody sees the bar.
    All,
    /// Those that do not pass.
    NotPassed,
    /// None.
    None,
}

/// The progress of a suite, on standard error.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    lines: Lines,
    done: AtomicUsize,
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
        let lines = if terminal { Lines::NotPassed } else { Lines::All };
        Self { bar, lines, done: AtomicUsize::new(0), total }
    }

    /// For so many runs that are compared and not judged: no line a run, and the bar shows the time left.
    pub fn of_comparison(total: usize) -> Self {
        let progress = Self { lines: Lines::None, ..Self::new(total) };
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:24} {eta} left  {msg}") {
            progress.bar.set_style(style.progress_chars("━╸─"));
        }
        progress
    }

    /// From now on the bar is about runs in virtual time, so much of it in all.
    pub(super) fn cover(&self, all: Duration) {
        self.bar.set_length(all.as_millis() as u64);
        self.bar.set_position(0);
    }

    /// A run begins.
    pub(super) fn watch<'a>(&'a self, planned: &'a Planned<'a>) -> Watching<'a> {
        let Planned { loaded, world, .. } = planned;
        let title = format!("{} {world}", loaded.name);
        let length = planned.variant.scenario.duration.0;
        if *world == World::Live {
            self.cover(length);
            self.bar.set_prefix(format!("{} {title}", self.place()));
            self.bar.set_message(format!("{}", TimeSpan(length)));
        } else {
            self.bar.set_prefix(self.place());
            self.bar.set_message(title);
        }
        Watching { progress: self, planned, seen: Duration::ZERO }
    }

    /// Which run it is that has not ended yet: `[3/12]`.
    fn place(&self) -> String {
        format!("[{}/{}]", (self.done.load(Relaxed) + 1).min(self.total), self.total)
    }

    /// All runs have ended: takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// What is announced before the first run.
    pub fn announce(&self, planned: &[Planned<'_>]) {
        let time = |live: bool| {
            let those = planned.iter().filter(|run| (run.world == World::Live) == live);
            those.map(|run| run.variant.scenario.duration.0).sum::<Duration>()
        };
        let mut parts = Vec::new();
        if !time(false).is_zero() {
            parts.push(format!("{} of virtual time", TimeSpan(time(false))));
        }
        if !time(true).is_zero() {
            parts.push(format!("about {} of real time", TimeSpan(time(true))));
        }
        let runs = if planned.len() == 1 { "run" } else { "runs" };
        eprintln!("{} {runs}, {}", planned.len(), parts.join(" and "));
    }
}

/// Watches one run.
#[derive(Debug)]
pub(super) struct Watching<'a> {
    progress: &'a Progress,
    planned: &'a Planned<'a>,
    /// So much of it the bar knows already.
    seen: Duration,
}

impl Watching<'_> {
    /// It is carried out again.
    pub(super) fn again(&mut self, why: &str) {
        let Progress { bar, .. } = self.progress;
        let line = format!("{} again   {}: {why}", self.progress.place(), self.planned.loaded.name);
        bar.suspend(|| eprintln!("{line}"));
        bar.set_position(0);
        self.seen = Duration::ZERO;
    }

    /// It has ended.
    pub(super) fn end(mut self, run: &Run) {
        self.reach(self.planned.variant.scenario.duration.0);
        let Progress { bar, lines, done, total } = self.progress;
        let done = done.fetch_add(1, Relaxed) + 1;
        let word = run.verdict.as_str();
        if *lines == Lines::All {
            let requests = run.measurement.metrics.get("requests").unwrap_or(0.0);
            eprintln!("[{done}/{total}] {word:<7} {} ({requests} requests)", run.title());
        } else if *lines == Lines::NotPassed && run.verdict != Verdict::Pass {
            bar.suspend(|| eprintln!("{word:<7} {}", run.title()));
        }
    }

    fn reach(&mut self, elapsed: Duration) {
        let elapsed = elapsed.min(self.planned.variant.scenario.duration.0);
        let more = elapsed.saturating_sub(self.seen).as_millis() as u64;
        self.seen += Duration::from_millis(more);
        self.progress.bar.inc(more);
    }
}

impl Watcher for Watching<'_> {
    fn at(&mut self, elapsed: Duration, progress: loadgen::Snapshot) {
        self.reach(elapsed);
        if self.planned.world != World::Live {
            return;
        }
        let failed = progress.finished.saturating_sub(progress.ok);
        let failed = if failed > 0 { format!(", {failed} not ok") } else { String::new() };
        self.progress.bar.set_message(format!(
            "{:.0} s, {} sent{failed}",
            elapsed.as_secs_f64(),
            progress.sent
        ));
    }
}
