//! Slow start, over any strategy: an endpoint that is new or has come back gets its share by and by.
//!
//! A process that has just started is cold: its caches are empty, its code is not compiled yet, its pools have no connections.
//! nginx Plus (`slow_start`), HAProxy (`slowstart`) and Envoy (`slow_start_config`) let its *weight* grow linearly over a window, and so does this.
//! They do it inside of those strategies that have weights (nginx refuses it with `hash` and `random`, Envoy has it in two). Over
//! any strategy neither of the two obvious ways holds what it promises:
//!
//! - *Smaller weights* mean nothing to `first` or `join_idle_queue`, and too much where loads are small: for `least_connections` an idle
//!   endpoint of weight 1/10 is as busy as one with nine requests, so that it gets none at all for most of the window, and then all.
//! - *Thinning* (a pick that falls on a cold one counts with probability s, else it is drawn again) is undone by whoever looks at loads: the
//!   cold endpoint is the least busy one at every pick, and a tenth of all picks is the full share of one of ten.
//!
//! So what is bounded is the outcome. An endpoint's effective weight is weight × f, where f grows linearly with its age from a floor of 10 %
//! to 1 at the end of the window; with each pick of this worker it earns its effective share of a turn, and it may be taken only when it has
//! a whole turn to its credit, of which it keeps 8 at most. A strategy sees one without credit as it sees one that is full.
//! Hence for *any* strategy, in any stretch of picks, a cold endpoint gets at most what its growing weight says, and 8 more; one that
//! is wanted at least that much gets exactly that. No draw is made. The weights are compared with those of all
//! candidates: where all are equally new nobody is held back, since nobody else could be asked.
//!
//! At the end of the window a bound that is still felt does not just fall away: a strategy that prefers this endpoint (`first`, or
//! `peak_ewma` if it is the fastest) would jump. The bound doubles with each further window, and goes when it is no longer felt (the credit is full).
//!
//! *Strategies by a key* are not to send a key here and there in turns. There a key comes home when f passes a number that
//! is drawn from the key and the endpoint's name: the share of the keys is f, each key moves once, and none goes back.
//!
//! f moves in steps of 1/1024 of the window. The window of an endpoint begins when a worker first could have picked it, and is the same for all
//! workers; at the proxy's own start everybody counts as warm. A cold endpoint is taken regardless when nobody else may be: slow
//! start never refuses a request.
//!
//! Cost: nothing where nobody warms up; else an addition a pick and, for each warming endpoint, a few operations each step.

use std::{sync::Arc, time::Duration};

use crate::{Instant, endpoint::Endpoint, quantity::TimeSpan, rng::mix, time::nanos};

use super::key;

/// Where the weight of a cold endpoint begins, of its full weight: Envoy's default.
pub const FLOOR: f64 = 0.1;
/// Turns that an endpoint may have saved up.
pub const CREDIT: f64 = 8.0;
/// So many steps in a window.
const STEPS: u32 = 1024;
/// From this share of all on there is nothing left to be held back from.
const ALL: f64 = 0.999;
/// So that whether a key is home has nothing to do with whose it is.
const SALT: u64 = 0x636f_6c64_7374_6172;
/// A draw has 53 bits.
const UNIT: f64 = (1_u64 << 53) as f64;

/// What is impossible about a window.
pub(super) fn problem(window: TimeSpan) -> Option<String> {
    let possible = !window.0.is_zero() && window.0 <= Duration::from_hours(24);
    (!possible).then(|| "must be above 0 and at most 24h; leave it out for none".to_owned())
}

/// How much of its full weight an endpoint has at this age: linear from the floor to 1, and doubled with each further window.
fn factor(age: Duration, window: f64) -> f64 {
    let windows = nanos(age) as f64 / window;
    if windows < 1.0 { windows.max(FLOOR) } else { libm::exp2((windows - 1.0).min(60.0)) }
}

/// One worker's account of the endpoints that warm up.
#[derive(Clone, Debug)]
pub struct SlowStart {
    /// In nanoseconds.
    window: f64,
    step: Duration,
    /// When the next step is.
    due: Instant,
    warming: Vec<Warming>,
    /// By endpoint; empty while nobody warms up.
    places: Vec<Place>,
    groups: Vec<Group>,
}

/// Endpoints that compete with each other.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    /// The weights of those that are warm.
    warm: f64,
    /// Picks so far.
    picks: u64,
    /// The sum of the effective weights, and the greatest factor: 1 where anybody is warm.
    total: f64,
    top: f64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    group: u32,
    /// Among those that warm up; `NOT` for the others.
    warming: u32,
}

const NOT: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Warming {
    index: u32,
    weight: f64,
    since: Instant,
    /// Of its name.
    salt: u64,
    /// Its effective share of the group's picks.
    share: f64,
    /// The share of its keys that are home.
    home: f64,
    /// Whether the credit counts: not for the warmest of a group in which nobody is warm.
    held: bool,
    /// Turns in hand at `seen` picks of its group.
    credit: f64,
    seen: u64,
}

impl Warming {
    fn credit(&self, picks: u64) -> f64 {
        (self.credit + self.share * (picks - self.seen) as f64).min(CREDIT)
    }
}

impl SlowStart {
    /// Nobody warms up yet.
    pub fn new(window: TimeSpan) -> Self {
        Self {
            window: (nanos(window.0) as f64).max(1.0),
            step: window.0 / STEPS,
            due: Instant::NEVER,
            warming: Vec::new(),
            places: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Whether nobody warms up.
    pub fn is_idle(&self) -> bool {
        self.warming.is_empty()
    }

    /// Other endpoints are candidates: those of each group compete with each other. Those that warmed up before go on.
    pub(crate) fn rebuild<'a>(
        &mut self,
        endpoints: &[Arc<Endpoint>],
        groups: impl Iterator<Item = &'a [u32]>,
        now: Instant,
    ) {
        self.settle();
        let former = std::mem::take(&mut self.warming);
        let former_places = std::mem::take(&mut self.places);
        let known = |index: u32, since: Instant| {
            let place = former_places.get(index as usize)?;
            former.get(place.warming as usize).filter(|warming| warming.since == since)
        };
        self.groups.clear();
        self.places.resize(endpoints.len(), Place { group: 0, warming: NOT });
        for (number, candidates) in (0_u32..).zip(groups) {
            let mut group = Group::default();
            for &index in candidates {
                let Some(endpoint) = endpoints.get(index as usize) else { continue };
                let place = &mut self.places[index as usize];
                place.group = number;
                let weight = f64::from(endpoint.weight);
                let before = endpoint.warms_since(now).map(|since| (since, known(index, since)));
                let warming = before.filter(|(since, known)| {
                    // What is older and not held back any more is warm.
                    known.is_some() || (now.nanos_since(*since) as f64) < self.window
                });
                let Some((since, known)) = warming else {
                    group.warm += weight;
                    continue;
                };
                place.warming = self.warming.len() as u32;
                self.warming.push(Warming {
                    index,
                    weight,
                    since,
                    salt: mix(key::hash(endpoint.name.as_bytes()) ^ SALT),
                    share: 0.0,
                    home: 0.0,
                    held: true,
                    credit: known.map_or(0.0, |known| known.credit),
                    seen: 0,
                });
            }
            self.groups.push(group);
        }
        if self.warming.is_empty() {
            self.places.clear();
            self.due = Instant::NEVER;
        } else {
            self.weigh(now);
        }
    }

    /// Time has passed. Before each pick.
    pub(crate) fn advance(&mut self, now: Instant) {
        if now < self.due {
            return;
        }
        self.settle();
        self.end(now);
        if self.warming.is_empty() {
            self.places.clear();
            self.due = Instant::NEVER;
        } else {
            self.weigh(now);
        }
    }

    /// Whether the endpoint must be passed over by a request with this key, or without one.
    pub(crate) fn holds(&self, index: u32, key: Option<u64>) -> bool {
        let Some((place, warming)) = self.find(index) else { return false };
        match key {
            _ if !warming.held => false,
            Some(key) => (mix(key ^ warming.salt) >> 11) as f64 >= warming.home * UNIT,
            None => warming.credit(self.groups[place.group as usize].picks) < 1.0,
        }
    }

    /// The endpoint has been picked.
    pub(crate) fn took(&mut self, index: u32) {
        let Some(place) = self.places.get(index as usize).copied() else { return };
        let Some(group) = self.groups.get_mut(place.group as usize) else { return };
        group.picks += 1;
        let picks = group.picks;
        if let Some(warming) = self.warming.get_mut(place.warming as usize) {
            // Where nobody else could be taken it owes nothing for that.
            warming.credit = (warming.credit(picks) - 1.0).max(0.0);
            warming.seen = picks;
        }
    }

    fn find(&self, index: u32) -> Option<(Place, &Warming)> {
        let place = self.places.get(index as usize)?;
        Some((*place, self.warming.get(place.warming as usize)?))
    }

    /// Writes down what has been earned so far, before the shares change.
    fn settle(&mut self) {
        for warming in &mut self.warming {
            let picks = self.groups[self.places[warming.index as usize].group as usize].picks;
            warming.credit = warming.credit(picks);
            warming.seen = picks;
        }
    }

    /// Lets those go that are past their window and not held back any more.
    fn end(&mut self, now: Instant) {
        let Self { warming, places, groups, window, .. } = self;
        warming.retain(|each| {
            let unfelt = each.credit >= CREDIT || each.share >= ALL;
            let over = now.nanos_since(each.since) as f64 >= *window && unfelt;
            if over {
                groups[places[each.index as usize].group as usize].warm += each.weight;
                places[each.index as usize].warming = NOT;
            }
            !over
        });
        for (place, each) in (0_u32..).zip(warming) {
            places[each.index as usize].warming = place;
        }
    }

    /// Works out the shares of now.
    fn weigh(&mut self, now: Instant) {
        self.due = now + self.step;
        let Self { warming, places, groups, window, .. } = self;
        let factor = |each: &Warming| factor(now.since(each.since), *window);
        for group in groups.iter_mut() {
            (group.total, group.top) = (group.warm, if group.warm > 0.0 { 1.0 } else { 0.0 });
        }
        for each in warming.iter() {
            let group = &mut groups[places[each.index as usize].group as usize];
            group.top = group.top.max(factor(each).min(1.0));
        }
        for each in warming.iter() {
            let group = &mut groups[places[each.index as usize].group as usize];
            group.total += each.weight * factor(each).min(1.0);
        }
        for each in warming.iter_mut() {
            let group = &groups[places[each.index as usize].group as usize];
            let own = each.weight * factor(each);
            let others = group.total - each.weight * factor(each).min(1.0);
            each.share = own / (others + own);
            each.home = factor(each) / group.top;
            // Among those who are all new the warmest are what the others are measured by.
            each.held = factor(each) < group.top || group.warm > 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: f64 = 30e9;

    #[test]
    fn the_weight_grows_linearly_and_then_doubles() {
        let at = |seconds: f64| factor(Duration::from_secs_f64(seconds), WINDOW);
        for (seconds, expected) in
            [(0.0, 0.1), (3.0, 0.1), (6.0, 0.2), (15.0, 0.5), (30.0, 1.0), (60.0, 2.0), (90.0, 4.0)]
        {
            assert!((at(seconds) - expected).abs() < 1e-9, "{seconds}: {}", at(seconds));
        }
    }

    /// Its share moves from one step to the next by at most a 500th of what it is at the end of the window.
    #[test]
    fn no_step_is_larger_than_it_says() {
        let endpoints: Vec<_> =
            [3, 1, 4].iter().map(|&weight| Arc::new(Endpoint::new("e", weight, 9))).collect();
        endpoints[0].cool();
        let mut slow_start = SlowStart::new(TimeSpan::secs(30));
        slow_start.rebuild(&endpoints, [&[0, 1, 2][..]].into_iter(), Instant::START);
        let mut before = slow_start.warming[0].share;
        assert!((before - 0.3 / 5.3).abs() < 1e-9, "{before}");
        for millis in 0..30_000 {
            let now = Instant::START + Duration::from_millis(millis);
            slow_start.advance(now);
            let share = slow_start.warming[0].share;
            assert!((0.0..=3.0 / 8.0 / 500.0).contains(&(share - before)), "{millis}: {share}");
            before = share;
            let weight = 3.0 * (millis as f64 / 30_000.0).max(0.1);
            assert!((share - weight / (weight + 5.0)).abs() <= 3.0 / 8.0 / 500.0, "{share}");
        }
    }
}
