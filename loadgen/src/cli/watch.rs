//! How far it is: a bar on a terminal, a line now and then elsewhere. On standard error, so that the summary alone is on
//! standard output.

use std::{io::IsTerminal, sync::Arc, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use loadgen::{Progress, Snapshot};
use policy::Instant;

use super::{args::Args, show};

/// How often the bar moves.
const FRAME: Duration = Duration::from_millis(100);
/// A run writes about so many lines at most.
const LINES: u32 = 60;

/// Shows how far a run is.
pub(crate) struct Watch {
    progress: Vec<Arc<Progress>>,
    shown: Shown,
    interval: Duration,
    ticks: u32,
    last: (Duration, Snapshot),
    requests: Option<u64>,
}

enum Shown {
    Bar { bar: ProgressBar, lasts: Option<Duration> },
    Lines,
    Nothing,
}

impl Watch {
    pub(crate) fn new(args: &Args, progress: Vec<Arc<Progress>>) -> Self {
        let lasts = args.lasts();
        let (shown, interval) = if args.quiet {
            (Shown::Nothing, Duration::from_secs(1))
        } else if std::io::stderr().is_terminal() {
            // Whichever end comes first is not known; the duration is shown where there is one.
            let length = lasts.map_or(args.requests.unwrap_or(1), |lasts| lasts.as_millis() as u64);
            let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("[{elapsed}] {wide_bar} {percent:>3} % {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            (Shown::Bar { bar, lasts }, FRAME)
        } else {
            let whole = lasts.unwrap_or_default().as_secs_f64() / f64::from(LINES);
            (Shown::Lines, Duration::from_secs(whole.ceil().max(1.0) as u64))
        };
        let last = (Duration::ZERO, Snapshot::default());
        Self { progress, shown, interval, ticks: 1, last, requests: args.requests }
    }

    /// When it wants to be shown next.
    pub(crate) fn next_due(&self, start: Instant) -> Instant {
        start + self.interval * self.ticks
    }

    /// Shows it, so long after the start.
    pub(crate) fn show(&mut self, elapsed: Duration) {
        self.ticks = self.ticks.saturating_add(1);
        let now = self
            .progress
            .iter()
            .map(|part| part.snapshot())
            .fold(Snapshot::default(), |a, b| a + b);
        let (before, was) = std::mem::replace(&mut self.last, (elapsed, now));
        let seconds = elapsed.saturating_sub(before).as_secs_f64().max(1e-3);
        let rate = now.finished.saturating_sub(was.finished) as f64 / seconds;
        let not_ok = now.finished.saturating_sub(now.ok);
        let text = format!(
            "{} requests, {}/s, {} not ok",
            show::count(now.finished),
            show::count(rate.round() as u64),
            show::count(not_ok)
        );
        match &self.shown {
            Shown::Nothing => {}
            Shown::Lines => eprintln!("{:>7.1} s  {text}", elapsed.as_secs_f64()),
            Shown::Bar { bar, lasts } => {
                let done = match (lasts, self.requests) {
                    (Some(_), _) => elapsed.as_millis() as u64,
                    (None, _) => now.finished,
                };
                bar.set_position(done);
                bar.set_message(text);
            }
        }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        if let Shown::Bar { bar, .. } = &self.shown {
            bar.finish_and_clear();
        }
    }
}
