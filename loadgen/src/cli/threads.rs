//! Running a plan on threads.
//!
//! Each thread has a runtime, a part of the schedule and a ledger of its own; nothing is shared but the clock, so
//! that all of them mean the same moment. The main thread shows the progress and waits for Ctrl-C.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use loadgen::{Carry, End, Ledger, Load, NamedLoad, Plan, Progress, Share, Stop, Stopper};
use net::{Net, Real};
use policy::Seed;
use reports::RecorderConfig;
use tokio::sync::mpsc;

use super::{Failure, args::Args, target::Target, watch::Watch};

/// The threads get so long to be ready before the first request is due.
const READY: Duration = Duration::from_millis(20);

/// A runtime of one thread.
pub(crate) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

type Outcome = Result<(Ledger, End), String>;

/// Sends the load and returns what all threads have seen.
pub(crate) fn run(
    args: &Args,
    target: &Target,
    load: Load,
    payload: Option<Bytes>,
) -> Result<(Ledger, End), Failure> {
    let impossible = |error: io::Error| Failure::Impossible(error.to_string());
    let main = runtime().map_err(impossible)?;
    let _entered = main.enter();
    let net = Real::new();
    let start = net.clock().now() + READY;
    let threads = load.users.map_or(args.threads, |users| args.threads.min(users));
    let named = NamedLoad { name: "load".to_owned(), load, work: None };
    let plan = Plan {
        loads: vec![named],
        seed: Seed(args.seed),
        duration: args.lasts(),
        addresses: vec![target.address],
        host: target.url.authority.clone(),
        recorder: RecorderConfig::new(args.lasts(), args.warmup.0),
        carry: Carry::Nothing,
        payload,
        share: Share::WHOLE,
        only: None,
    };
    let (stopper, stop) = Stopper::new();
    let (done, mut results) = mpsc::channel::<Outcome>(threads as usize);
    let mut progress = Vec::new();
    for index in 0..threads {
        let (net, plan) =
            (net.clone(), Plan { share: Share { index, of: threads }, ..plan.clone() });
        let (own, stop, done) = (Arc::new(Progress::default()), stop.clone(), done.clone());
        progress.push(Arc::clone(&own));
        let body = move || {
            let outcome = send(&net, &plan, start, own, stop);
            // The receiver is gone only when the program ends anyway.
            let _ = done.blocking_send(outcome);
        };
        std::thread::Builder::new()
            .name(format!("loadgen-{index}"))
            .spawn(body)
            .map_err(impossible)?;
    }
    drop(done);
    let mut watch = Watch::new(args, progress);
    main.block_on(async {
        let mut whole: Option<(Ledger, End)> = None;
        let mut interrupts = 0;
        loop {
            tokio::select! {
                biased;
                outcome = results.recv() => match outcome {
                    Some(Ok(part)) => whole = Some(merge(whole, part)?),
                    Some(Err(problem)) => return Err(Failure::Usage(problem)),
                    None => break,
                },
                _ = tokio::signal::ctrl_c() => {
                    stopper.stop();
                    interrupts += 1;
                    if interrupts == 2 {
                        return Err(Failure::Impossible("interrupted twice".to_owned()));
                    }
                }
                () = net.clock().sleep_until(watch.next_due(start)) => watch.show(net.clock().now().since(start)),
            }
        }
        watch.clear();
        whole.ok_or_else(|| Failure::Impossible("a sending thread ended without a result".to_owned()))
    })
}

fn send(
    net: &Real,
    plan: &Plan,
    start: policy::Instant,
    progress: Arc<Progress>,
    stop: Stop,
) -> Outcome {
    let runtime = runtime().map_err(|error| error.to_string())?;
    let local = tokio::task::LocalSet::new();
    local
        .block_on(&runtime, loadgen::run(net, plan, start, progress, stop))
        .map_err(|problem| problem.to_string())
}

fn merge(
    whole: Option<(Ledger, End)>,
    (ledger, end): (Ledger, End),
) -> Result<(Ledger, End), Failure> {
    let Some((mut sum, so_far)) = whole else { return Ok((ledger, end)) };
    sum.merge(ledger).map_err(Failure::Impossible)?;
    let end = match (so_far, end) {
        (End::Stopped(a), End::Stopped(b)) => End::Stopped(a.max(b)),
        (End::Stopped(at), End::Complete) | (End::Complete, End::Stopped(at)) => End::Stopped(at),
        (End::Complete, End::Complete) => End::Complete,
    };
    Ok((sum, end))
}
