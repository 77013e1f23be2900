//! The figures: they add up after a known traffic, and both formats say the same.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Origin, Refusing, Rig, answer, config, eventually, in_order, with_admin};

/// OpenMetrics text as a map from name and labels to value. Every line must be one that the format knows.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut values = BTreeMap::new();
    let mut families = BTreeMap::new();
    let mut ended = false;
    for line in text.lines() {
        assert!(!ended, "after the end: {line}");
        if line == "# EOF" {
            ended = true;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect(line);
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(families.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
        } else if line.starts_with("# HELP ") || line.starts_with("# UNIT ") {
            assert!(line.splitn(4, ' ').nth(3).is_some_and(|text| !text.is_empty()), "{line}");
        } else {
            let (key, value) = line.rsplit_once(' ').expect(line);
            let value: f64 = value.parse().expect(line);
            let (name, labels) = key.split_once('{').unwrap_or((key, "}"));
            assert!(labels.ends_with('}'), "{line}");
            let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
            assert!(name.starts_with("proxy_") && name.chars().all(valid), "{line}");
            let family = families
                .iter()
                .filter(|(family, _)| name.starts_with(family.as_str()))
                .max_by_key(|(family, _)| family.len());
            let (family, kind) = family.unwrap_or_else(|| panic!("no type: {line}"));
            let suffix = &name[family.len()..];
            match kind.as_str() {
                "counter" => assert_eq!(suffix, "_total", "{line}"),
                "gauge" => assert_eq!(suffix, "", "{line}"),
                _ => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}"),
            }
            assert!(values.insert(key.to_owned(), value).is_none(), "twice: {line}");
        }
    }
    assert!(ended, "no end");
    values
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

fn sum(values: &Value) -> f64 {
    values.as_object().expect("a table").values().map(number).sum()
}

/// A rig that has served a bit of everything: 3 GET, a POST, a HEAD, a 404, a bad request, a TRACE, a retry.
fn after_some_traffic() -> (Rig, Origin, Refusing) {
    let refusing = Refusing::new();
    let origin = Origin::serving(|mut wire| {
        while wire.is_asked() {
            let request = wire.request();
            wire.send(match request.start() {
                start if start.starts_with("HEAD") => {
                    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_owned()
                }
                start if start.contains("/missing") => {
                    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned()
                }
                _ => answer("hello"),
            });
        }
    });
    let mut setup = with_admin(in_order(&[origin.address(), refusing.address()]));
    setup.endpoints[0].name = Some("good".to_owned());
    setup.endpoints[1].name = Some("bad \"one\"\\".to_owned());
    let rig = Rig::start(setup);
    let mut client = rig.client();
    for _ in 0..3 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status(), 200);
    }
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789");
    assert_eq!(client.response().status(), 200);
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_to_head().status(), 200);
    client.send("GET /missing HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 404);
    client.send("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 405);
    client.send("nonsense\r\n\r\n");
    assert_eq!(client.response().status(), 400);
    client.ends_or_breaks();
    drop(client);
    eventually("all is counted", || rig.sum(|stats| &stats.requests) == 8);
    rig.is_quiet_again();
    (rig, origin, refusing)
}

#[test]
fn the_figures_add_up() {
    let (rig, origin, _refusing) = after_some_traffic();
    let stats = rig.admin_json();
    assert_eq!(stats["workers"], 1);
    assert_eq!(stats["phase"], "serving");
    assert!(number(&stats["uptime_s"]) >= 0.0);
    assert_eq!(stats["connections"]["active"], 0);
    assert_eq!(stats["connections"]["total"], 1);
    let requests = &stats["requests"];
    assert_eq!(requests["total"], 8);
    assert!((sum(&requests["by_status"]) - 8.0).abs() < 1e-9, "{requests}");
    assert!((sum(&requests["by_method"]) - 8.0).abs() < 1e-9, "{requests}");
    assert_eq!(requests["by_status"]["2xx"], 5);
    assert_eq!(requests["by_status"]["4xx"], 3);
    for (method, count) in [("GET", 4), ("POST", 1), ("HEAD", 1), ("TRACE", 1), ("other", 1)] {
        assert_eq!(requests["by_method"][method], count, "{method}");
    }
    assert_eq!(requests["by_fault"]["bad_request"], 1);
    assert_eq!(requests["by_fault"]["method_refused"], 1);
    assert!((sum(&requests["by_fault"]) - 2.0).abs() < 1e-9, "{requests}");
    assert_eq!(requests["by_side"]["downstream"], 2);
    assert!((sum(&requests["by_side"]) - 2.0).abs() < 1e-9, "{requests}");
    for name in ["retries", "retries_refused", "queued", "upgrades"] {
        assert_eq!(requests[name], 0, "{name}");
    }
    assert_eq!(stats["bytes"]["received"], 10);
    // Three hellos and the one for the POST; what HEAD only announces does not count.
    assert_eq!(stats["bytes"]["sent"], 20);
    assert_eq!(stats["upstream"]["connects"], 1);
    assert_eq!(stats["upstream"]["reuses"], 5);
    assert_eq!(stats["upstream"]["waiting"], 0);
    let endpoint = &stats["endpoints"][0];
    assert_eq!(endpoint["name"], "good");
    assert_eq!(endpoint["address"], origin.address().to_string());
    assert_eq!(endpoint["state"], "ready");
    for (figure, value) in
        [("in_flight", 0), ("requests", 6), ("failures", 0), ("ejections", 0), ("connections", 1)]
    {
        assert_eq!(endpoint[figure], value, "{figure}");
    }
    assert_eq!(stats["endpoints"][1]["requests"], 0);
    let latency = &stats["latency_ms"];
    assert!(number(&latency["mean"]) > 0.0);
    let quantiles =
        ["p50_at_most", "p90_at_most", "p99_at_most"].map(|name| number(&latency[name]));
    assert!(quantiles.is_sorted() && quantiles[0] > 0.0, "{latency}");
}

#[test]
fn both_formats_say_the_same() {
    let (rig, _origin, _refusing) = after_some_traffic();
    let stats = rig.admin_json();
    let response = rig.admin("/metrics");
    let kind = response.field("Content-Type").expect("a type");
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    let mut metrics = parse(response.text());
    let mut is = |name: String, value: &Value| {
        let found = metrics.remove(&name).unwrap_or_else(|| panic!("no {name}"));
        assert!((found - number(value)).abs() < 1e-9, "{name}: {found} and {value}");
    };
    let requests = &stats["requests"];
    for (metric, value) in [
        ("requests", &requests["total"]),
        ("client_connections", &stats["connections"]["total"]),
        ("request_body_bytes", &stats["bytes"]["received"]),
        ("response_body_bytes", &stats["bytes"]["sent"]),
        ("upstream_connects", &stats["upstream"]["connects"]),
        ("upstream_reuses", &stats["upstream"]["reuses"]),
        ("retries", &requests["retries"]),
        ("retries_refused", &requests["retries_refused"]),
        ("upgrades", &requests["upgrades"]),
        ("queued", &requests["queued"]),
        ("access_log_dropped", &stats["access_log"]["dropped"]),
        ("access_log_lost", &stats["access_log"]["lost"]),
        ("compression_input_bytes", &stats["compression"]["bytes_in"]),
        ("compression_output_bytes", &stats["compression"]["bytes_out"]),
    ] {
        is(format!("proxy_{metric}_total"), value);
    }
    for (family, label, table) in [
        ("responses", "class", &requests["by_status"]),
        ("requests_by_method", "method", &requests["by_method"]),
        ("faults", "fault", &requests["by_fault"]),
        ("filtered", "filter", &requests["by_filter"]),
        ("compressed_responses", "encoding", &stats["compression"]["by_encoding"]),
    ] {
        for (name, value) in table.as_object().expect("a table") {
            is(format!("proxy_{family}_total{{{label}=\"{name}\"}}"), value);
        }
    }
    for endpoint in stats["endpoints"].as_array().expect("a list") {
        let name = endpoint["name"].as_str().expect("a text");
        let name = name.replace('\\', "\\\\").replace('"', "\\\"");
        for figure in ["requests", "failures", "ejections"] {
            is(format!("proxy_endpoint_{figure}_total{{endpoint=\"{name}\"}}"), &endpoint[figure]);
        }
        for figure in ["in_flight", "connections"] {
            is(format!("proxy_endpoint_{figure}{{endpoint=\"{name}\"}}"), &endpoint[figure]);
        }
        let ready = Value::from(u8::from(endpoint["state"] == "ready"));
        is(format!("proxy_endpoint_ready{{endpoint=\"{name}\"}}"), &ready);
    }
    is("proxy_encoders_active".to_owned(), &stats["compression"]["active"]);
    is("proxy_client_connections_active".to_owned(), &stats["connections"]["active"]);
    is("proxy_request_duration_seconds_count".to_owned(), &requests["total"]);
    // What is left is the time, and the histogram, whose buckets only grow and end with all.
    let buckets: Vec<(f64, f64)> = metrics
        .iter()
        .filter_map(|(name, value)| {
            let bound = name.strip_prefix("proxy_request_duration_seconds_bucket{le=\"")?;
            Some((bound.strip_suffix("\"}")?.replace("+Inf", "inf").parse().ok()?, *value))
        })
        .collect();
    let mut buckets = buckets;
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(buckets.iter().map(|(_, count)| *count).is_sorted(), "{buckets:?}");
    let (bound, count) = buckets[buckets.len() - 1];
    assert!(bound.is_infinite() && (count - 8.0).abs() < 1e-9, "{buckets:?}");
    let rest: Vec<&String> = metrics.keys().filter(|name| !name.contains("_bucket{")).collect();
    assert_eq!(rest, ["proxy_request_duration_seconds_sum", "proxy_uptime_seconds"]);
}

#[test]
fn retries_and_failures_are_counted_where_they_happen() {
    let refusing = Refusing::new();
    let origin = Origin::saying("ok");
    let rig = Rig::start(with_admin(in_order(&[refusing.address(), origin.address()])));
    assert_eq!(rig.get("/").text(), "ok");
    eventually("it is counted", || rig.sum(|stats| &stats.requests) == 1);
    let stats = rig.admin_json();
    assert_eq!(stats["requests"]["retries"], 1);
    assert_eq!(stats["requests"]["by_status"]["2xx"], 1);
    // The request has ended well: what went wrong on its way is the endpoint's figure.
    assert!(sum(&stats["requests"]["by_fault"]).abs() < 1e-9);
    assert_eq!(stats["endpoints"][0]["failures"], 1);
    assert_eq!(stats["endpoints"][1]["failures"], 0);
}

#[test]
fn what_else_is_asked_of_it() {
    let rig = Rig::start(with_admin(config(&[])));
    let response = rig.admin("/healthz");
    assert_eq!((response.status(), response.text()), (200, "serving\n"));
    let response = rig.admin("/secret");
    assert_eq!(response.status(), 404);
    assert!(response.text().contains("/proxy-stats"));
    // Nothing of it is to be had through the proxy itself.
    assert_eq!(rig.get("/proxy-stats").status(), 503);
}
