//! The service model against cases worked out by hand, and against what must hold always.

use std::time::Duration;

use backend_sim::station::{Discipline, Full, JobId, Layout, Station};
use policy::Instant;
use proptest::prelude::*;

fn station(workers: u32, queue: u32, discipline: Discipline) -> Station {
    Station::new(Layout { workers, queue, discipline, speed: 1.0 })
}

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

fn work(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

/// Lets the station run out: who was finished when.
fn finish(station: &mut Station) -> Vec<(JobId, u64)> {
    let mut all = Vec::new();
    loop {
        let next = station.next_completion();
        if next == Instant::NEVER {
            return all;
        }
        while let Some(completion) = station.complete(next) {
            all.push((completion.job, completion.at.as_nanos()));
        }
    }
}

#[test]
fn fifo_serves_in_order_on_the_worker_that_is_free_first() {
    let mut station = station(2, 10, Discipline::Fifo);
    let a = station.submit(at(0), work(100)).unwrap();
    let b = station.submit(at(10), work(30)).unwrap();
    let c = station.submit(at(10), work(5)).unwrap();
    let d = station.submit(at(20), work(100)).unwrap();
    assert_eq!((station.jobs(), station.waiting(), station.busy_workers()), (4, 2, 2));
    // b 10..40, c 40..45, d 45..145, a 0..100.
    assert_eq!(finish(&mut station), [(b, 40), (c, 45), (a, 100), (d, 145)]);
    assert_eq!(station.busy_time(), work(235));
}

#[test]
fn processor_sharing_gives_each_an_even_share_and_nobody_more_than_a_worker() {
    let mut station = station(2, 10, Discipline::ProcessorSharing);
    let a = station.submit(at(0), work(100)).unwrap();
    let b = station.submit(at(0), work(100)).unwrap();
    // Both run alone until 40; from then on three share two: rate 2/3.
    let c = station.submit(at(40), work(20)).unwrap();
    // c needs 30 of time, until 70; a and b have done 40 + 20 then, and need 40 more at full rate.
    assert_eq!(finish(&mut station), [(c, 70), (a, 110), (b, 110)]);
    assert_eq!(station.busy_time(), work(220));
}

#[test]
fn a_change_of_speed_changes_what_is_left_of_jobs_in_service() {
    for discipline in [Discipline::Fifo, Discipline::ProcessorSharing] {
        let mut station = station(1, 10, discipline);
        let a = station.submit(at(0), work(100)).unwrap();
        station.set_speed(at(50), 0.1);
        assert_eq!(station.next_completion(), at(550));
        station.set_speed(at(150), 0.0);
        assert_eq!(station.next_completion(), Instant::NEVER);
        station.set_speed(at(1000), 4.0);
        // 50 + 10 done; 40 left at four times the speed.
        assert_eq!(finish(&mut station), [(a, 1010)]);
    }
}

#[test]
fn beyond_the_waiting_room_jobs_are_refused() {
    for discipline in [Discipline::Fifo, Discipline::ProcessorSharing] {
        let mut station = station(2, 1, discipline);
        for _ in 0..3 {
            assert!(station.submit(at(0), work(10)).is_ok());
        }
        assert_eq!(station.submit(at(5), work(10)), Err(Full));
        // At 10 under FIFO two leave at that very moment, so there is room again; sharing takes until 15.
        assert!(station.submit(at(15), work(10)).is_ok());
    }
}

#[test]
fn a_cancelled_job_gives_up_its_place_wherever_it_is() {
    let mut station = station(1, 10, Discipline::Fifo);
    let [a, b, c, d] = [0; 4].map(|_| station.submit(at(0), work(100)).unwrap());
    assert!(station.is_waiting(b) && !station.is_waiting(a));
    assert!(station.cancel(at(10), b), "waiting");
    assert!(station.cancel(at(40), a), "in service: c starts at 40");
    assert!(!station.cancel(at(40), a), "twice");
    assert_eq!(station.next_completion(), at(140));
    station.advance(at(140));
    assert!(station.cancel(at(140), c), "finished, not told");
    assert_eq!(finish(&mut station), [(d, 240)]);
    assert_eq!(station.busy_time(), work(240));
}

#[test]
fn starts_are_told_once_and_in_order() {
    let mut station = station(1, 10, Discipline::Fifo);
    let [a, b, c] = [0; 3].map(|_| station.submit(at(0), work(100)).unwrap());
    assert_eq!((station.take_started(), station.take_started()), (Some(a), None));
    station.cancel(at(1), b);
    station.cancel(at(1), a);
    assert_eq!((station.take_started(), station.take_started()), (Some(c), None));
}

#[test]
fn a_late_call_finishes_each_job_at_its_own_time() {
    let mut station = station(1, 10, Discipline::Fifo);
    let [a, b] = [0; 2].map(|_| station.submit(at(0), work(100)).unwrap());
    let late = at(1_000_000);
    assert_eq!(station.complete(late).map(|c| (c.job, c.at)), Some((a, at(100))));
    assert_eq!(station.complete(late).map(|c| (c.job, c.at)), Some((b, at(200))));
    assert_eq!(station.busy_time(), work(200));
}

#[test]
fn a_cleared_station_is_empty_and_knows_nobody() {
    let mut station = station(1, 1, Discipline::Fifo);
    let old = [0; 2].map(|_| station.submit(at(0), work(100)).unwrap());
    station.clear(at(50));
    assert_eq!((station.jobs(), station.next_completion()), (0, Instant::NEVER));
    let new = station.submit(at(60), work(100)).unwrap();
    assert!(old.iter().all(|&job| !station.holds(job) && !station.cancel(at(70), job)));
    assert_eq!(finish(&mut station), [(new, 160)]);
}

#[test]
fn a_slab_that_is_warm_is_used_again() {
    let mut station = station(1, 3, Discipline::Fifo);
    let mut highest = 0;
    for i in 0..1000 {
        highest = highest.max(station.submit(at(i * 10), work(10)).unwrap().index());
        while station.complete(at(i * 10)).is_some() {}
    }
    assert!(highest < 4, "{highest}");
}

#[test]
fn marks_stay_exact_over_days_without_a_pause() {
    let mut station = station(1, 1, Discipline::Fifo);
    let hour = 3_600_000_000_000;
    for i in 0..100 {
        station.submit(at(i * hour), work(hour + 1)).unwrap();
        while let Some(completion) = station.complete(at((i + 1) * hour)) {
            // One nanosecond later each time: it never idles.
            assert_eq!(completion.at.as_nanos() % hour, completion.at.as_nanos() / hour);
        }
    }
}

/// Arrivals as (gap, demand), in nanoseconds.
fn arrivals() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((0..200_u64, 0..500_u64), 1..60)
}

fn disciplines() -> impl Strategy<Value = Discipline> {
    prop_oneof![Just(Discipline::Fifo), Just(Discipline::ProcessorSharing)]
}

fn times(arrivals: &[(u64, u64)]) -> Vec<(u64, u64)> {
    arrivals
        .iter()
        .scan(0, |now, (gap, demand)| {
            *now += gap;
            Some((*now, *demand))
        })
        .collect()
}

/// Egalitarian processor sharing by brute force: from one event to the next, in floating point.
fn shared(arrivals: &[(u64, u64)], workers: f64) -> Vec<f64> {
    let mut left: Vec<f64> = arrivals.iter().map(|(_, demand)| *demand as f64).collect();
    let mut finished = vec![f64::NAN; arrivals.len()];
    let (mut now, mut next) = (0.0, 0);
    let mut here: Vec<usize> = Vec::new();
    while next < arrivals.len() || !here.is_empty() {
        let rate = (workers / here.len() as f64).min(1.0);
        let ends = here.iter().map(|&i| now + left[i] / rate).fold(f64::INFINITY, f64::min);
        let begins = arrivals.get(next).map_or(f64::INFINITY, |(at, _)| *at as f64);
        let then = ends.min(begins);
        for &i in &here {
            left[i] -= (then - now) * rate;
        }
        now = then;
        here.retain(|&i| {
            if left[i] <= 1e-6 {
                finished[i] = now;
            }
            left[i] > 1e-6
        });
        if begins <= ends {
            here.push(next);
            next += 1;
        }
    }
    finished
}

proptest! {
    #[test]
    fn fifo_finishes_when_the_free_workers_say(arrivals in arrivals(), workers in 1_u32..5) {
        // Kiefer and Wolfowitz: each job goes to the worker that is free first.
        let arrivals = times(&arrivals);
        let mut free = vec![0_u64; workers as usize];
        let expected: Vec<u64> = arrivals.iter().map(|(at, demand)| {
            let first = free.iter_mut().min().unwrap();
            *first = (*first).max(*at) + demand;
            *first
        }).collect();
        let mut station = station(workers, 1000, Discipline::Fifo);
        let jobs: Vec<JobId> = arrivals.iter().map(|(when, demand)| {
            station.submit(at(*when), work(*demand)).unwrap()
        }).collect();
        let mut finished = finish(&mut station);
        prop_assert!(finished.is_sorted_by_key(|(_, at)| *at));
        finished.sort_by_key(|(job, _)| jobs.iter().position(|known| known == job));
        prop_assert_eq!(finished.iter().map(|(_, at)| *at).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn sharing_finishes_when_brute_force_says(arrivals in arrivals(), workers in 1_u32..5) {
        let arrivals = times(&arrivals);
        let expected = shared(&arrivals, f64::from(workers));
        let mut station = station(workers, 1000, Discipline::ProcessorSharing);
        let jobs: Vec<JobId> = arrivals.iter().map(|(when, demand)| {
            station.submit(at(*when), work(*demand)).unwrap()
        }).collect();
        for (job, at) in finish(&mut station) {
            let expected = expected[jobs.iter().position(|known| *known == job).unwrap()];
            // Finishing times are whole nanoseconds, and each rounding may move the later ones.
            prop_assert!((at as f64 - expected).abs() <= 2.0, "{at} for {expected}");
        }
    }

    #[test]
    fn work_is_conserved(
        arrivals in arrivals(),
        workers in 1_u32..5,
        discipline in disciplines(),
        speeds in prop::collection::vec(0.1_f64..8.0, 1..6),
    ) {
        // However the speed changes, workers' time is the work done by the speed at which it was done.
        let mut station = station(workers, 1000, discipline);
        let (mut offered, mut done, mut before) = (0.0, 0.0, Duration::ZERO);
        let mut speed = 1.0;
        for (i, (when, demand)) in times(&arrivals).into_iter().enumerate() {
            station.submit(at(when), work(demand)).unwrap();
            offered += demand as f64;
            let busy = station.busy_time();
            done += busy.saturating_sub(before).as_nanos() as f64 * speed;
            before = busy;
            if i % 7 == 3 {
                speed = speeds[i % speeds.len()];
                station.set_speed(at(when), speed);
            }
        }
        let count = finish(&mut station).len();
        done += station.busy_time().saturating_sub(before).as_nanos() as f64 * speed;
        prop_assert_eq!(count, arrivals.len());
        // Each finishing time is rounded up by less than a nanosecond, of at most all workers at the highest speed.
        let rounding = count as f64 * f64::from(workers) * 8.0;
        prop_assert!(done >= offered - 0.1 && done <= offered + rounding, "{done} of {offered}");
    }

    #[test]
    fn whatever_is_cancelled_the_others_are_served_and_the_books_balance(
        script in prop::collection::vec((0..100_u64, 0..400_u64, 0..4_u8, any::<prop::sample::Index>()), 1..80),
        workers in 1_u32..4,
        queue in 0_u32..6,
        discipline in disciplines(),
    ) {
        let mut station = station(workers, queue, discipline);
        let mut here: Vec<JobId> = Vec::new();
        let (mut now, mut last) = (0, 0);
        for (gap, demand, what, which) in script {
            now += gap;
            if what == 0 && !here.is_empty() {
                let job = here.swap_remove(which.index(here.len()));
                prop_assert!(station.cancel(at(now), job));
            } else if let Ok(job) = station.submit(at(now), work(demand)) {
                here.push(job);
            } else {
                prop_assert_eq!(station.jobs(), (workers + queue) as usize, "refused too early");
            }
            while let Some(completion) = station.complete(at(now)) {
                prop_assert!(completion.at.as_nanos() >= last && completion.at.as_nanos() <= now);
                last = completion.at.as_nanos();
                let known = here.iter().position(|job| *job == completion.job);
                here.swap_remove(known.expect("only jobs that are here are finished"));
            }
            prop_assert_eq!(station.jobs(), here.len());
            prop_assert!(station.waiting() == 0 || station.busy_workers() == workers, "a worker idles");
        }
        prop_assert_eq!(finish(&mut station).len(), here.len());
        prop_assert_eq!(station.jobs(), 0);
    }
}
