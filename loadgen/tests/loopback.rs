//! The generator on real sockets: what servers do to their clients.

#![allow(clippy::float_cmp, reason = "counts, and times in virtual time, are exact")]

mod support;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    thread,
};

use support::{HERE, figure, measure, named, plan, real, run, serve};

fn any() -> SocketAddr {
    SocketAddr::new(HERE.ip(), 0)
}

#[test]
fn every_kind_of_ending_has_its_count() {
    real(async |net: net::Real| {
        let (address, seen) = serve(&net, any()).await;
        let cases = [
            ("/", "ok"),
            ("/close", "ok"),
            ("/status/404", "failed.status_4xx"),
            ("/status/500", "failed.status_5xx"),
            ("/status/503", "refused"),
            ("/status/302", "ok"),
            ("/wrong", "failed.body_mismatch"),
            ("/short", "failed.body_mismatch"),
        ];
        for (path, metric) in cases {
            let text = format!(
                "users = 3\nrequests = 20\nrequest = [{{ path = \"{path}\", size = {{ constant = \"3KiB\" }} }}]"
            );
            let (ledger, _) = run(&net, &plan(address, None, &[named("l", &text)])).await;
            let measured = measure(&ledger);
            assert_eq!(figure(&measured, metric), 20.0, "{path}: {:?}", ledger.failures);
            assert_eq!(figure(&measured, "endpoint.web-1.requests"), 20.0);
        }
        let text =
            "users = 1\nrequests = 5\nrequest = [{ path = \"/status/404\", expect = [404] }]";
        let (ledger, _) = run(&net, &plan(address, None, &[named("l", text)])).await;
        assert_eq!(figure(&measure(&ledger), "ok"), 5.0);
        assert_eq!(seen.requests.get(), 8 * 20 + 5);
    });
}

#[test]
fn large_bodies_arrive_both_ways() {
    real(async |net: net::Real| {
        let (address, _) = serve(&net, any()).await;
        let text = "users = 2\nrequests = 6\nrequest = [{ method = \"PUT\", body = { constant = \"3MiB\" }, size = { constant = \"2MiB\" } }]";
        let (ledger, _) = run(&net, &plan(address, None, &[named("l", text)])).await;
        let measured = measure(&ledger);
        assert_eq!(figure(&measured, "ok"), 6.0, "{:?}", ledger.failures);
        assert_eq!(figure(&measured, "bytes_out"), 6.0 * 3.0 * 1_048_576.0);
        assert_eq!(figure(&measured, "bytes_in"), 6.0 * 2.0 * 1_048_576.0);
    });
}

/// Answer so many requests, then send this and close.
type Script = (usize, &'static [u8]);

/// A server that gives each connection the next of these scripts.
fn scripted(scripts: Vec<Script>) -> (SocketAddr, thread::JoinHandle<usize>) {
    let listener = TcpListener::bind(any()).unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let mut requests = 0;
        for (answers, last) in scripts {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buf = [0; 4096];
            for _ in 0..answers {
                if stream.read(&mut buf).unwrap_or(0) == 0 {
                    return requests;
                }
                requests += 1;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
            }
            // The next request is taken, and then the connection ends without a word of it, or in the middle of one.
            if stream.read(&mut buf).unwrap_or(0) == 0 {
                return requests;
            }
            requests += 1;
            let _ = stream.write_all(last);
        }
        requests
    });
    (address, server)
}

#[test]
fn a_connection_that_was_closed_while_idle_is_nobodys_failure() {
    let (address, server) = scripted(vec![(3, b""), (4, b""), (100, b"")]);
    real(async |net: net::Real| {
        let load = named("l", "users = 1\nrequests = 20");
        let (ledger, _) = run(&net, &plan(address, None, &[load])).await;
        let measured = measure(&ledger);
        assert_eq!(figure(&measured, "ok"), 20.0, "{:?}", ledger.failures);
        assert_eq!((ledger.connections, ledger.resent), (3, 2));
    });
    assert_eq!(server.join().unwrap(), 22);
}

#[test]
fn what_is_not_that_race_is_a_failure() {
    let cases: [(&str, Vec<Script>, &str); 4] = [
        // A POST may have had its effect.
        ("method = \"POST\"", vec![(1, b""), (9, b"")], "failed.reset"),
        // On a fresh connection nothing was idle.
        ("method = \"GET\"", vec![(0, b""), (9, b"")], "failed.reset"),
        // A byte of an answer has come.
        ("method = \"GET\"", vec![(1, b"HTTP/1.1 200"), (9, b"")], "failed.reset"),
        // This is not HTTP.
        ("method = \"GET\"", vec![(1, b"SSH-2.0-OpenSSH\r\n\r\n"), (9, b"")], "failed.protocol"),
    ];
    for (method, scripts, metric) in cases {
        let (address, server) = scripted(scripts);
        real(async |net: net::Real| {
            let load = named("l", &format!("users = 1\nrequests = 5\nrequest = [{{ {method} }}]"));
            let (ledger, _) = run(&net, &plan(address, None, &[load])).await;
            let measured = measure(&ledger);
            assert_eq!(figure(&measured, metric), 1.0, "{method}: {:?}", ledger.failures);
            assert_eq!((figure(&measured, "ok"), ledger.resent), (4.0, 0));
        });
        server.join().unwrap();
    }
}

#[test]
fn an_answer_cut_short_is_a_failure() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nonly";
    let (address, server) = scripted(vec![(0, cut), (9, b"")]);
    real(async |net: net::Real| {
        let load = named("l", "users = 1\nrequests = 2");
        let (ledger, _) = run(&net, &plan(address, None, &[load])).await;
        assert_eq!(figure(&measure(&ledger), "failed.reset"), 1.0, "{:?}", ledger.failures);
    });
    server.join().unwrap();
}

#[test]
fn a_closed_port_refuses() {
    let address = TcpListener::bind(any()).unwrap().local_addr().unwrap();
    real(async |net: net::Real| {
        let load = named("l", "users = 1\nrequests = 3");
        let (ledger, _) = run(&net, &plan(address, None, &[load])).await;
        assert_eq!(figure(&measure(&ledger), "refused"), 3.0, "{:?}", ledger.failures);
    });
}
