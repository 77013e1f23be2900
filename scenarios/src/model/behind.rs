//! What has become of requests, recorded a handful at a time.
//!
//! The recorder only adds up, so it can be told whenever it suits. One request at a time would suit a processor badly: where a time
//! belongs in two histograms and in a dozen intervals is found by chains of shifts and multiplications that wait for each other, and
//! the rest of the model would have to wait with them. In a row, one request's chain overlaps with the next one's.

use std::{mem, time::Duration};

use reports::{Recorder, RecorderConfig, Sample};

/// So many are recorded at a time: enough to overlap, few enough to stay in the nearest cache.
const MANY: usize = 32;

/// The recorder, and what it has not been told yet.
#[derive(Debug)]
pub(super) struct Behind {
    recorder: Recorder,
    samples: Vec<Sample>,
}

impl Behind {
    pub(super) fn new(recorder: Recorder) -> Self {
        Self { recorder, samples: Vec::with_capacity(MANY) }
    }

    /// A request has ended.
    #[inline]
    pub(super) fn record(&mut self, sample: Sample) {
        self.samples.push(sample);
        if self.samples.len() == MANY {
            self.tell();
        }
    }

    #[inline(never)]
    fn tell(&mut self) {
        for sample in self.samples.drain(..) {
            self.recorder.record(&sample);
        }
    }

    /// The recorder, which knows of all; whatever comes later is lost.
    pub(super) fn take(&mut self) -> Recorder {
        self.tell();
        mem::replace(&mut self.recorder, Recorder::new(RecorderConfig::new(None, Duration::ZERO)))
    }
}
