//! The program as a person meets it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use assert_cmd::{assert::Assert, cargo::cargo_bin};

/// Heads and bodies of requests.
type Seen = Mutex<Vec<(String, Vec<u8>)>>;

/// A server that answers `ok` to everything, after a while where the path says so, and remembers what it was sent.
struct Server {
    address: SocketAddr,
    requests: Arc<Seen>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let seen = Arc::clone(&seen);
                thread::spawn(move || serve(&stream.unwrap(), &seen));
            }
        });
        Self { address, requests }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

fn serve(stream: &TcpStream, seen: &Seen) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        reader.read_exact(&mut body).unwrap();
        let slow = head.starts_with("GET /slow");
        let status = if head.starts_with("GET /missing") { "404 Not Found" } else { "200 OK" };
        seen.lock().unwrap().push((head, body));
        if slow {
            thread::park_timeout(Duration::from_millis(100));
        }
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
        let mut writer = stream;
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn loadgen(args: &[&str]) -> Assert {
    assert_cmd::Command::new(cargo_bin("loadgen")).args(args).assert()
}

fn output(assert: &Assert) -> (String, String) {
    let output = assert.get_output();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

/// Numbers of measured things become `#`, units `unit`, and blanks one blank.
fn redact(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line
            .split_whitespace()
            .enumerate()
            .map(|(place, word)| match word {
                "µs" | "ms" | "s" => "unit",
                _ if word.ends_with("B/s") => "unit",
                _ if word.starts_with("http://") => "http://#",
                _ if place > 0 && word.starts_with(|c: char| c.is_ascii_digit()) => "#",
                _ => word,
            })
            .collect();
        out.push_str(&words.join(" "));
        out.push('\n');
    }
    out
}

#[test]
fn help() {
    let (help, _) = output(&loadgen(&["--help"]).success());
    insta::assert_snapshot!(help);
}

#[test]
fn a_closed_loop_is_summed_up() {
    let server = Server::start();
    let assert = loadgen(&[&server.url("/a?b=c"), "-n", "1000", "-c", "4"]).success();
    let (summary, _) = output(&assert);
    assert!(
        summary.contains("1,000: 1,000 ok, 0 failed, 0 timed out, 0 refused, 0 dropped"),
        "{summary}"
    );
    insta::assert_snapshot!(redact(&summary));
    assert_eq!(server.requests.lock().unwrap().len(), 1000);
    assert!(
        server.requests.lock().unwrap()[0].0.starts_with("GET /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:")
    );
}

#[test]
fn an_open_loop_is_summed_up_and_written() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let (json, csv) = (dir.path().join("out.json"), dir.path().join("out.csv"));
    let files = [json.to_str().unwrap(), csv.to_str().unwrap()];
    let url = server.url("/");
    // A rate so low and a patience so long that a busy machine keeps them.
    let args = [
        &url,
        "--rate",
        "200",
        "--poisson",
        "-n",
        "60",
        "--threads",
        "2",
        "--json",
        files[0],
        "--csv",
        files[1],
    ];
    let assert = loadgen(&args);
    let (summary, _) = output(&assert);
    assert!(summary.contains("60: 60 ok"), "{summary}");
    insta::assert_snapshot!(redact(summary.split("Not valid").next().unwrap()));
    let document: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(document["metrics"]["ok"]["value"], 60.0);
    assert_eq!((&document["loop"], &document["threads"]), (&"open".into(), &2.into()));
    let code = if document["valid"] == true { 0 } else { 5 };
    assert_eq!(assert.get_output().status.code(), Some(code));
    let table = std::fs::read_to_string(&csv).unwrap();
    assert!(table.starts_with("t_s,metric,label,value\n0.000,"), "{table}");
}

#[test]
fn what_is_asked_for_is_sent() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("body");
    std::fs::write(&file, b"from a file").unwrap();
    let body = format!("@{}", file.display());
    let header = ["-H", "Accept: text/html", "-H", "Host: example"];
    let url = server.url("/");
    let args =
        [&[&url, "-n", "3", "-c", "1", "--body", &body, "--no-keep-alive"], &header[..]].concat();
    loadgen(&args).success();
    let requests = server.requests.lock().unwrap();
    assert_eq!(requests.len(), 3);
    for (head, body) in requests.iter() {
        assert!(head.starts_with("POST / HTTP/1.1\r\n"), "{head}");
        for field in
            ["accept: text/html", "host: example", "connection: close", "content-length: 11"]
        {
            assert!(head.contains(&format!("\r\n{field}\r\n")), "{field} in {head}");
        }
        assert_eq!(body, b"from a file");
    }
}

#[test]
fn failures_are_counted_and_explained() {
    let server = Server::start();
    let (summary, _) = output(&loadgen(&[&server.url("/missing"), "-n", "5", "-c", "1"]).success());
    assert!(summary.contains("5: 0 ok, 5 failed"), "{summary}");
    assert!(summary.contains("Errors       status_4xx: 5, first: status 404\n"), "{summary}");
    let expecting = [&server.url("/missing"), "-n", "5", "-c", "1", "--expect", "404"];
    let (summary, _) = output(&loadgen(&expecting).success());
    assert!(summary.contains("5: 5 ok"), "{summary}");
}

#[test]
fn bad_usage_is_exit_code_2_and_says_what_to_write() {
    let server = Server::start();
    let url = server.url("/");
    let cases: [(&[&str], &str); 9] = [
        (&["127.0.0.1:80/"], "is not a URL: write http://127.0.0.1:80/"),
        (&["https://127.0.0.1/"], "https is not supported yet"),
        (&[&url, "--rate", "0"], "--rate: must be above 0"),
        (&[&url, "--duration", "10"], "`10` has no unit; write a length of time like"),
        (&[&url, "--rate", "1", "--concurrency", "3"], "cannot be used with"),
        (&[&url, "--header", "Accept"], "has no colon: write 'Name: value'"),
        (
            &[&url, "--header", "Content-Length: 3"],
            "--header Content-Length: is the generator's own",
        ),
        (&[&url, "--body", "@/no/such/file"], "cannot read /no/such/file"),
        (&[&url, "--method", "CONNECT"], "--method: cannot be CONNECT"),
    ];
    for (args, message) in cases {
        let (_, complaint) = output(&loadgen(args).code(2));
        assert!(complaint.contains(message), "{args:?}: {complaint}");
    }
    assert!(server.requests.lock().unwrap().is_empty());
}

#[test]
fn nobody_there_is_exit_code_3() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (_, complaint) = output(&loadgen(&[&format!("http://{address}/")]).code(3));
    assert!(complaint.contains("cannot connect to 127.0.0.1:"), "{complaint}");
    assert!(complaint.contains("is the server running?"), "{complaint}");
}

#[test]
fn a_server_that_never_answers_is_exit_code_3() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let assert = loadgen(&[&url, "-n", "2", "-c", "2", "--timeout", "50ms"]).code(3);
    let (summary, complaint) = output(&assert);
    assert!(summary.contains("2: 0 ok, 0 failed, 2 timed out"), "{summary}");
    assert!(complaint.contains("not one request was answered"), "{complaint}");
}

#[test]
fn a_rate_that_cannot_be_kept_is_exit_code_5() {
    let server = Server::start();
    let args = [&server.url("/slow"), "--rate", "100", "-n", "30", "--max-connections", "1"];
    let (summary, _) = output(&loadgen(&args).code(5));
    assert!(
        summary.contains("Not valid: load `load`: of 30 requests that were due only"),
        "{summary}"
    );
    assert!(summary.contains("dropped: "), "{summary}");
}

#[cfg(unix)]
#[test]
fn interrupted_it_ends_with_what_it_has() {
    let server = Server::start();
    let mut child = Command::new(cargo_bin("loadgen"))
        .args([&server.url("/"), "--duration", "60s", "--rate", "50"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The first line of progress: it is running.
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains(" requests, "), "{line}");
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let summary = String::from_utf8(output.stdout).unwrap();
    assert!(summary.contains(", interrupted\n") && summary.contains("response time"), "{summary}");
}
