//! A purge in the model: what an operator asks each proxy for, done to its cache at once.

use policy::cache::Mode;

use super::{letter::HOST, world::World};
use crate::{
    felt::Purged,
    language::{Moment, event::Forgotten},
};

impl World<'_> {
    /// Forgets it at every proxy that the event is about.
    pub(super) fn purge(&mut self, moment: &Moment, what: &Forgotten, soft: bool) {
        let purging = what.purging(self.scenario, HOST);
        let mode = if soft { Mode::Soft(self.now) } else { Mode::Hard };
        let about = moment.proxies.start as usize..moment.proxies.end as usize;
        let caches = self.proxies[about].iter_mut().filter_map(|proxy| proxy.cache.as_mut());
        let answers = caches.map(|cache| cache.purge(&purging, mode)).sum();
        self.notes.extend(Purged { answers, second: false }.note(moment));
    }
}
