//! A real Redis for a test: on a free port of loopback, in a directory of its own, gone when the test ends.
//!
//! Where there is no `redis-server`, tests that want one say loudly that they were skipped; with `WINDTUNNEL_REQUIRE_REDIS=1` in the environment (`.ci/run`
//! sets it) they fail instead.

use std::{
    env,
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use policy::redis::RedisConfig;
use tempfile::TempDir;

use super::eventually;

/// A Redis, or something else that the program can be (a Sentinel, a node of a Cluster).
#[derive(Debug)]
pub(crate) struct RedisServer {
    child: Child,
    address: SocketAddr,
    arguments: Vec<String>,
    directory: TempDir,
}

impl RedisServer {
    /// Starts one; nothing where there is no `redis-server`.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// Starts one with more arguments.
    pub(crate) fn start_with(arguments: &[&str]) -> Option<Self> {
        Self::start_as(|_| {
            let own = ["--save", "", "--appendonly", "no"];
            own.iter().chain(arguments).map(|&argument| argument.to_owned()).collect()
        })
    }

    /// Starts a Sentinel that watches this master, whom it calls `main`, and takes it for dead after half a second.
    pub(crate) fn sentinel(master: &Self) -> Option<Self> {
        Self::start_as(|directory| {
            let file = directory.join("sentinel.conf");
            let port = master.address.port();
            let text = format!(
                "sentinel monitor main 127.0.0.1 {port} 1\n\
                 sentinel down-after-milliseconds main 500\n\
                 sentinel failover-timeout main 5000\n"
            );
            std::fs::write(&file, text).expect("it can be written");
            vec![file.to_str().expect("a path of letters").to_owned(), "--sentinel".to_owned()]
        })
    }

    /// Starts so many nodes and makes a Cluster of them.
    pub(crate) fn cluster(nodes: u32) -> Option<Vec<Self>> {
        let node = |_| {
            let bus = free_port();
            let bus_port = bus.to_string();
            let arguments = ["--cluster-enabled", "yes", "--cluster-port", &bus_port];
            Some((Self::start_with(&arguments)?, bus_port))
        };
        let nodes: Vec<(Self, String)> = (0..nodes).map(node).collect::<Option<_>>()?;
        let share = 16384_usize.div_ceil(nodes.len());
        let (first, first_bus) = &nodes[0];
        for (number, (node, _)) in nodes.iter().enumerate() {
            let last = ((number + 1) * share).min(16384) - 1;
            let slots = [(number * share).to_string(), last.to_string()];
            let said = node.ask(&["CLUSTER", "ADDSLOTSRANGE", &slots[0], &slots[1]]);
            assert_eq!(said, "+OK\r\n");
            if number > 0 {
                let port = first.address.port().to_string();
                let said = node.ask(&["CLUSTER", "MEET", "127.0.0.1", &port, first_bus]);
                assert_eq!(said, "+OK\r\n");
            }
        }
        let count = format!("cluster_known_nodes:{}", nodes.len());
        let whole = |node: &Self| {
            let said = node.ask(&["CLUSTER", "INFO"]);
            said.contains("cluster_state:ok") && said.contains(&count)
        };
        eventually("the nodes are a Cluster", || nodes.iter().all(|(node, _)| whole(node)));
        Some(nodes.into_iter().map(|(node, _)| node).collect())
    }

    /// Starts one with the arguments that are made for its directory.
    fn start_as(arguments: impl Fn(&Path) -> Vec<String>) -> Option<Self> {
        let is_there = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
        if let Err(error) = is_there {
            let required =
                env::var_os("WINDTUNNEL_REQUIRE_REDIS").is_some_and(|value| value == "1");
            assert!(
                !required,
                "there is no redis-server ({error}), and WINDTUNNEL_REQUIRE_REDIS=1 asks for it"
            );
            eprintln!(
                "SKIPPED: there is no redis-server ({error}); `apt-get install redis-server` has it"
            );
            return None;
        }
        // Somebody else may take the port before Redis does: then it ends, and the next one is tried.
        for _ in 0..10 {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().to_str().expect("a path of letters");
            let port = free_port();
            let mut arguments = arguments(directory.path());
            let own = ["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir", path];
            arguments.extend(own.map(str::to_owned));
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let child = spawn(&arguments);
            // From here on it ends with this, also where a test fails.
            let mut server = Self { child, address, arguments, directory };
            if answers(&mut server.child, address) {
                return Some(server);
            }
        }
        panic!("redis-server does not start");
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it keeps its files.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A configuration for it, with a deadline that a busy machine keeps.
    pub(crate) fn config(&self) -> RedisConfig {
        RedisConfig {
            address: Some(self.address.to_string()),
            deadline: policy::quantity::TimeSpan::secs(2),
            ..RedisConfig::default()
        }
    }

    /// Kills it: connections break, what it held is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it has ended");
    }

    /// Starts it again on the same port, after it was killed.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(&self.arguments);
        assert!(answers(&mut self.child, self.address), "redis-server does not come back");
    }

    /// Stops it where it stands: connections stay open, and nothing is answered.
    pub(crate) fn hang(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Sends words as a command and reads what comes first: for what a test wants to see or set behind the proxy's back.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        ask(self.address, words).expect("it answers")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // SIGKILL ends a process that was stopped, too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(arguments: &[String]) -> Child {
    Command::new("redis-server")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server runs")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Waits until it answers; whether it does.
fn answers(child: &mut Child, address: SocketAddr) -> bool {
    let mut ended = false;
    eventually("it answers or ends", || {
        ended = child.try_wait().expect("it can be asked").is_some();
        ended
            || ask(address, &["PING"])
                .is_ok_and(|said| ["+PONG", "-NOAUTH"].iter().any(|ready| said.starts_with(ready)))
    });
    !ended
}

fn ask(address: SocketAddr, words: &[&str]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        // Writing to a string cannot fail.
        let _ = write!(command, "${}\r\n{word}\r\n", word.len());
    }
    stream.write_all(command.as_bytes())?;
    let mut said = vec![0; 64 << 10];
    let length = stream.read(&mut said)?;
    said.truncate(length);
    Ok(String::from_utf8_lossy(&said).into_owned())
}
