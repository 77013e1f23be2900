//! What is written of requests, and what requests are called.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use policy::quantity::{ByteSize, TimeSpan};
use proxy::config::{AccessLog, LogFormat, ProxyConfig, RotateConfig};
use serde_json::Value;

use crate::support::{Origin, Rig, config, eventually, millis, with_admin};

/// A folder of the test's own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("proxy-logs-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a folder for temporary files");
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn logging(origin: &Origin, file: &Path, format: LogFormat) -> ProxyConfig {
    let mut config = config(&[origin.address()]);
    config.access_log = AccessLog { file: Some(file.to_owned()), ..AccessLog::new(format) };
    config
}

/// The lines of the log once the proxy has ended.
fn lines(rig: Rig, file: &Path) -> Vec<String> {
    rig.proxy.drain();
    let text = fs::read_to_string(file).expect("there is a log");
    assert!(text.is_empty() || text.ends_with('\n'), "half a line: {text}");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn json_says_what_happened() {
    let (origin, folder) = (Origin::saying("hello"), Folder::new());
    let file = folder.file("access.log");
    let rig = Rig::start(logging(&origin, &file, LogFormat::Json));
    let mut client = rig.client();
    client.send(
        "POST /buy?n=1 HTTP/1.1\r\nHost: shop\r\nUser-Agent: a \"b\"\r\nReferer: http://x/\r\nContent-Length: 3\r\n\r\nabc",
    );
    client.response();
    client.send("TRACE / HTTP/1.1\r\nHost: shop\r\n\r\n");
    assert_eq!(client.response().status(), 405);
    drop(client);
    let lines = lines(rig, &file);
    assert_eq!(lines.len(), 2);
    let line: Value = serde_json::from_str(&lines[0]).expect("JSON");
    for (name, value) in [
        ("client", "127.0.0.1"),
        ("method", "POST"),
        ("host", "shop"),
        ("target", "/buy?n=1"),
        ("protocol", "HTTP/1.1"),
        ("user_agent", "a \"b\""),
        ("referer", "http://x/"),
        ("endpoint", &origin.address().to_string()),
    ] {
        assert_eq!(line[name], value, "{name}");
    }
    for (name, value) in [("status", 200), ("bytes_received", 3), ("bytes_sent", 5), ("retries", 0)]
    {
        assert_eq!(line[name], value, "{name}");
    }
    let parts = ["waiting_ms", "connecting_ms", "first_byte_ms", "body_ms"];
    let parts: f64 = parts.iter().map(|name| line[name].as_f64().expect("a number")).sum();
    let whole = line["duration_ms"].as_f64().expect("a number");
    assert!((whole - parts).abs() < 0.01, "{line}");
    let line: Value = serde_json::from_str(&lines[1]).expect("JSON");
    assert_eq!(
        (&line["status"], &line["fault"]),
        (&Value::from(405), &Value::from("method_refused"))
    );
    assert!(line.get("endpoint").is_none() && line.get("first_byte_ms").is_none());
}

#[test]
fn the_other_formats() {
    let (origin, folder) = (Origin::saying("hello"), Folder::new());
    let template = "$$ $client ${method}d $host \"$target\" $status $fault ${header:x-y} ${header:x-z} $route $request_id";
    for (number, format) in
        [LogFormat::Text, LogFormat::Combined, LogFormat::Off].into_iter().enumerate()
    {
        let file = folder.file(&number.to_string());
        let mut config = logging(&origin, &file, format);
        config.access_log.template = (format == LogFormat::Off).then(|| template.to_owned());
        let rig = Rig::start(config);
        let mut client = rig.client();
        client.send("GET /a HTTP/1.1\r\nHost: shop\r\nX-Y: y \"z\"\r\nUser-Agent: me\r\nConnection: close\r\n\r\n");
        client.response();
        drop(client);
        let line = lines(rig, &file).remove(0);
        match format {
            LogFormat::Text => {
                let (time, rest) = line.split_once(' ').expect("there is more");
                assert!(time.ends_with('Z'), "{line}");
                let start = "client=127.0.0.1 method=GET host=shop target=/a protocol=HTTP/1.1 status=200 bytes_received=0 \
                             bytes_sent=5 duration_ms=";
                assert!(rest.starts_with(start) && rest.ends_with(" user_agent=me"), "{line}");
            }
            LogFormat::Combined => {
                let (start, rest) = line.split_once('[').expect("there is a time");
                assert_eq!(start, "127.0.0.1 - - ");
                let (time, rest) = rest.split_once(']').expect("it ends");
                assert_eq!(time.len(), "21/Nov/2026:09:33:47 +0000".len());
                assert_eq!(rest, " \"GET /a HTTP/1.1\" 200 5 \"-\" \"me\"");
            }
            _ => assert_eq!(line, "$ 127.0.0.1 GETd shop \"/a\" 200 - y \\x22z\\x22 - - -"),
        }
    }
}

/// What could end a line, a string or a field in one of the formats.
const FORGED: &str = "x\u{85}\u{2028}\u{9b}2J\\\" 200\tevil=1 \u{7f}";

#[test]
fn nobody_forges_a_line() {
    let (origin, folder) = (Origin::saying("hello"), Folder::new());
    for format in [LogFormat::Text, LogFormat::Combined, LogFormat::Json] {
        let file = folder.file(&format!("{format:?}"));
        let rig = Rig::start(logging(&origin, &file, format));
        let mut client = rig.client();
        let agent: Vec<u8> = FORGED.bytes().filter(|byte| *byte != 0x7f).collect();
        client.send("GET /a%0a?x=\"}{\\n HTTP/1.1\r\nHost: shop\r\nUser-Agent: ");
        client.send(agent);
        client.send(b"\xff\xfe\r\nReferer: \x80end\r\n\r\n");
        client.response();
        // A head that is refused is logged as well, with what could be read of it.
        client.send("GET /\x07 HTTP/1.1\r\nHost: a\nEvil: \x1b[2J\r\n\r\n");
        client.response();
        drop(client);
        rig.proxy.drain();
        let bytes = fs::read(&file).expect("there is a log");
        let text = String::from_utf8(bytes).expect("every format is text");
        assert_eq!(text.matches('\n').count(), 2, "{format:?}: {text}");
        let others =
            |letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}');
        assert!(
            !text.chars().any(|letter| letter != '\n' && others(letter)),
            "{format:?}: {text:?}"
        );
        let first = text.lines().next().expect("there are two");
        if format == LogFormat::Json {
            let line: Value = serde_json::from_str(first).expect("JSON");
            let agent = line["user_agent"].as_str().expect("a text");
            assert!(agent.starts_with("x\u{85}\u{2028}\u{9b}2J\\\" 200\tevil=1"), "{agent}");
            assert_eq!(line["target"], "/a%0a?x=\"}{\\n");
        } else {
            assert!(first.is_ascii(), "{first}");
            assert!(
                first.contains("x\\xc2\\x85\\xe2\\x80\\xa8\\xc2\\x9b2J\\x5c\\x22 200\\x09evil=1"),
                "{first}"
            );
        }
    }
}

#[test]
fn a_share_is_logged_and_all_that_is_slow() {
    let folder = Folder::new();
    let origin = Origin::serving(|mut wire| {
        while wire.is_asked() {
            let request = wire.request();
            if request.start().contains("/slow") {
                std::thread::park_timeout(std::time::Duration::from_millis(250));
            }
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let logged = |name: &str| {
        let file = folder.file(name);
        let mut config = logging(&origin, &file, LogFormat::Json);
        config.access_log.sample = 0.25;
        config.access_log.slow = Some(millis(200));
        let rig = Rig::start(config);
        let mut client = rig.client();
        for number in 0..200 {
            let path = if number % 100 == 7 { "slow" } else { "fast" };
            client.send(format!("GET /{path}/{number} HTTP/1.1\r\nHost: a\r\n\r\n"));
            client.response();
        }
        drop(client);
        let lines = lines(rig, &file);
        let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.collect::<Vec<_>>()
    };
    let first = logged("first");
    let slow =
        first.iter().filter(|line| line["target"].as_str().is_some_and(|t| t.starts_with("/slow")));
    let slow: Vec<&Value> = slow.collect();
    assert_eq!(slow.len(), 2);
    assert!(
        slow.iter()
            .all(|line| line["slow"] == true && line["first_byte_ms"].as_f64() > Some(190.0))
    );
    // 50 expected, standard deviation 6: five of them.
    assert!((20..=80).contains(&first.len()), "{} lines", first.len());
}

#[test]
fn a_file_that_grows_is_put_aside() {
    let (origin, folder) = (Origin::saying(""), Folder::new());
    let file = folder.file("access.log");
    let mut config = logging(&origin, &file, LogFormat::Json);
    config.access_log.rotate = Some(RotateConfig { size: ByteSize(4 << 10), keep: 2 });
    config.access_log.template = Some("$target ${header:pad}".to_owned());
    let rig = Rig::start(config);
    let mut client = rig.client();
    for number in 0..100 {
        client
            .send(format!("GET /{number} HTTP/1.1\r\nHost: a\r\nPad: {}\r\n\r\n", "x".repeat(200)));
        client.response();
    }
    drop(client);
    let mut seen = lines(rig, &file);
    for number in 1..=2 {
        let path = folder.file(&format!("access.log.{number}"));
        let text = fs::read_to_string(&path).expect("it was put aside");
        assert!(text.len() <= 4 << 10 && text.len() > 3 << 10, "{} bytes", text.len());
        let mut older: Vec<String> = text.lines().map(str::to_owned).collect();
        older.append(&mut seen);
        seen = older;
    }
    assert!(!folder.file("access.log.3").exists(), "two are kept");
    // What is still there is the end of it, without a gap.
    let numbers: Vec<usize> = seen
        .iter()
        .map(|line| line[1..].split(' ').next().expect("a target").parse().expect("a number"))
        .collect();
    let first = numbers[0];
    assert_eq!(numbers, (first..100).collect::<Vec<_>>());
}

#[test]
fn a_file_that_was_renamed_is_opened_anew() {
    let (origin, folder) = (Origin::saying(""), Folder::new());
    let file = folder.file("access.log");
    let mut config = logging(&origin, &file, LogFormat::Off);
    config.access_log.template = Some("$target".to_owned());
    let rig = Rig::start(config);
    rig.get("/one");
    let holds = |path: &Path, text: &str| fs::read_to_string(path).is_ok_and(|found| found == text);
    eventually("the first line is written", || holds(&file, "/one\n"));
    let moved = folder.file("moved");
    fs::rename(&file, &moved).expect("it is there");
    rig.get("/two");
    eventually("the old file goes on", || holds(&moved, "/one\n/two\n"));
    rig.proxy.reopen_log();
    eventually("there is a new one", || file.exists());
    rig.get("/three");
    assert_eq!(lines(rig, &file), ["/three"]);
    assert!(holds(&moved, "/one\n/two\n"));
}

#[test]
fn a_reload_may_change_where_and_how() {
    let (origin, folder) = (Origin::saying(""), Folder::new());
    let (one, two) = (folder.file("one"), folder.file("two"));
    let with = |file: &Path, template: &str| {
        let mut config = logging(&origin, file, LogFormat::Off);
        config.access_log.template = Some(template.to_owned());
        config
    };
    let rig = Rig::start(with(&one, "a $target"));
    rig.get("/1");
    rig.proxy.reload(with(&one, "b $target")).expect("it is good");
    eventually("the other format is in force", || {
        rig.get("/2");
        fs::read_to_string(&one).is_ok_and(|text| text.contains("b /2"))
    });
    rig.proxy.reload(with(&two, "c $target")).expect("it is good");
    eventually("the other file is in force", || {
        rig.get("/3");
        fs::read_to_string(&two).is_ok_and(|text| text.contains("c /3"))
    });
    rig.proxy.reload(config(&[origin.address()])).expect("it is good");
    assert!(fs::read_to_string(&one).expect("it is there").starts_with("a /1\n"));
    let error = rig.proxy.reload(with(&folder.file("no/such/folder"), "$target"));
    let error = error.expect_err("it cannot be opened").to_string();
    assert!(error.starts_with("cannot open the access log "), "{error}");
}

#[test]
fn what_cannot_be_written_is_counted() {
    let origin = Origin::saying("");
    // Every write to it fails: there is no room.
    let mut config = with_admin(logging(&origin, Path::new("/dev/full"), LogFormat::Json));
    config.access_log.slow = Some(TimeSpan::secs(1));
    let rig = Rig::start(config);
    rig.get("/");
    eventually("the loss is counted", || rig.admin_json()["access_log"]["lost"] == 1);
    assert_eq!(rig.admin_json()["access_log"]["dropped"], 0);
    assert!(rig.admin("/metrics").text().contains("proxy_access_log_lost_total 1\n"));
}

#[test]
fn a_request_has_an_id_that_all_see() {
    let folder = Folder::new();
    let file = folder.file("access.log");
    let origin = Origin::new();
    let mut config = logging(&origin, &file, LogFormat::Off);
    config.access_log.template = Some("$request_id $trace_id".to_owned());
    config.tracing.request_id = true;
    config.tracing.traceparent = true;
    let rig = Rig::start(config);
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\ntracestate: a=1\r\n\r\n");
    let mut server = origin.accept();
    let request = server.request();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Request-Id: theirs\r\n\r\n");
    let response = client.response();
    let id = request.field("X-Request-Id").expect("an id");
    assert_eq!(id.len(), 32, "a stranger names nothing");
    assert_eq!(response.field("X-Request-Id"), Some(id.clone()));
    let parent = request.field("traceparent").expect("a trace");
    assert_eq!((parent.len(), &parent[52..]), (55, "-01"));
    assert_eq!(request.field("tracestate"), None);
    let known = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: a\r\ntraceparent: {known}\r\ntracestate: a=1\r\n\r\n"
    ));
    let request = server.request();
    assert_eq!(request.field("traceparent").as_deref(), Some(known));
    assert_eq!(request.field("tracestate").as_deref(), Some("a=1"));
    let second = request.field("X-Request-Id").expect("an id");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    client.response();
    // Our own answers have one, too.
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    server.request();
    drop(server);
    origin.close();
    let refused = client.response();
    assert_eq!(refused.status(), 502);
    let third = refused.field("X-Request-Id").expect("an id");
    drop(client);
    let lines = lines(rig, &file);
    assert_eq!(lines[0], format!("{id} {}", &parent[3..35]));
    assert_eq!(lines[1], format!("{second} 4bf92f3577b34da6a3ce929d0e0e4736"));
    assert!(lines[2].starts_with(&third));
}

#[test]
fn a_trusted_peer_names_its_requests() {
    let origin = Origin::new();
    let mut config = config(&[origin.address()]);
    config.forwarding.trusted = vec!["127.0.0.0/8".parse().expect("a range")];
    config.tracing.request_id = true;
    let rig = Rig::start(config);
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine\r\n\r\n");
    let mut server = origin.accept();
    assert_eq!(server.request().field("X-Request-Id").as_deref(), Some("mine"));
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().field("X-Request-Id").as_deref(), Some("mine"));
}

#[test]
fn a_client_that_is_sent_elsewhere_learns_its_id() {
    let mut config = config(&["127.0.0.1:1".parse().expect("an address")]);
    config.mode = proxy::config::Mode::Redirect;
    config.redirect.secret = Some(proxy::config::Secret("a secret of the tests".to_owned()));
    config.tracing.request_id = true;
    let response = Rig::start(config).get("/");
    assert_eq!(response.status(), 307);
    assert_eq!(response.field("X-Request-Id").map(|id| id.len()), Some(32));
}
