//! What people get wrong in a scenario, and what they are told.

use std::path::Path;

use proxy::config::document::{Document, Paint};
use scenarios::language::matrix::variants;

/// A right scenario, to be spoilt; the marks are places for more.
const GOOD: &str = r#"duration = "60s"
warmup = "5s"

[backends.web]
count = 3
service = { exponential = { mean = "20ms" } }

[load.browse]
arrivals = { poisson = { rate = 100.0 } }

[phases]
fault = ["20s", "40s"]
"#;

fn picture(text: &str) -> String {
    let variants = Document::parse("slow.toml", text)
        .and_then(|document| variants(document, Path::new("no/such/directory")));
    match variants {
        Ok(_) => panic!("this should be wrong:\n{text}"),
        Err(error) => error.render(Paint::Plain),
    }
}

/// The pictures of right scenarios with each of `wrong` added at the end.
fn with(wrong: &[&str]) -> String {
    let pictures: Vec<String> =
        wrong.iter().map(|more| picture(&format!("{GOOD}\n{more}\n"))).collect();
    pictures.join("--------------------\n")
}

/// The pictures of right scenarios with one text in place of another.
fn instead(wrong: &[(&str, &str)]) -> String {
    let pictures: Vec<String> = wrong
        .iter()
        .map(|(right, wrong)| {
            assert!(GOOD.contains(right), "{right}");
            picture(&GOOD.replacen(right, wrong, 1))
        })
        .collect();
    pictures.join("--------------------\n")
}

#[test]
fn what_works_over_any_strategy() {
    let pictures = with(&[
        "[proxy.balance]\nslow_start = \"0s\"",
        "[proxy.balance]\noverprovisioning = 0.5",
        "[proxy.balance]\nsticky = { cookie = \"a b\" }",
        "[proxy.balance]\nsticky = { same_site = \"never\" }",
        "[proxy.balance]\nsticky = { cookie = \"s\" }\nstrategy = { strategy = \"maglev\", key = \"cookie:s\" }",
        "[proxy.balance]\nsubset = { size = 0 }",
        "[proxy.balance]\nsubset = { index = 1 }",
        "[backends.spare]\npriority = 256",
    ]);
    insta::assert_snapshot!(pictures);
}

#[test]
fn the_file_itself() {
    let pictures = instead(&[
        ("duration = \"60s\"", ""),
        ("duration = \"60s\"", "duration = 60"),
        ("duration = \"60s\"", "duration = \"60\""),
        ("duration = \"60s\"", "duration = \"0s\""),
        ("duration = \"60s\"", "duration = \"999h\""),
        ("duration = \"60s\"", "duratoin = \"60s\""),
        ("warmup = \"5s\"", "warmup = \"2m\""),
        ("warmup = \"5s\"", "seed = -1"),
        ("warmup = \"5s\"", "worlds = []"),
        ("warmup = \"5s\"", "worlds = [\"life\"]"),
        ("warmup = \"5s\"", "worlds = [\"live\", \"sim\", \"live\"]"),
        ("warmup = \"5s\"", "worlds = \"live\""),
        ("[backends.web]", "[backends.\"my web\"]"),
        ("[backends.web]", "[backend.web]"),
        ("[phases]", "[phases.more]"),
        ("fault = [\"20s\", \"40s\"]", "fault = [\"40s\", \"20s\"]"),
        ("fault = [\"20s\", \"40s\"]", "fault = [\"40s\", \"70s\"]"),
        ("fault = [\"20s\", \"40s\"]", "fault = [\"1s\", \"5s\"]"),
        ("fault = [\"20s\", \"40s\"]", "fault = \"20s\""),
    ]);
    insta::assert_snapshot!(pictures);
    insta::assert_snapshot!("nothing_in_it", picture("duration = \"1s\"\n"));
}

#[test]
fn backends_loads_and_the_network() {
    let pictures = instead(&[
        ("count = 3", "count = 0"),
        ("count = 3", "cuont = 3"),
        ("count = 3", "speed = -1"),
        ("mean = \"20ms\"", "mean = \"20\""),
        ("exponential = { mean = \"20ms\" }", "erlang = { k = 0, mean = \"1s\" }"),
        ("exponential = { mean = \"20ms\" }", "empirical = { file = \"times.csv\" }"),
        ("{ exponential = { mean = \"20ms\" } }", "\"20ms\""),
        ("rate = 100.0", "rate = 0"),
        ("rate = 100.0", "rps = 100"),
        ("poisson = { rate = 100.0 }", "poison = { rate = 100.0 }"),
        ("poisson = { rate = 100.0 }", "trace = { file = \"access.log\", format = \"combined\" }"),
        ("arrivals =", "users = 5\narrivals ="),
        ("arrivals = { poisson = { rate = 100.0 } }", ""),
        ("[phases]", "request = [{ path = \"/{key}\" }]\n[phases]"),
        (
            "[phases]",
            "[network]\nbandwidth = \"1GBps\"\nlatency = { uniform = { min = \"2s\", max = \"1s\" } }\n[phases]",
        ),
    ]);
    insta::assert_snapshot!(pictures);
}

#[test]
fn the_proxy() {
    let pictures = with(&[
        "[proxy.balance]\nstratgy = \"p2c\"",
        "[proxy.balance]\nstrategy = \"p3c\"",
        "[proxy.timeouts]\nconnect = \"0s\"",
        "[proxy]\nendpoints = [\"127.0.0.1:80\"]",
        "[proxy.upstreams.api]\nendpoints = [\"127.0.0.1:80\"]",
    ]);
    insta::assert_snapshot!(pictures);
}

#[test]
fn upstreams_and_their_backends() {
    let api =
        "[backends.api]\n[[proxy.routes]]\nmatch = { prefix = \"/api/\" }\nupstream = \"api\"";
    let later = |event: &str| format!("{api}\n[[events]]\nat = \"20s\"\n{event}");
    let pictures = with(&[
        "[proxy.upstreams.api]\nretry = { attempts = 2 }",
        "[backends.api]\n[[proxy.routes]]\nmatch = { prefix = \"/api/\" }\nupstream = \"apu\"",
        "[backends.api]\n[proxy.upstreams.api]\nendpoints = [\"127.0.0.1:80\"]",
        "[backends.api]\n[proxy.upstreams.api]\nbalance = { panic_threshold = 2 }",
        "[backends.api]\n[proxy.upstreams.api]\ncache = { enabled = true }",
        &later("remove = { endpoint = \"api-0\" }"),
        &later("reload = { upstreams = { web = { retry = { attempts = 2 } } } }"),
        &later("reload = { upstreams = { api = { endpoints = [\"127.0.0.1:80\"] } } }"),
        &later("reload = { upstreams = { api = { queue = { max_waiting = -1 } } } }"),
        &later("reload = { routes = [{ match = { prefix = \"/\" }, upstream = \"web\" }] }"),
        &later("reload = { routes = [{ match = { prefix = \"/\" }, upstream = \"shop\" }] }"),
    ]);
    insta::assert_snapshot!(pictures);
}

#[test]
fn several_proxies() {
    let head = |proxies: &str| format!("duration = \"60s\"\nproxies = {proxies}");
    let five = head("5");
    let of = |which: &str| {
        let event = "[[events]]\nat = \"20s\"\nrestart_proxy = {}";
        picture(&format!(
            "{five}\n{}\n{event}\nproxy = {which}\n",
            &GOOD["duration = \"60s\"\n".len()..]
        ))
    };
    let about = |event: &str| {
        let rest = &GOOD["duration = \"60s\"\n".len()..];
        picture(&format!("{five}\n{rest}\n[[events]]\nat = \"20s\"\nproxy = 3\n{event}\n"))
    };
    let numbers = instead(&[
        ("duration = \"60s\"", &head("0")),
        ("duration = \"60s\"", &head("-1")),
        ("duration = \"60s\"", &head("1001")),
        ("duration = \"60s\"", &head("\"five\"")),
    ]);
    let views =
        GOOD.replace("duration = \"60s\"", &head("900")).replace("count = 3", "count = 2000");
    let pictures = [
        numbers,
        picture(&views),
        picture(
            &GOOD
                .replace("duration = \"60s\"", &five)
                .replace("[backends.web]", "[backends.proxy]"),
        ),
        of("5"),
        of("\"proxy-7\""),
        of("\"edge-1\""),
        of("\"proxy-03\""),
        of("1.5"),
        about("crash = { endpoint = \"web-1\" }"),
        about("add = { backend = \"web\" }"),
        picture(&format!("{GOOD}\n[[events]]\nat = \"20s\"\nproxy = 1\nrestart_proxy = {{}}\n")),
    ];
    insta::assert_snapshot!(pictures.join("--------------------\n"));
}

#[test]
fn events() {
    let pictures = with(&[
        "[[events]]\nat = \"70s\"\ncrash = { endpoint = \"web-1\" }",
        "[[events]]\nat = \"20s\"\ncrash = { endpoint = \"web-3\" }",
        "[[events]]\nat = \"20s\"\ncrash = { endpoint = \"wbe-1\" }",
        "[[events]]\nat = \"20s\"\ncrash = { endpoint = \"web\" }",
        "[[events]]\nat = \"20s\"\ncrash = { endpoint = \"database-*\" }",
        "[[events]]\nat = \"20s\"\ncrash = \"web-1\"",
        "[[events]]\nat = \"20s\"\ncrahs = { endpoint = \"web-1\" }",
        "[[events]]\nat = \"20s\"",
        "[[events]]\ncrash = { endpoint = \"web-1\" }",
        "[[events]]\nat = \"20s\"\ncrash = { endpoint = \"web-1\" }\nhang = { endpoint = \"web-2\" }",
        "[[events]]\nat = \"20s\"\nslow = { endpoint = \"web-1\", factor = 0 }",
        "[[events]]\nat = \"20s\"\nfail = { endpoint = \"web-1\", status = 99, probability = 0.5 }",
        "[[events]]\nat = \"20s\"\nfail = { endpoint = \"web-1\", probability = 5 }",
        "[[events]]\nat = \"20s\"\npartition = { endpoint = \"web-1\", load = \"browse\" }",
        "[[events]]\nat = \"20s\"\npartition = { load = \"brwse\" }",
        "[[events]]\nat = \"20s\"\ndrop = { endpoint = \"web-1\", probability = 2.0 }",
        "[[events]]\nat = \"20s\"\nlatency = { endpoint = \"web-1\", one_way = { uniform = { min = \"2s\", max = \"1s\" } } }",
        "[[events]]\nat = \"20s\"\nadd = { backend = \"wbe\" }",
        "[[events]]\nat = \"30s\"\nadd = { backend = \"web\" }\n\n[[events]]\nat = \"20s\"\nhang = { endpoint = \"web-3\" }",
        "[[events]]\nat = \"20s\"\nremove = { endpoint = \"web-1\" }\n\n[[events]]\nat = \"30s\"\nhang = { endpoint = \"web-1\" }",
        "[[events]]\nat = \"20s\"\nreload = { balance = { stratgy = \"p2c\" } }",
        "[[events]]\nat = \"20s\"\nreload = { balance = { strategy = \"p2c\" }, timeouts = { connect = \"0s\" } }",
    ]);
    insta::assert_snapshot!(pictures);
}

#[test]
fn purges() {
    let cache = "[proxy.cache]\nenabled = true";
    let purge = |table: &str| format!("{cache}\n[[events]]\nat = \"20s\"\npurge = {table}");
    let bad = [
        "{}",
        "{ path = \"/a\", tag = \"news\" }",
        "{ everything = false }",
        "{ path = \"item/1\" }",
        "{ prefix = \"\" }",
        "{ tag = \"\" }",
        "{ url = \"/a\" }",
    ];
    let mut bad: Vec<String> = bad.map(purge).to_vec();
    let right = purge("{ path = \"/a\" }");
    bad.extend([right.replace("true", "false"), format!("[proxy]\nmode = \"redirect\"\n{right}")]);
    let bad: Vec<&str> = bad.iter().map(String::as_str).collect();
    insta::assert_snapshot!(with(&bad));
}

#[test]
fn events_that_a_world_cannot_perform() {
    let event = "[[events]]\nat = \"20s\"\npartition = { endpoint = \"web-1\" }\n\n[[events]]\nat = \"30s\"\n\
                 drop = { endpoint = \"web-1\", probability = 0.5 }\n\n[[events]]\nat = \"40s\"\nrestart_proxy = {}\n";
    let explicit = format!("worlds = [\"sim\", \"live\", \"model\"]\n{GOOD}\n{event}");
    insta::assert_snapshot!(picture(&explicit));
    // Without `worlds` it runs where it can.
    let document = Document::parse("slow.toml", &format!("{GOOD}\n{event}")).expect("good");
    let variants = variants(document, Path::new("")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(variants[0].scenario.worlds, [reports::World::Sim]);
    let reasons: Vec<String> =
        variants[0].exclusions.iter().map(|e| format!("{}: {}", e.world, e.reason)).collect();
    insta::assert_snapshot!("exclusions", reasons.join("\n"));
}

#[test]
fn thresholds() {
    let pictures = with(&[
        "[thresholds]\nsucess_ratio = \">= 0.999\"",
        "[thresholds]\nlatency.p99 = \"<= 250ms\"",
        "[thresholds]\n\"latency.p98\" = \"<= 250ms\"",
        "[thresholds]\n\"latency.p99\" = \"<= 250\"\n\"phase.falt.latency.p99\" = \"<= 250ms\"\n\"load.brwse.ok\" = \"> 0\"",
        "[thresholds]\n\"endpoint.web-7.requests\" = \"> 0\"",
        "[thresholds]\n\"endpoint.web-1.latency.p99\" = \"> 0s\"",
        "[thresholds]\nsuccess_ratio = 0.999",
        "[thresholds]\nsuccess_ratio = \"= 0.999\"",
        "[thresholds]\nsuccess_ratio = \"<= 250ms\"",
    ]);
    insta::assert_snapshot!(pictures);
}

#[test]
fn the_matrix() {
    let wide: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    let wide = wide.join(", ");
    let pictures = with(&[
        "[matrix]",
        "[matrix]\n\"proxy.balance.strategy\" = []",
        "[matrix]\n\"proxy.balance.strategy\" = \"p2c\"",
        "[matrix]\n\"proxy.balance.strategy\" = [\"p2c\", \"p3c\"]",
        "[matrix]\n\"proxy.balance.strategy\" = [\"p2c\", \"p2c\"]",
        "[matrix]\n\"proxy.balance.stratgy\" = [\"p2c\", \"random\"]",
        "[matrix]\nproxy.balance.stratgy = [\"p2c\"]",
        "[matrix]\n\"proxy.retry.attempts\" = [1, \"two\", 99]",
        "[matrix]\n\"backends.wbe.count\" = [1, 2]",
        "[matrix]\n\"events[0].slow.factor\" = [1, 2]",
        "[matrix]\n\"proxy..balance\" = [1]",
        "[matrix]\n\"worlds\" = [[\"sim\"]]",
        "[matrix]\n\"duration\" = [\"1s\", \"60s\"]",
        &format!("[matrix]\n\"proxy.retry.attempts\" = [{wide}]\nseed = [{wide}]"),
    ]);
    insta::assert_snapshot!(pictures);
    insta::assert_snapshot!("no_matrix", instead(&[("warmup = \"5s\"", "matrix = 5")]));
}

#[test]
fn several_at_once() {
    let text = GOOD
        .replace("count = 3", "count = 0")
        .replace("[\"20s\", \"40s\"]", "[\"40s\", \"20s\"]")
        .replace("rate = 100.0", "rate = -1.0");
    let more = "[thresholds]\nsucess_ratio = \">= 0.999\"\n[[events]]\nat = \"90s\"\nhang = { endpoint = \"db-0\" }\n";
    insta::assert_snapshot!(picture(&format!("{text}{more}")));
}

#[test]
fn numbers_that_would_fill_the_machine() {
    let first = instead(&[
        ("count = 3", "count = 4000000000"),
        ("[phases]", "users = 4000000000\n[phases]"),
    ]);
    let second = with(&[
        "[[events]]\nat = \"1s\"\nadd = { backend = \"web\", count = 4000000000 }\n\
         [thresholds]\n\"endpoint.web-9.share\" = \"> 0\"",
        "[backends.db]\ncount = 9999",
    ]);
    let pictures = first + &second;
    insta::assert_snapshot!(pictures);
}

#[test]
fn very_many_problems_are_cut_short() {
    use std::fmt::Write as _;
    let mut text = GOOD.replace("count = 3", "count = 10000");
    for n in 0..2_000 {
        let _ = write!(text, "[[events]]\nat = \"{n}ms\"\nhang = {{ endpoint = \"wbe-{n}\" }}\n");
    }
    let picture = picture(&text);
    assert_eq!(picture.matches("no endpoint is called").count(), 20);
    assert!(picture.contains("error: and there are at least 30 problems more"), "{picture}");
}
