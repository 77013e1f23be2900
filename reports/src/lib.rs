//! Results in; what a person or a machine reads out.
//!
//! Two halves. [`record`] turns the outcomes of single requests into the figures of a run: the load
//! generator, the model and both other worlds all feed it, so a metric means the same wherever it was
//! measured. The rest writes a [`Suite`] of runs as files ([`write_all`]) or as text on a terminal
//! ([`terminal::summary`]). This crate is a leaf: it knows nothing of proxies, reads no clock, and the
//! same input gives the same bytes.

pub mod agreement;
mod aligned;
pub mod catalogue;
pub mod chance;
pub mod compare;
pub mod csv;
pub mod diff;
pub mod files;
pub mod format;
pub mod headline;
pub mod hlog;
pub mod html;
pub mod invariant;
pub mod junit;
pub mod manifest;
pub mod markdown;
pub mod metrics;
pub mod record;
pub mod results;
pub mod run;
pub mod search;
pub mod statistics;
pub mod terminal;

pub use agreement::{Agreement, agreements};
pub use catalogue::{METRICS, MetricInfo, Names, Scope, resolve};
pub use files::write_all;
pub use invariant::InvariantResult;
pub use metrics::{Metric, Metrics, Reading, Unit};
pub use record::{
    Distribution, EndpointRow, FailClass, Line, Measurement, Outcome, Recorder, RecorderConfig,
    Sample, TimeSeries,
};
pub use run::{EventMark, Manifest, Phase, Run, Suite, ThresholdResult, Verdict, World};
