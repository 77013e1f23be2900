//! What the two ends of a connection know of each other beside what turmoil carries for them.
//!
//! turmoil counts its window in segments of any length and cannot reset a connection on purpose: so the
//! window is counted in bytes here, and a reset is the end of a stream with a mark on it.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// One end.
#[derive(Default)]
pub(super) struct End {
    /// Bytes that it has written and the other has not read.
    pub(super) unread: Cell<usize>,
    /// Whether it ended by a reset.
    pub(super) reset: Cell<bool>,
    /// Whether it has learned that the other end is gone.
    pub(super) broken: Cell<bool>,
    /// Whether nobody holds it (any more).
    pub(super) gone: Cell<bool>,
    pub(super) reader: RefCell<Option<Waker>>,
    pub(super) writer: RefCell<Option<Waker>>,
}

/// Both ends: 0 has dialed.
#[derive(Default)]
pub(super) struct Flow(pub(super) [End; 2]);

impl Flow {
    /// Whether nobody holds either end.
    pub(super) fn is_over(&self) -> bool {
        self.0.iter().all(|end| end.gone.get())
    }
}

/// Remembers who waits.
pub(super) fn wait(place: &RefCell<Option<Waker>>, cx: &Context<'_>) {
    let mut place = place.borrow_mut();
    if !place.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        *place = Some(cx.waker().clone());
    }
}

/// A dial, from its first packet to its answer.
pub(super) struct Dial {
    pub(super) flow: Rc<Flow>,
    /// Nobody waits for it any more.
    pub(super) given_up: Cell<bool>,
    /// The wire has refused it, and the news of that are on their way: turmoil's, which come at once, do not count.
    pub(super) refused: Cell<bool>,
    outcome: Cell<Option<Result<(), io::ErrorKind>>>,
    waker: RefCell<Option<Waker>>,
}

impl Dial {
    pub(super) fn new() -> Rc<Self> {
        let flow = Rc::new(Flow::default());
        // Until it is accepted.
        flow.0[1].gone.set(true);
        Rc::new(Self {
            flow,
            given_up: Cell::new(false),
            refused: Cell::new(false),
            outcome: Cell::new(None),
            waker: RefCell::new(None),
        })
    }

    /// Ends the dial, if it has not ended yet; returns who is to be woken.
    pub(super) fn settle(&self, outcome: Result<(), io::ErrorKind>) -> Option<Waker> {
        if self.outcome.get().is_none() {
            self.outcome.set(Some(outcome));
        }
        self.waker.borrow_mut().take()
    }

    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<Result<(), io::ErrorKind>> {
        if let Some(outcome) = self.outcome.get() {
            return Poll::Ready(outcome);
        }
        wait(&self.waker, cx);
        Poll::Pending
    }
}
