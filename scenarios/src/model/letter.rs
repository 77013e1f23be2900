//! What a request of the schedule says of itself, as far as an endpoint is chosen by it.
//!
//! The model sends no bytes, but a strategy that chooses by a key must find in it what the engine finds in the generator's requests. So
//! the path and the fields are filled in by the generator's own [`Text`], and read by the engine's own rules: [`Key::of`], and for who
//! the client is [`ForwardingConfig::client`]. Nothing of this is done where no key is asked for. Caches and limits see the whole head
//! ([`Written`]).
//!
//! A load's address is that of its host in the `sim` world. Of the fields that the generator adds by itself its client, its number,
//! its work and the length of a body are known; `Host` is not, since it is another in each world, unless the load names one.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use loadgen::{
    CLIENT_HEADER, Load, Text,
    config::Arrivals,
    schedule::{Planned, trace::TraceRequests},
};
use policy::{
    balance::key::{Asked, Key},
    message,
    work::{ID_HEADER, SIZE_HEADER, WORK_HEADER},
};
use proxy::config::ForwardingConfig;

/// The requests of a load, in words.
#[derive(Debug)]
pub(super) struct Letter {
    address: IpAddr,
    templates: Vec<Template>,
    trace: Option<Arc<TraceRequests>>,
    /// Whether each says which client it is from.
    names_client: bool,
    /// Where one is written; used again and again.
    text: String,
    fields: Vec<(String, String)>,
}

/// A request's head, written out for those who decide by it.
pub(super) struct Written<'a> {
    client: IpAddr,
    method: &'a str,
    target: &'a str,
    fields: &'a [(String, String)],
}

/// What the model's proxies are called by their clients.
pub(super) const HOST: &str = "proxy";

impl Written<'_> {
    /// As decisions see it.
    pub(super) fn asked(&self) -> message::Asked<'_> {
        message::Asked {
            client: self.client,
            method: self.method.as_bytes(),
            // A load may name another in place of the generator's.
            host: message::Fields::find(self, "host").unwrap_or(HOST.as_bytes()),
            target: self.target.as_bytes(),
            fields: self,
        }
    }
}

impl message::Fields for Written<'_> {
    fn each(&self, see: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        for (name, value) in self.fields {
            if !see(name.as_bytes(), value.as_bytes()) {
                return;
            }
        }
    }

    fn find(&self, name: &str) -> Option<&[u8]> {
        let mut found = self.fields.iter().filter(|field| field.0.eq_ignore_ascii_case(name));
        found.next().map(|field| field.1.as_bytes())
    }
}

#[derive(Debug)]
struct Template {
    method: String,
    target: Text,
    /// The fields; of those whose names differ in nothing but case the last is sent.
    fields: Vec<(String, Text)>,
}

impl Letter {
    /// Of the load at this place.
    pub(super) fn new(place: u16, load: &Load) -> Self {
        let template = |request: &loadgen::config::Request| Template {
            method: request.method.clone(),
            target: Text::new(&request.path),
            fields: request
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), Text::new(value)))
                .collect(),
        };
        let [middle, low] = place.saturating_add(1).to_be_bytes();
        Self {
            address: IpAddr::V4(Ipv4Addr::new(10, 16, middle, low)),
            templates: load.request.iter().map(template).collect(),
            trace: match &load.arrivals {
                Some(Arrivals::Trace(trace)) => Some(Arc::clone(&trace.requests)),
                _ => None,
            },
            names_client: load.clients.is_some() || load.users.is_some(),
            text: String::new(),
            fields: Vec::new(),
        }
    }

    /// The method of the request.
    pub(super) fn method(&self, planned: &Planned) -> &str {
        let traced = self.trace.as_ref().zip(planned.traced);
        match traced.and_then(|(trace, index)| trace.target(index)) {
            Some((method, _)) => method,
            None => &self.templates[usize::from(planned.template)].method,
        }
    }

    /// The whole head, and who the client is by the proxy's rules.
    pub(super) fn write(
        &mut self,
        forwarding: &ForwardingConfig,
        planned: &Planned,
    ) -> Written<'_> {
        self.text.clear();
        self.write_target(planned);
        let template = &self.templates[usize::from(planned.template)];
        let known = template.fields.len();
        let own = usize::from(self.names_client) + usize::from(planned.body > 0);
        self.fields.resize_with(known + own, Default::default);
        let fill = |(name, value): &mut (String, String), known: &str| {
            name.clear();
            name.push_str(known);
            value.clear();
        };
        for ((known, text), field) in template.fields.iter().zip(&mut self.fields) {
            fill(field, known);
            text.fill(planned, &mut field.1);
        }
        let named = self.names_client.then_some((CLIENT_HEADER, u64::from(planned.client)));
        let long = (planned.body > 0).then_some(("content-length", planned.body));
        for ((name, number), field) in named.into_iter().chain(long).zip(&mut self.fields[known..])
        {
            fill(field, name);
            field.1.push_str(&number.to_string());
        }
        let said =
            self.fields.iter().filter(|field| field.0.eq_ignore_ascii_case("x-forwarded-for"));
        let client = forwarding.client(self.address, said.map(|field| field.1.as_bytes()));
        Written { client, method: self.method(planned), target: &self.text, fields: &self.fields }
    }

    /// The request's key, as the engine would find it.
    pub(super) fn key(
        &mut self,
        key: &Key,
        forwarding: &ForwardingConfig,
        planned: &Planned,
    ) -> Option<u64> {
        self.text.clear();
        match key {
            Key::Path | Key::Query(_) => {
                self.write_target(planned);
                let target = self.text.as_bytes();
                key.of(Asked { address: self.address, target, fields: [] })
            }
            Key::Header(name) => {
                let is_there = self.write_field(name, planned);
                self.find(key, is_there.then_some(name.as_str()), self.address)
            }
            Key::Cookie(_) => {
                let is_there = self.write_field("cookie", planned);
                self.find(key, is_there.then_some("cookie"), self.address)
            }
            Key::Address => {
                let is_there = self.write_field("x-forwarded-for", planned);
                let said = is_there.then_some(self.text.as_bytes());
                let address = forwarding.client(self.address, said.into_iter());
                self.find(key, None, address)
            }
        }
    }

    /// Path and query of the request.
    pub(super) fn target(&mut self, planned: &Planned) -> &[u8] {
        self.text.clear();
        self.write_target(planned);
        self.text.as_bytes()
    }

    /// The key of a request whose only field of interest is this one.
    fn find(&self, key: &Key, field: Option<&str>, address: IpAddr) -> Option<u64> {
        let fields = field.map(|name| (name.as_bytes(), self.text.as_bytes().trim_ascii()));
        key.of(Asked { address, target: b"", fields })
    }

    fn write_target(&mut self, planned: &Planned) {
        let traced = self.trace.as_ref().zip(planned.traced);
        match traced.and_then(|(trace, index)| trace.target(index)) {
            Some((_, target)) => self.text.push_str(target),
            None => {
                self.templates[usize::from(planned.template)].target.fill(planned, &mut self.text);
            }
        }
    }

    /// Writes the value of a field; whether there is one.
    fn write_field(&mut self, name: &str, planned: &Planned) -> bool {
        let number = match name {
            CLIENT_HEADER => self.names_client.then_some(u64::from(planned.client)),
            ID_HEADER => Some(planned.id),
            WORK_HEADER => planned.work,
            SIZE_HEADER => planned.size,
            _ => {
                let mut fields = self.templates[usize::from(planned.template)].fields.iter().rev();
                let field = fields.find(|field| field.0.eq_ignore_ascii_case(name));
                if let Some((_, value)) = field {
                    value.fill(planned, &mut self.text);
                }
                return field.is_some();
            }
        };
        if let Some(number) = number {
            self.text.push_str(&number.to_string());
        }
        number.is_some()
    }
}
