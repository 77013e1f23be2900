//! A kept answer that is still true: freshened by a 304 (RFC 9111, section 4.3.4) or by the answer to HEAD (4.3.5).
//!
//! What the new head says takes the place of what the kept one says, but for fields that are of the bytes we keep, or of a connection
//! (section 3.2). [`Merged`] is that head, to be read and to be written; what is kept of it is decided as for any other answer, so an
//! endpoint that has changed its mind in the 304 (`no-store`, say) is obeyed.

use super::{
    Meta, Received, Rules, dates,
    directives::delta_seconds,
    request::Wanted,
    response::Facts,
    storable::{Omit, Taken, Why},
};
use crate::message::{Answered, Asked, Fields};

/// What a 304 does to the kept answer that it was asked about.
#[derive(Clone, Debug, PartialEq)]
pub enum Freshened {
    /// It is true still: this is kept of the [`Merged`] head now.
    Updated(Box<Taken>),
    /// It is true still, and given once more; but the 304 forbids to keep it.
    Forget(Why),
    /// The 304 speaks of another answer than the one that we have (its strong tag is another): ask again without conditions.
    Other,
}

/// What the answer to HEAD does to the answer to GET that is kept.
#[derive(Clone, Debug, PartialEq)]
pub enum HeadEffect {
    /// It is true still: this is kept of the [`Merged`] head now.
    Updated(Box<Taken>),
    /// There is another by now: it is removed.
    Outdated,
    /// None.
    Nothing,
}

/// The kept head with the new one's fields in the place of its own.
pub struct Merged<'a> {
    kept: &'a dyn Fields,
    status: u16,
    new: &'a dyn Fields,
    connection: Vec<Box<[u8]>>,
}

/// Fields of the new head that are no news of the kept body.
const NOT_TAKEN: [&str; 13] = [
    "content-length",
    "content-encoding",
    "content-range",
    "transfer-encoding",
    "connection",
    "proxy-connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
];

impl<'a> Merged<'a> {
    /// Of the kept head's fields and the new head.
    pub fn new(kept: &'a dyn Fields, answered: &Answered<'a>) -> Self {
        let new = answered.fields;
        let mut connection: Vec<Box<[u8]>> = Vec::new();
        new.each(&mut |name, value| {
            if name.eq_ignore_ascii_case(b"connection") {
                let names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                connection.extend(names.map(Into::into));
            }
            true
        });
        Self { kept, status: answered.status, new, connection }
    }

    fn takes(&self, name: &[u8]) -> bool {
        !NOT_TAKEN.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
            && !self.connection.iter().any(|known| name.eq_ignore_ascii_case(known))
    }

    fn replaces(&self, name: &[u8]) -> bool {
        self.takes(name) && str::from_utf8(name).is_ok_and(|name| self.new.find(name).is_some())
    }
}

impl Fields for Merged<'_> {
    fn each(&self, see: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        let mut go_on = true;
        self.kept.each(&mut |name, value| {
            go_on = self.replaces(name) || see(name, value);
            go_on
        });
        if go_on {
            self.new.each(&mut |name, value| !self.takes(name) || see(name, value));
        }
    }

    fn find(&self, name: &str) -> Option<&[u8]> {
        let new = if self.takes(name.as_bytes()) { self.new.find(name) } else { None };
        new.or_else(|| self.kept.find(name))
    }
}

impl Rules {
    /// What a 304 to our own conditions does to the kept answer. `merged` is of its head and of the 304's.
    pub fn freshen(
        &self,
        asked: &Asked<'_>,
        wanted: &Wanted,
        kept: &Meta,
        merged: &Merged<'_>,
        received: Received,
    ) -> Freshened {
        let tag = merged.new.find("ETag").map(<[u8]>::trim_ascii);
        let strong = tag.filter(|tag| tag.starts_with(b"\""));
        if strong.is_some() && kept.is_strong() && strong != kept.etag.as_deref() {
            return Freshened::Other;
        }
        match self.renewed(asked, wanted, kept, merged, received) {
            Ok(taken) => Freshened::Updated(taken),
            Err(why) => Freshened::Forget(why),
        }
    }

    /// What an answer to HEAD does to the kept answer to GET, whose body has so many bytes.
    pub fn freshen_by_head(
        &self,
        asked: &Asked<'_>,
        wanted: &Wanted,
        kept: &Meta,
        length: u64,
        merged: &Merged<'_>,
        received: Received,
    ) -> HeadEffect {
        if merged.status != 200 || kept.status != 200 {
            return HeadEffect::Nothing;
        }
        let new = merged.new;
        let tag = new.find("ETag").map(<[u8]>::trim_ascii);
        let modified = new.find("Last-Modified").map(|date| dates::parse(date, received.wall));
        let stated = new.find("Content-Length").map(|text| {
            str::from_utf8(text.trim_ascii()).ok().and_then(|text| text.parse::<u64>().ok())
        });
        let total = kept.part.map_or(length, |part| part.total);
        let same = tag.is_none_or(|tag| Some(tag) == kept.etag.as_deref())
            && modified.is_none_or(|modified| modified == kept.last_modified)
            && stated.is_none_or(|stated| stated == Some(total));
        if !same {
            return HeadEffect::Outdated;
        }
        match self.renewed(asked, wanted, kept, merged, received) {
            Ok(taken) => HeadEffect::Updated(taken),
            Err(_) => HeadEffect::Outdated,
        }
    }

    fn renewed(
        &self,
        asked: &Asked<'_>,
        wanted: &Wanted,
        kept: &Meta,
        merged: &Merged<'_>,
        received: Received,
    ) -> Result<Box<Taken>, Why> {
        let mut facts = Facts::read(self, merged, received.wall);
        // The kept date and age are of another moment.
        let new = merged.new;
        facts.date = new.find("Date").and_then(|date| dates::parse(date, received.wall));
        let age = new.find("Age").and_then(|age| age.split(|byte| *byte == b',').next());
        facts.age = age.and_then(|age| delta_seconds(age.trim_ascii()));
        // These were judged when the answer was kept, and they are of the kept bytes.
        facts.content_length = None;
        facts.content_range = None;
        let omit = Omit::of(&facts, self.set_cookie);
        let status = if kept.part.is_some() { 200 } else { kept.status };
        let mut meta = self.meta(asked, wanted, status, facts, received)?;
        meta.status = kept.status;
        meta.part = kept.part;
        Ok(Box::new(Taken { meta, omit, length: None }))
    }
}
