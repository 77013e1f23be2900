//! Faults while it runs, in simulated time: what each does, and whom it has hit.

mod support;

use backend_sim::{BackendConfig, Fault, FaultHits};
use http::Request;
use http_body_util::Full;
use net::Net;
use policy::work::ID_HEADER;
use support::{address, get, with};

#[test]
fn slow_stretches_what_is_left_and_restore_ends_it() {
    with(&BackendConfig::default(), async |bench| {
        let control = bench.endpoint.control().clone();
        let (first, second) = (bench.start(100).await, bench.start(100).await);
        bench.sleep(50).await;
        control.slow(20.0).unwrap();
        // 50 left, twentyfold: until 1050. The second has done 10 of 100 at 1250.
        assert_eq!(first.await.unwrap().unwrap(), (200, 1050));
        bench.sleep(200).await;
        control.restore();
        assert_eq!(second.await.unwrap().unwrap(), (200, 1340));
        assert_eq!(bench.ask(get(10)).await.unwrap().at, 1350);
        assert_eq!(control.snapshot().hits, FaultHits { slow: 2, ..FaultHits::default() });
    });
}

#[test]
fn a_failing_endpoint_answers_its_status_at_once_and_so_does_its_health_check() {
    with(&BackendConfig::default(), async |bench| {
        let control = bench.endpoint.control();
        control.fail(500, 1.0).unwrap();
        let answer = bench.ask(get(100)).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.at), (500, 0));
        let health = || Request::get("/healthz").body(Full::default()).unwrap();
        assert_eq!(bench.ask(health()).await.unwrap().status, 500);
        control.restore();
        assert_eq!(bench.ask(get(100)).await.unwrap().status, 200);
        assert_eq!(bench.ask(health()).await.unwrap().status, 200);
        let seen = control.snapshot();
        assert_eq!((seen.failed, seen.completed, seen.hits.fail), (1, 1, 2));
    });
}

/// Who fails with a success has to be believed: a client that checks the body finds nothing wrong with it.
#[test]
fn a_failure_that_says_that_it_succeeded_has_the_body_of_a_success() {
    with(&BackendConfig::default(), async |bench| {
        let numbered = || Request::get("/").header(ID_HEADER, "7").body(Full::default()).unwrap();
        let honest = bench.ask(numbered()).await.unwrap().body;
        bench.endpoint.control().fail(200, 1.0).unwrap();
        let answer = bench.ask(numbered()).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body), (200, honest));
        assert_eq!(bench.endpoint.control().snapshot().failed, 1);
    });
}

#[test]
fn a_fault_that_nobody_meets_has_hit_nobody() {
    with(&BackendConfig::default(), async |bench| {
        let control = bench.endpoint.control();
        for fault in [
            Fault::Slow { factor: 2.0 },
            Fault::Fail { status: 500, probability: 1.0 },
            Fault::Hang,
            Fault::Crash,
            Fault::Restart,
            Fault::Restore,
        ] {
            control.apply(&fault).unwrap();
            control.settled().await.unwrap();
        }
        assert_eq!(bench.ask(get(10)).await.unwrap().status, 200);
        assert_eq!(control.snapshot().hits, FaultHits::default());
    });
}

#[test]
fn a_hanging_endpoint_accepts_and_answers_nobody_until_it_is_restored() {
    with(&BackendConfig::default(), async |bench| {
        let control = bench.endpoint.control().clone();
        let served = bench.start(100).await;
        bench.sleep(40).await;
        control.hang();
        let (idle, other) = (bench.start(0).await, bench.start(30).await);
        bench.sleep(3_600_000_000).await;
        assert!(!served.is_finished() && !idle.is_finished() && !other.is_finished());
        assert_eq!(control.snapshot().in_flight, 3);
        control.restore();
        // It goes on where it was: 60 are left.
        assert_eq!(served.await.unwrap().unwrap(), (200, 3_600_000_100));
        assert_eq!(other.await.unwrap().unwrap(), (200, 3_600_000_130));
        assert_eq!(idle.await.unwrap().unwrap().0, 200);
        assert_eq!(control.snapshot().hits.hang, 3);
    });
}

#[test]
fn a_crash_resets_all_and_loses_their_jobs() {
    with(&BackendConfig::default(), async |bench| {
        let control = bench.endpoint.control().clone();
        let (served, waiting) = (bench.start(100).await, bench.start(100).await);
        let mut idle = bench.connect().await;
        idle.ready().await.unwrap();
        bench.settle().await;
        control.crash();
        control.settled().await.unwrap();
        assert!(served.await.unwrap().is_err() && waiting.await.unwrap().is_err());
        assert!(bench.net.connect(address(80)).await.is_err());
        assert_eq!(bench.micros(), 0, "at once");
        let seen = control.snapshot();
        assert_eq!((seen.resets, seen.hits.crash, seen.cancelled), (3, 3, 2));
        assert_eq!((seen.in_flight, seen.waiting, seen.open_connections), (0, 0, 0));

        bench.sleep(500).await;
        control.restart();
        control.settled().await.unwrap();
        // Cold: nothing is left of what it was doing.
        assert_eq!(bench.ask(get(30)).await.unwrap().at, 530);
    });
}

#[test]
fn a_restart_of_what_runs_is_a_crash_first_and_takes_every_fault_away() {
    with(&BackendConfig::default(), async |bench| {
        let control = bench.endpoint.control().clone();
        control.slow(10.0).unwrap();
        control.fail(500, 1.0).unwrap();
        control.hang();
        let lost = bench.start(10).await;
        control.restart();
        control.settled().await.unwrap();
        assert!(lost.await.unwrap().is_err());
        let answer = bench.ask(get(10)).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.at), (200, 10));
    });
}

#[test]
fn an_address_that_is_taken_is_reported_and_tried_again() {
    with(&BackendConfig::default(), async |bench| {
        let control = bench.endpoint.control().clone();
        control.crash();
        control.settled().await.unwrap();
        let thief = bench.net.bind(address(80), net::BindOptions::default()).await.unwrap();
        control.restore();
        assert_eq!(control.settled().await.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
        drop(thief);
        bench.sleep(60_000).await;
        assert_eq!(bench.ask(get(0)).await.unwrap().status, 200);
    });
}
