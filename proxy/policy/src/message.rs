//! Messages as decisions see them.
//!
//! Whether a request may pass, where it goes, and whether its answer may be kept is decided by what stands in heads. Who has a head
//! (the engine its bytes, the model its plan, a test a table) shows it as an [`Asked`] or an [`Answered`]: a few parts,
//! and [`Fields`] to look into. A decision never writes a head: what it wants changed it says as [`Edits`], which whoever
//! writes the head applies on the way, and what it wants answered it says as a [`Reply`]. So a filter, a cache or a rate limit
//! does the same in every world.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

/// A head's fields.
pub trait Fields {
    /// Shows each field, name and value, in their order, until `see` returns false. Names come in any case.
    fn each(&self, see: &mut dyn FnMut(&[u8], &[u8]) -> bool);

    /// The value of the first field of this name, whatever its case.
    fn find(&self, name: &str) -> Option<&[u8]>;
}

/// Fields in a table: of a test, of the model.
impl Fields for &[(&str, &str)] {
    fn each(&self, see: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        for (name, value) in *self {
            if !see(name.as_bytes(), value.as_bytes()) {
                return;
            }
        }
    }

    fn find(&self, name: &str) -> Option<&[u8]> {
        let mut found = self.iter().filter(|field| field.0.eq_ignore_ascii_case(name));
        found.next().map(|field| field.1.as_bytes())
    }
}

/// A request.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Who asks: the peer, or whom a trusted peer names.
    pub client: IpAddr,
    /// The method, as it was sent.
    pub method: &'a [u8],
    /// Host and port as the request names them; empty if it names none.
    pub host: &'a [u8],
    /// Path and query.
    pub target: &'a [u8],
    /// The fields.
    pub fields: &'a dyn Fields,
}

impl<'a> Asked<'a> {
    /// The target without its query.
    pub fn path(&self) -> &'a [u8] {
        split(self.target).0
    }

    /// What follows the first `?` of the target, if there is one.
    pub fn query(&self) -> Option<&'a [u8]> {
        split(self.target).1
    }
}

fn split(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match target.iter().position(|byte| *byte == b'?') {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    }
}

/// A response.
#[derive(Clone, Copy)]
pub struct Answered<'a> {
    /// The status.
    pub status: u16,
    /// The fields.
    pub fields: &'a dyn Fields,
}

/// The name of a field in an edit.
pub type FieldName = Cow<'static, str>;

/// What is to be different in a head that is passed on. Nothing, mostly: then it costs a look at an empty list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// Path and query, if they are to be others.
    pub target: Option<Vec<u8>>,
    list: Vec<Edit>,
}

/// One change. Later ones win.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Every field of this name is left out.
    Remove(FieldName),
    /// There is one field of this name, with this value.
    Set(FieldName, Vec<u8>),
    /// There is one more field of this name.
    Add(FieldName, Vec<u8>),
}

impl Edits {
    /// Nothing is to be different.
    pub const NONE: Self = Self { target: None, list: Vec::new() };

    /// Whether nothing is to be different.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && self.target.is_none()
    }

    /// Forgets all of it, and keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        if !self.is_empty() {
            self.list.clear();
            self.target = None;
        }
    }

    /// Leaves out every field of this name.
    pub fn remove(&mut self, name: impl Into<FieldName>) {
        self.apply(Edit::Remove(name.into()));
    }

    /// Replaces all fields of this name by one.
    pub fn set(&mut self, name: impl Into<FieldName>, value: impl Into<Vec<u8>>) {
        self.apply(Edit::Set(name.into(), value.into()));
    }

    /// Adds a field.
    pub fn add(&mut self, name: impl Into<FieldName>, value: impl Into<Vec<u8>>) {
        self.apply(Edit::Add(name.into(), value.into()));
    }

    /// The same with all of these.
    pub fn append(&mut self, others: Self) {
        let Self { target, list } = others;
        for edit in list {
            self.apply(edit);
        }
        self.target = target.or_else(|| self.target.take());
    }

    /// The same for a change that is there already.
    pub fn apply(&mut self, edit: Edit) {
        if let Edit::Remove(name) | Edit::Set(name, _) = &edit {
            // What was to be added before is a field of this name, too.
            let other = |known: &Edit| match known {
                Edit::Remove(known) | Edit::Set(known, _) | Edit::Add(known, _) => {
                    !known.eq_ignore_ascii_case(name)
                }
            };
            self.list.retain(other);
        }
        self.list.push(edit);
    }

    /// Whether the fields of this name that the head came with are left out.
    pub fn omits(&self, name: &[u8]) -> bool {
        self.list.iter().any(|edit| match edit {
            Edit::Remove(known) | Edit::Set(known, _) => {
                known.as_bytes().eq_ignore_ascii_case(name)
            }
            Edit::Add(..) => false,
        })
    }

    /// The fields that are new, in their order.
    pub fn added(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.list.iter().filter_map(|edit| match edit {
            Edit::Set(name, value) | Edit::Add(name, value) => Some((&**name, &**value)),
            Edit::Remove(_) => None,
        })
    }
}

/// An answer that is the proxy's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The fields, but for those of framing, date and connection, which are whoever writes the head's.
    pub fields: Vec<(FieldName, Vec<u8>)>,
    /// The body.
    pub body: Arc<[u8]>,
    /// Why, in a word or two: the details of `Proxy-Status` (RFC 9209), the log and the metrics say so.
    pub reason: &'static str,
}

impl Reply {
    /// An answer with this status, a line of plain text, and no more.
    pub fn text(status: u16, reason: &'static str, line: &str) -> Self {
        Self {
            status,
            fields: vec![("Content-Type".into(), b"text/plain; charset=utf-8".to_vec())],
            body: format!("{line}\n").into_bytes().into(),
            reason,
        }
    }

    /// The same with one more field.
    pub fn with(mut self, name: impl Into<FieldName>, value: impl Into<Vec<u8>>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_edits_win() {
        let mut edits = Edits::default();
        edits.add("X-One", "1");
        edits.add("x-one", "2");
        assert!(!edits.omits(b"X-One"));
        assert_eq!(edits.added().count(), 2);
        edits.set("X-ONE", "3");
        assert!(edits.omits(b"x-one"));
        assert_eq!(edits.added().collect::<Vec<_>>(), [("X-ONE", &b"3"[..])]);
        edits.remove("x-one");
        edits.add("x-one", "4");
        assert!(edits.omits(b"x-one"));
        assert_eq!(edits.added().collect::<Vec<_>>(), [("x-one", &b"4"[..])]);
    }

    #[test]
    fn a_target_has_a_path_and_perhaps_a_query() {
        let fields: &[(&str, &str)] = &[("Host", "shop")];
        let asked = |target| Asked {
            client: IpAddr::from([127, 0, 0, 1]),
            method: b"GET",
            host: b"shop",
            target,
            fields: &fields,
        };
        assert_eq!((asked(b"/a?").path(), asked(b"/a?").query()), (&b"/a"[..], Some(&b""[..])));
        assert_eq!((asked(b"/a").path(), asked(b"/a").query()), (&b"/a"[..], None));
    }
}
