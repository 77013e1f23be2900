//! What reading cannot see: names that dangle, times that lie outside, values that cannot be.
//!
//! Everything is reported at once, each at its line and column. The parts check their own values
//! (`problem()` of a backend, a load, a proxy); here are the rules between them.

use std::time::Duration;

use policy::{distribution::Distribution, quantity::TimeSpan};
use proxy::config::document::{Document, Error, Origin, Path, Problem, nearest};
use reports::World;

use super::{
    event::Action,
    matrix::Exclusion,
    pools,
    scenario::{MAX_ENDPOINTS, Scenario},
    timeline::Present,
    traces::Files,
    world,
};

mod proxies;
mod purges;
mod upstreams;

const MAX_EVENTS: usize = 10_000;
const MAX_NAMES: usize = 1_000;
/// After so many problems no further ones are looked for: nobody reads them.
const ENOUGH: usize = 50;
const MAX_DURATION: Duration = Duration::from_hours(30 * 24);

/// Checks a scenario that was read from `document`, completes it with what its files hold, and takes the
/// worlds out that it cannot run in and that the file did not ask for by name.
pub(super) fn check(
    document: &Document,
    scenario: &mut Scenario,
    files: &mut Files,
) -> Result<Vec<Exclusion>, Error> {
    let mut check = Check { document, problems: Vec::new() };
    pools::complete(&mut scenario.proxy, &scenario.backends);
    let unusable = files.fill(scenario);
    for file in &unusable {
        check.complain(&file.path, file.why.clone());
    }
    let times_fit = check.times(scenario);
    check.names(scenario);
    check.parts(scenario);
    let proxies_fit = check.proxies(scenario);
    if times_fit {
        check.events(scenario);
        check.phases(scenario);
    }
    if proxies_fit {
        check.reloads(scenario);
        check.purges(scenario);
    }
    check.thresholds(scenario);
    let exclusions = check.worlds(scenario);
    Error::from_problems(check.problems)?;
    Ok(exclusions)
}

struct Check<'a> {
    document: &'a Document,
    problems: Vec<Problem>,
}

impl Check<'_> {
    /// Adds a problem with the value at `path`. Another one of the same value is its consequence.
    fn complain(&mut self, path: &str, message: impl Into<String>) -> &mut Problem {
        self.problems.push(self.document.problem(path, message));
        self.problems.last_mut().expect("one was just added")
    }

    fn advise(&mut self, path: &str, message: impl Into<String>, help: impl Into<String>) {
        self.complain(path, message).help.push(help.into());
    }

    /// The same with the key at the end of `path`.
    fn complain_of_key(&mut self, path: &Path, message: String, help: Option<String>) {
        let mut problem = Problem::new(message).at(self.document.locate_key(path));
        problem.help.extend(help);
        self.problems.push(problem);
    }

    /// A value that a part finds impossible: `path` from the part's table, and what it must be.
    fn impossible(&mut self, part: &str, path: &str, what: &str) {
        let name = path.rsplit('.').next().unwrap_or(path);
        let (what, help) = match what.split_once(": write ").or(what.split_once("; write ")) {
            Some((what, help)) => (what, Some(format!("write {help}"))),
            None => (what, None),
        };
        let message =
            if what.starts_with('`') { what.to_owned() } else { format!("`{name}` {what}") };
        let problem = self.complain(&format!("{part}.{path}"), message);
        problem.help.extend(help);
    }

    /// Without a possible duration nothing can be said of what lies outside.
    fn times(&mut self, scenario: &Scenario) -> bool {
        let before = self.problems.len();
        let (duration, warmup) = (scenario.duration, scenario.warmup);
        if duration.0.is_zero() {
            self.complain("duration", "`duration` must be above 0");
        } else if duration.0 > MAX_DURATION {
            self.complain("duration", "`duration` must be at most 30 days (720h)");
        } else if warmup >= duration {
            let message = format!(
                "`warmup` takes {warmup} of {duration}: nothing is left that a metric could count"
            );
            self.complain("warmup", message);
        }
        self.problems.len() == before
    }

    fn names(&mut self, scenario: &Scenario) {
        for (table, names) in [
            ("backends", scenario.backends.keys().collect::<Vec<_>>()),
            ("load", scenario.load.keys().collect()),
            ("phases", scenario.phases.keys().collect()),
        ] {
            if names.len() > MAX_NAMES {
                self.complain(table, format!("`{table}` holds more than {MAX_NAMES} tables"));
            }
            for name in names {
                let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                if name.is_empty() || name.len() > 64 || !name.chars().all(good) {
                    let path = Path::default().key(table).key(name);
                    let message = format!("`{name}` cannot be a name here");
                    let help = "use up to 64 letters, digits, `-` and `_`".to_owned();
                    self.complain_of_key(&path, message, Some(help));
                }
            }
        }
        if scenario.backends.is_empty() {
            let help = "add a table such as `[backends.web]`";
            self.advise("", "there is no backend, so nothing can answer", help);
        }
        if scenario.load.is_empty() {
            let help = "add a table such as `[load.browse]`";
            self.advise("", "there is no load, so nothing would happen", help);
        }
    }

    fn parts(&mut self, scenario: &Scenario) {
        // A run draws the secret that is not stated.
        let drawn = |problem: &proxy::config::Problem| {
            problem.path == "redirect.secret" && scenario.proxy.redirect.secret.is_none()
        };
        let problems = scenario.proxy.problems();
        let of_pools = |problem: &proxy::config::Problem| upstreams::is_of_pools(&problem.path);
        for problem in problems.iter().filter(|problem| !drawn(problem) && !of_pools(problem)) {
            self.impossible("proxy", &problem.path, &problem.message);
        }
        self.upstreams(scenario);
        if !scenario.proxy.endpoints.is_empty() {
            let message = "a scenario's endpoints are its backends";
            self.advise(
                "proxy.endpoints",
                message,
                "leave `endpoints` out and describe `[backends]`",
            );
        }
        for (name, backend) in &scenario.backends {
            if let Some((path, what)) = backend.problem() {
                self.impossible_unless_reported(&format!("backends.{name}"), &path, &what);
            }
        }
        let endpoints: u64 = scenario.backends.values().map(|b| u64::from(b.count)).sum();
        if endpoints > MAX_ENDPOINTS as u64 {
            let message =
                format!("there are {endpoints} endpoints; at most {MAX_ENDPOINTS} can be run");
            self.complain("backends", message);
        }
        for (name, load) in &scenario.load {
            if let Some(problem) = load.problem() {
                self.impossible_unless_reported(
                    &format!("load.{name}"),
                    &problem.at,
                    &problem.what,
                );
            }
        }
        if let Some(latency) = &scenario.network.latency {
            self.distribution("network", "latency", latency);
        }
        if scenario.network.bandwidth.is_some_and(|bandwidth| bandwidth.0 == 0) {
            self.complain("network.bandwidth", "`bandwidth` must be above 0");
        }
    }

    fn distribution(&mut self, part: &str, path: &str, of: &Distribution<TimeSpan>) {
        if let Some((name, what)) = of.problem() {
            self.impossible_unless_reported(part, &format!("{path}.{name}"), &what);
        }
    }

    /// A file that could not be read is no news a second time as a file without values.
    fn impossible_unless_reported(&mut self, part: &str, path: &str, what: &str) {
        if path.rsplit('.').next() == Some("file") {
            let place = |origin: &Origin| origin.to_string();
            let origin =
                self.document.locate(&format!("{part}.{path}").parse().unwrap_or_default());
            let known = self.problems.iter().filter_map(|problem| problem.origin.as_ref());
            if known.map(place).any(|known| known == place(&origin)) {
                return;
            }
        }
        self.impossible(part, path, what);
    }

    fn events(&mut self, scenario: &Scenario) {
        if scenario.events.len() > MAX_EVENTS {
            let count = scenario.events.len();
            let message =
                format!("there are {count} events; at most {MAX_EVENTS} can be performed");
            self.complain("events", message);
            return;
        }
        let mut present = Present::at_start(scenario);
        for index in scenario.events_by_time() {
            if self.problems.len() >= ENOUGH {
                return;
            }
            let event = &scenario.events[index];
            if event.at > scenario.duration {
                let message = format!(
                    "this event is at {}, after the end of the run at {}",
                    event.at, scenario.duration
                );
                self.complain(&format!("events[{index}].at"), message);
            }
            let part = format!("events[{index}].{}", event.action.name());
            if let Some(name) = event.action.endpoint() {
                self.endpoint(&part, name, &present, scenario);
            }
            if let Some(name) = event.action.load() {
                self.known(&format!("{part}.load"), "load", name, scenario.load.keys());
            }
            self.action(&part, &event.action, &mut present, scenario);
        }
    }

    fn action(&mut self, part: &str, action: &Action, present: &mut Present, scenario: &Scenario) {
        match action {
            Action::Fault { fault, .. } => {
                if let Some((key, what)) = fault.problem() {
                    self.impossible(part, key, &what);
                }
            }
            Action::Latency { one_way, .. } => self.distribution(part, "one_way", one_way),
            Action::Drop { probability, .. } if !(0.0..=1.0).contains(probability) => {
                self.impossible(part, "probability", "must be 0 to 1");
            }
            Action::Add { backend, count } => {
                let path = format!("{part}.backend");
                self.known(&path, "backend", backend, scenario.backends.keys());
                if *count == 0 {
                    self.impossible(part, "count", "must be above 0");
                } else if present.len() + *count as usize > MAX_ENDPOINTS {
                    let what = format!("would make more than {MAX_ENDPOINTS} endpoints");
                    self.impossible(part, "count", &what);
                } else {
                    present.add(backend, *count);
                }
            }
            Action::Remove { endpoint } => {
                if let Some(upstream) = present.emptied_by(scenario, endpoint) {
                    self.emptied(part, upstream);
                }
                let leaving = present.expand(endpoint);
                present.remove(&leaving);
            }
            _ => {}
        }
    }

    fn endpoint(&mut self, part: &str, name: &str, present: &Present, scenario: &Scenario) {
        if !present.expand(name).is_empty() {
            return;
        }
        let path = format!("{part}.endpoint");
        if let Some(backend) = scenario.backends.get(name) {
            let last = backend.count.saturating_sub(1);
            let message = format!("`{name}` is a backend of {} endpoints", backend.count);
            let help = format!("write one of `{name}-0` … `{name}-{last}`, or `{name}-*` for all");
            self.advise(&path, message, help);
        } else if scenario.all_endpoints().iter().any(|endpoint| endpoint == name) {
            self.complain(&path, format!("there is no endpoint `{name}` at that time"));
        } else {
            self.dangling(&path, "endpoint", name, present.names());
        }
    }

    fn known<'n>(
        &mut self,
        path: &str,
        what: &str,
        name: &str,
        known: impl Iterator<Item = &'n String> + Clone,
    ) {
        if !known.clone().any(|known| known == name) {
            self.dangling(path, what, name, known.map(String::as_str));
        }
    }

    fn dangling<'n>(
        &mut self,
        path: &str,
        what: &str,
        name: &str,
        known: impl Iterator<Item = &'n str>,
    ) {
        let known: Vec<&str> = known.collect();
        let all = match known.as_slice() {
            [] => format!("there is no {what} at all"),
            few if few.len() <= 6 => format!("there is {}", few.join(", ")),
            [first, .., last] => format!("there are {} from {first} to {last}", known.len()),
            few => format!("there is {}", few.join(", ")),
        };
        let help = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? {all}"),
            None => all,
        };
        self.advise(path, format!("no {what} is called `{name}`"), help);
    }

    fn phases(&mut self, scenario: &Scenario) {
        let (warmup, duration) = (scenario.warmup, scenario.duration);
        for (name, window) in &scenario.phases {
            let path = format!("phases.{name}");
            if window.0 >= window.1 {
                let message = format!("phase `{name}` must start before it ends");
                self.advise(&path, message, "write `[from, to]`, both since the start of the run");
            } else if window.1 > duration {
                let message = format!(
                    "phase `{name}` ends at {}, after the end of the run at {duration}",
                    window.1
                );
                self.complain(&format!("{path}[1]"), message);
            } else if window.1 <= warmup {
                let message = format!(
                    "phase `{name}` lies within the warm-up of {warmup}, which no metric counts"
                );
                self.complain(&path, message);
            }
        }
    }

    fn thresholds(&mut self, scenario: &Scenario) {
        if scenario.thresholds.len() > MAX_NAMES {
            self.complain("thresholds", format!("there are more than {MAX_NAMES} thresholds"));
            return;
        }
        for (metric, resolved) in scenario.resolved_thresholds() {
            let Err(why) = resolved else { continue };
            if self.problems.len() >= ENOUGH {
                return;
            }
            let path = Path::default().key("thresholds").key(metric);
            let (message, help) = match why.split_once("; ") {
                Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
                None => (why, None),
            };
            // What is wrong with the unit stands in the value.
            let of_value = help.as_ref().is_some_and(|help| help.starts_with("write a limit"));
            if of_value {
                self.complain(&path.to_string(), message).help.extend(help);
            } else {
                self.complain_of_key(&path, message, help);
            }
        }
    }

    fn worlds(&mut self, scenario: &mut Scenario) -> Vec<Exclusion> {
        let written = self.document.get(&Path::default().key("worlds")).is_some();
        if scenario.worlds.is_empty() {
            let help = "leave `worlds` out, or name some of \"model\", \"sim\", \"live\"";
            self.advise("worlds", "`worlds` is empty: this could run nowhere", help);
            return Vec::new();
        }
        let mut exclusions: Vec<Exclusion> = Vec::new();
        let worlds = scenario.worlds.clone();
        for (position, world) in worlds.iter().enumerate() {
            if worlds[..position].contains(world) {
                self.complain(
                    &format!("worlds[{position}]"),
                    format!("`{world}` stands here twice"),
                );
            }
            if let Some((key, why)) = lacked(scenario, *world) {
                let reason = format!("`{world}` has no `proxy.{key}`: {why}");
                if written {
                    let help = format!("take \"{world}\" out of `worlds`");
                    self.advise(&format!("proxy.{key}"), reason, help);
                } else {
                    exclusions.push(Exclusion { world: *world, reason });
                }
            }
            for (index, event) in scenario.events.iter().enumerate() {
                let Some(why) = world::cannot(*world, &event.action) else { continue };
                let name = event.action.name();
                let reason = format!("`{name}` cannot happen in `{world}`: {why}");
                if written {
                    let path = Path::default().key("events").index(index).key(name);
                    let help = format!("take \"{world}\" out of `worlds`");
                    self.complain_of_key(&path, reason, Some(help));
                } else if exclusions.iter().all(|exclusion| exclusion.world != *world) {
                    exclusions.push(Exclusion { world: *world, reason });
                }
            }
        }
        let out = |world: &World| exclusions.iter().any(|exclusion| exclusion.world == *world);
        scenario.worlds.retain(|world| !out(world));
        exclusions
    }
}

/// What the proxy of this scenario has at any time and this world has not.
fn lacked(scenario: &Scenario, world: World) -> Option<(&'static str, &'static str)> {
    let mut all = scenario.configurations();
    all.find_map(|config| world::lacks(world, config))
}
