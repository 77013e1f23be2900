//! The scenario language.
//!
//! A scenario file says what the proxy is, what stands behind it, what load arrives, what goes wrong when, and what
//! must hold. It is read into a tree that knows its places ([`proxy::config::document`]), the `[matrix]` is
//! multiplied out on that tree, and each [`Variant`] is read from it whole and checked whole. So an impossible
//! cell of a matrix is an error that points into the matrix, and nothing that a run could stumble over is left
//! for the run.
//!
//! Reading order: [`scenario`] is the file; [`event`], [`threshold`] and [`world`] are its parts that are our own;
//! [`matrix`] makes variants; `check` finds what is dangling or impossible; [`traces`] reads the files that a
//! scenario names; [`timeline`] is what happens when, with names resolved; [`pools`] says which
//! endpoints stand behind which upstream; [`suite`] finds scenario files.

mod check;
pub mod event;
pub mod expected;
pub mod matrix;
pub mod pools;
pub mod scenario;
pub mod suite;
pub mod threshold;
pub mod timeline;
pub mod traces;
mod warnings;
pub mod world;

pub use event::{Action, Event, RedisState, Target, Which};
pub use matrix::{Exclusion, Variant};
pub use scenario::{Network, Scenario, Window};
pub use suite::{Loaded, Setting, load_paths};
pub use threshold::{Comparison, Limit, Threshold};
pub use timeline::Moment;
