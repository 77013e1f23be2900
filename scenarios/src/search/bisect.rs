//! Which load to try next: exponential search, then bisection, then a longer run that confirms.
//!
//! The state machine knows loads as factors and answers as "held" or "did not"; who runs what is not its business. From the
//! first load it doubles until a load does not hold (or halves until one does), as Bentley and Yao's unbounded search
//! does, and then tries the geometric middle until the bracket is within the precision. The load that is left is tried
//! once more for longer. Where that does not confirm it, it steps down, by the precision first and twice as far (in
//! logarithms) each time, so that the end is near whatever the answers are: near capacity a system is slow to show that it is
//! past it, so a short run can pass where a longer one does not.

/// From where, between what, and how closely.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The first load, as a factor; between the two below.
    pub from: f64,
    /// Below this nothing is tried; above 0.
    pub floor: f64,
    /// Above this nothing is tried.
    pub ceiling: f64,
    /// The bracket's width, relative to its lower end: 0.01. Above 0.
    pub precision: f64,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Try this load, with a run of the usual length.
    Try(f64),
    /// Try this load with a longer run.
    Confirm(f64),
    /// That was all.
    Done(End),
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// The load held, and a longer run confirmed it; the lowest load above it that was seen not to.
    Between {
        /// The confirmed load.
        holds: f64,
        /// The one above it.
        breaks: f64,
    },
    /// It held up to the ceiling, confirmed.
    Always(f64),
    /// It did not hold at any load that was tried; this is the lowest of them.
    Never(f64),
}

#[derive(Clone, Copy, Debug)]
enum State {
    Start,
    Up { low: f64 },
    Down { high: f64 },
    Between { low: f64, high: f64 },
    Confirm { load: f64, high: Option<f64>, steps: f64 },
    Done(End),
}

/// A search that is under way.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    range: Range,
    state: State,
}

impl Search {
    /// Nothing has been tried yet.
    pub fn new(range: Range) -> Self {
        Self { range, state: State::Start }
    }

    /// What to do next. It stays the same until [`tell`](Self::tell) is called.
    pub fn next(&self) -> Step {
        let Range { from, floor, ceiling, .. } = self.range;
        match self.state {
            State::Start => Step::Try(from),
            State::Up { low } => Step::Try((low * 2.0).min(ceiling)),
            State::Down { high } => Step::Try((high / 2.0).max(floor)),
            State::Between { low, high } => Step::Try((low * high).sqrt()),
            State::Confirm { load, .. } => Step::Confirm(load),
            State::Done(end) => Step::Done(end),
        }
    }

    /// Whether the load of [`next`](Self::next) held.
    pub fn tell(&mut self, held: bool) {
        let Range { floor, ceiling, precision, .. } = self.range;
        let state = match (self.state, self.next(), held) {
            (State::Start | State::Up { .. }, Step::Try(low), true) => State::Up { low },
            (State::Start | State::Down { .. }, Step::Try(high), false) => State::Down { high },
            (State::Up { low } | State::Between { low, .. }, Step::Try(high), false)
            | (State::Down { high } | State::Between { high, .. }, Step::Try(low), true) => {
                State::Between { low, high }
            }
            (State::Confirm { load, high, .. }, _, true) => State::Done(match high {
                Some(breaks) => End::Between { holds: load, breaks },
                None => End::Always(load),
            }),
            (State::Confirm { load, .. }, _, false) if load <= floor => {
                State::Done(End::Never(load))
            }
            (State::Confirm { load, steps, .. }, _, false) => {
                let lower = load / (1.0 + precision).powf(steps);
                State::Confirm { load: lower.max(floor), high: Some(load), steps: 2.0 * steps }
            }
            (state, _, _) => state,
        };
        self.state = match state {
            State::Up { low } if low >= ceiling => {
                State::Confirm { load: low, high: None, steps: 1.0 }
            }
            State::Down { high } if high <= floor => State::Done(End::Never(high)),
            State::Between { low, high } if high <= low * (1.0 + precision) => {
                State::Confirm { load: low, high: Some(high), steps: 1.0 }
            }
            state => state,
        };
    }

    /// More tries than this it never takes, whatever the answers are.
    pub fn most_tries(range: &Range) -> u32 {
        let Range { from, floor, ceiling, precision } = *range;
        let doublings = (ceiling / from).max(from / floor).max(1.0).log2().ceil();
        let halvings = (2.0_f64.ln() / precision.ln_1p()).max(1.0).log2().ceil();
        let steps = ((ceiling / floor).max(1.0).ln() / precision.ln_1p() + 1.0).log2().ceil();
        (doublings + halvings + steps) as u32 + 3
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Asks `oracle` until the end; how it ended and after how many tries.
    fn ask(range: Range, mut oracle: impl FnMut(Step) -> bool) -> (End, u32) {
        let mut search = Search::new(range);
        for tries in 0.. {
            match search.next() {
                Step::Done(end) => return (end, tries),
                step @ (Step::Try(load) | Step::Confirm(load)) => {
                    assert!(load >= range.floor && load <= range.ceiling, "{load} of {range:?}");
                    search.tell(oracle(step));
                }
            }
        }
        unreachable!("tries are bounded")
    }

    fn load_of(step: Step) -> f64 {
        match step {
            Step::Try(load) | Step::Confirm(load) => load,
            Step::Done(_) => f64::NAN,
        }
    }

    fn ranges() -> impl Strategy<Value = Range> {
        (0.0_f64..=1.0, 1.0_f64..20.0, 0.001_f64..0.5).prop_map(|(from, octaves, precision)| {
            let (floor, ceiling) = (2.0_f64.powf(-octaves / 2.0), 2.0_f64.powf(octaves / 2.0));
            Range { from: floor * (ceiling / floor).powf(from), floor, ceiling, precision }
        })
    }

    proptest! {
        #[test]
        fn a_boundary_is_found_within_the_precision(range in ranges(), place in 0.0_f64..1.0) {
            let boundary = range.floor * (range.ceiling / range.floor).powf(place);
            let (end, tries) = ask(range, |step| load_of(step) <= boundary);
            prop_assert!(tries <= Search::most_tries(&range), "{tries} tries");
            match end {
                End::Between { holds, breaks } => {
                    prop_assert!(holds <= boundary && boundary < breaks);
                    prop_assert!(breaks <= holds * (1.0 + range.precision) * (1.0 + 1e-12));
                }
                end => prop_assert!(false, "{end:?} with the boundary at {boundary}"),
            }
        }

        #[test]
        fn whatever_the_answers_it_ends_and_what_it_says_was_seen(
            range in ranges(),
            answers in prop::collection::vec(any::<bool>(), 200),
        ) {
            let mut seen = Vec::new();
            let mut answers = answers.into_iter();
            let (end, tries) = ask(range, |step| {
                let held = answers.next().expect("fewer tries than answers");
                seen.push((step, held));
                held
            });
            prop_assert!(tries <= Search::most_tries(&range), "{tries} tries");
            match end {
                End::Between { holds, breaks } => {
                    prop_assert!(holds < breaks);
                    prop_assert!(seen.contains(&(Step::Confirm(holds), true)));
                    prop_assert!(seen.iter().any(|(step, held)| load_of(*step).to_bits() == breaks.to_bits() && !held));
                }
                End::Always(load) => prop_assert!(seen.contains(&(Step::Confirm(load), true))),
                End::Never(load) => {
                    prop_assert!(load <= range.floor);
                    prop_assert!(!seen.last().expect("it was tried").1);
                }
            }
        }

        #[test]
        fn a_longer_run_has_the_last_word(range in ranges(), place in 0.2_f64..1.0, gap in 0.5_f64..1.0) {
            let boundary = range.floor * (range.ceiling / range.floor).powf(place);
            let longer = (boundary * gap).max(range.floor);
            let (end, tries) = ask(range, |step| match step {
                Step::Confirm(load) => load <= longer,
                step => load_of(step) <= boundary,
            });
            prop_assert!(tries <= Search::most_tries(&range));
            if let End::Between { holds, .. } = end {
                prop_assert!(holds <= longer);
            }
        }
    }

    #[test]
    fn always_and_never_are_told() {
        let range = Range { from: 1.0, floor: 0.01, ceiling: 100.0, precision: 0.01 };
        assert_eq!(ask(range, |_| true).0, End::Always(100.0));
        assert_eq!(ask(range, |_| false).0, End::Never(0.01));
        // What holds only while runs are short does not hold.
        assert_eq!(ask(range, |step| matches!(step, Step::Try(_))).0, End::Never(0.01));
    }
}
