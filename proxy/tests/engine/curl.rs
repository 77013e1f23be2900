//! The real thing: what curl makes of us, and we of curl. It must be installed; there is no test without it.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use crate::support::{Origin, Rig, pattern};

/// What curl writes to its standard output; fails loudly when curl does, or is not there.
fn curl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "10"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl is needed for this test: install it");
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_vec();
    let feeding = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("curl ends");
    // A curl that does not read its input has its reasons; what it says is judged below.
    let _ = feeding.join().expect("no panic");
    assert!(output.status.success(), "curl {arguments:?}: {}", output.status);
    output.stdout
}

/// Sends back the first line and what it was sent, and says 100 where that is expected.
fn mirror() -> Origin {
    Origin::serving(|mut wire| {
        while wire.is_asked() {
            let head = wire.head();
            if head.contains("Expect: 100-continue") {
                wire.send("HTTP/1.1 100 Continue\r\n\r\n");
            }
            let body = if head.contains("Transfer-Encoding: chunked") {
                wire.chunks().0
            } else {
                let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
                wire.exactly(length.map_or(0, |length| length.parse().expect("a number")))
            };
            let line = head.lines().next().unwrap_or_default();
            let length = line.len() + 1 + body.len();
            wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{line}\n"));
            wire.send(body);
        }
    })
}

#[test]
fn two_urls_over_one_connection() {
    let origin = mirror();
    let rig = Rig::before(&origin);
    let url = format!("http://{}/", rig.proxy.address());
    let output = curl(&["-w", "%{num_connects}\n", &format!("{url}1"), &format!("{url}2")], b"");
    let text = String::from_utf8(output).expect("text");
    assert_eq!(text, "GET /1 HTTP/1.1\n1\nGET /2 HTTP/1.1\n0\n");
    assert_eq!(rig.sum(|stats| &stats.connections_total), 1);
}

#[test]
fn an_upload_in_chunks_and_one_that_expects_100() {
    let origin = mirror();
    let rig = Rig::before(&origin);
    let url = format!("http://{}/up", rig.proxy.address());
    let body = pattern(3 << 20);
    for arguments in [
        ["-H", "Transfer-Encoding: chunked", "-T", "-", &url].as_slice(),
        &["-H", "Expect: 100-continue", "-T", "-", &url],
        &["-H", "Expect: 100-continue", "--data-binary", "@-", &url],
    ] {
        let output = curl(arguments, &body);
        let end = output.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
        assert!(output[..end].ends_with(b" /up HTTP/1.1\n"));
        assert!(output[end..] == body, "{arguments:?}: {} bytes", output.len() - end);
    }
}

#[test]
fn http10_and_head() {
    let origin = mirror();
    let rig = Rig::before(&origin);
    let url = format!("http://{}/", rig.proxy.address());
    assert_eq!(curl(&["--http1.0", &url], b""), b"GET / HTTP/1.1\n");
    let head = String::from_utf8(curl(&["--head", &url], b"").clone()).expect("text");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
}

#[test]
fn an_error_of_ours_is_one_for_curl() {
    let rig = Rig::start(crate::support::config(&[]));
    let url = format!("http://{}/", rig.proxy.address());
    let output = curl(&["-w", "%{http_code}", &url], b"");
    assert_eq!(String::from_utf8_lossy(&output), "503 no endpoint is ready\n503");
}
