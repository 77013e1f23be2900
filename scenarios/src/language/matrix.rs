//! One file, many scenarios: the product of what `[matrix]` varies.
//!
//! Each cell is laid over the tree of the file and the result is read and checked whole, so whatever a file could get
//! wrong, a cell can too, and is told so where the cell stands. A key of the matrix is a dotted path, in quotes or
//! not. What was set on the command line stays set: that axis of the matrix is left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path as FilePath,
};

use proxy::config::document::{
    Document, Error, Node, Origin, Paint, Path, Problem, Step, Table, Value, nearest,
};
use reports::World;

use super::{check, scenario::Scenario, traces::Files, warnings};

/// At most so many variants of one file.
pub const MAX_VARIANTS: usize = 10_000;
/// At most so many values in all variants together: some seconds of checking.
const MAX_VALUES: usize = 20_000_000;
/// How many problems of all variants are shown.
const MAX_PROBLEMS: usize = 20;

/// One cell of the matrix, ready to run.
#[derive(Clone, Debug)]
pub struct Variant {
    /// What makes it this one: (dotted path, value as text). Empty without a matrix.
    pub cell: Vec<(String, String)>,
    /// The scenario with the cell in its place; without a matrix of its own.
    pub scenario: Scenario,
    /// Worlds that it cannot run in although the file does not rule them out.
    pub exclusions: Vec<Exclusion>,
    /// What is right and hardly what was meant.
    pub warnings: Vec<Problem>,
}

impl Variant {
    /// Whether it may run in this world and can.
    pub fn allows(&self, world: World) -> bool {
        self.scenario.worlds.contains(&world)
            && !self.exclusions.iter().any(|exclusion| exclusion.world == world)
    }
}

/// A world that a scenario cannot run in, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusion {
    /// The world.
    pub world: World,
    /// Why, in a sentence that names the event.
    pub reason: String,
}

/// A path that is varied, and its values.
struct Axis {
    path: Path,
    key: Origin,
    values: Vec<Node>,
}

/// Reads and checks every variant of a scenario; `base` is the directory of its file.
pub fn variants(mut document: Document, base: &FilePath) -> Result<Vec<Variant>, Error> {
    let matrix = document.take("matrix").map(|entry| entry.node);
    let axes = match &matrix {
        None => Vec::new(),
        Some(node) => axes(node, &document)?,
    };
    let count = axes.iter().try_fold(1_usize, |n, axis| n.checked_mul(axis.values.len()));
    let Some(count) = count.filter(|count| *count <= MAX_VARIANTS) else {
        let lengths: Vec<String> = axes.iter().map(|a| a.values.len().to_string()).collect();
        let message = format!(
            "the matrix has {} variants, and {MAX_VARIANTS} is the most that can be run",
            lengths.join(" × ")
        );
        let origin = matrix.map_or(Origin::Default, |node| node.origin);
        return Err(Problem::new(message).at(origin).help("leave some values out").into());
    };
    let values = document.leaves().len().max(1);
    if count.saturating_mul(values) > MAX_VALUES {
        let message = format!(
            "{count} variants of a scenario with {values} values are more than can be checked"
        );
        let origin = matrix.map_or(Origin::Default, |node| node.origin);
        return Err(Problem::new(message).at(origin).help("split the scenario").into());
    }
    let mut files = Files::beside(base);
    let mut found = Vec::with_capacity(count);
    let mut problems = Problems::default();
    let mut read = 0;
    for number in 0..count {
        read += 1;
        match variant(&document, &axes, number, &mut files) {
            Ok(variant) => found.push(variant),
            Err((cell, error)) => problems.add(&cell, error),
        }
        if problems.all.len() >= MAX_PROBLEMS {
            break;
        }
    }
    Error::from_problems(problems.told_apart(read))?;
    Ok(found)
}

/// Problems of many variants, each once: most of them are in the part that all variants share.
#[derive(Default)]
struct Problems {
    /// By its picture, where it stands in `all`.
    seen: BTreeMap<String, usize>,
    all: Vec<Seen>,
}

struct Seen {
    problem: Problem,
    /// The first variant that has it.
    cell: String,
    /// How many have it.
    count: usize,
}

impl Problems {
    fn add(&mut self, cell: &Cell, error: Error) {
        for problem in error.into_problems() {
            let picture = Error::from(problem.clone()).render(Paint::Plain);
            if let Some(index) = self.seen.get(&picture) {
                self.all[*index].count += 1;
                continue;
            }
            self.seen.insert(picture, self.all.len());
            let cells: Vec<String> = cell.iter().map(|(path, v)| format!("{path} = {v}")).collect();
            self.all.push(Seen { problem, cell: cells.join(", "), count: 1 });
        }
    }

    /// A problem that only some of `read` variants have, and that does not stand in a cell, is told with one of them.
    fn told_apart(self, read: usize) -> Vec<Problem> {
        let tell = |Seen { problem, cell, count }| {
            let in_cell = matches!(problem.origin, Some(Origin::Cell { .. }));
            if count < read && !in_cell {
                problem.help(format!("it is so in the variant {cell}"))
            } else {
                problem
            }
        };
        let more = self.all.len().saturating_sub(MAX_PROBLEMS);
        let mut problems: Vec<Problem> =
            self.all.into_iter().take(MAX_PROBLEMS).map(tell).collect();
        if more > 0 {
            problems.push(Problem::new(format!("and there are at least {more} problems more")));
        }
        problems
    }
}

/// (dotted path, value as text).
type Cell = Vec<(String, String)>;

fn variant(
    document: &Document,
    axes: &[Axis],
    number: usize,
    files: &mut Files,
) -> Result<Variant, (Cell, Error)> {
    let mut cell = Cell::with_capacity(axes.len());
    match fill(document.clone(), axes, number, &mut cell, files) {
        Ok((scenario, exclusions, warnings)) => {
            Ok(Variant { cell, scenario, exclusions, warnings })
        }
        Err(error) => Err((cell, error)),
    }
}

/// Puts the cells in their places, notes them, and reads the whole.
fn fill(
    mut document: Document,
    axes: &[Axis],
    number: usize,
    cell: &mut Cell,
    files: &mut Files,
) -> Result<(Scenario, Vec<Exclusion>, Vec<Problem>), Error> {
    let mut rest = number;
    let mut chosen = Vec::with_capacity(axes.len());
    // The last axis changes fastest, as in nested loops.
    for axis in axes.iter().rev() {
        chosen.push((axis, &axis.values[rest % axis.values.len()]));
        rest /= axis.values.len();
    }
    for (axis, value) in chosen.into_iter().rev() {
        let path = axis.path.to_string();
        let node = value.in_cell(&path);
        cell.push((path, label(value)));
        document.put_under(&axis.path, &axis.key, node)?;
    }
    let mut scenario: Scenario = document.read()?;
    let exclusions = check::check(&document, &mut scenario, files)?;
    let warnings = warnings::of(&document, &scenario);
    Ok((scenario, exclusions, warnings))
}

/// A value as a person reads it in a table: texts without quotes.
fn label(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => text.clone(),
        value => value.to_string(),
    }
}

fn axes(matrix: &Node, document: &Document) -> Result<Vec<Axis>, Error> {
    let mut axes = Vec::new();
    let mut problems = Vec::new();
    let Some(table) = matrix.table() else {
        let message = "`matrix` should be a table of dotted paths and their values";
        return Err(Problem::new(message).at(matrix.origin.clone()).into());
    };
    collect(table, &Path::default(), document, &mut axes, &mut problems);
    if table.entries.is_empty() {
        problems.push(
            Problem::new("the matrix is empty: no variant would run")
                .at(matrix.origin.clone())
                .help("leave `[matrix]` out, or write `\"proxy.balance.strategy\" = [\"p2c\", \"random\"]`"),
        );
    }
    Error::from_problems(problems)?;
    // A value that was set on the command line is not varied.
    axes.retain(|axis| {
        let set = document.get(&axis.path).map(|node| &node.origin);
        !matches!(set, Some(Origin::Flag { .. }))
    });
    Ok(axes)
}

fn collect(
    table: &Table,
    above: &Path,
    document: &Document,
    axes: &mut Vec<Axis>,
    problems: &mut Vec<Problem>,
) {
    for entry in &table.entries {
        let key: Result<Path, String> = entry.key.parse();
        let path = match key {
            Ok(below) => Path(above.0.iter().cloned().chain(below.0).collect()),
            Err(why) => {
                problems.push(Problem::new(why).at(entry.origin.clone()));
                continue;
            }
        };
        match &entry.node.value {
            Value::Table(below) => collect(below, &path, document, axes, problems),
            Value::Array(values) => {
                match axis_problem(&path, values, axes).or_else(|| dangling_part(document, &path)) {
                    None => {
                        let (key, values) = (entry.origin.clone(), values.clone());
                        axes.push(Axis { path, key, values });
                    }
                    Some(problem) => {
                        let origin = problem.origin.clone().unwrap_or(entry.origin.clone());
                        problems.push(problem.at(origin));
                    }
                }
            }
            value => problems.push(
                Problem::new(format!("`{path}` should list the values to vary, in an array"))
                    .at(entry.node.origin.clone())
                    .help(format!("write `\"{path}\" = [{value}]`, or set it where it belongs")),
            ),
        }
    }
}

/// What is wrong with a path into a backend or a load that the file does not have: it would make a second, mostly
/// empty one.
pub(super) fn dangling_part(document: &Document, path: &Path) -> Option<Problem> {
    let [Step::Key(table), Step::Key(name), _, ..] = path.0.as_slice() else { return None };
    let what = match table.as_str() {
        "backends" => "backend",
        "load" => "load",
        _ => return None,
    };
    let tables = document.get(&Path::default().key(table)).and_then(Node::table);
    let known: Vec<&str> = tables.map(|tables| tables.keys().collect()).unwrap_or_default();
    if known.contains(&name.as_str()) {
        return None;
    }
    let problem = Problem::new(format!("no {what} is called `{name}`, so `{path}` leads nowhere"));
    let all = format!("there is {}", known.join(", "));
    Some(match nearest(name, known.iter().copied()) {
        Some(near) => problem.help(format!("did you mean `{near}`? {all}")),
        None => problem.help(all),
    })
}

fn axis_problem(path: &Path, values: &[Node], axes: &[Axis]) -> Option<Problem> {
    if values.is_empty() {
        let message = format!("`{path}` has no values, so no variant would run");
        return Some(Problem::new(message));
    }
    if let Some(Step::Key(first)) = path.0.first()
        && matches!(first.as_str(), "matrix" | "worlds" | "description")
    {
        let message = format!("`{first}` cannot be varied");
        return Some(Problem::new(message).help("worlds are chosen with `--world`"));
    }
    if axes.iter().any(|axis| axis.path == *path) {
        return Some(Problem::new(format!("`{path}` is varied twice")));
    }
    let mut seen = BTreeSet::new();
    let twice = values.iter().find(|value| !seen.insert(value.value.to_string()))?;
    let message = format!("`{path}` has the value {} twice", twice.value);
    Some(Problem::new(message).at(twice.origin.clone()))
}
