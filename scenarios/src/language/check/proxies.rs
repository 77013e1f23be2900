//! Several proxies: how many there can be, which of them an event is about, and what each is told by reloads.

use std::sync::Arc;

use proxy::config::{
    ProxyConfig,
    document::{Document, Node, Path},
};

use super::{
    super::{
        event::Action,
        pools,
        scenario::{MAX_PROXIES, Scenario},
    },
    Check,
    upstreams::{changed_pools, is_of_pools},
};

/// At most so many endpoints, counted once for each proxy: that many figures are kept of them.
const MAX_VIEWS: usize = 1_000_000;

impl Check<'_> {
    /// Whether there can be so many, and events are about those that there are; otherwise nothing can be said of what each
    /// is told.
    pub(super) fn proxies(&mut self, scenario: &Scenario) -> bool {
        let proxies = scenario.proxies;
        if !(1..=MAX_PROXIES).contains(&proxies) {
            self.complain("proxies", format!("`proxies` must be 1 to {MAX_PROXIES}"));
            return false;
        }
        let endpoints = scenario.all_endpoints().len();
        if proxies > 1 && endpoints.saturating_mul(proxies as usize) > MAX_VIEWS {
            let most = MAX_VIEWS / endpoints;
            let message =
                format!("each of {proxies} proxies would keep figures of {endpoints} endpoints");
            self.advise(
                "proxies",
                message,
                format!("write at most {most}, or have fewer endpoints"),
            );
        }
        if proxies > 1 && scenario.backends.contains_key("proxy") {
            let path = Path::default().key("backends").key("proxy");
            let message = "no backend can be called `proxy` beside several proxies".to_owned();
            let help =
                "its endpoints would be called as they are: `proxy-0`, `proxy-1`, …".to_owned();
            self.complain_of_key(&path, message, Some(help));
        }
        let mut fits = true;
        for (index, event) in scenario.events.iter().enumerate() {
            let Some(which) = event.proxy else { continue };
            let path = Path::default().key("events").index(index).key("proxy");
            if let Some(why) = event.action.why_not_of_one_proxy() {
                let message = format!("`{}` is not about one proxy: {why}", event.action.name());
                self.complain_of_key(&path, message, Some("leave `proxy` out".to_owned()));
            } else if which.0 >= proxies {
                fits = false;
                let help = match proxies {
                    1 => "there is only one; write `proxies = 5` at the top for several".to_owned(),
                    _ => format!("there are {proxies} from proxy-0 to proxy-{}", proxies - 1),
                };
                self.advise(&path.to_string(), format!("no proxy is called `{which}`"), help);
            }
        }
        fits
    }

    /// Reads the proxies' configurations as they are after each reload.
    pub(super) fn reloads(&mut self, scenario: &mut Scenario) {
        // Proxies that were told the same have the same; each has its place among the configurations that there are.
        let mut current = vec![self.document.clone()];
        drop(current[0].take("events"));
        let mut places = vec![0; scenario.proxies as usize];
        for index in scenario.events_by_time() {
            if !matches!(scenario.events[index].action, Action::Reload { .. }) {
                continue;
            }
            let path = Path::default().key("events").index(index).key("reload");
            let Some(changes) = self.document.get(&path) else { continue };
            let about = scenario.proxies_of(&scenario.events[index]);
            let about = about.start as usize..about.end as usize;
            // Where those at each place go, and what they have then.
            let mut next: Vec<Option<(usize, Arc<ProxyConfig>)>> = vec![None; current.len()];
            let mut of_each = Vec::with_capacity(about.len());
            for proxy in about.clone() {
                let place = places[proxy];
                if next[place].is_none() {
                    let Some((changed, config)) = self.reload(&current[place], changes, scenario)
                    else {
                        break;
                    };
                    let stays =
                        |(other, at): (usize, &usize)| *at == place && !about.contains(&other);
                    let to = if places.iter().enumerate().any(stays) {
                        current.push(changed);
                        current.len() - 1
                    } else {
                        current[place] = changed;
                        place
                    };
                    next[place] = Some((to, Arc::new(config)));
                }
                if let Some((to, config)) = &next[place] {
                    places[proxy] = *to;
                    of_each.push(Arc::clone(config));
                }
            }
            if let Action::Reload { configs, .. } = &mut scenario.events[index].action {
                *configs = of_each;
            }
        }
    }

    /// A configuration as it is after one reload more; none where that cannot be.
    fn reload(
        &mut self,
        current: &Document,
        changes: &Node,
        scenario: &Scenario,
    ) -> Option<(Document, ProxyConfig)> {
        let proxy = Path::default().key("proxy");
        let mut current = current.clone();
        if let Err(problem) = current.merge(&proxy, changes) {
            self.problems.push(problem);
            return None;
        }
        let mut changed = match current.read_at::<ProxyConfig>(&proxy) {
            Ok(changed) => changed,
            Err(error) => {
                self.problems.extend(error.into_problems());
                return None;
            }
        };
        changed.share_files(&scenario.proxy);
        pools::complete(&mut changed, &scenario.backends);
        for name in scenario.proxy.upstreams.keys() {
            changed.upstreams.entry(name.clone()).or_default();
        }
        let at_start = scenario.proxy.problems();
        let problems = changed.problems();
        let of_pools = |problem: &proxy::config::Problem| is_of_pools(&problem.path);
        let problems = problems.iter().filter(|problem| !of_pools(problem));
        for problem in problems.filter(|problem| !at_start.contains(problem)) {
            let path = format!("proxy.{}", problem.path);
            let name = problem.path.rsplit('.').next().unwrap_or_default();
            let message = format!("`{name}` {}", problem.message);
            self.problems.push(current.problem(&path, message));
        }
        if changed.mode != scenario.proxy.mode {
            let message = "a proxy's mode cannot change while it runs";
            let help =
                "endpoints let in only whom the proxy redirects, or everybody, from the start on";
            self.problems.push(current.problem("proxy.mode", message).help(help));
        }
        self.problems.extend(changed_pools(&current, &changed, scenario));
        if changed.endpoints != scenario.proxy.endpoints {
            let message = "a scenario's endpoints are its backends";
            let help = "use the events `add` and `remove`";
            self.problems.push(current.problem("proxy.endpoints", message).help(help));
        }
        Some((current, changed))
    }
}
