//! `latency.hlog`: response times as an HdrHistogram interval log.
//!
//! One line an interval, tagged with its run, in the format of the Java `HistogramLogWriter`, so that
//! the tools that read such logs (plotters, processors, mergers) read ours. Values are nanoseconds,
//! the column of maxima is in milliseconds, time counts from the start of the run. The warm-up is not
//! in it: the histograms of a tag add up to the run's.

use crate::run::{Run, Suite, World};
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use std::io;
use std::time::{Duration, UNIX_EPOCH};

/// The tag of a run's lines: `scenario|world|variant|seed`, with `_` for what a tag may not hold.
pub fn tag(run: &Run) -> String {
    tag_of(&run.scenario, run.world, &run.variant_text(), run.seed)
}

/// The same from the parts that tell a run.
pub(crate) fn tag_of(scenario: &str, world: World, variant: &str, seed: u64) -> String {
    let tag = format!("{scenario}|{world}|{variant}|{seed}");
    let allowed = |c: char| if c == ',' || c.is_whitespace() || c.is_control() { '_' } else { c };
    tag.chars().map(allowed).collect()
}

/// The log of all runs.
///
/// # Errors
/// When a histogram cannot be written, which in memory does not happen.
pub fn latency(suite: &Suite) -> io::Result<Vec<u8>> {
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment("response times in nanoseconds; time in seconds since the start of the run")
        .with_start_time(UNIX_EPOCH)
        .with_max_value_divisor(1e6)
        .begin_log_with(&mut log, &mut serializer)?;
    for run in &suite.runs {
        let tag = tag(run);
        for interval in &run.measurement.intervals {
            let from = Duration::from_nanos(interval.slot.from);
            let length = Duration::from_nanos(interval.slot.to.saturating_sub(interval.slot.from));
            writer
                .write_histogram(&interval.buckets.to_hdr(), from, length, Tag::new(&tag))
                .map_err(|error| io::Error::other(format!("latency.hlog: {error:?}")))?;
        }
    }
    Ok(log)
}
