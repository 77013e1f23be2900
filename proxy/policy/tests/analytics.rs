//! What workers know together is what happened.

use std::{net::IpAddr, time::Duration};

use policy::{
    Instant, Seed,
    analytics::{Analytics, AnalyticsConfig, Cached, Ended, Summary},
};

fn minute(number: u64) -> Instant {
    Instant::from_nanos(number * 60_000_000_000)
}

fn config(keys: usize) -> AnalyticsConfig {
    AnalyticsConfig { enabled: true, keys }
}

fn request<'a>(route: &'a str, path: &'a [u8]) -> Ended<'a> {
    Ended {
        route,
        path,
        client: IpAddr::from([192, 0, 2, 1]),
        user_agent: Some(b"a"),
        referer: None,
        status: 200,
        received: 1,
        sent: 10,
        took: Duration::from_millis(3),
        cached: Cached::Apart,
    }
}

#[test]
fn workers_are_put_together() {
    let mut workers = vec![Analytics::new(&config(100)), Analytics::new(&config(100))];
    for (number, worker) in workers.iter_mut().enumerate() {
        worker.note(minute(5), &request("shop", b"/a"));
        worker.note(minute(7), &Ended { status: 503, ..request("", b"/b") });
        let slow = Duration::from_mins(1);
        let cached = if number == 0 { Cached::Hit } else { Cached::Miss };
        worker.note(minute(7), &Ended { took: slow, cached, ..request("shop", b"/a") });
    }
    let v6 = Ended { client: "2001:db8::1".parse().unwrap(), ..request("shop", b"/\xff") };
    workers[1].note(minute(8), &v6);
    let summary = Summary::of(&workers, minute(9), None);
    assert_eq!((summary.requests, summary.error_at_most), (7, 0));
    let paths: Vec<(&str, u64)> =
        summary.paths.iter().map(|line| (&*line.name, line.count)).collect();
    assert_eq!(paths, [("/a", 4), ("/b", 2), ("/\u{fffd}", 1)]);
    let clients: Vec<&str> = summary.clients.iter().map(|line| &*line.name).collect();
    assert_eq!(clients, ["192.0.2.1", "2001:db8::1"]);
    assert!(summary.referers.is_empty());
    let routes: Vec<(&str, u64)> =
        summary.routes.iter().map(|line| (&*line.route, line.figures.requests)).collect();
    assert_eq!(routes, [("", 2), ("shop", 5)]);
    let shop = &summary.routes[1].figures;
    assert_eq!((shop.bytes_sent, shop.cache_ratio), (50, Some(0.5)));
    assert_eq!((shop.p50_ms_at_most, shop.p99_ms_at_most), (Some(5), None));
    let ago: Vec<(u64, u64)> =
        summary.minutes.iter().map(|line| (line.ago, line.figures.requests)).collect();
    assert_eq!(ago, [(1, 1), (2, 4), (4, 2)]);
    let none = Summary::of(&workers, minute(9), Some(""));
    assert_eq!(none.minutes.len(), 1);
    assert_eq!(none.minutes[0].figures.by_status.iter().collect::<Vec<_>>(), [(&"5xx", &2)]);
    // A day later nothing of it is left but the top lists.
    let later = Summary::of(&workers, minute(9 + 1440), None);
    assert!(later.minutes.is_empty() && later.routes.is_empty() && later.requests == 7);
}

#[test]
fn the_memory_has_a_bound() {
    let mut worker = Analytics::new(&config(10));
    let mut rng = Seed(1).rng();
    for number in 0..5000_u64 {
        let route = format!("route-{}", rng.below(1000));
        let path = format!("/{}", rng.bits());
        worker.note(minute(number), &request(&route, path.as_bytes()));
    }
    let summary = Summary::of(&[worker], minute(4999), None);
    assert_eq!((summary.paths.len(), summary.error_at_most), (10, 500));
    assert!(summary.paths.iter().all(|line| line.error <= 500));
    assert!(summary.routes.len() <= 64);
    assert_eq!(summary.minutes.len(), 1440);
    assert!(summary.routes.iter().any(|line| line.route == "(others)"));
}

#[test]
fn impossible_values_are_named() {
    assert_eq!(config(9).problem(), Some(("keys", "must be 10 to 100000".to_owned())));
    assert_eq!(config(10).problem(), None);
}
