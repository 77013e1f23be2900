//! Which connections an endpoint has, and whether it takes new ones.
//!
//! An endpoint lives, crashes and lives again; each life has a number. A connection belongs to the life that
//! accepted it: when the number has moved on, the connection resets itself the next time it is polled, and a crash
//! wakes them all. So a crash costs the request path one comparison, and no task has to be hunted down.

use std::{
    cell::{Cell, RefCell},
    io,
    task::{Context, Poll, Waker},
};

use tokio::sync::Notify;

/// How many connections an endpoint holds at once; more wait in the listener's backlog.
pub(crate) const MAX_CONNECTIONS: usize = 65_536;

/// What an endpoint shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Listening.
    Open,
    /// Gone: no listener and no connection.
    Closed,
    /// No listener; the connections end when their requests have been answered.
    Draining,
}

/// What has become of the last command.
#[derive(Debug)]
struct Reached {
    life: u64,
    wanted: Wanted,
    error: Option<io::Error>,
}

#[derive(Debug)]
struct Member {
    life: u64,
    waker: Option<Waker>,
}

/// An endpoint's door.
#[derive(Debug)]
pub(crate) struct Gate {
    life: Cell<u64>,
    wanted: Cell<Wanted>,
    reached: RefCell<Reached>,
    acceptor: RefCell<Option<Waker>>,
    members: RefCell<Vec<Option<Member>>>,
    free: RefCell<Vec<usize>>,
    open: Cell<usize>,
    stale: Cell<usize>,
    changed: Notify,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self {
            life: Cell::new(0),
            wanted: Cell::new(Wanted::Open),
            reached: RefCell::new(Reached { life: 0, wanted: Wanted::Open, error: None }),
            acceptor: RefCell::new(None),
            members: RefCell::new(Vec::new()),
            free: RefCell::new(Vec::new()),
            open: Cell::new(0),
            stale: Cell::new(0),
            changed: Notify::new(),
        }
    }

    /// The number of this life and what it shall be.
    pub(crate) fn state(&self) -> (u64, Wanted) {
        (self.life.get(), self.wanted.get())
    }

    /// Connections at present.
    pub(crate) fn open(&self) -> usize {
        self.open.get()
    }

    /// Ends this life and all its connections; the next is open or closed. Tells how many connections it ended.
    pub(crate) fn end_life(&self, next: Wanted) -> usize {
        let ended = self.open.get() - self.stale.get();
        self.life.set(self.life.get() + 1);
        self.stale.set(self.open.get());
        self.want(next);
        ended
    }

    /// In this life, from now on.
    pub(crate) fn want(&self, wanted: Wanted) {
        self.wanted.set(wanted);
        for member in self.members.borrow_mut().iter_mut().flatten() {
            if let Some(waker) = member.waker.take() {
                waker.wake();
            }
        }
        self.wake_acceptor();
    }

    /// The acceptor reports what it has done about `state`.
    pub(crate) fn reached(&self, (life, wanted): (u64, Wanted), error: Option<io::Error>) {
        *self.reached.borrow_mut() = Reached { life, wanted, error };
        self.changed.notify_waiters();
    }

    /// Waits until the last command has been carried out: the listener is bound or closed and every
    /// connection of an earlier life is gone. Fails when the address could not be bound; it is tried again.
    pub(crate) async fn settled(&self) -> io::Result<()> {
        loop {
            let changed = self.changed.notified();
            {
                let mut reached = self.reached.borrow_mut();
                if (reached.life, reached.wanted) == self.state() {
                    if let Some(error) = reached.error.take() {
                        return Err(error);
                    }
                    if self.stale.get() == 0 {
                        return Ok(());
                    }
                }
            }
            changed.await;
        }
    }

    /// Waits until no connection is left.
    pub(crate) async fn empty(&self) {
        loop {
            let changed = self.changed.notified();
            if self.open.get() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Ready when the acceptor's view is out of date; otherwise it is woken when that or the number of
    /// connections changes.
    pub(crate) fn poll_changed(&self, cx: &mut Context<'_>, seen: (u64, Wanted)) -> Poll<()> {
        if self.state() != seen {
            return Poll::Ready(());
        }
        store(&mut self.acceptor.borrow_mut(), cx);
        Poll::Pending
    }

    /// A connection comes in.
    pub(crate) fn enter(&self) -> usize {
        let member = Member { life: self.life.get(), waker: None };
        self.open.set(self.open.get() + 1);
        let mut members = self.members.borrow_mut();
        if let Some(index) = self.free.borrow_mut().pop() {
            members[index] = Some(member);
            return index;
        }
        members.push(Some(member));
        members.len() - 1
    }

    /// A connection is gone.
    pub(crate) fn leave(&self, index: usize) {
        let Some(member) = self.members.borrow_mut()[index].take() else { return };
        self.free.borrow_mut().push(index);
        if self.open.replace(self.open.get() - 1) == MAX_CONNECTIONS {
            self.wake_acceptor();
        }
        if member.life != self.life.get() {
            self.stale.set(self.stale.get() - 1);
        }
        self.changed.notify_waiters();
    }

    /// Ready when the connection must be reset; otherwise it is woken when that or what is wanted changes.
    pub(crate) fn poll_stale(&self, index: usize, cx: &mut Context<'_>) -> Poll<()> {
        let mut members = self.members.borrow_mut();
        let Some(member) = &mut members[index] else { return Poll::Ready(()) };
        if member.life != self.life.get() {
            return Poll::Ready(());
        }
        store(&mut member.waker, cx);
        Poll::Pending
    }

    fn wake_acceptor(&self) {
        if let Some(waker) = self.acceptor.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// Keeps the task's waker, unless it is there already.
pub(crate) fn store(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}
