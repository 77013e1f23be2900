//! Round robin, weighted and smooth: each in turn, and the heavy ones in between the light ones.
//!
//! In every cycle (as many picks as the weights sum to) each endpoint gets exactly its weight, evenly spread: weights 3, 1, 1 give
//! a b a c a and not a a a b c. nginx's smooth algorithm does the same with a pass over all endpoints for each pick, and
//! the usual heap by deadlines (Envoy's) costs log n but clumps: with one endpoint of weight 100 and a hundred of
//! weight 1, the hundred come in one run. Here it is done in two levels:
//!
//! - Endpoints of equal weight form a class, and a class takes its endpoints in turn.
//! - Between classes, slot t of the schedule goes to the class whose next pick is due first, *of those whose turn has begun*.
//!   With share s (its weights by the sum of all), a class's kth pick belongs into the slots from floor(k/s) to before
//!   ceil((k+1)/s). That is earliest deadline first with release times: the chairman assignment problem (Tijdeman 1980), Pfair
//!   scheduling (Baruah, Cohen, Plaxton and Varvel 1996), WF²Q (Bennett and Zhang 1996). Any stretch of slots from a to b
//!   holds at most (b-a)·s whole windows of a class, the shares sum to one, and all are whole numbers: so every
//!   deadline is met, and after t slots each class had t·s picks, give or take less than one.
//!
//! Hence, while the same endpoints are ready and may be taken, a class deviates by less than 2 picks from its share in *any*
//! window of picks, one of its m endpoints by less than 1 + 2/m (2 when it is the only one), and over whole cycles nothing
//! deviates at all. The arithmetic is exact: whole slots and remainders, no floating point.
//!
//! An endpoint that may not be taken (tried, full) loses its turn, as with nginx: nothing is saved up that would come as a burst
//! later. The next slot of the schedule decides instead, so that the others keep their proportions. After 16 turns in vain, or
//! two of the same endpoint, one pass over all candidates decides (nginx's algorithm, with credits for these passes only).
//!
//! When endpoints come or go, each class keeps its place between two turns, a new class begins anywhere between two of its own,
//! and the ring of a class goes on after the endpoint that was last: however often that happens within a cycle, the
//! others neither gain nor lose by it. The first endpoint of each ring is drawn at random, so that the workers of a
//! proxy do not all begin with the same one.
//!
//! Parameters: none. Cost of a pick: constant in the number of endpoints, logarithmic in the number of *different* weights;
//! a pass over all when what may be taken has to be looked for. Rebuilding sorts the candidates.

use std::{cmp::Reverse, collections::BinaryHeap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Balancer, Parameters, StrategyInfo};
use crate::{Rng, endpoint::View};

/// What `round_robin` is.
pub const INFO: StrategyInfo = StrategyInfo {
    name: "round_robin",
    summary: "Each endpoint in turn, by weight and smoothly spread.",
    parameters: &[],
};

/// `round_robin` has no parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

impl Parameters for Config {
    fn build(&self) -> Box<dyn Balancer> {
        Box::new(RoundRobin::default())
    }
}

/// Turns that may be passed on before a pass over all decides.
const PASSES: usize = 16;

#[derive(Debug, Default)]
pub(super) struct RoundRobin {
    generation: Option<u64>,
    /// The candidates by weight, then by index: each class is a stretch of it.
    order: Vec<u32>,
    /// By rising weight.
    classes: Vec<Class>,
    /// The classes of the generation before; swapped with `classes` when it moves.
    former: Vec<Class>,
    /// The slot of the schedule that comes next, and the sum of all weights: the slots of a cycle.
    slot: u64,
    cycle: u64,
    /// Classes whose turn has not begun, by the slot at which it does.
    waiting: BinaryHeap<Reverse<(u64, u32)>>,
    /// Classes whose turn has begun, by the slot before which it must be over.
    due: BinaryHeap<Reverse<(u64, u32)>>,
    /// nginx's credits, by endpoint; only for passes over all.
    credits: Vec<i128>,
}

/// The candidates of one weight.
#[derive(Clone, Debug)]
struct Class {
    weight: u32,
    /// Its stretch of `order`.
    start: usize,
    end: usize,
    /// Whose turn it is within the stretch.
    next: usize,
    /// The endpoint that had the last turn.
    last: Option<u32>,
    /// The weights of all its endpoints together.
    total: u64,
    /// Its next turn begins at `release` + `remainder` / `total` slots.
    release: u64,
    remainder: u64,
}

impl Class {
    /// When the turn after the present one begins: whole slots, and the remainder.
    fn after(&self, cycle: u64) -> (u64, u64) {
        let (release, remainder) =
            (self.release + cycle / self.total, self.remainder + cycle % self.total);
        if remainder < self.total {
            return (release, remainder);
        }
        (release + 1, remainder - self.total)
    }

    /// The slot before which the present turn must be over: where the next begins, rounded up.
    fn deadline(&self, cycle: u64) -> u64 {
        let (release, remainder) = self.after(cycle);
        release + u64::from(remainder > 0)
    }

    /// How far off its next turn is, in turns of its own: -1 to 1.
    fn ahead(&self, slot: u64, cycle: u64) -> f64 {
        // Subtracted as whole numbers: both grow without end.
        let whole = self.release.wrapping_sub(slot).cast_signed() as f64;
        let slots = whole + self.remainder as f64 / self.total as f64;
        (slots * self.total as f64 / cycle as f64).clamp(-1.0, 1.0)
    }

    /// The endpoint whose turn it is within the class.
    fn turn(&mut self, order: &[u32]) -> Option<u32> {
        let index = *order.get(self.next)?;
        self.next = if self.next + 1 == self.end { self.start } else { self.next + 1 };
        self.last = Some(index);
        Some(index)
    }
}

impl Balancer for RoundRobin {
    fn name(&self) -> &'static str {
        INFO.name
    }

    fn pick(&mut self, view: &View<'_>, rng: &mut Rng) -> Option<u32> {
        if self.generation != Some(view.generation) {
            self.rebuild(view, rng);
        }
        if let [only] = self.classes.as_mut_slice() {
            return (0..self.order.len())
                .filter_map(|_| only.turn(&self.order))
                .find(|&index| view.may_take(index));
        }
        // Only where nobody is a candidate: there is no schedule then.
        if self.classes.is_empty() {
            return None;
        }
        let mut passed = [u32::MAX; PASSES];
        for pass in 0..PASSES {
            let class = self.next_slot() as usize;
            let index = self.classes.get_mut(class)?.turn(&self.order)?;
            if view.may_take(index) {
                return Some(index);
            }
            if passed[..pass].contains(&index) {
                // It is a heavy one, and would be asked again and again.
                break;
            }
            passed[pass] = index;
        }
        self.pass_over_all(view)
    }
}

impl RoundRobin {
    /// The class of the next slot of the schedule.
    fn next_slot(&mut self) -> u32 {
        let begins = self.waiting.peek().map_or(u64::MAX, |Reverse((release, _))| *release);
        if self.due.is_empty() {
            // Only after a rebuild: those who are there are all ahead of their shares.
            self.slot = self.slot.max(begins);
        }
        while let Some(&Reverse((release, class))) = self.waiting.peek()
            && release <= self.slot
        {
            self.waiting.pop();
            self.due.push(Reverse((self.classes[class as usize].deadline(self.cycle), class)));
        }
        self.slot += 1;
        let Some(Reverse((_, class))) = self.due.pop() else { return 0 };
        let state = &mut self.classes[class as usize];
        (state.release, state.remainder) = state.after(self.cycle);
        self.waiting.push(Reverse((state.release, class)));
        class
    }

    /// nginx's smooth algorithm among those that may be taken.
    fn pass_over_all(&mut self, view: &View<'_>) -> Option<u32> {
        self.credits.resize(view.endpoints.len(), 0);
        let mut total = 0;
        let mut best: Option<u32> = None;
        for &index in view.ready.iter().filter(|&&index| view.may_take(index)) {
            let weight = i128::from(view.weight(index));
            total += weight;
            self.credits[index as usize] += weight;
            if best.is_none_or(|b| self.credits[index as usize] > self.credits[b as usize]) {
                best = Some(index);
            }
        }
        self.credits[best? as usize] -= total;
        best
    }

    /// Forms the classes anew; each goes on where the class of its weight was.
    fn rebuild(&mut self, view: &View<'_>, rng: &mut Rng) {
        self.generation = Some(view.generation);
        self.credits.clear();
        self.order.clear();
        self.order.extend_from_slice(view.ready);
        self.order.sort_unstable_by_key(|&index| (view.weight(index), index));
        std::mem::swap(&mut self.classes, &mut self.former);
        self.classes.clear();
        let former_cycle = self.cycle;
        self.cycle = self.order.iter().map(|&index| u64::from(view.weight(index))).sum();
        // Two cycles ahead of nothing: a turn may lie up to one cycle back.
        let base = 2 * self.cycle;
        let (mut start, mut ahead) = (0, 0.0);
        while let Some(&first) = self.order.get(start) {
            let weight = view.weight(first);
            let end = start + self.order[start..].partition_point(|&i| view.weight(i) <= weight);
            let total = u64::from(weight) * (end - start) as u64;
            let former = self.former.binary_search_by_key(&weight, |class| class.weight);
            let former = former.ok().map(|place| &self.former[place]);
            let last = former.and_then(|class| class.last);
            let next = match last {
                Some(last) => start + self.order[start..end].partition_point(|&i| i <= last),
                None => start + rng.index(end - start),
            };
            let next = if next == end { start } else { next };
            let off = match former {
                Some(class) if former_cycle > 0 => class.ahead(self.slot, former_cycle),
                _ if former_cycle > 0 => rng.unit(),
                _ => 0.0,
            };
            ahead += off;
            let slots = off * self.cycle as f64 / total as f64;
            let release = base.saturating_add_signed(slots.floor() as i64);
            let remainder = (slots.fract().rem_euclid(1.0) * total as f64) as u64;
            let class = Class { weight, start, end, next, last, total, release, remainder };
            self.classes.push(class);
            start = end;
        }
        // Together they are as far as the schedule is: no class is owed what nobody owes.
        self.slot = base.saturating_add_signed(f64::round(ahead) as i64);
        self.due.clear();
        self.waiting.clear();
        self.waiting.extend((0..).zip(&self.classes).map(|(i, class)| Reverse((class.release, i))));
    }
}
