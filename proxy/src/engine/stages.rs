//! Where the stages of a service meet a request: before it turns to the endpoints, and when it has been answered.
//!
//! Their order is the order in which they are written here, which is that of the request's path: filters, limits, cache on the way in;
//! filters, cache, compression on the way out. Mostly they decide from what is there and wait for nothing. What has to wait is a
//! password's check, a limit that is counted in Redis, and a cache whose answer somebody else is fetching already.

use http1::Framing;
use net::Net;

use super::{
    exchange::{After, Exchange},
    fault::Fault,
    service::Stages,
};

impl<N: Net> Exchange<'_, N> {
    /// What lies before the endpoints. Nothing if the request may turn to them; otherwise one of the stages has answered it.
    pub(super) async fn pass_stages(&mut self, stages: &Stages) -> Result<Option<After>, Fault> {
        if let Some(filters) = &stages.filters
            && let Some(reply) = self.filter(filters).await?
        {
            return Box::pin(self.reply(&reply)).await.map(Some);
        }
        if let Some(limits) = &stages.limits {
            let mut reply = self.limit(limits);
            if let Some(redis) = limits.redis().filter(|_| reply.is_none()) {
                reply = Box::pin(self.limit_shared(limits, redis)).await;
            }
            if let Some(reply) = reply {
                return Box::pin(self.reply(&reply)).await.map(Some);
            }
        }
        match &stages.cache {
            Some(cache) => self.consult(cache).await,
            None => Ok(None),
        }
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
