//! The simulated network, on virtual time: every figure is exact to the microsecond.

mod dials;
mod faults;
mod order;
mod streams;
mod support;
mod touched;
