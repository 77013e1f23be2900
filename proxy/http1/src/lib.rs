//! An HTTP/1.1 codec without I/O: bytes to messages and back, strict where it is dangerous.
//!
//! Written for a proxy (RFC 9110, 9112). Three things follow from that.
//!
//! **It refuses.** A proxy stands between two parsers. Wherever two parsers in the wild read different
//! messages from the same bytes, someone can hide a request in another (smuggling). So nothing is
//! repaired and nothing is guessed: what is ambiguous is an [`Error`] that says what and why, on the
//! upstream's side as well as on the client's.
//!
//! **It is cheap.** A head is parsed once when it is whole, copied once, and its deciding fields are read
//! on the way ([`RequestHead::framing`], [`RequestHead::keep_alive`] and so on are look-ups). Heads and
//! decoders are made to be used again and then allocate nothing. Fields that pass through are copied in
//! runs ([`RequestHead::write_end_to_end`]). Body content is never copied.
//!
//! **It does no I/O.** Whoever owns the socket calls `parse` with what has arrived, cut at any byte, and
//! gets "whole", "more" or an error. The same code runs on real and on simulated networks.
//!
//! ```
//! use http1::{BodyDecoder, Framing, Limits, RequestHead};
//! let input = b"POST /buy?n=1 HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
//! let limits = Limits::default();
//! let mut head = RequestHead::new();
//! let length = head.parse(input, &limits)?.expect("it is whole");
//! assert_eq!((head.path(), head.host()), (&b"/buy"[..], &b"shop"[..]));
//! assert_eq!(head.framing(), Framing::Chunked);
//! let mut body = BodyDecoder::new(head.framing(), &limits);
//! let part = body.decode(&input[length..])?;
//! assert!(part.data == b"abc" && part.done);
//! # Ok::<(), http1::Error>(())
//! ```
//!
//! # Map
//!
//! | file | what |
//! |---|---|
//! | `request`, `response` | the two heads |
//! | `head` | what they share: fields taken over from the parser, and what they state |
//! | `fields`, `name`, `method` | fields as ranges of the head's bytes; known names; methods |
//! | `target` | the request target's four forms, Host, and their agreement |
//! | `framing`, `body`, `chunk` | where a body ends; decoding it; chunk-size lines |
//! | `encode` | writing |
//! | `scan` | heads that come in pieces, in linear time |
//! | `diagnose`, `error` | which rule was broken, and why there is such a rule |
//! | `limits` | bounds |

mod body;
mod chunk;
mod diagnose;
pub mod encode;
mod error;
mod fields;
mod framing;
mod head;
mod limits;
mod method;
mod name;
mod request;
mod response;
mod scan;
mod target;

pub use body::{BodyDecoder, Decoded};
pub use chunk::{CHUNK_END, ChunkHead, LAST_CHUNK};
pub use error::{Error, ErrorKind};
pub use fields::FieldRef;
pub use framing::Framing;
pub use head::Version;
pub use limits::Limits;
pub use method::Method;
pub use name::Name;
pub use request::RequestHead;
pub use response::ResponseHead;
