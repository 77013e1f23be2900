//! The recorder against sums and sorted lists, on requests drawn at random.

use proptest::prelude::*;
use reports::{FailClass, Measurement, Outcome, Phase, Reading, Recorder, RecorderConfig, Sample};
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;
const END: u64 = 10 * SECOND;
const WARMUP: u64 = 2_300_000_000;
const PHASE: (u64, u64) = (2 * SECOND, 6 * SECOND);
const LATE: u64 = 10_000_000;

fn config() -> RecorderConfig {
    let nanos = Duration::from_nanos;
    let mut config = RecorderConfig::new(Some(nanos(END)), nanos(WARMUP));
    config.loads = vec!["a".to_owned(), "b".to_owned()];
    config.endpoints = vec!["web-0".to_owned(), "web-1".to_owned(), "web-2".to_owned()];
    config.phases =
        vec![Phase { name: "fault".to_owned(), from: nanos(PHASE.0), to: nanos(PHASE.1) }];
    config
}

fn outcome() -> impl Strategy<Value = (Outcome, u16)> {
    prop_oneof![
        8 => Just((Outcome::Ok, 200)),
        1 => Just((Outcome::Ok, 304)),
        1 => Just((Outcome::Failed(FailClass::Status5xx), 500)),
        1 => Just((Outcome::Failed(FailClass::Reset), 0)),
        1 => Just((Outcome::TimedOut, 0)),
        1 => Just((Outcome::Refused, 503)),
        1 => Just((Outcome::Dropped, 0)),
    ]
}

fn sample() -> impl Strategy<Value = Sample> {
    let times = (0..END, prop_oneof![Just(0), 0..30_000_000_u64], 0..3_000_000_000_u64);
    (times, outcome(), 0..2_usize, proptest::option::of(0..3_usize), 0..3_u32).prop_map(
        |((intended, wait, service), (outcome, status), load, endpoint, retries)| {
            let is_sent = outcome != Outcome::Dropped;
            let sent = intended + if is_sent { wait } else { 0 };
            let finished = sent + if is_sent { service } else { 0 };
            let (bytes_in, bytes_out) = (u64::from(status), 3);
            let endpoint = endpoint.filter(|_| is_sent);
            Sample {
                load,
                intended,
                sent,
                finished,
                outcome,
                status,
                bytes_in,
                bytes_out,
                endpoint,
                retries,
            }
        },
    )
}

fn record<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> Recorder {
    let mut recorder = Recorder::new(config());
    for sample in samples {
        recorder.record(sample);
    }
    recorder
}

fn is_timed(sample: &Sample) -> bool {
    matches!(sample.outcome, Outcome::Ok | Outcome::TimedOut)
}

/// What a time counts from.
type Clock = fn(&Sample) -> u64;

/// Checks every metric of a set of requests under a prefix.
fn check(m: &Measurement, prefix: &str, samples: &[&Sample], seconds: f64) {
    let get = |name: &str| m.metrics.get(&format!("{prefix}{name}"));
    let count = |keep: &dyn Fn(&Sample) -> bool| samples.iter().filter(|s| keep(s)).count() as f64;
    let n = samples.len() as f64;
    let ok = count(&|s| s.outcome == Outcome::Ok);
    assert_eq!(get("requests"), Some(n));
    assert_eq!(get("ok"), Some(ok));
    assert_eq!(get("failed"), Some(count(&|s| matches!(s.outcome, Outcome::Failed(_)))));
    assert_eq!(
        get("failed.reset"),
        Some(count(&|s| s.outcome == Outcome::Failed(FailClass::Reset)))
    );
    assert_eq!(get("timed_out"), Some(count(&|s| s.outcome == Outcome::TimedOut)));
    assert_eq!(get("refused"), Some(count(&|s| s.outcome == Outcome::Refused)));
    assert_eq!(get("dropped"), Some(count(&|s| s.outcome == Outcome::Dropped)));
    assert_eq!(get("sent_late"), Some(count(&|s| s.sent - s.intended > LATE)));
    let with_304 = count(&|s| s.status == 304);
    assert_eq!(get("status.304"), (with_304 > 0.0).then_some(with_304));
    assert_eq!(get("rate"), Some(count(&|s| s.status > 0) / seconds));
    assert_eq!(get("offered_rate"), Some(n / seconds));
    let retries: u32 = samples.iter().map(|s| s.retries).sum();
    assert_eq!(get("retries"), Some(f64::from(retries)));
    let bytes: u64 = samples.iter().map(|s| s.bytes_in).sum();
    assert_eq!(get("bytes_in"), Some(bytes as f64));
    assert_eq!(get("success_ratio"), (n > 0.0).then(|| ok / n));
    let clocks: [(&str, Clock); 2] =
        [("latency", |s| s.finished - s.intended), ("service_time", |s| s.finished - s.sent)];
    for (clock, time) in clocks {
        let mut times: Vec<u64> = samples.iter().filter(|s| is_timed(s)).map(|s| time(s)).collect();
        times.sort_unstable();
        let name = |end: &str| format!("{clock}.{end}");
        let ms = |nanos: u64| nanos as f64 / 1e6;
        assert_eq!(get(&name("min")), times.first().copied().map(ms));
        assert_eq!(get(&name("max")), times.last().copied().map(ms));
        for (end, quantile) in [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)] {
            let found = get(&name(end));
            let beyond = times.len() as f64 * (1.0 - quantile);
            if beyond < 10.0 - 1e-6 {
                assert_eq!(found, None, "{prefix}{clock}.{end} of {}", times.len());
                let full = format!("{prefix}{clock}.{end}");
                assert!(
                    matches!(m.metrics.read(&full), Reading::Absent(why) if why.contains("needs"))
                );
            } else {
                let rank = (times.len() as f64 * quantile - 1e-6).ceil() as usize;
                let exact = ms(times[rank - 1]);
                let found = found.expect("there are enough");
                assert!(
                    (found - exact).abs() <= exact * 1e-3 + 128e-6,
                    "{clock}.{end} {found} {exact}"
                );
            }
        }
    }
    let mut per_endpoint = [0.0; 3];
    for endpoint in samples.iter().filter_map(|s| s.endpoint) {
        per_endpoint[endpoint] += 1.0;
    }
    let total: f64 = per_endpoint.iter().sum();
    let busiest = per_endpoint.iter().copied().fold(0.0, f64::max);
    assert_eq!(get("imbalance"), (total > 0.0).then(|| busiest * 3.0 / total));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_metric_is_what_a_list_would_say(samples in proptest::collection::vec(sample(), 0..1500)) {
        let m = record(&samples).finish();
        let due = |from: u64, to: u64| -> Vec<&Sample> {
            samples.iter().filter(|s| (from.max(WARMUP)..to).contains(&s.intended)).collect()
        };
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        let all = due(0, END);
        check(&m, "", &all, seconds(END - WARMUP));
        for (index, name) in ["load.a.", "load.b."].into_iter().enumerate() {
            let of_load: Vec<&Sample> = all.iter().copied().filter(|s| s.load == index).collect();
            check(&m, name, &of_load, seconds(END - WARMUP));
        }
        check(&m, "phase.fault.", &due(PHASE.0, PHASE.1), seconds(PHASE.1 - WARMUP));

        // The intervals add up to the run.
        let timed = all.iter().filter(|s| is_timed(s)).count() as u64;
        prop_assert_eq!(m.intervals.iter().map(|i| i.buckets.len()).sum::<u64>(), timed);
        let mut sum = reports::record::Buckets::<u32>::default();
        for interval in &m.intervals {
            sum.add(&interval.buckets);
        }
        for quantile in [0.0, 0.1, 0.5, 0.9, 1.0] {
            prop_assert_eq!(
                sum.value_at_quantile(quantile),
                m.response.buckets().value_at_quantile(quantile)
            );
        }
    }

    #[test]
    fn the_courses_over_time_show_every_request(samples in proptest::collection::vec(sample(), 0..300)) {
        let m = record(&samples).finish();
        let series = &m.series;
        let total = |metric: &str, label: &str| -> f64 {
            series.line(metric, label).map_or(0.0, |line| {
                line.values.iter().zip(&series.slots).map(|(v, s)| v.unwrap_or(0.0) * s.seconds()).sum()
            })
        };
        let near = |a: f64, b: f64| (a - b).abs() < 1e-6 * (1.0 + b);
        let within = |t: u64| t < END;
        prop_assert!(near(total("offered_rps", ""), samples.len() as f64));
        let ok = samples.iter().filter(|s| s.outcome == Outcome::Ok && within(s.finished)).count();
        prop_assert!(near(total("ok_rps", ""), ok as f64));
        // Time in flight, by endpoint and in all, is the sum of the requests' own.
        let in_flight = |keep: &dyn Fn(&Sample) -> bool| -> f64 {
            let time = |s: &Sample| s.finished.min(END).saturating_sub(s.sent) as f64 / 1e9;
            samples.iter().filter(|s| keep(s) && s.outcome != Outcome::Dropped).map(time).sum()
        };
        prop_assert!(near(total("in_flight", ""), in_flight(&|_| true)));
        for (index, name) in ["web-0", "web-1", "web-2"].into_iter().enumerate() {
            let wanted = in_flight(&|s| s.endpoint == Some(index));
            prop_assert!(near(total("endpoint_in_flight", name), wanted));
        }
    }

    #[test]
    fn merged_recorders_have_seen_what_both_saw(
        samples in proptest::collection::vec(sample(), 0..400),
        cut in 0..400_usize,
    ) {
        let cut = cut.min(samples.len());
        let mut left = record(&samples[..cut]);
        left.merge(record(&samples[cut..])).expect("same configuration");
        let (merged, whole) = (left.finish(), record(&samples).finish());
        prop_assert_eq!(merged.metrics, whole.metrics);
        prop_assert_eq!(merged.series, whole.series);
        prop_assert_eq!(merged.endpoints, whole.endpoints);
    }

    #[test]
    fn a_run_of_unknown_length_has_the_same_figures(
        samples in proptest::collection::vec(sample(), 1..200),
        stretch in 1..2000_u64,
    ) {
        let stretched: Vec<Sample> = samples
            .iter()
            .map(|s| Sample {
                intended: s.intended * stretch,
                sent: s.sent * stretch,
                finished: s.finished * stretch,
                ..*s
            })
            .collect();
        let mut open = config();
        open.duration = None;
        let mut recorder = Recorder::new(open.clone());
        for sample in &stretched {
            recorder.record(sample);
        }
        // Two halves, of which the second alone has coarser or finer intervals.
        let mut halves = (Recorder::new(open.clone()), Recorder::new(open));
        for (index, sample) in stretched.iter().enumerate() {
            let half = if index % 3 == 0 { &mut halves.0 } else { &mut halves.1 };
            half.record(sample);
        }
        halves.0.merge(halves.1).expect("same configuration");
        let end = stretched.iter().map(|s| s.finished).max().unwrap_or(0);
        let m = recorder.finish_at(Duration::from_nanos(end));
        prop_assert!(m.series.slots.len() <= 602, "{}", m.series.slots.len());
        let sums = |m: &Measurement| m.series.slots.last().map(|s| s.to);
        prop_assert_eq!(sums(&m), Some(end.max(WARMUP)));
        let merged = halves.0.finish_at(Duration::from_nanos(end));
        prop_assert_eq!(&merged.metrics, &m.metrics);
        prop_assert_eq!(&merged.series, &m.series);
        // All requests' time in flight is there after every doubling and the cut at the end.
        let line = m.series.line("in_flight", "").expect("always there");
        let shown: f64 =
            line.values.iter().zip(&m.series.slots).map(|(v, s)| v.unwrap_or(0.0) * s.seconds()).sum();
        let time = |s: &Sample| (s.finished - s.sent) as f64 / 1e9;
        let wanted: f64 = stretched.iter().filter(|s| s.outcome != Outcome::Dropped).map(time).sum();
        prop_assert!((shown - wanted).abs() < 1e-6 * (1.0 + wanted), "{} {}", shown, wanted);
    }
}

#[test]
fn different_runs_cannot_be_merged() {
    let mut other = config();
    other.loads.push("c".to_owned());
    assert!(Recorder::new(config()).merge(Recorder::new(other)).is_err());
}

#[test]
fn observed_in_flight_is_the_maximum_that_was_observed() {
    let mut recorder = Recorder::new(config());
    recorder.in_flight(1, WARMUP - 1, 99);
    recorder.in_flight(1, WARMUP + 1, 7);
    recorder.in_flight(1, WARMUP + 2, 5);
    recorder.in_flight(9, WARMUP + 2, 5);
    let m = recorder.finish();
    assert_eq!(m.metrics.get("endpoint.web-1.in_flight.max"), Some(7.0));
}
