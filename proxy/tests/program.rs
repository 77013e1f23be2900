//! The program itself: its log, and what signals tell it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// The program, which ends with the test.
struct Program {
    child: Child,
    address: String,
}

impl Program {
    /// With these arguments, before an endpoint that refuses.
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_proxy"))
            .args(["--listen", "127.0.0.1:0", "--endpoint", "127.0.0.1:1", "--workers", "1"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it was built");
        let stderr = child.stderr.take().expect("it is piped");
        let mut lines = BufReader::new(stderr).lines();
        let address = loop {
            let line = lines.next().expect("it starts").expect("it writes text");
            if let Some((address, _)) =
                line.strip_prefix("proxy: ").and_then(|l| l.split_once(" → "))
            {
                break address.to_owned();
            }
        };
        // Somebody must go on reading, or it would block some day.
        thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    /// Asks for this path and reads the answer to its end.
    fn get(&self, path: &str) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("it is not zero");
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        stream.read_to_end(&mut Vec::new()).expect("it answers");
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().expect("there is kill");
        assert!(status.success());
    }

    /// Ends it in order; what it wrote to standard output.
    fn end(mut self) -> String {
        self.signal("TERM");
        let mut text = String::new();
        self.child.stdout.take().expect("it is piped").read_to_string(&mut text).expect("text");
        assert!(self.child.wait().expect("it ends").success());
        text
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..5000 {
        if holds() {
            return;
        }
        thread::park_timeout(Duration::from_millis(2));
    }
    panic!("in vain: {what}");
}

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("proxy-program-{}-{name}", std::process::id()));
    fs::create_dir_all(&path).expect("a folder for temporary files");
    path
}

#[test]
fn lines_go_to_standard_output() {
    let program = Program::start(&["--access-log", "combined"]);
    program.get("/one");
    program.get("/two");
    let lines = program.end();
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("\"GET /one HTTP/1.1\" 502 "), "{lines:?}");
    assert!(lines[1].contains("\"GET /two HTTP/1.1\" 502 "), "{lines:?}");
}

#[test]
fn sigusr1_opens_the_log_anew() {
    let folder = folder("reopen");
    let (file, moved) = (folder.join("access.log"), folder.join("access.log.1"));
    let setting = format!("access_log={{ template = \"$target\", file = \"{}\" }}", file.display());
    let program = Program::start(&["--set", &setting]);
    let holds = |path: &Path, text: &str| fs::read_to_string(path).is_ok_and(|found| found == text);
    program.get("/one");
    eventually("the line is written", || holds(&file, "/one\n"));
    fs::rename(&file, &moved).expect("it is there");
    program.signal("USR1");
    eventually("there is a new file", || file.exists());
    program.get("/two");
    assert_eq!(program.end(), "");
    assert!(holds(&moved, "/one\n") && holds(&file, "/two\n"));
    fs::remove_dir_all(&folder).expect("it is ours");
}

#[test]
fn an_unknown_variable_is_an_error_with_its_place() {
    let folder = folder("unknown");
    let file = folder.join("proxy.toml");
    let text = "endpoints = [\"127.0.0.1:1\"]\n[access_log]\ntemplate = \"$client $stauts\"\n";
    fs::write(&file, text).expect("there is room");
    let output = Command::new(env!("CARGO_BIN_EXE_proxy"))
        .args(["--check", "--config"])
        .arg(&file)
        .env("NO_COLOR", "1")
        .output()
        .expect("it was built");
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).expect("text");
    for part in [
        "`access_log.template` has an unknown variable `$stauts`\n",
        ":3:12",
        "known are bytes_received",
    ] {
        assert!(error.contains(part), "{error}");
    }
    fs::remove_dir_all(&folder).expect("it is ours");
}
