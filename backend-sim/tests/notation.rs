//! The command line's notation: what it understands, and what it says when it does not.

use std::{fmt::Write as _, time::Duration};

use backend_sim::notation::{delays, distribution, per_cent, statuses};
use policy::{
    distribution::Distribution,
    quantity::{ByteSize, TimeSpan},
};
use proptest::prelude::*;

fn ms(millis: u64) -> TimeSpan {
    TimeSpan::millis(millis)
}

#[test]
fn distributions_by_name_or_in_order() {
    for (text, expected) in [
        ("20ms", Distribution::Constant(ms(20))),
        ("0", Distribution::Constant(ms(0))),
        ("constant:20ms", Distribution::Constant(ms(20))),
        ("uniform:10ms,30ms", Distribution::Uniform { min: ms(10), max: ms(30) }),
        ("uniform:max=30ms, min=10ms", Distribution::Uniform { min: ms(10), max: ms(30) }),
        ("exponential:20ms", Distribution::Exponential { mean: ms(20) }),
        ("exponential:mean=20ms", Distribution::Exponential { mean: ms(20) }),
        ("erlang:4,20ms", Distribution::Erlang { k: 4, mean: ms(20) }),
        (
            "hyperexponential:mean=20ms,cv2=4",
            Distribution::Hyperexponential { mean: ms(20), cv2: 4.0 },
        ),
        ("lognormal:mean=20ms,cv=0.5", Distribution::Lognormal { mean: ms(20), cv: 0.5 }),
        (
            "pareto:5ms,5s,1.5",
            Distribution::Pareto { min: ms(5), max: TimeSpan::secs(5), alpha: 1.5 },
        ),
        (
            "bimodal:fast=5ms,slow=200ms,slow_share=0.02",
            Distribution::Bimodal { fast: ms(5), slow: ms(200), slow_share: 0.02 },
        ),
    ] {
        assert_eq!(distribution(text), Ok(expected), "{text}");
    }
    assert_eq!(distribution("2KiB"), Ok(Distribution::Constant(ByteSize(2048))));
}

#[test]
fn an_empirical_distribution_is_read_from_its_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    std::fs::write(path, "1ms\n\n250us\n").unwrap();
    let Ok(Distribution::<TimeSpan>::Empirical { values, .. }) =
        distribution(&format!("empirical:{path}"))
    else {
        panic!("not read")
    };
    assert_eq!(*values, [1e6, 250e3]);
    std::fs::write(path, "1ms\n2\n").unwrap();
    let error = distribution::<TimeSpan>(&format!("empirical:{path}")).unwrap_err();
    assert!(error.to_string().starts_with(&format!("{path}:2: `2` has no unit")), "{error}");
}

#[test]
fn what_is_wrong_is_said_with_what_to_write() {
    let mut said = String::new();
    for text in [
        "20",
        "soon",
        "exponential",
        "exponential:",
        "exponential:20",
        "gaussian:20ms",
        "uniform:10ms",
        "uniform:30ms,10ms",
        "uniform:10ms,20ms,30ms",
        "lognormal:mean=20ms,cv2=3",
        "lognormal:mean=20ms,mean=30ms",
        "erlang:k=many,mean=20ms",
        "hyperexponential:mean=20ms,cv2=0.5",
        "empirical:/nowhere/at/all.csv",
    ] {
        let error = distribution::<TimeSpan>(text).unwrap_err();
        write!(said, "{text}\n    {error}\n").unwrap();
    }
    for text in ["503", "503:", "503:120", "503:60,404:60", "teapot:5", "700:5"] {
        write!(said, "--status {text}\n    {}\n", statuses(text).unwrap_err()).unwrap();
    }
    for text in ["2ms", "2:5", "2ms:lots"] {
        write!(said, "--delay {text}\n    {}\n", delays(text).unwrap_err()).unwrap();
    }
    insta::assert_snapshot!(said);
}

#[test]
fn shares_are_per_cents() {
    let read: Vec<_> = statuses("503:5, 404:0.5%").unwrap();
    let read: Vec<_> = read.iter().map(|share| (share.status, share.probability)).collect();
    assert_eq!(read, [(503, 0.05), (404, 0.005)]);
    let read = delays("150us:10,2ms:5").unwrap();
    let read: Vec<_> = read.iter().map(|share| (share.time.0, share.probability)).collect();
    assert_eq!(read, [(Duration::from_micros(150), 0.1), (Duration::from_millis(2), 0.05)]);
    assert_eq!(per_cent("2.5"), Ok(0.025));
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,40}", name in "[a-z]{4,16}", rest in "[a-z0-9=,:.%]{0,30}") {
        for text in [text, format!("{name}:{rest}"), format!("uniform:{rest}")] {
            let _ = distribution::<TimeSpan>(&text);
            let _ = distribution::<ByteSize>(&text);
            let _ = statuses(&text);
            let _ = delays(&text);
        }
    }
}
