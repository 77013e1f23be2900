//! `windtunnel list …`: what there is to choose from.
//!
//! Everything comes from where it is defined: metrics and strategies from their tables, distributions from the
//! schema of the type that reads them. Nothing here can be forgotten when something is added.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use policy::{balance::STRATEGIES, distribution::Distribution, quantity::TimeSpan};
use reports::{METRICS, Scope};
use serde_json::Value;

use super::{
    Exit, check,
    style::{Style, print, table},
};
use crate::language::{event::EVENTS, suite};

/// The arguments of `windtunnel list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The scenarios in files and directories.
    Scenarios {
        /// Scenario files, or directories of them.
        #[arg(default_value = "scenarios/suites", value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// The balancing strategies.
    Strategies,
    /// The metrics that thresholds can be on.
    Metrics,
    /// The distributions that times and sizes can have.
    Distributions,
    /// What can happen while a scenario runs.
    Events,
}

pub(super) fn execute(args: &ListArgs, style: Style) -> Exit {
    let text = match &args.what {
        What::Scenarios { paths } => match scenarios(paths, style) {
            Ok(text) => text,
            Err(failure) => return check::report(&failure, Style::of_stderr()),
        },
        What::Strategies => strategies(style),
        What::Metrics => metrics(style),
        What::Distributions => distributions(style),
        What::Events => events(style),
    };
    print(&text);
    Exit::Success
}

fn scenarios(paths: &[PathBuf], style: Style) -> Result<String, suite::Failure> {
    let mut rows = Vec::new();
    for scenario in suite::find(paths)? {
        // A scenario that is wrong is listed as such; `check` says why.
        let (worlds, description) = match scenario.load(&[]) {
            Ok(loaded) => match loaded.variants.into_iter().next() {
                Some(variant) => {
                    let worlds = variant.scenario.worlds.iter().map(|world| world.as_str());
                    (worlds.collect::<Vec<_>>().join(" "), variant.scenario.description)
                }
                None => (String::new(), String::new()),
            },
            Err(_) => ("-".to_owned(), "cannot be read: see `windtunnel check`".to_owned()),
        };
        rows.push([scenario.name, worlds, description]);
    }
    Ok(table(["SCENARIO", "WORLDS", "WHAT"], &rows, style))
}

fn metrics(style: Style) -> String {
    let rows: Vec<[String; 4]> = METRICS
        .iter()
        .map(|metric| {
            let place = match metric.scope {
                Scope::Everywhere => "run, load, phase",
                Scope::Run => "run",
                Scope::Endpoint => "endpoint",
            };
            [metric.name, metric.unit.as_str(), place, metric.doc].map(str::to_owned)
        })
        .collect();
    let metrics = table(["METRIC", "UNIT", "OF", "WHAT"], &rows, style);
    format!(
        "{metrics}\n\nOf a load, a phase or an endpoint: load.NAME.METRIC, phase.NAME.METRIC, endpoint.NAME.METRIC"
    )
}

fn distributions(style: Style) -> String {
    let schema = schemars::schema_for!(Distribution<TimeSpan>);
    let rows = variants(schema.as_value()).into_iter().map(|variant| {
        let written = match variant.keys.as_slice() {
            [] => format!("{{ {} = … }}", variant.name),
            keys => {
                let keys: Vec<String> = keys.iter().map(|key| format!("{key} = …")).collect();
                format!("{{ {} = {{ {} }} }}", variant.name, keys.join(", "))
            }
        };
        [variant.name, written, variant.doc]
    });
    table(["DISTRIBUTION", "WRITTEN", "WHAT"], &rows.collect::<Vec<_>>(), style)
}

fn events(style: Style) -> String {
    let rows = EVENTS.map(|event| {
        [event.name.to_owned(), format!("{} = {}", event.name, event.example), event.doc.to_owned()]
    });
    table(["EVENT", "WRITTEN", "WHAT"], &rows, style)
}

fn strategies(style: Style) -> String {
    let mut rows: Vec<[String; 4]> = Vec::new();
    for strategy in STRATEGIES {
        let cells = [strategy.name, "", "", strategy.summary];
        rows.push(cells.map(str::to_owned));
        for parameter in strategy.parameters {
            let cells = ["", parameter.name, parameter.default, parameter.doc];
            rows.push(cells.map(str::to_owned));
        }
    }
    table(["STRATEGY", "PARAMETER", "DEFAULT", "WHAT"], &rows, style)
}

struct VariantInfo {
    name: String,
    keys: Vec<String>,
    doc: String,
}

/// The variants of an enum, from its schema.
fn variants(schema: &Value) -> Vec<VariantInfo> {
    let mut found = Vec::new();
    let names = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    found.extend(names.filter_map(Value::as_str).map(|name| VariantInfo {
        name: name.to_owned(),
        keys: Vec::new(),
        doc: String::new(),
    }));
    let branches = schema.get("oneOf").or(schema.get("anyOf")).and_then(Value::as_array);
    for branch in branches.into_iter().flatten() {
        let doc = branch.get("description").and_then(Value::as_str).unwrap_or_default();
        let doc = doc.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(name) = branch.get("const").and_then(Value::as_str) {
            found.push(VariantInfo { name: name.to_owned(), keys: Vec::new(), doc });
        } else if branch.get("enum").is_some() {
            found.extend(variants(branch));
        } else if let Some(properties) = branch.get("properties").and_then(Value::as_object) {
            for (name, inner) in properties {
                let keys = inner.get("properties").and_then(Value::as_object);
                let keys = keys.map(|keys| keys.keys().cloned().collect()).unwrap_or_default();
                found.push(VariantInfo { name: name.clone(), keys, doc: doc.clone() });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_listed() {
        let distributions = distributions(Style::Plain);
        for name in ["constant", "hyperexponential", "{ pareto = { min = …, max = …, alpha = … } }"]
        {
            assert!(distributions.contains(name), "{name}:\n{distributions}");
        }
        assert!(strategies(Style::Plain).contains("least_connections"));
        assert!(metrics(Style::Plain).contains("latency.p99 "));
        assert!(events(Style::Plain).contains("restart_proxy = { down = \"1s\" }"));
    }
}
