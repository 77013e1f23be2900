//! What a route leads to: an upstream, and what happens on the way there.
//!
//! A proxy has one service of its own, and one more for each route. Which one a request gets is the table's decision
//! ([`policy::route`]); with no routes there is nothing to decide. A service whose request path has nothing but the
//! carrying of requests has no [`Stages`], and its requests pay one branch for all that could be there.

use std::{rc::Rc, sync::Arc};

use http1::RequestHead;
use policy::compression::CompressionConfig;
use policy::route::Table;

use super::{
    cache::Cache,
    commons::Commons,
    filters::Filters,
    forward::{Peer, Signature},
    heads::RequestFields,
    limit::Limits,
    upstream::Upstream,
};
use crate::config::ProxyConfig;

/// Where requests of one kind go, and what happens to them on the way.
pub(crate) struct Service<S> {
    /// Its name: of its route; empty for the proxy's own.
    pub(crate) name: Box<str>,
    /// Which endpoints.
    pub(crate) upstream: Rc<Upstream<S>>,
    /// What lies on the way, if anything does.
    pub(crate) stages: Option<Box<Stages>>,
}

/// What lies on the way of a request, in the order in which it meets it.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    /// Filters.
    pub(crate) filters: Option<Filters>,
    /// Limits of clients, and of the upstream.
    pub(crate) limits: Option<Arc<Limits>>,
    /// The cache.
    pub(crate) cache: Option<Cache>,
    /// Compression of answers.
    pub(crate) compression: Option<CompressionConfig>,
}

impl Stages {
    /// Those of the service of this number; nothing if nothing lies on its way.
    fn new(config: &ProxyConfig, number: usize, commons: &Commons) -> Option<Box<Self>> {
        let route = number.checked_sub(1).and_then(|route| config.routes.get(route));
        let compression = route.and_then(|route| route.compression.as_ref());
        let compression = compression.unwrap_or(&config.compression);
        let stages = Self {
            filters: Filters::new(config.filters(number), commons.seed()),
            limits: commons.limits.get(number).cloned().flatten(),
            cache: commons.caches.get(number).cloned().flatten(),
            compression: compression.enabled.then(|| compression.clone()),
        };
        let nothing = stages.filters.is_none()
            && stages.limits.is_none()
            && stages.cache.is_none()
            && stages.compression.is_none();
        (!nothing).then(|| Box::new(stages))
    }
}

/// All services, and which request gets which.
pub(crate) struct Services<S> {
    /// The proxy's own first, then those of the routes in their order.
    list: Box<[Service<S>]>,
    table: Option<Box<Table>>,
}

impl<S> Services<S> {
    /// Of `config`, whose upstreams these are: the proxy's own, then those with a name.
    pub(crate) fn new(
        config: &ProxyConfig,
        upstreams: &[Rc<Upstream<S>>],
        commons: &Commons,
    ) -> Self {
        let upstream_of = |name: Option<&String>| {
            let place = name.and_then(|name| config.upstreams.keys().position(|own| own == name));
            Rc::clone(&upstreams[place.map_or(0, |place| place + 1)])
        };
        let wanted = config.routes.iter().map(|route| route.upstream.as_ref());
        let list = [None].into_iter().chain(wanted).enumerate().map(|(number, upstream)| Service {
            name: config.service_name(number).into(),
            upstream: upstream_of(upstream),
            stages: Stages::new(config, number, commons),
        });
        let table = Table::new(config.routes.iter().map(|route| &route.matches));
        let routed = !config.routes.is_empty();
        Self { list: list.collect(), table: routed.then(|| Box::new(table)) }
    }

    /// The proxy's own.
    pub(crate) fn own(&self) -> &Service<S> {
        &self.list[0]
    }

    /// Whether there are routes.
    pub(crate) fn is_routed(&self) -> bool {
        self.table.is_some()
    }

    /// The one that a request gets.
    pub(crate) fn of(&self, head: &RequestHead, peer: &Peer, signature: &Signature) -> &Service<S> {
        match &self.table {
            None => self.own(),
            Some(table) => {
                let found = table.find(&RequestFields(head).asked(signature, peer));
                found.and_then(|route| self.list.get(route + 1)).unwrap_or(self.own())
            }
        }
    }
}
