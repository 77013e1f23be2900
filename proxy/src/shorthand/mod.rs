//! Short names for what is set most often: environment variables, a `.env` file, a few flags, and the keys that other proxies have for it.
//!
//! A container is told by its environment, and many files say `servers` and `health_checks`. Each of these names stands for keys of the configuration, and
//! is turned into them here before anything is checked, so that there is one schema and one set of errors. Order: defaults, file, environment, flags;
//! and each value keeps where it came from, which `--print-config` shows.
//!
//! Only the program reads the environment. A scenario means the same on every machine.

use std::{
    fmt::Display,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use policy::quantity::TimeSpan;
use proxy::config::{
    ProxyConfig,
    document::{Document, Entry, Node, Origin, Path, Problem, Table, Value},
};

pub(crate) mod aliases;
pub(crate) mod environment;
pub(crate) mod print;
mod server;

/// What a short name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Short {
    /// The address to listen on, without its port.
    Host,
    /// The port to listen on.
    Port,
    /// Workers.
    Threads,
    /// Requests that may wait.
    Queue,
    /// Patience with endpoints, in seconds.
    Timeout,
    /// Redis, for the cache.
    RedisHost,
    /// Its port.
    RedisPort,
    /// Its database.
    RedisDb,
    /// Its password.
    RedisPassword,
    /// How long answers are fresh that do not say it, in seconds.
    CacheExpiry,
    /// The endpoints.
    Backends,
    /// Whether answers are compressed.
    Compression,
    /// So many requests of an address …
    RateRequests,
    /// … in so many seconds.
    RateWindow,
    /// Words that a path or a query must not contain.
    Words,
}

/// A short name that was given.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) short: Short,
    /// As the person knows it: `PORT`, `--port`.
    pub(crate) name: &'static str,
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

impl Given {
    /// It is wrong: what is, and an example of what would be right.
    fn wrong(&self, what: impl Display, example: impl Display) -> Problem {
        let joint = if self.name.starts_with("--") { ' ' } else { '=' };
        let problem = Problem::new(format!("`{}`: {what}", self.name)).at(self.origin.clone());
        problem.help(format!("write for example {}{joint}{example}", self.name))
    }

    fn number(&self, range: std::ops::RangeInclusive<u64>, example: u64) -> Result<u64, Problem> {
        let number = self.text.parse().ok().filter(|number| range.contains(number));
        let (from, to) = (range.start(), range.end());
        let what = || format!("`{}` is not a whole number from {from} to {to}", self.text);
        number.ok_or_else(|| self.wrong(what(), example))
    }

    /// Seconds, or any length of time with its unit.
    fn time(&self, example: u64) -> Result<TimeSpan, Problem> {
        let seconds = self.text.parse::<f64>().ok();
        let seconds = seconds.and_then(|n| std::time::Duration::try_from_secs_f64(n).ok());
        let time = seconds.map(TimeSpan).or_else(|| self.text.parse().ok());
        let what =
            || format!("`{}` is neither a number of seconds nor a length of time", self.text);
        time.ok_or_else(|| self.wrong(what(), example))
    }

    fn switch(&self) -> Result<bool, Problem> {
        match self.text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(self.wrong(format!("`{}` is neither true nor false", self.text), "true")),
        }
    }

    /// Its parts between commas.
    fn list(&self) -> impl Iterator<Item = &str> {
        self.text.split(',').map(str::trim).filter(|part| !part.is_empty())
    }

    fn node(&self, value: Value) -> Node {
        Node::new(value, self.origin.clone())
    }
}

/// Turns names that were given into keys, over what is there. All problems are found at once.
pub(crate) fn apply(document: &mut Document, given: &[Given]) -> Vec<Problem> {
    let of = |short: Short| given.iter().find(|given| given.short == short);
    let mut layer = Layer { document, problems: Vec::new() };
    layer.listen(of(Short::Host), of(Short::Port));
    if let Some(given) = of(Short::Threads) {
        let number = given.number(1..=1024, 4);
        layer.put("workers", given, number.map(|number| Value::Int(number.into())));
    }
    if let Some(given) = of(Short::Queue) {
        let number = given.number(0..=u64::from(u32::MAX), 1000);
        layer.put("queue.max_waiting", given, number.map(|number| Value::Int(number.into())));
    }
    if let Some(given) = of(Short::Timeout) {
        for path in ["timeouts.connect", "timeouts.response_head"] {
            let time = given.time(30);
            layer.put(path, given, time.map(|time| Value::Text(time.to_string())));
        }
    }
    layer.redis([Short::RedisHost, Short::RedisPort, Short::RedisDb, Short::RedisPassword].map(of));
    layer.cache(of(Short::CacheExpiry));
    if let Some(given) = of(Short::Backends) {
        layer.backends(given);
    }
    if let Some(given) = of(Short::Compression) {
        layer.put("compression.enabled", given, given.switch().map(Value::Bool));
    }
    layer.rate(of(Short::RateRequests), of(Short::RateWindow));
    if let Some(given) = of(Short::Words) {
        layer.words(given);
    }
    layer.problems
}

/// What is put over a document.
struct Layer<'a> {
    document: &'a mut Document,
    problems: Vec<Problem>,
}

impl Layer<'_> {
    fn put(&mut self, path: &str, given: &Given, value: Result<Value, Problem>) {
        self.put_node(path, value.map(|value| given.node(value)));
    }

    fn put_node(&mut self, path: &str, node: Result<Node, Problem>) {
        let path = path.parse().unwrap_or_default();
        if let Err(problem) = node.and_then(|node| self.document.put(&path, node)) {
            self.problems.push(problem);
        }
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.document.get(&path.parse().ok()?)?.text()
    }

    /// Of the address, what is not given stays as it was.
    fn listen(&mut self, host: Option<&Given>, port: Option<&Given>) {
        let Some(first) = host.or(port) else { return };
        let known = self.text("listen").and_then(|text| text.parse().ok());
        let known: SocketAddr = known.unwrap_or(ProxyConfig::default().listen);
        let host = host.map_or(Ok(known.ip()), |given| {
            address(&given.text).ok_or_else(|| {
                let what = format!("`{}` is not an IP address to listen on", given.text);
                given.wrong(what, "0.0.0.0")
            })
        });
        let number = port.map_or(Ok(known.port()), |given| {
            given.number(0..=u64::from(u16::MAX), 8080).map(|number| number as u16)
        });
        let listen = match (host, number) {
            (Ok(host), Ok(port)) => SocketAddr::new(host, port).to_string(),
            (host, port) => {
                self.problems.extend(host.err().into_iter().chain(port.err()));
                return;
            }
        };
        let origin = match port.filter(|port| port.name != first.name) {
            Some(port) => both(first, port, &listen),
            None => first.origin.clone(),
        };
        self.put_node("listen", Ok(Node::new(Value::Text(listen), origin)));
    }

    fn redis(&mut self, [host, port, db, password]: [Option<&Given>; 4]) {
        let Some(first) = host.or(port).or(db).or(password) else { return };
        if host.or(port).is_some() || self.text("cache.redis.address").is_none() {
            let known = self.text("cache.redis.address").and_then(|known| known.rsplit_once(':'));
            let (known_host, known_port) = known.unwrap_or(("127.0.0.1", "6379"));
            let name = host.map_or_else(|| known_host.to_owned(), |given| given.text.clone());
            let name = if name.contains(':') && !name.starts_with('[') {
                format!("[{name}]")
            } else {
                name
            };
            let number = match port {
                Some(given) => given.number(1..=u64::from(u16::MAX), 6379).map(|n| n.to_string()),
                None => Ok(known_port.to_owned()),
            };
            let address = number.map(|port| format!("{name}:{port}"));
            let given = host.or(port).unwrap_or(first);
            self.put("cache.redis.address", given, address.map(Value::Text));
        }
        if let Some(given) = db {
            let number = given.number(0..=65535, 0);
            self.put("cache.redis.db", given, number.map(|number| Value::Int(number.into())));
        }
        if let Some(given) = password {
            self.put("cache.redis.password", given, Ok(Value::Text(given.text.clone())));
        }
        // Whoever names a Redis wants a cache, unless it is written that there is none.
        let enabled = "cache.enabled".parse().unwrap_or_default();
        if self.document.get(&enabled).is_none() {
            self.put("cache.enabled", first, Ok(Value::Bool(true)));
        }
    }

    fn cache(&mut self, expiry: Option<&Given>) {
        let Some(given) = expiry else { return };
        match given.time(3600) {
            Ok(time) if time.0.is_zero() => {
                self.put("cache.enabled", given, Ok(Value::Bool(false)));
            }
            time => {
                self.put("cache.enabled", given, Ok(Value::Bool(true)));
                let ttl = time.map(|time| Value::Text(time.to_string()));
                self.put("cache.default_ttl", given, ttl);
            }
        }
    }

    fn backends(&mut self, given: &Given) {
        let mut endpoints = Vec::new();
        for part in given.list() {
            match server::endpoint(part, &given.origin) {
                Ok(node) => endpoints.push(node),
                Err(what) => {
                    self.problems.push(given.wrong(what, "10.0.0.1:9001,http://10.0.0.2:9001"));
                }
            }
        }
        self.put("endpoints", given, Ok(Value::Array(endpoints)));
    }

    fn rate(&mut self, requests: Option<&Given>, window: Option<&Given>) {
        let (given, window) = match (requests, window) {
            (None, None) => return,
            (None, Some(window)) => {
                let what = "says nothing without RATE_LIMIT_REQUESTS";
                self.problems.push(window.wrong(what, "60 RATE_LIMIT_REQUESTS=100"));
                return;
            }
            (Some(given), window) => (given, window),
        };
        let number = given.number(0..=u64::from(u32::MAX), 100);
        let time = window.map_or(Ok(TimeSpan::secs(60)), |window| window.time(60));
        let (number, time) = match (number, time) {
            (Ok(number), Ok(time)) => (number, time),
            (number, time) => {
                self.problems.extend(number.err().into_iter().chain(time.err()));
                return;
            }
        };
        let rate = table(
            &given.origin,
            [
                ("by", given.node(Value::Text("address".to_owned()))),
                ("requests", given.node(Value::Int(number.into()))),
                ("per", window.unwrap_or(given).node(Value::Text(time.to_string()))),
            ],
        );
        // 0 was always no limit.
        let rates = if number == 0 { Vec::new() } else { vec![rate] };
        self.put("limit.rate", given, Ok(Value::Array(rates)));
    }

    /// Before all other filters.
    fn words(&mut self, given: &Given) {
        let words: Vec<Node> =
            given.list().map(|word| given.node(Value::Text(word.to_owned()))).collect();
        if words.is_empty() {
            return;
        }
        let deny = table(&given.origin, [("word", given.node(Value::Array(words)))]);
        let mut filters = vec![table(&given.origin, [("deny", deny)])];
        let known = self.document.get(&Path::default().key("filter"));
        filters.extend(known.and_then(Node::array).unwrap_or_default().iter().cloned());
        self.put("filter", given, Ok(Value::Array(filters)));
    }
}

fn table<const N: usize>(origin: &Origin, entries: [(&str, Node); N]) -> Node {
    let entries =
        entries.map(|(key, node)| Entry { key: key.to_owned(), origin: origin.clone(), node });
    Node::new(Value::Table(Table { entries: entries.into() }), origin.clone())
}

/// An address to listen on.
fn address(text: &str) -> Option<IpAddr> {
    match text {
        "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        "*" => Some(Ipv4Addr::UNSPECIFIED.into()),
        _ => text.trim_matches(['[', ']']).parse().ok(),
    }
}

/// Where a value came from that two names have made.
fn both(first: &Given, second: &Given, text: &str) -> Origin {
    let name = format!("{} and {}", first.name, second.name);
    match first.origin {
        Origin::Environment { .. } => {
            Origin::Environment { variable: name.into(), text: text.into() }
        }
        Origin::Flag { .. } => Origin::Flag { flag: name.into(), text: text.into() },
        _ => first.origin.clone(),
    }
}
