//! The program as a person starts it.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_backend-sim");

/// Ends the program if the test does not.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(arguments: &[&str]) -> Output {
    // The width of the help must not depend on who runs the test.
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_remove("COLUMNS").output().expect("the program starts")
}

#[test]
fn it_says_where_it_listens_serves_and_ends_with_a_summary() {
    let arguments = ["--listen", "0", "--listen", "127.0.0.1:0", "--size", "0", "--threads", "2"];
    let child = Command::new(PROGRAM)
        .args(arguments)
        .args(["--status", "503:100", "--name", "web"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut running = Running(child);
    let mut out = BufReader::new(running.0.stdout.take().expect("piped"));
    let mut addresses = Vec::new();
    for name in ["web-0-0", "web-1-0"] {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let (told, address) = line.trim_end().split_once(' ').expect("a name and an address");
        assert_eq!(told, name);
        addresses.push(address.parse::<SocketAddr>().unwrap());
    }
    for address in &addresses {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    }
    let pid = running.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let mut summary = String::new();
    out.read_to_string(&mut summary).unwrap();
    assert!(running.0.wait().unwrap().success());
    insta::assert_snapshot!(summary);
}

#[test]
fn help_reads_well() {
    let output = run(&["--help"]);
    assert!(output.status.success());
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap());
}

#[test]
fn bad_usage_exits_2_and_says_what_to_write() {
    let mut said = String::new();
    for arguments in [
        &[][..],
        &["--listen", "somewhere"],
        &["--ports", "9-1"],
        &["--listen", "0", "--service", "gaussian:20ms"],
        &["--listen", "0", "--workers", "0"],
        &["--listen", "0", "--status", "503"],
        &["--listen", "0", "--session", "sse"],
        &["--listen", "0", "--kind", "session", "--piece", "1GiB"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        let first = error.lines().take_while(|line| !line.is_empty()).collect::<Vec<_>>();
        write!(said, "backend-sim {}\n{}\n\n", arguments.join(" "), first.join("\n")).unwrap();
    }
    insta::assert_snapshot!(said);
}

#[test]
fn an_address_that_is_taken_exits_3() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = run(&["--listen", &taken.local_addr().unwrap().to_string()]);
    assert_eq!(output.status.code(), Some(3));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("Address already in use"), "{error}");
}
