//! Sending a schedule.
//!
//! One current-thread runtime, tasks by `spawn_local`. Closed loop: a task for each user, with a connection of its own
//! and one timer whose deadline moves. Open loop: a task that waits for each request's time and then, whatever
//! became of the earlier ones, starts one for it. The response time counts from the time that the schedule
//! says, so that a server that stands still for a second is charged for every request that was due in it (no
//! coordinated omission; Tene 2013); the service time counts from the moment in which the generator took the request up,
//! connecting included.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use net::{Net, Pacer};
use policy::{Instant, Seed};
use reports::RecorderConfig;
use tokio::task::JoinSet;

use crate::{
    client::{Pool, Traffic},
    config::Problem,
    ledger::Ledger,
    progress::Progress,
    schedule::{NamedLoad, OpenSchedule, RequestDraws, User},
    send::{Contact, Ready, Shared},
    stop::Stop,
};

/// So many connections at a time in an open loop that does not say.
pub const MAX_CONNECTIONS: u32 = 10_000;
/// After a connection that could not be made, a user of a closed loop waits so long: nobody hammers at a closed door.
const AFTER_REFUSAL: Duration = Duration::from_millis(10);
/// So many requests that are due are started before those under way get a turn.
const TURN: u32 = 32;

/// What is to be sent, and where.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The loads; none has a [`problem`](crate::config::Load::problem).
    pub loads: Vec<NamedLoad>,
    /// The seed of the run.
    pub seed: Seed,
    /// For how long requests are due; without it, until the loads end by themselves.
    pub duration: Option<Duration>,
    /// Where to: an address, or those of several equal proxies, among which [`Route`](crate::schedule::Route) chooses.
    pub addresses: Vec<SocketAddr>,
    /// What stands in `Host`.
    pub host: String,
    /// What the recorder must know; its loads are set to these.
    pub recorder: RecorderConfig,
    /// Whether requests carry their work.
    pub carry: Carry,
    /// A body that each request has, instead of a drawn one.
    pub payload: Option<Bytes>,
    /// Which part of the schedule this thread sends.
    pub share: Share,
    /// The place of the only load that is sent here, when the others' clients are elsewhere; their ledgers can be merged.
    pub only: Option<usize>,
}

/// Whether requests carry their number, work and size in header fields, and answers are checked against them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carry {
    /// They do: simulated backends obey them.
    Work,
    /// They do, and what comes back may be content of another target: somebody between rewrites targets, or holds some for the same.
    Rewritten,
    /// They do not: the server is a stranger.
    Nothing,
}

/// One thread's part of a schedule: every `of`th request or user, from the `index`th on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// From 0.
    pub index: u32,
    /// Above 0.
    pub of: u32,
}

impl Share {
    /// All of it.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// How many of `total` are this thread's.
    pub(crate) fn part(self, total: u64) -> u64 {
        let (index, of) = (u64::from(self.index), u64::from(self.of.max(1)));
        total / of + u64::from(index < total % of)
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself.
    Complete,
    /// By the stop signal, so long after the start.
    Stopped(Duration),
}

/// Sends the plan from `start` on, in the clock of `net`, and returns what was seen. Must run where
/// `tokio::task::spawn_local` does.
///
/// # Errors
/// When a load cannot be sent as it is written; nothing has been sent then.
pub async fn run<N: Net>(
    net: &N,
    plan: &Plan,
    start: Instant,
    progress: Arc<Progress>,
    mut stop: Stop,
) -> Result<(Ledger, End), Problem> {
    let clock = *net.clock();
    if plan.addresses.is_empty() {
        return Err(Problem::new("addresses", "must name one"));
    }
    let ready: Vec<Rc<Ready>> = plan
        .loads
        .iter()
        .enumerate()
        .map(|(index, load)| Ready::new(plan, index, load).map(Rc::new))
        .collect::<Result<_, _>>()?;
    let mut recorder = plan.recorder.clone();
    recorder.loads = plan.loads.iter().map(|load| load.name.clone()).collect();
    let endpoints = recorder.endpoints.iter().enumerate();
    let shared = Rc::new(Shared {
        clock,
        net: net.clone(),
        addresses: plan.addresses.clone(),
        start,
        end: plan.duration.map_or(Instant::NEVER, |duration| start + duration),
        endpoints: endpoints.map(|(index, name)| (name.clone().into_bytes(), index)).collect(),
        ledger: RefCell::new(Ledger::new(
            recorder,
            plan.loads.iter().map(|load| load.load.arrivals.is_some()),
        )),
        traffic: Traffic::default(),
        under_way: Cell::new(0),
        progress,
    });
    tokio::select! {
        biased;
        () = stop.stopped() => return Ok((shared.close(), End::Stopped(Duration::ZERO))),
        () = clock.sleep_until(start) => {}
    }
    let mut tasks = JoinSet::new();
    let here = |index: usize| plan.only.is_none_or(|only| only == index);
    for ((index, load), ready) in plan.loads.iter().enumerate().zip(&ready) {
        if !here(index) {
            continue;
        }
        let until = plan.duration.map_or(Instant::NEVER, |duration| Instant::START + duration);
        if let Some(schedule) = OpenSchedule::new(index as u16, load, plan.seed, until) {
            let most = load.load.max_connections.unwrap_or(MAX_CONNECTIONS);
            let most = plan.share.part(u64::from(most)).max(1) as u32;
            let task = open_loop(Rc::clone(&shared), Rc::clone(ready), schedule, plan.share, most);
            tasks.spawn_local(task);
        } else {
            let draws = Arc::new(RequestDraws::new(index as u16, load, plan.seed));
            let users = 0..load.load.users.unwrap_or(0);
            for number in
                users.skip(plan.share.index as usize).step_by(plan.share.of.max(1) as usize)
            {
                let user = User::new(Arc::clone(&draws), number);
                tasks.spawn_local(closed_loop(Rc::clone(&shared), Rc::clone(ready), user));
            }
        }
    }
    let end = tokio::select! {
        biased;
        () = stop.stopped() => {
            let at = clock.now().since(start);
            tasks.shutdown().await;
            End::Stopped(at)
        }
        () = all(&mut tasks) => End::Complete,
    };
    Ok((shared.close(), end))
}

/// Waits for every task; a panic in one is one here.
async fn all(tasks: &mut JoinSet<()>) {
    while let Some(joined) = tasks.join_next().await {
        surface(joined);
    }
}

fn surface(joined: Result<(), tokio::task::JoinError>) {
    if let Err(error) = joined
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

async fn open_loop<N: Net>(
    shared: Rc<Shared<N>>,
    ready: Rc<Ready>,
    schedule: OpenSchedule,
    share: Share,
    most: u32,
) {
    let clock = shared.clock;
    let pool = Rc::new(RefCell::new(Pool::new(clock, most, shared.addresses.len())));
    let mut pacer = Pacer::new(clock);
    let mut under_way = JoinSet::new();
    let mut turn = 0;
    let own = schedule.skip(share.index as usize).step_by(share.of.max(1) as usize);
    for planned in own {
        let due = shared.start + planned.at.since(Instant::START);
        if clock.now() < due {
            pacer.until(due).await;
            turn = 0;
        } else {
            turn += 1;
            if turn == TURN {
                tokio::task::yield_now().await;
                turn = 0;
            }
        }
        while let Some(joined) = under_way.try_join_next() {
            surface(joined);
        }
        let seat = pool.borrow_mut().take(ready.route.proxy(&planned));
        if let Some(mut seat) = seat {
            let (shared, ready, pool) = (Rc::clone(&shared), Rc::clone(&ready), Rc::clone(&pool));
            under_way.spawn_local(async move {
                shared.perform(&ready, &mut seat, &planned, Some(due)).await;
                pool.borrow_mut().put(seat);
            });
        } else {
            shared.drop_unsent(&ready, due, most);
        }
    }
    all(&mut under_way).await;
}

async fn closed_loop<N: Net>(shared: Rc<Shared<N>>, ready: Rc<Ready>, mut user: User) {
    let clock = shared.clock;
    // A user has one connection at a time, so its pool has one seat, wherever that leads.
    let mut pool = Pool::new(clock, 1, 1);
    let Some(mut seat) = pool.take(0) else { return };
    loop {
        let think = user.think();
        let next = clock.now() + think;
        if next >= shared.end {
            return;
        }
        if !think.is_zero() {
            clock.sleep_until(next).await;
        }
        let left = ready.left.get();
        if left == 0 || clock.now() >= shared.end {
            return;
        }
        ready.left.set(left - 1);
        let planned = user.request();
        seat.proxy = ready.route.proxy(&planned);
        let ending = shared.perform(&ready, &mut seat, &planned, None).await;
        if ending == Contact::None {
            clock.sleep(AFTER_REFUSAL).await;
        }
    }
}
