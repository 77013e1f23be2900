//! What is done to a response's body between the endpoint and the client: it is kept for the cache, it is compressed.
//!
//! The relay shows a [`Shape`] each piece of content as it passes. A shape that only looks on leaves `made` empty, and the
//! piece goes to the client as it is; one that transforms says so, and what it has made goes instead. Where the
//! endpoint pauses, what is held back is let go ([`Shape::pause`]), so that a stream stays a stream.

use super::{cache::Recorder, compress::Encoder};

/// What happens to one body. A response without one has none, and costs a look at an empty place.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// What is to be sent in place of what came.
    pub(super) made: Vec<u8>,
    /// Stores it as it came, if it is stored.
    pub(super) record: Option<Recorder>,
    /// Compresses it, if it is compressed.
    pub(super) encoder: Option<Encoder>,
    /// Something has gone wrong: what is made is not the whole.
    pub(super) broken: bool,
}

impl Shape {
    /// Whether the client gets something else than what came.
    pub(super) fn transforms(&self) -> bool {
        self.encoder.is_some()
    }

    /// Content passes.
    pub(super) fn content(&mut self, content: &[u8]) {
        if let Some(record) = &mut self.record {
            record.content(content);
        }
        if let Some(encoder) = &mut self.encoder {
            self.broken |= encoder.content(content, &mut self.made).is_err();
        }
    }

    /// Nothing more is there to read for now.
    pub(super) fn pause(&mut self) {
        if let Some(encoder) = &mut self.encoder {
            self.broken |= encoder.pause(&mut self.made).is_err();
        }
    }

    /// The body is complete.
    pub(super) fn finish(&mut self) {
        if let Some(record) = self.record.take() {
            record.finish();
        }
        if let Some(encoder) = self.encoder.take() {
            self.broken |= encoder.finish(&mut self.made).is_err();
        }
    }
}
