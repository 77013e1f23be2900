//! What people get wrong, and what they are told.

use std::{collections::BTreeMap, fmt::Write as _};

use policy::{distribution::Distribution, quantity::TimeSpan};
use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    listen: Option<std::net::SocketAddr>,
    workers: Option<u32>,
    name: String,
    weights: BTreeMap<u16, f64>,
    balance: Balance,
    timeouts: Timeouts,
    service: BTreeMap<String, Distribution<TimeSpan>>,
    window: Option<(TimeSpan, TimeSpan)>,
    log: Option<Log>,
    endpoints: Vec<Endpoint>,
    kind: Option<Kind>,
    mixed: Option<Mixed>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Balance {
    strategy: Strategy,
    choices: u8,
    decay: TimeSpan,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Strategy {
    #[default]
    RoundRobin,
    LeastConnections,
    PeakEwma,
    P2c,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Timeouts {
    connect: TimeSpan,
    head: TimeSpan,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Log {
    Off,
    Text,
    Json { fields: Vec<String> },
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Endpoint {
    address: std::net::SocketAddr,
    #[serde(default)]
    weight: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Kind {
    Delay { mean: TimeSpan },
    Compute { rounds: u32 },
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Mixed {
    Name(String),
    Full(Balance),
}

fn read(name: &str, text: &str) -> Result<Config, Error> {
    Document::parse(name, text).and_then(|document| document.read())
}

/// The pictures of many wrong inputs, one after the other.
fn pictures(name: &str, texts: &[&str]) -> String {
    let mut out = String::new();
    for text in texts {
        let error = match read(name, text) {
            Ok(config) => panic!("this should be wrong:\n{text}\n{config:?}"),
            Err(error) => error,
        };
        out.push_str(&error.render(Paint::Plain));
        out.push_str("----------------------------------------\n");
    }
    out
}

#[test]
fn toml_that_is_wrong() {
    let pictures = pictures(
        "proxy.toml",
        &[
            "wrokers = 4\n",
            "name = \"a\"\n\n[balance]\nstratgy = \"p2c\"\n",
            "[balance]\nstrategy = \"p3c\"\n",
            "[balance]\n\tstrategy = \"no such thing at all\" # tab before\n",
            "[balance]\nchoices = \"two\"\n",
            "[balance]\nchoices = 300\n",
            "balance.choices = -1\n",
            "workers = 1.5\n",
            "workers = true\n",
            "balance = \"p2c\"\n",
            "balance = [1, 2]\n",
            "[timeouts]\nconnect = 3\n",
            "[timeouts]\nconnect = \"3\"\n",
            "[timeouts]\nconnect = \"3 parsecs\"\nhead = \"soon\"\nfoot = \"1s\"\n",
            "listen = \"localhost\"\n",
            "weights = { 80 = 1, http = 2 }\n",
            "[service]\nweb = { exponentail = { mean = \"2ms\" } }\n",
            "[service]\nweb = { exponential = { men = \"2ms\" } }\n",
            "[service]\nweb = { exponential = { } }\n",
            "[service]\nweb = \"exponential\"\n",
            "[service]\nweb = { exponential = { mean = \"2ms\" }, constant = \"2ms\" }\n",
            "[service]\nweb = {}\n",
            "[service]\nweb = 5\n",
            "[service.web.exponential]\nmean = 2\n",
            "window = [\"1s\"]\n",
            "window = [\"1s\", \"2s\", \"3s\"]\n",
            "log = { text = { fields = [] } }\n",
            "log = \"json\"\n",
            "log = \"silent\"\n",
            "[[endpoints]]\naddress = \"127.0.0.1:80\"\n\n[[endpoints]]\nweight = 2\n",
            "[[endpoints]]\naddress = \"127.0.0.1:80\"\nwieght = 2\n",
            "[kind]\ntype = \"delay\"\nmaen = \"2ms\"\n",
            "[kind]\ntype = \"delay\"\nmean = 2\n",
            "[kind]\ntype = \"dealy\"\nmean = \"2ms\"\n",
            "[kind]\nmean = \"2ms\"\n",
            "mixed = 4\n",
            "name = 1979-05-27\n",
            "workers = nan\n",
            "workers = 99999999999999999999999\n",
            // A terminal must not obey a file, and a long line must not fill the screen.
            "name = 5 # \u{7f}\u{9b}2J\n",
            &format!("workers = [{}]\n", "1, ".repeat(400)),
            &format!("{}zzz = 1 }}\n", "balance = { choices = 1, ".to_owned() + &" ".repeat(300)),
        ],
    );
    insta::assert_snapshot!(pictures);
}

#[test]
fn toml_that_is_no_toml() {
    let pictures = pictures(
        "proxy.toml",
        &[
            "workers 4\n",
            "workers: 4\n",
            "workers =\n",
            "name = p2c\n",
            "timeouts.connect = 20ms\n",
            "name = \"no end\n",
            "[balance\n",
            "workers = 1\nworkers = 2\n",
            "[balance]\n[balance]\n",
            "a = {{{\n",
            &format!("a = {}", "[".repeat(5000)),
        ],
    );
    insta::assert_snapshot!(pictures);
}

#[test]
fn yaml_that_is_wrong() {
    let pictures = pictures(
        "proxy.yaml",
        &[
            "wrokers: 4\n",
            "name: a\nbalance:\n  stratgy: p2c\n",
            "# größer\nbalance: { strategy: p3c }\n",
            "balance:\n  choices: two\n",
            "timeouts:\n  connect: 3\n  head: soon\n",
            "endpoints:\n  - address: 127.0.0.1:80\n  - weight: 2\n",
            "endpoints:\n  address: 127.0.0.1:80\n",
            "service:\n  web: { exponentail: { mean: 2ms } }\n",
            "workers: 1\nworkers: 2\n",
            "? [a, b]\n: 1\n",
            "? {a: b}\n: 1\n",
            "workers: !thing 4\n",
            "workers: .inf\n",
            "workers: 99999999999999999999999\n",
            "a: [1, 2\n",
            "a: b: c\n",
            "balance:\n\tchoices: 4\n",
            "a: \"no end\n",
            "workers: 1\n---\nworkers: 2\n",
            "a: *unknown\n",
            "a: &a [*a]\n",
            &format!("a: {}", "[".repeat(5000)),
        ],
    );
    insta::assert_snapshot!(pictures);
}

#[test]
fn aliases_cannot_explode() {
    let mut text = "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let below = level - 1;
        let ten = vec![format!("*l{below}"); 10].join(", ");
        let _ = writeln!(text, "l{level}: &l{level} [{ten}]");
    }
    let error = Document::parse("bomb.yaml", &text).expect_err("a bomb");
    assert!(error.to_string().contains("more than 100000 values"), "{error}");
    let mut nested = String::new();
    for level in 0..50 {
        let _ = write!(nested, "&n{level} [");
    }
    assert!(Document::parse("bomb.yaml", &nested).is_err());
}

#[test]
fn every_problem_is_reported_once() {
    let text = "workers = \"x\"\n[balance]\nstratgy = 1\nchoices = \"x\"\n[timeouts]\nconnect = 1\n\
                [[endpoints]]\naddress = 1\n[[endpoints]]\naddress = \"127.0.0.1:80\"\nweight = \"x\"\n";
    let error = read("proxy.toml", text).expect_err("many errors");
    insta::assert_snapshot!(error.to_string());
    let mut many = String::new();
    for key in 0..100 {
        let _ = writeln!(many, "k{key} = 1");
    }
    assert_eq!(read("proxy.toml", &many).expect_err("too many").problems().len(), MAX_PROBLEMS);
}

#[test]
fn both_notations_mean_the_same() {
    let toml = "listen = '127.0.0.1:80'\nworkers = 0x10\nname = 'no'\nweights = { 80 = 1, 81 = 0.5 }\n\
                window = ['1s', '2s']\nlog = 'off'\n[balance]\nstrategy = 'p2c'\n\
                [service]\nweb = { lognormal = { mean = '2ms', cv = 1 } }\n\
                [[endpoints]]\naddress = '127.0.0.1:81'\nweight = 2\n\
                [kind]\ntype = 'compute'\nrounds = 3\n";
    let yaml = "listen: 127.0.0.1:80\nworkers: 0x10\nname: no\nweights: { 80: 1, 81: 5e-1 }\n\
                window: &w [1s, 2s]\nlog: off\nbalance:\n  strategy: p2c\n\
                service:\n  web: { lognormal: { mean: \"2ms\", cv: 1 } }\n\
                endpoints:\n  - address: 127.0.0.1:81\n    weight: 2\n\
                kind: { type: compute, rounds: 3 }\n";
    let toml = read("proxy.toml", toml).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(toml, read("proxy.yml", yaml).unwrap_or_else(|error| panic!("{error}")));
    assert_eq!(toml.workers, Some(16));
    assert_eq!(toml.name, "no");
    assert_eq!(read("proxy.yaml", "").ok(), Some(Config::default()));
    assert_eq!(read("proxy.toml", "\u{feff}").ok(), Some(Config::default()));
    assert_eq!(read("proxy.yaml", "# nothing\n").ok(), Some(Config::default()));
}

fn flag(path: &str, text: &str) -> Origin {
    Origin::Flag { flag: format!("--set {path}").into(), text: text.into() }
}

fn set(document: &mut Document, path: &str, text: &str) -> Result<(), Error> {
    document.set(path, text, &flag(path, text))
}

#[test]
fn values_are_set_over_a_file() {
    let mut document = Document::parse(
        "proxy.toml",
        "workers = 1\n[[endpoints]]\naddress = '127.0.0.1:80'\n[timeouts]\nconnect = '1s'\n",
    )
    .expect("good");
    for (path, text) in [
        ("workers", "4"),
        ("name", "5"),
        ("balance.strategy", "p2c"),
        ("timeouts.head", "20ms"),
        ("endpoints[0].weight", "7"),
        ("log", "{ json = { fields = ['a'] } }"),
        ("weights.80", "1.5"),
    ] {
        set(&mut document, path, text).unwrap_or_else(|error| panic!("{error}"));
    }
    let config: Config = document.read().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.workers, Some(4));
    assert_eq!(config.name, "5");
    assert_eq!(config.balance.strategy, Strategy::P2c);
    assert_eq!(config.endpoints[0].weight, Some(7));
    assert_eq!(config.log, Some(Log::Json { fields: vec!["a".to_owned()] }));
    let provenance: Vec<String> = document
        .leaves()
        .iter()
        .map(|leaf| format!("{} = {}  # {}", leaf.path, leaf.value, leaf.origin))
        .collect();
    insta::assert_snapshot!(provenance.join("\n"));
}

#[test]
fn what_cannot_be_set_is_an_error() {
    let good = Document::parse("proxy.toml", "name = 'a'\nendpoints = [{ address = 'x' }]\n")
        .expect("good");
    let mut out = String::new();
    for (path, text) in [
        ("", "1"),
        ("a..b", "1"),
        ("name.first", "1"),
        ("endpoints[1].weight", "1"),
        ("endpoints[1]", "1"),
        ("endpoints.weight", "1"),
        ("[0]", "1"),
        ("balance.strategy", "p3c"),
        ("balance.choices", "two"),
        ("balanc.choices", "2"),
        ("timeouts.connect", "20"),
    ] {
        let mut document = good.clone();
        document
            .merge(
                &Path::default().key("endpoints"),
                &Node::new(
                    Value::Array(vec![Node::new(Value::Table(Table::default()), Origin::Default)]),
                    Origin::Default,
                ),
            )
            .expect("an array in place of an array");
        let result = set(&mut document, path, text).and_then(|()| {
            document.set("endpoints", "[]", &Origin::Default)?;
            document.read::<Config>()
        });
        out.push_str(&result.expect_err(path).render(Paint::Plain));
        out.push_str("----\n");
    }
    let mut document = Document::default();
    let variable = Origin::Environment { variable: "PROXY_WORKERS".into(), text: "many".into() };
    document.set("workers", "many", &variable).expect("a good path");
    out.push_str(&document.read::<Config>().expect_err("no number").render(Paint::Plain));
    insta::assert_snapshot!(out);
}

#[test]
fn cells_point_into_the_matrix() {
    let text = "name = 'a'\n\n[matrix]\n\"balance.strategy\" = [\"p2c\", \"p3c\"]\n";
    let mut document = Document::parse("s.toml", text).expect("good");
    let path: Path = "matrix.\"balance.strategy\"[1]".parse().expect("a path");
    let cell = document.get(&path).expect("a cell").in_cell("balance.strategy");
    document.put(&"balance.strategy".parse().expect("a path"), cell).expect("it fits");
    let error = document.read_at::<Balance>(&"balance".parse().expect("a path"));
    insta::assert_snapshot!(error.expect_err("no such strategy").to_string());
}

#[test]
fn places_are_found_by_path() {
    let text = "name = 'a'\n[[endpoints]]\naddress = 'x'\n[[endpoints]]\nweight = 3\n[balance]\nchoices=1\n";
    let document = Document::parse("s.toml", text).expect("good");
    let place = |path: &str| {
        let path: Path = path.parse().unwrap_or_default();
        format!("{} {}", document.locate_key(&path), document.locate(&path))
    };
    assert_eq!(place("endpoints[1].weight"), "s.toml:5:1 s.toml:5:10");
    assert_eq!(place("endpoints[1].address"), "s.toml:4:1 s.toml:4:1");
    assert_eq!(place("balance.choices"), "s.toml:7:1 s.toml:7:9");
    assert_eq!(place("balance.nothing.below"), "s.toml:6:1 s.toml:6:1");
    assert_eq!(place("balance"), "s.toml:6:2 s.toml:6:1");
    assert_eq!(place("nowhere"), "s.toml s.toml");
    let document =
        Document::parse("s.toml", "[web]\nservice = { erlang = { k = 0, mean = '1s' } }\n");
    let path = "web.service.k".parse().expect("a path");
    assert_eq!(document.expect("good").locate(&path).to_string(), "s.toml:2:28");
    let document = Document::parse("s.toml", text).expect("good");
    let problem = document.problem("endpoints[1].weight", "`weight` is odd").help("make it even");
    insta::assert_snapshot!(Error::from(problem).render(Paint::Coloured).replace('\u{1b}', "^"));
}

#[test]
fn files_that_cannot_be_read_say_so() {
    let error = Document::load(std::path::Path::new("no/such/file.toml")).expect_err("not there");
    assert!(error.to_string().starts_with("error: cannot read no/such/file.toml: "), "{error}");
    let long = " ".repeat(MAX_BYTES + 1);
    assert!(Document::parse("a.toml", &long).expect_err("long").to_string().contains("1024 KiB"));
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,80}|[a-c\\[\\]{}=.,\"'#:&*!|>?%@`\\n\\t 0-9-]{0,200}") {
        for name in ["a.toml", "a.yaml"] {
            if let Err(error) = read(name, &text) {
                prop_assert!(!error.render(Paint::Plain).is_empty());
            }
        }
        let mut document = Document::default();
        if let Err(error) = set(&mut document, &text, &text) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn every_yaml_scalar_is_where_it_says(words in prop::collection::vec("[a-zäöü€]{1,6}", 1..12)) {
        // Characters, bytes and line endings must not be mixed up.
        let lines: Vec<String> =
            words.iter().enumerate().map(|(i, word)| format!("k{i}: # ü\r\n  {word}\r\n")).collect();
        let text = lines.concat();
        let document = Document::parse("a.yaml", &text).expect("good YAML");
        for (leaf, (i, word)) in document.leaves().iter().zip(words.iter().enumerate()) {
            let span = leaf.origin.span().expect("from a file");
            prop_assert_eq!(span.start(), Position { line: 2 * i + 2, column: 3 });
            let end = Position { line: 2 * i + 2, column: 3 + word.chars().count() };
            prop_assert_eq!(span.end(), end);
            prop_assert_eq!(span.line_text().trim(), word);
        }
    }
}
