//! How the worlds agree: the figures of one scenario that ran in several of them, side by side.
//!
//! The same variant with the same seed faces the same requests in every world, so what differs is the world. Where two
//! differ by more than a bound that stands beside them, that is a finding: one of them is wrong about the proxy, or leaves
//! out something that matters here. It is no verdict: a scenario may well be about what one world leaves out.
//!
//! Figures are held against those of one world, the *reference*: `sim` where it ran, since it shares the engine with
//! `live` and the clock with `model`; else `live`. The bounds allow for what is known to differ. Balancers draw in another
//! order in each world, so that all figures are off by what chance does to a run of ordinary length: a part. A latency may
//! also be off by a little time that one world alone spends: on real sockets each request waits for processors and for
//! timers with a tick of a millisecond; between the two worlds in virtual time there is next to nothing of that. And in a run of
//! few requests chance does more: where that is more than the bound allows ([`crate::chance`]), the bound is that.

use crate::chance;
use crate::format;
use crate::headline::NONE;
use crate::metrics::Unit;
use crate::run::{Run, Verdict, World};

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

/// How two values of a figure are held together.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    /// A part of the reference.
    Part(f64),
    /// A part of the reference, or so many milliseconds.
    PartOrTime(f64, f64),
    /// Percentage points of a ratio.
    Points(f64),
    /// A count, as a part of all requests.
    OfRequests(f64),
}

impl Bound {
    fn words(self) -> String {
        let percent = |part: f64| format::significant(100.0 * part, 2);
        match self {
            Bound::Part(part) => format!("{} %", percent(part)),
            Bound::PartOrTime(part, ms) => format!("{} % or {}", percent(part), format::time(ms)),
            Bound::Points(points) => format!("{points} points"),
            Bound::OfRequests(part) => format!("{} % of requests", percent(part)),
        }
    }
}

/// How far chance alone may carry a figure of two runs as short as these.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Chance {
    /// Nobody knows, or not at all.
    None,
    /// So much of a ratio, up or down.
    Ratio(f64),
    /// So many requests, up or down.
    Requests(f64),
    /// Between these times, in milliseconds.
    Times(f64, f64),
}

impl Chance {
    fn of(figure: &Figure, reference: &Run, other: &Run) -> Self {
        let read = |run: &Run, metric: &str| run.measurement.metrics.get(metric);
        let both = |metric: &str| Some((read(reference, metric)?, read(other, metric)?));
        let Some(requests) = both("requests") else { return Chance::None };
        match (figure.metric, figure.live) {
            ("latency.p50" | "latency.p99", _) => {
                let quantile = if figure.metric == "latency.p50" { 0.5 } else { 0.99 };
                let timed = other.measurement.response.count();
                chance::of_quantile(&reference.measurement.response, quantile, timed)
                    .map_or(Chance::None, |(low, high)| Chance::Times(low, high))
            }
            (metric, Bound::Points(_)) => both(metric)
                .map_or(Chance::None, |shares| Chance::Ratio(chance::of_shares(shares, requests))),
            // A request may be tried again several times, so retries are no share.
            (metric, Bound::OfRequests(_)) if metric != "retries" => {
                both(metric).map_or(Chance::None, |counts| {
                    let shares = (counts.0 / requests.0, counts.1 / requests.1);
                    Chance::Requests(requests.0 * chance::of_shares(shares, requests))
                })
            }
            _ => Chance::None,
        }
    }

    fn allows(self, wanted: f64, value: f64) -> bool {
        match self {
            Chance::None => false,
            Chance::Ratio(off) | Chance::Requests(off) => (value - wanted).abs() <= off,
            Chance::Times(low, high) => (low..=high).contains(&value),
        }
    }

    /// In words, if it allows more than the bound does.
    fn words(self, wanted: f64, bound: Bound, requests: f64) -> Option<String> {
        match (self, bound) {
            (Chance::Ratio(off), Bound::Points(points)) if 100.0 * off > points => {
                Some(format!("by chance {}", format::significant(100.0 * off, 2)))
            }
            (Chance::Requests(off), Bound::OfRequests(part)) if off > part * requests => {
                let percent = 100.0 * off / requests;
                Some(format!("by chance {} %", format::significant(percent, 2)))
            }
            (Chance::Times(low, high), Bound::PartOrTime(part, ms)) => {
                let most = (part * wanted).max(ms);
                let is_more = high - wanted > most || wanted - low > most;
                is_more
                    .then(|| format!("by chance {} to {}", format::time(low), format::time(high)))
            }
            _ => None,
        }
    }
}

/// A figure with its metric and its bounds: between worlds in virtual time, and where one of the two is live.
struct Figure {
    title: &'static str,
    metric: &'static str,
    virtual_time: Bound,
    live: Bound,
}

const fn figure(title: &'static str, metric: &'static str, bound: Bound) -> Figure {
    Figure { title, metric, virtual_time: bound, live: bound }
}

const fn time(title: &'static str, metric: &'static str, part: f64, ms: f64) -> Figure {
    let live = Bound::PartOrTime(part, 20.0 * ms);
    Figure { title, metric, virtual_time: Bound::PartOrTime(part, ms), live }
}

const ERRORS: Bound = Bound::OfRequests(0.005);

const FIGURES: [Figure; 14] = [
    figure("requests", "requests", Bound::Part(0.02)),
    figure("rate", "rate", Bound::Part(0.02)),
    figure("success", "success_ratio", Bound::Points(0.5)),
    time("mean", "latency.mean", 0.05, 0.1),
    time("p50", "latency.p50", 0.05, 0.1),
    time("p99", "latency.p99", 0.1, 0.2),
    figure("failed", "failed", ERRORS),
    figure("timed out", "timed_out", ERRORS),
    figure("refused", "refused", ERRORS),
    figure("dropped", "dropped", ERRORS),
    figure("retries", "retries", ERRORS),
    figure("cache hits", "cache.hit_ratio", Bound::Points(1.0)),
    figure("limited", "limited_ratio", Bound::Points(0.5)),
    figure("shed", "shed_ratio", Bound::Points(2.0)),
];

/// How far apart the part of an endpoint in all requests may be, in points.
const SHARE: f64 = 2.0;

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

fn compare(wanted: f64, value: f64, bound: Bound, requests: f64) -> (String, Standing) {
    let off = value - wanted;
    let standing = |is_within| if is_within { Standing::Within } else { Standing::Apart };
    match bound {
        Bound::Part(part) | Bound::PartOrTime(part, _) => {
            let floor = if let Bound::PartOrTime(_, ms) = bound { ms } else { 0.0 };
            let is_within = off.abs() <= (part * wanted.abs()).max(floor);
            let words = if off == 0.0 {
                signed(0.0, "%")
            } else if wanted == 0.0 {
                "from nothing".to_owned()
            } else {
                signed(100.0 * off / wanted.abs(), "%")
            };
            (words, standing(is_within))
        }
        Bound::Points(points) => {
            (signed(100.0 * off, "points"), standing(100.0 * off.abs() <= points))
        }
        Bound::OfRequests(part) => {
            // One request more or less is nothing, however few there were.
            let is_within = off.abs() <= (part * requests).max(1.0);
            let of_requests = if requests > 0.0 { 100.0 * off / requests } else { 0.0 };
            (signed(of_requests, "% of requests"), standing(is_within))
        }
    }
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
fn signed(value: f64, unit: &str) -> String {
    let digits = if value.abs() < 1.0 { 1 } else { 2 };
    let size = if value.abs() < 0.05 { 0.0 } else { value.abs() };
    let sign = match size {
        0.0 => "",
        _ if value < 0.0 => "−",
        _ => "+",
    };
    format!("{sign}{} {unit}", format::significant(size, digits))
}

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
    fn differences_have_a_sign_and_no_noise() {
        let shown: Vec<String> =
            [0.0, 0.049, -0.3, 3.24, -12.345, 250.0].map(|value| signed(value, "%")).into();
        assert_eq!(shown, ["0 %", "0 %", "−0.3 %", "+3.2 %", "−12 %", "+250 %"]);
    }

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
        // Of a success that is whole nothing is chance.
        assert_eq!(Chance::Ratio(0.0).words(1.0, Bound::Points(0.5), 4000.0), None);
    }

    #[test]
    fn a_bound_is_a_part_or_what_does_not_matter() {
        let p50 = Bound::PartOrTime(0.05, 0.5);
        assert_eq!(p50.words(), "5 % or 500 µs");
        let standing = |wanted, value| compare(wanted, value, p50, 1e4).1;
        assert_eq!(standing(20.0, 21.0), Standing::Within);
        assert_eq!(standing(20.0, 21.1), Standing::Apart);
        assert_eq!(standing(1.0, 1.5), Standing::Within);
        assert_eq!(standing(1.0, 1.6), Standing::Apart);
        let failed = Bound::OfRequests(0.005);
        assert_eq!(compare(0.0, 50.0, failed, 1e4).1, Standing::Within);
        assert_eq!(
            compare(0.0, 51.0, failed, 1e4),
            ("+0.5 % of requests".to_owned(), Standing::Apart)
        );
        assert_eq!(share("web-3", 0.0981, 0.12), "web-3 12.0 %, not 9.8 %");
        assert_eq!(compare(0.0, 1.0, failed, 10.0).1, Standing::Within);
    }
}
