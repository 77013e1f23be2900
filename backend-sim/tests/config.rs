//! The configuration as a scenario file has it.

use std::fmt::Write as _;

use backend_sim::{
    BackendConfig,
    config::{Kind, SessionConfig, SessionFormat},
    station::Discipline,
};
use policy::{
    distribution::Distribution,
    quantity::{ByteSize, TimeSpan},
};

fn read(text: &str) -> BackendConfig {
    toml::from_str(text).expect(text)
}

#[test]
fn the_table_of_the_design_is_understood() {
    let config = read(
        r#"
        count = 10
        workers = 4
        discipline = "fifo"
        queue = 100
        service = { exponential = { mean = "20ms" } }
        "#,
    );
    let expected = BackendConfig {
        count: 10,
        workers: 4,
        discipline: Discipline::Fifo,
        queue: 100,
        service: Distribution::Exponential { mean: TimeSpan::millis(20) },
        ..BackendConfig::default()
    };
    assert_eq!(config, expected);
    assert_eq!(read(""), BackendConfig::default());
    assert_eq!(BackendConfig::default().problem(), None);
}

#[test]
fn sessions_have_a_table_of_their_own() {
    let config = read(
        r#"
        kind = "session"
        session = { format = "sse", every = "50ms", size = "1KiB" }
        "#,
    );
    assert_eq!(config.kind, Kind::Session);
    let expected = SessionConfig {
        format: SessionFormat::Sse,
        every: TimeSpan::millis(50),
        size: ByteSize(1024),
    };
    assert_eq!(config.session(), expected);
    assert_eq!(read("kind = \"session\"").session(), SessionConfig::default());
}

#[test]
fn written_and_read_again_it_is_the_same() {
    let config = read(
        r#"
        kind = "session"
        session = { format = "websocket" }
        response = { uniform = { min = "1KiB", max = "64KiB" } }
        faults = { status = [{ status = 503, probability = 0.05 }], reset = 0.01 }
        "#,
    );
    assert_eq!(read(&toml::to_string(&config).unwrap()), config);
}

#[test]
fn unknown_keys_are_errors() {
    for text in [
        "worker = 4",
        "session = { fomat = \"sse\" }",
        "faults = { resets = 0.1 }",
        "discipline = \"lifo\"",
    ] {
        assert!(toml::from_str::<BackendConfig>(text).is_err(), "{text}");
    }
}

#[test]
fn what_is_impossible_is_named_by_its_path() {
    let mut said = String::new();
    for text in [
        "count = 0",
        "workers = 0",
        "queue = 2000000",
        "speed = 0.0",
        "speed = nan",
        "weight = 0",
        "health_path = \"healthz\"",
        "probe_path = \"loadz\"",
        "probe_path = \"/healthz\"",
        "service = { lognormal = { mean = \"1ms\", cv = 0.0 } }",
        "response = { uniform = { min = \"2KiB\", max = \"1KiB\" } }",
        "session = {}",
        "kind = \"session\"\nsession = { every = \"0s\" }",
        "kind = \"session\"\nsession = { size = \"1GiB\" }",
        "faults = { status = [{ status = 99, probability = 0.1 }] }",
        "faults = { status = [{ status = 500, probability = 0.6 }, { status = 503, probability = 0.6 }] }",
        "faults = { delay = [{ time = \"1ms\", probability = 1.5 }] }",
        "faults = { reset = -0.5 }",
    ] {
        let (path, what) = read(text).problem().expect(text);
        write!(said, "{text}\n    `{path}` {what}\n").unwrap();
    }
    insta::assert_snapshot!(said);
}

#[test]
fn editors_are_told_of_every_key() {
    let schema = schemars::schema_for!(BackendConfig);
    let keys: Vec<&String> =
        schema.get("properties").and_then(|p| p.as_object()).expect("a table").keys().collect();
    let written = toml::Table::try_from(BackendConfig {
        priority: 1,
        content: read("content = { etag = true }").content,
        memory: read("memory = { paths = 1, part = 0.5 }").memory,
        session: Some(SessionConfig::default()),
        ..BackendConfig::default()
    });
    let written = written.expect("it can be written");
    assert_eq!(keys, written.keys().collect::<Vec<_>>());
    let property = |name: &str| schema.pointer(&format!("/properties/{name}")).cloned();
    assert_ne!(property("service").unwrap()["$ref"], property("response").unwrap()["$ref"]);
    assert!(property("service").unwrap()["description"].is_string());
}
