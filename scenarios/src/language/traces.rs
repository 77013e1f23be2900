//! The files that a scenario names: values of an `empirical` distribution, requests of a `trace`.
//!
//! Their paths are relative to the scenario's own file, so that a suite can be moved as a whole. A file of values has one a
//! line, either with its unit (`12.5ms`) or bare under a first line that names it (`ms`); empty lines and what
//! follows a `#` are ignored. Each file is read once for all variants of a matrix.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use loadgen::{
    config::{Arrivals, Load, TraceFormat},
    schedule::trace::TraceRequests,
};
use policy::{
    distribution::{Distribution, Quantity},
    quantity::{ByteSize, TimeSpan},
};

use super::{event::Action, scenario::Scenario};

/// The largest file of values or requests.
const MAX_BYTES: u64 = 256 << 20;
/// At most so many values in a file.
const MAX_VALUES: usize = 4_000_000;

type Values = Result<Arc<[f64]>, String>;
type Requests = Result<Arc<TraceRequests>, String>;

/// The files of one scenario.
#[derive(Debug)]
pub(super) struct Files {
    base: PathBuf,
    times: BTreeMap<String, Values>,
    sizes: BTreeMap<String, Values>,
    traces: BTreeMap<(String, bool), Requests>,
}

/// A file that cannot be used: the dotted path of the value that names it, and why.
pub(super) struct Unusable {
    pub(super) path: String,
    pub(super) why: String,
}

impl Files {
    /// Files beside a scenario in the directory `base`.
    pub(super) fn beside(base: &Path) -> Self {
        let base = base.to_owned();
        Self { base, times: BTreeMap::new(), sizes: BTreeMap::new(), traces: BTreeMap::new() }
    }

    /// Reads every file that `scenario` names and puts its values in their places.
    pub(super) fn fill(&mut self, scenario: &mut Scenario) -> Vec<Unusable> {
        let mut wrong = Vec::new();
        for problem in scenario.proxy.read_files(&self.base) {
            let why = format!("`{}` {}", problem.path, problem.message);
            wrong.push(Unusable { path: format!("proxy.{}", problem.path), why });
        }
        for (name, backend) in &mut scenario.backends {
            self.times(&format!("backends.{name}.service"), &mut backend.service, &mut wrong);
            self.sizes(&format!("backends.{name}.response"), &mut backend.response, &mut wrong);
        }
        for (name, load) in &mut scenario.load {
            self.fill_load(&format!("load.{name}"), load, &mut wrong);
        }
        if let Some(latency) = &mut scenario.network.latency {
            self.times("network.latency", latency, &mut wrong);
        }
        for (index, event) in scenario.events.iter_mut().enumerate() {
            if let Action::Latency { one_way, .. } = &mut event.action {
                self.times(&format!("events[{index}].latency.one_way"), one_way, &mut wrong);
            }
        }
        wrong
    }

    fn fill_load(&mut self, path: &str, load: &mut Load, wrong: &mut Vec<Unusable>) {
        if let Some(think) = &mut load.think {
            self.times(&format!("{path}.think"), think, wrong);
        }
        for (index, request) in load.request.iter_mut().enumerate() {
            let path = format!("{path}.request[{index}]");
            if let Some(body) = &mut request.body {
                self.sizes(&format!("{path}.body"), body, wrong);
            }
            if let Some(size) = &mut request.size {
                self.sizes(&format!("{path}.size"), size, wrong);
            }
            if let Some(work) = &mut request.work {
                self.times(&format!("{path}.work"), work, wrong);
            }
        }
        if let Some(Arrivals::Trace(trace)) = &mut load.arrivals {
            let key = (trace.file.clone(), trace.format == TraceFormat::Combined);
            let base = &self.base;
            let requests = self.traces.entry(key).or_insert_with(|| {
                let text = read(base, &trace.file)?;
                let requests = TraceRequests::read(&text, trace.format);
                requests.map(Arc::new).map_err(|why| format!("{}: {why}", trace.file))
            });
            match requests {
                Ok(requests) => trace.requests = Arc::clone(requests),
                Err(why) => {
                    let path = format!("{path}.arrivals.trace.file");
                    wrong.push(Unusable { path, why: why.clone() });
                }
            }
        }
    }

    fn times(&mut self, path: &str, of: &mut Distribution<TimeSpan>, wrong: &mut Vec<Unusable>) {
        fill(&self.base, &mut self.times, path, of, wrong);
    }

    fn sizes(&mut self, path: &str, of: &mut Distribution<ByteSize>, wrong: &mut Vec<Unusable>) {
        fill(&self.base, &mut self.sizes, path, of, wrong);
    }
}

fn fill<Q: Quantity + FromStr>(
    base: &Path,
    known: &mut BTreeMap<String, Values>,
    path: &str,
    distribution: &mut Distribution<Q>,
    wrong: &mut Vec<Unusable>,
) where
    Q::Err: std::fmt::Display,
{
    let Distribution::Empirical { file, values } = distribution else { return };
    let read = || {
        let text = read(base, file)?;
        parse::<Q>(&text).map_err(|why| format!("{file}: {why}"))
    };
    match known.entry(file.clone()).or_insert_with(read) {
        Ok(found) => *values = Arc::clone(found),
        Err(why) => {
            wrong.push(Unusable { path: format!("{path}.empirical.file"), why: why.clone() });
        }
    }
}

fn read(base: &Path, name: &str) -> Result<String, String> {
    let path = base.join(name);
    let cannot = |why: std::io::Error| format!("cannot read {}: {why}", path.display());
    let mut text = String::new();
    let file = File::open(&path).map_err(cannot)?;
    if !file.metadata().map_err(cannot)?.is_file() {
        return Err(format!("{} is not a file", path.display()));
    }
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!("{} is larger than {} MiB", path.display(), MAX_BYTES >> 20));
    }
    Ok(text)
}

fn parse<Q: Quantity + FromStr>(text: &str) -> Values
where
    Q::Err: std::fmt::Display,
{
    let mut values = Vec::new();
    let mut unit: Option<&str> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        if values.is_empty() && unit.is_none() && format!("1{line}").parse::<Q>().is_ok() {
            let bare = line.parse::<f64>().is_err();
            if bare && line.parse::<Q>().is_err() {
                unit = Some(line);
                continue;
            }
        }
        let value = match unit {
            Some(unit) if line.parse::<f64>().is_ok() => format!("{line}{unit}").parse::<Q>(),
            _ => line.parse::<Q>(),
        };
        let value = value.map_err(|why| format!("line {}: {why}", number + 1))?;
        if values.len() >= MAX_VALUES {
            return Err(format!("there are more than {MAX_VALUES} values"));
        }
        values.push(value.amount());
    }
    if values.is_empty() {
        return Err("there is no value in it".to_owned());
    }
    Ok(values.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_units_or_a_heading() {
        let times = |text| parse::<TimeSpan>(text).map(|values| values.to_vec());
        assert_eq!(times("1ms\n\n# a remark\n2.5us # another\n"), Ok(vec![1e6, 2500.0]));
        assert_eq!(times("ms\n1\n2.5\n3us\n"), Ok(vec![1e6, 2.5e6, 3000.0]));
        assert_eq!(parse::<ByteSize>("KiB\n1\n2").map(|v| v.to_vec()), Ok(vec![1024.0, 2048.0]));
        let why = times("1ms\n5\n").expect_err("no unit");
        assert!(why.starts_with("line 2: `5` has no unit"), "{why}");
        assert!(times("value\n1\n").expect_err("no unit").starts_with("line 1: "));
        assert_eq!(times("\n# nothing\n"), Err("there is no value in it".to_owned()));
    }
}
