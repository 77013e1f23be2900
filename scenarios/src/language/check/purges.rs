//! Purges: that there is something that keeps, and that they name what can be kept.

use proxy::config::Mode;

use super::{
    super::{event::Action, scenario::Scenario},
    Check,
};
use crate::features::Feature;

impl Check<'_> {
    /// Once it is known what reloads switch on.
    pub(super) fn purges(&mut self, scenario: &Scenario) {
        for (index, event) in scenario.events.iter().enumerate() {
            let Action::Purge { what, .. } = &event.action else { continue };
            let part = format!("events[{index}].purge");
            if scenario.proxy.mode == Mode::Redirect {
                let message = "nothing is kept that could be purged: clients fetch from the endpoints themselves";
                self.advise(&part, message, "leave the event out, or `mode = \"redirect\"`");
            } else if !Feature::Cache.is_on(scenario) {
                let message = "nothing is kept that could be purged: `[proxy.cache]` is off";
                self.advise(&part, message, "write `enabled = true` below `[proxy.cache]`");
            }
            if let Some((key, what)) = what.problem() {
                self.impossible(&part, key, what);
            }
        }
    }
}
