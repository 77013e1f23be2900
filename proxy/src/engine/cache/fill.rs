//! A response that is being stored, and is given meanwhile to those who asked for the same.
//!
//! Its head is there from the beginning, so that everybody can judge whether it is for him; its content grows in blocks. Full blocks are
//! shared by reference, and what lies in the last one, which is still open, is copied out a piece at a time. So a follower holds no bytes of its own, however slow it is: it knows how far it has
//! come, and reads on from there when its client has taken what it was sent. Nobody waits for a follower. The lock is held for as long as
//! it takes to copy 16 KiB.
//!
//! When the content is complete it is put together once and belongs to the store; those who are still reading read on there. When it breaks off, they
//! read what is there and learn that it is not the whole.
//!
//! **A response that turns out to be larger than what is stored** is given on to those who follow already (nobody else may begin to), but not kept:
//! what is held is a window, the latest bytes, as many as the largest object may have and a MiB at least. Whoever falls behind it is cut. That is the
//! price of bounded memory where nobody slow may hold up the others; it can only happen to responses that do not say how long they are.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
};

use bytes::Bytes;
use policy::cache::Meta;
use tokio::sync::{Notify, futures::Notified};

use super::{object::Object, record::Room};

/// Content lies in blocks of this size.
const BLOCK: usize = 64 << 10;
/// So much of the open block is copied out at once.
const PIECE: usize = 16 << 10;
/// The least window behind what is not stored, if there is room for it.
const WINDOW: u64 = 1 << 20;

/// A response that is being stored.
#[derive(Debug)]
pub(super) struct Fill {
    /// What it is the response to. (Flights are found by a hash alone.)
    pub(super) key: Box<[u8]>,
    /// Its head: an object without content.
    pub(super) head: Arc<Object>,
    pub(super) meta: Arc<Meta>,
    /// How long its content will be, if that is known.
    pub(super) length: Option<u64>,
    body: Mutex<Body>,
    changed: Notify,
}

/// What has come of its content.
#[derive(Debug)]
struct Body {
    /// Where the first block begins: not at 0 once there is a window.
    start: u64,
    blocks: VecDeque<Bytes>,
    open: Vec<u8>,
    /// All of it, when it is complete and stored.
    whole: Option<Bytes>,
    /// How much has come.
    length: u64,
    course: Course,
    room: Room,
    followers: u32,
    /// How far the foremost follower has come.
    furthest: u64,
    /// Who fills, to be woken when those who follow change.
    source: Option<Waker>,
}

/// How it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// All that comes is kept, to be stored.
    Kept,
    /// It is too large to be stored: the latest bytes are held, so many.
    Window(u64),
    Complete,
    Broken,
}

/// What a follower finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// This comes next.
    Block(Bytes),
    /// So many bytes come next, and have been copied.
    Copied(usize),
    /// Nothing has come yet.
    Nothing,
    /// That was all.
    End,
    /// Nothing more comes, and that was not all.
    Broken,
    /// What comes next is no longer held.
    Lost,
}

/// Who follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    Nobody,
    /// Some do, and all that comes is kept for them.
    Kept,
    /// Some do, and what comes is held for a while; the foremost wants more.
    Hungry,
    /// The same, and even the foremost has enough to read.
    Fed,
}

impl Fill {
    pub(super) fn new(
        key: Box<[u8]>,
        head: Object,
        meta: Meta,
        length: Option<u64>,
        room: Room,
    ) -> Arc<Self> {
        let first = length.map_or(0, |length| length.min(BLOCK as u64) as usize);
        let body = Body {
            start: 0,
            blocks: VecDeque::new(),
            open: Vec::with_capacity(first),
            whole: None,
            length: 0,
            course: Course::Kept,
            room,
            followers: 0,
            furthest: 0,
            source: None,
        };
        Arc::new(Self {
            key,
            head: Arc::new(head),
            meta: Arc::new(meta),
            length,
            body: Mutex::new(body),
            changed: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Body> {
        // What it guards is whole after each call, even if somebody panicked between two.
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rung when there is more to read, or an end. Read after this: what came before rings nothing.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Begins to follow, where all of it is still there and to come.
    pub(super) fn follow(self: &Arc<Self>) -> Option<Follower> {
        let mut body = self.lock();
        (body.course == Course::Kept).then(|| body.enter(self))
    }

    /// What comes behind the first `at` bytes; from the open block at most as much as goes `into` this.
    pub(super) fn read(&self, at: u64, into: &mut [u8]) -> Read {
        let mut body = self.lock();
        if at > body.furthest {
            body.furthest = at;
            if matches!(body.course, Course::Window(_)) {
                body.wake_source();
            }
        }
        if let Some(whole) = &body.whole {
            let at = at as usize;
            return if at < whole.len() { Read::Block(whole.slice(at..)) } else { Read::End };
        }
        let Some(from) = at.checked_sub(body.start) else { return Read::Lost };
        let from = from as usize;
        if let Some(block) = body.blocks.get(from / BLOCK)
            && from % BLOCK < block.len()
        {
            return Read::Block(block.slice(from % BLOCK..));
        }
        let open = from.saturating_sub(body.blocks.len() * BLOCK);
        let rest = body.open.get(open..).unwrap_or_default();
        if !rest.is_empty() {
            let count = rest.len().min(into.len()).min(PIECE);
            into[..count].copy_from_slice(&rest[..count]);
            return Read::Copied(count);
        }
        match body.course {
            Course::Kept | Course::Window(_) => Read::Nothing,
            Course::Complete => Read::End,
            Course::Broken => Read::Broken,
        }
    }
}

impl Body {
    fn enter(&mut self, fill: &Arc<Fill>) -> Follower {
        self.followers += 1;
        if self.followers == 1 {
            self.wake_source();
        }
        Follower(Arc::clone(fill))
    }

    fn wake_source(&mut self) {
        if let Some(source) = self.source.take() {
            source.wake();
        }
    }

    fn held(&self) -> u64 {
        self.length - self.start
    }

    fn append(&mut self, mut piece: &[u8]) {
        self.length += piece.len() as u64;
        while !piece.is_empty() {
            let (now, rest) = piece.split_at(piece.len().min(BLOCK - self.open.len()));
            self.open.extend_from_slice(now);
            piece = rest;
            if self.open.len() == BLOCK {
                let next = if piece.is_empty() { Vec::new() } else { Vec::with_capacity(BLOCK) };
                self.blocks.push_back(Bytes::from(mem::replace(&mut self.open, next)));
            }
        }
    }

    /// It is too large to be stored, or there is no room to.
    fn narrow(&mut self, most: u64) {
        let wanted = most.max(WINDOW);
        let window = if self.followers > 0 && self.room.covers(wanted) {
            wanted
        } else {
            self.room.taken().max(BLOCK as u64)
        };
        self.course = Course::Window(window);
    }

    /// Lets go of what lies behind the window.
    fn move_window(&mut self, window: u64) {
        while self.held() > window && self.blocks.pop_front().is_some() {
            self.start += BLOCK as u64;
        }
    }

    /// Nobody reads it, and nobody will.
    fn let_go(&mut self) {
        self.blocks = VecDeque::new();
        self.open = Vec::new();
        self.start = self.length;
        self.room.give_back();
    }
}

/// Who follows a response. It counts until it is dropped.
#[derive(Debug)]
pub(super) struct Follower(Arc<Fill>);

impl Follower {
    pub(super) fn fill(&self) -> &Arc<Fill> {
        &self.0
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut body = self.0.lock();
        body.followers -= 1;
        if body.followers == 0 {
            if matches!(body.course, Course::Window(_)) {
                body.let_go();
            }
            body.wake_source();
        }
    }
}

/// Who fills. Dropped before the end, the response has broken off.
#[derive(Debug)]
pub(super) struct Source(pub(super) Arc<Fill>);

impl Source {
    /// Content has come. Whether all of it is still kept: it is not any more when it is more than `most` bytes, or where there is no room.
    pub(super) fn push(&self, piece: &[u8], most: u64) -> bool {
        let mut body = self.0.lock();
        let needed = body.length + piece.len() as u64;
        if body.course == Course::Kept && !(needed <= most && body.room.covers(needed)) {
            body.narrow(most);
        }
        let followed = body.followers > 0;
        match body.course {
            Course::Window(window) if followed => {
                body.append(piece);
                body.move_window(window);
            }
            Course::Window(_) => {
                body.length = needed;
                body.let_go();
            }
            _ => body.append(piece),
        }
        let kept = body.course == Course::Kept;
        drop(body);
        if followed {
            self.0.changed.notify_waiters();
        }
        kept
    }

    /// All content has come: here it is, if all of it was kept.
    pub(super) fn complete(&self) -> Option<Bytes> {
        let mut body = self.0.lock();
        let mut whole = None;
        if body.course == Course::Kept {
            let open = mem::take(&mut body.open);
            if !open.is_empty() || body.blocks.is_empty() {
                // Without the room that it grew into: what is stored stays.
                body.blocks.push_back(Bytes::from(open.into_boxed_slice()));
            }
            let blocks: Vec<Bytes> = body.blocks.iter().cloned().collect();
            // Nobody waits for the lock meanwhile.
            drop(body);
            whole = Some(joined(&blocks));
            body = self.0.lock();
            body.blocks = VecDeque::new();
            body.whole.clone_from(&whole);
            // From here on it is the store's.
            body.room.give_back();
        }
        body.course = Course::Complete;
        drop(body);
        self.0.changed.notify_waiters();
        whole
    }

    /// Who follows. The caller is woken when that has changed.
    pub(super) fn audience(&self, cx: &Context<'_>) -> Audience {
        let mut body = self.0.lock();
        match &mut body.source {
            Some(known) if known.will_wake(cx.waker()) => {}
            source => *source = Some(cx.waker().clone()),
        }
        match body.course {
            _ if body.followers == 0 => Audience::Nobody,
            Course::Window(window) if body.length.saturating_sub(body.furthest) > window / 2 => {
                Audience::Fed
            }
            Course::Window(_) => Audience::Hungry,
            _ => Audience::Kept,
        }
    }

    /// Whether anybody follows.
    pub(super) fn is_followed(&self) -> bool {
        self.0.lock().followers > 0
    }

    /// Who filled it for a client of its own follows from here on as all others do.
    pub(super) fn join(&self) -> Follower {
        self.0.lock().enter(&self.0)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let mut body = self.0.lock();
        if matches!(body.course, Course::Kept | Course::Window(_)) {
            body.course = Course::Broken;
            drop(body);
            self.0.changed.notify_waiters();
        }
    }
}

fn joined(blocks: &[Bytes]) -> Bytes {
    match blocks {
        [one] => one.clone(),
        more => {
            let mut whole = Vec::with_capacity(more.iter().map(Bytes::len).sum());
            for block in more {
                whole.extend_from_slice(block);
            }
            Bytes::from(whole)
        }
    }
}

#[cfg(test)]
mod tests;
