//! What stands on the page: a suite turned into words, tables and figures for the template.

use super::charts::{self, Figure};
use super::held::{Agreed, Invariants, agreed, invariants};
use super::table::Table;
use crate::format;
use crate::headline::{self, NONE, Watch};
use crate::record::ProxyRow;
use crate::run::{Run, Suite, Verdict};
use askama::Template;
use std::io;

/// With more runs than this, those that passed are folded away.
const UNFOLDED: usize = 8;
/// With more runs than this, the last ones that passed have no charts: the page must open.
const CHARTED: usize = 150;
/// More proxies than this are not shown one by one.
const PROXIES: usize = 20;
/// So many runs are compared in columns; more in rows.
const FEW: usize = 4;

#[derive(Template)]
#[template(path = "index.html")]
pub(super) struct Page<'a> {
    verdict: &'static str,
    heading: &'static str,
    tally: String,
    watch: Option<Watch>,
    rows: Vec<Row<'a>>,
    groups: Vec<Group<'a>>,
    files: Vec<(&'static str, &'static str)>,
    has_variants: bool,
}

/// A row of the table of verdicts.
struct Row<'a> {
    id: usize,
    verdict: &'static str,
    scenario: &'a str,
    world: &'static str,
    variant: String,
    figures: Vec<(&'static str, String)>,
    reasons: Vec<String>,
    command: &'a str,
}

/// All runs of one scenario.
struct Group<'a> {
    scenario: &'a str,
    description: &'a str,
    comparison: Option<Comparison>,
    agreements: Vec<Agreed>,
    runs: Vec<View<'a>>,
}

struct Comparison {
    figure: Option<Figure>,
    table: Table,
    /// Few enough to stand side by side, a column each.
    is_few: bool,
}

/// One run in full.
struct View<'a> {
    id: usize,
    run: &'a Run,
    verdict: &'static str,
    label: String,
    is_open: bool,
    facts: Vec<(&'static str, String)>,
    reason: Option<&'a str>,
    thresholds: Vec<Threshold<'a>>,
    invariants: Option<Invariants<'a>>,
    events: Vec<(usize, String, &'a str)>,
    figures: Vec<Figure>,
    tables: Vec<Table>,
    metrics: Vec<(&'a str, String)>,
}

struct Threshold<'a> {
    holds: bool,
    expression: &'a str,
    value: String,
    limit: String,
    remark: &'a str,
}

impl<'a> Page<'a> {
    pub(super) fn new(suite: &'a Suite) -> io::Result<Self> {
        let mut order: Vec<usize> = (0..suite.runs.len()).collect();
        order.sort_by_key(|id| std::cmp::Reverse(suite.runs[*id].verdict.severity()));
        let rows = order.iter().map(|id| row(*id, &suite.runs[*id])).collect();
        let charted = &order[..order.len().min(CHARTED)];
        let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
        for id in &order {
            let scenario = suite.runs[*id].scenario.as_str();
            match groups.iter_mut().find(|(name, _)| *name == scenario) {
                Some((_, ids)) => ids.push(*id),
                None => groups.push((scenario, vec![*id])),
            }
        }
        let group = |(scenario, mut ids): (&'a str, Vec<usize>)| -> io::Result<Group<'a>> {
            ids.sort_unstable();
            let runs: Vec<(usize, &Run)> = ids.iter().map(|id| (*id, &suite.runs[*id])).collect();
            let labels = labels(&runs);
            let comparison = compare(&runs, &labels)?;
            let views = runs.iter().zip(labels).map(|((id, run), label)| {
                let is_open = run.verdict != Verdict::Pass || suite.runs.len() <= UNFOLDED;
                let figures = if charted.contains(id) { charts::figures(run)? } else { Vec::new() };
                Ok(view(*id, run, label, is_open, figures))
            });
            Ok(Group {
                scenario,
                description: &runs[0].1.description,
                comparison,
                agreements: agreed(&runs),
                runs: views.collect::<io::Result<_>>()?,
            })
        };
        let worst = suite.worst();
        Ok(Page {
            verdict: worst.as_str(),
            heading: match worst {
                Verdict::Pass if suite.runs.is_empty() => "Nothing was run",
                Verdict::Pass if suite.runs.iter().all(|run| run.thresholds.is_empty()) => {
                    "Measured"
                }
                Verdict::Pass => "Every threshold held",
                Verdict::Fail
                    if suite.runs.iter().all(|run| run.failed_thresholds().next().is_none()) =>
                {
                    "An invariant is broken"
                }
                Verdict::Fail => "A threshold did not hold",
                Verdict::Invalid(_) => "A measurement is not valid",
                Verdict::Error(_) => "A run could not be carried out",
            },
            tally: headline::tally(&suite.runs),
            watch: headline::watch(&suite.runs),
            rows,
            groups: groups.into_iter().map(group).collect::<io::Result<_>>()?,
            has_variants: suite.runs.iter().any(|run| !run.variant.is_empty()),
            files: vec![
                ("summary.csv", "one row a run"),
                ("timeseries.csv", "every course over time"),
                ("latency.hlog", "HdrHistogram interval log"),
                ("junit.xml", "for CI"),
                ("summary.md", "for a CI step"),
                ("results.jsonl", "everything, for windtunnel report"),
                ("manifest.json", "who, where and when"),
            ],
        })
    }
}

fn row(id: usize, run: &Run) -> Row<'_> {
    Row {
        id,
        verdict: run.verdict.as_str(),
        scenario: &run.scenario,
        world: run.world.as_str(),
        variant: run.variant_short(),
        figures: headline::FIGURES.into_iter().zip(headline::figures(run)).collect(),
        reasons: headline::reasons(run),
        command: &run.command,
    }
}

/// What tells the runs of a scenario apart: variant, and world and seed where they differ.
fn labels(runs: &[(usize, &Run)]) -> Vec<String> {
    let has_worlds = runs.iter().any(|(_, run)| run.world != runs[0].1.world);
    let has_seeds = runs.iter().any(|(_, run)| run.seed != runs[0].1.seed);
    let label = |run: &Run| {
        let mut parts = Vec::new();
        if !run.variant.is_empty() {
            parts.push(run.variant_short());
        }
        if has_worlds || (run.variant.is_empty() && !has_seeds) {
            parts.push(run.world.to_string());
        }
        if has_seeds {
            parts.push(format!("seed {}", run.seed));
        }
        parts.join(", ")
    };
    runs.iter().map(|(_, run)| label(run)).collect()
}

fn compare(runs: &[(usize, &Run)], labels: &[String]) -> io::Result<Option<Comparison>> {
    // Where one thing alone is varied, its name stands above and its values suffice below.
    let varied: Vec<&str> = match &runs[0].1.variant[..] {
        [(path, _)] if runs.iter().all(|(_, run)| run.variant.iter().map(|v| &v.0).eq([path])) => {
            vec![path]
        }
        _ => Vec::new(),
    };
    let prefix = varied.first().map(|path| format!("{}=", path.rsplit('.').next().unwrap_or(path)));
    let short = |label: &String| match &prefix {
        Some(prefix) => label.strip_prefix(prefix.as_str()).unwrap_or(label).to_owned(),
        None => label.clone(),
    };
    let measured: Vec<(String, &Run)> = runs
        .iter()
        .zip(labels)
        .filter(|((_, run), _)| !run.measurement.metrics.is_empty())
        .map(|((_, run), label)| (short(label), *run))
        .collect();
    if measured.len() < 2 {
        return Ok(None);
    }
    const COLUMNS: [(&str, &str); 9] = [
        ("requests", "requests"),
        ("rate", "rate"),
        ("mean", "latency.mean"),
        ("p50", "latency.p50"),
        ("p90", "latency.p90"),
        ("p99", "latency.p99"),
        ("p99.9", "latency.p999"),
        ("longest", "latency.max"),
        ("imbalance", "imbalance"),
    ];
    let mut head = vec!["run", "verdict", "success"];
    head.extend(COLUMNS.iter().map(|(title, _)| *title));
    let row = |(label, run): &(String, &Run)| {
        let success = run.measurement.metrics.get("success_ratio").map(format::percent);
        let mut cells = vec![
            label.clone(),
            run.verdict.as_str().to_owned(),
            success.unwrap_or_else(|| NONE.to_owned()),
        ];
        cells.extend(COLUMNS.iter().map(|(_, name)| headline::figure(run, name)));
        cells
    };
    let mut rows: Vec<Vec<String>> = measured.iter().map(row).collect();
    let mut head: Vec<String> = head.iter().map(|word| (*word).to_owned()).collect();
    let is_few = rows.len() <= FEW;
    if is_few {
        rows.insert(0, head);
        let transposed = (0..rows[0].len()).map(|c| rows.iter().map(|r| r[c].clone()).collect());
        rows = transposed.collect();
        head = rows.remove(0);
        head[0] = String::new();
    }
    let caption = match varied.first() {
        Some(path) => format!("Compared by {path}"),
        None => "Compared".to_owned(),
    };
    let table = Table { caption, head, rows, note: String::new() };
    Ok(Some(Comparison { figure: charts::overlay(&measured)?, table, is_few }))
}

fn view(id: usize, run: &Run, label: String, is_open: bool, figures: Vec<Figure>) -> View<'_> {
    let seconds = |d: std::time::Duration| format::seconds(d.as_secs_f64());
    let mut facts = vec![
        ("world", run.world.to_string()),
        ("seed", run.seed.to_string()),
        ("load for", seconds(run.duration)),
        ("warm-up", seconds(run.warmup)),
    ];
    facts.extend(run.variant.iter().map(|(path, value)| ("variant", format!("{path} = {value}"))));
    let thresholds = run
        .thresholds
        .iter()
        .map(|t| {
            let (value, limit) = headline::value_and_limit(t);
            Threshold { holds: t.holds, expression: &t.expression, value, limit, remark: &t.remark }
        })
        .collect();
    View {
        id,
        run,
        verdict: run.verdict.as_str(),
        label,
        is_open,
        facts,
        reason: run.verdict.reason(),
        thresholds,
        invariants: invariants(run),
        events: run
            .events
            .iter()
            .enumerate()
            .map(|(index, event)| (index + 1, seconds(event.at), event.label.as_str()))
            .collect(),
        figures,
        tables: tables(run),
        // One load has the figures of the run: once is enough.
        metrics: run
            .measurement
            .metrics
            .iter()
            .filter(|(name, _)| run.measurement.loads.len() > 1 || !name.starts_with("load."))
            .map(|(name, metric)| (name, format::metric(metric.value, metric.unit)))
            .collect(),
    }
}

fn tables(run: &Run) -> Vec<Table> {
    if run.measurement.metrics.is_empty() {
        return Vec::new();
    }
    let mut tables = vec![outcomes(run), latencies(run)];
    let loads = run.measurement.loads.iter().map(|name| (name.clone(), format!("load.{name}.")));
    if run.measurement.loads.len() > 1 {
        tables.push(parts("Loads", "load", run, loads.collect()));
    }
    let phase = |p: &crate::run::Phase| {
        let (from, to) =
            (format::seconds(p.from.as_secs_f64()), format::seconds(p.to.as_secs_f64()));
        (format!("{} ({from} to {to})", p.name), format!("phase.{}.", p.name))
    };
    if !run.phases.is_empty() {
        tables.push(parts("Phases", "phase", run, run.phases.iter().map(phase).collect()));
    }
    let endpoints = &run.measurement.endpoints;
    if endpoints.iter().any(|row| row.requests > 0) {
        let level =
            |value: Option<f64>| value.map_or(NONE.to_owned(), |v| format::significant(v, 3));
        let rows = endpoints.iter().map(|row| {
            vec![
                row.name.clone(),
                format::count(row.requests as f64),
                format::percent(row.share),
                format::count(row.failed as f64),
                level(row.in_flight_mean),
                level(row.in_flight_max),
            ]
        });
        let head = ["endpoint", "requests", "share", "not ok", "in flight, mean", "most"];
        tables.push(Table::new("Endpoints", &head, rows.collect()));
    }
    tables.extend(proxies(run));
    tables
}

/// How several proxies shared the work.
fn proxies(run: &Run) -> Option<Table> {
    let rows = &run.measurement.proxies;
    if rows.is_empty() {
        return None;
    }
    let number = |value: Option<f64>| value.map_or(NONE.to_owned(), |v| format::significant(v, 3));
    let row = |row: &ProxyRow| {
        vec![
            row.name.clone(),
            format::count(row.requests as f64),
            format::percent(row.share),
            number(row.imbalance),
            number(row.jain),
        ]
    };
    let head = ["proxy", "requests sent", "share", "busiest / mean", "Jain's index"];
    let mut table = Table::new("Proxies", &head, rows.iter().take(PROXIES).map(row).collect());
    let left = rows.len().saturating_sub(PROXIES);
    let rest = if left > 0 { format!(" {left} more are not shown.") } else { String::new() };
    table.note = format!(
        "Sent to endpoints, retries included; how evenly each proxy sent them on: its busiest endpoint over the mean of all, \
         and Jain's index.{rest}"
    );
    Some(table)
}

fn outcomes(run: &Run) -> Table {
    let metrics = &run.measurement.metrics;
    let total = metrics.get("requests").unwrap_or(0.0);
    let part = |n: f64| if total > 0.0 { format::percent(n / total) } else { NONE.to_owned() };
    let mut rows = Vec::new();
    let mut add = |title: String, name: &str, is_shown_at_zero: bool| {
        let n = metrics.get(name).unwrap_or(0.0);
        if n > 0.0 || is_shown_at_zero {
            rows.push(vec![title, format::count(n), part(n)]);
        }
    };
    add("requests".to_owned(), "requests", true);
    add("ok".to_owned(), "ok", true);
    add("failed".to_owned(), "failed", true);
    for class in crate::record::FailClass::ALL {
        let title = format!("failed: {}", class.as_str().replace('_', " "));
        add(title, &format!("failed.{}", class.as_str()), false);
    }
    add("timed out".to_owned(), "timed_out", true);
    add("refused".to_owned(), "refused", true);
    add("dropped, never sent".to_owned(), "dropped", true);
    add("sent late".to_owned(), "sent_late", false);
    add("retries".to_owned(), "retries", false);
    for (name, _) in metrics.iter().filter(|(name, _)| name.starts_with("status.")) {
        add(name.replace('.', " "), name, false);
    }
    Table::new("Outcomes", &["requests", "count", "of all"], rows)
}

fn latencies(run: &Run) -> Table {
    const ROWS: [(&str, &str); 11] = [
        ("least", "min"),
        ("mean", "mean"),
        ("std. deviation", "stddev"),
        ("p50", "p50"),
        ("p75", "p75"),
        ("p90", "p90"),
        ("p95", "p95"),
        ("p99", "p99"),
        ("p99.9", "p999"),
        ("p99.99", "p9999"),
        ("longest", "max"),
    ];
    let rows = ROWS.iter().map(|(title, end)| {
        vec![
            (*title).to_owned(),
            headline::figure(run, &format!("latency.{end}")),
            headline::figure(run, &format!("service_time.{end}")),
        ]
    });
    let mut table = Table::new("Latency", &["", "response time", "service time"], rows.collect());
    let count = format::count(run.measurement.response.count() as f64);
    table.note = format!(
        "Of {count} requests that were ok or timed out. Response time counts from the intended send, \
         service time from the actual one. A dash: fewer than ten requests lie beyond."
    );
    table
}

/// A table of loads or phases: one row each, by the prefix of its metrics.
fn parts(caption: &str, first: &str, run: &Run, parts: Vec<(String, String)>) -> Table {
    let rows = parts.into_iter().map(|(label, prefix)| {
        let figure = |name: &str| headline::figure(run, &format!("{prefix}{name}"));
        let success = run.measurement.metrics.get(&format!("{prefix}success_ratio"));
        vec![
            label,
            figure("requests"),
            figure("rate"),
            figure("latency.p50"),
            figure("latency.p99"),
            figure("latency.max"),
            success.map_or(NONE.to_owned(), format::percent),
        ]
    });
    let head = [first, "requests", "rate", "p50", "p99", "longest", "success"];
    Table::new(caption, &head, rows.collect())
}
