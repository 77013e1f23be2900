//! Where the stages of a service meet a request: before it turns to the endpoints, and when it has been answered.
//!
//! Both are plain functions that decide from what is there and do not wait. Their order is the order in which they are written here, which is
//! that of the request's path: filters, limits, cache on the way in; filters, cache, compression on the way out.

use http1::Framing;
use net::Net;
use policy::message::Reply;

use super::{exchange::Exchange, fault::Fault, service::Stages};

impl<N: Net> Exchange<'_, N> {
    /// Whether the request may turn to the endpoints, and with which changes; or what it is answered instead.
    #[expect(clippy::unnecessary_wraps, reason = "a stage may find a fault, too")]
    pub(super) fn admit(&mut self, stages: &Stages) -> Result<Option<Reply>, Fault> {
        if let Some(limits) = &stages.limits
            && let Some(reply) = self.limit(limits)
        {
            return Ok(Some(reply));
        }
        Ok(None)
    }

    /// The head of the response is in the pad: what is to be different in it, and what is done to its body.
    pub(super) fn shape(&mut self, stages: &Stages) {
        if let Some(filters) = &stages.filters {
            self.filter_response(filters);
        }
        if let Some(compression) = &stages.compression {
            self.compress(compression);
        }
    }

    /// Refuses a body that says that it is too large, and one that turns out to be later on.
    pub(super) fn limit_body(&mut self) -> Result<(), Fault> {
        let Some(most) = self.service.upstream.config.limits.body else { return Ok(()) };
        self.pad.upload.limit(most.0);
        match self.pad.request.framing() {
            Framing::Length(length) if length > most.0 => Err(Fault::BodyTooLarge),
            _ => Ok(()),
        }
    }
}
