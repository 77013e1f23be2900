//! A stored response is compressed for a client that takes it so.
//!
//! What is stored is what the endpoint sent, one for all codings; who wants it compressed gets it compressed on the way, piece by piece as it takes
//! them. That is the processor's time at each such hit, and memory for none; an endpoint that compresses itself, with `Vary:
//! Accept-Encoding`, has each coding stored as it sent it.

use std::{future::poll_fn, sync::Arc, task::Poll};

use http1::{CHUNK_END, ChunkHead, Version};
use net::Net;
use policy::{
    compression::{self, Plan},
    message::Answered,
};

use super::{
    super::{
        compress::Encoder, exchange::Exchange, fault::Fault, heads::RequestFields, worker::Pad,
    },
    object::Object,
};

/// So much is compressed at once.
const PIECE: usize = 16 << 10;

impl<N: Net> Exchange<'_, N> {
    /// What filters and compression want different in the head of a stored response that is given with this status; how its body is
    /// compressed, if it is.
    pub(super) fn shape_stored(&mut self, object: &Object, status: u16) -> Option<Plan> {
        let stages = self.service.stages.as_ref()?;
        let answered = Answered { status, fields: object };
        if let Some(filters) = &stages.filters {
            self.filter_answer(filters, &answered);
        }
        let config = stages.compression.as_ref()?;
        let busy = self.worker.stats.encoders.get() as usize;
        let Pad { request, back, .. } = &mut *self.pad;
        let fields = RequestFields(request);
        let asked = fields.asked(&self.setup.signature, &self.client.peer);
        compression::choose(&asked, &answered, config, busy, back)
    }

    /// Sends what waits and then the object's body, compressed, as fast as the client takes it.
    pub(super) async fn send_encoded(&mut self, object: &Object, plan: Plan) -> Result<(), Fault> {
        let body = object.body();
        let stats = &self.worker.stats;
        let encoder = Encoder::new(plan, Some(body.len() as u64), Arc::clone(stats));
        let mut encoder = Some(encoder.map_err(|_| Fault::ClosedMidResponse)?);
        let chunked = self.pad.request.version() == Version::Http11;
        let idle = self.service.upstream.config.timeouts.stream_idle.0;
        let clock = self.worker.clock;
        let client = &mut *self.client;
        let (mut at, mut sent, mut made) = (0, 0, Vec::new());
        let mut seen = usize::MAX;
        let mut deadline = clock.now() + idle;
        let result = poll_fn(|cx| {
            loop {
                match client.channel.poll_flush(cx) {
                    Poll::Pending => break,
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Fault::ClientGone)),
                    Poll::Ready(Ok(())) => {}
                }
                let Some(mut working) = encoder.take() else { return Poll::Ready(Ok(())) };
                let piece = &body[at..body.len().min(at + PIECE)];
                at += piece.len();
                let done = working.content(piece, &mut made).and_then(|()| {
                    if at < body.len() {
                        encoder = Some(working);
                        return Ok(());
                    }
                    working.finish(&mut made)
                });
                if done.is_err() {
                    return Poll::Ready(Err(Fault::ClosedMidResponse));
                }
                sent += made.len() as u64;
                let out = client.channel.out();
                if !chunked {
                    out.append(&mut made);
                } else if let Some(head) = ChunkHead::new(made.len()) {
                    out.extend_from_slice(head.as_bytes());
                    out.append(&mut made);
                    out.extend_from_slice(CHUNK_END);
                }
                if chunked && encoder.is_none() {
                    http1::encode::trailers(out, std::iter::empty());
                }
            }
            let left = body.len() - at + client.channel.waiting();
            if left != seen {
                seen = left;
                deadline = clock.now() + idle;
            }
            client.timer.poll_at(cx, deadline).map(|()| Err(Fault::ClientStalled))
        })
        .await;
        self.pad.download.note_own(sent);
        self.worker.stats.cache.bytes.add(sent);
        result
    }
}
