//! A stored response, laid out so that a hit is a few copies.
//!
//! Its head lies there as it goes out: status line, fields, our own `Via`, `Content-Length`. What a hit adds (`Age`, `Cache-Status`, and
//! what concerns the client's connection) comes behind. Where each field is stands in a table beside it, for decisions to look into and
//! for the rare answers that show only some of them. The content is one piece of memory that everybody who is sending it shares.
//!
//! What rules say of it (how long it is fresh, what it varies by) is its `Meta` ([`policy::cache`]), which is kept beside it in the store.

use bytes::Bytes;
use http1::encode;
use policy::message::Fields;

/// A stored response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    status: u16,
    /// Status line, fields, our own fields, `Content-Length`; each line with its end.
    head: Box<[u8]>,
    /// Where the fields are, in their order.
    fields: Box<[Place]>,
    /// Where in the head the first field, the first of our own, and `Content-Length` begin.
    at: Parts,
    body: Bytes,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parts {
    fields: u32,
    own: u32,
    length: u32,
}

/// Where a field is in a head: its line begins at `start`, and two bytes are between name and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    start: u32,
    name: u32,
    value: u32,
}

/// What an object occupies besides its bytes, roughly: itself, its entry, its share of tables.
const OVERHEAD: usize = 256;

impl Object {
    /// The status.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// The content.
    pub(crate) fn body(&self) -> &Bytes {
        &self.body
    }

    /// How much memory it takes, in bytes.
    pub(crate) fn size(&self) -> u64 {
        (self.head.len() + self.fields.len() * size_of::<Place>() + self.body.len() + OVERHEAD)
            as u64
    }

    /// The whole head but for its end.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The fields' lines and our own, as they go out.
    #[cfg(test)]
    pub(crate) fn lines(&self) -> &[u8] {
        &self.head[self.at.fields as usize..self.at.length as usize]
    }

    /// Our own lines.
    pub(crate) fn own(&self) -> &[u8] {
        &self.head[self.at.own as usize..self.at.length as usize]
    }

    /// The reason phrase.
    pub(crate) fn reason(&self) -> &[u8] {
        // `HTTP/1.1 200 ` before it, and the line's end behind it.
        self.head.get(13..(self.at.fields as usize).saturating_sub(2)).unwrap_or_default()
    }

    /// The fields, name and value.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|place| place.of(&self.head))
    }

    /// The same response with other content.
    pub(crate) fn with_body(&self, body: Bytes) -> Self {
        let mut head = Vec::with_capacity(self.head.len() + 8);
        head.extend_from_slice(&self.head[..self.at.length as usize]);
        state_length(&mut head, self.status, &body);
        Self {
            status: self.status,
            head: head.into(),
            fields: self.fields.clone(),
            at: self.at,
            body,
        }
    }
}

/// RFC 9110, section 8.6: not with every status.
fn state_length(head: &mut Vec<u8>, status: u16, body: &Bytes) {
    if !matches!(status, 204 | 304) {
        encode::content_length(head, body.len() as u64);
    }
}

impl Place {
    fn of(self, head: &[u8]) -> (&[u8], &[u8]) {
        let name = self.start as usize..(self.start + self.name) as usize;
        let value = name.end + 2..name.end + 2 + self.value as usize;
        (&head[name], &head[value])
    }
}

impl Fields for Object {
    fn each(&self, see: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        for (name, value) in self.fields() {
            if !see(name, value) {
                return;
            }
        }
    }

    fn find(&self, name: &str) -> Option<&[u8]> {
        self.fields()
            .find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }
}

/// A response that is to be stored: its head is there, its content may still be coming.
#[derive(Debug)]
pub(crate) struct Draft {
    status: u16,
    head: Vec<u8>,
    fields: Vec<Place>,
    first: u32,
}

impl Draft {
    /// With this status and reason phrase, and no fields yet.
    pub(crate) fn new(status: u16, reason: &[u8]) -> Self {
        let mut head = Vec::with_capacity(512);
        encode::status_line_with_reason(&mut head, status, reason);
        Self { status, first: head.len() as u32, head, fields: Vec::with_capacity(16) }
    }

    /// One more field. Both must be correct: as the codec gave them, or checked.
    pub(crate) fn field(&mut self, name: &[u8], value: &[u8]) {
        let start = self.head.len() as u32;
        encode::field(&mut self.head, name, value);
        self.fields.push(Place { start, name: name.len() as u32, value: value.len() as u32 });
    }

    /// Whether there is a field of this name.
    pub(crate) fn has(&self, name: &[u8]) -> bool {
        self.fields.iter().any(|place| place.of(&self.head).0.eq_ignore_ascii_case(name))
    }

    /// The object: `own` are lines that we add ourselves, with their ends.
    pub(crate) fn finish(self, own: &[u8], body: Bytes) -> Object {
        let Self { status, mut head, fields, first } = self;
        let mut at = Parts { fields: first, own: head.len() as u32, length: 0 };
        head.extend_from_slice(own);
        at.length = head.len() as u32;
        state_length(&mut head, status, &body);
        Object { status, head: head.into(), fields: fields.into(), at, body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> Object {
        let mut draft = Draft::new(200, b"Fine");
        draft.field(b"ETag", b"\"1\"");
        draft.field(b"X-Empty", b"");
        assert!(draft.has(b"etag") && !draft.has(b"Date"));
        draft.finish(b"Via: 1.1 us\r\n", Bytes::from_static(b"hello"))
    }

    #[test]
    fn its_head_is_as_it_goes_out() {
        let object = object();
        let lines = "ETag: \"1\"\r\nX-Empty: \r\nVia: 1.1 us\r\n";
        let head = format!("HTTP/1.1 200 Fine\r\n{lines}Content-Length: 5\r\n");
        assert_eq!(String::from_utf8_lossy(object.head()), head);
        assert_eq!(String::from_utf8_lossy(object.lines()), lines);
        assert_eq!((object.reason(), object.own()), (&b"Fine"[..], &b"Via: 1.1 us\r\n"[..]));
        assert_eq!(object.with_body(object.body().clone()), object);
    }

    #[test]
    fn decisions_see_its_fields() {
        let object = object();
        assert_eq!(object.find("etag"), Some(&b"\"1\""[..]));
        assert_eq!((object.find("x-empty"), object.find("Via")), (Some(&b""[..]), None));
        let mut names = Vec::new();
        object.each(&mut |name, _| {
            names.push(name.to_vec());
            names.len() < 2
        });
        assert_eq!(names, [b"ETag".to_vec(), b"X-Empty".to_vec()]);
    }

    #[test]
    fn what_has_no_content_states_no_length() {
        let object = Draft::new(204, b"No Content").finish(b"", Bytes::new());
        assert_eq!(object.head(), b"HTTP/1.1 204 No Content\r\n");
        let moved = Draft::new(301, b"").finish(b"", Bytes::new());
        assert!(moved.head().ends_with(b"Content-Length: 0\r\n") && moved.reason().is_empty());
    }
}
