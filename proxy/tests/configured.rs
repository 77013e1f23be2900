//! The program's configuration: what file, environment and flags come to together, and what it says when they are wrong.

use std::{fs, path::Path};

use assert_cmd::{Command, cargo::cargo_bin};
use tempfile::TempDir;

/// An environment, a `.env`, a file, and arguments.
#[derive(Clone, Copy, Default)]
struct Case<'a> {
    environment: &'a [(&'a str, &'a str)],
    dotenv: &'a str,
    yaml: &'a str,
    arguments: &'a [&'a str],
}

impl Case<'_> {
    fn run(&self, last: &str) -> (bool, String) {
        let folder = TempDir::new().expect("a folder");
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).expect("it can be written");
        };
        let mut command = Command::new(cargo_bin("proxy"));
        command.current_dir(folder.path()).env_clear().args(self.arguments).arg(last);
        command.envs(self.environment.iter().copied());
        if !self.dotenv.is_empty() {
            write(".env", self.dotenv);
        }
        if !self.yaml.is_empty() {
            write("proxy.yaml", self.yaml);
            command.args(["--config", "proxy.yaml"]);
        }
        let output = command.output().expect("it runs");
        let said = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.success(), String::from_utf8(said).expect("UTF-8"))
    }

    /// The lines of `--print-config` that nobody's default has made.
    fn printed(&self) -> String {
        let (good, said) = self.run("--print-config");
        assert!(good, "{said}");
        assert!(said.contains("retry.budget = 0.2") && said.contains("# default\n"), "{said}");
        let own = |line: &&str| !line.ends_with("# default");
        said.lines().filter(own).collect::<Vec<_>>().join("\n")
    }

    fn error(&self) -> String {
        let (good, said) = self.run("--check");
        assert!(!good, "{said}");
        said
    }
}

const YAML: &str = "\
servers:
  - url: http://127.0.0.1:9001
    weight: 2
  - url: http://127.0.0.1:9002/
    name: second
load_balancing: {strategy: least-conn}
health_checks: {interval: 10s, path: /health, unhealthy_threshold: 5}
queue: {max_waiting: 5}
";

#[test]
fn each_value_says_where_it_came_from() {
    let case = Case {
        environment: &[
            ("HOST", "0.0.0.0"),
            ("THREAD_POOL_SIZE", "2"),
            ("REQUEST_QUEUE_SIZE", "50"),
            ("CONNECTION_TIMEOUT", "2.5"),
            ("REDIS_HOST", "redis.example"),
            ("REDIS_DB", "3"),
            ("REDIS_PASSWORD", "hunter2"),
            ("ENABLE_COMPRESSION", "Yes"),
            ("RATE_LIMIT_REQUESTS", "100"),
            ("RATE_LIMIT_WINDOW", "10"),
            ("REQUEST_FILTERS", "wp-admin, .php"),
            ("OTHER", "thing"),
        ],
        dotenv: "# ours\nHOST=10.0.0.1\nPORT=8000\nCACHE_EXPIRATION=60\n",
        yaml: YAML,
        arguments: &["--port", "9000", "--redis-port", "7000", "--set", "retry.attempts=2"],
    };
    assert!(!case.run("--print-config").1.contains("hunter2"));
    insta::assert_snapshot!(case.printed());
}

#[test]
fn a_later_layer_wins() {
    let environment: &[(&str, &str)] =
        &[("BACKEND_SERVERS", "127.0.0.1:7001, http://127.0.0.1:7002")];
    let dotenv = "BACKEND_SERVERS=127.0.0.1:6001\n";
    let arguments: &[&str] = &["--backend", "127.0.0.1:5001,http://127.0.0.1:5002"];
    let endpoints = |case: Case<'_>| {
        let said = case.run("--print-config").1;
        let line = said.lines().find(|line| line.starts_with("endpoints")).map(str::to_owned);
        line.unwrap_or(said)
    };
    let two = |port: u32| {
        format!(
            "endpoints = [{{ address = \"127.0.0.1:{port}1\", weight = 1 }}, {{ address = \
             \"127.0.0.1:{port}2\", weight = 1 }}]"
        )
    };
    let case = Case { yaml: "endpoints: [\"127.0.0.1:9001\"]\n", ..Case::default() };
    assert!(endpoints(case).contains("127.0.0.1:9001"));
    let case = Case { dotenv, ..case };
    assert!(endpoints(case).contains("127.0.0.1:6001"));
    assert!(endpoints(case).ends_with("# .env:1:17"), "{}", endpoints(case));
    let case = Case { environment, ..case };
    assert!(endpoints(case).starts_with(&two(700)), "{}", endpoints(case));
    assert!(endpoints(case).ends_with("# environment variable BACKEND_SERVERS"));
    let case = Case { arguments, ..case };
    assert!(endpoints(case).starts_with(&two(500)), "{}", endpoints(case));
    assert!(endpoints(case).ends_with("# flag --backend"));
}

#[test]
fn what_is_printed_can_be_read_again() {
    let case =
        Case { yaml: YAML, dotenv: "CACHE_EXPIRATION=60\nREDIS_HOST=::1\n", ..Case::default() };
    let (_, said) = case.run("--print-config");
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("again.toml");
    fs::write(&file, &said).expect("it can be written");
    let mut command = Command::new(cargo_bin("proxy"));
    let output =
        command.env_clear().current_dir(Path::new("/")).args(["--print-config", "--config"]);
    let again = output.arg(&file).output().expect("it runs");
    // What stood in several places before now stands in one: lists may have other line ends.
    let values = |text: &str| {
        let value = |line: &str| line.split(" # ").next().unwrap_or_default().trim().to_owned();
        let text: String = text.lines().map(value).collect();
        text.replace([' ', ','], "")
    };
    assert_eq!(values(&String::from_utf8_lossy(&again.stdout)), values(&said));
}

#[test]
fn what_is_wrong_is_said_with_its_name_and_what_to_write() {
    let table: [(&str, &str, &str, &str); 12] = [
        ("HOST", "nobody", "`nobody` is not an IP address to listen on", "HOST=0.0.0.0"),
        ("PORT", "x", "`x` is not a whole number from 0 to 65535", "PORT=8080"),
        ("THREAD_POOL_SIZE", "0", "`0` is not a whole number from 1 to 1024", "THREAD_POOL_SIZE=4"),
        ("REQUEST_QUEUE_SIZE", "-1", "is not a whole number", "REQUEST_QUEUE_SIZE=1000"),
        ("CONNECTION_TIMEOUT", "soon", "neither a number of seconds nor", "CONNECTION_TIMEOUT=30"),
        ("REDIS_PORT", "0", "`0` is not a whole number from 1 to 65535", "REDIS_PORT=6379"),
        ("REDIS_DB", "a", "is not a whole number", "REDIS_DB=0"),
        ("CACHE_EXPIRATION", "-5", "neither a number of seconds nor", "CACHE_EXPIRATION=3600"),
        ("BACKEND_SERVERS", "https://a", "asks for TLS", "BACKEND_SERVERS=10.0.0.1:9001"),
        ("ENABLE_COMPRESSION", "maybe", "neither true nor false", "ENABLE_COMPRESSION=true"),
        ("RATE_LIMIT_REQUESTS", "many", "is not a whole number", "RATE_LIMIT_REQUESTS=100"),
        ("RATE_LIMIT_WINDOW", "5", "nothing without RATE_LIMIT_REQUESTS", "RATE_LIMIT_WINDOW=60"),
    ];
    for (name, value, what, instead) in table {
        let environment = [(name, value)];
        let said = Case { environment: &environment, ..Case::default() }.error();
        assert!(said.contains(&format!("error: `{name}`")), "{said}");
        assert!(said.contains(&format!("--> environment variable {name}={value}")), "{said}");
        assert!(
            said.contains(what) && said.contains(&format!("write for example {instead}")),
            "{said}"
        );
        let dotenv = format!("A=1\n{name}={value}\n");
        let said = Case { dotenv: &dotenv, ..Case::default() }.error();
        assert!(said.contains(&format!("--> .env:2:{}", name.len() + 2)), "{said}");
    }
    // What the configuration's own checks find is found at its variable, too, and all at once.
    let environment = [("REDIS_HOST", "a b"), ("PORT", "y"), ("REDIS_DB", "z")];
    let said = Case { environment: &environment, ..Case::default() }.error();
    assert!(said.contains("variable PORT=y") && said.contains("variable REDIS_DB=z"), "{said}");
    let said = Case { environment: &environment[..1], ..Case::default() }.error();
    assert!(said.contains("--> environment variable REDIS_HOST=a b"), "{said}");
}

#[test]
fn other_names_in_files_are_found_where_they_stand() {
    let table = [
        ("servers: 5\n", "`servers` must be a list", "proxy.yaml:1:10"),
        ("servers: [\"https://a\"]\n", "asks for TLS", "proxy.yaml:1:11"),
        ("servers:\n  - uri: \"http://127.0.0.1:1\"\n", "`uri`", "proxy.yaml:2:5"),
        ("servers: []\nendpoints: []\n", "stands beside `endpoints`", "proxy.yaml:1:1"),
        ("load_balancing: {strategy: luck}\n", "luck", "proxy.yaml:1:28"),
        ("health_checks: {interval: 0s}\n", "interval", "proxy.yaml:1:27"),
        ("health_checks: {intervall: 1s}\n", "intervall", "proxy.yaml:1:17"),
    ];
    for (yaml, what, place) in table {
        let said = Case { yaml, ..Case::default() }.error();
        assert!(said.contains(what) && said.contains(&format!("--> {place}")), "{yaml}{said}");
    }
}

#[test]
fn a_limit_of_nothing_is_none_and_an_expiry_of_nothing_is_no_cache() {
    let environment = [("RATE_LIMIT_REQUESTS", "0"), ("CACHE_EXPIRATION", "0")];
    let said = Case { environment: &environment, ..Case::default() }.run("--print-config").1;
    assert!(!said.contains("limit.rate = [{") && !said.contains("cache.enabled = true"), "{said}");
    // Whoever names a Redis wants a cache, unless it is written that there is none.
    let environment = [("REDIS_HOST", "localhost")];
    let case = Case { environment: &environment, ..Case::default() };
    assert!(case.printed().contains("cache.enabled = true"));
    let case = Case { yaml: "cache: {enabled: false}\n", ..case };
    assert!(!case.printed().contains("cache.enabled = true"));
}
