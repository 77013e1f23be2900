//! Fuzzing: faults that nobody thought of, in an order that nobody tried.
//!
//! A scenario says what a system is and what must hold; what goes wrong when is drawn here. Because a virtual world runs the
//! same events the same way each time, a run that breaks something can be run again with fewer and simpler events until
//! nothing more can be left out, and what remains is a scenario file that a person can read and everybody can repeat.
//! (Random tests that shrink: Claessen and Hughes, QuickCheck, 2000; faults on a simulated network: FoundationDB.)
//!
//! Reading order: [`draw`] makes timelines from `values`, and [`heal`] ends them; a [`draft`] makes scenarios of them, as `text`;
//! the [`judge`] runs one and says what broke; a [`campaign`] is many of those; [`shrink`] and `simpler` make a timeline small,
//! [`reduce`] the scenario around it, [`smallest`] sees to it that it stays the same fault, and a [`finding`] is what is written down.

pub mod campaign;
pub mod draft;
pub mod draw;
pub mod finding;
pub mod heal;
pub mod judge;
pub mod progress;
pub mod reduce;
pub mod shrink;
mod simpler;
pub mod smallest;
mod text;
mod values;
