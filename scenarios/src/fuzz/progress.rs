//! How far it is: on a terminal a bar with runs a second and the time that is left, elsewhere a line now and then.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use net::Clock;
use policy::Instant;

/// So many lines where there is no terminal.
const LINES: u64 = 10;

/// The progress of so many runs, on standard error.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    total: u64,
    lines: bool,
    clock: Clock,
    started: Instant,
}

impl Progress {
    /// Of `total` runs; `what` they do, in a word.
    pub fn new(total: u64, what: &'static str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        if terminal {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        let template = "{msg} {bar:24} {pos}/{len} runs, {per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_message(what);
        let clock = Clock::real();
        Self { bar, total, lines: !terminal, clock, started: clock.now() }
    }

    /// So many have ended.
    pub fn at(&self, done: u64) {
        self.bar.set_position(done);
        if self.lines && done.is_multiple_of(self.total.div_ceil(LINES).max(1)) {
            let seconds = self.clock.now().since(self.started).as_secs_f64();
            let rate = done as f64 / seconds.max(1e-9);
            let left = self.total.saturating_sub(done) as f64 / rate;
            eprintln!("{done} of {} runs, {rate:.1}/s, {left:.0} s left", self.total);
        }
    }

    /// It is over: takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
