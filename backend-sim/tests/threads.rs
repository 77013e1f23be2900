//! Real sockets: endpoints on a thread of their own, commanded from here.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use backend_sim::{BackendConfig, Fault, GroupSpec, Remote, run_in_thread};
use net::Real;
use policy::Seed;

/// No test waits as long as this unless it fails.
const PATIENCE: Duration = Duration::from_mins(1);

fn start(config: BackendConfig) -> Remote {
    let group = GroupSpec { name: "web".into(), config, addresses: Vec::new() };
    run_in_thread(Real::new(), Seed(1), vec![group]).expect("loopback has free ports")
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends a request and reads until the peer closes.
fn ask(address: SocketAddr, request: &str) -> io::Result<String> {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

const CLOSING: &str =
    "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nwindtunnel-size: 0\r\n\r\n";

#[test]
fn a_hundred_endpoints_answer_each_with_its_own_name() {
    let remote = start(BackendConfig { count: 100, ..BackendConfig::default() });
    assert_eq!(remote.endpoints().len(), 100);
    for (name, address) in remote.endpoints() {
        let answer = ask(*address, CLOSING).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains(&format!("windtunnel-endpoint: {name}\r\n")), "{answer}");
    }
    let seen = remote.stop(PATIENCE).unwrap();
    assert!(seen.iter().all(|(_, seen)| seen.requests == 1 && seen.completed == 1));
}

#[test]
fn a_crash_resets_and_refuses_and_a_restart_serves_again() {
    let remote = start(BackendConfig::default());
    let address = remote.address("web-0").unwrap();
    let mut idle = connect(address);
    idle.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    idle.read_exact(&mut [0; 12]).unwrap();
    remote.apply("web-0", &Fault::Crash).unwrap();
    let end = idle.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    remote.apply("web-0", &Fault::Restart).unwrap();
    assert!(ask(address, CLOSING).unwrap().starts_with("HTTP/1.1 200"));
    let (_, seen) = remote.snapshots().unwrap().remove(0);
    assert_eq!((seen.resets, seen.hits.crash, seen.connections), (1, 1, 2));
}

#[test]
fn commands_that_cannot_be_carried_out_say_why() {
    let remote = start(BackendConfig::default());
    let error = remote.apply("web-9", &Fault::Hang).unwrap_err();
    assert_eq!(error.to_string(), "no endpoint is called `web-9`");
    let error = remote.apply("web-0", &Fault::Slow { factor: 0.0 }).unwrap_err();
    assert_eq!(error.to_string(), "`factor` must be above 0 and at most 1000000000");
    let config = BackendConfig { workers: 0, ..BackendConfig::default() };
    let group = GroupSpec { name: "web".into(), config, addresses: Vec::new() };
    let error = run_in_thread(Real::new(), Seed(1), vec![group]).unwrap_err();
    assert_eq!(error.to_string(), "web-0 at 127.0.0.1:0: `workers` must be 1 to 1000000");
}

#[test]
fn computing_burns_what_the_work_says() {
    let config = BackendConfig { kind: backend_sim::config::Kind::Compute, ..Default::default() };
    let remote = start(config);
    let address = remote.address("web-0").unwrap();
    let request = CLOSING.replace("size: 0", "size: 0\r\nwindtunnel-work: 20000000");
    assert!(ask(address, &request).unwrap().starts_with("HTTP/1.1 200"));
    let (_, seen) = remote.snapshots().unwrap().remove(0);
    // Busy time is work, not time: the same on every machine.
    assert_eq!(seen.busy, Duration::from_millis(20));
}
