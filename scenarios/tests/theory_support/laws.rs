//! The laws: what theory says of a system, and the check of a run against it.
//!
//! Every law names its source. `check` returns what speaks against it instead of failing, so that the same checks can be shown
//! to object to systems that are wrong.

use super::system::{System, beyond, mean, refused};

/// The points of the distribution that are checked: so much is beyond them.
const TAILS: [f64; 3] = [0.5, 0.1, 0.01];
/// Bounds of a histogram's buckets are this exact.
const BUCKET: f64 = 0.001;

/// What theory says of a system.
#[derive(Clone, Debug)]
pub(crate) struct Law {
    pub(crate) system: System,
    /// The mean response time at a load.
    pub(crate) mean: fn(f64) -> f64,
    /// The probability of a response time above `t` at a load, where it is known.
    pub(crate) tail: Option<fn(f64, f64) -> f64>,
    /// What the formula is off by, as a part of what it says.
    pub(crate) error: f64,
}

impl Law {
    pub(crate) fn new(system: System, mean: fn(f64) -> f64) -> Self {
        Self { system, mean, tail: None, error: 0.0 }
    }

    pub(crate) fn tail(self, tail: fn(f64, f64) -> f64) -> Self {
        Self { tail: Some(tail), ..self }
    }

    pub(crate) fn error(self, error: f64) -> Self {
        Self { error, ..self }
    }

    /// The same law of another system.
    pub(crate) fn of(self, change: impl FnOnce(System) -> System) -> Self {
        Self { system: change(self.system), ..self }
    }

    /// What speaks against it at these loads.
    pub(crate) fn check(&self, loads: &[f64], seeds: &[u64]) -> Vec<String> {
        let mut objections = Vec::new();
        for &load in loads {
            let runs = self.system.runs(load, seeds);
            let (found, truth) = (mean(&runs), (self.mean)(load));
            println!("{load}: mean {truth:.5}: {found:?}");
            let objection = found.objection(truth, (self.error + BUCKET) * truth);
            objections.extend(objection.map(|why| format!("mean at {load}: {why}")));
            objections.extend(found.too_wide().map(|why| format!("length at {load}: {why}")));
            let Some(tail) = self.tail else { continue };
            for part in TAILS {
                let bound = where_it_is(|t| tail(load, t), part);
                let off = tail(load, bound * (1.0 - BUCKET)) - tail(load, bound * (1.0 + BUCKET));
                let found = beyond(&runs, bound);
                println!("{load}: beyond {bound:.4}: {found:?}");
                let objection = found.objection(part, off + self.error * part * 10.0);
                objections.extend(
                    objection.map(|why| format!("tail at {load} beyond {bound:.4}: {why}")),
                );
            }
        }
        objections
    }

    /// Fails where something speaks against it.
    #[track_caller]
    pub(crate) fn holds(&self, loads: &[f64], seeds: &[u64]) {
        let objections = self.check(loads, seeds);
        assert!(objections.is_empty(), "{:?}\n{}", self.system, objections.join("\n"));
    }
}

/// Where a function that falls from 1 to 0 is `value`.
fn where_it_is(falls: impl Fn(f64) -> f64, value: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1e6);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if falls(middle) > value { low = middle } else { high = middle }
    }
    low
}

/// M/M/1: T = 1/(1-ρ), and T is exponential (Kleinrock, *Queueing Systems* 1, sections 3.2 and 5.7). The mean is that of any
/// order of service that does not look at service times; the tail only that of first come, first served.
pub(crate) fn m_m_1() -> Law {
    Law::new(System::new(1, "\"random\""), alone).tail(|load, t| (-(1.0 - load) * t).exp())
}

fn alone(load: f64) -> f64 {
    1.0 / (1.0 - load)
}

/// Erlang's first formula by its recursion.
pub(crate) fn erlang_b(servers: u32, offered: f64) -> f64 {
    (1..=servers).fold(1.0, |b, k| offered * b / (f64::from(k) + offered * b))
}

/// Erlang's second formula: the probability of having to wait.
pub(crate) fn erlang_c(servers: u32, load: f64) -> f64 {
    let b = erlang_b(servers, f64::from(servers) * load);
    b / (1.0 - load + load * b)
}

/// M/M/c: T = 1 + C/(c(1-ρ)) (Erlang 1917; Kleinrock 1, section 3.5); who waits waits exponentially with rate α = c(1-ρ), so
/// P(T > t) = (1-C)e^-t + C(αe^-t - e^-αt)/(α-1).
pub(crate) fn m_m_4() -> Law {
    let system = System::new(1, "\"random\"").workers(4).memories(8.0);
    Law::new(system, |load| 1.0 + erlang_c(4, load) / (4.0 * (1.0 - load))).tail(|load, t| {
        let (c, a) = (erlang_c(4, load), 4.0 * (1.0 - load));
        (1.0 - c) * (-t).exp() + c * (a * (-t).exp() - (-a * t).exp()) / (a - 1.0)
    })
}

/// M/G/1: T = 1 + ρ(1+C²)/(2(1-ρ)) (Pollaczek 1930, Khinchine 1932): here C² = 0.
pub(crate) fn m_d_1() -> Law {
    let system = System::new(1, "\"random\"").backend("service = { constant = \"10ms\" }");
    Law::new(system.memories(10.0), |load| pollaczek_khinchine(load, 0.0))
}

/// The same, C² = 1/4.
pub(crate) fn m_e4_1() -> Law {
    let service = "service = { erlang = { k = 4, mean = \"10ms\" } }";
    let system = System::new(1, "\"random\"").backend(service).memories(10.0);
    Law::new(system, |load| pollaczek_khinchine(load, 0.25))
}

/// The same, C² = 4.
pub(crate) fn m_h2_1() -> Law {
    let service = "service = { hyperexponential = { mean = \"10ms\", cv2 = 4.0 } }";
    let system = System::new(1, "\"random\"").backend(service).memories(30.0);
    Law::new(system, |load| pollaczek_khinchine(load, 4.0))
}

fn pollaczek_khinchine(load: f64, cv2: f64) -> f64 {
    1.0 + load * (1.0 + cv2) / (2.0 * (1.0 - load))
}

/// M/G/1 with processor sharing: T = 1/(1-ρ) whatever the service times are (Kleinrock 1967; Sakata, Noguchi and Oizumi 1971).
pub(crate) fn sharing(service: &str) -> Law {
    let backend = format!("discipline = \"processor_sharing\"\nservice = {{ {service} }}");
    Law::new(System::new(1, "\"random\"").backend(&backend).memories(20.0), alone)
}

/// A Poisson process that is split at random is n independent ones (Kleinrock 1, section 2.4): each endpoint is an M/M/1.
pub(crate) fn random_split() -> Law {
    let law = m_m_1();
    Law { system: System::new(10, "\"random\"").memories(4.0), ..law }
}

/// σ of GI/M/1, the root of σ = A*(1-σ) (Kleinrock 1, section 6.4). Every nth of a Poisson stream is Erlang-n spaced.
fn sigma(n: i32, load: f64) -> f64 {
    let n = f64::from(n);
    let step = |sigma: f64| (n * load / (n * load + 1.0 - sigma)).powf(n);
    (0..100_000).fold(load, |sigma, _| step(sigma))
}

/// Round robin over ten is ten queues E₁₀/M/1: T is exponential with mean 1/(1-σ).
pub(crate) fn round_robin() -> Law {
    let system = System::new(10, "\"round_robin\"").memories(2.0);
    Law::new(system, |load| 1.0 / (1.0 - sigma(10, load)))
        .tail(|load, t| (-(1.0 - sigma(10, load)) * t).exp())
}

/// Two distinct choices of two are the shorter queue of two; its mean by solving the two-dimensional Markov chain by matrix-geometric
/// methods (the chain: Kingman 1961; tables: Adan, Wessels and Zijm 1990).
pub(crate) fn two_choices_of_two() -> Law {
    const KNOWN: [(f64, f64); 5] = [
        (0.5, 1.426_320_8),
        (0.7, 2.108_197_3),
        (0.9, 5.474_912_8),
        (0.95, 10.486_638_8),
        (0.99, 50.497_187_6),
    ];
    Law::new(System::new(2, "\"p2c\"").memories(10.0), |load| {
        let known = KNOWN.into_iter().find(|(known, _)| (known - load).abs() < 1e-9);
        known.expect("a load of the table").1
    })
}

/// The part of endpoints with at least `i` requests among infinitely many: ρ^(2^i - 1).
fn at_least(load: f64, i: i32) -> f64 {
    load.powf(2.0_f64.powi(i) - 1.0)
}

/// The power of two choices among many (Vvedenskaya, Dobrushin and Karpelevich 1996; Mitzenmacher 1996): T = Σ ρ^(2^i - 2). Who finds
/// k-1 requests, with the probability s(k-1)² - s(k)², takes an Erlang-k time. The error of the limit is of order 1/n: three in a
/// thousand are allowed for it in the mean, ten times that in the tail.
pub(crate) fn two_choices_of_a_thousand() -> Law {
    let system = System::new(1000, "\"p2c\"").memory(alone).memories(1.0);
    Law::new(system, |load| (1..30).map(|i| load.powf(2.0_f64.powi(i) - 2.0)).sum())
        .tail(|load, t| {
            let (mut term, mut longer, mut sum) = ((-t).exp(), 0.0, 0.0);
            for k in 1..40 {
                // P(Erlang(k, 1) > t) = Σ e^-t t^j / j! for j < k.
                longer += term;
                term *= t / f64::from(k);
                sum += (at_least(load, k - 1).powi(2) - at_least(load, k).powi(2)) * longer;
            }
            sum
        })
        .error(0.003)
}

/// A system that refuses: the probability is this at a load.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    pub(crate) system: System,
    pub(crate) refused: fn(f64) -> f64,
}

impl Loss {
    /// What speaks against it at these loads.
    pub(crate) fn check(&self, loads: &[f64], seeds: &[u64]) -> Vec<String> {
        let mut objections = Vec::new();
        for &load in loads {
            let (found, truth) = (refused(&self.system.runs(load, seeds)), (self.refused)(load));
            println!("{load}: refused {truth:.5}: {found:?}");
            let objection = found.objection(truth, 0.0);
            objections.extend(objection.map(|why| format!("refused at {load}: {why}")));
            objections.extend(found.too_wide().map(|why| format!("length at {load}: {why}")));
        }
        objections
    }
}

/// A system with losses forgets about as fast as it serves.
fn short(_: f64) -> f64 {
    10.0
}

/// M/M/1/K: (1-ρ)ρ^K/(1-ρ^(K+1)) are refused (Kleinrock 1, section 3.6); here K = 5.
pub(crate) fn m_m_1_5() -> Loss {
    let backend = "service = { exponential = { mean = \"10ms\" } }\nqueue = 4";
    let system = System::new(1, "\"random\"").backend(backend).memory(short).memories(300.0);
    Loss { system, refused: |load| (1.0 - load) * load.powi(5) / (1.0 - load.powi(6)) }
}

/// Erlang's loss formula, for any service times (Erlang 1917; insensitivity: Sevastyanov 1957).
pub(crate) fn erlang_loss(service: &str) -> Loss {
    let backend = format!("service = {{ {service} }}\nqueue = 0");
    let system = System::new(1, "\"random\"").workers(10).backend(&backend);
    let system = system.memory(short).memories(50.0);
    Loss { system, refused: |load| erlang_b(10, 10.0 * load) }
}
