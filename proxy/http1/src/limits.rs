//! How much of a message is accepted before it is refused.
//!
//! Everything that a peer can make us keep or read for nothing has a bound here: the head (we hold
//! a copy), the number of fields (we hold a table), the chunk-size lines (we read them only to throw
//! them away) and the trailers (we hold them until the end of the body). Bodies have no bound: they
//! stream, and how much of one is too much is the engine's business.

/// Bounds on one message. All sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most header fields in a head; at most [`Limits::FIELDS_CEILING`], larger values mean that.
    pub max_fields: usize,
    /// Longest head: first line, fields and the empty line.
    pub max_head: usize,
    /// Longest request target. A longer one is answered 414.
    pub max_target: usize,
    /// Longest method. The longest registered one has 17 bytes (`UPDATEREDIRECTREF`).
    pub max_method: usize,
    /// Longest chunk-size line, its extensions and its line end included.
    pub max_chunk_line: usize,
    /// Most bytes of chunk extensions over a whole body. Without it, a body of one-byte chunks with
    /// long extensions makes us read hundreds of bytes for each that we forward.
    pub max_chunk_extensions: usize,
    /// Longest trailer section, its empty line included.
    pub max_trailers: usize,
    /// Most trailer fields; at most [`Limits::FIELDS_CEILING`].
    pub max_trailer_fields: usize,
}

impl Limits {
    /// The parser's table of fields lives on the stack; this is its size.
    pub const FIELDS_CEILING: usize = 256;
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_fields: 100,
            max_head: 32 * 1024,
            max_target: 8 * 1024,
            max_method: 32,
            max_chunk_line: 256,
            max_chunk_extensions: 16 * 1024,
            max_trailers: 8 * 1024,
            max_trailer_fields: 64,
        }
    }
}
