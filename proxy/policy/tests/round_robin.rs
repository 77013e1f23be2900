//! Smooth weighted round robin is exact over each cycle and never clumps.

mod common;

use common::{Worker, limited, weighted};
use policy::{Transition, balance::Strategy};
use proptest::{collection::vec, prelude::*, strategy::Strategy as Generated};

fn worker(seed: u64) -> Worker {
    Worker::new(&Strategy::default(), 0.0, seed)
}

/// How far any window of picks is off its share, at worst: for each endpoint the greatest and the least of
/// "picks so far minus share so far" over all prefixes bound every window between two of them.
fn worst_window(picks: &[u32], weights: &[u32], counted: impl Fn(u32) -> bool) -> f64 {
    let total: u64 = weights.iter().map(|&w| u64::from(w)).sum();
    let share: u64 =
        (0..).zip(weights).filter(|(i, _)| counted(*i)).map(|(_, &w)| u64::from(w)).sum();
    let (mut least, mut greatest, mut off) = (0_i64, 0_i64, 0_i64);
    for &pick in picks {
        off += if counted(pick) { total as i64 } else { 0 } - share as i64;
        (least, greatest) = (least.min(off), greatest.max(off));
    }
    (greatest - least) as f64 / total as f64
}

fn some_weights() -> impl Generated<Value = Vec<u32>> {
    prop_oneof![
        vec(1_u32..8, 1..12),
        vec(1_u32..200, 1..6),
        vec(prop_oneof![Just(1), Just(50)], 1..30)
    ]
}

proptest! {
    #[test]
    fn each_cycle_gives_each_endpoint_exactly_its_weight(weights in some_weights(), seed: u64, skip in 0_usize..50) {
        let endpoints = weighted(&weights);
        let cycle = weights.iter().sum::<u32>() as usize;
        let mut worker = worker(seed);
        // Not only the cycles from the first pick on: any window of that length.
        worker.picks(&endpoints, skip);
        for _ in 0..3 {
            let mut counts = vec![0; weights.len()];
            for pick in worker.picks(&endpoints, cycle) {
                counts[pick as usize] += 1;
            }
            prop_assert_eq!(&counts, &weights);
        }
    }

    #[test]
    fn no_window_is_off_its_share_by_more_than_the_proven_bound(weights in some_weights(), seed: u64) {
        let endpoints = weighted(&weights);
        let cycle = weights.iter().sum::<u32>() as usize;
        let picks = worker(seed).picks(&endpoints, 3 * cycle);
        for (index, &weight) in (0..).zip(&weights) {
            let class = weights.iter().filter(|&&w| w == weight).count() as f64;
            let bound = if class > 1.0 { 1.0 + 2.0 / class } else { 2.0 };
            let off = worst_window(&picks, &weights, |i| i == index);
            prop_assert!(off < bound, "endpoint {} of {:?}: {}", index, weights, off);
            // The class as a whole: two prefixes that are off by less than one each.
            let off = worst_window(&picks, &weights, |i| weights[i as usize] == weight);
            prop_assert!(off < 2.0, "weight {} of {:?}: {}", weight, weights, off);
        }
    }

    #[test]
    fn coming_and_going_neither_clumps_nor_starves(
        weights in vec(1_u32..20, 2..12),
        changes in vec((0_usize..12, 1_usize..15), 1..80),
        seed: u64,
    ) {
        // One endpoint after the other goes down and comes up again, in the middle of cycles.
        let endpoints = weighted(&weights);
        let n = weights.len();
        let mut worker = worker(seed);
        let mut off = vec![0.0_f64; n];
        let (mut least, mut greatest) = (vec![0.0_f64; n], vec![0.0_f64; n]);
        for (place, picks) in &changes {
            let index = place % n;
            let up = endpoints.list()[index].is_up();
            let others = endpoints.list().iter().filter(|e| e.is_up()).count() > usize::from(up);
            if others {
                endpoints.set_up(index as u32, if up { Transition::Down } else { Transition::Up });
                // Whoever comes or goes is counted anew: what it is owed is forgotten on purpose.
                (off[index], least[index], greatest[index]) = (0.0, 0.0, 0.0);
            }
            let ready = |i: usize| endpoints.list()[i].is_ready();
            let total: u32 = (0..n).filter(|&i| ready(i)).map(|i| weights[i]).sum();
            for pick in worker.picks(&endpoints, *picks) {
                for i in (0..n).filter(|&i| ready(i)) {
                    off[i] += f64::from(u8::from(pick == i as u32)) - f64::from(weights[i]) / f64::from(total);
                    (least[i], greatest[i]) = (least[i].min(off[i]), greatest[i].max(off[i]));
                }
            }
        }
        // A change may cost or win a part of a turn; what must not be is that each does so for the same one.
        let worst = (0..n).map(|i| greatest[i] - least[i]).fold(0.0, f64::max);
        prop_assert!(worst < 3.0 + 0.2 * changes.len() as f64, "{} after {} changes", worst, changes.len());
    }

    #[test]
    fn full_endpoints_lose_their_turns_and_the_others_keep_their_proportions(
        weights in vec(1_u32..20, 3..8), full in 0_usize..8, seed: u64,
    ) {
        let full = full % weights.len();
        let limits: Vec<_> = weights.iter().map(|&w| (w, 1)).collect();
        let endpoints = limited(&limits);
        prop_assert!(endpoints.list()[full].try_begin());
        let mut worker = worker(seed);
        let total: u32 = weights.iter().sum::<u32>() - weights[full];
        let mut counts = vec![0_u32; weights.len()];
        for pick in worker.picks(&endpoints, 40 * total as usize) {
            counts[pick as usize] += 1;
        }
        prop_assert_eq!(counts[full], 0);
        for (index, &count) in counts.iter().enumerate().filter(|(i, _)| *i != full) {
            // What the full one passes on goes to whoever is next: close to the shares, not exactly them.
            let share = f64::from(40 * weights[index]);
            prop_assert!((f64::from(count) / share - 1.0).abs() < 0.05, "{:?} of {:?}", counts, weights);
        }
        // Room again: no burst for what was missed.
        endpoints.list()[full].end();
        let picks = worker.picks(&endpoints, (total + weights[full]) as usize);
        let got = picks.iter().filter(|&&p| p as usize == full).count() as u32;
        prop_assert!(got.abs_diff(weights[full]) <= 2, "{} for {}", got, weights[full]);
    }
}

#[test]
fn heavy_ones_come_between_the_light_ones() {
    let names = |weights: &[u32], count| -> String {
        let picks = worker(1).picks(&weighted(weights), count);
        picks.iter().map(|&i| char::from(b'a' + i as u8)).collect()
    };
    assert_eq!(names(&[5, 1, 1], 14), "aacaabaaacaaba");
    assert_eq!(names(&[2, 1], 6), "abaaba");
    // The case that clumps with a plain heap: no two light ones in a row.
    let weights: Vec<u32> = std::iter::once(20).chain([1; 20]).collect();
    let picks = worker(1).picks(&weighted(&weights), 80);
    assert!(picks.windows(2).all(|pair| (pair[0] == 0) != (pair[1] == 0)), "{picks:?}");
}

/// A light endpoint goes or comes every few picks, many times within one cycle: nobody gains or loses by it.
#[test]
fn frequent_changes_do_not_shift_the_shares() {
    let weights: Vec<u32> = std::iter::once(10).chain([2; 5]).chain([1; 20]).collect();
    for every in [1, 3, 7, 20] {
        let endpoints = weighted(&weights);
        let mut worker = worker(every as u64);
        let mut counts = vec![0_u32; weights.len()];
        for change in 0..40_000 / every {
            let transition = if change % 2 == 0 { Transition::Down } else { Transition::Up };
            endpoints.set_up(25, transition);
            for pick in worker.picks(&endpoints, every) {
                counts[pick as usize] += 1;
            }
        }
        for (&count, &weight) in counts.iter().zip(&weights).take(25) {
            // Of 40 half of the time and of 39 the other half.
            let share = 40_000.0 * f64::from(weight) * (1.0 / 40.0 + 1.0 / 39.0) / 2.0;
            assert!((f64::from(count) / share - 1.0).abs() < 0.05, "{every}: {counts:?}");
        }
    }
}

#[test]
fn equal_endpoints_take_turns_and_two_workers_begin_apart() {
    let endpoints = weighted(&[1; 10]);
    let (mut one, mut two) = (worker(1), worker(2));
    let (one, two) = (one.picks(&endpoints, 20), two.picks(&endpoints, 20));
    assert!(one.windows(2).all(|pair| pair[1] == (pair[0] + 1) % 10), "{one:?}");
    assert_ne!(one[0], two[0]);
}

#[test]
fn a_ring_goes_on_after_the_last_when_one_goes() {
    let endpoints = weighted(&[1; 5]);
    let mut worker = worker(1);
    while worker.pick(&endpoints, &[]) != Some(2) {}
    endpoints.set_up(3, Transition::Down);
    assert_eq!(worker.picks(&endpoints, 5), [4, 0, 1, 2, 4]);
    endpoints.set_up(3, Transition::Up);
    assert_eq!(worker.picks(&endpoints, 5), [0, 1, 2, 3, 4]);
}
