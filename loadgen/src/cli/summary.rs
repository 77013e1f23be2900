//! What a person reads at the end.

use std::{fmt::Write as _, io::IsTerminal};

use loadgen::End;
use reports::Reading;

use super::{Result, show};

/// The lines of the table of times: the figure's name in metrics, and for a person.
const TIMES: [(&str, &str); 9] = [
    ("min", "min"),
    ("mean", "mean"),
    ("p50", "p50"),
    ("p75", "p75"),
    ("p90", "p90"),
    ("p95", "p95"),
    ("p99", "p99"),
    ("p999", "p99.9"),
    ("p9999", "p99.99"),
];

/// The whole summary.
pub(crate) fn text(result: &Result) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write(&mut out, result, &Style::detect());
    out
}

struct Style {
    bold: &'static str,
    alarm: &'static str,
    plain: &'static str,
}

impl Style {
    fn detect() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        if wanted && std::io::stdout().is_terminal() {
            Self { bold: "\x1b[1m", alarm: "\x1b[1;31m", plain: "\x1b[0m" }
        } else {
            Self { bold: "", alarm: "", plain: "" }
        }
    }
}

fn write(out: &mut String, result: &Result, style: &Style) -> std::fmt::Result {
    let Result { args, target, ledger, measurement, elapsed, .. } = result;
    let figure = |name: &str| measurement.metrics.get(name).unwrap_or(0.0);
    let counted = |name: &str| show::count(figure(name) as u64);
    let Style { bold, alarm, plain } = style;
    let mut line = |title: &str, text: String| writeln!(out, "{bold}{title:<13}{plain}{text}");

    line(
        "Target",
        format!("{} http://{}{}", args.method(), target.url.authority, target.url.path),
    )?;
    line("Load", load(result))?;
    let stopped = if matches!(result.end, End::Stopped(_)) { ", interrupted" } else { "" };
    let warm = match args.warmup.0 {
        warmup if warmup.is_zero() => String::new(),
        _ => format!(", of which {} of warm-up are in no figure", args.warmup),
    };
    line("Time", format!("{:.2} s{warm}{stopped}", elapsed.as_secs_f64()))?;
    line(
        "Requests",
        format!(
            "{}: {} ok, {} failed, {} timed out, {} refused, {} dropped",
            counted("requests"),
            counted("ok"),
            counted("failed"),
            counted("timed_out"),
            counted("refused"),
            counted("dropped"),
        ),
    )?;
    line(
        "Rate",
        format!(
            "{} answers/s, {} of them ok",
            show::rate(figure("rate")),
            show::rate(figure("goodput"))
        ),
    )?;
    let seconds = elapsed.saturating_sub(args.warmup.0).as_secs_f64().max(1e-9);
    line(
        "Throughput",
        format!(
            "{}/s received, {}/s sent (bodies)",
            show::bytes(figure("bytes_in") / seconds),
            show::bytes(figure("bytes_out") / seconds),
        ),
    )?;
    let anew = match ledger.resent {
        0 => String::new(),
        n => format!("; {} requests sent anew because theirs had just been closed", show::count(n)),
    };
    line("Connections", format!("{} opened{anew}", show::count(ledger.connections)))?;
    let statuses: Vec<String> = measurement
        .metrics
        .iter()
        .filter_map(|(name, metric)| {
            let status = name.strip_prefix("status.")?;
            Some(format!("{status}: {}", show::count(metric.value as u64)))
        })
        .collect();
    if !statuses.is_empty() {
        line("Status", statuses.join(", "))?;
    }
    for (index, (kind, failures)) in ledger.failures.iter().enumerate() {
        let title = if index == 0 { "Errors" } else { "" };
        let kind = kind.strip_prefix("failed.").unwrap_or(kind);
        line(
            title,
            format!("{kind}: {}, first: {}", show::count(failures.count), failures.example),
        )?;
    }
    if ledger.abandoned > 0 {
        line(
            "Given up",
            format!("{} requests under way, in no figure", show::count(ledger.abandoned)),
        )?;
    }
    if let Some(sending) = ledger.sending.first().filter(|sending| sending.is_open) {
        let most = sending.lateness.max_ms().map_or_else(|| "0".to_owned(), show::time);
        line("Sent late", format!("{} by more than 10 ms, {most} at most", counted("sent_late")))?;
    }
    times(out, result, style)?;
    for problem in &result.invalid {
        writeln!(out, "\n{alarm}Not valid:{plain} {problem}")?;
    }
    Ok(())
}

fn load(result: &Result) -> String {
    let args = &result.args;
    let kept = if args.no_keep_alive { "a connection for each request" } else { "keep-alive" };
    let threads = match args.threads {
        1 => "1 thread".to_owned(),
        n => format!("{n} threads"),
    };
    match args.rate {
        Some(rate) => {
            let spacing = if args.poisson { "Poisson" } else { "evenly spaced" };
            let seed = args.seed;
            format!("open loop, {}/s {spacing}, {kept}, {threads}, seed {seed}", show::rate(rate))
        }
        None => format!(
            "closed loop, {} at a time, {kept}, {threads}",
            show::count(args.concurrency.into())
        ),
    }
}

/// Response and service time side by side. In a closed loop they are the same.
fn times(out: &mut String, result: &Result, style: &Style) -> std::fmt::Result {
    let Style { bold, plain, .. } = style;
    let columns: &[(&str, &str)] = match result.args.rate {
        Some(_) => &[("latency", "response time"), ("service_time", "service time")],
        None => &[("latency", "response time")],
    };
    let metrics = &result.measurement.metrics;
    if metrics.get("latency.max").is_none() {
        return Ok(());
    }
    write!(out, "\n{bold}{:<13}", "")?;
    for (_, title) in columns {
        write!(out, "{title:>15}")?;
    }
    writeln!(out, "{plain}")?;
    for (name, title) in TIMES.into_iter().chain([("max", "max"), ("stddev", "std dev")]) {
        let cells: Vec<String> = columns
            .iter()
            .filter_map(|(column, _)| match metrics.read(&format!("{column}.{name}")) {
                Reading::Value(metric) => Some(show::time(metric.value)),
                // Fewer than ten samples beyond it: chance.
                Reading::Absent(_) | Reading::Unknown => None,
            })
            .collect();
        if cells.len() == columns.len() {
            write!(out, "{title:<13}")?;
            for cell in cells {
                write!(out, "{cell:>15}")?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}
