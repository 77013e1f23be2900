//! One seed a run, one stream a component.
//!
//! A run has a single [`Seed`]. Each component derives a stream of its own from it *by name*, so that adding
//! a component shifts no other: the arrivals stay the same when a balancer draws once more. The generator is
//! PCG XSL RR 128/64 (O'Neill 2014), whose output is fixed for ever; the bounded draw and the
//! conversion to `f64` are written here, because libraries change theirs between versions.

use rand_core::Rng as _;
use rand_pcg::Pcg64;

/// The seed of a run, or one derived from it by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seed(pub u64);

impl Seed {
    /// The seed of the component `name`.
    pub fn child(self, name: &str) -> Self {
        // FNV-1a over the name, then SplitMix64's finaliser over both: cheap, well mixed, stable.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for &byte in name.as_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Self(mix(self.0 ^ mix(hash)))
    }

    /// The seed of the `n`th of many like components (a user, a worker, a repetition).
    pub fn nth(self, n: u64) -> Self {
        Self(mix(self.0 ^ mix(n.wrapping_add(0x9e37_79b9_7f4a_7c15))))
    }

    /// The random stream of the component `name`.
    pub fn stream(self, name: &str) -> Rng {
        self.child(name).rng()
    }

    /// A random stream that starts at this very seed.
    pub fn rng(self) -> Rng {
        let state = u128::from(mix(self.0)) << 64 | u128::from(mix(self.0 ^ 0x5851_f42d_4c95_7f2d));
        Rng(Pcg64::new(state, 0x0a02_bdbf_7bb3_c0a7_ac28_fa16_a64a_bf96))
    }
}

/// SplitMix64's finaliser (Steele, Lea and Flood 2014): a bijection that spreads every bit.
pub fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A random stream whose values depend on its seed alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng(Pcg64);

impl Rng {
    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `0..bound` without bias (Lemire 2019); 0 when `bound` is 0.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        let product = u128::from(self.bits()) * u128::from(bound);
        if (product as u64) < bound {
            return self.below_exactly(bound, product);
        }
        (product >> 64) as u64
    }

    /// Draws again while what was drawn would favour some; apart, because that is rare and every draw would bear its weight.
    #[cold]
    fn below_exactly(&mut self, bound: u64, mut product: u128) -> u64 {
        let threshold = bound.wrapping_neg() % bound;
        while (product as u64) < threshold {
            product = u128::from(self.bits()) * u128::from(bound);
        }
        (product >> 64) as u64
    }

    /// Uniform index into a slice of `len`; 0 when `len` is 0.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// Uniform in `[0, 1)`, in steps of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Uniform in `(0, 1]`: safe under a logarithm.
    pub fn unit_open(&mut self) -> f64 {
        1.0 - self.unit()
    }

    /// True with this probability; never at 0 and always at 1.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn streams_are_pinned_for_ever() {
        let mut rng = Seed(7).stream("arrivals");
        let drawn: Vec<u64> = (0..3).map(|_| rng.bits()).collect();
        assert_eq!(drawn, PINNED);
    }

    const PINNED: [u64; 3] =
        [4_563_613_873_238_318_689, 11_596_817_796_974_199_717, 5_503_711_417_940_141_313];

    #[test]
    fn names_and_numbers_give_streams_of_their_own() {
        let seed = Seed(1);
        assert_ne!(seed.child("a"), seed.child("b"));
        assert_ne!(seed.nth(0), seed.nth(1));
        assert_ne!(Seed(1).child("a"), Seed(2).child("a"));
    }

    proptest! {
        #[test]
        fn below_stays_below(seed: u64, bound in 1_u64..) {
            let mut rng = Seed(seed).rng();
            for _ in 0..32 {
                prop_assert!(rng.below(bound) < bound);
            }
        }

        #[test]
        fn unit_is_in_its_interval(seed: u64) {
            let mut rng = Seed(seed).rng();
            for _ in 0..32 {
                let (closed, open) = (rng.unit(), rng.unit_open());
                prop_assert!((0.0..1.0).contains(&closed));
                prop_assert!(open > 0.0 && open <= 1.0);
            }
        }
    }

    #[test]
    fn below_is_even() {
        let mut counts = [0_u32; 7];
        let mut rng = Seed(3).rng();
        for _ in 0..70_000 {
            counts[rng.index(7)] += 1;
        }
        // 10,000 expected each, standard deviation 93: five of them.
        assert!(counts.iter().all(|&n| n.abs_diff(10_000) < 465), "{counts:?}");
    }
}
