//! The fields of a head or of a trailer section: a copy of their bytes and a table of where each is.
//!
//! Both vectors are kept from message to message, so a warm connection allocates nothing; a parse
//! clears and refills them. [`Fields::release`] gives the memory back when a connection idles.

use crate::name::Name;

/// Where a field is in the bytes.
#[derive(Clone, Copy, Debug)]
struct Field {
    name: Span,
    value: Span,
    known: Option<Name>,
    hop: bool,
}

/// A range of the head's bytes; half the size of a `Range<usize>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    len: u32,
}

impl Span {
    pub(crate) const EMPTY: Span = Span { start: 0, len: 0 };

    /// `part` as a range of `whole`, of which it must be a part. (Subtracting addresses is safe and
    /// cheaper than searching; were `part` no part, a later [`Span::of`] would be empty.)
    pub(crate) fn locate(whole: &[u8], part: &[u8]) -> Span {
        let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        Span { start: start as u32, len: part.len() as u32 }
    }

    pub(crate) fn new(start: usize, end: usize) -> Span {
        Span { start: start as u32, len: end.saturating_sub(start) as u32 }
    }

    /// This range and `next`, which begins where this one ends.
    pub(crate) fn join(self, next: Span) -> Span {
        Span { start: self.start, len: self.len + next.len }
    }

    pub(crate) fn start(self) -> usize {
        self.start as usize
    }

    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        let start = self.start as usize;
        bytes.get(start..start + self.len as usize).unwrap_or_default()
    }
}

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub struct FieldRef<'a> {
    /// The name as it was sent.
    pub name: &'a [u8],
    /// The value without the blanks around it. May have bytes above 0x7f, but no control character
    /// other than HTAB.
    pub value: &'a [u8],
    /// The name, if it is one of those in [`Name`].
    pub known: Option<Name>,
    hop: bool,
}

impl FieldRef<'_> {
    /// For this hop only, by its name or because `Connection` names it: not to be forwarded.
    pub fn is_hop_by_hop(&self) -> bool {
        self.hop
    }
}

/// Fields in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    bytes: Vec<u8>,
    table: Vec<Field>,
    /// Where the last field's line ends in the bytes.
    end: u32,
}

impl Fields {
    pub(crate) const fn new() -> Self {
        Fields { bytes: Vec::new(), table: Vec::new(), end: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.table.clear();
    }

    /// Gives the memory back.
    pub(crate) fn release(&mut self) {
        *self = Fields::default();
    }

    /// The bytes that the spans are ranges of.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends bytes; gives back where they are.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Span::new(start, self.bytes.len())
    }

    /// Adds a field to the table; its bytes may be appended later.
    pub(crate) fn push(&mut self, name: Span, value: Span, known: Option<Name>) {
        let hop = known.is_some_and(Name::is_hop_by_hop);
        self.table.push(Field { name, value, known, hop });
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = FieldRef<'_>> + Clone {
        self.table.iter().map(|field| self.view(field))
    }

    /// States where the last field's line ends.
    pub(crate) fn end_at(&mut self, end: usize) {
        self.end = end as u32;
    }

    /// Appends to `out` the lines of the fields that are end-to-end and that `omit` does not name, as
    /// they were sent. Lines that follow each other are one copy.
    pub(crate) fn write_end_to_end(
        &self,
        out: &mut Vec<u8>,
        mut omit: impl FnMut(&FieldRef<'_>) -> bool,
    ) {
        let mut run_start = None;
        let mut flush = |run_start: &mut Option<u32>, end: u32| {
            if let Some(start) = run_start.take() {
                out.extend_from_slice(self.bytes.get(start as usize..end as usize).unwrap_or(&[]));
            }
        };
        for field in &self.table {
            if field.hop || omit(&self.view(field)) {
                flush(&mut run_start, field.name.start);
            } else if run_start.is_none() {
                run_start = Some(field.name.start);
            }
        }
        flush(&mut run_start, self.end);
    }

    /// Marks every field of the name that is at `name` as hop-by-hop.
    pub(crate) fn mark_hop_by_hop(&mut self, name: Span) {
        let name = name.of(&self.bytes);
        for field in &mut self.table {
            if field.name.of(&self.bytes).eq_ignore_ascii_case(name) {
                field.hop = true;
            }
        }
    }

    /// Marks every field of this known name as hop-by-hop.
    pub(crate) fn mark_known_hop_by_hop(&mut self, name: Name) {
        for field in self.table.iter_mut().filter(|field| field.known == Some(name)) {
            field.hop = true;
        }
    }

    pub(crate) fn get(&self, name: Name) -> Option<&[u8]> {
        let field = self.table.iter().find(|field| field.known == Some(name))?;
        Some(field.value.of(&self.bytes))
    }

    /// Where the value of the `index`th field is.
    pub(crate) fn value_span(&self, index: usize) -> Span {
        self.table.get(index).map_or(Span::default(), |field| field.value)
    }

    fn view(&self, field: &Field) -> FieldRef<'_> {
        FieldRef {
            name: field.name.of(&self.bytes),
            value: field.value.of(&self.bytes),
            known: field.known,
            hop: field.hop,
        }
    }
}

/// The members of a comma-separated list (RFC 9110, 5.6.1), without blanks, empty ones left out.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(trim).filter(|member| !member.is_empty())
}

/// Without the blanks (SP and HTAB) around it.
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Field access, the same for both kinds of heads.
macro_rules! field_access {
    ($head:ty) => {
        impl $head {
            /// The fields in the order in which they came, all of them.
            pub fn fields(&self) -> impl Iterator<Item = FieldRef<'_>> + Clone {
                self.head.fields.iter()
            }

            /// The fields to forward: without the hop-by-hop ones ([`Name::is_hop_by_hop`]) and
            /// without those that `Connection` names.
            ///
            /// Of what `Connection` names only unknown fields are dropped. A known one that is not
            /// hop-by-hop by itself (`Authorization`, `Cache-Control`, `X-Forwarded-For`, `Via`, …) is
            /// meant for all recipients, and naming it in `Connection` is forbidden (RFC 9110,
            /// 7.6.1): such a name is ignored, so that nobody strips a field that we or the origin rely
            /// on. `Host` and `Content-Length` there are refused when parsing.
            ///
            /// `Content-Length` passes: who forwards the body in another framing must leave it out.
            pub fn end_to_end(&self) -> impl Iterator<Item = FieldRef<'_>> + Clone {
                self.head.fields.iter().filter(|field| !field.is_hop_by_hop())
            }

            /// Appends to `out` the lines of [`Self::end_to_end`] but those that `omit` names, as they
            /// were sent (blanks around values included). Lines that follow each other are one copy,
            /// so this is several times faster than field by field.
            pub fn write_end_to_end(
                &self,
                out: &mut Vec<u8>,
                omit: impl FnMut(&FieldRef<'_>) -> bool,
            ) {
                self.head.fields.write_end_to_end(out, omit);
            }

            /// The value of the first field of this name.
            pub fn get(&self, name: Name) -> Option<&[u8]> {
                self.head.fields.get(name)
            }

            /// The values of all fields of this name.
            pub fn get_all(&self, name: Name) -> impl Iterator<Item = &[u8]> {
                self.fields()
                    .filter(move |field| field.known == Some(name))
                    .map(|field| field.value)
            }

            /// The value of the first field of this name, in any case.
            pub fn find(&self, name: &[u8]) -> Option<&[u8]> {
                self.fields()
                    .find(|field| field.name.eq_ignore_ascii_case(name))
                    .map(|field| field.value)
            }

            /// How many fields there are.
            pub fn field_count(&self) -> usize {
                self.head.fields.len()
            }

            /// Forgets the message, and how far an incomplete one was scanned; keeps the memory.
            pub fn clear(&mut self) {
                self.head.clear();
            }

            /// Forgets the message and gives its memory back: for a connection that idles.
            pub fn release(&mut self) {
                self.head.release();
            }
        }
    };
}
pub(crate) use field_access;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_and_trimmed() {
        let members: Vec<&[u8]> = list(b" a,,\tb c ,").collect();
        assert_eq!(members, [&b"a"[..], b"b c"]);
        assert_eq!(list(b" , ").count(), 0);
    }

    #[test]
    fn spans_find_their_part() {
        let whole = b"abcdef";
        let span = Span::locate(whole, &whole[2..4]);
        assert_eq!(span.of(whole), b"cd");
        assert_eq!(span.of(b"x"), b"");
    }
}
