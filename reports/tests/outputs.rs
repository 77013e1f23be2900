//! Every file of a report, from a suite small enough to check by eye.

mod sample;

use reports::terminal::Colour;
use reports::{
    EventMark, FailClass, Manifest, Measurement, Outcome, Phase, Recorder, RecorderConfig, Run,
    Sample, Suite, ThresholdResult, Unit, Verdict, World, files, terminal,
};
use std::time::Duration;

const MS: u64 = 1_000_000;

/// Forty requests over four seconds, one endpoint slower than the other, one 500.
fn measure(slowness: u64) -> Measurement {
    let mut config = RecorderConfig::new(Some(Duration::from_secs(4)), Duration::from_secs(1));
    config.interval = Duration::from_secs(1);
    config.loads = vec!["browse".to_owned()];
    config.endpoints = vec!["web-0".to_owned(), "web-1".to_owned()];
    config.phases = vec![Phase {
        name: "fault".to_owned(),
        from: Duration::from_secs(2),
        to: Duration::from_secs(3),
    }];
    let mut recorder = Recorder::new(config);
    for i in 0..40 {
        let endpoint = usize::from(i % 3 == 0);
        let intended = i * 100 * MS;
        let time = if endpoint == 1 { slowness * MS } else { 20 * MS };
        let is_bad = i == 25;
        recorder.record(&Sample {
            load: 0,
            intended,
            sent: intended + MS / 2,
            finished: intended + time + i * MS / 10,
            outcome: if is_bad { Outcome::Failed(FailClass::Status5xx) } else { Outcome::Ok },
            status: if is_bad { 500 } else { 200 },
            bytes_in: 1000,
            bytes_out: 0,
            endpoint: Some(endpoint),
            retries: u32::from(i == 30),
        });
    }
    recorder.finish()
}

fn run(scenario: &str, variant: &str, slowness: u64) -> Run {
    let measurement = measure(slowness);
    let p50 = measurement.metrics.get("latency.p50");
    let threshold = |metric: &str, value: Option<f64>, limit: f64, remark: &str| ThresholdResult {
        expression: format!("{metric} <= {limit}ms"),
        metric: metric.to_owned(),
        comparison: "<=".to_owned(),
        value,
        limit,
        unit: Unit::Milliseconds,
        holds: value.is_some_and(|v| v <= limit),
        remark: remark.to_owned(),
    };
    let mut thresholds = vec![threshold("latency.p50", p50, 40.0, "")];
    if slowness > 100 {
        let mean = measurement.metrics.get("latency.mean");
        thresholds.push(threshold("latency.mean", mean, 50.0, ""));
        let why = "needs 1000 timed requests, and there were 29";
        thresholds.push(threshold("latency.p99", None, 250.0, why));
    }
    let holds = thresholds.iter().all(|t| t.holds);
    Run {
        place: 0,
        scenario: scenario.to_owned(),
        description: "Two backends, and one is slower.".to_owned(),
        path: format!("suites/{scenario}.toml"),
        world: World::Sim,
        variant: vec![("proxy.balance.strategy".to_owned(), variant.to_owned())],
        seed: 7,
        duration: Duration::from_secs(4),
        warmup: Duration::from_secs(1),
        command: format!("windtunnel run suites/{scenario}.toml --world sim --seed 7"),
        verdict: if holds { Verdict::Pass } else { Verdict::Fail },
        notes: vec!["A note.".to_owned()],
        thresholds,
        invariants: Vec::new(),
        measurement,
        events: vec![EventMark { at: Duration::from_secs(2), label: "slow web-1 ×20".to_owned() }],
        phases: vec![Phase {
            name: "fault".to_owned(),
            from: Duration::from_secs(2),
            to: Duration::from_secs(3),
        }],
        configuration: "seed = 7\n".to_owned(),
        configuration_hash: "00c0ffee".to_owned(),
    }
}

fn small() -> Suite {
    let mut broken = run("ci/broken", "p2c", 30);
    broken.verdict = Verdict::Error("no free port on 127.0.0.1".to_owned());
    broken.measurement = Measurement::empty();
    broken.thresholds.clear();
    broken.variant.clear();
    let mut slow = run("ci/slow", "round_robin", 400);
    slow.invariants = sample::invariants(4);
    let mut good = run("ci/slow", "p2c", 30);
    good.invariants = sample::invariants(0);
    for run in [&mut good, &mut slow] {
        reports::invariant::insert_into(&mut run.measurement.metrics, &run.invariants);
    }
    let runs = vec![good, slow, broken];
    Suite { runs, manifest: sample::manifest() }
}

/// One scenario in three worlds: the model is near enough, real sockets are not.
fn several_worlds() -> Suite {
    let in_world = |world, slowness, errors: f64| {
        let mut run = run("ci/everywhere", "p2c", slowness);
        run.world = world;
        run.verdict = Verdict::Pass;
        run.thresholds.clear();
        run.measurement.metrics.insert("failed", errors, Unit::Count);
        run
    };
    let runs = vec![
        in_world(World::Model, 30, 1.0),
        in_world(World::Sim, 30, 1.0),
        in_world(World::Live, 90, 4.0),
        run("ci/elsewhere", "p2c", 30),
    ];
    Suite { runs, manifest: sample::manifest() }
}

fn text(name: &str, suite: &Suite) -> String {
    String::from_utf8(files::render(name, suite).expect("renders")).expect("text")
}

/// The page without its style sheet, and without what is inside of the charts.
fn without_drawings(page: &str) -> String {
    let mut out = String::new();
    let mut rest = page;
    for (open, close) in [("<style>", "</style>")]
        .into_iter()
        .chain([("</title><desc>", "</svg>")].into_iter().cycle())
    {
        let Some((before, after)) = rest.split_once(open) else { break };
        let (_, after) = after.split_once(close).expect("is closed");
        out.push_str(before);
        out.extend([open, "…", close]);
        rest = after;
    }
    out + rest
}

#[test]
fn the_summary_begins_as_the_design_says() {
    let csv = text("summary.csv", &small());
    let header = csv.lines().next().expect("has a header");
    let always = "schema_version,scenario,world,variant,seed,verdict,requests,ok,failed,timed_out,\
                  refused,dropped,rate_rps,success_ratio,latency_mean_ms,latency_p50_ms,latency_p90_ms,\
                  latency_p99_ms,latency_p999_ms,latency_max_ms,service_time_p50_ms,\
                  service_time_p99_ms,retries,imbalance,";
    assert!(header.starts_with(always), "{header}");
    let extra: Vec<&str> = header[always.len()..].split(',').collect();
    assert!(extra.is_sorted(), "{extra:?}");
    // Also where there is no run and so no metric.
    let empty = text("summary.csv", &Suite::default());
    assert_eq!(empty.trim_end(), always.trim_end_matches(','));
}

#[test]
fn series_begin_as_the_design_says() {
    let csv = text("timeseries.csv", &Suite::default());
    assert_eq!(csv, "scenario,world,variant,seed,t_s,metric,label,value\n");
}

#[test]
fn summary_csv() {
    insta::assert_snapshot!(text("summary.csv", &small()));
}

#[test]
fn timeseries_csv() {
    let mut suite = small();
    suite.runs.truncate(1);
    insta::assert_snapshot!(text("timeseries.csv", &suite));
}

#[test]
fn junit_xml() {
    insta::assert_snapshot!(text("junit.xml", &small()));
}

#[test]
fn summary_md() {
    insta::assert_snapshot!(text("summary.md", &small()));
}

#[test]
fn manifest_json() {
    insta::assert_snapshot!(text("manifest.json", &small()));
}

#[test]
fn index_html() {
    insta::assert_snapshot!(without_drawings(&text("index.html", &small())));
}

#[test]
fn terminal_text() {
    insta::assert_snapshot!(terminal::summary(&small(), Colour::Plain));
    let coloured = terminal::summary(&small(), Colour::Ansi);
    assert!(coloured.contains("\u{1b}[1m\u{1b}[31mfail"), "{coloured:?}");
    assert!(!terminal::summary(&small(), Colour::Plain).contains('\u{1b}'));
}

#[test]
fn terminal_text_of_several_worlds() {
    insta::assert_snapshot!(terminal::summary(&several_worlds(), Colour::Plain));
}

#[test]
fn summary_md_of_several_worlds() {
    insta::assert_snapshot!(text("summary.md", &several_worlds()));
}

#[test]
fn the_page_shows_how_worlds_agree() {
    let page = text("index.html", &several_worlds());
    let (_, rest) = page.split_once("<details class=\"agreement\"").expect("has a table");
    let (table, rest) = rest.split_once("</details>").expect("is closed");
    insta::assert_snapshot!(table);
    assert!(!rest.contains("class=\"agreement\""), "one world has nothing to agree with");
}

#[test]
fn worlds_are_held_together_by_variant_and_seed() {
    let mut suite = several_worlds();
    let agreements = |suite: &Suite| reports::agreements(&suite.runs.iter().collect::<Vec<_>>());
    let all = agreements(&suite);
    assert_eq!(all.len(), 1);
    assert_eq!(
        (all[0].reference, &all[0].others[..]),
        (World::Sim, &[World::Model, World::Live][..])
    );
    assert!(all[0].apart().all(|(_, world, _)| world == World::Live));
    // Without the simulation, what is real is what the model is held against.
    suite.runs[1].verdict = Verdict::Error("no memory".to_owned());
    let all = agreements(&suite);
    assert_eq!((all[0].reference, &all[0].others[..]), (World::Live, &[World::Model][..]));
    suite.runs[2].seed = 8;
    assert_eq!(agreements(&suite), []);
}

#[test]
fn virtual_time_is_counted_in_virtual_worlds_only() {
    let suite = several_worlds();
    assert_eq!(suite.virtual_time(), Duration::from_secs(12));
    let told = terminal::summary(&suite, Colour::Plain);
    assert!(
        told.contains("12 s of virtual time in 160 ms: 75 virtual seconds per second"),
        "{told}"
    );
    let manifest = text("manifest.json", &suite);
    assert!(manifest.contains("\"seconds_per_second\": 75"), "{manifest}");
    let mut live = suite;
    live.runs.retain(|run| run.world == World::Live);
    assert!(!terminal::summary(&live, Colour::Plain).contains("virtual"));
    assert!(!text("manifest.json", &live).contains("virtual"));
}

#[test]
fn a_broken_invariant_is_a_failed_case_of_its_own() {
    let mut suite = small();
    suite.runs.truncate(1);
    suite.runs[0].invariants = sample::invariants(4);
    suite.runs[0].verdict = Verdict::Fail;
    let xml = text("junit.xml", &suite);
    assert!(xml.contains("tests=\"4\" skipped=\"1\" failures=\"1\" errors=\"0\""), "{xml}");
    assert!(text("index.html", &suite).contains("<h1>An invariant is broken</h1>"));
    assert!(text("summary.md", &suite).contains("| nothing\\_to\\_the\\_dead | **4** | 2,411 |"));
    let told = terminal::summary(&suite, Colour::Plain);
    assert!(told.contains("invariant nothing_to_the_dead is broken, 4 of 2,411 checks"), "{told}");
}

#[test]
fn the_interval_log_adds_up_to_the_run() {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
    let suite = small();
    let log = files::render("latency.hlog", &suite).expect("renders");
    let mut counts: Vec<(String, u64)> = Vec::new();
    for entry in IntervalLogIterator::new(&log) {
        let LogEntry::Interval(interval) = entry.expect("can be read") else { continue };
        let bytes = base64_of_the_log::decode(interval.encoded_histogram());
        let histogram: hdrhistogram::Histogram<u64> =
            Deserializer::new().deserialize(&mut &bytes[..]).expect("a histogram");
        let tag = interval.tag().expect("has a tag").as_str().to_owned();
        assert!(interval.start_timestamp() >= Duration::from_secs(1), "no warm-up");
        match counts.iter_mut().find(|(known, _)| *known == tag) {
            Some((_, n)) => *n += histogram.len(),
            None => counts.push((tag, histogram.len())),
        }
    }
    let wanted: Vec<(String, u64)> = suite.runs[..2]
        .iter()
        .map(|run| (reports::hlog::tag(run), run.measurement.response.count()))
        .collect();
    assert_eq!(counts, wanted);
    assert_eq!(wanted[0].0, "ci/slow|sim|proxy.balance.strategy=p2c|7");
}

/// Standard base64, which the log's histograms are in.
mod base64_of_the_log {
    pub(crate) fn decode(text: &str) -> Vec<u8> {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let (mut bits, mut held, mut out) = (0_u32, 0, Vec::new());
        for byte in text.bytes().filter(|b| *b != b'=') {
            let digit = alphabet.iter().position(|a| *a == byte).expect("base64");
            bits = bits << 6 | digit as u32;
            held += 6;
            if held >= 8 {
                held -= 8;
                out.push((bits >> held) as u8);
            }
        }
        out
    }
}

#[test]
fn the_same_suite_gives_the_same_bytes() {
    let (one, two) = (sample::suite(1.0), sample::suite(1.0));
    for name in files::FILES {
        let render = |suite| files::render(name, suite).expect("renders");
        assert!(render(&one) == render(&two), "{name} differs");
    }
    assert_eq!(terminal::summary(&one, Colour::Ansi), terminal::summary(&two, Colour::Ansi));
}

#[test]
fn only_the_manifest_knows_who_and_when() {
    let one = small();
    let mut two = small();
    two.manifest = Manifest { host: "elsewhere".to_owned(), ..Manifest::default() };
    for name in files::FILES {
        let is_same = text(name, &one) == text(name, &two);
        assert_eq!(is_same, name != "manifest.json", "{name}");
    }
}

/// The suite with markup, quotes and control characters in every text that a file could give.
fn hostile() -> Suite {
    let evil = "<script>alert(1)</script>\"'&amp;|`]]>\u{1b}[31m\n--></style></svg>";
    let mut suite = small();
    for run in &mut suite.runs {
        let phase = format!("fault{evil}");
        run.scenario = format!("scenario {evil}");
        run.description = format!("description {evil}");
        run.path = format!("path {evil}");
        run.variant = vec![(format!("path {evil}"), format!("value {evil}"))];
        run.command = format!("command {evil}");
        run.notes = vec![format!("note {evil}")];
        run.configuration = format!("configuration {evil}");
        run.configuration_hash = format!("hash {evil}");
        run.events[0].label = format!("event {evil}");
        run.phases[0].name = phase;
        run.phases[0].from = Duration::ZERO;
        run.phases[0].to = Duration::from_secs(4);
        for threshold in &mut run.thresholds {
            threshold.expression = format!("expression {evil}");
            threshold.metric = format!("latency.{evil}");
            threshold.remark = format!("remark {evil}");
        }
        if run.verdict == Verdict::Fail {
            run.verdict = Verdict::Invalid(format!("reason {evil}"));
        }
        let measurement = &mut run.measurement;
        measurement.loads = vec![format!("load {evil}"), format!("other {evil}")];
        for endpoint in &mut measurement.endpoints {
            endpoint.name = format!("endpoint {evil}");
        }
        for line in measurement.series.lines.iter_mut().filter(|line| !line.label.is_empty()) {
            line.label = format!("label {evil}");
        }
        measurement.metrics.insert(format!("load.{evil}.requests"), 1.0, Unit::Count);
    }
    suite
}

#[test]
fn what_came_from_a_file_is_never_markup() {
    let suite = hostile();
    for name in ["index.html", "junit.xml", "summary.md"] {
        let text = text(name, &suite);
        let places = text.match_indices("script&gt;alert").count()
            + text.match_indices("script&#62;alert").count();
        assert!(places > 8, "{name} shows only {places} texts");
        // In a fence of Markdown, a command is as it is: nothing is markup there.
        let fences: Vec<&str> = text.split("```sh").collect();
        let outside: String = match name {
            "summary.md" => fences
                .iter()
                .enumerate()
                .map(
                    |(i, part)| {
                        if i == 0 { part } else { part.split_once("```").map_or("", |p| p.1) }
                    },
                )
                .collect(),
            _ => text.clone(),
        };
        assert!(!outside.contains("<script"), "{name}: {outside}");
        assert!(!text.contains('\u{1b}'), "{name} has control characters");
    }
    let page = text("index.html", &suite);
    assert_eq!(page.matches("</style>").count(), 1);
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    let plain = terminal::summary(&suite, Colour::Plain);
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
}

#[test]
fn the_page_fetches_nothing_and_runs_nothing() {
    let page = text("index.html", &sample::suite(1.0));
    assert!(page.contains("default-src 'none'"));
    for word in
        ["<script", "http://", "https://", "src=", "url(", "@import", "javascript:", "onload"]
    {
        assert!(!page.contains(word), "the page has {word}");
    }
    // Every colour of a chart follows the reader's light or dark.
    let charts: Vec<&str> =
        page.split("<svg").skip(1).filter_map(|s| s.split_once("</svg>")).map(|s| s.0).collect();
    assert!(charts.len() > 20, "{}", charts.len());
    assert!(charts.iter().all(|chart| !chart.contains("\"#")), "a chart has a fixed colour");
}

#[test]
fn what_the_proxy_did_is_drawn_where_it_did_something() {
    let mut suite = small();
    suite.runs.truncate(1);
    assert!(!text("index.html", &suite).contains("Retries over time"));
    let points: Vec<(u64, f64)> = (0..4).map(|n| (n * 1000 * MS, n as f64)).collect();
    suite.runs[0].measurement.series.insert("retries_rps", "", &points);
    suite.runs[0].measurement.series.insert("ejections", "", &points[..1]);
    let page = text("index.html", &suite);
    assert!(page.contains("<strong>Retries over time</strong>"));
    assert!(!page.contains("Ejections over time"), "one point is no course");
    let course = "ci/slow,sim,proxy.balance.strategy=p2c,7,3,retries_rps,,3\n";
    assert!(text("timeseries.csv", &suite).contains(course));
}

#[test]
fn a_picture_stands_alone() {
    let suite = sample::suite(1.0);
    let runs: Vec<_> = suite.runs[1..4].iter().map(|run| ("<b>&".to_owned(), run)).collect();
    let svg = reports::html::picture::spectrum(&runs).expect("draws").expect("has requests");
    assert!(svg.starts_with("<svg xmlns"));
    assert_eq!((svg.matches("<svg").count(), svg.matches("</svg>").count()), (1, 1));
    assert_eq!(svg.matches("&lt;b&gt;&amp;").count(), 3);
    assert!(!svg.contains("<b>"));
    let empty = Measurement::empty();
    let mut nothing = suite.runs[0].clone();
    nothing.measurement = empty;
    let none = reports::html::picture::spectrum(&[(String::new(), &nothing)]).expect("draws");
    assert_eq!(none, None);
}

#[test]
fn the_summary_for_ci_stays_below_its_limit() {
    let mut suite = Suite::default();
    let mut run = run("ci/slow", "round_robin", 400);
    run.measurement = Measurement::empty();
    run.description = "x".repeat(1000);
    suite.runs = vec![run; 2000];
    let text = text("summary.md", &suite);
    assert!(text.len() <= reports::markdown::MAX_BYTES, "{}", text.len());
    assert!(text.contains("more entries left out"));
}

#[test]
fn every_file_is_written_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let below = directory.path().join("a/b");
    reports::write_all(&below, &small()).expect("can be written");
    let mut names: Vec<String> = std::fs::read_dir(&below)
        .expect("is there")
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let mut wanted: Vec<String> = files::FILES.iter().map(|name| (*name).to_owned()).collect();
    wanted.sort();
    assert_eq!(names, wanted);
    let blocked = below.join("summary.csv");
    let error = reports::write_all(&blocked, &small()).expect_err("is a file");
    assert!(error.to_string().contains("summary.csv"), "{error}");
}
