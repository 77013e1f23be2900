//! The service model: workers, a waiting room and a discipline, as a plain state machine.
//!
//! It does no I/O and reads no clock: whoever drives it says what time it is and is told when the next job will
//! be finished. The simulated backends drive it with one timer each, and a queueing model can drive the very same
//! code millions of times a second: jobs live in a slab that is reused, so nothing is allocated once it is warm.
//!
//! Both disciplines are one algorithm. All jobs in service progress at the same rate: `speed` under FIFO, where
//! at most `workers` are in service, and `speed × min(1, workers / jobs)` under (egalitarian) processor sharing,
//! where all are. So let *attained service* be the integral of that rate: a job that starts when it is `a` and demands
//! `d` is finished when it is `a + d`, whatever the rate does in between. Finish marks never change, one heap orders
//! them, and a change of speed or of the number of jobs costs no more than a new rate (this is the virtual time
//! of generalised processor sharing: Parekh and Gallager 1993).
//!
//! Time is caught up event by event: a call that comes late (a real timer is a millisecond coarse) still starts
//! the next job at the moment when the last one was finished, so lateness never adds up.

use std::time::Duration;

use policy::Instant;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::heap::{Entry, Heap};

/// In which order jobs are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Discipline {
    /// First come, first served: a worker has one job at a time, the others wait.
    #[default]
    Fifo,
    /// All jobs are served at once and share the workers evenly; none gets more than one worker.
    ProcessorSharing,
}

/// A station's parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layout {
    /// How many jobs are served at full speed at once; at least 1 (0 is taken as 1).
    pub workers: u32,
    /// How many jobs beyond `workers` there may be.
    pub queue: u32,
    /// In which order they are served.
    pub discipline: Discipline,
    /// Work done in a unit of time; 1 is the nominal speed.
    pub speed: f64,
}

/// A job in a station. Stays unique: the place of a job that is gone is used again, its name is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JobId {
    slot: u32,
    generation: u32,
}

impl JobId {
    /// The job's place in the slab: small, dense, and no other job's as long as this one is in the station.
    pub fn index(self) -> usize {
        self.slot as usize
    }
}

/// Every worker is busy and the waiting room is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A job that has been served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Which one.
    pub job: JobId,
    /// When: never later than the `now` of the call that told it.
    pub at: Instant,
}

/// Workers, a waiting room, and the jobs in both.
#[derive(Clone, Debug)]
pub struct Station {
    layout: Layout,
    now: Instant,
    /// The attained service that finish marks refer to, in nanoseconds of work.
    attained: f64,
    /// How long before `now`, in nanoseconds below one, `attained` was that: jobs end within a nanosecond.
    lag: f64,
    /// When the next job in service will be finished: moves only with who is served and how fast, not with time, so it is kept.
    due: Instant,
    tells_starts: bool,
    next: Next,
    /// Nanoseconds of workers' time spent on jobs.
    busy: u64,
    sequence: u64,
    slots: Vec<Slot>,
    free: Vec<u32>,
    serving: Heap,
    waiting: List,
    waiting_count: usize,
    started: List,
    done: List,
}

/// Who of those that wait is served next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Oldest,
    Newest,
}

#[derive(Clone, Debug)]
struct Slot {
    generation: u32,
    place: Place,
    /// Service demand in nanoseconds.
    demand: f64,
    sequence: u64,
    /// When it was finished; meaningful in `Place::Done`.
    at: Instant,
    previous: u32,
    next: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Free,
    Waiting,
    /// In service, and its start has not been told yet: a member of the list `started`.
    Started,
    Serving,
    Done,
}

const NONE: u32 = u32::MAX;

/// Attained service is wound back by this much (73 minutes) when it gets there, so that it stays exact to a
/// thousandth of a nanosecond. A power of two: subtracting it from a larger number loses no bit.
const WIND_BACK: f64 = (1_u64 << 42) as f64;

/// What rounding may have added to a finish mark, in nanoseconds.
const ROUNDING: f64 = 1e-3;

impl Station {
    /// An empty station at the start of time.
    pub fn new(layout: Layout) -> Self {
        let layout = Layout { workers: layout.workers.max(1), speed: sane(layout.speed), ..layout };
        Self {
            layout,
            now: Instant::START,
            attained: 0.0,
            lag: 0.0,
            due: Instant::NEVER,
            tells_starts: true,
            next: Next::Oldest,
            busy: 0,
            sequence: 0,
            slots: Vec::new(),
            free: Vec::new(),
            serving: Heap::default(),
            waiting: List::EMPTY,
            waiting_count: 0,
            started: List::EMPTY,
            done: List::EMPTY,
        }
    }

    /// The same for whoever never asks [which jobs have begun](Self::take_started): then nobody keeps a list of them.
    pub fn without_starts(layout: Layout) -> Self {
        Self { tells_starts: false, ..Self::new(layout) }
    }

    /// The same with the waiting room as a stack: who came last is served first. It is no discipline that a backend can be given. Its mean
    /// response time is that of a queue, so this is what a check of the order in which jobs are served is checked with.
    pub fn newest_first(self) -> Self {
        Self { next: Next::Newest, ..self }
    }

    /// A job with this service demand (at speed 1) arrives.
    pub fn submit(&mut self, now: Instant, work: Duration) -> Result<JobId, Full> {
        self.advance(now);
        let room = self.layout.workers as usize + self.layout.queue as usize;
        if self.jobs() >= room {
            return Err(Full);
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                place: Place::Free,
                demand: 0.0,
                sequence: 0,
                at: Instant::START,
                previous: NONE,
                next: NONE,
            });
            (self.slots.len() - 1) as u32
        });
        let at = &mut self.slots[slot as usize];
        at.demand = policy::time::nanos(work) as f64;
        at.sequence = self.sequence;
        self.sequence += 1;
        let job = JobId { slot, generation: at.generation };
        if self.may_start() {
            self.start(slot);
            self.due = self.find_due();
        } else {
            self.slots[slot as usize].place = Place::Waiting;
            self.waiting.push_back(slot, &mut self.slots);
            self.waiting_count += 1;
        }
        Ok(job)
    }

    /// When the next job will be finished if nothing else happens; [`Instant::NEVER`] when there is none.
    pub fn next_completion(&self) -> Instant {
        match self.done.head {
            NONE => self.due,
            slot => self.slots[slot as usize].at,
        }
    }

    /// The next job that has been finished by `now`, in the order of finishing; forgets it.
    pub fn complete(&mut self, now: Instant) -> Option<Completion> {
        let first = match self.done.head {
            NONE if self.is_due(now) => self.finish_next(),
            NONE => None,
            slot => {
                self.done.unlink(slot, &mut self.slots);
                Some((slot, self.slots[slot as usize].at))
            }
        };
        self.advance(now);
        let (slot, at) = first?;
        let generation = self.slots[slot as usize].generation;
        self.release(slot);
        Some(Completion { job: JobId { slot, generation }, at })
    }

    /// The next job that has begun to be served since this was last asked; for those who need to know.
    pub fn take_started(&mut self) -> Option<JobId> {
        let slot = self.started.head;
        if slot == NONE {
            return None;
        }
        self.started.unlink(slot, &mut self.slots);
        let at = &mut self.slots[slot as usize];
        at.place = Place::Serving;
        Some(JobId { slot, generation: at.generation })
    }

    /// Takes a job out, wherever it is; false when it is no longer here.
    pub fn cancel(&mut self, now: Instant, job: JobId) -> bool {
        self.advance(now);
        if !self.holds(job) {
            return false;
        }
        match self.slots[job.index()].place {
            Place::Free => return false,
            Place::Waiting => {
                self.waiting.unlink(job.slot, &mut self.slots);
                self.waiting_count -= 1;
            }
            Place::Started => {
                self.started.unlink(job.slot, &mut self.slots);
                self.serving.remove(job.slot);
            }
            Place::Serving => self.serving.remove(job.slot),
            Place::Done => self.done.unlink(job.slot, &mut self.slots),
        }
        self.release(job.slot);
        self.start_waiting();
        self.due = self.find_due();
        true
    }

    /// From `now` on the workers work at this speed; 0 stops them.
    pub fn set_speed(&mut self, now: Instant, speed: f64) {
        self.advance(now);
        self.layout.speed = sane(speed);
        self.due = self.find_due();
    }

    /// All jobs are lost, told or not.
    pub fn clear(&mut self, now: Instant) {
        self.advance(now);
        for slot in 0..self.slots.len() as u32 {
            if self.slots[slot as usize].place != Place::Free {
                self.release(slot);
            }
        }
        self.serving.clear();
        (self.waiting, self.started, self.done) = (List::EMPTY, List::EMPTY, List::EMPTY);
        self.waiting_count = 0;
        self.due = Instant::NEVER;
    }

    /// Whether the job is still waiting, in service, or finished and not told.
    pub fn holds(&self, job: JobId) -> bool {
        self.slots.get(job.index()).is_some_and(|slot| slot.generation == job.generation)
    }

    /// Whether the job still waits for a worker.
    pub fn is_waiting(&self, job: JobId) -> bool {
        self.holds(job) && self.slots[job.index()].place == Place::Waiting
    }

    /// Jobs waiting or in service.
    pub fn jobs(&self) -> usize {
        self.serving.len() + self.waiting_count
    }

    /// Jobs waiting for a worker; always 0 under processor sharing.
    pub fn waiting(&self) -> usize {
        self.waiting_count
    }

    /// Workers that have something to do.
    pub fn busy_workers(&self) -> u32 {
        (self.serving.len() as u32).min(self.layout.workers)
    }

    /// Workers' time spent on jobs until the last call that took a `now`.
    pub fn busy_time(&self) -> Duration {
        Duration::from_nanos(self.busy)
    }

    /// The same until `now`, which is not before that call, if no job is finished by then.
    pub fn busy_until(&self, now: Instant) -> Duration {
        let since = now.nanos_since(self.now) * u64::from(self.busy_workers());
        Duration::from_nanos(self.busy + since)
    }

    /// The speed at present.
    pub fn speed(&self) -> f64 {
        self.layout.speed
    }

    /// Catches up with `now`: each job that was finished by then is finished at its own time.
    #[inline]
    pub fn advance(&mut self, now: Instant) {
        while self.is_due(now) {
            let Some((slot, at)) = self.finish_next() else { break };
            let job = &mut self.slots[slot as usize];
            (job.place, job.at) = (Place::Done, at);
            self.done.push_back(slot, &mut self.slots);
        }
        self.pass(now);
    }

    fn is_due(&self, now: Instant) -> bool {
        self.due <= now && self.due != Instant::NEVER
    }

    /// Takes the next job out of service, at the time at which it is finished, and starts who waits for its worker.
    fn finish_next(&mut self) -> Option<(u32, Instant)> {
        let due = self.due;
        let rate = self.rate();
        self.pass(due);
        let Entry { slot, finish, .. } = self.serving.pop()?;
        let slot = slot as u32;
        // Finishing times are told in whole nanoseconds, rounded up. What others did in the rest of the
        // last one depends on who is left: go back to the very end of this job.
        if self.attained > finish && rate > 0.0 {
            self.lag = ((self.attained - finish) / rate).min(1.0);
            self.attained = finish;
        }
        if self.slots[slot as usize].place == Place::Started {
            self.started.unlink(slot, &mut self.slots);
        }
        self.start_waiting();
        self.due = self.find_due();
        Some((slot, due))
    }

    /// Work done for each job in service in a unit of time.
    fn rate(&self) -> f64 {
        let (jobs, workers) = (self.serving.len() as f64, f64::from(self.layout.workers));
        if jobs > workers { self.layout.speed * workers / jobs } else { self.layout.speed }
    }

    fn find_due(&self) -> Instant {
        let Some(first) = self.serving.first() else { return Instant::NEVER };
        let left = first.finish - self.attained;
        if left <= ROUNDING {
            return self.now;
        }
        let wait = (left / self.rate() - self.lag - ROUNDING).max(0.0);
        // Rounded up; by hand, because without SSE 4.1 `ceil` is a call, and signed, because that is one instruction each way.
        let whole = wait as i64;
        if whole == i64::MAX {
            // Nobody works.
            return Instant::NEVER;
        }
        let whole = (whole + i64::from((whole as f64) < wait)) as u64;
        Instant::from_nanos(self.now.as_nanos().saturating_add(whole))
    }

    /// Time passes until `now`, in which no job is finished.
    fn pass(&mut self, now: Instant) {
        let nanos = now.nanos_since(self.now);
        let elapsed = nanos as f64 + std::mem::take(&mut self.lag);
        if elapsed <= 0.0 {
            return;
        }
        self.now = self.now.max(now);
        if self.serving.len() == 0 {
            self.attained = 0.0;
            return;
        }
        self.attained += elapsed * self.rate();
        self.busy += nanos * u64::from(self.busy_workers());
        if self.attained >= WIND_BACK {
            self.attained -= WIND_BACK;
            self.serving.wind_back(WIND_BACK);
        }
    }

    fn may_start(&self) -> bool {
        match self.layout.discipline {
            Discipline::Fifo => self.serving.len() < self.layout.workers as usize,
            Discipline::ProcessorSharing => true,
        }
    }

    #[inline]
    fn start_waiting(&mut self) {
        while self.waiting.head != NONE && self.may_start() {
            let slot = match self.next {
                Next::Oldest => self.waiting.head,
                Next::Newest => self.waiting.tail,
            };
            self.waiting.unlink(slot, &mut self.slots);
            self.waiting_count -= 1;
            self.start(slot);
        }
    }

    #[inline]
    fn start(&mut self, slot: u32) {
        let at = &mut self.slots[slot as usize];
        at.place = if self.tells_starts { Place::Started } else { Place::Serving };
        let finish = self.attained + at.demand;
        let entry = Entry { finish, sequence: at.sequence, slot: u64::from(slot) };
        self.serving.push(entry);
        if self.tells_starts {
            self.started.push_back(slot, &mut self.slots);
        }
    }

    fn release(&mut self, slot: u32) {
        let at = &mut self.slots[slot as usize];
        at.generation = at.generation.wrapping_add(1);
        at.place = Place::Free;
        self.free.push(slot);
    }
}

/// No worker runs backwards, or infinitely fast.
fn sane(speed: f64) -> f64 {
    if speed > 0.0 { speed.min(1e9) } else { 0.0 }
}

/// A queue that runs through the slots: jobs leave from the middle as cheaply as from the front.
#[derive(Clone, Copy, Debug)]
struct List {
    head: u32,
    tail: u32,
}

impl List {
    const EMPTY: Self = Self { head: NONE, tail: NONE };

    fn push_back(&mut self, slot: u32, slots: &mut [Slot]) {
        (slots[slot as usize].previous, slots[slot as usize].next) = (self.tail, NONE);
        match self.tail {
            NONE => self.head = slot,
            tail => slots[tail as usize].next = slot,
        }
        self.tail = slot;
    }

    fn unlink(&mut self, slot: u32, slots: &mut [Slot]) {
        let Slot { previous, next, .. } = slots[slot as usize];
        match previous {
            NONE => self.head = next,
            previous => slots[previous as usize].next = next,
        }
        match next {
            NONE => self.tail = previous,
            next => slots[next as usize].previous = previous,
        }
    }
}
