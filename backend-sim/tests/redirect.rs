//! Redirect mode on real sockets: each wrong token is 403 with its reason, and each end is reported to the proxy that is in the token.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use backend_sim::{Admission, BackendConfig, Fault, GroupSpec, Remote, run_in_thread};
use net::{Clock, Real};
use policy::{
    Seed,
    token::{
        Asked, Bearer, Grant, Key, join,
        report::{self, Batch, CODE_HEADER, End, Report},
    },
};

const SECRET: &str = "a secret of the tests";
const DEADLINE: Duration = Duration::from_secs(10);

fn key() -> Key {
    Key::new(SECRET.as_bytes()).expect("it is long enough")
}

fn start(config: BackendConfig) -> (Remote, SocketAddr) {
    let admission = Some(Admission::by(SECRET).expect("it is long enough"));
    let config = BackendConfig { admission, ..config };
    let group = GroupSpec { name: "web".to_owned(), config, addresses: Vec::new() };
    let remote = run_in_thread(Real::new(), Seed(1), vec![group]).expect("it runs");
    let address = remote.endpoints()[0].1;
    (remote, address)
}

/// Who takes reports: an address, and the reports that came, a connection's in their order.
fn proxy() -> (SocketAddr, mpsc::Receiver<Report>) {
    let (address, batches) = proxy_of_batches();
    let (told, heard) = mpsc::channel();
    thread::spawn(move || {
        for report in batches.iter().flat_map(|batch| batch.reports) {
            // The test may be over.
            let _ = told.send(report);
        }
    });
    (address, heard)
}

/// The same, and what comes with them.
fn proxy_of_batches() -> (SocketAddr, mpsc::Receiver<Batch>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (told, heard) = mpsc::channel();
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let told = told.clone();
            thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                while let Some((head, body)) = read_message(&mut stream) {
                    assert!(head.starts_with(&format!("POST {} HTTP/1.1", report::PATH)), "{head}");
                    let code = field(&head, CODE_HEADER).expect("it is signed");
                    assert!(key().is_report(&body, code.as_bytes()), "{head}");
                    let _ = told.send(report::read(&body).expect("a body of reports"));
                    stream.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").expect("sent");
                }
            });
        }
    });
    (address, heard)
}

fn field(head: &str, name: &str) -> Option<String> {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.find(|field| field.0.eq_ignore_ascii_case(name)).map(|field| field.1.to_owned())
}

fn read_message(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = field(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// The status and the body of the answer.
fn ask(endpoint: SocketAddr, method: &str, target: &[u8]) -> (u16, String) {
    let stream = TcpStream::connect(endpoint).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("it is not zero");
    let mut stream = BufReader::new(stream);
    let target = String::from_utf8_lossy(target);
    let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    stream.get_mut().write_all(head.as_bytes()).expect("sent");
    let (head, body) = read_message(&mut stream).expect("an answer");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), String::from_utf8_lossy(&body).into_owned())
}

fn good(endpoint: SocketAddr) -> Asked<'static> {
    Asked { endpoint, method: b"GET", target: b"/a?b", client: Ipv4Addr::LOCALHOST.into() }
}

fn lasting(nonce: u64, reports: SocketAddr) -> Grant {
    let ends = Clock::real().wall() + Duration::from_mins(1);
    Grant { nonce, ends, reports, bearer: Bearer::Client }
}

/// What `/a?b` becomes with this token.
fn signed(key: &Key, grant: &Grant, asked: &Asked<'_>) -> Vec<u8> {
    let (mut token, mut target) = (Vec::new(), Vec::new());
    key.sign(grant, asked, &mut token);
    join(b"/a?b", &token, &mut target);
    target
}

#[test]
fn each_wrong_token_is_403_with_its_reason() {
    let (remote, endpoint) = start(BackendConfig::default());
    let (to, heard) = proxy();
    let asked = good(endpoint);
    let grant = lasting(1, to);
    let right = signed(&key(), &grant, &asked);
    assert_eq!(ask(endpoint, "GET", &right).0, 200);

    let other_key = Key::new(b"another secret, as long").expect("it is long enough");
    let mut other_endpoint = endpoint;
    other_endpoint.set_port(endpoint.port() ^ 1);
    let fresh = lasting(2, to);
    let of = |asked: Asked<'_>| signed(&key(), &fresh, &asked);
    let past = Grant { ends: Clock::real().wall() - Duration::from_millis(1), ..fresh };
    let mut longer = signed(&key(), &fresh, &asked);
    longer.extend_from_slice(b"00");
    let digit = longer.len() - 3;
    let mut changed = longer[..longer.len() - 2].to_vec();
    changed[digit] = if changed[digit] == b'0' { b'1' } else { b'0' };
    let forged = "the token is forged, or for another endpoint, method, path or client\n";
    let none = "there is no token: ask the proxy, which redirects with one\n";
    let cases: [(&str, &str, Vec<u8>, &str); 12] = [
        ("none", "GET", b"/a?b".to_vec(), none),
        ("none that is the last parameter", "GET", [&right[..], b"&c"].concat(), none),
        ("no token", "GET", b"/a?b&windtunnel-token=xyz".to_vec(), "the token is malformed\n"),
        ("of another secret", "GET", signed(&other_key, &fresh, &asked), forged),
        ("changed", "GET", changed, forged),
        ("made longer", "GET", longer, "the token is malformed\n"),
        ("of another endpoint", "GET", of(Asked { endpoint: other_endpoint, ..asked }), forged),
        ("of another method", "POST", of(asked), forged),
        ("of another path", "GET", of(Asked { target: b"/c?b", ..asked }), forged),
        (
            "of another client",
            "GET",
            of(Asked { client: Ipv4Addr::new(127, 0, 0, 2).into(), ..asked }),
            forged,
        ),
        ("expired", "GET", signed(&key(), &past, &asked), "the token has expired\n"),
        ("replayed", "GET", right, "the token was used before\n"),
    ];
    let count = cases.len() as u64;
    for (what, method, target, reason) in cases {
        assert_eq!(ask(endpoint, method, &target), (403, reason.to_owned()), "{what}");
    }
    // The health check is nobody's session, and the one that was good is the only one that is reported.
    assert_eq!(ask(endpoint, "GET", b"/healthz").0, 200);
    let report = heard.recv_timeout(DEADLINE).expect("a report");
    assert_eq!((report.nonce, report.end), (1, End::Answered(200)));
    let seen = remote.stop(Duration::from_secs(1)).expect("it answers")[0].1;
    assert_eq!((seen.completed, seen.forbidden, seen.requests), (1, count, 1));
    assert!(heard.try_recv().is_err());
}

#[test]
fn the_load_is_reported_where_answers_say_it() {
    for load_report in [false, true] {
        let (_remote, endpoint) = start(BackendConfig { load_report, ..BackendConfig::default() });
        let (to, heard) = proxy_of_batches();
        let target = signed(&key(), &lasting(1, to), &good(endpoint));
        assert_eq!(ask(endpoint, "GET", &target).0, 200);
        let batch = heard.recv_timeout(DEADLINE).expect("a batch");
        assert_eq!(batch.reports.len(), 1);
        assert_eq!(batch.load.map(|load| load.in_flight), load_report.then_some(0));
    }
}

#[test]
fn each_end_is_reported_as_it_was() {
    let (remote, endpoint) = start(BackendConfig::default());
    let (to, heard) = proxy();
    let visit = |nonce| ask(endpoint, "GET", &signed(&key(), &lasting(nonce, to), &good(endpoint)));
    remote.apply("web-0", &Fault::Fail { status: 500, probability: 1.0 }).expect("it can be done");
    assert_eq!(visit(1).0, 500);
    let report = heard.recv_timeout(DEADLINE).expect("a report");
    assert_eq!((report.nonce, report.end), (1, End::Answered(500)));
    // A client that leaves before its answer.
    remote.apply("web-0", &Fault::Hang).expect("it can be done");
    let target = signed(&key(), &lasting(2, to), &good(endpoint));
    let mut stream = TcpStream::connect(endpoint).expect("it listens");
    let target = String::from_utf8_lossy(&target);
    write!(stream, "GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
    while remote.snapshots().expect("it answers")[0].1.in_flight == 0 {
        thread::yield_now();
    }
    drop(stream);
    while remote.snapshots().expect("it answers")[0].1.in_flight > 0 {
        thread::yield_now();
    }
    // A process that hangs reports nothing until it goes on.
    assert!(heard.try_recv().is_err());
    remote.apply("web-0", &Fault::Restore).expect("it can be done");
    let report = heard.recv_timeout(DEADLINE).expect("a report");
    assert_eq!((report.nonce, report.end), (2, End::Cancelled));
    assert_eq!(visit(3).0, 200);
    assert_eq!(heard.recv_timeout(DEADLINE).expect("a report").nonce, 3);
}

#[test]
fn a_report_that_nobody_takes_is_counted_and_holds_nobody_up() {
    let (remote, endpoint) = start(BackendConfig::default());
    let nobody = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.local_addr().expect("it is bound")
    };
    let (to, heard) = proxy();
    for (nonce, to) in [(1, nobody), (2, to)] {
        let target = signed(&key(), &lasting(nonce, to), &good(endpoint));
        assert_eq!(ask(endpoint, "GET", &target).0, 200);
    }
    assert_eq!(heard.recv_timeout(DEADLINE).expect("a report").nonce, 2);
    while remote.snapshots().expect("it answers")[0].1.unreported == 0 {
        thread::yield_now();
    }
}
