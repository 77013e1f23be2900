//! The bodies of requests.
//!
//! A drawn body is the pattern of the request's number, made as it is sent, so that a body of a gigabyte
//! costs no memory. How much of it has been taken is kept outside: a server may answer before it has read the
//! whole, and then the connection cannot serve another request.

use std::{
    cell::Cell,
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use policy::work::Pattern;

/// The largest piece that is made at once.
const PIECE: u64 = 64 * 1024;

/// The body of a request.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// None.
    Empty,
    /// One that is there already.
    Whole(Bytes),
    /// The first `size` bytes of a pattern; `sent` says how many have been taken.
    Pattern {
        /// The pattern.
        pattern: Pattern,
        /// Its length.
        size: u64,
        /// How much of it has been taken.
        sent: Rc<Cell<u64>>,
    },
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        let piece = match this {
            Self::Empty => None,
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Some(bytes)
            }
            Self::Pattern { pattern, size, sent } => {
                let offset = sent.get();
                let count = (*size - offset).min(PIECE);
                (count > 0).then(|| {
                    let mut piece = BytesMut::zeroed(count as usize);
                    pattern.fill(offset, &mut piece);
                    sent.set(offset + count);
                    piece.freeze()
                })
            }
        };
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Empty => 0,
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Pattern { size, sent, .. } => size - sent.get(),
        })
    }
}
