//! Drawing an endpoint with a probability by weight in constant time: the alias method (Walker 1977; Vose 1991).
//!
//! The table has a column for each candidate. A column's own candidate gets `keep` of the column's height and another one the
//! rest. All in whole numbers: each weight is scaled by the number of candidates and the height is the sum of the
//! weights, so that the probabilities are exact and the same everywhere. Equal weights need no table.
//! A draw costs one or two random numbers; rebuilding costs a pass over the candidates, when the generation moves.

use crate::{Rng, endpoint::View};

/// A sampler over the candidates of a view.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    generation: Option<u64>,
    /// The sum of the weights: the height of each column.
    height: u64,
    /// Empty when all weights are equal.
    columns: Vec<Column>,
    /// Scratch for building: columns below and above the height.
    below: Vec<(u32, u128)>,
    above: Vec<(u32, u128)>,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    keep: u64,
    other: u32,
}

impl Sampler {
    /// Draws one of the candidates by weight; the view must have some.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "measured: it is on the path of every pick")]
    pub(super) fn draw(&mut self, view: &View<'_>, rng: &mut Rng) -> u32 {
        if self.generation != Some(view.generation) {
            self.build(view);
        }
        let mut place = rng.index(view.ready.len());
        if !self.columns.is_empty() {
            place = self.in_column(place, rng);
        }
        view.ready[place]
    }

    /// Whose part of a column it is.
    #[inline(never)]
    fn in_column(&self, column: usize, rng: &mut Rng) -> usize {
        let Column { keep, other } = self.columns[column];
        if rng.below(self.height) < keep { column } else { other as usize }
    }

    #[cold]
    fn build(&mut self, view: &View<'_>) {
        self.generation = Some(view.generation);
        self.columns.clear();
        let weights = || view.ready.iter().map(|&index| u64::from(view.weight(index)));
        let Some(first) = weights().next() else { return };
        if weights().all(|weight| weight == first) {
            return;
        }
        self.height = weights().sum();
        let height = u128::from(self.height);
        self.columns.resize(view.ready.len(), Column { keep: self.height, other: 0 });
        self.below.clear();
        self.above.clear();
        for (column, weight) in (0..).zip(weights()) {
            let scaled = u128::from(weight) * view.ready.len() as u128;
            if scaled < height { &mut self.below } else { &mut self.above }.push((column, scaled));
        }
        while let Some((poor, has)) = self.below.pop() {
            // The sums are exact, so whoever has too little always finds one who has enough.
            let Some((rich, had)) = self.above.pop() else { break };
            self.columns[poor as usize] = Column { keep: has as u64, other: rich };
            let left = had - (height - has);
            if left < height { &mut self.below } else { &mut self.above }.push((rich, left));
        }
    }
}
