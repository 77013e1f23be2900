//! One seed, one run: by turmoil as in memory, whatever goes wrong in it.

use net::{Crash, LinkSettings};
use policy::{distribution::Distribution, quantity::TimeSpan};

use crate::tunnel::{Tunnel, crash, cut, ms, on_turmoil, repair, restart};

fn trouble(seed: u64) -> Tunnel {
    let latency = Distribution::Exponential { mean: TimeSpan(ms(1)) };
    Tunnel {
        seed,
        link: LinkSettings { latency, loss: 0.005, ..LinkSettings::default() },
        endpoints: 3,
        proxy: "[balance]\nstrategy = \"p2c\"\n[timeouts]\nresponse_head = \"1s\"",
        load: "arrivals = { poisson = { rate = 300 } }\ntimeout = \"2s\"",
        faults: vec![
            (ms(300), cut("web-0", "proxy")),
            (ms(500), crash("web-1", Crash::Process)),
            (ms(700), crash("web-2", Crash::Machine)),
            (ms(900), repair("web-0", "proxy")),
            (ms(1000), restart("web-1")),
            (ms(1200), restart("web-2")),
        ],
        ..Tunnel::default()
    }
}

#[test]
fn a_seed_is_a_run_by_turmoil_in_every_process() {
    let first = on_turmoil(&trouble(1));
    assert!(first.count("ok") > 400, "{:?}", first.failures);
    assert!(first.touched[..3].iter().all(|count| *count > 0), "{:?}", first.touched);
    assert_eq!(first, on_turmoil(&trouble(1)));
    assert_ne!(first.trace, on_turmoil(&trouble(2)).trace);
    // In every process, on every machine. Who changes what a seed means changes this.
    assert_eq!(first.trace, 9_564_333_705_097_324_495);
}
