//! The client's side of HTTP: connections, requests made from templates, answers checked.
//!
//! HTTP is hyper's, so that what stands before the proxy is an implementation of its own and not the proxy's. Pools
//! and deadlines are ours: hyper-util's pool hashes at random, and a generator must know which request opened a
//! connection and which found one.

mod body;
mod check;
mod connection;
mod cookies;
mod fault;
mod follow;
mod pool;
mod template;
mod text;
mod wire;

pub(crate) use connection::{Errand, Traffic, exchange};
pub(crate) use cookies::{Cookies, Keeping};
pub(crate) use fault::Ending;
pub(crate) use pool::{Pool, Seat};
pub use template::CLIENT_HEADER;
pub(crate) use template::{Template, Told};
pub use text::Text;
