//! What an endpoint says of its own load, and the header field that it says it in.
//!
//! The field is ORCA's (Open Request Cost Aggregation: `xds.data.orca.v3.OrcaLoadReport`, Envoy issue 6614, gRPC A51) in its text form,
//! as Envoy and vLLM write and read it:
//!
//! ```text
//! endpoint-load-metrics: TEXT application_utilization=0.62, rps_fractional=41.5, eps=0, named_metrics.queue=3
//! ```
//!
//! ORCA has names for utilisation, requests and errors per second; whatever else is said is a `named_metrics.NAME`. Ours are
//! `in_flight`, `queue`, `latency_ns` and `service_time_ns`. What is not said is 0, as in the protocol buffer. The forms `JSON` and `BIN` are
//! not read. A field with anything in it that is no number is believed in nothing. Numbers are written so that reading them
//! gives the same bits: a report is the same whether it went over a wire or not.

use std::{fmt, time::Duration};

use crate::time::nanos;

/// In an answer: how loaded its endpoint is.
pub const REPORT_HEADER: &str = "endpoint-load-metrics";

/// What an endpoint says of its own load.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LoadReport {
    /// The part of what it can do at once that it does, lately; 1 is all of it, and some say more. 0: not said.
    pub utilization: f64,
    /// Requests that it answers, per second.
    pub rate: f64,
    /// Those of them that fail, per second.
    pub errors: f64,
    /// Requests that it has now, waiting or being served.
    pub in_flight: u32,
    /// Those of them beyond what it serves at once.
    pub queue: u32,
    /// How long requests have taken there lately that found about as many as there are now.
    pub latency: Duration,
    /// How long serving a request takes there, without waiting.
    pub service_time: Duration,
}

impl LoadReport {
    /// Reads the field's value; nothing when it cannot be believed.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim();
        let text = text.strip_prefix("TEXT ").unwrap_or(text);
        let mut report = Self::default();
        let mut processor = 0.0;
        for metric in text.split(',') {
            // Envoy writes it with a colon, too.
            let (name, value) = metric.split_once(['=', ':'])?;
            let value: f64 = value.trim().parse().ok()?;
            if !(value.is_finite() && value >= 0.0) {
                return None;
            }
            match name.trim() {
                "" => return None,
                "application_utilization" => report.utilization = value,
                "cpu_utilization" => processor = value,
                "rps_fractional" => report.rate = value,
                "eps" => report.errors = value,
                "named_metrics.in_flight" => report.in_flight = value as u32,
                "named_metrics.queue" => report.queue = value as u32,
                "named_metrics.latency_ns" => report.latency = Duration::from_nanos(value as u64),
                "named_metrics.service_time_ns" => {
                    report.service_time = Duration::from_nanos(value as u64);
                }
                _ => {}
            }
        }
        if report.utilization <= 0.0 {
            report.utilization = processor;
        }
        Some(report)
    }
}

/// The field's value.
impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { utilization, rate, errors, in_flight, queue, latency, service_time } = self;
        write!(
            f,
            "TEXT application_utilization={utilization}, rps_fractional={rate}, eps={errors}, \
             named_metrics.in_flight={in_flight}, named_metrics.queue={queue}, named_metrics.latency_ns={}, \
             named_metrics.service_time_ns={}",
            nanos(*latency),
            nanos(*service_time)
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_others_write_is_read() {
        let read = |text: &str| LoadReport::parse(text.as_bytes());
        let utilized = |utilization| Some(LoadReport { utilization, ..LoadReport::default() });
        assert_eq!(read("TEXT cpu_utilization=0.3,mem_utilization=0.8"), utilized(0.3));
        assert_eq!(read("TEXT cpu_utilization=0.3,application_utilization=1.7"), utilized(1.7));
        assert_eq!(read("cpu_utilization:0.5,named_metrics.foo:7"), utilized(0.5));
        let vllm = "TEXT named_metrics.kv_cache_utilization=0.4";
        assert_eq!(read(vllm), Some(LoadReport::default()));
        for nonsense in [
            "",
            "TEXT",
            "TEXT ",
            "TEXT eps",
            "TEXT eps=",
            "TEXT eps=x",
            "TEXT =1",
            "TEXT eps=-1",
            "TEXT eps=nan",
            "TEXT eps=inf",
            "TEXT eps=1,,",
            "JSON {\"eps\": 1}",
            "BIN CZqZmZmZmbk/",
        ] {
            assert_eq!(read(nonsense), None, "{nonsense:?}");
        }
        assert_eq!(LoadReport::parse(b"TEXT eps=1\xff"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_to_the_last_bit(
            figures in [0.0_f64..1e9, 0.0_f64..1e-3, 0.0_f64..3.0], counts: [u32; 2], spans in [0_u64..1 << 53, 0_u64..1 << 40],
        ) {
            let report = LoadReport {
                utilization: figures[2],
                rate: figures[0],
                errors: figures[1],
                in_flight: counts[0],
                queue: counts[1],
                latency: Duration::from_nanos(spans[0]),
                service_time: Duration::from_nanos(spans[1]),
            };
            prop_assert_eq!(LoadReport::parse(report.to_string().as_bytes()), Some(report));
        }

        #[test]
        fn nothing_that_comes_is_too_strange(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = LoadReport::parse(&value);
        }
    }
}
