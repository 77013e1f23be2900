//! Panics in tasks, which a runtime catches and nobody hears of.
//!
//! A task that panics ends; its connection is gone, and to everybody else that looks like a fault of the network. In a
//! simulated world it is a fault of ours, and must be the verdict. The hook of the process is wrapped once, and counts for
//! each thread by itself, since a simulated world is one thread.

use std::{cell::RefCell, panic, sync::Once};

thread_local! {
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// At most so many are kept.
const KEPT: usize = 8;

/// The panics on this thread from now on.
#[derive(Debug)]
pub struct Watch(());

/// Begins to watch this thread.
pub fn watch() -> Watch {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // A thread that is about to end has no place to write to any more, and nobody who reads it.
            let _ = SEEN.try_with(|seen| {
                if let Ok(mut seen) = seen.try_borrow_mut()
                    && seen.len() < KEPT
                {
                    seen.push(info.to_string());
                }
            });
            before(info);
        }));
    });
    SEEN.with(|seen| seen.borrow_mut().clear());
    Watch(())
}

impl Watch {
    /// The first since [`watch`]: where and why.
    pub fn first(&self) -> Option<String> {
        SEEN.with(|seen| seen.borrow().first().cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_was_caught_is_known() {
        let watch = watch();
        assert_eq!(watch.first(), None);
        let caught = panic::catch_unwind(|| panic!("on purpose"));
        assert!(caught.is_err());
        assert!(watch.first().is_some_and(|message| message.contains("on purpose")));
    }
}
