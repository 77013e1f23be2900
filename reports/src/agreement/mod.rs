//! How the worlds agree: the figures of one scenario that ran in several of them, side by side.
//!
//! The same variant with the same seed faces the same requests in every world, so what differs is the world. Where two
//! differ by more than a bound that stands beside them, that is a finding: one of them is wrong about the proxy, or leaves
//! out something that matters here. It is no verdict: a scenario may well be about what one world leaves out.
//!
//! Figures are held against those of one world, the *reference*: `sim` where it ran, since it shares the engine with
//! `live` and the clock with `model`; else `live`. How far apart they may be, `bounds` says.

mod bounds;

use crate::chance;
use crate::format;
use crate::headline::NONE;
use crate::metrics::Unit;
use crate::run::{Run, Verdict, World};
use bounds::{Bound, Chance, FIGURES, Figure, SHARE, compare, signed};

/// How one scenario came out in several worlds.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// The scenario.
    pub scenario: String,
    /// The variant in short, empty without a matrix.
    pub variant: String,
    /// The seed.
    pub seed: u64,
    /// The world that the others are held against.
    pub reference: World,
    /// The others, in the order model, sim, live.
    pub others: Vec<World>,
    /// The figures.
    pub rows: Vec<Row>,
}

/// One figure in every world.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name for a person: `p99`.
    pub figure: &'static str,
    /// What it is in the reference, with its unit.
    pub reference: String,
    /// What it is in the others, in their order.
    pub cells: Vec<Cell>,
    /// How far apart it may be, in words: `10 % or 0.2 ms, live 10 % or 4 ms`.
    pub bound: String,
}

/// A figure of one world, held against the reference's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The figure with its unit, or a dash.
    pub value: String,
    /// How far it is off, in words: `+3.2 %`. A dash where one of the two has no figure.
    pub difference: String,
    /// How far it may be, in words.
    pub bound: String,
    /// Whether that is within the bound.
    pub standing: Standing,
}

/// How a figure stands to its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Near enough.
    Within,
    /// Farther than the bound.
    Apart,
    /// One of the two has no figure, so there is nothing to hold together.
    Unknown,
}

/// One for each scenario, variant and seed that ran in more than one world, in the order in which they first appear.
/// Runs that could not be carried out are left out.
pub fn agreements(runs: &[&Run]) -> Vec<Agreement> {
    let mut sets: Vec<Vec<&Run>> = Vec::new();
    let measured = runs.iter().filter(|run| {
        !matches!(run.verdict, Verdict::Error(_)) && !run.measurement.metrics.is_empty()
    });
    for run in measured {
        let is_same = |set: &&mut Vec<&Run>| {
            let first = set[0];
            (&first.scenario, &first.variant, first.seed) == (&run.scenario, &run.variant, run.seed)
        };
        match sets.iter_mut().find(is_same) {
            Some(set) if set.iter().any(|known| known.world == run.world) => {}
            Some(set) => set.push(run),
            None => sets.push(vec![run]),
        }
    }
    sets.retain(|set| set.len() > 1);
    sets.into_iter().map(hold_together).collect()
}

/// The runs are at least two, each of another world.
fn hold_together(mut runs: Vec<&Run>) -> Agreement {
    runs.sort_by_key(|run| run.world);
    let rank = |run: &&Run| match run.world {
        World::Sim => 0,
        World::Live => 1,
        World::Model => 2,
    };
    let best = (0..runs.len()).min_by_key(|index| rank(&runs[*index])).unwrap_or(0);
    let reference = runs.remove(best);
    let figures = FIGURES.iter().filter_map(|figure| row(reference, &runs, figure));
    let rows = figures.chain(shares(reference, &runs)).collect();
    Agreement {
        scenario: reference.scenario.clone(),
        variant: reference.variant_short(),
        seed: reference.seed,
        reference: reference.world,
        others: runs.iter().map(|run| run.world).collect(),
        rows,
    }
}

/// A figure in every world; nothing where none has it, or where it counts what never happened.
fn row(reference: &Run, others: &[&Run], figure: &Figure) -> Option<Row> {
    let Figure { title, metric, virtual_time, live } = *figure;
    let read = |run: &Run| run.measurement.metrics.get(metric);
    let all = || std::iter::once(reference).chain(others.iter().copied());
    let counts_nothing = matches!(live, Bound::OfRequests(_))
        && all().all(|run| read(run).is_none_or(|value| value == 0.0));
    if counts_nothing || all().all(|run| read(run).is_none()) {
        return None;
    }
    let unit = match (live, metric) {
        (Bound::Points(_), _) => Unit::Ratio,
        (Bound::PartOrTime(..), _) => Unit::Milliseconds,
        (_, "rate") => Unit::PerSecond,
        _ => Unit::Count,
    };
    let show = |value: Option<f64>| match (value, unit) {
        (None, _) => NONE.to_owned(),
        (Some(value), Unit::Ratio) => format::percent(value),
        (Some(value), unit) => format::metric(value, unit),
    };
    let requests = reference.measurement.metrics.get("requests").unwrap_or(0.0);
    let bound = |world: World| match (reference.world, world) {
        (World::Live, _) | (_, World::Live) => live,
        _ => virtual_time,
    };
    let cells = others.iter().map(|run| {
        let (value, bound) = (read(run), bound(run.world));
        let mut words = bound.words();
        let (difference, standing) = match (read(reference), value) {
            (Some(wanted), Some(value)) => {
                let chance = Chance::of(figure, reference, run);
                if let Some(more) = chance.words(wanted, bound, requests) {
                    words = format!("{words}, {more}");
                }
                let (difference, standing) = compare(wanted, value, bound, requests);
                let by_chance = standing == Standing::Apart && chance.allows(wanted, value);
                (difference, if by_chance { Standing::Within } else { standing })
            }
            _ => (NONE.to_owned(), Standing::Unknown),
        };
        Cell { value: show(value), difference, bound: words, standing }
    });
    let cells: Vec<Cell> = cells.collect();
    // Live comes last.
    let bounds: Vec<Bound> = others.iter().map(|run| bound(run.world)).collect();
    let words = match (&cells[..], &bounds[..]) {
        ([first, rest @ ..], _) if rest.iter().all(|cell| cell.bound == first.bound) => {
            first.bound.clone()
        }
        (_, [first, .., last]) => {
            let stated = if first == last {
                first.words()
            } else {
                format!("{}, {} {}", first.words(), World::Live, last.words())
            };
            let is_chance = cells.iter().zip(&bounds).any(|(cell, of)| cell.bound != of.words());
            if is_chance { format!("{stated}, or chance") } else { stated }
        }
        _ => String::new(),
    };
    Some(Row { figure: title, reference: show(read(reference)), cells, bound: words })
}

/// The part of each endpoint in all requests, told by the one that differs most.
fn shares(reference: &Run, others: &[&Run]) -> Option<Row> {
    let wanted = &reference.measurement.endpoints;
    if wanted.len() < 2 || wanted.iter().all(|row| row.requests == 0) {
        return None;
    }
    let cells = others.iter().map(|run| {
        let of = |name: &str| run.measurement.endpoints.iter().find(|row| row.name == name);
        let off = wanted.iter().filter_map(|row| Some((row, of(&row.name)?.share - row.share)));
        match off.max_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs())) {
            None => Cell {
                value: NONE.to_owned(),
                difference: NONE.to_owned(),
                bound: Bound::Points(SHARE).words(),
                standing: Standing::Unknown,
            },
            Some((row, off)) => {
                let total = |run: &Run| {
                    run.measurement.endpoints.iter().map(|row| row.requests).sum::<u64>() as f64
                };
                let shares = (row.share, row.share + off);
                let chance =
                    Chance::Ratio(chance::of_shares(shares, (total(reference), total(run))));
                let bound = Bound::Points(SHARE);
                let more = chance.words(row.share, bound, total(reference));
                let is_within =
                    100.0 * off.abs() <= SHARE || chance.allows(row.share, row.share + off);
                Cell {
                    value: share(&row.name, row.share, row.share + off),
                    difference: signed(100.0 * off, "points"),
                    bound: more.map_or(bound.words(), |more| format!("{}, {more}", bound.words())),
                    standing: if is_within { Standing::Within } else { Standing::Apart },
                }
            }
        }
    });
    let even = format!("{} endpoints", wanted.len());
    let cells: Vec<Cell> = cells.collect();
    let stated = Bound::Points(SHARE).words();
    let bound = match &cells[..] {
        [first, rest @ ..] if rest.iter().all(|cell| cell.bound == first.bound) => {
            first.bound.clone()
        }
        cells if cells.iter().any(|cell| cell.bound != stated) => format!("{stated}, or chance"),
        _ => stated,
    };
    Some(Row { figure: "share that differs most", reference: even, cells, bound })
}

/// `web-3 12.0 %, not 9.8 %`.
fn share(endpoint: &str, wanted: f64, value: f64) -> String {
    let (wanted, value) = (format::percent(wanted), format::percent(value));
    if wanted == value {
        format!("{endpoint} {value}")
    } else {
        format!("{endpoint} {value}, not {wanted}")
    }
}

/// A difference with its sign: `+3.2 %`, `−12 %`; what rounds to nothing has none.
impl Agreement {
    /// What was held together: `ci/slow [strategy=p2c], seed 7`.
    pub fn title(&self) -> String {
        let variant = &self.variant;
        let variant = if variant.is_empty() { String::new() } else { format!(" [{variant}]") };
        format!("{}{variant}, seed {}", self.scenario, self.seed)
    }

    /// What is farther apart than its bound: figure and cell, with the world of the cell.
    pub fn apart(&self) -> impl Iterator<Item = (&Row, World, &Cell)> {
        self.rows.iter().flat_map(|row| {
            let cells = row.cells.iter().zip(&self.others);
            let apart = cells.filter(|(cell, _)| cell.standing == Standing::Apart);
            apart.map(move |(cell, world)| (row, *world, cell))
        })
    }

    /// The headings of [`Agreement::table`].
    pub fn head(&self) -> Vec<String> {
        let mut head = vec!["figure".to_owned(), self.reference.to_string()];
        for world in &self.others {
            head.push(world.to_string());
            head.push(format!("{world} against {}", self.reference));
        }
        head.push("bound".to_owned());
        head
    }

    /// The rows with every cell as text, and how it stands (to nothing, but for differences).
    pub fn table(&self) -> Vec<Vec<(String, Standing)>> {
        let row = |row: &Row| {
            let plain = |text: &str| (text.to_owned(), Standing::Unknown);
            let mut cells = vec![plain(row.figure), plain(&row.reference)];
            for cell in &row.cells {
                cells.push(plain(&cell.value));
                cells.push((cell.difference.clone(), cell.standing));
            }
            cells.push(plain(&row.bound));
            cells
        };
        self.rows.iter().map(row).collect()
    }

    /// In a line: `model and live agree with sim in all 9 figures`, or in which they do not.
    pub fn sentence(&self) -> String {
        let others: Vec<&str> = self.others.iter().map(|world| world.as_str()).collect();
        let (others, reference) = (others.join(" and "), self.reference);
        let apart: Vec<String> = self
            .apart()
            .map(|(row, world, cell)| {
                let Cell { value, difference, bound, .. } = cell;
                let (figure, wanted) = (row.figure, &row.reference);
                format!("{figure} {wanted}, in {world} {value} ({difference}, bound {bound})")
            })
            .collect();
        if apart.is_empty() {
            let agree = if self.others.len() == 1 { "agrees" } else { "agree" };
            format!("{others} {agree} with {reference} in all {} figures", self.rows.len())
        } else {
            format!("{others} against {reference}: {}", apart.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_chance_does_is_no_difference() {
        // As in an overload that serves a third: 60 of 4,000 requests are within three errors, and 150 are not.
        let run = |ok: f64| {
            let mut run = crate::run::tests::run();
            run.measurement.metrics.insert("requests", 4000.0, Unit::Count);
            run.measurement.metrics.insert("success_ratio", ok / 4000.0, Unit::Ratio);
            run.measurement.metrics.insert("refused", 4000.0 - ok, Unit::Count);
            run
        };
        let standings = |ok: f64| {
            let (mut reference, mut other) = (run(1300.0), run(ok));
            (reference.world, other.world) = (World::Sim, World::Model);
            let agreement = hold_together(vec![&reference, &other]);
            let rows = agreement.rows.into_iter();
            let cells = rows.filter(|row| ["success", "refused"].contains(&row.figure));
            let cells: Vec<(Standing, String)> =
                cells.map(|row| (row.cells[0].standing, row.bound)).collect();
            cells
        };
        let near = standings(1360.0);
        assert_eq!(near[0], (Standing::Within, "0.5 points, by chance 3.2".to_owned()));
        assert_eq!(near[1], (Standing::Within, "0.5 % of requests, by chance 3.2 %".to_owned()));
        let far: Vec<Standing> = standings(1450.0).into_iter().map(|cell| cell.0).collect();
        assert_eq!(far, [Standing::Apart, Standing::Apart]);
    }

    #[test]
    fn shares_are_told_by_the_one_that_is_farthest_off() {
        assert_eq!(share("web-3", 0.0981, 0.12), "web-3 12.0 %, not 9.8 %");
    }
}
