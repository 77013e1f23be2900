//! The generator where time is exact: what is sent when, and what is counted as what.

#![allow(clippy::float_cmp, reason = "counts, and times in virtual time, are exact")]

mod support;

use std::{sync::Arc, time::Duration};

use loadgen::{
    Carry, End, NamedLoad, Plan, Progress, Stopper,
    config::{Arrivals, Trace, TraceFormat},
    schedule::{OpenSchedule, Route, trace::TraceRequests},
    validity,
};
use net::Net;
use policy::{Instant, Seed};
use support::{HERE, Pipes, figure, measure, named, paused, plan, run, serve};

#[test]
fn an_open_loop_waits_for_nobody_and_charges_what_stood_still() {
    paused(async |net: Pipes| {
        let (_, seen) = serve(&net, HERE).await;
        // 100 a second for 2 s, each 5 ms of work; the server stands still from the start until 1 s.
        let load = named(
            "even",
            "arrivals = { constant = { rate = 100 } }\nrequest = [{ work = { constant = \"5ms\" } }]",
        );
        let start = net.clock().now();
        seen.stands_still_until.set(start + Duration::from_secs(1));
        let (ledger, end) = run(&net, &plan(HERE, Some(2.0), &[load])).await;
        assert_eq!(end, End::Complete);
        let measured = measure(&ledger);
        assert_eq!(figure(&measured, "ok"), 200.0);
        assert_eq!(
            figure(&measured, "latency.max"),
            1005.0,
            "the first waited for the whole second"
        );
        assert_eq!(figure(&measured, "service_time.max"), 1005.0);
        // The one due at 0.5 s took 505 ms; half of them had to wait, so the median is about 5 ms.
        assert!((figure(&measured, "latency.p90") - 800.0).abs() < 20.0);
        assert_eq!(seen.most_in_flight.get(), 101, "all that were due in that second were sent");
        assert_eq!(figure(&measured, "sent_late"), 0.0);
        assert_eq!(ledger.connections, seen.connections.get());
        assert!(validity::problems(&ledger, &measured).is_empty());
    });
}

#[test]
fn connections_are_used_again_last_in_first_out() {
    paused(async |net: Pipes| {
        let (_, seen) = serve(&net, HERE).await;
        let load = named("even", "arrivals = { constant = { rate = 100 } }");
        let (ledger, _) = run(&net, &plan(HERE, Some(1.0), &[load])).await;
        assert_eq!((seen.requests.get(), seen.connections.get()), (100, 1));
        assert_eq!((ledger.connections, ledger.resent), (1, 0));
        let load = named(
            "even",
            "arrivals = { constant = { rate = 100 } }\nconnections = \"per_request\"",
        );
        let (ledger, _) = run(&net, &plan(HERE, Some(1.0), &[load])).await;
        assert_eq!((ledger.connections, seen.connections.get()), (100, 101));
        assert_eq!(figure(&measure(&ledger), "ok"), 100.0);
    });
}

#[test]
fn a_connection_serves_the_proxy_that_it_leads_to() {
    paused(async |net: Pipes| {
        let (_, seen) = serve(&net, HERE).await;
        let text = "arrivals = { constant = { rate = 100 } }";
        let to_three = |load| Plan { addresses: vec![HERE; 3], ..plan(HERE, Some(1.0), &[load]) };
        let (ledger, _) = run(&net, &to_three(named("even", text))).await;
        assert_eq!((ledger.connections, seen.requests.get()), (3, 100));
        // With room for one, the one that idles at another proxy makes way.
        let load = named("even", &format!("{text}\nmax_connections = 1"));
        let route = Route::new(&load, Seed(7), 3);
        let end = Instant::from_nanos(1_000_000_000);
        let schedule = OpenSchedule::new(0, &load, Seed(7), end).unwrap();
        let proxies: Vec<u32> = schedule.map(|planned| route.proxy(&planned)).collect();
        let changes = proxies.windows(2).filter(|pair| pair[0] != pair[1]).count() as u64;
        let (ledger, _) = run(&net, &to_three(load)).await;
        assert_eq!(ledger.connections, changes + 1);
        assert_eq!(figure(&measure(&ledger), "ok"), 100.0);
    });
}

#[test]
fn beyond_the_bound_requests_are_dropped_and_the_run_is_invalid() {
    paused(async |net: Pipes| {
        let (_, seen) = serve(&net, HERE).await;
        let load = named(
            "tight",
            "arrivals = { constant = { rate = 100 } }\nmax_connections = 10\nrequest = [{ work = { constant = \"1s\" } }]",
        );
        let (ledger, _) = run(&net, &plan(HERE, Some(1.0), &[load])).await;
        let measured = measure(&ledger);
        assert_eq!(seen.most_in_flight.get(), 10);
        assert_eq!((figure(&measured, "dropped"), figure(&measured, "ok")), (90.0, 10.0));
        let problems = validity::problems(&ledger, &measured);
        assert!(problems[0].contains("of 100 requests that were due only 10 were sent (10.0 %)"));
        assert_eq!(ledger.failures["dropped"].count, 90);
    });
}

#[test]
fn a_closed_loop_is_bound_by_its_answers() {
    paused(async |net: Pipes| {
        let (_, seen) = serve(&net, HERE).await;
        let load = named(
            "users",
            "users = 4\nthink = { constant = \"5ms\" }\nrequest = [{ path = \"/{key}\", key = { sequential = { n = 3 } }, work = { constant = \"5ms\" } }]",
        );
        let (ledger, _) = run(&net, &plan(HERE, Some(1.0), &[load])).await;
        let measured = measure(&ledger);
        // Each user: a part of 5 ms, 1 ms to connect, then 10 ms a round: 99 or 100 rounds in a second.
        let count = figure(&measured, "ok");
        assert!((396.0..=400.0).contains(&count), "{count}");
        assert_eq!(seen.connections.get(), 4);
        assert_eq!(figure(&measured, "latency.max"), 6.0, "connecting counts");
        assert!((figure(&measured, "latency.p50") - 5.0).abs() < 0.01);
        assert!(seen.paths.borrow().iter().all(|path| ["/1", "/2", "/3"].contains(&path.as_str())));
        assert_eq!(seen.clients.borrow()[..4].len(), 4);
        assert!(validity::problems(&ledger, &measured).is_empty(), "no rate was asked for");
    });
}

#[test]
fn content_must_be_what_was_asked_for() {
    paused(async |net: Pipes| {
        serve(&net, HERE).await;
        let load = |path: &str| {
            let request =
                format!("request = [{{ path = \"{path}\", key = {{ uniform = {{ n = 9 }} }} }}]");
            named("load", &format!("arrivals = {{ constant = {{ rate = 10 }} }}\n{request}"))
        };
        // By whom it was answered first, and that it was kept: an answer that is shown again is no endpoint's work.
        for (path, share) in [("/content/{key}", 10.0), ("/content/{key}/kept", 0.0)] {
            let (ledger, _) = run(&net, &plan(HERE, Some(1.0), &[load(path)])).await;
            let measured = measure(&ledger);
            assert_eq!(figure(&measured, "ok"), 10.0, "{path}: {:?}", ledger.failures);
            assert_eq!(figure(&measured, "endpoint.web-1.requests"), share, "{path}");
        }
        let plan = plan(HERE, Some(1.0), &[load("/other")]);
        let (ledger, _) = run(&net, &plan).await;
        assert_eq!(figure(&measure(&ledger), "failed.body_mismatch"), 10.0);
        let why = &ledger.failures["failed.body_mismatch"].example;
        assert!(why.contains("the answer is not for /other"), "{why}");
        // Where somebody between rewrites targets, it may be what stands elsewhere, and must be that byte by byte.
        let rewritten = Plan { carry: Carry::Rewritten, ..plan };
        let (ledger, _) = run(&net, &rewritten).await;
        assert_eq!(figure(&measure(&ledger), "ok"), 10.0, "{:?}", ledger.failures);
    });
}

#[test]
fn patience_ends_and_the_connection_with_it() {
    paused(async |net: Pipes| {
        let (_, seen) = serve(&net, HERE).await;
        let load = named(
            "short",
            "arrivals = { constant = { rate = 10 } }\ntimeout = \"30ms\"\nrequest = [{ work = { bimodal = { fast = \"1ms\", slow = \"1s\", slow_share = 0.5 } } }]",
        );
        let (ledger, _) = run(&net, &plan(HERE, Some(10.0), &[load])).await;
        let measured = measure(&ledger);
        let (ok, out) = (figure(&measured, "ok"), figure(&measured, "timed_out"));
        assert!(ok + out == 100.0 && (30.0..70.0).contains(&out), "{ok} {out}");
        assert_eq!(figure(&measured, "latency.max"), 30.0, "patience, to the microsecond");
        assert_eq!(ledger.failures["timed_out"].count as f64, out);
        assert!(ledger.connections as f64 >= out && ledger.resent == 0);
        assert_eq!(seen.requests.get(), 100);
    });
}

#[test]
fn a_stop_ends_the_run_with_what_there_is() {
    paused(async |net: Pipes| {
        let (_, _) = serve(&net, HERE).await;
        let open = named(
            "open",
            "arrivals = { constant = { rate = 10 } }\nrequest = [{ work = { constant = \"250ms\" } }]",
        );
        let closed = named("closed", "users = 3\nrequest = [{ work = { constant = \"250ms\" } }]");
        let (stopper, stop) = Stopper::new();
        let clock = *net.clock();
        tokio::task::spawn_local(async move {
            clock.sleep(Duration::from_millis(1049)).await;
            stopper.stop();
        });
        let progress = Arc::new(Progress::default());
        let plan = plan(HERE, Some(60.0), &[open, closed]);
        let start = clock.now();
        let (ledger, end) =
            loadgen::run(&net, &plan, start, Arc::clone(&progress), stop).await.unwrap();
        assert_eq!(end, End::Stopped(Duration::from_millis(1049)));
        assert_eq!(clock.now(), start + Duration::from_millis(1049));
        let End::Stopped(at) = end else { unreachable!() };
        let measured = ledger.recorder.clone().finish_at(at);
        // Open: 11 due by then, those of the last 250 ms (and the 1 ms to connect) under way. Closed: 4 rounds.
        assert_eq!(figure(&measured, "load.open.ok"), 8.0);
        assert_eq!(figure(&measured, "load.closed.ok"), 12.0);
        assert_eq!(ledger.abandoned, 6);
        let snapshot = progress.snapshot();
        assert_eq!((snapshot.sent, snapshot.finished, snapshot.ok), (26, 20, 20));
        assert_eq!(snapshot.bytes, 2000);
    });
}

#[test]
fn a_limit_ends_a_load_and_late_starts_are_waited_for() {
    paused(async |net: Pipes| {
        let (_, seen) = serve(&net, HERE).await;
        let open = named("open", "arrivals = { poisson = { rate = 100 } }\nrequests = 7");
        let closed = named("closed", "users = 3\nrequests = 8");
        let plan = plan(HERE, None, &[open, closed]);
        let start = net.clock().now() + Duration::from_secs(3);
        let stop = loadgen::Stop::never();
        let run = loadgen::run(&net, &plan, start, Arc::new(Progress::default()), stop).await;
        let (ledger, end) = run.unwrap();
        assert_eq!((end, seen.requests.get()), (End::Complete, 15));
        assert!(net.clock().now() >= start);
        assert!(ledger.last < 1_000_000_000, "counted from the start of the run");
    });
}

#[test]
fn two_runs_of_a_seed_are_the_same() {
    fn once() -> (String, Vec<String>) {
        let mut result = None;
        paused(async |net: Pipes| {
            let (_, seen) = serve(&net, HERE).await;
            let open = named(
                "open",
                "arrivals = { poisson = { rate = 500 } }\nclients = 9\nrequest = [{ path = \"/i/{key}\", key = { zipf = { n = 50, s = 1 } }, work = { exponential = { mean = \"3ms\" } }, size = { uniform = { min = \"0B\", max = \"100KiB\" } } },\n{ method = \"POST\", body = { exponential = { mean = \"50KiB\" } } }]",
            );
            let closed =
                named("closed", "users = 20\nthink = { exponential = { mean = \"20ms\" } }");
            let (ledger, _) = run(&net, &plan(HERE, Some(2.0), &[open, closed])).await;
            let measured = measure(&ledger);
            assert_eq!(figure(&measured, "failed"), 0.0, "{:?}", ledger.failures);
            assert!(figure(&measured, "bytes_in") > 1e7 && figure(&measured, "bytes_out") > 1e7);
            let paths = seen.paths.borrow().clone();
            result = Some((format!("{:?} {:?}", measured.metrics, ledger.connections), paths));
        });
        result.expect("the test ran")
    }
    let first = once();
    assert!(first.1.len() > 1500);
    assert_eq!(first, once());
}

#[test]
fn nobody_there_is_refused_and_not_hammered_at() {
    paused(async |net: Pipes| {
        let load = named("users", "users = 2");
        let (ledger, _) = run(&net, &plan(HERE, Some(1.0), &[load])).await;
        let measured = measure(&ledger);
        // A millisecond to be refused, ten to wait.
        assert_eq!(figure(&measured, "refused"), 182.0);
        assert!(ledger.failures["refused"].example.starts_with("no connection: "));
        assert_eq!(net.clock().now(), Instant::from_nanos(1_001_000_000));
    });
}

#[test]
fn a_trace_is_sent_at_its_own_times_and_speed() {
    paused(async |net: Pipes| {
        let (_, seen) = serve(&net, HERE).await;
        let csv = "at,method,path,size\n1,HEAD,/a,5000\n3,POST,/b,\n3.5,GET,/c,70000\n";
        let load = NamedLoad {
            name: "replay".to_owned(),
            load: loadgen::Load {
                arrivals: Some(Arrivals::Trace(Trace {
                    file: "trace.csv".to_owned(),
                    speed: 2.0,
                    format: TraceFormat::Csv,
                    requests: Arc::new(TraceRequests::read(csv, TraceFormat::Csv).unwrap()),
                })),
                ..loadgen::Load::default()
            },
            work: None,
        };
        let (ledger, _) = run(&net, &plan(HERE, Some(5.0), &[load])).await;
        let measured = measure(&ledger);
        assert_eq!(figure(&measured, "ok"), 3.0, "{:?}", ledger.failures);
        assert_eq!(*seen.paths.borrow(), ["/a", "/b", "/c"]);
        assert_eq!(figure(&measured, "bytes_in"), 100.0 + 70_000.0, "HEAD has no body");
        assert_eq!(
            net.clock().now(),
            Instant::from_nanos(1_750_000_000),
            "3.5 s at twice the speed"
        );
    });
}
