//! The adaptive limit before a queue that can be worked out: `c` servers, one line.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

use policy::{
    Instant, Rng, Seed,
    rate::{AdaptiveConfig, Algorithm, Ended, Overload, Priority, Shares},
};

/// An upstream of so many servers, each of which takes so long on average for a request.
struct Upstream {
    servers: usize,
    service: Duration,
    /// Requests in service: when each is done, and when it was sent.
    busy: BinaryHeap<Reverse<(Instant, Instant)>>,
    line: VecDeque<Instant>,
    rng: Rng,
}

/// Everybody may fill all of it.
const ALL: Shares = Shares { high: 1.0, normal: 1.0, low: 1.0 };

/// What came of a time.
#[derive(Debug, Default)]
struct Seen {
    asked: u32,
    admitted: u32,
    answered: u32,
    /// Response times, in seconds.
    times: Vec<f64>,
}

impl Seen {
    fn quantile(&mut self, q: f64) -> f64 {
        self.times.sort_by(f64::total_cmp);
        self.times[(self.times.len() as f64 * q) as usize]
    }
}

impl Upstream {
    fn new(servers: usize, service: Duration) -> Self {
        let rng = Seed(5).stream("upstream");
        Self { servers, service, busy: BinaryHeap::new(), line: VecDeque::new(), rng }
    }

    fn draw(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-libm::log(self.rng.unit_open()))
    }

    fn begin(&mut self, now: Instant, sent: Instant) {
        let until = now + self.draw(self.service);
        self.busy.push(Reverse((until, sent)));
    }

    /// Poisson arrivals of `rate` a second through the limit, for so long.
    fn run(&mut self, overload: &Overload, start: Instant, time: Duration, rate: f64) -> Seen {
        let mut seen = Seen::default();
        let end = start + time;
        let pause = Duration::from_secs_f64(1.0 / rate);
        let mut next = start + self.draw(pause);
        loop {
            let done = self.busy.peek().map_or(Instant::NEVER, |Reverse((until, _))| *until);
            let now = next.min(done);
            if now >= end {
                return seen;
            }
            if done <= next {
                let Some(Reverse((_, sent))) = self.busy.pop() else { return seen };
                overload.leave(now, sent, Ended::Answered);
                seen.answered += 1;
                seen.times.push(now.since(sent).as_secs_f64());
                if let Some(sent) = self.line.pop_front() {
                    self.begin(now, sent);
                }
            } else {
                next = now + self.draw(pause);
                seen.asked += 1;
                if overload.enter(Priority::Normal, &ALL) {
                    seen.admitted += 1;
                    if self.busy.len() < self.servers {
                        self.begin(now, now);
                    } else {
                        self.line.push_back(now);
                    }
                }
            }
        }
    }
}

fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

#[test]
fn it_finds_the_capacity_and_keeps_the_line_short() {
    for (start, load) in [(20, 2.0), (500, 2.0), (500, 10.0)] {
        let config = AdaptiveConfig { start, ..AdaptiveConfig::default() };
        let overload = Overload::new(&config);
        let mut upstream = Upstream::new(100, Duration::from_millis(20));
        // 5000 a second is what it can do. At first it has less to do, so that what is usual can be learned.
        upstream.run(&overload, at(0), Duration::from_secs(10), 3000.0);
        upstream.run(&overload, at(10), Duration::from_secs(20), 5000.0 * load);
        let mut seen = upstream.run(&overload, at(30), Duration::from_secs(20), 5000.0 * load);
        let limit = overload.limit();
        assert!((100..=200).contains(&limit), "{limit} for 100 servers");
        assert!(f64::from(seen.answered) > 0.97 * 20.0 * 5000.0, "{} answered", seen.answered);
        let median = seen.quantile(0.5);
        assert!(median < 0.040, "the median is {median} s with a service time of 0.02 s");
    }
}

#[test]
fn it_refuses_nobody_while_there_is_room() {
    let overload = Overload::new(&AdaptiveConfig::default());
    let mut upstream = Upstream::new(100, Duration::from_millis(20));
    let seen = upstream.run(&overload, at(0), Duration::from_mins(2), 3000.0);
    assert_eq!(seen.admitted, seen.asked);
}

#[test]
fn it_falls_when_the_upstream_becomes_slow_and_comes_back() {
    let overload = Overload::new(&AdaptiveConfig::default());
    let mut upstream = Upstream::new(100, Duration::from_millis(20));
    upstream.run(&overload, at(0), Duration::from_secs(20), 4000.0);
    let before = overload.limit();
    upstream.service = Duration::from_millis(200);
    upstream.run(&overload, at(20), Duration::from_secs(20), 4000.0);
    let slow = overload.limit();
    assert!(slow * 2 < before, "{before} before, {slow} while slow");
    upstream.service = Duration::from_millis(20);
    upstream.run(&overload, at(40), Duration::from_secs(20), 4000.0);
    let seen = upstream.run(&overload, at(60), Duration::from_secs(20), 4000.0);
    assert_eq!(seen.admitted, seen.asked, "the limit is {}", overload.limit());
}

#[test]
fn an_upstream_that_stays_slower_is_used_as_far_as_it_goes() {
    let overload = Overload::new(&AdaptiveConfig::default());
    let mut upstream = Upstream::new(100, Duration::from_millis(20));
    upstream.run(&overload, at(0), Duration::from_secs(20), 4000.0);
    // Now it can do 500 a second.
    upstream.service = Duration::from_millis(200);
    upstream.run(&overload, at(20), Duration::from_mins(1), 4000.0);
    let mut seen = upstream.run(&overload, at(80), Duration::from_mins(1), 4000.0);
    assert!(f64::from(seen.answered) > 0.9 * 60.0 * 500.0, "{} answered", seen.answered);
    let median = seen.quantile(0.5);
    assert!(median < 0.5, "the median is {median} s with a service time of 0.2 s");
}

#[test]
fn an_overload_that_lasts_does_not_become_normal() {
    let overload = Overload::new(&AdaptiveConfig::default());
    let mut upstream = Upstream::new(50, Duration::from_millis(20));
    upstream.run(&overload, at(0), Duration::from_secs(10), 1500.0);
    upstream.run(&overload, at(10), Duration::from_secs(20), 5000.0);
    let soon = overload.limit();
    upstream.run(&overload, at(30), Duration::from_mins(2), 5000.0);
    let late = overload.limit();
    assert!(f64::from(late) < 1.5 * f64::from(soon), "{soon} after 20 s, {late} after 140 s");
}

#[test]
fn additive_increase_and_multiplicative_decrease() {
    let config = AdaptiveConfig { algorithm: Algorithm::Aimd, ..AdaptiveConfig::default() };
    let overload = Overload::new(&config);
    let fill = || while overload.enter(Priority::Critical, &ALL) {};
    let mut now = Instant::START;
    let mut window = |ended| {
        for _ in 0..500 {
            fill();
            now += Duration::from_millis(1);
            overload.leave(now, now, ended);
        }
        overload.limit()
    };
    let more = window(Ended::Answered);
    assert!((102..=105).contains(&more), "{more}");
    let less = window(Ended::Dropped);
    assert!(less < 90, "{less}");
}

#[test]
fn it_stays_within_its_bounds() {
    let config = AdaptiveConfig { min: 30, max: 120, ..AdaptiveConfig::default() };
    let overload = Overload::new(&config);
    let mut upstream = Upstream::new(1000, Duration::from_millis(20));
    upstream.run(&overload, at(0), Duration::from_secs(20), 20_000.0);
    assert_eq!(overload.limit(), 120);
    upstream.service = Duration::from_secs(2);
    let limits = (20..80).map(|second| {
        upstream.run(&overload, at(second), Duration::from_secs(1), 20_000.0);
        overload.limit()
    });
    assert_eq!(limits.min(), Some(30));
}
